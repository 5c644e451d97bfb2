"""Each rule of compatibility with a planted violation, and beside it what Avro alone says of it."""

import copy
import io
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from events import avro
from events.catalog import EVENTS, MESSAGES
from events.compatibility import Mode, problems
from events.evolution import read_generic, write_generic

OLD: Any = {
    "type": "record",
    "name": "Paid",
    "namespace": "tallystick",
    "fields": [
        {"name": "payment_id", "type": "string"},
        {"name": "amount", "type": "long"},
        {"name": "digest", "type": "bytes"},
        {"name": "note", "type": "string", "default": ""},
        {
            "name": "colour",
            "type": {"type": "string", "tallystick.enum": "C", "tallystick.values": ["red", "blue"]},
        },
        {"name": "capture", "type": ["null", "string"]},
        {"name": "items", "type": {"type": "array", "items": "long", "tallystick.max_items": 500}},
        {
            "name": "fact",
            "type": [
                {
                    "type": "record",
                    "name": "One",
                    "namespace": "tallystick",
                    "fields": [{"name": "who", "type": "string"}],
                },
                {
                    "type": "record",
                    "name": "Two",
                    "namespace": "tallystick",
                    "fields": [{"name": "who", "type": "string"}],
                },
            ],
        },
        {"name": "again", "type": "tallystick.One"},
    ],
}
VALUE = {
    "payment_id": "pay-1",
    "amount": 5,
    "digest": b"\x01",
    "note": "n",
    "colour": "blue",
    "capture": None,
    "items": [1, 2],
    "fact": ("tallystick.Two", {"who": "x"}),
    "again": {"who": "y"},
}


def _field(schema: Any, name: str) -> Any:
    return next(field for field in schema["fields"] if field["name"] == name)


def _changed(change: Callable[[Any], object]) -> Any:
    schema = copy.deepcopy(OLD)
    change(schema)
    return schema


def _set(name: str, **values: Any) -> Callable[[Any], object]:
    return lambda schema: _field(schema, name).update(values)


def _drop(name: str) -> Callable[[Any], object]:
    return lambda schema: schema["fields"].remove(_field(schema, name))


def _add(**field: Any) -> Callable[[Any], object]:
    return lambda schema: schema["fields"].append(field)


def _rename_with_default(schema: Any) -> None:
    _field(schema, "note").update(name="remark")


def _swap_branches(schema: Any) -> None:
    """Not only the order: the definitions trade places."""
    _field(schema, "fact")["type"].reverse()


def _add_branch(schema: Any) -> None:
    three = {
        "type": "record",
        "name": "Three",
        "namespace": "tallystick",
        "fields": [{"name": "who", "type": "string"}],
    }
    _field(schema, "fact")["type"].append(three)


def _rename_record(schema: Any) -> None:
    schema["name"] = "Payed"


def _inside_branch(schema: Any) -> None:
    _field(schema, "fact")["type"][1]["fields"].append({"name": "extra", "type": "long"})


ENUM = {"type": "string", "tallystick.enum": "C", "tallystick.values": ["red", "blue"]}
LONGS = {"type": "array", "items": "long", "tallystick.max_items": 500}

