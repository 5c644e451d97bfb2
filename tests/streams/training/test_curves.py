"""Curves against their definitions, counted one payment after the other."""

from random import Random

import numpy as np
import pytest

from events.calendar import DAY
from streams.features.logistic import ONE
from streams.features.models import Kind
from streams.training.curves import GAINS, ODDS, curves, weekly_drift
from streams.training.fitting import fit
from streams.training.histories import replay
from streams.training.measures import average_precision
from tests.streams.training.histories import made_up


@pytest.mark.parametrize("seed", range(5))
def test_every_point_is_what_it_is_defined_as(seed: int) -> None:
    """A thousand payments, some margins twice."""
    chance = Random(seed)
    frauds = [chance.random() < 0.1 for _ in range(1_000)]
    margins = [chance.randrange(-12, 12) * ONE + 3 * ONE * fraud + chance.randrange(9) for fraud in frauds]
    found = curves(np.array(frauds), np.array(margins, np.int64))
    ranked = [fraud for _, fraud in sorted(zip(margins, frauds, strict=True), key=lambda one: -one[0])]
    total = sum(frauds)
    assert (1_000, total) == (found.payments, found.fraud_payments)
    for percent in (1, 10, 50, 99, 100):
        top = next(n for n in range(1, 1_001) if 100 * sum(ranked[:n]) >= percent * total)
        assert found.precision[percent - 1] == pytest.approx(sum(ranked[:top]) / top)
    for share, gain in zip(GAINS, found.gains, strict=True):
        top = max(1, 1_000 * share // 100_000)
        assert gain == pytest.approx(sum(ranked[:top]) / total)
    for place, low in enumerate(ODDS[:-1]):
        inside = [
            fraud
            for margin, fraud in zip(margins, frauds, strict=True)
            if low * ONE <= margin < (low + 1) * ONE
        ]
        assert (sum(inside), len(inside) - sum(inside)) == (found.frauds[place + 1], found.genuine[place + 1])
    assert 1_000 == sum(found.frauds) + sum(found.genuine)
    area = average_precision(np.array(frauds), np.array(margins, np.int64))
    assert sum(found.precision) / 100 == pytest.approx(area, abs=0.03)


def test_drift_week_by_week() -> None:
    """Whole weeks alone; where amounts are three times as high from the third week on, it shows from there on."""
    history = made_up()
    vectors = replay(history, 7 * DAY, lambda _: None)
    model = fit(history, vectors, slice(0, 4_000), Kind.SCORECARD, 0, lambda done, of: None)
    begins = int(history.at[0]) // DAY * DAY
    vectors = vectors.copy()
    vectors[history.between(begins + 14 * DAY, begins + 99 * DAY), 0] *= 3
    found = weekly_drift(model, history, vectors, begins)
    assert {5} == {len(weeks) for weeks in found.values()}
    assert max(found["amount"][:2]) < 0.1 < 0.25 < min(found["amount"][2:])
