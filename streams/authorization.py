"""Authorization: the talk with a network about one payment, and what its answers mean.

An authorization, and an increment of it, is submitted at most once for each attempt. An answer settles it; "never sent"
passes an authorization on to routing, and ends an increment, for only the network that holds can hold more. Silence
leaves the outcome unknown, and a reversal goes out that is repeated at ticks, never at once, until the network
acknowledges it. An approval that comes after all is recorded once and is covered by that reversal. Whatever else comes
in, twice or for nothing we know, is put aside with a reason.

An approval of another amount or currency than we asked for is named (:class:`AmountConflictDetected`), and the smaller
amount is on hold: of less we cannot capture more, and to more nobody agreed, so the surplus is taken back at once. With
another currency nothing can be on hold: the whole is taken back and the payment is declined.

The network is told of everything that will not be captured: of a void, and by a partial reversal of what a final
capture leaves or a voided capture gives up. An expired hold it lets go of by itself.

An answer is the first to its attempt exactly when the attempt remembers the answer's own sequence: ``evolve``
comes before ``decide``, so "is it still open" would always be no.

A payment is kept while an answer, a reversal or a void may still need it (until its captures have left for
clearing, or its hold is gone), then its attempts alone for :data:`REPLY_MEMORY_DAYS` days.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationReversed,
    AuthorizationSubmitted,
    IncrementSubmitted,
    LateApprovalAction,
    LateApprovalReceived,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
    ReversalSubmitted,
    UnmatchedReason,
)
from events.base import Event
from events.calendar import DAY, day_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.envelope import Meta, Recorded
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureVoided,
    IncrementAdmitted,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
)
from events.partitions import ReferenceApplied
from events.reference import MerchantTerms, NetworkProfile, decode_reference
from events.risk import Phase, RiskAssessed, Verdict
from events.routing import RouteExhausted, RouteSelected
from streams.features import talk
from streams.features.approvals import (
    BLOCKED,
    CONFLICTING,
    NOWHERE,
    UNANSWERED,
    Approval,
    approval_of,
    decline_of,
)
from streams.features.attempts import (
    Answer,
    Attempts,
    acknowledges,
    answers_of,
    is_late_approval,
    submitted,
    taking_of,
    told,
)
from streams.features.shelf import Shelf
from streams.features.talk import REVERSE, REVERSE_AGAIN, UNSPECIFIED_MCC, Increment, Payment, Profile
from streams.processor import DEADLINES, Work

NAME: Final = "authorization"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    AuthorizationSubmitted,
    IncrementSubmitted,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkNotSent,
    PaymentAuthorized,
    AuthorizationIncremented,
    PaymentDeclined,
    ReversalSubmitted,
    AuthorizationReversed,
    LateApprovalReceived,
    PaymentCaptured,
    CaptureVoided,
    PaymentVoided,
    AuthorizationRemainderReleased,
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
    IncrementAdmitted,
    CaptureVoided,
    PaymentVoided,
    AuthorizationRemainderReleased,
)

REPLY_MEMORY_DAYS: Final = 2
"""How many whole days of logical time a closed payment's attempts are kept. A later answer is unknown to us."""


class State(msgspec.Struct):
    """Payments under way, the attempts of closed ones, reversals to repeat, and a count of open attempts.

    ``unacknowledged`` names reversals by payment and the attempt that failed.
    """

    payments: Shelf[Payment] = msgspec.field(default_factory=Shelf)
    closed: Shelf[Attempts] = msgspec.field(default_factory=Shelf)
    unacknowledged: dict[str, bool] = {}
    open: int = 0
    profiles: dict[str, Profile] = {}
    mccs: dict[str, str] = {}


