"""Whether one person can have been where a card's payments come from: how far, and how fast that would have been.

    last(k)   the place of a card's located payment with the newest event time at positions before k; the first of
              several with that time
    km(k)     the distance between last(k) and the place of k, less both places' accuracy, at least 0
    kmh(k)    km(k) * 3,600 / max(|seconds between them|, 60), at most FASTEST, rounded down

Both are unknown where there is no last place less than KEPT away in time: at a thousand kilometres an hour twenty hours
are enough for half of the earth. A payment that comes late is as far from the newest place as one that comes in time:
time has no direction here, so it is never negative. A minute at least lies between two payments, for the clocks of two
producers differ by seconds. A place is forgotten by the day.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.calendar import DAY, MINUTE, SECOND
from streams.features.days import Day, before, forget, refile
from streams.features.earth import distance_km

KEPT: Final = DAY
"""How far apart in time two payments may lie to be compared."""

FASTEST: Final = 99_999
"""Kilometres an hour; faster is told as this."""

_SHORTEST: Final = MINUTE // SECOND


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a card was at an event time (microseconds UTC): hundredths of a degree, within ``accuracy_km``."""

    at: int
    latitude: int
    longitude: int
    accuracy_km: int


class Travels(msgspec.Struct):
    """The last known place of each card, and the cards by the day they were filed under."""

    last: dict[str, Place] = {}
    days: list[Day] = []


def travel(travels: Travels, card: str, here: Place) -> tuple[int, int] | None:
    """Kilometres and kilometres an hour from the card's last known place, and its last place from then on."""
    last = travels.last.get(card)
    if last is None or here.at > last.at:
        travels.last[card] = here
        refile(travels.days, None if last is None else last.at, here.at, card)
    if last is None:
        return None
    apart = abs(here.at - last.at)
    if apart >= KEPT:
        return None
    km = distance_km(last.latitude, last.longitude, here.latitude, here.longitude)
    km = max(0, km - last.accuracy_km - here.accuracy_km)
    return km, min(FASTEST, km * 3_600 // max(apart // SECOND, _SHORTEST))


def stale_days(travels: Travels, now: int) -> Iterator[int]:
    """The days of whose places none is compared with any more at ``now``; a day more, for payments that come late."""
    return before(travels.days, (now - KEPT) // DAY - 1)


def forget_day(travels: Travels, day_on: int) -> None:
    """Drop the cards of the oldest day that have no later place."""
    for card in forget(travels.days, day_on):
        last = travels.last.get(card)
        if last is not None and last.at // DAY <= day_on:
            del travels.last[card]
