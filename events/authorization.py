"""The talk with the card networks: what was submitted, what came back, what it means.

Message type indicators and data elements are those of ISO 8583:1987: 0100/0110 authorization, 0400/0410
reversal with 0401 for its repeats. ``stan`` is DE 11 (six digits), ``rrn`` DE 37 (twelve characters),
``response_code`` DE 39, ``auth_code`` DE 38, ``mid`` DE 42.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class MessageKind(StrEnum):
    """What a message to a network was for."""

    AUTHORIZATION = "authorization"
    """May this card be charged?"""
    REVERSAL = "reversal"
    """Forget that we asked, or some of what you hold."""
    INCREMENT = "increment"
    """Will you hold more?"""


class DeclineReason(StrEnum):
    """Why there was no approval, in one vocabulary for all networks."""

    RISK_BLOCKED = "risk_blocked"
    """Our own rules or the merchant's limits; no network was asked."""
    NO_ROUTE = "no_route"
    """No network carries this card in this currency, or none could be reached."""
    NO_ANSWER = "no_answer"
    """Nobody answered an increment in time: what may be held of it is taken back."""
    CONFLICTING_ANSWER = "conflicting_answer"
    """The network approved another currency than it was asked for: what it holds is taken back."""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    """The account does not hold enough."""
    DO_NOT_HONOUR = "do_not_honour"
    """The issuer says no and not why, or does not permit this use."""
    EXPIRED_CARD = "expired_card"
    """The card is past its date."""
    INVALID_CARD = "invalid_card"
    """No such card, or no such issuer."""
    LOST_OR_STOLEN = "lost_or_stolen"
    """The card was reported gone, or is to be kept."""
    SUSPECTED_FRAUD = "suspected_fraud"
    """The issuer does not believe it."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """Over the card's limit of amount or of number."""
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    """The issuer, or the way to it, does not answer its network."""
    OTHER = "other"
    """A response code that has no row of its own."""


class RetryAdvice(StrEnum):
    """What the merchant may do after a decline."""

    NEVER = "never"
    """Do not try this card again."""
    LATER = "later"
    """The same card may do another time."""
    OTHER_CARD = "other_card"
    """Ask for another card."""


class ReversalReason(StrEnum):
    """Why an authorization was taken back."""

    TIMEOUT = "timeout"
    """Nobody answered in time, so the outcome is unknown."""
    VOID = "void"
    """The merchant let the payment go."""
    PARTIAL = "partial"
    """Some of the hold will not be captured: the network may let go of so much."""
    INCREMENT = "increment"
    """Nobody answered an increment in time."""
    CONFLICT = "conflict"
    """The network holds something else than it was asked for: the part that is not ours is taken back."""


class LateApprovalAction(StrEnum):
    """What was done about an approval that came after its time-out."""

    COVERED_BY_REVERSAL = "covered_by_reversal"
    """The reversal under way, or done, takes it back: no second one is sent."""


class UnmatchedReason(StrEnum):
    """Why an answer was put aside."""

    DUPLICATE = "duplicate"
    """The attempt has its answer."""
    UNKNOWN = "unknown"
    """No such attempt, or one that has been over for so long that it was forgotten."""


class ConflictField(StrEnum):
    """What a network's answer says otherwise than we did."""

    AMOUNT = "amount"
    """Approved, but not for the amount that was asked for. Less: so much is on hold. More: the rest is taken back."""
    CURRENCY = "currency"
    """Approved in another currency: nothing of it can be on hold here, and all of it is taken back."""


class AuthorizationSubmitted(Event, frozen=True):
    """An authorization request for the adapter to send, at most once."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    mid: str
    attempt: int
    mti: str
    stan: str
    rrn: str
    card_id: str
    bin: str
    amount: int
    currency: str
    mcc: str
    timeout_ms: int


class IncrementSubmitted(Event, frozen=True):
    """A request to hold ``amount`` more, for the adapter to send, at most once.

    An authorization request of its own (0100) with a STAN of its own, tied to the first by RRN and the network's
    transaction id. ``attempt`` counts the increments of the payment; ``total`` is what is on hold if it is approved.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    mid: str
    attempt: int
    mti: str
    stan: str
    rrn: str
    card_id: str
    increment_id: str
    amount: int
    total: int
    currency: str
    network_transaction_id: str
    mcc: str
    timeout_ms: int


