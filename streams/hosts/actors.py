"""The actors of one house: indexes, edges and the publisher, each of which reads, works and commits in turns.

An actor's turn is one commit. It may die at any moment; a new one of the same name, made on the same log, goes
on where the last commit ends. Who calls them, in which order and how often is the host's business, and what
comes out does not depend on it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from events.base import Message
from events.errors import Broken, LogDamaged, Retry, WireError
from events.wire import HEADER_BYTES, decode_event, encode_message, headers_of
from streams.hosts.admission import Keys, screened
from streams.hosts.edges import Edge
from streams.hosts.engine import Undecidable
from streams.hosts.index import Index, Run, Staged
from streams.hosts.log import Append, Log, Stored
from streams.hosts.snapshots import Distance, Spilled
from streams.topology import EngineSpec

LOGGER: Final = logging.getLogger("tallystick.actors")


class Actor(Protocol):
    """Whoever takes turns."""

    name: str

    def turn(self, limit: int) -> bool:
        """Read at most ``limit`` records from each input, work, commit. False where there was nothing to do."""


class IndexActor:
    """An index on its log. ``on_committed`` is told what each of its commits held."""

    def __init__(
        self,
        log: Log,
        number: int,
        run: Run,
        keys: Keys,
        on_committed: Callable[[Staged], None] = lambda _: None,
    ) -> None:
        self.name = f"index/{number}"
        self._log = log
        self._number = number
        self._run = run
        self._keys = keys
        self._on_committed = on_committed
        self.index = self._restored()

    def _restored(self) -> Index:
        index = Index(self._number, self._run, self._keys)
        if not index.restore(self._log, keep=lambda spilled: self._keep(index.owner, spilled)):
            staged = index.opening()
            self._log.commit(index.owner, staged.appends, staged.positions)
        self._distance = Distance(sum(index.log_ends.values()))
        return index

    def _keep(self, owner: str, spilled: Spilled) -> None:
        self._log.commit(owner, (), {}, spilled.sealed(), spilled.moves())

    def turn(self, limit: int) -> bool:
        index = self.index
        read = [
            (spec, topic, self._log.read(topic, index.place(topic)[1], position, limit))
            for spec, topic, position in index.inputs()
        ]
        if not index.unfinished and not any(records for _, _, records in read):
            return False
        try:
            staged = index.take(read)
        except Undecidable as waited:
            # What has waited in this very batch is not in the log yet: it gets there when taken alone.
            if not self._put_aside_waiting(waited):
                self._take_one_by_one(read)
            return True
        except (Broken, Retry):
            raise
        except Exception:
            LOGGER.exception("%s: deciding a batch failed; taking it again one by one", self.name)
            self._take_one_by_one(read)
            return True
        events = sum(index.log_ends.values())
        if self._distance.is_passed(events):
            spilled = index.spill()
            self._distance.begin(events, spilled.size)
            self._log.commit(index.owner, staged.appends, staged.positions, spilled.sealed(), spilled.moves())
        else:
            self._log.commit(index.owner, staged.appends, staged.positions)
        self._on_committed(staged)
        return True

    def _take_one_by_one(self, read: Sequence[tuple[EngineSpec, str, Sequence[Stored]]]) -> None:
        """A raise leaves the engines ahead of the log: restore, and find the one input that raises again."""
        self.index = self._restored()
        for spec, topic, records in read:
            for stored in records:
                try:
                    staged = self.index.take([(spec, topic, [stored])])
                except Undecidable as waited:
                    if not self._put_aside_waiting(waited):
                        raise
                    return  # The rest is read again from here.
                except (Broken, Retry):
                    raise
                except Exception as error:  # noqa: BLE001 - whatever a defect raises, the stream goes on
                    self.index = self._restored()
                    self._put_aside(spec, topic, stored, error)
                    continue
                self._commit(staged)

    def _put_aside_waiting(self, waited: Undecidable) -> bool:
        """False where what waits has not been committed."""
        self.index = self._restored()
        name, source = waited.engine.partition("/")[0], waited.source
        if source.offset >= self.index.positions[(source.topic, source.partition)]:
            return False
        (stored,) = self._log.read(source.topic, source.partition, source.offset, 1)
        self._put_aside(self.index.engines[name].spec, source.topic, stored, waited.cause)
        return True

    def _put_aside(self, spec: EngineSpec, topic: str, stored: Stored, error: Exception) -> None:
        """Dead-letter an input; the index is as its log."""
        LOGGER.critical(
            "%s: %s at %s cannot be decided (%s); dead-lettered",
            self.name,
            topic,
            stored.offset,
            type(error).__name__,
        )
        self._commit(self.index.dead_letter(spec, topic, stored, error))

    def _commit(self, staged: Staged) -> None:
        self._log.commit(self.index.owner, staged.appends, staged.positions)
        self._on_committed(staged)


class EdgeActor:
    """An edge on its log: position, state and answers in one commit."""

    def __init__(self, log: Log, edge: Edge) -> None:
        self.name = edge.name
        self.edge = edge
        self._log = log
        # By the header of its bytes alone: an edge leaves most of what it reads undecoded.
        self._hears = headers_of(edge.HEARS)
        self._positions = dict.fromkeys(edge.reads(), 0) | log.positions(edge.name)
        state = saved_state(log, edge.name, type(edge.state))
        if state is not None:
            edge.state = state

    def turn(self, limit: int) -> bool:
        appends: list[Append] = []
        moved = {}
        for (topic, partition), position in self._positions.items():
            records = self._log.read(topic, partition, position, limit)
            if not records:
                continue
            heard = self._hears
            for stored in records:
                if stored.value[:HEADER_BYTES] in heard:
                    appends += self._see(topic, partition, stored)
            moved[(topic, partition)] = records[-1].offset + 1
        if not moved:
            return False
        self._log.commit(self.name, appends, moved, msgspec.msgpack.encode(self.edge.state))
        self._positions.update(moved)
        return True

    def _see(self, topic: str, partition: int, stored: Stored) -> list[Append]:
        try:
            recorded = decode_event(stored.value)
        except WireError as error:
            raise LogDamaged(f"{topic}/{partition} at {stored.offset}: {error}") from error
        at = recorded.meta.recorded_at
        return [
            Append(answer.topic, answer.partition, at, encode_message(answer.message))
            for answer in self.edge.see(topic, partition, recorded)
        ]


class Published(Protocol):
    """A message with its virtual stamp, microseconds UTC."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def ingested_at(self) -> int: ...
    @property
    def message(self) -> Message: ...


