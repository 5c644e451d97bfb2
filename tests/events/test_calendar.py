"""Days and instants as integers agree with the standard library, which has a clock and is kept out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import calendar
from events.errors import ValidationError

EPOCH = date(1970, 1, 1).toordinal()
days = st.integers(calendar.FIRST_DAY, calendar.LAST_DAY)
instants = st.datetimes(timezones=st.just(UTC))


@given(days)
def test_days_agree_with_the_standard_library(day_on: int) -> None:
    """Date, text, weekday, day of the year, week and month, for every day of 9,999 years."""
    referee = date.fromordinal(day_on + EPOCH)
    year, week, _ = referee.isocalendar()
    assert calendar.civil(day_on) == (referee.year, referee.month, referee.day)
    assert calendar.day_number(referee.year, referee.month, referee.day) == day_on
    assert calendar.iso_day(day_on) == referee.isoformat()
    assert calendar.parse_day(referee.isoformat()) == day_on
    assert calendar.weekday(day_on) == referee.weekday()
    assert calendar.day_of_year(day_on) == (referee.year, referee.timetuple().tm_yday)
    assert calendar.month_label(day_on) == f"{referee.year:04d}-{referee.month:02d}"
    if calendar.FIRST_DAY + 7 <= day_on <= calendar.LAST_DAY - 7:
        assert calendar.iso_week(day_on) == f"{year:04d}-W{week:02d}"


@given(instants)
def test_instants_agree_with_the_standard_library(referee: datetime) -> None:
    """Every microsecond, before 1970 too."""
    instant_at = (referee - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = referee.strftime("%H:%M:%S.%f")
    assert calendar.iso_instant(instant_at) == f"{referee.year:04d}-{referee:%m-%d}T{text}Z"
    assert calendar.parse_instant(calendar.iso_instant(instant_at)) == instant_at
    assert calendar.start_of(calendar.day_of(instant_at)) <= instant_at
    assert instant_at < calendar.start_of(calendar.day_of(instant_at) + 1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-09T12:30:00Z",
        "2026-03-09T12:30:00.0Z",
        "2026-03-09T14:30:00+02:00",
        "2026-03-09T07:00:00.000000-05:30",
        "2026-03-10T02:30:00+14:00",
    ],
)
def test_one_instant_has_many_spellings(text: str) -> None:
    """Zones and decimals are understood."""
    assert calendar.iso_instant(calendar.parse_instant(text)) == "2026-03-09T12:30:00.000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-09",
        "2026-03-09T12:30:00",
        "2026-03-09 12:30:00Z",
        "2026-03-09T12:30Z",
        "2026-03-09T24:00:00Z",
        "2026-03-09T12:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-03-09T12:30:00.Z",
        "2026-03-09T12:30:00.1234567Z",
        "2026-03-09T12:30:00,5Z",
        "2026-03-09T12:30:00+0200",
        "2026-03-09T12:30:00+15:00",
        "2026-02-29T12:30:00Z",
        "2026-03-09T1\u0662:30:00Z",
    ],
)
def test_what_is_not_one_instant_is_refused(text: str) -> None:
    """No zone, no guess; a leap second has no number."""
    with pytest.raises(ValidationError):
        calendar.parse_instant(text)


@pytest.mark.parametrize(
    "text", ["", "2026-3-09", "2026-02-30", "2025-02-29", "2026-13-01", "0000-01-01", "20260309xx"]
)
def test_what_is_not_a_day_is_refused(text: str) -> None:
    """Only days that exist."""
    with pytest.raises(ValidationError):
        calendar.parse_day(text)


@pytest.mark.parametrize("day_on", [calendar.FIRST_DAY - 1, calendar.LAST_DAY + 1])
def test_days_outside_the_years_are_refused(day_on: int) -> None:
    """Year 10,000 would not sort as text."""
    with pytest.raises(ValidationError):
        calendar.civil(day_on)


def test_business_days_skip_weekends_and_holidays() -> None:
    """Friday 3 April and Monday 6 April 2026 are Easter holidays: Thursday is followed by Tuesday."""
    thursday = calendar.parse_day("2026-04-02")
    easter = frozenset({thursday + 1, thursday + 4})
    tuesday = calendar.parse_day("2026-04-07")
    assert calendar.next_business_day(thursday) == thursday + 1
    assert calendar.next_business_day(thursday, easter) == tuesday
    assert calendar.on_or_after(thursday + 1, easter) == tuesday
    assert calendar.on_or_after(thursday, easter) == thursday
    assert calendar.add_business_days(thursday, 0, easter) == thursday
    assert calendar.add_business_days(thursday + 1, 0, easter) == tuesday
    assert calendar.add_business_days(thursday, 2, easter) == tuesday + 1
    assert not calendar.is_business_day(thursday + 2)


@given(
    st.integers(-20_000, 40_000), st.integers(1, 30), st.frozensets(st.integers(-20_000, 40_000), max_size=30)
)
def test_the_nth_business_day_has_n_business_days_before_it(
    day_on: int, count: int, holidays: frozenset[int]
) -> None:
    """Counting one by one gives the same."""
    result = calendar.add_business_days(day_on, count, holidays)
    between = [day for day in range(day_on + 1, result + 1) if calendar.is_business_day(day, holidays)]
    assert len(between) == count
    assert between[-1] == result


def test_holidays_without_end_are_refused() -> None:
    """A broken calendar stops with a reason; it does not loop."""
    with pytest.raises(ValidationError):
        calendar.next_business_day(0, frozenset(range(100)))
    with pytest.raises(ValidationError):
        calendar.add_business_days(0, -1)


@pytest.mark.parametrize(
    ("day", "months", "result"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-15", 12, "2027-01-15"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2026-12-31", 2, "2027-02-28"),
    ],
)
def test_months_are_added_to_the_last_day_there_is(day: str, months: int, result: str) -> None:
    """A monthly plan that began on the 31st falls on the last day."""
    assert calendar.iso_day(calendar.add_months(calendar.parse_day(day), months)) == result


def test_months_stay_within_the_years() -> None:
    """Before year 1 there is nothing."""
    with pytest.raises(ValidationError):
        calendar.add_months(calendar.FIRST_DAY, -1)
