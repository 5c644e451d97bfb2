"""From a labelled stretch of history to a model: trees or a scorecard, calibrated, with what it was trained on."""

from collections.abc import Callable
from typing import Final, assert_never

import numpy as np
from msgspec.structs import replace

from events.errors import Refused
from streams.features import scorecard
from streams.features.models import FORMAT, Kind, Metric, Model, Shares, Trained
from streams.features.profiles import NAMES, PROFILE_SHA256
from streams.training import lightgbm
from streams.training.batches import margins, scores
from streams.training.histories import History, Truth, Whole
from streams.training.measures import (
    auc_roc,
    average_precision,
    calibrated_marks,
    counts_of,
    plain_marks,
    shares_of,
)
from streams.training.trees import TREES, base_of, grow

HELD_BACK: Final = 4
"""One in so many payments, the latest, is held back to calibrate on."""
SCORE_EDGES: Final = (1, 2, 5, 10, 20, 40, 60, 80, 95)
CARD_BINS: Final = 32
"""Bins of a scorecard's feature: half of them by the weight of frauds, which is where the weights matter."""
PASSES: Final = 5
"""How often a scorecard goes through its history, from the first payment to the last."""

Watch = Callable[[int, int], None]


def fit(
    history: History, vectors: Whole, rows: slice, kind: Kind, labels_until_at: int, watch: Watch
) -> Model:
    """A model trained on some rows, whose scores are its margins taken at their word."""
    frauds, inputs = history.fraud[rows], vectors[rows]
    if not 0 < int(frauds.sum()) < len(frauds):
        raise Refused("nothing can be learned from payments that are all fraud, or none of them")
    model = _empty(history, vectors, rows, kind, labels_until_at)
    match kind:
        case Kind.FOREST:
            forest = grow(inputs, frauds, lambda done: watch(done, TREES))
            model = replace(model, base=forest.base, trees=forest.trees)
        case Kind.SCORECARD:
            card = _learn_all(inputs, frauds, watch)
            model = replace(model, base=card.base, bins=scorecard.learned_bins(card))
        case never:
            assert_never(never)
    return _with_score_shares(model, inputs)


def taken_over(
    forest: lightgbm.Read, history: History, vectors: Whole, rows: slice, labels_until_at: int, version: int
) -> Model:
    """A forest that was trained elsewhere, with the payments it was trained on. Its margins are taken at their word."""
    model = _empty(history, vectors, rows, Kind.FOREST, labels_until_at)
    asked = [NAMES.index(name) for name in forest.features]
    trees = tuple(
        replace(tree, features=tuple(asked[feature] for feature in tree.features)) for tree in forest.trees
    )
    return _with_score_shares(replace(model, version=version, trees=trees), vectors[rows])


def fit_calibrated(
    history: History,
    vectors: Whole,
    rows: slice,
    kind: Kind,
    labels_until_at: int,
    watch: Watch,
    version: int = 1,
) -> Model:
    """A model whose scores are per cent. They, and its figures, are from a twin that has not seen the last quarter."""
    cut = rows.stop - (rows.stop - rows.start) // HELD_BACK
    later = slice(cut, rows.stop)
    twin = fit(
        history, vectors, slice(rows.start, cut), kind, labels_until_at, lambda done, of: watch(done, 2 * of)
    )
    reached, truth = margins(twin, vectors[later]), history.fraud[later]
    figures = {"payments": len(truth) * 1.0, "frauds": float(truth.sum())}
    if truth.any() and not truth.all():
        figures["auc_roc"] = auc_roc(truth, reached)
        figures["average_precision"] = average_precision(truth, reached)
    model = fit(history, vectors, rows, kind, labels_until_at, lambda done, of: watch(of + done, 2 * of))
    model = replace(
        model,
        version=version,
        marks=calibrated_marks(truth, reached),
        metrics=tuple(
            Metric(f"held_back_{name}", round(figure * 1_000_000)) for name, figure in figures.items()
        ),
    )
    return _with_score_shares(model, vectors[rows])


def _empty(history: History, vectors: Whole, rows: slice, kind: Kind, labels_until_at: int) -> Model:
    """A model that says nothing yet, with what it is to be trained on."""
    frauds, inputs = history.fraud[rows], vectors[rows]
    return Model(
        format=FORMAT,
        version=1,
        kind=kind,
        features=NAMES,
        features_sha256=PROFILE_SHA256,
        trained=Trained(
            int(history.at[rows.start]),
            int(history.at[rows.stop - 1]) + 1,
            labels_until_at,
            len(frauds),
            int(frauds.sum()),
        ),
        base=0,
        trees=(),
        bins=(),
        marks=plain_marks(),
        feature_shares=tuple(shares_of(inputs[:, place]) for place in range(len(NAMES))),
        score_shares=Shares((), (len(frauds),)),
        metrics=(),
    )


def _with_score_shares(model: Model, inputs: Whole) -> Model:
    reached = scores(model, margins(model, inputs))
    return replace(model, score_shares=Shares(SCORE_EDGES, counts_of(SCORE_EDGES, reached)))


def _learn_all(inputs: Whole, frauds: Truth, watch: Watch) -> scorecard.Scorecard:
    """A scorecard that has learned each label in the order of time, several times over."""
    edges = [_edges(inputs[:, place], frauds) for place in range(inputs.shape[1])]
    card = scorecard.empty(range(inputs.shape[1]), edges, base_of(int(frauds.sum()), len(frauds)))
    rows, labels = inputs.tolist(), frauds.tolist()
    for done in range(PASSES):
        for row, label in zip(rows, labels, strict=True):
            scorecard.learn(card, row, label)
        watch(done + 1, PASSES)
    return card


def _edges(values: Whole, frauds: Truth) -> list[int]:
    """Cuts between values: of equal weight among all payments, and of equal weight among the frauds."""
    of_all = shares_of(values, CARD_BINS // 2).edges
    of_frauds = shares_of(values[frauds], CARD_BINS // 2).edges
    edges: list[int] = np.unique(np.array([*of_all, *of_frauds], np.int64)).tolist()
    return edges
