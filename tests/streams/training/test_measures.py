"""Measures against their definitions, computed slowly and plainly."""

from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest

from streams.features.logistic import ONE, log_odds, probability
from streams.features.models import MARKS
from streams.training.measures import (
    FEWEST_FRAUDS,
    auc_roc,
    average_precision,
    calibrated_marks,
    card_precision,
    counts_of,
    isotonic,
    plain_marks,
    shares_of,
    stability,
)


def sample(seed: int, count: int = 60, values: int = 12) -> tuple[list[bool], list[int]]:
    """Frauds and margins with many ties."""
    random = Random(seed)
    margins = [random.randrange(values) for _ in range(count)]
    return [random.randrange(values) < margin for margin in margins], margins


@pytest.mark.parametrize("seed", range(10))
def test_auc_and_average_precision_by_their_definitions(seed: int) -> None:
    """Pairs won by the fraud; and precision where recall rises, ties taken together."""
    frauds, margins = sample(seed)
    good = [margin for fraud, margin in zip(frauds, margins, strict=True) if not fraud]
    bad = [margin for fraud, margin in zip(frauds, margins, strict=True) if fraud]
    won = sum(Fraction((b > g) * 2 + (b == g), 2) for b, g in product(bad, good))
    truth, ranked = np.array(frauds), np.array(margins, np.int64)
    assert float(won / (len(good) * len(bad))) == pytest.approx(auc_roc(truth, ranked))
    precision = Fraction(0)
    for level in set(bad):
        reached = [fraud for fraud, margin in zip(frauds, margins, strict=True) if margin >= level]
        precision += Fraction(bad.count(level), len(bad)) * Fraction(sum(reached), len(reached))
    assert float(precision) == pytest.approx(average_precision(truth, ranked))


def test_of_one_kind_only_there_is_nothing_to_rank() -> None:
    """Neither measure makes up a figure."""
    assert np.isnan(auc_roc(np.array([True, True]), np.array([1, 2])))
    assert np.isnan(average_precision(np.array([False]), np.array([1])))


def test_the_cards_of_a_day() -> None:
    """A card counts by its highest margin; one that was found is not looked for again."""
    days = np.array([0, 0, 0, 0, 1, 1, 1])
    cards = np.array([1, 1, 2, 3, 1, 3, 4])
    frauds = np.array([True, False, False, False, True, True, False])
    margins = np.array([1, 9, 5, 4, 9, 5, 2])
    # Day 0: cards 1 and 2, of which 1 was defrauded. Day 1: card 1 is out, so 3 and 4, of which 3.
    assert 0.5 == card_precision(days, cards, frauds, margins, top=2)
    assert 0.5 == card_precision(days[:4], cards[:4], frauds[:4], margins[:4], top=2)
    assert 2 / 100 / 2 == card_precision(days, cards, frauds, margins)


# --- calibration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_the_isotonic_fit_is_the_one_by_the_formula(seed: int) -> None:
    """At each margin the highest, over where a stretch may begin, of the lowest rate over where it may end."""
    frauds, margins = sample(seed, count=40, values=8)
    levels = sorted(set(margins))
    groups = [
        [fraud for fraud, margin in zip(frauds, margins, strict=True) if margin == level] for level in levels
    ]

    def rate(first: int, last: int) -> Fraction:
        members = [fraud for group in groups[first : last + 1] for fraud in group]
        return Fraction(sum(members), len(members))

    blocks = isotonic(np.array(frauds), np.array(margins, np.int64))
    for place, level in enumerate(levels):
        block = [block for block in blocks if block.margin <= level][-1]
        expected = max(
            min(rate(first, last) for last in range(place, len(levels))) for first in range(place + 1)
        )
        assert expected == Fraction(block.frauds, block.payments)


def test_a_calibrated_score_is_per_cent() -> None:
    """Margins that are far too sure of themselves: by their own word they are wrong, by the marks they are right."""
    random = Random(2)
    odds = [random.randint(-6 * ONE, 3 * ONE) for _ in range(40_000)]
    frauds = np.array([random.randrange(ONE) < probability(odd) for odd in odds])
    margins = 3 * np.array(odds, np.int64) + ONE
    half = slice(0, 20_000)
    marks = calibrated_marks(frauds[half], margins[half])
    reached = np.searchsorted(np.array(marks), margins[20_000:], side="right")
    truth = frauds[20_000:]
    for low in range(0, MARKS, 20):
        here = (reached >= low) & (reached < low + 20)
        assert reached[here].mean() / 100 == pytest.approx(truth[here].mean(), abs=0.04)
    assert list(marks) == sorted(marks)


def test_with_too_few_frauds_margins_are_taken_at_their_word() -> None:
    """A handful of frauds says nothing about a hundred marks."""
    frauds = np.arange(1_000) < FEWEST_FRAUDS - 1
    marks = calibrated_marks(frauds, np.arange(1_000, dtype=np.int64))
    assert plain_marks() == marks
    assert log_odds(99, 200) == marks[49]


# --- drift -----------------------------------------------------------------------------------------------


def test_parts_are_of_about_equal_weight() -> None:
    """Also where one value is most of the data: then there are fewer parts."""
    even = shares_of(np.arange(1_000, dtype=np.int64))
    assert (9, (100,) * 10) == (len(even.edges), even.counts)
    lumpy = shares_of(np.array([0] * 900 + list(range(1, 101)), np.int64))
    assert 1_000 == sum(lumpy.counts)
    assert 900 == lumpy.counts[0]
    assert ((), (5,)) == (shares_of(np.full(5, 3)).edges, shares_of(np.full(5, 3)).counts)


def test_stability_of_the_same_of_more_and_of_another_world() -> None:
    """Nothing for the same shares at any size; more the further they move; finite for an empty part."""
    assert 0 == pytest.approx(stability((100, 200, 700), (1_000, 2_000, 7_000)), abs=1e-4)
    small, large = stability((100, 100), (90, 110)), stability((100, 100), (20, 180))
    assert 0 < small < 0.05 < 0.25 < large
    assert 1 < stability((100, 0), (0, 100)) < 20
    assert (1, 2, 0) == counts_of((5, 9), np.array([4, 5, 8], np.int64))
