"""Merging: the batches of all partitions for one network and cut-off become one file.

A fold of what the payments logs say. A partition's records lie by batch until the batch is closed, then with those of
the other partitions until every log has passed the tick that closed it: only then is it known that nobody has more.
What a partition holds is kept as the lines that will stand in the file, so what is kept is small, and the order in
which logs are read leaves no trace in it.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from events.calendar import DAY
from events.clearing import ClearingBatchClosed, ClearingRecordCreated
from events.clearingfiles import ClearingFileSent
from events.envelope import Recorded
from events.errors import Broken
from streams.edge.clearingfile import BatchName, Head, file_name, hash_total_of, line_of, totals_of, write

#: How long the numbers of files are remembered: far longer than a network's profile can move a cut-off by.
REMEMBERED: Final = 7 * DAY


class Held(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record that waits for its file: its line, and what an answer to it needs (``at`` is when it left)."""

    partition: int
    record_id: str
    event_id: str
    correlation_id: str
    at: int
    line: str


class Gathering(msgspec.Struct):
    """The file of one network and cut-off while it comes together.

    ``closed_at`` is the latest tick that closed a batch of it; ``closings`` has the event that did so by partition.
    """

    network: str
    cut_off_at: int
    closed_at: int = 0
    batches: dict[str, dict[str, list[Held]]] = {}
    closings: dict[str, str] = {}


class Merging(msgspec.Struct):
    """``open``: records by partition and batch. ``gathering``: files by network and cut-off; ``numbers``, how many of
    each have been made."""

    open: dict[str, list[Held]] = {}
    gathering: dict[str, Gathering] = {}
    numbers: dict[str, int] = {}


class Parcel(msgspec.Struct):
    """A file ready to leave: its records by batch, and the event that closed the last batch of each partition."""

    network: str
    file_id: str
    cut_off_at: int
    batches: dict[BatchName, list[Held]]
    closings: dict[int, str]

    @property
    def partitions(self) -> list[int]:
        """Those that have a batch in it."""
        return sorted(self.closings)

    def lines(self) -> Mapping[BatchName, list[str]]:
        """What stands in it."""
        return {name: [held.line for held in batch] for name, batch in self.batches.items()}

    def content(self, attempt: int, miscounted: int = 0) -> bytes:
        """Its bytes at an attempt."""
        return write(Head(self.file_id, self.network, self.cut_off_at, attempt), self.lines(), miscounted)

    def sent(self, attempt: int, content: bytes) -> ClearingFileSent:
        """What is to be recorded of an attempt."""
        batches = [totals_of(name, lines) for name, lines in sorted(self.lines().items())]
        return ClearingFileSent(
            self.network,
            self.file_id,
            attempt,
            self.cut_off_at,
            sha256(content).hexdigest(),
            sum(batch.presentments + batch.refunds for batch in batches),
            hash_total_of(batches),
            batches,
        )


def leave(merging: Merging, partition: int, recorded: Recorded, body: ClearingRecordCreated) -> None:
    """A record has left a partition's queue: it lies with its batch."""
    meta = recorded.meta
    held = Held(
        partition, body.record_id, meta.event_id, meta.correlation_id, meta.recorded_at, line_of(body)
    )
    merging.open.setdefault(f"{partition}/{body.batch_id}", []).append(held)


def close(merging: Merging, partition: int, recorded: Recorded, body: ClearingBatchClosed) -> None:
    """A partition has no more for this batch. Raises Broken where its control totals are not those of its records."""
    lines = merging.open.pop(f"{partition}/{body.batch_id}", [])
    name = BatchName(body.currency, body.batch_id)
    found = totals_of(name, (held.line for held in lines))
    said = (body.presentments, body.presented_amount, body.refunds, body.refunded_amount)
    if said != (found.presentments, found.presented_amount, found.refunds, found.refunded_amount):
        raise Broken(
            f"batch {body.batch_id} of payments/{partition} is closed with {said}, which its records do not come to"
        )
    file = merging.gathering.setdefault(
        f"{body.network}/{body.cut_off_at}", Gathering(body.network, body.cut_off_at)
    )
    file.closed_at = max(file.closed_at, recorded.meta.recorded_at)
    file.batches.setdefault(body.currency, {}).setdefault(body.batch_id, []).extend(lines)
    file.closings[str(partition)] = recorded.meta.event_id


def complete(merging: Merging, passed_at: int) -> list[Parcel]:
    """The files that nobody adds to any more, for every log has passed ``passed_at``; by cut-off and network."""
    ready = [key for key, file in merging.gathering.items() if file.closed_at <= passed_at]
    parcels = [_parcel(merging, key) for key in ready]
    if parcels:
        since_at = passed_at - REMEMBERED
        merging.numbers = {
            key: number for key, number in merging.numbers.items() if int(key.partition("/")[2]) >= since_at
        }
    return sorted(parcels, key=lambda parcel: (parcel.cut_off_at, parcel.network))


def _parcel(merging: Merging, key: str) -> Parcel:
    file = merging.gathering.pop(key)
    number = merging.numbers[key] = merging.numbers.get(key, 0) + 1
    return Parcel(
        file.network,
        file_name(file.network, file.cut_off_at, number),
        file.cut_off_at,
        {
            BatchName(currency, batch_id): sorted(held, key=lambda one: one.record_id)
            for currency, batches in file.batches.items()
            for batch_id, held in batches.items()
        },
        {int(partition): event_id for partition, event_id in file.closings.items()},
    )
