"""How far the payments of today are from those that a model was trained on: of each feature, and of the score.

A model keeps how often its training data fell between some edges (ten parts of about equal weight). Two figures compare
that with other payments. The *population stability index* is the sum over the parts of (p - q) ln(p / q), the symmetric
divergence of Kullback and Leibler (Jeffreys, 1946), with the thresholds that credit scoring uses (Siddiqi, *Credit Risk
Scorecards*, 2006): below .10 the same, from .25 on another world. The distance of *Kolmogorov and Smirnov* is the most
that the two cumulative shares differ by, here at the edges alone, so it is the least that it can be.

Few payments always look different. Of payments that are like those of training the index is about chi-squared, times
1/n + 1/m for the payments on the two sides (Yurdakul and Naranjo, *Journal of Risk Model Validation* 14(4), 2020), so
beside it stands what it stays below 95 times in 100 by chance.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final, NamedTuple

from streams.features.models import Model, Shares
from streams.features.profiles import NAMES
from streams.training.batches import margins, scores
from streams.training.histories import Whole
from streams.training.measures import counts_of, stability

MOVED: Final = 0.10
"""From here on something has moved."""
ANOTHER: Final = 0.25
"""From here on the model is asked about another world than its own: train it again."""
_NORMAL_95: Final = 1.6449


class Drift(NamedTuple):
    """How far one feature, or the score, has moved since training: the index, what chance makes of it, the distance.

    ``edges`` cut the values into parts, of which ``trained`` and ``found`` count the payments.
    """

    name: str
    stability: float
    by_chance: float
    distance: float
    edges: tuple[int, ...]
    trained: tuple[int, ...]
    found: tuple[int, ...]

    @property
    def standing(self) -> str:
        """In a word; what is within chance has not moved."""
        if self.stability < MOVED or self.stability <= self.by_chance:
            return "stable"
        return "moved" if self.stability < ANOTHER else "another world"


def drift(model: Model, vectors: Whole) -> list[Drift]:
    """How far each of the model's features and its score have moved, the furthest first."""
    found = [
        _moved(name, shares, vectors[:, NAMES.index(name)])
        for name, shares in zip(model.features, model.feature_shares, strict=True)
    ]
    found.append(_moved("score", model.score_shares, scores(model, margins(model, vectors))))
    return sorted(found, key=lambda moved: (-moved.stability, moved.name))


def distance(expected: Sequence[int], found: Sequence[int]) -> float:
    """The most that two cumulative shares differ by, at the ends of the parts."""
    total, seen = max(sum(expected), 1), max(sum(found), 1)
    before = now = 0
    most = 0.0
    for one, other in zip(expected, found, strict=True):
        before, now = before + one, now + other
        most = max(most, abs(before / total - now / seen))
    return most


def by_chance(parts: int, trained: int, found: int) -> float:
    """What the index stays below in 95 of 100 samples of the same payments (Wilson and Hilferty's chi-squared)."""
    free = parts - 1
    if free < 1 or trained < 1 or found < 1:
        return 0.0
    ninth = 2 / (9 * free)
    return free * (1 - ninth + _NORMAL_95 * sqrt(ninth)) ** 3 * (1 / trained + 1 / found)


def _moved(name: str, shares: Shares, values: Whole) -> Drift:
    found = counts_of(shares.edges, values)
    chance = by_chance(len(found), sum(shares.counts), sum(found))
    index = stability(shares.counts, found)
    return Drift(name, index, chance, distance(shares.counts, found), shares.edges, shares.counts, found)
