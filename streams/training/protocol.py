"""The public yardstick's protocol, on any history: train, wait for labels, test; four times, a week further each time.

It is the one of the *Fraud Detection Handbook* (Le Borgne, Siblini, Lebichot, Bontempi): a model is trained on some
days, the labels of the days behind them are not known yet, and it is tested on the days behind those. On each test day
the cards of which fraud is known are left out, as they would be blocked: those with a fraud in training, or on a day
whose labels have come. Measured are the area under the ROC curve, average precision, and of the 100 cards a day that
rank highest how many were defrauded.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from events.calendar import DAY
from events.errors import Refused
from streams.features.models import Kind, Model
from streams.training.batches import margins
from streams.training.fitting import fit
from streams.training.histories import History, Whole
from streams.training.measures import auc_roc, average_precision, card_precision

#: In the published tables training starts on 2018-07-25, the 116th day of the history.
PUBLISHED_START: Final = 115


class Protocol(NamedTuple):
    """Days. ``start`` is the first training day of the first fold, counted from the first day of the history."""

    start: int = PUBLISHED_START
    folds: int = 4
    train: int = 7
    delay: int = 7
    test: int = 7

    @property
    def days(self) -> int:
        """How many days a history needs."""
        return self.start + self.train + self.delay + self.test * self.folds


class Figures(NamedTuple):
    """What a model reached."""

    auc_roc: float
    average_precision: float
    card_precision_100: float


class Fold(NamedTuple):
    """One fold: what it was trained and tested on, and what came of it."""

    first_day: int
    train_payments: int
    train_frauds: int
    test_payments: int
    test_frauds: int
    figures: Figures


Watch = Callable[[int, int], None]


def protocol_for(history: History, protocol: Protocol) -> Protocol:
    """The protocol for a history: where it is shorter than the published one, the folds end with it."""
    days = int(history.days[-1]) + 1
    if days < protocol.days:
        protocol = protocol._replace(start=days - (protocol.days - protocol.start))
    return protocol


def rows_to_test(history: History, protocol: Protocol, first_day: int) -> Whole:
    """The rows that a fold is tested on: those of its test days, without the cards that are known by then."""
    days = history.days
    cards = int(history.card.max()) + 1
    known = np.zeros(cards, np.bool_)
    chosen = []
    begins = first_day + protocol.train
    training = slice(*np.searchsorted(days, [first_day, begins]).tolist())
    known[history.card[training][history.fraud[training]]] = True
    for day in range(protocol.test):
        # The labels of this day have come when the test day begins.
        heard = slice(*np.searchsorted(days, [begins + day - 1, begins + day]).tolist())
        known[history.card[heard][history.fraud[heard]]] = True
        tested = begins + protocol.delay + day
        first, end = np.searchsorted(days, [tested, tested + 1]).tolist()
        chosen.append(first + np.flatnonzero(~known[history.card[first:end]]))
    return np.concatenate(chosen)


def evaluate(
    history: History,
    vectors: Whole,
    protocol: Protocol,
    kind: Kind,
    watch: Watch,
    look: Callable[[Model, Whole, Whole], None] = lambda model, rows, margins: None,
) -> list[Fold]:
    """Every fold of the protocol; ``look`` is shown each fold's model, the rows that it was tested on, its margins."""
    if min(protocol.folds, protocol.train, protocol.delay, protocol.test) < 1:
        raise Refused("folds, training days, delay and test days are at least 1")
    days = int(history.days[-1]) + 1
    if protocol.start < 0 or days < protocol.days:
        needed = protocol.days - min(protocol.start, 0)
        raise Refused(f"the protocol needs {needed} days, this history has {days}: take fewer --folds")
    begins = int(history.at[0]) // DAY
    made = []
    for number in range(protocol.folds):
        first_day = protocol.start + number * protocol.test
        trained = history.between((begins + first_day) * DAY, (begins + first_day + protocol.train) * DAY)
        rows = rows_to_test(history, protocol, first_day)
        frauds = history.fraud[rows]
        if not 0 < int(frauds.sum()) < len(frauds):
            raise Refused(
                f"fold {number + 1} tests on {len(frauds)} payments, {int(frauds.sum())} of them fraud"
            )
        labels_until_at = (begins + first_day + protocol.train + protocol.delay) * DAY
        step = number

        def report(done: int, of: int, step: int = step) -> None:
            watch(step * of + done, protocol.folds * of)

        model = fit(history, vectors, trained, kind, labels_until_at, report)
        reached = margins(model, vectors[rows])
        look(model, rows, reached)
        made.append(
            Fold(
                first_day,
                model.trained.payments,
                model.trained.frauds,
                len(rows),
                int(frauds.sum()),
                figures_of(history, rows, reached),
            )
        )
    return made


def figures_of(history: History, rows: Whole, reached: Whole) -> Figures:
    """What margins are worth on some rows."""
    frauds = history.fraud[rows]
    return Figures(
        auc_roc(frauds, reached),
        average_precision(frauds, reached),
        card_precision(history.days[rows], history.card[rows], frauds, reached),
    )


def mean(folds: list[Fold]) -> Figures:
    """The means over folds."""
    columns = zip(*(fold.figures for fold in folds), strict=True)
    return Figures(*(sum(column) / len(folds) for column in columns))
