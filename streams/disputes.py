"""Disputes: what issuers say of a payment long after it was captured.

A fraud report moves no money. It is an early warning, and with it the payment is labelled: whoever learns from labels
hears :class:`~events.disputes.FraudConfirmed`, and hears it where it stands in the log, never before.

Notices come in any order between two ticks, so they are kept and decided at the tick, by payment and id.

A payment can be disputed for :data:`WINDOW_DAYS` days after its authorization, and is unknown here afterwards: Visa
and Mastercard give cardholders 120 days in most cases, and what a network takes longer for is for people to look at.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import day_of
from events.disputes import (
    EarlyFraudWarningReceived,
    FraudConfirmed,
    FraudReportReceived,
    FraudReportRefused,
    Label,
    LabelSource,
    NoticeRefusal,
)
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from streams.features.days import Day, before, forget, put_aside
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "disputes"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationReversed,
    FraudReportReceived,
    EarlyFraudWarningReceived,
)
DECIDES: Final[tuple[type[Event], ...]] = ()

WINDOW_DAYS: Final = 180
"""How many whole days of logical time after its authorization a payment can be disputed."""

REPORT, FORGET = "report", "forget"

#: One object for equal texts: a hundred thousand payments share a dozen merchants and a handful of currencies.
_shared: Final = lru_cache(maxsize=1 << 12)(str)


class Payment(msgspec.Struct, gc=False):
    """What a notice about a payment is held against. ``network`` is empty while it is not authorized."""

    merchant: str
    card_id: str
    currency: str
    network: str = ""


class Report(msgspec.Struct, frozen=True, gc=False):
    """A fraud report, until the tick that hears it."""

    body: FraudReportReceived
    causation_id: str
    occurred_at: int


class State(msgspec.Struct):
    """Payments that can be disputed, by the day of their authorization; notices for the next tick.

    ``heard`` has the ids of reports by payment, so that one which comes again is known.
    """

    payments: dict[str, Payment] = {}
    days: list[Day] = []
    reports: dict[str, Report] = {}
    heard: dict[str, list[str]] = {}


def initial() -> State:
    """Nothing can be disputed."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Nothing is decided before the tick."""
    return []


def due(state: State, now: int) -> list[Work]:
    """Reports since the last tick; days whose window has closed."""
    works = [
        Work(NOTICES, REPORT, key, report.causation_id, report.occurred_at)
        for key, report in state.reports.items()
    ]
    works += [
        Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in before(state.days, day_of(now) - WINDOW_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Hear one report, or forget one day."""
    if work.kind == FORGET:
        for payment_id in forget(state.days, int(work.key)):
            state.payments.pop(payment_id, None)
            state.heard.pop(payment_id, None)
        return []
    return _hear(state, state.reports.pop(work.key).body)


def _hear(state: State, said: FraudReportReceived) -> list[Event]:
    refusal = _refusal(state, said)
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
        ),
    ]


def _refusal(state: State, said: FraudReportReceived) -> NoticeRefusal | None:
    payment = state.payments.get(said.payment_id)
    if payment is None or not payment.network:
        return NoticeRefusal.PAYMENT_UNKNOWN
    if payment.network != said.network:
        return NoticeRefusal.NETWORK_MISMATCH
    if payment.currency != said.currency:
        return NoticeRefusal.CURRENCY_MISMATCH
    if said.amount <= 0:
        return NoticeRefusal.AMOUNT_NOT_POSITIVE
    if said.report_id in state.heard.get(said.payment_id, ()):
        return NoticeRefusal.NOTICE_REPEATED
    return None


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep what a notice is held against, and notices until their tick."""
    match recorded.body:
        case PaymentRequested() as body:
            state.payments[body.payment_id] = Payment(
                _shared(body.merchant), body.card_id, _shared(body.currency)
            )
        case PaymentAuthorized() as body:
            state.payments[body.payment_id].network = _shared(body.network)
            put_aside(state.days, day_of(recorded.meta.recorded_at), body.payment_id)
        case PaymentDeclined() | AuthorizationReversed() as body:
            # A void is of the whole payment: what was reversed for it can no more be disputed than a decline.
            state.payments.pop(body.payment_id, None)
        case FraudReportReceived() as body:
            meta = recorded.meta
            key = f"{body.payment_id}/{body.report_id}/{meta.sequence:012d}"
            state.reports[key] = Report(body, meta.event_id, meta.occurred_at)
        case EarlyFraudWarningReceived() as body:
            state.heard.setdefault(body.payment_id, []).append(body.report_id)
        case _:
            pass
    return state


def summary(state: State) -> Iterator[str]:
    """Each report that was heard or waits. What a payment is stands with those who decide about it."""
    for payment_id, reports in state.heard.items():
        for report_id in reports:
            yield f"fraud report {report_id} of {payment_id} heard"
    for report in state.reports.values():
        yield f"fraud report {report.body.report_id} of {report.body.payment_id} waits"
