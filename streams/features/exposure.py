"""A merchant's disputes against the networks' programmes: counted by the day, and foreseen to the end of the month.

What is expected until the month ends, of payments that were cleared already, by the Cape Cod method of claims reserving
(Stanard, "A Simulation Test of Prediction Errors of Loss Reserve Estimation Techniques", PCAS 1985; Buehlmann):

    expected = seen * sum(cleared_d * (F(end - d) - F(today - d))) / sum(cleared_d * F(today - d))

over the days d of the last :data:`KEPT_DAYS`; ``seen`` are the cases of these days and F the share of its cases that a
payment has had after so many days. So a merchant's own rate is that of its payments as far as they are ripe, and what
is not ripe yet is expected to go on at it; of less than :data:`LEAST_SEEN` cases nothing is foreseen. F is reference
data, for a curve that each merchant made of its own few cases would be noise. All in whole numbers, rounded down.
Payments that will be cleared in the rest of the month are left out: their cases hardly come within it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from events.base import Event
from events.calendar import add_months, civil, day_number
from events.clearing import ClearingRecordAccepted
from events.disputes import DisputeOpened, EarlyFraudWarningReceived
from events.exposure import DisputeAlertLevel, MerchantDisputesTallied
from events.reference import Counted, DelayPoint, DisputeProgramme
from events.requests import Channel

KEPT_DAYS: Final = 180
"""How many days of a merchant are kept: as long as a payment can be disputed, and more than two months."""
TREND_DAYS: Final = 28
"""The days whose mean goes on until the month ends, of what cases are held against."""
LEAST_SEEN: Final = 10
"""Fewer cases say too little of a merchant's rate."""
_MILLION: Final = 1_000_000
SEPARATOR: Final = "\x1f"
"""Between the parts of a name; no business id holds it."""


class Day(msgspec.Struct, gc=False):
    """One day of a merchant at a network in a currency; the names are those of the event."""

    day_on: int
    cleared: int = 0
    remote: int = 0
    ecommerce: int = 0
    ecommerce_sales: int = 0
    reports: int = 0
    remote_reports: int = 0
    disputes: int = 0
    remote_disputes: int = 0
    ecommerce_fraud: int = 0


class Standing(NamedTuple):
    """Where a merchant is in a programme: now, and when the month ends by what is known.

    ``enough`` is whether it had as many payments as the programme asks for.
    """

    enough: bool
    counted: int
    base: int
    expected: int
    expected_base: int
    least: int
    least_bps: int


_COUNTS: Final = Day.__struct_fields__[1:]


class Tallied(msgspec.Struct):
    """What a partition has counted on one day, by merchant, network and currency."""

    day_on: int
    merchants: dict[str, Day] = {}


#: Chargebacks as fraud, as Mastercard counts them for its programme against fraud in e-commerce.
FRAUD_BY_AMOUNT: Final = frozenset({"4837", "4863"})


def tally(
    told: list[Tallied],
    today: int,
    merchant: str,
    channel: Channel,
    body: ClearingRecordAccepted | EarlyFraudWarningReceived | DisputeOpened,
) -> None:
    """Count what happened to a payment of a merchant today, which is not before the last day."""
    if not told or told[-1].day_on != today:
        told.append(Tallied(today))
    key = SEPARATOR.join((merchant, body.network, body.currency))
    day = told[-1].merchants.get(key)
    if day is None:
        day = told[-1].merchants[key] = Day(today)
    remote, ecommerce = channel is not Channel.POINT_OF_SALE, channel is Channel.ECOMMERCE
    match body:
        case ClearingRecordAccepted():
            day.cleared += 1
            day.remote += remote
            day.ecommerce += ecommerce
            day.ecommerce_sales += body.amount * ecommerce
        case EarlyFraudWarningReceived():
            day.reports += 1
            day.remote_reports += remote
        case DisputeOpened():
            day.disputes += 1
            day.remote_disputes += remote
            day.ecommerce_fraud += body.amount * (ecommerce and body.reason_code in FRAUD_BY_AMOUNT)


def told_until(told: list[Tallied], today: int) -> Iterator[str]:
    """What is to be told of the days before today, each by a name that :func:`tell` takes."""
    for one in told:
        if one.day_on >= today:
            break
        yield from (f"{one.day_on:08d}{SEPARATOR}{key}" for key in one.merchants)


def tell(told: list[Tallied], name: str) -> list[Event]:
    """One merchant's day at a network, which is not kept any longer."""
    day_on, key = name.split(SEPARATOR, 1)
    index = next(index for index, one in enumerate(told) if one.day_on == int(day_on))
    day = told[index].merchants.pop(key)
    if not told[index].merchants:
        del told[index]
    merchant, network, currency = key.split(SEPARATOR)
    return [MerchantDisputesTallied(merchant, network, currency, *msgspec.structs.astuple(day))]


