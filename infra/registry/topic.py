"""The registry's records on a compacted Kafka topic, so that every worker serves the same registry.

A turn is the fencing of a transactional id that all registries of a house share: whoever starts a producer with it
shuts out the one before, and what that one left open is undone. So a transaction that commits is that of somebody who
began last, has read all that was committed before, and nobody else's came in between. Keys can therefore be those of
Confluent's topic: two writers never write one version, and compaction keeps the right word on it.

Rejected: deciding by the order of the log alone, each reader refusing what came too late. Compaction would remove the
record that came first, under the same key, and leave the one that everybody had refused.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from events.errors import Refused, Unavailable
from infra.kafka.client import aiokafka
from infra.kafka.topics import REGISTRY
from streams.hosts.cluster import Cluster
from streams.hosts.refusals import reason, remember
from streams.hosts.registry.records import Encoded
from streams.hosts.registry.refusal import Overtaken
from streams.hosts.registry.service import Append

LOGGER: Final = logging.getLogger("tallystick.registry")
OWNER: Final = "registry"
#: How long one question to the broker may take.
PATIENCE_SECONDS: Final = 10.0
#: The broker ends what is left open for so long; until then a turn of somebody else ends it.
_TRANSACTION_MS: Final = 10_000
#: How long a question for records may wait for some. The library's half a second would hold up the next question for
#: the end, on the same connection: a write took 530 ms, and takes 100.
_FETCH_MS: Final = 20
#: Who has lost a turn waits up to so long: two who began at once would otherwise go on shutting each other out.
_PAUSE_SECONDS: Final = 0.2

remember()


class TopicStorage:
    """Records on the topic ``PREFIX.schemas``; see :class:`streams.hosts.registry.service.Storage`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._topic = cluster.topic(REGISTRY.name)
        self._consumer: Any = None
        self._place: Any = None
        #: Read, and not given yet: a caller may give up while more is being read.
        self._read: list[tuple[bytes | None, bytes | None]] = []
        #: Behind the last record that we have committed. The broker says "committed" a moment before readers see it.
        self._own_end = 0

    async def start(self) -> None:
        """Raises Refused where the topic is missing or would lose records, Unavailable where nobody answers."""
        await self._check()
        library = aiokafka()
        self._place = library.TopicPartition(self._topic, 0)
        self._consumer = library.AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_MS,
            **self._cluster.options(),
        )
        async with self._asking():
            await self._consumer.start()
            self._consumer.assign([self._place])
            await self._consumer.seek_to_beginning(self._place)
            self._consumer.pause(self._place)

    async def stop(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    async def news(self) -> Sequence[tuple[bytes | None, bytes | None]]:
        """Everything up to the last stable offset, and all that was written here."""
        async with self._asking():
            end = max(self._own_end, (await self._consumer.end_offsets([self._place]))[self._place])
            # Between questions it stands still: it would ask for more fifty times a second.
            self._consumer.resume(self._place)
            try:
                while await self._consumer.position(self._place) < end:
                    found = await self._consumer.getmany(self._place, timeout_ms=_FETCH_MS)
                    self._read += [(record.key, record.value) for record in found.get(self._place, ())]
            finally:
                self._consumer.pause(self._place)
        read, self._read = self._read, []
        return read

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Append]:
        """Shut out whoever had the turn before. Raises Overtaken, Unavailable."""
        library = aiokafka()
        errors = aiokafka(".errors")
        producer = library.AIOKafkaProducer(
            transactional_id=f"{self._cluster.prefix}.{OWNER}",
            transaction_timeout_ms=_TRANSACTION_MS,
            acks="all",
            **self._cluster.options(),
        )

        async def append(records: Sequence[Encoded]) -> None:
            end = 0
            async with self._asking(), producer.transaction():
                for key, value in records:
                    end = (await producer.send_and_wait(self._topic, value, key=key, partition=0)).offset + 1
            self._own_end = end

        try:
            async with self._asking():
                await producer.start()
            yield append
        except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
            # Not to decide anything, only to fall out of step.
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311
            raise Overtaken("another registry has taken its turn") from error
        finally:
            with suppress(errors.KafkaError, TimeoutError, OSError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await producer.stop()

    async def _check(self) -> None:
        admin = aiokafka(".admin")
        client = admin.AIOKafkaAdminClient(**self._cluster.options())
        config = admin.config_resource
        try:
            async with self._asking():
                await client.start()
                topics = {topic["topic"]: topic for topic in await client.describe_topics()}
                found = topics.get(self._topic)
                if found is None or found["error_code"]:
                    raise Refused(
                        f"there is no topic {self._topic} at {self._cluster.bootstrap}: "
                        f"tallystick topics create --prefix {self._cluster.prefix}"
                    )
                answers = await client.describe_configs(
                    [config.ConfigResource(config.ConfigResourceType.TOPIC, self._topic)]
                )
        finally:
            await client.close()
        settings = {entry[0]: entry[1] for answer in answers for row in answer.resources for entry in row[4]}
        if len(found["partitions"]) != 1 or settings.get("cleanup.policy") != "compact":
            raise Refused(
                f"the topic {self._topic} must have one partition and cleanup.policy=compact, or schemas would get "
                "lost; tallystick topics check says more"
            )

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """What the library raises becomes Unavailable, but for having been fenced."""
        errors = aiokafka(".errors")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield
        except (errors.ProducerFenced, errors.InvalidProducerEpoch):
            raise
        except (errors.KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(
                f"no answer from Kafka at {self._cluster.bootstrap}: {reason(error)}"
            ) from error
