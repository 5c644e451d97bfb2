"""Names by the day they were put aside on, so that a whole day can be forgotten at once.

Finding what is too old then looks at days, not at what they hold. Days come in order, for logical time only advances.
"""

from collections.abc import Iterator

import msgspec

from events.calendar import DAY


class Day(msgspec.Struct):
    """What was put aside on one day (since 1970), in the order it came."""

    day_on: int
    names: list[str]


def put_aside(days: list[Day], day_on: int, name: str) -> None:
    """Remember a name under a day that is not before the last one."""
    day = days[-1] if days else None
    if day is None or day.day_on != day_on:
        day = Day(day_on, [])
        days.append(day)
    day.names.append(name)


def refile(days: list[Day], filed_at: int | None, at: int, name: str) -> None:
    """File a name under the day of an event time (microseconds UTC), unless it is there by ``filed_at``; None for new.

    Event times are in no order and days are: what comes late goes under the last one, and is kept a little longer.
    """
    day_on = at // DAY
    if days and days[-1].day_on > day_on:
        day_on = days[-1].day_on
    if filed_at is None or filed_at // DAY != day_on:
        put_aside(days, day_on, name)


def before(days: list[Day], day_on: int) -> Iterator[int]:
    """The days that lie before a day, oldest first."""
    for day in days:
        if day.day_on >= day_on:
            break
        yield day.day_on


def forget(days: list[Day], day_on: int) -> list[str]:
    """Take a day away; what was put aside on it, and nothing when it is not the oldest."""
    if not days or days[0].day_on != day_on:
        return []
    return days.pop(0).names
