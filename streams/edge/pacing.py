"""An input file onto Kafka by the clock on the wall: nobody waits for anybody.

Rows go out as they come, or at a rate, each at the moment that was foreseen for it: however slow the answers are, the
schedule stays. Reference data goes first, and requests wait until it is in force, for they would be refused before.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from events.errors import Refused, Unavailable
from events.partitions import ClockStruck
from events.requests import InputRow, ReferencePublished
from events.wire import headers_of
from streams.edge.outlet import Outlet
from streams.edge.publisher import Published, placed
from streams.hosts.following import Follower, decoded, header_of, message_of, settled_ends
from streams.hosts.log import TopicPartition

#: How long a look at what others have done takes before the publisher looks whether it shall stop.
_LOOK_MS: Final = 200
#: A worker that runs takes reference data within a second; one that has just been started restores first.
_IN_FORCE_SECONDS: Final = 60.0
_MICROSECONDS: Final = 1_000_000

_STRIKES: Final = headers_of((ClockStruck,))
_ENTRIES: Final = headers_of((ReferencePublished,))


async def send(
    outlet: Outlet,
    rows: Iterable[InputRow],
    skip: int,
    stop: asyncio.Event,
    watch: Callable[[int], None],
    *,
    batch: int,
    rate: int | None = None,
    renewed: bool = False,
) -> tuple[int, bool]:
    """Send the rows behind the first ``skip``; the number of the last one, and whether that is the end.

    ``rate`` is in rows a second (None: as fast as they go out); ``renewed`` lets simulated requests occur when they are
    sent; ``watch`` is told each number.
    """
    following = _Rows(rows, skip, renewed=renewed)
    known = await _Known.read(outlet)
    while (entries := following.reference(batch)) and not stop.is_set():
        await _put(outlet, known, [(number, row, _wall()) for number, row in entries])
        watch(following.number)
    if following.version and not following.requested and not following.finished:
        await _until_in_force(outlet, following.version, stop)
    pace = _Pace(rate)
    while not following.finished and not stop.is_set():
        due = pace.due(batch)
        if due:
            await _put(outlet, known, list(following.take(due)))
            watch(following.number)
        else:
            await pace.wait(stop)
    return following.number, following.finished


async def _put(outlet: Outlet, known: "_Known", rows: Sequence[tuple[int, InputRow, int]]) -> None:
    """Publish rows, each with its number and its moment; but no reference data that is there already."""
    news = [(number, row, at) for number, row, at in rows if known.is_news(number, row)]
    if news:
        block: list[Published] = [placed(InputRow(at, row.entry), outlet.partitions) for _, row, at in news]
        await outlet.put(block, [number for number, _, _ in news])


class _Known:
    """The reference data that the topic has: its versions count all files, and each is published once."""

    def __init__(self, entries: dict[int, str]) -> None:
        self._entries = entries

    @classmethod
    async def read(cls, outlet: Outlet) -> "_Known":
        """Everything that is out now: a commit has been answered before all of its partitions know of it."""
        place: TopicPartition = ("reference", 0)
        entries: dict[int, str] = {}
        reader = Follower(outlet.cluster)
        await reader.start()
        try:
            async for _, records in reader.read_up_to({place: 0}, await settled_ends(reader, [place])):
                for record in records:
                    entry = message_of(record) if header_of(record) in _ENTRIES else None
                    if isinstance(entry, ReferencePublished):
                        entries.setdefault(entry.version, entry.sha256)
        finally:
            await reader.close()
        return cls(entries)

    def is_news(self, number: int, row: InputRow) -> bool:
        """Whether a row has to go out. Raises Refused where it contradicts what is there, or leaves a gap."""
        entry = row.entry
        if not isinstance(entry, ReferencePublished):
            return True
        there = self._entries.get(entry.version)
        if there == entry.sha256:
            return False
        if there is not None or (entry.version > 1 and entry.version - 1 not in self._entries):
            what = (
                "is another there"
                if there is not None
                else f"does not follow {max(self._entries, default=0)}"
            )
            raise Refused(
                f"row {number}: reference data of version {entry.version} {what}: versions count what the topic holds"
            )
        self._entries[entry.version] = entry.sha256
        return True


def _wall() -> int:
    return time.time_ns() // 1_000


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
    """The rows behind those that are out, one look ahead. ``number`` is that of the last one given."""

    def __init__(self, rows: Iterable[InputRow], skip: int, *, renewed: bool) -> None:
        self.number = 0
        #: The last version of reference data given or skipped, and whether a request was.
        self.version = 0
        self.requested = False
        self._rows = iter(rows)
        self._next: InputRow | None = next(self._rows, None)
        self._renewed = renewed
        while self._next is not None and self.number < skip:
            self._pop()

    @property
    def finished(self) -> bool:
        return self._next is None

    def reference(self, limit: int) -> list[tuple[int, InputRow]]:
        """The rows of reference data that stand before the next request, with their numbers."""
        found: list[tuple[int, InputRow]] = []
        while (
            self._next is not None and isinstance(self._next.entry, ReferencePublished) and len(found) < limit
        ):
            row = self._pop()
            found.append((self.number, row))
        return found

    def take(self, moments: Sequence[int]) -> Iterator[tuple[int, InputRow, int]]:
        """A row for each moment, while there are any."""
        for moment in moments:
            if self._next is None:
                return
            row = self._pop()
            yield self.number, self._renew(row, moment) if self._renewed else row, moment

    def _pop(self) -> InputRow:
        row, self._next = self._next, next(self._rows, None)
        assert row is not None
        self.number += 1
        if isinstance(row.entry, ReferencePublished):
            self.version = row.entry.version
        else:
            self.requested = True
        return row

    def _renew(self, row: InputRow, moment: int) -> InputRow:
        if isinstance(row.entry, ReferencePublished):
            return row
        if not row.entry.simulated:
            raise Refused(
                f"row {self.number} is no simulated request: when it occurred is its producer's to say"
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
            struck = await reader.last(place, ends[place], lambda record: header_of(record) in _STRIKES)
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
                    if header_of(record) in _STRIKES and _in_force(place, record) >= version:
                        waiting.discard(place)
    finally:
        await reader.close()


def _in_force(place: TopicPartition, record: Any) -> int:
    struck = decoded(place, record).body
    assert isinstance(struck, ClockStruck)
    return struck.reference_version
