"""Where the rows of one file go out on Kafka: a transaction for each block, by one publisher at a time.

Every record says in its headers which file it is of (``file``, the SHA-256 in hex) and which row (``row``, from 1;
ticks have a ``tick`` and the number of rows before them). So how far a file has come stands in the topics themselves:
whoever publishes it again shuts out who did before, waits until what that one left open is settled, and reads the last
row that is committed.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from events.errors import Refused
from events.partitions import ClockKind, LogOpened
from events.requests import Tick
from events.wire import encode_message
from streams.edge.publisher import Published
from streams.hosts.admission import Keys, screened
from streams.hosts.cluster import Cluster
from streams.hosts.following import Follower, decoded, settled_ends
from streams.hosts.log import Append
from streams.hosts.transactions import Reach, Transactions, never

OWNER: Final = "publisher"
FILE_HEADER: Final = "file"
ROW_HEADER: Final = "row"
TICK_HEADER: Final = "tick"


class Came(msgspec.Struct, frozen=True):
    """How far a file has come: rows that are out, and the last tick behind them (0: none)."""

    rows: int
    tick: int


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
        places = [("reference", 0), *(("payments.requests", number) for number in range(self.partitions))]
        await self._transactions.fence(places)
        ends = await settled_ends(self._reader, places)
        rows = tick = 0
        for place in places:
            # In virtual time the topics hold one file, so another one's last record is as good as ours.
            wanted = _is_published if clock is ClockKind.VIRTUAL else self._is_ours
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
            if TICK_HEADER in found:
                tick = max(tick, int(found[TICK_HEADER]))
        return Came(rows, tick)

    async def _check_log(self, clock: ClockKind) -> None:
        place = ("intake", 0)
        end = (await self._reader.ends([place]))[place]
        async for _, records in self._reader.read_up_to({place: 0}, {place: end}):
            opened = decoded(place, records[0]).body
            if isinstance(opened, LogOpened) and opened.clock is not clock:
                raise Refused(
                    f"{self.cluster.address} lives in {opened.clock} time: publish with --clock {opened.clock}"
                )
            return

    def _is_ours(self, record: Any) -> bool:
        return self._file in record.headers and _is_published(record)

    async def put(self, block: Sequence[Published], rows: Sequence[int]) -> None:
        """Publish a block in one transaction. ``rows`` are the numbers of its rows; a tick has that of the last one."""
        appends, annotations = [], []
        for item, row in zip(block, rows, strict=True):
            message = item.message
            numbered = [self._file, (ROW_HEADER, b"%d" % row)]
            if isinstance(message, Tick):
                numbered.append((TICK_HEADER, b"%d" % message.tick))
            annotations.append(numbered)
            value = encode_message(screened(self._keys, message))
            appends.append(Append(item.topic, item.partition, item.ingested_at, value))
        await self._transactions.commit(appends, "", {}, annotations)
        self.transactions += 1

    async def close(self) -> None:
        """Let the name go. What is committed stays."""
        await self._transactions.close()
        await self._reader.close()


def _is_published(record: Any) -> bool:
    """Whether a publisher has written it. A stranger may write a header of any name, with anything in it."""
    found = dict(record.headers)
    numbers = (found.get(ROW_HEADER), found.get(TICK_HEADER, b"0"))
    return FILE_HEADER in found and all(number is not None and number.isdigit() for number in numbers)
