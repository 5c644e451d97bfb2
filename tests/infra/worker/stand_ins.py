"""An engine that does as it is told, for tests of whoever hosts it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from events.errors import TallystickError
from infra.worker.port import Committed
from streams.hosts.cluster import Cluster
from streams.hosts.log import TopicPartition


@dataclass
class Counts:
    """What an index has counted."""

    transactions: int = 3
    inputs: int = 30
    events: int = 40
    requests: int = 10
    decide_seconds: float = 0.5
    commit_seconds: float = 0.25
    restore_seconds: float = 1.5
    restored_events: int = 1_000
    first_commit_seconds: float = 2.5
    was_warm: bool = True
    last_commit_at: float = 0.0


@dataclass
class Decides:
    """An index at tick 7 of intake, 6 of the others."""

    positions: Mapping[TopicPartition, int] = field(default_factory=lambda: {("payments.requests", 0): 12})

    def open_attempts(self) -> int:
        return 2

    def tick(self, engine: str = "payments") -> int:
        return 7 if engine == "intake" else 6


@dataclass
class Hosts:
    """An index that is owned."""

    index: Decides = field(default_factory=Decides)
    statistics: Counts = field(default_factory=Counts)


@dataclass
class Follows:
    """An index of somebody else."""

    records_behind: int = 12
    seconds_behind: float = 1.5
    events: int = 500
    lost: str = ""


class StandIn:
    """Owns index 0 of two; ``failing`` is what its work ends with, at once or when ``fail`` is called."""

    def __init__(self, failing: Exception | None = None, *, at_once: bool = True) -> None:
        self.hosted: dict[int, Hosts] = {0: Hosts()}
        self.standing_by: dict[int, Follows] = {}
        self.on_the_way: list[int] = []
        self.strikes = 0
        self.stops = 0
        self.known: dict[str, object] = {}
        self.committed: Committed | None = None
        self.cluster: Cluster | None = None
        self.lag: Callable[[], dict[TopicPartition, int]] = lambda: {("payments.requests", 0): 5}
        self.begun = asyncio.Event()
        self._failing = failing
        self._stopping = asyncio.Event()
        if failing is not None and at_once:
            self._stopping.set()

    def made(self, cluster: Cluster, committed: Committed) -> "StandIn":
        """As whoever hosts it makes it."""
        self.cluster, self.committed = cluster, committed
        return self

    def fail(self) -> None:
        """End now."""
        self._stopping.set()

    def restoring(self) -> list[int]:
        return self.on_the_way

    async def start(self) -> None:
        self.begun.set()

    async def run(self) -> None:
        await self._stopping.wait()
        if self._failing is not None:
            raise self._failing

    async def stop(self) -> None:
        self.stops += 1
        self._stopping.set()

    def strike(self) -> None:
        self.strikes += 1

    async def lags(self) -> dict[TopicPartition, int]:
        return self.lag()

    def payment(self, payment_id: str) -> dict[str, object] | None:
        found = self.known.get(payment_id)
        return None if found is None else {"payment_id": payment_id, "state": found}


class Silent:
    """In the place of a sender of samples: nothing leaves."""

    def __init__(self, failing: TallystickError | None = None) -> None:
        self.sent: list[object] = []
        self._failing = failing

    async def start(self) -> None:
        if self._failing is not None:
            raise self._failing

    async def send(self, samples: list[object]) -> None:
        self.sent += samples

    async def stop(self) -> None:
        pass
