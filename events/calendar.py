"""Days, weeks and instants as integers, with no clock anywhere.

An instant is microseconds since 1970-01-01T00:00:00Z (``_at``), a day is the number of days since then
(``_on``). Everything is proleptic Gregorian and UTC; a cut-off in another zone is an offset that the
caller adds. The day arithmetic is Howard Hinnant's ``civil_from_days``: integers only, exact for every
year from 1 to 9999, and it compiles, where ``datetime`` would bring its clock along.

Holidays are data: they are passed in as a frozenset of day numbers, and the log says which were used.
"""

from typing import Final

from events.errors import ValidationError

MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

FIRST_DAY: Final = -719_162
"""0001-01-01 as a day number."""
LAST_DAY: Final = 2_932_896
"""9999-12-31 as a day number."""

NO_HOLIDAYS: Final[frozenset[int]] = frozenset()
LONGEST_CLOSURE_DAYS: Final = 60
"""No calendar closes a bank for longer; more is a mistake in the holidays, and would loop for long."""

_DIGITS: Final = "0123456789"
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


# --- days ---------------------------------------------------------------------------------------------


def day_of(instant_at: int) -> int:
    """The UTC day number of an instant; also right before 1970, where truncation would not be."""
    return instant_at // DAY


def start_of(day_on: int) -> int:
    """The first microsecond of a day."""
    return day_on * DAY


def day_number(year: int, month: int, day: int) -> int:
    """The day number of a calendar date; raises ValidationError for a date that does not exist."""
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)):
        raise ValidationError("date", f"{year:04d}-{month:02d}-{day:02d} does not exist")
    if month <= 2:
        year -= 1
    era, year_of_era = divmod(year, 400)
    day_of_shifted_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_shifted_year
    return era * 146_097 + day_of_era - 719_468


def civil(day_on: int) -> tuple[int, int, int]:
    """Year, month and day of a day number."""
    if not FIRST_DAY <= day_on <= LAST_DAY:
        raise ValidationError("day", f"{day_on} is outside the years 1 to 9999")
    era, day_of_era = divmod(day_on + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_shifted_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_shifted_year + 2) // 153
    day = day_of_shifted_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + (3 if shifted_month < 10 else -9)
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day


