"""How many different cards were seen under a key in ``(at - width, at]``: exact, also when an event comes late.

Of each card the newest time is kept in one sorted list, so a window that ends with the newest event is a binary
search. For a window that ends earlier, the cards seen since are looked at one by one: each is counted by its newest
time that is not later. That needs a card's times only as far back as a late event may come, and one before; so
memory follows the number of cards, and not of events. Rejected: a walk over the events of the window (5 ms for a
hot merchant), and sketches, which are never exact.
"""

from bisect import bisect_left, bisect_right, insort

import msgspec

from streams.features.series import Reach


class Distinct(msgspec.Struct, gc=False):
    """Cards by their newest time: ``newest[i]`` is that of ``cards[i]``, in order.

    ``times`` has each card's newest time, or several: then all that a late event could ask for, in order.
    """

    newest: list[int] = []
    cards: list[str] = []
    times: dict[str, int | list[int]] = {}


def only(card: str, times: list[int], reach: Reach) -> Distinct:
    """One card that has been seen at these times, which are sorted."""
    kept = times[max(0, bisect_right(times, times[-1] - reach.lateness) - 1) :]
    return Distinct([times[-1]], [card], {card: kept if len(kept) > 1 else times[-1]})


def see(distinct: Distinct, card: str, at: int, reach: Reach) -> None:
    """Note that a card was seen."""
    known = distinct.times.get(card)
    if known is None:
        distinct.times[card] = at
        _place(distinct, card, at)
        _tidy(distinct, reach)
        return
    if isinstance(known, int):
        before = known
        distinct.times[card] = [before, at] if at >= before else [at, before]
    else:
        before = known[-1]
        insort(known, at)
        # Those within the lateness, and the one before them: nothing can ask for more.
        settled = bisect_right(known, known[-1] - reach.lateness) - 1
        if settled > 0:
            del known[:settled]
    if at <= before:
        return
    index = bisect_left(distinct.newest, before)
    while distinct.cards[index] != card:
        index += 1
    if index == len(distinct.cards) - 1:
        distinct.newest[index] = at
        return
    del distinct.newest[index], distinct.cards[index]
    _place(distinct, card, at)


def measure(distinct: Distinct, at: int, reach: Reach, values: list[int]) -> None:
    """Append to ``values`` the number of cards in each window that ends with ``at``."""
    newest = distinct.newest
    if not newest or at >= newest[-1]:
        everyone = len(newest)
        for width in reach.widths:  # Not a comprehension, which is a call more.
            values.append(everyone - bisect_right(newest, at - width))  # noqa: PERF401
        return
    end = bisect_right(newest, at)
    earlier = []
    for card in distinct.cards[end:]:
        known = distinct.times[card]
        if not isinstance(known, int):
            index = bisect_right(known, at)
            if index:
                earlier.append(known[index - 1])
    earlier.sort()
    for width in reach.widths:
        since = at - width
        values.append(end - bisect_right(newest, since, 0, end) + len(earlier) - bisect_right(earlier, since))


def _place(distinct: Distinct, card: str, at: int) -> None:
    newest, cards = distinct.newest, distinct.cards
    if not newest or at >= newest[-1]:
        newest.append(at)
        cards.append(card)
        return
    index = bisect_right(newest, at)
    newest.insert(index, at)
    cards.insert(index, card)


def _tidy(distinct: Distinct, reach: Reach) -> None:
    """Let go of the cards that no window reaches, when they are half of all."""
    newest = distinct.newest
    stale_at = newest[-1] - reach.kept
    if newest[len(newest) // 2] > stale_at:
        return
    end = bisect_right(newest, stale_at)
    for card in distinct.cards[:end]:
        del distinct.times[card]
    del newest[:end], distinct.cards[:end]
