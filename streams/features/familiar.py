"""Whether somebody has been seen lately: a card, a card on a device, a card with an e-mail address.

    new(k) at event time t: no event at an earlier position with the same name and t - KEPT < event time <= t

An event that comes late says nothing about later ones that came before it. A name is kept until KEPT after its newest
event and forgotten by the day.
"""

from typing import Final

import msgspec

from events.calendar import DAY
from streams.features.days import Day, before, forget, put_aside

KEPT: Final = 90 * DAY


class Familiar(msgspec.Struct):
    """The newest event time of each name, and the names by the day they were filed under."""

    newest: dict[str, int] = {}
    days: list[Day] = []


def meet(familiar: Familiar, name: str, at: int) -> int | None:
    """See a name at an event time (microseconds UTC); the time it was seen before, None where it is new."""
    seen = familiar.newest.get(name)
    if seen is None or at > seen:
        familiar.newest[name] = at
        days = familiar.days
        # Days are filed in order: what comes late is kept a little longer.
        day_on = max(at // DAY, days[-1].day_on) if days else at // DAY
        if seen is None or seen // DAY != day_on:
            put_aside(days, day_on, name)
    if seen is None or at - seen >= KEPT:
        return None
    return min(seen, at)


def stale_days(familiar: Familiar, now: int) -> list[int]:
    """The days of which no name is known any more at ``now``, oldest first."""
    return list(before(familiar.days, (now - KEPT) // DAY))


def forget_day(familiar: Familiar, day_on: int) -> None:
    """Drop the names of the oldest day that were not seen since."""
    for name in forget(familiar.days, day_on):
        newest = familiar.newest.get(name)
        if newest is not None and newest // DAY <= day_on:
            del familiar.newest[name]
