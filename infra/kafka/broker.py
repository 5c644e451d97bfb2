"""A Kafka cluster of one or three brokers on this machine: start, stop, status.

Everything lies in one data folder: ``state.json`` (who runs, on which ports), ``node-N/`` (settings, data and log of
a broker) and a lock, which start and stop hold. A broker survives the command and the shell that started it; killed
at any moment, it is started again with the same data and, where they are still free, the same ports.

Where KAFKA_BOOTSTRAP names a cluster that runs, that one is reported and nothing is started or stopped.
"""

import fcntl
import re
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from events.errors import Refused, Unavailable
from infra.kafka.client import aiokafka, serves, wait_until_it_serves
from infra.kafka.distribution import Distribution, find
from infra.kafka.processes import Process, alive, end, free_ports, refuse_other_systems, resident_bytes, spawn

#: Seconds. On an idle machine one broker takes four and three take eight.
START_PATIENCE: Final = 120.0
STOP_PATIENCE: Final = 20.0
#: A broker that runs has this long to answer a question.
STATUS_PATIENCE: Final = 5.0
#: Somebody else may take a port between our look and the broker's.
_PORT_TRIES: Final = 3
_PORT_TAKEN: Final = "Address already in use"
#: Kafka reads settings as Latin-1 and takes commas, colons and backslashes for its own.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._@ +~-]+")
#: Settings that are lists, and to which more can be added.
_LISTS: Final = frozenset({"listeners", "advertised.listeners", "listener.security.protocol.map"})
#: Further settings of a broker, by its number.
Extra = Callable[[int], Mapping[str, str]]


class Jvm(StrEnum):
    """How the brokers' memory is laid out."""

    SMALL = "small"
    """For development and tests: up early, little memory."""
    FAST = "fast"
    """For measuring: a heap twice as large and short pauses."""


