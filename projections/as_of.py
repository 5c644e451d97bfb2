"""Questions about the past: a store as it would be, had it read its logs only so far.

A cut is a time or positions of log partitions.

- A **time** takes every event whose logical time (``recorded_at``) is not later, of each log by its own. A day takes
  all of the day, in UTC. The logical time is when the log took something in, not when a producer says it happened: what
  was recorded later was not known yet.
- **Positions** (``payments/0@1200``, or several with commas) take each partition that is named up to and including that
  record, and the others up to the latest logical time of the records named. With all partitions named, as the manifest
  of an export has them, the cut is exact whatever the times are.

Rows are only ever appended, so the past is a condition on rows: every table is read through it, and every view is
built on what is left, by the same SQL. An event is in or out as a whole, so the books balance in every cut.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from events.calendar import DAY, iso_instant, parse_day, parse_instant, start_of
from events.errors import Refused, ValidationError
from projections.catalog import CATALOG
from projections.dialect import Dialect
from projections.freshness import taken
from projections.glossary import sources
from projections.instants import literal, moment
from projections.merchants import SETTLEMENT_KINDS
from projections.port import Place, Table, View
from projections.reading import Reader

FORMS: Final = "a day (2026-03-09), an instant (2026-03-09T14:30:00Z) or positions (payments/0@1200)"
_POSITION: Final = re.compile(r"([a-z]+)/(\d{1,5})@(\d{1,18})")
_BLANK: Final = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_WITH: Final = re.compile(rf"{_BLANK}WITH(\s+RECURSIVE)?\b", re.IGNORECASE | re.DOTALL)
_EXPLAIN: Final = re.compile(rf"{_BLANK}EXPLAIN\b", re.IGNORECASE | re.DOTALL)

#: The log of a row, where its table does not say so. Two logs may have an event of the same name: a payout's first
#: event in the settlement log and its first in the reconciliation log.
_LOG: Final[Mapping[str, str]] = {
    "payment_steps": "'payments'",
    "risk_verdicts": "'payments'",
    "programme_entries": "'payments'",
    "programme_delays": "'payments'",
    "dispute_alerts": "'velocity'",
    "risk_labels": "'payments'",
    "payment_signals": "'payments'",
    "scorecard_examples": "'payments'",
    "scorecard_batches": "'payments'",
    "fraud_labels": "'payments'",
    "velocity_crossings": "'velocity'",
    "hotlist_steps": "'payments'",
    "review_steps": "'payments'",
    "dispute_steps": "'payments'",
    "merchant_facts": f"CASE WHEN kind IN {SETTLEMENT_KINDS} THEN 'settlement' ELSE 'payments' END",
    "payout_steps": "CASE WHEN step IN ('paid', 'returned') THEN 'reconciliation' ELSE 'settlement' END",
    "settlement_batches": "'settlement'",
    "clearing_file_steps": "'payments'",
    "clearing_file_batches": "'payments'",
    "clearing_batch_steps": "'payments'",
    "merchant_setting_steps": "'settlement'",
    "cycle_totals": "CASE side WHEN 'ours' THEN 'payments' ELSE 'reconciliation' END",
    "scheme_totals": "'payments'",
    "bank_lines": "'reconciliation'",
    "bank_line_uses": "'reconciliation'",
    "reconciliation_matches": "'reconciliation'",
}
#: Tables whose rows do not name their event, by what finds it.
_OWN: Final[Mapping[str, str]] = {
    "payment_requests": "payment_id IN (SELECT key FROM events WHERE log = 'payments' AND type = 'PaymentRequested')",
}


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past ends. ``text`` names it; ``at`` is the last microsecond, ``positions`` the last records."""

    text: str
    at: int
    positions: Mapping[Place, int] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """``at`` as the stores give instants: UTC without saying so."""
        return moment(self.at)


def parse(text: str, db: Reader) -> Cut:
    """The cut that a text means in this store. Refused for what means none, or what the store has not reached."""
    if "@" in text:
        return _at_positions(text, db)
    try:
        if "T" not in text:
            day = parse_day(text)
            return Cut(f"the end of {text}", start_of(day) + DAY - 1)
        at = parse_instant(text)
        return Cut(_short(at), at)
    except ValidationError as error:
        raise Refused(f"{error}: --as-of takes {FORMS}") from error


