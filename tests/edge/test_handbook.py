"""The public yardstick is made of the published numbers, on every machine."""

import numpy as np
import pytest

from streams.edge import handbook
from streams.edge.handbook import CUSTOMERS, FRAUDS, LARGE, PAYMENTS, make

#: Of the whole history, whose totals are the published ones: the payments of its first 40 customers.
FIRST_CUSTOMERS = 40
THEIR_PAYMENTS, SUM_OF_SECONDS, SUM_OF_TERMINALS = 14_076, 110_820_862_232, 70_456_932


def test_the_first_customers_pay_as_published() -> None:
    """A customer's chance is their own, so a part of the whole can be checked in no time."""
    history, _ = make(lambda _: None, customers=FIRST_CUSTOMERS)
    seconds = (history.at - handbook.FIRST_DAY * 86_400_000_000) // 1_000_000
    assert (THEIR_PAYMENTS, SUM_OF_SECONDS, SUM_OF_TERMINALS) == (
        len(history.at),
        int(seconds.sum()),
        int(history.merchant.sum()),
    )


def test_the_frauds_of_a_small_history() -> None:
    """Large amounts are all fraud, kinds add up, and the same history comes again."""
    first = make(lambda _: None, customers=80, terminals=300, days=20, near=12)
    again = make(lambda _: None, customers=80, terminals=300, days=20, near=12)
    for one, other in zip(first.history, again.history, strict=True):
        assert one.tolist() == other.tolist()
    history = first.history
    assert history.fraud[history.amount > LARGE * 5].all()
    assert sum(first.added) == int(history.fraud.sum())
    assert min(first.added[1:]) > 0
    assert (np.diff(history.at) >= 0).all()


@pytest.mark.year
def test_the_published_totals() -> None:
    """1,754,155 payments, 14,681 frauds; large amounts, bad terminals, stolen cards."""
    made = make(lambda _: None)
    assert (PAYMENTS, FRAUDS) == (len(made.history.at), int(made.history.fraud.sum()))
    assert (978, 9_099, 4_604) == made.added
    assert CUSTOMERS > int(made.history.card.max())
    week = (made.history.days >= 115) & (made.history.days < 122)
    assert (67_240, 598) == (int(week.sum()), int(made.history.fraud[week].sum()))
