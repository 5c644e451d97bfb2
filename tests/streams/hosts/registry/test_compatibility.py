"""Which values can be read with which schema, and which pairs a level asks for."""

import json
from typing import Any, Final

import avro.compatibility
import avro.schema
import pytest

from streams.hosts.registry.avro import NAMES, Schema, parse
from streams.hosts.registry.compatibility import Level, problems, unreadable


def schema(value: Any) -> Schema:
    """From its JSON as Python has it."""
    return parse(json.dumps(value))


def record(*fields: tuple[Any, ...], name: str = "R", **attributes: Any) -> dict[str, Any]:
    """A record of (name, type) or (name, type, default)."""
    rows = [
        {"name": field[0], "type": field[1], **({"default": field[2]} if len(field) > 2 else {})}
        for field in fields
    ]
    return {"type": "record", "name": name, "fields": rows, **attributes}


def enum(*symbols: str, **attributes: Any) -> dict[str, Any]:
    """An enum E."""
    return {"type": "enum", "name": "E", "symbols": list(symbols), **attributes}


def fixed(size: int, name: str = "F") -> dict[str, Any]:
    """So many bytes."""
    return {"type": "fixed", "name": name, "size": size}


def array(of: Any) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": of}


def map_(of: Any) -> dict[str, Any]:
    """A map."""
    return {"type": "map", "values": of}


def logical(kind: str, name: str, **attributes: Any) -> dict[str, Any]:
    """A logical type."""
    return {"type": kind, "logicalType": name, **attributes}


NODE: Final = record(("next", ["null", "R"]), ("value", "int"))

#: reader, writer, whether the reader can read it: by Avro's own rules, on which Apache Avro is asked too.
AVRO: Final = (
    ("int", "int", True),
    ("long", "int", True),
    ("float", "int", True),
    ("double", "int", True),
    ("float", "long", True),
    ("double", "float", True),
    ("int", "long", False),
    ("float", "double", False),
    ("string", "bytes", True),
    ("bytes", "string", True),
    ("string", "int", False),
    ("boolean", "int", False),
    ("null", "string", False),
    (record(), record(("a", "int")), True),
    (record(("a", "int")), record(), False),
    (record(("a", "int", 1)), record(), True),
    (record(("a", ["null", "int"])), record(), False),
    (record(("a", "long")), record(("a", "int")), True),
    (record(("a", "int")), record(("a", "long")), False),
    (record(("b", "int"), ("a", "int")), record(("a", "int"), ("b", "int")), True),
    (record(("a", "int"), name="S"), record(("a", "int")), False),
    (record(("a", record(("b", "int"), name="I"))), record(("a", record(("b", "long"), name="I"))), False),
    (enum("A", "B"), enum("A"), True),
    (enum("A"), enum("A", "B"), False),
    (enum("A", default="A"), enum("A", "B"), True),
    (enum("A"), record(), False),
    (fixed(2), fixed(2), True),
    (fixed(2), fixed(3), False),
    (fixed(2, "G"), fixed(2), False),
    (fixed(2), "bytes", False),
    (array("long"), array("int"), True),
    (array("int"), array("long"), False),
    (map_("long"), map_("int"), True),
    (map_("int"), map_("string"), False),
    (map_("int"), array("int"), False),
    (["null", "int"], "int", True),
    (["null", "long"], "int", True),
    (["null", "string"], "int", False),
    ("int", ["int"], True),
    ("int", ["null", "int"], False),
    (["null", "int", "string"], ["null", "int"], True),
    (["null", "int"], ["null", "int", "string"], False),
    (["int", "null"], ["null", "int"], True),
    (["null", "bytes"], "string", True),
    (["double", "string"], "int", True),
    ([enum("A"), fixed(2)], fixed(2), True),
    ([enum("A"), fixed(3)], fixed(2), False),
    ([enum("A", "B"), "null"], enum("A"), True),
    ([record(("a", "int")), "null"], record(("a", "int")), True),
    ([record(("a", "int")), "null"], record(("a", "long")), False),
    (NODE, NODE, True),
    (record(("next", ["null", "R"]), ("value", "string")), NODE, False),
    (record(("next", ["null", "R"]), ("value", "long")), NODE, True),
)


@pytest.mark.parametrize(("reader", "writer", "can"), AVRO)
def test_avros_own_rules(reader: Any, writer: Any, can: bool) -> None:
    """We say what Apache Avro says."""
    assert can is (not unreadable(schema(reader), schema(writer)))
    judge = avro.compatibility.ReaderWriterCompatibilityChecker()
    verdict = judge.get_compatibility(*(avro.schema.parse(json.dumps(one)) for one in (reader, writer)))
    assert can is (verdict.compatibility is avro.compatibility.SchemaCompatibilityType.compatible)


DECIMAL: Final = {"precision": 9, "scale": 2}

