"""Disputes: what issuers say of a payment long after it was captured, and what becomes of it.

A fraud report moves no money. It is an early warning, and with it the payment is labelled: whoever learns from labels
hears :class:`~events.disputes.FraudConfirmed`, and hears it where it stands in the log, never before. The merchant says
so too, by a refund with that reason, and so do our own people when they decide a review.

A chargeback does: the network takes the money from what it owes us, and we take it from the merchant at once. Then the
merchant answers with evidence or lets its time run out, the network returns the money or takes it again, and in the end
the case is won, lost or both in part (:mod:`streams.features.cases` has the way of a case). Whose dispute has a reason
of fraud is labelled so, and labelled genuine when the dispute does not stand.

Notices and evidence come in any order between two ticks, so they are kept and decided at the tick: notices by case and
number, then evidence by its time, then deadlines. So evidence that came in time is never overtaken by its deadline.

What was cleared, reported and disputed of each merchant is told once a day, to be held against the networks' programmes
(:mod:`streams.exposure`).

A payment can be disputed for :data:`WINDOW_DAYS` days after its authorization, and is unknown here afterwards: Visa
and Mastercard give cardholders 120 days in most cases. A case is kept until it is closed; of a closed one its name
stays as long as its payment does, so that whoever speaks of it again can be told.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from events.authorization import (
    AuthorizationReversed,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
)
from events.base import Event
from events.calendar import day_of
from events.clearing import ClearingRecordAccepted
from events.disputes import (
    DisputeEscalated,
    DisputeEvidenceExpired,
    DisputeEvidenceRejected,
    DisputeEvidenceRequested,
    DisputeEvidenceSubmitted,
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeInquiryClosed,
    DisputeInquiryOpened,
    DisputeLost,
    DisputeMerchantDebited,
    DisputeNoticeReceived,
    DisputeNoticeRefused,
    DisputeOpened,
    DisputeStage,
    DisputeStep,
    DisputeWithdrawn,
    DisputeWon,
    EarlyFraudWarningReceived,
    EvidenceRejection,
    FraudConfirmed,
    FraudReportReceived,
    FraudReportRefused,
    Label,
    LabelSource,
    NoticeRefusal,
)
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind
from events.refunds import RefundApproved, RefundFailed
from events.requests import Channel, RefundReason
from events.review import ReviewDecided, ReviewFinding
from events.settlement import ClearingResidualAged
from streams.features import cases, docket, exposure
from streams.features.cases import Case
from streams.features.docket import Docket
from streams.features.exposure import Tallied
from streams.features.shelf import Shelf
from streams.features.windows import event_time
from streams.processor import DEADLINES, FOLLOW_UPS, NOTICES, Work

NAME: Final = "disputes"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationReversed,
    ClearingRecordAccepted,
    RefundApproved,
    RefundFailed,
    FraudReportReceived,
    EarlyFraudWarningReceived,
    DisputeNoticeReceived,
    DisputeInquiryOpened,
    DisputeInquiryClosed,
    DisputeOpened,
    DisputeFundsWithdrawn,
    DisputeMerchantDebited,
    DisputeFundsReturned,
    DisputeEvidenceRequested,
    DisputeEvidenceSubmitted,
    DisputeEvidenceExpired,
    DisputeEscalated,
    DisputeWon,
    DisputeLost,
    DiscrepancyDetected,
    ClearingResidualAged,
)
DECIDES: Final[tuple[type[Event], ...]] = (ReviewDecided, RefundApproved)

WINDOW_DAYS: Final = 180
"""How many whole days of logical time after its authorization a payment can be disputed."""

REPORT, NOTICE, EVIDENCE, DEADLINE, FORGET = "report", "notice", "evidence", "deadline", "forget"
TELL = "tell"

#: One object for equal texts: a hundred thousand payments share a dozen merchants and a handful of currencies.
_shared: Final = lru_cache(maxsize=1 << 12)(str)


class Payment(msgspec.Struct, gc=False):
    """What a notice about a payment is held against, minor units of ``currency``.

    ``network`` is empty while it is not authorized. ``cleared`` is what the network paid for it, ``refunded`` what was
    given back, ``disputed`` what is held for disputes or was lost in them. ``paid_at`` is its event time, ``amount``
    what was asked for, ``channel`` how the card was presented.
    """

    merchant: str
    card_id: str
    currency: str
    network: str = ""
    cleared: int = 0
    refunded: int = 0
    disputed: int = 0
    paid_at: int = 0
    amount: int = 0
    channel: Channel = Channel.ECOMMERCE


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What was said, until the tick that hears it."""

    body: FraudReportReceived | DisputeNoticeReceived | DisputeEvidenceRequested
    causation_id: str
    occurred_at: int
    ingested_at: int


