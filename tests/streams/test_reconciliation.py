"""Reconciliation as tables: what a line is for, when records agree, and what is said when they do not."""

from typing import Any

import pytest

from events.base import Event
from events.calendar import DAY, HOUR
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
    WriteOffRule,
)
from events.partitions import ClockKind, LogOpened, TickPassed
from events.postings import balances
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
from events.reference import ReconciliationTerms, Tolerance
from events.settlement import ClearingResidualAged
from streams import reconciliation
from streams.features.matching import Status
from tests.streams.builders_early import SHOP, applied
from tests.streams.builders_late import CYCLE, DAY_ON, MIDNIGHT, PAYOUT, PERIOD, Table, make

NOON = MIDNIGHT + 12 * HOUR
INVOICE = f"visa-USD-{PERIOD}"
LINE = "bank-usd-2026-03-10/1"
K = DiscrepancyKind


def totalled(
    presented: int = 1_000, refunded: int = 0, interchange: int = 25, **fields: Any
) -> ClearingCycleTotalled:
    net = presented - refunded - interchange
    return make(
        ClearingCycleTotalled,
        presented=presented,
        refunded=refunded,
        interchange=interchange,
        net=net,
        **fields,
    )


def advised(presented: int = 1_000, refunded: int = 0, interchange: int = 25) -> NetworkSettlementAdvised:
    net = presented - refunded - interchange
    return make(
        NetworkSettlementAdvised, presented=presented, refunded=refunded, interchange=interchange, net=net
    )


def line(amount: int = 975, reference: str = f"NET {CYCLE}", **fields: Any) -> BankLineRecorded:
    return make(BankLineRecorded, amount=amount, reference=reference, **fields)


def invoiced(amount: int = 3, number: int = 1) -> BankLineRecorded:
    return line(-amount, f"INVOICE visa USD {PERIOD}", line=number)


def left(amount: int = 1_000, number: int = 1) -> BankLineRecorded:
    return line(-amount, f"PAYOUT {PAYOUT}", line=number)


def returned(amount: int = 1_000, number: int = 2, code: str = "R01") -> BankLineRecorded:
    return line(amount, f"RETURN {PAYOUT} {code}", line=number)


TOTALLED, ADVISED, NET = totalled(), advised(), line()
FEES = make(SchemePeriodTotalled)
ANNOUNCED = make(PayoutAnnounced)
RECEIVED = make(NetworkSettlementReceived)
PAID = make(PayoutPaid)
BACK = make(PayoutReturned, line=2, return_code="R01")


def matched(item: str, amount: int, rule: str, left: str = "", right: str = LINE) -> ReconciliationMatched:
    return ReconciliationMatched(item, left or item, right, rule, "USD", amount)


def found(
    item: str, kind: DiscrepancyKind, ours: int, theirs: int, expected: type[Event]
) -> DiscrepancyDetected:
    return DiscrepancyDetected(item, kind, "USD", ours, theirs, expected.__name__)


def extra(amount: int, number: int = 1) -> DiscrepancyDetected:
    """A line that only the bank can put right."""
    return found(f"bank-usd-2026-03-10/{number}", K.EXTRA, 0, amount, BankLineRecorded)


def again(amount: int, number: int = 2) -> DiscrepancyDetected:
    """A line that says what another has said before."""
    return found(f"bank-usd-2026-03-10/{number}", K.DUPLICATE, 0, amount, BankLineRecorded)


def resolved(item: str, by: type[Event], amount: int) -> DiscrepancyResolved:
    return DiscrepancyResolved(item, by.__name__, "USD", amount)


OFFSET = SuspenseOffset("bank-usd", "bank-usd-2026-03-10", 1, "USD", 5, "bank-usd-2026-03-10", 2)

THREE_WAY = matched(CYCLE, 975, "three_way")
INVOICE_MATCHED = matched(INVOICE, -3, "invoice")
PAYOUT_MATCHED = matched(PAYOUT, 1_000, "payout")
RETURN_MATCHED = matched(PAYOUT, 1_000, "payout_return", LINE, "bank-usd-2026-03-10/2")


def at_work(*given: Event) -> Table:
    """A log that was opened on Monday noon."""
    table = Table(reconciliation)
    table.hear_of(LogOpened("reconciliation", 0, 1, ClockKind.VIRTUAL, 1, NOON, 9, "", []))
    table.comes(*given)
    return table


def settled() -> Table:
    """A cycle, an invoice and a payout that have all been matched."""
    table = at_work(TOTALLED, ADVISED, NET, FEES, invoiced(number=2), ANNOUNCED, left(number=3))
    decided = table.next()
    assert sum(isinstance(body, ReconciliationMatched) for body in decided) == 3
    return table


# --- what comes between two ticks -----------------------------------------------------------------------

