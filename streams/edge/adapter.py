"""The line to the card networks, as a process of its own: committed submissions out, answers back.

It reads the payments log as it is committed. What is to be sent is journalled, synced, and only then put on the wire;
answers go to ``network.replies`` by a plain idempotent producer, in no transaction, for the payments log takes each
(RRN, attempt, kind) once. Then the call is answered, and the group's position moves behind what has been.

An authorization, and an increment of one, goes out at most once. Whoever starts again says of those in the journal that
have no answer that they timed out, for nobody knows more; reversals may be repeated, and are. In virtual time the
networks are a function and are asked again: only they may say that nothing was heard.

A partition belongs to whoever has *claimed* it: with its position the group keeps the name of the journal that knows
what has been sent behind it. A claim by another journal (this machine's disk was lost, or another machine had the
partition and has died) makes everything between the position and the committed end a call that may have been sent. An
adapter that ends in order takes its name back. Before each batch goes out the position is committed in the present
generation of the group, so one that was frozen, and lost its partitions meanwhile, ends there, and not on the wire.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    MessageKind,
    NetworkReplyTimedOut,
    ReversalSubmitted,
)
from events.envelope import Recorded
from events.errors import TallystickError, Unavailable
from events.partitions import ClockKind
from events.wire import decode_event, encode_message, headers_of
from streams.edge.counterparties import seed_for
from streams.edge.journal import Journal, Kept, Sent
from streams.edge.lines import Call, SimulatedLine
from streams.edge.networks import Adapter, AdapterState, handover
from streams.hosts.cluster import CHAIN, Cluster, headers
from streams.hosts.edges import Outgoing
from streams.hosts.following import Follower, asking, decoded, group_positions, header_of, opened
from streams.hosts.log import TopicPartition
from streams.hosts.transactions import BATCH_BYTES, Outbound, Reach, filled, never

LOGGER: Final = logging.getLogger("tallystick.adapter")

LOG: Final = "payments"
REPLIES: Final = "network.replies"
#: Records read in one turn.
BATCH: Final = 1_000
#: How long an adapter that ends, or gives partitions up, waits for the answers that are still out.
DRAIN_SECONDS: Final = 5.0
_IDLE_MS: Final = 50
_PRODUCE_SECONDS: Final = 5.0
_SESSION_MS: Final = 10_000
_HEARTBEAT_MS: Final = 2_000
_REBALANCE_MS: Final = 30_000
#: The member reads nothing, and must not be sent away for that.
_NEVER_MS: Final = 2**31 - 1

_SUBMISSIONS: Final = headers_of((AuthorizationSubmitted, IncrementSubmitted, ReversalSubmitted))
#: What goes out at most once.
_AUTHORIZATIONS: Final = headers_of((AuthorizationSubmitted, IncrementSubmitted))
_HEARD: Final = headers_of(Adapter.HEARS)


@dataclass(frozen=True, slots=True)
class Settings:
    """How an adapter runs. ``partitions`` None: the group divides them; ``record`` is the simulated network's own."""

    seed: int
    state: Path
    partitions: Sequence[int] | None = None
    latency_ms: int = 0
    record: Path | None = None
    batch: int = BATCH


@dataclass(slots=True)
class _Line:
    """One partition. Records before ``quiet_until`` are history; calls before ``doubtful_until`` may be on the wire."""

    edge: Adapter
    position: int
    quiet_until: int
    doubtful_until: int
    last: tuple[int, bytes] = (-1, b"")
    open: set[int] = field(default_factory=set)
    committed: tuple[int, str] = (-1, "")

    @property
    def settled(self) -> int:
        """Every call before this has its answer."""
        return min(self.open) if self.open else max(self.position, self.quiet_until)

    @property
    def kept(self) -> Kept:
        """What the journal has to know."""
        return Kept(self.position, *self.last, msgspec.msgpack.encode(self.edge.state))


