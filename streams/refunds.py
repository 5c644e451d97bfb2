"""Refunds: money on its way back to the card, never more of a payment than was captured of it.

A refund is decided at the tick (see :mod:`streams.features.followups`), behind the captures and voids of the same
interval. An approved one leaves with the next clearing batch; when its record is refused for good it has failed, and
the merchant has the money again. What is held for a dispute or was lost in one cannot be refunded: the cardholder would
have it twice.

What was captured and refunded of a payment is kept for :data:`WINDOW_DAYS` days after its outcome: the time in which
a refund may be asked for. After that the payment is unknown here. A refund under way is kept until it is cleared or
has failed, however long that takes.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import day_of
from events.clearing import CaptureWrittenOff, ClearingRecordRejected, RecordKind, RefundCleared
from events.disputes import DisputeMerchantDebited, DisputeWon
from events.envelope import Recorded
from events.identity import operation_id
from events.lifecycle import CaptureVoided, OperationRejection, PaymentCaptured, PaymentRequested
from events.refunds import RefundApproved, RefundFailed, RefundFailure, RefundRejected, RefundRequested
from events.review import ReviewDecided, ReviewDecision
from streams.features import followups
from streams.features.followups import Bag, FollowUp
from streams.features.shelf import Shelf
from streams.processor import DEADLINES, FOLLOW_UPS, Work

NAME: Final = "refunds"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    RefundRequested,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationReversed,
    PaymentCaptured,
    CaptureVoided,
    CaptureWrittenOff,
    RefundApproved,
    RefundCleared,
    RefundFailed,
    DisputeMerchantDebited,
    DisputeWon,
)
DECIDES: Final[tuple[type[Event], ...]] = (ClearingRecordRejected, ReviewDecided)

WINDOW_DAYS: Final = 180
"""How many whole days of logical time after its outcome a payment can be refunded."""

FORGET: Final = "forget"

#: One object for equal texts: a hundred thousand payments share a dozen merchants and a handful of currencies.
_shared: Final = lru_cache(maxsize=1 << 12)(str)


class Outcome(StrEnum):
    """What became of the authorization."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    DECLINED = "declined"


class Payment(msgspec.Struct, gc=False):
    """What can be refunded of a payment, minor units of ``currency``: ``captured`` less ``refunded`` and ``disputed``.

    ``disputed`` is held for a dispute or was lost in one.
    """

    merchant: str
    currency: str
    network: str = ""
    outcome: Outcome = Outcome.OPEN
    captured: int = 0
    refunded: int = 0
    disputed: int = 0


class Refund(msgspec.Struct, frozen=True, gc=False):
    """An approved refund that has not reached the card."""

    payment_id: str
    merchant: str
    network: str
    amount: int
    currency: str


class State(msgspec.Struct):
    """Payments that can be refunded, by the day of their outcome; refunds under way; requests that wait."""

    payments: Shelf[Payment] = msgspec.field(default_factory=Shelf)
    refunds: dict[str, Refund] = {}
    waiting: Bag = msgspec.field(default_factory=Bag)


def initial() -> State:
    """Nothing was captured yet."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """A refund whose clearing record was refused for good has failed; what a reviewer gives back is approved."""
    body = recorded.body
    if isinstance(body, ReviewDecided):
        return _given_back(state, body)
    assert isinstance(body, ClearingRecordRejected)
    if body.kind is not RecordKind.REFUND or body.representable:
        return []
    refund = state.refunds[body.source_id]
    return [
        RefundFailed(
            body.payment_id,
            refund.merchant,
            refund.network,
            body.source_id,
            refund.amount,
            refund.currency,
            RefundFailure.CLEARING_REJECTED,
        )
    ]


def _given_back(state: State, body: ReviewDecided) -> list[Event]:
    """All that is left of what was captured, for a payment that somebody regrets to have approved."""
    payment = state.payments.get(body.payment_id)
    if body.decision is not ReviewDecision.REFUND or payment is None or payment.captured <= payment.refunded:
        return []
    return [
        RefundApproved(
            body.payment_id,
            payment.merchant,
            payment.network,
            operation_id("ref", payment.merchant, f"review/{body.payment_id}"),
            payment.captured - payment.refunded,
            payment.currency,
        )
    ]


def due(state: State, now: int) -> list[Work]:
    """Refunds asked for since the last tick; days whose window has closed."""
    works = [
        Work(FOLLOW_UPS, wanted.operation, key, wanted.causation_id, wanted.occurred_at)
        for key, wanted in state.waiting.arrived.items()
    ]
    works += [
        Work(DEADLINES, FORGET, f"{day_on:08d}")
        for day_on in state.payments.days_before(day_of(now) - WINDOW_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Decide one refund, or forget one day."""
    if work.kind == FORGET:
        state.payments.forget(int(work.key))
        return []
    wanted = followups.take(state.waiting, work.key)
    payment = state.payments.get(wanted.payment_id)
    if payment is None:
        return [_rejected(wanted, OperationRejection.PAYMENT_UNKNOWN)]
    if payment.merchant != wanted.merchant:
        return [_rejected(wanted, OperationRejection.MERCHANT_MISMATCH)]
    if payment.currency != wanted.currency:
        return [_rejected(wanted, OperationRejection.CURRENCY_MISMATCH)]
    match payment.outcome:
        case Outcome.OPEN:
            return [followups.park(state.waiting, wanted)]
        case Outcome.DECLINED:
            return [_rejected(wanted, OperationRejection.NOT_AUTHORIZED)]
        case Outcome.AUTHORIZED:
            return [_refund(payment, wanted)]


