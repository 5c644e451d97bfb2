"""Settlement by terms, as tables: schedules, minimum, reserve, debts and their limit, holds and write-offs."""

from typing import Any

import pytest

from events.balances import (
    HoldReason,
    InstructionRefusal,
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
    SettlementInstructionRefused,
)
from events.base import Event
from events.calendar import DAY, HOUR, day_number
from events.identity import operation_id, partition_of_name
from events.partitions import ClockKind, LogOpened, ReferenceApplied
from events.payouts import PayoutSubmitted
from events.reference import (
    HoldInstruction,
    Holidays,
    Reference,
    SettlementTerms,
    WriteOffInstruction,
    encode_reference,
)
from events.requests import PayoutSchedule
from events.settlement import (
    EntryCause,
    MerchantBalanceAdjusted,
    MerchantEntryReceived,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
)
from streams import settlement
from tests.streams.builders_early import SHOP, applied, merchant_terms
from tests.streams.builders_late import DAY_ON, MIDNIGHT, Table, make

RUN = MIDNIGHT + 6 * HOUR
"""Monday's run, the ninth of March."""
C = EntryCause


class Runs(Table):
    """What is told of a payout's way to the bank is left out here: ``test_transit.py`` is about that."""

    def passes(self, at: int) -> list[Event]:
        return [body for body in super().passes(at) if not isinstance(body, PayoutSubmitted)]


def at_work(*references: Reference, **terms: Any) -> Table:
    """A log that was opened on Monday noon; a merchant whose sales are available a business day later."""
    table = Runs(settlement, merchant_terms(settlement_days=1), now=MIDNIGHT + 12 * HOUR)
    table.hear(applied("settlement", SettlementTerms(SHOP, **terms)))
    for reference in references:
        kind = "holidays" if isinstance(reference, Holidays) else "settlement"
        table.hear(applied(kind, reference))
    table.hear_of(LogOpened("settlement", 0, 1, ClockKind.VIRTUAL, 1, table.now, 9, "", []))
    return table


def sale(amount: int, item: str = "cap-1", **fields: Any) -> MerchantEntryReceived:
    return make(MerchantEntryReceived, item=item, amount=amount, cause=C.CAPTURE, **fields)


def refund(amount: int, item: str = "ref-1", **fields: Any) -> MerchantEntryReceived:
    return make(MerchantEntryReceived, item=item, amount=-amount, cause=C.REFUND, **fields)


def run_on(day: int) -> int:
    """The time of the run of a day of March."""
    return RUN + (day - 9) * DAY


def paid_days(table: Table, days: range, sales: dict[int, int]) -> dict[int, int]:
    """What runs pay out, by day of March, while sales come in after the run of theirs."""
    found = {}
    for day in days:
        for body in table.passes(run_on(day)):
            if isinstance(body, PayoutInitiated):
                found[day] = body.amount
        if day in sales:
            table.comes(sale(sales[day], f"cap-{day}"))
    return found


# --- schedules and minimum ------------------------------------------------------------------------------

D, W, M = PayoutSchedule.DAILY, PayoutSchedule.WEEKLY, PayoutSchedule.MONTHLY

# fmt: off
SCHEDULES = [
    # schedule, anchor, holidays of March, payouts by day: 100 are sold on every day from the 10th to the 24th
    (D, 0,  (),    {11: 100, 12: 100, 13: 100, 16: 300, 17: 100, 18: 100, 19: 100, 20: 100, 23: 300, 24: 100, 25: 100}),
    (D, 0,  (12,), {11: 100, 13: 200, 16: 300, 17: 100, 18: 100, 19: 100, 20: 100, 23: 300, 24: 100, 25: 100}),
    (W, 4,  (),    {13: 300, 20: 700}),
    (W, 4,  (20,), {13: 300, 23: 1_000}),
    (M, 15, (),    {16: 600}),
    (M, 20, (20,), {23: 1_300}),
]
# fmt: on


