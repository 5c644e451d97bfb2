"""The main job: an input through the whole life of money, on the embedded log, in virtual time.

One process decides and plays the outside world, a second one projects what is committed, so that two cores are
busy. Both can be killed at any moment: started again with the same arguments, the job goes on where the log ends.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import msgspec

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.errors import Refused, Unavailable
from events.identity import SLOTS
from events.lifecycle import PaymentRequested
from events.partitions import ClockKind
from events.requests import PaymentRequest
from infra.projecting import Projecting
from infra.stores import StoreAddress, remove_store
from infra.tuning import collect_rarely
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.faults import EXTRA_DAYS, NO_FAULTS, Plan
from streams.edge.inputs import hash_of, read_rows
from streams.edge.networks import Adapter
from streams.edge.publisher import TAIL_TICK, TICK, Publisher, PublisherState, Schedule, schedule
from streams.edge.simulate import write_day
from streams.edge.vault import open_keys
from streams.forensics.digests import state_digest
from streams.hosts.actors import (
    PUBLISHER,
    EdgeActor,
    IndexActor,
    Published,
    PublisherActor,
    saved_state,
)
from streams.hosts.embedded import EmbeddedLog, writing
from streams.hosts.house import BATCH, TICKS_AHEAD, House
from streams.hosts.index import Run, Staged

_OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)
#: Requests whose answer is waited for; of more, the oldest get none.
_WAITING: Final = 100_000


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. ``input`` is an Avro container of input rows; None stands for a simulated day.

    ``faults`` are planted in the simulated networks and the bank.
    """

    payments: int
    seed: int
    input: Path | None
    log: Path
    store: StoreAddress
    partitions: int = 1
    batch: int = BATCH
    fresh: bool = False
    faults: Plan = NO_FAULTS

    @property
    def address(self) -> str:
        """Of its log, as ``--log`` takes it."""
        return f"sqlite:{self.log}"


class Ran(Protocol):
    """What a report says of the job that it is of, wherever that ran."""

    @property
    def seed(self) -> int: ...
    @property
    def input(self) -> Path | None: ...
    @property
    def store(self) -> StoreAddress: ...
    @property
    def address(self) -> str: ...


@dataclass(slots=True)
class Finished:
    """What a run came to, beside what the store can tell."""

    seconds: float
    went_on: bool
    was_finished: bool
    state_digest: str
    #: From request to answer, to three digits, and how often: as much memory for a million payments as for a thousand.
    latencies_ms: Counter[float] = field(default_factory=Counter)


class Stage(msgspec.Struct, frozen=True):
    """What the job is doing: for whoever draws a progress bar. ``of`` is 0 where nobody can know."""

    name: str
    done: int
    of: int


Watch = Callable[[Stage], None]


def run(job: Job, watch: Watch = lambda _: None) -> Finished:
    """Run to the end. Raises Refused, Unavailable, Broken; may be killed and called again."""
    started = time.monotonic()
    collect_rarely()
    if not 1 <= job.partitions <= SLOTS:
        raise Refused(f"a log has between 1 and {SLOTS} partitions, not {job.partitions}")
    if job.fresh:
        _remove(job)
    path = job.input or simulated_day(job.log.parent, job.payments, job.seed, job.fresh, watch)
    watch(Stage("reading the input", 0, 0))
    this_run, plan = run_of(path, job.seed, job.partitions, faults=job.faults)
    log = EmbeddedLog(job.log)
    try:
        return _run_on(job, this_run, path, plan, log, watch, started)
    finally:
        log.close()


def run_of(
    path: Path,
    seed: int,
    partitions: int,
    every: int = TICK,
    tail: int = TAIL_TICK,
    faults: Plan = NO_FAULTS,
) -> tuple[Run, Schedule]:
    """What a log is opened for that shall take an input in virtual time, and the ticks that this makes.

    ``every`` and ``tail`` are microseconds between two ticks, beside the input and behind it. Raises Refused.
    """
    plan = schedule(read_rows(path), every, tail, EXTRA_DAYS if faults else 0)
    arguments: dict[str, str | int] = {"input_sha256": hash_of(path), "seed": seed}
    if (every, tail) != (TICK, TAIL_TICK):
        arguments |= {"every": every, "tail": tail}
    if faults:
        # All of it, not the name of a file: a run that goes on must be wrong in the same places.
        arguments["differences"] = msgspec.json.encode(faults, order="deterministic").decode()
    text = msgspec.json.encode(arguments, order="deterministic").decode()
    return Run(partitions, ClockKind.VIRTUAL, plan.first_at, plan.last_tick, text), plan


