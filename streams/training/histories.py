"""A history of payments with their labels, and what a model would have seen of each when it came.

The vectors are made by the code that makes them on the way of an authorization (:mod:`streams.features.profiles`), one
payment after the other; a label is learned when its time has come, and the next payment is the first to see it.
"""

from array import array
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from events.calendar import DAY
from events.errors import Refused
from streams.features.profiles import NAMES, Profiles, is_ordinary, learn, observe

Whole = NDArray[np.int64]
Truth = NDArray[np.bool_]

HEARD_OF: Final = 1 << 15
"""Payments between two words about the progress."""


class History(NamedTuple):
    """Payments by time (microseconds UTC). Cards and merchants are numbers from 0, amounts minor units."""

    at: Whole
    card: Whole
    merchant: Whole
    amount: Whole
    fraud: Truth

    @property
    def days(self) -> Whole:
        """The day of each payment, counted from that of the first."""
        days: Whole = self.at // DAY - self.at[0] // DAY
        return days

    def between(self, first_at: int, end_at: int) -> slice:
        """The rows of the payments in ``[first_at, end_at)``."""
        first, end = np.searchsorted(self.at, [first_at, end_at])
        return slice(int(first), int(end))


def require_order(history: History) -> None:
    """Refuse a history that is empty or not in the order of time."""
    if len(history.at) == 0:
        raise Refused("there is no payment in this history")
    if bool((np.diff(history.at) < 0).any()):
        raise Refused("a history is read in the order of time: sort it")


def replay(history: History, delay: int, watch: Callable[[int], None]) -> Whole:
    """The vector of each payment, when every label becomes known ``delay`` after its payment (microseconds)."""
    require_order(history)
    profiles = Profiles()
    vectors = array("q")
    times, frauds = history.at.tolist(), history.fraud.tolist()
    cards = _names(history.card)
    merchants = _names(history.merchant)
    ordinary = bytearray(len(times))
    labelled = 0
    for index, (at, amount) in enumerate(zip(times, history.amount.tolist(), strict=True)):
        while labelled < index and (now := times[labelled] + delay) <= at:
            learn(
                profiles,
                merchants[labelled],
                times[labelled],
                now,
                fraud=frauds[labelled],
                ordinary=bool(ordinary[labelled]),
            )
            labelled += 1
        vector = observe(profiles, cards[index], merchants[index], at, amount)
        ordinary[index] = is_ordinary(vector)
        vectors.extend(vector)
        if index % HEARD_OF == 0:
            watch(index)
    watch(len(times))
    return np.frombuffer(vectors, np.int64).reshape(len(times), len(NAMES))


def _names(codes: Whole) -> list[str]:
    """The names of numbered subjects, each text once in memory."""
    names = [str(code) for code in range(int(codes.max()) + 1)]
    return [names[code] for code in codes.tolist()]
