"""Reconciliation: our books against the networks' and the bank's, with no tolerance.

A bank line says in its reference what it is for:

``NET <cycle>``
    a network settles a cycle. Three records must say the same: what our partitions accepted, what the network
    advises, what the bank booked.
``INVOICE <network> <currency> <period>``
    a network takes its scheme fees of a period: our assessments against the line.
``PAYOUT <payout>`` and ``RETURN <payout> <code>``
    a payout leaves us, or comes back: the announcement of settlement against the line.

Such a line is booked at once, for the money has moved; what it does not agree with is named by a discrepancy, and
that is resolved when the missing record comes or a corrected one agrees. Any other line stays on suspense. A line may
come before what it is about: a payout's then waits on suspense too.

What has not come :data:`MATCH_DAYS` days after the rest is declared missing (:data:`INVOICE_DAYS` for invoices, which
are weekly), once. What is open for :data:`AGE_DAYS` days is reported as an aged residual, once. What is matched is
kept for :data:`MEMORY_DAYS` days, so that a record which comes twice is known to be one too many.

Days are counted in ticks' time: a record belongs to the day of the tick before it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.accounts import SU, line_item, name, scheme_item
from events.base import Event
from events.calendar import day_of
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.envelope import Recorded
from events.partitions import LogOpened, TickPassed
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
from streams.features.matching import (
    Figures,
    Settlement,
    Status,
    compare,
    settlement_aged,
    settlement_overdue,
)
from streams.features.payouts import Payout, bring_back, pay, payout_aged, payout_overdue
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "reconciliation"
HEARS: Final[tuple[type[Event], ...]] = (
    LogOpened,
    TickPassed,
    ClearingCycleTotalled,
    SchemePeriodTotalled,
    NetworkSettlementAdvised,
    PayoutAnnounced,
    BankLineRecorded,
    NetworkSettlementReceived,
    SchemeInvoicePaid,
    PayoutPaid,
    PayoutReturned,
    ReconciliationMatched,
    DiscrepancyDetected,
    ClearingResidualAged,
)
DECIDES: Final[tuple[type[Event], ...]] = (NetworkSettlementReceived, SchemeInvoicePaid)

MATCH_DAYS: Final = 7
"""After how many days without its counterpart a record of a cycle or a payout is declared unmatched."""
INVOICE_DAYS: Final = 21
"""The same for scheme fees: a week to gather, then the network's time to invoice."""
AGE_DAYS: Final = 14
"""After how many more days what is still open is reported as an aged residual."""
MEMORY_DAYS: Final = 60
"""How many days matched items are kept: a bank's window for returns is shorter."""

LINE, COMPARE, OVERDUE, AGE, FORGET = "line", "compare", "overdue", "age", "forget"


class Line(msgspec.Struct):
    """A bank line on suspense: booked against nothing yet.

    ``payout`` is the one it names, or empty. ``expected`` is the event that would settle it, once it is named as extra.
    """

    body: BankLineRecorded
    causation_id: str
    occurred_at: int
    since_on: int
    payout: str = ""
    expected: str = ""
    aged: bool = False


class State(msgspec.Struct):
    """Open and lately matched items, by their names. ``now`` is the last tick's time, microseconds UTC.

    ``suspense`` holds lines by item. ``arrived`` has the items of those that the next tick looks at, by account,
    statement and number; ``awaiting`` has those that name a payout, by payout. ``changed`` names settlements that the
    next tick compares.
    """

    now: int = 0
    settlements: dict[str, Settlement] = {}
    payouts: dict[str, Payout] = {}
    suspense: dict[str, Line] = {}
    arrived: dict[str, str] = {}
    awaiting: dict[str, list[str]] = {}
    changed: dict[str, bool] = {}


def initial() -> State:
    """Nothing is expected."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Compare a settlement when its money has come."""
    match recorded.body:
        case NetworkSettlementReceived() as body:
            return compare(body.cycle, state.settlements[body.cycle])
        case SchemeInvoicePaid() as body:
            item = scheme_item(body.network, body.currency, body.period)
            return compare(item, state.settlements[item])
        case _:
            return []


