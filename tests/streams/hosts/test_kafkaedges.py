"""What ends one edge ends all of them, and whoever runs them is told what it was."""

import asyncio
from typing import Any

import pytest

from events.errors import Refused, TallystickError, Unavailable
from streams.hosts.kafkaedges import host


class Working:
    """Works until it is told to stop, or until ``ends`` it."""

    name = "edge/0"

    def __init__(self, ends: Exception | None = None) -> None:
        self._ends = ends
        self.closed = False

    async def open(self) -> None:
        """Nothing to restore."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work."""
        if self._ends is not None:
            raise self._ends
        await stop.wait()

    async def close(self) -> None:
        """Let go."""
        self.closed = True


def run(*edges: Any) -> None:
    """Host them, never told to stop."""
    asyncio.run(asyncio.wait_for(host(edges, asyncio.Event()), 10))


@pytest.mark.parametrize("error", [Unavailable("no broker"), Refused("another state")])
def test_an_error_of_one_edge_is_raised_as_itself(error: TallystickError) -> None:
    well, ill = Working(), Working(error)
    with pytest.raises(type(error)) as raised:
        run(well, ill)
    assert raised.value is error
    assert well.closed
    assert ill.closed


def test_of_two_errors_the_first_is_raised() -> None:
    first = Unavailable("no broker")
    with pytest.raises(Unavailable) as raised:
        run(Working(first), Working(Unavailable("no broker, either")))
    assert raised.value is first


def test_a_defect_is_not_hidden_behind_an_error() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        run(Working(Unavailable("no broker")), Working(ValueError("a defect")))
    assert [type(error) for error in raised.value.exceptions] == [Unavailable, ValueError]


def test_edges_that_are_told_to_stop_end() -> None:
    edge = Working()

    async def stopped() -> None:
        stop = asyncio.Event()
        stop.set()
        await host([edge], stop)  # type: ignore[list-item]

    asyncio.run(stopped())
    assert edge.closed
