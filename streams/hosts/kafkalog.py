"""A log on Kafka as whoever is no worker sees it: the port of :mod:`streams.hosts.log`, one call after the other.

For restoring an index, for projectors, replay, audits and the command line. Reads what is committed, up to the last
stable offset. Offsets have holes here (each transaction's end takes one), so they order records and count nothing.

Each log has an event loop of its own, in the thread that made it, so a host may restore in a thread while its own loop
goes on with the heartbeats.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from events.errors import LogDamaged, Retry, Unavailable
from events.partitions import ClockKind
from streams.features.shelf import NOTHING, Cupboard, Moves
from streams.hosts.clocks import WallClock
from streams.hosts.cluster import BusinessTime, Cluster, stored
from streams.hosts.following import Follower, ends_of, group_positions, make_known
from streams.hosts.index import Run
from streams.hosts.log import Append, Stored, TopicPartition
from streams.hosts.refusals import reason
from streams.hosts.transactions import Transactions
from streams.topology import INBOXES, LOGS, TOPICS

#: How long one question may take.
PATIENCE_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 5.0
#: For how long what was learned of the ends is good: reading many partitions asks once for all of them.
_ENDS_SECONDS: Final = 0.02
#: How long to wait for records, here and at the broker, before looking whether there are any: behind the last one may
#: stand the end of a transaction, over which the consumer passes without a word.
_FETCH_MS: Final = 5
#: How often a moment is looked for in which nobody commits.
_VIEW_TRIES: Final = 200
_VIEW_SECONDS: Final = 0.01
#: For how long whoever has committed looks for it.
_VISIBLE_SECONDS: Final = 1.0
_ENGINES_TOPICS: Final = frozenset({*LOGS, *INBOXES})

_T = TypeVar("_T")


def group_of(cluster: Cluster, owner: str) -> str:
    """The consumer group that keeps an owner's positions: one for all indexes, one for each edge."""
    if owner.startswith("index/"):
        return f"{cluster.prefix}.engines"
    return f"{cluster.prefix}.edge.{owner.replace('/', '.')}"


