"""What a processor is: three pure functions and, where time matters, two more.

The engine (:mod:`streams.hosts.engine`) calls them. ``decide`` answers an event with events and remembers
nothing; ``evolve`` remembers and decides nothing; ``due`` names what a tick must do and ``fire`` does one
such thing. A crash leaves nothing behind: state is what folding the log gives.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from events.base import Event
from events.envelope import Recorded


class Work(NamedTuple):
    """One thing that a tick must do.

    Works are done in the order (phase, processor, key): notices of the outside first, then the follow-ups of
    merchants, then deadlines, then cut-offs. ``causation_id`` is the id of the recorded input that waited
    (empty: the tick itself), ``occurred_at`` that input's own time.
    """

    phase: int
    kind: str
    key: str
    causation_id: str = ""
    occurred_at: int = 0


NOTICES, FOLLOW_UPS, DEADLINES, CUT_OFFS = range(4)


class Processor(Protocol):
    """A module of ``streams/``. The state is a mutable Struct that survives msgpack."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a module constant

    @property
    def HEARS(self) -> tuple[type[Event], ...]: ...  # noqa: N802 - a module constant

    @property
    def DECIDES(self) -> tuple[type[Event], ...]: ...  # noqa: N802 - a module constant

    def initial(self) -> Any:
        """The state before anything happened."""

    def decide(self, state: Any, recorded: Recorded) -> list[Event]:
        """What follows from an event, as bodies."""

    def evolve(self, state: Any, recorded: Recorded) -> Any:
        """The state after an event; the same object, changed in place, or a new one."""

    def summary(self, state: Any) -> Iterator[str]:
        """The business content of the state, one line an entity: what two runs of one input must agree on."""


class TimedProcessor(Processor, Protocol):
    """A processor with obligations in time."""

    def due(self, state: Any, now: int) -> list[Work]:
        """What the tick at ``now`` (microseconds UTC) must do. Cheap when there is nothing."""

    def fire(self, state: Any, work: Work, now: int) -> list[Event]:
        """Do one work. It may have been overtaken since ``due``: look again. May remove itself from waiting."""
