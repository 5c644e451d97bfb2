"""The protocol takes the rows that its description names, and nothing of a test reaches the training."""

import numpy as np
import pytest

from events.errors import Refused
from streams.features.models import Kind
from streams.training.histories import History, Whole, replay
from streams.training.protocol import Protocol, evaluate, mean, protocol_for, rows_to_test
from tests.streams.training.histories import made_up

DAY = 86_400_000_000
SHORT = Protocol(start=10, folds=2, train=7, delay=3, test=4)


@pytest.fixture(scope="module")
def history() -> History:
    return made_up()


@pytest.fixture(scope="module")
def vectors(history: History) -> Whole:
    return replay(history, SHORT.delay * DAY, lambda _: None)


def silent(done: int, of: int) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("first_day", [0, 10, 20])
def test_the_rows_of_a_test(history: History, first_day: int) -> None:
    """A card is out once it had a fraud in training, or on a day whose labels have come."""
    days, cards, frauds = (column.tolist() for column in (history.days, history.card, history.fraud))
    expected = []
    for row, (day, card) in enumerate(zip(days, cards, strict=True)):
        if not first_day + 10 <= day < first_day + 14:
            continue
        known = any(
            fraud and other == card and first_day <= past <= day - SHORT.delay - 1
            for past, other, fraud in zip(days, cards, frauds, strict=True)
        )
        if not known:
            expected.append(row)
    assert expected == rows_to_test(history, SHORT, first_day).tolist()


@pytest.mark.parametrize("kind", list(Kind))
def test_figures_do_not_depend_on_what_comes_later(history: History, vectors: Whole, kind: Kind) -> None:
    """Cut the history off behind the last test day: the same figures."""
    whole = evaluate(history, vectors, SHORT, kind, silent)
    end = int(np.searchsorted(history.days, SHORT.days))
    cut = History(*(column[:end] for column in history))
    assert whole == evaluate(cut, vectors[:end], SHORT, kind, silent)
    assert 2 == len(whole)
    assert (10, 14) == tuple(fold.first_day for fold in whole)
    assert mean(whole).auc_roc == pytest.approx(sum(fold.figures.auc_roc for fold in whole) / 2)


def test_a_short_history_ends_with_the_last_fold(history: History) -> None:
    """The published start where there are days enough, else as late as possible."""
    days = int(history.days[-1]) + 1
    assert days == protocol_for(history, SHORT._replace(start=115)).days
    assert SHORT == protocol_for(history, SHORT)


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (SHORT._replace(start=30), "the protocol needs 48 days, this history has 40"),
        (SHORT._replace(start=-3), "the protocol needs 18 days"),
        (SHORT._replace(folds=0), "are at least 1"),
    ],
)
def test_what_cannot_be_tested(history: History, vectors: Whole, protocol: Protocol, reason: str) -> None:
    """Too short, or no folds at all."""
    with pytest.raises(Refused, match=reason):
        evaluate(history, vectors, protocol, Kind.FOREST, silent)


@pytest.mark.parametrize("fraud", [True, False])
def test_a_history_of_one_kind(history: History, vectors: Whole, fraud: bool) -> None:
    """Without frauds, or without anything else, there is nothing to learn and nothing to test."""
    same = history._replace(fraud=np.full(len(history.at), fraud))
    with pytest.raises(Refused):
        evaluate(same, vectors, SHORT, Kind.FOREST, silent)
