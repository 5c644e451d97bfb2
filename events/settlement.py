"""The merchant's money: what came in for it, when it may be had, what was paid out. The log ``settlement``."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event, Part
from events.requests import PayoutSchedule

MERCHANT = ("merchant",)
PAYOUT = ("payout_id",)


class EntryCause(StrEnum):
    """What a merchant's entry is for."""

    CAPTURE = "capture"
    """Money taken for the merchant."""
    CAPTURE_VOIDED = "capture_voided"
    """A capture undone before it left."""
    PROCESSING_FEE = "processing_fee"
    """Our price for a presented capture."""
    REFUND = "refund"
    """Money given back."""
    REFUND_FAILED = "refund_failed"
    """A refund that came back to the merchant."""
    WRITE_OFF = "write_off"
    """A capture that no network pays."""
    DISPUTE = "dispute"
    """What a cardholder disputes, held until the case is closed."""
    DISPUTE_WON = "dispute_won"
    """What was held for a dispute and is the merchant's again."""
    DISPUTE_FEE = "dispute_fee"
    """Our price for a dispute."""


class PayoutOutcome(StrEnum):
    """What the bank made of a payout."""

    PAID = "paid"
    """It left our account."""
    RETURNED = "returned"
    """It came back."""


class SettingsRejection(StrEnum):
    """Why a merchant's settings stay as they are."""

    NOT_ALLOWED = "not_allowed"
    """The merchant's contract does not leave it this choice: ask for other terms."""
    UNCHANGED = "unchanged"
    """The merchant is settled so already."""


class Entry(Part, frozen=True):
    """One item of a merchant: ``amount`` is positive where it is owed to the merchant."""

    item: str
    amount: int


class MerchantEntryReceived(Event, frozen=True):
    """A leg on a merchant's pending account, handed over by the payments log. ``item`` names it for good."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT
    VERSION: ClassVar[int] = 2

    merchant: str
    currency: str
    item: str
    payment_id: str
    cause: EntryCause
    amount: int
    due_on: int


class FundsMadeAvailable(Event, frozen=True):
    """Entries whose day has come, at most 500 to an event: ``chunk`` of ``chunks``, counted from 1."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    batch_id: str
    chunk: int
    chunks: int
    entries: list[Entry]
    amount: int


class MerchantBalanceAdjusted(Event, frozen=True):
    """An entry that takes effect at once: refunds, corrections. ``amount`` is positive to the merchant's good."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT
    VERSION: ClassVar[int] = 2

    merchant: str
    currency: str
    item: str
    cause: EntryCause
    amount: int


class SettlementBatchClosed(Event, frozen=True):
    """A merchant's statement of one day and currency.

    ``entries_sha256`` covers the entries in item order (one line ``item amount`` each), so that a statement
    can be checked against the events it folds.
    """

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    batch_id: str
    settled_on: int
    entries: int
    credits: int
    debits: int
    available: int
    entries_sha256: str


class PayoutInitiated(Event, frozen=True):
    """``amount`` leaves for the merchant's bank from our ``account``."""

    KEY: ClassVar[tuple[str, ...]] = PAYOUT

    payout_id: str
    merchant: str
    currency: str
    amount: int
    account: str
    attempt: int
    value_on: int


class PayoutOutcomeReceived(Event, frozen=True):
    """What the reconciliation log saw on the bank statement.

    ``correction`` is the code of a notification of change that came with a return; empty without one.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYOUT
    VERSION: ClassVar[int] = 2

    payout_id: str
    merchant: str
    currency: str
    amount: int
    outcome: PayoutOutcome
    return_code: str
    correction: str = ""


class PayoutReturnCredited(Event, frozen=True):
    """A returned payout is the merchant's again."""

    KEY: ClassVar[tuple[str, ...]] = PAYOUT

    payout_id: str
    merchant: str
    currency: str
    amount: int


class ClearingResidualAged(Event, frozen=True):
    """An item on a clearing account has stayed open too long; the event that would close it is named."""

    KEY: ClassVar[tuple[str, ...]] = ("item",)

    account: str
    item: str
    currency: str
    amount: int
    age_days: int
    expected_event: str


class MerchantSettingsRequested(Event, frozen=True):
    """A merchant wants to be paid on other days, or from another balance on; ``currency`` is empty for all without
    settings of their own. ``anchor`` is the day of ``schedule``, ``minimum_payout`` minor units."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    idempotency_key: str
    currency: str
    schedule: PayoutSchedule
    anchor: int
    minimum_payout: int


class MerchantSettingsChanged(Event, frozen=True):
    """From the next run on a merchant is paid so, and no longer as before (``old_``)."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    idempotency_key: str
    currency: str
    schedule: PayoutSchedule
    anchor: int
    minimum_payout: int
    old_schedule: PayoutSchedule
    old_anchor: int
    old_minimum_payout: int


class MerchantSettingsRejected(Event, frozen=True):
    """Settings that do not come into force."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    idempotency_key: str
    currency: str
    schedule: PayoutSchedule
    anchor: int
    minimum_payout: int
    reason: SettingsRejection
