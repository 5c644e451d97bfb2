"""Schedules: one input, run with its actors in any order, in any batches, duplicated, reordered, killed.

Whatever the schedule, the digests must be those of the calm run: one partition, large batches, nobody dies.
A schedule is a function of two numbers, so a failing one is named by them and can be run again::

    python -m tests.simulation.schedules SEED SCHEDULE
    python -m tests.simulation.schedules --sweep SEEDS SCHEDULES
"""

import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import Pool
from random import Random
from unittest.mock import patch

import msgspec

from events.calendar import DAY, HOUR, MINUTE
from events.partitions import ClockKind
from events.requests import InputRow, PaymentRequest, Request, Tick
from streams.edge import clearinghouse, issuers, networks, presenting
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse, Mishap
from streams.edge.networks import Adapter
from streams.edge.publisher import Published, Publisher, Schedule, schedule
from streams.forensics.digests import digest, ledger_digest, state_digest
from streams.hosts import snapshots
from streams.hosts.actors import PUBLISHER, Actor, EdgeActor, IndexActor, PublisherActor, saved_state
from streams.hosts.admission import Keys
from streams.hosts.index import Run
from streams.hosts.memory import Crashed, CrashPoint, MemoryLog
from streams.intake import CLAIM_DAYS
from tests.simulation.auditor import audit
from tests.simulation.auditor.logs import TOPICS, Record
from tests.simulation.workload import QUARRELSOME
from tests.simulation.workload import rows as workload

EVERY, TAIL = 15 * MINUTE, 6 * HOUR

#: A simulated outside world that fails far more often than the believable one: schedules want trouble.
HARSH = {
    "CALM": networks.Shares(timed_out=120_000, declined=80_000, partial=60_000, not_sent=90_000),
    "LATE_APPROVALS": 400_000,
    "CONFLICTING": 60_000,
    "REVERSALS_LOST": 250_000,
    "TWICE": 80_000,
}
#: Spills so close to each other that nearly every row lies outside memory when it is wanted again.
NARROW = {"SNAPSHOT_EVENTS": 40, "SNAPSHOT_BYTES": 1 << 30}
#: Networks that refuse far more records, and lines to them on which most files suffer something.
STRICT = {"REFUSED_FIRST": 150_000, "REFUSED_AGAIN": 300_000}
BAD_LINES = {"MISHAPS": tuple((kind, 150_000) for kind in Mishap)}
MOST_TURNS = 5_000_000


@contextmanager
def harsh() -> Iterator[None]:
    """Networks that fail far more often than the believable ones, in everything they do."""
    with (
        patch.multiple(networks, **HARSH),
        patch.multiple(presenting, **STRICT),
        patch.multiple(clearinghouse, **BAD_LINES),
    ):
        yield


def _mac(request: Request) -> str:
    return digest([repr(request)])[:32]


#: Nothing is secret in a simulation; what matters is that equal bodies have equal MACs.
KEYS = Keys("mac-simulated", _mac, "seal-simulated", lambda data: b"sealed:" + data)


class ScriptState(msgspec.Struct):
    """How far a script has been published."""

    given: int = 0


class Script:
    """A list of messages as an input source: what a publisher gave, disturbed within the bounds of the claim."""

    def __init__(self, messages: Sequence[Published], state: ScriptState | None) -> None:
        self.state = state or ScriptState()
        self._messages = messages
        self._allowed = 0

    def allow_tick(self, up_to: int) -> None:
        self._allowed = up_to

    def next_block(self, limit: int) -> list[Published]:
        block: list[Published] = []
        while self.state.given < len(self._messages) and len(block) < limit:
            item = self._messages[self.state.given]
            if isinstance(item.message, Tick) and item.message.tick > self._allowed:
                break
            block.append(item)
            self.state.given += 1
        return block


@dataclass
class Outcome:
    """What a schedule came to."""

    partitions: int
    ledger: str
    state: str
    crashes: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    duplicates: int = 0
    log: MemoryLog | None = None


@lru_cache(maxsize=32)
def planned(seed: int) -> tuple[tuple[InputRow, ...], Schedule]:
    """The input of a seed and its plan."""
    rows = tuple(workload(seed))
    return rows, schedule(rows, EVERY, TAIL)


