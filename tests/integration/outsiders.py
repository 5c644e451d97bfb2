"""For tests of who stands outside the engines: logs to read without a worker, and processes to kill."""

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from events.partitions import ClockKind
from infra.kafka.topics import create
from infra.supervisor import Member, Supervisor
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.networks import Adapter
from streams.edge.publisher import Publisher
from streams.hosts.actors import EdgeActor, IndexActor, PublisherActor
from streams.hosts.cluster import Cluster
from streams.hosts.following import Follower, settled, settled_ends
from streams.hosts.house import TICKS_AHEAD, House
from streams.hosts.index import Run
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Append, TopicPartition
from streams.hosts.memory import MemoryLog
from tests.patience import PATIENCE_SECONDS
from tests.simulation.schedules import KEYS, planned

SEED: Final = 5
PARTITIONS: Final = 2
#: Nothing here takes this long, on any machine.
_LOOK_SECONDS: Final = 0.05


def new_cluster(bootstrap: str, partitions: int = PARTITIONS) -> Cluster:
    """Topics of a house of its own."""
    cluster = Cluster(bootstrap, f"outside-{uuid.uuid4().hex[:8]}")
    assert create(cluster.bootstrap, cluster.prefix, partitions).differences == []
    return cluster


@cache
def played(partitions: int = PARTITIONS, seed: int = SEED) -> MemoryLog:
    """A whole run in memory: what engines and outsiders say to each other when nobody dies."""
    rows, plan = planned(seed)
    run = Run(partitions, ClockKind.VIRTUAL, plan.first_at, plan.last_tick, f'{{"seed":{seed}}}')
    log = MemoryLog()
    indexes = [IndexActor(log, number, run, KEYS) for number in range(partitions)]
    edges = [EdgeActor(log, Bank(partitions, seed)), EdgeActor(log, ClearingHouse(partitions, seed))]
    edges += [EdgeActor(log, Adapter(number, seed)) for number in range(partitions)]
    source = Publisher(rows, plan, partitions)
    publisher = PublisherActor(
        log, source, KEYS, lambda: min(actor.index.tick() for actor in indexes), TICKS_AHEAD
    )
    for _ in House(indexes, [publisher, *edges]).run():
        pass
    return log


def values(log: MemoryLog | KafkaLog, topic: str, partition: int) -> list[bytes]:
    """Everything that stands in a partition."""
    found: list[bytes] = []
    offset = 0
    while records := log.read(topic, partition, offset, 5_000):
        found += [stored.value for stored in records]
        offset = records[-1].offset + 1
    return found


def written(cluster: Cluster, topic: str, partitions: int = PARTITIONS) -> list[list[bytes]]:
    """Everything that is committed in a topic, partition by partition."""
    # The broker marks the end of a transaction after it has said that it is committed.
    asyncio.run(settled(cluster, [(topic, partition) for partition in range(partitions)]))
    with closing(KafkaLog(cluster)) as log:
        return [values(log, topic, partition) for partition in range(partitions)]


class Counting:
    """How many records topics hold, asked again and again."""

    def __init__(self, cluster: Cluster) -> None:
        self._log = KafkaLog(cluster)
        self._read: dict[TopicPartition, tuple[int, int]] = {}

    def of(self, topic: str, partitions: int = PARTITIONS) -> int:
        """The committed records of a topic."""
        return sum(self._of((topic, partition)) for partition in range(partitions))

    def _of(self, place: TopicPartition) -> int:
        offset, count = self._read.get(place, (0, 0))
        while records := self._log.read(*place, offset, 5_000):
            offset, count = records[-1].offset + 1, count + len(records)
        self._read[place] = (offset, count)
        return count

    def close(self) -> None:
        """Let go."""
        self._log.close()


def appends(log: MemoryLog, places: Sequence[TopicPartition]) -> list[Append]:
    """The records of partitions of a log, in turns."""
    lanes = [
        [Append(topic, part, one.at, one.value) for one in log.read(topic, part, 0, log.end(topic, part))]
        for topic, part in places
    ]
    longest = max(map(len, lanes))
    return [lane[number] for number in range(longest) for lane in lanes if number < len(lane)]


