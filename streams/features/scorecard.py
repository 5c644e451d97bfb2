"""Logistic regression over bins, learned label by label in whole numbers: fallback, challenger, explainer.

Each feature is cut into bins and each bin has a weight, so the margin is a sum that a person can check with a table.
A label moves the base and one weight of each feature by the AdaGrad rule: a bin that has moved often moves less.

The numbers are fixed point (:mod:`streams.features.logistic`), so a scorecard that has learned a million labels is the
same on every machine, from any snapshot, and in a replay.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import isqrt
from typing import Final

import msgspec

from streams.features.logistic import BITS, ONE, probability

RATE: Final = ONE // 2
"""How far a weight moves at most when its first label comes, in log-odds."""
FIRST: Final = ONE
"""What a bin's squared moves start from."""


class Learned(msgspec.Struct):
    """A bin's feature: edges, weights, and the sum of squared gradients behind each weight."""

    edges: list[int]
    weights: list[int]
    squares: list[int]


class Scorecard(msgspec.Struct):
    """The state of a scorecard that learns. ``places`` are those of its features in the profile."""

    places: list[int]
    bins: list[Learned]
    base: int
    square: int = FIRST
    labels: int = 0


def empty(places: Sequence[int], edges: Sequence[Sequence[int]], base: int) -> Scorecard:
    """A scorecard that knows the base rate only."""
    bins = [Learned(list(row), [0] * (len(row) + 1), [FIRST] * (len(row) + 1)) for row in edges]
    return Scorecard(list(places), bins, base)


def margin(card: Scorecard, vector: Sequence[int]) -> int:
    """The log-odds of fraud as the scorecard sees them now."""
    total = card.base
    for place, bins in zip(card.places, card.bins, strict=True):
        total += bins.weights[bisect_right(bins.edges, vector[place])]
    return total


def learn(card: Scorecard, vector: Sequence[int], fraud: bool) -> None:
    """Take one label of the payment with this vector."""
    total = card.base
    touched: list[tuple[Learned, int]] = []
    for place, bins in zip(card.places, card.bins, strict=True):
        index = bisect_right(bins.edges, vector[place])
        total += bins.weights[index]
        touched.append((bins, index))
    gradient = probability(total) - (ONE if fraud else 0)
    square = gradient * gradient >> BITS
    step = RATE * gradient
    for bins, index in touched:
        squares = bins.squares[index] = bins.squares[index] + square
        bins.weights[index] -= _divided(step, squares)
    card.square += square
    card.base -= _divided(step, card.square)
    card.labels += 1


def _divided(step: int, squares: int) -> int:
    """The step over the root of the squares, cut towards 0 so that neither side is favoured."""
    root = isqrt(squares << BITS)
    return step // root if step >= 0 else -(-step // root)
