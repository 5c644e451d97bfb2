"""A payout on the bank's statement, or a debit: it is booked once, and may come back once.

What the bank booked is posted, whatever we expected; a difference is written off within the tolerance, or named.
"""

import msgspec

from events.accounts import PT, line_item, name
from events.base import Event
from events.corrections import PayoutDifferenceWrittenOff, WriteOffRule
from events.payouts import MerchantDebited, MerchantDebitReversed
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
    """An announced payout, or a ``debit``: money out, or in. Amounts are positive for both.

    ``line`` paid ``paid`` of it; ``back`` is what a line has brought back, in ``returned``. ``corrected`` is what was
    written off because the bank paid more (negative: less); ``aged`` counts steps of age.
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
    debit: bool = False

    @property
    def ours(self) -> int:
        """What the line should be: money in positive, minor units."""
        return self.amount if self.debit else -self.amount

    @property
    def residual(self) -> int:
        """What stands on the payout beside the merchant's own money, minor units: paid too much positive.

        Of a debit: what did not come. What came back is the merchant's again, or its debt, by as much as came.
        """
        paid = self.paid if self.debit else -self.paid
        return self.ours - paid - self.corrected


def pay(payout_id: str, payout: Payout, line: BankLineRecorded, tolerance: int) -> list[Event]:
    """What follows from the line that a payout left with; nothing when it cannot be that line."""
    if payout.line or line.amount * payout.ours <= 0 or line.currency != payout.currency:
        return []
    kind = MerchantDebited if payout.debit else PayoutPaid
    paid = kind(
        payout_id,
        payout.merchant,
        line.account,
        line.statement_id,
        line.line,
        line.currency,
        abs(line.amount),
    )
    difference = payout.ours - line.amount
    if differ(payout.ours, line.amount, tolerance):
        return [paid, _different(payout_id, line, payout.ours, kind)]
    item = line_item(line.statement_id, line.line)
    events: list[Event] = [
        paid,
        ReconciliationMatched(
            payout_id,
            payout_id,
            item,
            "debit" if payout.debit else "payout",
            line.currency,
            abs(line.amount),
            tolerance,
            confidence(difference, tolerance),
        ),
    ]
    if difference:
        events.append(_written_off(payout_id, payout, difference, WriteOffRule.TOLERANCE, ""))
    if payout.status is Status.MISSING:
        events.append(DiscrepancyResolved(payout_id, kind.__name__, line.currency, abs(line.amount)))
    return events


def bring_back(
    payout_id: str, payout: Payout, line: BankLineRecorded, code: str, correction: str = ""
) -> list[Event]:
    """What follows from the line that a payout came back with; nothing when it cannot be that line.

    ``correction`` is the code of a notification of change that came with it. The merchant is credited with what came,
    so there is nothing to write off: another amount is named.
    """
    if payout.returned or line.amount * payout.ours >= 0 or line.currency != payout.currency:
        return []
    amount = abs(line.amount)
    where = (line.account, line.statement_id, line.line, line.currency, amount, code)
    returned: PayoutReturned | MerchantDebitReversed
    if payout.debit:
        returned = MerchantDebitReversed(payout_id, payout.merchant, *where)
    else:
        returned = PayoutReturned(payout_id, payout.merchant, *where, correction)
    if payout.paid != amount:
        back = -payout.paid if payout.debit else payout.paid
        return [returned, _different(payout_id, line, back, type(returned))]
    item = line_item(line.statement_id, line.line)
    rule = "debit_return" if payout.debit else "payout_return"
    matched = ReconciliationMatched(payout_id, payout.line, item, rule, line.currency, amount)
    return [returned, matched]


def twice(payout: Payout, line: BankLineRecorded, *, returning: bool) -> bool:
    """Whether a line says again what another has said: the same payout, way and amount."""
    # A debit goes the other way over our account.
    amount = -line.amount if payout.debit else line.amount
    if line.currency != payout.currency:
        return False
    if returning:
        return payout.returned and amount == payout.back
    return bool(payout.line) and -amount == payout.paid


def payout_correction(payout_id: str, payout: Payout, approved_by: str) -> PayoutDifferenceWrittenOff:
    """The event that takes what the bank paid too much or too little off the books."""
    return _written_off(payout_id, payout, payout.residual, WriteOffRule.APPROVED, approved_by)


def payout_overdue(payout_id: str, payout: Payout) -> list[Event]:
    """Name the line that has not come, once."""
    if payout.status is not Status.OPEN:
        return []
    expected = BankLineRecorded.__name__
    return [
        DiscrepancyDetected(payout_id, DiscrepancyKind.MISSING, payout.currency, payout.ours, 0, expected)
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
            (MerchantDebited if payout.debit else PayoutPaid).__name__,
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
