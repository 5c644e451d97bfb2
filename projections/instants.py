"""Instants and days on their way between the contract, a store and SQL.

The contract has microseconds and days since 1970-01-01 UTC; stores give ``datetime`` and ``date`` without a zone, and
mean UTC; SQL has literals.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from events.calendar import iso_instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def moment(at: int) -> datetime:
    """Microseconds as stores give instants."""
    return _EPOCH + timedelta(microseconds=at)


def microseconds(at: datetime) -> int:
    """An instant of a store as the contract has it."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def day_on(day: date) -> int:
    """A day of a store as the contract has it; a store may also give the instant at its beginning."""
    return (date(day.year, day.month, day.day) - _EPOCH.date()).days


def literal(at: int) -> str:
    """Microseconds as SQL has an instant, on either database."""
    return f"TIMESTAMP '{iso_instant(at).replace('T', ' ').rstrip('Z')}'"