@pytest.mark.parametrize(("schedule", "anchor", "closed", "expected"), SCHEDULES)
def test_payouts_come_on_the_days_of_the_schedule(
    schedule: PayoutSchedule, anchor: int, closed: tuple[int, ...], expected: dict[int, int]
) -> None:
    """Everything that is available by then, and the next business day where banks are closed."""
    holidays = Holidays("USD", tuple(day_number(2026, 3, day) for day in closed))
    table = at_work(holidays, schedule=schedule, anchor=anchor)
    sales = dict.fromkeys(range(10, 25), 100)
    assert expected == paid_days(table, range(10, 26), sales)


def test_a_balance_below_the_minimum_waits_for_the_next_pay_day() -> None:
    """It is paid with what comes by then."""
    table = at_work(minimum_payout=250)
    assert {13: 300, 19: 250} == paid_days(table, range(10, 20), {10: 100, 11: 149, 12: 51, 18: 250})


def test_terms_of_a_currency_go_before_those_of_all() -> None:
    """Yen are paid daily, everything else once a week."""
    table = at_work(SettlementTerms(SHOP, "JPY"), schedule=PayoutSchedule.WEEKLY, anchor=2)
    table.comes(sale(100), sale(200, currency="JPY"))
    paid = [body for body in table.passes(run_on(10)) if isinstance(body, PayoutInitiated)]
    assert [("JPY", 200)] == [(body.currency, body.amount) for body in paid]
    paid = [body for body in table.passes(run_on(11)) if isinstance(body, PayoutInitiated)]
    assert [("USD", 100)] == [(body.currency, body.amount) for body in paid]


def test_a_payout_that_came_back_does_not_wait_for_the_schedule() -> None:
    """It is paid again with the next run when banks work, whatever the minimum."""
    table = at_work(schedule=PayoutSchedule.WEEKLY, anchor=2, minimum_payout=200)
    assert {11: 300} == paid_days(table, range(10, 13), {10: 300})
    table.comes(
        make(
            PayoutOutcomeReceived, payout_id=_payout("2026-03-11"), outcome=PayoutOutcome.RETURNED, amount=300
        )
    )
    assert {13: 300} == paid_days(table, range(13, 18), {})


# --- reserve --------------------------------------------------------------------------------------------


def withheld(day: int, base: int, amount: int, days: int) -> ReserveWithheld:
    batch = f"{SHOP}-USD-2026-03-{day:02d}"
    release_on = day_number(2026, 3, day) + days
    return ReserveWithheld(SHOP, "USD", f"reserve:{batch}", batch, base, 100_000, amount, release_on)


def released(day: int, amount: int, reason: ReserveRelease = ReserveRelease.MATURED) -> ReserveReleased:
    return ReserveReleased(SHOP, "USD", f"reserve:{SHOP}-USD-2026-03-{day:02d}", reason, amount)


def test_a_share_of_what_becomes_available_is_kept_back_for_its_days() -> None:
    """Rounded down; each part comes back on its own day and is paid out with that run."""
    table = at_work(reserve_ppm=100_000, reserve_days=3)
    table.comes(sale(1_009))
    decided = table.passes(run_on(10))
    assert withheld(10, 1_009, 100, 3) in decided
    assert 909 == decided[-1].amount  # type: ignore[attr-defined]
    table.comes(sale(500, "cap-2"))
    assert withheld(11, 500, 50, 3) in table.passes(run_on(11))
    assert table.passes(run_on(12)) == []
    assert table.passes(run_on(13)) == [
        released(10, 100),
        make(PayoutInitiated, payout_id=_payout("2026-03-13"), amount=100, value_on=DAY_ON + 7),
    ]
    assert table.passes(run_on(14)) == [released(11, 50)], "a Saturday: it is paid on Monday"
    assert table.state.books[f"{SHOP} USD"].reserve == []


def _payout(day: str) -> str:
    return operation_id("po", SHOP, f"USD/{day}")


def test_nothing_is_kept_back_of_what_pays_a_debt() -> None:
    """The share is of the new funds, and never more than what is left of them."""
    table = at_work(reserve_ppm=100_000, reserve_days=3)
    table.comes(sale(1_000), refund(960))
    decided = table.passes(run_on(10))
    assert withheld(10, 1_000, 40, 3) in decided
    assert not any(isinstance(body, PayoutInitiated) for body in decided)
    assert not any(isinstance(body, MerchantReceivableRaised) for body in decided)