# fmt: off
TABLE: list[tuple[str, list[Event], list[Event]]] = [
    # cycles: three records must say the same
    ("cycle agrees",        [TOTALLED, ADVISED, NET],                     [RECEIVED, THREE_WAY]),
    ("partitions add up",   [totalled(600, 0, 15), totalled(400, 0, 10), ADVISED, NET], [RECEIVED, THREE_WAY]),
    ("a cycle we pay for",  [totalled(0, 500, -12), advised(0, 500, -12), line(-488)],
     [make(NetworkSettlementReceived, amount=-488), matched(CYCLE, -488, "three_way")]),
    ("nothing to be paid",  [totalled(500, 480, 20), advised(500, 480, 20)],
     [matched(CYCLE, 0, "three_way", right="")]),
    ("bank differs",        [TOTALLED, ADVISED, line(970)],
     [make(NetworkSettlementReceived, amount=970), found(CYCLE, K.AMOUNT, 975, 970, NetworkSettlementReceived)]),
    ("presented differs",   [TOTALLED, advised(999), line(974)],
     [make(NetworkSettlementReceived, amount=974), found(CYCLE, K.AMOUNT, 1_000, 999, NetworkSettlementReceived)]),
    ("refunded differs",    [TOTALLED, advised(1_000, 1), line(974)],
     [make(NetworkSettlementReceived, amount=974), found(CYCLE, K.AMOUNT, 0, 1, NetworkSettlementReceived)]),
    ("interchange differs", [TOTALLED, advised(1_000, 0, 26), line(974)],
     [make(NetworkSettlementReceived, amount=974), found(CYCLE, K.FEE, 25, 26, NetworkSettlementReceived)]),
    ("advice does not add up", [TOTALLED, make(NetworkSettlementAdvised, net=974), NET],
     [RECEIVED, found(CYCLE, K.AMOUNT, 975, 974, NetworkSettlementReceived)]),
    ("volumes differ, sums do not", [TOTALLED, advised(1_010, 10), NET],
     [RECEIVED, found(CYCLE, K.AMOUNT, 1_000, 1_010, NetworkSettlementReceived)]),
    ("no advice yet",       [TOTALLED, NET],                              [RECEIVED]),
    ("no totals yet",       [ADVISED, NET],                               [RECEIVED]),
    ("no line yet",         [TOTALLED, ADVISED],                          []),
    # scheme fees
    ("invoice agrees",      [FEES, invoiced()],                           [make(SchemeInvoicePaid), INVOICE_MATCHED]),
    ("invoice differs",     [FEES, invoiced(4)],
     [make(SchemeInvoicePaid, amount=4), found(INVOICE, K.AMOUNT, -3, -4, SchemeInvoicePaid)]),
    ("invoice comes first", [invoiced()],                                 [make(SchemeInvoicePaid)]),
    ("fees of partitions",  [make(SchemePeriodTotalled, amount=1), make(SchemePeriodTotalled, amount=2), invoiced()],
     [make(SchemeInvoicePaid), INVOICE_MATCHED]),
    # payouts
    ("payout left",         [ANNOUNCED, left()],                          [PAID, PAYOUT_MATCHED]),
    ("payout differs",      [ANNOUNCED, left(999)],
     [make(PayoutPaid, amount=999), found(PAYOUT, K.AMOUNT, -1_000, -999, PayoutPaid)]),
    ("payout comes first",  [left()],                                     []),
    ("payout came back",    [ANNOUNCED, left(), returned()],              [PAID, PAYOUT_MATCHED, BACK, RETURN_MATCHED]),
    ("came back in part",   [ANNOUNCED, left(), returned(400)],
     [PAID, PAYOUT_MATCHED, make(PayoutReturned, line=2, return_code="R01", amount=400),
      found(PAYOUT, K.AMOUNT, 1_000, 400, PayoutReturned)]),
    ("return comes first",  [ANNOUNCED, returned()],                      []),
    # lines that came late
    ("cycle a day late",    [TOTALLED, ADVISED, line(booked_on=DAY_ON + 2)],
     [RECEIVED, THREE_WAY, found(LINE, K.DATE, DAY_ON + 1, DAY_ON + 2, NetworkSettlementReceived)]),
    ("payout a day late",   [ANNOUNCED, line(-1_000, f"PAYOUT {PAYOUT}", booked_on=DAY_ON + 2)],
     [PAID, PAYOUT_MATCHED, found(LINE, K.DATE, DAY_ON + 1, DAY_ON + 2, PayoutPaid)]),
    ("a cycle of no day",   [line(975, "NET visa-USD-monday", booked_on=DAY_ON + 9)],
     [make(NetworkSettlementReceived, cycle="visa-USD-monday")]),
    # lines that the bank takes back
    ("taken back",          [line(5, "thank you"), line(-5, f"REVERSAL {LINE}", line=2)],
     [extra(5), OFFSET, resolved(LINE, SuspenseOffset, 5)]),
    ("taken back in part",  [line(5, "thank you"), line(-4, f"REVERSAL {LINE}", line=2)], [extra(5), extra(-4, 2)]),
    ("taken back too late", [TOTALLED, ADVISED, NET, line(-975, f"REVERSAL {LINE}", line=2)],
     [RECEIVED, THREE_WAY, extra(-975, 2)]),
    ("taken back by itself", [line(0, f"REVERSAL {LINE}")], [extra(0)]),
    # lines that are for nothing
    ("on a foreign account", [TOTALLED, ADVISED, line(account="bank-eur")], [extra(975)]),
    ("payout twice",        [ANNOUNCED, left(), left(number=2)],
     [PAID, PAYOUT_MATCHED, again(-1_000)]),
    ("another payout under its name", [ANNOUNCED, left(), left(999, 2)], [PAID, PAYOUT_MATCHED, extra(-999, 2)]),
    ("payout that pays us", [ANNOUNCED, left(-1_000)],                    [extra(1_000)]),
    ("payout on a foreign account", [ANNOUNCED, line(-1_000, f"PAYOUT {PAYOUT}", account="bank-eur")], []),
    ("payout in euro",      [ANNOUNCED, line(-1_000, f"PAYOUT {PAYOUT}", currency="EUR")],
     [DiscrepancyDetected(LINE, K.EXTRA, "EUR", 0, -1_000, "BankLineRecorded")]),
    ("returned twice",      [ANNOUNCED, left(), returned(), returned(number=3)],
     [PAID, PAYOUT_MATCHED, BACK, RETURN_MATCHED, again(1_000, 3)]),
    ("return that takes",   [ANNOUNCED, left(), returned(-5)],
     [PAID, PAYOUT_MATCHED, extra(-5, 2)]),
    ("cycle in euro",       [line(975, currency="EUR")],
     [DiscrepancyDetected(LINE, K.EXTRA, "EUR", 0, 975, "BankLineRecorded")]),
    ("invoice in euro",     [line(-3, f"INVOICE visa EUR {PERIOD}")],     [extra(-3)]),
    ("not a reference",     [line(5, "thank you")],                       [extra(5)]),
    ("nothing at all",      [line(5, "")],                                [extra(5)]),
    ("a word too many",     [line(5, f"NET {CYCLE} x")],                  [extra(5)]),
    ("not a cycle",         [line(5, "NET visa")],                        [extra(5)]),
    ("a payout without a name", [line(5, "PAYOUT")],                      [extra(5)]),
    ("a payout of nothing", [ANNOUNCED, line(0, f"PAYOUT {PAYOUT}")],     [extra(0)]),
    ("a return of nothing", [ANNOUNCED, left(), line(0, f"RETURN {PAYOUT} R01", line=2)],
     [PAID, PAYOUT_MATCHED, extra(0, 2)]),
    ("a return without a code", [line(5, f"RETURN {PAYOUT}")],            [extra(5)]),
]
# fmt: on


