"""Settlement as tables: when money may be had, what a batch says, and how it is paid out."""

from hashlib import sha256
from typing import Any

import pytest

from events.balances import MerchantReceivableOffset, MerchantReceivableRaised
from events.base import Event
from events.calendar import DAY, HOUR, day_number, start_of
from events.envelope import Recorded
from events.identity import operation_id
from events.partitions import ClockKind, LogOpened
from events.payouts import PayoutRetryScheduled, PayoutSubmitted
from events.reference import Holidays
from events.settlement import (
    ClearingResidualAged,
    Entry,
    EntryCause,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    MerchantEntryReceived,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
    PayoutReturnCredited,
    SettlementBatchClosed,
)
from streams import settlement
from tests.streams.builders_early import SHOP, applied, merchant_terms
from tests.streams.builders_late import DAY_ON, MIDNIGHT, Table, make

RUN = MIDNIGHT + 6 * HOUR
"""Monday's run."""
WEDNESDAY = RUN + 2 * DAY
C = EntryCause


def opened(at: int) -> LogOpened:
    return LogOpened("settlement", 0, 1, ClockKind.VIRTUAL, 1, at, 9, "", [])


class Runs(Table):
    """What is told of a payout's way to the bank and back is left out here: ``test_transit.py`` is about that."""

    def passes(self, at: int) -> list[Event]:
        return [
            body
            for body in super().passes(at)
            if not isinstance(body, PayoutSubmitted | PayoutRetryScheduled)
        ]


def at_work(*given: Recorded, now: int = MIDNIGHT + 12 * HOUR) -> Table:
    """A log that was opened on Monday noon, and a merchant with two settlement days."""
    table = Runs(settlement, merchant_terms(), *given, now=now)
    table.hear_of(opened(now))
    return table


def entry(item: str, amount: int, cause: EntryCause = C.CAPTURE, **fields: Any) -> MerchantEntryReceived:
    return make(MerchantEntryReceived, item=item, amount=amount, cause=cause, **fields)


def payout_id(day: str, merchant: str = SHOP, currency: str = "USD") -> str:
    return operation_id("po", merchant, f"{currency}/{day}")


def funds(day: str, *entries: tuple[str, int], chunk: int = 1, chunks: int = 1) -> FundsMadeAvailable:
    listed = [Entry(item, amount) for item, amount in entries]
    total = sum(amount for _, amount in entries)
    return FundsMadeAvailable(SHOP, "USD", f"{SHOP}-USD-{day}", chunk, chunks, listed, total)


def batch(day: str, available: int, *entries: tuple[str, int]) -> SettlementBatchClosed:
    """The statement of a day; the hash is worked out from its description."""
    lines = "\n".join(f"{item} {amount}" for item, amount in entries)
    return SettlementBatchClosed(
        SHOP,
        "USD",
        f"{SHOP}-USD-{day}",
        day_number(2026, 3, int(day[-2:])),
        len(entries),
        sum(amount for _, amount in entries if amount > 0),
        -sum(amount for _, amount in entries if amount < 0),
        available,
        sha256(lines.encode()).hexdigest(),
    )


def payout(day: str, amount: int, value_on: int, attempt: int = 1) -> PayoutInitiated:
    return PayoutInitiated(payout_id(day), SHOP, "USD", amount, "bank-usd", attempt, value_on)


# --- when money may be had ------------------------------------------------------------------------------


def test_a_capture_and_its_fee_are_available_two_business_days_later() -> None:
    """At the run of the day, in item order, with the whole balance paid out; once."""
    table = at_work()
    assert table.comes(entry("fee:cap-1", -59, C.PROCESSING_FEE), entry("cap-1", 1_000)) == []
    assert table.next() == []
    assert table.passes(WEDNESDAY - 1) == []
    assert table.passes(WEDNESDAY) == [
        funds("2026-03-11", ("cap-1", 1_000), ("fee:cap-1", -59)),
        batch("2026-03-11", 941, ("cap-1", 1_000), ("fee:cap-1", -59)),
        payout("2026-03-11", 941, DAY_ON + 3),
    ]
    assert table.passes(WEDNESDAY + HOUR) == []
    assert table.passes(WEDNESDAY + DAY) == []


# fmt: off
DELAYS = [
    # settlement days, holidays, entered on (day of March), available on
    (0, (),   9,  9),
    (1, (),   9,  10),
    (2, (),   9,  11),
    (2, (),   12, 16),   # over a weekend
    (2, (),   14, 17),   # entered on a Saturday
    (1, (10,), 9, 11),   # over a holiday
]
# fmt: on


