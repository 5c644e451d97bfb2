"""Presentment to the networks, record by record, and what they answered.

A cycle is one network's settlement of one currency on one day; its id reads ``visa-USD-2026-03-02``.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class RecordKind(StrEnum):
    """What a clearing record is for."""

    PRESENTMENT = "presentment"
    """A capture, to be paid to us."""
    REFUND = "refund"
    """A refund, to be paid by us."""


class ClearingRejection(StrEnum):
    """Why a network refused a record."""

    NONE = "none"
    """It was accepted."""
    INVALID_DATA = "invalid_data"
    """Something in the record is wrong: it may leave once more."""
    DUPLICATE_PRESENTMENT = "duplicate_presentment"
    """The network has taken this one before."""
    AUTHORIZATION_NOT_FOUND = "authorization_not_found"
    """The network knows no authorization behind it."""
    NOT_RECEIVED = "not_received"
    """The network has no trace of it, it says when it is asked: it leaves once more."""


class Bearer(StrEnum):
    """Who bears a loss."""

    MERCHANT = "merchant"
    """The merchant."""
    US = "us"
    """The processor. Not given yet: every loss is the merchant's."""


class ClearingRecordCreated(Event, frozen=True):
    """A capture or a refund leaves for its network. ``source_id`` is the capture's or the refund's id.

    ``arn`` is the acquirer reference number, 23 digits; ``presentment`` counts from 1.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    record_id: str
    kind: RecordKind
    source_id: str
    arn: str
    presentment: int
    amount: int
    currency: str
    batch_id: str


class ClearingBatchClosed(Event, frozen=True):
    """One network's batch of this partition at one cut-off, with its control totals (minor units)."""

    network: str
    currency: str
    batch_id: str
    cut_off_at: int
    presentments: int
    presented_amount: int
    refunds: int
    refunded_amount: int


class ClearingRecordAnswered(Event, frozen=True):
    """The network's answer to one record, with its own figures.

    ``interchange`` is what the network says it keeps (negative: gives back), minor units of the settlement
    currency; ``cycle`` is where the record settles. A refused record has no cycle.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    record_id: str
    accepted: bool
    rejection: ClearingRejection
    cycle: str
    amount: int
    currency: str
    settlement_amount: int
    settlement_currency: str
    interchange: int


class ClearingRecordAccepted(Event, frozen=True):
    """The network owes us the capture, in its cycle."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    record_id: str
    capture_id: str
    amount: int
    currency: str
    settlement_amount: int
    settlement_currency: str
    cycle: str


class RefundCleared(Event, frozen=True):
    """The network takes the refund from what it owes us, in its cycle."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    record_id: str
    refund_id: str
    amount: int
    currency: str
    settlement_amount: int
    settlement_currency: str
    cycle: str


class ClearingRecordRejected(Event, frozen=True):
    """The network refused the record; a representable one leaves again at the next cut-off."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    record_id: str
    kind: RecordKind
    source_id: str
    reason: ClearingRejection
    representable: bool


class ClearingReturnReceived(Event, frozen=True):
    """The network gives back a record that it had accepted, days later, with its own figures.

    ``cycle`` is where it takes the money back; ``interchange`` is what it no longer keeps (positive), minor units of
    the settlement currency.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    record_id: str
    reason: ClearingRejection
    cycle: str
    amount: int
    currency: str
    settlement_amount: int
    settlement_currency: str
    interchange: int


class ClearingRecordReturned(Event, frozen=True):
    """A capture that was accepted is unbilled again; a representable one leaves once more at the next cut-off.

    ``interchange`` is what we had assessed of it and have back, ``their_interchange`` what the network says to that;
    minor units of the settlement currency.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    record_id: str
    capture_id: str
    amount: int
    currency: str
    settlement_amount: int
    settlement_currency: str
    cycle: str
    interchange: int
    their_interchange: int
    reason: ClearingRejection
    representable: bool


class CaptureWrittenOff(Event, frozen=True):
    """A capture that no network will pay."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    capture_id: str
    amount: int
    currency: str
    borne_by: Bearer


class ClearingCycleTotalled(Event, frozen=True):
    """What this partition expects of one cycle since the tick before.

    ``presented`` and ``refunded`` are settlement amounts, ``interchange`` what the network keeps, ``disputed`` what
    issuers took in disputes less what came back of it; ``net`` = presented - refunded - interchange - disputed.
    Minor units of ``currency``.
    """

    VERSION: ClassVar[int] = 2

    network: str
    currency: str
    cycle: str
    account: str
    records: int
    presented: int
    refunded: int
    interchange: int
    net: int
    disputed: int = 0


class SchemePeriodTotalled(Event, frozen=True):
    """What this partition owes one network in scheme fees for one invoice period since the tick before."""

    network: str
    currency: str
    period: str
    account: str
    records: int
    amount: int
