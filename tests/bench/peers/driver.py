"""Requests in, outcomes out, the same for every system: all at once, or at a rate that does not wait for answers.

Records are encoded before the clock starts. A payment's latency runs from the moment at which its request was to be
sent, whenever it was, to the moment at which its outcome was read committed (open loop).
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from events.identity import partition_of_name
from events.requests import PaymentRequest
from tests.bench.figures import processor_seconds
from tests.bench.peers.systems import System
from tests.bench.peers.work import PARTITIONS, Outcome, name_of, now, stamped

#: Microseconds between the requests of one burst by their own time: in order, and before those of whatever follows.
BURST_APART: Final = 10
#: What takes processor time beside the processes of a system.
BROKER: Final = "broker"
DRIVER: Final = "requests in, outcomes out"
_FETCH: Final = 2_000
#: A latency is known to so much; shorter, and asking takes a tenth of the machine.
_WAIT_SECONDS: Final = 0.005
#: Whether all processes of a system run is asked that often.
_LOOK_SECONDS: Final = 0.2
_FLUSH_SECONDS: Final = 5.0
#: No system of this machine takes this long for anything that it is asked here.
PATIENCE_SECONDS: Final = 150.0


class Timed(NamedTuple):
    """What a phase took: payments, seconds from the first request's moment to the last outcome, latencies in ms.

    ``at`` are the seconds since the first moment at which outcomes came, in their order; ``processor`` the seconds of a
    core that processes took, by what they do; ``level`` the seconds until nothing was left to do for what had been
    answered, such as projecting it.
    """

    payments: int
    seconds: float
    latencies: list[float]
    at: list[float]
    processor: Mapping[str, float]
    level: float

    @property
    def rate(self) -> float:
        """Payments a second."""
        return self.payments / self.seconds


class Driver:
    """Feeds one system, and reads what it commits."""

    def __init__(self, system: System, bootstrap: str, broker: Sequence[int] = ()) -> None:
        """``broker``: its processes, whose processor time is told as well."""
        self._system = system
        self._beside = {BROKER: broker, DRIVER: (os.getpid(),)}
        self._bootstrap = bootstrap
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._consumer = _consumer(bootstrap, system.outcomes_topic)
        self._seen: set[str] = set()
        self._looked_at = 0.0
        #: Outcomes that stood in the topic more than once when they were collected.
        self.repeated = 0

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.flush(_FLUSH_SECONDS)
        self._consumer.close()

    def warm_up(self, bodies: Sequence[PaymentRequest]) -> None:
        """The first requests: until they have come through, the system has started."""
        requests = stamped(bodies, now(), BURST_APART)
        if not self._system.first(requests):
            self._send(self._encoded(requests), 0, len(requests))
        self._wait_for({name_of(request) for request in requests})

    def burst(self, bodies: Sequence[PaymentRequest]) -> Timed:
        """All at once."""
        return self._timed(bodies, None)

    def paced(
        self,
        bodies: Sequence[PaymentRequest],
        rate: float,
        meanwhile: Callable[[float], None] = lambda _: None,
    ) -> Timed:
        """So many a second, whatever comes back. ``meanwhile`` is told the seconds since the first, all the time."""
        return self._timed(bodies, rate, meanwhile)

    def _timed(
        self,
        bodies: Sequence[PaymentRequest],
        rate: float | None,
        meanwhile: Callable[[float], None] = lambda _: None,
    ) -> Timed:
        apart = BURST_APART if rate is None else int(1e6 / rate)
        # A repeat of what an earlier phase sent would be stamped anew, and so be another body under the same key.
        news = [body for body in bodies if name_of(body) not in self._seen]
        encoded = self._encoded(stamped(news, now(), apart))
        moments: dict[str, float] = {}
        step = 0.0 if rate is None else 1 / rate
        for number, (name, _, _) in enumerate(encoded):
            moments.setdefault(name, number * step)
        before = self._processor()
        began = time.monotonic()
        patience_ends = began + PATIENCE_SECONDS + len(encoded) * step
        latencies: list[float] = []
        at: list[float] = []
        sent = 0
        while len(latencies) < len(moments):
            if sent < len(encoded):
                due = len(encoded) if rate is None else int((time.monotonic() - began) * rate) + 1
                # A burst goes out in portions, so that what comes back is read meanwhile.
                sent = self._send(encoded, sent, min(len(encoded), due, sent + _FETCH))
            for name in self._outcomes():
                moment = moments.get(name)
                if moment is not None:
                    at.append(time.monotonic() - began)
                    latencies.append((at[-1] - moment) * 1_000)
            meanwhile(time.monotonic() - began)
            self._look(patience_ends, len(moments) - len(latencies))
        # What is left of this phase belongs to its cost, and would be in the way of the next one.
        self._system.level()
        level = time.monotonic() - began
        processor = {part: seconds - before[part] for part, seconds in self._processor().items()}
        return Timed(len(moments), at[-1], latencies, at, processor, level)

    def _processor(self) -> dict[str, float]:
        parts = {**self._system.pids(), **self._beside}
        return {part: sum(map(processor_seconds, pids)) for part, pids in parts.items() if pids}

    def _encoded(self, requests: Sequence[PaymentRequest]) -> list[tuple[str, int, bytes]]:
        names = map(name_of, requests)
        return [
            (name, partition_of_name(name, PARTITIONS), self._system.encode(request))
            for name, request in zip(names, requests, strict=True)
        ]

    def _send(self, encoded: Sequence[tuple[str, int, bytes]], first: int, end: int) -> int:
        for name, partition, value in encoded[first:end]:
            self._producer.produce(self._system.requests_topic, value, name, partition)
        self._producer.poll(0)
        return end

    def _outcomes(self) -> Iterator[str]:
        """Names of payments whose first outcome has come."""
        for value in values_of(self._consumer.consume(_FETCH, _WAIT_SECONDS)):
            name = self._system.payment_of(value)
            if name is not None and name not in self._seen:
                self._seen.add(name)
                yield name

    def _wait_for(self, names: set[str]) -> None:
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while names - self._seen:
            for _ in self._outcomes():
                pass
            self._look(patience_ends, len(names - self._seen))

    def _look(self, patience_ends: float, missing: int) -> None:
        now = time.monotonic()
        if now < self._looked_at + _LOOK_SECONDS:
            return
        self._looked_at = now
        self._system.look()
        if now > patience_ends:
            raise RuntimeError(f"{self._system.name} leaves {missing} payments without an outcome")

    def collect(self) -> set[Outcome]:
        """Every outcome that stands in the topic, read again from its beginning. Raises where a payment has two."""
        records = committed(self._bootstrap, self._system.outcomes_topic)
        found = list(self._system.outcomes_of(records))
        outcomes = set(found)
        self.repeated = len(found) - len(outcomes)
        if len({one.payment for one in outcomes}) != len(outcomes):
            raise RuntimeError(f"{self._system.name} gives a payment two different outcomes")
        return outcomes


def values_of(messages: Sequence[Any]) -> Iterator[bytes]:
    """The values of records. Raises what the broker complains of."""
    for message in messages:
        if message.error():
            raise RuntimeError(str(message.error()))
        yield message.value()


def committed(bootstrap: str, topic: str) -> Iterator[bytes]:
    """The values of all records of a topic that are committed by now."""
    consumer = _consumer(bootstrap, topic)
    try:
        yield from _up_to_the_end(consumer, topic)
    finally:
        consumer.close()


def _consumer(bootstrap: str, topic: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}.measured",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    return consumer


def _up_to_the_end(consumer: Consumer, topic: str) -> Iterator[bytes]:
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
        for number in range(PARTITIONS)
    }
    # Records that end transactions take offsets and are never given out, so the position is asked for.
    while True:
        places = consumer.position([TopicPartition(topic, number) for number in ends])
        if all(place.offset >= ends[place.partition] for place in places):
            return
        yield from values_of(consumer.consume(_FETCH, 0.2))