@pytest.mark.parametrize(("days", "closed", "entered", "expected"), DELAYS)
def test_days_are_business_days_of_the_currency(
    days: int, closed: tuple[int, ...], entered: int, expected: int
) -> None:
    """By the merchant's terms and the currency's holidays."""
    holidays = applied("holidays", Holidays("USD", tuple(day_number(2026, 3, day) for day in closed)))
    noon = start_of(day_number(2026, 3, entered)) + 12 * HOUR
    table = at_work(holidays, merchant_terms(settlement_days=days), now=noon)
    table.comes(entry("cap-1", 1_000))
    assert [int(day) for day in table.state.books[f"{SHOP} USD"].pending] == [day_number(2026, 3, expected)]


def test_an_entry_belongs_to_the_day_of_the_tick_before_it() -> None:
    """When it was read differs between runs, and must not matter."""
    table = at_work()
    table.passes(MIDNIGHT + DAY - 1)
    table.comes(entry("cap-1", 1))
    table.passes(MIDNIGHT + DAY)
    table.comes(entry("cap-2", 2))
    book = table.state.books[f"{SHOP} USD"]
    assert book.pending == {
        str(DAY_ON + 2): [Entry("cap-1", 1)],
        str(DAY_ON + 3): [Entry("cap-2", 2)],
    }


def test_new_terms_count_from_when_they_come_into_force() -> None:
    """Also in the middle of a day; entries before keep their day."""
    table = at_work()
    table.comes(entry("cap-1", 1))
    table.hear(merchant_terms(settlement_days=1))
    table.comes(entry("cap-2", 2))
    assert sorted(table.state.books[f"{SHOP} USD"].pending) == [str(DAY_ON + 1), str(DAY_ON + 2)]


def test_a_merchant_without_terms_waits_the_default() -> None:
    """Nobody is paid early because a table is late."""
    table = Table(settlement)
    table.hear_of(opened(RUN))
    table.comes(entry("cap-1", 1))
    days = settlement.DEFAULT_SETTLEMENT_DAYS
    assert list(table.state.books[f"{SHOP} USD"].pending) == [str(DAY_ON + days)]


def test_a_sender_that_knows_the_day_is_believed() -> None:
    """Zero leaves it to the terms."""
    table = at_work()
    table.comes(entry("cap-1", 1, due_on=DAY_ON + 9))
    assert list(table.state.books[f"{SHOP} USD"].pending) == [str(DAY_ON + 9)]


# fmt: off
CAUSES = [
    (C.CAPTURE,        1_000,  []),
    (C.CAPTURE_VOIDED, -1_000, []),
    (C.PROCESSING_FEE, -59,    []),
    (C.REFUND,         -400,   [make(MerchantBalanceAdjusted, item="it", cause=C.REFUND, amount=-400)]),
    (C.REFUND_FAILED,  400,    [make(MerchantBalanceAdjusted, item="it", cause=C.REFUND_FAILED, amount=400)]),
    (C.WRITE_OFF,      -1_000, [make(MerchantBalanceAdjusted, item="it", cause=C.WRITE_OFF, amount=-1_000)]),
    (C.DISPUTE,        -1_000, [make(MerchantBalanceAdjusted, item="it", cause=C.DISPUTE, amount=-1_000)]),
    (C.DISPUTE_WON,    1_000,  [make(MerchantBalanceAdjusted, item="it", cause=C.DISPUTE_WON, amount=1_000)]),
    (C.DISPUTE_FEE,    -1_500, [make(MerchantBalanceAdjusted, item="it", cause=C.DISPUTE_FEE, amount=-1_500)]),
]
# fmt: on


@pytest.mark.parametrize(("cause", "amount", "then"), CAUSES)
def test_the_cause_says_whether_an_entry_waits(cause: EntryCause, amount: int, then: list[Event]) -> None:
    """What is taken back takes effect at the next tick, what is earned waits for its day."""
    table = at_work()
    assert table.comes(entry("it", amount, cause)) == []
    assert table.next() == then
    book = table.state.books[f"{SHOP} USD"]
    assert book.available == (amount if then else 0)
    assert bool(book.pending) != bool(then)


def test_every_cause_has_a_row() -> None:
    """A new cause has to say whether it waits."""
    assert [cause for cause, *_ in CAUSES] == list(EntryCause)


def test_adjustments_are_made_in_business_order() -> None:
    """By merchant, currency and item, however they came."""
    given = [
        entry("b", -1, C.REFUND),
        entry("a", -2, C.REFUND, merchant="shop-2"),
        entry("a", -3, C.REFUND),
        entry("z", -4, C.REFUND, currency="EUR"),
    ]
    for order in (given, given[::-1]):
        table = at_work()
        table.comes(*order)
        assert [body.amount for body in table.next()] == [-4, -3, -1, -2]


