"""An input with reference data added: what was published later than the rest of it, at a moment of its day.

Versions count all entries of the reference topic without a gap, so the entries that come behind are counted on.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from events.requests import InputRow, ReferencePublished
from streams.edge.reference import Entry, published


def amended(rows: Iterable[InputRow], entries: Sequence[Entry], at: int | None = None) -> Iterator[InputRow]:
    """The rows with the entries behind everything before ``at`` (microseconds), or before the first request."""
    waiting: Sequence[Entry] | None = entries
    version, last_at = 0, 0
    for row in rows:
        begins = row.ingested_at >= at if at is not None else not isinstance(row.entry, ReferencePublished)
        if waiting is not None and begins:
            added_at = last_at or row.ingested_at if at is None else at
            for entry in published(waiting, version + 1):
                version = entry.version
                yield InputRow(added_at, entry)
            waiting = None
        if isinstance(row.entry, ReferencePublished):
            version += 1
            row = InputRow(row.ingested_at, msgspec.structs.replace(row.entry, version=version))
        last_at = row.ingested_at
        yield row
    if waiting is not None:
        for entry in published(waiting, version + 1):
            yield InputRow(max(last_at, at or 0), entry)