class KafkaLog:
    """The topics of one house on a cluster. Used by the thread that made it."""

    #: Offsets have holes, and the group's positions are forgotten when it has been idle for a week.
    holes = True

    def __init__(
        self,
        cluster: Cluster,
        business_time: BusinessTime = None,
    ) -> None:
        """Raises Unavailable where nobody answers."""
        self.cluster = cluster
        self.business_time = business_time
        #: Where the cold rows of owners lie beside the log.
        self.cupboards: dict[str, Cupboard] = {}
        self._loop = asyncio.new_event_loop()
        self._writers: dict[str, Transactions] = {}
        # Where the consumer stands, and the offset behind the last record that was given: between the two lie ends of
        # transactions alone.
        self._positions: dict[KafkaPartition, int] = {}
        self._following: dict[KafkaPartition, int] = {}
        self._ends: dict[KafkaPartition, int] = {}
        self._ends_at = 0.0
        self._frozen: dict[str, dict[TopicPartition, int]] | None = None
        self._consumer: Any = None
        try:
            self._consumer = self._run(self._started())
        except BaseException:
            self.close()
            raise

    async def _started(self) -> Any:
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            # A partition that is read to its end would otherwise hold up the others for the library's 500 ms: one
            # question is with the broker at a time, for all partitions that have nothing here. (last() took 0.6 s.)
            fetch_max_wait_ms=_FETCH_MS,
            fetch_max_bytes=8 << 20,
            max_partition_fetch_bytes=2 << 20,
            **self.cluster.options(),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        async def bounded() -> _T:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await work

        try:
            return self._loop.run_until_complete(bounded())
        except (KafkaError, TimeoutError, OSError) as error:
            if isinstance(error, OffsetOutOfRangeError):
                raise LogDamaged(f"records are gone that were there before: {reason(error)}") from error
            raise Unavailable(f"no answer from Kafka at {self.cluster.bootstrap}: {reason(error)}") from error

    # -- the port ----------------------------------------------------------------------------------

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        return self._run(self._read(topic, partition, offset, limit))

    async def _read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        place = KafkaPartition(self.cluster.topic(topic), partition)
        await self._turn_to(place, offset)
        wait = 0
        while True:
            found = await self._consumer.getmany(place, timeout_ms=wait, max_records=limit)
            records = found.get(place)
            self._positions[place] = await self._consumer.position(place)
            if records:
                self._following[place] = records[-1].offset + 1
                end = self._ends[place] if self._frozen is not None else None
                return [
                    stored(topic, record, self.business_time)
                    for record in records
                    if end is None or record.offset < end
                ]
            if self._positions[place] >= await self._end(place):
                return []
            wait = _FETCH_MS

    async def _turn_to(self, place: KafkaPartition, offset: int) -> None:
        """Let the next record of a partition be the one at ``offset`` or behind it."""
        if place not in self._positions:
            await make_known(self._consumer, (place.topic,))
            # A new assignment forgets where the old one stood.
            self._positions[place] = offset
            self._consumer.assign(list(self._positions))
            self._following.clear()
            for known, position in self._positions.items():
                self._consumer.seek(known, position)
        elif offset not in (self._positions[place], self._following.get(place)):
            self._positions[place] = offset
            self._consumer.seek(place, offset)

    def end(self, topic: str, partition: int) -> int:
        return self._run(self._end(KafkaPartition(self.cluster.topic(topic), partition)))

    async def _end(self, place: KafkaPartition) -> int:
        if self._frozen is not None and place in self._ends:
            return self._ends[place]
        if place not in self._ends or time.monotonic() - self._ends_at > _ENDS_SECONDS:
            self._ends = await ends_of(self._consumer, self._ends.keys() | {place})
            self._ends_at = time.monotonic()
        return self._ends[place]

    def commit(
        self,
        owner: str,
        appends: Sequence[Append],
        positions: Mapping[TopicPartition, int],
        state: bytes | None = None,
        moves: Iterable[Sequence[Moves]] = (),
    ) -> None:
        """As the owner's own host does it; the first commit of an owner shuts out whoever had the name before."""
        if state is not None or moves:
            raise NotImplementedError("on Kafka no state is kept in the log: hosts keep snapshots beside it")
        self._run(self._commit(owner, appends, positions))

    async def _commit(
        self, owner: str, appends: Sequence[Append], positions: Mapping[TopicPartition, int]
    ) -> None:
        writer = self._writers.get(owner)
        if writer is None:
            writer = self._writers[owner] = Transactions(self.cluster, owner)
            await writer.fence(
                {(topic, partition) for topic, partition, _, _ in appends}, group_of(self.cluster, owner)
            )
        for place in {(topic, partition) for topic, partition, _, _ in appends if topic in LOGS}:
            if place not in writer.chains:
                last = await self._last(*place)
                if last is not None:
                    writer.chains[place] = last.chain
        ends = await writer.commit(appends, group_of(self.cluster, owner), positions)
        await self._until_visible(ends)

    async def _until_visible(self, ends: Mapping[TopicPartition, int]) -> None:
        """Whoever writes here and then reads is to find what was written.

        The broker says that a transaction is committed before it has marked its end everywhere. Somebody else's open
        transaction may hide it for longer: that is not waited for.
        """
        written = {
            KafkaPartition(self.cluster.topic(topic), part): end for (topic, part), end in ends.items()
        }
        self._ends.clear()
        deadline = time.monotonic() + _VISIBLE_SECONDS
        while written and time.monotonic() < deadline:
            found = await ends_of(self._consumer, written)
            if all(found[place] >= end for place, end in written.items()):
                return
            await asyncio.sleep(_VIEW_SECONDS)

    def last(self, topic: str, partition: int) -> Stored | None:
        """The last committed record of a partition; None where there is none."""
        return self._run(self._last(topic, partition))

    async def _last(self, topic: str, partition: int) -> Stored | None:
        end = await self._end(KafkaPartition(self.cluster.topic(topic), partition))
        # In front of it stand ends of transactions, and what was never committed.
        back = 1
        while end > 0:
            start = max(0, end - back)
            records = await self._read(topic, partition, start, back)
            while records:
                last = records[-1]
                records = await self._read(topic, partition, last.offset + 1, back)
                if not records:
                    return last
            if start == 0:
                break
            back *= 8
        return None

    def positions(self, owner: str) -> dict[TopicPartition, int]:
        group = group_of(self.cluster, owner)
        committed = (
            self._run(self._group_positions(group)) if self._frozen is None else self._frozen.get(group, {})
        )
        number = owner.rpartition("/")[2]
        return {
            (topic, partition): position
            for (topic, partition), position in committed.items()
            if not owner.startswith("index/") or partition == int(number)
        }

    async def _group_positions(self, group: str) -> dict[TopicPartition, int]:
        return {place: offset for place, (offset, _) in (await group_positions(self.cluster, group)).items()}

    def state(self, owner: str) -> bytes | None:
        return None  # Snapshots lie beside the log.

    def cupboard(self, owner: str) -> Cupboard:
        return self.cupboards.get(owner, NOTHING)

    # -- for whoever looks at everything -----------------------------------------------------------

    def places(self) -> list[TopicPartition]:
        """Every topic partition that holds a record. Raises Unavailable where topics are missing."""
        return self._run(self._places())

    async def _places(self) -> list[TopicPartition]:
        found = []
        await make_known(self._consumer, (self.cluster.topic(topic.name) for topic in TOPICS))
        for topic in TOPICS:
            name = self.cluster.topic(topic.name)
            parts = self._consumer.partitions_for_topic(name)
            if not parts:
                raise Unavailable(
                    f"there is no topic {name} at {self.cluster.bootstrap}: tallystick topics create"
                )
            found += [(topic.name, partition) for partition in sorted(parts)]
        places = {
            KafkaPartition(self.cluster.topic(topic), partition): (topic, partition)
            for topic, partition in found
        }
        if self._frozen is None:
            self._ends = await self._consumer.end_offsets(list(places))
            self._ends_at = time.monotonic()
        return [named for place, named in places.items() if self._ends[place] > 0]

    def owners(self) -> list[str]:
        """The indexes; edges keep what they keep by themselves."""
        return [f"index/{partition}" for topic, partition in self.places() if topic == LOGS[0]]

    def live_by(self, run: Run) -> None:
        """Read the broker's stamps by the clock that a log was opened with. Raises LogDamaged."""
        wall = run.clock is ClockKind.WALL
        self.business_time = WallClock.of(run.arguments).business_time if wall else None

    @contextmanager
    def view(self) -> Iterator[None]:
        """Everything read inside is of one moment: one in which nothing was seen to move, and nothing stood open.

        A committed transaction becomes readable partition by partition, each when the broker has marked its end there:
        for some milliseconds half of it can be seen. So what can be read must be all that is written, in the topics to
        which engines alone write; elsewhere somebody's open transaction hides only what no engine has taken yet.

        Raises Retry where commits leave no such moment.
        """
        group = group_of(self.cluster, "index/0")
        written = Follower(self.cluster, committed=False)
        self._run(written.start())
        try:
            for _ in range(_VIEW_TRIES):
                positions = self._moment(group, written)
                if positions is not None:
                    break
                time.sleep(_VIEW_SECONDS)
            else:
                raise Retry(
                    "the log is being written too fast for a look at one moment of it: stop its workers first"
                )
        finally:
            self._run(written.close())
        self._frozen = {group: positions}
        try:
            yield
        finally:
            self._frozen = None

    def _moment(self, group: str, written: Follower) -> dict[TopicPartition, int] | None:
        """The group's positions, with the ends of that moment in place; None where something moved or stands open."""
        positions = self._run(self._group_positions(group))
        self.places()  # Asks for all ends anew.
        named = {(self.cluster.name_of(topic), part): end for (topic, part), end in self._ends.items()}
        readable = {place: end for place, end in named.items() if place[0] in _ENGINES_TOPICS}
        whole = readable == self._run(written.ends(readable))
        return positions if whole and positions == self._run(self._group_positions(group)) else None

    def close(self) -> None:
        async def closing() -> None:
            # Without a broker the library would say good-bye for ever.
            with suppress(KafkaError, TimeoutError, OSError, asyncio.CancelledError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    for writer in self._writers.values():
                        await writer.close()
                    if self._consumer is not None:
                        await self._consumer.stop()

        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(closing())
            self._loop.run_until_complete(_end_all_others())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _end_all_others() -> None:
    """Whatever the library has left running in this loop."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
