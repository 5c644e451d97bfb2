"""What the fraud model costs: profile, label, margin by the row and by the batch, reasons."""

from collections.abc import Callable
from itertools import cycle, islice
from typing import Final

import numpy as np

from events.calendar import DAY
from streams.features.logistic import log_odds
from streams.features.models import Kind
from streams.features.scorecard import empty, learn
from streams.features.scoring import assess, scorer
from streams.training.batches import margins
from streams.training.fitting import fit
from streams.training.histories import replay
from tests.streams.training.histories import made_up

PAYMENTS: Final = 40_000
ROWS: Final = 50_000

#: How long a call takes, in processor seconds.
Timed = Callable[[Callable[[], object]], float]


def scoring(timed: Timed) -> dict[str, float]:
    """Microseconds for one payment, or one label, of each part; 100 trees and 12 features."""
    history = made_up(payments=PAYMENTS, days=120, cards=4_000, merchants=2_000)
    took = timed(lambda: replay(history, 7 * DAY, lambda _: None))
    vectors = replay(history, 7 * DAY, lambda _: None)
    model = fit(history, vectors, slice(0, PAYMENTS), Kind.FOREST, 0, lambda done, of: None)
    rows = list(islice(cycle(vectors.tolist()), ROWS))
    batch = np.array(rows, np.int64)
    margin = scorer(model)
    card = empty(range(12), [shares.edges for shares in model.feature_shares], log_odds(1, 100))
    costs = {
        "model_profile_us": took / PAYMENTS,
        "model_row_us": timed(lambda: [margin(row) for row in rows]) / ROWS,
        "model_batch_us": timed(lambda: margins(model, batch)) / ROWS,
        "model_reasons_us": timed(lambda: [assess(model, row) for row in rows[: ROWS // 10]]) / (ROWS // 10),
        "model_label_us": timed(lambda: [learn(card, row, False) for row in rows]) / ROWS,
    }
    return {name: round(seconds * 1e6, 2) for name, seconds in costs.items()}
