"""What is done to the processes of a house. Each fault looks at the house again and again, and strikes when it is time.

A fault begins before the processes do, strikes while the input lasts, and says when it has struck often enough. How a
house is then judged does not depend on the fault: nothing may have come of it.
"""

import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from events.partitions import ClockKind
from events.requests import InputRow
from infra.clusterjob import ClusterJob, worker_command
from infra.commandline import UNAVAILABLE
from infra.crashing import POINTS_OF, VARIABLE
from tests.torture.cluster import SESSION_MS, Cluster
from tests.torture.house import Tormented, has_index, keeps_warm, kind_of

#: Ticks between two blows, at least and at most.
_PAUSE: Final = (2, 6)


@dataclass
class Scene:
    """A house in its round: what a fault may lay its hands on."""

    house: Tormented
    job: ClusterJob
    brokers: Cluster
    chance: random.Random
    #: How often a fault strikes, where it counts.
    dose: int
    #: How often each process is to be killed at each point.
    each: int
    #: What was seen that must not be.
    complaints: list[str] = field(default_factory=list)

    @property
    def run_file(self) -> Path:
        """What the log was opened for."""
        return self.job.state / "run.json"

    def workers(self) -> list[str]:
        """The names of the workers that are there."""
        return sorted(
            name for name in self.house.members if kind_of(name) == "worker" and self.house.lives(name)
        )

    def all_serve(self) -> bool:
        """Whether everybody is there who has to be, and has begun."""
        return all(
            member.stopped or self.house.serves(name) or self.house.ended(name)
            for name, member in self.house.members.items()
            if kind_of(name) != "publisher"  # It says nothing before it is done.
        )


class Fault:
    """Nothing at all: the calm round, and what the others have in common."""

    name = "none"
    words = "nothing"
    clock = ClockKind.VIRTUAL
    partitions = 2
    workers = 2
    #: How many indexes of others each of them keeps warm.
    standbys = 0
    session_ms = SESSION_MS
    #: Between two ticks, beside the input and behind it (microseconds), where it needs others than its order says.
    every = tail = 0
    #: Numbers of brokers that it can be done with.
    brokers: tuple[int, ...] = (1, 3)

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.struck = 0
        self._next_tick = 2

    @staticmethod
    def input(rows: Sequence[InputRow]) -> Sequence[InputRow]:
        """The rows that this round publishes."""
        return rows

    @classmethod
    def why_not(cls) -> str:
        """Why it cannot be done on this machine; empty where it can."""
        return ""

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        """Prepare; variables of the processes, by their names, before they are started."""
        return {}

    def clean(self) -> None:
        """Leave the machine as it was. The house has ended."""

    def look(self, tick: int) -> None:
        """The slowest partition has come to this tick: strike when it is time."""
        if self.done or tick < self._next_tick or not self.scene.all_serve():
            return
        if self.strike():
            self.struck += 1
            self._next_tick = tick + self.scene.chance.randint(*_PAUSE)

    def strike(self) -> bool:
        """Do it once; False where it could not be done now."""
        return False

    @property
    def done(self) -> bool:
        """Whether it has been done as often as it was to be. A house that ends before that was not hurt enough."""
        return True


class Dosed(Fault):
    """A fault that strikes so many times."""

    name = ""

    @property
    def done(self) -> bool:
        return self.struck >= self.scene.dose


class Points(Fault):
    """Everybody is killed at a named point, and whoever comes after them at another, until each has seen enough."""

    name = "points"
    words = "kill -9 at every named point of every process"

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        self.scene.house.arm = self._arm
        names = ["worker-1", "worker-2", "adapter", "counterparties", "publisher", "projector"]
        return {name: self._arm(name) for name in names}

    def _arm(self, name: str) -> Mapping[str, str]:
        house, kind = self.scene.house, kind_of(name)
        left = any(house.hits[kind, point] < self.scene.each for point in POINTS_OF[kind])
        return house.armed(name) if left else {}


class Moments(Dosed):
    """Somebody is killed at a moment that nobody has chosen, one after the other."""

    name = "moments"
    words = "kill -9 at random moments: workers, adapter, counterparties, publisher, projector"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._left: list[str] = []

    def strike(self) -> bool:
        house = self.scene.house
        if not self._left:
            self._left = sorted(name for name in house.members if not house.ended(name))
            self.scene.chance.shuffle(self._left)
        return house.kill(self._left.pop())


