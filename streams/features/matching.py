"""When the records of one settlement agree, and how they differ when they do not.

A settlement is a network's cycle or one period of its scheme fees. Up to three sides speak of it: our own books, the
network's advice (cycles only), and the bank. It is judged when all have spoken. Within the tolerance of its currency
they agree, and what then stands open is written off by that rule; any other difference is named.
"""

from enum import StrEnum

import msgspec

from events.accounts import NR, SP, name
from events.base import Event
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.corrections import SchemeInvoiceAdjusted, SettlementDifferenceWrittenOff, WriteOffRule
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
from streams.features.agreement import confidence, differ


class Status(StrEnum):
    """How far an item has come."""

    OPEN = "open"
    MATCHED = "matched"
    DIFFERENT = "different"
    MISSING = "missing"
    CORRECTED = "corrected"


DONE = (Status.MATCHED, Status.CORRECTED)
"""Nothing more is expected."""


class Figures(msgspec.Struct):
    """One side's account of a cycle, minor units; of an invoice ``net`` alone."""

    presented: int = 0
    refunded: int = 0
    interchange: int = 0
    net: int = 0
    disputed: int = 0


class Settlement(msgspec.Struct):
    """A cycle or an invoice period with everything that is known of it.

    ``label`` is the cycle or the period. Figures are None until somebody has given them; ``received`` is what the
    bank booked, positive for money in, and ``line`` the last line that said so. ``corrected`` is what was written off
    or adjusted, counted like what was received. ``named`` is the difference that was last reported (ours, theirs),
    ``aged`` how many steps of age have been.
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
    corrected: int = 0
    line: str = ""
    named: list[int] = []
    aged: int = 0

    @property
    def residual(self) -> int:
        """What still stands open: owed to us positive, minor units."""
        ours = self.ours.net if self.ours is not None else 0
        return ours - (self.received or 0) - self.corrected


def compare(item: str, settlement: Settlement, tolerance: int) -> list[Event]:
    """Match a settlement whose records are all there, or name how they differ. What was said is not said again."""
    ours, advised = settlement.ours, settlement.advised
    if ours is None or (advised is None and not settlement.invoice):
        return []
    if settlement.received is None and (settlement.invoice or ours.net or (advised and advised.net)):
        # Where nothing is to be paid on either side no line comes.
        return []
    booked = (settlement.received or 0) + settlement.corrected
    difference = _difference(ours, advised, booked, tolerance)
    if difference is not None:
        kind, mine, theirs = difference
        if settlement.status in (Status.DIFFERENT, Status.CORRECTED) and settlement.named == [mine, theirs]:
            return []
        expected = SchemeInvoicePaid if settlement.invoice else NetworkSettlementReceived
        return [DiscrepancyDetected(item, kind, settlement.currency, mine, theirs, expected.__name__)]
    if settlement.status is Status.MATCHED:
        # A figure has moved since, within the tolerance: the books follow.
        return [correction(settlement, WriteOffRule.TOLERANCE, "")] if settlement.residual else []
    return _matched(item, settlement, tolerance)


def _matched(item: str, settlement: Settlement, tolerance: int) -> list[Event]:
    residual, received = settlement.residual, settlement.received or 0
    matched: list[Event] = [
        ReconciliationMatched(
            item,
            item,
            settlement.line,
            "invoice" if settlement.invoice else "three_way",
            settlement.currency,
            received,
            tolerance,
            confidence(residual, tolerance),
        )
    ]
    if residual:
        matched.append(correction(settlement, WriteOffRule.TOLERANCE, ""))
    if settlement.status in (Status.DIFFERENT, Status.MISSING):
        matched.append(
            DiscrepancyResolved(item, ReconciliationMatched.__name__, settlement.currency, received)
        )
    return matched


def correction(
    settlement: Settlement, rule: WriteOffRule, approved_by: str
) -> SettlementDifferenceWrittenOff | SchemeInvoiceAdjusted:
    """The event that takes what still stands open off the books."""
    if settlement.invoice:
        return SchemeInvoiceAdjusted(
            settlement.account,
            settlement.network,
            settlement.label,
            settlement.currency,
            settlement.residual,
            rule,
            approved_by,
        )
    return SettlementDifferenceWrittenOff(
        settlement.account,
        settlement.network,
        settlement.label,
        settlement.currency,
        settlement.residual,
        rule,
        approved_by,
    )


def _difference(
    ours: Figures, advised: Figures | None, booked: int, tolerance: int
) -> tuple[DiscrepancyKind, int, int] | None:
    """How the records differ, the cause before its effect: volumes, what the network kept of them, then the money."""
    if advised is not None:
        if differ(ours.presented, advised.presented, tolerance):
            return DiscrepancyKind.AMOUNT, ours.presented, advised.presented
        if differ(ours.refunded, advised.refunded, tolerance):
            return DiscrepancyKind.AMOUNT, ours.refunded, advised.refunded
        if differ(ours.interchange, advised.interchange, tolerance):
            return DiscrepancyKind.FEE, ours.interchange, advised.interchange
        if differ(ours.disputed, advised.disputed, tolerance):
            return DiscrepancyKind.AMOUNT, ours.disputed, advised.disputed
        if differ(ours.net, advised.net, tolerance):
            return DiscrepancyKind.AMOUNT, ours.net, advised.net
    if differ(ours.net, booked, tolerance):
        return DiscrepancyKind.AMOUNT, ours.net, booked
    return None


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
    if settlement.status in DONE:
        return []
    if settlement.invoice:
        account = name(SP, settlement.network)
    else:
        account = name(NR, settlement.network, settlement.currency, settlement.label)
    return [
        ClearingResidualAged(
            account,
            item,
            settlement.currency,
            settlement.residual,
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