def messages(seed: int, partitions: int, random: Random, *, disturbed: bool) -> list[Published]:
    """Everything a publisher gives; disturbed: some keys on foreign partitions, reordered, duplicated."""
    rows, plan = planned(seed)
    foreign = random.choice((0, 300_000)) if disturbed else 0
    publisher = Publisher(rows, plan, partitions, foreign_ppm=foreign)
    publisher.allow_tick(plan.last_tick)
    given: list[Published] = []
    while not publisher.finished:
        given += publisher.next_block(1_000)
    return _duplicated(_reordered(given, random), random) if disturbed else given


def _reordered(given: list[Published], random: Random) -> list[Published]:
    """Shuffle the requests between two ticks; a key's and a card's own order stays."""
    result: list[Published] = []
    block: list[Published] = []
    for item in [*given, None]:
        if item is not None and isinstance(item.message, Request):
            block.append(item)
            continue
        lanes: dict[object, list[Published]] = {}
        for one in block:
            lanes.setdefault(_lane(one), []).append(one)
        while lanes:
            lane = random.choice(list(lanes))
            result.append(lanes[lane].pop(0))
            if not lanes[lane]:
                del lanes[lane]
        block = []
        if item is not None:
            result.append(item)
    return result


def _lane(item: Published) -> object:
    message = item.message
    return (
        message.card_id
        if isinstance(message, PaymentRequest)
        else (message.merchant, message.idempotency_key)
    )


