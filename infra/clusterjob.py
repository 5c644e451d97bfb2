"""The main job on Kafka: the same input through the same engines, as processes that share nothing but the broker.

This starts them, watches how far they have come by the log itself, and ends them. Whichever of them dies goes on where
it was when it is started again; whoever kills this and calls it again with the same arguments does the same.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from events.errors import Unavailable
from events.partitions import TickPassed
from events.wire import HEADER_BYTES, decode_event, headers_of
from infra.job import Finished, Stage, Watch, run_of, simulated_day
from infra.kafka.topics import create, refuse, remove
from infra.projecting import Projecting
from infra.stores import StoreAddress, remove_store
from infra.supervisor import Supervisor
from infra.worker import runs
from streams.edge.publisher import TAIL_TICK, TICK
from streams.edge.vault import open_keys
from streams.forensics.digests import state_digest
from streams.hosts.clocks import SECOND
from streams.hosts.cluster import Cluster
from streams.hosts.index import Index, Run
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.localstate import LocalState
from streams.hosts.standby import Warm
from streams.topology import LOGS

_LOOK_SECONDS: Final = 0.25
#: Records at the end of a log among which the last tick is looked for first.
_TAIL_RECORDS: Final = 64
_PASSED: Final = headers_of((TickPassed,))


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """What to run, where. ``folder`` takes what is not in the log: keys, snapshots, journals, the processes' words.

    ``every`` and ``tail`` are microseconds between two ticks, beside the input and behind it.
    """

    cluster: Cluster
    payments: int
    seed: int
    input: Path | None
    store: StoreAddress
    folder: Path
    kafka_config: Path | None = None
    partitions: int = 4
    workers: int = 1
    batch: int | None = None
    every: int = TICK
    tail: int = TAIL_TICK
    fresh: bool = False
    session_ms: int | None = None
    #: How many indexes of others each worker keeps warm.
    standbys: int = 0

    @property
    def address(self) -> str:
        """Of its log, as ``--log`` takes it."""
        return self.cluster.address

    @property
    def keys(self) -> Path:
        """The folder of the deployment's keys."""
        return self.folder / "keys"

    @property
    def state(self) -> Path:
        """The folder of snapshots and journals: of this log alone."""
        return self.folder / "state" / self.cluster.prefix


def run_on_kafka(job: ClusterJob, watch: Watch = lambda _: None) -> Finished:
    """Run to the end. Raises Refused, Unavailable, Broken; may be killed and called again."""
    started = time.monotonic()
    if job.fresh:
        _remove(job)
    path = job.input or simulated_day(job.folder, job.payments, job.seed, job.fresh, watch)
    watch(Stage("reading the input", 0, 0))
    this_run, _ = run_of(path, job.seed, job.partitions, job.every, job.tail)
    make_topics(job)
    open_keys(job.keys)  # Made once, before many ask for them.
    log = KafkaLog(job.cluster)
    try:
        went_on = log.end("intake", 0) > 0
        was_finished = went_on and slowest_tick(log, job.partitions) >= this_run.last_tick
        with Supervisor(job.state / "output") as house:
            if not was_finished:
                start_house(job, house, path, this_run)
            with Projecting(job.cluster.address, job.store, job.partitions, job.kafka_config) as projecting:
                progress = Progress(log, job.partitions, this_run.last_tick)
                while (tick := progress.tick()) < this_run.last_tick:
                    watch(Stage("deciding", tick, this_run.last_tick))
                    house.look()
                    projecting.check()
                    time.sleep(_LOOK_SECONDS)
                house.stop()
                projecting.finish(lambda done, of: watch(Stage("projecting", done, of)))
        seconds = time.monotonic() - started
        watch(Stage("adding up", 0, 0))
        digest = state_digest(summaries(job, this_run))
    finally:
        log.close()
    return Finished(seconds, went_on, was_finished, digest)


