"""What a bank line is for, by its reference, and the event that books it.

The reference reads as :mod:`streams.reconciliation` describes. A line that fits nothing stays on suspense, named.
"""

from events.accounts import bank_account, scheme_item
from events.base import Event
from events.calendar import NO_HOLIDAYS, next_business_day, parse_day
from events.errors import ValidationError
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyKind,
    NetworkSettlementReceived,
    SchemeInvoicePaid,
)
from streams.features.matching import Status
from streams.features.openitems import State
from streams.features.payouts import Payout, bring_back, pay, twice
from streams.features.suspense import Line, known_at_last, later_than, not_for, take_back


def book(state: State, line: Line, reference: str) -> list[Event]:
    """What a line is for, by its reference."""
    body = line.body
    match reference.split(" "):
        case ["NET", cycle] if _may_settle(cycle, body):
            return _settle(state, line, cycle)
        case ["INVOICE", network, currency, period] if _may_settle(
            scheme_item(network, currency, period), body
        ):
            return _invoice(state, line, network, period)
        case ["PAYOUT" | "DEBIT", payout_id]:
            return _pay(state, line, payout_id)
        case ["RETURN" | "UNPAID", payout_id, code]:
            return _return(state, line, payout_id, code)
        case ["RETURN", payout_id, code, correction]:
            return _return(state, line, payout_id, code, correction)
        case ["REVERSAL", earlier]:
            taken = take_back(line, state.suspense.get(earlier))
            return taken or not_for(line, DiscrepancyKind.EXTRA, BankLineRecorded)
        case _:
            return not_for(line, DiscrepancyKind.EXTRA, BankLineRecorded)


def _may_settle(item: str, line: BankLineRecorded) -> bool:
    """Whether a line can be booked against a settlement, ``visa-USD-…``: in its currency, on the account for it."""
    return item.split("-")[1:2] == [line.currency] and line.account == bank_account(line.currency)


def _settle(state: State, line: Line, cycle: str) -> list[Event]:
    """A cycle is settled. The second line of a matched one is one too many; a first one may have come too late."""
    body, settlement = line.body, state.settlements.get(cycle)
    if settlement is not None and settlement.status is Status.MATCHED:
        return not_for(line, DiscrepancyKind.DUPLICATE, BankLineRecorded)
    network = cycle.split("-", 1)[0]
    received = NetworkSettlementReceived(
        body.account, body.statement_id, body.line, network, cycle, body.currency, body.amount
    )
    first = settlement is None or (settlement.received is None and settlement.status is not Status.MISSING)
    agreed_on = _agreed_on(state, cycle, body) if first else body.booked_on
    return [received, *later_than(body, agreed_on, NetworkSettlementReceived)]


def _agreed_on(state: State, cycle: str, line: BankLineRecorded) -> int:
    """A cycle settles on the business day after its own, which ends its name. One named otherwise is never late."""
    try:
        cycle_on = parse_day(cycle[-10:])
    except ValidationError:
        return line.booked_on
    days_on = state.holidays.get(line.currency)
    return next_business_day(cycle_on, frozenset(days_on) if days_on else NO_HOLIDAYS)


def _invoice(state: State, line: Line, network: str, period: str) -> list[Event]:
    """Scheme fees are taken. No day was agreed for it: the network invoices when it has counted."""
    body = line.body
    settlement = state.settlements.get(scheme_item(network, body.currency, period))
    if settlement is not None and settlement.status is Status.MATCHED:
        return not_for(line, DiscrepancyKind.DUPLICATE, BankLineRecorded)
    return [
        SchemeInvoicePaid(
            body.account, body.statement_id, body.line, network, period, body.currency, -body.amount
        )
    ]


def announced(state: State, line: Line, payout_id: str) -> Payout | None:
    """The payout as it was announced for the line's account: one of another account is another partition's."""
    payout = state.payouts.get(payout_id)
    return payout if payout is not None and payout.account == line.body.account else None


def _pay(state: State, line: Line, payout_id: str) -> list[Event]:
    """A payout leaves, or a debit comes in; one that was not announced yet waits."""
    payout = announced(state, line, payout_id)
    if payout is None:
        return []
    body = line.body
    booked = pay(payout_id, payout, body, state.terms.tolerance.get(payout.currency, 0))
    if not booked:
        again = DiscrepancyKind.DUPLICATE if twice(payout, body, returning=False) else DiscrepancyKind.EXTRA
        return not_for(line, again, BankLineRecorded)
    kind = type(booked[0])
    late = [] if payout.status is Status.MISSING else later_than(body, payout.value_on, kind)
    return [*booked, *late, *known_at_last(line, kind.__name__)]


def _return(state: State, line: Line, payout_id: str, code: str, correction: str = "") -> list[Event]:
    """A payout or debit comes back; one that has not been booked waits."""
    payout = announced(state, line, payout_id)
    if payout is None or not payout.line:
        return []
    booked = bring_back(payout_id, payout, line.body, code, correction)
    if not booked:
        kind = (
            DiscrepancyKind.DUPLICATE if twice(payout, line.body, returning=True) else DiscrepancyKind.EXTRA
        )
        return not_for(line, kind, BankLineRecorded)
    return [*booked, *known_at_last(line, type(booked[0]).__name__)]
