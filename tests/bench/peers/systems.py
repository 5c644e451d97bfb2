"""The systems of the comparison, as one starts, feeds and reads them: Tallystick, Faust, Quix Streams, Kafka Streams.

Each gets topics of its own on the same broker, two partitions each. Beside each runs the simulated line to the
networks, beside Tallystick a projector and the other simulated parties, too. What is sent and what comes back goes by
:mod:`tests.bench.peers.driver`, the same for all.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient, NewTopic

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.requests import PaymentRequest
from events.risk import RiskAssessed
from events.wire import HEADER_BYTES, decode_event, headers_of
from infra.clusterjob import ClusterJob
from infra.clusterjob import make_topics as make_own_topics
from infra.compiling import compiled
from infra.projecting import Projecting
from infra.stores import in_file
from infra.supervisor import Supervisor
from streams.edge.inputs import write_rows
from streams.edge.vault import open_keys
from streams.hosts.cluster import Cluster
from tests.bench.figures import ROOT
from tests.bench.peers import work
from tests.bench.peers.work import PARTITIONS, SEED, Outcome
from tests.integration.houses import publish_on_the_wall, start_on_the_wall

HERE: Final = Path(__file__).parent
BENCH_PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
JAR_FOLDER: Final = HERE / "kafka_streams" / "target"
#: As much as the broker may have, and the collector that Java takes of itself on such a machine.
JVM: Final = ("-Xms256m", "-Xmx768m")

#: What processes do: those of a system decide, and others work beside them.
DECIDING: Final = "deciding"
LINE: Final = "line to the networks"
PROJECTING: Final = "projector"
COUNTERPARTIES: Final = "bank and clearing house"

#: Settings of ours: whether the core is compiled, and whether anybody works beside worker and line to the networks.
CORE: Final = "core"
BESIDE: Final = "beside"

_OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)
_OUTCOME_HEADERS: Final = headers_of(_OUTCOMES)
_TOLD_HEADERS: Final = headers_of((*_OUTCOMES, RiskAssessed))
_WORDS: Final = {PaymentAuthorized: "authorized", PaymentDeclined: "declined"}
_TOPICS: Final = ("requests", "payments", "submissions", "replies", "outcomes", "refused")
_NETWORK: Final = "network"
_STOP_SECONDS: Final = 15.0
_JOIN_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.2


class Tuning(NamedTuple):
    """One documented way to set a system. ``settings`` under the system's own names."""

    name: str
    why: str
    settings: Mapping[str, Any] = MappingProxyType({})
    processes: int = 1
    environment: Mapping[str, str] = MappingProxyType({})

    def shown(self) -> str:
        """In one line."""
        settings = {**self.settings, **self.environment}
        if self.processes > 1:
            settings["processes"] = self.processes
        return ", ".join(f"{name}={value}" for name, value in settings.items()) or "defaults"


