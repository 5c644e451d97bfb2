"""Which log records an event, and because of whom: read off the topology and the processors' sources.

Processors say what they hear and what they decide on, not what they decide; that stands in their code, where they
make the event. A processor's own source and the libraries of ``streams/features`` that it imports are looked at; what
a library makes is ascribed to each processor that imports it.
"""

import ast
import inspect
from functools import lru_cache
from importlib import import_module
from typing import Final, NamedTuple

from events import partitions
from events.base import Event
from events.catalog import EVENTS
from events.errors import Refused
from streams.topology import ENGINES, LOGS, EngineSpec

_NAMES: Final = frozenset(event.__name__ for event in EVENTS)
_LIBRARIES: Final = "streams.features"

#: Facts that do not come over as they are: admission makes them of a message on the topic.
ADMITTED: Final = {
    "RequestReceived": "payments.requests",
    "RequestForwarded": "payments.requests",
    "IncrementReceived": "payments.requests",
    "IncrementForwarded": "payments.requests",
    "EvidenceReceived": "payments.requests",
    "SettingsReceived": "payments.requests",
    "SettingsForwarded": "payments.requests",
    "EvidenceForwarded": "payments.requests",
    "ReferenceApplied": "reference",
}


class Origin(NamedTuple):
    """One log that records an event: taken from ``topics``, or written by ``processors``."""

    log: str
    topics: tuple[str, ...]
    processors: tuple[str, ...]

    def __str__(self) -> str:
        parts = []
        if self.topics:
            parts.append("taken from " + " and ".join(f"`{topic}`" for topic in self.topics))
        if self.processors:
            parts.append("written by " + " and ".join(self.processors))
        return ", ".join(parts)


@lru_cache(maxsize=1)
def origins() -> dict[type[Event], tuple[Origin, ...]]:
    """Every event with where it is recorded; Refused for one that nobody records."""
    found = {event: tuple(_origins_of(event)) for event in EVENTS}
    orphans = sorted(event.__name__ for event, places in found.items() if not places)
    if orphans:
        raise Refused(f"no log records {', '.join(orphans)}: no engine takes it and no processor makes it")
    return found


def _origins_of(event: type[Event]) -> list[Origin]:
    if event.__module__ == partitions.__name__:
        # What a partition says of itself: the engine records it, in every log.
        topic = ADMITTED.get(event.__name__)
        return [Origin(log, (topic,) if topic else (), () if topic else ("the engine",)) for log in LOGS]
    found = []
    for spec in ENGINES:
        topics = _topics_of(event, spec)
        makers = tuple(name for name, made in _made_in(spec).items() if event.__name__ in made)
        if topics or makers:
            found.append(Origin(spec.name, topics, makers))
    return found


def _topics_of(event: type[Event], spec: EngineSpec) -> tuple[str, ...]:
    topics = [topic for topic in spec.inputs if event in spec.facts.get(topic, frozenset())]
    admitted = ADMITTED.get(event.__name__)
    if admitted in spec.inputs:
        topics.insert(0, admitted)
    return tuple(topics)


def _made_in(spec: EngineSpec) -> dict[str, frozenset[str]]:
    """The events that each processor of an engine makes, by name."""
    return {processor.NAME: made_by(getattr(processor, "__name__", "")) for processor in spec.processors}


@lru_cache(maxsize=64)
def made_by(module: str) -> frozenset[str]:
    """The events that a module and its libraries make.

    That is every call of an event class, also by a name that was given to one of two of them.
    """
    source = inspect.getsource(import_module(module))
    made: set[str] = set()
    called: set[str] = set()
    chosen: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _NAMES:
                made.add(name)
            case ast.Call(func=ast.Name(id=name)):
                called.add(name)
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.IfExp(body=ast.Name(id=one), orelse=ast.Name(id=other)),
            ):
                chosen.setdefault(name, set()).update({one, other} & _NAMES)
            case ast.ImportFrom(module=str(parent), names=names) if parent.startswith(_LIBRARIES):
                libraries = (
                    [parent] if parent != _LIBRARIES else [f"{parent}.{alias.name}" for alias in names]
                )
                for library in libraries:
                    made |= made_by(library)
            case _:
                pass
    return frozenset(made.union(*(events for name, events in chosen.items() if name in called)))