def _duplicated(given: list[Published], random: Random) -> list[Published]:
    """Deliver a fifth of the requests again, once or twice, now or much later: while the intake remembers them."""
    result = list(given)
    requests = [number for number, item in enumerate(given) if isinstance(item.message, Request)]
    ticks = [(item.message.at, number) for number, item in enumerate(given) if isinstance(item.message, Tick)]
    for number in sorted(random.sample(requests, len(requests) // 5), reverse=True):
        forgotten = bisect_left(ticks, (given[number].ingested_at + (CLAIM_DAYS - 1) * DAY, 0))
        latest = ticks[forgotten][1] if forgotten < len(ticks) else len(result)
        for _ in range(random.randint(1, 2)):
            later = min(latest, number + 1 + int(random.expovariate(1 / 30)))
            result.insert(later, given[number])
    return result


class Simulation:
    """All actors of one run on one memory log."""

    def __init__(self, seed: int, number: int | None) -> None:
        """``number`` None is the calm run."""
        self.random = random = Random(f"{seed}/{number}")
        self.calm = number is None
        self.partitions = 1 if self.calm else random.choice((1, 1, 4, 4, 4, 8))
        self.seed = seed
        self.crashes: Counter[str] = Counter()
        self.left = 0  # nobody dies while the house is being built
        crashes = 0 if self.calm else random.choice((0, 3, 10, 30))
        self.rate = 10 ** random.uniform(-3, -1)
        self.ahead = 8 if self.calm else random.choice((1, 3, 10, 10_000))
        _, self.plan = planned(seed)
        self.script = messages(
            seed, self.partitions, random, disturbed=not self.calm and random.random() < 0.7
        )
        self.run_arguments = Run(
            self.partitions, ClockKind.VIRTUAL, self.plan.first_at, self.plan.last_tick, f'{{"seed":{seed}}}'
        )
        self.log = MemoryLog(self._crash)
        self.makers: list[Callable[[], Actor]] = [self._publisher]
        for partition in range(self.partitions):
            self.makers.append(lambda p=partition: EdgeActor(self.log, Adapter(p, self.seed)))
        self.makers.append(lambda: EdgeActor(self.log, ClearingHouse(self.partitions, self.seed)))
        self.makers.append(lambda: EdgeActor(self.log, Bank(self.partitions, self.seed)))
        with self._spilling():
            self.indexes: list[IndexActor] = [
                IndexActor(self.log, number, self.run_arguments, KEYS) for number in range(self.partitions)
            ]
        self.actors: list[Actor] = [make() for make in self.makers]
        self.left = crashes

    def _publisher(self) -> PublisherActor:
        script = Script(self.script, saved_state(self.log, PUBLISHER, ScriptState))
        return PublisherActor(
            self.log, script, KEYS, lambda: min(a.index.tick() for a in self.indexes), self.ahead
        )

    def _crash(self, owner: str) -> CrashPoint | None:
        if self.left and self.random.random() < self.rate:
            self.left -= 1
            point = self.random.choice(list(CrashPoint))
            self.crashes[f"{owner.partition('/')[0]} {point.name}"] += 1
            return point
        return None

    def run(self) -> Outcome:
        """Take turns until nobody has anything to do."""
        with harsh(), patch.multiple(issuers, **QUARRELSOME), self._spilling():
            return self._run()

    def _spilling(self) -> AbstractContextManager[object]:
        return nullcontext() if self.calm else patch.multiple(snapshots, **NARROW)

    def _run(self) -> Outcome:
        random = self.random
        count = len(self.actors) + len(self.indexes)
        weights = [1.0 if self.calm else 10 ** random.uniform(-1.5, 0) for _ in range(count)]
        idle: set[int] = set()
        turns = 0
        while len(idle) < count:
            turns += 1
            assert turns < MOST_TURNS, f"livelock in schedule {self.seed}/{self.partitions}"
            number = turns % count if self.calm else random.choices(range(count), weights)[0]
            if number in idle:
                continue
            limit = 2_000 if self.calm else random.choice((1, 2, 7, 50, 500, 5_000))
            if self._turn(number, limit):
                idle.clear()
            else:
                idle.add(number)
        for actor in self.indexes:
            assert actor.index.done, f"deadlock: {actor.name} stands at {actor.index.tick()}"
        return Outcome(
            self.partitions,
            ledger_digest(self.log, self.partitions),
            state_digest(line for actor in self.indexes for line in actor.index.summary()),
            self.crashes,
            turns,
            len(self.script),
            self.log,
        )

    def _turn(self, number: int, limit: int) -> bool:
        others = len(self.actors)
        try:
            actor = self.actors[number] if number < others else self.indexes[number - others]
            return actor.turn(limit)
        except Crashed:
            left, self.left = self.left, 0  # whoever restarts is left alone until it stands
            if number < others:
                self.actors[number] = self.makers[number]()
            else:
                index = number - others
                self.indexes[index] = IndexActor(self.log, index, self.run_arguments, KEYS)
            self.left = left
            return True


@lru_cache(maxsize=32)
def calm(seed: int) -> Outcome:
    """The run that all others of a seed must agree with."""
    return Simulation(seed, None).run()


def compared(seed: int, number: int) -> tuple[Outcome, str]:
    """Run one schedule; what differs from the calm run, or what the auditor finds, empty where nothing does."""
    expected = calm(seed)
    outcome = Simulation(seed, number).run()
    different = [name for name in ("ledger", "state") if getattr(expected, name) != getattr(outcome, name)]
    return outcome, " and ".join([*different, *audit(_records(outcome))[:1]])


def _records(outcome: Outcome) -> Iterator[Record]:
    assert outcome.log is not None
    for name in TOPICS:
        for partition in range(outcome.partitions):
            for stored in outcome.log.read(name, partition, 0, 10_000_000):
                yield name, partition, stored.offset, stored.value


def differs(seed: int, number: int) -> str:
    """What is wrong with a schedule, empty where nothing is."""
    return compared(seed, number)[1]


def _sweep_one(item: tuple[int, int]) -> tuple[int, int, str, int, int]:
    seed, number = item
    try:
        outcome, what = compared(seed, number)
    except Exception as error:  # noqa: BLE001 - a sweep reports every failure
        return seed, number, f"{type(error).__name__}: {error}", 0, 0
    return seed, number, what, outcome.partitions, sum(outcome.crashes.values())


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments[:1] == ["--sweep"]:
        seeds, schedules = int(arguments[1]), int(arguments[2])
        items = [(seed, number) for seed in range(1, seeds + 1) for number in range(1, schedules + 1)]
        with Pool(2) as pool:
            results = pool.map(_sweep_one, items, chunksize=max(1, schedules // 2))
        bad = [result for result in results if result[2]]
        partitions = Counter(result[3] for result in results)
        print(
            f"{len(results)} schedules, {sum(r[4] for r in results)} crashes, partitions {dict(partitions)}"
        )
        for seed, number, what, *_ in bad:
            print(f"schedule {seed} {number}: {what}")
        print(f"{len(bad)} differ")
        return bool(bad)
    seed, number = int(arguments[0]), int(arguments[1])
    what = differs(seed, number)
    print(f"schedule {seed} {number}: {what or 'agrees with the calm run'}")
    return bool(what)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
