"""Trees are grown to the same bits every time, and each split is the best there is."""

from random import Random

import numpy as np
import pytest

from streams.features.logistic import ONE
from streams.features.models import HIGHEST, NODES, Kind, encode_model
from streams.training import trees
from streams.training.batches import margins
from streams.training.drifting import drift
from streams.training.fitting import fit, fit_calibrated
from streams.training.histories import History, Whole, replay
from streams.training.measures import auc_roc
from streams.training.trees import base_of, grow, probabilities
from tests.streams.training.histories import made_up

DAY = 86_400_000_000
LATE = slice(2_000, 4_000)


@pytest.fixture(scope="module")
def history() -> History:
    return made_up()


@pytest.fixture(scope="module")
def vectors(history: History) -> Whole:
    return replay(history, 3 * DAY, lambda _: None)


def silent(done: int, of: int) -> None:
    """Nobody watches."""


def test_the_first_split_is_the_best_of_all() -> None:
    """Against every cut of every feature, computed plainly."""
    random = Random(4)
    rows = [[random.randrange(30), random.randrange(1_000), 7] for _ in range(400)]
    labels = [(row[0] > 20 and random.random() < 0.8) or random.random() < 0.1 for row in rows]
    (tree,) = grow(np.array(rows, np.int64), np.array(labels), lambda _: None, trees=1).trees
    base = base_of(sum(labels), len(labels))
    chance = int(probabilities(np.array([base], np.int64))[0])
    gradient = [chance - label * ONE for label in labels]
    weight = chance * (ONE - chance) // ONE
    root = int(((1 + sum(labels)) ** 0.5) * ONE)
    penalty, least = root * 2 // 5, root // 8

    def said(members: list[int]) -> float:
        return sum(gradient[row] for row in members) ** 2 / (weight * len(members) + penalty)

    found = []
    for feature in range(3):
        for threshold in sorted({row[feature] for row in rows})[:-1]:
            right = [index for index, row in enumerate(rows) if row[feature] > threshold]
            left = [index for index, row in enumerate(rows) if row[feature] <= threshold]
            if min(len(left), len(right)) * weight >= least:
                found.append((said(left) + said(right), feature, threshold))
    best = max(found, key=lambda split: split[0])
    assert best[1:] == (tree.features[0], tree.thresholds[0])


def test_the_same_history_gives_the_same_file(history: History, vectors: Whole) -> None:
    """Byte for byte, trees and scorecards, whatever the chunks of memory they are in."""
    for kind in Kind:
        first = encode_model(fit(history, vectors, LATE, kind, 0, silent))
        again = encode_model(fit(history, np.asfortranarray(vectors), LATE, kind, 0, silent))
        assert first == again


def test_a_batch_may_be_summed_in_any_order(history: History, vectors: Whole) -> None:
    """The same payments in another order grow the same forest: no float has been added up."""
    order = np.random.default_rng(3).permutation(len(vectors))
    plain = grow(vectors, history.fraud, lambda _: None, trees=5)
    assert plain == grow(vectors[order], history.fraud[order], lambda _: None, trees=5)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_model_ranks_what_it_has_not_seen(kind: Kind, history: History, vectors: Whole) -> None:
    """Trained on the first half, far better than chance on the second."""
    model = fit(history, vectors, slice(0, 2_000), kind, 0, silent)
    assert auc_roc(history.fraud[LATE], margins(model, vectors[LATE])) > 0.8


def test_a_tree_that_finds_nothing_says_the_same_everywhere() -> None:
    """One payment repeated: no split, and the trees agree with the base rate."""
    same = np.full((100, 2), 5, np.int64)
    grown = grow(same, np.arange(100) < 10, lambda _: None, trees=3)
    for tree in grown.trees:
        assert (HIGHEST,) * NODES == tree.thresholds
        assert abs(tree.values[0]) < ONE // 100


def test_bins_are_near_exact_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few values are each their own bin; of many, each bin holds about as many payments."""
    monkeypatch.setattr(trees, "MOST_BINS", 64)
    values = np.arange(10_000, dtype=np.int64) ** 2
    column = trees._column(values)
    assert 63 <= len(column.thresholds) <= 64
    assert np.bincount(column.bins).max() < 2 * 10_000 // 64
    for cut, threshold in enumerate(column.thresholds.tolist()):
        assert ((column.bins > cut) == (values > threshold)).all()


def test_drift_is_seen_where_it_is(history: History, vectors: Whole) -> None:
    """None on the training data; on amounts three times as high, in the amounts."""
    model = fit_calibrated(history, vectors, slice(0, 4_000), Kind.FOREST, 0, silent)
    assert max(moved.stability for moved in drift(model, vectors)) < 0.001
    raised = vectors.copy()
    raised[:, 0] *= 3
    first = drift(model, raised)[0]
    assert ("amount", True) == (first.name, first.stability > 0.25)
    assert {"held_back_payments", "held_back_auc_roc"} <= {metric.name for metric in model.metrics}