_JVM: Final = {
    Jvm.SMALL: ("-Xms256m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    Jvm.FAST: ("-Xms512m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
}
#: A short-lived tool of Kafka's.
_TOOL_JVM: Final = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Node(msgspec.Struct, frozen=True):
    """A broker: its number, its ports and the process that it was last started as (pid 0: never)."""

    number: int
    port: int
    controller_port: int
    process: Process = Process(0, "")

    @property
    def runs(self) -> bool:
        """Whether that process is there."""
        return self.process.pid != 0 and alive(self.process)


class Cluster(msgspec.Struct, frozen=True):
    """What ``state.json`` holds."""

    cluster_id: str
    data: str
    nodes: list[Node]

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def with_process(self, number: int, process: Process) -> "Cluster":
        """The cluster after a broker has been started."""
        replace = msgspec.structs.replace
        nodes = [replace(node, process=process) if node.number == number else node for node in self.nodes]
        return Cluster(self.cluster_id, self.data, nodes)

    def folder(self, node: Node) -> Path:
        """Where a broker keeps everything."""
        return Path(self.data) / f"node-{node.number}"

    def settings(self, node: Node) -> Path:
        """A broker's settings file."""
        return self.folder(node) / "server.properties"

    def log(self, node: Node) -> Path:
        """What a broker says while it runs."""
        return self.folder(node) / "broker.log"


class NodeStatus(msgspec.Struct, frozen=True):
    """A broker as people see it."""

    number: int
    running: bool
    port: int
    pid: int
    resident_bytes: int
    log: str


class Status(msgspec.Struct, frozen=True):
    """How a cluster is. ``ours``: it is one that start and stop manage."""

    bootstrap: str
    ready: bool
    ours: bool
    data: str = ""
    brokers: list[NodeStatus] = []


class Started(msgspec.Struct, frozen=True):
    """What start came to; ``started`` are the numbers of the brokers that were not running before."""

    bootstrap: str
    ours: bool
    started: list[int] = []
    seconds: float = 0.0
    kafka: str = ""


class Stopped(msgspec.Struct, frozen=True):
    """What stop came to: the numbers of the brokers that ended, and of those that had to be killed for it."""

    bootstrap: str
    ours: bool
    stopped: list[int] = []
    killed: list[int] = []


def nothing_more(_: int) -> Mapping[str, str]:
    """No further settings."""
    return {}


def start(
    data: Path,
    environment: Mapping[str, str],
    brokers: int | None = None,
    jvm: Jvm = Jvm.SMALL,
    say: Callable[[str], None] = lambda sentence: None,
    extra: Extra = nothing_more,
) -> Started:
    """Return when the cluster serves transactions; brokers that run already are left alone.

    ``brokers`` may be left out: as many as the folder has, one in a new folder. ``extra`` gives further settings of
    those that are started: another listener, say. Killed or interrupted while it waits, a start leaves nothing that
    the next start or stop would not find. Raises Unavailable or Refused with what to do.
    """
    aiokafka()
    if outside := _outside(data, environment):
        wait_until_it_serves(outside, 1, STATUS_PATIENCE, lambda: None)
        return Started(outside, ours=False)
    refuse_other_systems()
    began = time.monotonic()
    with _locked(data):
        cluster = _load(data) or _new(data, brokers or 1)
        if brokers is not None and brokers != len(cluster.nodes):
            raise Refused(
                f"{data} holds a cluster of {len(cluster.nodes)}, which cannot become one of {brokers}: "
                "leave --brokers out, or name another --data"
            )
        missing = [node.number for node in cluster.nodes if not node.runs]
        if not missing:
            _wait(cluster, set())
            return Started(cluster.bootstrap, ours=True)
        distribution = find(environment, say)
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                if len(missing) == len(cluster.nodes):
                    cluster = _placed(cluster, data)
                cluster = _launch(cluster, set(missing), distribution, jvm, extra)
                break
            except _PortTakenError:
                if not tries_left:
                    raise
    return Started(cluster.bootstrap, True, missing, time.monotonic() - began, distribution.version)


def stop(data: Path, environment: Mapping[str, str]) -> Stopped:
    """End the brokers that start has started, and no other process."""
    if outside := _outside(data, environment):
        return Stopped(outside, ours=False)
    if not data.is_dir():
        return Stopped("", ours=True)
    with _locked(data):
        cluster = _load(data)
        if cluster is None:
            return Stopped("", ours=True)
        running = [node for node in cluster.nodes if node.runs]
        killed = end((node.process for node in running), STOP_PATIENCE)
    pids = {process.pid for process in killed}
    return Stopped(
        cluster.bootstrap,
        True,
        [node.number for node in running],
        [node.number for node in running if node.process.pid in pids],
    )


def status(data: Path, environment: Mapping[str, str]) -> Status:
    """How the cluster is now; ``ready`` where it answers, coordinators included."""
    if outside := _outside(data, environment):
        return Status(outside, serves(outside, 1, STATUS_PATIENCE), ours=False)
    cluster = _load(data)
    if cluster is None:
        return Status("", ready=False, ours=True, data=str(data))
    nodes = [
        NodeStatus(
            node.number,
            node.runs,
            node.port,
            node.process.pid,
            resident_bytes(node.process) if node.runs else 0,
            str(cluster.log(node)),
        )
        for node in cluster.nodes
    ]
    ready = any(node.running for node in nodes) and serves(cluster.bootstrap, 1, STATUS_PATIENCE)
    return Status(cluster.bootstrap, ready, True, cluster.data, nodes)


def address(data: Path, environment: Mapping[str, str]) -> str | None:
    """Where clients begin, as far as it is known without asking a broker; None if nothing is known to run."""
    if outside := _outside(data, environment):
        return outside
    cluster = _load(data)
    return cluster.bootstrap if cluster is not None and any(node.runs for node in cluster.nodes) else None


# --- the data folder ------------------------------------------------------------------------------------


def _outside(data: Path, environment: Mapping[str, str]) -> str | None:
    """The cluster that somebody else runs for us: KAFKA_BOOTSTRAP, unless it is the address of our own."""
    named = environment.get("KAFKA_BOOTSTRAP")
    if not named:
        return None
    cluster = _load(data)
    return None if cluster is not None and cluster.bootstrap == named else named


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Nobody else starts or stops here meanwhile. A killed holder lets go by dying."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    except OSError as error:
        raise Unavailable(
            f"{data} cannot be used: {error.strerror}; name another folder by --data"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _load(data: Path) -> Cluster | None:
    path = data / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cluster)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(
            f"{path} cannot be read: {error}; remove {data} if you can do without it"
        ) from error


def _save(cluster: Cluster) -> None:
    path = Path(cluster.data) / "state.json"
    written = path.with_suffix(".new")
    written.write_bytes(msgspec.json.format(msgspec.json.encode(cluster), indent=2) + b"\n")
    written.replace(path)


def _new(data: Path, brokers: int) -> Cluster:
    nodes = [Node(number, 0, 0) for number in range(1, brokers + 1)]
    # Kafka's ids are 16 bytes in URL-safe base 64; one that began with a dash would be taken for an option.
    return Cluster("T" + urlsafe_b64encode(uuid4().bytes).decode()[1:22], str(data.resolve()), nodes)


# --- starting -------------------------------------------------------------------------------------------


class _PortTakenError(Unavailable):
    """Somebody was faster."""


def _launch(
    cluster: Cluster, missing: set[int], distribution: Distribution, jvm: Jvm, extra: Extra
) -> Cluster:
    """Start the missing brokers and wait; when that fails or is interrupted, end what was started here."""
    spawned: list[Process] = []
    try:
        for node in cluster.nodes:
            if node.number in missing:
                _lay_out(cluster, node, extra)
        _format([node for node in cluster.nodes if node.number in missing], cluster, distribution)
        for node in cluster.nodes:
            if node.number in missing:
                process = spawn(_command(cluster, node, distribution, jvm), cluster.log(node))
                spawned.append(process)
                # At once: from here on a stop finds it, whatever becomes of us.
                cluster = cluster.with_process(node.number, process)
                _save(cluster)
        _wait(cluster, missing)
    except BaseException:
        end(spawned, STOP_PATIENCE)
        raise
    return cluster


def _placed(cluster: Cluster, data: Path) -> Cluster:
    """A cluster of which nothing runs, saved with where it lies today and its ports.

    The ports are those that it had, so that its clients find it again; new ones where somebody has taken one.
    """
    place = data.resolve()
    if not _PLAIN_PATH.fullmatch(str(place)):
        raise Refused(
            f"Kafka wants a plain path, of letters, digits and /._@+~- : {place} will not do as --data"
        )
    wanted = [port for node in cluster.nodes for port in (node.port, node.controller_port)]
    ports = iter(free_ports(len(wanted), wanted if all(wanted) else ()))
    nodes = [Node(node.number, next(ports), next(ports)) for node in cluster.nodes]
    placed = Cluster(cluster.cluster_id, str(place), nodes)
    _save(placed)
    return placed


def _lay_out(cluster: Cluster, node: Node, extra: Extra) -> None:
    """A broker's folder, its settings as of today, and an empty log beside that of the last run."""
    folder, log = cluster.folder(node), cluster.log(node)
    folder.mkdir(exist_ok=True)
    cluster.settings(node).write_text(properties(cluster, node, extra), "utf-8")
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def properties(cluster: Cluster, node: Node, extra: Extra = nothing_more) -> str:
    """The settings file of a broker. What ``extra`` says of listeners stands beside ours, the rest instead of ours."""
    copies = len(cluster.nodes)
    in_sync = max(1, copies - 1)
    voters = ",".join(f"{peer.number}@127.0.0.1:{peer.controller_port}" for peer in cluster.nodes)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": cluster.folder(node) / "data",
        # A topic that a typing error made would have default settings, and they lose records.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker is let in again when its old session has run out: nine seconds by default.
        "broker.session.timeout.ms": 6_000,
        "log.cleaner.dedupe.buffer.size": 33_554_432,
    }
    for name, value in extra(node.number).items():
        settings[name] = f"{settings[name]},{value}" if name in _LISTS else value
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(nodes: list[Node], cluster: Cluster, distribution: Distribution) -> None:
    """Give new data folders the cluster's id. Kafka writes its mark last, so half a job is done again."""
    command = [distribution.java, *_TOOL_JVM, "-cp", distribution.classpath]
    command += ["kafka.tools.StorageTool", "format", "--cluster-id", cluster.cluster_id, "--config"]

    def format_one(node: Node) -> None:
        try:
            with cluster.log(node).open("ab") as log:
                subprocess.run(
                    [*command, cluster.settings(node)],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=START_PATIENCE,
                    check=True,
                )
        except subprocess.SubprocessError as error:
            raise Unavailable(
                f"Kafka could not lay out its data: {_last_words(cluster, node)}; see {cluster.log(node)}"
            ) from error

    new = [node for node in nodes if not (cluster.folder(node) / "data" / "meta.properties").exists()]
    with ThreadPoolExecutor(len(cluster.nodes)) as pool:
        list(pool.map(format_one, new))


