"""What the Faust worker asks of the engine that it hosts: ``streams.hosts.worker.Worker``, or a test's stand-in.

The engine knows nothing of Faust. It is called from one event loop, and whatever it raises ends the process: what
becomes of an open transaction is then the broker's business and that of whoever restores the index.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from streams.hosts.cluster import Cluster
from streams.hosts.index import Staged
from streams.hosts.log import TopicPartition

#: Told after each commit: the number of the index and what the transaction held.
Committed = Callable[[int, Staged], None]
#: Makes the engine of a worker: on this cluster, by the worker's own name, and telling this.
MakeEngine = Callable[[Cluster, Committed], "Engine"]


class Statistics(Protocol):
    """What an index has counted since this worker took it. Only read."""

    @property
    def transactions(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def events(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def decide_seconds(self) -> float: ...
    @property
    def commit_seconds(self) -> float: ...
    @property
    def restore_seconds(self) -> float: ...
    @property
    def restored_events(self) -> int: ...
    @property
    def first_commit_seconds(self) -> float:
        """From the beginning of its fence; 0 before."""
        ...

    @property
    def was_warm(self) -> bool:
        """Whether it was taken over from a standby."""
        ...

    @property
    def last_commit_at(self) -> float:
        """Seconds of ``time.monotonic``; 0 before the first commit."""
        ...


class Decider(Protocol):
    """An index, as far as views and metrics look into it."""

    @property
    def positions(self) -> Mapping[TopicPartition, int]: ...
    def open_attempts(self) -> int: ...
    def tick(self, engine: str = ...) -> int: ...


class Hosted(Protocol):
    """An index that this worker owns now."""

    @property
    def index(self) -> Decider: ...
    @property
    def statistics(self) -> Statistics: ...


class StandingBy(Protocol):
    """How far an index of somebody else is followed."""

    @property
    def records_behind(self) -> int: ...
    @property
    def seconds_behind(self) -> float: ...
    @property
    def events(self) -> int: ...
    @property
    def lost(self) -> str:
        """Why it is followed no longer; empty where it is."""
        ...


class Engine(Protocol):
    """The engine part of a worker."""

    @property
    def hosted(self) -> Mapping[int, Hosted]:
        """The indexes that this worker owns, restored or on their way."""
        ...

    @property
    def standing_by(self) -> Mapping[int, StandingBy]:
        """The indexes of others that this worker keeps warm, or has lost."""
        ...

    def restoring(self) -> list[int]:
        """Those that are on their way."""
        ...

    async def start(self) -> None:
        """Join the group; returns when it has been divided for the first time."""
        ...

    async def run(self) -> None:
        """Work until :meth:`stop`. Raises where the process has to end."""
        ...

    async def stop(self) -> None:
        """Settle what is open, leave the group. May be called at any time, twice too."""
        ...

    def strike(self) -> None:
        """Wall time: a second has passed."""
        ...

    async def lags(self) -> dict[TopicPartition, int]:
        """Records behind the committed end, of every input partition that is read."""
        ...

    def payment(self, payment_id: str) -> dict[str, object] | None:
        """The live state of a payment, None where it is not here. In a thread: it may have to wait for a snapshot.

        Raises ValidationError for what is no id.
        """
        ...
