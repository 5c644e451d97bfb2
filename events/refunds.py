"""Money on its way back to the card."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT, OperationRejection
from events.requests import RefundReason


class RefundFailure(StrEnum):
    """Why an approved refund did not reach the card."""

    CLEARING_REJECTED = "clearing_rejected"
    """The network refused its clearing record for good."""


class RefundRequested(Event, frozen=True):
    """The merchant wants ``amount`` to go back to the card.

    ``reason`` came with version 2; null where none is given.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    idempotency_key: str
    refund_id: str
    amount: int
    currency: str
    note: str
    reason: RefundReason | None = None


class RefundApproved(Event, frozen=True):
    """The refund is ours to carry out; its clearing record leaves at the next cut-off.

    ``reason`` is the merchant's, null where none was given or a reviewer gives the money back. It came with version 2.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    network: str
    refund_id: str
    amount: int
    currency: str
    reason: RefundReason | None = None


class RefundRejected(Event, frozen=True):
    """The refund cannot be done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 3

    payment_id: str
    merchant: str
    refund_id: str
    amount: int
    currency: str
    reason: OperationRejection


class RefundFailed(Event, frozen=True):
    """An approved refund came back: the merchant has the money again."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    refund_id: str
    amount: int
    currency: str
    reason: RefundFailure