# --- batches and balances -------------------------------------------------------------------------------


def test_a_batch_lists_the_adjustments_since_the_last() -> None:
    """They are in the balance already, and in the statement once."""
    table = at_work()
    table.comes(entry("cap-1", 1_000), entry("ref-1", -400, C.REFUND))
    table.next()
    assert table.passes(WEDNESDAY - DAY) == [
        make(MerchantReceivableRaised, amount=400),
        batch("2026-03-10", 0, ("ref-1", -400)),
    ]
    assert table.passes(WEDNESDAY) == [
        funds("2026-03-11", ("cap-1", 1_000)),
        make(MerchantReceivableOffset, amount=400),
        batch("2026-03-11", 600, ("cap-1", 1_000)),
        payout("2026-03-11", 600, DAY_ON + 3),
    ]


@pytest.mark.parametrize("debt", [-1_000, -1_001], ids=["to zero", "below zero"])
def test_a_balance_that_is_not_positive_is_not_paid(debt: int) -> None:
    """What is missing is owed to us, and later funds offset it."""
    table = at_work()
    table.comes(entry("cap-1", 1_000), entry("loss:cap-0", debt, C.WRITE_OFF))
    table.next()
    table.passes(WEDNESDAY - DAY)
    assert table.passes(WEDNESDAY)[-1] == batch("2026-03-11", 0, ("cap-1", 1_000))
    book = table.state.books[f"{SHOP} USD"]
    assert (book.available, book.receivable) == (0, -1_000 - debt)
    table.comes(entry("cap-2", 500))
    assert table.passes(RUN + 4 * DAY)[-1] == payout("2026-03-13", 1_500 + debt, DAY_ON + 7)


def test_an_adjustment_in_the_tick_of_the_run_is_paid_with_it() -> None:
    """Also the first that a merchant ever has."""
    table = at_work()
    table.comes(entry("failed:ref-1", 400, C.REFUND_FAILED))
    adjustment, *rest = table.passes(RUN + DAY)
    assert adjustment == make(MerchantBalanceAdjusted, item="failed:ref-1", cause=C.REFUND_FAILED, amount=400)
    assert rest == [batch("2026-03-10", 400, ("failed:ref-1", 400)), payout("2026-03-10", 400, DAY_ON + 2)]


def test_long_lists_are_cut_into_chunks() -> None:
    """Of 500, numbered, in item order; together they are the batch."""
    table = at_work()
    table.comes(*(entry(f"cap-{number:04d}", 1) for number in reversed(range(1_001))))
    decided = table.passes(WEDNESDAY)
    chunks, closing = decided[:-2], decided[-2]
    assert [(body.chunk, body.chunks, len(body.entries), body.amount) for body in chunks] == [
        (1, 3, 500, 500),
        (2, 3, 500, 500),
        (3, 3, 1, 1),
    ]
    items = [one.item for body in chunks for one in body.entries]
    assert items == sorted(items)
    assert closing == batch("2026-03-11", 1_001, *((item, 1) for item in items))


def test_currencies_and_merchants_have_books_of_their_own() -> None:
    """Nobody's debt is set off against another's funds."""
    table = at_work()
    table.comes(
        entry("cap-1", 10),
        entry("cap-2", 20, currency="EUR"),
        entry("cap-3", 30, merchant="shop-2"),
    )
    paid = [body for body in table.passes(WEDNESDAY) if isinstance(body, PayoutInitiated)]
    assert [(body.merchant, body.currency, body.amount, body.account) for body in paid] == [
        (SHOP, "EUR", 20, "bank-eur"),
        (SHOP, "USD", 10, "bank-usd"),
        ("shop-2", "USD", 30, "bank-usd"),
    ]


def test_a_missed_run_is_made_up_for_once() -> None:
    """After days without a tick everything that fell due is in one batch, of the newest run."""
    table = at_work()
    table.comes(entry("cap-1", 1))
    table.passes(MIDNIGHT + DAY)
    table.comes(entry("cap-2", 2))
    decided = table.passes(RUN + 9 * DAY + HOUR)
    assert decided[0] == funds("2026-03-18", ("cap-1", 1), ("cap-2", 2))
    assert table.next() == []


def test_a_quiet_tick_lists_nothing() -> None:
    """What waits for its day costs ticks nothing."""
    table = at_work()
    table.comes(entry("cap-1", 1))
    assert settlement.due(table.state, table.now + HOUR) == []


# --- payouts --------------------------------------------------------------------------------------------

FIRST = payout_id("2026-03-11")


