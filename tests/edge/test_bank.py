"""The simulated bank: what is paid when, and that nothing of it depends on how the logs were cut."""

from itertools import groupby
from random import Random
from typing import Any

import msgspec
import pytest

from events.accounts import bank_account
from events.base import Event
from events.calendar import DAY, HOUR, day_number, iso_day, start_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.identity import partition_of_name
from events.messages import Handover, Marker
from events.partitions import (
    ClockKind,
    ClockStruck,
    LogOpened,
    MarkerSeen,
    MarkersTaken,
    ReferenceApplied,
    TickPassed,
)
from events.payouts import MerchantDebitApplied, PayoutSubmitted
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised
from events.reference import Holidays, encode_reference
from streams.edge.bank import DEBITS_UNPAID, PAYOUTS_RETURNED, RETURNS, Bank, BankState
from streams.edge.dice import chance
from streams.edge.presenting import present
from tests.streams.builders_early import changed, recorded

SEED = 4
MONDAY = day_number(2026, 3, 9)
USD = bank_account("USD")
DAYS = 16


def at_hour(day: int, hour: int) -> int:
    """An instant ``day`` days after the Monday."""
    return start_of(MONDAY + day) + hour * HOUR


def record(number: int, **fields: Any) -> ClearingRecordCreated:
    """A capture of some dollars that leaves for Visa; one that is accepted at once, unless told."""
    kept = ClearingRecordCreated(
        "pay-1",
        "shop-1",
        "visa",
        f"clr-{number}",
        RecordKind.PRESENTMENT,
        f"cap-{number}",
        "7",
        1,
        4_000 + number,
        "USD",
        "b",
    )
    return changed(kept, **fields)


def payout(name: str, day: int, **fields: Any) -> PayoutSubmitted:
    """A payout of 100.00 USD whose value date is the day after ``day``."""
    sent = PayoutSubmitted(name, "shop-1", "USD", 10_000, USD, 1, MONDAY + day + 1, "file-1", "0000001")
    return changed(sent, **fields)


def debit(name: str, day: int) -> MerchantDebitApplied:
    """A debit of 100.00 USD whose value date is the day after ``day``."""
    return MerchantDebitApplied(name, "shop-1", "USD", 10_000, USD, 1, MONDAY + day + 1)


def payout_name(*, returned: bool) -> str:
    """A payout that will come back, or will not."""
    names = (f"po-{number}" for number in range(10_000))
    return next(name for name in names if (chance(SEED, "return", name) < PAYOUTS_RETURNED) is returned)


Given = tuple[int, str, Event]
"""The hour from Monday 00:00 at which a log decides an event."""


def run(
    given: list[Given], partitions: int = 1, order: Random | None = None, left_out: int = 0
) -> tuple[Bank, list[Any], list[Marker]]:
    """Let a bank read logs of ``partitions`` partitions with hourly ticks; its facts by time, and its markers.

    With an ``order`` the partitions run ahead of each other as it pleases. Of a hundred ticks each leaves out
    ``left_out``, but the last.
    """
    gaps = Random(left_out)
    bank = Bank(partitions, SEED)
    queues: dict[tuple[str, int], list[Any]] = {source: [] for source in bank.reads()}
    for tick in range(1, DAYS * 24):
        at = start_of(MONDAY) + tick * HOUR
        for hour, log, event in given:
            if hour == tick:
                place = partition_of_name(repr(event), partitions) if log != "all" else 0
                for source in [(log, place)] if log != "all" else list(queues):
                    queues[source].append(recorded(event, at=at))
        for source in queues:
            if gaps.randrange(100) < left_out and tick < DAYS * 24 - 1:
                continue
            queues[source].append(recorded(TickPassed(tick, at, 1), at=at))
    out = []
    while any(queues.values()):
        ready = [source for source, queue in queues.items() if queue]
        source = order.choice(ready) if order else min(ready, key=lambda one: queues[one][0].meta.recorded_at)
        out += bank.see(*source, queues[source].pop(0))
        if order and order.random() < 0.05:
            bank.state = msgspec.msgpack.decode(msgspec.msgpack.encode(bank.state), type=BankState)
    said, markers = [], []
    for one in out:
        assert one.topic == "bank.statements"
        if isinstance(one.message, Marker):
            markers.append(one.message)
        elif isinstance(one.message, Handover):
            fact = one.message.fact
            assert isinstance(fact, BankLineRecorded | NetworkSettlementAdvised)
            assert partition_of_name(fact.account, partitions) == one.partition
            said.append((one.message.occurred_at, fact))
    return bank, said, markers


