"""Bytes to records and values: a log's file, a house on Kafka, and the published schemas."""

import hashlib
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro

from tests.simulation.auditor.logs import LOGS, TOPICS, Body, Record

SCHEMAS = Path(__file__).parents[3] / "schemas"


class Reader:
    """Decodes values by the published schemas alone."""

    def __init__(self) -> None:
        rows = json.loads((SCHEMAS / "published.json").read_text("utf-8"))["schemas"]
        self._rows = {row["id"]: row for row in rows}
        self._schemas: dict[int, Any] = {}

    def read(self, value: bytes) -> tuple[str, str, Body]:
        """Kind, name and content; raises ValueError for anything that is not exactly one value of its schema."""
        number = int.from_bytes(value[1:5], "big")
        row = self._rows.get(number)
        if len(value) < 5 or value[0] != 0 or row is None:
            raise ValueError("no schema that was ever published")
        schema = self._schemas.get(number)
        if schema is None:
            text = (SCHEMAS / f"{row['name']}.v{row['version']}.avsc").read_text("utf-8")
            schema = self._schemas[number] = fastavro.parse_schema(json.loads(text))
        stream = io.BytesIO(value)
        stream.seek(5)
        # Where a union has several records, the record's name comes with it: what is inside tells what it is.
        content = fastavro.schemaless_reader(
            stream, schema, None, return_record_name=True, return_record_name_override=True
        )
        if stream.read(1):
            raise ValueError(f"{row['name']} has bytes to spare")
        assert isinstance(content, dict)
        return row["kind"], row["name"], content


def records(path: Path) -> Iterator[Record]:
    """The records of an embedded log's file, partition by partition in order. Raises ValueError on a broken chain."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        place, chain = -1, bytes(32)
        for packed, at, value, kept in db.execute("SELECT id, at, value, chain FROM record ORDER BY id"):
            if packed >> 41 != place:
                place, chain = packed >> 41, bytes(32)
            topic, partition, offset = TOPICS[(place >> 12) - 1], place & 0xFFF, packed & ((1 << 41) - 1)
            chain = hashlib.sha256(chain + at.to_bytes(8, "big", signed=True) + value).digest()
            if chain != kept:
                raise ValueError(f"the chain of {topic}/{partition} breaks at {offset}")
            yield topic, partition, offset, value


def records_on_kafka(bootstrap: str, prefix: str) -> Iterator[Record]:
    """The committed records of a house's topics, by another client than ours. Raises ValueError on a broken chain."""
    from confluent_kafka import TopicPartition

    with committed(bootstrap, f"{prefix}.auditor") as consumer:
        there = consumer.list_topics(timeout=30).topics
        _until_settled(
            bootstrap,
            [
                (name, part)
                for name in map(f"{prefix}.{{}}".format, TOPICS)
                if not name.endswith("requests")
                for part in there[name].partitions
            ],
        )
        for topic in TOPICS:
            for partition in sorted(there[f"{prefix}.{topic}"].partitions):
                consumer.assign([TopicPartition(f"{prefix}.{topic}", partition, 0)])
                yield from _partition(consumer, topic, partition)


@contextmanager
def committed(bootstrap: str, group: str) -> Iterator[Any]:
    """A consumer of what is committed, which is told where a partition ends."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _until_settled(bootstrap: str, places: list[tuple[str, int]]) -> None:
    """Wait until all that is written can be read: the end of a transaction is marked partition by partition."""
    from confluent_kafka import IsolationLevel, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    client = AdminClient({"bootstrap.servers": bootstrap})
    latest = {TopicPartition(*place): OffsetSpec.latest() for place in places}

    def ends(level: IsolationLevel) -> list[int]:
        found = client.list_offsets(latest, isolation_level=level)
        return [future.result(30).offset for future in found.values()]

    patience_ends = time.monotonic() + 60
    while ends(IsolationLevel.READ_COMMITTED) != ends(IsolationLevel.READ_UNCOMMITTED):
        if time.monotonic() > patience_ends:
            raise ValueError("a transaction stands open: what is behind it cannot be audited yet")
        time.sleep(0.05)


def _partition(consumer: Any, topic: str, partition: int) -> Iterator[Record]:
    chain, heard_at = bytes(32), time.monotonic()
    while True:
        # Asked for more than there is, the client waits for all of its time, at the end of every partition.
        messages = consumer.consume(1_000, timeout=0.05)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > 60:
            raise ValueError(f"{topic}/{partition} has no end: the broker gives nothing more")
        for message in messages:
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    return
                raise ValueError(f"{topic}/{partition}: {message.error().str()}")
            value = message.value() or b""
            if topic in LOGS:
                headers = dict(message.headers() or ())
                chain = hashlib.sha256(chain + headers["at"] + value).digest()
                if chain != headers["chain"]:
                    raise ValueError(f"the chain of {topic}/{partition} breaks at {message.offset()}")
            yield topic, partition, message.offset(), value
