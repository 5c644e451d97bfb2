"""The floor: what the same records cost the broker, its library and the codec, with nothing decided.

Read are as many and as large records as a worker reads for a payment (the request, its way over the inbox, the
answers), written as many and as large as it writes, in transactions of as many inputs with the positions in them, by
the library and in the batches that the worker uses. Every record read is decoded, every one written is encoded. All is
one hop here and three in the worker, and nothing is projected meanwhile: a floor, not a rival.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from confluent_kafka import Producer

from events.base import Message
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from events.wire import (
    HEADER_BYTES,
    decode_event,
    decode_message,
    encode_event,
    encode_message,
    headers_of,
)
from streams.hosts import transactions
from streams.hosts.cluster import headers
from tests.bench.peers.driver import committed
from tests.bench.peers.systems import make_topics
from tests.bench.peers.work import PARTITIONS

READ: Final = ("payments.requests", "payments.inbox", "network.replies")
#: With whether records are events, of which each carries a chain value.
WRITTEN: Final = (("intake", True), ("payments.inbox", False), ("payments", True))
#: Records of a transaction: the worker's.
BATCH: Final = 500
#: Payments whose records are taken as a sample.
SAMPLE: Final = 4_000
#: More than any machine gets through in a second.
MOST_PER_SECOND: Final = 30_000
_REQUESTED: Final = headers_of((PaymentRequested,))
_CHAIN: Final = bytes(32)


class Written(NamedTuple):
    """A record to write: decoded, so that encoding it is part of the work."""

    topic: str
    content: Recorded | Message

    def encode(self) -> bytes:
        """As it stands in its topic."""
        return (
            encode_event(self.content) if isinstance(self.content, Recorded) else encode_message(self.content)
        )


class Sample(NamedTuple):
    """The records that some payments, at most :data:`SAMPLE`, have left: what was read for them, what written."""

    payments: int
    read: list[bytes]
    written: list[Written]


def floor(bootstrap: str, prefix: str, seconds: float) -> dict[str, Any]:
    """Figures of the floor under the run that left its topics under ``prefix``."""
    sample, written_bytes = sampled(bootstrap, prefix)
    decode = processor_time(lambda: [decode_message(value) for value in sample.read])
    encode = processor_time(lambda: [record.encode() for record in sample.written])
    rate = asyncio.run(_run(bootstrap, f"{prefix}-floor", sample, seconds))
    return {
        "floor_per_second": round(rate, 1),
        "floor_codec_us": round(1e6 * (decode + encode) / sample.payments, 1),
        "records_read_per_payment": round(len(sample.read) / sample.payments, 2),
        "records_written_per_payment": round(len(sample.written) / sample.payments, 2),
        "bytes_read_per_payment": round(sum(map(len, sample.read)) / sample.payments),
        "bytes_written_per_payment": round(written_bytes / sample.payments),
    }


def sampled(bootstrap: str, prefix: str) -> tuple[Sample, int]:
    """The first records of each topic, as many as the sample's payments have there; the bytes of those written."""
    topics = {name: list(committed(bootstrap, f"{prefix}.{name}")) for name in (*READ, "intake", "payments")}
    payments = sum(value[:HEADER_BYTES] in _REQUESTED for value in topics["payments"])
    taken = min(SAMPLE, payments)
    share = {name: values[: len(values) * taken // payments] for name, values in topics.items()}
    read = [value for name in READ for value in share[name]]
    written = [
        Written(name, decode_event(value) if is_event else decode_message(value))
        for name, is_event in WRITTEN
        for value in share[name]
    ]
    return Sample(taken, read, written), sum(len(value) for name, _ in WRITTEN for value in share[name])


def processor_time(call: Callable[[], object]) -> float:
    """Seconds of a core."""
    began = time.process_time()
    call()
    return time.process_time() - began


async def _run(bootstrap: str, prefix: str, sample: Sample, seconds: float) -> float:
    """Payments a second: a loop for each partition, as a worker has one for each index."""
    make_topics(bootstrap, [f"{prefix}.in", *(f"{prefix}.{name}" for name, _ in WRITTEN)])
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000})
    values = cycle(sample.read)
    for number in range(int(MOST_PER_SECOND * seconds)):
        producer.produce(f"{prefix}.in", next(values), partition=number % PARTITIONS)
        producer.poll(0)
    producer.flush()
    loops = [_Loop(bootstrap, prefix, number, sample) for number in range(PARTITIONS)]
    await asyncio.gather(*(loop.start() for loop in loops))
    began = time.monotonic()
    taken = sum(await asyncio.gather(*(loop.run(began + seconds) for loop in loops)))
    took = time.monotonic() - began
    await asyncio.gather(*(loop.stop() for loop in loops))
    return taken / (len(sample.read) / sample.payments) / took


class _Loop:
    """Consume, transform nothing, produce: one partition, one transactional producer."""

    def __init__(self, bootstrap: str, prefix: str, partition: int, sample: Sample) -> None:
        self._prefix, self._partition = prefix, partition
        self._written = cycle(sample.written)
        self._per_input = len(sample.written) / len(sample.read)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=f"{prefix}.{partition}",
            max_batch_size=transactions.BATCH_BYTES,
            acks="all",
        )

    async def start(self) -> None:
        """Be ready."""
        # The pause of the library between two transactions is the one that the worker has, too.
        assert transactions.sender.BACKOFF_OVERRIDE < 0.02
        await self._consumer.start()
        self._consumer.assign([KafkaPartition(f"{self._prefix}.in", self._partition)])
        await self._producer.start()

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._consumer.stop()
        await self._producer.stop()

    async def run(self, until: float) -> int:
        """Work until then, or until nothing is left; how many records were read."""
        taken, owed = 0, 0.0
        while time.monotonic() < until:
            found = await self._consumer.getmany(timeout_ms=1_000, max_records=BATCH)
            records = [record for batch in found.values() for record in batch]
            if not records:
                break
            for record in records:
                decode_message(record.value)
            taken += len(records)
            owed += len(records) * self._per_input
            await self._commit(int(owed), records[-1].offset + 1)
            owed -= int(owed)
        return taken

    async def _commit(self, count: int, position: int) -> None:
        by_topic: dict[str, list[transactions.Outbound]] = {}
        at = time.time_ns() // 1_000
        for _ in range(count):
            record = next(self._written)
            chain = _CHAIN if isinstance(record.content, Recorded) else None
            by_topic.setdefault(record.topic, []).append((record.encode(), headers(at, chain)))
        await self._producer.begin_transaction()
        sent = [
            await self._producer.send_batch(batch, f"{self._prefix}.{topic}", partition=self._partition)
            for topic, records in by_topic.items()
            for batch in transactions.filled(self._producer, records)
        ]
        for future in sent:
            await future
        place = KafkaPartition(f"{self._prefix}.in", self._partition)
        await self._producer.send_offsets_to_transaction({place: position}, f"{self._prefix}.floor")
        await self._producer.commit_transaction()