class System(Protocol):
    """A system that runs. Entered, it takes requests; left, it has ended."""

    name: str
    tuning: Tuning
    #: Payments that come through before anything is measured.
    first_payments: int
    #: Where requests go in, and where outcomes can be read.
    requests_topic: str
    outcomes_topic: str

    def encode(self, request: PaymentRequest) -> bytes:
        """A request as the system reads it."""

    def payment_of(self, value: bytes) -> str | None:
        """The name of the payment whose outcome a record is; None for other records."""

    def outcomes_of(self, values: Iterator[bytes]) -> Iterator[Outcome]:
        """The outcomes in all records of the topic, in full."""

    def first(self, requests: Sequence[PaymentRequest]) -> bool:
        """Publish the first requests by a way of the system's own; False where it has none."""

    def look(self) -> None:
        """Raise where a process has ended that should run."""

    def level(self) -> None:
        """Wait until nothing is left to do for what has been answered."""

    def pids(self) -> Mapping[str, Sequence[int]]:
        """Its processes, by what they do."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


# --- ours ---------------------------------------------------------------------------------------------


class Tallystick:
    """Worker, adapter, simulated counterparties and projector, as operators start them, by the clock on the wall."""

    name = "tallystick"
    first_payments = 300

    def __init__(
        self, bootstrap: str, folder: Path, prefix: str, tuning: Tuning, names: Mapping[str, str]
    ) -> None:
        """``names``: what payments are called here, by their ids."""
        self.tuning = tuning
        self._names = names
        self._folder = folder
        store = in_file(folder / "store.duckdb")
        self.job = ClusterJob(
            Cluster(bootstrap, prefix),
            0,
            SEED,
            None,
            store,
            folder,
            partitions=PARTITIONS,
            workers=tuning.processes,
        )
        self.requests_topic = f"{prefix}.payments.requests"
        self.outcomes_topic = f"{prefix}.payments"
        self._running = ExitStack()
        self._projecting: Projecting | None = None
        self.house = Supervisor(self.job.state / "output", restart_killed=True)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        make_own_topics(self.job)
        open_keys(self.job.keys)
        self._running.enter_context(self.house)
        if BESIDE in self.tuning.settings:
            start_on_the_wall(self.job, self.house, ["adapter"], self._environment())
        else:
            self._projecting = self._running.enter_context(
                Projecting(
                    self.job.cluster.address, self.job.store, self.job.partitions, packages=self._packages()
                )
            )
            start_on_the_wall(self.job, self.house, environment=self._environment())
        return self

    def _environment(self) -> dict[str, str]:
        return {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(self._packages())}

    def _packages(self) -> Path:
        """What our processes import: the tree, or a copy with the compiled core where it is asked for."""
        return compiled_tree() if CORE in self.tuning.settings else ROOT

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def encode(self, request: PaymentRequest) -> bytes:
        return work.avro(request)

    def first(self, requests: Sequence[PaymentRequest]) -> bool:
        """With the reference data, which has to be in force before: ``tallystick publish`` waits for that."""
        path = self._folder / "first.avro"
        write_rows(path, work.reference_rows(requests), "first")
        publish_on_the_wall(self.job, self.house, path)
        return True

    def payment_of(self, value: bytes) -> str | None:
        if value[:HEADER_BYTES] not in _OUTCOME_HEADERS:
            return None
        return self._names[decode_event(value).body.payment_id]  # type: ignore[union-attr]

    def outcomes_of(self, values: Iterator[bytes]) -> Iterator[Outcome]:
        verdicts: dict[str, str] = {}
        for value in values:
            if value[:HEADER_BYTES] not in _TOLD_HEADERS:
                continue
            body = decode_event(value).body
            if isinstance(body, RiskAssessed):
                verdicts[body.payment_id] = str(body.verdict)
            elif isinstance(body, _OUTCOMES):
                approved = body.approved_amount if isinstance(body, PaymentAuthorized) else 0
                how = _WORDS.get(type(body), "unknown")
                name = self._names[body.payment_id]
                yield Outcome(name, how, body.network, verdicts[body.payment_id], approved)

    def look(self) -> None:
        self.house.look()

    def level(self) -> None:
        if self._projecting is not None:
            self._projecting.level()

    def pids(self) -> Mapping[str, Sequence[int]]:
        def named(start: str) -> list[int]:
            return [member.pid for name, member in self.house.members.items() if name.startswith(start)]

        return {
            DECIDING: named("worker-"),
            LINE: named("adapter"),
            COUNTERPARTIES: named("counterparties"),
            PROJECTING: [] if self._projecting is None else [self._projecting.pid],
        }


@cache
def compiled_tree() -> Path:
    """A folder with our packages, the core compiled: made once, in minutes."""
    folder = ROOT / "build" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    compiled(ROOT, folder)
    for package in ("projections", "infra"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# --- peers --------------------------------------------------------------------------------------------


class Told(msgspec.Struct):
    """What is read of a peer's outcome."""

    payment: str
    outcome: str
    network: str
    verdict: str
    approved: int


_told: Final = msgspec.json.Decoder(Told)


