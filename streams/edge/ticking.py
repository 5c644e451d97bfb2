"""The time of an edge that reads several logs: its tick comes when each of them has passed it."""

from collections.abc import Iterator
from typing import Protocol

from events.partitions import TickPassed


class Ticking(Protocol):
    """What such an edge remembers: its own last tick, that of each log, and when the ticks before it are."""

    done: int
    passed: dict[str, int]
    at: dict[str, int]


def come(state: Ticking, source: str, body: TickPassed) -> Iterator[tuple[int, int]]:
    """The ticks that come because a log has passed one, with their business time; each is done before it is given."""
    state.passed[source] = body.tick
    if body.tick > state.done:
        state.at[str(body.tick)] = body.at
    last = min(state.passed.values())
    for tick in sorted(tick for tick in map(int, state.at) if tick <= last):
        state.done = tick
        yield tick, state.at.pop(str(tick))
