"""The broker as an operator meets it, and what a log on it will rest on: settings, transactions, fencing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import ProducerFenced, UnknownTopicOrPartitionError
from aiokafka.protocol.offset import OffsetRequest

from events.errors import Unavailable
from infra.commandline import run
from infra.kafka.broker import start, stop
from infra.kafka.client import wait_until_it_serves
from infra.kafka.topics import ALL, Difference, check, create, full_name
from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]


class Answer(NamedTuple):
    code: int
    out: str
    err: str


class Operator:
    """Gives ``tallystick kafka`` commands, each a process that ends: brokers have to outlive them."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self._data = data
        self._environment = environment

    def __call__(self, *arguments: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "infra.cli", "kafka", *arguments, "--data", str(self._data)],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def pids(self) -> list[int]:
        """The pids of the brokers that run."""
        brokers = json.loads(self("status", "--json").out)["brokers"]
        return [broker["pid"] for broker in brokers if broker["running"]]


@pytest.fixture
def operator(tmp_path: Path, machine: dict[str, str]) -> Iterator[Operator]:
    """Somebody with an empty data folder; whatever they leave running is stopped."""
    yield Operator(tmp_path / "kafka", machine)
    stop(tmp_path / "kafka", machine)


@pytest.fixture
def prefix(kafka: str) -> str:
    """A house of its own on the broker, with two partitions."""
    name = f"test-{uuid4().hex[:8]}"
    made, differences = create(kafka, name, 2)
    assert ([], [full_name(name, topic.name) for topic in ALL]) == (differences, made)
    return name


# --- start, status, stop --------------------------------------------------------------------------------


def test_a_broker_lives_until_it_is_stopped(operator: Operator) -> None:
    """Start detaches and is idempotent; killed, the broker comes back where it was, with what it had."""
    assert (3, "") == operator("status")[:2]
    code, bootstrap, remark = operator("start")
    assert code == 0, remark
    assert bootstrap.startswith("127.0.0.1:")
    assert (0, bootstrap) == operator("status")[:2]
    assert (0, bootstrap, "already running\n") == operator("start")
    create(bootstrap.strip(), "kept", 1)
    asyncio.run(_mistype(bootstrap.strip()))

    (pid,) = operator.pids()
    os.kill(pid, signal.SIGKILL)
    assert (3, "") == operator("status")[:2]
    code, again, remark = operator("start")
    assert (0, bootstrap) == (code, again), remark
    assert [pid] != operator.pids()
    assert [] == check(bootstrap.strip(), "kept", 1)

    assert (0, "", "1 broker stopped\n") == operator("stop")
    assert (3, "") == operator("status")[:2]
    code, _, remark = operator("stop")
    assert code == 0
    assert remark.startswith("no broker runs in ")


async def _mistype(bootstrap: str) -> None:
    """A topic that came to be by a typing error would lose records: our brokers refuse."""
    async with _producer(bootstrap, request_timeout_ms=1_000) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait("paymants", b"lost")
    async with _admin(bootstrap) as admin:
        assert "paymants" not in await admin.list_topics()


def test_three_brokers_do_without_one(operator: Operator) -> None:
    """Each is a process; with one killed the others serve, and start brings back the one that is missing."""
    code, bootstrap, remark = operator("start", "--brokers", "3")
    assert code == 0, remark
    before = operator.pids()
    assert 3 == len(bootstrap.split(",")) == len(before)
    assert [] == create(bootstrap.strip(), "house", 1).differences

    os.kill(before[0], signal.SIGKILL)
    wait_until_it_serves(bootstrap.strip(), 2, PATIENCE_SECONDS, lambda: None)
    code, address, remark = operator("status")
    assert (0, bootstrap) == (code, address), remark
    assert "2 of 3 brokers run" in remark
    asyncio.run(_until_missed(bootstrap.strip()))
    assert [] == check(bootstrap.strip(), "house", 1), "the copies of one that is away are still copies"
    with pytest.raises(Unavailable, match="would have one"):
        create(bootstrap.strip(), "annexe", 1)
    assert (2, "") == operator("start", "--brokers", "1")[:2]
    assert 0 == operator("start").code
    after = operator.pids()
    assert before[1:] == after[1:]
    assert before[0] != after[0]
    assert [] == check(bootstrap.strip(), "house", 1)


