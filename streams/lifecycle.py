"""The life of a payment after its authorization: captured, voided, expired.

A payment in automatic mode is captured as soon as it is authorized. In manual mode the hold stays until captures
have used it, a void lets it go, or it runs out at the first tick at or after ``valid_until_at``. A capture asked for
before that tick still counts, for follow-ups are decided before deadlines.

A void is for the whole payment: once a clearing record of it has left, or money is on its way back to the card,
there is nothing whole left to void, and a refund is the way.

Captures and voids are decided here and refunds by their own processor, which stands behind this one in the
topology: of a capture and a refund between the same two ticks the capture comes first, whatever their times say.

A payment is kept in full until its hold is closed and its captures have left for clearing. After that only its
merchant and its ending are kept, for :data:`MEMORY_DAYS` days, to refuse a follow-up with the right reason; then it is
an unknown payment.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Final

import msgspec

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import day_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.envelope import Recorded
from events.identity import operation_id
from events.lifecycle import (
    AuthorizationExpired,
    CaptureRequested,
    CaptureVoided,
    OperationRejected,
    OperationRejection,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
    VoidRequested,
)
from events.refunds import RefundApproved, RefundFailed
from events.requests import CaptureMode, Operation
from streams.features import followups
from streams.features.days import Day, before, forget, put_aside
from streams.features.followups import Bag, FollowUp
from streams.processor import DEADLINES, FOLLOW_UPS, Work

NAME: Final = "lifecycle"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    CaptureRequested,
    VoidRequested,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationReversed,
    PaymentCaptured,
    CaptureVoided,
    PaymentVoided,
    AuthorizationExpired,
    RefundApproved,
    RefundFailed,
    ClearingRecordCreated,
)
DECIDES: Final[tuple[type[Event], ...]] = (PaymentAuthorized,)

MEMORY_DAYS: Final = 30
"""How many whole days of logical time the ending of a payment is kept."""

EXPIRE: Final = "expire"
FORGET: Final = "forget"

#: One object for equal texts: a hundred thousand payments share a dozen merchants and a handful of currencies.
_shared: Final = lru_cache(maxsize=1 << 12)(str)


class Standing(StrEnum):
    """Where a payment stands: before its outcome, on hold, or how its hold ended."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    EXPIRED = "expired"
    VOIDED = "voided"
    DECLINED = "declined"


_CAPTURE_REFUSED: Final[dict[Standing, OperationRejection]] = {
    Standing.CAPTURED: OperationRejection.ALREADY_CAPTURED,
    Standing.EXPIRED: OperationRejection.AUTHORIZATION_EXPIRED,
    Standing.VOIDED: OperationRejection.ALREADY_VOIDED,
    Standing.DECLINED: OperationRejection.NOT_AUTHORIZED,
}
#: Once a clearing record has left, or all of the payment is over.
_VOID_REFUSED: Final[dict[Standing, OperationRejection]] = {
    Standing.AUTHORIZED: OperationRejection.ALREADY_CLEARING,
    Standing.CAPTURED: OperationRejection.ALREADY_CLEARING,
    Standing.EXPIRED: OperationRejection.AUTHORIZATION_EXPIRED,
    Standing.VOIDED: OperationRejection.ALREADY_VOIDED,
    Standing.DECLINED: OperationRejection.NOT_AUTHORIZED,
}


class Payment(msgspec.Struct, gc=False):
    """A payment under way. Amounts in minor units of ``currency``.

    ``idempotency_key`` is kept for the capture of a payment in automatic mode, and empty in manual mode. ``unsent``
    are the captures whose clearing records have not left, ``sent`` whether any has. ``refunded`` is what was promised
    back to the card.
    """

    merchant: str
    currency: str
    idempotency_key: str
    standing: Standing = Standing.OPEN
    network: str = ""
    held: int = 0
    refunded: int = 0
    valid_until_at: int = 0
    unsent: dict[str, int] = {}
    sent: bool = False


class Closed(msgspec.Struct, frozen=True, gc=False):
    """What remains of a payment that is over."""

    merchant: str
    ending: Standing


class Expiry(msgspec.Struct):
    """Payments whose hold runs out at one instant; all that were authorized between two ticks share one."""

    at: int
    payments: dict[str, bool]


class State(msgspec.Struct):
    """Payments under way, the endings of the others, holds by the time they run out, follow-ups."""

    payments: dict[str, Payment] = {}
    closed: dict[str, Closed] = {}
    days: list[Day] = []
    expiries: list[Expiry] = []
    waiting: Bag = msgspec.field(default_factory=Bag)


