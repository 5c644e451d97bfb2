"""A house by the clock on the wall, which the test winds: any order, any batches, ticks that are missed, deaths.

Business time moves as the schedule says. Each index takes its ticks when the schedule gets round to it, so no two see
the same ones, and no two runs come to the same: what must hold is that each log is replayed byte for byte, that the
books are right, and that nobody waits for whoever is silent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from unittest.mock import patch

from events.base import Message
from events.calendar import DAY, HOUR, MINUTE
from events.envelope import Recorded
from events.identity import partition_of_name
from events.partitions import ClockKind
from events.requests import ReferencePublished, Request, Tick
from events.wire import decode_event, encode_message
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.networks import Adapter
from streams.hosts.actors import Actor, EdgeActor, IndexActor
from streams.hosts.index import Index, Run
from streams.hosts.log import Append
from streams.hosts.memory import Crashed, CrashPoint, MemoryLog
from tests.simulation.auditor.logs import TOPICS, Record
from tests.simulation.schedules import KEYS, harsh, planned

#: What a tick stands for: a minute of business time.
TICK = MINUTE
#: How many actions of the schedule make an hour of requests.
ACTIONS_PER_HOUR = 600
#: With nothing to publish for longer than this, time passes by the hour.
LULL = 2 * HOUR


class ClockedIndex(IndexActor):
    """An index whose ticks somebody strikes."""

    def strike(self, tick: int) -> bool:
        """Take a tick; False where there was none to take."""
        staged = self.index.strike(tick, tick * TICK)
        if staged:
            self._commit(staged)
        return bool(staged)


class WallSimulation:
    """All actors of one run. Whoever is named in ``silent`` does nothing."""

    def __init__(self, seed: int, number: int, partitions: int, *, silent: tuple[str, ...] = ()) -> None:
        self.random = Random(f"wall/{seed}/{number}")
        self.partitions = partitions
        self.silent = set(silent)
        self.crashes: Counter[str] = Counter()
        self._left = 0  # nobody dies while the house is being built
        rows, self.plan = planned(seed)
        self._rows = list(reversed(rows))
        self.now = self.plan.first_at
        self.run = Run(partitions, ClockKind.WALL, self.now, 0, f'{{"seed":{seed}}}')
        self.log = MemoryLog(self._crash)
        self._makers: dict[str, Callable[[], Actor]] = {
            "bank/0": lambda: self._edge(Bank(partitions, seed)),
            "network/0": lambda: self._edge(ClearingHouse(partitions, seed)),
        }
        for p in range(partitions):
            self._makers[f"adapter/{p}"] = lambda p=p: self._edge(Adapter(p, seed))  # type: ignore[misc]
            self._makers[f"index/{p}"] = lambda p=p: ClockedIndex(self.log, p, self.run, KEYS)  # type: ignore[misc]
        self._actors = {name: make() for name, make in self._makers.items()}
        self._steps = self.random.choice((1, 2, 7, 1_000))
        self._left = self.random.choice((0, 3, 10, 30))
        self._rate = 10 ** self.random.uniform(-3, -1)

    def _edge(self, edge: Adapter | ClearingHouse | Bank) -> Actor:
        return EdgeActor(self.log, edge)

    def _crash(self, owner: str) -> CrashPoint | None:
        if self._left and owner in self._makers and self.random.random() < self._rate:
            self._left -= 1
            point = self.random.choice(list(CrashPoint))
            self.crashes[f"{owner.partition('/')[0]} {point.name}"] += 1
            return point
        return None

    # -- what happens ------------------------------------------------------------------------------

    def hours_of_requests(self) -> None:
        """Until all requests have been published; much of their work may be left.

        Where the next is hours away (evidence comes days after its payment), they pass as in :meth:`days_after`.
        """
        first = True
        with self._outside():
            while self._rows:
                choice = self.random.random()
                if self._rows[-1].ingested_at > self.now + LULL:
                    self._hours_pass()
                    self._publish()
                elif choice < 0.05:
                    self.now += int(self.random.expovariate(ACTIONS_PER_HOUR * 0.05 / HOUR))
                    self._publish()
                elif choice < 0.2 or first:
                    self._strike(self.random.randrange(self.partitions))
                else:
                    self._act(self.random.choice(list(self._actors)))
                first = False

    def settle(self) -> None:
        """Until nobody who is not silent has anything more to do at this time; each index has its tick."""
        busy = True
        with self._outside():
            while busy:
                busy = False
                for number in range(self.partitions):
                    busy |= self._strike(number)
                for name in self.random.sample(list(self._actors), len(self._actors)):
                    busy |= self._act(name)

    def days_after(self) -> None:
        """Until every obligation has ended; in steps of hours, with indexes that miss most of them."""
        ends_at = self.plan.ends_at + 2 * DAY
        with self._outside():
            while self.now < ends_at:
                self._hours_pass()
            for _ in range(4):
                self.now += TICK
                self.settle()

    def _hours_pass(self) -> None:
        self.now += self.random.randint(1, 5) * HOUR
        for number in range(self.partitions):
            if self.random.random() < 0.7:
                self._strike(number)
        for _ in range(self.random.randrange(8 * len(self._actors))):
            self._act(self.random.choice(list(self._actors)))
        if self.random.random() < 0.3:
            self.settle()

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """What this run is made to suffer from."""
        with harsh(), patch("streams.hosts.engine.STEP_WORKS", self._steps):
            yield

    def _publish(self) -> None:
        """Everything whose time has come; some requests again, some on a partition that is not theirs."""
        appends = []
        while self._rows and self._rows[-1].ingested_at <= self.now:
            entry = self._rows.pop().entry
            for _ in range(self.random.choice((1, 1, 1, 2))):
                appends.append(self._append(entry))
                if isinstance(entry, ReferencePublished):
                    break
        if self.random.random() < 0.1:
            appends.append(self._append(Tick(10**9, self.now + DAY, 9)))  # nobody's to set
        self.log.commit("producer", appends, {})

    def _append(self, message: Message) -> Append:
        if isinstance(message, ReferencePublished):
            return Append("reference", 0, self.now, encode_message(message))
        partition = self.random.randrange(self.partitions)
        if isinstance(message, Request) and self.random.random() < 0.7:
            partition = partition_of_name(f"{message.merchant}/{message.idempotency_key}", self.partitions)
        return Append("payments.requests", partition, self.now, encode_message(message))

    def _strike(self, number: int) -> bool:
        actor = self._actors[f"index/{number}"]
        assert isinstance(actor, ClockedIndex)
        return self._alive(actor.name, lambda: actor.strike(self.now // TICK))

    def _act(self, name: str) -> bool:
        limit = self.random.choice((1, 2, 7, 50, 500))
        return self._alive(name, lambda: self._actors[name].turn(limit))

    def _alive(self, name: str, action: Callable[[], bool]) -> bool:
        if name in self.silent:
            return False
        try:
            return action()
        except Crashed:
            left, self._left = self._left, 0  # whoever restarts is left alone until it stands
            self._actors[name] = self._makers[name]()
            self._left = left
            return True

    # -- what came of it ---------------------------------------------------------------------------

    @property
    def indexes(self) -> list[Index]:
        """The indexes as they are now."""
        actors = [self._actors[f"index/{number}"] for number in range(self.partitions)]
        return [actor.index for actor in actors if isinstance(actor, ClockedIndex)]

    def replayed(self, number: int) -> Index:
        """An index made of its log alone. Raises ReplayDiffers where it decides anything else than was recorded."""
        index = Index(number, self.run, KEYS)
        with patch("streams.hosts.engine.STEP_WORKS", self._steps):
            assert index.restore(self.log, snapshots=False)
        return index

    def events(self, name: str) -> Iterator[list[Recorded]]:
        """A log's events, partition by partition."""
        for number in range(self.partitions):
            yield [decode_event(stored.value) for stored in self.log.read(name, number, 0, 10_000_000)]

    def records(self) -> Iterator[Record]:
        """Everything that stands on the topics."""
        for name in TOPICS:
            for partition in range(self.partitions):
                for stored in self.log.read(name, partition, 0, 10_000_000):
                    yield name, partition, stored.offset, stored.value
