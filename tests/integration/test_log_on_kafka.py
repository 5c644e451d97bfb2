"""What a log promises, kept on Kafka: order, chains, all or nothing, one writer, and holes that say nothing."""

import asyncio
import inspect
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from events.errors import Broken, Unavailable
from infra.kafka.topics import create
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog, group_of
from streams.hosts.log import GENESIS, Append, link
from streams.hosts.transactions import Fenced, Transactions, sender

ALICE, BOB = "index/0", "index/1"
PATIENCE_SECONDS = 60


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    """Topics of our own, two partitions each."""
    found = Cluster(kafka, f"test-{uuid.uuid4().hex[:8]}")
    create(kafka, found.prefix, 2)
    return found


@pytest.fixture
def log(cluster: Cluster) -> Iterator[KafkaLog]:
    """The log in them."""
    with closing(KafkaLog(cluster)) as opened:
        yield opened


def event(number: int, topic: str = "payments", partition: int = 0) -> Append:
    """A record with a stamp of its own."""
    return Append(topic, partition, 1_000 + number, b"event %d" % number)


def test_an_empty_log(log: KafkaLog) -> None:
    assert log.read("payments", 0, 0, 10) == []
    assert log.end("payments", 0) == 0
    assert log.last("payments", 0) is None
    assert log.places() == []
    assert log.positions(ALICE) == {}
    assert log.state(ALICE) is None


def test_what_is_committed_stands_in_order_with_its_stamps_and_chain(log: KafkaLog) -> None:
    log.commit(ALICE, [event(1), event(2)], {("payments.requests", 0): 7})
    log.commit(ALICE, [event(3)], {("payments.requests", 0): 9})
    records = log.read("payments", 0, 0, 10)
    assert [(record.at, record.value) for record in records] == [
        (1_001, b"event 1"),
        (1_002, b"event 2"),
        (1_003, b"event 3"),
    ]
    chain = GENESIS
    for record in records:
        chain = link(chain, record.at, record.value)
        assert record.chain == chain
    assert log.positions(ALICE) == {("payments.requests", 0): 9}
    assert log.positions(BOB) == {}
    assert log.last("payments", 0) == records[-1]
    assert log.places() == [("payments", 0)]


def test_reading_goes_on_behind_holes_at_any_size(log: KafkaLog) -> None:
    for number in range(12):
        log.commit(ALICE, [event(number)], {})
    for limit in (1, 5, 100):
        found, offset = [], 0
        while records := log.read("payments", 0, offset, limit):
            assert len(records) <= limit
            found += records
            offset = records[-1].offset + 1
        assert [record.value for record in found] == [b"event %d" % number for number in range(12)]
    assert found[-1].offset > 11, "the end of each transaction has taken an offset"


def test_a_chain_goes_on_in_the_next_process(cluster: Cluster, log: KafkaLog) -> None:
    log.commit(ALICE, [event(1)], {})
    with closing(KafkaLog(cluster)) as again:
        again.commit(ALICE, [event(2)], {})
    first, second = log.read("payments", 0, 0, 10)
    assert second.chain == link(first.chain, second.at, second.value)


def test_who_takes_over_shuts_out_who_had_the_name(cluster: Cluster, log: KafkaLog) -> None:
    log.commit(ALICE, [event(1)], {})
    with closing(KafkaLog(cluster)) as successor:
        successor.commit(ALICE, [event(2)], {("payments.requests", 0): 2})
        with pytest.raises(Fenced):
            log.commit(ALICE, [event(3)], {("payments.requests", 0): 3})
        assert [record.value for record in successor.read("payments", 0, 0, 10)] == [b"event 1", b"event 2"]
        assert successor.positions(ALICE) == {("payments.requests", 0): 2}


def test_a_record_that_is_too_large_takes_its_whole_transaction_with_it(log: KafkaLog) -> None:
    """Its future is awaited: a commit that succeeded without it would have lost it."""
    huge = Append("payments", 1, 0, b"x" * 1_200_000)
    with pytest.raises(Broken):
        log.commit(ALICE, [event(1), huge], {("payments.requests", 0): 1})
    assert log.read("payments", 0, 0, 10) == []
    assert log.positions(ALICE) == {}


def test_more_than_a_batch_holds_is_one_transaction(log: KafkaLog) -> None:
    log.commit(ALICE, [Append("payments", 0, number, b"y" * 1_000) for number in range(3_000)], {})
    found, offset = 0, 0
    while records := log.read("payments", 0, offset, 1_000):
        found += len(records)
        offset = records[-1].offset + 1
    assert found == 3_000


