"""When the records of one settlement agree, and how they differ when they do not.

A settlement is a network's cycle or one period of its scheme fees. Up to three sides speak of it: our own books, the
network's advice (cycles only), and the bank. It is judged when all have spoken, with no tolerance.
"""

from enum import StrEnum
from typing import Final

import msgspec

from events.accounts import NR, SP, name
from events.base import Event
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
    NetworkSettlementAdvised,
    NetworkSettlementReceived,
    ReconciliationMatched,
    SchemeInvoicePaid,
)
from events.settlement import ClearingResidualAged

TOLERANCE: Final = 0
"""By how many minor units two records may differ and still agree."""


class Status(StrEnum):
    """How far an item has come."""

    OPEN = "open"
    MATCHED = "matched"
    DIFFERENT = "different"
    MISSING = "missing"


class Figures(msgspec.Struct):
    """One side's account of a cycle, minor units; of an invoice ``net`` alone."""

    presented: int = 0
    refunded: int = 0
    interchange: int = 0
    net: int = 0


class Settlement(msgspec.Struct):
    """A cycle or an invoice period with everything that is known of it.

    ``label`` is the cycle or the period. Figures are None until somebody has given them; ``received`` is what the
    bank booked, positive for money in, and ``line`` the last line that said so. ``named`` is the difference that was
    last reported (ours, theirs).
    """

    account: str
    network: str
    currency: str
    label: str
    invoice: bool
    since_on: int
    status: Status = Status.OPEN
    ours: Figures | None = None
    advised: Figures | None = None
    received: int | None = None
    line: str = ""
    named: list[int] = []
    aged: bool = False


def compare(item: str, settlement: Settlement) -> list[Event]:
    """Match a settlement whose records are all there, or name how they differ. What was said is not said again."""
    ours, advised = settlement.ours, settlement.advised
    if ours is None or (advised is None and not settlement.invoice):
        return []
    if settlement.received is None and (settlement.invoice or ours.net or (advised and advised.net)):
        # Where nothing is to be paid on either side no line comes.
        return []
    received = settlement.received or 0
    difference = _difference(ours, advised, received)
    if difference is not None:
        kind, mine, theirs = difference
        if settlement.status is Status.DIFFERENT and settlement.named == [mine, theirs]:
            return []
        expected = SchemeInvoicePaid if settlement.invoice else NetworkSettlementReceived
        return [DiscrepancyDetected(item, kind, settlement.currency, mine, theirs, expected.__name__)]
    if settlement.status is Status.MATCHED:
        return []
    rule = "invoice" if settlement.invoice else "three_way"
    matched = ReconciliationMatched(item, item, settlement.line, rule, settlement.currency, received)
    if settlement.status is Status.OPEN:
        return [matched]
    resolved = DiscrepancyResolved(item, ReconciliationMatched.__name__, settlement.currency, received)
    return [matched, resolved]


def _difference(
    ours: Figures, advised: Figures | None, received: int
) -> tuple[DiscrepancyKind, int, int] | None:
    """How the records differ, the cause before its effect: volumes, what the network kept of them, then the money."""
    if advised is not None:
        if differ(ours.presented, advised.presented):
            return DiscrepancyKind.AMOUNT, ours.presented, advised.presented
        if differ(ours.refunded, advised.refunded):
            return DiscrepancyKind.AMOUNT, ours.refunded, advised.refunded
        if differ(ours.interchange, advised.interchange):
            return DiscrepancyKind.FEE, ours.interchange, advised.interchange
        if differ(ours.net, advised.net):
            return DiscrepancyKind.AMOUNT, ours.net, advised.net
    if differ(ours.net, received):
        return DiscrepancyKind.AMOUNT, ours.net, received
    return None


def differ(ours: int, theirs: int) -> bool:
    """Whether two amounts are further apart than is tolerated."""
    return abs(ours - theirs) > TOLERANCE


def settlement_overdue(item: str, settlement: Settlement) -> list[Event]:
    """Name the first record that has not come, once, with what the others say."""
    if settlement.status is not Status.OPEN:
        return []
    ours, advised = settlement.ours, settlement.advised
    theirs = settlement.received or (advised.net if advised is not None else 0)
    return [
        DiscrepancyDetected(
            item,
            DiscrepancyKind.MISSING,
            settlement.currency,
            ours.net if ours is not None else 0,
            theirs,
            _expected(settlement),
        )
    ]


def settlement_aged(item: str, settlement: Settlement, day_on: int) -> list[Event]:
    """Report what a settlement still holds on its clearing account, as far as we know."""
    if settlement.status is Status.MATCHED:
        return []
    if settlement.invoice:
        account = name(SP, settlement.network)
    else:
        account = name(NR, settlement.network, settlement.currency, settlement.label)
    ours = settlement.ours.net if settlement.ours is not None else 0
    return [
        ClearingResidualAged(
            account,
            item,
            settlement.currency,
            ours - (settlement.received or 0),
            day_on - settlement.since_on,
            _expected(settlement),
        )
    ]


def _expected(settlement: Settlement) -> str:
    """The first record that a settlement lacks; when it has all, the money that would make them agree."""
    if settlement.ours is None:
        expected = SchemePeriodTotalled if settlement.invoice else ClearingCycleTotalled
        return expected.__name__
    if settlement.advised is None and not settlement.invoice:
        return NetworkSettlementAdvised.__name__
    if settlement.received is None:
        return BankLineRecorded.__name__
    return SchemeInvoicePaid.__name__ if settlement.invoice else NetworkSettlementReceived.__name__
