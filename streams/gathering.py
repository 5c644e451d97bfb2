"""Gathering: one order for what the scorecard learns, made in the first partition of the log ``velocity``.

Learning does not commute: the same examples in another order give other weights. So the examples of all partitions
come here, and what came between two ticks is put into the order of event time and payment, which does not depend on
which partition was read first. Batches are numbered, and every partition of ``payments`` learns them by their numbers.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.base import Event
from events.envelope import Recorded
from events.examples import Example, ExampleDrawn, ExamplesGathered
from streams.processor import NOTICES, Work

NAME: Final = "gathering"
HEARS: Final[tuple[type[Event], ...]] = (ExampleDrawn, ExamplesGathered)
DECIDES: Final[tuple[type[Event], ...]] = ()

GATHER: Final = "gather"

EXAMPLES_A_BATCH: Final = 200
"""How many examples a batch has at most: a few kilobytes, and a millisecond to learn."""


class State(msgspec.Struct):
    """The examples that wait for the tick, and the number of the last batch."""

    waiting: list[ExampleDrawn] = []
    number: int = 0


def initial() -> State:
    """Nothing to learn from."""
    return State()


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Nothing: ticks gather."""
    return []


def due(state: State, now: int) -> list[Work]:
    """As many batches as the examples since the last tick make."""
    batches = -(-len(state.waiting) // EXAMPLES_A_BATCH)
    return [Work(NOTICES, GATHER, f"{place:06d}") for place in range(batches)]


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Gather one batch, of examples for one scorecard: what is for another makes the next batch, or the next tick's."""
    if not state.waiting:
        return []
    state.waiting.sort(key=_order)
    learner = state.waiting[0].learner
    taken = [one for one in state.waiting[:EXAMPLES_A_BATCH] if one.learner == learner]
    del state.waiting[: len(taken)]
    examples = [Example(one.payment_id, one.number, one.label, one.weight, one.bins) for one in taken]
    return [ExamplesGathered(state.number + 1, learner, examples)]


def _order(one: ExampleDrawn) -> tuple[int, int, str, int]:
    return one.learner, one.paid_at, one.payment_id, one.number


def evolve(state: State, recorded: Recorded) -> State:
    """Keep examples for the tick; count batches."""
    match recorded.body:
        case ExampleDrawn() as body:
            state.waiting.append(body)
        case ExamplesGathered() as body:
            state.number = body.number
        case _:
            pass
    return state


def summary(state: State) -> Iterator[str]:
    """How many batches there were, in the partition that makes them."""
    if state.number:
        yield f"gathered {state.number}"
