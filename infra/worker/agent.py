"""The agent that folds the samples of all workers and publishes alerts.

``ops.samples`` has one partition, so one worker of the house has the agent's window, whichever Faust gives it to.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from infra.worker import alerts, samples
from infra.worker.alerts import Watch
from infra.worker.application import OpsApp
from infra.worker.metrics import Metrics
from streams.hosts.cluster import Cluster

LOGGER: Final = logging.getLogger("tallystick.worker")

#: The key of a record that only asks whether it comes back.
PROBE: Final = b"probe"
#: Seconds until an alert counts as not sent; it is said again with the next renewal.
_PATIENCE: Final = 5.0

#: Called for each probe that has come back.
CameBack = Callable[[], Awaitable[None]]


async def nobody() -> None:
    """No probe is under way."""


def install(
    app: OpsApp, cluster: Cluster, watch: Watch, metrics: Metrics, came_back: CameBack = nobody
) -> None:
    """Add the agent and the timer that judges what it has folded."""
    source = topic(app, cluster.topic(samples.TOPIC))
    sink = topic(app, cluster.topic(alerts.TOPIC))
    place = TP(cluster.topic(samples.TOPIC), 0)

    async def fold(stream: Any) -> None:
        """Take samples. Nothing that may stand on the topic makes it raise."""
        async for event in stream.events():
            if event.key == PROBE:
                await came_back()
                continue
            sample = alerts.decode(event.value)
            if sample is None:
                outcome = "unreadable"
            else:
                outcome = "folded" if watch.fold(sample, _now()) else "stale"
            metrics.count("tallystick_samples_folded_total", outcome=outcome)

    async def judge() -> None:
        """Say what there is to say, if it is ours to say."""
        if not _is_ours(app, place):
            watch.forget()
        for alert in watch.judge(_now()):
            LOGGER.warning("%s %s: %s", alert.alert, alert.state, alert.text)
            await _publish(sink, alert)
        for (network, kind), raised in watch.raised.items():
            metrics.set("tallystick_network_alert", float(raised), network=network, alert=kind)

    app.agent(source, name=f"{cluster.prefix}.samples")(fold)
    app.timer(1.0)(judge)


def topic(app: Any, name: str) -> Any:
    """A topic of bytes: what it holds is decoded by us."""
    return app.topic(name, key_serializer="raw", value_serializer="raw")


async def _publish(sink: Any, alert: alerts.Alert) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await (await sink.send(key=alert.network.encode(), value=msgspec.json.encode(alert)))
    except (KafkaError, TimeoutError) as error:
        LOGGER.warning("an alert could not be published: %r", error)


def _is_ours(app: OpsApp, place: TP) -> bool:
    try:
        return place in app.consumer.assignment()
    except ConsumerNotStarted:
        return False


def _now() -> int:
    return time.time_ns() // 1_000