class AdapterProcess:
    """An adapter. Lives in one event loop."""

    def __init__(self, cluster: Cluster, settings: Settings, reach: Reach = never) -> None:
        #: Calls put on the wire, and answers published.
        self.sent = self.published = 0
        self._cluster = cluster
        self._settings = settings
        self._reach = reach
        self._group = f"{cluster.prefix}.adapter"
        self._journal = Journal(settings.state)
        self._disk = ThreadPoolExecutor(1, "journal")
        # One for questions, one for the records themselves.
        self._reader, self._records = Follower(cluster), Follower(cluster)
        self._line_out = SimulatedLine(settings.seed, settings.latency_ms, settings.record)
        self._lines: dict[int, _Line] = {}
        self._answered: list[tuple[int, int]] = []
        self._settled = asyncio.Event()
        self._turn = asyncio.Lock()
        self._virtual = True
        self._seed = settings.seed
        self._member: Any = None
        self._producer: Any = None
        self._failure: BaseException | None = None

    # -- life --------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Serve the partitions that are ours until ``stop`` is set. Raises what ended it."""
        await self._reader.start()
        await self._records.start()
        first = await opened(self._reader, (LOG, 0), stop)
        if first is None:
            return
        self._virtual = first.clock is ClockKind.VIRTUAL
        self._seed = seed_for(first, self._settings.seed)
        await self._connect()
        answering = asyncio.create_task(self._answer(), name="answers")
        try:
            while not stop.is_set() and self._failure is None and not answering.done():
                async with self._turn:
                    await self._take()
            if self._failure is not None:
                raise self._failure
            if not answering.done():
                async with self._turn:
                    await self._release(list(self._lines))
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering

    async def _connect(self) -> None:
        options = self._cluster.options()
        self._producer = AIOKafkaProducer(
            enable_idempotence=True, acks="all", max_batch_size=BATCH_BYTES, **options
        )
        # Says whose partitions are whose, and reads nothing: what the group believes must not move a reader.
        self._member = AIOKafkaConsumer(
            group_id=self._group,
            # Whoever comes back with the journal is who has died, and need not wait until the group has noticed.
            group_instance_id=f"adapter-{self._journal.name}",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            rebalance_timeout_ms=_REBALANCE_MS,
            max_poll_interval_ms=_NEVER_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
            **options,
        )
        partitions = self._settings.partitions
        if partitions is None:
            self._member.subscribe([self._cluster.topic(LOG)], listener=_Listener(self))
        async with asking(self._cluster):
            await self._producer.start()
            await self._member.start()
        if partitions is not None:
            places = [self._place(partition) for partition in partitions]
            self._member.assign(places)
            self._member.pause(*places)
            await self.claim(partitions)

    async def close(self) -> None:
        """Let go of everything; what is in doubt is so in the journal."""
        for client in (self._member, self._producer):
            if client is not None:
                with suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(_PRODUCE_SECONDS):
                        await client.stop()
        await self._reader.close()
        await self._records.close()
        self._line_out.close()
        self._disk.shutdown()
        self._journal.close()

    # -- whose partition it is ---------------------------------------------------------------------

    async def assigned(self, partitions: Sequence[KafkaPartition]) -> None:
        """The group has been divided, and these are ours."""
        self._member.pause(*partitions)
        async with self._turn:
            await self.claim([place.partition for place in partitions])

    async def claim(self, partitions: Iterable[int]) -> None:
        """Take partitions, and take up what was under way there."""
        claims = await group_positions(self._cluster, self._group)
        for partition in partitions:
            line, pending = await self._line(partition, claims.get((LOG, partition)))
            self._lines[partition] = line
            again, lost = self._resumed(line, partition, pending)
            self._line_out.send(again)
            self._line_out.say(lost)
        self._records.follow({(LOG, partition): line.position for partition, line in self._lines.items()})

    async def _line(self, partition: int, claim: tuple[int, str] | None) -> tuple[_Line, Sequence[Sent]]:
        place = (LOG, partition)
        committed, owner = claim or (0, "")
        edge = Adapter(partition, self._seed)
        if self._virtual:
            line = _Line(edge, 0, committed, committed)
            self._journal.forget(partition)
            await self._commit({partition: line}, self._journal.name)
            return line, ()
        kept = await self._fitting(partition)
        if kept is not None and kept.position >= committed and (claim is None or owner == self._journal.name):
            edge.state = msgspec.msgpack.decode(kept.state, type=AdapterState)
            last = (kept.last_offset, kept.last_chain)
            pending = self._journal.sent(partition)
            line = _Line(edge, kept.position, kept.position, kept.position, last)
            line.open = {sent.offset for sent in pending}
            await self._commit({partition: line}, self._journal.name)
            return line, pending
        self._journal.forget(partition)
        line = _Line(edge, 0, committed, committed)
        await self._commit({partition: line}, self._journal.name)
        # Asked behind the claim: whatever the one before may have read and sent stands before this end.
        if owner or (claim is None and await self._has_been_used()):
            line.doubtful_until = await self._end(place)
            LOGGER.warning(
                "%s/%s: what was sent between %s and %s is not in this journal; authorizations there count as sent",
                *place,
                committed,
                line.doubtful_until,
            )
        return line, ()

    async def _has_been_used(self) -> bool:
        """Whether any adapter has ever answered here: then a group without positions has forgotten them."""
        partitions = await self._reader.partitions(REPLIES)
        return any((await self._reader.ends([(REPLIES, number) for number in range(partitions)])).values())

    async def _end(self, place: TopicPartition) -> int:
        return (await self._reader.ends([place]))[place]

    async def _fitting(self, partition: int) -> Kept | None:
        """What the journal knows of a partition, where it is of this very log."""
        kept = self._journal.line(partition)
        if kept is None or kept.last_offset < 0:
            return kept
        place = (LOG, partition)
        if kept.last_offset >= await self._end(place):
            return None
        async for _, records in self._reader.read_up_to(
            {place: kept.last_offset}, {place: kept.last_offset + 1}
        ):
            if dict(records[0].headers).get(CHAIN) == kept.last_chain:
                return kept
        return None

    def _resumed(self, line: _Line, partition: int, pending: Sequence[Sent]) -> tuple[list[Call], list[Call]]:
        """What was sent before and has no answer: what is sent once more, and what has timed out."""
        again, lost = [], []
        for sent in pending:
            recorded = decode_event(sent.event)
            if isinstance(recorded.body, AuthorizationSubmitted | IncrementSubmitted):
                lost.append(_unanswered(line.edge, partition, sent.offset, recorded))
            else:
                again.append(Call(partition, sent.offset, recorded, line.edge.see(LOG, partition, recorded)))
        return again, lost

    async def release(self, partitions: Sequence[int]) -> None:
        """The group takes these partitions: settle what can be settled, and give them up."""
        async with self._turn:
            await self._release(partitions)

    async def _release(self, partitions: Sequence[int]) -> None:
        """Wait for the answers that are out; where none is, nobody has to wonder what was sent."""
        lines = {partition: self._lines[partition] for partition in partitions if partition in self._lines}
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while any(line.open for line in lines.values()):
                    self._settled.clear()
                    await self._settled.wait()
        await self._write([], lines)
        done = {partition: line for partition, line in lines.items() if not line.open}
        await self._commit(done, "")
        await self._commit({one: line for one, line in lines.items() if line.open}, self._journal.name)
        for partition in lines:
            del self._lines[partition]
        self._records.follow({(LOG, partition): line.position for partition, line in self._lines.items()})

    def fail(self, error: BaseException) -> None:
        """End with this."""
        self._failure = self._failure or error

    # -- out ---------------------------------------------------------------------------------------

    async def _take(self) -> None:
        if not self._lines:
            await asyncio.sleep(_IDLE_MS / 1_000)
            return
        found = await self._records.take(self._settings.batch, _IDLE_MS)
        calls: list[Call] = []
        lost: list[Call] = []
        journalled: list[Sent] = []
        touched: dict[int, _Line] = {}
        for (_, partition), records in found.items():
            line = self._lines[partition]
            for record in records:
                call = self._hear(line, partition, record)
                if call is None:
                    continue
                line.open.add(record.offset)
                doubtful = record.offset < line.doubtful_until and _is_authorization(record)
                (lost if doubtful else calls).append(call)
                journalled.append(Sent(partition, record.offset, record.value))
                touched[partition] = line
            line.position = records[-1].offset + 1
            line.last = (records[-1].offset, dict(records[-1].headers).get(CHAIN, b""))
        if journalled:
            # Both before the wire: what is sent must be known here, and be ours to send.
            await asyncio.gather(
                self._write(journalled, touched), self._commit(touched, self._journal.name, always=True)
            )
            self._reach("after-journal")
            self._line_out.send(calls)
            self._line_out.say(lost)
            self.sent += len(calls)
            self._reach("after-wire")
        else:
            await self._commit(self._lines, self._journal.name)
            if self._answered:
                await self._write([], {})

    def _hear(self, line: _Line, partition: int, record: Any) -> Call | None:
        header = header_of(record)
        if header not in _HEARD or (header in _SUBMISSIONS and record.offset < line.quiet_until):
            return None
        recorded = decoded((LOG, partition), record)
        if record.offset < line.doubtful_until and _is_authorization(record):
            return _unanswered(line.edge, partition, record.offset, recorded)
        answers = line.edge.see(LOG, partition, recorded)
        return Call(partition, record.offset, recorded, answers) if header in _SUBMISSIONS else None

    async def _write(self, sent: Sequence[Sent], lines: dict[int, _Line]) -> None:
        answered, self._answered = self._answered, []
        kept = [(partition, line.kept) for partition, line in lines.items()]
        await asyncio.get_running_loop().run_in_executor(
            self._disk, self._journal.write, sent, answered, kept
        )

    async def _commit(self, lines: dict[int, _Line], owner: str, *, always: bool = False) -> None:
        """Move the group's positions behind what is settled; this also proves that the partitions are still ours."""
        offsets = {partition: (line.settled, owner) for partition, line in lines.items()}
        moved = {one: to for one, to in offsets.items() if always or lines[one].committed != to}
        if not moved:
            return
        async with asking(self._cluster):
            try:
                await self._member.commit({self._place(one): to for one, to in moved.items()})
            except (CommitFailedError, IllegalStateError) as error:
                raise Unavailable("another adapter has taken over these partitions") from error
        for one, to in moved.items():
            lines[one].committed = to
        self._reach("after-group")

    def _place(self, partition: int) -> KafkaPartition:
        return KafkaPartition(self._cluster.topic(LOG), partition)

    # -- back --------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Publish answers as they come, and settle their calls."""
        try:
            while True:
                calls = await self._line_out.answered()
                await self._publish(calls)
                self._reach("after-replies")
                for call in calls:
                    self._answered.append((call.partition, call.offset))
                    line = self._lines.get(call.partition)
                    if line is not None:
                        line.open.discard(call.offset)
                self._settled.set()
        except TallystickError as error:
            self.fail(error)

    async def _publish(self, calls: Sequence[Call]) -> None:
        saying: defaultdict[TopicPartition, list[Outbound]] = defaultdict(list)
        for call in calls:
            own = headers(call.recorded.meta.recorded_at)
            for answer in call.answers:
                saying[(answer.topic, answer.partition)].append((encode_message(answer.message), own))
        async with asking(self._cluster, _PRODUCE_SECONDS):
            futures = [
                await self._producer.send_batch(batch, self._cluster.topic(topic), partition=partition)
                for (topic, partition), records in saying.items()
                for batch in filled(self._producer, records)
            ]
            for future in futures:
                await future
        self.published += sum(map(len, saying.values()))


