"""Small histories to train and test on, made up from a seed."""

from random import Random
from typing import Final

import numpy as np

from events.calendar import DAY, SECOND, day_number
from streams.training.histories import History

FIRST_AT: Final = day_number(2026, 3, 2) * DAY


def made_up(
    seed: int = 1, payments: int = 4_000, days: int = 40, cards: int = 60, merchants: int = 25
) -> History:
    """Cards that pay around their own amounts; frauds are five times as much, or anything at a bad merchant."""
    random = Random(seed)
    usual = [random.randint(500, 10_000) for _ in range(cards)]
    times = sorted(random.randrange(days * 86_400) for _ in range(payments))
    columns: list[tuple[int, int, int, int, bool]] = []
    for second in times:
        card, merchant = random.randrange(cards), random.randrange(merchants)
        amount = usual[card] * random.randint(50, 150) // 100
        stolen = random.random() < 0.02
        bad = merchant < 4 and (second // 86_400) % 20 < 10
        columns.append(
            (FIRST_AT + second * SECOND, card, merchant, amount * (5 if stolen else 1), stolen or bad)
        )
    at, card_, merchant_, amount_, fraud = zip(*columns, strict=True)
    return History(
        np.array(at, np.int64),
        np.array(card_, np.int64),
        np.array(merchant_, np.int64),
        np.array(amount_, np.int64),
        np.array(fraud, np.bool_),
    )
