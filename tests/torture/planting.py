"""Defects that are planted in the engine, each with the one schedule of blows that must give it away.

Every schedule leaves no trace where nothing is planted: it is a fault like the others, and is judged in the same way.
"""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from events.partitions import ClockKind
from infra.clusterjob import worker_command
from infra.crashing import VARIABLE
from tests.torture.cluster import Cluster
from tests.torture.faults import Fault, Scene
from tests.torture.outside import Forgotten, Refusing
from tests.torture.rounds import Order, Round, torture

#: Enough to be hurt, and a house with a defect may never come to its end.
_PAYMENTS: Final = 40
_PATIENCE_SECONDS: Final = 240.0


class Overtaken(Fault):
    """A worker is frozen inside a transaction; when another has restored what it had, the first one wakes.

    Whoever fenced before it read has shut the first one out by then, and its commit fails. Where it succeeds, the first
    one dies of it, so that the second goes on with what it has read. Both may take a minute for a commit: it is the
    order alone that decides.
    """

    name = "overtaken"
    words = "a worker frozen inside a transaction wakes while another one takes over"
    partitions = 1
    workers = 1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._woken = False
        for name in ("worker-1", "worker-2"):
            scene.house.programs.setdefault(name, program("patience"))

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        return {"worker-1": {VARIABLE: "after-produce:6:stop,after-commit:6"}}

    def look(self, tick: int) -> None:
        house = self.scene.house
        if self.done:
            return
        if "worker-2" not in house.members:
            if house.is_stopped("worker-1"):
                command = worker_command(self.scene.job, "worker-2", self.scene.run_file)
                house.start("worker-2", *command, environment={VARIABLE: "after-restore:1:stop"})
                house.struck("worker frozen")
        elif not self._woken:
            if house.is_stopped("worker-2"):
                house.send("worker-1", signal.SIGCONT)
                self._woken = True
        elif house.members["worker-1"].restarted:
            house.send("worker-2", signal.SIGCONT)
            self.struck = 1

    @property
    def done(self) -> bool:
        return self.struck > 0


class Stalled(Fault):
    """A worker is frozen inside a transaction for longer than it may be open; nobody else takes over."""

    name = "stalled"
    words = "a worker frozen inside a transaction for longer than that may be open"
    workers = 1
    session_ms = 60_000

    _FROZEN_SECONDS: Final = 7.0

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._frozen_at = 0.0

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        return {"worker-1": {VARIABLE: "after-produce:6:stop"}}

    def look(self, tick: int) -> None:
        house = self.scene.house
        if self.struck == 0 and house.is_stopped("worker-1"):
            self._frozen_at = self._frozen_at or time.monotonic()
            if time.monotonic() - self._frozen_at > self._FROZEN_SECONDS:
                house.send("worker-1", signal.SIGCONT)
                house.struck("worker frozen")
                self.struck = 1

    @property
    def done(self) -> bool:
        return self.struck > 0


class OnTheWire(Fault):
    """The line to the networks dies again and again, each time with calls on it that nobody has answered."""

    name = "wire"
    words = "kill -9 of the line to the networks with calls on it"
    clock = ClockKind.WALL

    _KILLS: Final = 3

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        self.scene.house.arm = self._arm
        return {"adapter": self._arm("adapter")}

    def _arm(self, name: str) -> Mapping[str, str]:
        return {VARIABLE: "after-wire:2"} if name == "adapter" and not self.done else {}

    @property
    def done(self) -> bool:
        return self.scene.house.hits["adapter", "after-wire"] >= self._KILLS


class Defect(NamedTuple):
    """What is planted in which processes, and the fault that gives it away."""

    name: str
    words: str
    processes: Sequence[str]
    fault: type[Fault]


DEFECTS: Final = (
    Defect("offsets-before-fence", "positions read before the fence", ("worker-1", "worker-2"), Overtaken),
    Defect("produce-not-awaited", "an answer to a produce not awaited", ("worker-1", "worker-2"), Refusing),
    Defect("state-before-commit", "state applied before its commit", ("worker-1",), Stalled),
    Defect(
        "group-over-log", "the group's positions believed over the log", ("worker-1", "worker-2"), Forgotten
    ),
    Defect("repeated-authorization", "an unanswered authorization sent again", ("adapter",), OnTheWire),
)


def program(plant: str) -> list[str]:
    """What Python is given to run ``tallystick`` with something planted."""
    return ["-m", "tests.torture.planted", plant, "--"]


def planted(defect: Defect) -> type[Fault]:
    """The fault, done to a house that has the defect."""

    class Planted(defect.fault):  # type: ignore[misc, name-defined]
        name = f"{defect.fault.name}-{defect.name}"

        def __init__(self, scene: Scene) -> None:
            scene.house.programs |= {name: program(defect.name) for name in defect.processes}
            super().__init__(scene)

    return Planted


def catch(defect: Defect, order: Order, brokers: Cluster, say: Callable[[str], None]) -> Round:
    """A round with the defect: its complaints are what gave it away."""
    patience = min(order.patience, _PATIENCE_SECONDS)
    small = replace(order, payments=_PAYMENTS, dose=1, patience=patience)
    found = torture(small, brokers, planted(defect), say)
    # A plant that no longer fits what it is put into ends a process as well, and has given nothing away.
    unfit = [line for line in found.complaints if "failed with TypeError" in line]
    assert not unfit, f"{defect.name} does not fit the engine any more: {unfit[0]}"
    return found
