"""What the log of a run says in which limits are passed and people decide."""

from typing import TypeVar

from events.base import Event
from events.envelope import Recorded
from streams.forensics.digests import events_of
from tests.simulation.schedules import calm

_E = TypeVar("_E", bound=Event)


def events() -> list[Recorded]:
    """All of it, in order."""
    log = calm(1).log
    assert log is not None
    return list(events_of(log, 1))


def bodies(kind: type[_E]) -> list[_E]:
    """Every event of a kind."""
    return [one.body for one in events() if isinstance(one.body, kind)]
