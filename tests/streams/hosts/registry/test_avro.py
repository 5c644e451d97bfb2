"""Schemas of strangers: what is one, what is none, and when two are the same."""

import json
from typing import Any, Final

import fastavro.schema
import pytest

import schemas
from streams.hosts.registry.avro import DEPTH, NAMES, SCHEMA_BYTES, parse
from streams.hosts.registry.refusal import Code, RegistryRefused


def record(*fields: Any, **attributes: Any) -> dict[str, Any]:
    """A record; a field is its row, or its type alone."""
    rows = [
        field if isinstance(field, dict) and "name" in field and "type" in field and len(field) > 1 else None
        for field in fields
    ]
    assert None not in rows
    return {"type": "record", "name": "R", "fields": rows, **attributes}


def field(type_: Any, **attributes: Any) -> dict[str, Any]:
    """A field called a."""
    return {"name": "a", "type": type_, **attributes}


ENUM: Final = {"type": "enum", "name": "E", "symbols": ["A", "B"]}

GOOD: Final = (
    "string",
    {"type": "string"},
    [],
    ["null", "string"],
    record(),
    record(field("int", default=1), namespace="x.y", doc="why", owner={"type": "anything"}),
    record(field(["null", "R"], default=None)),
    record(field({"type": "array", "items": "R"}, default=[])),
    record(field({"type": "map", "values": "long"}, default={"x": 1})),
    record(field("bytes", default="\u00ff"), {"name": "b", "type": "double", "default": 1}),
    record(field(ENUM, default="B"), {"name": "b", "type": "E"}, namespace="n"),
    record(field({"type": "fixed", "name": "F", "size": 2}, default="ab")),
    record(field({**record(field("int", default=1)), "name": "I"}, default={})),
    record(field({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})),
    record(field({"type": "int", "logicalType": "nobody knows"})),
    {"type": "error", "name": "E", "fields": []},
    {"type": {"type": "array", "items": "int"}},
)


@pytest.mark.parametrize("schema", GOOD, ids=json.dumps)
def test_a_schema_is_read_as_others_read_it(schema: Any) -> None:
    """fastavro takes all that we take, and says the same of what the bytes depend on."""
    text = json.dumps(schema)
    read = parse(text)
    assert text == read.text
    assert parse(read.normal).wire == read.wire
    if '"type": {"type"' not in text:
        fastavro.schema.parse_schema(json.loads(text))


def test_ours_are_the_same_on_the_wire_as_in_fastavros_words() -> None:
    """Avro's canonical form is written by somebody else."""
    for row in schemas.published():
        schema = schemas.schema(row["name"], row["version"])
        theirs = fastavro.schema.to_parsing_canonical_form(fastavro.schema.parse_schema(schema))
        assert json.loads(theirs) == json.loads(parse(json.dumps(schema)).wire)


