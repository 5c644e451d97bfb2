"""What is said to a network about a payment, and what is known of the talk.

The state of one payment's talk, and every message and event that is made of it: functions of the payment, the answer
and what is in force. When any of them is due is authorization's to decide (:mod:`streams.authorization`).
"""

from typing import Final

import msgspec

from events.authorization import (
    AmountConflictDetected,
    AuthorizationIncremented,
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    ConflictField,
    IncrementDeclined,
    IncrementSubmitted,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkReplyUnmatched,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
    ReversalSubmitted,
    UnmatchedReason,
)
from events.identity import rrn
from events.lifecycle import IncrementAdmitted
from events.routing import RouteSelected
from streams.features.approvals import Approval, Meaning, stan
from streams.features.attempts import Answer, Attempts, TakingBack, taking_of

AUTHORIZE: Final = "0100"
REVERSE: Final = "0400"
REVERSE_AGAIN: Final = "0401"

UNSPECIFIED_MCC: Final = "0000"


class Increment(msgspec.Struct, frozen=True):
    """More that the network was asked to hold."""

    increment_id: str
    amount: int
    stan: str


class Payment(msgspec.Struct):
    """A payment that its network may still have to hear of. Amounts in minor units of ``currency``.

    ``approved`` is what the issuer came to hold, ``captured`` and ``cleared`` how much of it was captured and has left
    for clearing, ``given_back`` what partial reversals let go of. ``takings`` are its reversals. ``ended``: nothing is
    held any more; ``voided``: the merchant let it go.
    """

    merchant: str
    card_id: str
    bin: str
    amount: int
    currency: str
    attempts: Attempts
    network: str = ""
    mid: str = ""
    stan: str = ""
    transaction: str = ""
    approved: int = 0
    captured: int = 0
    cleared: int = 0
    given_back: int = 0
    hold_closed: bool = False
    voided: bool = False
    ended: bool = False
    increments: list[Increment] = []
    takings: list[TakingBack] = []

    @property
    def held(self) -> int:
        """What the issuer still holds for what has not left for clearing."""
        return 0 if self.ended else max(0, self.approved - self.cleared - self.given_back)

    @property
    def over(self) -> bool:
        """Whether the network has nothing more to hear of it."""
        if self.ended or (self.hold_closed and self.cleared >= self.captured):
            return True
        told = any(taking.reason is ReversalReason.VOID for taking in self.takings)
        return self.voided and (told or self.held == 0)


class Profile(msgspec.Struct, frozen=True):
    """What authorization needs of a network's profile."""

    hold_days: int
    timeout_ms: int


# --- messages -------------------------------------------------------------------------------------------


def submission(payment: Payment, route: RouteSelected, mcc: str, timeout_ms: int) -> AuthorizationSubmitted:
    """The authorization request of an attempt."""
    reference = rrn(route.payment_id)
    return AuthorizationSubmitted(
        route.payment_id,
        payment.merchant,
        route.network,
        route.mid,
        route.attempt,
        AUTHORIZE,
        stan(reference, route.attempt),
        reference,
        payment.card_id,
        payment.bin,
        payment.amount,
        payment.currency,
        mcc,
        timeout_ms,
    )


def increment(payment: Payment, wanted: IncrementAdmitted, mcc: str, timeout_ms: int) -> IncrementSubmitted:
    """The next increment, to the network that holds."""
    reference = rrn(wanted.payment_id)
    attempt = len(payment.attempts.increments) + 1
    return IncrementSubmitted(
        wanted.payment_id,
        payment.merchant,
        payment.network,
        payment.mid,
        attempt,
        AUTHORIZE,
        stan(f"{reference}/increment", attempt),
        reference,
        payment.card_id,
        wanted.increment_id,
        wanted.amount,
        payment.approved + wanted.amount,
        payment.currency,
        payment.transaction,
        mcc,
        timeout_ms,
    )


