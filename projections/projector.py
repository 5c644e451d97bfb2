"""From logs to stores: reads what is new, decodes it once, gives it to every projection, commits.

What a crash leaves behind is the last committed batch, and reading goes on behind it. Every record's chain value is
computed again on the way: a projection never shows what the log cannot prove. The chain alone says that no record is
missing, for on Kafka offsets have holes; there ``done`` and ``end`` count the ends of transactions as well.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from events.errors import LogDamaged, Refused, WireError
from events.partitions import LogOpened
from events.wire import decode_event
from projections.batch import Batch
from projections.catalog import CATALOG
from projections.port import Place, Position, Projection, Store
from streams.hosts.log import GENESIS, Stored, link

#: How many events go into one transaction. Below a thousand the transaction costs more than its rows.
BATCH_EVENTS: Final = 10_000
LOG_TOPICS: Final = ("intake", "payments", "velocity", "settlement", "reconciliation")

_START: Final = Position(0, GENESIS)


class Reader(Protocol):
    """What a projector asks of a log; every :class:`streams.hosts.log.Log` has it."""

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        """Up to ``limit`` committed records from ``offset`` on, in order."""

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record will get, or one before it where offsets have holes."""


def places(partitions: int) -> list[Place]:
    """Every log partition of a deployment."""
    return [(topic, partition) for topic in LOG_TOPICS for partition in range(partitions)]


def partitions_of(reader: Reader) -> int:
    """How many partitions each log has, as its first record says; Refused where there is none."""
    first = reader.read(LOG_TOPICS[0], 0, 0, 1)
    opened = decode_event(first[0].value).body if first else None
    if not isinstance(opened, LogOpened):
        raise Refused("the log has not been opened yet: there is nothing to project")
    return opened.partitions


class Projector:
    """Keeps projections of one store up with the logs. One thread, which owns the store."""

    def __init__(
        self,
        reader: Reader,
        store: Store,
        partitions: int,
        projections: Sequence[Projection] = CATALOG,
        *,
        batch_events: int = BATCH_EVENTS,
        log_identity: str | None = None,
    ) -> None:
        """Raises Refused where the store was filled from another log, or knows more than this one holds.

        ``log_identity`` is whatever the host tells logs apart by; without one the chain values alone do.
        """
        if log_identity is not None:
            store.bind_log(log_identity)
        self._store = store
        self._reader = reader
        self._places = places(partitions)
        self._batch_events = batch_events
        self._turn = 0
        # Projections that stand at the same place walk together; one that is behind (new in the catalogue) first
        # walks alone, up to where the others stand.
        self._groups: list[_Group] = []
        for projection in projections:
            self._join(_Group([projection], dict(store.positions(projection))))
        for group in self._groups:
            for place, position in group.positions.items():
                self._check(place, position)

    def _check(self, place: Place, position: Position) -> None:
        """The last record that the store has taken must stand in this log."""
        topic, partition = place
        if place not in self._places:
            raise Refused(f"the store has read {topic}/{partition}, which this log does not have")
        if position.next == 0:
            return
        ended = self._reader.end(topic, partition) < position.next
        last = [] if ended else self._reader.read(topic, partition, position.next - 1, 1)
        if not last:
            raise Refused(
                f"the store has read {topic}/{partition} up to {position.next}, the log ends before that: it is an"
                " older copy of the log, or another one; give the store that belongs to it, or a new file"
            )
        if last[0].chain != position.chain:
            raise Refused(
                f"the store was filled from another log: record {position.next - 1} of {topic}/{partition} is"
                " not the one it has read; give the store that belongs to this log, or a new file"
            )

    def _join(self, group: "_Group") -> None:
        for other in self._groups:
            if other.positions == group.positions:
                other.projections += group.projections
                return
        self._groups.append(group)

    @property
    def done(self) -> int:
        """How much of the logs every projection has taken, in offsets."""
        return min(group.done for group in self._groups)

    @property
    def end(self) -> int:
        """How much the logs hold now, in offsets. A projector at the end has taken no more than this."""
        return sum(self._reader.end(*place) for place in self._places)

    def turn(self) -> int:
        """Apply one batch; the number of events, 0 when there is nothing new."""
        behind = min(
            self._groups, key=lambda group: sum(position.next for position in group.positions.values())
        )
        ahead = next((group for group in self._groups if group is not behind), None)
        taken = self._advance(behind, ahead)
        if ahead is not None and (taken == 0 or behind.positions == ahead.positions):
            self._groups.remove(behind)
            self._join(behind)
            return taken or self.turn()
        return taken

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Apply everything there is; the number of events."""
        total = 0
        while taken := self.turn():
            total += taken
            if progress is not None:
                progress(total)
        return total

    def _advance(self, group: "_Group", limit: "_Group | None") -> int:
        batch = Batch()
        moved: dict[Place, Position] = {}
        self._turn = (self._turn + 1) % len(self._places)
        for place in self._places[self._turn :] + self._places[: self._turn]:
            room = self._batch_events - len(batch)
            at = group.positions.get(place, _START)
            up_to = None if limit is None else limit.positions.get(place, _START).next
            if up_to is not None:
                room = min(room, up_to - at.next)
            if room <= 0:
                continue
            records = self._reader.read(*place, at.next, room)
            if up_to is not None:
                records = [stored for stored in records if stored.offset < up_to]
            if records:
                moved[place] = self._take(batch, place, at, records)
        if not len(batch):
            return 0
        changes = [(projection, projection.apply(batch)) for projection in group.projections]
        self._store.commit(changes, moved, max(batch.recorded_at))
        group.positions.update(moved)
        return len(batch)

    @staticmethod
    def _take(batch: Batch, place: Place, at: Position, records: list[Stored]) -> Position:
        topic, partition = place
        chain = at.chain
        position = at.next
        for stored in records:
            chain = link(chain, stored.at, stored.value)
            if chain != stored.chain or stored.offset < position:
                raise LogDamaged(
                    f"record {stored.offset} of {topic}/{partition} does not follow the one before it:"
                    " `tallystick replay --verify` names what differs"
                )
            position = stored.offset + 1
        try:
            events = [decode_event(stored.value) for stored in records]
        except WireError as error:
            raise LogDamaged(f"{topic}/{partition}, between {at.next} and {position}: {error}") from error
        batch.add(
            topic,
            partition,
            [stored.offset for stored in records],
            events,
            [stored.chain for stored in records],
        )
        return Position(position, chain)


class _Group:
    """Projections that stand at the same positions."""

    def __init__(self, projections: list[Projection], positions: dict[Place, Position]) -> None:
        self.projections = projections
        self.positions = positions

    @property
    def done(self) -> int:
        """How much they have taken, in offsets."""
        return sum(position.next for position in self.positions.values())
