"""On which days a merchant is paid: every day, once a week or once a month, and only when banks work.

A weekly or monthly day on which no bank works moves to the next one on which they do; the day of a month that is too
short is its last. Days are days since 1970, UTC; holidays are those of the currency.
"""

from collections.abc import Iterator
from typing import Final

from events.calendar import (
    LONGEST_CLOSURE_DAYS,
    civil,
    days_in_month,
    is_business_day,
    on_or_after,
    weekday,
)
from events.requests import PayoutSchedule

LOOK_BACK_DAYS: Final = 31
"""How many days without a run are made up for: each schedule has a day among them."""


def pays_between(
    schedule: PayoutSchedule, anchor: int, after_on: int, until_on: int, holidays: frozenset[int]
) -> bool:
    """Whether a pay day lies behind ``after_on`` and not behind ``until_on``, which itself has to be a business day.

    Several days are asked about after a standstill: the run that comes late pays for those that it missed.
    """
    if not is_business_day(until_on, holidays):
        return False
    first_on = max(after_on + 1, until_on - LOOK_BACK_DAYS)
    return any(_is_nominal(schedule, anchor, day_on) for day_on in _days_for(first_on, until_on, holidays))


def next_pay_day(schedule: PayoutSchedule, anchor: int, from_on: int, holidays: frozenset[int]) -> int:
    """The first pay day that is not before ``from_on``."""
    # The nominal day may lie before, where those between are no business days.
    for day_on in range(from_on - LONGEST_CLOSURE_DAYS, from_on + LOOK_BACK_DAYS + 1):
        if _is_nominal(schedule, anchor, day_on):
            paid_on = on_or_after(day_on, holidays)
            if paid_on >= from_on:
                return paid_on
    raise AssertionError(f"{schedule} has no day within {LOOK_BACK_DAYS} days of {from_on}")


def _days_for(first_on: int, until_on: int, holidays: frozenset[int]) -> Iterator[int]:
    """The days whose payment may fall due from ``first_on`` to ``until_on``: also those before, moved by holidays."""
    yield from range(first_on, until_on + 1)
    for day_on in range(first_on - 1, first_on - LONGEST_CLOSURE_DAYS, -1):
        if is_business_day(day_on, holidays):
            return
        yield day_on


def _is_nominal(schedule: PayoutSchedule, anchor: int, day_on: int) -> bool:
    match schedule:
        case PayoutSchedule.DAILY:
            return True
        case PayoutSchedule.WEEKLY:
            return weekday(day_on) == anchor
        case PayoutSchedule.MONTHLY:
            year, month, day = civil(day_on)
            return day == min(anchor, days_in_month(year, month))
