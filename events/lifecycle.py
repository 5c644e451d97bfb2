"""The life of a payment: what was asked of it, what was captured, voided, released. The log ``payments``."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.requests import CaptureMode, Channel, Operation
from events.signals import IdentitySignals

PAYMENT = ("payment_id",)


class OperationRejection(StrEnum):
    """Why a follow-up to a payment was refused."""

    PAYMENT_UNKNOWN = "payment_unknown"
    """There is no such payment, or it has been over for so long that it was forgotten."""
    MERCHANT_MISMATCH = "merchant_mismatch"
    """The payment is another merchant's; nothing more is said of it."""
    CURRENCY_MISMATCH = "currency_mismatch"
    """Not the currency of the payment."""
    NOT_AUTHORIZED = "not_authorized"
    """The payment was declined, or its authorization was taken back."""
    AMOUNT_ABOVE_HOLD = "amount_above_hold"
    """More than is still on hold, and than the network lets a merchant of this kind capture above it."""
    AMOUNT_ABOVE_LIMIT = "amount_above_limit"
    """The payment would come to more than the merchant's terms allow for one."""
    INCREMENT_NOT_SUPPORTED = "increment_not_supported"
    """The payment's network lets no hold grow: ask for another payment."""
    ALREADY_CAPTURED = "already_captured"
    """Nothing is on hold any more: a final capture has taken or released it."""
    ALREADY_VOIDED = "already_voided"
    """The payment was let go."""
    AUTHORIZATION_EXPIRED = "authorization_expired"
    """The hold ran out."""
    ALREADY_CLEARING = "already_clearing"
    """What should be let go has left for clearing, all of it: a refund is the way."""
    CAPTURE_UNKNOWN = "capture_unknown"
    """The payment has no such capture."""
    REFUNDS_BEGUN = "refunds_begun"
    """Money of it is on its way back to the card: a void would leave less captured than was given back."""
    NOTHING_CAPTURED = "nothing_captured"
    """There is no captured money to give back."""
    AMOUNT_ABOVE_CAPTURED = "amount_above_captured"
    """More than was captured and not yet refunded."""
    AMOUNT_DISPUTED = "amount_disputed"
    """What is left is held for a dispute, or was lost in one: the cardholder has it already, or may get it."""


class PaymentRequested(Event, frozen=True):
    """A payment begins: the request as intake accepted it."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    idempotency_key: str
    card_id: str
    bin: str
    last4: str
    amount: int
    currency: str
    channel: Channel
    capture_mode: CaptureMode
    device_ref: str
    ip_ref: str
    email_ref: str
    phone_ref: str = ""
    signals: IdentitySignals | None = None


class CaptureRequested(Event, frozen=True):
    """The merchant wants ``amount`` of the hold; ``final`` lets go of what then remains."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    idempotency_key: str
    capture_id: str
    amount: int
    currency: str
    final: bool


class IncrementRequested(Event, frozen=True):
    """The merchant wants ``amount`` more on hold."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    idempotency_key: str
    increment_id: str
    amount: int
    currency: str


class VoidRequested(Event, frozen=True):
    """The merchant lets the payment go, or the one capture that ``capture_id`` names."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    idempotency_key: str
    capture_id: str = ""


class OperationParked(Event, frozen=True):
    """A follow-up waits for the answer to an open attempt."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 4

    payment_id: str
    operation: Operation
    idempotency_key: str


class OperationRejected(Event, frozen=True):
    """A follow-up that cannot be done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 5

    payment_id: str
    merchant: str
    operation: Operation
    idempotency_key: str
    reason: OperationRejection


class IncrementAdmitted(Event, frozen=True):
    """The payment is on hold, so its network may be asked to hold ``amount`` more."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    increment_id: str
    amount: int
    currency: str


class PaymentCaptured(Event, frozen=True):
    """``amount`` is the merchant's to have; ``hold_released`` leaves the hold.

    The two differ where a capture takes more than is held, within what the network lets its kind of merchant
    (a tip): then all of the hold is released. What a final capture leaves goes with a release of its own.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    capture_id: str
    amount: int
    currency: str
    hold_released: int
    final: bool


class CaptureVoided(Event, frozen=True):
    """A capture undone before its clearing record left."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    capture_id: str
    amount: int
    currency: str


class AuthorizationRemainderReleased(Event, frozen=True):
    """Nobody will capture what is left of the hold: it is let go, and the network is told."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    hold_released: int
    currency: str


class PaymentVoided(Event, frozen=True):
    """The payment is let go; ``hold_released`` is what was still on hold (0 when all of it was captured)."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    hold_released: int
    currency: str


class AuthorizationExpired(Event, frozen=True):
    """The hold ran out before it was captured."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    hold_released: int
    currency: str
