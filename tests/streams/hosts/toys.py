"""A toy engine: processors of a few lines each, so that what the engine itself does stands out.

The input is a void request; what the toys decide is told in operations parked and rejected. The names mean
nothing here: they are events that have a schema.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from events.base import Event
from events.envelope import Recorded, Source
from events.lifecycle import OperationParked, OperationRejected, OperationRejection, VoidRequested
from events.partitions import ClockKind, LogOpened, MarkerSeen, MarkersTaken, ReferenceApplied, TickPassed
from events.requests import Operation
from streams.hosts.engine import Engine, Fact, Output
from streams.processor import DEADLINES, Work
from streams.topology import EngineSpec, Scope, Upstream

MINUTE = 60_000_000
OPENED_AT = 1_000_000_000
UP = (Upstream("up", Scope.ALL),)


class Heard(msgspec.Struct):
    """What a toy remembers."""

    names: list[str] = []
    waiting: dict[str, tuple[str, int]] = {}


def asked(name: str) -> VoidRequested:
    """An input."""
    return VoidRequested(name, "shop", name)


def parked(name: str, note: str) -> OperationParked:
    """A decision of the first kind."""
    return OperationParked(name, Operation.VOID, note)


def rejected(name: str, note: str) -> OperationRejected:
    """A decision of the second kind."""
    return OperationRejected(name, "shop", Operation.VOID, note, OperationRejection.PAYMENT_UNKNOWN)


class Toy:
    """Hears everything and decides nothing."""

    NAME = "toy"
    HEARS: tuple[type[Event], ...] = (VoidRequested, OperationParked, OperationRejected, ReferenceApplied)
    DECIDES: tuple[type[Event], ...] = ()

    def initial(self) -> Heard:
        """Nothing heard."""
        return Heard()

    def decide(self, state: Heard, recorded: Recorded) -> list[Event]:
        """Nothing."""
        return []

    def evolve(self, state: Heard, recorded: Recorded) -> Heard:
        """Remember what was heard, in order."""
        state.names.append(name_of(recorded))
        return state

    def summary(self, state: Heard) -> Iterator[str]:
        """What was heard, in the order of names."""
        yield from sorted(state.names)


class Answering(Toy):
    """Answers each input with one event that tells how much it had heard by then."""

    DECIDES = (VoidRequested,)

    def decide(self, state: Heard, recorded: Recorded) -> list[Event]:
        """One event."""
        return [parked(recorded.meta.key, f"heard {len(state.names)}")]


class Waiting(Toy):
    """Keeps every input until the next tick, and answers it then, in the order of phases and keys."""

    def __init__(self, phase: int = DEADLINES, note: str = "waited") -> None:
        self._phase = phase
        self._note = note

    def evolve(self, state: Heard, recorded: Recorded) -> Heard:
        """An input waits."""
        if isinstance(recorded.body, VoidRequested):
            state.waiting[recorded.meta.key] = (recorded.meta.event_id, recorded.meta.occurred_at)
        return super().evolve(state, recorded)

    def due(self, state: Heard, now: int) -> list[Work]:
        """Everything that waits."""
        return [Work(self._phase, "answer", key, *since) for key, since in state.waiting.items()]

    def fire(self, state: Heard, work: Work, now: int) -> list[Event]:
        """Answer one, unless it was overtaken."""
        if state.waiting.pop(work.key, None) is None:
            return []
        return [rejected(work.key, self._note)]


class Holding(Toy):
    """An input opens an attempt, another of the same key closes it; long names are no concern of it."""

    def evolve(self, state: Heard, recorded: Recorded) -> Heard:
        """Open or close."""
        key = recorded.meta.key
        if isinstance(recorded.body, VoidRequested) and len(key) == 1 and not state.waiting.pop(key, None):
            state.waiting[key] = ("", 0)
        return super().evolve(state, recorded)

    def open_attempts(self, state: Heard) -> int:
        """Attempts without an answer."""
        return len(state.waiting)


def toy_engine(
    *processors: Any,
    upstreams: tuple[Upstream, ...] = UP,
    partitions: int = 1,
    handovers: Any = None,
    clock: ClockKind = ClockKind.VIRTUAL,
    own_clock: bool = False,
) -> Engine:
    """An engine of partition 0, not yet opened."""
    spec = EngineSpec(
        "toy",
        ("in",),
        {"in": frozenset({VoidRequested})},
        upstreams,
        processors,
        handovers or {},
        ("down",),
        wall_marks=("down",),
        own_clock=own_clock,
    )
    return Engine(spec, 0, partitions, clock, simulated=True)


def opening() -> LogOpened:
    """The first record of a toy log."""
    return LogOpened("toy", 0, 1, ClockKind.VIRTUAL, 1, OPENED_AT, 99, "{}", [])


def fact(name: str, sender: str = "up/0", *, at: int = 7, body: Event | None = None) -> Fact:
    """An input from a sender."""
    return Fact(body or asked(name), Source("in", 0, 0, sender), "", "corr", at, at + 1, False)


def marker(tick: int, sender: str = "up/0", *, reference: int = 0) -> MarkerSeen:
    """A sender is done with a tick; each tick is a minute."""
    return MarkerSeen("in", 0, 0, sender, tick, OPENED_AT + tick * MINUTE, reference)


def reference(version: int, kind: str = "rules") -> Fact:
    """A piece of reference data, as it is read."""
    body = ReferenceApplied(kind, "main", version, "", "{}")
    return Fact(body, Source("reference", 0, version - 1, ""), "", "", 0, 0, False)


def name_of(recorded: Recorded) -> str:
    """An event in two words."""
    body = recorded.body
    match body:
        case VoidRequested():
            return f"asked {body.payment_id}"
        case OperationParked():
            return f"parked {body.payment_id}"
        case OperationRejected():
            return f"rejected {body.payment_id}"
        case ReferenceApplied():
            return f"reference {body.version}"
        case MarkersTaken():
            return "markers"
        case TickPassed():
            return f"tick {body.tick}"
        case _:
            return type(body).__name__


def story(output: Output) -> list[str]:
    """An output in short words."""
    return [name_of(recorded) for recorded in output.events]


class Strike(NamedTuple):
    """The clock on the wall comes to a tick; each tick is a minute."""

    tick: int


@dataclass
class Tape:
    """Plays inputs to an engine and keeps everything that came out."""

    engine: Engine
    outputs: list[Output] = field(default_factory=list)

    def play(self, *inputs: Fact | MarkerSeen | list[MarkerSeen] | Strike | None) -> list[str]:
        """Take inputs one after the other (None is a step); what the last of them gave, in words."""
        for one in inputs:
            match one:
                case None:
                    output = self.engine.step()
                case Strike():
                    output = self.engine.strike(one.tick, OPENED_AT + one.tick * MINUTE)
                case Fact():
                    output = self.engine.take(one)
                case MarkerSeen():
                    output = self.engine.take_markers([one])
                case _:
                    output = self.engine.take_markers(one)
            self.outputs.append(output)
        return story(self.outputs[-1])

    @property
    def events(self) -> list[Recorded]:
        """All events, in order."""
        return [recorded for output in self.outputs for recorded in output.events]


def tape(*processors: Any, **options: Any) -> Tape:
    """A fresh engine, opened."""
    made = Tape(toy_engine(*processors, **options))
    made.outputs.append(made.engine.open(opening()))
    return made