class Peer:
    """A peer's processes and the line to the networks beside it. Settings go by the environment."""

    name = ""
    #: The end of its consumer group's name.
    group = ""
    first_payments = 300

    def __init__(self, bootstrap: str, folder: Path, prefix: str, tuning: Tuning) -> None:
        self.tuning = tuning
        self.requests_topic = f"{prefix}.requests"
        self.outcomes_topic = f"{prefix}.outcomes"
        self._bootstrap, self._folder, self._prefix = bootstrap, folder, prefix
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, number: int) -> list[str]:
        """What starts process ``number`` of the peer."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        make_topics(self._bootstrap, [f"{self._prefix}.{name}" for name in _TOPICS])
        terms = self._folder / "terms.json"
        terms.write_text(json.dumps(work.terms()), "utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PEER_BOOTSTRAP": self._bootstrap,
            "PEER_PREFIX": self._prefix,
            "PEER_PARTITIONS": str(PARTITIONS),
            "PEER_TERMS": str(terms),
            "PEER_TUNING": json.dumps(dict(self.tuning.settings)),
            **self.tuning.environment,
        }
        network = [
            sys.executable,
            "-m",
            "tests.bench.peers.network",
            self._bootstrap,
            self._prefix,
            str(SEED),
        ]
        self._start(_NETWORK, network, environment)
        for number in range(self.tuning.processes):
            state = {"PEER_STATE": str(self._folder / f"state-{number}")}
            self._start(f"{self.name}-{number}", self.command(number), {**environment, **state})
        if self.tuning.processes > 1:
            self._until_joined()
        return self

    def _until_joined(self) -> None:
        """Wait for all processes to share the partitions: who joins later makes those before it start again."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        group = f"{self._prefix}.{self.group}"
        patience_ends = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < patience_ends:
            self.look()
            told = admin.describe_consumer_groups([group])[group].result()
            if told.state is ConsumerGroupState.STABLE and len(told.members) == self.tuning.processes:
                return
            time.sleep(_LOOK_SECONDS)
        raise RuntimeError(f"the processes of {self.name} have not come together")

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as output:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_end_with_parent,
            )

    def __exit__(self, *_: object) -> None:
        # What it remembers is thrown away, so nothing has to be settled.
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(_STOP_SECONDS)

    def encode(self, request: PaymentRequest) -> bytes:
        return work.json(request)

    def first(self, requests: Sequence[PaymentRequest]) -> bool:
        return False

    def payment_of(self, value: bytes) -> str | None:
        return _told.decode(value).payment

    def outcomes_of(self, values: Iterator[bytes]) -> Iterator[Outcome]:
        for value in values:
            told = _told.decode(value)
            yield Outcome(told.payment, told.outcome, told.network, told.verdict, told.approved)

    def level(self) -> None:
        """A peer has nobody who reads its outcomes but the driver."""

    def look(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                said = (self._folder / f"{name}.log").read_text("utf-8", "replace")[-2_000:]
                raise RuntimeError(f"{name} ended with {process.returncode}: {said}")

    def pids(self) -> Mapping[str, Sequence[int]]:
        deciding = [process.pid for name, process in self._processes.items() if name != _NETWORK]
        return {DECIDING: deciding, LINE: [self._processes[_NETWORK].pid]}


class Faust(Peer):
    """faust-streaming: at least once."""

    name = "faust"
    group = "faust"

    def command(self, number: int) -> list[str]:
        loop = ["--loop", self.tuning.environment.get("PEER_LOOP", "aio")]
        program = [str(BENCH_PYTHON), str(HERE / "faust" / "program.py"), *loop]
        return [*program, "worker", "-l", "warn", "--without-web"]


class Quix(Peer):
    """Quix Streams: exactly once."""

    name = "quix"
    group = "quix"

    def command(self, number: int) -> list[str]:
        return [str(BENCH_PYTHON), str(HERE / "quix" / "program.py")]


class KafkaStreams(Peer):
    """Kafka Streams on the JVM: exactly_once_v2."""

    name = "kafka_streams"
    group = "streams"
    #: The Java machine compiles for good what has run ten thousand times.
    first_payments = 6_000

    def command(self, number: int) -> list[str]:
        classpath = f"{JAR_FOLDER}/kafka-streams-peer-1.jar:{JAR_FOLDER}/dependency/*"
        simple_logger = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return ["java", *JVM, simple_logger, "-cp", classpath, "tallystick.peer.Program"]


PEERS: Final[tuple[type[Peer], ...]] = (Faust, Quix, KafkaStreams)


def missing(peer: type[Peer]) -> str:
    """Why a peer cannot run here; empty where it can."""
    if peer is KafkaStreams:
        if shutil.which("java") is None or not (JAR_FOLDER / "kafka-streams-peer-1.jar").exists():
            return (
                "the Kafka Streams peer is not built: `make bench-peers` does it (needs a JDK 17 and Maven)"
            )
        return ""
    return "" if BENCH_PYTHON.exists() else "there is no .venv-bench: `make bench-peers` makes it"


def make_topics(bootstrap: str, names: Sequence[str]) -> None:
    """Topics of two partitions, set as the broker sets them."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names], operation_timeout=30)
    for future in made.values():
        future.result()


def _end_with_parent() -> None:
    """In the new process: end when whoever measures dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