def test_what_is_open_is_not_read_and_ends_with_its_writer(cluster: Cluster, log: KafkaLog) -> None:
    log.commit(ALICE, [event(1)], {})
    producer: Any = None

    async def leave_open() -> None:
        nonlocal producer
        producer = AIOKafkaProducer(transactional_id=f"{cluster.prefix}.index.0", **cluster.options())
        await producer.start()
        await producer.begin_transaction()
        await (await producer.send(cluster.topic("payments"), b"never", partition=0))

    async def take_over() -> None:
        await leave_open()
        assert [record.value for record in await asyncio.to_thread(_read_all, cluster)] == [b"event 1"]
        successor = Transactions(cluster, ALICE)
        await successor.fence()
        await successor.commit([event(2)], f"{cluster.prefix}.engines", {})
        await successor.close()
        await producer.stop()

    asyncio.run(take_over())
    assert _read_until(log, b"event 2") == [b"event 1", b"event 2"]


@pytest.fixture
def trusting(kafka: str) -> Iterator[None]:
    """The brokers do not ask the coordinator whether a transaction to which they append is there."""
    admin = AdminClient({"bootstrap.servers": kafka})
    brokers = admin.list_topics(timeout=PATIENCE_SECONDS).brokers

    def change(how: AlterConfigOpType) -> None:
        entry = ConfigEntry("transaction.partition.verification.enable", "false", incremental_operation=how)
        changes = [
            ConfigResource(ConfigResource.Type.BROKER, str(number), incremental_configs=[entry])
            for number in brokers
        ]
        for done in admin.incremental_alter_configs(changes).values():
            done.result(PATIENCE_SECONDS)

    change(AlterConfigOpType.SET)
    yield
    change(AlterConfigOpType.DELETE)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.usefixtures("trusting")
def test_what_a_broker_has_left_open_is_not_committed_with_what_comes_next(
    cluster: Cluster, log: KafkaLog, told: bool
) -> None:
    """A transaction of which the coordinator knows nothing is not ended by a fence, but by the next one there.

    That is what is left where partitions had no leader when they should have been told. Whoever is not told where to
    look makes records of it: should the broker ever know better, the second case says so.
    """
    log.commit(ALICE, [event(1)], {("payments.requests", 0): 1})
    group = group_of(cluster, ALICE)

    async def take_over() -> None:
        predecessor = AIOKafkaProducer(transactional_id=f"{cluster.prefix}.index.0", **cluster.options())
        await predecessor.start()
        await predecessor.begin_transaction()
        predecessor._txn_manager.txn_partitions.add(KafkaPartition(cluster.topic("payments"), 0))
        await (await predecessor.send(cluster.topic("payments"), b"never", partition=0))
        successor = Transactions(cluster, ALICE)
        await successor.fence([("payments", 0), ("intake", 0)] if told else (), group)
        await successor.commit([event(2)], group, {("payments.requests", 0): 2})
        await successor.close()
        await predecessor.stop()

    asyncio.run(take_over())
    left = [] if told else [b"never"]
    assert _read_until(log, b"event 2") == [b"event 1", *left, b"event 2"]
    assert log.positions(ALICE) == {("payments.requests", 0): 2}


def _read_until(log: KafkaLog, last: bytes) -> list[bytes]:
    """All values of a partition. What others commit is seen a moment after the coordinator has said that it is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        values = [record.value for record in log.read("payments", 0, 0, 10)]
        if last in values or time.monotonic() > deadline:
            return values


def _read_all(cluster: Cluster) -> list[Any]:
    with closing(KafkaLog(cluster)) as log:
        return log.read("payments", 0, 0, 10)


def test_a_view_is_of_one_moment(cluster: Cluster, log: KafkaLog) -> None:
    log.commit(ALICE, [event(1)], {("payments.requests", 0): 1})
    with closing(KafkaLog(cluster)) as writer, log.view():
        writer.commit(ALICE, [event(2)], {("payments.requests", 0): 2})
        assert [record.value for record in log.read("payments", 0, 0, 10)] == [b"event 1"]
        assert log.positions(ALICE) == {("payments.requests", 0): 1}
    assert len(log.read("payments", 0, 0, 10)) == 2


def test_nobody_answers() -> None:
    with pytest.raises(Unavailable):
        KafkaLog(Cluster("127.0.0.1:1", "nowhere"))


def test_the_pause_between_transactions_is_still_the_library_s() -> None:
    """We shorten a name of the library's own: should it go, a commit takes three times as long, and nothing tells."""
    assert "return BACKOFF_OVERRIDE" in inspect.getsource(sender.AddPartitionsToTxnHandler)
