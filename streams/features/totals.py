"""Sub-totals of what settles: by cycle, and of scheme fees by invoice period.

Each partition adds up what its records came to since the last tick, and hands it to reconciliation when the tick ends.
"""

from collections.abc import Iterator

import msgspec

from events.accounts import bank_account
from events.base import Event
from events.clearing import (
    ClearingCycleTotalled,
    ClearingRecordAccepted,
    ClearingRecordReturned,
    RefundCleared,
    SchemePeriodTotalled,
)
from events.disputes import DisputeFundsReturned, DisputeFundsWithdrawn
from events.fees import FeeCorrected, InterchangeAssessed, InterchangeReturned, SchemeFeeAssessed


class Cycle(msgspec.Struct):
    """What was accepted into one cycle since the last tick."""

    network: str
    currency: str
    records: int = 0
    presented: int = 0
    refunded: int = 0
    interchange: int = 0
    disputed: int = 0


class Period(msgspec.Struct):
    """Scheme fees of one network, currency and invoice period since the last tick."""

    network: str
    currency: str
    period: str
    records: int = 0
    amount: int = 0


class Totals(msgspec.Struct):
    """Sub-totals by cycle, and by network, currency and period."""

    cycles: dict[str, Cycle] = {}
    periods: dict[str, Period] = {}


Counted = (
    ClearingRecordAccepted
    | ClearingRecordReturned
    | RefundCleared
    | InterchangeAssessed
    | InterchangeReturned
    | SchemeFeeAssessed
    | FeeCorrected
    | DisputeFundsWithdrawn
    | DisputeFundsReturned
)


def count(totals: Totals, body: Counted) -> None:
    """Add what an event came to. Interchange comes behind its record, so its cycle is there."""
    match body:
        case ClearingRecordAccepted() | ClearingRecordReturned() | RefundCleared():
            cycle = totals.cycles.setdefault(body.cycle, Cycle(body.network, body.settlement_currency))
            cycle.records += 1
            if isinstance(body, ClearingRecordAccepted):
                cycle.presented += body.settlement_amount
            elif isinstance(body, ClearingRecordReturned):
                cycle.presented -= body.settlement_amount
            else:
                cycle.refunded += body.settlement_amount
        case InterchangeAssessed():
            totals.cycles[body.cycle].interchange += body.amount
        case InterchangeReturned():
            totals.cycles[body.cycle].interchange -= body.amount
        case FeeCorrected():
            cycle = totals.cycles.setdefault(body.cycle, Cycle(body.network, body.currency))
            cycle.interchange += body.amount
        case DisputeFundsWithdrawn() | DisputeFundsReturned():
            cycle = totals.cycles.setdefault(body.cycle, Cycle(body.network, body.currency))
            taken = isinstance(body, DisputeFundsWithdrawn)
            cycle.disputed += body.amount if taken else -body.amount
        case SchemeFeeAssessed():
            period = totals.periods.setdefault(
                _period_key(body), Period(body.network, body.currency, body.period)
            )
            period.records += 1
            period.amount += body.amount


def reported(totals: Totals, body: ClearingCycleTotalled | SchemePeriodTotalled) -> None:
    """A sub-total has gone: what comes next belongs to the next one."""
    if isinstance(body, ClearingCycleTotalled):
        del totals.cycles[body.cycle]
    else:
        del totals.periods[_period_key(body)]


def report(totals: Totals) -> Iterator[Event]:
    """Cycles, then periods, by name."""
    yield from _cycle_totals(totals)
    yield from _period_totals(totals)


def _cycle_totals(totals: Totals) -> Iterator[Event]:
    for name in sorted(totals.cycles):
        cycle = totals.cycles[name]
        yield ClearingCycleTotalled(
            cycle.network,
            cycle.currency,
            name,
            bank_account(cycle.currency),
            cycle.records,
            cycle.presented,
            cycle.refunded,
            cycle.interchange,
            cycle.presented - cycle.refunded - cycle.interchange - cycle.disputed,
            cycle.disputed,
        )


def _period_totals(totals: Totals) -> Iterator[Event]:
    for key in sorted(totals.periods):
        period = totals.periods[key]
        yield SchemePeriodTotalled(
            period.network,
            period.currency,
            period.period,
            bank_account(period.currency),
            period.records,
            period.amount,
        )


def _period_key(body: SchemeFeeAssessed | SchemePeriodTotalled) -> str:
    return f"{body.network}/{body.currency}/{body.period}"