def add(days: list[Day], tally: MerchantDisputesTallied) -> None:
    """Add a partition's figures to their day; days stand in order."""
    place = bisect_right(days, tally.day_on, key=attrgetter("day_on"))
    if place == 0 or days[place - 1].day_on != tally.day_on:
        days.insert(place, Day(tally.day_on))
        place += 1
    day = days[place - 1]
    for name in _COUNTS:
        setattr(day, name, getattr(day, name) + getattr(tally, name))


def forget(days: list[Day], today: int) -> None:
    """Drop what is older than is asked for."""
    while days and days[0].day_on < today - KEPT_DAYS:
        del days[0]


def month_of(day_on: int) -> int:
    """The first day of a day's month."""
    year, month, _ = civil(day_on)
    return day_number(year, month, 1)


def ripe(delays: Sequence[DelayPoint], age_days: int) -> int:
    """The share of its cases that a payment has had after so many days, in millionths, straight between the points."""
    if age_days <= 0:
        return 0
    before = DelayPoint(0, 0)
    for one, other in pairwise((before, *delays)):
        if age_days < other.days:
            return one.ppm + (other.ppm - one.ppm) * (age_days - one.days) // (other.days - one.days)
    return _MILLION


def foreseen(
    delays: Sequence[DelayPoint], cleared: Sequence[tuple[int, int]], seen: int, today: int, end: int
) -> int:
    """How many cases will come behind ``today`` up to ``end``, for payments cleared on days, as (day, how many)."""
    weight = growth = 0
    for day_on, number in cleared:
        now = ripe(delays, today - day_on)
        weight += number * now
        growth += number * (ripe(delays, end - day_on) - now)
    return seen * growth // weight if weight else 0


def standing(
    programme: DisputeProgramme, delays: Sequence[DelayPoint], days: Sequence[Day], today: int
) -> Standing:
    """Where a merchant stands in a programme behind the day ``today``; of a day there is an entry for each currency."""
    first = month_of(today)
    following = add_months(first, 1)
    last = following - 1
    before = add_months(first, -1)
    known = [day for day in days if today - KEPT_DAYS <= day.day_on <= today]
    cases = [(day.day_on, _cases(programme.counts, day)) for day in known]
    cleared = [(day.day_on, _base(programme.counts, day)) for day in known]
    counted = expected = _between(cases, first, today)
    if sum(day.reports + day.disputes for day in known) >= LEAST_SEEN:
        expected += foreseen(delays, cleared, _between(cases, 0, today), today, last)
    if programme.counts is Counted.REMOTE_REPORTS_AND_DISPUTES:
        base = _between(cleared, first, today)
        trend = _between(cleared, today - TREND_DAYS + 1, today)
        expected_base = base + trend * (last - today) // TREND_DAYS
    else:
        base = expected_base = _between(cleared, before, first - 1)
    numbers = [(day.day_on, _number(programme.counts, day)) for day in known]
    least = programme.least_amount or programme.least_count
    return Standing(
        _between(numbers, before, first - 1) >= programme.least_transactions,
        counted,
        base,
        expected,
        expected_base,
        least,
        programme.least_bps,
    )


def level(found: Standing, alert_percent: int) -> DisputeAlertLevel | None:
    """How near that is; None for not near."""
    if _reaches(found.counted, found.base, found, 100):
        return DisputeAlertLevel.EXCEEDED
    if _reaches(found.expected, found.expected_base, found, 100):
        return DisputeAlertLevel.EXPECTED
    return DisputeAlertLevel.NEAR if _reaches(found.counted, found.base, found, alert_percent) else None


def _reaches(counted: int, base: int, limits: Standing, percent: int) -> bool:
    """Whether both limits are reached, or this share of both."""
    if not limits.enough or counted <= 0 or 100 * counted < percent * limits.least:
        return False
    return _MILLION * counted >= percent * limits.least_bps * base


def _cases(counts: Counted, day: Day) -> int:
    match counts:
        case Counted.REMOTE_REPORTS_AND_DISPUTES:
            return day.remote_reports + day.remote_disputes
        case Counted.DISPUTES:
            return day.disputes
        case Counted.ECOMMERCE_FRAUD_AMOUNT:
            return day.ecommerce_fraud


def _base(counts: Counted, day: Day) -> int:
    match counts:
        case Counted.REMOTE_REPORTS_AND_DISPUTES:
            return day.remote
        case Counted.DISPUTES:
            return day.cleared
        case Counted.ECOMMERCE_FRAUD_AMOUNT:
            return day.ecommerce_sales


def _number(counts: Counted, day: Day) -> int:
    return day.ecommerce if counts is Counted.ECOMMERCE_FRAUD_AMOUNT else _base(counts, day)


def _between(days: Sequence[tuple[int, int]], first: int, last: int) -> int:
    return sum(number for day_on, number in days if first <= day_on <= last)


def in_force(
    programmes: Sequence[DisputeProgramme], network: str, month_on: int
) -> Iterator[DisputeProgramme]:
    """The programmes of a network that apply to a month."""
    return (one for one in programmes if one.network == network and one.from_on <= month_on < one.until_on)
