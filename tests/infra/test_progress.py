"""How far a run on a log has come, as whoever has started it sees it."""

from collections.abc import Iterable
from typing import Any, cast

import pytest

from infra.clusterjob import Progress, last_tick, slowest_tick
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Stored
from streams.hosts.memory import MemoryLog
from streams.topology import LOGS
from tests.streams.hosts import test_index as small

#: So far all logs come where nobody answers for the networks.
LAST = 4


class Cut(MemoryLog):
    """A log that has been worked to its last tick, shown as if some of its logs were shorter than they are."""

    def __init__(self) -> None:
        super().__init__()
        whole = small.filled(ticks=2 * LAST)
        small.work(whole)
        self._topics = whole._topics
        self.asked: list[str] = []
        self.cut: dict[str, int] = {}

    def end(self, topic: str, partition: int) -> int:
        self.asked.append(topic)
        return self.cut.get(topic, super().end(topic, partition))

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        return super().read(topic, partition, offset, max(0, min(limit, self.end(topic, partition) - offset)))

    def cut_before_its_last_tick(self, topics: Iterable[str]) -> None:
        """Hide the last tick of some logs, and what stands behind it."""
        for topic in topics:
            while last_tick(self.kafka, topic, 0) >= LAST:
                self.cut[topic] = self.end(topic, 0) - 1

    @property
    def kafka(self) -> KafkaLog:
        """As the type that is asked for, of which two questions are used."""
        return cast(Any, self)


@pytest.mark.parametrize("slow", LOGS)
def test_it_has_ended_when_the_last_of_all_has_passed_the_last_tick(slow: str) -> None:
    """Whichever is the last; the one question that asks all says the same."""
    log = Cut()
    log.cut_before_its_last_tick([slow])
    progress = Progress(log.kafka, 1, LAST)
    assert progress.tick() == slowest_tick(log.kafka, 1) == LAST - 1
    log.cut.clear()
    assert progress.tick() == slowest_tick(log.kafka, 1) == LAST


def test_a_look_asks_one_partition() -> None:
    """The last log, while it has not come to the end; then the others, each until it has."""
    log = Cut()
    log.cut_before_its_last_tick(LOGS)
    progress = Progress(log.kafka, 1, LAST)
    log.asked.clear()
    for _ in range(3):
        progress.tick()
    assert {LOGS[-1]} == set(log.asked)
    del log.cut[LOGS[-1]]
    progress.tick()
    log.asked.clear()
    progress.tick()
    assert {LOGS[-2]} == set(log.asked)
