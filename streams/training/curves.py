"""What a ranking is worth at every threshold, where its scores lie, and how payments move away from its training.

Points for plots, few enough to be kept beside them: precision at each hundredth of recall, the share of frauds among
the payments that rank highest, how many payments of each kind have which log-odds, and drift week by week.
"""

from typing import Final, NamedTuple

import numpy as np

from events.calendar import DAY
from streams.features.logistic import ONE
from streams.features.models import Model
from streams.training.drifting import drift
from streams.training.histories import History, Truth, Whole

GAINS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Shares of all payments, in 100,000ths."""
ODDS: Final = range(-10, 11)
"""Log-odds between which payments are counted, beyond them with the last."""
WEEK: Final = 7


class Curves(NamedTuple):
    """``precision[i]`` is where recall first reaches i + 1 per cent; ``gains[i]`` the share of all frauds among the
    :data:`GAINS` of the payments that rank highest; ``frauds`` and ``genuine`` count payments between :data:`ODDS`."""

    payments: int
    fraud_payments: int
    precision: list[float]
    gains: list[float]
    frauds: list[int]
    genuine: list[int]


def curves(frauds: Truth, margins: Whole) -> Curves:
    """The curves of one ranking. Payments with the same margin rank in the order in which they came."""
    order = np.argsort(-margins, kind="stable")
    found = np.cumsum(frauds[order], dtype=np.int64)
    total = int(found[-1])
    ranks = [int(np.searchsorted(found, -(-total * percent // 100))) for percent in range(1, 101)]
    tops = [max(1, len(frauds) * share // GAINS[-1]) for share in GAINS]
    edges = np.array(ODDS, np.int64) * ONE
    places = np.searchsorted(edges, margins, side="right")
    return Curves(
        len(frauds),
        total,
        [float(found[rank] / (rank + 1)) for rank in ranks],
        [float(found[top - 1] / total) for top in tops],
        np.bincount(places[frauds], minlength=len(ODDS) + 1).tolist(),
        np.bincount(places[~frauds], minlength=len(ODDS) + 1).tolist(),
    )


def weekly_drift(model: Model, history: History, vectors: Whole, first_at: int) -> dict[str, list[float]]:
    """The stability index of each feature and the score, in each whole week from ``first_at`` on."""
    found: dict[str, list[float]] = {}
    end = int(history.at[-1])
    at = first_at
    while at + WEEK * DAY <= end + 1:
        rows = history.between(at, at + WEEK * DAY)
        at += WEEK * DAY
        if rows.start == rows.stop:
            continue
        for moved in drift(model, vectors[rows]):
            found.setdefault(moved.name, []).append(round(moved.stability, 4))
    return found
