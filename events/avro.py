"""From classes to Avro schemas: which shape a field has, what is published about it.

The classes are the source. A schema file is a picture of them for everybody who does not run Python; it
carries what the class knows and Avro has no word for as extra attributes, which any Avro reader ignores:

``tallystick.enum`` and ``tallystick.values``
    the closed set of texts that a field may hold (a ``string`` on the wire: a reader in another language
    that meets a value published later keeps running)
``tallystick.max_items``
    the bound of a list
"""

import hashlib
import json
import types
import typing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

import msgspec

from events.base import Event, Message, Part
from events.binary import LIST_LIMIT
from events.envelope import Meta
from events.errors import Refused

NAMESPACE: Final = "tallystick"
Schema: TypeAlias = Any
"""A schema as JSON: a name, a list of branches or an object."""

Kind = Literal["event", "message"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a field holds. ``of`` are the entries of a list, the value that may be missing, the branches."""

    kind: Literal["string", "long", "boolean", "bytes", "enum", "record", "list", "optional", "union"]
    cls: type[Any] = object
    of: tuple["Shape", ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a class. ``default`` is :data:`msgspec.NODEFAULT` where a value must be given."""

    name: str
    shape: Shape
    default: Any


_PLAIN: Final[dict[Any, Shape]] = {
    str: Shape("string"),
    int: Shape("long"),
    bool: Shape("boolean"),
    bytes: Shape("bytes"),
}


def shape_of(hint: Any) -> Shape:
    """The shape of a type hint; Refused for what the contract does not allow (floats, dicts, tuples)."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _union(typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return Shape("list", of=(shape_of(typing.get_args(hint)[0]),))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if not all(value.isascii() and value for value in hint):
            raise Refused(f"{hint.__name__}: values of an enum are ASCII and not empty")
        return Shape("enum", hint)
    if isinstance(hint, type) and issubclass(hint, (Event, Message, Part)):
        return Shape("record", hint)
    raise Refused(f"{hint!r} is not a type of the contract (see events/base.py)")


def _union(members: tuple[Any, ...]) -> Shape:
    branches = tuple(shape_of(member) for member in members if member is not types.NoneType)
    if len(branches) > 1 and any(branch.kind != "record" for branch in branches):
        raise Refused("a union joins Event and Message classes, or one type and None")
    inner = branches[0] if len(branches) == 1 else Shape("union", of=branches)
    if inner.kind == "union" and len(branches) < len(members):
        raise Refused("a union of records cannot also be None: make None a class of its own")
    return inner if len(branches) == len(members) else Shape("optional", of=(inner,))


def fields_of(cls: type[Any]) -> tuple[Field, ...]:
    """The fields of a class in the order of the wire."""
    fields: list[Field] = []
    for field in msgspec.structs.fields(cls):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        try:
            fields.append(Field(field.name, shape_of(field.type), default))
        except Refused as refused:
            raise Refused(f"{cls.__name__}.{field.name}: {refused}") from refused
    return tuple(fields)


def classes_within(cls: type[Any]) -> tuple[type[Any], ...]:
    """The class and every record class its fields lead to, innermost first."""
    found: dict[type[Any], None] = {}

    def visit(shape: Shape) -> None:
        for inner in shape.of:
            visit(inner)
        if shape.kind == "record" and shape.cls not in found:
            for field in fields_of(shape.cls):
                visit(field.shape)
            found[shape.cls] = None

    visit(Shape("record", cls))
    return tuple(found)


def enums_within(cls: type[Any]) -> tuple[type[StrEnum], ...]:
    """Every enum that a value of the class may hold directly (not those of records within)."""
    found: dict[type[StrEnum], None] = {}

    def visit(shape: Shape) -> None:
        for inner in shape.of:
            visit(inner)
        if shape.kind == "enum":
            found[shape.cls] = None

    for field in fields_of(cls):
        visit(field.shape)
    return tuple(found)


def kind_of(cls: type[Any]) -> Kind:
    """Whether a class is recorded in an envelope or travels bare."""
    return "event" if issubclass(cls, Event) else "message"


def check_key(cls: type[Event]) -> None:
    """Refuse a ``KEY`` that does not lead to a text; each step may pass through records and unions."""
    for path in cls.KEY:
        shapes: tuple[Shape, ...] = (Shape("record", cls),)
        for name in path.split("."):
            found = [
                field.shape
                for shape in shapes
                for branch in (shape.of if shape.kind == "union" else (shape,))
                for field in (fields_of(branch.cls) if branch.kind == "record" else ())
                if field.name == name
            ]
            if len(found) < sum(len(shape.of) or 1 for shape in shapes):
                raise Refused(f"{cls.__name__}.KEY: {path} does not lead through every branch")
            shapes = tuple(found)
        if any(shape.kind != "string" for shape in shapes):
            raise Refused(f"{cls.__name__}.KEY: {path} is not a text")


# --- schemas ------------------------------------------------------------------------------------------


def schema_of(cls: type[Any]) -> Schema:
    """The Avro schema of what stands behind the schema id: an event in its envelope, or a bare message."""
    defined: set[str] = set()
    if not issubclass(cls, Event):
        return _record(cls, defined)
    return {
        "type": "record",
        "name": cls.__name__,
        "namespace": f"{NAMESPACE}.log",
        "doc": _doc(cls),
        "fields": [
            {"name": "meta", "type": _record(Meta, defined)},
            {"name": "body", "type": _record(cls, defined)},
        ],
    }


def _record(cls: type[Any], defined: set[str]) -> Schema:
    name = f"{NAMESPACE}.{cls.__name__}"
    if name in defined:
        return name
    defined.add(name)
    fields = []
    for field in fields_of(cls):
        entry: dict[str, Any] = {"name": field.name, "type": _schema(field.shape, defined)}
        if field.default is not msgspec.NODEFAULT:
            entry["default"] = field.default
        fields.append(entry)
    return {
        "type": "record",
        "name": cls.__name__,
        "namespace": NAMESPACE,
        "doc": _doc(cls),
        "fields": fields,
    }


def _schema(shape: Shape, defined: set[str]) -> Schema:
    match shape.kind:
        case "string" | "long" | "boolean" | "bytes":
            return shape.kind
        case "enum":
            return {
                "type": "string",
                "tallystick.enum": shape.cls.__name__,
                "tallystick.values": [str(value) for value in shape.cls],
            }
        case "record":
            return _record(shape.cls, defined)
        case "list":
            return {
                "type": "array",
                "items": _schema(shape.of[0], defined),
                "tallystick.max_items": LIST_LIMIT,
            }
        case "optional":
            return ["null", _schema(shape.of[0], defined)]
        case "union":
            return [_schema(branch, defined) for branch in shape.of]


def _doc(cls: type[Any]) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def schema_text(schema: Schema) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def fingerprint(schema: Schema) -> str:
    """SHA-256 of everything in a schema that bytes or readers depend on: all but the documentation.

    Avro's own canonical form also drops defaults and extra attributes, so it would call a schema with
    another default, or one enum value less, the same.
    """
    canonical = json.dumps(without_doc(schema), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def without_doc(schema: Schema) -> Schema:
    """The schema without documentation."""
    if isinstance(schema, list):
        return [without_doc(entry) for entry in schema]
    if isinstance(schema, dict):
        return {name: without_doc(value) for name, value in schema.items() if name != "doc"}
    return schema
