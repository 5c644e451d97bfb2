"""How much one turn takes, where a few kilobytes of a topic can stand for hundreds of megabytes, and which tick."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from events.identity import payment_id
from events.partitions import ClockKind, ClockStruck
from events.wire import decode_event
from streams.features import pieces
from streams.hosts.clocks import SECOND, WallClock
from streams.hosts.cluster import Cluster
from streams.hosts.index import Index, Run
from streams.hosts.kafka import KafkaIndex
from streams.hosts.localstate import LocalState
from streams.hosts.log import Append
from streams.hosts.snapshots import SNAPSHOT_EVENTS, Spilled
from streams.hosts.standby import Warm
from streams.topology import LOGS
from tests.streams.hosts.test_index import CARDS, KEYS, RUN, filled, work
from tests.streams.hosts.test_standby import Beside

MEBIBYTE = 1 << 20
PLACE = TopicPartition("house.payments.requests", 0)


class Record(NamedTuple):
    """What the client library gives."""

    offset: int
    value: bytes | None
    timestamp: int = 1_000
    headers: tuple[Any, ...] = ()


class Reader:
    """Remembers where it was turned to."""

    def __init__(self) -> None:
        self.sought: list[tuple[TopicPartition, int]] = []

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Turn."""
        self.sought.append((place, offset))


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], 0),
        ([0, 100, 0], 3),
        ([MEBIBYTE] * 4, 4),
        ([MEBIBYTE] * 5, 4),
        ([MEBIBYTE] * 500, 4),
        ([4 * MEBIBYTE, 1], 1),
        ([64 * MEBIBYTE, 1], 1),
        ([1, 64 * MEBIBYTE, 1], 1),
        ([2_000] * 500, 500),
    ],
)
def test_a_turn_takes_what_a_transaction_can_hold(tmp_path: Path, sizes: list[int], taken: int) -> None:
    """In order and at least one record, however large; the next turn begins with the first that was left."""
    run = Run(1, ClockKind.WALL, 0, 0, "{}")
    index = KafkaIndex(Cluster("localhost:1"), 0, run, KEYS, tmp_path, clock=None)
    index._consumer = reader = Reader()
    block = bytes(max(sizes, default=0))
    records = [Record(10 + 2 * number, block[:size] or None) for number, size in enumerate(sizes)]
    found = index._within_turn(PLACE, "payments.requests", records)
    assert [(record.offset, record.value or b"") for record in records[:taken]] == [
        (stored.offset, stored.value) for stored in found
    ]
    assert ([] if taken == len(sizes) else [(PLACE, records[taken].offset)]) == reader.sought


class Nothing:
    """A reader that finds nothing, and a producer that writes down what it is given."""

    def __init__(self) -> None:
        self.committed: list[Append] = []

    async def getmany(self, *_: Any, **__: Any) -> dict[Any, Any]:
        """No records."""
        return {}

    async def commit(self, appends: list[Append], *_: Any) -> dict[Any, int]:
        """Take them."""
        self.committed += appends
        return {}


def test_a_payment_is_found_while_it_leaves_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks at the moment of a snapshot waits for it, and is not told that nobody knows the payment."""
    log = filled()
    hosted = KafkaIndex(Cluster("localhost:1"), 0, RUN, KEYS, tmp_path, clock=None)
    hosted.index = index = work(log)
    index.attach(hosted._local)
    hosted._transactions.chains = {(name, 0): log.read(name, 0, 0, 1)[0].chain for name in LOGS}
    payment = payment_id("till", "k1", CARDS["k1"])
    known, spill, answers = hosted.payment(payment), index.spill, []
    assert known is not None

    with ThreadPoolExecutor(1) as looking:

        def spill_and_look() -> Spilled:
            spilled = spill()
            answers.append(looking.submit(hosted.payment, payment))
            wait(answers, 0.1)  # Whoever does not wait has had time to go wrong.
            return spilled

        monkeypatch.setattr(index, "spill", spill_and_look)
        for _ in range(3):
            hosted._spill()
    assert index.engines["payments"].sequences.cold > 0
    assert [known] * 3 == [answer.result() for answer in answers]
    hosted._local.close()


def test_a_snapshot_is_encoded_between_turns_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No turn waits for more than a piece of it, and whoever comes after begins with it."""
    monkeypatch.setattr(pieces, "PIECE", 1)
    log = Beside.of(filled())
    hosted = KafkaIndex(Cluster("localhost:1"), 0, RUN, KEYS, tmp_path, clock=None)
    hosted.index = index = work(log)
    index.attach(hosted._local)
    hosted._transactions.chains = {
        (name, 0): log.read(name, 0, end - 1, 1)[0].chain for name, end in index.log_ends.items()
    }

    async def turns() -> int:
        for number in count():
            await hosted._keep_snapshot()
            if hosted._spilled is None:
                await hosted._kept()
                return number
        raise AssertionError

    assert asyncio.run(turns()) == 0
    hosted._log_events = SNAPSHOT_EVENTS
    assert asyncio.run(turns()) > 10
    assert asyncio.run(turns()) == 0
    hosted._local.close()
    again = Warm(Index(0, RUN, KEYS))
    assert again.begin(log, LocalState(tmp_path, index.owner))
    assert again.kept_events == SNAPSHOT_EVENTS
    assert again.index.snapshot() == index.snapshot()
    again.close()


def test_the_clock_may_be_set_between_a_strike_and_its_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick is that of the moment at which it struck, which the guard has looked at: nothing expires early."""
    clock = WallClock()
    hosted = KafkaIndex(
        Cluster("localhost:1"), 0, Run(1, ClockKind.WALL, 0, 0, clock.arguments), KEYS, tmp_path, clock=clock
    )
    hosted.index.opening()
    hosted._consumer = hosted._transactions = nothing = Nothing()
    hosted.struck_at = 100 * SECOND
    monkeypatch.setattr(time, "time_ns", lambda: 90_000 * 10**9)
    assert asyncio.run(hosted.turn(10))
    events = [decode_event(one.value).body for one in nothing.committed if one.topic == "payments"]
    assert [(100, 100 * SECOND)] == [(one.tick, one.at) for one in events if isinstance(one, ClockStruck)]
