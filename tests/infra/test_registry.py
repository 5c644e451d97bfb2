"""The registry over HTTP: Confluent's own client, unchanged, and callers who get it wrong."""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import requests
from aiohttp import web
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import schemas
from events.catalog import BY_NAME, MESSAGES
from events.requests import PaymentRequest, Tick
from events.samples import samples
from events.wire import decode_message, encode_message, schema_id
from infra.registry.web import BODY_BYTES, CONTENT_TYPE, routes
from streams.hosts.registry.avro import SCHEMA_BYTES
from streams.hosts.registry.ours import FOREIGN_IDS
from streams.hosts.registry.service import MemoryStorage, Registry
from tests.infra.registries import PREFIX, running, serving
from tests.patience import PATIENCE_SECONDS

TOPIC: Final = f"{PREFIX}.payments.requests"
VALUE: Final = SerializationContext(TOPIC, MessageField.VALUE)
SUBJECT: Final = f"{TOPIC}-value"


def record(*names: str, **attributes: Any) -> str:
    """A record of optional numbers."""
    rows = [{"name": name, "type": "int", "default": 0} for name in names]
    return json.dumps({"type": "record", "name": "R", "fields": rows, **attributes})


def avro(*names: str) -> Schema:
    """The same for Confluent's client."""
    return Schema(record(*names), "AVRO")


def refused(code: int, call: Any, *arguments: Any, **named: Any) -> str:
    """A call through the client fails with a code; its message."""
    with pytest.raises(SchemaRegistryError) as caught:
        call(*arguments, **named)
    assert code == caught.value.error_code
    assert int(str(code)[:3]) == caught.value.http_status_code
    return str(caught.value.error_message)


@pytest.fixture
def url() -> Iterator[str]:
    """A registry in which is nothing but ours."""
    with serving() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[SchemaRegistryClient]:
    """Confluent's client, as a producer makes it."""
    with SchemaRegistryClient({"url": url}) as made:
        yield made


# --- Confluent's client ---------------------------------------------------------------------------------


def test_register_and_look_up(client: SchemaRegistryClient) -> None:
    """A subject with a slash and a blank in its name, for clients write those otherwise in an address."""
    subject = "a/b c-value"
    first, second = (client.register_schema(subject, avro(*names)) for names in (["a"], ["a", "b"]))
    assert [FOREIGN_IDS, FOREIGN_IDS + 1] == [first, second]
    found = client.lookup_schema(subject, avro("a", "b"))
    assert (subject, 2, second) == (found.subject, found.version, found.schema_id)
    assert subject in client.get_subjects()
    assert [subject] == client.get_subjects(subject_prefix="a/")
    assert [1, 2] == client.get_versions(subject)
    assert record("a") == client.get_version(subject, 1).schema.schema_str
    assert second == client.get_latest_version(subject).schema_id
    assert record("a") == client.get_schema(first).schema_str
    assert [subject] == client.get_subjects_by_schema_id(first)
    assert [(subject, 1)] == [(place.subject, place.version) for place in client.get_schema_versions(first)]
    assert [] == client.get_referenced_by(subject, 1)
    assert ["AVRO"] == client.get_schema_types()


def test_what_is_not_there(client: SchemaRegistryClient) -> None:
    """Each with its own code."""
    client.register_schema("s", avro("a"))
    refused(40401, client.get_versions, "t")
    refused(40401, client.get_latest_version, "t")
    refused(40401, client.lookup_schema, "t", avro("a"))
    refused(40402, client.get_version, "s", 9)
    refused(40403, client.get_schema, 9_999)
    refused(40403, client.lookup_schema, "s", avro("b"))
    refused(42202, client.get_version, "s", "first")


def test_compatibility(client: SchemaRegistryClient) -> None:
    """Asked for, and kept to."""
    client.register_schema("s", avro("a"))
    required = Schema('{"type":"record","name":"R","fields":[{"name":"b","type":"int"}]}', "AVRO")
    assert client.test_compatibility("s", avro("a", "b"))
    assert not client.test_compatibility("s", required)
    assert not client.test_compatibility_all_versions("s", required)
    assert client.test_compatibility("t", required)
    message = refused(409, client.register_schema, "s", required)
    assert "b: the field is not written, and the reader has no default for it" in message
    assert "compatibility: BACKWARD" in message
    refused(40402, client.test_compatibility, "s", required, version=7)


