"""Authorization: the talk with a network about one payment, and what its answers mean.

An authorization is submitted at most once for each attempt. An answer settles it; "never sent" passes it on to
routing; silence leaves the outcome unknown, and a reversal goes out that is repeated at ticks, never at once,
until the network acknowledges it. An approval that comes after all is recorded once and is covered by that
reversal. Whatever else comes in, twice or for nothing we know, is put aside with a reason.

An answer is the first to its attempt exactly when the attempt remembers the answer's own sequence: ``evolve``
comes before ``decide``, so "is it still open" would always be no.

A payment is kept while an answer, a reversal or a void may still need it (until its captures have left for
clearing, or its hold is gone), then its attempts alone for :data:`REPLY_MEMORY_DAYS` days.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from events.authorization import (
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    DeclineReason,
    LateApprovalAction,
    LateApprovalReceived,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkReplyUnmatched,
    PaymentAuthorized,
    PaymentDeclined,
    RetryAdvice,
    ReversalReason,
    ReversalSubmitted,
    UnmatchedReason,
)
from events.base import Event
from events.calendar import DAY, day_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.envelope import Meta, Recorded
from events.identity import rrn
from events.lifecycle import (
    AuthorizationExpired,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
)
from events.partitions import ReferenceApplied
from events.reference import MerchantTerms, NetworkProfile, decode_reference
from events.risk import RiskAssessed, Verdict
from events.routing import RouteExhausted, RouteSelected
from streams.features.days import Day, before, forget, put_aside
from streams.processor import DEADLINES, Work

NAME: Final = "authorization"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    AuthorizationSubmitted,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkNotSent,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalSubmitted,
    AuthorizationReversed,
    LateApprovalReceived,
    PaymentCaptured,
    PaymentVoided,
    ClearingRecordCreated,
    AuthorizationExpired,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (
    RiskAssessed,
    RouteSelected,
    RouteExhausted,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkNotSent,
    PaymentVoided,
)

REPLY_MEMORY_DAYS: Final = 2
"""How many whole days of logical time a closed payment's attempts are kept. A later answer is unknown to us."""

APPROVED: Final = "00"
PARTLY_APPROVED: Final = "10"
REVERSAL_DONE: Final = frozenset({"00", "21", "25"})
"""Reversed; no action was taken; the original is not on file. After each of these nothing is held."""

AUTHORIZE: Final = "0100"
REVERSE: Final = "0400"
REVERSE_AGAIN: Final = "0401"

#: DE 39 of ISO 8583:1987, by the reason for the merchant and what the merchant may do.
DECLINES: Final[dict[str, tuple[DeclineReason, RetryAdvice]]] = {
    "04": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "05": (DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER),
    "07": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "14": (DeclineReason.INVALID_CARD, RetryAdvice.NEVER),
    "15": (DeclineReason.INVALID_CARD, RetryAdvice.NEVER),
    "33": (DeclineReason.EXPIRED_CARD, RetryAdvice.OTHER_CARD),
    "34": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "41": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "43": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "51": (DeclineReason.INSUFFICIENT_FUNDS, RetryAdvice.LATER),
    "54": (DeclineReason.EXPIRED_CARD, RetryAdvice.OTHER_CARD),
    "59": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "61": (DeclineReason.LIMIT_EXCEEDED, RetryAdvice.LATER),
    "62": (DeclineReason.DO_NOT_HONOUR, RetryAdvice.OTHER_CARD),
    "65": (DeclineReason.LIMIT_EXCEEDED, RetryAdvice.LATER),
    "91": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
    "92": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
    "96": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
}
OTHER_DECLINE: Final = (DeclineReason.OTHER, RetryAdvice.OTHER_CARD)

UNSPECIFIED_MCC: Final = "0000"
_STANS: Final = 999_999

Answer = NetworkReplyReceived | NetworkReplyTimedOut | NetworkNotSent


class Attempts(msgspec.Struct):
    """What was submitted for a payment, and the sequence of the first answer to each attempt (0: none yet).

    ``timed_out`` is the authorization attempt nobody answered in time, ``late`` whether its approval came.
    """

    authorizations: list[int] = []
    reversals: list[int] = []
    timed_out: int = 0
    late: bool = False


