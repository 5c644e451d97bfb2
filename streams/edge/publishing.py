"""An input file onto Kafka, every row once, whatever ends this process.

Each block of rows is one transaction of an :class:`~streams.edge.outlet.Outlet`, which knows how far a file has come;
whoever publishes it again goes on behind that.

In virtual time the ticks are written too, and the publisher stays close to the slowest payments partition: it follows
the markers of the clearing houses (``network.notices``), which come once for each tick that has passed, and are a
small topic beside the log itself. On the wall's clock nobody waits (:mod:`streams.edge.pacing`).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import msgspec

from events.messages import Marker
from events.partitions import ClockKind
from events.requests import Tick
from events.wire import headers_of
from streams.edge import pacing
from streams.edge.inputs import hash_of, read_rows
from streams.edge.outlet import Came, Outlet
from streams.edge.publisher import TAIL_TICK, TICK, Publisher, schedule
from streams.hosts.admission import Keys
from streams.hosts.cluster import Cluster
from streams.hosts.following import Follower, header_of, message_of
from streams.hosts.house import TICKS_AHEAD
from streams.hosts.log import TopicPartition
from streams.hosts.transactions import Reach, never

#: Messages of one transaction: some hundred kilobytes.
BATCH: Final = 1_000
#: How long a look at what others have done takes before the publisher looks whether it shall stop.
_LOOK_MS: Final = 200

_MARKERS: Final = headers_of((Marker,))
#: Who says of every payments partition which tick it has passed.
_CLEARING_HOUSE: Final = "network/0"


class Told(msgspec.Struct):
    """What publishing came to. ``rows`` and ``ticks`` are those of this call; ``last_row`` is that of the file."""

    file: str
    sha256: str
    resumed_behind_row: int
    rows: int
    ticks: int
    last_row: int
    finished: bool
    transactions: int
    seconds: float


#: Told how much is out, of how much: ticks in virtual time, rows on the wall's clock.
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What to publish, ``batch`` messages to a transaction.

    ``every`` and ``tail`` are the steps of ticks in virtual time, in microseconds.

    On the wall's clock ``rate`` is in rows a second (None: as fast as they go out), and ``now`` renews ``occurred_at``.
    """

    file: Path
    clock: ClockKind = ClockKind.VIRTUAL
    every: int = TICK
    tail: int = TAIL_TICK
    batch: int = BATCH
    rate: int | None = None
    now: bool = False


async def publish(
    cluster: Cluster,
    order: Order,
    keys: Keys,
    stop: asyncio.Event,
    watch: Watch = lambda _done, _of: None,
    reach: Reach = never,
) -> Told:
    """Publish a file, or the rest of it, until all is out or ``stop`` is set.

    Raises Refused for an input that is not one, Unavailable where it is in doubt what has been published: then the same
    call, in a new process, goes on.
    """
    started = time.monotonic()
    sha256 = hash_of(order.file)
    outlet = Outlet(cluster, sha256, keys, reach)
    try:
        came = await outlet.open(order.clock)
        if order.clock is ClockKind.VIRTUAL:
            told = await _publish_virtual(outlet, order, came, stop, watch)
        else:
            told = await _publish_wall(outlet, order, came, stop, watch)
    finally:
        await outlet.close()
    told.sha256 = sha256
    told.transactions = outlet.transactions
    told.seconds = round(time.monotonic() - started, 3)
    return told


def _told(order: Order, came: Came, rows: int, ticks: int, *, finished: bool) -> Told:
    return Told(str(order.file), "", came.rows, rows - came.rows, ticks, rows, finished, 0, 0.0)


# --- virtual time -------------------------------------------------------------------------------------


async def _publish_virtual(
    outlet: Outlet, order: Order, came: Came, stop: asyncio.Event, watch: Watch
) -> Told:
    plan = schedule(read_rows(order.file), order.every, order.tail)
    publisher = Publisher(read_rows(order.file), plan, outlet.partitions)
    publisher.skip_to(came.rows, came.tick)
    row, first_tick = came.rows, publisher.state.tick
    progress = _Progress(outlet.cluster, outlet.partitions)
    await progress.start()
    try:
        while not publisher.finished and not stop.is_set():
            publisher.allow_tick(progress.slowest + TICKS_AHEAD)
            block = publisher.next_block(order.batch)
            if block:
                rows = list(accumulate((not isinstance(one.message, Tick) for one in block), initial=row))[1:]
                await outlet.put(block, rows)
                row = rows[-1]
                watch(publisher.state.tick, plan.last_tick)
            await progress.look(0 if block else _LOOK_MS)
    finally:
        await progress.close()
    return _told(order, came, row, publisher.state.tick - first_tick, finished=publisher.finished)


class _Progress:
    """The tick that the slowest payments partition has passed, as the clearing house says."""

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self._reader = Follower(cluster)
        self._passed: dict[TopicPartition, int] = {
            ("network.notices", number): 0 for number in range(partitions)
        }

    @property
    def slowest(self) -> int:
        return min(self._passed.values())

    async def start(self) -> None:
        await self._reader.start()
        self._reader.follow(dict.fromkeys(self._passed, 0))

    async def look(self, wait_ms: int) -> None:
        """Read what has come, waiting so long for it."""
        for place, records in (await self._reader.take(5_000, wait_ms)).items():
            for record in reversed(records):
                marker = message_of(record) if header_of(record) in _MARKERS else None
                if isinstance(marker, Marker) and marker.sender == _CLEARING_HOUSE:
                    self._passed[place] = max(self._passed[place], marker.tick)
                    break

    async def close(self) -> None:
        await self._reader.close()


# --- the wall's clock ---------------------------------------------------------------------------------


async def _publish_wall(outlet: Outlet, order: Order, came: Came, stop: asyncio.Event, watch: Watch) -> Told:
    of = schedule(read_rows(order.file)).rows
    row, finished = await pacing.send(
        outlet,
        read_rows(order.file),
        came.rows,
        stop,
        lambda done: watch(done, of),
        batch=order.batch,
        rate=order.rate,
        renewed=order.now,
    )
    return _told(order, came, row, 0, finished=finished)
