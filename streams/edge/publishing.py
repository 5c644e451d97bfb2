"""An input file onto Kafka, every row once, whatever ends this process.

Each block of rows is one transaction, and every record says in its headers which file it is of (``file``, the SHA-256
in hex) and which row (``row``, from 1; ticks have a ``tick`` and the number of rows before them). So how far a file
has come stands in the topics themselves: whoever publishes it again shuts out who did before, waits until what that
one left open is settled, reads the last row that is committed, and goes on behind it.

In virtual time the ticks are written too, and the publisher stays close to the slowest payments partition: it follows
the markers of the clearing houses (``network.notices``), which come once for each tick that has passed, and are a
small topic beside the log itself. On the wall's clock nobody waits for anybody: rows go out as they come, or at a rate,
each at the moment that was foreseen for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import Refused, Unavailable
from events.messages import Marker
from events.partitions import ClockKind, ClockStruck, LogOpened
from events.requests import InputRow, ReferencePublished, Tick
from events.wire import HEADER_BYTES, decode_message, encode_message, headers_of
from streams.edge.inputs import hash_of, read_rows
from streams.edge.publisher import TAIL_TICK, TICK, Published, Publisher, placed, schedule
from streams.hosts.admission import Keys, screened
from streams.hosts.cluster import Cluster
from streams.hosts.following import Follower, decoded, settled_ends
from streams.hosts.house import TICKS_AHEAD
from streams.hosts.log import Append, TopicPartition
from streams.hosts.transactions import Reach, Transactions, never

OWNER: Final = "publisher"
FILE_HEADER: Final = "file"
ROW_HEADER: Final = "row"
TICK_HEADER: Final = "tick"

#: Messages of one transaction: some hundred kilobytes.
BATCH: Final = 1_000
#: How long a look at what others have done takes before the publisher looks whether it shall stop.
_LOOK_MS: Final = 200
#: A worker that runs takes reference data within a second; one that has just been started restores first.
_IN_FORCE_SECONDS: Final = 60.0
_MICROSECONDS: Final = 1_000_000

_MARKERS: Final = headers_of((Marker,))
_STRIKES: Final = headers_of((ClockStruck,))


class Came(msgspec.Struct, frozen=True):
    """How far a file has come: rows that are out, and the last tick behind them (0: none)."""

    rows: int
    tick: int


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


class Outlet:
    """Where the rows of one file go out: a transaction for each block."""

    def __init__(self, cluster: Cluster, sha256: str, keys: Keys, reach: Reach = never) -> None:
        self.cluster = cluster
        self.partitions = 0
        self.transactions = 0
        self._file = (FILE_HEADER, sha256.encode())
        self._keys = keys
        self._transactions = Transactions(cluster, OWNER, reach)
        self._reader = Follower(cluster)

    async def open(self, clock: ClockKind) -> Came:
        """Shut out whoever published before, and find out how far this file has come."""
        await self._reader.start()
        self.partitions = await self._reader.partitions("payments.requests")
        await self._check_log(clock)
        await self._transactions.fence()
        places = [("reference", 0), *(("payments.requests", number) for number in range(self.partitions))]
        ends = await settled_ends(self._reader, places)
        rows = tick = 0
        for place in places:
            # In virtual time the topics hold one file, so another one's last record is as good as ours.
            wanted = _has_file if clock is ClockKind.VIRTUAL else self._is_ours
            record = await self._reader.last(place, ends[place], wanted)
            if record is None:
                continue
            if not self._is_ours(record):
                raise Refused(
                    f"{self.cluster.address} has the rows of another file; a log in virtual time is made of one: "
                    "give that file, or another prefix"
                )
            found = dict(record.headers)
            rows = max(rows, int(found[ROW_HEADER]))
            tick = max(tick, int(found.get(TICK_HEADER, b"0")))
        return Came(rows, tick)

    async def _check_log(self, clock: ClockKind) -> None:
        place = ("intake", 0)
        end = (await self._reader.ends([place]))[place]
        async for _, records in self._reader.read_up_to({place: 0}, {place: min(end, 1)}):
            opened = decoded(place, records[0]).body
            if isinstance(opened, LogOpened) and opened.clock is not clock:
                raise Refused(
                    f"{self.cluster.address} lives in {opened.clock} time: publish with --clock {opened.clock}"
                )

    def _is_ours(self, record: Any) -> bool:
        return self._file in record.headers

    async def put(self, block: Sequence[Published], rows_before: int) -> int:
        """Publish a block, whose first row is the one behind ``rows_before``; the number of its last row."""
        appends, annotations, row = [], [], rows_before
        for item in block:
            message = item.message
            more = []
            if isinstance(message, Tick):
                more.append((TICK_HEADER, b"%d" % message.tick))
            else:
                row += 1
            annotations.append([self._file, (ROW_HEADER, b"%d" % row), *more])
            value = encode_message(screened(self._keys, message))
            appends.append(Append(item.topic, item.partition, item.ingested_at, value))
        await self._transactions.commit(appends, "", {}, annotations)
        self.transactions += 1
        return row

    async def close(self) -> None:
        """Let the name go. What is committed stays."""
        await self._transactions.close()
        await self._reader.close()


def _has_file(record: Any) -> bool:
    return any(name == FILE_HEADER for name, _ in record.headers)


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
                row = await outlet.put(block, row)
                watch(publisher.state.tick, plan.last_tick)
            await progress.look(0 if block else _LOOK_MS)
    finally:
        await progress.close()
    return _told(order, came, row, publisher.state.tick - first_tick, finished=publisher.finished)


class _Progress:
    """The tick that the slowest payments partition has passed, as its clearing house says."""

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
            last = next((one for one in reversed(records) if one.value[:HEADER_BYTES] in _MARKERS), None)
            if last is not None:
                marker = decode_message(last.value)
                assert isinstance(marker, Marker)
                self._passed[place] = max(self._passed[place], marker.tick)

    async def close(self) -> None:
        await self._reader.close()


# --- the wall's clock ---------------------------------------------------------------------------------


async def _publish_wall(outlet: Outlet, order: Order, came: Came, stop: asyncio.Event, watch: Watch) -> Told:
    of = schedule(read_rows(order.file)).rows
    rows = _Rows(read_rows(order.file), came.rows, renewed=order.now)
    row = came.rows
    version = 0
    # Reference data in front of the first request: a request that came before it is in force would be refused.
    while (entries := rows.reference(order.batch)) and not stop.is_set():
        last = entries[-1].entry
        assert isinstance(last, ReferencePublished)
        version = last.version
        stamp = _wall()
        row = await outlet.put([_stamped(entry, outlet.partitions, stamp) for entry in entries], row)
        watch(row, of)
    if version and not rows.finished:
        await _until_in_force(outlet, version, stop)
    pace = _Pace(order.rate)
    while not rows.finished and not stop.is_set():
        due = pace.due(order.batch)
        if not due:
            await pace.wait(stop)
            continue
        row = await outlet.put([_stamped(one, outlet.partitions, at) for one, at in rows.take(due)], row)
        watch(row, of)
    return _told(order, came, row, 0, finished=rows.finished)


def _wall() -> int:
    return time.time_ns() // 1_000


def _stamped(row: InputRow, partitions: int, at: int) -> Published:
    return placed(InputRow(at, row.entry), partitions)


class _Pace:
    """When the next row is due: decided at the start, however slowly the last one went."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._began = _wall()
        self._given = 0

    def due(self, limit: int) -> list[int]:
        """The moments (microseconds UTC) of the rows that are due now."""
        now = _wall()
        if self._rate is None:
            return [now] * limit
        count = min(limit, (now - self._began) * self._rate // _MICROSECONDS + 1 - self._given)
        moments = [self._moment(self._given + number) for number in range(count)]
        self._given += len(moments)
        return moments

    def _moment(self, number: int) -> int:
        assert self._rate is not None
        return self._began + number * _MICROSECONDS // self._rate

    async def wait(self, stop: asyncio.Event) -> None:
        """Until the next row is due, or ``stop`` is set."""
        seconds = (self._moment(self._given) - _wall()) / _MICROSECONDS
        try:
            await asyncio.wait_for(stop.wait(), max(0.0, seconds))
        except TimeoutError:
            return


class _Rows:
    """The rows behind the last one that is out, one look ahead."""

    def __init__(self, rows: Iterable[InputRow], skip: int, *, renewed: bool) -> None:
        self._rows = islice(rows, skip, None)
        self._number = skip
        self._next: InputRow | None = next(self._rows, None)
        self._renewed = renewed

    @property
    def finished(self) -> bool:
        return self._next is None

    def reference(self, limit: int) -> list[InputRow]:
        """The rows of reference data that stand before the next request."""
        found: list[InputRow] = []
        while (
            self._next is not None and isinstance(self._next.entry, ReferencePublished) and len(found) < limit
        ):
            found.append(self._pop())
        return found

    def take(self, moments: Sequence[int]) -> Iterator[tuple[InputRow, int]]:
        """A row for each moment, while there are any."""
        for moment in moments:
            if self._next is None:
                return
            row = self._pop()
            yield (self._renew(row, moment) if self._renewed else row), moment

    def _pop(self) -> InputRow:
        row, self._next = self._next, next(self._rows, None)
        assert row is not None
        self._number += 1
        return row

    def _renew(self, row: InputRow, moment: int) -> InputRow:
        if isinstance(row.entry, ReferencePublished):
            return row
        if not row.entry.simulated:
            raise Refused(
                f"row {self._number} is no simulated request: when it occurred is its producer's to say"
            )
        return InputRow(row.ingested_at, msgspec.structs.replace(row.entry, occurred_at=moment))


async def _until_in_force(outlet: Outlet, version: int, stop: asyncio.Event) -> None:
    """Wait until every log that takes requests has put the reference data into force."""
    reader = Follower(outlet.cluster)
    await reader.start()
    try:
        waiting = {(topic, number) for topic in ("intake", "payments") for number in range(outlet.partitions)}
        ends = await reader.ends(waiting)
        for place in sorted(waiting):
            struck = await reader.last(
                place, ends[place], lambda record: record.value[:HEADER_BYTES] in _STRIKES
            )
            if struck is not None and _in_force(place, struck) >= version:
                waiting.discard(place)
        reader.follow(ends)
        deadline = time.monotonic() + _IN_FORCE_SECONDS
        while waiting and not stop.is_set():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"nobody has taken the reference data at {outlet.cluster.address}: is a worker running? "
                    "Requests wait for it; publish again to go on"
                )
            for place, records in (await reader.take(5_000, _LOOK_MS)).items():
                for record in records:
                    if record.value[:HEADER_BYTES] in _STRIKES and _in_force(place, record) >= version:
                        waiting.discard(place)
    finally:
        await reader.close()


def _in_force(place: TopicPartition, record: Any) -> int:
    struck = decoded(place, record).body
    assert isinstance(struck, ClockStruck)
    return struck.reference_version
