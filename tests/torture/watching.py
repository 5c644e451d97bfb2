"""What a house shows to those who only look: how soon it goes on after a blow, and what stays hidden meanwhile."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from events.errors import Unavailable
from streams.hosts.cluster import Cluster
from streams.hosts.following import Follower
from streams.hosts.log import TopicPartition
from streams.topology import LOGS, TOPICS
from tests.simulation.auditor.reading import committed
from tests.torture.house import Blow

_SAMPLE_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 30.0


class Spread(NamedTuple):
    """Milliseconds: the middle one, the one that 99 of 100 stay below, the most, and how many there were."""

    p50: int
    p99: int
    max: int
    count: int

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Spread":
        """Of durations in seconds; zeros where there are none."""
        held = sorted(seconds)
        if not held:
            return cls(0, 0, 0, 0)
        # The nearest rank: a duration that was measured, and none between two of them.
        p50, p99 = (held[-(-len(held) * share // 100) - 1] for share in (50, 99))
        return cls(round(p50 * 1_000), round(p99 * 1_000), round(held[-1] * 1_000), len(held))


class Exposure(threading.Thread):
    """How long readers of what is committed are held up by transactions that are open.

    Asks twenty times a second for the end of what is written and for the last stable offset of each partition that
    engines write. While the second stays where it is and behind the first, what comes later is hidden.
    """

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        super().__init__(name="exposure", daemon=True)
        written = [topic.name for topic in TOPICS if topic.name in LOGS or topic.name.endswith(".inbox")]
        self._places = [(topic, part) for topic in written for part in range(partitions)]
        self._cluster = cluster
        self._over = threading.Event()
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        #: Every stand that was seen, in seconds.
        self.stands: list[float] = []

    def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._over.is_set():
            try:
                asyncio.run(self._watch())
            except Unavailable:
                self._over.wait(1.0)  # A broker has been killed; whoever watches begins anew.

    async def _watch(self) -> None:
        stable, written = Follower(self._cluster), Follower(self._cluster, committed=False)
        try:
            await stable.start()
            await written.start()
            while not self._over.is_set():
                # In this order: what is stable when it is asked for later was hidden before, or not at all.
                high = await written.ends(self._places)
                self.see(high, await stable.ends(self._places), time.monotonic())
                await asyncio.sleep(_SAMPLE_SECONDS)
        finally:
            await stable.close()
            await written.close()

    def see(self, high: dict[TopicPartition, int], stable: dict[TopicPartition, int], now: float) -> None:
        """One look at all partitions."""
        for place, end in stable.items():
            known = self._since.get(place)
            if known is not None and (end > known[0] or end >= high[place]):
                self.stands.append(now - known[1])
                del self._since[place]
            if end < high[place]:
                self._since.setdefault(place, (end, now))

    def stop(self) -> Spread:
        """What was seen."""
        self._over.set()
        self.join(_PATIENCE_SECONDS)
        return Spread.of(self.stands)


class Stamped(NamedTuple):
    """A committed record and when the broker wrote it (seconds since 1970)."""

    partition: int
    at: float
    value: bytes


def stamped(bootstrap: str, topic: str) -> Iterator[Stamped]:
    """Everything that is committed in a topic, partition by partition."""
    with committed(bootstrap, f"{topic}.stamps") as consumer:
        for partition in sorted(
            consumer.list_topics(topic, timeout=_PATIENCE_SECONDS).topics[topic].partitions
        ):
            consumer.assign([Place(topic, partition, 0)])
            yield from _up_to_the_end(consumer, partition)


def _up_to_the_end(consumer: Any, partition: int) -> Iterator[Stamped]:
    # One by one: asked for many, the client waits for all of them, or for its patience to end.
    while (message := consumer.poll(_PATIENCE_SECONDS)) is not None:
        error = message.error()
        if error is None:
            kind, millis = message.timestamp()
            assert kind == TIMESTAMP_LOG_APPEND_TIME
            yield Stamped(partition, millis / 1_000, message.value())
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        else:
            raise KafkaException(error)
    raise Unavailable("the broker does not say where a partition ends")


def recoveries(blows: Sequence[Blow], written: Iterable[Stamped], partitions: int) -> list[float]:
    """For each blow the seconds until every partition of a log went on: until something was written that stayed.

    A blow after which a partition has nothing more to say, at the end of a run, is left out.
    """
    stamps: list[list[float]] = [[] for _ in range(partitions)]
    for record in written:
        stamps[record.partition].append(record.at)
    found = []
    for blow in blows:
        following = [bisect_left(own, blow.at) for own in stamps]
        if all(number < len(own) for number, own in zip(following, stamps, strict=True)):
            went_on = max(own[number] for number, own in zip(following, stamps, strict=True))
            found.append(went_on - blow.at)
    return found
