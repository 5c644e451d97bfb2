"""What reconciliation knows: every side's account of every item, until nothing can come any more.

The state of the processor :mod:`streams.reconciliation`, and how events change it. Nothing is decided here.
"""

import msgspec

from events.accounts import scheme_item
from events.calendar import day_of
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.corrections import (
    PayoutDifferenceWrittenOff,
    ResolutionRejected,
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
from events.reference import Holidays, ReconciliationTerms, decode_reference
from events.settlement import ClearingResidualAged
from streams.features.agreement import Terms, terms_of
from streams.features.matching import DONE, Figures, Settlement, Status
from streams.features.payouts import Payout
from streams.features.resolving import Requests, ask, decided, forget_before
from streams.features.suspense import Late, Leaving, Line, item_of, order_of, payout_named


class State(msgspec.Struct):
    """Open and lately matched items, by their names. ``now`` is the last tick's time, microseconds UTC.

    ``suspense`` holds lines by item. ``arrived`` has the items of those that the next tick looks at, by account,
    statement and number; ``awaiting`` has those that name a payout, by payout; ``late`` those that were booked too
    late. ``changed`` names settlements that the next tick compares. ``requests`` are those of people who want
    something put right.
    """

    now: int = 0
    terms: Terms = msgspec.field(default_factory=Terms)
    holidays: dict[str, list[int]] = {}
    settlements: dict[str, Settlement] = {}
    payouts: dict[str, Payout] = {}
    suspense: dict[str, Line] = {}
    arrived: dict[str, str] = {}
    awaiting: dict[str, list[str]] = {}
    late: dict[str, Late] = {}
    changed: dict[str, bool] = {}
    requests: Requests = msgspec.field(default_factory=Requests)


def remember(state: State, recorded: Recorded) -> None:
    """Keep every side's account of every item."""
    match recorded.body:
        case TickPassed() as body:
            state.now = body.at
        case LogOpened() as body:
            state.now = body.opened_at
        case ReferenceApplied() as body:
            _apply(state, body)
        case ClearingCycleTotalled() | SchemePeriodTotalled() as body:
            _add_up(state, body)
        case NetworkSettlementAdvised() as body:
            settlement = _cycle(state, body)
            settlement.advised = Figures(
                body.presented, body.refunded, body.interchange, body.net, body.disputed
            )
            state.changed[body.cycle] = True
        case PayoutAnnounced() as body:
            state.payouts[body.payout_id] = Payout(
                body.account, body.merchant, body.currency, body.amount, body.value_on
            )
            _look_again(state, body.payout_id)
        case DebitAnnounced() as body:
            state.payouts[body.debit_id] = Payout(
                body.account, body.merchant, body.currency, body.amount, body.value_on, debit=True
            )
            _look_again(state, body.debit_id)
        case BankLineRecorded() as body:
            _suspend(state, recorded, body)
        case ResolutionRequested() as body:
            ask(state.requests, recorded, body)
        case (
            NetworkSettlementReceived()
            | SchemeInvoicePaid()
            | PayoutPaid()
            | PayoutReturned()
            | MerchantDebited()
            | MerchantDebitReversed()
            | SuspenseWrittenOff()
            | SuspenseOffset()
        ) as body:
            _leave(state, body)
        case SettlementDifferenceWrittenOff() as body:
            state.settlements[body.cycle].corrected += body.amount
        case SchemeInvoiceAdjusted() as body:
            state.settlements[scheme_item(body.network, body.currency, body.period)].corrected += body.amount
        case PayoutDifferenceWrittenOff() as body:
            state.payouts[body.payout_id].corrected += body.amount
        case ReconciliationMatched() | DiscrepancyDetected() as body:
            _judge(state, body)
        case DiscrepancyResolved() as body:
            _correct(state, body)
        case ResolutionRejected() as body:
            decided(state.requests, body, day_of(state.now))
        case ClearingResidualAged() as body:
            for kept in (state.settlements, state.payouts, state.suspense):
                if body.item in kept:
                    kept[body.item].aged += 1
        case _:
            pass


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("holidays", "reconciliation"):
        return
    match decode_reference(body.kind, body.content):
        case Holidays() as holidays:
            state.holidays[holidays.currency] = list(holidays.days_on)
        case ReconciliationTerms() as terms:
            state.terms = terms_of(terms)
        case _:
            pass


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


def _period(state: State, body: SchemePeriodTotalled | SchemeInvoicePaid) -> Settlement:
    item = scheme_item(body.network, body.currency, body.period)
    return _settlement(state, item, body.account, body.network, body.currency, body.period, invoice=True)


def _add_up(state: State, body: ClearingCycleTotalled | SchemePeriodTotalled) -> None:
    """A partition's sub-total of what we expect."""
    if isinstance(body, SchemePeriodTotalled):
        settlement = _period(state, body)
        ours = settlement.ours = settlement.ours or Figures()
        ours.net -= body.amount
        state.changed[scheme_item(body.network, body.currency, body.period)] = True
        return
    settlement = _cycle(state, body)
    ours = settlement.ours = settlement.ours or Figures()
    ours.presented += body.presented
    ours.refunded += body.refunded
    ours.interchange += body.interchange
    ours.disputed += body.disputed
    ours.net += body.net
    state.changed[body.cycle] = True


def _suspend(state: State, recorded: Recorded, body: BankLineRecorded) -> None:
    """A line stands on suspense until it is booked against something."""
    payout_id, item = payout_named(body.reference), item_of(body)
    state.suspense[item] = Line(
        body, recorded.meta.event_id, recorded.meta.occurred_at, day_of(state.now), payout_id
    )
    state.arrived[order_of(body)] = item
    if payout_id:
        state.awaiting.setdefault(payout_id, []).append(item)


def _look_again(state: State, payout_id: str) -> None:
    """Something is known of a payout: the next tick looks at the lines that name it."""
    for item in state.awaiting.get(payout_id, ()):
        state.arrived[order_of(state.suspense[item].body)] = item


def _leave(state: State, body: Leaving) -> None:
    """A line leaves suspense, and what it is booked against knows of it."""
    item = item_of(body)
    _take_off(state, item)
    match body:
        case NetworkSettlementReceived():
            settlement = _cycle(state, body)
            settlement.received = (settlement.received or 0) + body.amount
            settlement.line = item
        case SchemeInvoicePaid():
            settlement = _period(state, body)
            settlement.received = (settlement.received or 0) - body.amount
            settlement.line = item
        case PayoutPaid() | MerchantDebited():
            payout_id = body.payout_id if isinstance(body, PayoutPaid) else body.debit_id
            payout = state.payouts[payout_id]
            payout.paid, payout.line = body.amount, item
            _look_again(state, payout_id)
        case PayoutReturned() | MerchantDebitReversed():
            payout_id = body.payout_id if isinstance(body, PayoutReturned) else body.debit_id
            payout = state.payouts[payout_id]
            payout.returned, payout.back = True, body.amount
        case SuspenseOffset():
            _take_off(state, f"{body.by_statement_id}/{body.by_line}")
        case SuspenseWrittenOff():
            pass


def _take_off(state: State, item: str) -> None:
    line = state.suspense.pop(item)
    if line.payout:
        waiting = state.awaiting[line.payout]
        waiting.remove(item)
        if not waiting:
            del state.awaiting[line.payout]


def _judge(state: State, body: ReconciliationMatched | DiscrepancyDetected) -> None:
    """Remember what was said of an item."""
    if isinstance(body, ReconciliationMatched):
        status = Status.MATCHED
    elif body.kind is DiscrepancyKind.DATE:
        state.late[body.item] = Late(body.currency, body.theirs - body.ours, day_of(state.now))
        return
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


def _correct(state: State, body: DiscrepancyResolved) -> None:
    """Nothing more is expected of an item. What came and agrees was matched before, and stays so."""
    decided(state.requests, body, day_of(state.now))
    if body.item in state.settlements:
        settlement = state.settlements[body.item]
        settlement.status = settlement.status if settlement.status in DONE else Status.CORRECTED
    elif body.item in state.payouts:
        payout = state.payouts[body.item]
        payout.status = payout.status if payout.status in DONE else Status.CORRECTED
    else:
        state.late.pop(body.item, None)


def forget(state: State, item: str, before_on: int) -> None:
    """Let go of what is done; with no item, of late lines and of requests of so long ago."""
    if item:
        state.settlements.pop(item, None)
        state.payouts.pop(item, None)
        return
    state.late = {name: late for name, late in state.late.items() if late.since_on >= before_on}
    forget_before(state.requests, before_on)