class InputSource(Protocol):
    """What brings requests, reference data and ticks. Its state, kept with what it gave, is where it goes on."""

    @property
    def state(self) -> Any: ...

    def allow_tick(self, up_to: int) -> None:
        """Ticks up to this one may be given."""

    def next_block(self, limit: int) -> Sequence[Published]:
        """The next messages; empty while the next tick is not allowed, and at the end."""


PUBLISHER: Final = "publisher"

_State = TypeVar("_State")


def saved_state(log: Log, owner: str, kind: type[_State]) -> _State | None:
    """What an owner last kept as its state; None where it never kept any. Raises LogDamaged."""
    saved = log.state(owner)
    if saved is None:
        return None
    try:
        return msgspec.msgpack.decode(saved, type=kind)
    except msgspec.MsgspecError as error:
        raise LogDamaged(f"the state of {owner} cannot be read: {error}") from error


class PublisherActor:
    """The producers' side: publishes an input and stays at most ``ahead`` ticks ahead of the slowest index.

    ``source`` goes on from :func:`saved_state`; ``keys`` seal what must not lie on a topic in clear;
    ``on_committed`` is told what each commit published.
    """

    def __init__(
        self,
        log: Log,
        source: InputSource,
        keys: Keys,
        slowest_tick: Callable[[], int],
        ahead: int,
        on_committed: Callable[[Sequence[Published]], None] = lambda _: None,
    ) -> None:
        self.name = PUBLISHER
        self._log = log
        self._source = source
        self._keys = keys
        self._slowest_tick = slowest_tick
        self._ahead = ahead
        self._on_committed = on_committed

    def turn(self, limit: int) -> bool:
        self._source.allow_tick(self._slowest_tick() + self._ahead)
        block = self._source.next_block(limit)
        if not block:
            return False
        appends = [
            Append(
                item.topic,
                item.partition,
                item.ingested_at,
                encode_message(screened(self._keys, item.message)),
            )
            for item in block
        ]
        self._log.commit(self.name, appends, {}, msgspec.msgpack.encode(self._source.state))
        self._on_committed(block)
        return True