def lines(said: list[Any]) -> list[str]:
    """Statement lines as a person would note them."""
    return [
        f"{iso_day(fact.booked_on)[5:]} {fact.line} {fact.reference} {fact.amount}"
        for _, fact in said
        if isinstance(fact, BankLineRecorded)
    ]


def test_a_cycle_is_advised_and_paid() -> None:
    """Advised when its day ends, paid the business day after, with the networks' own figures."""
    refund = record(2, kind=RecordKind.REFUND, source_id="ref-1", amount=1_000)
    _, said, _ = run([(22, "payments", record(1)), (22, "payments", refund)])
    advised_at, advice = said[0]
    net = 4_001 - 70 - 1_000 + 25
    assert at_hour(1, 0) == advised_at
    assert (
        NetworkSettlementAdvised(USD, "visa", "visa-USD-2026-03-09", "USD", 2, 4_001, 1_000, 45, net)
        == advice
    )
    assert [f"03-10 1 NET visa-USD-2026-03-09 {net}", "03-18 1 INVOICE visa USD 2026-W11 -8"] == lines(said)
    assert at_hour(1, 18) == said[1][0]


def test_a_weekend_delays_what_is_paid() -> None:
    """A Friday's cycle is paid on Monday; a week's fees are taken on the Wednesday after."""
    _, said, _ = run([(4 * 24 + 22, "payments", record(1))])
    assert ["03-16 1 NET visa-USD-2026-03-13 3931", "03-18 1 INVOICE visa USD 2026-W11 -8"] == lines(said)


def test_what_a_network_refuses_is_not_paid() -> None:
    """Neither advised nor invoiced."""
    refused = next(
        one for number in range(5_000) if not present(SEED, one := record(number), at_hour(0, 22)).accepted
    )
    assert [] == run([(22, "payments", refused)])[1]


def test_a_cycle_may_cost_us() -> None:
    """More refunds than captures: the line is money out."""
    refund = record(1, kind=RecordKind.REFUND)
    _, said, _ = run([(22, "payments", refund)])
    assert ["03-10 1 NET visa-USD-2026-03-09 -3931"] == lines(said)


def test_a_payout_leaves_on_its_value_date() -> None:
    """And stays away."""
    name = payout_name(returned=False)
    _, said, _ = run([(6, "settlement", payout(name, 0))])
    assert [f"03-10 1 PAYOUT {name} -10000"] == lines(said)


def test_a_returned_payout_comes_back_two_business_days_later() -> None:
    """With a reason, and now and then the code of a correction; a third attempt always arrives."""
    name = payout_name(returned=True)
    given: list[Given] = [
        (3 * 24 + 6, "settlement", payout(name, 3)),
        (9 * 24 + 6, "settlement", payout(name, 9, attempt=3)),
    ]
    _, said, _ = run(given)
    reason = RETURNS[chance(SEED, "return code", name) % len(RETURNS)]
    expected = [
        f"03-13 1 PAYOUT {name} -10000",
        f"03-17 1 RETURN {name} {reason} 10000",
        f"03-19 1 PAYOUT {name} -10000",
    ]
    assert expected == lines(said)


@pytest.mark.parametrize("unpaid", [False, True])
def test_a_debit_comes_in_and_some_are_taken_away_again(unpaid: bool) -> None:
    """Two business days later, for want of funds."""
    names = (f"deb-{number}" for number in range(100))
    name = next(name for name in names if (chance(SEED, "debit", name) < DEBITS_UNPAID) is unpaid)
    _, said, _ = run([(6, "settlement", debit(name, 0))])
    expected = [f"03-10 1 DEBIT {name} 10000", f"03-12 1 UNPAID {name} R01 -10000"]
    assert expected[: 1 + unpaid] == lines(said)


def test_about_one_payout_in_seventy_comes_back() -> None:
    """Enough to be seen on a day, few enough to be believed."""
    returned = sum(chance(SEED, "return", f"po-{number}") < PAYOUTS_RETURNED for number in range(20_000))
    assert 0.012 < returned / 20_000 < 0.018


