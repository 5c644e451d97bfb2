"""Transactions on Kafka: one fenced producer, and commits of which all happens or nothing.

A transactional id is an owner's name. Starting a producer with it settles what an earlier holder of the name left open
and shuts that holder out for ever, so an owner fences *before* it reads how far it has come. A commit that did not
certainly happen is not tried again: whoever holds the producer leaves the process, and the next one restores.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)
from aiokafka.producer import sender

from events.errors import Broken, Unavailable
from streams.hosts.cluster import Cluster, headers
from streams.hosts.log import GENESIS, Append, TopicPartition, link
from streams.hosts.refusals import reason, remember
from streams.hosts.strangers import tolerate
from streams.topology import LOGS

LOGGER: Final = logging.getLogger("tallystick.kafka")

#: The broker aborts what is left open for so long. Until then it hides other people's later records in the same
#: partitions from committed readers, so it is short; our own deadline comes first, for the library waits for ever.
TRANSACTION_SECONDS: Final = 6.0
COMMIT_SECONDS: Final = 5.0
#: A cluster that has just started, or that settles the transaction of one who was killed, takes a while.
FENCE_SECONDS: Final = 30.0

#: The library's pause when a transaction follows so closely that the one before is still being wound up on the broker:
#: its 20 ms gave 28 ms a transaction where 2 ms gave 9.5 (100 in a row, four partitions each, one broker).
sender.BACKOFF_OVERRIDE = 0.002

# Whoever talks to a broker comes by this module.
tolerate()
remember()

#: A batch and what comes around it stay below the topics' 1 MiB.
BATCH_BYTES: Final = 900_000

#: Told which point of a commit has been reached: for whoever wants to be killed there.
Reach = Callable[[str], None]

#: A record's own headers, beside the ones every record has.
Annotated = Sequence[tuple[str, bytes]]

#: What a record is to a producer: its value and all of its headers.
Outbound = tuple[bytes, list[tuple[str, bytes]]]


class Fenced(Unavailable):
    """Another process has taken over what this one was doing; what it left open has been undone."""


def never(_: str) -> None:
    """Reach nothing."""


def filled(producer: Any, records: Iterable[Outbound]) -> Iterator[Any]:
    """Records as full batches of a producer, in order.

    A producer's own ``send`` makes a future of every record, and looks for its batch each time.
    """
    batch = producer.create_batch()
    for value, own_headers in records:
        # The stamp is the broker's whatever is given here; giving one saves asking the clock.
        if batch.append(timestamp=0, key=None, value=value, headers=own_headers) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=0, key=None, value=value, headers=own_headers)
    batch.close()
    yield batch


class Transactions:
    """The producer of one owner."""

    def __init__(self, cluster: Cluster, owner: str, reach: Reach = never) -> None:
        """``owner`` as in ``index/3``: the transactional id is made of it."""
        self._cluster = cluster
        self._id = f"{cluster.prefix}.{owner.replace('/', '.')}"
        self._reach = reach
        self._producer: Any = None
        #: The last chain value of each log partition, for whoever appends to it alone.
        self.chains: dict[TopicPartition, bytes] = {}

    async def fence(self, written: Collection[TopicPartition] = (), group: str = "") -> None:
        """Shut out whoever had the name before, and settle what that one left open.

        ``written`` is what whoever has this name may append to, and ``group`` where its positions are kept. The
        transaction of the one before is over when the fence stands, but not everywhere: to partitions that have no
        leader just then, as when the one broker that has them has been frozen, Kafka 4.3 does not tell it, for it takes
        them for deleted (TransactionMarkerChannelManager). What was appended there stays open, of nobody's concern,
        until the next transaction of this name ends and takes it along: a commit would make records of what was
        never committed, behind the back of whoever has restored without them. So the next one is an empty one that is
        undone, on all of them.

        Raises Unavailable.
        """
        self._producer = AIOKafkaProducer(
            transactional_id=self._id,
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1_000),
            max_batch_size=BATCH_BYTES,
            acks="all",
            **self._cluster.options(),
        )
        try:
            async with asyncio.timeout(FENCE_SECONDS):
                await self._producer.start()
                if written:
                    await self._undo_what_is_left(written, group)
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            raise Unavailable(
                f"{self._id} cannot begin at {self._cluster.bootstrap}: {reason(error)}"
            ) from error
        self._reach("after-fence")

    async def _undo_what_is_left(self, written: Collection[TopicPartition], group: str) -> None:
        producer = self._producer
        places = [KafkaPartition(self._cluster.topic(topic), partition) for topic, partition in written]
        await producer.begin_transaction()
        for place in places:
            # A partition of a transaction is told how it ends, whether anything has been appended or not.
            producer._txn_manager.maybe_add_partition_to_txn(place)
        if group:
            # Any position will do, for it is undone.
            await producer.send_offsets_to_transaction({places[0]: 0}, group)
        await producer.abort_transaction()

    async def commit(
        self,
        appends: Sequence[Append],
        group: str,
        positions: Mapping[TopicPartition, int],
        annotations: Sequence[Annotated] = (),
    ) -> dict[TopicPartition, int]:
        """Append, move the group's positions, commit; gives the offset behind the last record of each partition.

        ``annotations`` are further headers, append by append. Raises Fenced, Unavailable; after either, the producer
        is of no use.
        """
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                return await self._commit(appends, group, positions, annotations)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(f"{self._id}: another process has taken over") from error
        except IllegalOperation as error:
            # What the library says when the transaction has been ended under its hands, at the first thing done after.
            raise Fenced(
                f"{self._id}: another process has taken over, or the broker has given up on us"
            ) from error
        except MessageSizeTooLargeError as error:
            raise Broken(f"{self._id}: a record is larger than its topic takes") from error
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self._id}: a transaction did not go through: {reason(error)}") from error

    async def _commit(
        self,
        appends: Sequence[Append],
        group: str,
        positions: Mapping[TopicPartition, int],
        annotations: Sequence[Annotated],
    ) -> dict[TopicPartition, int]:
        producer = self._producer
        chains = dict(self.chains)
        await producer.begin_transaction()
        sent = [
            (
                place,
                batch.record_count(),
                await producer.send_batch(batch, self._cluster.topic(place[0]), partition=place[1]),
            )
            for place, batch in self._batches(appends, annotations, chains)
        ]
        ends: dict[TopicPartition, int] = {}
        for place, count, future in sent:
            # Every one: a record that was refused without anybody asking would be lost in a commit that succeeds.
            ends[place] = (await future).offset + count
        self._reach("after-produce")
        if positions:
            offsets = {
                KafkaPartition(self._cluster.topic(topic), partition): following
                for (topic, partition), following in positions.items()
            }
            await producer.send_offsets_to_transaction(offsets, group)
        self._reach("after-offsets")
        await producer.commit_transaction()
        self._reach("after-commit")
        self.chains = chains
        return ends

    def _batches(
        self,
        appends: Sequence[Append],
        annotations: Sequence[Annotated],
        chains: dict[TopicPartition, bytes],
    ) -> Iterator[tuple[TopicPartition, Any]]:
        """The appends as full batches, in order within each partition; moves the chains on."""
        by_place: defaultdict[TopicPartition, list[Outbound]] = defaultdict(list)
        for number, (topic, partition, at, value) in enumerate(appends):
            place = (topic, partition)
            chain = None
            if topic in LOGS:
                chain = chains[place] = link(chains.get(place, GENESIS), at, value)
            own = headers(at, chain)
            by_place[place].append((value, [*own, *annotations[number]] if annotations else own))
        for place, records in by_place.items():
            yield from ((place, batch) for batch in filled(self._producer, records))

    async def close(self) -> None:
        """Let the name go. What is open is aborted."""
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await producer.stop()
        except (KafkaError, TimeoutError, OSError) as error:
            LOGGER.warning("%s: closing the producer: %s", self._id, reason(error))
