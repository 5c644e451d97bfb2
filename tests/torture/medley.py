"""Many faults in one house, one after the other: the short form, which costs one start, one end and one verdict."""

from collections.abc import Mapping, Sequence

from events.calendar import HOUR
from events.partitions import ClockKind
from events.requests import InputRow
from tests.torture.faults import Fault, Frozen, Moments, OnTheWall, Scale, Scene
from tests.torture.outside import (
    BadNetworks,
    BrokersDie,
    Forgotten,
    FullDisk,
    Refusing,
    SetClock,
    Wires,
)


class Medley(Fault):
    """Everything in virtual time but the named points, with networks that answer late, twice or never."""

    name = "medley"
    words = "one thing after the other in one house"
    brokers = (1,)
    #: Whoever takes an index over has kept it warm, whatever was done to it meanwhile.
    standbys = 1
    #: So many ticks that there are some between two blows.
    every = 2 * HOUR
    tail = 8 * HOUR
    #: Whoever is frozen is given its point when it is started, so that comes first.
    parts: Sequence[type[Fault]] = (
        Frozen,
        Wires,
        Refusing,
        FullDisk,
        Forgotten,
        BrokersDie,
        Scale,
        Moments,
    )

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.left = [kind(scene) for kind in self.parts if not kind.why_not()]
        self._all = list(self.left)

    @staticmethod
    def input(rows: Sequence[InputRow]) -> Sequence[InputRow]:
        return BadNetworks.input(rows)

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        for part in self._all:
            found |= part.environments()
        return found

    def look(self, tick: int) -> None:
        if self.left:
            self.left[0].look(tick)
            if self.left[0].done:
                self.left.pop(0)

    @property
    def done(self) -> bool:
        return not self.left

    def clean(self) -> None:
        for part in self._all:
            part.clean()


class OnTheWallMedley(Medley):
    """What is done by the clock on the wall."""

    name = "wall-medley"
    words = "the same in a house by the clock on the wall"
    clock = ClockKind.WALL
    parts = (SetClock, OnTheWall)

    @staticmethod
    def input(rows: Sequence[InputRow]) -> Sequence[InputRow]:
        return rows