def paid(*outcomes: PayoutOutcome, amount: int = 1_000) -> Table:
    """A payout of 10.00 on Wednesday, and what the bank made of it so far."""
    table = at_work()
    table.comes(entry("cap-1", 1_000))
    table.passes(WEDNESDAY)
    table.comes(*(outcome(one, amount=amount) for one in outcomes))
    return table


def outcome(what: PayoutOutcome, payout: str = FIRST, amount: int = 1_000) -> PayoutOutcomeReceived:
    return make(PayoutOutcomeReceived, payout_id=payout, outcome=what, amount=amount)


CREDITED = make(PayoutReturnCredited, payout_id=FIRST)
PAID, RETURNED = PayoutOutcome.PAID, PayoutOutcome.RETURNED


# fmt: off
OUTCOMES = [
    ("paid",             [PAID],               []),
    ("returned",         [PAID, RETURNED],     [CREDITED]),
    ("returned at once", [RETURNED],           [CREDITED]),
    ("returned twice",   [RETURNED, RETURNED], [CREDITED]),
]
# fmt: on


@pytest.mark.parametrize(("said", "then"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_a_returned_payout_is_the_merchants_again(said: list[PayoutOutcome], then: list[Event]) -> None:
    """At the tick, once."""
    table = paid(*said)
    assert table.next() == then
    assert table.next() == []


@pytest.mark.parametrize("known", [False, True], ids=["never paid", "credited already"])
def test_a_return_that_we_do_not_know_credits_nobody(known: bool) -> None:
    """Reconciliation has asked about the line already."""
    table = paid(RETURNED) if known else at_work()
    table.next()
    table.comes(outcome(RETURNED))
    assert table.next() == []


def test_a_returned_payout_is_paid_again_as_its_next_attempt() -> None:
    """With whatever else is there by then; the attempt after a success is a first one."""
    table = paid(RETURNED)
    table.next()
    second = payout("2026-03-12", 1_000, DAY_ON + 4, attempt=2)
    assert table.passes(WEDNESDAY + DAY) == [second]
    table.comes(outcome(RETURNED, second.payout_id))
    table.next()
    third = payout("2026-03-16", 1_000, DAY_ON + 8, attempt=3)
    assert table.passes(WEDNESDAY + 5 * DAY) == [third]
    table.comes(outcome(PAID, third.payout_id), entry("cap-2", 5))
    assert table.passes(RUN + 9 * DAY)[-1] == payout("2026-03-18", 5, DAY_ON + 10)


def test_a_return_in_the_tick_of_the_run_is_paid_with_it() -> None:
    """Notices go before cut-offs."""
    table = paid(RETURNED)
    assert table.passes(WEDNESDAY + DAY) == [CREDITED, payout("2026-03-12", 1_000, DAY_ON + 4, attempt=2)]


def test_a_payout_without_a_word_from_the_bank_is_reported_once() -> None:
    """After ten days; one that was paid is not."""
    table = paid()
    assert table.passes(WEDNESDAY + 9 * DAY) == []
    aged = ClearingResidualAged("liab:payout_in_transit", FIRST, "USD", -1_000, 10, "PayoutOutcomeReceived")
    assert table.passes(WEDNESDAY + 10 * DAY) == [aged]
    assert table.passes(WEDNESDAY + 11 * DAY) == []
    table.comes(outcome(RETURNED))
    assert table.next() == [CREDITED]
    assert paid(PAID).passes(WEDNESDAY + 10 * DAY) == []


def test_a_payout_that_came_back_is_not_reported() -> None:
    """Nor one that the bank speaks of after the tick has listed it."""
    table = paid(RETURNED)
    table.next()
    assert not any(isinstance(body, ClearingResidualAged) for body in table.passes(WEDNESDAY + 10 * DAY))
    table = paid()
    (work,) = settlement.due(table.state, WEDNESDAY + 10 * DAY)
    table.comes(outcome(PAID))
    assert settlement.fire(table.state, work, WEDNESDAY + 10 * DAY) == []


def test_a_payout_is_kept_for_its_return_window() -> None:
    """Sixty days; a return after that is reconciliation's to ask about."""
    for days, then in ((settlement.RETURN_DAYS, [CREDITED]), (settlement.RETURN_DAYS + 1, [])):
        table = paid(PAID)
        table.passes(WEDNESDAY + days * DAY)
        table.comes(outcome(RETURNED))
        assert table.next() == then


def test_the_summary_names_balances_and_payouts() -> None:
    """What two runs must agree on."""
    table = paid()
    table.comes(entry("cap-2", 7), entry("cap-3", 8))
    assert table.summary() == [
        f"book {SHOP} USD available 0 attempt 0 owes 0",
        f"book {SHOP} USD due {DAY_ON + 4} 2 entries 15",
        f"payout {FIRST} {SHOP} USD 1000 attempt 1",
    ]
