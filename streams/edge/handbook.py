"""The public yardstick's history: simulated payments of 183 days, as the *Fraud Detection Handbook* describes them.

5,000 customers pay at terminals near them, about twice a day, amounts around their own mean. Three kinds of fraud are
then marked: amounts above 220; all payments at two terminals a day, for 28 days; and of three customers a day, for 14
days, a third of the payments, whose amounts become five times as high.

The published figures are made on these very payments, so chance has to be that of the description: numpy's and
Python's generators (the old ones: no newer gives their numbers) with its seeds, which are 0 for customers, 1 for
terminals, the customer's number, the day. The totals agree: 1,754,155 payments, 14,681 frauds, 978 + 9,099 + 4,604 of
them by the order in which they were marked.
"""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from events.calendar import DAY, SECOND, day_number
from streams.training.histories import History

FIRST_DAY: Final = day_number(2018, 4, 1)
CUSTOMERS: Final = 5_000
TERMINALS: Final = 10_000
DAYS: Final = 183
PAYMENTS, FRAUDS = 1_754_155, 14_681
"""The published totals."""
NEAR: Final = 5.0
SECONDS: Final = 86_400
LARGE: Final = 22_000
TERMINAL_DAYS, CUSTOMER_DAYS = 28, 14

Whole = NDArray[np.int64]


class Made(NamedTuple):
    """The history, and how many frauds each kind added when they were marked one after the other."""

    history: History
    added: tuple[int, int, int]


def make(
    watch: Callable[[int], None],
    customers: int = CUSTOMERS,
    terminals: int = TERMINALS,
    days: int = DAYS,
    near: float = NEAR,
) -> Made:
    """The history; ``watch`` hears how many customers have paid."""
    profiles = RandomState(0).uniform(0, 1, (customers, 4))
    positions = RandomState(1).uniform(0, 100, (terminals, 2))
    seconds: list[int] = []
    payers: list[int] = []
    places: list[int] = []
    amounts: list[int] = []
    for customer in range(customers):
        x, y, wealth, activity = profiles[customer]
        distance = np.sqrt(np.square(np.array([x, y]) * 100 - positions).sum(axis=1))
        nearby: list[int] = np.flatnonzero(distance < near).tolist()
        before = len(seconds)
        _pay(customer, 5 + 95 * wealth, 4 * activity, nearby, days, seconds, places, amounts)
        payers.extend([customer] * (len(seconds) - before))
        watch(customer + 1)
    order = np.argsort(np.array(seconds, np.int64), kind="stable")
    second, payer, place, amount = (
        np.array(column, np.int64)[order] for column in (seconds, payers, places, amounts)
    )
    fraud, added = _mark(second // SECONDS, payer, place, amount, customers, terminals)
    return Made(History(FIRST_DAY * DAY + second * SECOND, payer, place, amount, fraud), added)


def _pay(
    customer: int,
    usual: float,
    a_day: float,
    nearby: list[int],
    days: int,
    seconds: list[int],
    places: list[int],
    amounts: list[int],
) -> None:
    """A customer's payments. Every draw counts, also of payments that then do not happen."""
    chance, choice = RandomState(customer), Random(customer)  # noqa: S311 - simulated, and public
    for day in range(days):
        for _ in range(chance.poisson(a_day)):
            second = int(chance.normal(SECONDS / 2, 20_000))
            if not 0 < second < SECONDS:
                continue
            amount = chance.normal(usual, usual / 2)
            if amount < 0:
                amount = chance.uniform(0, usual * 2)
            if nearby:
                seconds.append(day * SECONDS + second)
                places.append(choice.choice(nearby))
                amounts.append(round(float(np.round(amount, 2)) * 100))


def _mark(
    days: Whole, payers: Whole, places: Whole, amounts: Whole, customers: int, terminals: int
) -> tuple[NDArray[np.bool_], tuple[int, int, int]]:
    """Which payments are fraud; the amounts of stolen cards are raised in place."""
    fraud = amounts > LARGE
    counts = [0, int(fraud.sum())]
    last = int(days.max()) if len(days) else 0
    for day in range(last):
        bad = RandomState(day).choice(terminals, 2, replace=False)
        during = slice(*np.searchsorted(days, [day, day + TERMINAL_DAYS]).tolist())
        fraud[during] |= np.isin(places[during], bad)
    counts.append(int(fraud.sum()))
    for day in range(last):
        robbed = RandomState(day).choice(customers, 3, replace=False)
        first, end = np.searchsorted(days, [day, day + CUSTOMER_DAYS]).tolist()
        theirs = (first + np.flatnonzero(np.isin(payers[first:end], robbed))).tolist()
        stolen = Random(day).sample(theirs, len(theirs) // 3)  # noqa: S311 - simulated, and public
        amounts[stolen] *= 5
        fraud[stolen] = True
    counts.append(int(fraud.sum()))
    large, terminal, card = (later - before for before, later in pairwise(counts))
    return fraud, (large, terminal, card)