def _command(cluster: Cluster, node: Node, distribution: Distribution, jvm: Jvm) -> list[str]:
    folder = cluster.folder(node)
    return [
        distribution.java,
        *_JVM[jvm],
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={folder}/crash.log",
        f"-Dkafka.logs.dir={folder}",
        *distribution.options,
        "-cp",
        distribution.classpath,
        "kafka.Kafka",
        str(cluster.settings(node)),
    ]


def _wait(cluster: Cluster, ours: set[int]) -> None:
    """Until the whole cluster serves; a broker that was started here and ends meanwhile ends the waiting."""

    def still_there() -> None:
        for node in cluster.nodes:
            if node.number in ours and not node.runs:
                last_words = _last_words(cluster, node)
                failure = _PortTakenError if _PORT_TAKEN in last_words else Unavailable
                raise failure(f"broker {node.number} ended while it started: {last_words}")

    try:
        wait_until_it_serves(cluster.bootstrap, len(cluster.nodes), START_PATIENCE, still_there)
    except _PortTakenError:
        raise
    except Unavailable as error:
        logs = ", ".join(str(cluster.log(node)) for node in cluster.nodes)
        raise Unavailable(f"{error}; see {logs}") from error


def _last_words(cluster: Cluster, node: Node) -> str:
    """The line of a broker's log that says why it ended."""
    lines = cluster.log(node).read_text("utf-8", errors="replace").splitlines()
    telling = [line for line in lines if "Exception" in line or "Error" in line or " ERROR " in line]
    cause = next((line for line in telling if _PORT_TAKEN in line), None)
    return (cause or (telling or lines or ["it said nothing"])[-1]).strip()