def initial() -> State:
    """Nothing was ever submitted."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What follows from a verdict, a route, an answer, an increment, or something that is let go."""
    match recorded.body:
        case RouteSelected() as body:
            payment = state.payments[body.payment_id]
            return [talk.submission(payment, body, _mcc(state, payment), _timeout(state, body.network))]
        case NetworkReplyReceived() | NetworkReplyTimedOut() | NetworkNotSent() as body:
            return _answered(state, recorded.meta, body)
        case RiskAssessed(verdict=Verdict.BLOCK, phase=Phase.BEFORE_AUTHORIZATION) as body:
            return [talk.declined(body.payment_id, state.payments[body.payment_id], BLOCKED)]
        case RouteExhausted() as body:
            return [talk.declined(body.payment_id, state.payments[body.payment_id], NOWHERE)]
        case IncrementAdmitted() as body:
            payment = state.payments[body.payment_id]
            return [talk.increment(payment, body, _mcc(state, payment), _timeout(state, payment.network))]
        case PaymentVoided() as body:
            return _let_go(state, body.payment_id, None, ReversalReason.VOID)
        case AuthorizationRemainderReleased() as body:
            return _let_go(state, body.payment_id, body.hold_released, ReversalReason.PARTIAL)
        case CaptureVoided() as body:
            voided = state.payments.get(body.payment_id)
            if voided is None or voided.voided:
                return []  # Of a payment that is let go whole the network hears once.
            return _let_go(state, body.payment_id, body.amount, ReversalReason.PARTIAL)
        case _:
            return []


def _answered(state: State, meta: Meta, body: Answer) -> list[Event]:
    """What an answer means: to an attempt that waited for it, after a time-out, or to nobody."""
    payment = state.payments.get(body.payment_id)
    attempts = payment.attempts if payment is not None else state.closed.get(body.payment_id)
    answers = answers_of(attempts, body)
    if attempts is None or answers is None:
        return [talk.unmatched(body, UnmatchedReason.UNKNOWN)]
    if answers[body.attempt - 1] != meta.sequence:
        if is_late_approval(attempts, body) and isinstance(body, NetworkReplyReceived):
            return [
                LateApprovalReceived(
                    body.payment_id,
                    body.network,
                    body.attempt,
                    body.approved_amount,
                    body.currency,
                    LateApprovalAction.COVERED_BY_REVERSAL,
                    body.kind,
                )
            ]
        return [talk.unmatched(body, UnmatchedReason.DUPLICATE)]
    assert payment is not None, "an attempt is open, so its payment is not closed"
    match body.kind:
        case MessageKind.AUTHORIZATION:
            return _authorization_answered(state, meta, payment, body)
        case MessageKind.INCREMENT:
            return _increment_answered(state, payment, body)
        case MessageKind.REVERSAL:
            return [talk.reversed_(payment, body)] if acknowledges(body) else []


def _authorization_answered(state: State, meta: Meta, payment: Payment, body: Answer) -> list[Event]:
    match body:
        case NetworkReplyReceived():
            return _outcome(state, meta, payment, body)
        case NetworkReplyTimedOut():
            amount, reason = payment.amount, ReversalReason.TIMEOUT
            return [
                talk.unknown(payment, body),
                _reversal(state, body.payment_id, payment, amount, reason, payment.stan),
            ]
        case NetworkNotSent():
            return []


def _outcome(state: State, meta: Meta, payment: Payment, reply: NetworkReplyReceived) -> list[Event]:
    approval = approval_of(payment.amount, payment.currency, reply)
    conflict = _conflict(state, payment, approval, reply, payment.amount, payment.stan)
    if approval.amount == 0:
        meaning = decline_of(reply.response_code) if approval.conflict is None else CONFLICTING
        # What is taken back stands before the decline, behind which nothing of the payment is kept.
        return [*conflict, talk.declined(reply.payment_id, payment, meaning, reply.response_code)]
    valid_until_at = meta.recorded_at + state.profiles[payment.network].hold_days * DAY
    return [talk.authorized(payment, approval, reply, valid_until_at), *conflict]


def _increment_answered(state: State, payment: Payment, body: Answer) -> list[Event]:
    wanted = payment.increments[body.attempt - 1]
    match body:
        case NetworkReplyReceived():
            approval = approval_of(wanted.amount, payment.currency, body)
            conflict = _conflict(state, payment, approval, body, wanted.amount, wanted.stan)
            if approval.amount == 0:
                meaning = decline_of(body.response_code) if approval.conflict is None else CONFLICTING
                return [
                    *conflict,
                    talk.increment_declined(payment, wanted, body, meaning, body.response_code),
                ]
            return [talk.incremented(payment, wanted, approval, body), *conflict]
        case NetworkReplyTimedOut():
            reason = ReversalReason.INCREMENT
            return [
                _reversal(state, body.payment_id, payment, wanted.amount, reason, wanted.stan),
                talk.increment_declined(payment, wanted, body, UNANSWERED),
            ]
        case NetworkNotSent():
            return [talk.increment_declined(payment, wanted, body, NOWHERE)]