def start_house(
    job: ClusterJob,
    house: Supervisor,
    path: Path,
    run: Run,
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> None:
    """Everything but the projector: workers, the line to the networks, their back offices and the bank, the input.

    ``environments`` are further variables of a process, by its name.
    """

    def start(name: str, *arguments: str) -> None:
        house.start(name, *arguments, environment=environments.get(name))

    run_file = job.state / "run.json"
    run_file.parent.mkdir(parents=True, exist_ok=True)
    runs.save(run_file, run)
    for number in range(1, job.workers + 1):
        start(f"worker-{number}", *worker_command(job, f"worker-{number}", run_file))
    seed = ["--seed", str(job.seed)]
    for edge in ("counterparties", "adapter"):
        start(edge, edge, *_log(job), *seed, "--state", str(job.state / edge))
    times = ["--tick", str(job.every // SECOND), "--tail", str(job.tail // SECOND)]
    start("publisher", "publish", str(path), *_log(job), "--keys", str(job.keys), *times)


def worker_command(job: ClusterJob, name: str, run_file: Path) -> list[str]:
    """The arguments of a worker in virtual time."""
    batch = ["--batch", str(job.batch)] if job.batch else []
    if job.session_ms is not None:
        batch += ["--session-ms", str(job.session_ms)]
    if job.standbys:
        batch += ["--standby", str(job.standbys)]
    own = ["--keys", str(job.keys), "--state", str(job.state / name), "--partitions", str(job.partitions)]
    return ["worker", *_log(job), *own, "--clock", "virtual", "--run", str(run_file), *batch]


def _log(job: ClusterJob) -> list[str]:
    config = ["--kafka-config", str(job.kafka_config)] if job.kafka_config is not None else []
    return ["--log", job.cluster.address, *config]


def make_topics(job: ClusterJob) -> None:
    """Make the topics that are missing. Raises Refused where one that is there is set otherwise."""
    cluster = job.cluster
    refuse(create(cluster.bootstrap, cluster.prefix, job.partitions, cluster.security).differences)


def _remove(job: ClusterJob) -> None:
    remove(job.cluster.bootstrap, job.cluster.prefix, job.cluster.security)
    remove_store(job.store)
    try:
        if job.state.exists():
            shutil.rmtree(job.state)
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be removed: {error.strerror}") from error


class Progress:
    """How far a run has come, for whoever looks at it often: a look asks for one partition, not for all.

    The one that is looked at is the first that has not passed the last tick, of the log in which a tick passes last.
    The others are as far, or as far ahead as the barriers of a tick let them be.
    """

    def __init__(self, log: KafkaLog, partitions: int, last: int) -> None:
        self._log = log
        self._last = last
        self._left = [(name, number) for name in LOGS for number in range(partitions)]

    def tick(self) -> int:
        """The tick that is passed there; the last one only when every partition of every log has passed it."""
        while self._left:
            tick = last_tick(self._log, *self._left[-1])
            if tick < self._last:
                return tick
            self._left.pop()
        return self._last


def slowest_tick(log: KafkaLog, partitions: int) -> int:
    """The last tick that every partition of every log has passed."""
    return min(last_tick(log, name, number) for name in reversed(LOGS) for number in range(partitions))


def last_tick(log: KafkaLog, name: str, partition: int) -> int:
    """The last tick that a partition of a log has passed; 0 where there is none."""
    end, back = log.end(name, partition), _TAIL_RECORDS
    while end > 0:
        start = max(0, end - back)
        passed = 0
        while records := log.read(name, partition, start, back):
            for stored in records:
                if stored.value[:HEADER_BYTES] in _PASSED:
                    body = decode_event(stored.value).body
                    assert isinstance(body, TickPassed)
                    passed = body.tick
            start = records[-1].offset + 1
        if passed or back >= end:
            return passed
        back *= 8
    return 0


def summaries(job: ClusterJob, this_run: Run) -> Iterator[str]:
    """The business content of every index, from its snapshot on where one fits."""
    keys = open_keys(job.keys)
    folders = [job.state / f"worker-{number}" for number in range(1, job.workers + 1)]
    for number in range(job.partitions):
        warm = Warm(Index(number, this_run, keys))
        with ExitStack() as held:
            log = KafkaLog(job.cluster)
            held.callback(log.close)
            kept = [LocalState(folder, warm.index.owner) for folder in folders]
            for local in kept:
                held.callback(local.close)
            with log.view():
                warm.restore(log, max(kept, key=LocalState.events))
            yield from warm.index.summary()
