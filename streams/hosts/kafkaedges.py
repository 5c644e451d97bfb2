"""Edges on Kafka: what an edge answers and how far it has read, in one transaction.

To begin: *fence* (a producer of the edge's own name), read the group's positions *after* it, then fold the logs up to
there once more without sending anything: the edge's state is what that gives. A snapshot on this machine saves most of
the fold; one that does not stand in this very log, or ahead of the positions, is thrown away.

A group that has been idle for a week loses its positions. They are not the truth either: what the edge has said stands
in its topics. Folding from the beginning makes the same messages again: what is there is left out, and one that differs
ends the edge. (By the wall's clock the bank may see its logs in another order than then; rather than say something
twice it says nothing.)
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import Refused, TallystickError
from events.messages import Handover, Marker
from events.wire import encode_message, headers_of
from streams.hosts.cluster import CHAIN, Cluster
from streams.hosts.edges import Edge, Outgoing
from streams.hosts.following import (
    WAIT_ALONE_MS,
    WAIT_MS,
    Follower,
    decoded,
    group_positions,
    header_of,
    message_of,
)
from streams.hosts.kafkalog import group_of
from streams.hosts.log import Append, TopicPartition
from streams.hosts.transactions import Reach, Transactions, never

LOGGER: Final = logging.getLogger("tallystick.edges")

#: Records that are read in one turn.
BATCH: Final = 2_000
#: Records without an answer that are read before the position is committed for their sake alone.
_QUIET_RECORDS: Final = 20_000
#: A snapshot for so many records; and one at the end.
_SNAPSHOT_RECORDS: Final = 200_000
_IDLE_MS: Final = 200
#: An edge for which nobody waits reads so much at once, or what has come in so long: each time costs broker and edge
#: more than the records.
_UNHURRIED_MS: Final = 200
_UNHURRIED_BYTES: Final = 64 << 10
#: Raised whenever the state of any edge changes its meaning.
_FORMAT: Final = 2

_OURS: Final = headers_of((Handover, Marker))


class _Kept(msgspec.Struct, frozen=True):
    """A snapshot: the last record taken from each partition, by offset and chain value, and the state after them."""

    format: int
    edge: str
    last: dict[str, tuple[int, bytes]]
    state: bytes


class KafkaEdge:
    """An edge and its producer. Lives in one event loop."""

    def __init__(
        self,
        cluster: Cluster,
        edge: Edge,
        state: Path | None = None,
        *,
        batch: int = BATCH,
        reach: Reach = never,
        hurried: bool = True,
    ) -> None:
        """``state`` is a folder for the snapshot. ``hurried``: somebody waits for what it says."""
        self.name = edge.name
        self.edge = edge
        #: Messages sent, and records read, since the start.
        self.sent = self.read = 0
        self._cluster = cluster
        self._path = None if state is None else state / f"{edge.name.replace('/', '-')}.snapshot"
        self._batch = batch
        self._reach = reach
        self._group = group_of(cluster, edge.name)
        self._hears = headers_of(edge.HEARS)
        self._transactions = Transactions(cluster, f"edge.{edge.name}", reach)
        places = edge.reads()
        if hurried:
            self._reader = Follower(cluster, wait_ms=WAIT_MS if len(places) > 1 else WAIT_ALONE_MS)
        else:
            self._reader = Follower(cluster, wait_ms=_UNHURRIED_MS, wait_bytes=_UNHURRIED_BYTES)
        #: The next offset to read of each partition.
        self.positions: dict[TopicPartition, int] = dict.fromkeys(places, 0)
        self._last: dict[TopicPartition, tuple[int, bytes]] = {}
        self._uncommitted = self._unkept = 0
        #: Where positions were lost: what each partition has of this edge already, read when it is needed.
        self._there: dict[TopicPartition, deque[bytes]] | None = None

    async def open(self) -> None:
        """Fence, restore. Raises Unavailable, LogDamaged."""
        await self._reader.start()
        await self._transactions.fence(self.edge.writes(), self._group)
        committed = await group_positions(self._cluster, self._group)
        if not committed:
            self._there = {}
        ends = {place: committed.get(place, (0, ""))[0] for place in self.positions}
        starts = await self._take_snapshot(ends)
        async for place, records in self._reader.read_up_to(starts, ends):
            self._see(place, records)
        self.positions = ends
        self._reach("after-restore")
        self._reader.follow(ends)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set."""
        while not stop.is_set():
            await self.turn()
        await self._commit([])
        self._keep()

    async def turn(self, wait_ms: int = _IDLE_MS) -> bool:
        """Read, answer, commit. False where there was nothing to read."""
        found = await self._reader.take(self._batch, wait_ms)
        outgoing = []
        for place, records in found.items():
            outgoing += self._see(place, records)
            self.positions[place] = records[-1].offset + 1
            self._uncommitted += len(records)
            self._unkept += len(records)
            self.read += len(records)
        if self._there is not None:
            outgoing = [one for one in outgoing if not await self._is_there(one[0])]
        if outgoing or self._uncommitted >= _QUIET_RECORDS:
            await self._commit(outgoing)
            if self._unkept >= _SNAPSHOT_RECORDS:
                self._keep()
        return bool(found)

    def _see(self, place: TopicPartition, records: Sequence[Any]) -> list[tuple[Outgoing, int]]:
        """What the edge answers to these records, each with the logical time of what it answers."""
        heard, (topic, partition) = self._hears, place
        out = []
        for record in records:
            if header_of(record) in heard:
                recorded = decoded(place, record)
                at = recorded.meta.recorded_at
                out += [(answer, at) for answer in self.edge.see(topic, partition, recorded)]
        last = records[-1]
        self._last[place] = (last.offset, dict(last.headers).get(CHAIN, b""))
        return out

    async def _commit(self, outgoing: Sequence[tuple[Outgoing, int]]) -> None:
        if not outgoing and not self._uncommitted:
            return
        appends = [Append(one.topic, one.partition, at, encode_message(one.message)) for one, at in outgoing]
        # All positions, moved or not: those of a group that has no members are forgotten one by one.
        await self._transactions.commit(appends, self._group, self.positions)
        self._uncommitted = 0
        self.sent += len(appends)

    async def close(self) -> None:
        """Let the name go. What is committed stays."""
        await self._transactions.close()
        await self._reader.close()

    # -- lost positions ----------------------------------------------------------------------------

    async def _is_there(self, outgoing: Outgoing) -> bool:
        assert self._there is not None
        place = (outgoing.topic, outgoing.partition)
        if place not in self._there:
            self._there[place] = await self._said(place)
        if not self._there[place]:
            return False
        if self._there[place].popleft() != encode_message(outgoing.message):
            raise Refused(
                f"the positions of {self._group} are gone, and {self.name} would now say something else on"
                f" {place[0]}/{place[1]} than it did: set the group's positions to where it was"
            )
        return True

    async def _said(self, place: TopicPartition) -> deque[bytes]:
        """The messages of this edge that a partition holds."""
        found: deque[bytes] = deque()
        reader = Follower(self._cluster)
        await reader.start()
        try:
            async for _, records in reader.read_up_to({place: 0}, await reader.ends([place])):
                for record in records:
                    message = message_of(record) if header_of(record) in _OURS else None
                    if isinstance(message, Handover | Marker) and message.sender == self.name:
                        found.append(record.value)
        finally:
            await reader.close()
        if found:
            LOGGER.warning(
                "%s: the positions of %s are gone; %s messages on %s/%s are its own and are not sent again",
                self.name,
                self._group,
                len(found),
                *place,
            )
        return found

    # -- snapshots ---------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Replace the snapshot. A full disk is said, and costs nothing but time."""
        if self._path is None or not self._last:
            return
        self._unkept = 0
        last = {f"{topic}/{partition}": kept for (topic, partition), kept in self._last.items()}
        kept = _Kept(_FORMAT, self.name, last, msgspec.msgpack.encode(self.edge.state))
        partial = self._path.with_suffix(".partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(msgspec.msgpack.encode(kept))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            LOGGER.warning("no snapshot was kept at %s: %s", self._path, error.strerror)

    async def _take_snapshot(self, committed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where to fold from: behind the snapshot where it fits, from the beginning otherwise."""
        beginning = dict.fromkeys(self.positions, 0)
        if self._path is None:
            return beginning
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
            state = msgspec.msgpack.decode(kept.state, type=type(self.edge.state))
        except FileNotFoundError:
            return beginning
        except (OSError, msgspec.MsgspecError) as error:
            LOGGER.warning("the snapshot %s is not used: %s", self._path, error)
            return beginning
        last = {place: kept.last.get(f"{place[0]}/{place[1]}") for place in self.positions}
        if (kept.format, kept.edge) != (_FORMAT, self.name) or not await self._fits(last, committed):
            LOGGER.warning("the snapshot %s is not used: it belongs to another state of the log", self._path)
            return beginning
        self.edge.state = state
        self._last = {place: one for place, one in last.items() if one is not None}
        return {place: 0 if one is None else one[0] + 1 for place, one in last.items()}

    async def _fits(
        self, last: Mapping[TopicPartition, tuple[int, bytes] | None], committed: Mapping[TopicPartition, int]
    ) -> bool:
        for place, one in last.items():
            if one is None:
                continue
            offset, chain = one
            if offset >= committed[place] or await self._chain_at(place, offset) != chain:
                return False
        return True

    async def _chain_at(self, place: TopicPartition, offset: int) -> bytes | None:
        async for _, records in self._reader.read_up_to({place: offset}, {place: offset + 1}):
            found: bytes | None = dict(records[0].headers).get(CHAIN)
            return found
        return None


async def host(edges: Sequence[KafkaEdge], stop: asyncio.Event) -> None:
    """Open edges and let them work side by side until ``stop`` is set. What ends one of them ends all.

    Raises the error that ended the first of them. A defect in any of them is raised as it comes, in a group.
    """

    async def one(edge: KafkaEdge) -> None:
        try:
            await edge.open()
            await edge.run(stop)
        finally:
            await edge.close()

    try:
        async with asyncio.TaskGroup() as group:
            for edge in edges:
                group.create_task(one(edge), name=edge.name)
    except ExceptionGroup as errors:
        # Not ``except*``, which makes a group of whatever is raised in it: a caller could not tell what it is.
        if any(not isinstance(error, TallystickError) for error in errors.exceptions):
            raise
        raise errors.exceptions[0] from None