class State(msgspec.Struct):
    """Payments that can be disputed, by the day of their authorization; their cases; what the next tick hears.

    ``heard`` has the ids of fraud reports by payment, ``told`` what was counted of merchants since the last day ended.
    """

    payments: Shelf[Payment] = msgspec.field(default_factory=Shelf)
    reports: dict[str, Waiting] = {}
    notices: dict[str, Waiting] = {}
    evidence: dict[str, Waiting] = {}
    heard: dict[str, list[str]] = {}
    told: list[Tallied] = []
    docket: Docket = msgspec.field(default_factory=Docket)


def initial() -> State:
    """Nothing can be disputed."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What the merchant or our own people have found; all else is decided at the tick."""
    match recorded.body:
        case RefundApproved(reason=RefundReason.FRAUDULENT) as body:
            return _found(
                state, body.payment_id, LabelSource.REFUND, Label.FRAUD, body.refund_id, body.amount
            )
        case ReviewDecided(finding=ReviewFinding() as finding) as body:
            return _found(state, body.payment_id, LabelSource.ANALYST, Label(finding), body.analyst)
        case _:
            return []


def _found(
    state: State, payment_id: str, source: LabelSource, label: Label, reference: str, amount: int = 0
) -> list[Event]:
    """A label of ``amount``, or of the whole payment; none of one that is too old to be disputed."""
    payment = state.payments.get(payment_id)
    if payment is None:
        return []
    return [
        FraudConfirmed(
            payment_id,
            payment.merchant,
            payment.card_id,
            source,
            label,
            reference,
            amount or payment.amount,
            payment.currency,
            payment.paid_at,
        )
    ]