def initial() -> State:
    """No payment was ever asked for."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Capture an authorized payment in automatic mode, all of what was approved."""
    body = recorded.body
    assert isinstance(body, PaymentAuthorized)
    key = state.payments[body.payment_id].idempotency_key
    if not key:
        return []
    return [
        PaymentCaptured(
            body.payment_id,
            body.merchant,
            body.network,
            operation_id("cap", body.merchant, key),
            body.approved_amount,
            body.currency,
            body.approved_amount,
            True,
        )
    ]


def due(state: State, now: int) -> list[Work]:
    """Follow-ups since the last tick, holds that have run out, endings nobody needs any more."""
    works = [
        Work(FOLLOW_UPS, wanted.operation, key, wanted.causation_id, wanted.occurred_at)
        for key, wanted in state.waiting.arrived.items()
    ]
    for expiry in state.expiries:
        if expiry.at > now:
            break
        works += [Work(DEADLINES, EXPIRE, payment_id) for payment_id in expiry.payments]
    works += [
        Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in before(state.days, day_of(now) - MEMORY_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Decide one follow-up, let one hold go, or forget one day."""
    if work.kind == EXPIRE:
        return _expire(state, work.key)
    if work.kind == FORGET:
        for payment_id in forget(state.days, int(work.key)):
            del state.closed[payment_id]
        return []
    wanted = followups.take(state.waiting, work.key)
    payment = state.payments.get(wanted.payment_id)
    refused = _refused_to(state, payment, wanted)
    if refused is not None:
        return [_rejected(wanted, refused)]
    assert payment is not None
    if payment.standing is Standing.OPEN:
        return [followups.park(state.waiting, wanted)]
    if wanted.operation is Operation.VOID:
        return _void(payment, wanted)
    return [_capture(payment, wanted)]


def _refused_to(state: State, payment: Payment | None, wanted: FollowUp) -> OperationRejection | None:
    """Why a merchant may not even ask, or what a payment that is over answers.

    Another merchant learns nothing of the payment, not even that it waits: it is refused before anything is parked.
    """
    if payment is None:
        closed = state.closed.get(wanted.payment_id)
        if closed is None:
            return OperationRejection.PAYMENT_UNKNOWN
        if closed.merchant != wanted.merchant:
            return OperationRejection.MERCHANT_MISMATCH
        refusals = _VOID_REFUSED if wanted.operation is Operation.VOID else _CAPTURE_REFUSED
        return refusals[closed.ending]
    if payment.merchant != wanted.merchant:
        return OperationRejection.MERCHANT_MISMATCH
    if wanted.operation is Operation.CAPTURE and payment.currency != wanted.currency:
        return OperationRejection.CURRENCY_MISMATCH
    return None


def _capture(payment: Payment, wanted: FollowUp) -> PaymentCaptured | OperationRejected:
    if payment.standing is not Standing.AUTHORIZED:
        return _rejected(wanted, _CAPTURE_REFUSED[payment.standing])
    if wanted.amount > payment.held:
        return _rejected(wanted, OperationRejection.AMOUNT_ABOVE_HOLD)
    # A capture of all that is left is final, whether the merchant says so or not: nothing remains to be released.
    final = wanted.final or wanted.amount == payment.held
    return PaymentCaptured(
        wanted.payment_id,
        payment.merchant,
        payment.network,
        wanted.operation_id,
        wanted.amount,
        payment.currency,
        payment.held if final else wanted.amount,
        final,
    )


def _void(payment: Payment, wanted: FollowUp) -> list[Event]:
    if payment.sent:
        return [_rejected(wanted, _VOID_REFUSED[payment.standing])]
    if payment.refunded > 0:
        return [_rejected(wanted, OperationRejection.ALREADY_CAPTURED)]
    voided: list[Event] = [
        CaptureVoided(
            wanted.payment_id,
            payment.merchant,
            payment.network,
            capture_id,
            payment.unsent[capture_id],
            payment.currency,
        )
        for capture_id in sorted(payment.unsent)
    ]
    voided.append(
        PaymentVoided(wanted.payment_id, payment.merchant, payment.network, payment.held, payment.currency)
    )
    return voided


def _expire(state: State, payment_id: str) -> list[Event]:
    payment = state.payments.get(payment_id)
    if payment is None or payment.standing is not Standing.AUTHORIZED:
        return []
    return [
        AuthorizationExpired(payment_id, payment.merchant, payment.network, payment.held, payment.currency)
    ]


def _rejected(wanted: FollowUp, reason: OperationRejection) -> OperationRejected:
    return OperationRejected(
        wanted.payment_id, wanted.merchant, wanted.operation, wanted.idempotency_key, reason
    )


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow a payment from its request to its end."""
    match recorded.body:
        case PaymentRequested() as body:
            automatic = body.capture_mode is CaptureMode.AUTOMATIC
            state.payments[body.payment_id] = Payment(
                _shared(body.merchant), _shared(body.currency), body.idempotency_key if automatic else ""
            )
        case CaptureRequested() | VoidRequested():
            followups.receive(state.waiting, recorded)
        case PaymentAuthorized() as body:
            payment = state.payments[body.payment_id]
            payment.standing = Standing.AUTHORIZED
            payment.network = _shared(body.network)
            payment.held = body.approved_amount
            if not payment.idempotency_key:
                payment.valid_until_at = body.valid_until_at
                _schedule(state, body.payment_id, body.valid_until_at)
            followups.release(state.waiting, body.payment_id)
        case PaymentDeclined() | AuthorizationReversed() as body:
            # The reversal of a void comes when the payment is closed already.
            if body.payment_id in state.payments:
                _close(state, recorded, body.payment_id, Standing.DECLINED)
                followups.release(state.waiting, body.payment_id)
        case PaymentCaptured() as body:
            payment = state.payments[body.payment_id]
            payment.unsent[body.capture_id] = body.amount
            payment.held -= body.hold_released
            if body.final:
                payment.standing = Standing.CAPTURED
                _unschedule(state, body.payment_id, payment.valid_until_at)
        case CaptureVoided() as body:
            del state.payments[body.payment_id].unsent[body.capture_id]
        case PaymentVoided() as body:
            _close(state, recorded, body.payment_id, Standing.VOIDED)
        case AuthorizationExpired() as body:
            payment = state.payments[body.payment_id]
            payment.standing = Standing.EXPIRED
            payment.held = 0
            _unschedule(state, body.payment_id, payment.valid_until_at)
            _close_when_cleared(state, recorded, body.payment_id, payment)
        case RefundApproved() | RefundFailed() as body:
            refunded = state.payments.get(body.payment_id)
            if refunded is not None:
                refunded.refunded += body.amount if isinstance(body, RefundApproved) else -body.amount
        case ClearingRecordCreated(kind=RecordKind.PRESENTMENT, presentment=1) as body:
            payment = state.payments[body.payment_id]
            del payment.unsent[body.source_id]
            payment.sent = True
            _close_when_cleared(state, recorded, body.payment_id, payment)
        case _:
            pass
    return state


def _close_when_cleared(state: State, recorded: Recorded, payment_id: str, payment: Payment) -> None:
    """Close a payment that holds nothing and waits for nothing."""
    if payment.standing is not Standing.AUTHORIZED and not payment.unsent:
        _close(state, recorded, payment_id, payment.standing)


def _close(state: State, recorded: Recorded, payment_id: str, ending: Standing) -> None:
    payment = state.payments.pop(payment_id)
    _unschedule(state, payment_id, payment.valid_until_at)
    state.closed[payment_id] = Closed(payment.merchant, ending)
    put_aside(state.days, day_of(recorded.meta.recorded_at), payment_id)


_EXPIRES_AT: Final = attrgetter("at")


def _schedule(state: State, payment_id: str, at: int) -> None:
    place = bisect_left(state.expiries, at, key=_EXPIRES_AT)
    if place == len(state.expiries) or state.expiries[place].at != at:
        state.expiries.insert(place, Expiry(at, {}))
    state.expiries[place].payments[payment_id] = True


def _unschedule(state: State, payment_id: str, at: int) -> None:
    """Take a payment out of its bucket, and the bucket away when it is empty. Doing it twice does nothing."""
    place = bisect_left(state.expiries, at, key=_EXPIRES_AT)
    if place == len(state.expiries) or state.expiries[place].at != at:
        return
    expiring = state.expiries[place].payments
    expiring.pop(payment_id, None)
    if not expiring:
        del state.expiries[place]


def summary(state: State) -> Iterator[str]:
    """Each payment and where it stands; each follow-up that waits."""
    for payment_id in sorted(state.payments):
        payment = state.payments[payment_id]
        unsent = ",".join(
            f"{capture_id}={payment.unsent[capture_id]}" for capture_id in sorted(payment.unsent)
        )
        yield (
            f"payment {payment_id} {payment.standing} {payment.merchant} {payment.network} {payment.currency} "
            f"held {payment.held} until {payment.valid_until_at} refunded {payment.refunded} unsent [{unsent}]"
        )
    for payment_id in sorted(state.closed):
        closed = state.closed[payment_id]
        yield f"payment {payment_id} {closed.ending} {closed.merchant} over"
    yield from followups.summary(state.waiting)