def is_leap(year: int) -> bool:
    """Whether February has 29 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    """The length of a month, 1 to 12, in days."""
    return 29 if month == 2 and is_leap(year) else _MONTH_LENGTHS[month - 1]


def day_of_year(day_on: int) -> tuple[int, int]:
    """The year and the day within it, from 1 (the ``DDD`` of a Julian date)."""
    year, _, _ = civil(day_on)
    return year, day_on - day_number(year, 1, 1) + 1


def add_months(day_on: int, months: int) -> int:
    """The same day of a later month, or its last day when it is too short: 31 January + 1 is 28 February."""
    year, month, day = civil(day_on)
    year, month = divmod(year * 12 + month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValidationError("months", f"{months} months lead outside the years 1 to 9999")
    return day_number(year, month + 1, min(day, days_in_month(year, month + 1)))


# --- weeks and business days --------------------------------------------------------------------------


def weekday(day_on: int) -> int:
    """0 for Monday to 6 for Sunday. Day 0 was a Thursday."""
    return (day_on + 3) % 7


def is_business_day(day_on: int, holidays: frozenset[int] = NO_HOLIDAYS) -> bool:
    """Whether banks are open: neither a weekend nor a holiday."""
    return (day_on + 3) % 7 < 5 and day_on not in holidays


def next_business_day(day_on: int, holidays: frozenset[int] = NO_HOLIDAYS) -> int:
    """The first business day *after* the day."""
    return on_or_after(day_on + 1, holidays)


def on_or_after(day_on: int, holidays: frozenset[int] = NO_HOLIDAYS) -> int:
    """The day itself when it is a business day, else the next one."""
    for candidate in range(day_on, day_on + LONGEST_CLOSURE_DAYS):
        if is_business_day(candidate, holidays):
            return candidate
    raise ValidationError(
        "holidays", f"no business day within {LONGEST_CLOSURE_DAYS} days of {iso_day(day_on)}"
    )


def add_business_days(day_on: int, count: int, holidays: frozenset[int] = NO_HOLIDAYS) -> int:
    """The ``count``-th business day after the day; with 0 the day itself, or the next business day."""
    if count < 0:
        raise ValidationError("count", f"{count} business days cannot be added")
    result = on_or_after(day_on, holidays) if count == 0 else day_on
    for _ in range(count):
        result = next_business_day(result, holidays)
    return result


# --- labels of periods --------------------------------------------------------------------------------


def iso_week(day_on: int) -> str:
    """The ISO week of a day, ``2026-W10``: the week belongs to the year of its Thursday."""
    thursday = day_on - weekday(day_on) + 3
    year, nth = day_of_year(thursday)
    return f"{year:04d}-W{(nth - 1) // 7 + 1:02d}"


def month_label(day_on: int) -> str:
    """The month of a day, ``2026-03``."""
    year, month, _ = civil(day_on)
    return f"{year:04d}-{month:02d}"


# --- text ---------------------------------------------------------------------------------------------


def iso_day(day_on: int) -> str:
    """``2026-03-09``."""
    year, month, day = civil(day_on)
    return f"{year:04d}-{month:02d}-{day:02d}"


def parse_day(text: str) -> int:
    """The day number of ``2026-03-09``; nothing else is accepted."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise ValidationError("date", f"{text[:40]!r} is not of the form 2026-03-09")
    year, month, day = text[:4], text[5:7], text[8:]
    if (year + month + day).strip(_DIGITS):
        raise ValidationError("date", f"{text[:40]!r} is not of the form 2026-03-09")
    return day_number(int(year), int(month), int(day))


def iso_instant(instant_at: int) -> str:
    """``2026-03-09T14:30:00.000000Z``: always six decimals, so that texts sort as instants do."""
    day_on, rest = divmod(instant_at, DAY)
    seconds, micros = divmod(rest, SECOND)
    return (
        f"{iso_day(day_on)}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}Z"
    )


def parse_instant(text: str) -> int:
    """The instant of ``2026-03-09T14:30:00Z``, with up to six decimals and ``Z`` or ``+02:00``.

    A text without a zone is refused: two readers would take it for two instants. So is a leap second,
    which has no microsecond number.
    """
    clock, zone_minutes = _without_zone(text)
    if len(clock) < 19 or clock[10] != "T" or clock[13] != ":" or clock[16] != ":":
        raise _not_an_instant(text)
    day_on = parse_day(clock[:10])
    fraction = clock[20:] if clock[19:20] == "." else ""
    if (clock[19:20] and not fraction) or len(fraction) > 6:
        raise _not_an_instant(text)
    hours, minutes, seconds = clock[11:13], clock[14:16], clock[17:19]
    if (hours + minutes + seconds + fraction).strip(_DIGITS):
        raise _not_an_instant(text)
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise _not_an_instant(text)
    instant_at = day_on * DAY + int(hours) * HOUR + int(minutes) * MINUTE + int(seconds) * SECOND
    return instant_at + int(fraction.ljust(6, "0")) - zone_minutes * MINUTE


def _without_zone(text: str) -> tuple[str, int]:
    """The text before its zone, and the zone in minutes east of UTC."""
    if text[-1:] == "Z":
        return text[:-1], 0
    zone = text[-6:]
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":" or (zone[1:3] + zone[4:]).strip(_DIGITS):
        raise _not_an_instant(text)
    hours, minutes = int(zone[1:3]), int(zone[4:])
    if hours > 14 or minutes > 59:
        raise _not_an_instant(text)
    return text[:-6], (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def _not_an_instant(text: str) -> ValidationError:
    return ValidationError("instant", f"{text[:40]!r} is not of the form 2026-03-09T14:30:00.000000Z")