def reversal(
    payment_id: str,
    payment: Payment,
    amount: int,
    reason: ReversalReason,
    original: str,
    timeout_ms: int,
    mti: str = REVERSE,
) -> ReversalSubmitted:
    """The next reversal: STAN and RRN are those of the message it takes back, the first and every time."""
    return ReversalSubmitted(
        payment_id,
        payment.merchant,
        payment.network,
        payment.mid,
        len(payment.attempts.reversals) + 1,
        mti,
        original,
        rrn(payment_id),
        payment.card_id,
        amount,
        payment.currency,
        reason,
        timeout_ms,
    )


# --- what an answer comes to ----------------------------------------------------------------------------


def authorized(
    payment: Payment, approval: Approval, reply: NetworkReplyReceived, valid_until_at: int
) -> PaymentAuthorized:
    """The issuer holds what was approved."""
    return PaymentAuthorized(
        reply.payment_id,
        payment.merchant,
        payment.network,
        reply.attempt,
        payment.amount,
        approval.amount,
        payment.currency,
        reply.response_code,
        reply.auth_code,
        reply.avs_result,
        reply.cvv_result,
        reply.network_transaction_id,
        valid_until_at,
    )


def unknown(payment: Payment, body: NetworkReplyTimedOut) -> AuthorizationOutcomeUnknown:
    """Nobody knows."""
    return AuthorizationOutcomeUnknown(
        body.payment_id,
        payment.merchant,
        payment.network,
        body.attempt,
        payment.amount,
        payment.currency,
        body.waited_ms,
    )


def incremented(
    payment: Payment, wanted: Increment, approval: Approval, reply: NetworkReplyReceived
) -> AuthorizationIncremented:
    """The issuer holds more."""
    return AuthorizationIncremented(
        reply.payment_id,
        payment.merchant,
        payment.network,
        wanted.increment_id,
        reply.attempt,
        wanted.amount,
        approval.amount,
        payment.approved + approval.amount,
        payment.currency,
        reply.response_code,
        reply.auth_code,
    )


def increment_declined(
    payment: Payment, wanted: Increment, body: Answer, meaning: Meaning, response_code: str = ""
) -> IncrementDeclined:
    """What was on hold stays so."""
    reason, advice = meaning
    return IncrementDeclined(
        body.payment_id,
        payment.merchant,
        payment.network,
        wanted.increment_id,
        body.attempt,
        wanted.amount,
        payment.currency,
        response_code,
        reason,
        advice,
    )


def conflict(
    payment: Payment, field: ConflictField, reply: NetworkReplyReceived, asked: int
) -> AmountConflictDetected:
    """What the network said otherwise; ``asked`` in minor units of the payment's currency."""
    return AmountConflictDetected(
        reply.payment_id,
        payment.merchant,
        payment.network,
        reply.kind,
        reply.attempt,
        field,
        asked,
        payment.currency,
        reply.approved_amount,
        reply.currency,
    )


def declined(payment_id: str, payment: Payment, meaning: Meaning, response_code: str = "") -> PaymentDeclined:
    """A decline; the network is named only when it was the network that declined."""
    reason, advice = meaning
    return PaymentDeclined(
        payment_id,
        payment.merchant,
        payment.amount,
        payment.currency,
        payment.network if response_code else "",
        response_code,
        reason,
        advice,
    )


def reversed_(payment: Payment, body: Answer) -> AuthorizationReversed:
    """The network has acknowledged what an attempt took back."""
    taking = taking_of(payment.takings, body.attempt)
    return AuthorizationReversed(
        body.payment_id,
        payment.merchant,
        payment.network,
        taking.reason,
        taking.amount,
        0,
        payment.currency,
        body.attempt,
    )


def unmatched(body: Answer, reason: UnmatchedReason) -> NetworkReplyUnmatched:
    """An answer is put aside."""
    return NetworkReplyUnmatched(body.payment_id, body.kind, body.attempt, body.rrn, reason)
