"""The life of a payment after its authorization: captured, incremented, voided, expired.

A payment in automatic mode is captured as soon as it is authorized. In manual mode the hold stays until captures
have used it, a void lets it go, or it runs out at the first tick at or after ``valid_until_at``. A capture asked for
before that tick still counts, for follow-ups are decided before deadlines. An increment makes the hold larger, not
longer; while its answer is out, whatever else is asked of the payment waits, and so does the end of the hold.

A capture may take more than is held, by as much as the network lets merchants of this category (a tip): it takes the
whole hold then, and is the last. A final capture of less lets go of the remainder.

A void lets go of what has not left for clearing: the hold and the captures of the day, or one capture alone. What has
left can only be refunded, and no void may leave less captured than was given back. The hold that an undone capture had
taken does not come back: the issuer is told to let go of it.

Where rules are asked about the issuer's answer, their verdict decides what is captured by itself; a payment that they
block is let go like by a void, before anything was captured.

A payment that a person looks at (:mod:`streams.review`) is not captured while he does: what is captured by itself waits
for the decision, and a merchant's capture or increment is parked. One that is turned down is let go like by a void.

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

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationReversed,
    IncrementDeclined,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
)
from events.base import Event
from events.calendar import day_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.envelope import Recorded
from events.identity import operation_id
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureRequested,
    CaptureVoided,
    IncrementAdmitted,
    IncrementRequested,
    OperationRejected,
    OperationRejection,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
    VoidRequested,
)
from events.money import MILLION
from events.partitions import ReferenceApplied
from events.reference import MerchantTerms, NetworkProfile, decode_reference
from events.refunds import RefundApproved, RefundFailed
from events.requests import CaptureMode, Operation
from events.review import ReviewClosed, ReviewDecided, ReviewDecision, ReviewOpened
from events.risk import Phase, RiskAssessed, Verdict
from streams.features import followups
from streams.features.followups import Bag, FollowUp
from streams.features.shelf import Shelf
from streams.processor import DEADLINES, FOLLOW_UPS, Work

NAME: Final = "lifecycle"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    CaptureRequested,
    IncrementRequested,
    VoidRequested,
    PaymentAuthorized,
    RiskAssessed,
    PaymentDeclined,
    IncrementAdmitted,
    AuthorizationIncremented,
    IncrementDeclined,
    AuthorizationReversed,
    PaymentCaptured,
    CaptureVoided,
    PaymentVoided,
    AuthorizationRemainderReleased,
    AuthorizationExpired,
    RefundApproved,
    RefundFailed,
    ClearingRecordCreated,
    ReviewOpened,
    ReviewDecided,
    ReviewClosed,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (PaymentAuthorized, RiskAssessed, ReviewDecided)

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


#: A capture, or an increment: what wants the hold.
_HOLD_REFUSED: Final[dict[Standing, OperationRejection]] = {
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

    ``idempotency_key`` is kept for the capture of a payment in automatic mode, and empty in manual mode. ``approved``
    is all that the issuer came to hold, ``held`` what of it nobody has captured or let go of. ``unsent`` are the
    captures whose clearing records have not left, ``sent`` those whose have, ``undone`` those that were voided;
    ``captured`` is what all but the last come to, and ``refunded`` what was promised back to the card. ``asking``: the
    network was asked to hold more, and has not answered. ``held_back``: a person looks at it; ``turned_down``: he, or a
    rule that knew the issuer's answer, has said no; ``judged``: such rules were asked.
    """

    merchant: str
    currency: str
    idempotency_key: str
    standing: Standing = Standing.OPEN
    network: str = ""
    approved: int = 0
    held: int = 0
    captured: int = 0
    refunded: int = 0
    valid_until_at: int = 0
    asking: bool = False
    unsent: dict[str, int] = {}
    sent: list[str] = []
    undone: list[str] = []
    held_back: bool = False
    turned_down: bool = False
    judged: bool = False


class Closed(msgspec.Struct, frozen=True, gc=False):
    """What remains of a payment that is over."""

    merchant: str
    ending: Standing


class Expiry(msgspec.Struct):
    """Payments whose hold runs out at one instant; all that were authorized between two ticks share one."""

    at: int
    payments: dict[str, bool]


class Network(msgspec.Struct, frozen=True):
    """What a network lets merchants do: millionths above the hold by category (MCC), and whether a hold may grow."""

    over_capture: dict[str, int]
    increments: bool


class Merchant(msgspec.Struct, frozen=True):
    """What is needed of a merchant's terms: its category, and the most that one payment may be (0: no bound)."""

    mcc: str
    max_amount: int