def copied(cluster: Cluster, records: Sequence[Append], pieces: int = 20) -> Iterator[None]:
    """Append records as a worker would, in so many transactions; between two of them it is the caller's turn."""
    size = len(records) // pieces + 1
    with closing(KafkaLog(cluster)) as log:
        for start in range(0, len(records), size):
            log.commit("index/0", records[start : start + size], {})
            yield


def annotated(cluster: Cluster, place: TopicPartition) -> list[tuple[dict[str, bytes], bytes]]:
    """Headers and value of every committed record of a partition."""

    async def read() -> list[tuple[dict[str, bytes], bytes]]:
        reader = Follower(cluster)
        await reader.start()
        try:
            found: list[Any] = []
            # A commit has been answered before all of its partitions know of it.
            async for _, records in reader.read_up_to({place: 0}, await settled_ends(reader, [place])):
                found += records
            return [(dict(record.headers), record.value) for record in found]
        finally:
            await reader.close()

    return asyncio.run(read())


class _Dying(Supervisor):
    """Lets nobody live who was to be killed and has given up on a slow broker instead."""

    def died(self, member: Member, code: int) -> None:
        if code == -signal.SIGKILL:
            super().died(member, code)


class Outsider:
    """One ``tallystick`` process that is killed and started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._house = _Dying(folder, restart_killed=True)
        self._arguments = arguments

    def __enter__(self) -> "Outsider":
        return self

    def __exit__(self, *_: object) -> None:
        self._house.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._house.members["outsider"].pid, number)

    def said(self) -> str:
        """What it has written, at the end."""
        return self._house.members["outsider"].said()

    def start(self, crash_at: str = "") -> None:
        """Start it, to die at a point where one is named."""
        environment = {"TALLYSTICK_CRASH_AT": crash_at} if crash_at else {}
        self._house.start("outsider", *self._arguments, environment=environment)

    @property
    def deaths(self) -> int:
        """How often it was killed and started again. Who gives up on a slow broker is started again, too."""
        return self._house.members["outsider"].restarted.count(-signal.SIGKILL)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        process = self._house.members["outsider"].process
        assert process is not None
        process.kill()
        process.wait()

    def stop(self) -> None:
        """As SIGTERM does."""
        self._house.stop()

    @property
    def code(self) -> int | None:
        """The exit code of the last one."""
        process = self._house.members["outsider"].process
        assert process is not None
        return process.poll()

    def until(self, condition: Callable[[], bool]) -> None:
        """Start it again whenever it has died, until something has become true."""
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self._house.look()
            assert time.monotonic() < patience_ends, self._house.members["outsider"].said()
            time.sleep(_LOOK_SECONDS)

    def until_ended(self) -> None:
        """Wait until it has ended, and do not start it again."""
        process = self._house.members["outsider"].process
        assert process is not None
        process.wait(PATIENCE_SECONDS)

    def killed_at_random(self, chance: random.Random, condition: Callable[[], bool]) -> bool:
        """Kill it at a moment that nobody has chosen; False where something has become true before."""
        moment = time.monotonic() + chance.uniform(0.5, 3.0)
        self.until(lambda: time.monotonic() > moment or condition())
        if condition():
            return False
        self.kill()
        return True


def until_empty(cluster: Cluster, group: str) -> None:
    """Wait until a group has no members: who was killed is one for as long as its session lasts."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap})
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    while _has_members(client, group):
        assert time.monotonic() < patience_ends
        time.sleep(_LOOK_SECONDS)


def _has_members(client: AdminClient, group: str) -> bool:
    try:
        return bool(client.describe_consumer_groups([group])[group].result(PATIENCE_SECONDS).members)
    except KafkaException as error:
        match error.args[0].code():
            case KafkaError.NOT_COORDINATOR:
                return True  # A broker that has just been away coordinates no group yet.
            case KafkaError.GROUP_ID_NOT_FOUND:
                return False  # Nobody has ever quite joined it.
            case _:
                raise


def forget_positions(cluster: Cluster, groups: Sequence[str]) -> None:
    """Delete consumer groups, as the broker does when they have been idle for a week."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for future in client.delete_consumer_groups(list(groups)).values():
        future.result(PATIENCE_SECONDS)
