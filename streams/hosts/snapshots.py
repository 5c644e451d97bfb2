"""Snapshots: what an engine is between two inputs, so that a restart need not fold the whole log.

A snapshot is an optimisation and never the truth: it carries its format, the behaviour version and the log
positions it was taken at, and one that does not fit is discarded and the log folded instead.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from events.envelope import Recorded, Versions
from events.errors import LogDamaged
from events.wire import decode_event, encode_event
from streams.features.pieces import Apart, Later
from streams.features.shelf import Leaving, Moves, moves_of
from streams.processor import Work

#: Raised whenever the layout below, or the state of any processor, changes its meaning.
FORMAT: Final = 9

#: How many events a log grows by until its index is worth another snapshot...
SNAPSHOT_EVENTS: Final = 100_000
#: ...or one for so many bytes of the last one, where that is more: what is hot is written again each time, and may not
#: cost more than a share of the work between (2.3 ns a byte beside some 60 µs an event). Not fewer: what has come since
#: the one before stays in memory until the next, some 100 bytes an event, and where these buy no more than one event
#: the two make each other grow for ever (40 MB after 60,000 payments, and no end).
SNAPSHOT_BYTES: Final = 500


class Distance:
    """How far the logs of an index have to grow until it is worth another snapshot."""

    def __init__(self, events: int, size: int = 0, turn: float = 0.0) -> None:
        """A snapshot of ``size`` bytes (0: none is known of) stands where the logs held so many events.

        Where there is none yet, the first comes by a share of the way later, which is the index's ``turn``: the indices
        of a house go on side by side, and would all keep theirs at once, while everybody waits.
        """
        self.begin(events, size)
        self._next += 0 if events else int(turn * SNAPSHOT_EVENTS)

    def is_passed(self, events: int) -> bool:
        """Whether the logs have come far enough."""
        return events >= self._next

    def begin(self, events: int, size: int) -> None:
        """A snapshot was taken here."""
        self._next = events + max(SNAPSHOT_EVENTS, size // SNAPSHOT_BYTES)


class EngineSnapshot(msgspec.Struct, frozen=True):
    """One engine. Recorded events are kept as log bytes, states by their own types."""

    sequences: Apart
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
    states: list[Apart]


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


class Spilled:
    """A snapshot and what has left memory with it, for one transaction.

    Made quickly, while an index waits. What takes longer is done when it is asked for, by whoever asks: encoding what
    has left memory, and encoding what has not (:meth:`go_on`, :attr:`body`), between the turns of an index that has
    gone on.
    """

    def __init__(
        self, snapshot: IndexSnapshot, leaving: list[Leaving[Any]], cold: int, later: Iterable[Later] = ()
    ) -> None:
        """``snapshot``: of what an index will change nothing may be in it, but in what is encoded ``later``."""
        self.leaving = leaving
        #: How many rows lie in the owner's cupboard behind the transaction.
        self.cold = cold
        self._snapshot = snapshot
        self._making = (True for one in later for _ in one.make())

    def go_on(self) -> bool:
        """Encode the next some thousand rows; False where none are left. Between two events of the index."""
        return next(self._making, False)

    @cached_property
    def body(self) -> bytes:
        """The snapshot. Between two events of the index, where :meth:`go_on` has not come to its end."""
        while self.go_on():
            pass
        return msgspec.msgpack.encode(self._snapshot)

    @property
    def size(self) -> int:
        """Bytes of the snapshot."""
        return len(self.body)

    def sealed(self) -> bytes:
        """The snapshot as it is kept beside a log on the machine, which takes its size in memory again."""
        return _sealed(self.body)

    def moves(self) -> Iterator[list[Moves]]:
        """What becomes of the cupboard."""
        return moves_of(self.leaving)


def seal(snapshot: IndexSnapshot) -> bytes:
    """The bytes of a snapshot behind their SHA-256."""
    return _sealed(msgspec.msgpack.encode(snapshot))


def _sealed(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


def unseal(data: bytes) -> IndexSnapshot | None:
    """The snapshot, or None where its format is another; LogDamaged where its bytes have changed."""
    return opened(memoryview(data)[32:], data[:32])


def opened(body: bytearray | memoryview, digest: bytes) -> IndexSnapshot | None:
    """The same, of a snapshot and its SHA-256 that were kept apart."""
    if hashlib.sha256(body).digest() != digest:
        raise LogDamaged("a snapshot is damaged: its bytes do not have the hash they were kept with")
    if _HEADER.decode(body).format != FORMAT:
        return None
    return _SNAPSHOT.decode(body)


class _Header(msgspec.Struct):
    format: int


# Made before there are threads: see EngineSpec.
_HEADER: Final = msgspec.msgpack.Decoder(_Header)
_SNAPSHOT: Final = msgspec.msgpack.Decoder(IndexSnapshot)
