"""Golden bytes stay readable for good: each file was written once, by fastavro, when its version was published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

import schemas
from events import generate, wire
from events.avro import fingerprint
from events.base import Event
from events.catalog import EVENTS, MESSAGES
from events.evolution import read_generic, to_generic, writer_schema
from events.samples import recorded_samples, samples
from schemas import Published

GOLDEN = Path(__file__).parent / "golden"
BY_NAME: dict[str, type[Any]] = {cls.__name__: cls for cls in (*EVENTS, *MESSAGES)}
ROWS = schemas.published()
CURRENT = [row for row in ROWS if row["version"] == BY_NAME[row["name"]].VERSION]


def _records(row: Published) -> Iterator[bytes]:
    """The records of a golden file, one by one."""
    content = (GOLDEN / f"{row['name']}.v{row['version']}.bin").read_bytes()
    while content:
        size = int.from_bytes(content[:4], "big")
        assert len(content) >= 4 + size
        yield content[4 : 4 + size]
        content = content[4 + size :]


def _name(row: Published) -> str:
    return f"{row['name']}.v{row['version']}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_golden_bytes_are_read(row: Published) -> None:
    """Every version that was ever published, by today's code; fastavro reads the same fields."""
    schema = writer_schema(row["name"], row["version"])
    cls = BY_NAME[row["name"]]
    count = 0
    for record in _records(row):
        count += 1
        assert wire.type_of(record) is cls
        assert int.from_bytes(record[1:5], "big") == row["id"]
        generic = read_generic(schema, record[5:])
        value = wire.decode_event(record) if row["kind"] == "event" else wire.decode_message(record)
        if row["version"] == cls.VERSION:
            assert to_generic(value) == generic
    assert count >= 4


@pytest.mark.parametrize("row", CURRENT, ids=_name)
def test_golden_bytes_are_written_again(row: Published) -> None:
    """What a current schema's bytes decode to is what the samples were, and encodes to the same bytes."""
    cls = BY_NAME[row["name"]]
    if issubclass(cls, Event):
        for record, recorded in zip(_records(row), recorded_samples(cls), strict=True):
            assert wire.decode_event(record) == recorded
            assert wire.encode_event(wire.decode_event(record)) == record
    else:
        for record, message in zip(_records(row), samples(cls), strict=True):
            assert wire.decode_message(record) == message
            assert wire.encode_message(wire.decode_message(record)) == record


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_published_schemas_are_what_was_published(row: Published) -> None:
    """A schema file carries the fingerprint of its row, and any Avro library can parse it."""
    schema = schemas.schema(row["name"], row["version"])
    assert fingerprint(schema) == row["fingerprint"]
    assert fastavro.parse_schema(schema, named_schemas={})


def test_the_lock_names_each_version_once() -> None:
    """Ids are unique and positive, versions of a name run from 1 without gaps."""
    assert sorted({row["id"] for row in ROWS}) == sorted(row["id"] for row in ROWS)
    assert min(row["id"] for row in ROWS) == 1
    for name in {row["name"] for row in ROWS}:
        versions = [row["version"] for row in ROWS if row["name"] == name]
        assert versions == list(range(1, len(versions) + 1))
    assert {row["name"] for row in ROWS} == BY_NAME.keys()


def test_golden_files_are_those_of_the_lock() -> None:
    """None is missing, none is left over."""
    assert {path.stem for path in GOLDEN.iterdir()} == {_name(row) for row in ROWS}


def test_nothing_generated_is_stale() -> None:
    """The classes, the schemas, the codec and the lock belong together."""
    assert generate.main(["--check"]) == 0