def _let_go(state: State, payment_id: str, amount: int | None, reason: ReversalReason) -> list[Event]:
    """Tell the network of what will not be captured: so much, or all that it holds. Nothing where it holds nothing."""
    payment = state.payments.get(payment_id)
    if payment is None:
        return []
    amount = payment.held if amount is None else min(amount, payment.held)
    return [_reversal(state, payment_id, payment, amount, reason, payment.stan)] if amount > 0 else []


def _conflict(
    state: State, payment: Payment, approval: Approval, reply: NetworkReplyReceived, asked: int, original: str
) -> list[Event]:
    """Name what the network said otherwise, and take back what it holds above what is ours."""
    if approval.conflict is None:
        return []
    detected = talk.conflict(payment, approval.conflict, reply, asked)
    if approval.surplus == 0:
        return [detected]
    reason = ReversalReason.CONFLICT
    return [detected, _reversal(state, reply.payment_id, payment, approval.surplus, reason, original)]


def _reversal(
    state: State,
    payment_id: str,
    payment: Payment,
    amount: int,
    reason: ReversalReason,
    original: str,
    mti: str = REVERSE,
) -> ReversalSubmitted:
    timeout_ms = _timeout(state, payment.network)
    return talk.reversal(payment_id, payment, amount, reason, original, timeout_ms, mti)


def _timeout(state: State, network: str) -> int:
    return state.profiles[network].timeout_ms


def _mcc(state: State, payment: Payment) -> str:
    return state.mccs.get(payment.merchant, UNSPECIFIED_MCC)


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
        case IncrementSubmitted() as body:
            payment = state.payments[body.payment_id]
            payment.increments.append(Increment(body.increment_id, body.amount, body.stan))
            payment.attempts.increments.append(0)
            state.open += 1
        case NetworkReplyReceived() | NetworkReplyTimedOut() | NetworkNotSent() as body:
            _take_answer(state, recorded.meta, body)
        case LateApprovalReceived() as body:
            _note_late_approval(state, body)
        case ReversalSubmitted() as body:
            _note_reversal(state, body)
        case AuthorizationReversed() as body:
            payment = state.payments[body.payment_id]
            taking_of(payment.takings, body.attempt).acknowledged = True
            payment.ended = payment.ended or body.reason is ReversalReason.TIMEOUT
            _close_when_over(state, recorded.meta, body.payment_id)
        case ReferenceApplied() as body:
            _apply(state, body)
        case body:
            _follow(state, recorded.meta, body)
    return state


def _follow(state: State, meta: Meta, body: Event) -> None:
    """What others decide of a payment; of one that is closed it is no news."""
    payment_id = getattr(body, "payment_id", "")
    payment = state.payments.get(payment_id)
    if payment is None:
        return
    match body:
        case PaymentAuthorized():
            payment.approved = body.approved_amount
            payment.transaction = body.network_transaction_id
        case AuthorizationIncremented():
            payment.approved += body.amount
        case PaymentCaptured():
            payment.captured += body.amount
            payment.hold_closed = payment.hold_closed or body.final
        case CaptureVoided():
            payment.captured -= body.amount
            if payment.held == 0 and not payment.voided:  # Otherwise the network has to hear of it first.
                _close_when_over(state, meta, payment_id)
        case AuthorizationRemainderReleased():
            # The network is told of it, and whether that was all is asked again when it has heard.
            payment.hold_closed = True
        case ClearingRecordCreated(kind=RecordKind.PRESENTMENT, presentment=1):
            payment.cleared += body.amount
            _close_when_over(state, meta, payment_id)
        case PaymentVoided():
            payment.voided = True
            _close_when_over(state, meta, payment_id)
        case PaymentDeclined() | AuthorizationExpired():
            payment.ended = True
            _close_when_over(state, meta, payment_id)
        case _:
            pass


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("network", "merchant"):
        return
    match decode_reference(body.kind, body.content):
        case NetworkProfile() as profile:
            state.profiles[profile.network] = Profile(profile.hold_days, profile.timeout_ms)
        case MerchantTerms() as terms:
            state.mccs[terms.merchant] = terms.mcc
        case _:
            pass