def test_levels(client: SchemaRegistryClient) -> None:
    """Of a subject and of all."""
    assert "BACKWARD" == client.get_compatibility()
    assert {"compatibility": "FULL"} == client.set_compatibility(level="full")
    assert "FULL" == client.get_compatibility()
    refused(40408, client.get_compatibility, "s")
    client.set_compatibility("s", "NONE")
    assert "NONE" == client.get_compatibility("s")
    assert "NONE" == client.delete_config("s").compatibility_level
    refused(40401, client.delete_config, "s")
    assert "FULL" == client.delete_config().compatibility_level
    assert "BACKWARD" == client.get_config().compatibility_level
    refused(42203, client.set_compatibility, "s", "HIGH")


def test_delete(client: SchemaRegistryClient) -> None:
    """In two steps, as the client does it."""
    for names in (["a"], ["a", "b"]):
        client.register_schema("s", avro(*names))
    assert 1 == client.delete_version("s", 1)
    refused(40406, client.delete_version, "s", 1)
    assert 1 == client.delete_version("s", 1, permanent=True)
    refused(40405, client.delete_subject, "s", permanent=True)
    assert [2] == client.delete_subject("s")
    assert "s" in client.get_subjects(deleted=True)
    assert "s" not in client.get_subjects()
    refused(40404, client.delete_subject, "s")
    assert [2] == client.delete_subject("s", permanent=True)
    refused(40401, client.delete_subject, "s")


def test_modes(client: SchemaRegistryClient) -> None:
    """Ours can be read only; nothing can be switched."""
    assert ["READWRITE", "READONLY"] == [client.get_global_mode(), client.get_mode(SUBJECT)]
    refused(40409, client.get_mode, "s")
    refused(42205, client.update_global_mode, "READONLY")
    refused(42205, client.update_mode, "s", "IMPORT")
    refused(42205, client.set_compatibility, SUBJECT, "NONE")
    refused(42205, client.delete_subject, SUBJECT)


# --- producers and consumers ----------------------------------------------------------------------------

STRATEGIES: Final = {
    "topic": topic_subject_name_strategy,
    "record": record_subject_name_strategy,
    "topic and record": topic_record_subject_name_strategy,
}


def schema_text(name: str) -> str:
    """A schema of ours, as a producer has copied it from us."""
    return json.dumps(schemas.schema(name, BY_NAME[name].VERSION))


def as_dict(message: Any) -> dict[str, Any]:
    """A message as a producer without our classes has it."""
    return {name: getattr(message, name) for name in message.__struct_fields__}


REQUEST: Final = next(iter(samples(PaymentRequest)))


