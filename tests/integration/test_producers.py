"""Clients, codecs and partitioners of other teams are served; docs/producers.md keeps its word."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.serde import SchemaId  # noqa: F401
from confluent_kafka.serialization import MessageField, SerializationContext

from events.intake import RequestAccepted
from events.wire import encode_message
from tests.integration.conftest import require_kafka
from tests.integration.foreign import PARTITIONS, REQUESTS, WallHouse, request
from tests.integration.houses import complaints
from tests.patience import PATIENCE_SECONDS
from tests.test_readme import check

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "producers.md"


@pytest.fixture
def kcat() -> Callable[..., bytes]:
    """Runs kcat; where there is none, nothing that needs it is tested."""
    if shutil.which("kcat") is None:
        require_kafka("NO KCAT, SO NOTHING IS TESTED WITH IT: apt-get install kcat", os.environ)

    def run(*arguments: str | bytes | Path) -> bytes:
        return subprocess.run(
            ["kcat", *arguments], check=True, capture_output=True, timeout=PATIENCE_SECONDS
        ).stdout

    return run


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("partitioner", ["murmur2_random", "consistent_random", "random", "fnv1a"])
def test_any_compression_and_any_partitioner(wall_house: WallHouse, codec: str, partitioner: str) -> None:
    """Each request once, wherever it lands."""
    asked = [request() for _ in range(6)]
    settings = {"compression.type": codec, "partitioner": partitioner, "linger.ms": 100}
    for key in (None, "some key"):
        values = [encode_message(one) for one in asked]
        wall_house.send_all(values, settings=settings, **({} if key is None else {"key": key}))
    for one in asked:
        first, second = wall_house.answers(one, 2)
        assert isinstance(first, RequestAccepted)
        assert "DuplicateRequestObserved" == type(second).__name__
        assert len(wall_house.outcomes(one)) == 1


def test_kcat_with_names_that_are_no_text(
    wall_house: WallHouse, tmp_path: Path, kcat: Callable[..., bytes]
) -> None:
    """A header may be called by any bytes, and our client library takes it for text: the record is served."""
    asked, file = request(), tmp_path / "request.bin"
    file.write_bytes(encode_message(asked))
    topic = wall_house.cluster.topic(REQUESTS)
    for number in range(PARTITIONS):
        for codec in ("none", "snappy"):
            place = ["-P", "-b", wall_house.cluster.bootstrap, "-t", topic, "-p", str(number), "-z", codec]
            kcat(*place, "-H", b"\xff\xfe=x", "-H", b"plain=\xff", "-k", b"\xff\xfe", file)
    assert isinstance(wall_house.answers(asked, 4)[0], RequestAccepted)
    assert len(wall_house.outcomes(asked)) == 1
    wall_house.goes_on()
    assert complaints(wall_house.supervisor.members["worker"]) == []


# --- the registry's clients ---------------------------------------------------------------------------


@pytest.fixture
def registry(wall_house: WallHouse) -> Iterator[SchemaRegistryClient]:
    """Confluent's client of the worker's registry."""
    with SchemaRegistryClient({"url": wall_house.registry}) as client:
        yield client


def test_a_schema_of_ones_own_is_refused_before_it_is_sent(
    wall_house: WallHouse, registry: SchemaRegistryClient
) -> None:
    """With a field more: the serializer finds it in no registry, and may not register it."""
    schema = msgspec.json.decode(registry.get_latest_version("tallystick.PaymentRequest").schema.schema_str)
    schema["fields"].append({"name": "loyalty", "type": "string"})
    context = SerializationContext(wall_house.cluster.topic(REQUESTS), MessageField.VALUE)
    for register in (False, True):
        serialize = AvroSerializer(
            registry,
            Schema(msgspec.json.encode(schema).decode(), "AVRO"),
            conf={"auto.register.schemas": register},
        )
        with pytest.raises(SchemaRegistryError):
            serialize({**msgspec.structs.asdict(request()), "loyalty": "x"}, context)


def test_a_serializer_that_names_schemas_in_headers_is_told(
    wall_house: WallHouse, registry: SchemaRegistryClient
) -> None:
    """Our schemas have no GUID, so it ends at the producer."""
    from confluent_kafka.schema_registry import header_schema_id_serializer

    serialize = AvroSerializer(
        registry,
        registry.get_latest_version("tallystick.PaymentRequest").schema,
        conf={"auto.register.schemas": False, "schema.id.serializer": header_schema_id_serializer},
    )
    context = SerializationContext(wall_house.cluster.topic(REQUESTS), MessageField.VALUE, [])
    with pytest.raises(Exception, match=r"(?i)guid"):
        serialize(msgspec.structs.asdict(request()), context)


# --- the page -----------------------------------------------------------------------------------------


def here(page: str, house: WallHouse) -> str:
    """The page with the addresses of this house."""
    text = page.replace("kafka://localhost:9092/tallystick", house.cluster.address)
    text = text.replace("localhost:9092", house.cluster.bootstrap).replace(
        "http://localhost:8081", house.registry
    )
    topics = r"tallystick\.(?=(payments\.requests|payments|intake|dead-letters)\b)"
    return re.sub(topics, f"{house.cluster.prefix}.", text)


def test_what_the_page_shows_is_run(wall_house: WallHouse, tmp_path: Path) -> None:
    """From top to bottom, against the house: sent, answered, read, put aside."""
    there = {"kafka", *(["kcat"] if shutil.which("kcat") else [])}
    check(here(PAGE.read_text("utf-8"), wall_house), tmp_path, there)
    if "kcat" not in there:
        require_kafka("NO KCAT, SO NOTHING IS TESTED WITH IT: apt-get install kcat", os.environ)
