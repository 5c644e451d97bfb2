"""Actors: a turn is one commit, and whoever comes after a crash goes on where the last commit ends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from events.base import Event
from events.envelope import Meta, Recorded, Versions
from events.errors import Broken, LogDamaged
from events.lifecycle import VoidRequested
from events.messages import DeadLetter, Marker
from events.partitions import ClockKind, TickPassed
from events.requests import RefundRequest, Tick
from events.wire import decode_message, encode_event, encode_message
from streams.hosts.actors import PUBLISHER, EdgeActor, IndexActor, PublisherActor, saved_state
from streams.hosts.admission import Keys
from streams.hosts.edges import Outgoing
from streams.hosts.house import House
from streams.hosts.index import Run
from streams.hosts.log import Append
from streams.hosts.memory import Crashed, CrashPoint, MemoryLog
from streams.hosts.snapshots import SNAPSHOT_BYTES, unseal

AT = 1_772_452_800_000_000
KEYS = Keys(
    "mac-1", lambda request: request.idempotency_key.encode().hex(), "seal-1", lambda data: data[::-1]
)
NUMBER = "4" + "1" * 15


class Dying:
    """Crashes to come, one for each commit of an owner."""

    def __init__(self) -> None:
        self.owner = ""
        self.points: list[CrashPoint | None] = []

    def __call__(self, owner: str) -> CrashPoint | None:
        return self.points.pop(0) if owner == self.owner and self.points else None


# --- edges --------------------------------------------------------------------------------------------


class Count(msgspec.Struct):
    """What the counting edge remembers."""

    seen: int = 0


class Counting:
    """An edge that answers every void with how many it has seen."""

    HEARS: tuple[type[Event], ...] = (VoidRequested,)

    def __init__(self) -> None:
        self.name = "outside/0"
        self.state: Any = Count()

    def reads(self) -> list[tuple[str, int]]:
        """Two partitions of one log."""
        return [("payments", 0), ("payments", 1)]

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        """Count, and answer."""
        self.state.seen += 1
        return [Outgoing("network.notices", partition, Marker(recorded.meta.key, self.state.seen, AT, 0))]


def asked(name: str, partition: int = 0) -> Append:
    """A void request in the payments log."""
    meta = Meta(name, 1, AT, AT, AT, "", "", None, Versions(), True)
    return Append("payments", partition, AT, encode_event(Recorded(meta, VoidRequested(name, "shop", name))))


def passed(tick: int) -> Append:
    """An event that the edge does not hear."""
    meta = Meta("payments-0", tick, AT, AT, AT, "", "", None, Versions(), True)
    return Append("payments", 0, AT, encode_event(Recorded(meta, TickPassed(tick, AT, 1))))


def answers(log: MemoryLog, partition: int = 0) -> list[tuple[str, int]]:
    """What the edge has said, in order."""
    said = [decode_message(stored.value) for stored in log.read("network.notices", partition, 0, 1_000)]
    return [(message.sender, message.tick) for message in said if isinstance(message, Marker)]


def test_an_edge_answers_what_it_hears_and_passes_over_the_rest() -> None:
    """Position, state and answers are committed together; with nothing to read there is no turn."""
    log = MemoryLog()
    log.commit("engine", [asked("a"), passed(1), asked("b"), asked("c", 1)], {})
    actor = EdgeActor(log, Counting())
    assert actor.turn(100)
    assert not actor.turn(100)
    assert ([("a", 1), ("b", 2)], [("c", 3)]) == (answers(log), answers(log, 1))
    assert {("payments", 0): 3, ("payments", 1): 1} == log.positions("outside/0")
    assert Count(3) == saved_state(log, "outside/0", Count)


def test_an_edge_takes_as_many_records_as_it_may() -> None:
    """Of each partition."""
    log = MemoryLog()
    log.commit("engine", [*(asked(name) for name in "abc"), asked("d", 1)], {})
    actor = EdgeActor(log, Counting())
    turns = [actor.turn(2) for _ in range(3)]
    assert [True, True, False] == turns
    assert [("a", 1), ("b", 2), ("c", 4)] == answers(log)


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("point", list(CrashPoint))
def test_an_edge_that_dies_says_everything_once(limit: int, point: CrashPoint) -> None:
    """A new one sees again what was not committed, and only that."""
    dying = Dying()
    log = MemoryLog(dying)
    names = [f"p{number}" for number in range(10)]
    log.commit("engine", [asked(name) for name in names], {})
    dying.owner, dying.points = "outside/0", [None, point, None, point]
    actor = EdgeActor(log, Counting())
    for _ in range(100):
        try:
            if not actor.turn(limit):
                break
        except Crashed:
            actor = EdgeActor(log, Counting())
    assert [(name, number) for number, name in enumerate(names, start=1)] == answers(log)


def test_an_edge_does_not_read_what_it_does_not_hear() -> None:
    """Only the header: what nobody needs to read may be damaged, what somebody needs may not."""
    log = MemoryLog()
    log.commit("engine", [passed(1)._replace(value=passed(1).value[:9]), asked("a")], {})
    assert EdgeActor(log, Counting()).turn(100)
    assert [("a", 1)] == answers(log)
    log.commit("engine", [asked("b")._replace(value=asked("b").value[:9])], {})
    with pytest.raises(LogDamaged, match="payments/0 at 2"):
        EdgeActor(log, Counting()).turn(100)


def test_a_state_that_cannot_be_read_is_damage() -> None:
    """It is not begun anew: answers would be given twice."""
    log = MemoryLog()
    log.commit("outside/0", [], {}, msgspec.msgpack.encode({"seen": "many"}))
    with pytest.raises(LogDamaged, match="the state of outside/0 cannot be read"):
        EdgeActor(log, Counting())


# --- the publisher ------------------------------------------------------------------------------------


class Given(msgspec.Struct):
    """How far the toy source has come."""

    given: int = 0


class Item(msgspec.Struct):
    """A message with its stamp."""

    message: Any
    topic: str = "payments.requests"
    partition: int = 0
    ingested_at: int = AT


class Source:
    """Ticks 1 to 9, and before each a refund."""

    def __init__(self, state: Given | None, note: str = "") -> None:
        self.state = state or Given()
        self._allowed = 0
        self._items: list[Item] = []
        for tick in range(1, 10):
            key = f"order-{tick}"
            refund = RefundRequest("inn", key, "pay-0037-0123456789abcdef", 1, "USD", note, AT, "till", True)
            self._items += [Item(refund), Item(Tick(tick, AT + tick, 0))]

    def allow_tick(self, up_to: int) -> None:
        """Ticks up to this one."""
        self._allowed = up_to

    def next_block(self, limit: int) -> list[Item]:
        """The next that are allowed."""
        block: list[Item] = []
        while len(block) < limit and self.state.given < len(self._items):
            item = self._items[self.state.given]
            if isinstance(item.message, Tick) and item.message.tick > self._allowed:
                break
            block.append(item)
            self.state.given += 1
        return block


def ticks(log: MemoryLog) -> list[int]:
    """The ticks that were published."""
    messages = [decode_message(stored.value) for stored in log.read("payments.requests", 0, 0, 1_000)]
    return [message.tick for message in messages if isinstance(message, Tick)]


def test_the_publisher_stays_a_few_ticks_ahead() -> None:
    """Of the slowest; requests that belong to the next tick may go on."""
    log = MemoryLog()
    slowest = 0
    actor = PublisherActor(log, Source(None), KEYS, lambda: slowest, 3)
    while actor.turn(4):
        pass
    assert [1, 2, 3] == ticks(log)
    slowest = 2
    while actor.turn(4):
        pass
    assert [1, 2, 3, 4, 5] == ticks(log)


@pytest.mark.parametrize("point", list(CrashPoint))
def test_a_publisher_that_dies_publishes_everything_once(point: CrashPoint) -> None:
    """What it gave and how far it is are committed together."""
    dying = Dying()
    log, calm = MemoryLog(dying), MemoryLog()
    PublisherActor(calm, Source(None), KEYS, lambda: 9, 1).turn(100)
    dying.owner, dying.points = PUBLISHER, [None, point, point, None, point]
    for _ in range(100):
        actor = PublisherActor(log, Source(saved_state(log, PUBLISHER, Given)), KEYS, lambda: 9, 1)
        try:
            if not actor.turn(2):
                break
        except Crashed:
            continue
    assert calm.read("payments.requests", 0, 0, 100) == log.read("payments.requests", 0, 0, 100)


def test_what_is_published_holds_no_card_number() -> None:
    """It is sealed at our door; whoever watches is told what came, not what was sealed."""
    log = MemoryLog()
    told: list[Any] = []
    actor = PublisherActor(log, Source(None, note=NUMBER), KEYS, lambda: 9, 1, told.extend)
    actor.turn(1)
    (stored,) = log.read("payments.requests", 0, 0, 10)
    assert isinstance(decode_message(stored.value), DeadLetter)
    assert NUMBER.encode() not in stored.value
    assert 1 == len(told)


# --- indexes and houses -------------------------------------------------------------------------------


def run(last_tick: int) -> Run:
    """A run of some ticks."""
    return Run(1, ClockKind.VIRTUAL, AT, last_tick, "{}")


def with_ticks(count: int) -> MemoryLog:
    """A log in which time passes and nothing else happens."""
    log = MemoryLog()
    appends = [
        Append("payments.requests", 0, AT, encode_message(Tick(tick, AT + tick, 0)))
        for tick in range(1, count + 1)
    ]
    log.commit(PUBLISHER, appends, {})
    return log


def test_an_index_keeps_a_snapshot_when_its_log_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same commit; and not again before it has grown by as much, or by one event for so many bytes of it."""
    monkeypatch.setattr("streams.hosts.snapshots.SNAPSHOT_EVENTS", 20)
    log = with_ticks(200)
    actor = IndexActor(log, 0, run(200), KEYS)
    ends: list[int] = []
    sizes: list[int] = []
    while actor.turn(1):
        state = log.state("index/0")
        snapshot = None if state is None else unseal(state)
        if state is not None and snapshot is not None and sum(snapshot.log_ends.values()) not in ends:
            sizes.append(len(state))
            ends.append(sum(snapshot.log_ends.values()))
            assert snapshot.log_ends == {name: log.end(name, 0) for name in snapshot.log_ends}
    assert len(ends) > 3
    grown = [later - earlier for earlier, later in pairwise(ends)]
    assert all(events >= max(20, size // SNAPSHOT_BYTES) for events, size in zip(grown, sizes, strict=False))
    assert actor.index.snapshot() == IndexActor(log, 0, run(200), KEYS).index.snapshot()


def outside(log: MemoryLog) -> Any:
    """Everything that sends markers with a lag, for a house in which nothing else happens."""

    class Markers:
        """Answers each tick of the payments and of the reconciliation log."""

        HEARS: tuple[type[Event], ...] = (TickPassed,)

        def __init__(self) -> None:
            self.name = "outside/0"
            self.state: Any = Count()

        def reads(self) -> list[tuple[str, int]]:
            return [("payments", 0)]

        def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
            body = recorded.body
            assert isinstance(body, TickPassed)
            senders = (("network.notices", "network/0"), ("bank.statements", "bank/0"))
            return [Outgoing(name, 0, Marker(sender, body.tick, body.at, 0)) for name, sender in senders]

    return EdgeActor(log, Markers())


def test_a_house_works_until_the_last_tick_has_passed() -> None:
    """Each round is one transaction of the log, and tells how far the slowest is."""
    log = with_ticks(12)
    rounds = 0

    @contextmanager
    def round_() -> Iterator[None]:
        nonlocal rounds
        rounds += 1
        yield

    house = House([IndexActor(log, 0, run(12), KEYS)], [outside(log)], round_)
    seen = list(house.run(batch=3))
    assert rounds == len(seen)
    assert sorted(seen) == seen
    assert 12 == seen[-1]
    assert house.indexes[0].index.done


def test_a_house_in_which_nobody_can_go_on_says_where_it_stands() -> None:
    """A tick is missing: that is a deadlock, and no end."""
    log = with_ticks(11)
    house = House([IndexActor(log, 0, run(12), KEYS)], [outside(log)])
    with pytest.raises(
        Broken, match=r"nobody can go on.*index/0 intake at tick 11, index/0 payments at tick 11"
    ):
        list(house.run())


def test_a_finished_house_has_nothing_to_do() -> None:
    """Started again it sees so in one round."""
    log = with_ticks(12)
    list(House([IndexActor(log, 0, run(12), KEYS)], [outside(log)]).run())
    ends: Sequence[int] = [
        log.end(name, 0) for name in ("intake", "payments", "velocity", "settlement", "reconciliation")
    ]
    assert [12] == list(House([IndexActor(log, 0, run(12), KEYS)], [outside(log)]).run())
    assert ends == [
        log.end(name, 0) for name in ("intake", "payments", "velocity", "settlement", "reconciliation")
    ]
