"""A worker: the indexes that a consumer group gives to this process, each hosted on its own.

Membership and reading are two things here. One consumer is the member of the group and reads nothing: it says which
partitions, and so which indexes, are ours. Each index reads its inputs by a consumer of its own, from the positions
that its own producer commits, so that what the group believes can never move an index.

When the group is divided anew, every index settles its transaction and holds; one that stays goes on as it was (had
anybody else had it meanwhile, its producer would be shut out), one that leaves lets go of its name. An exception of any
index ends the worker: :meth:`Worker.run` raises it, and the process is to end.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from events.errors import TallystickError, Unavailable
from events.identity import partition_of_slot, slot_of_payment
from streams.hosts.admission import Keys
from streams.hosts.clocks import WallClock
from streams.hosts.cluster import Cluster
from streams.hosts.index import Run, Staged
from streams.hosts.kafka import KafkaIndex
from streams.hosts.kafkalog import group_of
from streams.hosts.localstate import LetGo
from streams.hosts.log import TopicPartition
from streams.hosts.refusals import reason
from streams.hosts.standby import Following, Standby
from streams.hosts.transactions import Reach, never
from streams.topology import BROADCAST, ENGINES

LOGGER: Final = logging.getLogger("tallystick.worker")

#: Records that one input gives to one turn: what they lead to has to fit into one transaction well below its deadline,
#: and to leave the event loop to the heartbeats in between.
BATCH: Final = 500
SESSION_MS: Final = 10_000
_HEARTBEAT_MS: Final = 2_000
#: By then every index of every worker has settled what it was doing.
_REBALANCE_MS: Final = 30_000
#: The member reads nothing, and must not be sent away for that.
_NEVER_MS: Final = 2**31 - 1

#: How often the broker is asked for a sign of life, and how long it may take to give one. With three brokers it takes
#: some six seconds until the partitions of one that has died are somebody else's.
_SIGN_OF_LIFE_SECONDS: Final = 3.0
_SILENCE_SECONDS: Final = 20.0

#: The inputs whose partitions the group divides; equal counts and the range assignor keep them together.
INPUTS: Final = tuple(topic for spec in ENGINES for topic in spec.inputs if topic not in BROADCAST)


class Worker:
    """Hosts indexes of one house. Knows nothing of who hosts it."""

    def __init__(
        self,
        cluster: Cluster,
        run: Run,
        keys: Keys,
        state: Path,
        *,
        clock: WallClock | None = None,
        batch: int = BATCH,
        session_ms: int = SESSION_MS,
        reach: Reach = never,
        on_committed: Callable[[int, Staged], None] = lambda _number, _staged: None,
        standbys: int = 0,
    ) -> None:
        """``clock`` is None in virtual time; ``state`` a folder for snapshots; ``standbys`` how many of the indexes
        that are somebody else's are kept warm."""
        self.cluster = cluster
        self.run_arguments = run
        #: The indexes that are ours now, restored or on their way.
        self.hosted: dict[int, KafkaIndex] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._turns: dict[int, asyncio.Lock] = {}
        self._ready: dict[int, asyncio.Event] = {}
        self._divided = asyncio.Event()
        self._keys = keys
        self._state = state
        self._clock = clock
        self._batch = batch
        self._session_ms = session_ms
        self._reach = reach
        self._on_committed = on_committed
        self._standbys = standbys
        self._standby = Standby(
            cluster,
            run,
            keys,
            state,
            is_alone=lambda: not self.hosted,
            is_crowded=lambda: bool(self.restoring()) or any(one.is_crowded for one in self.hosted.values()),
        )
        self._member: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None

    # -- life --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group. Raises Unavailable."""
        self._member = AIOKafkaConsumer(
            group_id=group_of(self.cluster, "index/0"),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(_HEARTBEAT_MS, self._session_ms // 3),
            rebalance_timeout_ms=_REBALANCE_MS,
            max_poll_interval_ms=_NEVER_MS,
            **self.cluster.options(),
        )
        self._member.subscribe([self.cluster.topic(topic) for topic in INPUTS], listener=_Listener(self))
        try:
            await self._member.start()
        except (KafkaError, OSError) as error:
            await self._member.stop()
            raise Unavailable(f"no answer from Kafka at {self.cluster.bootstrap}: {reason(error)}") from error
        self._watching = asyncio.create_task(self._watch(), name="sign of life")

    async def _watch(self) -> None:
        """End the worker when the broker has gone: an index that restores, or waits for its group, would wait for ever.

        The library tries again whatever it is told; some of its waits cannot even be cancelled, so none is waited for.
        """
        place = KafkaPartition(self.cluster.topic(INPUTS[0]), 0)
        while True:
            await asyncio.sleep(_SIGN_OF_LIFE_SECONDS)
            asked = asyncio.ensure_future(self._member.end_offsets([place]))
            try:
                await asyncio.wait({asked}, timeout=_SILENCE_SECONDS)
                said = asked.exception() if asked.done() else TimeoutError()
            finally:
                asked.cancel()
            if said is not None:
                self.fail(Unavailable(f"no answer from Kafka at {self.cluster.bootstrap}: {reason(said)}"))
                return

    async def run(self) -> None:
        """Work until :meth:`stop`. Raises what ended an index; the process has to end then."""
        await self._stopping.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Settle every transaction, let go of every index, leave the group."""
        self._stopping.set()
        if self._watching is not None:
            self._watching.cancel()
        for number in list(self.hosted):
            await self._let_go(number)
        if self._member is not None:
            member, self._member = self._member, None
            await member.stop()
        await self._standby.stop()

    def strike(self) -> None:
        """A second has passed: every index takes this moment's tick with its next transaction."""
        if self._clock is not None:
            now = self._clock.now()
            for hosted in self.hosted.values():
                hosted.struck_at = now

    def fail(self, error: BaseException) -> None:
        """End the worker with this."""
        if self._failure is None:
            self._failure = error
        self._stopping.set()

    # -- the group ---------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Settle what is under way; nothing more is taken until the group has been divided."""
        self._divided.clear()
        for number in list(self._tasks):
            if self._ready[number].is_set():
                async with self._turns[number]:
                    pass  # Whoever holds it has finished its turn, and the next one waits.
            else:
                # On its way to a state, which can take longer than the others would wait.
                await self._let_go(number)

    async def assigned(self, partitions: Iterable[KafkaPartition]) -> None:
        """The group has been divided."""
        partitions = list(partitions)
        # This consumer fetches nothing.
        self._member.pause(*partitions)
        requests = self.cluster.topic("payments.requests")
        await self.divide(place.partition for place in partitions if place.topic == requests)

    async def divide(self, numbers: Iterable[int]) -> None:
        """These indexes are ours now, and no others."""
        ours = set(numbers)
        for number in sorted(self.hosted.keys() - ours):
            await self._let_go(number)
        LOGGER.info("indexes of this worker: %s", sorted(ours))
        self._divided.set()
        for number in sorted(ours - self.hosted.keys()):
            self._begin(number)
        self._standby.keep(self._others(ours))

    def _others(self, ours: set[int]) -> list[int]:
        """The indexes to keep warm: of those that are not ours the next ones, so that workers take different ones."""
        partitions, last = self.run_arguments.partitions, max(ours, default=-1)
        following = ((last + 1 + step) % partitions for step in range(partitions))
        return [number for number in following if number not in ours][: self._standbys]

    def _begin(self, number: int) -> None:
        hosted = KafkaIndex(
            self.cluster,
            number,
            self.run_arguments,
            self._keys,
            self._state,
            clock=self._clock,
            reach=self._reach,
            on_committed=self._on_committed,
            warm=self._standby.release(number),
        )
        self.hosted[number] = hosted
        self._turns[number] = asyncio.Lock()
        self._ready[number] = asyncio.Event()
        self._tasks[number] = asyncio.create_task(self._host(hosted), name=hosted.name)

    async def _host(self, hosted: KafkaIndex) -> None:
        """One index, from its fence to its end."""
        number = hosted.number
        try:
            await hosted.open()
            self._ready[number].set()
            while not self._stopping.is_set():
                await self._divided.wait()
                async with self._turns[number]:
                    if self._divided.is_set():
                        await hosted.turn(self._batch)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
            self.fail(error)

    async def _let_go(self, number: int) -> None:
        """End an index between two turns, or on its way to the first."""
        task, hosted = self._tasks.pop(number), self.hosted.pop(number)
        async with self._turns.pop(number):
            task.cancel()
        await asyncio.wait([task])
        del self._ready[number]
        await hosted.close()
        if hosted.warm is not None:
            # Divided anew before it came to be used.
            self._standby.give_back(number, hosted.warm)

    # -- looking -----------------------------------------------------------------------------------

    def restoring(self) -> list[int]:
        """The indexes that are ours and not yet at work."""
        return sorted(number for number, ready in self._ready.items() if not ready.is_set())

    @property
    def standing_by(self) -> dict[int, Following]:
        """The indexes of others that are kept warm, or were until they could not be followed any more."""
        return self._standby.following

    async def lags(self) -> dict[TopicPartition, int]:
        """How many offsets behind the committed end each input of our indexes is read."""
        lags: dict[TopicPartition, int] = {}
        for number, hosted in self.hosted.items():
            if self._ready[number].is_set():
                lags |= await hosted.lags()
        return lags

    def payment(self, payment_id: str) -> dict[str, object] | None:
        """The live state of a payment, processor by processor; None where its index is not here or knows none.

        Waits while a snapshot is made, so not in an event loop. Raises ValidationError for what is no payment id.
        """
        number = partition_of_slot(slot_of_payment(payment_id), self.run_arguments.partitions)
        hosted, ready = self.hosted.get(number), self._ready.get(number)
        if hosted is None or ready is None or not ready.is_set():
            return None
        try:
            return hosted.payment(payment_id)
        except LetGo:
            return None


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What the group says. The library would log an exception of ours and go on."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: list[KafkaPartition]) -> None:
        await self._tell(self._worker.hold)

    async def on_partitions_assigned(self, assigned: list[KafkaPartition]) -> None:
        await self._tell(lambda: self._worker.assigned(assigned))

    async def _tell(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (TallystickError, KafkaError, OSError) as error:
            self._worker.fail(error)
