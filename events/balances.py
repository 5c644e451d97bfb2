"""What is kept back of a merchant's money, and what a merchant owes us. The log ``settlement``, by merchant.

Amounts are positive minor units of ``currency``: an event's name says which way they go.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event

MERCHANT = ("merchant",)


class ReserveRelease(StrEnum):
    """Why a reserve is given back."""

    MATURED = "matured"
    """Its days are over."""
    SHORT_BALANCE = "short_balance"
    """The merchant's balance was below zero at a run: that is what a reserve is for. The oldest goes first."""


class HoldReason(StrEnum):
    """Why money of a merchant is held."""

    RISK_REVIEW = "risk_review"
    """Sales look unlike the merchant's own. Our risk team places and releases it."""
    DISPUTES = "disputes"
    """More disputes than the networks' programmes allow. Our risk team places and releases it."""
    LEGAL_ORDER = "legal_order"
    """A court or an authority has ordered it. Our legal team places and releases it."""
    CLOSING = "closing"
    """The contract ends, and refunds and disputes may still come. Our operations place and release it."""
    PAYOUTS_RETURNED = "payouts_returned"
    """Payouts came back, and sending again would not help. Placed by settlement itself; the merchant has to give a
    bank account that can be validated, which releases it."""


class ReceivableCause(StrEnum):
    """When a merchant's debt was taken onto the books."""

    SHORT_BALANCE = "short_balance"
    """At a run the balance was below zero, after all that was due and the reserve."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """Between two runs the balance fell below the limit of the merchant's settlement terms."""


class LossReason(StrEnum):
    """Why we give up what a merchant owes."""

    INSOLVENT = "insolvent"
    """The merchant is in insolvency proceedings."""
    UNREACHABLE = "unreachable"
    """The merchant has gone, and nobody answers for it."""
    NOT_WORTH_COLLECTING = "not_worth_collecting"
    """Collecting it would cost more than it is."""


class InstructionRefusal(StrEnum):
    """Why an instruction of our own people about a merchant's money does nothing."""

    APPROVER_MISSING = "approver_missing"
    """Nobody approved it. Have a second person approve and publish it again."""
    APPROVED_BY_REQUESTER = "approved_by_requester"
    """Who asked for it also approved it. Have a second person approve and publish it again."""
    AMOUNT_NEGATIVE = "amount_negative"
    """The amount is below zero. Whoever asked for it has to put it right."""
    HOLD_EXISTS = "hold_exists"
    """A hold of this id is in force. Use an id of its own for another one."""
    HOLD_UNKNOWN = "hold_unknown"
    """No hold of this id is in force: it was never placed, or was released before."""
    NOTHING_OWED = "nothing_owed"
    """There is no receivable that could be written off."""
    MORE_THAN_OWED = "more_than_owed"
    """The receivable is smaller than what is to be written off. Whoever asked for it has to put it right."""


class ReserveWithheld(Event, frozen=True):
    """``share_ppm`` millionths of ``base``, what a run made available, stay with us until the run of ``release_on``.

    The share is rounded down, to the merchant's good, and never more than what the merchant has. ``reserve_id`` names
    this part of the rolling reserve for good.
    """

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    reserve_id: str
    batch_id: str
    base: int
    share_ppm: int
    amount: int
    release_on: int


class ReserveReleased(Event, frozen=True):
    """All or, for a short balance, some of a part of the reserve is the merchant's again."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    reserve_id: str
    reason: ReserveRelease
    amount: int


class SettlementHoldPlaced(Event, frozen=True):
    """``amount`` of the available balance goes on hold; none where there is nothing to hold yet.

    A hold is for ``wanted`` (0: for everything that there is and that will come): what is missing follows at later
    runs under the same ``hold_id``. ``approver`` is empty where settlement itself decided.
    """

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    hold_id: str
    reason: HoldReason
    wanted: int
    amount: int
    approver: str


class SettlementHoldReleased(Event, frozen=True):
    """All that a hold has kept is available again. ``approver`` is empty where a validated bank account released it."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    hold_id: str
    amount: int
    approver: str


class MerchantReceivableRaised(Event, frozen=True):
    """What the merchant's balance is short of is owed to us from here on; the balance is at zero."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    cause: ReceivableCause
    amount: int


class MerchantReceivableOffset(Event, frozen=True):
    """Later funds pay what the merchant owes, before anything is kept back or paid out."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    amount: int


class MerchantLossWrittenOff(Event, frozen=True):
    """What the merchant owes and will not pay is our loss. ``approver`` is the second pair of eyes."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    write_off_id: str
    reason: LossReason
    amount: int
    approver: str


class SettlementInstructionRefused(Event, frozen=True):
    """An instruction that was published as reference data (``kind`` and ``ref_id``) and does nothing, with why."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT

    merchant: str
    currency: str
    kind: str
    ref_id: str
    reason: InstructionRefusal
