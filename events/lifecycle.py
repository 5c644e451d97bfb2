"""The life of a payment: what was asked of it, what was captured, voided, released. The log ``payments``."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.requests import CaptureMode, Channel, Operation

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
    """More than is still on hold."""
    ALREADY_CAPTURED = "already_captured"
    """Nothing is on hold any more: a final capture has taken or released it, or refunds have begun."""
    ALREADY_VOIDED = "already_voided"
    """The payment was let go."""
    AUTHORIZATION_EXPIRED = "authorization_expired"
    """The hold ran out."""
    ALREADY_CLEARING = "already_clearing"
    """A clearing record has left: there is nothing whole left to void, a refund is the way."""
    NOTHING_CAPTURED = "nothing_captured"
    """There is no captured money to give back."""
    AMOUNT_ABOVE_CAPTURED = "amount_above_captured"
    """More than was captured and not yet refunded."""


class PaymentRequested(Event, frozen=True):
    """A payment begins: the request as intake accepted it."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

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


class VoidRequested(Event, frozen=True):
    """The merchant lets the payment go."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    idempotency_key: str


class OperationParked(Event, frozen=True):
    """A follow-up waits for the answer to an open attempt."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    operation: Operation
    idempotency_key: str


class OperationRejected(Event, frozen=True):
    """A follow-up that cannot be done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    operation: Operation
    idempotency_key: str
    reason: OperationRejection


class PaymentCaptured(Event, frozen=True):
    """``amount`` is the merchant's to have; ``hold_released`` leaves the hold (at least ``amount`` of it)."""

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
