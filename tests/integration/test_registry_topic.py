"""The registry on a real topic: several servers, one registry, whatever happens to any of them."""

import asyncio
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import schemas
from events.errors import Refused, Unavailable
from events.requests import PaymentRequest
from events.samples import samples
from events.wire import encode_message
from infra.kafka.topics import create
from infra.registry.topic import TopicStorage
from streams.hosts.cluster import Cluster
from streams.hosts.registry.avro import parse
from streams.hosts.registry.compatibility import Level
from streams.hosts.registry.ours import FOREIGN_IDS
from streams.hosts.registry.service import Registry
from tests.infra.registries import serving
from tests.patience import PATIENCE_SECONDS


def avro(*names: str) -> Schema:
    """A record of optional numbers."""
    rows = [{"name": name, "type": "int", "default": 0} for name in names]
    return Schema(json.dumps({"type": "record", "name": "R", "fields": rows}), "AVRO")


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    """A house of its own on the broker."""
    prefix = f"test-{uuid4().hex[:8]}"
    create(kafka, prefix, 1)
    return Cluster(kafka, prefix)


def test_two_servers_are_one_registry(cluster: Cluster) -> None:
    """What one has answered, the other knows: ids, versions, levels, what is gone."""

    def storage() -> TopicStorage:
        return TopicStorage(cluster)

    with (
        serving(storage, cluster.prefix) as here,
        serving(storage, cluster.prefix) as there,
        SchemaRegistryClient({"url": here}) as one,
        SchemaRegistryClient({"url": there}) as other,
    ):
        assert FOREIGN_IDS == one.register_schema("s", avro("a"))
        assert avro("a").schema_str == other.get_schema(FOREIGN_IDS).schema_str
        assert FOREIGN_IDS == other.register_schema("t", avro("a"))
        assert FOREIGN_IDS + 1 == other.register_schema("s", avro("a", "b"))
        assert 2 == one.get_latest_version("s").version
        one.set_compatibility("s", "FULL")
        assert "FULL" == other.get_compatibility("s")
        assert [1, 2] == other.delete_subject("s")
        with pytest.raises(SchemaRegistryError, match="Subject 's' not found"):
            one.get_versions("s")
        request = next(iter(samples(PaymentRequest)))
        serialize = AvroSerializer(
            other, json.dumps(schemas.schema("PaymentRequest", PaymentRequest.VERSION))
        )
        value = {name: getattr(request, name) for name in request.__struct_fields__}
        context = SerializationContext(cluster.topic("payments.requests"), MessageField.VALUE)
        assert encode_message(request) == serialize(value, context)

    # Nothing is kept anywhere else.
    with serving(storage, cluster.prefix) as again, SchemaRegistryClient({"url": again}) as client:
        assert [1, 2] == client.get_versions("s", deleted=True)
        assert [1] == client.get_versions("t")
        assert FOREIGN_IDS + 2 == client.register_schema("t", avro("c"))


def test_writers_at_once_get_what_is_theirs_alone(cluster: Cluster) -> None:
    """Two servers, each with several callers: no id and no version twice, and the same afterwards in both."""
    calls = 4

    def storage() -> TopicStorage:
        return TopicStorage(cluster)

    with (
        serving(storage, cluster.prefix) as here,
        serving(storage, cluster.prefix) as there,
        ThreadPoolExecutor(2 * calls) as pool,
    ):

        def register(number: int) -> int:
            with SchemaRegistryClient({"url": (here, there)[number % 2]}) as client:
                return client.register_schema("s", avro("a", f"b{number}"))

        ids = list(pool.map(register, range(2 * calls)))
        assert list(range(FOREIGN_IDS, FOREIGN_IDS + 2 * calls)) == sorted(ids)
        with SchemaRegistryClient({"url": here}) as one, SchemaRegistryClient({"url": there}) as other:
            seen = [
                [(row, client.get_version("s", row).schema_id) for row in client.get_versions("s")]
                for client in (one, other)
            ]
            assert list(range(1, 2 * calls + 1)) == [row for row, _ in seen[0]]
            assert seen[0] == seen[1]


@pytest.mark.asyncio
async def test_an_answer_is_given_when_it_can_be_read(cluster: Cluster) -> None:
    """A broker says that a transaction is committed a moment before readers see it; whoever has an id may use it."""
    registry = Registry(cluster.prefix, TopicStorage(cluster))
    await registry.start()
    for size in range(1, 11):
        schema = parse(json.dumps({"type": "fixed", "name": "F", "size": size}))
        await registry.change(lambda state, schema=schema: state.register(f"s{schema.type.size}", schema))
        assert schema is registry._state.version(f"s{size}", 1).schema
    await registry.stop()


@pytest.mark.asyncio
async def test_who_is_overtaken_writes_nothing(cluster: Cluster) -> None:
    """One stops in the middle of its turn, another takes it; the first wakes up, is shut out, and decides anew."""
    slow, quick = (Registry(cluster.prefix, TopicStorage(cluster)) for _ in range(2))
    schema = parse('"string"')
    await slow.start()
    await quick.start()
    tries = 0

    async with asyncio.timeout(PATIENCE_SECONDS):
        reached, resume = asyncio.Event(), asyncio.Event()
        storage = slow._storage
        inner = storage.news

        async def news() -> object:
            nonlocal tries
            tries += 1
            if tries == 2:  # the first look is before the turn, this one within it
                reached.set()
                await resume.wait()
            return await inner()

        storage.news = news  # type: ignore[method-assign,assignment]
        writing = asyncio.create_task(slow.change(lambda state: state.register("slow", parse('"int"'))))
        await reached.wait()
        assert FOREIGN_IDS == await quick.change(lambda state: state.register("quick", schema))
        resume.set()
        assert FOREIGN_IDS + 1 == await writing
    assert tries > 3
    await slow.stop()
    await quick.stop()


