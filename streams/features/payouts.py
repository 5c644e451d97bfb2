"""A payout on the bank's statement: it leaves once, and may come back once.

What the bank booked is posted, whatever we expected; a difference is named.
"""

import msgspec

from events.accounts import PT, line_item, name
from events.base import Event
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
    PayoutPaid,
    PayoutReturned,
    ReconciliationMatched,
)
from events.settlement import ClearingResidualAged
from streams.features.matching import Status, differ


class Payout(msgspec.Struct):
    """An announced payout. ``line`` paid ``paid`` of it; ``returned`` when a line has brought it back."""

    account: str
    merchant: str
    currency: str
    amount: int
    value_on: int
    status: Status = Status.OPEN
    paid: int = 0
    line: str = ""
    returned: bool = False
    aged: bool = False


def pay(payout_id: str, payout: Payout, line: BankLineRecorded) -> list[Event]:
    """What follows from the line that a payout left with; nothing when it cannot be that line."""
    if payout.line or line.amount >= 0 or line.currency != payout.currency:
        return []
    paid = PayoutPaid(
        payout_id,
        payout.merchant,
        line.account,
        line.statement_id,
        line.line,
        line.currency,
        -line.amount,
    )
    if differ(-payout.amount, line.amount):
        return [paid, _different(payout_id, line, -payout.amount, PayoutPaid)]
    item = line_item(line.statement_id, line.line)
    matched = ReconciliationMatched(payout_id, payout_id, item, "payout", line.currency, payout.amount)
    if payout.status is not Status.MISSING:
        return [paid, matched]
    resolved = DiscrepancyResolved(payout_id, PayoutPaid.__name__, line.currency, payout.amount)
    return [paid, matched, resolved]


def bring_back(payout_id: str, payout: Payout, line: BankLineRecorded, code: str) -> list[Event]:
    """What follows from the line that a payout came back with; nothing when it cannot be that line."""
    if payout.returned or line.amount <= 0 or line.currency != payout.currency:
        return []
    returned = PayoutReturned(
        payout_id,
        payout.merchant,
        line.account,
        line.statement_id,
        line.line,
        line.currency,
        line.amount,
        code,
    )
    if differ(payout.paid, line.amount):
        return [returned, _different(payout_id, line, payout.paid, PayoutReturned)]
    item = line_item(line.statement_id, line.line)
    matched = ReconciliationMatched(payout_id, payout.line, item, "payout_return", line.currency, line.amount)
    return [returned, matched]


def payout_overdue(payout_id: str, payout: Payout) -> list[Event]:
    """Name the line that has not come, once."""
    if payout.status is not Status.OPEN:
        return []
    expected = BankLineRecorded.__name__
    return [
        DiscrepancyDetected(payout_id, DiscrepancyKind.MISSING, payout.currency, -payout.amount, 0, expected)
    ]


def payout_aged(payout_id: str, payout: Payout, day_on: int) -> list[Event]:
    """Report what a payout still holds in transit."""
    if payout.status is Status.MATCHED:
        return []
    return [
        ClearingResidualAged(
            name(PT),
            payout_id,
            payout.currency,
            payout.paid - payout.amount,
            day_on - payout.value_on,
            PayoutPaid.__name__,
        )
    ]


def _different(
    payout_id: str, line: BankLineRecorded, ours: int, expected_event: type[Event]
) -> DiscrepancyDetected:
    return DiscrepancyDetected(
        payout_id, DiscrepancyKind.AMOUNT, line.currency, ours, line.amount, expected_event.__name__
    )
