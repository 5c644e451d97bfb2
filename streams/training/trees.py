"""Gradient boosting over histograms, grown in whole numbers: the champion.

Each tree is fitted to the gradients of the log-loss of what the trees before it say. The gradients are fixed point, so
sums over rows are exact in any order, and the gains that are compared come from IEEE divisions of whole numbers: the
same data grow the same forest on every machine.

Bins are near exact (up to 8,192 of equal weight, each value its own where there are fewer): 256 bins blur the rare
tail that fraud lives in, and cost .03 of average precision on the public yardstick. The penalty grows with the
root of the frauds seen, so a longer history may say more, and a short one is not believed to the letter.
"""

from collections.abc import Callable
from math import isqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.features.logistic import BITS, ONE, REACH, STEP_BITS, TABLE, log_odds
from streams.features.models import DEPTH, HIGHEST, LEAVES, NODES, Tree

Whole = NDArray[np.int64]
Real = NDArray[np.float64]

MOST_BINS: Final = 8_192
TREES: Final = 100
RATE: Final = (1, 10)
"""How much of what it finds a tree may say."""
PENALTY: Final = (2, 5)
"""The penalty on a leaf (lambda), by the root of the frauds."""
LEAST: Final = (1, 8)
"""The least that must lie on both sides of a split (sum of p(1 - p)), by the root of the frauds."""

_TABLE: Final = np.array(TABLE, np.int64)


class Forest(NamedTuple):
    """Grown trees and the log-odds that they start from."""

    base: int
    trees: tuple[Tree, ...]


class _Column(NamedTuple):
    """A feature as bins: row i lies in ``bins[i]``, and a bin above b means a value above ``thresholds[b]``."""

    bins: Whole
    thresholds: Whole


def probabilities(odds: Whole) -> Whole:
    """:func:`streams.features.logistic.probability` of each."""
    place = np.clip(odds, -REACH, REACH) + REACH
    index = place >> STEP_BITS
    low: Whole = _TABLE[index]
    between: Whole = (_TABLE[index + 1] - low) * (place & ((1 << STEP_BITS) - 1)) >> STEP_BITS
    return low + between


def base_of(frauds: int, payments: int) -> int:
    """The log-odds of a fraud among payments, also when there is none or nothing else."""
    return log_odds(2 * frauds + 1, 2 * payments + 2)


def grow(
    vectors: Whole, frauds: NDArray[np.bool_], watch: Callable[[int], None], trees: int = TREES
) -> Forest:
    """A forest for rows of features and whether each was fraud; ``watch`` hears how many trees stand."""
    columns = [_column(np.ascontiguousarray(vectors[:, place])) for place in range(vectors.shape[1])]
    root = isqrt((1 + int(frauds.sum())) * ONE * ONE)
    penalty = root * PENALTY[0] // PENALTY[1]
    least = root * LEAST[0] // LEAST[1]
    base = base_of(int(frauds.sum()), len(frauds))
    odds = np.full(len(frauds), base, np.int64)
    labels = frauds.astype(np.int64) << BITS
    grown = []
    for number in range(trees):
        chances = probabilities(odds)
        gradients = chances - labels
        weights = np.maximum(chances * (ONE - chances) >> BITS, 1)
        tree, leaf = _grow_one(columns, gradients, weights, penalty, least)
        odds += np.array(tree.values[NODES:], np.int64)[leaf]
        grown.append(tree)
        watch(number + 1)
    return Forest(base, tuple(grown))


def _column(values: Whole) -> _Column:
    """The bins of a feature. A threshold is the highest value of the bin below it."""
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    if len(distinct) > MOST_BINS:
        cuts = np.arange(1, MOST_BINS) * len(ordered) // MOST_BINS
        distinct = np.unique(np.append(ordered[cuts], ordered[-1]))
    thresholds = distinct[:-1]
    return _Column(np.searchsorted(thresholds, values, side="left").astype(np.int64), thresholds)


def _grow_one(
    columns: list[_Column], gradients: Whole, weights: Whole, penalty: int, least: int
) -> tuple[Tree, Whole]:
    """The tree that fits the gradients best, greedily, and the leaf of each row."""
    features, thresholds = [0] * NODES, [HIGHEST] * NODES
    values: list[int] = []
    at = np.zeros(len(gradients), np.int64)
    for level in range(DEPTH):
        count = 1 << level
        slope = _sums(at, gradients, count)
        weight = _sums(at, weights, count)
        values += _said(slope, weight, penalty)
        best = np.zeros(count)
        chosen: list[tuple[int, int] | None] = [None] * count
        for feature, column in enumerate(columns):
            if len(column.thresholds) == 0:
                continue
            gains = _gains(column, at, gradients, weights, slope, weight, penalty, least)
            cuts = gains.argmax(axis=1)
            for node in range(count):
                gain = gains[node, cuts[node]]
                if gain > best[node]:
                    best[node] = gain
                    chosen[node] = (feature, int(cuts[node]))
        right = np.zeros(len(at), np.bool_)
        for node, choice in enumerate(chosen):
            if choice is not None:
                feature, cut = choice
                features[count - 1 + node] = feature
                thresholds[count - 1 + node] = int(columns[feature].thresholds[cut])
                here = at == node
                right[here] = columns[feature].bins[here] > cut
        at = 2 * at + right
    values += _said(_sums(at, gradients, LEAVES), _sums(at, weights, LEAVES), penalty)
    return Tree(tuple(features), tuple(thresholds), tuple(values)), at


def _sums(at: Whole, amounts: Whole, count: int) -> Whole:
    """Sums by place. They stay below 2^53, so the floats that numpy adds with are exact."""
    return np.bincount(at, amounts, count).astype(np.int64)


def _said(slope: Whole, weight: Whole, penalty: int) -> list[int]:
    """What a node says: its Newton step, times the rate."""
    return [
        _towards_zero(-int(down) * ONE * RATE[0], (int(heavy) + penalty) * RATE[1])
        for down, heavy in zip(slope, weight, strict=True)
    ]


def _towards_zero(numerator: int, denominator: int) -> int:
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def _gains(
    column: _Column,
    at: Whole,
    gradients: Whole,
    weights: Whole,
    slope: Whole,
    weight: Whole,
    penalty: int,
    least: int,
) -> Real:
    """What each cut of a feature would gain, by node; nothing where too little lies on one side."""
    width = len(column.thresholds) + 1
    place = at * width + column.bins
    count = len(slope)
    left = np.bincount(place, gradients, count * width).reshape(count, width)[:, :-1].cumsum(axis=1)
    heavy = np.bincount(place, weights, count * width).reshape(count, width)[:, :-1].cumsum(axis=1)
    right = slope[:, None] - left
    rest = weight[:, None] - heavy
    whole = (slope.astype(np.float64) * slope / (weight + penalty))[:, None]
    gains: Real = left * left / (heavy + penalty) + right * right / (rest + penalty) - whole
    gains[(heavy < least) | (rest < least)] = 0
    return gains