@pytest.mark.parametrize(("named_at", "paid_on"), [(20, "03-11"), (40, "03-10")])
def test_holidays_count_from_the_tick_that_names_them(named_at: int, paid_on: str) -> None:
    """A holiday on Tuesday delays Monday's cycle when it is in force as the cycle closes, else not."""
    holidays = encode_reference(Holidays("USD", (MONDAY + 1,)))
    marker = MarkerSeen("x", 0, 0, "intake/0", named_at, at_hour(0, named_at), 1)
    struck = ClockStruck(named_at, at_hour(0, named_at), 1)
    for hour, naming in (
        (2, MarkersTaken([marker])),  # logs read ahead: the tick is named long before it comes
        (named_at, struck),
    ):
        given: list[Given] = [
            (2, "all", ReferenceApplied("holidays", "USD", 1, "", holidays)),
            (hour, "all", naming),
            (22, "payments", record(1)),
        ]
        _, said, _ = run(given)
        assert f"{paid_on} 1 NET visa-USD-2026-03-09 3931" == lines(said)[0]


def story() -> list[Given]:
    """A week of records and payouts in two currencies."""
    given: list[Given] = []
    for day in range(6):
        for number in range(12):
            serial = day * 100 + number
            currency = "USD" if number % 3 else "EUR"
            kind = RecordKind.REFUND if number % 5 == 0 else RecordKind.PRESENTMENT
            network = "visa" if number % 2 else "mastercard"
            given.append(
                (day * 24 + 22, "payments", record(serial, currency=currency, kind=kind, network=network))
            )
        for number in range(8):
            currency = "USD" if number % 2 else "EUR"
            one = payout(f"po-{day}-{number}", day, currency=currency, account=bank_account(currency))
            given.append((day * 24 + 6, "settlement", one))
    given.append((6, "settlement", payout(payout_name(returned=True), 0)))
    return given


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_statements_do_not_depend_on_partitions_or_speed(partitions: int) -> None:
    """Whatever log is ahead of whatever other, however often the bank is restored: the same, at the same times."""
    _, expected, _ = run(story())
    for seed in range(3):
        bank, said, markers = run(story(), partitions, Random(seed))
        assert expected == said
        assert [tick for tick in range(1, DAYS * 24) for _ in range(partitions)] == [
            one.tick for one in markers
        ]
        assert [] == bank.state.bookings
        assert {} == bank.state.cycles
        assert {} == bank.state.invoices
        assert {} == bank.state.at


def test_a_statement_is_one_account_and_day() -> None:
    """Lines count from 1 without gaps, in the order of their references; a statement is drawn up once."""
    _, said, _ = run(story())
    facts = [fact for _, fact in said if isinstance(fact, BankLineRecorded)]
    statements = [(name, list(group)) for name, group in groupby(facts, lambda fact: fact.statement_id)]
    assert len({name for name, _ in statements}) == len(statements)
    for name, of_statement in statements:
        assert list(range(1, len(of_statement) + 1)) == [fact.line for fact in of_statement]
        assert [fact.reference for fact in of_statement] == sorted(fact.reference for fact in of_statement)
        assert {name} == {f"{fact.account}-{iso_day(fact.booked_on)}" for fact in of_statement}
    assert {at % DAY for at, fact in said if isinstance(fact, BankLineRecorded)} == {18 * HOUR}


@pytest.mark.parametrize("left_out", [10, 80])
def test_ticks_that_a_log_leaves_out_change_no_line(left_out: int) -> None:
    """The next tick stands for them; and nothing is kept of those that are behind the bank."""
    whole, expected, _ = run(story(), 2)
    bank, said, markers = run(story(), 2, Random(left_out), left_out)
    assert lines(expected) == lines(said)
    ticks = [marker.tick for marker in markers]
    assert ticks == sorted(ticks)
    assert DAYS * 24 - 1 == ticks[-1] == bank.state.done
    assert {} == bank.state.at
    assert whole.state == bank.state


def test_nobody_waits_for_the_bank_in_wall_time() -> None:
    """So it hands no ticks over; a log says in its first record whose time it lives in."""
    for clock, markers in ((ClockKind.WALL, 0), (ClockKind.VIRTUAL, 1)):
        bank = Bank(1, SEED)
        out = []
        for source in bank.reads():
            opened = LogOpened(source[0], source[1], 1, clock, 1, at_hour(0, 0), 0, "{}", [])
            out += bank.see(*source, recorded(opened))
            out += bank.see(*source, recorded(TickPassed(1, at_hour(0, 1), 1)))
        assert (1, markers) == (bank.state.done, len(out))


def test_the_bank_waits_for_its_slowest_log() -> None:
    """A tick is over when every partition of both logs has passed it."""
    bank = Bank(2, SEED)
    out = []
    for source in bank.reads():
        assert out == []
        out = bank.see(*source, recorded(TickPassed(1, at_hour(0, 1), 1)))
    assert [Marker("bank/0", 1, at_hour(0, 1), 0)] * 2 == [one.message for one in out]
    assert [0, 1] == [one.partition for one in out]