def _take_answer(state: State, meta: Meta, body: Answer) -> None:
    """Let the first answer to an attempt close it."""
    payment = state.payments.get(body.payment_id)
    if payment is None:
        return
    answers = answers_of(payment.attempts, body)
    if answers is None or answers[body.attempt - 1] != 0:
        return
    answers[body.attempt - 1] = meta.sequence
    state.open -= 1
    if body.kind is MessageKind.REVERSAL:
        if not acknowledges(body):
            state.unacknowledged[_name(body.payment_id, body.attempt)] = True
    elif isinstance(body, NetworkReplyTimedOut):
        if body.kind is MessageKind.INCREMENT:
            payment.attempts.unanswered.append(body.attempt)
        else:
            payment.attempts.timed_out = body.attempt


def _note_late_approval(state: State, body: LateApprovalReceived) -> None:
    payment = state.payments.get(body.payment_id)
    attempts = payment.attempts if payment is not None else state.closed[body.payment_id]
    if body.kind is MessageKind.INCREMENT:
        attempts.unanswered.remove(body.attempt)
    else:
        attempts.late = True


def _note_reversal(state: State, body: ReversalSubmitted) -> None:
    payment = state.payments[body.payment_id]
    payment.attempts.reversals.append(0)
    first = body.mti == REVERSE
    taking = submitted(payment.takings, body, first=first)
    if first and body.reason is ReversalReason.PARTIAL:
        payment.given_back += body.amount
    if not first:
        state.unacknowledged.pop(_name(body.payment_id, taking.attempts[-2]), None)
    state.open += 1


def _close_when_over(state: State, meta: Meta, payment_id: str) -> None:
    """Keep only the attempts, and only of a payment that had any, when nothing is on its way any more."""
    payment = state.payments[payment_id]
    on_its_way = 0 in payment.attempts.increments or not all(one.acknowledged for one in payment.takings)
    if not payment.over or on_its_way:
        return
    del state.payments[payment_id]
    if payment.attempts.authorizations:
        state.closed.put(payment_id, payment.attempts, day_of(meta.recorded_at))


# --- time -----------------------------------------------------------------------------------------------


def due(state: State, now: int) -> list[Work]:
    """Reversals that nobody acknowledged go out again; days of closed payments are forgotten."""
    works = [Work(DEADLINES, "repeat_reversal", name) for name in sorted(state.unacknowledged)]
    works += [
        Work(DEADLINES, "forget", f"{day_on:08d}")
        for day_on in state.closed.days_before(day_of(now) - REPLY_MEMORY_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Repeat one reversal, or forget one day."""
    if work.kind == "repeat_reversal":
        if work.key not in state.unacknowledged:
            return []
        payment_id, _, attempt = work.key.rpartition("/")
        payment = state.payments[payment_id]
        taking = taking_of(payment.takings, int(attempt))
        return [
            _reversal(state, payment_id, payment, taking.amount, taking.reason, taking.stan, REVERSE_AGAIN)
        ]
    state.closed.forget(int(work.key))
    return []


def open_attempts(state: State) -> int:
    """Submissions without any answer: reply, time-out or not sent. A tick waits for them."""
    return state.open


def summary(state: State) -> Iterator[str]:
    """Each payment with its talk so far. How often a reversal was repeated is the outside's business."""
    for payment_id, payment in state.payments.items():
        yield (
            f"authorization {payment_id} {payment.network} {payment.amount} {payment.approved} "
            f"{payment.cleared} {payment.currency} {told(payment.attempts)}"
        )
    for payment_id, attempts in state.closed.items():
        yield f"authorization {payment_id} closed {told(attempts)}"


def _name(payment_id: str, attempt: int) -> str:
    """Sorts by payment, then attempt."""
    return f"{payment_id}/{attempt:06d}"
