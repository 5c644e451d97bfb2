"""Reconciliation: our books against the networks' and the bank's.

A bank line says in its reference what it is for:

``NET <cycle>``
    a network settles a cycle. Three records must say the same: what our partitions accepted, what the network
    advises, what the bank booked.
``INVOICE <network> <currency> <period>``
    a network takes its scheme fees of a period: our assessments against the line.
``PAYOUT <payout>`` and ``RETURN <payout> <code>``
    a payout leaves us, or comes back: the announcement of settlement against the line. A return may name the code of
    a notification of change behind its own.
``DEBIT <debit>`` and ``UNPAID <debit> <code>``
    a debit of a merchant comes in, or is taken away again because its bank did not pay.
``REVERSAL <statement>/<line>``
    the bank takes a line of its own back.

Such a line is booked at once, for the money has moved; what it does not agree with is named by a discrepancy, and
that is resolved when the missing record comes, a corrected one agrees, or somebody asks for a correction that
somebody else approves (:mod:`streams.features.resolving`). Any other line stays on suspense. A line may come before
what it is about: a payout's then waits on suspense too.

How far two records may differ, when a record is missing, and at which ages what stays open is reported, is reference
data (:class:`~events.reference.ReconciliationTerms`). What is matched or corrected is kept for some days more, so that
a record which comes twice is known to be one too many.

Days are counted in ticks' time: a record belongs to the day of the tick before it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.accounts import scheme_item
from events.base import Event
from events.calendar import day_of
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.corrections import (
    PayoutDifferenceWrittenOff,
    ResolutionAction,
    ResolutionRejected,
    ResolutionRejection,
    ResolutionRequested,
    SchemeInvoiceAdjusted,
    SettlementDifferenceWrittenOff,
    SuspenseOffset,
    SuspenseWrittenOff,
)
from events.envelope import Recorded
from events.partitions import LogOpened, ReferenceApplied, TickPassed
from events.payouts import DebitAnnounced, MerchantDebited, MerchantDebitReversed
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
    NetworkSettlementAdvised,
    NetworkSettlementReceived,
    PayoutAnnounced,
    PayoutPaid,
    PayoutReturned,
    ReconciliationMatched,
    SchemeInvoicePaid,
)
from events.settlement import ClearingResidualAged
from streams.features.agreement import Terms
from streams.features.booking import announced, book
from streams.features.matching import (
    DONE,
    Status,
    compare,
    settlement_aged,
    settlement_overdue,
)
from streams.features.openitems import State, forget, remember
from streams.features.payouts import payout_aged, payout_overdue
from streams.features.resolving import (
    Outcome,
    answer,
    is_old,
    on_line,
    on_payout,
    on_settlement,
    resolved,
)
from streams.features.suspense import (
    Booking,
    Line,
    line_aged,
    not_for,
)
from streams.processor import DEADLINES, FOLLOW_UPS, NOTICES, Work

NAME: Final = "reconciliation"
HEARS: Final[tuple[type[Event], ...]] = (
    LogOpened,
    TickPassed,
    ReferenceApplied,
    ClearingCycleTotalled,
    SchemePeriodTotalled,
    NetworkSettlementAdvised,
    PayoutAnnounced,
    DebitAnnounced,
    BankLineRecorded,
    ResolutionRequested,
    NetworkSettlementReceived,
    SchemeInvoicePaid,
    PayoutPaid,
    PayoutReturned,
    MerchantDebited,
    MerchantDebitReversed,
    SettlementDifferenceWrittenOff,
    SchemeInvoiceAdjusted,
    PayoutDifferenceWrittenOff,
    SuspenseWrittenOff,
    SuspenseOffset,
    ReconciliationMatched,
    DiscrepancyDetected,
    DiscrepancyResolved,
    ResolutionRejected,
    ClearingResidualAged,
)
DECIDES: Final[tuple[type[Event], ...]] = (NetworkSettlementReceived, SchemeInvoicePaid)

LINE, RESOLVE, COMPARE, OVERDUE, AGE, FORGET = "line", "resolve", "compare", "overdue", "age", "forget"


def initial() -> State:
    """Nothing is expected."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Compare a settlement when its money has come."""
    match recorded.body:
        case NetworkSettlementReceived() as body:
            return _compare(state, body.cycle)
        case SchemeInvoicePaid() as body:
            return _compare(state, scheme_item(body.network, body.currency, body.period))
        case _:
            return []


def _compare(state: State, item: str) -> list[Event]:
    settlement = state.settlements[item]
    return compare(item, settlement, state.terms.tolerance.get(settlement.currency, 0))


def due(state: State, now: int) -> list[Work]:
    """What came since the last tick; at the first tick of a day, what is overdue, aged or done with."""
    works = []
    for key, item in state.arrived.items():
        line = state.suspense[item]
        works.append(Work(NOTICES, LINE, key, line.causation_id, line.occurred_at))
    for key, asked in state.requests.asked.items():
        works.append(Work(FOLLOW_UPS, RESOLVE, key, asked.causation_id, asked.occurred_at))
    works += [Work(DEADLINES, COMPARE, item) for item in state.changed]
    day_on = day_of(now)
    if day_on > day_of(state.now):
        works += _daily(state, day_on)
    return works