def due(state: State, now: int) -> list[Work]:
    """What was said since the last tick; whose time is over; days whose window has closed."""
    works = [
        Work(phase, kind, key, waiting.causation_id, waiting.occurred_at)
        for phase, kind, bag in (
            (NOTICES, REPORT, state.reports),
            (NOTICES, NOTICE, state.notices),
            (FOLLOW_UPS, EVIDENCE, state.evidence),
        )
        for key, waiting in bag.items()
    ]
    today = day_of(now)
    works += [Work(DEADLINES, DEADLINE, case_id) for case_id in docket.overdue(state.docket, now)]
    works += [Work(DEADLINES, TELL, name) for name in exposure.told_until(state.told, today)]
    works += [
        Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in state.payments.days_before(today - WINDOW_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Hear one report, notice or piece of evidence, see to one deadline, or forget one day."""
    match work.kind:
        case "report":
            said = state.reports.pop(work.key).body
            assert isinstance(said, FraudReportReceived)
            return _report(state, said)
        case "notice":
            notice = state.notices.pop(work.key).body
            assert isinstance(notice, DisputeNoticeReceived)
            return _notice(state, notice)
        case "evidence":
            return _evidence(state, state.evidence.pop(work.key))
        case "tell":
            return exposure.tell(state.told, work.key)
        case "deadline":
            case = state.docket.cases.get(work.key)
            # A notice of this very tick may have closed the case, or given somebody more time.
            return (
                [] if case is None or not 0 < case.due_at <= now else cases.time_is_over(case, work.key, now)
            )
        case _:
            for payment_id in state.payments.forget(int(work.key)):
                state.heard.pop(payment_id, None)
                state.docket.closed.pop(payment_id, None)
            return []


# --- fraud reports --------------------------------------------------------------------------------------


def _report(state: State, said: FraudReportReceived) -> list[Event]:
    refusal = _stranger(state, said)
    if refusal is None and said.amount <= 0:
        refusal = NoticeRefusal.AMOUNT_NOT_POSITIVE
    if refusal is None and said.report_id in state.heard.get(said.payment_id, ()):
        refusal = NoticeRefusal.NOTICE_REPEATED
    if refusal is not None:
        return [
            FraudReportRefused(
                said.payment_id, said.network, said.report_id, refusal, said.amount, said.currency
            )
        ]
    payment = state.payments[said.payment_id]
    return [
        EarlyFraudWarningReceived(
            said.payment_id,
            payment.merchant,
            payment.card_id,
            said.network,
            said.report_id,
            said.program,
            said.fraud_type,
            said.amount,
            said.currency,
        ),
        FraudConfirmed(
            said.payment_id,
            payment.merchant,
            payment.card_id,
            LabelSource.EARLY_WARNING,
            Label.FRAUD,
            said.report_id,
            said.amount,
            said.currency,
            payment.paid_at,
        ),
    ]


def _stranger(state: State, said: FraudReportReceived | DisputeNoticeReceived) -> NoticeRefusal | None:
    """Why a notice cannot be about any payment of ours."""
    payment = state.payments.get(said.payment_id)
    if payment is None or not payment.network:
        return NoticeRefusal.PAYMENT_UNKNOWN
    if payment.network != said.network:
        return NoticeRefusal.NETWORK_MISMATCH
    return NoticeRefusal.CURRENCY_MISMATCH if payment.currency != said.currency else None


# --- notices about cases --------------------------------------------------------------------------------


def _notice(state: State, said: DisputeNoticeReceived) -> list[Event]:
    case = state.docket.cases.get(said.case_id)
    refusal = _refusal(state, case, said)
    if refusal is not None:
        return [
            DisputeNoticeRefused(
                said.payment_id,
                said.network,
                said.case_id,
                said.number,
                said.step,
                refusal,
                said.amount,
                said.currency,
            )
        ]
    if said.step is DisputeStep.CHARGEBACK or case is None:
        return _open(state, said)
    return cases.continued(case, said)


def _refusal(state: State, case: Case | None, said: DisputeNoticeReceived) -> NoticeRefusal | None:
    if case is None:
        if said.case_id in state.docket.closed.get(said.payment_id, ()):
            return NoticeRefusal.CASE_CLOSED
        stranger = _stranger(state, said)
        if stranger is not None:
            return stranger
    payment = state.payments.get(said.payment_id)
    open_to_dispute = 0 if payment is None else payment.cleared - payment.disputed
    return cases.refusal(case, said, open_to_dispute)


def _open(state: State, said: DisputeNoticeReceived) -> list[Event]:
    """A case begins. What the cardholder had back before is disputed all the same: that is for people to see."""
    payment = state.payments[said.payment_id]
    events = cases.opened(said, payment.merchant)
    if said.step is DisputeStep.INQUIRY_OPENED:
        return events
    if cases.is_fraud(said.network, said.reason_code):
        label = (
            LabelSource.DISPUTE,
            Label.FRAUD,
            said.case_id,
            said.amount,
            said.currency,
            payment.paid_at,
        )
        events.append(FraudConfirmed(said.payment_id, payment.merchant, payment.card_id, *label))
    left = payment.cleared - payment.disputed - payment.refunded
    if said.amount > left:
        events.append(
            DiscrepancyDetected(
                said.case_id,
                DiscrepancyKind.AMOUNT,
                said.currency,
                max(0, left),
                said.amount,
                DisputeWithdrawn.__name__,
            )
        )
    return events


# --- evidence -------------------------------------------------------------------------------------------


def _evidence(state: State, waiting: Waiting) -> list[Event]:
    wanted = waiting.body
    assert isinstance(wanted, DisputeEvidenceRequested)
    case = state.docket.cases.get(wanted.case_id)
    reason = _unfit(state, case, wanted, waiting.ingested_at)
    if case is None or reason is not None:
        assert reason is not None
        return [
            DisputeEvidenceRejected(
                wanted.payment_id, wanted.merchant, wanted.idempotency_key, wanted.case_id, reason
            )
        ]
    submitted = DisputeEvidenceSubmitted(
        case.payment_id,
        case.merchant,
        case.network,
        wanted.case_id,
        case.stage,
        case.amount,
        case.currency,
        wanted.documents,
    )
    if case.stage is DisputeStage.PRE_ARBITRATION:
        return [submitted, cases.taken_to_arbitration(case, wanted.case_id)]
    return [submitted]


def _unfit(
    state: State, case: Case | None, wanted: DisputeEvidenceRequested, ingested_at: int
) -> EvidenceRejection | None:
    """Why evidence goes nowhere. Another merchant learns of a payment only that it is not its own."""
    if case is None or case.payment_id != wanted.payment_id:
        payment = state.payments.get(wanted.payment_id)
        if payment is None:
            return EvidenceRejection.PAYMENT_UNKNOWN
        if payment.merchant != wanted.merchant:
            return EvidenceRejection.MERCHANT_MISMATCH
        closed = state.docket.closed.get(wanted.payment_id, {})
        if wanted.case_id not in closed:
            return EvidenceRejection.CASE_UNKNOWN
        return EvidenceRejection.TOO_LATE if closed[wanted.case_id] else EvidenceRejection.CASE_CLOSED
    if case.merchant != wanted.merchant:
        return EvidenceRejection.MERCHANT_MISMATCH
    return cases.unfit(case, wanted.stage, ingested_at)


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep what a notice is held against, cases while they are open, and what was said until its tick."""
    match recorded.body:
        case PaymentRequested() as body:
            state.payments[body.payment_id] = Payment(
                _shared(body.merchant),
                body.card_id,
                _shared(body.currency),
                paid_at=event_time(recorded.meta.occurred_at, recorded.meta.ingested_at),
                amount=body.amount,
                channel=body.channel,
            )
        case PaymentAuthorized() as body:
            state.payments[body.payment_id].network = _shared(body.network)
            state.payments.file(body.payment_id, day_of(recorded.meta.recorded_at))
        case (
            PaymentDeclined()
            | AuthorizationReversed(reason=ReversalReason.TIMEOUT | ReversalReason.VOID) as body
        ):
            # A void is of the whole payment: what was reversed for it can no more be disputed than a decline.
            state.payments.pop(body.payment_id)
        case ClearingRecordAccepted() | RefundApproved() | RefundFailed() as body:
            _count(state, body)
            if isinstance(body, ClearingRecordAccepted):
                _tally(state, recorded, body)
        case FraudReportReceived() as body:
            _wait(state.reports, recorded, body, f"{body.payment_id}/{body.report_id}")
        case DisputeNoticeReceived() as body:
            _wait(state.notices, recorded, body, f"{body.payment_id}/{body.case_id}/{body.number:06d}")
        case DisputeEvidenceRequested() as body:
            key = f"{recorded.meta.occurred_at:020d} {body.idempotency_key} {body.merchant}"
            _wait(state.evidence, recorded, body, key)
        case EarlyFraudWarningReceived() as body:
            state.heard.setdefault(body.payment_id, []).append(body.report_id)
            _tally(state, recorded, body)
        case DisputeInquiryOpened() | DisputeOpened() as body:
            payment = state.payments[body.payment_id]
            docket.begin(state.docket, body, payment.card_id, payment.paid_at)
            if isinstance(body, DisputeOpened):
                _tally(state, recorded, body)
        case DisputeMerchantDebited() as body:
            state.payments[body.payment_id].disputed += body.amount
        case body:
            if isinstance(body, DisputeWon) and body.payment_id in state.payments:
                state.payments[body.payment_id].disputed -= body.amount
            docket.go_on(state.docket, body, day_of(recorded.meta.recorded_at))
    return state


def _tally(
    state: State,
    recorded: Recorded,
    body: ClearingRecordAccepted | EarlyFraudWarningReceived | DisputeOpened,
) -> None:
    """Count it for its merchant; not what is cleared for a payment too old to be disputed."""
    payment = state.payments.get(body.payment_id)
    if payment is not None:
        today = day_of(recorded.meta.recorded_at)
        exposure.tally(state.told, today, payment.merchant, payment.channel, body)


def _wait(
    bag: dict[str, Waiting],
    recorded: Recorded,
    body: FraudReportReceived | DisputeNoticeReceived | DisputeEvidenceRequested,
    key: str,
) -> None:
    """Two of one name are told apart by the order in which their sender said them."""
    meta = recorded.meta
    bag[f"{key}/{meta.sequence:012d}"] = Waiting(body, meta.event_id, meta.occurred_at, meta.ingested_at)


def _count(state: State, body: ClearingRecordAccepted | RefundApproved | RefundFailed) -> None:
    """What is cleared when the payment's window is over cannot be disputed here."""
    payment = state.payments.get(body.payment_id)
    if payment is None:
        return
    match body:
        case ClearingRecordAccepted():
            payment.cleared += body.amount
        case RefundApproved():
            payment.refunded += body.amount
        case RefundFailed():
            payment.refunded -= body.amount


def summary(state: State) -> Iterator[str]:
    """What was reported and disputed of each payment; each open case; what waits."""
    for payment_id, payment in state.payments.items():
        if payment.disputed:
            yield f"disputed {payment_id} {payment.disputed} {payment.currency} of {payment.cleared}"
    for payment_id, reports in state.heard.items():
        for report_id in reports:
            yield f"fraud report {report_id} of {payment_id} heard"
    yield from docket.summary(state.docket)
    for bag in (state.reports, state.notices, state.evidence):
        for waiting in bag.values():
            yield f"{type(waiting.body).__name__} of {waiting.body.payment_id} waits"
