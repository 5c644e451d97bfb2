"""A payout on the bank's statement: it leaves once, and may come back once.

What the bank booked is posted, whatever we expected; a difference is written off within the tolerance, or named.
"""

import msgspec

from events.accounts import PT, line_item, name
from events.base import Event
from events.corrections import PayoutDifferenceWrittenOff, WriteOffRule
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
from streams.features.agreement import confidence, differ
from streams.features.matching import DONE, Status


class Payout(msgspec.Struct):
    """An announced payout. ``line`` paid ``paid`` of it; ``back`` is what a line has brought back, in ``returned``.

    ``corrected`` is what was written off because the bank paid more (negative: less); ``aged`` counts steps of age.
    """

    account: str
    merchant: str
    currency: str
    amount: int
    value_on: int
    status: Status = Status.OPEN
    paid: int = 0
    line: str = ""
    returned: bool = False
    back: int = 0
    corrected: int = 0
    aged: int = 0

    @property
    def residual(self) -> int:
        """What stands on the payout beside the merchant's own money: paid too much positive, minor units.

        A payout that came back is the merchant's again by as much as came.
        """
        return self.paid - self.amount - self.corrected


def pay(payout_id: str, payout: Payout, line: BankLineRecorded, tolerance: int) -> list[Event]:
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
    difference = -line.amount - payout.amount
    if differ(-payout.amount, line.amount, tolerance):
        return [paid, _different(payout_id, line, -payout.amount, PayoutPaid)]
    item = line_item(line.statement_id, line.line)
    events: list[Event] = [
        paid,
        ReconciliationMatched(
            payout_id,
            payout_id,
            item,
            "payout",
            line.currency,
            -line.amount,
            tolerance,
            confidence(difference, tolerance),
        ),
    ]
    if difference:
        events.append(_written_off(payout_id, payout, difference, WriteOffRule.TOLERANCE, ""))
    if payout.status is Status.MISSING:
        events.append(DiscrepancyResolved(payout_id, PayoutPaid.__name__, line.currency, -line.amount))
    return events


def bring_back(payout_id: str, payout: Payout, line: BankLineRecorded, code: str) -> list[Event]:
    """What follows from the line that a payout came back with; nothing when it cannot be that line.

    The merchant is credited with what came, so there is nothing to write off: another amount is named.
    """
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
    if payout.paid != line.amount:
        return [returned, _different(payout_id, line, payout.paid, PayoutReturned)]
    item = line_item(line.statement_id, line.line)
    matched = ReconciliationMatched(payout_id, payout.line, item, "payout_return", line.currency, line.amount)
    return [returned, matched]


def twice(payout: Payout, line: BankLineRecorded, *, returning: bool) -> bool:
    """Whether a line says again what another has said: the same payout, way and amount."""
    if line.currency != payout.currency:
        return False
    if returning:
        return payout.returned and line.amount == payout.back
    return bool(payout.line) and -line.amount == payout.paid


def payout_correction(payout_id: str, payout: Payout, approved_by: str) -> PayoutDifferenceWrittenOff:
    """The event that takes what the bank paid too much or too little off the books."""
    return _written_off(payout_id, payout, payout.residual, WriteOffRule.APPROVED, approved_by)


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
    if payout.status in DONE:
        return []
    return [
        ClearingResidualAged(
            name(PT),
            payout_id,
            payout.currency,
            payout.residual,
            day_on - payout.value_on,
            PayoutPaid.__name__,
        )
    ]


def _written_off(
    payout_id: str, payout: Payout, amount: int, rule: WriteOffRule, approved_by: str
) -> PayoutDifferenceWrittenOff:
    return PayoutDifferenceWrittenOff(
        payout.account, payout_id, payout.merchant, payout.currency, amount, rule, approved_by
    )


def _different(
    payout_id: str, line: BankLineRecorded, ours: int, expected_event: type[Event]
) -> DiscrepancyDetected:
    return DiscrepancyDetected(
        payout_id, DiscrepancyKind.AMOUNT, line.currency, ours, line.amount, expected_event.__name__
    )
