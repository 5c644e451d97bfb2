"""What Faust tells of itself: its sends and the rebalances of its own group, as metrics."""

import time
from typing import Any

import faust

from infra.worker.metrics import Metrics


class PrometheusSensor(faust.Sensor):
    """Only what is rare is listened to. Faust's own Prometheus sensor labels by topic, table and key."""

    def __init__(self, metrics: Metrics, **options: Any) -> None:
        self._metrics = metrics
        super().__init__(**options)

    def on_send_completed(self, producer: Any, state: Any, metadata: Any) -> None:
        """A record is on the broker."""
        self._metrics.count("tallystick_faust_sends_total", outcome="ok")

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        """A record is not."""
        self._metrics.count("tallystick_faust_sends_total", outcome="error")

    def on_rebalance_start(self, app: Any) -> dict[str, float]:
        """Partitions are being handed out anew."""
        return {"started": time.monotonic()}

    def on_rebalance_end(self, app: Any, state: dict[str, float]) -> None:
        """All is handed out."""
        self._metrics.count("tallystick_faust_rebalances_total")
        self._metrics.set("tallystick_faust_rebalance_seconds", time.monotonic() - state["started"])
