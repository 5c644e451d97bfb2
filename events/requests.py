"""What producers ask for: the messages of ``payments.requests``, and the tick that walks behind them.

A producer may compute every id before an answer is in (:mod:`events.identity`), so a capture can name its
payment at once. Amounts are minor units of ``currency`` (ISO 4217); ``occurred_at`` is the producer's claim,
microseconds UTC, refused when it is further from the transport's stamp than the stated tolerance.
A card is named by its vault token alone: no message has room for a card number.
"""

from enum import StrEnum
from typing import ClassVar, TypeAlias

from events.base import Message
from events.signals import IdentitySignals


class Channel(StrEnum):
    """How the card was presented."""

    ECOMMERCE = "ecommerce"
    """In a shop on the web or in an application."""
    POINT_OF_SALE = "point_of_sale"
    """At a till, the card present."""
    MAIL_OR_TELEPHONE = "mail_or_telephone"
    """Told to somebody in writing or on the telephone."""
    RECURRING = "recurring"
    """By a standing agreement, nobody present."""


class CaptureMode(StrEnum):
    """Who decides that the money is taken: we at once, or the merchant by a capture of its own."""

    AUTOMATIC = "automatic"
    """Captured as soon as it is authorized."""
    MANUAL = "manual"
    """Held until the merchant captures, voids, or the hold runs out."""


class Operation(StrEnum):
    """What a request asks for."""

    PAYMENT = "payment"
    """Take money from a card."""
    CAPTURE = "capture"
    """Take all or part of what is on hold."""
    INCREMENT = "increment"
    """Ask the issuer to hold more."""
    VOID = "void"
    """Let the whole payment go, or one capture of it."""
    REFUND = "refund"
    """Give back all or part of what was captured."""
    EVIDENCE = "evidence"
    """Answer an inquiry or a dispute."""
    SETTINGS = "settings"
    """Say when and from which balance on to be paid out."""


class Answered(StrEnum):
    """What of an issuer evidence answers."""

    INQUIRY = "inquiry"
    """Its question what the payment was."""
    CHARGEBACK = "chargeback"
    """Its dispute."""
    PRE_ARBITRATION = "pre_arbitration"
    """Its insisting, after evidence was sent."""


class PayoutSchedule(StrEnum):
    """How often a merchant is paid."""

    DAILY = "daily"
    """On every business day."""
    WEEKLY = "weekly"
    """On one weekday, or the next business day."""
    MONTHLY = "monthly"
    """On one day of the month (its last where the month is shorter), or the next business day."""


class RefundReason(StrEnum):
    """Why a merchant gives money back."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    """The customer wants it back: returned goods, a cancelled order."""
    DUPLICATE = "duplicate"
    """The customer was charged twice."""
    FRAUDULENT = "fraudulent"
    """The merchant has found out that the cardholder did not buy. When the refund is approved, the payment is labelled
    fraud by the merchant's word."""


def has_day(schedule: PayoutSchedule, anchor: int) -> bool:
    """Whether a schedule can fall on a day: 0 for daily, 0 to 6 (0: Monday) for weekly, 1 to 31 for monthly."""
    match schedule:
        case PayoutSchedule.DAILY:
            return anchor == 0
        case PayoutSchedule.WEEKLY:
            return 0 <= anchor < 7
        case PayoutSchedule.MONTHLY:
            return 1 <= anchor <= 31


class PaymentRequest(Message, frozen=True, omit_defaults=True):
    """Authorize ``amount`` on a card, and capture it too when ``capture_mode`` is automatic.

    ``bin`` is the first 8 digits of a 16-digit number, the first 6 of a 15-digit one; ``last4`` the last four.
    ``device_ref``, ``ip_ref``, ``email_ref`` and ``phone_ref`` are surrogates made by the vault, empty where unknown.
    ``signals`` is what an identity provider said of them, null for who has none. The last two came with version 2. In
    the canonical body, of which the MAC is made, an empty ``phone_ref`` is left out, so that a request has the MAC that
    it had before; ``signals`` always are, for they are nothing that was asked for.
    """

    VERSION: ClassVar[int] = 2

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
    occurred_at: int
    producer: str
    simulated: bool
    phone_ref: str = ""
    signals: IdentitySignals | None = None