def test_a_short_balance_draws_on_the_reserve_before_anything_is_owed() -> None:
    """The oldest part first, and no more of it than is missing."""
    table = at_work(reserve_ppm=100_000, reserve_days=9)
    table.comes(sale(1_000))
    table.passes(run_on(10))
    table.comes(sale(1_000, "cap-2"))
    table.passes(run_on(11))
    table.comes(refund(130))
    decided = table.passes(run_on(12))
    short = ReserveRelease.SHORT_BALANCE
    assert [released(10, 100, short), released(11, 30, short)] == decided[1:3]
    table.comes(refund(200, "ref-2"))
    decided = table.passes(run_on(13))
    assert [
        released(11, 70, short),
        MerchantReceivableRaised(SHOP, "USD", ReceivableCause.SHORT_BALANCE, 130),
    ] == decided[1:3]


# --- debts ----------------------------------------------------------------------------------------------


def test_between_runs_a_balance_may_be_below_zero_up_to_its_limit() -> None:
    """Beyond it the whole of it is owed at once; the run asks for the rest."""
    table = at_work(negative_limit=300)
    table.comes(refund(300))
    adjusted = make(MerchantBalanceAdjusted, item="ref-1", cause=C.REFUND, amount=-300)
    assert table.next() == [adjusted]
    table.comes(refund(1, "ref-2"))
    assert table.next() == [
        make(MerchantBalanceAdjusted, item="ref-2", cause=C.REFUND, amount=-1),
        MerchantReceivableRaised(SHOP, "USD", ReceivableCause.LIMIT_EXCEEDED, 301),
    ]
    table.comes(refund(50, "ref-3"))
    table.next()
    decided = table.passes(run_on(10))
    assert decided[0] == MerchantReceivableRaised(SHOP, "USD", ReceivableCause.SHORT_BALANCE, 50)
    assert (0, 351) == (_book(table).available, _book(table).receivable)


def test_what_is_owed_is_paid_before_anything_else() -> None:
    """Before holds are filled and before anything is paid out; day by day until it is paid."""
    table = at_work(negative_limit=0)
    table.comes(refund(500))
    table.next()
    table.comes(sale(300))
    assert MerchantReceivableOffset(SHOP, "USD", 300) in table.passes(run_on(10))
    table.comes(sale(300, "cap-2"))
    decided = table.passes(run_on(11))
    assert MerchantReceivableOffset(SHOP, "USD", 200) in decided
    assert 100 == decided[-1].amount  # type: ignore[attr-defined]
    assert 0 == _book(table).receivable


def _book(table: Table) -> Any:
    return table.state.books[f"{SHOP} USD"]


# --- instructions ---------------------------------------------------------------------------------------


def instruct(table: Table, content: HoldInstruction | WriteOffInstruction) -> list[Event]:
    """Publish an instruction; what its coming into force leads to."""
    kind, name = ("hold", content.hold_id) if isinstance(content, HoldInstruction) else ("writeoff", "w-1")
    return table.comes(ReferenceApplied(kind, name, 9, "", encode_reference(content)))


def hold(
    amount: int = 0, name: str = "h-1", *, approver: str = "kim", released: bool = False
) -> HoldInstruction:
    reason = HoldReason.RISK_REVIEW
    return HoldInstruction(SHOP, "USD", "lee", approver, name, reason, amount, released)


def placed(amount: int, wanted: int = 0, approver: str = "kim") -> SettlementHoldPlaced:
    return SettlementHoldPlaced(SHOP, "USD", "h-1", HoldReason.RISK_REVIEW, wanted, amount, approver)