def due(state: State, now: int) -> list[Work]:
    """Lines and figures since the last tick; at the first tick of a day, what is overdue, aged or done with."""
    works = []
    for key, item in state.arrived.items():
        line = state.suspense[item]
        works.append(Work(NOTICES, LINE, key, line.causation_id, line.occurred_at))
    works += [Work(DEADLINES, COMPARE, item) for item in state.changed]
    day_on = day_of(now)
    if day_on > day_of(state.now):
        works += _daily(state, day_on)
    return works


def _daily(state: State, day_on: int) -> Iterator[Work]:
    """Items here number in the thousands at most: cycles, invoices, payouts and lines, not payments."""
    for item, settlement in state.settlements.items():
        days = INVOICE_DAYS if settlement.invoice else MATCH_DAYS
        yield from _deadlines(item, settlement.status, settlement.aged, settlement.since_on + days, day_on)
    for payout_id, payout in state.payouts.items():
        yield from _deadlines(payout_id, payout.status, payout.aged, payout.value_on + MATCH_DAYS, day_on)
    for item, line in state.suspense.items():
        status = Status.DIFFERENT if line.expected else Status.OPEN
        yield from _deadlines(item, status, line.aged, line.since_on + MATCH_DAYS, day_on)


def _deadlines(item: str, status: Status, aged: bool, expected_on: int, day_on: int) -> Iterator[Work]:
    if status is Status.MATCHED:
        if expected_on + MEMORY_DAYS < day_on:
            yield Work(DEADLINES, FORGET, item)
        return
    if status is Status.OPEN and expected_on <= day_on:
        yield Work(DEADLINES, OVERDUE, item)
    if not aged and expected_on + AGE_DAYS <= day_on:
        yield Work(DEADLINES, AGE, item)


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Book a line, compare a settlement, or see to a deadline. What was settled since is left alone."""
    item = work.key
    match work.kind:
        case "line":
            return _book(state, state.suspense[state.arrived.pop(item)])
        case "compare":
            del state.changed[item]
            return compare(item, state.settlements[item])
        case "overdue":
            return _overdue(state, item)
        case "age":
            return _aged(state, item, day_of(now))
        case _:
            state.settlements.pop(item, None)
            state.payouts.pop(item, None)
            return []


# --- lines ----------------------------------------------------------------------------------------------


def _book(state: State, line: Line) -> list[Event]:
    """What a line is for, by its reference. The second line of a matched settlement is one too many."""
    body = line.body
    match body.reference.split(" "):
        case ["NET", cycle] if _may_settle(state, cycle, body.currency):
            network = cycle.split("-", 1)[0]
            return [
                NetworkSettlementReceived(
                    body.account, body.statement_id, body.line, network, cycle, body.currency, body.amount
                )
            ]
        case ["INVOICE", network, currency, period] if _may_settle(
            state, scheme_item(network, currency, period), body.currency
        ):
            return [
                SchemeInvoicePaid(
                    body.account,
                    body.statement_id,
                    body.line,
                    network,
                    period,
                    body.currency,
                    -body.amount,
                )
            ]
        case ["PAYOUT", payout_id]:
            return _pay(state, line, payout_id)
        case ["RETURN", payout_id, code]:
            return _return(state, line, payout_id, code)
        case _:
            return _not_for(line)


def _may_settle(state: State, item: str, currency: str) -> bool:
    """Whether a line in this currency can be booked against a settlement: ``visa-USD-…``, and not yet matched."""
    if item.split("-")[1:2] != [currency]:
        return False
    settlement = state.settlements.get(item)
    return settlement is None or settlement.status is not Status.MATCHED


def _pay(state: State, line: Line, payout_id: str) -> list[Event]:
    """A payout leaves; one that was not announced yet waits."""
    payout = state.payouts.get(payout_id)
    if payout is None:
        return []
    booked = pay(payout_id, payout, line.body)
    return booked + _no_longer_extra(line, PayoutPaid.__name__) if booked else _not_for(line)


def _return(state: State, line: Line, payout_id: str, code: str) -> list[Event]:
    """A payout comes back; one that has not left waits."""
    payout = state.payouts.get(payout_id)
    if payout is None or not payout.line:
        return []
    booked = bring_back(payout_id, payout, line.body, code)
    return booked + _no_longer_extra(line, PayoutReturned.__name__) if booked else _not_for(line)


def _not_for(line: Line) -> list[Event]:
    """A line that only the bank can put right."""
    return _extra(line, BankLineRecorded.__name__)


def _extra(line: Line, expected_event: str) -> list[Event]:
    """A line that is for nothing we know of, named once. It stays on suspense."""
    if line.expected:
        return []
    body = line.body
    return [
        DiscrepancyDetected(
            _line_item(body), DiscrepancyKind.EXTRA, body.currency, 0, body.amount, expected_event
        )
    ]


def _no_longer_extra(line: Line, resolution: str) -> list[Event]:
    """A line that was named as extra has found what it is for."""
    if not line.expected:
        return []
    return [DiscrepancyResolved(_line_item(line.body), resolution, line.body.currency, line.body.amount)]


# --- deadlines ------------------------------------------------------------------------------------------


def _overdue(state: State, item: str) -> list[Event]:
    """Name what has not come, and the event that it is."""
    if item in state.settlements:
        return settlement_overdue(item, state.settlements[item])
    if item in state.payouts:
        return payout_overdue(item, state.payouts[item])
    line = state.suspense.get(item)
    return [] if line is None else _extra(line, _expected_for(state, line))


def _expected_for(state: State, line: Line) -> str:
    """What would settle a line: the payout it names, its payment before its return, or a correction of the bank's."""
    if not line.payout:
        return BankLineRecorded.__name__
    return PayoutPaid.__name__ if line.payout in state.payouts else PayoutAnnounced.__name__