def _is_authorization(record: Any) -> bool:
    return header_of(record) in _AUTHORIZATIONS


def _unanswered(edge: Adapter, partition: int, offset: int, recorded: Recorded) -> Call:
    """An authorization of which nobody knows more than that it may have been sent."""
    body = recorded.body
    assert isinstance(body, AuthorizationSubmitted | IncrementSubmitted)
    increment = isinstance(body, IncrementSubmitted)
    fact = NetworkReplyTimedOut(
        body.payment_id,
        body.network,
        MessageKind.INCREMENT if increment else MessageKind.AUTHORIZATION,
        body.attempt,
        body.stan,
        body.rrn,
        body.timeout_ms,
    )
    return Call(
        partition, offset, recorded, [Outgoing(REPLIES, partition, handover(edge.name, recorded, fact))]
    )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What the group says. The library would log an exception of ours and go on."""

    def __init__(self, adapter: AdapterProcess) -> None:
        self._adapter = adapter

    async def on_partitions_revoked(self, revoked: list[KafkaPartition]) -> None:
        await self._tell(lambda: self._adapter.release([place.partition for place in revoked]))

    async def on_partitions_assigned(self, assigned: list[KafkaPartition]) -> None:
        await self._tell(lambda: self._adapter.assigned(assigned))

    async def _tell(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (TallystickError, KafkaError, OSError) as error:
            self._adapter.fail(error)


async def serve(cluster: Cluster, settings: Settings, stop: asyncio.Event, reach: Reach = never) -> None:
    """Serve until ``stop`` is set. Raises Unavailable where something is in doubt: a new process goes on."""
    adapter = AdapterProcess(cluster, settings, reach)
    try:
        await adapter.run(stop)
    finally:
        await adapter.close()
