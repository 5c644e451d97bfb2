"""The metrics of a worker, made from the catalogue.

What the engine counts anyway is read off it when Prometheus asks; the rest is told once per batch, from counts that
were made in plain dictionaries. Nothing here is called per event.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.worker.catalogue import BY_NAME, CATALOGUE, LATENCY_SECONDS, NETWORKS, Kind
from infra.worker.port import Engine, Hosted, StandingBy

#: What /metrics is answered with.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "other"

#: What is read off an index: the metric, and where it stands.
_OF_INDEX: Final[Mapping[str, Callable[[Hosted], float]]] = {
    "tallystick_tick": lambda hosted: hosted.index.tick(),
    "tallystick_open_attempts": lambda hosted: hosted.index.open_attempts(),
    "tallystick_transactions_total": lambda hosted: hosted.statistics.transactions,
    "tallystick_inputs_total": lambda hosted: hosted.statistics.inputs,
    "tallystick_events_total": lambda hosted: hosted.statistics.events,
    "tallystick_requests_total": lambda hosted: hosted.statistics.requests,
    "tallystick_decide_seconds_total": lambda hosted: hosted.statistics.decide_seconds,
    "tallystick_commit_seconds_total": lambda hosted: hosted.statistics.commit_seconds,
    "tallystick_restore_seconds": lambda hosted: hosted.statistics.restore_seconds,
    "tallystick_restored_events": lambda hosted: hosted.statistics.restored_events,
    "tallystick_first_commit_seconds": lambda hosted: hosted.statistics.first_commit_seconds,
    "tallystick_restored_warm": lambda hosted: hosted.statistics.was_warm,
}
#: What is read off an index of somebody else that is kept warm.
_OF_STANDBY: Final[Mapping[str, Callable[[StandingBy], float]]] = {
    "tallystick_standby_lag_records": lambda standby: standby.records_behind,
    "tallystick_standby_lag_seconds": lambda standby: standby.seconds_behind,
    "tallystick_standby_events_total": lambda standby: standby.events,
    "tallystick_standby_lost": lambda standby: bool(standby.lost),
}


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        # A second series for every counter, with the time of its first count, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in CATALOGUE:
            if metric.read:
                continue
            name, labels, registry = metric.name, metric.labels, self.registry
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[name] = Counter(name, metric.meaning, labels, registry=registry)
                case Kind.GAUGE:
                    self._gauges[name] = Gauge(name, metric.meaning, labels, registry=registry)
                case Kind.HISTOGRAM:
                    self._histograms[name] = Histogram(
                        name, metric.meaning, labels, registry=registry, buckets=LATENCY_SECONDS
                    )
        #: Records behind the end, by topic; refreshed by whoever asks the broker, not at every scrape.
        self.lags: Mapping[str, int] = {}
        self._networks: set[str] = set()

    def read(self, engine: Engine, partitions: int, waiting_for: Callable[[], str]) -> None:
        """From now on read these off the engine. ``waiting_for`` says why it is not ready; empty when it is."""
        self.registry.register(_EngineCollector(engine, partitions, self, waiting_for))

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(**self._bounded(labels)) if labels else counter).inc(by)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**self._bounded(labels)) if labels else gauge).set(value)

    def observe(self, name: str, values: Iterable[float], **labels: str) -> None:
        """Add what a batch has measured to a histogram."""
        histogram = self._histograms[name].labels(**self._bounded(labels))
        for value in values:
            histogram.observe(value)

    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)

    def _bounded(self, labels: dict[str, str]) -> dict[str, str]:
        network = labels.get("network")
        if network is not None and network not in self._networks:
            if len(self._networks) >= NETWORKS:
                return {**labels, "network": OTHER}
            self._networks.add(network)
        return labels


class _EngineCollector(Collector):
    """Reads the engine's own counts when it is asked."""

    def __init__(
        self, engine: Engine, partitions: int, metrics: Metrics, waiting_for: Callable[[], str]
    ) -> None:
        self._engine = engine
        self._partitions = partitions
        self._metrics = metrics
        self._waiting_for = waiting_for

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would otherwise collect before there is anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Every metric of the catalogue that is read."""
        hosted = sorted(self._engine.hosted.items())
        yield _gauge("tallystick_ready", [((), float(not self._waiting_for()))])
        yield _gauge("tallystick_partitions", [((), float(self._partitions))])
        yield _gauge("tallystick_indexes", [((), float(len(hosted)))])
        yield _gauge("tallystick_lag_records", [((name,), lag) for name, lag in self._metrics.lags.items()])
        now = time.monotonic()
        ages = [
            ((str(number),), now - index.statistics.last_commit_at)
            for number, index in hosted
            if index.statistics.last_commit_at
        ]
        yield _gauge("tallystick_commit_age_seconds", ages)
        for name, read in _OF_INDEX.items():
            yield _family(name, [((str(number),), float(read(index))) for number, index in hosted])
        followed = sorted(self._engine.standing_by.items())
        for name, look in _OF_STANDBY.items():
            yield _family(name, [((str(number),), float(look(standby))) for number, standby in followed])


_Rows = Iterable[tuple[tuple[str, ...], float]]


def _family(name: str, rows: _Rows) -> Metric:
    return (_counter if BY_NAME[name].kind is Kind.COUNTER else _gauge)(name, rows)


def _gauge(name: str, rows: _Rows) -> Metric:
    family = GaugeMetricFamily(name, BY_NAME[name].meaning, labels=BY_NAME[name].labels)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _counter(name: str, rows: _Rows) -> Metric:
    family = CounterMetricFamily(name, BY_NAME[name].meaning, labels=BY_NAME[name].labels)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
