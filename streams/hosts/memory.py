"""The log in memory: for simulation and tests, with crashes where a schedule wants them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum

from streams.features.shelf import Cupboard, Moves
from streams.hosts.cupboards import MemoryCupboard
from streams.hosts.log import GENESIS, Append, Stored, TopicPartition, link


class CrashPoint(Enum):
    """Where an owner may die around a commit."""

    BEFORE_COMMIT = "what was decided is lost"
    AFTER_COMMIT = "it is kept, and nobody was told"


class Crashed(BaseException):
    """An owner died. Not an Exception: no handler in the code under test may survive it."""

    def __init__(self, owner: str, point: CrashPoint) -> None:
        super().__init__(f"{owner}: {point.name}")
        self.owner = owner
        self.point = point


class MemoryLog:
    """A :class:`streams.hosts.log.Log` that lives as long as its object.

    ``crash`` is asked at each commit (owner) and answers with a crash point or None.
    """

    holes = False

    def __init__(self, crash: Callable[[str], CrashPoint | None] = lambda _: None) -> None:
        self._topics: dict[TopicPartition, list[Stored]] = {}
        self._positions: dict[str, dict[TopicPartition, int]] = {}
        self._states: dict[str, bytes] = {}
        self._cupboards: dict[str, MemoryCupboard] = {}
        self._crash = crash

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        return self._topics.get((topic, partition), [])[offset : offset + limit]

    def end(self, topic: str, partition: int) -> int:
        return len(self._topics.get((topic, partition), ()))

    def commit(
        self,
        owner: str,
        appends: Sequence[Append],
        positions: Mapping[TopicPartition, int],
        state: bytes | None = None,
        moves: Iterable[Sequence[Moves]] = (),
    ) -> None:
        crash = self._crash(owner)
        if crash is CrashPoint.BEFORE_COMMIT:
            raise Crashed(owner, crash)
        for topic, partition, at, value in appends:
            records = self._topics.setdefault((topic, partition), [])
            previous = records[-1].chain if records else GENESIS
            records.append(Stored(len(records), at, value, link(previous, at, value)))
        self._positions.setdefault(owner, {}).update(positions)
        if state is not None:
            self._states[owner] = state
        if moves:
            self._cupboards.setdefault(owner, MemoryCupboard()).apply(moves)
        if crash is not None:
            raise Crashed(owner, crash)

    def positions(self, owner: str) -> dict[TopicPartition, int]:
        return dict(self._positions.get(owner, {}))

    def state(self, owner: str) -> bytes | None:
        return self._states.get(owner)

    def cupboard(self, owner: str) -> Cupboard:
        return self._cupboards.setdefault(owner, MemoryCupboard())

    def close(self) -> None:
        """Nothing to let go of."""