@pytest.mark.asyncio
async def test_what_was_left_open_is_undone(cluster: Cluster) -> None:
    """A server dies with its records sent and not committed: nobody ever sees them, and nobody waits for long."""
    dead = AIOKafkaProducer(transactional_id=f"{cluster.prefix}.registry", **cluster.options())
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(cluster.topic("schemas"), b"never seen", key=b"k", partition=0)
    registry = Registry(cluster.prefix, TopicStorage(cluster))
    await registry.start()
    assert FOREIGN_IDS == await registry.change(lambda state: state.register("s", parse('"int"')))
    assert [1] == await registry.ask_anew(lambda state: state.versions("s"))
    await registry.stop()
    await dead.stop()


@pytest.mark.asyncio
async def test_strangers_records_are_passed_over(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may write to the topic: the registry says so and goes on."""
    async with AIOKafkaProducer(**cluster.options()) as producer:
        for key, value in ((b"x", b"y"), (b'{"keytype":"SCHEMA","subject":"s","version":1}', b'{"id":7')):
            await producer.send_and_wait(cluster.topic("schemas"), value, key=key)
        broken = b'{"subject":"s","version":2,"id":100007,"schema":"record","deleted":false}'
        await producer.send_and_wait(
            cluster.topic("schemas"), broken, key=b'{"keytype":"SCHEMA","subject":"s","version":2}'
        )
    registry = Registry(cluster.prefix, TopicStorage(cluster))
    await registry.start()
    assert FOREIGN_IDS + 8 == await registry.change(lambda state: state.register("s", parse('"int"')))
    await registry.stop()
    texts = [record.getMessage() for record in caplog.records if record.name == "tallystick.registry"]
    assert 2 == sum("none of ours" in text for text in texts)
    assert 1 == sum("cannot be taken in: Invalid schema" in text for text in texts)


@pytest.mark.asyncio
async def test_records_have_confluents_keys(cluster: Cluster) -> None:
    """So that compaction keeps the last word on each version and each level, and people can read it."""
    registry = Registry(cluster.prefix, TopicStorage(cluster))
    await registry.start()
    await registry.change(lambda state: state.register("s", parse('"int"')))
    await registry.change(lambda state: state.set_level("s", Level.FULL))
    await registry.change(lambda state: state.delete_level("s"))
    await registry.stop()
    consumer = AIOKafkaConsumer(
        cluster.topic("schemas"), auto_offset_reset="earliest", group_id=None, **cluster.options()
    )
    async with consumer:
        rows = [await consumer.getone() for _ in range(3)]
    assert [
        (
            '{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}',
            {"subject": "s", "version": 1, "id": FOREIGN_IDS, "schema": '"int"', "deleted": False},
        ),
        ('{"keytype":"CONFIG","subject":"s","magic":0}', {"compatibilityLevel": "FULL"}),
        ('{"keytype":"CONFIG","subject":"s","magic":0}', None),
    ] == [(row.key.decode(), row.value and json.loads(row.value)) for row in rows]


@pytest.mark.asyncio
async def test_a_topic_that_would_lose_schemas_is_refused(kafka: str) -> None:
    """Or that is not there; with what to do about it."""
    cluster = Cluster(kafka, f"test-{uuid4().hex[:8]}")
    storage = TopicStorage(cluster)
    with pytest.raises(
        Refused, match=f"no topic {cluster.prefix}.schemas .* tallystick topics create --prefix"
    ):
        await storage.start()
    await storage.stop()
    admin = AIOKafkaAdminClient(**cluster.options())
    await admin.start()
    await admin.create_topics([NewTopic(cluster.topic("schemas"), 1, 1)])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while cluster.topic("schemas") not in await admin.list_topics():
            await asyncio.sleep(0.05)
    await admin.close()
    storage = TopicStorage(cluster)
    with pytest.raises(Refused, match=r"must have one partition and cleanup\.policy=compact"):
        await storage.start()
    await storage.stop()


def test_it_is_served_by_a_process(cluster: Cluster) -> None:
    """The address is all that it prints, and it ends well when it is asked to; a port that is taken is said."""
    command = [sys.executable, "-m", "infra.cli", "registry", "serve", "--log", cluster.address, "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with SchemaRegistryClient({"url": address}) as client:
                assert FOREIGN_IDS == client.register_schema("s", avro("a"))
            port = address.rpartition(":")[2]
            second = subprocess.run(
                [*command, port], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
            assert (3, "") == (second.returncode, second.stdout)
            assert f"nothing can be served at 127.0.0.1:{port}" in second.stderr
            process.send_signal(signal.SIGTERM)
            assert (0, "") == (process.wait(PATIENCE_SECONDS), process.stdout.read())
        finally:
            process.kill()


@pytest.mark.asyncio
async def test_nobody_answers(kafka: str) -> None:
    """A server without a broker says so at once."""
    storage = TopicStorage(Cluster("127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"no answer from Kafka at 127\.0\.0\.1:1"):
        await storage.start()
    await storage.stop()