@pytest.mark.parametrize("register", [True, False], ids=["registers", "looks up"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_producers_bytes_are_ours(client: SchemaRegistryClient, strategy: str, register: bool) -> None:
    """Our id and the very bytes that we would write, whichever way the producer names its subject."""
    conf = {"auto.register.schemas": register, "subject.name.strategy": STRATEGIES[strategy]}
    serialize = AvroSerializer(client, schema_text("PaymentRequest"), conf=conf)
    data = serialize(as_dict(REQUEST), VALUE)
    assert encode_message(REQUEST) == data
    assert REQUEST == decode_message(data)


def test_a_producer_of_an_older_version_is_understood(client: SchemaRegistryClient) -> None:
    """Its schema has an id of its own; what it does not say is not known."""
    older = json.dumps(schemas.schema("PaymentRequest", 1))
    serialize = AvroSerializer(client, older, conf={"auto.register.schemas": False})
    data = serialize(as_dict(REQUEST), VALUE)
    assert encode_message(REQUEST)[:5] != data[:5]
    assert decode_message(data) == msgspec.structs.replace(REQUEST, phone_ref="", signals=None)


@pytest.mark.parametrize("strategy", ["record", "topic and record"])
def test_a_producer_that_takes_the_latest(client: SchemaRegistryClient, strategy: str) -> None:
    """Of the record that it names."""
    conf = {
        "auto.register.schemas": False,
        "use.latest.version": True,
        "subject.name.strategy": STRATEGIES[strategy],
    }
    serialize = AvroSerializer(client, schema_text("PaymentRequest"), conf=conf)
    assert encode_message(REQUEST) == serialize(as_dict(REQUEST), VALUE)


def test_a_producer_that_knows_the_id(client: SchemaRegistryClient) -> None:
    """It needs no schema of its own."""
    conf = {"auto.register.schemas": False, "use.schema.id": schema_id(Tick)}
    serialize = AvroSerializer(client, None, conf=conf)
    tick = next(iter(samples(Tick)))
    assert encode_message(tick) == serialize(as_dict(tick), VALUE)


def test_a_consumer_reads_ours(client: SchemaRegistryClient) -> None:
    """Every kind of message, with nothing but the registry; in the consumer's own schema if it has one."""
    deserialize = AvroDeserializer(client)
    for cls in MESSAGES:
        message = next(iter(samples(cls)))
        found = deserialize(encode_message(message), VALUE)
        assert set(message.__struct_fields__) == found.keys()
    (amount,) = [row for row in schemas.schema("PaymentRequest", 1)["fields"] if row["name"] == "amount"]
    own = {"type": "record", "name": "tallystick.PaymentRequest", "fields": [amount]}
    assert {"amount": REQUEST.amount} == AvroDeserializer(client, json.dumps(own))(
        encode_message(REQUEST), VALUE
    )


def test_a_producer_with_another_schema_is_told(client: SchemaRegistryClient) -> None:
    """Before a record is on the topic."""
    serialize = AvroSerializer(client, record("amount"))
    message = refused(409, serialize, {"amount": 1}, VALUE)
    assert "takes what Tallystick has published (tallystick.PaymentRequest, " in message
    message = refused(
        409, AvroSerializer(client, '"string"'), "k", SerializationContext(TOPIC, MessageField.KEY)
    )
    assert "keys on Tallystick's topics are plain text" in message


# --- callers who get it wrong ---------------------------------------------------------------------------

HEADERS: Final = {"Content-Type": CONTENT_TYPE}
SCHEMA: Final = json.dumps({"schema": '"string"'})

WRONG: Final = (
    # method, path, body, status, error code, words of the message
    ("POST", "/subjects/s/versions", b"", 400, 400, "not JSON"),
    ("POST", "/subjects/s/versions", b"{", 400, 400, "not JSON"),
    ("POST", "/subjects/s/versions", b"\xff\xfe", 400, 400, "not JSON"),
    ("POST", "/subjects/s/versions", b"[" * 100_000, 400, 400, "not JSON"),
    ("POST", "/subjects/s/versions", b"[]", 422, 422, "not a JSON object"),
    ("POST", "/subjects/s/versions", b"{}", 422, 42201, "there is none in the body"),
    ("POST", "/subjects/s/versions", b'{"schema": 7}', 422, 42201, "there is none in the body"),
    ("POST", "/subjects/s/versions", b'{"schema": "record R"}', 422, 42201, "not JSON"),
    ("POST", "/subjects/s/versions", b'{"schema": "\\"foo\\""}', 422, 42201, "no type 'foo'"),
    ("POST", "/subjects/s", b'{"schema": "{}"}', 422, 42201, "this is no type"),
    (
        "POST",
        "/subjects/s/versions",
        b'{"schema": "message M {}", "schemaType": "PROTOBUF"}',
        422,
        42201,
        "schema type PROTOBUF: only AVRO",
    ),
    ("POST", "/subjects/s/versions", b'{"schema": "{}", "schemaType": "JSON"}', 422, 42201, "only AVRO"),
    ("POST", "/subjects/s", b'{"schema": "{}", "schemaType": ["AVRO"]}', 422, 42201, "only AVRO"),
    (
        "POST",
        "/subjects/s/versions",
        b'{"schema": "\\"int\\"", "references": [{"name": "x"}]}',
        422,
        42201,
        "references",
    ),
    ("POST", "/subjects/s/versions", b'{"schema": "\\"int\\"", "ruleSet": {"x": 1}}', 422, 42201, "rules"),
    ("POST", "/subjects/s/versions", {"schema": '"int"'.ljust(SCHEMA_BYTES + 1)}, 422, 42209, "262144 bytes"),
    ("POST", "/subjects/s/versions", b"x" * (BODY_BYTES + 1), 413, 413, "786432 bytes"),
    ("POST", "/subjects/__GLOBAL/versions", SCHEMA, 422, 42208, "not a valid subject"),
    ("POST", "/compatibility/subjects/s/versions/0", SCHEMA, 422, 42202, "'0' is not a valid version"),
    ("POST", "/compatibility/subjects/s/versions/1", SCHEMA, 404, 40402, "Version 1 not found"),
    ("GET", "/subjects/s/versions/99999999999", None, 422, 42202, "not a valid version"),
    ("GET", "/schemas/ids/x", None, 404, 40403, "Schema not found"),
    ("GET", "/schemas/ids/2147483648", None, 404, 40403, "Schema not found"),
    ("GET", "/schemas/ids/100000/versions", None, 404, 40403, "Schema 100000 not found"),
    ("PUT", "/config", b'{"compatibility": 7}', 422, 42203, "Valid values are none, backward"),
    ("PUT", "/config/s", b"{}", 422, 42203, "Invalid compatibility level"),
    ("PUT", "/config/s", b"", 400, 400, "not JSON"),
    ("GET", "/contexts", None, 404, 404, "Not Found"),
    ("PATCH", "/subjects", None, 405, 405, "Method Not Allowed"),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[str]:
    """One registry for all who get it wrong: none of it changes anything."""
    with serving() as address:
        yield address


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "words"), WRONG, ids=[f"{row[1]} {row[5]}" for row in WRONG]
)
def test_wrong_calls(
    shared: str, method: str, path: str, body: Any, status: int, code: int, words: str
) -> None:
    """Each gets a status, a code and a sentence, in the form that clients understand; the registry goes on."""
    data = json.dumps(body) if isinstance(body, dict) else body
    answer = requests.request(method, shared + path, data=data, headers=HEADERS, timeout=PATIENCE_SECONDS)
    assert (status, CONTENT_TYPE) == (answer.status_code, answer.headers["Content-Type"].partition(";")[0])
    assert code == answer.json()["error_code"]
    assert words in answer.json()["message"]
    assert {} == requests.get(shared, timeout=PATIENCE_SECONDS).json()


def test_what_the_client_does_not_ask(url: str) -> None:
    """Texts alone, reasons in words, the level that counts."""
    requests.post(f"{url}/subjects/s/versions", data=SCHEMA, timeout=PATIENCE_SECONDS).raise_for_status()

    def get(path: str) -> requests.Response:
        return requests.get(url + path, timeout=PATIENCE_SECONDS)

    assert ['"string"'] * 2 == [
        get(f"/schemas/ids/{FOREIGN_IDS}/schema").text,
        get("/subjects/s/versions/latest/schema").text,
    ]
    body = json.dumps({"schema": '"int"'})
    checked = [
        requests.post(
            f"{url}/compatibility/subjects/{path}?verbose=true", data=body, timeout=PATIENCE_SECONDS
        ).json()
        for path in ("s/versions", "s/versions/1", "none/versions/latest")
    ]
    reason = "reading old values: string cannot be read as int"
    assert [(False, [reason]), (False, [reason]), (True, [])] == [
        (answer["is_compatible"], answer["messages"]) for answer in checked
    ]
    assert {"compatibilityLevel": "BACKWARD"} == get("/config/s?defaultToGlobal=true").json()
    assert {"mode": "READWRITE"} == get("/mode/s?defaultToGlobal=true").json()
    assert [["s"], []] == [
        get(f"/schemas/ids/{FOREIGN_IDS}/subjects{query}").json() for query in ("?subject=s", "?subject=t")
    ]


def test_it_can_be_mounted_below_a_path() -> None:
    """In somebody else's application, with a smaller bound on bodies than ours."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    def house() -> web.Application:
        made = web.Application(client_max_size=1_000)
        made.router.add_get("/", hello)
        made.add_routes(routes(Registry(PREFIX, MemoryStorage()), "/registry"))
        return made

    with running(house) as address, SchemaRegistryClient({"url": f"{address}/registry"}) as client:
        assert "hello" == requests.get(address, timeout=PATIENCE_SECONDS).text
        serialize = AvroSerializer(client, schema_text("PaymentRequest"))
        assert encode_message(REQUEST) == serialize(as_dict(REQUEST), VALUE)