@pytest.mark.parametrize(("given", "then"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_tick_books_and_compares_what_has_come(given: list[Event], then: list[Event]) -> None:
    """Given these, the tick says those, and the next tick nothing more."""
    table = at_work(*given)
    assert table.next() == then
    assert table.next() == []


@pytest.mark.parametrize(("given", "then"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_order_of_arrival_does_not_matter(given: list[Event], then: list[Event]) -> None:
    """Lines are booked in the statement's order, sums have no order."""
    assert at_work(*reversed(given)).next() == then


def test_every_kind_of_discrepancy_is_found() -> None:
    """The missing ones have tests of their own, for they need time."""
    kinds = {body.kind for *_, then in TABLE for body in then if isinstance(body, DiscrepancyDetected)}
    assert kinds == set(K) - {K.MISSING}


# --- what comes later -----------------------------------------------------------------------------------

# fmt: off
LATER: list[tuple[str, list[Event], list[Event], list[Event]]] = [
    ("advice after the line",  [TOTALLED, NET],              [ADVISED],   [THREE_WAY]),
    ("totals after the line",  [ADVISED, NET],               [TOTALLED],  [THREE_WAY]),
    ("a difference is paid",   [TOTALLED, ADVISED, line(970)], [line(5, line=2)],
     [make(NetworkSettlementReceived, amount=5, line=2),
      matched(CYCLE, 975, "three_way", right="bank-usd-2026-03-10/2"),
      resolved(CYCLE, ReconciliationMatched, 975)]),
    ("a difference gets smaller", [TOTALLED, ADVISED, line(970)], [line(1, line=2)],
     [make(NetworkSettlementReceived, amount=1, line=2), found(CYCLE, K.AMOUNT, 975, 971, NetworkSettlementReceived)]),
    ("totals that were late",  [totalled(900, 0, 25), ADVISED, NET], [totalled(100, 0, 0)],
     [THREE_WAY, resolved(CYCLE, ReconciliationMatched, 975)]),
    ("totals that are too much", [TOTALLED, ADVISED, NET],   [totalled(1, 0, 0)],
     [found(CYCLE, K.AMOUNT, 1_001, 1_000, NetworkSettlementReceived)]),
    ("fees after the invoice", [invoiced()],                 [FEES],      [INVOICE_MATCHED]),
    ("announced after the line", [left()],                   [ANNOUNCED], [PAID, PAYOUT_MATCHED]),
    ("paid after its return",  [ANNOUNCED, returned()],      [left()],    [PAID, PAYOUT_MATCHED]),
    ("a second line for a cycle", [TOTALLED, ADVISED, NET],  [line(975, line=2)],
     [again(975)]),
    ("a second invoice",       [FEES, invoiced()],           [invoiced(number=2)],
     [again(-3)]),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "later", "then"), [row[1:] for row in LATER], ids=[row[0] for row in LATER]
)
def test_what_comes_later_is_judged_when_it_comes(
    given: list[Event], later: list[Event], then: list[Event]
) -> None:
    """Nothing is said twice, and what is put right is said to be."""
    table = at_work(*given)
    table.next()
    table.comes(*later)
    assert table.next() == then


def test_a_return_is_looked_at_again_when_its_payout_was_paid() -> None:
    """The line waits on suspense until then."""
    table = at_work(ANNOUNCED, returned())
    table.next()
    table.comes(left())
    table.next()
    assert table.next() == [BACK, RETURN_MATCHED]
    assert table.state.suspense == {}
    assert table.state.awaiting == {}


# --- what does not come ---------------------------------------------------------------------------------

# fmt: off
MISSING: list[tuple[str, list[Event], int, list[Event]]] = [
    ("line",     [TOTALLED, ADVISED], 7,  [found(CYCLE, K.MISSING, 975, 975, BankLineRecorded)]),
    ("advice",   [TOTALLED, NET],     7,  [found(CYCLE, K.MISSING, 975, 975, NetworkSettlementAdvised)]),
    ("totals",   [ADVISED, NET],      7,  [found(CYCLE, K.MISSING, 0, 975, ClearingCycleTotalled)]),
    ("all but the advice", [ADVISED], 7,  [found(CYCLE, K.MISSING, 0, 975, ClearingCycleTotalled)]),
    ("invoice",  [FEES],              21, [found(INVOICE, K.MISSING, -3, 0, BankLineRecorded)]),
    ("fees",     [invoiced()],        21, [found(INVOICE, K.MISSING, 0, -3, SchemePeriodTotalled)]),
    ("payout",   [ANNOUNCED],         8,  [found(PAYOUT, K.MISSING, -1_000, 0, BankLineRecorded)]),
    ("announcement", [left()],        7,  [found(LINE, K.EXTRA, 0, -1_000, PayoutAnnounced)]),
    ("payment before return", [ANNOUNCED, returned(number=1)], 7, [found(LINE, K.EXTRA, 0, 1_000, PayoutPaid)]),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "days", "then"), [row[1:] for row in MISSING], ids=[row[0] for row in MISSING]
)
def test_what_does_not_come_is_named_after_its_days(given: list[Event], days: int, then: list[Event]) -> None:
    """At the first tick of the day, once, with the event that would settle it."""
    table = at_work(*given)
    table.next()
    assert table.passes(MIDNIGHT + days * DAY - 1) == []
    assert then[0] in table.passes(MIDNIGHT + days * DAY)
    assert then[0] not in table.passes(MIDNIGHT + (days + 1) * DAY)


# fmt: off
FOUND_AGAIN: list[tuple[str, list[Event], list[Event], list[Event]]] = [
    ("line",     [TOTALLED, ADVISED], [NET],     [RECEIVED, THREE_WAY, resolved(CYCLE, ReconciliationMatched, 975)]),
    ("advice",   [TOTALLED, NET],     [ADVISED], [THREE_WAY, resolved(CYCLE, ReconciliationMatched, 975)]),
    ("another line", [TOTALLED, ADVISED], [line(970)],
     [make(NetworkSettlementReceived, amount=970), found(CYCLE, K.AMOUNT, 975, 970, NetworkSettlementReceived)]),
    ("payout",   [ANNOUNCED], [left()],          [PAID, PAYOUT_MATCHED, resolved(PAYOUT, PayoutPaid, 1_000)]),
    ("announcement", [left()], [ANNOUNCED],      [PAID, PAYOUT_MATCHED, resolved(LINE, PayoutPaid, -1_000)]),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "later", "then"), [row[1:] for row in FOUND_AGAIN], ids=[row[0] for row in FOUND_AGAIN]
)
def test_what_comes_after_all_resolves_its_discrepancy(
    given: list[Event], later: list[Event], then: list[Event]
) -> None:
    """Or is found to differ."""
    table = at_work(*given)
    table.next()
    table.passes(NOON + 9 * DAY)
    table.comes(*later)
    assert table.next() == then


# fmt: off
AGED: list[tuple[str, list[Event], int, ClearingResidualAged]] = [
    ("cycle", [TOTALLED, ADVISED, line(970)], 21, ClearingResidualAged(
        f"asset:network_receivable:visa:USD:{CYCLE}", CYCLE, "USD", 5, 21, "NetworkSettlementReceived")),
    ("invoice", [FEES, invoiced(4)], 35, ClearingResidualAged(
        "liab:scheme_payable:visa", INVOICE, "USD", 1, 35, "SchemeInvoicePaid")),
    ("payout", [ANNOUNCED, left(999)], 22, ClearingResidualAged(
        "liab:payout_in_transit", PAYOUT, "USD", -1, 21, "PayoutPaid")),
    ("line", [line(5, "thank you")], 21, ClearingResidualAged(
        "liab:suspense:bank-usd", LINE, "USD", -5, 21, "BankLineRecorded")),
    ("payout's line", [left()], 21, ClearingResidualAged(
        "liab:suspense:bank-usd", LINE, "USD", 1_000, 21, "PayoutAnnounced")),
]
# fmt: on


@pytest.mark.parametrize(("given", "days", "aged"), [row[1:] for row in AGED], ids=[row[0] for row in AGED])
def test_what_stays_open_is_reported_once(given: list[Event], days: int, aged: ClearingResidualAged) -> None:
    """Two weeks after it was due, with what the clearing account holds."""
    table = at_work(*given)
    table.next()
    assert aged not in table.passes(NOON + (days - 1) * DAY)
    assert table.passes(NOON + days * DAY) == [aged]
    assert table.passes(NOON + (days + 1) * DAY) == []


def test_deadlines_are_looked_at_once_a_day() -> None:
    """A quiet tick lists nothing, however much is open."""
    table = at_work(TOTALLED, ANNOUNCED)
    table.next()
    assert reconciliation.due(table.state, table.now + HOUR) == []
    seventh = MIDNIGHT + 7 * DAY
    assert [work.key for work in reconciliation.due(table.state, seventh)] == [CYCLE]
    table.hear_of(TickPassed(2, seventh, 1))
    assert reconciliation.due(table.state, seventh + HOUR) == []
    assert reconciliation.due(settled().state, table.now + HOUR) == []


def test_a_line_is_named_as_extra_once() -> None:
    """One that waited in vain, and then turns out not to fit either."""
    table = at_work(line(-1_000, f"PAYOUT {PAYOUT}", currency="EUR"))
    table.next()
    assert [type(body) for body in table.passes(MIDNIGHT + 7 * DAY)] == [DiscrepancyDetected]
    table.comes(ANNOUNCED)
    assert table.next() == []


@pytest.mark.parametrize(
    ("given", "then"),
    [([TOTALLED, ADVISED], [NET]), ([FEES], [invoiced()]), ([ANNOUNCED], [left()]), ([left()], [ANNOUNCED])],
    ids=["cycle", "invoice", "payout", "line"],
)
def test_a_deadline_that_was_overtaken_says_nothing(given: list[Event], then: list[Event]) -> None:
    """What the tick itself has settled is neither missing nor aged, though it was listed when the tick began."""
    table = at_work(*given)
    table.next()
    at = NOON + 60 * DAY
    works = [work for work in table.works(at) if work.kind in ("overdue", "age")]
    assert sorted(work.kind for work in works) == ["age", "overdue"]
    table.comes(*then)
    table.next()
    assert [reconciliation.fire(table.state, work, at) for work in works] == [[] for _ in works]


def test_what_is_matched_is_forgotten_after_its_days() -> None:
    """And neither named as missing nor aged before."""
    table = settled()
    for day in range(1, 68):
        assert table.passes(NOON + day * DAY) == []
    assert sorted(table.state.settlements) == [CYCLE, INVOICE]
    assert table.passes(NOON + 68 * DAY) == []
    assert sorted(table.state.settlements) == [INVOICE]
    for day in range(69, 83):
        assert table.passes(NOON + day * DAY) == []
    assert table.state.settlements == {}
    assert table.state.payouts == {}


def test_the_summary_names_every_side_of_every_item() -> None:
    """What two runs must agree on."""
    table = at_work(TOTALLED, advised(999), ANNOUNCED, left(), returned(), line(5, "thank you", line=3))
    table.next()
    assert table.summary() == [
        f"settlement {CYCLE} open ours 975 advised 974 received -",
        f"payout {PAYOUT} matched 1000 USD {LINE} returned",
        "suspense bank-usd-2026-03-10/3 5 USD thank you",
    ]
    assert table.state.payouts[PAYOUT].status is Status.MATCHED
    assert table.state.payouts[PAYOUT].value_on == DAY_ON + 1


# --- tolerance ------------------------------------------------------------------------------------------

TERMS = ReconciliationTerms((Tolerance("USD", 4),), 2, 3, 5, (1, 3), 60)


def tolerant(*given: Event) -> Table:
    """The same with terms published: four cents, and little patience."""
    table = Table(reconciliation, applied("reconciliation", TERMS))
    table.hear_of(LogOpened("reconciliation", 0, 1, ClockKind.VIRTUAL, 1, NOON, 9, "", []))
    table.comes(*given)
    return table


def within(item: str, amount: int, rule: str, confidence_ppm: int, left: str = "") -> ReconciliationMatched:
    return ReconciliationMatched(item, left or item, LINE, rule, "USD", amount, 4, confidence_ppm)


def cycle_off(amount: int, rule: WriteOffRule, by: str = "") -> SettlementDifferenceWrittenOff:
    return SettlementDifferenceWrittenOff("bank-usd", "visa", CYCLE, "USD", amount, rule, by)


def payout_off(amount: int, rule: WriteOffRule, by: str = "") -> PayoutDifferenceWrittenOff:
    return PayoutDifferenceWrittenOff("bank-usd", PAYOUT, SHOP, "USD", amount, rule, by)


def invoice_off(amount: int, rule: WriteOffRule, by: str = "") -> SchemeInvoiceAdjusted:
    return SchemeInvoiceAdjusted("bank-usd", "visa", PERIOD, "USD", amount, rule, by)


# fmt: off
TOLERATED: list[tuple[str, list[Event], list[Event]]] = [
    ("cycle, too little",   [TOTALLED, ADVISED, line(971)],
     [make(NetworkSettlementReceived, amount=971), within(CYCLE, 971, "three_way", 500_000),
      cycle_off(4, WriteOffRule.TOLERANCE)]),
    ("cycle, too much",     [TOTALLED, ADVISED, line(977)],
     [make(NetworkSettlementReceived, amount=977), within(CYCLE, 977, "three_way", 750_000),
      cycle_off(-2, WriteOffRule.TOLERANCE)]),
    ("interchange",         [TOTALLED, advised(1_000, 0, 26), line(974)],
     [make(NetworkSettlementReceived, amount=974), within(CYCLE, 974, "three_way", 875_000),
      cycle_off(1, WriteOffRule.TOLERANCE)]),
    ("cycle, beyond",       [TOTALLED, ADVISED, line(970)],
     [make(NetworkSettlementReceived, amount=970), found(CYCLE, K.AMOUNT, 975, 970, NetworkSettlementReceived)]),
    ("invoice",             [FEES, invoiced(5)],
     [make(SchemeInvoicePaid, amount=5), within(INVOICE, -5, "invoice", 750_000),
      invoice_off(2, WriteOffRule.TOLERANCE)]),
    ("payout",              [ANNOUNCED, left(1_001)],
     [make(PayoutPaid, amount=1_001), within(PAYOUT, 1_001, "payout", 875_000),
      payout_off(1, WriteOffRule.TOLERANCE)]),
    ("a return has none",   [ANNOUNCED, left(), returned(999)],
     [PAID, within(PAYOUT, 1_000, "payout", 1_000_000), make(PayoutReturned, line=2, return_code="R01", amount=999),
      found(PAYOUT, K.AMOUNT, 1_000, 999, PayoutReturned)]),
]
# fmt: on


@pytest.mark.parametrize(("given", "then"), [row[1:] for row in TOLERATED], ids=[row[0] for row in TOLERATED])
def test_a_small_difference_agrees_and_is_written_off(given: list[Event], then: list[Event]) -> None:
    """By its rule, without asking anybody; and nothing stands open behind it."""
    table = tolerant(*given)
    assert table.next() == then
    assert table.next() == []
    if any(isinstance(body, ReconciliationMatched) for body in then):
        open_ = balances([*given, *then])
        assert not [item for account, item, _ in open_ if account.startswith("liab:suspense")]


def test_what_was_written_off_comes_back_when_our_figure_moves() -> None:
    """A record's interchange was corrected after its cycle had matched within the tolerance."""
    table = tolerant(TOTALLED, advised(1_000, 0, 26), line(974))
    assert table.next()[-1] == cycle_off(1, WriteOffRule.TOLERANCE)
    table.comes(totalled(0, 0, 1))
    assert table.next() == [cycle_off(-1, WriteOffRule.TOLERANCE)]
    assert table.state.settlements[CYCLE].residual == 0


def test_terms_that_are_published_are_in_force() -> None:
    """What is missing and aged when, by the reference data."""
    table = tolerant(TOTALLED, ADVISED)
    table.next()
    assert table.passes(MIDNIGHT + DAY) == []
    assert table.passes(MIDNIGHT + 2 * DAY) == [within_missing()]
    ages = [
        body.age_days
        for day in range(3, 9)
        for body in table.passes(MIDNIGHT + day * DAY)
        if isinstance(body, ClearingResidualAged)
    ]
    assert ages == [3, 5]


def within_missing() -> DiscrepancyDetected:
    return found(CYCLE, K.MISSING, 975, 975, BankLineRecorded)


# --- what two people put right --------------------------------------------------------------------------


def asks(item: str, action: ResolutionAction, **fields: Any) -> ResolutionRequested:
    given = {"request_id": "r-1", "target": "", "limit": 5, "requested_by": "ada", "approved_by": "grace"}
    return ResolutionRequested(item=item, action=action, note="known", **{**given, **fields})


def put_right(item: str, by: type[Event], amount: int) -> DiscrepancyResolved:
    return DiscrepancyResolved(item, by.__name__, "USD", amount, "r-1", "ada", "grace", "known")


A = ResolutionAction
SHORT = [TOTALLED, ADVISED, line(970)]
STRANGER = line(5, "thank you")
APPROVED_SUSPENSE = SuspenseWrittenOff("bank-usd", "bank-usd-2026-03-10", 1, "USD", 5, "grace")

# fmt: off
RESOLVED: list[tuple[str, list[Event], ResolutionRequested, list[Event]]] = [
    ("cycle written off",     SHORT, asks(CYCLE, A.WRITE_OFF),
     [cycle_off(5, WriteOffRule.APPROVED, "grace"), put_right(CYCLE, SettlementDifferenceWrittenOff, 5)]),
    ("volumes are noted",     [TOTALLED, advised(1_010, 10), NET], asks(CYCLE, A.ACCEPT, limit=0),
     [put_right(CYCLE, ResolutionRequested, 0)]),
    ("invoice adjusted",      [FEES, invoiced(7)], asks(INVOICE, A.ADJUST),
     [invoice_off(4, WriteOffRule.APPROVED, "grace"), put_right(INVOICE, SchemeInvoiceAdjusted, 4)]),
    ("payout written off",    [ANNOUNCED, left(1_005)], asks(PAYOUT, A.WRITE_OFF),
     [payout_off(5, WriteOffRule.APPROVED, "grace"), put_right(PAYOUT, PayoutDifferenceWrittenOff, 5)]),
    ("a return in part",      [ANNOUNCED, left(), returned(400)], asks(PAYOUT, A.ACCEPT),
     [put_right(PAYOUT, ResolutionRequested, 0)]),
    ("a late line",           [TOTALLED, ADVISED, line(booked_on=DAY_ON + 2)], asks(LINE, A.ACCEPT),
     [put_right(LINE, ResolutionRequested, 0)]),
    ("a stranger's line",     [STRANGER], asks(LINE, A.WRITE_OFF),
     [APPROVED_SUSPENSE, put_right(LINE, SuspenseWrittenOff, 5)]),
    ("a line of a cycle",     [TOTALLED, ADVISED, line(975, "visa monday")],
     asks(LINE, A.ASSIGN, target=f"NET {CYCLE}", limit=975),
     [RECEIVED, THREE_WAY, put_right(LINE, NetworkSettlementReceived, 975)]),
    ("a line of a payout",    [ANNOUNCED, line(-1_000, "wages")],
     asks(LINE, A.ASSIGN, target=f"PAYOUT {PAYOUT}", limit=1_000),
     [PAID, PAYOUT_MATCHED, put_right(LINE, PayoutPaid, -1_000)]),
]
R = ResolutionRejection
REFUSED: list[tuple[str, list[Event], ResolutionRequested, ResolutionRejection]] = [
    ("nobody approves",       SHORT, asks(CYCLE, A.WRITE_OFF, approved_by=" "),      R.FOUR_EYES),
    ("the same approves",     SHORT, asks(CYCLE, A.WRITE_OFF, approved_by="Ada "),   R.FOUR_EYES),
    ("nothing of the name",   SHORT, asks("visa-USD-2026-03-01", A.WRITE_OFF),       R.NOT_OPEN),
    ("it agrees",             [TOTALLED, ADVISED, NET], asks(CYCLE, A.WRITE_OFF),    R.NOT_OPEN),
    ("a payout that agrees",  [ANNOUNCED, left()], asks(PAYOUT, A.WRITE_OFF),        R.NOT_OPEN),
    ("a line that waits",     [left()], asks(LINE, A.WRITE_OFF, limit=1_000),        R.NOT_OPEN),
    ("above the limit",       SHORT, asks(CYCLE, A.WRITE_OFF, limit=4),              R.ABOVE_LIMIT),
    ("a payout above it",     [ANNOUNCED, left(1_006)], asks(PAYOUT, A.WRITE_OFF),   R.ABOVE_LIMIT),
    ("a line above it",       [line(6, "thank you")], asks(LINE, A.WRITE_OFF),       R.ABOVE_LIMIT),
    ("assigned above it",     [line(6, "thank you")], asks(LINE, A.ASSIGN, target=f"NET {CYCLE}"), R.ABOVE_LIMIT),
    ("money stands open",     SHORT, asks(CYCLE, A.ACCEPT),                          R.NOT_FITTING),
    ("no money stands open",  [TOTALLED, advised(1_010, 10), NET], asks(CYCLE, A.WRITE_OFF), R.NOT_FITTING),
    ("a cycle adjusted",      SHORT, asks(CYCLE, A.ADJUST),                          R.NOT_FITTING),
    ("an invoice written off", [FEES, invoiced(7)], asks(INVOICE, A.WRITE_OFF),      R.NOT_FITTING),
    ("a payout assigned",     [ANNOUNCED, left(1_005)], asks(PAYOUT, A.ASSIGN),      R.NOT_FITTING),
    ("a line accepted",       [STRANGER], asks(LINE, A.ACCEPT),                      R.NOT_FITTING),
    ("a late line written off", [TOTALLED, ADVISED, line(booked_on=DAY_ON + 2)], asks(LINE, A.WRITE_OFF),
     R.NOT_FITTING),
    ("assigned to nothing",   [STRANGER], asks(LINE, A.ASSIGN, target="thank you"),  R.NOT_FITTING),
    ("assigned to a payout that is not there", [STRANGER], asks(LINE, A.ASSIGN, target=f"PAYOUT {PAYOUT}"),
     R.NOT_FITTING),
    ("assigned to what is paid", [TOTALLED, ADVISED, NET, line(5, "thank you", line=2)],
     asks("bank-usd-2026-03-10/2", A.ASSIGN, target=f"NET {CYCLE}"),                 R.NOT_FITTING),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "request_", "then"), [row[1:] for row in RESOLVED], ids=[row[0] for row in RESOLVED]
)
def test_what_two_people_want_is_done(
    given: list[Event], request_: ResolutionRequested, then: list[Event]
) -> None:
    """Once: the books are corrected, and the discrepancy is over with both names; a repetition is refused."""
    table = at_work(*given)
    before = table.next()
    assert any(isinstance(body, DiscrepancyDetected) for body in before)
    table.comes(request_)
    after = table.next()
    assert sorted(after, key=repr) == sorted(then, key=repr)
    open_ = balances([body for body in (*given, *before, *after) if not isinstance(body, type(TOTALLED))])
    assert not any(account.startswith("liab:suspense") for account, *_ in open_)
    table.comes(request_)
    [no] = table.next()
    assert isinstance(no, ResolutionRejected)
    assert no.reason is R.REPEATED


