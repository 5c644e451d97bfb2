"""Snapshots: what an engine is between two inputs, so that a restart need not fold the whole log.

A snapshot is an optimisation and never the truth: it carries its format, the behaviour version and the log
positions it was taken at, and one that does not fit is discarded and the log folded instead.
"""

import hashlib
from typing import Final

import msgspec

from events.envelope import Recorded, Versions
from events.errors import LogDamaged
from events.wire import decode_event, encode_event
from streams.processor import Work

#: Raised whenever the layout below, or the state of any processor, changes its meaning.
FORMAT: Final = 3


class EngineSnapshot(msgspec.Struct, frozen=True):
    """One engine. Recorded events are kept as log bytes, states as msgpack of their own types."""

    sequences: dict[str, int]
    marks: dict[str, int]
    ticks: dict[int, tuple[int, int]]
    tick: int
    now: int
    step_number: int
    works: list[tuple[int, Work]] | None
    deferred: dict[int, list[bytes]]
    references: list[bytes]
    references_read: int
    versions: Versions
    cause: str
    states: list[bytes]


def packed(events: list[Recorded]) -> list[bytes]:
    """Recorded events as log bytes."""
    return [encode_event(recorded) for recorded in events]


def unpacked(events: list[bytes]) -> list[Recorded]:
    """The other way."""
    return [decode_event(value) for value in events]


class IndexSnapshot(msgspec.Struct, frozen=True):
    """All engines of an index at one commit: where its logs ended and how far it had read its inputs."""

    format: int
    behaviour: int
    partitions: int
    log_ends: dict[str, int]
    positions: dict[str, int]
    broadcast: dict[str, int]
    engines: dict[str, EngineSnapshot]


def seal(snapshot: IndexSnapshot) -> bytes:
    """The bytes of a snapshot behind their SHA-256."""
    body = msgspec.msgpack.encode(snapshot)
    return hashlib.sha256(body).digest() + body


def unseal(data: bytes) -> IndexSnapshot | None:
    """The snapshot, or None where its format is another; LogDamaged where its bytes have changed."""
    digest, body = data[:32], data[32:]
    if hashlib.sha256(body).digest() != digest:
        raise LogDamaged("a snapshot is damaged: its bytes do not have the hash they were kept with")
    header = msgspec.msgpack.decode(body, type=_Header)
    if header.format != FORMAT:
        return None
    return msgspec.msgpack.decode(body, type=IndexSnapshot)


class _Header(msgspec.Struct):
    format: int
