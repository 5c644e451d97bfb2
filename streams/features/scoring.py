"""A payment's margin, score and reasons from a model: whole numbers only, one payment at a time.

A forest is asked by masks. Each leaf of each tree is one bit; a node that sends a payment right takes the leaves to
its left away. All nodes on one feature, in the order of their thresholds, give one row of masks, so a payment costs
one search and one AND for each feature instead of three comparisons for each tree; the lowest bit that is left in a
tree's byte is the leaf the payment has come to. Rejected: generated code (no guard reads it), and a walk down 100
trees (more than twice the time).

Sums are exact, so batches (:mod:`streams.training.batches`) come to the same bits in any order.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from operator import getitem
from typing import Final, NamedTuple, assert_never

from events.calendar import DAY, HOUR, MINUTE, SECOND
from streams.features.models import LEAVES, NODES, Kind, Model, Tree
from streams.features.profiles import NAMES, NEVER, PROFILE, UNIT

#: Which leaf a byte stands for: its lowest bit. No node takes all leaves away, so 0 does not come up.
_LOWEST_BIT: Final = bytes([0] + [(byte & -byte).bit_length() - 1 for byte in range(1, 256)])
#: The leaves to the left of each inner node, in heap order.
_LEFT_LEAVES: Final = (0x0F, 0x03, 0x30, 0x01, 0x04, 0x10, 0x40)

Margin = Callable[[Sequence[int]], int]


class Contribution(NamedTuple):
    """What one feature adds to the margin; ``words`` say what it was about the payment."""

    feature: str
    value: int
    margin: int
    words: str


class Assessment(NamedTuple):
    """A score with its margin, of which ``base`` and the contributions are the exact sum."""

    score: int
    margin: int
    base: int
    contributions: list[Contribution]


def scorer(model: Model) -> Margin:
    """What gives the margin of a vector of the profile (all of it, in its order)."""
    match model.kind:
        case Kind.FOREST:
            return _forest(model)
        case Kind.SCORECARD:
            return _scorecard(model)
        case never:
            assert_never(never)


def score_of(model: Model, margin: int) -> int:
    """The score of a margin, 0 to 100: of payments with score s, about s in 100 were fraud when it was trained."""
    return bisect_right(model.marks, margin)


def places(model: Model) -> tuple[int, ...]:
    """Where the model's features stand in the profile."""
    return tuple(NAMES.index(name) for name in model.features)


def assess(model: Model, vector: Sequence[int]) -> Assessment:
    """The score of a vector and where it comes from, the strongest contribution first."""
    where = places(model)
    values = [vector[place] for place in where]
    margins = [0] * len(values)
    base = model.base
    for tree in model.trees:
        base += tree.values[0]
        _walk(tree, values, margins)
    for index, bins in enumerate(model.bins):
        margins[index] += bins.weights[bisect_right(bins.edges, values[index])]
    margin = base + sum(margins)
    contributions = [
        Contribution(NAMES[place], value, share, words_of(place, value))
        for place, value, share in zip(where, values, margins, strict=True)
        if share
    ]
    contributions.sort(key=lambda contribution: (-abs(contribution.margin), contribution.feature))
    return Assessment(score_of(model, margin), margin, base, contributions)


def words_of(place: int, value: int) -> str:
    """What a value of the profile says of a payment."""
    signal = PROFILE[place]
    match signal.unit:
        case "seconds":
            text = "never" if value >= NEVER else _ago(value)
        case "1/256":
            if value == 0:
                return "what the card usually pays is not known yet"
            tenths = (10 * value + UNIT // 2) // UNIT
            text = f"{tenths // 10}.{tenths % 10}"
        case "minor units":
            text = f"{value:,} minor units"
        case _:
            text = f"{value:,}"
    return signal.words.format(text)


def _ago(seconds: int) -> str:
    for unit, name in ((DAY // SECOND, "days"), (HOUR // SECOND, "hours"), (MINUTE // SECOND, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name} ago"
    return f"{seconds} seconds ago"


def _walk(tree: Tree, values: Sequence[int], margins: list[int]) -> None:
    """Add what each step on a payment's way changes to the feature that was asked."""
    node = 0
    while node < NODES:
        feature = tree.features[node]
        child = 2 * node + 1 + (values[feature] > tree.thresholds[node])
        margins[feature] += tree.values[child] - tree.values[node]
        node = child


def _forest(model: Model) -> Margin:
    trees = len(model.trees)
    everything = (1 << (LEAVES * trees)) - 1
    nodes: list[list[tuple[int, int]]] = [[] for _ in model.features]
    for number, tree in enumerate(model.trees):
        for node in range(NODES):
            gone = _LEFT_LEAVES[node] << (LEAVES * number)
            nodes[tree.features[node]].append((tree.thresholds[node], gone))
    asked: list[tuple[int, list[int], list[int]]] = []
    for place, rows in zip(places(model), nodes, strict=True):
        if not rows:
            continue
        rows.sort()
        masks = [everything]
        for _, gone in rows:
            masks.append(masks[-1] & ~gone)
        asked.append((place, [threshold for threshold, _ in rows], masks))
    leaves = [tree.values[NODES:] for tree in model.trees]
    base = model.base

    def margin(vector: Sequence[int]) -> int:
        left = everything
        for place, thresholds, masks in asked:
            left &= masks[bisect_left(thresholds, vector[place])]
        reached = left.to_bytes(trees, "little").translate(_LOWEST_BIT)
        return base + sum(map(getitem, leaves, reached))

    return margin


def _scorecard(model: Model) -> Margin:
    asked = [(place, bins.edges, bins.weights) for place, bins in zip(places(model), model.bins, strict=True)]
    base = model.base

    def margin(vector: Sequence[int]) -> int:
        total = base
        for place, edges, weights in asked:
            total += weights[bisect_right(edges, vector[place])]
        return total

    return margin
