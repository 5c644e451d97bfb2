"""Whether somebody has been seen lately: a card, and a card with a device, an e-mail address, a telephone, a country.

    new(k) at event time t: no event at an earlier position with the same card (and the same name of a kind), with an
    event time s such that t - KEPT < s <= t

An event that comes late says nothing about later ones that came before it. What a card was seen with is kept until KEPT
after its newest event and forgotten by the day.

Most cards have one name of a kind for good. It has a place of its own, where it is compared and not searched for, and
takes a third of the memory that it took under a key of card and name; whatever else a card is seen with lies beside.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.calendar import DAY
from streams.features.days import Day, before, forget, refile

KEPT: Final = 90 * DAY

KINDS: Final = ("device", "country", "email", "phone")
"""What a card is seen with; the country is that of the internet address."""


class Met(msgspec.Struct, array_like=True, gc=False):
    """A card: its newest event time; a name of each kind ("" for none yet) and its newest time; other names' times."""

    newest: int
    names: list[str]
    times: list[int]
    others: dict[str, int] | None = None


class Familiar(msgspec.Struct):
    """What each card was seen with, and the cards by the day they were filed under."""

    cards: dict[str, Met] = {}
    days: list[Day] = []


def meet(
    familiar: Familiar, card: str, names: Sequence[str], at: int
) -> tuple[int | None, list[bool | None]]:
    """See a card with these names of KINDS ("" for none) at an event time (microseconds UTC).

    The time it was seen before, None where it is new; and of each name whether it is, None where there is none.
    """
    met = familiar.cards.get(card)
    if met is None:
        familiar.cards[card] = Met(at, list(names), [at] * len(KINDS))
        refile(familiar.days, None, at, card)
        return None, [True if name else None for name in names]
    seen = met.newest
    if at > seen:
        met.newest = at
        refile(familiar.days, seen, at, card)
    usual, times = met.names, met.times
    new: list[bool | None] = []
    for kind, name in enumerate(names):
        if not name:
            new.append(None)
        elif name == usual[kind]:
            new.append(at - times[kind] >= KEPT)
            if at > times[kind]:
                times[kind] = at
        else:
            new.append(_is_new(met, kind, name, at))
    return None if at - seen >= KEPT else min(seen, at), new


def _is_new(met: Met, kind: int, name: str, at: int) -> bool:
    """See a name that is not the usual one of its kind."""
    others, other = met.others, f"{kind}{name}"
    seen = others.get(other) if others is not None else None
    if seen is None and not met.names[kind]:
        met.names[kind], met.times[kind] = name, at
        return True
    if others is None:
        others = met.others = {}
    if seen is None or at > seen:
        others[other] = at
    return seen is None or at - seen >= KEPT


def stale_days(familiar: Familiar, now: int) -> list[int]:
    """The days of which no name is known any more at ``now``, oldest first; a day more, for payments that come late."""
    return list(before(familiar.days, (now - KEPT) // DAY - 1))


def forget_day(familiar: Familiar, day_on: int) -> None:
    """Drop the cards of the oldest day that were not seen since, and of the others what they were not seen with."""
    for card in forget(familiar.days, day_on):
        met = familiar.cards.get(card)
        if met is None:
            continue
        if met.newest // DAY <= day_on:
            del familiar.cards[card]
            continue
        for kind, at in enumerate(met.times):
            if at // DAY <= day_on:
                met.names[kind] = ""
        if met.others is not None:
            met.others = {name: at for name, at in met.others.items() if at // DAY > day_on} or None
