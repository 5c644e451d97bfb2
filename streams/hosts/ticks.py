"""Which tick comes next, and to which interval a record belongs: in virtual time, and by the clock on the wall.

A tick is a number and the business time it stands for; interval t lies between ticks t - 1 and t. Senders hand ticks
over in rising order, and each implies all before it, so numbers may be left out. A record belongs to the interval
behind its own sender's last marker.

In *virtual* time every tick that anybody hands over is taken, and none before all have come to it: what is decided is
a function of the input alone. In *wall* time nobody waits for a slow neighbour. An engine with a clock of its own takes
the ticks that its host strikes; another takes the newest that all its upstreams have handed over, leaving out those
between; and what outside parties say takes effect when it comes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from events.envelope import Recorded, Source
from events.partitions import ClockKind
from streams.topology import EngineSpec


class TickInfo(NamedTuple):
    """What a tick stands for: business time (microseconds UTC) and the reference version in force."""

    at: int
    reference_version: int


class Ticks(ABC):
    """What one partition of an engine knows of time.

    ``tick`` is the last one begun, ``marks`` the last one of each sender that is waited for, ``known`` what the ticks
    stand for that are under way or to come. ``waiting`` has what was recorded before its interval had come.
    """

    def __init__(self, lags: Mapping[str, int]) -> None:
        self.tick = 0
        self.marks = dict.fromkeys(lags, 0)
        self.known: dict[int, TickInfo] = {}
        self.waiting: dict[int, list[Recorded]] = {}

    def hand_over(self, sender: str, tick: int, info: TickInfo) -> bool:
        """Note a marker. False where it is a repeat, or of nobody that is waited for: then nothing changes."""
        if tick <= self.marks.get(sender, tick):
            return False
        self.marks[sender] = tick
        if tick > self.tick:
            # Senders may have read the reference data unequally far; whoever comes first must not decide.
            said = self.known.get(tick, info)
            self.known[tick] = TickInfo(
                max(said.at, info.at), max(said.reference_version, info.reference_version)
            )
        return True

    @abstractmethod
    def following(self) -> tuple[int, TickInfo] | None:
        """The next tick; None while somebody is waited for."""

    @abstractmethod
    def interval(self, sender: str) -> int | None:
        """The interval of what a sender says now; None where it has none and is heard at once."""

    def set_aside(self, interval: int, recorded: Recorded) -> None:
        """Keep a record for its interval."""
        self.waiting.setdefault(interval, []).append(recorded)

    def withdraw(self, source: Source) -> None:
        """What cannot be decided waits no longer. Most dead letters were never taken: then nothing waits."""
        for interval, waiting in self.waiting.items():
            self.waiting[interval] = [recorded for recorded in waiting if not _stood_at(recorded, source)]

    def come(self, last: int) -> Iterator[Recorded]:
        """What waited for the intervals up to ``last``, in order: more than one, where ticks are left out."""
        for interval in sorted(interval for interval in self.waiting if interval <= last):
            yield from self.waiting.pop(interval)

    def begin(self, tick: int, info: TickInfo) -> None:
        """The tick is under way; all before it are behind us."""
        self.tick = tick
        self.known = {number: kept for number, kept in self.known.items() if number > tick}
        self.known[tick] = info

    def finish(self) -> TickInfo:
        """The tick under way is over; what it stood for."""
        return self.known.pop(self.tick)


class VirtualTicks(Ticks):
    """Every tick, one after the other.

    A sender with a lag is waited for that many ticks later, and what it says takes effect as much later.
    """

    def __init__(self, lags: Mapping[str, int]) -> None:
        super().__init__(lags)
        self._lags = lags

    def following(self) -> tuple[int, TickInfo] | None:
        known = self.known
        if not known:
            return None
        tick = self.tick + 1
        if tick not in known:
            tick = min(known)
        lags = self._lags
        for sender, mark in self.marks.items():
            if mark + lags[sender] < tick:
                return None
        return tick, known[tick]

    def interval(self, sender: str) -> int | None:
        mark = self.marks.get(sender)
        return None if mark is None else mark + 1 + self._lags[sender]


class WallTicks(Ticks):
    """The newest tick that can be had. Senders with a lag are outside parties: nobody waits for them."""

    def __init__(self, lags: Mapping[str, int], *, own_clock: bool) -> None:
        super().__init__({} if own_clock else {sender: lag for sender, lag in lags.items() if lag == 0})
        self._outside = frozenset(sender for sender, lag in lags.items() if lag)

    def following(self) -> tuple[int, TickInfo] | None:
        tick = min(self.marks.values(), default=0)
        if tick <= self.tick:
            return None
        # The ticks left out may name more of the reference data than this one, by a sender that is ahead of another.
        version = max(info.reference_version for number, info in self.known.items() if number <= tick)
        return tick, TickInfo(self.known[tick].at, version)

    def interval(self, sender: str) -> int | None:
        mark = self.marks.get(sender)
        if mark is not None:
            return mark + 1
        # At once, but not in the midst of a tick: what the tick is about to do, it has made up its mind on.
        return self.tick + 1 if sender in self._outside else None


def _stood_at(recorded: Recorded, source: Source) -> bool:
    own = recorded.meta.source
    assert own is not None
    return (own.topic, own.partition, own.offset) == (source.topic, source.partition, source.offset)


def ticks_of(spec: EngineSpec, partition: int, partitions: int, clock: ClockKind) -> Ticks:
    """The ticks of one partition of an engine."""
    lags = {
        sender: upstream.lag
        for upstream in spec.upstreams
        for sender in upstream.senders(partition, partitions)
    }
    return VirtualTicks(lags) if clock is ClockKind.VIRTUAL else WallTicks(lags, own_clock=spec.own_clock)