def _at_positions(text: str, db: Reader) -> Cut:
    held, _ = taken(db)
    positions: dict[Place, int] = {}
    for part in text.split(","):
        found = _POSITION.fullmatch(part.strip())
        if found is None:
            raise Refused(f"{part.strip()!r} is no position: --as-of takes {FORMS}")
        place, position = (found[1], int(found[2])), int(found[3])
        if place not in held:
            known = ", ".join(f"{log}/{partition}" for log, partition in held) or "none yet"
            raise Refused(f"the store has read no log partition {found[1]}/{found[2]}; it has read {known}")
        if position >= held[place].next:
            raise Refused(
                f"the store has read {found[1]}/{found[2]} up to {held[place].next - 1}:"
                " name a position up to there, or ask again when it has come further"
            )
        if place in positions:
            raise Refused(f"{found[1]}/{found[2]} is named twice: give one position of each partition")
        positions[place] = position
    named = " OR ".join(
        f"(log = '{log}' AND partition = {partition} AND position <= {position})"
        for (log, partition), position in positions.items()
    )
    # Logical time does not go back within a log, so the record itself need not be found: on Kafka there may be none at
    # this very position.
    _, [(latest,)] = db.fetch(f"SELECT CAST(max(recorded_at) AS VARCHAR) FROM events WHERE {named}")
    if latest is None:
        raise Refused(f"there is no record at or before {text}: name a later position")
    at = parse_instant(f"{latest.replace(' ', 'T')}Z")
    return Cut(", ".join(f"{log}/{part}@{last}" for (log, part), last in positions.items()), at, positions)


class PastReader:
    """A :class:`projections.reading.Reader` that sees a store as of a cut."""

    def __init__(self, db: Reader, cut: Cut) -> None:
        self.present = db
        self.cut = cut

    @property
    def dialect(self) -> Dialect:
        """What its SQL needs."""
        return self.present.dialect

    def checked(self, sql: str) -> str:
        """See :meth:`projections.reading.Reader.checked`."""
        if _EXPLAIN.match(sql):
            raise Refused("EXPLAIN shows the plan of a question about now: leave --as-of out")
        return self.present.checked(sql)

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query, as they were."""
        return self.present.fetch(rewritten(sql, self.cut, self.dialect), arguments)

    def chunks(
        self, sql: str, arguments: Sequence[Any] = ()
    ) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """See :meth:`projections.reading.Reader.chunks`."""
        return self.present.chunks(rewritten(sql, self.cut, self.dialect), arguments)

    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""
        return self.present.texts(rewritten(sql, self.cut, self.dialect))

    def tables(self) -> list[tuple[str, str]]:
        """Everything that can be asked, with what it holds."""
        return self.present.tables()

    def write_parquet(self, sql: str, path: Path) -> None:
        """See :meth:`projections.reading.Reader.write_parquet`."""
        self.present.write_parquet(rewritten(sql, self.cut, self.dialect), path)

    def moment(self) -> AbstractContextManager[None]:
        """See :meth:`projections.reading.Reader.moment`."""
        return self.present.moment()

    def close(self) -> None:
        """Let go of the store."""
        self.present.close()


def rewritten(sql: str, cut: Cut, dialect: Dialect) -> str:
    """A query whose tables and views are those of the cut: common table expressions stand before theirs."""
    names = _needed(sql)
    if not names:
        return sql
    parts = [
        f"{name} AS ({_of_table(_TABLES[name], cut, dialect) if name in _TABLES else _VIEWS[name].sql})"
        for name in (*_TABLES, *_VIEWS)
        if name in names
    ]
    own = _WITH.match(sql)
    if own is None:
        return f"WITH {', '.join(parts)} {sql}"
    return f"WITH{own[1] or ''} {', '.join(parts)}, {sql[own.end() :]}"


_TABLES: Final = {table.name: table for projection in CATALOG for table in projection.TABLES}
_VIEWS: Final[dict[str, View]] = {
    view.name: view for projection in CATALOG for view in projection.VIEWS if sources()[view.name]
}


def _needed(sql: str) -> set[str]:
    """The tables and views that a query may mean: names that stand in it, and what they are made of."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    waiting = [name for name in (*_TABLES, *_VIEWS) if name in words]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += sources().get(name, ())
            # What finds the event of a row.
            waiting += ["events"] if name in _TABLES else []
    return found


def _of_table(table: Table, cut: Cut, dialect: Dialect) -> str:
    # Qualified, so that it is the table and not this expression of the same name.
    name = f"{dialect.views or 'main.'}{table.name}"
    return f"SELECT * FROM {name} WHERE {_condition(table, cut)}"


def _condition(table: Table, cut: Cut) -> str:
    columns = {column.name for column in table.columns}
    until = f"recorded_at <= {literal(cut.at)}"
    if not cut.positions:
        return until
    if table.name in _OWN:
        return _OWN[table.name]
    if {"log", "partition", "position"} <= columns or {"partition", "position"} <= columns:
        log = _LOG.get(table.name, "log")
        places = [
            f"WHEN {log} = '{topic}' AND partition = {partition} THEN position <= {position}"
            for (topic, partition), position in cut.positions.items()
        ]
        return f"CASE {' '.join(places)} ELSE {until} END"
    # `events` is the expression before this one: cut already.
    if table.name in _LOG:
        return f"(event_id, {_LOG[table.name]}) IN (SELECT event_id, log FROM events)"
    if "log" in columns:
        return "(event_id, log) IN (SELECT event_id, log FROM events)"
    return "(event_id, recorded_at) IN (SELECT event_id, recorded_at FROM events)"


def _short(at: int) -> str:
    return iso_instant(at).replace(".000000Z", "Z")
