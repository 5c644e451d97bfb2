"""The port of a log: what an engine's host may ask of it, and what each implementation guarantees.

A log holds topics, each of one or more partitions, each a chained sequence of records. An *owner* (an index of
the engines, an edge, the publisher) commits what it made, how far it has read and, where it keeps one, its
state, in one transaction: all of it or nothing. What a crash leaves behind is the last commit.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from streams.features.shelf import Cupboard, Moves

#: The chain value before the first record of a partition.
GENESIS: Final = bytes(32)

#: How many records are read at once by whoever reads a partition to its end.
READ: Final = 5_000


def link(previous: bytes, at: int, value: bytes) -> bytes:
    """The chain value of a record: SHA-256 over the previous one, the stamp and the record's bytes."""
    return hashlib.sha256(previous + at.to_bytes(8, "big", signed=True) + value).digest()


class Stored(NamedTuple):
    """A record as a log keeps it. ``at`` is the transport's stamp, microseconds UTC."""

    offset: int
    at: int
    value: bytes
    chain: bytes


class Append(NamedTuple):
    """A record to be."""

    topic: str
    partition: int
    at: int
    value: bytes


TopicPartition = tuple[str, int]


class Log(Protocol):
    """What hosts ask of a log."""

    @property
    def holes(self) -> bool:
        """Whether offsets have holes and positions may be forgotten, as on Kafka; the records are all there."""

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        """Up to ``limit`` committed records from ``offset`` on, in order; none only where there are no more."""

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record will get, or one before it where offsets have holes."""

    def commit(
        self,
        owner: str,
        appends: Sequence[Append],
        positions: Mapping[TopicPartition, int],
        state: bytes | None = None,
        moves: Iterable[Sequence[Moves]] = (),
    ) -> None:
        """Append, move positions and (unless None) replace the owner's state, in one transaction.

        With the state go ``moves``: what of it lies in the owner's cupboard from now on.
        """

    def positions(self, owner: str) -> dict[TopicPartition, int]:
        """The next offset to read, for every partition the owner has ever committed."""

    def state(self, owner: str) -> bytes | None:
        """What the owner last committed as its state."""

    def cupboard(self, owner: str) -> Cupboard:
        """The cold rows that belong to the owner's state."""

    def close(self) -> None:
        """Let go of what is held; committed records stay."""


def blocks_of(log: Log, topic: str, partition: int, offset: int = 0) -> Iterator[Sequence[Stored]]:
    """A partition from an offset to its end, so many records at a time. Raises LogDamaged, Unavailable."""
    while block := log.read(topic, partition, offset, READ):
        yield block
        offset = block[-1].offset + 1


def records_of(log: Log, topic: str, partition: int, offset: int = 0) -> Iterator[Stored]:
    """The same, record by record."""
    for block in blocks_of(log, topic, partition, offset):
        yield from block


def ends_with(log: Log, topic: str, partition: int, end: int, chain: bytes | None) -> bool:
    """Whether the record before ``end`` is there and has this chain value."""
    found = log.read(topic, partition, end - 1, 1)
    return bool(found) and found[0].offset == end - 1 and found[0].chain == chain