class Payment(msgspec.Struct):
    """A payment that its network may still have to hear of. Amounts in minor units of ``currency``.

    ``approved`` is what the issuer holds, ``captured`` and ``cleared`` how much of it was captured and has left
    for clearing, ``reversed`` the amount of the reversal under way.
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
    approved: int = 0
    captured: int = 0
    cleared: int = 0
    hold_closed: bool = False
    reversed: int = 0


class Profile(msgspec.Struct, frozen=True):
    """What authorization needs of a network's profile."""

    hold_days: int
    timeout_ms: int


class State(msgspec.Struct):
    """Payments under way, the attempts of closed ones, reversals to repeat, and a count of open attempts."""

    payments: dict[str, Payment] = {}
    closed: dict[str, Attempts] = {}
    days: list[Day] = []
    unacknowledged: dict[str, bool] = {}
    open: int = 0
    profiles: dict[str, Profile] = {}
    mccs: dict[str, str] = {}


def initial() -> State:
    """Nothing was ever submitted."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What follows from a verdict, a route, an answer or a void."""
    match recorded.body:
        case RouteSelected() as body:
            return [_submission(state, body)]
        case NetworkReplyReceived() | NetworkReplyTimedOut() | NetworkNotSent() as body:
            return _answered(state, recorded.meta, body)
        case RiskAssessed(verdict=Verdict.BLOCK) as body:
            payment = state.payments[body.payment_id]
            return [_decline(body.payment_id, payment, (DeclineReason.RISK_BLOCKED, RetryAdvice.NEVER))]
        case RouteExhausted() as body:
            payment = state.payments[body.payment_id]
            return [_decline(body.payment_id, payment, (DeclineReason.NO_ROUTE, RetryAdvice.LATER))]
        case PaymentVoided() as body:
            voided = state.payments.get(body.payment_id)
            if voided is None:
                return []
            amount = voided.approved - voided.cleared
            return [_reversal(state, body.payment_id, voided, amount, ReversalReason.VOID)]
        case _:
            return []


def _submission(state: State, route: RouteSelected) -> AuthorizationSubmitted:
    payment = state.payments[route.payment_id]
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
        state.mccs.get(payment.merchant, UNSPECIFIED_MCC),
        state.profiles[route.network].timeout_ms,
    )


def _answered(state: State, meta: Meta, body: Answer) -> list[Event]:
    """What an answer means: to an attempt that waited for it, after a time-out, or to nobody."""
    payment = state.payments.get(body.payment_id)
    attempts = payment.attempts if payment is not None else state.closed.get(body.payment_id)
    answers = _answers(attempts, body)
    if attempts is None or answers is None:
        return [_unmatched(body, UnmatchedReason.UNKNOWN)]
    if answers[body.attempt - 1] != meta.sequence:
        if _is_late_approval(attempts, body) and isinstance(body, NetworkReplyReceived):
            return [
                LateApprovalReceived(
                    body.payment_id,
                    body.network,
                    body.attempt,
                    body.approved_amount,
                    body.currency,
                    LateApprovalAction.COVERED_BY_REVERSAL,
                )
            ]
        return [_unmatched(body, UnmatchedReason.DUPLICATE)]
    assert payment is not None, "an attempt is open, so its payment is not closed"
    if body.kind is MessageKind.REVERSAL:
        if not _acknowledges(body):
            return []
        return [
            AuthorizationReversed(
                body.payment_id,
                payment.merchant,
                payment.network,
                _reversal_reason(payment),
                payment.reversed,
                0,
                payment.currency,
            )
        ]
    match body:
        case NetworkReplyReceived():
            return [_outcome(state, meta, payment, body)]
        case NetworkReplyTimedOut():
            return [
                AuthorizationOutcomeUnknown(
                    body.payment_id,
                    payment.merchant,
                    payment.network,
                    body.attempt,
                    payment.amount,
                    payment.currency,
                    body.waited_ms,
                ),
                _reversal(state, body.payment_id, payment, payment.amount, ReversalReason.TIMEOUT),
            ]
        case NetworkNotSent():
            return []


