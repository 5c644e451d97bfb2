"""Following committed topics from outside: what edges, adapters and publishers read Kafka with.

One consumer, partitions by assignment, records as the library gives them: most are passed over by the five bytes with
which they begin, and making anything of them first would cost more than that. Beside it the two questions that whoever
starts has to ask: where is the end, and what did I write last?
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from events.base import Message
from events.envelope import Recorded
from events.errors import LogDamaged, Unavailable, WireError
from events.partitions import LogOpened
from events.wire import HEADER_BYTES, decode_event, decode_message
from streams.hosts.cluster import Cluster
from streams.hosts.log import TopicPartition
from streams.hosts.refusals import reason, remember
from streams.hosts.strangers import tolerate

#: How long one question may take.
PATIENCE_SECONDS: Final = 30.0
#: Transactions of others hide what stands behind their beginning: for so long it is waited for their end. Producers
#: that say nothing else give theirs a minute.
SETTLED_SECONDS: Final = 75.0
#: The broker answers a fetch at once when there is something; a partition that was empty then waits for the answer to
#: the fetch that is under way, so that is kept short where there are several.
WAIT_MS: Final = 20
#: Where there is one alone it waits for nobody, and the broker need not be asked fifty times a second.
WAIT_ALONE_MS: Final = 500

_LOOK_MS: Final = 100
_CLOSE_SECONDS: Final = 5.0
_FIRST_LOOK_BACK: Final = 64

# Who only reads does not come by the transactions, which do the same.
tolerate()
remember()


@asynccontextmanager
async def asking(cluster: Cluster, patience: float | None = PATIENCE_SECONDS) -> AsyncIterator[None]:
    """What the library raises becomes Unavailable, or LogDamaged where records are gone."""
    try:
        async with asyncio.timeout(patience):
            yield
    except OffsetOutOfRangeError as error:
        raise LogDamaged(f"records are gone that were there before: {reason(error)}") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"no answer from Kafka at {cluster.bootstrap}: {reason(error)}") from error


async def make_known(consumer: Any, topics: Iterable[str]) -> None:
    """Let a consumer of the library hear of topics, by their names on the cluster, before it is asked about them.

    Of one that it has not heard of it learns on the way, one at a time, and sleeps a tenth of a second for each: that
    was most of what a take-over took.
    """
    for topic in topics:
        await consumer._client._wait_on_metadata(topic)


async def ends_of(consumer: Any, places: Collection[KafkaPartition]) -> dict[KafkaPartition, int]:
    """The ends of partitions as a consumer of the library sees them."""
    await make_known(consumer, {place.topic for place in places})
    ends: dict[KafkaPartition, int] = await consumer.end_offsets(list(places))
    return ends


class Follower:
    """A reader of topic partitions. Lives in one event loop."""

    def __init__(
        self, cluster: Cluster, *, committed: bool = True, wait_ms: int = WAIT_MS, wait_bytes: int = 1
    ) -> None:
        """The broker keeps an answer back until there are ``wait_bytes``, for ``wait_ms`` at most."""
        self.cluster = cluster
        self._consumer: Any = None
        self._committed = committed
        self._wait_ms = wait_ms
        self._wait_bytes = wait_bytes
        self._places: dict[KafkaPartition, TopicPartition] = {}

    async def start(self) -> None:
        """Connect. Raises Unavailable."""
        self._consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed" if self._committed else "read_uncommitted",
            fetch_max_wait_ms=self._wait_ms,
            fetch_min_bytes=self._wait_bytes,
            **self.cluster.options(),
        )
        try:
            async with asking(self.cluster):
                await self._consumer.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            # The library cancels tasks of its own and waits for them: what they raise would look like an end of ours.
            # Beside us it does not, and where it waits for a broker that has gone it is left.
            stopping = asyncio.ensure_future(consumer.stop())
            done, _ = await asyncio.wait({stopping}, timeout=_CLOSE_SECONDS)
            if done and not stopping.cancelled():
                with suppress(KafkaError, OSError):
                    stopping.result()

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises Unavailable where it does not exist; asking makes no topic."""
        async with asking(self.cluster):
            found = (await self._consumer._client.fetch_all_metadata()).partitions_for_topic(
                self.cluster.topic(topic)
            )
        if not found:
            raise Unavailable(
                f"there is no topic {self.cluster.topic(topic)} at {self.cluster.bootstrap}: tallystick topics create"
            )
        return len(found)

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from here on, and nothing else."""
        self._places = {
            KafkaPartition(self.cluster.topic(topic), partition): (topic, partition)
            for topic, partition in positions
        }
        self._consumer.assign(list(self._places))
        for place, name in self._places.items():
            self._consumer.seek(place, positions[name])

    async def take(self, limit: int, wait_ms: int) -> dict[TopicPartition, list[Any]]:
        """The next records of each partition, up to ``limit`` in all; waits for the first so long."""
        async with asking(self.cluster):
            found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=limit)
        return {self._places[place]: records for place, records in found.items()}

    async def stands(self) -> dict[TopicPartition, int]:
        """The offset that each of the partitions is read from next; ends of transactions are passed over."""
        async with asking(self.cluster):
            return {name: await self._consumer.position(place) for place, name in self._places.items()}

    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last record of each partition, or behind the end of a transaction."""
        named = {KafkaPartition(self.cluster.topic(topic), part): (topic, part) for topic, part in places}
        async with asking(self.cluster):
            found = await ends_of(self._consumer, named)
        return {named[place]: end for place, end in found.items()}

    async def read_up_to(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, Sequence[Any]]]:
        """The records of partitions from their start to their end, part by part, all of them side by side."""
        behind = {place: start for place, start in starts.items() if start < ends[place]}
        self.follow(behind)
        while behind:
            async with asking(self.cluster):
                found = await self._consumer.getmany(*self._asked(behind), timeout_ms=_LOOK_MS)
                # What is left may be ends of transactions alone, which are passed over in silence.
                stands = {
                    name: await self._consumer.position(place)
                    for place, name in self._places.items()
                    if name in behind
                }
            for place, records in found.items():
                name = self._places[place]
                wanted = [record for record in records if record.offset < ends[name]]
                if wanted:
                    yield name, wanted
            behind = {name: stands[name] for name in behind if stands[name] < ends[name]}

    def _asked(self, names: Iterable[TopicPartition]) -> list[KafkaPartition]:
        return [KafkaPartition(self.cluster.topic(topic), partition) for topic, partition in names]

    async def last(self, place: TopicPartition, end: int, wanted: Callable[[Any], bool]) -> Any:
        """The last record before ``end`` that is wanted; None where there is none. Looks back in growing steps."""
        step = _FIRST_LOOK_BACK
        while end > 0:
            start = max(0, end - step)
            found = None
            async for _, records in self.read_up_to({place: start}, {place: end}):
                found = next((record for record in reversed(records) if wanted(record)), found)
            if found is not None:
                return found
            end, step = start, step * 8
        return None


