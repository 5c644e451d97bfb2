"""After the main job on Kafka each process's own position stands behind what it reads: none was called by another."""

import asyncio
from collections.abc import Iterable
from contextlib import closing

import pytest

from events.messages import Marker
from events.partitions import TickPassed
from events.requests import Tick
from events.wire import HEADER_BYTES, headers_of
from infra.clusterjob import ClusterJob, run_on_kafka
from infra.stores import open_store
from projections.catalog import CATALOG
from projections.projector import places
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.hosts.cluster import Cluster
from streams.hosts.following import group_positions
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import TopicPartition
from streams.topology import BROADCAST, ENGINES
from tests.integration.houses import new_job

PARTITIONS = 2
#: What may come when all is over, and be read by nobody: the time.
TIME = headers_of((Marker, Tick, TickPassed))


@pytest.fixture(scope="module")
def job(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> ClusterJob:
    """One that has been run."""
    made = new_job(kafka, tmp_path_factory.mktemp("positions"), partitions=PARTITIONS, workers=2)
    run_on_kafka(made)
    return made


def everywhere(*topics: str) -> set[TopicPartition]:
    """All partitions of these."""
    return {(topic, partition) for topic in topics for partition in range(PARTITIONS)}


def unread(cluster: Cluster, positions: Iterable[tuple[TopicPartition, int]]) -> list[tuple[str, int, int]]:
    """Topic, partition and offset of whatever stands behind these positions, but for the time."""
    with closing(KafkaLog(cluster)) as log:
        return [
            (*place, stored.offset)
            for place, position in positions
            for stored in log.read(*place, position, 1_000)
            if stored.value[:HEADER_BYTES] not in TIME
        ]


INPUTS = [topic for spec in ENGINES for topic in spec.inputs if topic not in BROADCAST]
GROUPS = {
    "engines": everywhere(*INPUTS),
    "adapter": everywhere("payments"),
    "edge.network.0": set(ClearingHouse(PARTITIONS, 1).reads()),
    "edge.bank.0": set(Bank(PARTITIONS, 1).reads()),
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_has_committed_what_it_has_read(job: ClusterJob, group: str) -> None:
    committed = asyncio.run(group_positions(job.cluster, f"{job.cluster.prefix}.{group}"))
    assert GROUPS[group] == committed.keys()
    assert [] == [place for place, (position, _) in committed.items() if position == 0]
    assert [] == unread(job.cluster, ((place, position) for place, (position, _) in committed.items()))


def test_the_projectors_position_stands_in_the_store(job: ClusterJob) -> None:
    """For each projection, behind the last record of each log."""
    with closing(open_store(job.store)) as store:
        read = {projection.NAME: store.positions(projection) for projection in CATALOG}
    for positions in read.values():
        assert set(places(PARTITIONS)) == positions.keys()
        assert [] == unread(job.cluster, ((place, position.next) for place, position in positions.items()))


def test_something_unread_would_be_found(job: ClusterJob) -> None:
    """From its beginning, a log is full of what is not the time."""
    assert unread(job.cluster, [(("payments", 0), 0)]) != []
