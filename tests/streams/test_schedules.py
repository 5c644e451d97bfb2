"""Pay days as tables: by schedule, weekends and holidays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.calendar import day_number, is_business_day
from events.errors import ValidationError
from events.reference import SettlementTerms, decode_reference, encode_reference
from events.requests import PayoutSchedule
from streams.features.schedules import next_pay_day, pays_between

D, W, M = PayoutSchedule.DAILY, PayoutSchedule.WEEKLY, PayoutSchedule.MONTHLY


def on(text: str) -> int:
    month, day = text.split("-")
    return day_number(2026, int(month), int(day))


# fmt: off
PAY_DAYS = [
    # schedule, anchor, holidays, from, the next pay day
    (D, 0,  (),                 "03-09", "03-09"),
    (D, 0,  (),                 "03-14", "03-16"),   # a Saturday
    (D, 0,  ("03-16",),         "03-14", "03-17"),
    (W, 0,  (),                 "03-09", "03-09"),   # a Monday
    (W, 0,  (),                 "03-10", "03-16"),
    (W, 4,  ("03-13",),         "03-10", "03-16"),   # its Friday is a holiday
    (W, 4,  ("03-13",),         "03-14", "03-16"),   # and the question is asked behind it
    (W, 6,  (),                 "03-10", "03-16"),   # a Sunday never is a business day
    (M, 15, (),                 "03-02", "03-16"),   # a Sunday
    (M, 15, (),                 "03-16", "03-16"),
    (M, 15, (),                 "03-17", "04-15"),
    (M, 20, ("03-20",),         "03-09", "03-23"),
    (M, 31, (),                 "02-02", "02-02"),   # January ends on a Saturday
    (M, 31, (),                 "02-03", "03-02"),   # and so does February
    (M, 31, (),                 "03-03", "03-31"),
    (M, 30, (),                 "04-01", "04-30"),
    (M, 1,  ("01-01", "01-02"), "01-01", "01-05"),
]
# fmt: on


@pytest.mark.parametrize(("schedule", "anchor", "closed", "asked", "expected"), PAY_DAYS)
def test_the_next_pay_day(
    schedule: PayoutSchedule, anchor: int, closed: tuple[str, ...], asked: str, expected: str
) -> None:
    """The nominal day, or the first business day behind it."""
    holidays = frozenset(map(on, closed))
    assert on(expected) == next_pay_day(schedule, anchor, on(asked), holidays)


@given(
    st.sampled_from([(D, 0), *((W, day) for day in range(7)), *((M, day) for day in (1, 15, 29, 30, 31))]),
    st.integers(on("01-01"), on("12-31")),
    st.frozensets(st.integers(on("01-01"), on("12-31")), max_size=40),
)
def test_a_day_pays_when_it_is_the_next_pay_day(
    plan: tuple[PayoutSchedule, int], day_on: int, holidays: frozenset[int]
) -> None:
    """Two ways to ask give one answer, on every day."""
    schedule, anchor = plan
    pays = pays_between(schedule, anchor, day_on - 1, day_on, holidays)
    assert pays == (next_pay_day(schedule, anchor, day_on, holidays) == day_on)
    assert not pays or is_business_day(day_on, holidays)


def test_a_late_run_pays_for_the_days_it_missed() -> None:
    """After a standstill from Thursday to Wednesday, Friday's pay day is made up for; only once."""
    assert pays_between(W, 4, on("03-12"), on("03-18"), frozenset())
    assert not pays_between(W, 4, on("03-18"), on("03-19"), frozenset())
    assert not pays_between(W, 4, on("03-12"), on("03-15"), frozenset()), "no bank works on a Sunday"
    assert pays_between(W, 4, on("03-15"), on("03-16"), frozenset({on("03-13")}))
    assert not pays_between(W, 4, on("03-15"), on("03-16"), frozenset()), "Friday was paid on Friday"


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": D, "anchor": 1},
        {"schedule": W, "anchor": 7},
        {"schedule": M, "anchor": 0},
        {"schedule": M, "anchor": 32},
        {"reserve_ppm": 1_000_001},
        {"payout_attempts": 0},
        {"minimum_payout": -1},
    ],
)
def test_terms_that_no_calendar_or_share_can_have_are_refused(fields: dict[str, int]) -> None:
    """Where they are made, and where they are read."""
    with pytest.raises(ValueError):
        SettlementTerms("shop-1", **fields)  # type: ignore[arg-type]
    good = encode_reference(SettlementTerms("shop-1"))
    for name, value in fields.items():
        old = f'"{name}":{getattr(SettlementTerms("shop-1"), name)}'
        good = good.replace(old, f'"{name}":{value}').replace('"daily"', f'"{fields.get("schedule", D)}"')
    with pytest.raises(ValidationError):
        decode_reference("settlement", good)
