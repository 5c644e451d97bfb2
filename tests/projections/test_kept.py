"""What is kept back from a merchant and what it owes, as rows: totals, reserves, holds, debts, days of a statement."""

from datetime import date

from events.balances import (
    HoldReason,
    LossReason,
    MerchantLossWrittenOff,
    MerchantReceivableOffset,
    MerchantReceivableRaised,
    ReceivableCause,
    ReserveRelease,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.calendar import DAY
from events.settlement import EntryCause, MerchantBalanceAdjusted
from projections.forecast import forecast
from tests.projections.stores import Stores, rows
from tests.projections.story import DAY_ON, Story
from tests.streams.builders_early import SHOP

WHO = (SHOP, "EUR")


def story(*days: list[Event]) -> Story:
    """Events of the settlement log, a list to a day; the first sale's whole life is behind them."""
    told = Story()
    capture = told.sale(1, amount=10_000)
    told.settle({capture: 10_000})
    for bodies in days:
        for body in bodies:
            told.in_settlement(SHOP, body)
        told.now += DAY
    return told


def adjusted(amount: int, item: str = "ref-a") -> MerchantBalanceAdjusted:
    return MerchantBalanceAdjusted(*WHO, item, EntryCause.REFUND, amount)


def withheld(name: str, amount: int, days: int) -> ReserveWithheld:
    return ReserveWithheld(*WHO, name, "b-1", 10 * amount, 100_000, amount, DAY_ON + days)


def held(amount: int, wanted: int = 0, approver: str = "kim") -> SettlementHoldPlaced:
    return SettlementHoldPlaced(*WHO, "h-1", HoldReason.LEGAL_ORDER, wanted, amount, approver)


KEPT = story(
    [
        adjusted(5_000, "failed:ref-b"),
        withheld("r-1", 300, 2),
        withheld("r-2", 200, 9),
        held(1_000, 1_500),
        held(500, 1_500, ""),
    ],
    [
        ReserveReleased(*WHO, "r-1", ReserveRelease.MATURED, 300),
        ReserveReleased(*WHO, "r-2", ReserveRelease.SHORT_BALANCE, 50),
        adjusted(-4_000),
        MerchantReceivableRaised(*WHO, ReceivableCause.SHORT_BALANCE, 650),
        MerchantReceivableOffset(*WHO, 100),
        MerchantLossWrittenOff(*WHO, "w-1", LossReason.INSOLVENT, 200, "kim"),
    ],
)


def test_totals_say_what_is_kept_and_owed(stores: Stores) -> None:
    """Reserve holds both, available is less what is owed, and what was given up is what is missing from the sum."""
    with stores.filled(KEPT) as store:
        names = "available, reserve, held, receivable, forgiven"
        [found] = rows(store, f"SELECT {names} FROM merchant_totals")
        available, reserve, kept_on_hold, receivable, forgiven = found
        assert (1_650, 1_500, 350, 200) == (reserve, kept_on_hold, receivable, forgiven)
        [(balance,)] = rows(
            store, "SELECT -balance FROM ledger_balances WHERE family = 'liab:merchant_available'"
        )
        assert available == balance - receivable
        [(left_over,)] = rows(
            store,
            "SELECT captured - refunded - fees - pending - available - reserve - paid_out + forgiven"
            " FROM merchant_totals",
        )
        assert left_over == 0


def test_each_part_of_a_reserve_says_what_is_left_of_it(stores: Stores) -> None:
    """By the day on which it comes back."""
    with stores.filled(KEPT) as store:
        sql = "SELECT reserve_id, withheld, kept, share_ppm FROM merchant_reserves ORDER BY reserve_id"
        assert rows(store, sql) == [("r-1", 300, 0, 100_000), ("r-2", 200, 150, 100_000)]


def test_a_hold_is_one_row_whatever_it_took_to_fill_it(stores: Stores) -> None:
    """With who approved it; released, it says when."""
    sql = (
        "SELECT hold_id, reason, wanted, placed, released, approver, released_at IS NULL FROM merchant_holds"
    )
    with stores.filled(KEPT) as store:
        assert rows(store, sql) == [("h-1", "legal_order", 1_500, 1_500, 0, "kim", True)]
    freed = story([adjusted(5_000), held(700)], [SettlementHoldReleased(*WHO, "h-1", 700, "kim")])
    with stores.filled(freed) as store:
        assert rows(store, sql) == [("h-1", "legal_order", 0, 700, 700, "kim", False)]


def test_debts_are_paid_given_up_or_left(stores: Stores) -> None:
    """One row for each merchant who ever owed something."""
    with stores.filled(KEPT) as store:
        assert rows(store, "SELECT * FROM merchant_debts") == [(*WHO, 650, 100, 200, 0, 350)]


def test_the_days_of_a_statement_add_up_to_the_balance(stores: Stores) -> None:
    """With what is kept back and owed in columns of their own."""
    with stores.filled(KEPT) as store:
        days = rows(
            store, "SELECT day, refunds, other, reserve, holds, owed, balance FROM merchant_statement"
        )
        assert days == [
            (date(2026, 3, 2), 0, 5_000, 500, 1_500, 0, 3_000),
            (date(2026, 3, 3), 4_000, 0, -350, 0, 550, -100),
        ]


def test_a_forecast_goes_on_from_what_is_kept_and_owed(stores: Stores) -> None:
    """Debts are paid first, holds keep what they have, reserves come back on their day and are paid out."""
    with stores.filled(KEPT) as store:
        found = [
            (run.run_on - DAY_ON, run.reserve_released, run.payout, run.balance)
            for run in forecast(store).runs
        ]
    # The balance is 100 short: the reserve gives that now and the rest on its day, and all goes to what is owed.
    assert found == [(2, 100, 0, -350), (9, 50, 0, -300)]
