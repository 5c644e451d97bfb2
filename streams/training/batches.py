"""Margins and scores of many payments at once, to the bit those of :mod:`streams.features.scoring`."""

from typing import Final, assert_never

import numpy as np
from numpy.typing import NDArray

from streams.features.models import DEPTH, NODES, Kind, Model, Tree
from streams.features.scoring import places

Whole = NDArray[np.int64]

CHUNK: Final = 65_536
"""Rows that are scored together: what a tree needs of them stays in the processor's cache."""


def margins(model: Model, vectors: Whole) -> Whole:
    """The margin of each row of a matrix of profile vectors."""
    made = np.empty(len(vectors), np.int64)
    where = places(model)
    for start in range(0, len(vectors), CHUNK):
        part = vectors[start : start + CHUNK]
        columns = [np.ascontiguousarray(part[:, place]) for place in where]
        total = np.full(len(part), model.base, np.int64)
        match model.kind:
            case Kind.FOREST:
                for tree in model.trees:
                    total += _leaf_values(tree, columns)
            case Kind.SCORECARD:
                for bins, column in zip(model.bins, columns, strict=True):
                    weights = np.array(bins.weights, np.int64)
                    total += weights[np.searchsorted(np.array(bins.edges, np.int64), column, side="right")]
            case never:
                assert_never(never)
        made[start : start + CHUNK] = total
    return made


def scores(model: Model, margins_: Whole) -> Whole:
    """The scores of margins, 0 to 100."""
    return np.searchsorted(np.array(model.marks, np.int64), margins_, side="right").astype(np.int64)


def _leaf_values(tree: Tree, columns: list[Whole]) -> Whole:
    """What a tree says of each row: all its nodes are asked, and the answers on the way kept."""
    right = [
        columns[feature] > threshold
        for feature, threshold in zip(tree.features, tree.thresholds, strict=True)
    ]
    leaf = right[0].astype(np.int64)
    for level in range(1, DEPTH):
        first = (1 << level) - 1
        answers = np.stack(right[first : first + (1 << level)])
        leaf = 2 * leaf + np.take_along_axis(answers, leaf[None, :], axis=0)[0]
    return np.array(tree.values[NODES:], np.int64)[leaf]