class OnTheWall(Moments):
    """The same by the clock on the wall: nobody waits, and requests keep coming."""

    name = "wall"
    words = "the same by the clock on the wall, requests at a steady rate"
    clock = ClockKind.WALL


class Frozen(Dosed):
    """A worker is frozen in the middle of a transaction, and woken when another one has what it had."""

    name = "frozen"
    words = "SIGSTOP inside a transaction for longer than the session lasts, then SIGCONT"

    _WORDS: Final = ("another process has taken over", "did not go through")
    #: Ticks that pass meanwhile: they need every index, so somebody else has all of them.
    _TICKS: Final = 4

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._frozen_at = -1
        scene.house.arm = self._arm

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        return {"worker-1": self._arm("worker-1")}

    def _arm(self, name: str) -> Mapping[str, str]:
        left = name == "worker-1" and not self.done
        return {VARIABLE: f"after-produce:{self.scene.chance.randint(3, 8)}:stop"} if left else {}

    def look(self, tick: int) -> None:
        if self._frozen_at >= 0 and tick >= self._frozen_at + self._TICKS:
            self._wake()
        elif self._frozen_at < 0 and self.scene.house.is_stopped("worker-1"):
            self._frozen_at = tick
            self.scene.house.struck("worker frozen")

    def _wake(self) -> None:
        member = self.scene.house.members["worker-1"]
        assert member.process is not None
        said = member.output.stat().st_size
        self.scene.house.send("worker-1", signal.SIGCONT)
        code = member.process.wait(_FENCED_SECONDS)
        words = member.output.read_bytes()[said:].decode()
        if code != UNAVAILABLE or not any(phrase in words for phrase in self._WORDS):
            self.scene.complaints.append(
                f"a frozen worker that woke ended with {code}: {words.strip()[-200:]}"
            )
        self._frozen_at = -1
        self.struck += 1


#: By then whoever was shut out has noticed, on any machine.
_FENCED_SECONDS: Final = 60


class Scale(Dosed):
    """Workers come, and go when they are told to; one of them is always there."""

    name = "scale"
    words = "workers come and go (SIGTERM) while the others work"

    _MOST: Final = 3

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._last = 2

    def strike(self) -> bool:
        scene, there = self.scene, self.scene.workers()
        if len(there) == 1 or (len(there) < self._MOST and scene.chance.random() < 0.5):
            self._last += 1
            name = f"worker-{self._last}"
            scene.house.start(name, *worker_command(scene.job, name, scene.run_file))
            scene.house.struck("worker came")
        else:
            scene.house.stop(scene.chance.choice(there))
            scene.house.struck("worker went")
        return True


class TakenOver(Dosed):
    """Who owns the one index is killed, and started again when the other worker has taken over what it kept warm.

    By the clock on the wall: a house in virtual time would be at its end before its group was divided so often.
    """

    name = "standby"
    words = "kill -9 of an owner whose index another worker keeps warm, by the clock on the wall"
    clock = ClockKind.WALL
    partitions = 1
    standbys = 1

    #: A standby that is further behind than this does not show what it is for.
    _BEHIND: Final = 500

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._killed = ""

    def look(self, tick: int) -> None:
        if not self._killed:
            super().look(tick)
            return
        scene = self.scene
        for name in scene.workers():
            taken = has_index(scene.house.members[name], 0)
            if taken is not None:
                if not taken["restored_warm"]:
                    scene.complaints.append(f"{name} kept the index warm, and restored it from the log")
                # The house starts again whoever was killed and not told to stop.
                scene.house.members[self._killed].stopped = False
                self._killed = ""

    def strike(self) -> bool:
        house = self.scene.house
        members = [house.members[name] for name in self.scene.workers()]
        owner = next((one for one in members if has_index(one, 0) is not None), None)
        if owner is None or not any(keeps_warm(one, 0, self._BEHIND) for one in members if one is not owner):
            return False
        # Whoever is started again at once might be given the index before the other one.
        owner.stopped = True
        self._killed = owner.name
        return house.kill(owner.name)

    @property
    def done(self) -> bool:
        return super().done and not self._killed