def _aged(state: State, item: str, day_on: int) -> list[Event]:
    """Report what an item still holds on its clearing account."""
    if item in state.settlements:
        return settlement_aged(item, state.settlements[item], day_on)
    if item in state.payouts:
        return payout_aged(item, state.payouts[item], day_on)
    line = state.suspense.get(item)
    if line is None:
        return []
    body = line.body
    expected = _expected_for(state, line)
    account = name(SU, body.account)
    return [
        ClearingResidualAged(account, item, body.currency, -body.amount, day_on - line.since_on, expected)
    ]


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep every side's account of every item."""
    match recorded.body:
        case TickPassed() as body:
            state.now = body.at
        case LogOpened() as body:
            state.now = body.opened_at
        case ClearingCycleTotalled() as body:
            _add_up(state, body)
        case SchemePeriodTotalled() as body:
            item = scheme_item(body.network, body.currency, body.period)
            settlement = _settlement(
                state, item, body.account, body.network, body.currency, body.period, invoice=True
            )
            ours = settlement.ours = settlement.ours or Figures()
            ours.net -= body.amount
            state.changed[item] = True
        case NetworkSettlementAdvised() as body:
            settlement = _cycle(state, body)
            settlement.advised = Figures(body.presented, body.refunded, body.interchange, body.net)
            state.changed[body.cycle] = True
        case PayoutAnnounced() as body:
            state.payouts[body.payout_id] = Payout(
                body.account, body.merchant, body.currency, body.amount, body.value_on
            )
            _look_again(state, body.payout_id)
        case BankLineRecorded() as body:
            _suspend(state, recorded, body)
        case NetworkSettlementReceived() as body:
            settlement = _cycle(state, body)
            settlement.received = (settlement.received or 0) + body.amount
            settlement.line = _booked(state, body)
        case SchemeInvoicePaid() as body:
            settlement = _settlement(
                state,
                scheme_item(body.network, body.currency, body.period),
                body.account,
                body.network,
                body.currency,
                body.period,
                invoice=True,
            )
            settlement.received = (settlement.received or 0) - body.amount
            settlement.line = _booked(state, body)
        case PayoutPaid() as body:
            payout = state.payouts[body.payout_id]
            payout.paid = body.amount
            payout.line = _booked(state, body)
            _look_again(state, body.payout_id)
        case PayoutReturned() as body:
            state.payouts[body.payout_id].returned = True
            _booked(state, body)
        case ReconciliationMatched() | DiscrepancyDetected() as body:
            _judge(state, body)
        case ClearingResidualAged() as body:
            for kept in (state.settlements, state.payouts, state.suspense):
                if body.item in kept:
                    kept[body.item].aged = True
        case _:
            pass
    return state


