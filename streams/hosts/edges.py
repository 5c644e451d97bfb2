"""What an edge is: a fold of committed logs that answers with messages.

An edge stands for an outside party or talks to one. It reads committed events, and its host keeps its
position, its state and the messages it made in one commit. After a crash it sees again what was not
committed, so what it answers must be a function of its state and the event.
"""

from typing import Any, NamedTuple, Protocol

from events.base import Event, Message
from events.envelope import Recorded


class Outgoing(NamedTuple):
    """A message for a topic partition."""

    topic: str
    partition: int
    message: Message


class Edge(Protocol):
    """A fold of committed logs with outputs."""

    HEARS: tuple[type[Event], ...]

    @property
    def name(self) -> str:
        """Who it is: ``adapter/3``, ``network/0``, ``bank/0``. Unique among all edges."""

    @property
    def state(self) -> Any:
        """A Struct that survives msgpack; the host saves it with the position and restores it."""

    @state.setter
    def state(self, value: Any) -> None: ...

    def reads(self) -> list[tuple[str, int]]:
        """The log partitions it follows."""

    def writes(self) -> list[tuple[str, int]]:
        """The topic partitions to which its answers go."""

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        """Take one event that it HEARS."""
