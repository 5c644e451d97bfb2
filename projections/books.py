"""Questions about the ledger: entries of accounts, and what has been open for how long."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from projections.as_of import PastReader
from projections.freshness import taken
from projections.period import Period
from projections.port import Database
from projections.reading import Reader, records

#: Days open, and up to how many a bucket goes.
_LIMITS: Final = (("0-1", 1), ("2-3", 3), ("4-7", 7), ("8-30", 30))
_OLDEST: Final = "over 30"
BUCKETS: Final = (*(name for name, _ in _LIMITS), _OLDEST)


class Entry(msgspec.Struct, frozen=True):
    """One leg of a posting; minor units, debit positive."""

    recorded_at: datetime
    account: str
    item: str
    type: str
    currency: str
    amount: int
    event_id: str


class Balance(msgspec.Struct, frozen=True):
    """What the accounts held in a currency before the entries, what these add, and what stands after them."""

    currency: str
    opening: int
    moved: int
    closing: int


class Entries(msgspec.Struct, frozen=True):
    """Entries in the order of logical time, and a balance for each currency that the accounts ever held."""

    entries: list[Entry]
    balances: list[Balance]


def _matching(pattern: str) -> str:
    """The condition on ``account`` that a pattern means; :func:`_arguments` has its argument.

    With ``*`` it is the whole name; without, an account or the beginning of its name up to a colon.
    """
    if "*" in pattern:
        return "account LIKE $1 ESCAPE '!'"
    return "(account = $1 OR starts_with(account, $1 || ':'))"


def _arguments(pattern: str) -> list[str]:
    """See :func:`_matching`."""
    if "*" not in pattern:
        return [pattern.rstrip(":")]
    for special in "!%_":
        pattern = pattern.replace(special, f"!{special}")
    return [pattern.replace("*", "%")]


def entries_of(db: Reader, pattern: str, period: Period, item: str = "") -> Entries:
    """The entries of the accounts of a pattern in a period, of one item where one is named."""
    where, arguments = _matching(pattern), [*_arguments(pattern), *([item] if item else [])]
    if item:
        where += " AND item = $2"
    within = f"recorded_at >= {period.start} AND recorded_at < {period.end}"
    rows = records(
        db,
        f"SELECT recorded_at, account, item, type, currency, amount, event_id FROM ledger_entries"
        f" WHERE {where} AND {within} ORDER BY recorded_at, log, partition, position, leg",
        arguments,
    )
    return Entries([Entry(**row) for row in rows], _balances(db, where, arguments, period))


def balances_around(db: Database, account: str, period: Period) -> dict[str, Balance]:
    """What an account held before and after a period, by currency; of those in which it has entries."""
    return {found.currency: found for found in _balances(db, "account = $1", [account], period)}


def _balances(db: Database, where: str, arguments: Sequence[str], period: Period) -> list[Balance]:
    sums = records(
        db,
        f"""
        SELECT currency, opening, closing - opening AS moved, closing
        FROM (
            SELECT currency, coalesce(sum(amount) FILTER (WHERE recorded_at < {period.start}), 0)::BIGINT AS opening,
                   coalesce(sum(amount) FILTER (WHERE recorded_at < {period.end}), 0)::BIGINT AS closing
            FROM ledger_entries WHERE {where} GROUP BY currency
        ) AS sums ORDER BY currency
        """,
        arguments,
    )
    return [Balance(**row) for row in sums]


def balances_of(db: Reader, pattern: str) -> list[dict[str, Any]]:
    """The rows of ``ledger_balances`` for the accounts of a pattern."""
    return records(
        db,
        "SELECT account, class, currency, debit, credit, balance, entries FROM ledger_balances"
        f" WHERE {_matching(pattern)} ORDER BY currency, account",
        _arguments(pattern),
    )


class Residual(msgspec.Struct, frozen=True):
    """An open item. ``expected`` is the event that would close it, where its log has missed that for too long."""

    account: str
    item: str
    currency: str
    amount: int
    opened_at: datetime
    age_days: int
    bucket: str
    expected: str


class Group(msgspec.Struct, frozen=True):
    """The open items of a family of accounts in one currency: how many and how much in each bucket."""

    family: str
    currency: str
    items: dict[str, int]
    amounts: dict[str, int]


class Aged(msgspec.Struct, frozen=True):
    """What is open, oldest first, and the sums."""

    groups: list[Group]
    items: list[Residual]


def aged_residuals(db: Reader) -> Aged:
    """Items on clearing accounts that are not back at zero, by their age in whole days.

    Ages count up to the latest logical time of the store, or to the time of the cut: never to a clock.
    """
    now = _now(db)
    rows = records(
        db,
        """
        SELECT open.account, open.item, open.currency, open.amount, open.opened_at,
               coalesce(max(aged.expected), '') AS expected
        FROM ledger_residuals AS open
        LEFT JOIN residuals_aged AS aged
        ON aged.account = open.account AND aged.item = open.item AND aged.currency = open.currency
        GROUP BY open.account, open.item, open.currency, open.amount, open.opened_at
        ORDER BY open.opened_at, open.account, open.item
        """,
    )
    items = [_residual(row, now) for row in rows]
    groups: dict[tuple[str, str], Group] = {}
    for item in items:
        family = ":".join(item.account.split(":", 2)[:2])
        group = groups.get((item.currency, family))
        if group is None:
            empty = dict.fromkeys(BUCKETS, 0)
            group = groups[(item.currency, family)] = Group(family, item.currency, empty, dict(empty))
        group.items[item.bucket] += 1
        group.amounts[item.bucket] += item.amount
    return Aged([groups[key] for key in sorted(groups)], items)


def _residual(row: dict[str, Any], now: datetime) -> Residual:
    age = max(now - row["opened_at"], timedelta(0)).days
    bucket = next((name for name, most in _LIMITS if age <= most), _OLDEST)
    return Residual(age_days=age, bucket=bucket, **row)


def _now(db: Reader) -> datetime:
    _, up_to = taken(db)
    now = up_to or datetime.min  # noqa: DTZ901 - nothing is compared with it: an empty store has no items
    return min(now, db.cut.moment) if isinstance(db, PastReader) else now
