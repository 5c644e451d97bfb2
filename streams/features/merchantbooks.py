"""A merchant's money in one currency, and how each event about it changes that.

Amounts are minor units. What is available may go below zero; everything else may not.
"""

from typing import Final

import msgspec

from events.balances import (
    HoldReason,
    MerchantLossWrittenOff,
    MerchantReceivableOffset,
    MerchantReceivableRaised,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.payouts import (
    BankAccountValidated,
    MerchantDebitApplied,
    MerchantDebitReturned,
    PayoutFailed,
    PayoutRetryScheduled,
)
from events.settlement import (
    Entry,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
    SettlementBatchClosed,
)

NOBODY_OWES: Final = -1


class Tranche(msgspec.Struct):
    """A part of the rolling reserve, kept until the run of ``release_on``."""

    reserve_id: str
    amount: int
    release_on: int


class Hold(msgspec.Struct):
    """What a hold keeps, of ``wanted`` (0: of everything)."""

    reason: HoldReason
    wanted: int
    amount: int = 0


class Book(msgspec.Struct):
    """What is a merchant's, and where it is.

    ``pending`` are entries by the day on which they become available. ``adjusted`` are the adjustments since the last
    batch: its statement lists them. ``due_on`` is when an entry of the day ``entered_on`` becomes available, worked out
    once a day. ``owed_since_on`` is the day of the run since which ``receivable`` was never zero.

    ``attempt`` is that of the last payout that came back and was not paid again, which the run of ``retry_on`` or a
    later one does; ``blocked`` while there is no bank account to pay to. ``debit_id`` is the debit on its way, and
    ``debits_returned`` how many came back one after the other.
    """

    merchant: str
    currency: str
    available: int = 0
    pending: dict[str, list[Entry]] = {}
    adjusted: list[Entry] = []
    reserve: list[Tranche] = []
    holds: dict[str, Hold] = {}
    receivable: int = 0
    owed_since_on: int = NOBODY_OWES
    attempt: int = 0
    retry_on: int = 0
    blocked: bool = False
    debit_id: str = ""
    debits_returned: int = 0
    entered_on: int = -1
    due_on: int = -1

    @property
    def idle(self) -> bool:
        """Whether a run has nothing to look at."""
        return not (self.available or self.adjusted or self.pending or self.reserve or self.receivable)


Booked = (
    FundsMadeAvailable
    | MerchantBalanceAdjusted
    | SettlementBatchClosed
    | ReserveWithheld
    | ReserveReleased
    | SettlementHoldPlaced
    | SettlementHoldReleased
    | MerchantReceivableRaised
    | MerchantReceivableOffset
    | MerchantLossWrittenOff
    | PayoutInitiated
    | PayoutFailed
    | PayoutReturnCredited
    | PayoutRetryScheduled
    | BankAccountValidated
    | MerchantDebitApplied
    | MerchantDebitReturned
)
BOOKED: Final[tuple[type[Event], ...]] = (
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    SettlementBatchClosed,
    ReserveWithheld,
    ReserveReleased,
    SettlementHoldPlaced,
    SettlementHoldReleased,
    MerchantReceivableRaised,
    MerchantReceivableOffset,
    MerchantLossWrittenOff,
    PayoutInitiated,
    PayoutFailed,
    PayoutReturnCredited,
    PayoutRetryScheduled,
    BankAccountValidated,
    MerchantDebitApplied,
    MerchantDebitReturned,
)


def book_in(book: Book, body: Booked, run_on: int) -> None:
    """Let an event change a book. ``run_on`` is the day of the newest run."""
    match body:
        case FundsMadeAvailable():
            book.available += body.amount
        case MerchantBalanceAdjusted():
            book.available += body.amount
            book.adjusted.append(Entry(body.item, body.amount))
        case SettlementBatchClosed():
            book.adjusted = []
            book.pending = {day: book.pending[day] for day in book.pending if int(day) > body.settled_on}
        case ReserveWithheld():
            book.available -= body.amount
            book.reserve.append(Tranche(body.reserve_id, body.amount, body.release_on))
        case ReserveReleased():
            _release(book, body)
        case SettlementHoldPlaced():
            book.available -= body.amount
            book.holds.setdefault(body.hold_id, Hold(body.reason, body.wanted)).amount += body.amount
            if body.reason is HoldReason.PAYOUTS_RETURNED:
                book.attempt = book.retry_on = 0
        case SettlementHoldReleased():
            book.available += body.amount
            del book.holds[body.hold_id]
        case MerchantReceivableRaised():
            book.available += body.amount
            owe(book, body.amount, run_on)
        case MerchantReceivableOffset():
            book.available -= body.amount
            owe(book, -body.amount, run_on)
            if book.receivable == 0:
                book.debits_returned = 0
        case MerchantLossWrittenOff():
            owe(book, -body.amount, run_on)
        case PayoutInitiated():
            book.available -= body.amount
            book.attempt = book.retry_on = 0
        case PayoutFailed():
            book.available += body.amount
            book.blocked = True
        case PayoutReturnCredited():
            book.available += body.amount
        case PayoutRetryScheduled():
            book.attempt = max(book.attempt, body.attempt - 1)
            book.retry_on = max(book.retry_on, body.retry_on)
        case BankAccountValidated():
            book.blocked = False
        case MerchantDebitApplied():
            owe(book, -body.amount, run_on)
            book.debit_id = body.debit_id
        case MerchantDebitReturned():
            owe(book, body.amount, run_on)
            book.debit_id = ""
            book.debits_returned += 1


def owe(book: Book, amount: int, run_on: int) -> None:
    """The merchant owes so much more (below zero: less)."""
    book.receivable += amount
    if book.receivable == 0:
        book.owed_since_on = NOBODY_OWES
    elif book.owed_since_on == NOBODY_OWES:
        book.owed_since_on = run_on


def _release(book: Book, body: ReserveReleased) -> None:
    book.available += body.amount
    kept = next(tranche for tranche in book.reserve if tranche.reserve_id == body.reserve_id)
    kept.amount -= body.amount
    if kept.amount == 0:
        book.reserve.remove(kept)