def _daily(state: State, day_on: int) -> Iterator[Work]:
    """Items here number in the thousands at most: cycles, invoices, payouts and lines, not payments."""
    terms = state.terms
    for item, settlement in state.settlements.items():
        days = terms.invoice_days if settlement.invoice else terms.match_days
        yield from _deadlines(
            terms, item, settlement.status, settlement.aged, settlement.since_on + days, day_on
        )
    for payout_id, payout in state.payouts.items():
        expected_on = payout.value_on + terms.match_days
        yield from _deadlines(terms, payout_id, payout.status, payout.aged, expected_on, day_on)
    for item, line in state.suspense.items():
        status = Status.DIFFERENT if line.expected else Status.OPEN
        yield from _deadlines(terms, item, status, line.aged, line.since_on + terms.match_days, day_on)
    before_on = day_on - terms.memory_days
    if is_old(state.requests, before_on) or any(late.since_on < before_on for late in state.late.values()):
        yield Work(DEADLINES, FORGET, "")


def _deadlines(
    terms: Terms, item: str, status: Status, aged: int, expected_on: int, day_on: int
) -> Iterator[Work]:
    if status in DONE:
        if expected_on + terms.memory_days < day_on:
            yield Work(DEADLINES, FORGET, item)
        return
    if status is Status.OPEN and expected_on <= day_on:
        yield Work(DEADLINES, OVERDUE, item)
    if aged < len(terms.age_days) and expected_on + terms.age_days[aged] <= day_on:
        yield Work(DEADLINES, AGE, item)


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Book a line, answer a request, compare a settlement, or see to a deadline. What was settled is left alone."""
    item = work.key
    match work.kind:
        case "line":
            line = state.suspense.get(state.arrived.pop(item))
            return [] if line is None else book(state, line, line.body.reference)
        case "resolve":
            return answer(state.requests, item, lambda request: _resolve(state, request))
        case "compare":
            del state.changed[item]
            return _compare(state, item)
        case "overdue":
            return _overdue(state, item)
        case "age":
            return _aged(state, item, day_of(now))
        case _:
            forget(state, item, day_of(now) - state.terms.memory_days)
            return []


# --- requests -------------------------------------------------------------------------------------------


def _resolve(state: State, request: ResolutionRequested) -> Outcome:
    item = request.item
    if item in state.settlements:
        return on_settlement(state.settlements[item], request)
    if item in state.payouts:
        return on_payout(state.payouts[item], request)
    if item in state.late:
        if request.action is not ResolutionAction.ACCEPT:
            return ResolutionRejection.NOT_FITTING
        return [resolved(request, ResolutionRequested, state.late[item].currency, 0)]
    if item not in state.suspense:
        return ResolutionRejection.NOT_OPEN
    line = state.suspense[item]
    if request.action is ResolutionAction.ASSIGN:
        return _assign(state, line, request)
    return on_line(line, request)


def _assign(state: State, line: Line, request: ResolutionRequested) -> Outcome:
    """Book a line as somebody reads it, where that can be what it is for."""
    body = line.body
    if abs(body.amount) > request.limit:
        return ResolutionRejection.ABOVE_LIMIT
    unnamed = msgspec.structs.replace(line, expected="")
    booked = book(state, unnamed, request.target)
    if not booked or not isinstance(booked[0], Booking):
        return ResolutionRejection.NOT_FITTING
    return [*booked, resolved(request, type(booked[0]), body.currency, body.amount)]


# --- deadlines ------------------------------------------------------------------------------------------


def _overdue(state: State, item: str) -> list[Event]:
    """Name what has not come, and the event that it is."""
    if item in state.settlements:
        return settlement_overdue(item, state.settlements[item])
    if item in state.payouts:
        return payout_overdue(item, state.payouts[item])
    line = state.suspense.get(item)
    return [] if line is None else not_for(line, DiscrepancyKind.EXTRA, _expected_for(state, line))


def _expected_for(state: State, line: Line) -> str:
    """What would settle a line: the payout it names, its payment before its return, or a correction of the bank's."""
    if not line.payout:
        return BankLineRecorded.__name__
    known = announced(state, line, line.payout) is not None
    return PayoutPaid.__name__ if known else PayoutAnnounced.__name__


def _aged(state: State, item: str, day_on: int) -> list[Event]:
    """Report what an item still holds on its clearing account."""
    if item in state.settlements:
        return settlement_aged(item, state.settlements[item], day_on)
    if item in state.payouts:
        return payout_aged(item, state.payouts[item], day_on)
    line = state.suspense.get(item)
    return [] if line is None else [line_aged(line, _expected_for(state, line), day_on)]


# --- remembering --------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep every side's account of every item."""
    remember(state, recorded)
    return state


def summary(state: State) -> Iterator[str]:
    """Each settlement with every side's figure, each payout, each line on suspense."""
    for item in sorted(state.settlements):
        settlement = state.settlements[item]
        ours = settlement.ours.net if settlement.ours is not None else "-"
        advised = settlement.advised.net if settlement.advised is not None else "-"
        received = settlement.received if settlement.received is not None else "-"
        yield f"settlement {item} {settlement.status} ours {ours} advised {advised} received {received}"
    for payout_id in sorted(state.payouts):
        payout = state.payouts[payout_id]
        returned = "returned" if payout.returned else ""
        yield f"payout {payout_id} {payout.status} {payout.amount} {payout.currency} {payout.line} {returned}"
    for item in sorted(state.suspense):
        body = state.suspense[item].body
        yield f"suspense {item} {body.amount} {body.currency} {body.reference}"
    for item in sorted(state.late):
        yield f"late {item} by {state.late[item].days} days"