def _run_on(
    job: Job, this_run: Run, path: Path, plan: Schedule, log: EmbeddedLog, watch: Watch, started: float
) -> Finished:
    went_on = log.end("intake", 0) > 0
    if went_on:
        watch(Stage("restoring", 0, 0))
    keys = open_keys(job.log.parent / "keys")
    stopwatch = _Stopwatch()
    with log.round():
        indexes = [
            IndexActor(log, number, this_run, keys, stopwatch.decided) for number in range(job.partitions)
        ]
        was_finished = all(actor.index.done for actor in indexes)
        edges = [EdgeActor(log, Adapter(number, job.seed)) for number in range(job.partitions)]
        edges.append(EdgeActor(log, ClearingHouse(job.partitions, job.seed, job.faults)))
        edges.append(EdgeActor(log, Bank(job.partitions, job.seed, job.faults)))
        publisher = PublisherActor(
            log,
            Publisher(read_rows(path), plan, job.partitions, saved_state(log, PUBLISHER, PublisherState)),
            keys,
            lambda: min(actor.index.tick() for actor in indexes),
            TICKS_AHEAD,
            stopwatch.published,
        )
    house = House(indexes, [publisher, *edges], log.round)
    with Projecting(f"sqlite:{job.log}", job.store, job.partitions) as projecting:
        for tick in house.run(job.batch):
            stopwatch.round_ends()
            watch(Stage("deciding", tick, this_run.last_tick))
            projecting.check()
        projecting.finish(lambda done, of: watch(Stage("projecting", done, of)))
    return Finished(
        time.monotonic() - started,
        went_on,
        was_finished,
        state_digest(line for actor in indexes for line in actor.index.summary()),
        stopwatch.latencies_ms,
    )


class _Stopwatch:
    """How long payments take on the wall: from the commit of the request to the commit of its answer."""

    def __init__(self) -> None:
        self._asked: list[tuple[str, str]] = []
        self._answered: list[str] = []
        self._since: dict[tuple[str, str], float] = {}
        self._requests: dict[str, tuple[str, str]] = {}
        self.latencies_ms = Counter[float]()

    def published(self, block: Sequence[Published]) -> None:
        self._asked += [
            (item.message.merchant, item.message.idempotency_key)
            for item in block
            if isinstance(item.message, PaymentRequest)
        ]

    def decided(self, staged: Staged) -> None:
        for recorded in staged.events.get("payments", ()):
            body = recorded.body
            if isinstance(body, PaymentRequested):
                self._requests[body.payment_id] = (body.merchant, body.idempotency_key)
            elif isinstance(body, _OUTCOMES):
                self._answered.append(body.payment_id)

    def round_ends(self) -> None:
        now = time.monotonic()
        for request in self._asked:
            self._since.setdefault(request, now)
        for payment in self._answered:
            answered = self._requests.pop(payment, None)
            since = None if answered is None else self._since.pop(answered, None)
            if since is not None:
                self.latencies_ms[float(f"{(now - since) * 1_000:.3g}")] += 1
        # Some are refused, or repeat what was asked before.
        for request in list(islice(self._since, max(0, len(self._since) - _WAITING))):
            del self._since[request]
        self._asked.clear()
        self._answered.clear()


def _remove(job: Job) -> None:
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with writing(job.log):
            # The store first: where it cannot go, the log that it was made from is still there.
            remove_store(job.store)
            for suffix in ("", "-wal", "-shm"):
                job.log.with_name(job.log.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{job.log} cannot be removed: {error.strerror}") from error


def day_file(folder: Path, payments: int, seed: int) -> Path:
    """Where a simulated day lies, with the ledger of its attacks beside it."""
    return folder / "input" / f"day-{payments}-{seed}.avro"


def simulated_day(folder: Path, payments: int, seed: int, anew: bool, watch: Watch) -> Path:
    """The file of a simulated day, written below ``folder`` where it is not there, or ``anew``."""
    path = day_file(folder, payments, seed)
    # A run that goes on needs the very bytes it began with; one that begins anew, what this program simulates.
    if anew or not path.exists():
        write_day(path, payments, seed, lambda done: watch(Stage("simulating", done, payments)))
    return path