class State(msgspec.Struct):
    """What is in force; payments under way, the endings of the others, holds by the time they run out, follow-ups."""

    networks: dict[str, Network] = {}
    merchants: dict[str, Merchant] = {}
    payments: Shelf[Payment] = msgspec.field(default_factory=Shelf)
    closed: Shelf[Closed] = msgspec.field(default_factory=Shelf)
    expiries: list[Expiry] = []
    waiting: Bag = msgspec.field(default_factory=Bag)


def initial() -> State:
    """No payment was ever asked for."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What is captured by itself, or let go, when the issuer or whoever looks at the payment has answered."""
    match recorded.body:
        case PaymentAuthorized() as body:
            payment = state.payments[body.payment_id]
            # Where rules are asked about the answer, their verdict stands behind this and says how it goes on.
            return [] if payment.judged else _go_on(payment, body.payment_id)
        case RiskAssessed(phase=Phase.AFTER_AUTHORIZATION) as body:
            return _go_on(state.payments[body.payment_id], body.payment_id)
        case ReviewDecided() as body:
            looked_at = state.payments.get(body.payment_id)
            if looked_at is None or looked_at.standing is not Standing.AUTHORIZED:
                return []
            return _go_on(looked_at, body.payment_id)
        case _:
            return []


def _go_on(payment: Payment, payment_id: str) -> list[Event]:
    """Let go of a payment that was turned down; capture any other, if that happens by itself."""
    return _let_go(payment, payment_id) if payment.turned_down else _capture_by_itself(payment, payment_id)


