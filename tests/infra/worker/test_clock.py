"""A wall clock that is set stops the worker, until somebody has looked."""

from pathlib import Path

import pytest

from events.errors import Refused
from infra.worker.clock import LIMIT_SECONDS, ClockGuard

NOON = 1_800_000_000.0


class Machine:
    """Two clocks of which one can be set."""

    def __init__(self, folder: Path) -> None:
        self.wall = NOON
        self.steady = 500.0
        self.folder = folder
        self.guard = self.starts()

    def starts(self) -> ClockGuard:
        return ClockGuard(self.folder, lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float, slewed: float = 0.0) -> None:
        self.wall += seconds + slewed
        self.steady += seconds


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """At noon."""
    return Machine(tmp_path / "state")


@pytest.mark.parametrize(("step", "direction"), [(301.0, "ahead"), (-301.0, "back")])
def test_a_step_stops_the_worker_until_it_is_confirmed(step: float, direction: str, machine: Machine) -> None:
    """In either direction, over restarts, and once it is confirmed for good."""
    machine.passes(10)
    machine.guard.check()
    machine.wall += step
    with pytest.raises(Refused, match=f"was set {direction} by 301 s, to 2027-01-15T.*--confirm-clock"):
        machine.guard.check()
    for _ in range(2):
        with pytest.raises(Refused, match=f"was set {direction} by 301 s"):
            machine.starts().admit(confirmed=False)
    machine.starts().admit(confirmed=True)
    again = machine.starts()
    again.admit(confirmed=False)
    again.check()


@pytest.mark.parametrize("step", [LIMIT_SECONDS, -LIMIT_SECONDS, 1.0])
def test_a_small_step_is_seen_and_let_through(step: float, machine: Machine) -> None:
    """A leap second, or NTP putting a clock right, stops nobody."""
    machine.wall += step
    machine.guard.check()
    assert step == machine.guard.step_seconds
    assert not machine.folder.exists()


def test_slow_corrections_are_no_step(machine: Machine) -> None:
    """Half a millisecond a second is twelve minutes in two weeks, and what NTP does all the time."""
    for _ in range(14 * 24 * 6):
        machine.passes(600, slewed=0.3)
        machine.guard.check()
    assert abs(machine.guard.step_seconds) < 5


def test_time_that_passes_is_no_step(machine: Machine) -> None:
    """A machine that slept, on a clock that counts it."""
    machine.passes(48 * 3_600)
    machine.guard.check()
    assert 0 == machine.guard.step_seconds


def test_the_real_clocks_agree(tmp_path: Path) -> None:
    """What is read by default are two clocks of the same pace."""
    guard = ClockGuard(tmp_path)
    guard.check()
    assert abs(guard.step_seconds) < 5