def _outcome(
    state: State, meta: Meta, payment: Payment, reply: NetworkReplyReceived
) -> PaymentAuthorized | PaymentDeclined:
    approved = _approved_amount(payment.amount, reply)
    if approved == 0:
        meaning = DECLINES.get(reply.response_code, OTHER_DECLINE)
        return _decline(reply.payment_id, payment, meaning, reply.response_code)
    return PaymentAuthorized(
        reply.payment_id,
        payment.merchant,
        payment.network,
        reply.attempt,
        payment.amount,
        approved,
        payment.currency,
        reply.response_code,
        reply.auth_code,
        reply.avs_result,
        reply.cvv_result,
        reply.network_transaction_id,
        meta.recorded_at + state.profiles[payment.network].hold_days * DAY,
    )


def _approved_amount(amount: int, reply: NetworkReplyReceived) -> int:
    """What the issuer holds, never more than was asked for. A full approval need not repeat the amount."""
    if reply.response_code == APPROVED:
        return min(reply.approved_amount, amount) if reply.approved_amount > 0 else amount
    if reply.response_code == PARTLY_APPROVED:
        return max(0, min(reply.approved_amount, amount))
    return 0


def _decline(
    payment_id: str, payment: Payment, meaning: tuple[DeclineReason, RetryAdvice], response_code: str = ""
) -> PaymentDeclined:
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


def _reversal(
    state: State, payment_id: str, payment: Payment, amount: int, reason: ReversalReason
) -> ReversalSubmitted:
    """The next reversal: STAN and RRN are those of the authorization it takes back, the first and every time."""
    attempt = len(payment.attempts.reversals) + 1
    return ReversalSubmitted(
        payment_id,
        payment.merchant,
        payment.network,
        payment.mid,
        attempt,
        REVERSE if attempt == 1 else REVERSE_AGAIN,
        payment.stan,
        rrn(payment_id),
        payment.card_id,
        amount,
        payment.currency,
        reason,
        state.profiles[payment.network].timeout_ms,
    )


def _unmatched(body: Answer, reason: UnmatchedReason) -> NetworkReplyUnmatched:
    return NetworkReplyUnmatched(body.payment_id, body.kind, body.attempt, body.rrn, reason)


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow the talk."""
    match recorded.body:
        case PaymentRequested() as body:
            state.payments[body.payment_id] = Payment(
                body.merchant, body.card_id, body.bin, body.amount, body.currency, Attempts()
            )
        case AuthorizationSubmitted() as body:
            payment = state.payments[body.payment_id]
            payment.network, payment.mid, payment.stan = body.network, body.mid, body.stan
            payment.attempts.authorizations.append(0)
            state.open += 1
        case NetworkReplyReceived() | NetworkReplyTimedOut() | NetworkNotSent() as body:
            _take_answer(state, recorded.meta, body)
        case PaymentAuthorized() as body:
            state.payments[body.payment_id].approved = body.approved_amount
        case PaymentCaptured() as body:
            held = state.payments.get(body.payment_id)
            if held is not None:
                held.captured += body.amount
                held.hold_closed = held.hold_closed or body.final
        case ClearingRecordCreated(kind=RecordKind.PRESENTMENT, presentment=1) as body:
            held = state.payments.get(body.payment_id)
            if held is not None:
                held.cleared += body.amount
                # From here on no void can come, and the network settles what it holds by the record.
                if held.hold_closed and held.cleared >= held.captured:
                    _close(state, recorded.meta, body.payment_id)
        case ReversalSubmitted() as body:
            payment = state.payments[body.payment_id]
            payment.attempts.reversals.append(0)
            payment.reversed = body.amount
            state.unacknowledged.pop(body.payment_id, None)
            state.open += 1
        case PaymentVoided() as body:
            held = state.payments.get(body.payment_id)
            if held is not None and held.approved <= held.cleared:
                _close(state, recorded.meta, body.payment_id)
        case PaymentDeclined() | AuthorizationReversed() | AuthorizationExpired() as body:
            _close(state, recorded.meta, body.payment_id)
        case LateApprovalReceived() as body:
            _attempts(state, body.payment_id).late = True
        case ReferenceApplied(kind="network") as body:
            profile = decode_reference(body.kind, body.content)
            assert isinstance(profile, NetworkProfile)
            state.profiles[profile.network] = Profile(profile.hold_days, profile.timeout_ms)
        case ReferenceApplied(kind="merchant") as body:
            terms = decode_reference(body.kind, body.content)
            assert isinstance(terms, MerchantTerms)
            state.mccs[terms.merchant] = terms.mcc
        case _:
            pass
    return state


def _take_answer(state: State, meta: Meta, body: Answer) -> None:
    """Let the first answer to an attempt close it."""
    payment = state.payments.get(body.payment_id)
    if payment is None:
        return
    answers = _answers(payment.attempts, body)
    if answers is None or answers[body.attempt - 1] != 0:
        return
    answers[body.attempt - 1] = meta.sequence
    state.open -= 1
    if body.kind is MessageKind.REVERSAL:
        if not _acknowledges(body):
            state.unacknowledged[body.payment_id] = True
    elif isinstance(body, NetworkReplyTimedOut):
        payment.attempts.timed_out = body.attempt


def _close(state: State, meta: Meta, payment_id: str) -> None:
    """Keep only the attempts, and only of a payment that had any."""
    payment = state.payments.pop(payment_id, None)
    if payment is None or not payment.attempts.authorizations:
        return
    state.closed[payment_id] = payment.attempts
    put_aside(state.days, day_of(meta.recorded_at), payment_id)


# --- time -----------------------------------------------------------------------------------------------


def due(state: State, now: int) -> list[Work]:
    """Reversals that nobody acknowledged go out again; days of closed payments are forgotten."""
    works = [Work(DEADLINES, "repeat_reversal", payment_id) for payment_id in sorted(state.unacknowledged)]
    works += [
        Work(DEADLINES, "forget", f"{day_on:08d}")
        for day_on in before(state.days, day_of(now) - REPLY_MEMORY_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Repeat one reversal, or forget one day."""
    if work.kind == "repeat_reversal":
        if work.key not in state.unacknowledged:
            return []
        payment = state.payments[work.key]
        return [_reversal(state, work.key, payment, payment.reversed, _reversal_reason(payment))]
    for payment_id in forget(state.days, int(work.key)):
        del state.closed[payment_id]
    return []


