"""An Avro schema as a stranger sends it: read, checked whole, and put into the forms in which it is compared.

Stricter than the libraries that only want to read and write with it: fastavro takes a field twice, a union in a
union and a list of texts as the default of a list of numbers, and what is registered is there for everybody.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeGuard

from streams.hosts.registry.refusal import Code, RegistryRefused

#: Room for schemas ten times as large as our largest; with room for an envelope it fits into a record on Kafka.
SCHEMA_BYTES: Final = 256 * 1024
DEPTH: Final = 64
"""How deep types may stand in each other; anything that reads schemas recurses as deep."""
NAMES: Final = 2_000
"""The most types, fields and symbols of a schema."""

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME: Final = re.compile(rf"{_NAME.pattern}(\.{_NAME.pattern})*")
#: Which type each logical type stands on; on any other, and where unknown, it is passed over, as Avro says.
_LOGICAL: Final[Mapping[str, frozenset[str]]] = {
    "decimal": frozenset({"bytes", "fixed"}),
    "uuid": frozenset({"string", "fixed"}),
    "date": frozenset({"int"}),
    "time-millis": frozenset({"int"}),
    "time-micros": frozenset({"long"}),
    "timestamp-millis": frozenset({"long"}),
    "timestamp-micros": frozenset({"long"}),
    "timestamp-nanos": frozenset({"long"}),
    "local-timestamp-millis": frozenset({"long"}),
    "local-timestamp-micros": frozenset({"long"}),
    "local-timestamp-nanos": frozenset({"long"}),
    "duration": frozenset({"fixed"}),
}
_INT: Final = range(-(2**31), 2**31)
_LONG: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Logical:
    """What a value means. ``precision`` and ``scale`` are those of a decimal."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision}, {self.scale})" if self.name == "decimal" else self.name


