"""Clearing files made again from a log: the same bytes, or the log and the network do not speak of the same records."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from events.base import Event
from events.clearing import ClearingBatchClosed, ClearingRecordCreated
from events.clearingfiles import (
    ClearingBatchAccepted,
    ClearingFileAccepted,
    ClearingFileRejected,
    ClearingFileSent,
)
from events.envelope import Recorded
from events.errors import Refused
from events.wire import HEADER_BYTES, headers_of
from streams.edge.clearingfile import BatchName, Head, file_name, line_of, write
from streams.forensics.reading import decoded
from streams.forensics.replay import run_of
from streams.hosts.log import Log, records_of

_HEARD: Final[tuple[type[Event], ...]] = (
    ClearingRecordCreated,
    ClearingBatchClosed,
    ClearingFileSent,
    ClearingFileRejected,
    ClearingFileAccepted,
    ClearingBatchAccepted,
)
_HEADERS: Final = headers_of(_HEARD)


@dataclass(slots=True)
class Found:
    """What a log says of one file. ``sent`` and ``rejected`` by attempt; ``lines`` of the batches that are in it."""

    file_id: str
    sent: dict[int, ClearingFileSent] = field(default_factory=dict)
    rejected: dict[int, ClearingFileRejected] = field(default_factory=dict)
    accepted: ClearingFileAccepted | None = None
    lines: dict[BatchName, list[str]] = field(default_factory=dict)

    def content(self, attempt: int) -> bytes:
        """The bytes of an attempt, from the records. Refused for one that never left."""
        sent = self.sent.get(attempt)
        if sent is None:
            raise Refused(
                f"{self.file_id} has left with the attempts {', '.join(map(str, sorted(self.sent)))}"
            )
        return write(Head(self.file_id, sent.network, sent.cut_off_at, attempt), self.lines)

    def agrees(self, attempt: int, content: bytes) -> bool:
        """Whether these bytes have the hash that was recorded of the attempt."""
        return sha256(content).hexdigest() == self.sent[attempt].sha256


def find(log: Log, file_id: str) -> Found:
    """What the log says of a file. Refused where it knows none of the name; LogDamaged."""
    found = Found(file_id)
    for partition in range(run_of(log).partitions):
        _look(log, partition, found)
    if not found.sent:
        raise Refused(
            f"the log knows no clearing file {file_id}: `tallystick clearing files list` names them"
        )
    return found


def _look(log: Log, partition: int, found: Found) -> None:
    """One partition. Its records lie by batch; those of the file's own cut-off are kept until it is known that they are
    in it."""
    name = found.file_id
    opened: dict[str, list[str]] = {}
    closed: dict[tuple[str, int], list[str]] = {}
    for recorded in _events(log, partition):
        match recorded.body:
            case ClearingRecordCreated() as body:
                opened.setdefault(body.batch_id, []).append(line_of(body))
            case ClearingBatchClosed() as body:
                lines = opened.pop(body.batch_id, [])
                if _stem(file_name(body.network, body.cut_off_at, 1)) == _stem(name):
                    closed[body.batch_id, body.cut_off_at] = lines
            case ClearingFileSent(file_id=file_id) as body if file_id == name:
                found.sent[body.attempt] = body
            case ClearingFileRejected(file_id=file_id) as body if file_id == name:
                found.rejected[body.attempt] = body
            case ClearingFileAccepted(file_id=file_id) as body if file_id == name:
                found.accepted = body
            case ClearingBatchAccepted(file_id=file_id) as body if file_id == name:
                lines = closed.pop((body.batch_id, body.cut_off_at), [])
                found.lines.setdefault(BatchName(body.currency, body.batch_id), []).extend(lines)
            case _:
                pass


def _stem(file_id: str) -> str:
    """A file's name without its number."""
    return file_id.rpartition("-")[0]


def _events(log: Log, partition: int) -> Iterator[Recorded]:
    for stored in records_of(log, "payments", partition):
        if stored.value[:HEADER_BYTES] in _HEADERS:
            yield decoded(stored, "payments", partition)