def open_attempts(state: State) -> int:
    """Submissions without any answer: reply, time-out or not sent. A tick waits for them."""
    return state.open


def summary(state: State) -> Iterator[str]:
    """Each payment with its talk so far. How often a reversal was repeated is the outside's business."""
    for payment_id in sorted(state.payments):
        payment = state.payments[payment_id]
        yield (
            f"authorization {payment_id} {payment.network} {payment.amount} {payment.approved} "
            f"{payment.cleared} {payment.currency} {_told(payment.attempts)}"
        )
    for payment_id in sorted(state.closed):
        yield f"authorization {payment_id} closed {_told(state.closed[payment_id])}"


# --- helpers --------------------------------------------------------------------------------------------


def stan(reference: str, attempt: int) -> str:
    """The trace number (DE 11) of an authorization attempt: six digits of a hash, never 000000."""
    value = int.from_bytes(sha256(f"{reference}/{attempt}".encode()).digest()[:8], "big")
    return f"{value % _STANS + 1:06d}"


def _answers(attempts: Attempts | None, body: Answer) -> list[int] | None:
    """The answers among which this one belongs; None when nothing was submitted that it could answer."""
    if attempts is None:
        return None
    answers = attempts.reversals if body.kind is MessageKind.REVERSAL else attempts.authorizations
    if not 1 <= body.attempt <= len(answers) or body.rrn != rrn(body.payment_id):
        return None
    return answers


def _attempts(state: State, payment_id: str) -> Attempts:
    payment = state.payments.get(payment_id)
    return payment.attempts if payment is not None else state.closed[payment_id]


def _is_late_approval(attempts: Attempts, body: Answer) -> bool:
    """Whether this is the first approval of the attempt that had timed out."""
    return (
        isinstance(body, NetworkReplyReceived)
        and body.kind is MessageKind.AUTHORIZATION
        and body.attempt == attempts.timed_out
        and body.response_code in (APPROVED, PARTLY_APPROVED)
        and not attempts.late
    )


def _acknowledges(body: Answer) -> bool:
    """Whether an answer to a reversal says that nothing is held any more."""
    return isinstance(body, NetworkReplyReceived) and body.response_code in REVERSAL_DONE


def _reversal_reason(payment: Payment) -> ReversalReason:
    return ReversalReason.TIMEOUT if payment.attempts.timed_out else ReversalReason.VOID


def _told(attempts: Attempts) -> str:
    unknown = f"unknown at attempt {attempts.timed_out}" if attempts.timed_out else "answered"
    return f"{len(attempts.authorizations)} attempts, {unknown}{', late approval' if attempts.late else ''}"