@pytest.mark.parametrize(
    ("given", "request_", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_must_not_be_done_is_refused_with_its_reason(
    given: list[Event], request_: ResolutionRequested, reason: ResolutionRejection
) -> None:
    """And changes nothing."""
    table = at_work(*given)
    table.next()
    before = table.summary()
    table.comes(request_)
    assert table.next() == [
        ResolutionRejected(
            request_.item, "r-1", request_.action, reason, request_.requested_by, request_.approved_by
        )
    ]
    assert table.summary() == before


def test_every_reason_has_its_case() -> None:
    """Of refusing a correction."""
    assert {row[-1] for row in REFUSED} | {R.REPEATED} == set(R)


def test_what_was_missing_for_good_is_written_off() -> None:
    """A network that never pays: a loss of the whole, and what comes after all is named again."""
    table = at_work(TOTALLED, ADVISED)
    table.next()
    table.passes(NOON + 7 * DAY)
    table.comes(asks(CYCLE, A.WRITE_OFF, limit=975))
    off = cycle_off(975, WriteOffRule.APPROVED, "grace")
    assert table.next() == [off, put_right(CYCLE, SettlementDifferenceWrittenOff, 975)]
    table.comes(line())
    assert table.next() == [RECEIVED, found(CYCLE, K.AMOUNT, 975, 1_950, NetworkSettlementReceived)]


def test_names_of_requests_are_forgotten_in_the_end() -> None:
    """And lines that came late, when nobody has noted them: neither grows for ever."""
    table = at_work(TOTALLED, ADVISED, line(booked_on=DAY_ON + 2))
    table.next()
    table.comes(asks(CYCLE, A.WRITE_OFF))
    table.next()
    assert table.state.late
    assert table.state.requests.answered
    table.passes(NOON + 70 * DAY)
    assert table.state.late == {}
    assert table.state.requests.answered == {}