def _refund(payment: Payment, wanted: FollowUp) -> RefundApproved | RefundRejected:
    if payment.captured == 0:
        return _rejected(wanted, OperationRejection.NOTHING_CAPTURED)
    if wanted.amount > payment.captured - payment.refunded:
        return _rejected(wanted, OperationRejection.AMOUNT_ABOVE_CAPTURED)
    if wanted.amount > payment.captured - payment.refunded - payment.disputed:
        return _rejected(wanted, OperationRejection.AMOUNT_DISPUTED)
    return RefundApproved(
        wanted.payment_id,
        payment.merchant,
        payment.network,
        wanted.operation_id,
        wanted.amount,
        payment.currency,
        wanted.reason,
    )


def _rejected(wanted: FollowUp, reason: OperationRejection) -> RefundRejected:
    return RefundRejected(
        wanted.payment_id, wanted.merchant, wanted.operation_id, wanted.amount, wanted.currency, reason
    )


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow what was captured of each payment and what went back."""
    match recorded.body:
        case PaymentRequested() as body:
            state.payments[body.payment_id] = Payment(_shared(body.merchant), _shared(body.currency))
        case RefundRequested():
            followups.receive(state.waiting, recorded)
        case PaymentAuthorized() as body:
            state.payments[body.payment_id].network = _shared(body.network)
            _conclude(state, recorded, body.payment_id, Outcome.AUTHORIZED)
        case PaymentDeclined() | AuthorizationReversed() as body:
            # The reversal of a void takes nothing back that counts here: its captures were voided one by one.
            payment = state.payments.get(body.payment_id)
            if payment is not None and payment.outcome is Outcome.OPEN:
                _conclude(state, recorded, body.payment_id, Outcome.DECLINED)
        case PaymentCaptured() as body:
            state.payments[body.payment_id].captured += body.amount
        case CaptureVoided() | CaptureWrittenOff() as body:
            # Nobody was charged for a capture that was written off, so nothing of it can be given back.
            payment = state.payments.get(body.payment_id)
            if payment is not None:
                payment.captured -= body.amount
        case RefundApproved() as body:
            state.payments[body.payment_id].refunded += body.amount
            state.refunds[body.refund_id] = Refund(
                body.payment_id, body.merchant, body.network, body.amount, body.currency
            )
        case RefundCleared() as body:
            del state.refunds[body.refund_id]
        case RefundFailed() as body:
            del state.refunds[body.refund_id]
            payment = state.payments.get(body.payment_id)
            if payment is not None:
                payment.refunded -= body.amount
        case DisputeMerchantDebited() | DisputeWon() as body:
            payment = state.payments.get(body.payment_id)
            if payment is not None:
                payment.disputed += body.amount if isinstance(body, DisputeMerchantDebited) else -body.amount
        case _:
            pass
    return state


def _conclude(state: State, recorded: Recorded, payment_id: str, outcome: Outcome) -> None:
    state.payments[payment_id].outcome = outcome
    state.payments.file(payment_id, day_of(recorded.meta.recorded_at))
    followups.release(state.waiting, payment_id)


def summary(state: State) -> Iterator[str]:
    """What was captured and refunded of each payment; refunds under way; requests that wait."""
    for payment_id, payment in state.payments.items():
        yield (
            f"refundable {payment_id} {payment.outcome} {payment.merchant} {payment.currency} "
            f"captured {payment.captured} refunded {payment.refunded} disputed {payment.disputed}"
        )
    for refund_id in sorted(state.refunds):
        refund = state.refunds[refund_id]
        yield f"refund {refund_id} {refund.payment_id} {refund.amount} {refund.currency} under way"
    yield from followups.summary(state.waiting)
