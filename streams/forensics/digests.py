"""Digests of what a run came to: business content sorted by business key.

Sequence numbers, positions, partitions, ``recorded_at``, the timing of raw replies, parked operations, per-partition
totals and observed duplicates are no part of it, so two runs of the same input agree however they were cut up,
scheduled or interrupted.
"""

import hashlib
from collections.abc import Iterable, Iterator

from events.envelope import Recorded
from events.errors import LogDamaged, WireError
from events.postings import postings
from events.wire import decode_event
from streams.hosts.log import Log
from streams.topology import LOGS


def digest(lines: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) over the sorted lines, joined by newlines."""
    running = hashlib.sha256()
    for number, line in enumerate(sorted(lines)):
        running.update(b"\n" + line.encode() if number else line.encode())
    return running.hexdigest()


def state_digest(lines: Iterable[str]) -> str:
    """The digest of what all engines are. Reference data stands in every partition and counts once."""
    return digest(set(lines))


def ledger_lines(recorded: Recorded) -> Iterator[str]:
    """What an event does to the ledger: one line a leg."""
    kind, key = type(recorded.body).__name__, recorded.meta.key
    for leg in postings(recorded.body):
        yield f"{kind} {key} {leg.account} {leg.item} {leg.currency} {leg.amount}"


def events_of(log: Log, partitions: int) -> Iterator[Recorded]:
    """Every event of every log, log by log and partition by partition. Raises LogDamaged."""
    for name in LOGS:
        for partition in range(partitions):
            offset = 0
            while block := log.read(name, partition, offset, 5_000):
                for stored in block:
                    try:
                        yield decode_event(stored.value)
                    except WireError as error:
                        raise LogDamaged(f"{name}/{partition} at {stored.offset}: {error}") from error
                offset = block[-1].offset + 1


def ledger_digest(log: Log, partitions: int) -> str:
    """The digest of every posting of a log."""
    return digest(line for recorded in events_of(log, partitions) for line in ledger_lines(recorded))
