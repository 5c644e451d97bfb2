"""Drift: an index, what chance makes of it, and a distance; each against what it is defined by."""

import numpy as np
import pytest

from streams.features.models import Kind
from streams.training.drifting import Drift, by_chance, distance, drift
from streams.training.fitting import fit_calibrated
from streams.training.histories import replay
from streams.training.measures import counts_of, shares_of, stability
from tests.streams.training.histories import made_up

DAY = 86_400_000_000


@pytest.mark.parametrize(("trained", "found"), [(2_000, 2_000), (50_000, 300), (400, 20_000)])
def test_what_chance_makes_of_the_same_payments(trained: int, found: int) -> None:
    """Of 600 samples of one distribution about one in twenty is beyond it."""
    chance = np.random.default_rng(1)
    beyond = 0
    for _ in range(600):
        shares = shares_of(chance.integers(0, 1 << 40, trained))
        counts = counts_of(shares.edges, chance.integers(0, 1 << 40, found))
        beyond += stability(shares.counts, counts) > by_chance(len(counts), trained, found)
    assert 12 <= beyond <= 48


def test_the_distance_is_that_of_two_cumulative_shares() -> None:
    """By hand; none where they are alike; one where nothing is shared; and of nothing, nothing."""
    assert distance((10, 10, 20), (20, 0, 0)) == pytest.approx(0.75)
    assert distance((1, 2, 3), (100, 200, 300)) == pytest.approx(0)
    assert distance((5, 0), (0, 9)) == 1
    assert distance((5,), (0,)) == 1
    assert by_chance(1, 10, 10) == by_chance(5, 0, 10) == 0


@pytest.mark.parametrize(
    ("stability", "by_chance", "standing"),
    [(0.05, 0.01, "stable"), (0.1, 0.01, "moved"), (0.25, 0.2, "another world"), (0.3, 0.4, "stable")],
)
def test_a_word_for_it(stability: float, by_chance: float, standing: str) -> None:
    """What chance explains has not moved."""
    assert Drift("amount", stability, by_chance, 0.0, (), (1,), (1,)).standing == standing


def test_it_is_seen_where_it_is_and_nowhere_else() -> None:
    """Amounts three times as high: the amount, and what depends on it; the counts say how."""
    history = made_up()
    vectors = replay(history, 7 * DAY, lambda _: None)
    model = fit_calibrated(history, vectors, slice(0, 4_000), Kind.SCORECARD, 0, lambda done, of: None)
    assert {"stable"} == {one.standing for one in drift(model, vectors[:4_000])}
    raised = vectors.copy()
    raised[:, 0] *= 3
    found = {one.name: one for one in drift(model, raised)}
    assert "another world" == found["amount"].standing
    assert found["amount"].distance > 0.3
    assert "stable" == found["merchant_labels_28d"].standing
    assert sum(found["amount"].found) == len(vectors)
