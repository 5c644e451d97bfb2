"""Logistic regression over bins, learned label by label in whole numbers: fallback, challenger, explainer.

Each feature is cut into bins and each bin has a weight, so the margin is a sum that a person can check with a table.
A label moves the base and one weight of each feature by the AdaGrad rule (Duchi, Hazan, Singer, JMLR 12, 2011): a bin
that has moved often moves less.

Weights, gradients and squares are fixed point with 20 bits behind the point (:mod:`streams.features.logistic`), so a
scorecard that has learned a million labels is the same on every machine, from any snapshot, and in a replay. Everything
is held where its products fit into 64 bits: a weight within 16 (:data:`MOST_WEIGHT`), a gradient within 1,024
(:data:`MOST_GRADIENT`), the sum of squares within 4 million (:data:`MOST_SQUARES`). Where the last is reached, a bin
goes on learning with the step that it has then.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import isqrt
from operator import getitem
from typing import Final

import msgspec

from streams.features.logistic import BITS, ONE, REACH, probability
from streams.features.models import Bins

RATE: Final = ONE // 2
"""How far a weight moves at most when its first label comes, in log-odds."""
FIRST: Final = ONE
"""What a bin's squared moves start from."""
MOST_WEIGHT: Final = REACH
"""How far a weight, or the base, gets from 0 by learning."""
MOST_GRADIENT: Final = 1 << 10 + BITS
MOST_SQUARES: Final = 1 << 22 + BITS


class Scorecard(msgspec.Struct):
    """The state of a scorecard that learns. ``places`` are those of its features in the profile.

    Each feature has its edges, and for each bin between them a weight and the sum of squared gradients behind it.
    """

    places: list[int]
    edges: list[list[int]]
    weights: list[list[int]]
    squares: list[list[int]]
    base: int
    square: int = FIRST
    labels: int = 0


def empty(places: Sequence[int], edges: Sequence[Sequence[int]], base: int) -> Scorecard:
    """A scorecard that knows the base rate only."""
    return Scorecard(
        list(places),
        [list(row) for row in edges],
        [[0] * (len(row) + 1) for row in edges],
        [[FIRST] * (len(row) + 1) for row in edges],
        base,
    )


def bins_of(card: Scorecard, vector: Sequence[int]) -> list[int]:
    """The bin of each feature of a profile."""
    return list(map(bisect_right, card.edges, map(vector.__getitem__, card.places)))


def learned_bins(card: Scorecard) -> tuple[Bins, ...]:
    """What it has come to, as part of a model that does not learn."""
    return tuple(
        Bins(tuple(edges), tuple(weights)) for edges, weights in zip(card.edges, card.weights, strict=True)
    )


def margin_in(card: Scorecard, bins: Sequence[int]) -> int:
    """The log-odds of fraud in these bins, as the scorecard sees them now."""
    return sum(map(getitem, card.weights, bins), card.base)


def margin(card: Scorecard, vector: Sequence[int]) -> int:
    """The log-odds of fraud of a profile."""
    return margin_in(card, bins_of(card, vector))


def learn(card: Scorecard, vector: Sequence[int], fraud: bool) -> None:
    """Take one label of the payment with this profile."""
    learn_in(card, bins_of(card, vector), fraud)


def learn_in(card: Scorecard, bins: Sequence[int], fraud: bool, weight: int = 1) -> None:
    """Take one label of a payment in these bins, which stands for ``weight`` payments."""
    gradient = weight * (probability(margin_in(card, bins)) - (ONE if fraud else 0))
    gradient = min(max(gradient, -MOST_GRADIENT), MOST_GRADIENT)
    square = gradient * gradient >> BITS
    step = RATE * gradient
    for weights, squares, place in zip(card.weights, card.squares, bins, strict=True):
        squares[place] = min(squares[place] + square, MOST_SQUARES)
        weights[place] = _moved(weights[place], step, squares[place])
    card.square = min(card.square + square, MOST_SQUARES)
    card.base = _moved(card.base, step, card.square)
    card.labels += 1


def _moved(weight: int, step: int, squares: int) -> int:
    """A weight less the step over the root of the squares, which is cut towards 0 so that neither side is favoured."""
    root = isqrt(squares << BITS)
    weight -= step // root if step >= 0 else -(-step // root)
    return min(max(weight, -MOST_WEIGHT), MOST_WEIGHT)