def _capture_by_itself(payment: Payment, payment_id: str) -> list[Event]:
    """Capture all that is held of a payment in automatic mode, unless a person looks at it."""
    if not payment.idempotency_key or payment.held_back:
        return []
    return [
        PaymentCaptured(
            payment_id,
            payment.merchant,
            payment.network,
            operation_id("cap", payment.merchant, payment.idempotency_key),
            payment.held,
            payment.currency,
            payment.held,
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
        Work(DEADLINES, FORGET, f"{day_on:08d}")
        for day_on in state.closed.days_before(day_of(now) - MEMORY_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Decide one follow-up, let one hold go, or forget one day."""
    if work.kind == EXPIRE:
        return _expire(state, work.key)
    if work.kind == FORGET:
        state.closed.forget(int(work.key))
        return []
    wanted = followups.take(state.waiting, work.key)
    payment = state.payments.get(wanted.payment_id)
    refused = _refused_to(state, payment, wanted)
    if refused is not None:
        return [_rejected(wanted, refused)]
    assert payment is not None
    held_back = payment.held_back and wanted.operation is not Operation.VOID
    if payment.standing is Standing.OPEN or payment.asking or held_back:
        return [followups.park(state.waiting, wanted)]
    match wanted.operation:
        case Operation.CAPTURE:
            return _capture(state, payment, wanted)
        case Operation.INCREMENT:
            return [_increment(state, payment, wanted)]
        case _:
            return _void_capture(payment, wanted) if wanted.operation_id else _void(payment, wanted)


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
        refusals = _VOID_REFUSED if wanted.operation is Operation.VOID else _HOLD_REFUSED
        return refusals[closed.ending]
    if payment.merchant != wanted.merchant:
        return OperationRejection.MERCHANT_MISMATCH
    if wanted.operation is not Operation.VOID and payment.currency != wanted.currency:
        return OperationRejection.CURRENCY_MISMATCH
    return None


def _capture(state: State, payment: Payment, wanted: FollowUp) -> list[Event]:
    if payment.standing is not Standing.AUTHORIZED:
        return [_rejected(wanted, _HOLD_REFUSED[payment.standing])]
    if wanted.amount > payment.held + _tolerance(state, payment):
        return [_rejected(wanted, OperationRejection.AMOUNT_ABOVE_HOLD)]
    # A capture of all that is left is final, whether the merchant says so or not: nothing remains to be released.
    final = wanted.final or wanted.amount >= payment.held
    captured: list[Event] = [
        PaymentCaptured(
            wanted.payment_id,
            payment.merchant,
            payment.network,
            wanted.operation_id,
            wanted.amount,
            payment.currency,
            min(wanted.amount, payment.held),
            final,
        )
    ]
    if final and wanted.amount < payment.held:
        captured.append(_released(wanted.payment_id, payment, payment.held - wanted.amount))
    return captured


def _tolerance(state: State, payment: Payment) -> int:
    """How far captures may come to more than was approved: a share of it, rounded down."""
    network, merchant = state.networks.get(payment.network), state.merchants.get(payment.merchant)
    if network is None or merchant is None:
        return 0
    return payment.approved * network.over_capture.get(merchant.mcc, 0) // MILLION


def _increment(state: State, payment: Payment, wanted: FollowUp) -> IncrementAdmitted | OperationRejected:
    if payment.standing is not Standing.AUTHORIZED:
        return _rejected(wanted, _HOLD_REFUSED[payment.standing])
    network, merchant = state.networks.get(payment.network), state.merchants.get(payment.merchant)
    if network is not None and not network.increments:
        return _rejected(wanted, OperationRejection.INCREMENT_NOT_SUPPORTED)
    if merchant is not None and 0 < merchant.max_amount < payment.approved + wanted.amount:
        return _rejected(wanted, OperationRejection.AMOUNT_ABOVE_LIMIT)
    return IncrementAdmitted(
        wanted.payment_id,
        payment.merchant,
        payment.network,
        wanted.operation_id,
        wanted.amount,
        payment.currency,
    )


def _void(payment: Payment, wanted: FollowUp) -> list[Event]:
    """Let go of whatever has not left: all of the payment, or the rest of it."""
    if payment.sent and not payment.unsent and payment.held == 0:
        return [_rejected(wanted, _VOID_REFUSED[payment.standing])]
    if payment.captured - sum(payment.unsent.values()) < payment.refunded:
        return [_rejected(wanted, OperationRejection.REFUNDS_BEGUN)]
    return _let_go(payment, wanted.payment_id)


def _let_go(payment: Payment, payment_id: str) -> list[Event]:
    """Undo the captures that have not left, and release what is held."""
    voided: list[Event] = [_undone(payment_id, payment, capture_id) for capture_id in sorted(payment.unsent)]
    if not payment.sent:
        voided.append(_voided(payment_id, payment))
    elif payment.held > 0:
        voided.append(_released(payment_id, payment, payment.held))
    return voided


def _void_capture(payment: Payment, wanted: FollowUp) -> list[Event]:
    """Undo one capture; with the last one of a payment whose hold is gone the payment is let go."""
    capture_id = wanted.operation_id
    if capture_id in payment.sent:
        return [_rejected(wanted, OperationRejection.ALREADY_CLEARING)]
    if capture_id in payment.undone:
        return [_rejected(wanted, OperationRejection.ALREADY_VOIDED)]
    amount = payment.unsent.get(capture_id)
    if amount is None:
        return [_rejected(wanted, OperationRejection.CAPTURE_UNKNOWN)]
    if payment.captured - amount < payment.refunded:
        return [_rejected(wanted, OperationRejection.REFUNDS_BEGUN)]
    voided: list[Event] = [_undone(wanted.payment_id, payment, capture_id)]
    if len(payment.unsent) == 1 and not payment.sent and payment.held == 0:
        voided.append(_voided(wanted.payment_id, payment))
    return voided


def _undone(payment_id: str, payment: Payment, capture_id: str) -> CaptureVoided:
    return CaptureVoided(
        payment_id,
        payment.merchant,
        payment.network,
        capture_id,
        payment.unsent[capture_id],
        payment.currency,
    )


def _voided(payment_id: str, payment: Payment) -> PaymentVoided:
    return PaymentVoided(payment_id, payment.merchant, payment.network, payment.held, payment.currency)


def _released(payment_id: str, payment: Payment, amount: int) -> AuthorizationRemainderReleased:
    return AuthorizationRemainderReleased(
        payment_id, payment.merchant, payment.network, amount, payment.currency
    )


def _expire(state: State, payment_id: str) -> list[Event]:
    payment = state.payments.get(payment_id)
    # While an increment is out the hold waits: its time is due at the next tick again.
    if payment is None or payment.standing is not Standing.AUTHORIZED or payment.asking:
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
        case CaptureRequested() | IncrementRequested() | VoidRequested():
            followups.receive(state.waiting, recorded)
        case PaymentAuthorized() as body:
            payment = state.payments[body.payment_id]
            payment.standing = Standing.AUTHORIZED
            payment.network = _shared(body.network)
            payment.approved = payment.held = body.approved_amount
            payment.valid_until_at = body.valid_until_at
            # What waits for a person may wait for longer than the issuer does.
            if not payment.idempotency_key or payment.held_back:
                _schedule(state, body.payment_id, body.valid_until_at)
            followups.release(state.waiting, body.payment_id)
        case RiskAssessed(phase=Phase.AFTER_AUTHORIZATION) as body:
            payment = state.payments[body.payment_id]
            payment.judged = True
            payment.turned_down = payment.turned_down or body.verdict is Verdict.BLOCK
        case PaymentDeclined():
            _decline(state, recorded)
        case AuthorizationReversed(reason=ReversalReason.TIMEOUT):
            _decline(state, recorded)
        case IncrementAdmitted() as body:
            state.payments[body.payment_id].asking = True
        case AuthorizationIncremented() | IncrementDeclined() as body:
            payment = state.payments[body.payment_id]
            payment.asking = False
            if isinstance(body, AuthorizationIncremented):
                payment.approved += body.amount
                payment.held += body.amount
            followups.release(state.waiting, body.payment_id)
        case PaymentCaptured() as body:
            payment = state.payments[body.payment_id]
            payment.unsent[body.capture_id] = body.amount
            payment.captured += body.amount
            payment.held -= body.hold_released
            if body.final:
                payment.standing = Standing.CAPTURED
                _unschedule(state, body.payment_id, payment.valid_until_at)
        case CaptureVoided() as body:
            payment = state.payments[body.payment_id]
            payment.captured -= payment.unsent.pop(body.capture_id)
            payment.undone.append(body.capture_id)
            if payment.sent:  # Of a payment of which nothing has left a void says by itself that it is over.
                _close_when_cleared(state, recorded, body.payment_id, payment)
        case AuthorizationRemainderReleased() as body:
            _release(state, recorded, body)
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
            payment.sent.append(body.source_id)
            _close_when_cleared(state, recorded, body.payment_id, payment)
        case ReviewOpened() as body:
            looked_at = state.payments.get(body.payment_id)
            if looked_at is not None:
                looked_at.held_back = True
                if looked_at.standing is Standing.AUTHORIZED:
                    _schedule(state, body.payment_id, looked_at.valid_until_at)
        case ReviewDecided() | ReviewClosed() as body:
            looked_at = state.payments.get(body.payment_id)
            if looked_at is not None:
                looked_at.held_back = False
                looked_at.turned_down = (
                    isinstance(body, ReviewDecided) and body.decision is ReviewDecision.DECLINE
                )
                followups.release(state.waiting, body.payment_id)
        case ReferenceApplied() as body:
            _apply(state, body)
        case _:
            pass
    return state


def _decline(state: State, recorded: Recorded) -> None:
    """There is no money. What waited for the outcome is decided at the next tick."""
    payment_id = recorded.meta.key
    _close(state, recorded, payment_id, Standing.DECLINED)
    followups.release(state.waiting, payment_id)


def _release(state: State, recorded: Recorded, body: AuthorizationRemainderReleased) -> None:
    """Nothing is held any more, and what was captured is all there will be."""
    payment = state.payments[body.payment_id]
    payment.held -= body.hold_released
    payment.standing = Standing.CAPTURED
    _unschedule(state, body.payment_id, payment.valid_until_at)
    _close_when_cleared(state, recorded, body.payment_id, payment)


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("network", "merchant"):
        return
    match decode_reference(body.kind, body.content):
        case NetworkProfile() as profile:
            over = {mcc: row.ppm for row in profile.over_capture for mcc in row.mccs}
            state.networks[profile.network] = Network(over, profile.increments)
        case MerchantTerms() as terms:
            state.merchants[terms.merchant] = Merchant(terms.mcc, terms.max_amount)
        case _:
            pass


def _close_when_cleared(state: State, recorded: Recorded, payment_id: str, payment: Payment) -> None:
    """Close a payment that holds nothing and waits for nothing."""
    if payment.standing is not Standing.AUTHORIZED and not payment.unsent:
        _close(state, recorded, payment_id, payment.standing)


def _close(state: State, recorded: Recorded, payment_id: str, ending: Standing) -> None:
    payment = state.payments[payment_id]
    del state.payments[payment_id]
    _unschedule(state, payment_id, payment.valid_until_at)
    state.closed.put(payment_id, Closed(payment.merchant, ending), day_of(recorded.meta.recorded_at))


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
    for payment_id, payment in state.payments.items():
        unsent = ",".join(
            f"{capture_id}={payment.unsent[capture_id]}" for capture_id in sorted(payment.unsent)
        )
        yield (
            f"payment {payment_id} {payment.standing} {payment.merchant} {payment.network} {payment.currency} "
            f"approved {payment.approved} held {payment.held} until {payment.valid_until_at} "
            f"captured {payment.captured} refunded {payment.refunded} unsent [{unsent}]"
        )
    for payment_id, closed in state.closed.items():
        yield f"payment {payment_id} {closed.ending} {closed.merchant} over"
    yield from followups.summary(state.waiting)
