"""A scorecard that learns on a history says what the one in the stream would have said."""

from random import Random

import numpy as np
import pytest

from events.calendar import DAY
from events.disputes import Label
from events.errors import Refused
from events.examples import Example, ExamplesGathered
from events.risk import Mode
from streams.features import online
from streams.features.kept import is_drawn
from streams.features.models import Kind, Model
from streams.features.online import Online
from streams.training.batches import margins
from streams.training.fitting import fit
from streams.training.histories import History, Whole, replay
from streams.training.learning import _name_of, said_while_learning
from tests.streams.models import learner, random_model
from tests.streams.training.histories import made_up

DELAY, AFTER, ONE_IN = 3, 5, 4


@pytest.fixture(scope="module")
def history() -> History:
    """Forty days."""
    return made_up()


@pytest.fixture(scope="module")
def vectors(history: History) -> Whole:
    """What a model sees of them."""
    return replay(history, DELAY * DAY, lambda _: None)


@pytest.fixture(scope="module")
def model(history: History, vectors: Whole) -> Model:
    """Trained on the first half."""
    return fit(history, vectors, slice(0, 2_000), Kind.SCORECARD, 0, lambda done, of: None)


def learned(model: Model, history: History, vectors: Whole, rows: slice, one_in: int = ONE_IN) -> Whole:
    """Its margins."""
    shares = {"delay_days": DELAY, "genuine_one_in": one_in, "genuine_after_days": AFTER}
    return said_while_learning(model, history, vectors, rows, **shares)


def test_it_says_what_the_one_in_the_stream_says(model: Model, history: History, vectors: Whole) -> None:
    """Asked payment by payment, and given each example as a batch of its own when its time has come."""
    rows = slice(2_000, 4_000)
    state = Online()
    assert [] == online.put(state, learner(model), 1)
    assert state.learner is not None
    begins = (int(history.at[rows.start]) // DAY + 1 + AFTER) * DAY
    due: list[tuple[int, int, Example]] = []
    expected = []
    for number, index in enumerate(range(rows.start, rows.stop)):
        at, fraud = int(history.at[index]), bool(history.fraud[index])
        ready = sorted(one for one in due if one[0] <= at)
        due = [one for one in due if one[0] > at]
        for _, _, example in sorted(ready, key=lambda one: (one[2].label is Label.GENUINE, one[1])):
            online._learn(state, ExamplesGathered(1, 1, [example]))
        said, judged = online.ask(state.learner, vectors[index].tolist(), at, Mode.SHADOW)
        expected.append(said.margin)
        if fraud:
            due.append((max(at + DELAY * DAY, begins), number, Example("", 1, Label.FRAUD, 1, judged.bins)))
        elif is_drawn(_name_of(number), ONE_IN):
            due.append(
                ((at // DAY + 1 + AFTER) * DAY, number, Example("", 0, Label.GENUINE, ONE_IN, judged.bins))
            )
    assert expected == learned(model, history, vectors, rows).tolist()
    assert expected != margins(model, vectors[rows]).tolist()


def test_it_says_nothing_of_what_it_has_yet_to_hear(model: Model, history: History, vectors: Whole) -> None:
    """With every label turned round that comes after a payment, the payment has the same margin."""
    rows, place = slice(2_000, 4_000), 1_500
    at = int(history.at[rows.start + place])
    fraud = history.fraud.copy()
    unheard = np.arange(len(fraud)) >= np.searchsorted(history.at, at - DELAY * DAY, side="right")
    fraud[unheard] = ~fraud[unheard]
    before = learned(model, history, vectors, rows)
    turned = learned(model, history._replace(fraud=fraud), vectors, rows)
    # What is turned into fraud is no longer drawn as genuine, and the other way round: up to then it is the same.
    assert before[: place + 1].tolist() == turned[: place + 1].tolist()
    assert before[place + 1 :].tolist() != turned[place + 1 :].tolist()


def test_what_does_not_learn_is_refused(model: Model, history: History, vectors: Whole) -> None:
    """In a sentence."""

    with pytest.raises(Refused, match="this model does not learn: kind"):
        learned(random_model(Random(1)), history, vectors, slice(0, 10))
    with pytest.raises(Refused, match="from 1 to 1,000"):
        learned(model, history, vectors, slice(0, 10), one_in=0)