#: What a value means, where Apache Avro looks at its bytes alone; and names that it does not follow.
MORE: Final = (
    (logical("bytes", "decimal", **DECIMAL), logical("bytes", "decimal", precision=9, scale=3), False),
    (logical("bytes", "decimal", **DECIMAL), logical("bytes", "decimal", precision=10, scale=2), False),
    (logical("bytes", "decimal", precision=10, scale=2), logical("bytes", "decimal", **DECIMAL), True),
    (logical("bytes", "decimal", **DECIMAL), "bytes", True),
    ("bytes", logical("bytes", "decimal", **DECIMAL), True),
    (logical("long", "timestamp-micros"), logical("long", "timestamp-millis"), False),
    (logical("long", "timestamp-micros"), logical("int", "date"), False),
    (logical("long", "timestamp-micros"), "int", True),
    (
        {**fixed(4), "logicalType": "decimal", **DECIMAL},
        {**fixed(4), "logicalType": "decimal", "precision": 9},
        False,
    ),
    (
        record(("a", logical("long", "time-micros"))),
        record(("a", logical("long", "timestamp-micros"))),
        False,
    ),
    (record(name="x.R"), record(name="y.R"), True),
    (record(name="S", aliases=["R"]), record(), True),
    (["null", record(name="S", aliases=["R"])], record(), True),
    (["null", record(name="S", namespace="x", aliases=["R"])], record(namespace="x"), True),
    ([fixed(2, "R")], record(), False),
    ([record(("a", "int"), name="x.R"), record(name="y.R")], record(name="z.R"), True),
    (record(name="S", namespace="x", aliases=["R"]), record(), False),
    (record(name="S", namespace="x", aliases=["R"]), record(namespace="x"), True),
)


@pytest.mark.parametrize(("reader", "writer", "can"), MORE)
def test_rules_on_top(reader: Any, writer: Any, can: bool) -> None:
    """A value has to mean the same, and an alias is a name."""
    assert can is (not unreadable(schema(reader), schema(writer)))


def test_a_renamed_field_is_read_by_its_alias() -> None:
    """An alias is the reader's word for what the writer called otherwise."""
    reader = record()
    reader["fields"] = [{"name": "b", "type": "int", "aliases": ["a"]}]
    assert [] == unreadable(schema(reader), schema(record(("a", "int"))))
    assert unreadable(schema(record(("a", "int"))), schema(reader))


def test_a_reason_says_where() -> None:
    """One for each thing that is wrong, with the way there."""
    reader = record(("a", array(record(("b", "int"), name="I"))), ("c", "int"))
    writer = record(("a", array(record(("b", "string"), name="I"))))
    assert [
        "a[].b: string cannot be read as int",
        "c: the field is not written, and the reader has no default for it",
    ] == unreadable(schema(reader), schema(writer))


def test_a_pair_that_was_taken_for_good_is_looked_at_again() -> None:
    """B holds an A. While A is compared, B counts on it and is found good; then A fails, and the union around it has
    another branch. A later field that is a B must not be let through on the strength of that."""
    b = record(("back", ["null", "A"]), name="B")
    writer = record(("u", record(("first", ["null", b]), ("v", "long"), name="A")), ("w", "B"))
    b = record(("back", ["null", "A1"]), name="B")
    fails = record(("first", ["null", b]), ("v", "int"), name="A1", aliases=["A"])
    fits = record(("v", "long"), name="A2", aliases=["A"])
    without = record(("u", [fails, fits]))
    assert [] == unreadable(schema(without), schema(writer))
    assert ["u.first.back: A cannot be read"] == unreadable(
        schema(record(("u", [fails, fits]), ("w", "B"))), schema(writer)
    )


def ladder(steps: int, elsewhere: str) -> Schema:
    """Types that hold the one before twice, of which only the last is asked for first: all were defined in a field
    that the other side does not have."""
    types: list[Any] = [record(("v", "int"), name="T0")]
    types += [
        record(("a", f"T{step - 1}"), ("b", f"T{step - 1}"), name=f"T{step}") for step in range(1, steps)
    ]
    return schema(record((elsewhere, ["null", *types], None), ("top", f"T{steps - 1}")))


def test_a_ladder_is_climbed_in_time_or_refused() -> None:
    """From the top there are as many ways down as 2 to the power of its steps; one is enough. One that is too long to
    be followed is refused, and nothing breaks."""
    assert [] == unreadable(ladder(60, "x"), ladder(60, "y"))
    too_long = NAMES // 4
    (reason,) = unreadable(ladder(too_long, "x"), ladder(too_long, "y"))
    assert "more steps than can be followed" in reason


OLD: Final = record(("a", "int"))
WIDER: Final = record(("a", "int"), ("b", "int", 0))
REQUIRED: Final = record(("a", "int"), ("b", "int"))
EMPTY: Final = record()

#: versions so far, new, the levels that let it through beside NONE
LEVELS: Final = (
    ([], OLD, "BACKWARD BACKWARD_TRANSITIVE FORWARD FORWARD_TRANSITIVE FULL FULL_TRANSITIVE"),
    ([OLD], WIDER, "BACKWARD BACKWARD_TRANSITIVE FORWARD FORWARD_TRANSITIVE FULL FULL_TRANSITIVE"),
    ([OLD], REQUIRED, "FORWARD FORWARD_TRANSITIVE"),
    ([OLD], EMPTY, "BACKWARD BACKWARD_TRANSITIVE"),
    ([OLD, WIDER], REQUIRED, "BACKWARD FORWARD FORWARD_TRANSITIVE FULL"),
    ([OLD, WIDER], EMPTY, "BACKWARD BACKWARD_TRANSITIVE"),
    ([EMPTY, WIDER], OLD, "BACKWARD FORWARD FORWARD_TRANSITIVE FULL"),
    ([OLD], "string", ""),
)


@pytest.mark.parametrize(("olds", "new", "let_through"), LEVELS)
@pytest.mark.parametrize("level", Level)
def test_a_level_asks_for_its_pairs(olds: list[Any], new: Any, let_through: str, level: Level) -> None:
    """Forward, backward or both; with the last version or with all of them."""
    found = problems(schema(new), [schema(old) for old in olds], level)
    assert (level in (Level.NONE, *let_through.split())) is (not found)
