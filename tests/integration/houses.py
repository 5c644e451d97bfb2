"""Whole houses on a real broker: the processes that operators start, and the calm run that they are held against."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from events.calendar import HOUR
from infra.clusterjob import ClusterJob, Progress, make_topics, start_house, summaries
from infra.job import run_of, simulated_day
from infra.projecting import Projecting
from infra.stores import in_file, reading
from infra.supervisor import Member, Supervisor
from projections.report import Report, report
from streams.edge.vault import open_keys
from streams.forensics.digests import state_digest
from streams.hosts.cluster import Cluster
from streams.hosts.index import Run
from streams.hosts.kafkalog import KafkaLog
from tests.patience import PATIENCE_SECONDS
from tests.torture.calm import Calm, Case, calm_run, cases

#: A run of some seconds: the ticks of a day and of the days behind it are far apart.
PAYMENTS: Final = 150
EVERY: Final = 8 * HOUR
TAIL: Final = 24 * HOUR
SEED: Final = 7

_LOOK_SECONDS: Final = 0.2
#: How a process says that a broker has answered too late, for itself or for the group that it is a member of.
_LATE: Final = ("it takes too long", "another process has taken over")


@dataclass(frozen=True)
class Ran:
    """A house after its run."""

    job: ClusterJob
    digest: str
    #: Why processes gave up, but for brokers that answered too late.
    complaints: list[str]


def new_job(
    bootstrap: str, folder: Path, *, partitions: int = 2, workers: int = 1, batch: int | None = None
) -> ClusterJob:
    """A house of its own on the broker."""
    cluster = Cluster(bootstrap, f"test-{uuid.uuid4().hex[:8]}")
    store = in_file(folder / "store.duckdb")
    job = ClusterJob(cluster, PAYMENTS, SEED, None, store, folder, None, partitions, workers, batch)
    # A group notices that a member was killed when its session is over: the shortest that brokers allow.
    return replace(job, every=EVERY, tail=TAIL, session_ms=6_000)


@contextmanager
def living(job: ClusterJob, *, restart_killed: bool = False) -> Iterator[tuple[Supervisor, Path, Run]]:
    """The house's topics, and a supervisor that has nobody to watch yet; the input and the run."""
    path = simulated_day(job.folder, job.payments, job.seed, False, lambda _: None)
    run, _ = run_of(path, job.seed, job.partitions, job.every, job.tail)
    make_topics(job)
    open_keys(job.keys)
    with Supervisor(job.state / "output", restart_killed=restart_killed) as house:
        yield house, path, run


def until_done(
    job: ClusterJob, house: Supervisor, run: Run, meanwhile: Callable[[int], None] = lambda _: None
) -> Ran:
    """Watch a house until its last tick has passed; ``meanwhile`` is told the tick at every look.

    The last tick, too: a quick house may run through all of them between two looks.
    """
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    with closing(KafkaLog(job.cluster)) as log:
        progress = Progress(log, job.partitions, run.last_tick)
        while (tick := progress.tick()) < run.last_tick:
            house.look()
            meanwhile(tick)
            time.sleep(_LOOK_SECONDS)  # Looking is work for the broker, too.
            if time.monotonic() > patience_ends:
                said = "\n".join(f"{member.name}: {member.said()}" for member in house.members.values())
                raise AssertionError(f"tick {tick} of {run.last_tick}, and nobody goes on\n{said}")
    meanwhile(tick)
    house.look()
    house.stop()
    said = [line for member in house.members.values() for line in complaints(member)]
    return Ran(job, state_digest(summaries(job, run)), said)


def complaints(member: Member) -> list[str]:
    """Why a process gave up, time after time, but for a broker that answered too late: it may, on a slow machine."""
    return [
        f"{member.name} {line}"
        for line in member.output.read_text("utf-8").splitlines()
        if line.startswith("tallystick: ") and not any(late in line for late in _LATE)
    ]


def run_house(job: ClusterJob) -> Ran:
    """A calm run."""
    with living(job) as (house, path, run):
        start_house(job, house, path, run)
        return until_done(job, house, run)


def books_of(job: ClusterJob) -> tuple[Report, list[Case]]:
    """The figures of a house that has run, and its disputes, projected from the log on the broker."""
    with Projecting(job.address, job.store, job.partitions) as projecting:
        projecting.finish(lambda _done, _of: None)
    with reading(job.store) as db:
        return report(db), cases(db)


def calm(folder: Path, *, every: int = EVERY, tail: int = TAIL) -> Calm:
    """What the same input comes to in one process, on one partition, in memory."""
    path = simulated_day(folder, PAYMENTS, SEED, False, lambda _: None)
    return calm_run(path, folder, SEED, every, tail)


def calm_digest(folder: Path, *, every: int = EVERY, tail: int = TAIL) -> str:
    """The state digest of :func:`calm`."""
    return calm(folder, every=every, tail=tail).state_digest


def start_on_the_wall(
    job: ClusterJob,
    house: Supervisor,
    edges: Sequence[str] = ("adapter", "counterparties"),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Everything that serves, by the clock on the wall."""
    log = ["--log", job.cluster.address]
    for number in range(1, job.workers + 1):
        name = f"worker-{number}"
        own = ["--keys", str(job.keys), "--state", str(job.state / name), "--partitions", str(job.partitions)]
        own += ["--session-ms", "6000", "--standby", str(job.standbys)]
        house.start(name, "worker", *log, *own, "--clock", "wall", environment=environment)
    for edge in edges:
        own = ["--seed", str(job.seed), "--state", str(job.state / edge)]
        house.start(edge, edge, *log, *own, environment=environment)


def publish_on_the_wall(job: ClusterJob, house: Supervisor, path: Path, rate: int | None = None) -> None:
    """The input, each row stamped with the moment at which it was to go out: at a rate, or as fast as it goes."""
    paced = [] if rate is None else ["--rate", str(rate)]
    log = ["--log", job.cluster.address, "--keys", str(job.keys)]
    house.start("publisher", "publish", str(path), *log, "--clock", "wall", "--now", *paced)