def test_a_hold_takes_what_there_is_and_the_rest_at_later_runs() -> None:
    """Up to its amount; what is above it is paid out. Released, it is paid out with the next run."""
    table = at_work(minimum_payout=1_000)
    table.comes(sale(300))
    table.passes(run_on(10))
    assert [placed(300, 800)] == instruct(table, hold(800))
    table.comes(sale(2_000, "cap-2"))
    decided = table.passes(run_on(11))
    assert placed(500, 800, "") in decided
    assert 1_500 == decided[-1].amount  # type: ignore[attr-defined]
    assert [SettlementHoldReleased(SHOP, "USD", "h-1", 800, "kim")] == instruct(table, hold(released=True))
    table.comes(sale(200, "cap-3"))
    assert 1_000 == table.passes(run_on(12))[-1].amount  # type: ignore[attr-defined]


def test_a_hold_without_an_amount_keeps_all_that_comes() -> None:
    """Also of a merchant who has nothing yet."""
    table = at_work()
    assert [placed(0)] == instruct(table, hold())
    table.comes(sale(300))
    decided = table.passes(run_on(10))
    assert placed(300, approver="") in decided
    assert not any(isinstance(body, PayoutInitiated) for body in decided)


def test_what_is_owed_can_be_given_up() -> None:
    """All of it or a part, by two people."""
    table = at_work(negative_limit=0)
    table.comes(refund(500))
    table.next()
    part = WriteOffInstruction(SHOP, "USD", "lee", "kim", "w-1", LossReason.INSOLVENT, 200)
    assert [make(MerchantLossWrittenOff, amount=200)] == instruct(table, part)
    whole = WriteOffInstruction(SHOP, "USD", "lee", "kim", "w-2", LossReason.INSOLVENT, 0)
    assert [make(MerchantLossWrittenOff, write_off_id="w-2", amount=300)] == instruct(table, whole)
    assert 0 == _book(table).receivable


R = InstructionRefusal


def write_off(amount: int, approver: str = "kim") -> WriteOffInstruction:
    return WriteOffInstruction(SHOP, "USD", "lee", approver, "w-1", LossReason.UNREACHABLE, amount)


# fmt: off
REFUSED = [
    (hold(approver=""),                    R.APPROVER_MISSING),
    (hold(approver="lee"),                 R.APPROVED_BY_REQUESTER),
    (write_off(0, ""),                     R.APPROVER_MISSING),
    (write_off(0, "lee"),                  R.APPROVED_BY_REQUESTER),
    (hold(-1, "h-2"),                      R.AMOUNT_NEGATIVE),
    (write_off(-1),                        R.AMOUNT_NEGATIVE),
    (hold(),                               R.HOLD_EXISTS),
    (hold(name="h-2", released=True),      R.HOLD_UNKNOWN),
    (write_off(0),                         R.NOTHING_OWED),
    (write_off(1),                         R.NOTHING_OWED),
]
# fmt: on


@pytest.mark.parametrize(("instruction", "reason"), REFUSED)
def test_an_instruction_that_must_not_be_followed_is_refused_with_its_reason(
    instruction: HoldInstruction | WriteOffInstruction, reason: InstructionRefusal
) -> None:
    """Nothing of the merchant's money moves."""
    table = at_work()
    instruct(table, hold())
    [refused] = instruct(table, instruction)
    assert isinstance(refused, SettlementInstructionRefused)
    assert (SHOP, "USD", reason) == (refused.merchant, refused.currency, refused.reason)


def test_more_than_is_owed_cannot_be_given_up() -> None:
    """It would be a gift."""
    table = at_work(negative_limit=0)
    table.comes(refund(500))
    table.next()
    [refused] = instruct(table, write_off(501))
    assert R.MORE_THAN_OWED is refused.reason  # type: ignore[attr-defined]


def test_every_refusal_has_a_row() -> None:
    """A new reason has to be shown."""
    assert {reason for _, reason in REFUSED} | {R.MORE_THAN_OWED} == set(R)


def test_only_the_partition_with_the_merchants_books_follows_an_instruction() -> None:
    """Reference data comes to all of them."""
    followed = []
    for partition in range(4):
        table = at_work()
        table.hear_of(LogOpened("settlement", partition, 4, ClockKind.VIRTUAL, 1, table.now, 9, "", []))
        if instruct(table, hold()):
            followed.append(partition)
    assert [partition_of_name(SHOP, 4)] == followed