async def _until_missed(bootstrap: str) -> None:
    """Return when the others no longer count the one that was killed."""
    async with asyncio.timeout(PATIENCE_SECONDS), _admin(bootstrap) as admin:
        while len((await admin.describe_cluster())["brokers"]) > 2:
            await asyncio.sleep(0.1)


def test_a_broker_that_cannot_start_says_why(
    tmp_path: Path, machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the cause and the log, and nothing is left running."""
    monkeypatch.setattr("infra.kafka.broker.properties", lambda *_: "process.roles=broker\nnode.id=one\n")
    with pytest.raises(Unavailable, match=r"Invalid value one for .*; see .*/node-1/broker\.log$"):
        start(tmp_path, machine)
    assert [] == stop(tmp_path, machine).stopped


def test_a_broker_of_somebody_else_is_only_reported(kafka: str, tmp_path: Path) -> None:
    """KAFKA_BOOTSTRAP names it: start and stop leave it as it is."""
    operator = Operator(tmp_path, {**os.environ, "KAFKA_BOOTSTRAP": kafka})
    assert (0, f"{kafka}\n") == operator("start")[:2]
    assert (0, "", f"KAFKA_BOOTSTRAP names the broker at {kafka}; it is not ours to stop\n") == operator(
        "stop"
    )
    assert (0, f"{kafka}\n", "") == operator("status")
    assert [] == list(tmp_path.iterdir())


# --- topics ---------------------------------------------------------------------------------------------


def test_topics_that_are_there_stay(kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Making them twice makes nothing; the second time may not change how many partitions they have."""
    arguments = ["--bootstrap", kafka, "--prefix", prefix]
    assert 0 == run(["topics", "create", *arguments, "--partitions", "2"])
    assert ("", "every topic was there\n") == capsys.readouterr()
    assert 1 == run(["topics", "create", *arguments, "--partitions", "3"])
    assert f"{prefix}.payments.requests partitions 3 2" in " ".join(capsys.readouterr().out.split())
    assert 0 == run(["topics", "check", *arguments])
    assert f"All {len(ALL)} topics are as they have to be.\n" == capsys.readouterr().out


PLANTED: Final = (
    ("payments.requests", "cleanup.policy", "compact"),
    ("intake", "retention.bytes", "1073741824"),
    ("payments", "retention.ms", "604800000"),
    ("settlement.inbox", "message.timestamp.type", "CreateTime"),
    ("dead-letters", "max.message.bytes", "1048576"),
)


def test_wrong_settings_are_found(kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each that was planted and no other; the exit code tells a script."""
    asyncio.run(_plant(kafka, prefix))
    assert 1 == run(["topics", "check", "--bootstrap", kafka, "--prefix", prefix, "--json"])
    found = [(row["topic"], row["setting"], row["found"]) for row in json.loads(capsys.readouterr().out)]
    assert [(full_name(prefix, topic), setting, value) for topic, setting, value in PLANTED] == found


def test_topics_that_were_made_are_served(kafka: str) -> None:
    """Each partition has its log, and not only a leader: asked once, it says where it ends.

    Of houses that were made before one waited for that, every fourth had partitions that could not.
    """

    async def refusals(house: str) -> set[int]:
        client = AIOKafkaClient(bootstrap_servers=kafka)
        await client.bootstrap()
        try:
            names = [full_name(house, topic.name) for topic in ALL]
            await client.set_topics(names)
            wanted = [
                (name, [(part, -1) for part in client.cluster.partitions_for_topic(name)]) for name in names
            ]
            (node,) = (broker.nodeId for broker in client.cluster.brokers())
            answer = await client.send(node, OffsetRequest(-1, 0, wanted))
            return {code for _, parts in answer.topics for _, code, *_ in parts}
        finally:
            await client.close()

    for _ in range(12):
        house = f"test-{uuid4().hex[:8]}"
        create(kafka, house, 6)
        assert asyncio.run(refusals(house)) == {0}


async def _plant(bootstrap: str, prefix: str) -> None:
    async with _admin(bootstrap) as admin, asyncio.timeout(PATIENCE_SECONDS):
        for topic, setting, value in PLANTED:
            resource = ConfigResource(ConfigResourceType.TOPIC, full_name(prefix, topic))
            settings = {**await _own_settings(admin, resource), setting: value}
            resource.configs = settings
            await admin.alter_configs([resource])
            while settings != await _own_settings(admin, resource):
                pass


async def _own_settings(admin: Any, resource: ConfigResource) -> dict[str, str]:
    """What is set on a topic itself: what a change does not name goes back to the default."""
    (answer,) = await admin.describe_configs([ConfigResource(resource.resource_type, resource.name)])
    return {name: value for name, value, _, origin, *_ in answer.resources[0][4] if origin == 1}


def test_a_missing_topic_is_found(kafka: str, prefix: str) -> None:
    """A house without dead letters would have nowhere to put what it refuses."""

    async def delete(topic: str) -> None:
        async with _admin(kafka) as admin, asyncio.timeout(PATIENCE_SECONDS):
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():
                pass

    name = full_name(prefix, "dead-letters")
    asyncio.run(delete(name))
    assert [Difference(name, "topic", "there", "missing")] == check(kafka, prefix)


# --- records --------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_broker_stamps_records(kafka: str, prefix: str) -> None:
    """A record that says it is years old is as young as any other, so nothing removes it for its age."""
    topic = full_name(prefix, "payments.requests")
    async with _producer(kafka) as producer:
        sent = await producer.send_and_wait(topic, b"old", partition=0, timestamp_ms=1_500_000_000_000)
        young = await producer.send_and_wait(topic, b"young", partition=0)
    assert (1, 1) == (sent.timestamp_type, young.timestamp_type)
    assert 0 <= young.timestamp - sent.timestamp < 60_000


@pytest.mark.asyncio
async def test_a_transaction_is_seen_whole_or_not_at_all(kafka: str, prefix: str) -> None:
    """Committed readers see what was committed and nothing else; the position moves in the same transaction."""
    topic, group = full_name(prefix, "payments"), f"{prefix}-readers"
    source = TopicPartition(full_name(prefix, "payments.inbox"), 0)
    async with _producer(kafka, transactional_id=f"{prefix}-0") as producer:
        async with producer.transaction():
            for value in (b"1", b"2"):
                await producer.send_and_wait(topic, value, partition=0)
            await producer.send_offsets_to_transaction({source: 7}, group)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"taken back", partition=0)
        await producer.send_offsets_to_transaction({source: 8}, group)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"3", partition=0)
    assert [b"1", b"2", b"3"] == await _committed(kafka, topic, 3)
    async with _admin(kafka) as admin:
        assert 7 == (await admin.list_consumer_group_offsets(group))[source].offset


@pytest.mark.asyncio
async def test_a_second_producer_fences_the_first(kafka: str, prefix: str) -> None:
    """Two with one transactional id: what the first has begun is taken back, and it can commit no more."""
    topic = full_name(prefix, "payments")
    async with _producer(kafka, transactional_id=f"{prefix}-0") as first:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"of the frozen one", partition=0)
        async with _producer(kafka, transactional_id=f"{prefix}-0") as second:
            async with second.transaction():
                await second.send_and_wait(topic, b"of the new owner", partition=0)
            with pytest.raises(ProducerFenced):
                await first.commit_transaction()
    assert [b"of the new owner"] == await _committed(kafka, topic, 1)


async def _committed(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """What a committed reader has seen of partition 0 when it has come to the end; ``count`` are expected."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Markers of transactions take offsets too, so the end is a position and not a number of records.
            while await consumer.position(partition) < end or len(found) < count:
                taken = await consumer.getmany(partition, timeout_ms=100)
                found += [record.value for records in taken.values() for record in records]
        return found
    finally:
        await consumer.stop()


@asynccontextmanager
async def _producer(bootstrap: str, **settings: Any) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
