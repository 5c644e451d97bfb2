"""A score is the same by the row and by the batch, to the bit, and its reasons add up to it."""

from random import Random

import numpy as np
import pytest

from streams.features import scorecard
from streams.features.logistic import ONE, REACH, TABLE, log_odds, probability
from streams.features.models import Kind
from streams.features.profiles import NAMES, NEVER
from streams.features.scorecard import learned_bins
from streams.features.scoring import assess, score_of, scorer, words_of
from streams.training.batches import CHUNK, margins, scores
from streams.training.trees import probabilities
from tests.streams.models import EXTREMES, number, random_model


def vectors_of(random: Random, count: int) -> list[list[int]]:
    """Random vectors, and those that hold nothing but one extreme value."""
    return [[extreme] * len(NAMES) for extreme in EXTREMES] + [
        [number(random) for _ in NAMES] for _ in range(count)
    ]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", range(15))
def test_rows_and_batches_agree_to_the_bit(kind: Kind, seed: int) -> None:
    """Over random models and any 64-bit numbers: margin, score, and the sum of the contributions."""
    random = Random(seed)
    model = random_model(random, kind)
    rows = vectors_of(random, 100)
    # Values that stand exactly on a threshold or an edge are where two searches could part.
    for tree in model.trees:
        rows += [[threshold + step] * len(NAMES) for threshold in tree.thresholds[:2] for step in (-1, 0, 1)]
    rows = [row for row in rows if EXTREMES[0] <= min(row) and max(row) <= EXTREMES[-1]]
    ask = scorer(model)
    one_by_one = [ask(row) for row in rows]
    matrix = np.array(rows, np.int64)
    assert one_by_one == margins(model, matrix).tolist()
    assert [score_of(model, margin) for margin in one_by_one] == scores(model, np.array(one_by_one)).tolist()
    for row, margin in zip(rows, one_by_one, strict=True):
        found = assess(model, row)
        assert margin == found.margin == found.base + sum(part.margin for part in found.contributions)
        assert found.score == score_of(model, margin)


def test_the_size_of_a_batch_does_not_matter() -> None:
    """Rows beyond one chunk are scored like those in it, and no rows are no margins."""
    random = Random(5)
    model = random_model(random, trees=2)
    matrix = np.array(vectors_of(random, 50), np.int64)
    whole = margins(model, np.concatenate([matrix] * (CHUNK // len(matrix) + 2)))
    assert margins(model, matrix).tolist() == whole[-len(matrix) :].tolist()
    assert [] == margins(model, matrix[:0]).tolist()


def test_reasons_say_it_in_words_the_strongest_first() -> None:
    """Only what contributes is named, each with the value it has."""
    model = random_model(Random(3))
    found = assess(model, [7] * len(NAMES))
    strengths = [abs(part.margin) for part in found.contributions]
    assert strengths == sorted(strengths, reverse=True)
    assert min(strengths) > 0
    assert {part.value for part in found.contributions} == {7}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amount", 123_456, "the amount is 123,456 minor units"),
        ("amount_ratio", 0, "what the card usually pays is not known yet"),
        ("amount_ratio", 1_331, "the amount is 5.2 times what the card usually pays"),
        ("card_outliers_7d", 3, "unusually high amounts on the card in 7 days: 3"),
        ("merchant_since_fraud", NEVER, "last payment here known to be fraud: never"),
        ("merchant_since_fraud", 100, "last payment here known to be fraud: 100 seconds ago"),
        ("merchant_since_genuine", 7_200, "last payment here known to be genuine: 2 hours ago"),
        ("merchant_run_age", 12 * 86_400, "the first of these frauds: 12 days ago"),
    ],
)
def test_the_words_of_a_value(name: str, value: int, words: str) -> None:
    """As an analyst would say them."""
    assert words == words_of(NAMES.index(name), value)


# --- the logistic function and the scorecard ---------------------------------------------------------------


def test_probabilities_rise_from_0_to_1_and_undo_log_odds() -> None:
    """By the row and by the batch the same, also far outside of the table."""
    odds = [*range(-REACH - 5 * ONE, REACH + 5 * ONE, 99_991), -(1 << 60), 1 << 60]
    ones = [probability(odd) for odd in odds]
    assert ones == probabilities(np.array(odds, np.int64)).tolist()
    assert ones[:-2] == sorted(ones[:-2])
    assert (0, ONE) == (min(ones), max(ones)) or (min(ones) < 2 and max(ones) > ONE - 2)
    for percent in (1, 10, 50, 90, 99):
        assert probability(log_odds(percent, 100)) / ONE == pytest.approx(percent / 100, abs=5e-5)
    assert list(TABLE) == sorted(TABLE)


def test_a_scorecard_learns_label_by_label() -> None:
    """From a thousand labels: what is fraud ranks above, by a lot, and the model made of it says the same."""
    random = Random(1)
    card = scorecard.empty([0, 1], [[100, 200], [5]], log_odds(1, 20))
    for _ in range(1_000):
        vector = [random.randrange(300), random.randrange(10), *[0] * (len(NAMES) - 2)]
        scorecard.learn(card, vector, vector[0] >= 200 and vector[1] >= 5)
    high, low = [250, 7, *[0] * 10], [50, 2, *[0] * 10]
    assert scorecard.margin(card, high) - scorecard.margin(card, low) > 3 * ONE
    assert 1_000 == card.labels
    bins = learned_bins(card)
    assert [[100, 200], [5]] == [list(row.edges) for row in bins]
    assert scorecard.margin(card, high) == card.base + bins[0].weights[2] + bins[1].weights[1]