BAD: Final = {
    "a number": 3,
    "null": None,
    "an empty object": {},
    "an unknown type": "foo",
    "an array of nothing": {"type": "array"},
    "a map of nothing": {"type": "map", "items": "int"},
    "a union in a union": ["null", ["int"]],
    "a branch twice": ["int", {"type": "int", "logicalType": "date"}],
    "a record without a name": {"type": "record", "fields": []},
    "a record whose name is a number": {"type": "record", "name": 3, "fields": []},
    "a name with a blank": record(name="A b"),
    "a name with a dot too many": record(name="a..b"),
    "a bad namespace": record(namespace="1a"),
    "a primitive's name": record(name="int"),
    "a record without fields": {"type": "record", "name": "R"},
    "fields that are no list": {"type": "record", "name": "R", "fields": {"a": 1}},
    "a field that is no object": {"type": "record", "name": "R", "fields": [3]},
    "a field twice": record(field("int"), field("int")),
    "a field without a type": {"type": "record", "name": "R", "fields": [{"name": "a"}]},
    "a field with a bad name": record({"name": "1", "type": "int"}),
    "a name twice": record(field(record())),
    "aliases that are no list": record(aliases="x"),
    "an enum without symbols": {"type": "enum", "name": "E"},
    "symbols in a text": {"type": "enum", "name": "E", "symbols": "abc"},
    "a symbol twice": {"type": "enum", "name": "E", "symbols": ["a", "a"]},
    "a bad symbol": {"type": "enum", "name": "E", "symbols": ["1"]},
    "a default that is no symbol": {**ENUM, "default": "C"},
    "a fixed without a size": {"type": "fixed", "name": "F"},
    "a fixed below zero": {"type": "fixed", "name": "F", "size": -1},
    "a fixed as large as can be said": {"type": "fixed", "name": "F", "size": 10**400},
    "a decimal with too large a scale": {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": 2,
        "scale": 3,
    },
    "a decimal without precision": {"type": "bytes", "logicalType": "decimal"},
    "a decimal that does not fit": {
        "type": "fixed",
        "name": "F",
        "size": 1,
        "logicalType": "decimal",
        "precision": 3,
    },
    "a text as the default of a number": record(field("int", default="x")),
    "a default out of range": record(field("int", default=2**31)),
    "true as a number": record(field("long", default=True)),
    "a wrong entry in a default": record(field({"type": "array", "items": "int"}, default=["x"])),
    "a default of no branch": record(field(["null", "int"], default="x")),
    "a default that lacks a field": record(field({**record(field("int")), "name": "I"}, default={})),
    "letters that are no bytes": record(field("bytes", default="\u20ac")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_schema_is_refused(name: str) -> None:
    """With the one code that clients know for it, and a sentence."""
    with pytest.raises(RegistryRefused, match=r"^Invalid schema.*\.$") as caught:
        parse(json.dumps(BAD[name]))
    assert (422, Code.INVALID_SCHEMA) == (caught.value.status, caught.value.code)


@pytest.mark.parametrize(
    "text",
    ["", "{", "record R", "NaN", '"\\ud800"', "[" * 100_000, "9" * 5_000],
    ids=["nothing", "half", "no JSON", "NaN", "half a letter", "deep", "a long number"],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    """However it breaks the reader."""
    with pytest.raises(RegistryRefused) as caught:
        parse(text)
    assert Code.INVALID_SCHEMA == caught.value.code


def test_a_schema_has_bounds() -> None:
    """In bytes, in depth, in names: each is let through at its bound and refused behind it."""

    def deep(levels: int) -> str:
        return '{"type":"array","items":' * levels + '"int"' + "}" * levels

    def wide(names: int) -> str:
        return json.dumps({"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(names - 1)]})

    for good, bad in ((deep(DEPTH), deep(DEPTH + 1)), (wide(NAMES), wide(NAMES + 1))):
        parse(good)
        with pytest.raises(RegistryRefused) as caught:
            parse(bad)
        assert Code.INVALID_SCHEMA == caught.value.code
    parse('"int"'.ljust(SCHEMA_BYTES))
    with pytest.raises(RegistryRefused) as caught:
        parse('"int"'.ljust(SCHEMA_BYTES + 1))
    assert Code.SCHEMA_TOO_LARGE == caught.value.code


SAME: Final = (
    # one, other, same schema, same when names are written in full, same on the wire
    ('"int"', '{"type": "int"}', True, True, True),
    (record(field("int")), record({"type": {"type": "int"}, "name": "a"}), True, True, True),
    (record(field("int"), namespace="x"), record(field("int"), name="x.R"), False, True, True),
    (record(field("int"), doc="why"), record(field("int")), False, False, True),
    (record(field("int", default=1)), record(field("int")), False, False, True),
    (record(field("int")), record(field("long")), False, False, False),
    (record(field("int")), record(field({"type": "int", "logicalType": "date"})), False, False, False),
    (
        record(field("int"), {"name": "b", "type": "int"}),
        record({"name": "b", "type": "int"}, field("int")),
        False,
        False,
        False,
    ),
)


@pytest.mark.parametrize(("one", "other", "identity", "normal", "wire"), SAME)
def test_when_two_schemas_are_the_same(
    one: Any, other: Any, identity: bool, normal: bool, wire: bool
) -> None:
    """As they were sent, with names in full, in what their bytes are and mean."""
    left, right = (parse(text if isinstance(text, str) else json.dumps(text)) for text in (one, other))
    assert (identity, normal, wire) == (
        left.identity == right.identity,
        left.normal == right.normal,
        left.wire == right.wire,
    )
