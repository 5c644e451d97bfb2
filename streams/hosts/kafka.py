"""An index on Kafka: the order of operations without which exactly-once is a word.

To begin: *fence* (a producer of the index's own name shuts out whoever had it and settles what that one left open),
then *restore* from the committed log, then read the group's positions, *now*, and hold them against the log, then seek,
then work. For each batch: read, decide, begin, produce, await every produce, send the positions, commit; only then is
what was decided the state. On any doubt the exception leaves the process: a new one restores, and that is the only way
back.

The one doubt that stays inside is a defect of a processor: there the index is restored and the batch taken again, input
by input, and the one that raises again is put aside.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from events.errors import Broken, LogDamaged, Retry, Unavailable
from events.messages import Marker
from events.requests import Tick
from events.wire import HEADER_BYTES, headers_of
from streams.hosts.admission import Keys
from streams.hosts.clocks import WallClock
from streams.hosts.cluster import Cluster, stored
from streams.hosts.engine import Undecidable
from streams.hosts.following import settled
from streams.hosts.index import Index, Run, Staged
from streams.hosts.kafkalog import KafkaLog, group_of
from streams.hosts.localstate import LetGo, LocalState
from streams.hosts.log import Stored, TopicPartition
from streams.hosts.refusals import reason
from streams.hosts.snapshots import Distance, Spilled
from streams.hosts.standby import Warm
from streams.hosts.transactions import Reach, Transactions, never
from streams.topology import BROADCAST, ENGINES, LOGS, EngineSpec, written_by

LOGGER: Final = logging.getLogger("tallystick.kafka")

#: How many bytes of one input a turn takes, or else one record. Behind a few kilobytes of a compressed batch may stand
#: hundreds of megabytes: sealed one by one, they would not fit into a transaction before its deadline.
_TURN_BYTES: Final = 4 << 20
#: How long an index with nothing to do waits for a record before it looks at its clock again.
IDLE_MS: Final = 50
#: How long a broker may keep a fetch: what is drained meanwhile is not asked for until then. It does while there is
#: less than so much, for a commit reaches ten partitions one after the other, and each would be an answer of its own,
#: at the cost of a tenth of the index's time and more of the broker's. Not in virtual time: everybody waits for each.
_FETCH_WAIT_MS: Final = 20
_FETCH_BYTES: Final = 1 << 20

#: Nobody waits for a tick as for an answer: what brings nothing else is let come together for so long, for a
#: transaction costs the same whatever it holds.
_LINGER_SECONDS: Final = 0.02
_TIME_ALONE: Final = headers_of((Marker, Tick))

Read = list[tuple[EngineSpec, str, Sequence[Stored]]]


@dataclass(slots=True)
class Statistics:
    """What an index has done in this process. Seconds of the steady clock; counts since its start."""

    transactions: int = 0
    inputs: int = 0
    requests: int = 0
    events: int = 0
    decide_seconds: float = 0.0
    commit_seconds: float = 0.0
    restore_seconds: float = 0.0
    restored_events: int = 0
    #: Whether it went on from a standby.
    was_warm: bool = False
    #: From the beginning of its fence to its first commit: how long nobody has decided, beside the group's own time.
    first_commit_seconds: float = 0.0
    put_aside: int = 0
    last_commit_at: float = 0.0


class KafkaIndex:
    """Index ``number`` of ``run.partitions`` on a cluster. Lives in one event loop."""

    def __init__(
        self,
        cluster: Cluster,
        number: int,
        run: Run,
        keys: Keys,
        state: Path,
        *,
        clock: WallClock | None,
        reach: Reach = never,
        on_committed: Callable[[int, Staged], None] = lambda _number, _staged: None,
        warm: Warm | None = None,
    ) -> None:
        """``clock`` is None in virtual time; ``state`` is a folder for the local state; ``warm`` what a standby
        holds."""
        self.number = number
        self.name = f"index/{number}"
        self.statistics = Statistics()
        self.index = Index(number, run, keys)
        #: When the clock struck last (microseconds UTC, the business's), where that tick is still to be taken.
        self.struck_at: int | None = None
        self._cluster = cluster
        self._run = run
        self._keys = keys
        self._clock = clock
        self._business_time = None if clock is None else clock.business_time
        self._local = LocalState(state, self.name)
        self._reach = reach
        self._on_committed = on_committed
        #: What a standby holds of this index, until it is restored from it.
        self.warm = warm
        #: Whether the last turn took as much of an input as it might: more may wait.
        self.is_crowded = False
        self._group = group_of(cluster, self.name)
        self._transactions = Transactions(cluster, self.name, reach)
        self._consumer: Any = None
        self._opened_at = time.monotonic()
        # The partitions that the index reads, and what their topics are called here; answers before requests.
        self._inputs = {
            KafkaPartition(cluster.topic(topic), self.index.place(topic)[1]): topic
            for spec in ENGINES
            for topic in spec.inputs
        }
        # A snapshot that is being encoded between two turns, how many events the logs held by it, and one that is
        # being written.
        self._spilled: Spilled | None = None
        self._spilled_at = 0
        self._keeping: asyncio.Task[None] | None = None
        # Between the memory of an index and what is on its way out of it nobody looks for a payment.
        self._spilling = Lock()
        # How many events the logs hold.
        self._log_events = 0
        self._distance = Distance(0)

    # -- life --------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Fence, restore, seek. Raises Refused, Unavailable, LogDamaged, ReplayDiffers."""
        self._opened_at = time.monotonic()
        await self._restore()
        self._consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            fetch_min_bytes=1 if self._clock is None else _FETCH_BYTES,
            **self._cluster.options(),
        )
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise Unavailable(f"{self.name} cannot read: {reason(error)}") from error
        self._consumer.assign(list(self._inputs))
        self._seek()

    async def _restore(self) -> None:
        """The only way to a state: from the log, behind a fence."""
        await self._kept()
        self._spilled = None
        await self._transactions.close()
        await self._transactions.fence(written_by(self.number, self._run.partitions), self._group)
        # Nobody else writes here: when nothing is open, what is read is all that there is.
        await settled(self._cluster, [(name, self.number) for name in LOGS])
        started = time.monotonic()
        # In a thread: it takes long, and the group's heartbeats must go on.
        # Once: what is to be restored again later is not what a standby has held.
        warm, self.warm = self.warm, None
        self.index, empty = await asyncio.to_thread(self._restored, warm)
        self.statistics.restore_seconds = time.monotonic() - started
        self._reach("after-restore")
        if empty:
            await self._commit(self.index.opening())

    def _restored(self, warm: Warm | None) -> tuple[Index, bool]:
        log = KafkaLog(self._cluster, self._business_time)
        empty, folded = False, 0 if warm is None else warm.index.restored
        try:
            was_warm = warm is not None and warm.catch_up(log)
            if warm is None or not was_warm:
                if warm is not None:
                    warm.close()
                run = self._run if self._clock is None else replace(self._run, opened_at=self._clock.now())
                warm, folded = Warm(Index(self.number, run, self._keys)), 0
                empty = not warm.restore(log, self._local)
            for name in LOGS:
                last = log.last(name, self.number)
                if last is not None:
                    self._transactions.chains[(name, self.number)] = last.chain
        finally:
            log.close()
        self._local, self._log_events = warm.local, warm.events
        self._distance = Distance(warm.kept_events, turn=self.number / self._run.partitions)
        self.statistics.restored_events = warm.index.restored - folded
        self.statistics.was_warm = was_warm
        if was_warm:
            LOGGER.info(
                "%s: taken over from a standby, %d events behind", self.name, warm.index.restored - folded
            )
        return warm.index, empty

    def _seek(self) -> None:
        index = self.index
        for place, topic in self._inputs.items():
            position = (
                min(index.broadcast.values()) if topic in BROADCAST else index.positions[index.place(topic)]
            )
            self._consumer.seek(place, position)

    async def close(self) -> None:
        """Let go of the name. What was committed stays; a transaction under way is undone."""
        await self._transactions.close()
        self._local.close()
        with suppress(LetGo):
            await self._kept()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    # -- work --------------------------------------------------------------------------------------

    async def turn(self, limit: int) -> bool:
        """Read at most ``limit`` records of each input, decide, commit. False where there was nothing to do."""
        read = await self._read(limit)
        if read and not self.index.unfinished and _brings_time_alone(read):
            await asyncio.sleep(_LINGER_SECONDS)
            read = _joined(read, await self._read(limit, wait_ms=0))
        if not read and not self.index.unfinished and self.struck_at is None:
            self.is_crowded = False
            return False
        started = time.monotonic()
        try:
            staged = self.index.take(read)
        except Undecidable as waited:
            # What has waited in this very batch is not in the log yet: it gets there when taken alone.
            await self._restore()
            if not await self._put_aside_waiting(waited):
                await self._take_one_by_one(read)
            self._seek()
            return True
        except (Broken, Retry):
            raise
        except Exception:
            LOGGER.exception("%s: deciding a batch failed; taking it again one by one", self.name)
            await self._restore()
            await self._take_one_by_one(read)
            self._seek()
            return True
        if self.struck_at is not None and self._clock is not None:
            # The time at which it struck, which has been looked at: by now the wall clock may have been set.
            tick = self._clock.tick(self.struck_at)
            self.struck_at = None
            staged.add(self.index.strike(tick, self._clock.at(tick)))
        self.statistics.decide_seconds += time.monotonic() - started
        self._count(read)
        self.is_crowded = any(len(records) >= limit for _, _, records in read)
        if staged:
            await self._commit(staged)
            await self._keep_snapshot()
        return True

    def _count(self, read: Read) -> None:
        for _, topic, records in read:
            self.statistics.inputs += len(records)
            if topic == "payments.requests":
                self.statistics.requests += len(records)

    async def _read(self, limit: int, wait_ms: int = IDLE_MS) -> Read:
        consumer, wanted = self._consumer, self._wanted()
        found: dict[str, Sequence[Stored]] = {}
        try:
            # One by one, in the order of the table: what is large must not crowd out what is urgent.
            for place, topic in wanted.items():
                records = await consumer.getmany(place, timeout_ms=0, max_records=limit)
                for batch in records.values():
                    found[topic] = self._within_turn(place, topic, batch)
            if wait_ms and not found and not self.index.unfinished and self.struck_at is None:
                records = await consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=limit)
                for place, batch in records.items():
                    found[wanted[place]] = self._within_turn(place, wanted[place], batch)
        except OffsetOutOfRangeError as error:
            raise LogDamaged(
                f"{self.name}: records are gone that it has not read: {reason(error)}"
            ) from error
        except (KafkaError, OSError) as error:
            raise Unavailable(f"{self.name} cannot read: {reason(error)}") from error
        return [
            (spec, topic, self._not_taken(spec, topic, found[topic]))
            for spec in ENGINES
            for topic in spec.inputs
            if topic in found
        ]

    def _within_turn(self, place: KafkaPartition, topic: str, batch: Sequence[Any]) -> Sequence[Stored]:
        """The records of a batch that one turn can take; the others are read again."""
        records: list[Stored] = []
        size = 0
        for record in batch:
            size += len(record.value or b"")
            if records and size > _TURN_BYTES:
                self._consumer.seek(place, record.offset)
                break
            records.append(stored(topic, record, self._business_time))
        return records

    def _wanted(self) -> dict[KafkaPartition, str]:
        return {place: topic for place, topic in self._inputs.items() if self.index.wants(topic)}

    def _not_taken(self, spec: EngineSpec, topic: str, records: Sequence[Stored]) -> Sequence[Stored]:
        """After a restore the engines may have read different stretches of what all of them read."""
        if topic not in BROADCAST:
            return records
        position = self.index.broadcast[spec.name]
        return [record for record in records if record.offset >= position]

    async def _commit(self, staged: Staged) -> None:
        started = time.monotonic()
        ends = await self._transactions.commit(staged.appends, self._group, staged.positions)
        now = time.monotonic()
        self.index.committed(ends)
        statistics = self.statistics
        if not statistics.transactions:
            statistics.first_commit_seconds = now - self._opened_at
        statistics.transactions += 1
        statistics.commit_seconds += now - started
        statistics.last_commit_at = now
        events = sum(map(len, staged.events.values()))
        statistics.events += events
        self._log_events += events
        self._on_committed(self.number, staged)

    async def lags(self) -> dict[TopicPartition, int]:
        """How many offsets behind its committed end each input is read; the ends of transactions are passed over."""
        places = self._inputs
        ends = await self._consumer.end_offsets(list(places))
        return {
            (topic, place.partition): max(0, ends[place] - await self._consumer.position(place))
            for place, topic in places.items()
        }

    def payment(self, payment_id: str) -> dict[str, object] | None:
        """The live state of a payment, processor by processor; None where it is not known. From another thread."""
        with self._spilling:
            return self.index.payment(payment_id)

    # -- snapshots ---------------------------------------------------------------------------------

    async def _keep_snapshot(self) -> None:
        """Begin with a snapshot where it is time, or make one more piece of the one that was begun with."""
        if self._spilled is None:
            if self._distance.is_passed(self._log_events):
                # Two at once would be more than memory was meant to hold, and would come in any order.
                await self._kept()
                # Nobody touches the index meanwhile. The group's heartbeats go on.
                self._spilled = await asyncio.to_thread(self._spill)
        elif not self._spilled.go_on():
            spilled, self._spilled = self._spilled, None
            # While it is written the index goes on.
            writing = asyncio.to_thread(self._write, spilled)
            self._keeping = asyncio.create_task(writing, name=f"keeping {self.name}")

    def _spill(self) -> Spilled:
        events = self._spilled_at = self._log_events
        self._distance.begin(events, 0)
        chains = {name: self._transactions.chains[(name, self.number)] for name in LOGS}
        with self._spilling:
            spilled = self.index.spill()
            self._local.hold(spilled, self.index.log_ends, chains, events)
        return spilled

    def _write(self, spilled: Spilled) -> None:
        self._distance.begin(self._spilled_at, spilled.size)
        self._local.write(gently=True)

    async def _kept(self) -> None:
        """Wait until the snapshot that is on its way has been written. Raises what has come of it."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            if not keeping.done():
                self._local.hurry()
            await keeping

    # -- defects -----------------------------------------------------------------------------------

    async def _take_one_by_one(self, read: Read) -> None:
        """A raise leaves the engines ahead of the log: from where it ends, find the one input that raises again."""
        for spec, topic, records in read:
            for record in records:
                try:
                    staged = self.index.take([(spec, topic, [record])])
                except Undecidable as waited:
                    await self._restore()
                    if not await self._put_aside_waiting(waited):
                        raise
                    return  # The rest is read again from here.
                except (Broken, Retry):
                    raise
                except Exception as error:  # noqa: BLE001 - whatever a defect raises, the stream goes on
                    await self._restore()
                    await self._put_aside(spec, topic, record, error)
                    continue
                await self._commit(staged)

    async def _put_aside_waiting(self, waited: Undecidable) -> bool:
        """False where what waits has not been committed."""
        name, source = waited.engine.partition("/")[0], waited.source
        if source.offset >= self.index.positions[(source.topic, source.partition)]:
            return False
        (record,) = await asyncio.to_thread(self._read_again, source.topic, source.partition, source.offset)
        await self._put_aside(self.index.engines[name].spec, source.topic, record, waited.cause)
        return True

    def _read_again(self, topic: str, partition: int, offset: int) -> list[Stored]:
        log = KafkaLog(self._cluster, self._business_time)
        try:
            return log.read(topic, partition, offset, 1)
        finally:
            log.close()

    async def _put_aside(self, spec: EngineSpec, topic: str, record: Stored, error: Exception) -> None:
        LOGGER.critical(
            "%s: %s at %s cannot be decided (%s); dead-lettered",
            self.name,
            topic,
            record.offset,
            type(error).__name__,
        )
        self.statistics.put_aside += 1
        await self._commit(self.index.dead_letter(spec, topic, record, error))


def _brings_time_alone(read: Read) -> bool:
    return all(record.value[:HEADER_BYTES] in _TIME_ALONE for _, _, records in read for record in records)


def _joined(first: Read, second: Read) -> Read:
    """Two reads as one: what an input gave later stands behind what it gave first."""
    later = {(spec.name, topic): list(records) for spec, topic, records in second}
    joined = [(spec, topic, [*records, *later.pop((spec.name, topic), ())]) for spec, topic, records in first]
    return joined + [entry for entry in second if (entry[0].name, entry[1]) in later]