async def settled_ends(
    follower: Follower, places: Sequence[TopicPartition], patience: float = SETTLED_SECONDS
) -> dict[TopicPartition, int]:
    """Committed ends, once they have come up to everything that was written before the call.

    A stranger's open transaction hides what others have committed behind its beginning. Whoever asks what it wrote
    itself must not be told less. Raises Unavailable where a transaction stays open for longer than it is waited for.
    """
    everything = Follower(follower.cluster, committed=False)
    await everything.start()
    try:
        written = await everything.ends(places)
    finally:
        await everything.close()
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        ends = await follower.ends(places)
        hidden = [place for place in places if ends[place] < written[place]]
        if not hidden:
            return ends
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(
                f"somebody's transaction in {follower.cluster.topic(hidden[0][0])} stays open and hides what is"
                " behind it; end that producer, or wait for its time-out, and start again"
            )
        await asyncio.sleep(_LOOK_MS / 1_000)


async def settled(cluster: Cluster, places: Sequence[TopicPartition]) -> None:
    """Return when nothing is open in these partitions. Raises Unavailable."""
    reader = Follower(cluster)
    await reader.start()
    try:
        await settled_ends(reader, places)
    finally:
        await reader.close()


async def group_positions(cluster: Cluster, group: str) -> dict[TopicPartition, tuple[int, str]]:
    """What a group has committed: the next offset of each partition, and the remark left with it."""
    client = AIOKafkaAdminClient(**cluster.options())
    try:
        async with asking(cluster):
            await client.start()
            committed = await client.list_consumer_group_offsets(group)
    finally:
        await client.close()
    return {
        (cluster.name_of(place.topic), place.partition): (kept.offset, kept.metadata)
        for place, kept in committed.items()
        if kept.offset >= 0 and place.topic.startswith(f"{cluster.prefix}.")
    }


async def opened(follower: Follower, place: TopicPartition, stop: asyncio.Event) -> LogOpened | None:
    """What the first record of a log says of it, waited for; None where ``stop`` was set before there was one."""
    while not stop.is_set():
        end = (await follower.ends([place]))[place]
        async for _, records in follower.read_up_to({place: 0}, {place: end}):
            body = decoded(place, records[0]).body
            if isinstance(body, LogOpened):
                return body
            raise LogDamaged(f"{place[0]}/{place[1]} does not begin with LogOpened")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_MS / 1_000)
    return None


def header_of(record: Any) -> bytes:
    """How the bytes of a consumed record begin; a stranger's may have none."""
    value: bytes = record.value or b""
    return value[:HEADER_BYTES]


def message_of(record: Any) -> Message | None:
    """The message that a consumed record holds; None where it holds none, for strangers write what they like."""
    try:
        return decode_message(record.value or b"")
    except WireError:
        return None


def decoded(place: TopicPartition, record: Any) -> Recorded:
    """The event that a consumed record of a log holds. Raises LogDamaged."""
    try:
        return decode_event(record.value or b"")
    except WireError as error:
        raise LogDamaged(f"{place[0]}/{place[1]} at {record.offset}: {error}") from error