# change, reason in mode full, reason in mode backward, does Avro alone read old bytes with it
RULES: list[tuple[str, Callable[[Any], object], str, str, bool]] = [
    ("nothing", lambda schema: schema, "", "", True),
    ("added with default", _add(name="extra", type="long", default=0), "", "", True),
    ("added without default", _add(name="extra", type="long"), "extra: a new field needs", "a new field needs", False),
    ("removed with default", _drop("note"), "", "", True),
    ("removed without default", _drop("amount"), "amount: removed, and old readers", "", True),
    ("renamed with default", _rename_with_default, "A renamed field loses", "A renamed field loses", True),
    ("string to bytes", _set("payment_id", type="bytes"), "string to bytes", "string to bytes", True),
    ("bytes to string", _set("digest", type="string"), "bytes to string", "bytes to string", True),
    ("long to double", _set("amount", type="double"), "long to double", "long to double", True),
    ("long to string", _set("amount", type="string"), "long to string", "long to string", False),
    ("made optional", _set("amount", type=["null", "long"]), "null is new", "", True),
    ("no longer optional", _set("capture", type="string"), "null can no longer", "null can no longer", False),
    ("value added", _set("colour", type=ENUM | {"tallystick.values": ["red", "blue", "green"]}), "", "", True),
    ("value removed", _set("colour", type=ENUM | {"tallystick.values": ["red"]}), "blue removed", "blue removed", True),
    ("text became enum", _set("note", type=ENUM), "now it is an enum", "now it is an enum", True),
    ("enum became text", _set("colour", type="string"), "", "", True),
    ("bound lowered", _set("items", type=LONGS | {"tallystick.max_items": 100}), "at most 100", "at most 100", True),
    ("bound raised", _set("items", type=LONGS | {"tallystick.max_items": 900}), "", "", True),
    ("entries changed", _set("items", type=LONGS | {"items": "string"}), "long to string", "long to string", False),
    ("list to value", _set("items", type="long"), "array to long", "array to long", False),
    ("branch added", _add_branch, "tallystick.Three is new", "", True),
    ("branches moved", _swap_branches, "branches moved", "branches moved", True),
    ("field in a branch", _inside_branch, "extra: a new field needs", "a new field needs", False),
    ("record renamed", _rename_record, "became tallystick.Payed", "became tallystick.Payed", False),
]  # fmt: skip


def _avro_reads(new: Any) -> bool:
    """Whether fastavro resolves old bytes with the new schema."""
    writer = fastavro.parse_schema(copy.deepcopy(OLD), named_schemas={})
    reader = fastavro.parse_schema(copy.deepcopy(new), named_schemas={})
    try:
        fastavro.schemaless_reader(io.BytesIO(write_generic(writer, VALUE)), writer, reader)
    except (fastavro.read.SchemaResolutionError, ValueError, TypeError, KeyError):
        return False
    return True


@pytest.mark.parametrize(
    ("name", "change", "full", "backward", "_resolves"), RULES, ids=[rule[0] for rule in RULES]
)
@pytest.mark.parametrize("mode", ["full", "backward"])
def test_rules(
    name: str, change: Callable[[Any], object], full: str, backward: str, _resolves: bool, mode: Mode
) -> None:
    """One change at a time: allowed, or refused with this reason and no other."""
    reason = full if mode == "full" else backward
    found = problems(_changed(change), [OLD], mode)
    assert len(found) == (1 if reason else 0), found
    assert all(reason in problem for problem in found)


@pytest.mark.parametrize(
    ("name", "change", "full", "backward", "resolves"), RULES, ids=[rule[0] for rule in RULES]
)
def test_what_avro_says(
    name: str, change: Callable[[Any], object], full: str, backward: str, resolves: bool
) -> None:
    """Nothing that Avro cannot resolve passes; what it resolves and we refuse is the list in the docstring."""
    assert _avro_reads(_changed(change)) is resolves
    if not resolves:
        assert problems(_changed(change), [OLD], "backward")


def test_every_older_version_counts() -> None:
    """Transitive: compatible with version 2 and not with version 1 is not compatible."""
    second = _changed(_add(name="extra", type="long", default=0))
    third = copy.deepcopy(second)
    _field(third, "extra").pop("default")
    assert problems(third, [second], "full") == []
    assert problems(third, [OLD, second], "full") == [
        "tallystick.Paid.extra: a new field needs a default, old records do not have it"
    ]


def test_a_field_in_a_shared_record_is_named_once() -> None:
    """A record that stands in several places is compared where it is first met."""

    def change(schema: Any) -> None:
        _field(schema, "fact")["type"][0]["fields"].append({"name": "extra", "type": "long"})

    assert problems(_changed(change), [OLD], "full") == [
        "tallystick.Paid.fact.extra: a new field needs a default, old records do not have it"
    ]


@pytest.mark.parametrize("cls", [*EVENTS, *MESSAGES])
def test_every_schema_is_compatible_with_itself(cls: type[Any]) -> None:
    """No rule fires on what did not change."""
    assert problems(avro.schema_of(cls), [avro.schema_of(cls)], "full") == []


def test_the_value_of_these_tests_is_one_of_the_old_schema() -> None:
    """Otherwise what Avro says would be about nothing."""
    writer = fastavro.parse_schema(copy.deepcopy(OLD), named_schemas={})
    assert read_generic(writer, write_generic(writer, VALUE)) == VALUE