class CaptureRequest(Message, frozen=True):
    """Take ``amount`` of an authorized payment; ``final`` releases whatever then remains on hold."""

    merchant: str
    idempotency_key: str
    payment_id: str
    amount: int
    currency: str
    final: bool
    occurred_at: int
    producer: str
    simulated: bool


class IncrementRequest(Message, frozen=True):
    """Hold ``amount`` more of an authorized payment: a longer stay, another drink. The network is asked."""

    merchant: str
    idempotency_key: str
    payment_id: str
    amount: int
    currency: str
    occurred_at: int
    producer: str
    simulated: bool


class VoidRequest(Message, frozen=True, omit_defaults=True):
    """Let go of what has not left for clearing: the hold and every capture, or the capture ``capture_id`` alone.

    ``capture_id`` is empty for the whole payment. It came with version 2; in the canonical body, of which the MAC is
    made, an empty one is left out, so that a request has the MAC that it had before.
    """

    VERSION: ClassVar[int] = 2

    merchant: str
    idempotency_key: str
    payment_id: str
    occurred_at: int
    producer: str
    simulated: bool
    capture_id: str = ""


class RefundRequest(Message, frozen=True, omit_defaults=True):
    """Give ``amount`` of what was captured back to the card.

    ``reason`` came with version 2; in the canonical body, of which the MAC is made, none is left out, so that a request
    has the MAC that it had before.
    """

    VERSION: ClassVar[int] = 2

    merchant: str
    idempotency_key: str
    payment_id: str
    amount: int
    currency: str
    note: str
    occurred_at: int
    producer: str
    simulated: bool
    reason: RefundReason | None = None


class EvidenceRequest(Message, frozen=True):
    """Answer what the issuer says in the case ``case_id``, before its time is up.

    ``documents`` are the SHA-256 of what is sent, in lower-case hexadecimal: the documents themselves never come here.
    ``stage`` is what they answer, so that evidence made for one is not taken for another that came meanwhile.
    """

    merchant: str
    idempotency_key: str
    payment_id: str
    case_id: str
    stage: Answered
    documents: list[str]
    occurred_at: int
    producer: str
    simulated: bool


class SettingsRequest(Message, frozen=True):
    """Pay out on other days, or from another balance on: what a merchant's contract leaves to itself.

    ``currency`` is empty for every currency that the merchant has said nothing of. ``anchor`` is the weekday of a
    weekly ``schedule`` (0: Monday), the day of a monthly one (1 to 31) and 0 for a daily one. A balance below
    ``minimum_payout`` (minor units) waits.
    """

    merchant: str
    idempotency_key: str
    currency: str
    schedule: PayoutSchedule
    anchor: int
    minimum_payout: int
    occurred_at: int
    producer: str
    simulated: bool


Request: TypeAlias = (
    PaymentRequest
    | CaptureRequest
    | VoidRequest
    | RefundRequest
    | IncrementRequest
    | EvidenceRequest
    | SettingsRequest
)
"""What a producer may ask for."""


class Tick(Message, frozen=True):
    """The time of ``payments.requests``: everything before it in its partition belongs to tick ``tick``.

    ``at`` is the business time the tick stands for, microseconds UTC; ``reference_version`` names the
    highest entry of the reference topic that is in force from here on.
    """

    tick: int
    at: int
    reference_version: int


class ReferencePublished(Message, frozen=True):
    """One version of one piece of reference data, as JSON (:mod:`events.reference` has the types).

    ``version`` counts all entries of the reference topic from 1, without gaps.
    """

    kind: str
    ref_id: str
    version: int
    sha256: str
    content: str


class InputRow(Message, frozen=True):
    """One row of an input file: what to publish, and the transport's stamp in virtual time."""

    VERSION: ClassVar[int] = 6

    ingested_at: int
    entry: (
        PaymentRequest
        | CaptureRequest
        | VoidRequest
        | RefundRequest
        | ReferencePublished
        | IncrementRequest
        | EvidenceRequest
        | SettingsRequest
    )
