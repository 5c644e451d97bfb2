"""What a worker tells the others of each network, once a second: counts out of what it has committed.

A sample is approximate on purpose. It is made after the commit and sent by a producer without transactions, so one
may be lost when a process ends, and an answer is timed from commit to commit as this worker saw it. Nobody books
anything by it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from events.authorization import (
    AuthorizationSubmitted,
    DeclineReason,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    PaymentAuthorized,
    PaymentDeclined,
)
from events.errors import Unavailable
from events.partitions import EventDeadLettered
from infra.kafka.client import aiokafka
from infra.worker.catalogue import LATENCY_SECONDS
from infra.worker.metrics import Metrics
from streams.hosts.cluster import Cluster
from streams.hosts.index import Staged

TOPIC: Final = "ops.samples"
#: Submissions whose answer is waited for; beyond that the oldest are no longer timed.
_TIMED: Final = 50_000
#: Seconds until a sample counts as lost.
_PATIENCE: Final = 5.0
_MILLISECONDS: Final = 1_000

#: What a decline says about the network: only the last class does.
CLASSES: Final = {
    DeclineReason.INSUFFICIENT_FUNDS: "account",
    DeclineReason.LIMIT_EXCEEDED: "account",
    DeclineReason.EXPIRED_CARD: "card",
    DeclineReason.INVALID_CARD: "card",
    DeclineReason.LOST_OR_STOLEN: "card",
    DeclineReason.DO_NOT_HONOUR: "issuer",
    DeclineReason.SUSPECTED_FRAUD: "issuer",
    DeclineReason.OTHER: "issuer",
    DeclineReason.ISSUER_UNAVAILABLE: "unavailable",
}
_HEARD: Final = frozenset(
    {
        AuthorizationSubmitted,
        EventDeadLettered,
        NetworkNotSent,
        NetworkReplyReceived,
        NetworkReplyTimedOut,
        PaymentAuthorized,
        PaymentDeclined,
    }
)


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one worker has seen of one network since its last sample. ``at`` in microseconds of the wall clock.

    ``latency_counts`` has one count for each bound of ``LATENCY_SECONDS`` and one for what is above.
    """

    worker: str
    network: str
    at: int
    approved: int = 0
    declined: dict[str, int] = {}
    timed_out: int = 0
    not_sent: int = 0
    latency_sum_ms: int = 0
    latency_counts: list[int] = []

    @property
    def attempts(self) -> int:
        """Attempts that have come to something."""
        return self.approved + sum(self.declined.values()) + self.timed_out + self.not_sent


