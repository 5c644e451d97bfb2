"""A standby: indexes of others, kept warm, so that taking one over folds the last records and not the whole log.

A worker reads the logs of partitions that it was not given, as they grow, and folds them with the code that restores:
every decision is made again and compared with what was recorded. What it holds is believed as little as a snapshot.
Whoever takes an index over fences first and looks for the last stable end then; a warm index has to stand at a record
that the log has, by its chain value, and is folded on from there. Where it does not fit, or folding it on raises, it is
thrown away and the index restored as if there had been none.

Nothing here can disturb an index that is owned. There is no thread beside those that open a log and keep a snapshot:
everything else happens in slices of some milliseconds, in the worker's own loop, behind the work of its own indexes.
What goes wrong here stays here: a broker that does not answer is asked again, an index that cannot be followed is lost
and counted as lost.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from events.errors import LogDamaged, ReplayDiffers, TallystickError, Unavailable
from streams.features.shelf import Cupboard
from streams.hosts.admission import Keys
from streams.hosts.cluster import Cluster, stored
from streams.hosts.following import Follower
from streams.hosts.index import Index, Run
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.localstate import Kept, LetGo, LocalState
from streams.hosts.log import GENESIS, Log, Stored, TopicPartition, ends_with, link
from streams.hosts.snapshots import Distance, Spilled
from streams.topology import LOGS

LOGGER: Final = logging.getLogger("tallystick.standby")

#: Records in a slice: some five milliseconds, in which nothing else happens in the loop.
_SLICE: Final = 100
#: Beside indexes of its own a worker folds for a quarter of the time at most: a slice, and a pause of three.
_PAUSE: Final = 3.0
#: How often it is looked whether owned work leaves room.
_CROWDED_SECONDS: Final = 0.05
#: How long the broker keeps a fetch that finds nothing, and how long a slice waits for its first record.
_FETCH_WAIT_MS: Final = 100
_IDLE_MS: Final = 100
#: How often the broker is asked how far the logs have come.
_LOOK_SECONDS: Final = 2.0
#: How long nothing is tried after a broker has not answered, or where a log has not been opened yet.
_AGAIN_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 5.0
#: Where a folder has nothing that fits: the beginning of the logs.
_NOTHING: Final = Kept({}, {}, 0, 0)


class Keeping(Log, Protocol):
    """A log beside which cold rows are kept."""

    cupboards: dict[str, Cupboard]


class Warm:
    """An index at some place of its logs, and the chain values there."""

    def __init__(self, index: Index) -> None:
        self.index = index
        #: How many events the snapshot that it began with stands for, or the one that it has kept since.
        self.kept_events = 0
        #: Where they lie, and its cold rows.
        self.local: LocalState
        self._began_with = 0
        self._chains: dict[str, bytes] = {}
        self._distance = Distance(0)
        # What is being kept in a thread must not be folded on by another, whoever has been given it meanwhile; and
        # what somebody has taken over is kept by nobody else.
        self._keeping = Lock()
        self._is_taken_over = False

    @property
    def events(self) -> int:
        """How many events its logs hold up to here."""
        return self._began_with + self.index.restored

    def begin(self, log: Keeping, local: LocalState) -> bool:
        """From what is kept in a folder, or from the beginning; False where nobody has opened the log.

        Raises Refused where it was opened for another run, LogDamaged.
        """
        self.local = local
        self.index.attach(local)
        fitting = local.fitting(log, self.index.number)
        kept, snapshot = fitting or (_NOTHING, None)
        log.cupboards = {self.index.owner: local}
        self.kept_events = self._began_with = kept.events
        self._chains = dict(kept.chains)
        # Between two owners' turns.
        self._distance = Distance(
            kept.events, kept.size, (self.index.number + 0.5) / self.index.run.partitions
        )
        return self.index.begin(log, snapshot, kept.size)

    def restore(self, log: Keeping, local: LocalState) -> bool:
        """All of the log, from what is kept in a folder or from the beginning; False where nobody has opened it.

        Where what is kept leads to something else than stands in the log, the log is folded from its beginning: that
        alone says whether it is the log that is wrong. Raises Refused, LogDamaged, ReplayDiffers.
        """
        if not self.begin(log, local):
            return False
        try:
            self.go_on(log)
        except (LogDamaged, ReplayDiffers) as error:
            if not self._began_with:
                raise
            LOGGER.critical(
                "%s: its snapshot does not lead to what its log says: %s", self.index.owner, error
            )
        else:
            return True
        # Not where the error was caught: it would keep what has come of the snapshot in memory meanwhile.
        local.discard("the log does not follow from it")
        self.index = Index(self.index.number, self.index.run, self.index.keys)
        return self.restore(log, local)

    def take(self, name: str, records: Sequence[Stored]) -> None:
        """Fold what stands next in a log. After a raise this is of no use. Raises LogDamaged, ReplayDiffers."""
        chain = self._chains.get(name, GENESIS)
        for record in records:
            # Whoever restores reads a log from end to end; a reader that was moved might leave something out.
            chain = link(chain, record.at, record.value)
            if chain != record.chain:
                raise LogDamaged(
                    f"{name}/{self.index.number} at {record.offset} does not follow what was read before it"
                )
        self.index.fold(name, records)
        self._chains[name] = chain

    def catch_up(self, log: Log) -> bool:
        """Fold on to the end of the log, behind a fence; False where this is of no use."""
        index = self.index
        try:
            if not self._fits(log):
                LOGGER.warning("%s: its standby stands at no record of the log and is not used", index.owner)
                return False
            # Nothing is kept on the way: nobody decides meanwhile, and what is left to fold is little.
            self.local.hurry()
            with self._keeping:
                self._is_taken_over = True
                index.go_on(log)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, restoring anew says whether the log is
            LOGGER.warning("%s: its standby cannot go on and is not used: %s", index.owner, _reason(error))
            return False
        return True

    def go_on(self, log: Log) -> None:
        """Fold on to the end of the log, keeping what has become cold on the way."""
        index = self.index

        def keep(spilled: Spilled) -> None:
            for name, end in index.log_ends.items():
                if end:
                    self._chains[name] = log.read(name, index.number, end - 1, 1)[0].chain
            self.keep(spilled)

        with self._keeping:
            index.go_on(log, keep=keep)

    def close(self) -> None:
        """Let go of what is kept; this is of no use any more. What a thread does with it is broken off."""
        self.local.close()

    def _fits(self, log: Log) -> bool:
        return all(
            not end or ends_with(log, name, self.index.number, end, self._chains.get(name))
            for name, end in self.index.log_ends.items()
        )

    @property
    def is_worth_keeping(self) -> bool:
        """Whether it has come far since it was kept last, and is not within the events of an input."""
        return self._distance.is_passed(self.events) and all(map(self.index.is_between_inputs, LOGS))

    def keep(self, spilled: Spilled, *, gently: bool = False) -> None:
        """Keep what was spilled. Before anything else is folded."""
        self._distance.begin(self.events, spilled.size)
        self.local.hold(spilled, self.index.log_ends, self._chains, self.events)
        if self.local.write(gently=gently):
            self.kept_events = self.events

    def keep_apart(self, *, gently: bool = False) -> None:
        """Keep it as it stands, in a thread of its own, where nobody has taken it over meanwhile. Raises LetGo."""
        with self._keeping:
            if not self._is_taken_over:
                self.keep(self.index.spill(), gently=gently)


@dataclass(slots=True)
class Following:
    """How far the standby of an index is. Seconds of the steady clock."""

    #: Offsets between it and the committed ends of its logs at the last look, ends of transactions included.
    records_behind: int = 0
    #: When it was last known to have everything that was committed.
    level_at: float = field(default_factory=time.monotonic)
    events: int = 0
    #: Why it is not followed any more; empty where it is.
    lost: str = ""
    # What was committed at an earlier look, and when: once it has been read, that was the last moment it was level.
    mark: dict[TopicPartition, int] = field(default_factory=dict)
    marked_at: float = 0.0

    @property
    def seconds_behind(self) -> float:
        """Since when it is not known to have everything: a few seconds where it keeps up."""
        return time.monotonic() - self.level_at

    def look(
        self, ends: Mapping[TopicPartition, int], stands: Mapping[TopicPartition, int], now: float
    ) -> None:
        """The committed ends of its logs, and where the reader stands."""
        self.records_behind = sum(max(0, end - stands[place]) for place, end in ends.items())
        if all(stands[place] >= end for place, end in self.mark.items()):
            self.level_at = max(self.level_at, self.marked_at)
            self.mark, self.marked_at = dict(ends), now
        if not self.records_behind:
            self.level_at = now


class Standby:
    """The standbys of a worker. Lives in the worker's loop, and gives way to its indexes."""

    def __init__(
        self,
        cluster: Cluster,
        run: Run,
        keys: Keys,
        state: Path,
        *,
        is_alone: Callable[[], bool] = lambda: True,
        is_crowded: Callable[[], bool] = lambda: False,
        reader: Callable[[Cluster], Follower] = lambda cluster: Follower(cluster, wait_ms=_FETCH_WAIT_MS),
        log: Callable[[Cluster], Keeping] = KafkaLog,
    ) -> None:
        """``state`` is the worker's folder for snapshots. ``is_alone``: the worker has no index of its own;
        ``is_crowded``: those that it has leave no time for others."""
        #: What is followed, and how far it is: those that were lost, too.
        self.following: dict[int, Following] = {}
        self._cluster = cluster
        self._run = run
        self._keys = keys
        self._state = state
        self._is_alone = is_alone
        self._is_crowded = is_crowded
        self._make_reader = reader
        self._open_log = log
        self._warm: dict[int, Warm] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- what a worker calls -----------------------------------------------------------------------

    def keep(self, numbers: Iterable[int]) -> None:
        """Follow these indexes from now on, and no others. One that was lost is tried again."""
        wanted = set(numbers)
        for number in self.following.keys() - wanted:
            dropped = self.release(number)
            if dropped is not None:
                dropped.close()
        for number in wanted:
            if number not in self.following or self.following[number].lost:
                self.following[number] = Following()
        self._changed.set()
        if self.following and self._task is None:
            self._task = asyncio.create_task(self._follow(), name="standby")

    def release(self, number: int) -> Warm | None:
        """Follow this index no longer; what was held of it is the caller's. None where there is nothing yet."""
        self.following.pop(number, None)
        self._changed.set()
        return self._warm.pop(number, None)

    def give_back(self, number: int, warm: Warm) -> None:
        """What was released has not been used; unless :meth:`keep` says otherwise, it is followed on."""
        self.following[number] = Following()
        self._warm[number] = warm
        self._changed.set()

    async def stop(self) -> None:
        """Follow nothing any more."""
        self.following.clear()
        warm, self._warm = self._warm, {}
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            # Without a broker some waits of the library cannot be cancelled.
            await asyncio.wait([task], timeout=_CLOSE_SECONDS)
        for dropped in warm.values():
            dropped.close()

    # -- following ---------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_by(self._make_reader(self._cluster))
            except LogDamaged as error:
                for number in list(self.following):
                    self._lose(number, error)
            except Exception as error:  # noqa: BLE001 - of nobody's concern but ours, and tried again
                LOGGER.warning("the standby cannot read: %s", _reason(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow_by(self, reader: Follower) -> None:
        """With one reader, until it fails. What has been folded is not lost by that."""
        await reader.start()
        looked_at = 0.0
        try:
            while True:
                await self._begin_others()
                if not self._warm:
                    await self._until_changed()
                    continue
                if self._changed.is_set():
                    self._changed.clear()
                    reader.follow(self._places())
                await self._until_there_is_room()
                found = await reader.take(_SLICE, _IDLE_MS)
                await self._fold(found)
                if time.monotonic() - looked_at > _LOOK_SECONDS and not self._changed.is_set():
                    looked_at = time.monotonic()
                    await self._look(reader)
        finally:
            await reader.close()

    async def _begin_others(self) -> None:
        """Begin what is to be followed and is not yet; one whose log is not there is tried again later."""
        for number, following in list(self.following.items()):
            if number in self._warm or following.lost or self._is_crowded():
                continue
            try:
                warm = await asyncio.to_thread(self._begun, number)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - it is lost, and nothing else is
                self._lose(number, error)
                continue
            # Meanwhile it may have been given to somebody, or to us.
            if warm is None:
                continue
            if self.following.get(number) is following:
                self._warm[number] = warm
                self._changed.set()
            else:
                warm.close()

    def _begun(self, number: int) -> Warm | None:
        warm = Warm(Index(number, self._run, self._keys))
        log = self._open_log(self._cluster)
        try:
            # All of them: without a fence an opening becomes visible partition by partition. (Behind one, a log whose
            # beginning is gone is damaged, and must not be taken for one that is still to be opened.)
            if not all(log.read(name, number, 0, 1) for name in LOGS):
                return None
            return warm if warm.begin(log, LocalState(self._state, warm.index.owner)) else None
        finally:
            log.close()

    def _places(self) -> dict[TopicPartition, int]:
        return {
            (name, number): end
            for number, warm in self._warm.items()
            for name, end in warm.index.log_ends.items()
        }

    async def _fold(self, found: Mapping[TopicPartition, Sequence[object]]) -> None:
        began = time.monotonic()
        for (name, number), records in found.items():
            warm = self._warm.get(number)
            if warm is None:
                continue
            try:
                warm.take(name, [stored(name, record, None) for record in records])
            except Exception as error:  # noqa: BLE001 - it is lost, and nothing else is
                self._lose(number, error)
                continue
            self.following[number].events += len(records)
            if warm.is_worth_keeping:
                with suppress(LetGo):  # Nobody follows it any more.
                    await asyncio.to_thread(warm.keep_apart, gently=not self._is_alone())
        if found:
            took = time.monotonic() - began
            await asyncio.sleep(0 if self._is_alone() else _PAUSE * took)

    async def _look(self, reader: Follower) -> None:
        ends, stands = await reader.ends(self._places()), await reader.stands()
        now = time.monotonic()
        for number, following in self.following.items():
            own = {place: end for place, end in ends.items() if place[1] == number and place in stands}
            if own:
                following.look(own, stands, now)

    def _lose(self, number: int, error: BaseException) -> None:
        following = self.following.get(number)
        if following is not None and not following.lost:
            LOGGER.error("index/%d is followed no longer: %s", number, _reason(error))
            following.lost = _reason(error)
        lost = self._warm.pop(number, None)
        if lost is not None:
            lost.close()
        self._changed.set()

    # -- giving way --------------------------------------------------------------------------------

    async def _until_changed(self) -> None:
        self._changed.clear()
        waiting = any(not following.lost for following in self.following.values())
        try:
            await asyncio.wait_for(self._changed.wait(), _AGAIN_SECONDS if waiting else None)
        except TimeoutError:
            return

    async def _until_there_is_room(self) -> None:
        while self._is_crowded():
            await asyncio.sleep(_CROWDED_SECONDS)


def _reason(error: BaseException) -> str:
    """In words; of a defect its type alone, for what it says might hold anything."""
    return str(error) if isinstance(error, TallystickError) else type(error).__name__