@dataclass(slots=True, eq=False)
class Type:
    """A type; ``of`` are the entries of an array or a map, or the branches of a union."""

    kind: str
    name: str = ""
    """The full name of a record, an enum, a fixed."""
    aliases: tuple[str, ...] = ()
    fields: "tuple[Field, ...]" = ()
    symbols: tuple[str, ...] = ()
    default: str | None = None
    """The symbol that stands for those which a reader does not know."""
    size: int = 0
    of: "tuple[Type, ...]" = ()
    logical: Logical | None = None

    @property
    def short_name(self) -> str:
        """The name without its namespace."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a record."""

    name: str
    aliases: tuple[str, ...]
    type: Type
    has_default: bool


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A schema that was found good."""

    text: str
    """As it was sent; what is given to whoever asks."""
    type: Type = field(repr=False)
    identity: str = field(repr=False)
    """Two schemas are one when this is the same: white space and the order of attributes do not count."""
    normal: str = field(repr=False)
    """The same with every name written in full, so that it does not count either how names are written."""
    wire: str = field(repr=False)
    """What the bytes of a value and their meaning depend on, and nothing else: no documentation, no defaults."""


@lru_cache(maxsize=256)
def parse(text: str) -> Schema:
    """Read a schema. Raises RegistryRefused for what is none."""
    if len(text.encode("utf-8", "surrogatepass")) > SCHEMA_BYTES:
        raise RegistryRefused(Code.SCHEMA_TOO_LARGE, f"A schema has at most {SCHEMA_BYTES} bytes.")
    try:
        raw = json.loads(text, parse_constant=_no_constant)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise RegistryRefused(Code.INVALID_SCHEMA, "Invalid schema: it is not JSON.") from error
    reader = _Reader()
    root = reader.read(raw, "", "", 0)
    return Schema(text, root.type, _dumps(_plain(raw)), _dumps(root.normal), _dumps(root.wire))


@dataclass(frozen=True, slots=True)
class _Read:
    type: Type
    normal: Any
    wire: Any


class _Reader:
    """Reads one schema; knows the named types that have been defined so far."""

    def __init__(self) -> None:
        self._named: dict[str, Type] = {}
        self._names = 0

    def read(self, raw: Any, namespace: str, path: str, depth: int) -> _Read:
        if depth > DEPTH:
            raise _refused(path, f"types stand deeper in each other than {DEPTH}")
        match raw:
            case str():
                return self._by_name(raw, namespace, path)
            case list():
                return self._union(raw, namespace, path, depth)
            case {"type": dict() | list() as inner, **others}:
                if others.keys() - {"doc"}:
                    raise _refused(path, "a type stands in a type")
                return self.read(inner, namespace, path, depth + 1)
            case {"type": str(kind)}:
                return self._typed(kind, raw, namespace, path, depth)
            case _:
                raise _refused(path, "this is no type")

    def _by_name(self, name: str, namespace: str, path: str) -> _Read:
        if name in PRIMITIVES:
            return _Read(Type(name), name, name)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        full = full if full in self._named else name
        if full not in self._named:
            raise _refused(path, f"there is no type {name!r}")
        return _Read(self._named[full], full, full)

    def _typed(self, kind: str, raw: dict[str, Any], namespace: str, path: str, depth: int) -> _Read:
        if kind in PRIMITIVES:
            logical = _logical(kind, raw, 0, path)
            return _Read(Type(kind, logical=logical), _plain(raw), _wire(kind, logical))
        match kind:
            case "record" | "error":
                return self._record(raw, namespace, path, depth)
            case "enum":
                return self._enum(raw, namespace, path)
            case "fixed":
                return self._fixed(raw, namespace, path)
            case "array" | "map":
                within = "items" if kind == "array" else "values"
                if within not in raw:
                    raise _refused(path, f"{kind} without {within}")
                inner = self.read(raw[within], namespace, f"{path}[]", depth + 1)
                return _Read(
                    Type(kind, of=(inner.type,)),
                    {**raw, within: inner.normal},
                    {"type": kind, within: inner.wire},
                )
            case _:
                return self._by_name(kind, namespace, path)

    def _union(self, raw: list[Any], namespace: str, path: str, depth: int) -> _Read:
        branches = [self.read(branch, namespace, path, depth + 1) for branch in raw]
        labels = [branch.type.name or branch.type.kind for branch in branches]
        if "union" in labels:
            raise _refused(path, "a union stands in a union")
        if len(set(labels)) < len(labels):
            raise _refused(path, "a union has two branches of one kind")
        return _Read(
            Type("union", of=tuple(branch.type for branch in branches)),
            [branch.normal for branch in branches],
            [branch.wire for branch in branches],
        )

    def _record(self, raw: dict[str, Any], namespace: str, path: str, depth: int) -> _Read:
        made, normal, inner = self._define("record", raw, namespace, path)
        rows = raw.get("fields")
        if not isinstance(rows, list):
            raise _refused(made.name, "a record without fields")
        fields: list[Field] = []
        normals, wires = [], []
        for row in rows:
            if not isinstance(row, dict) or "type" not in row or not _is_name(row.get("name")):
                raise _refused(made.name, "a field without a name or a type")
            self._count(made.name)
            place = f"{made.name}.{row['name']}"
            read = self.read(row["type"], inner, place, depth + 1)
            if "default" in row and not _fits(row["default"], read.type):
                raise _refused(place, "the default is no value of its type")
            fields.append(Field(row["name"], _aliases(row, place), read.type, "default" in row))
            normals.append({**row, "type": read.normal})
            wires.append({"name": row["name"], "type": read.wire})
        if len({row.name for row in fields}) < len(fields):
            raise _refused(made.name, "two fields have one name")
        made.fields = tuple(fields)
        return _Read(
            made, {**normal, "fields": normals}, {"name": made.name, "type": "record", "fields": wires}
        )

    def _enum(self, raw: dict[str, Any], namespace: str, path: str) -> _Read:
        made, normal, _ = self._define("enum", raw, namespace, path)
        symbols, default = raw.get("symbols"), raw.get("default")
        if not isinstance(symbols, list) or not all(map(_is_name, symbols)):
            raise _refused(made.name, "an enum needs a list of symbols, each a name")
        if len(set(symbols)) < len(symbols):
            raise _refused(made.name, "a symbol stands there twice")
        if default is not None and default not in symbols:
            raise _refused(made.name, "the default is no symbol")
        for _ in symbols:
            self._count(made.name)
        made.symbols, made.default = tuple(symbols), default
        return _Read(made, normal, {"name": made.name, "type": "enum", "symbols": symbols})

    def _fixed(self, raw: dict[str, Any], namespace: str, path: str) -> _Read:
        made, normal, _ = self._define("fixed", raw, namespace, path)
        size = raw.get("size")
        if not _is_int(size) or not 0 <= size <= SCHEMA_BYTES:
            raise _refused(made.name, f"a fixed needs a size, and at most {SCHEMA_BYTES}")
        made.size, made.logical = size, _logical("fixed", raw, size, made.name)
        wire = {"name": made.name, "type": _wire("fixed", made.logical), "size": size}
        return _Read(made, normal, wire)

    def _define(
        self, kind: str, raw: dict[str, Any], namespace: str, path: str
    ) -> tuple[Type, dict[str, Any], str]:
        """A named type, not yet filled in; it can name itself from now on. With the namespace within it."""
        name = raw.get("name")
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            raise _refused(path, f"a name is missing or not allowed on {kind}")
        inner = raw.get("namespace", namespace)
        if not isinstance(inner, str) or (inner and not _FULL_NAME.fullmatch(inner)):
            raise _refused(name, "the namespace is not allowed")
        if "." in name:
            inner = name.rpartition(".")[0]
        full = name if "." in name or not inner else f"{inner}.{name}"
        if name in PRIMITIVES or full in self._named:
            raise _refused(full, "the name is taken")
        self._count(full)
        aliases = tuple(
            alias if "." in alias or not inner else f"{inner}.{alias}" for alias in _aliases(raw, full)
        )
        made = self._named[full] = Type(kind, full, aliases)
        normal = {key: value for key, value in raw.items() if key != "namespace"} | {"name": full}
        if aliases:
            normal["aliases"] = list(aliases)
        return made, normal, inner

    def _count(self, path: str) -> None:
        self._names += 1
        if self._names > NAMES:
            raise _refused(path, f"more than {NAMES} names")


def _logical(kind: str, raw: dict[str, Any], size: int, path: str) -> Logical | None:
    name = raw.get("logicalType")
    if not isinstance(name, str) or kind not in _LOGICAL.get(name, ()):
        return None
    if name != "decimal":
        return Logical(name)
    precision, scale = raw.get("precision"), raw.get("scale", 0)
    if not _is_int(precision) or not _is_int(scale) or not 0 <= scale <= precision or precision == 0:
        raise _refused(path, "a decimal needs a precision above 0 and a scale not above it")
    if kind == "fixed" and precision > (8 * size - 1) * math.log10(2):
        raise _refused(path, f"a decimal of precision {precision} does not fit into {size} bytes")
    return Logical(name, precision, scale)


def _wire(kind: str, logical: Logical | None) -> Any:
    return kind if logical is None else {"type": kind, "logicalType": str(logical)}


def _aliases(raw: dict[str, Any], path: str) -> tuple[str, ...]:
    found = raw.get("aliases", [])
    if not isinstance(found, list) or not all(
        isinstance(alias, str) and _FULL_NAME.fullmatch(alias) for alias in found
    ):
        raise _refused(path, "aliases are a list of names")
    return tuple(found)


def _fits(value: Any, type_: Type) -> bool:
    """Whether a default is a value of its type, written as Avro writes defaults."""
    match type_.kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            return _is_int(value) and value in (_INT if type_.kind == "int" else _LONG)
        case "float" | "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "bytes" | "fixed":
            octets = isinstance(value, str) and all(ord(letter) < 256 for letter in value)
            return octets and (type_.kind == "bytes" or len(value) == type_.size)
        case "enum":
            return value in type_.symbols
        case "array":
            return isinstance(value, list) and all(_fits(entry, type_.of[0]) for entry in value)
        case "map":
            return isinstance(value, dict) and all(_fits(entry, type_.of[0]) for entry in value.values())
        case "union":
            return any(_fits(value, branch) for branch in type_.of)
        case _:
            return isinstance(value, dict) and all(
                _fits(value[row.name], row.type) if row.name in value else row.has_default
                for row in type_.fields
            )


def _plain(raw: Any) -> Any:
    """The same schema with ``{"type": "int"}`` written as ``"int"``."""
    match raw:
        case list():
            return [_plain(entry) for entry in raw]
        case {"type": inner, **others} if not others:
            return _plain(inner)
        case dict():
            return {key: _plain(value) if key not in _VALUES else value for key, value in raw.items()}
        case _:
            return raw


#: Attributes that hold a value and no schema.
_VALUES: Final = frozenset({"default", "doc", "aliases", "symbols"})


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refused(path: str, reason: str) -> RegistryRefused:
    where = f" at {path}" if path else ""
    return RegistryRefused(Code.INVALID_SCHEMA, f"Invalid schema{where}: {reason}.")
