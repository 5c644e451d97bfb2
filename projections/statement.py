"""A merchant's statement of a period: what was available at its beginning, every movement, what was at its end.

The movements are facts of the merchant; opening and closing are read off the ledger, from the account that stands for
what the merchant may have. So that the one leads to the other is a check of two records, not arithmetic.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec

from events.accounts import MA, name
from events.calendar import day_of
from events.errors import Broken
from projections.books import Balance, balances_around
from projections.forecast import Run, forecast
from projections.instants import microseconds
from projections.merchants import BALANCE_KINDS
from projections.period import Period
from projections.port import Database
from projections.reading import records
from streams.settlement import RUN_AT

#: What the kinds of lines are called: a kind of fact, what its item begins with, the word on the statement.
_WORDS: Final = (
    ("available", "cap-", "capture"),
    ("available", "fee:", "fee"),
    ("available", "void:", "capture voided"),
    ("adjusted", "ref-", "refund"),
    ("adjusted", "failed:", "refund failed"),
    ("adjusted", "loss:", "write-off"),
    ("adjusted", "dispute:", "dispute"),
    ("adjusted", "won:", "dispute won"),
    ("adjusted", "dispute_fee:", "dispute fee"),
    ("paid_out", "", "payout"),
    ("payout_credited", "", "payout returned"),
    ("payout_failed", "", "payout not sent"),
    ("reserve_withheld", "", "reserve kept back"),
    ("reserve_released", "", "reserve given back"),
    ("hold_placed", "", "put on hold"),
    ("hold_released", "", "released from hold"),
    ("receivable_raised", "", "owed to us"),
    ("receivable_offset", "", "paid of what was owed"),
)
_MOVING: Final = ", ".join(f"'{kind}'" for kind in BALANCE_KINDS)
_LESS: Final = ", ".join(f"'{kind}'" for kind, sign in BALANCE_KINDS.items() if sign < 0)


class Line(msgspec.Struct, frozen=True):
    """One movement of the available balance, minor units; positive to the merchant's good."""

    at: datetime
    kind: str
    item: str
    amount: int
    balance: int
    event_id: str


class NextPayout(msgspec.Struct, frozen=True):
    """The first payout after a period: one that was sent (``payout_id``), or one to come by what is on the books."""

    run_on: int
    amount: int
    payout_id: str
    status: str


class Statement(msgspec.Struct, frozen=True):
    """A merchant's period in one currency; opening + lines = closing."""

    merchant: str
    currency: str
    period: str
    opening: int
    lines: list[Line]
    closing: int
    next_payout: NextPayout | None


def statements(db: Database, merchant: str, period: Period) -> list[Statement]:
    """One statement for each currency in which the merchant ever had money.

    Raises Broken where the lines do not lead from the opening to the closing balance of the ledger.
    """
    found = records(
        db, "SELECT DISTINCT currency FROM merchant_totals WHERE merchant = $1 ORDER BY currency", [merchant]
    )
    held = balances_around(db, name(MA, merchant), period)

    @cache
    def coming() -> list[Run]:
        """What is to come in all currencies; asked for once, and only where no payout has been sent."""
        return forecast(db, merchant).runs

    return [_statement(db, merchant, row["currency"], period, held, coming) for row in found]


def _statement(
    db: Database,
    merchant: str,
    currency: str,
    period: Period,
    held: Mapping[str, Balance],
    coming: Callable[[], list[Run]],
) -> Statement:
    # What a merchant may have is a liability of ours: credits are to its good.
    opening, closing = (-held[currency].opening, -held[currency].closing) if currency in held else (0, 0)
    facts = records(
        db,
        f"""
        SELECT recorded_at, kind, item, event_id,
               CASE WHEN kind IN ({_LESS}) THEN -amount ELSE amount END AS amount
        FROM merchant_facts
        WHERE merchant = $1 AND currency = $2 AND kind IN ({_MOVING})
              AND recorded_at >= {period.start} AND recorded_at < {period.end}
        ORDER BY recorded_at, position, item
        """,
        [merchant, currency],
    )
    balance = opening
    lines = []
    for fact in facts:
        balance += fact["amount"]
        lines.append(
            Line(fact["recorded_at"], _word(fact), fact["item"], fact["amount"], balance, fact["event_id"])
        )
    if balance != closing:
        raise Broken(
            f"the statement of {merchant} in {currency} leads from {opening} to {balance}, the ledger to"
            f" {closing}: `tallystick project rebuild merchants ledger` says which of the two is wrong"
        )
    following = _next_payout(db, merchant, currency, period, coming)
    return Statement(merchant, currency, str(period), opening, lines, closing, following)


def _next_payout(
    db: Database, merchant: str, currency: str, period: Period, coming: Callable[[], list[Run]]
) -> NextPayout | None:
    sent = records(
        db,
        "SELECT payout_id, amount, status, initiated_at FROM payouts"
        f" WHERE merchant = $1 AND currency = $2 AND initiated_at >= {period.end}"
        " ORDER BY initiated_at, payout_id LIMIT 1",
        [merchant, currency],
    )
    if sent:
        run_on = day_of(microseconds(sent[0]["initiated_at"]) - RUN_AT)
        return NextPayout(run_on, sent[0]["amount"], sent[0]["payout_id"], sent[0]["status"])
    first = next((run for run in coming() if run.currency == currency and run.payout), None)
    return None if first is None else NextPayout(first.run_on, first.payout, "", "expected")


def _word(fact: dict[str, Any]) -> str:
    return next(
        (word for kind, start, word in _WORDS if fact["kind"] == kind and fact["item"].startswith(start)),
        str(fact["kind"]),
    )
