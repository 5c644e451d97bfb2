"""The house on Kafka, measured from outside: everything on one machine, on a broker of its own.

By the clock on the wall: payments a second from request to committed answer when all of them come at once, and, with
half of that rate, how long one takes from the moment at which it was to be sent until its answer can be read committed.
The rate does not slow down when the answer does (open loop). In virtual time: the whole life of money, as ``demo`` runs
it. A projector follows in every run.
"""

import os
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.calendar import HOUR
from events.errors import Unavailable
from events.lifecycle import PaymentRequested
from events.wire import HEADER_BYTES, decode_event, headers_of
from infra.clusterjob import ClusterJob, make_topics, run_on_kafka
from infra.job import simulated_day
from infra.kafka.broker import Jvm, start, status, stop
from infra.kafka.distribution import find
from infra.projecting import Projecting
from infra.stores import in_file
from infra.supervisor import Supervisor
from streams.edge.vault import open_keys
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog
from tests.bench.figures import percentile, processor_seconds
from tests.bench.peers.compare import Say, compare
from tests.integration.houses import publish_on_the_wall, start_on_the_wall

BURST: Final = 20_000
OPEN_LOOP_SECONDS: Final = 20
WHOLE_LIFE: Final = 20_000
PARTITIONS: Final = 2

_OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)
_READ: Final = headers_of((PaymentRequested, *_OUTCOMES))
#: Payments whose answer is no more waited for, in thousandths: some requests of a day are refused or repeated.
_ENOUGH: Final = 970
_PATIENCE_SECONDS: Final = 180.0


def missing() -> str:
    """Why there is no broker to measure on; empty where there is one."""
    try:
        find(os.environ, print)
    except Unavailable as error:
        return str(error)
    return ""


def on_kafka(folder: Path, say: Say) -> dict[str, Any]:
    """All figures of this file, and the comparison with the peers on the same broker."""
    data = folder / "kafka"
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    broker = start(data, environment, None, Jvm.FAST)
    try:
        seconds, latencies, processor = by_the_wall(folder, broker.bootstrap, "burst", BURST, None)
        rate = len(latencies) / seconds
        paced = max(1, round(rate / 2))
        _, calm, _ = by_the_wall(folder, broker.bootstrap, "paced", paced * OPEN_LOOP_SECONDS, paced)
        whole = whole_life(folder, broker.bootstrap)
        compared = compare(folder / "peers", status(data, environment), say=say)
    finally:
        stop(data, environment)
    return {
        "kafka_authorizations_per_second": round(rate, 1),
        "kafka_worker_us_per_payment": round(1e6 * processor / len(latencies), 1),
        "kafka_offered_rate_at_half_load": paced,
        "kafka_p50_ms_at_half_load": percentile(calm, 50),
        "kafka_p99_ms_at_half_load": percentile(calm, 99),
        "kafka_whole_life_payments_per_second": round(WHOLE_LIFE / whole, 1),
        **compared,
    }


def by_the_wall(
    folder: Path, bootstrap: str, name: str, payments: int, rate: int | None
) -> tuple[float, list[float], float]:
    """Seconds from the first answer's request to the last answer, latencies in ms, processor seconds of the worker."""
    job = _job(folder / name, bootstrap, name, payments)
    path = simulated_day(folder, payments, job.seed, False, lambda _: None)
    with (
        Supervisor(job.state / "output") as house,
        Projecting(job.cluster.address, job.store, job.partitions),
        closing(KafkaLog(job.cluster)) as log,
    ):
        start_on_the_wall(job, house)
        _until_open(log, house, job.partitions)
        before = processor_seconds(house.members["worker-1"].pid)
        publish_on_the_wall(job, house, path, rate)
        began, ended, latencies = _follow(log, house, job.partitions, payments)
        return ended - began, latencies, processor_seconds(house.members["worker-1"].pid) - before


def _until_open(log: KafkaLog, house: Supervisor, partitions: int) -> None:
    while not all(log.end("payments", number) for number in range(partitions)):
        house.look()
        time.sleep(0.1)


def _follow(
    log: KafkaLog, house: Supervisor, partitions: int, payments: int
) -> tuple[float, float, list[float]]:
    """Read what is committed as it comes; when the first request was to be sent, when the last answer came."""
    asked: dict[str, int] = {}
    latencies: list[float] = []
    positions = dict.fromkeys(range(partitions), 0)
    patience_ends, ended = time.monotonic() + _PATIENCE_SECONDS, 0.0
    while len(latencies) * 1_000 < payments * _ENOUGH and time.monotonic() < patience_ends:
        came = 0
        for number, position in positions.items():
            records = log.read("payments", number, position, 5_000)
            now = time.time()
            for stored in records:
                if stored.value[:HEADER_BYTES] not in _READ:
                    continue
                recorded = decode_event(stored.value)
                body = recorded.body
                if isinstance(body, PaymentRequested):
                    asked.setdefault(body.payment_id, recorded.meta.occurred_at)
                elif isinstance(body, _OUTCOMES) and body.payment_id in asked:
                    latencies.append(now * 1_000 - asked[body.payment_id] / 1_000)
                    ended = now
            if records:
                positions[number] = records[-1].offset + 1
                came += len(records)
        if not came:
            house.look()
            time.sleep(0.002)
    return min(asked.values()) / 1e6, ended, latencies


def whole_life(folder: Path, bootstrap: str) -> float:
    """Seconds of the main job on Kafka, projections and start of its processes included."""
    job = replace(
        _job(folder / "whole", bootstrap, "whole", WHOLE_LIFE), every=2 * HOUR, tail=8 * HOUR, batch=2_000
    )
    return run_on_kafka(job).seconds


def _job(folder: Path, bootstrap: str, prefix: str, payments: int) -> ClusterJob:
    folder.mkdir(parents=True)
    store = in_file(folder / "store.duckdb")
    job = ClusterJob(Cluster(bootstrap, prefix), payments, 1, None, store, folder, partitions=PARTITIONS)
    make_topics(job)
    open_keys(job.keys)
    return job