def _settlement(
    state: State, item: str, account: str, network: str, currency: str, label: str, *, invoice: bool
) -> Settlement:
    """The settlement of an item, begun by whichever side speaks of it first."""
    settlement = state.settlements.get(item)
    if settlement is None:
        settlement = state.settlements[item] = Settlement(
            account, network, currency, label, invoice, day_of(state.now)
        )
    return settlement


def _cycle(
    state: State, body: ClearingCycleTotalled | NetworkSettlementAdvised | NetworkSettlementReceived
) -> Settlement:
    return _settlement(
        state, body.cycle, body.account, body.network, body.currency, body.cycle, invoice=False
    )


def _add_up(state: State, body: ClearingCycleTotalled) -> None:
    settlement = _cycle(state, body)
    ours = settlement.ours = settlement.ours or Figures()
    ours.presented += body.presented
    ours.refunded += body.refunded
    ours.interchange += body.interchange
    ours.net += body.net
    state.changed[body.cycle] = True


def _suspend(state: State, recorded: Recorded, body: BankLineRecorded) -> None:
    """A line stands on suspense until it is booked against something."""
    words = body.reference.split(" ")
    payout_id = words[1] if words[0] in ("PAYOUT", "RETURN") and len(words) > 1 else ""
    item = _line_item(body)
    state.suspense[item] = Line(
        body, recorded.meta.event_id, recorded.meta.occurred_at, day_of(state.now), payout_id
    )
    state.arrived[_line_key(body)] = item
    if payout_id:
        state.awaiting.setdefault(payout_id, []).append(item)


def _look_again(state: State, payout_id: str) -> None:
    """Something is known of a payout: the next tick looks at the lines that name it."""
    for item in state.awaiting.get(payout_id, ()):
        state.arrived[_line_key(state.suspense[item].body)] = item


Booking = NetworkSettlementReceived | SchemeInvoicePaid | PayoutPaid | PayoutReturned


def _booked(state: State, body: Booking) -> str:
    """Take a line off suspense; its item."""
    item = _line_item(body)
    line = state.suspense.pop(item)
    if line.payout:
        waiting = state.awaiting[line.payout]
        waiting.remove(item)
        if not waiting:
            del state.awaiting[line.payout]
    return item


def _judge(state: State, body: ReconciliationMatched | DiscrepancyDetected) -> None:
    """Remember what was said of an item."""
    if isinstance(body, ReconciliationMatched):
        status = Status.MATCHED
    elif body.kind is DiscrepancyKind.MISSING:
        status = Status.MISSING
    else:
        status = Status.DIFFERENT
    if body.item in state.settlements:
        settlement = state.settlements[body.item]
        settlement.status = status
        settlement.named = [] if isinstance(body, ReconciliationMatched) else [body.ours, body.theirs]
    elif body.item in state.payouts:
        state.payouts[body.item].status = status
    elif isinstance(body, DiscrepancyDetected):
        state.suspense[body.item].expected = body.expected_event


def _line_item(body: BankLineRecorded | Booking) -> str:
    return line_item(body.statement_id, body.line)


def _line_key(body: BankLineRecorded) -> str:
    """The order of lines: account, statement, number on it."""
    return f"{body.account} {body.statement_id} {body.line:08d}"


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
