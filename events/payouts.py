"""What becomes of a payout on its way to the merchant's bank, and debits of that bank account.

The log ``settlement`` decides; what the bank's statement says of a debit is the log ``reconciliation``'s, by our bank
account. Amounts are positive minor units of ``currency``.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event

ACCOUNT = ("account",)
DEBIT = ("debit_id",)
MERCHANT = ("merchant",)
PAYOUT = ("payout_id",)


class PayoutFailure(StrEnum):
    """Why a payout never left for the bank."""

    ACCOUNT_INVALID = "account_invalid"
    """The merchant's bank account could not be validated. The merchant has to give another one; nothing is paid until
    it is validated."""


class DebitOutcome(StrEnum):
    """What the bank made of a debit."""

    PAID = "paid"
    """The merchant's bank paid it."""
    RETURNED = "returned"
    """It came back unpaid."""


class BankAccountValidated(Event, frozen=True):
    """A merchant's bank account for a currency can be paid to. ``account_ref`` is the vault's name of it.

    ``method`` is how that was found out, such as ``micro_deposit`` or ``account_statement``.
    """

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    account_ref: str
    method: str


class BankAccountValidationFailed(Event, frozen=True):
    """A merchant's bank account for a currency cannot be paid to."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    account_ref: str
    method: str


class PayoutSubmitted(Event, frozen=True):
    """A payout stands in the file that goes to our bank.

    ``file_id`` is that file, one for each account and run; ``trace_number`` are the seven digits that the bank gives
    back with everything it says of the payment (the sequence of a Nacha trace number), made of the payout's name.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYOUT

    payout_id: str
    merchant: str
    currency: str
    amount: int
    account: str
    attempt: int
    value_on: int
    file_id: str
    trace_number: str


class PayoutFailed(Event, frozen=True):
    """A payout was stopped before it was sent: the money is the merchant's again."""

    KEY: ClassVar[tuple[str, ...]] = PAYOUT

    payout_id: str
    merchant: str
    currency: str
    amount: int
    reason: PayoutFailure


class PayoutRetryScheduled(Event, frozen=True):
    """What came back goes out again as attempt ``attempt``, at the first run at or after ``retry_on`` when banks work.

    ``correction`` is the code of the bank's notification of change (Nacha Operating Rules, Appendix Four: C01 to C13)
    whose data the next attempt goes out with; empty where it goes out unchanged.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYOUT

    payout_id: str
    merchant: str
    currency: str
    amount: int
    attempt: int
    retry_on: int
    return_code: str
    correction: str


class MerchantDebitApplied(Event, frozen=True):
    """What a merchant has owed for the days of its terms is drawn from its bank account, to our ``account``."""

    KEY: ClassVar[tuple[str, ...]] = DEBIT

    debit_id: str
    merchant: str
    currency: str
    amount: int
    account: str
    attempt: int
    value_on: int


class MerchantDebitOutcomeReceived(Event, frozen=True):
    """What the reconciliation log saw of a debit on the bank statement."""

    KEY: ClassVar[tuple[str, ...]] = DEBIT

    debit_id: str
    merchant: str
    currency: str
    amount: int
    outcome: DebitOutcome
    return_code: str


class MerchantDebitReturned(Event, frozen=True):
    """A debit came back unpaid: the merchant owes it again."""

    KEY: ClassVar[tuple[str, ...]] = DEBIT

    debit_id: str
    merchant: str
    currency: str
    amount: int
    return_code: str


class DebitAnnounced(Event, frozen=True):
    """A debit that the settlement log has applied: a line to expect on the statement."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    debit_id: str
    merchant: str
    currency: str
    amount: int
    value_on: int


class MerchantDebited(Event, frozen=True):
    """A bank line is a debit that came in."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    debit_id: str
    merchant: str
    account: str
    statement_id: str
    line: int
    currency: str
    amount: int


class MerchantDebitReversed(Event, frozen=True):
    """A bank line takes a debit away again; ``return_code`` is the merchant's bank's reason (R01: no funds)."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    debit_id: str
    merchant: str
    account: str
    statement_id: str
    line: int
    currency: str
    amount: int
    return_code: str