class ReversalSubmitted(Event, frozen=True):
    """A reversal for the adapter to send; repeated at ticks, with the same STAN and RRN, until acknowledged.

    ``attempt`` counts all messages of this kind for the payment, whatever they take back. STAN and RRN are those of
    the message that is taken back, all of it or ``amount`` of it (DE 95 of ISO 8583 then says what remains).
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    network: str
    mid: str
    attempt: int
    mti: str
    stan: str
    rrn: str
    card_id: str
    amount: int
    currency: str
    reason: ReversalReason
    timeout_ms: int


class NetworkReplyReceived(Event, frozen=True):
    """A network's answer, redacted. ``attempt`` counts the submissions of its ``kind`` for the payment.

    ``late`` marks an answer that came after its attempt was declared timed out. ``frame`` holds the redacted
    bytes of the answer and ``frame_sha256`` their hash; both are empty where the network has no byte format.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    kind: MessageKind
    attempt: int
    late: bool
    mti: str
    stan: str
    rrn: str
    response_code: str
    approved_amount: int
    currency: str
    auth_code: str
    avs_result: str
    cvv_result: str
    network_transaction_id: str
    frame: bytes
    frame_sha256: bytes


class NetworkReplyTimedOut(Event, frozen=True):
    """No answer within ``waited_ms`` of the write on the wire: the outcome is unknown."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    kind: MessageKind
    attempt: int
    stan: str
    rrn: str
    waited_ms: int


class NetworkNotSent(Event, frozen=True):
    """The message provably never left: no reversal is needed, another network may be tried."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    kind: MessageKind
    attempt: int
    stan: str
    rrn: str


class NetworkReplyUnmatched(Event, frozen=True):
    """An answer that no open attempt waits for."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    kind: MessageKind
    attempt: int
    rrn: str
    reason: UnmatchedReason


class PaymentAuthorized(Event, frozen=True):
    """The issuer holds ``approved_amount`` (at most ``amount``) until ``valid_until_at``."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    attempt: int
    amount: int
    approved_amount: int
    currency: str
    response_code: str
    auth_code: str
    avs_result: str
    cvv_result: str
    network_transaction_id: str
    valid_until_at: int


class PaymentDeclined(Event, frozen=True):
    """The payment ends without money: by risk, for want of a route, or by the issuer."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    amount: int
    currency: str
    network: str
    response_code: str
    reason: DeclineReason
    advice: RetryAdvice


class AuthorizationIncremented(Event, frozen=True):
    """The issuer holds ``amount`` more, which may be less than ``requested``; ``total`` was approved so far."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    increment_id: str
    attempt: int
    requested: int
    amount: int
    total: int
    currency: str
    response_code: str
    auth_code: str


class IncrementDeclined(Event, frozen=True):
    """The issuer does not hold more, or nobody could be asked. What was on hold stays so."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    increment_id: str
    attempt: int
    amount: int
    currency: str
    response_code: str
    reason: DeclineReason
    advice: RetryAdvice


class AmountConflictDetected(Event, frozen=True):
    """An approval says another amount or currency than we asked for; what follows from it stands in ``field``.

    Of our books only what we asked for and the network holds too is on hold: the smaller of the two amounts, nothing
    where the currencies differ. Whatever more the network holds is taken back, for nobody agreed to it.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    kind: MessageKind
    attempt: int
    field: ConflictField
    our_amount: int
    our_currency: str
    their_amount: int
    their_currency: str


class AuthorizationOutcomeUnknown(Event, frozen=True):
    """Nobody knows whether the issuer holds the money; a reversal goes out."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    attempt: int
    amount: int
    currency: str
    waited_ms: int


class AuthorizationReversed(Event, frozen=True):
    """The network has acknowledged a reversal of ``amount``; ``attempt`` is the message that it answered.

    ``hold_released`` is 0: what we let go left our books when we decided so, before the network was told.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    network: str
    reason: ReversalReason
    amount: int
    hold_released: int
    currency: str
    attempt: int = 0


class LateApprovalReceived(Event, frozen=True):
    """An approval after the time-out: recorded once, and covered by the reversal that is under way or done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    attempt: int
    approved_amount: int
    currency: str
    action: LateApprovalAction
    kind: MessageKind = MessageKind.AUTHORIZATION