class Sampler:
    """Counts what is committed and hands it out as samples."""

    def __init__(
        self,
        worker: str,
        metrics: Metrics,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._metrics = metrics
        self._wall = wall
        self._steady = steady
        self._submitted: dict[tuple[str, int], float] = {}
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._latencies: dict[str, list[float]] = {}

    def committed(self, _index: int, staged: Staged) -> None:
        """Called after each commit."""
        now = self._steady()
        dead: Counter[str] = Counter()
        outcomes: Counter[tuple[str, str]] = Counter()
        latencies: dict[str, list[float]] = {}
        for events in staged.events.values():
            for recorded in events:
                body = recorded.body
                # Most events are none of these, and one look into a set is all that they cost.
                if type(body) not in _HEARD:
                    continue
                match body:
                    case EventDeadLettered():
                        dead[body.reason] += 1
                    case AuthorizationSubmitted():
                        self._submitted[body.payment_id, body.attempt] = now
                    case NetworkReplyReceived(kind=MessageKind.AUTHORIZATION, late=False):
                        since = self._submitted.pop((body.payment_id, body.attempt), None)
                        if since is not None:
                            latencies.setdefault(body.network, []).append(now - since)
                    case NetworkReplyTimedOut(kind=MessageKind.AUTHORIZATION):
                        self._submitted.pop((body.payment_id, body.attempt), None)
                        outcomes[body.network, "timed_out"] += 1
                    case NetworkNotSent(kind=MessageKind.AUTHORIZATION):
                        self._submitted.pop((body.payment_id, body.attempt), None)
                        outcomes[body.network, "not_sent"] += 1
                    case PaymentAuthorized():
                        outcomes[body.network, "approved"] += 1
                    case PaymentDeclined() if body.reason in CLASSES:
                        outcomes[body.network, f"declined_{CLASSES[body.reason]}"] += 1
                    case _:
                        pass  # reversals, late answers, and our own refusals, which say nothing about a network
        while len(self._submitted) > _TIMED:
            del self._submitted[next(iter(self._submitted))]
        self._tell(dead, outcomes, latencies)

    def _tell(
        self, dead: Counter[str], outcomes: Counter[tuple[str, str]], latencies: dict[str, list[float]]
    ) -> None:
        for reason, count in dead.items():
            self._metrics.count("tallystick_dead_letters_total", count, reason=reason)
        for (network, outcome), count in outcomes.items():
            self._metrics.count("tallystick_authorizations_total", count, network=network, outcome=outcome)
        for network, values in latencies.items():
            self._metrics.observe("tallystick_authorization_seconds", values, network=network)
            self._latencies.setdefault(network, []).extend(values)
        self._outcomes.update(outcomes)

    def take(self) -> list[Sample]:
        """What has come together since the last call, a sample for each network; called once a second."""
        networks = sorted({network for network, _ in self._outcomes} | self._latencies.keys())
        samples = [self._sample(network) for network in networks]
        self._outcomes.clear()
        self._latencies.clear()
        return samples

    def _sample(self, network: str) -> Sample:
        counts = {outcome: count for (where, outcome), count in self._outcomes.items() if where == network}
        declined = {
            outcome.removeprefix("declined_"): count
            for outcome, count in sorted(counts.items())
            if outcome.startswith("declined_")
        }
        latencies = self._latencies.get(network, [])
        return Sample(
            self._worker,
            network,
            int(self._wall() * 1_000_000),
            counts.get("approved", 0),
            declined,
            counts.get("timed_out", 0),
            counts.get("not_sent", 0),
            int(sum(latencies) * _MILLISECONDS),
            histogram(latencies),
        )


def histogram(seconds: list[float]) -> list[int]:
    """How many lie within each bound of ``LATENCY_SECONDS`` and above the one before; the last has no bound."""
    counts = [0] * (len(LATENCY_SECONDS) + 1)
    for value in seconds:
        within = next(
            (at for at, bound in enumerate(LATENCY_SECONDS) if value <= bound), len(LATENCY_SECONDS)
        )
        counts[within] += 1
    return counts


class SampleSender:
    """Sends samples: idempotent, without transactions, and never in the way of anything."""

    def __init__(self, cluster: Cluster, metrics: Metrics) -> None:
        self._cluster = cluster
        self._metrics = metrics
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises Unavailable where there is no broker."""
        library = aiokafka()
        self._producer = library.AIOKafkaProducer(**self._cluster.options(), enable_idempotence=True)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._producer.start()
        except (aiokafka(".errors").KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"no answer from Kafka at {self._cluster.bootstrap}: {error}") from error

    async def send(self, samples: list[Sample]) -> None:
        """Send them, or count them as lost."""
        if not samples:
            return
        topic = self._cluster.topic(TOPIC)
        outcome = "sent"
        try:
            async with asyncio.timeout(_PATIENCE):
                futures = [
                    await self._producer.send(topic, msgspec.json.encode(sample), key=sample.network.encode())
                    for sample in samples
                ]
                await asyncio.gather(*futures)
        except (aiokafka(".errors").KafkaError, OSError, TimeoutError):
            outcome = "lost"
        self._metrics.count("tallystick_samples_total", len(samples), outcome=outcome)

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
