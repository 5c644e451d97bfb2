"""What became of a request: taken, a duplicate, a conflict or refused. The log ``intake``, by merchant and key."""

from enum import StrEnum
from typing import ClassVar, TypeAlias

from events.base import Event
from events.requests import (
    CaptureRequest,
    EvidenceRequest,
    IncrementRequest,
    Operation,
    PaymentRequest,
    RefundRequest,
    Request,
    SettingsRequest,
    VoidRequest,
)

MERCHANT_KEY = ("merchant", "idempotency_key")
REQUEST_KEY = ("request.merchant", "request.idempotency_key")


class RequestRejection(StrEnum):
    """Why a request was refused before any payment was touched. Refusal leaves the key free for another body."""

    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    """The amount is zero or less."""
    AMOUNT_TOO_LARGE = "amount_too_large"
    """The amount is beyond anything that is no mistake (`streams/intake.py`: LARGEST_AMOUNT)."""
    CURRENCY_UNKNOWN = "currency_unknown"
    """No currency of ISO 4217 that is in force and has a minor unit."""
    CURRENCY_NOT_ACCEPTED = "currency_not_accepted"
    """Not one of the merchant's currencies."""
    CARD_MALFORMED = "card_malformed"
    """The card is no token of the vault, or its first or last digits are not as many digits as they must be."""
    CARD_NUMBER_IN_CLEAR = "card_number_in_clear"
    """Not given: such a request becomes a dead letter before anything of it is recorded."""
    PAYMENT_ID_MALFORMED = "payment_id_malformed"
    """The payment that a follow-up names cannot be the id of one."""
    DOCUMENTS_MALFORMED = "documents_malformed"
    """Evidence of nothing, of too much, of one document twice, or of what is no SHA-256 in lower-case hexadecimal."""
    IDENTIFIER_MALFORMED = "identifier_malformed"
    """A name, key, note or reference is missing, too long, or not printable ASCII."""
    MERCHANT_UNKNOWN = "merchant_unknown"
    """No terms are in force for this merchant."""
    MERCHANT_BLOCKED = "merchant_blocked"
    """The merchant may take no money; it may still give money back."""
    TIME_OUT_OF_TOLERANCE = "time_out_of_tolerance"
    """The producer's time is too far from the transport's stamp, behind or ahead."""
    SETTING_MALFORMED = "setting_malformed"
    """A day that the schedule cannot fall on, or a minimum below zero or beyond any balance."""


class Outcome(StrEnum):
    """What the first delivery of a request led to."""

    ACCEPTED = "accepted"
    """It claimed its key."""
    REJECTED = "rejected"
    """It was refused, with a reason."""
    CONFLICT = "conflict"
    """Its key was claimed by another body."""


class RequestReceived(Event, frozen=True):
    """A request as it was taken from ``payments.requests`` or, forwarded, from ``intake.inbox``.

    ``body_mac`` is the keyed hash of the canonical body (hexadecimal): equal for equal bodies, and no way
    back to what it covers.
    """

    KEY: ClassVar[tuple[str, ...]] = REQUEST_KEY
    VERSION: ClassVar[int] = 4

    request: PaymentRequest | CaptureRequest | VoidRequest | RefundRequest
    body_mac: str


class IncrementReceived(Event, frozen=True):
    """An increment as it was taken: the same for a request that came into the contract later.

    A union inside an event cannot grow, for old readers could take none of its records any more; a new kind of event
    they can pass over.
    """

    KEY: ClassVar[tuple[str, ...]] = REQUEST_KEY

    request: IncrementRequest
    body_mac: str


class EvidenceReceived(Event, frozen=True):
    """Evidence as it was taken."""

    KEY: ClassVar[tuple[str, ...]] = REQUEST_KEY

    request: EvidenceRequest
    body_mac: str


class SettingsReceived(Event, frozen=True):
    """Settings as they were taken."""

    KEY: ClassVar[tuple[str, ...]] = REQUEST_KEY

    request: SettingsRequest
    body_mac: str


class RequestForwarded(Event, frozen=True):
    """A request that a foreign partitioner brought here, handed to the partition that holds its claim."""

    VERSION: ClassVar[int] = 4

    request: PaymentRequest | CaptureRequest | VoidRequest | RefundRequest
    body_mac: str
    home_partition: int


class IncrementForwarded(Event, frozen=True):
    """An increment that a foreign partitioner brought here, handed to the partition that holds its claim."""

    request: IncrementRequest
    body_mac: str
    home_partition: int


class EvidenceForwarded(Event, frozen=True):
    """Evidence that a foreign partitioner brought here, handed to the partition that holds its claim."""

    request: EvidenceRequest
    body_mac: str
    home_partition: int


class SettingsForwarded(Event, frozen=True):
    """Settings that a foreign partitioner brought here, handed to the partition that holds their claim."""

    request: SettingsRequest
    body_mac: str
    home_partition: int


Received: TypeAlias = RequestReceived | IncrementReceived | EvidenceReceived | SettingsReceived
"""A request of any kind where its claim is."""
Forwarded: TypeAlias = RequestForwarded | IncrementForwarded | EvidenceForwarded | SettingsForwarded
"""A request of any kind on its way to where its claim is."""


def received(request: Request, body_mac: str) -> Received:
    """The event of a request that was taken."""
    match request:
        case IncrementRequest():
            return IncrementReceived(request, body_mac)
        case EvidenceRequest():
            return EvidenceReceived(request, body_mac)
        case SettingsRequest():
            return SettingsReceived(request, body_mac)
        case _:
            return RequestReceived(request, body_mac)


def forwarded(request: Request, body_mac: str, home_partition: int) -> Forwarded:
    """The event of a request that belongs to another partition."""
    match request:
        case IncrementRequest():
            return IncrementForwarded(request, body_mac, home_partition)
        case EvidenceRequest():
            return EvidenceForwarded(request, body_mac, home_partition)
        case SettingsRequest():
            return SettingsForwarded(request, body_mac, home_partition)
        case _:
            return RequestForwarded(request, body_mac, home_partition)


class RequestAccepted(Event, frozen=True):
    """The first delivery of a good request: the claim on its key."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT_KEY
    VERSION: ClassVar[int] = 4

    merchant: str
    idempotency_key: str
    operation: Operation
    payment_id: str
    body_mac: str


class DuplicateRequestObserved(Event, frozen=True):
    """The same key and body again: the same answer, no effect."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT_KEY

    merchant: str
    idempotency_key: str
    payment_id: str
    body_mac: str
    outcome: Outcome


class IdempotencyConflictObserved(Event, frozen=True):
    """The same key with another body: nothing is done, both sides are named."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT_KEY

    merchant: str
    idempotency_key: str
    payment_id: str
    original_mac: str
    body_mac: str


class RequestRejected(Event, frozen=True):
    """A request that no payment can come of; ``field`` names the offender."""

    KEY: ClassVar[tuple[str, ...]] = MERCHANT_KEY
    VERSION: ClassVar[int] = 4

    merchant: str
    idempotency_key: str
    operation: Operation
    payment_id: str
    reason: RequestRejection
    field: str
    amount: int
    currency: str
    body_mac: str
