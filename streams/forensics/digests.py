"""Digests of what a run came to: business content sorted by business key.

Sequence numbers, positions, partitions, ``recorded_at``, the timing of raw replies, parked operations, per-partition
totals and observed duplicates are no part of it, so two runs of the same input agree however they were cut up,
scheduled or interrupted.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby

from events.envelope import Recorded
from events.postings import postings
from streams.forensics.lines import in_order
from streams.forensics.reading import decoded
from streams.hosts.log import Log, records_of
from streams.topology import LOGS


def digest(lines: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) over the sorted lines, joined by newlines. There may be more of them than fit in memory."""
    return _hashed(in_order(lines))


def state_digest(lines: Iterable[str]) -> str:
    """The digest of what all engines are. Reference data stands in every partition and counts once."""
    return _hashed(line for line, _ in groupby(in_order(lines)))


def _hashed(lines: Iterable[str]) -> str:
    running = hashlib.sha256()
    for number, line in enumerate(lines):
        running.update(b"\n" + line.encode() if number else line.encode())
    return running.hexdigest()


def ledger_lines(recorded: Recorded) -> Iterator[str]:
    """What an event does to the ledger: one line a leg."""
    kind, key = type(recorded.body).__name__, recorded.meta.key
    for leg in postings(recorded.body):
        yield f"{kind} {key} {leg.account} {leg.item} {leg.currency} {leg.amount}"


def events_of(log: Log, partitions: int) -> Iterator[Recorded]:
    """Every event of every log, log by log and partition by partition. Raises LogDamaged."""
    for name in LOGS:
        for partition in range(partitions):
            for stored in records_of(log, name, partition):
                yield decoded(stored, name, partition)


def ledger_digest(log: Log, partitions: int) -> str:
    """The digest of every posting of a log."""
    return digest(line for recorded in events_of(log, partitions) for line in ledger_lines(recorded))
