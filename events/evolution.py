"""What was written with an older schema, brought up to date when it is read.

Records are never rewritten. A record of an older version is decoded with the schema it was written with
(``schemas/<Name>.v<N>.avsc``), walks through one upcaster per version, and becomes an object of today's
class; fields that were added with a default get it. This is the slow path, some 60 µs a record, and it is
taken for old records alone.

To change an event: change its class and raise its ``VERSION``, register what the old fields turn into here
when a default is not enough, run ``python -m events.generate``, which refuses what old readers or old
records could not live with.
"""

import io
import struct
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar, cast

import fastavro
import msgspec

import schemas
from events.avro import NAMESPACE, Shape, fields_of
from events.base import Event, Message, Part
from events.binary import LIST_LIMIT, TEXT_LIMIT
from events.envelope import Meta, Recorded
from events.errors import WireError

_T = TypeVar("_T")

Fields: TypeAlias = dict[str, Any]
"""The fields of a record as fastavro reads them: records as dicts, a branch of a union as (name, dict)."""

UPCASTERS: Final[dict[tuple[str, int], Callable[[Fields], Fields]]] = {}
"""By class name and version: the fields of that version in, the fields of the next one out."""

_DAMAGE: Final = (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)


def decode_older(cls: type[Event | Message], version: int, encoded: bytes) -> Recorded | Message:
    """An event in its envelope, or a message, from bytes behind a header that names ``version``.

    Raises WireError for anything that the older schema's writer would not have written.
    """
    fields = read_generic(writer_schema(cls.__name__, version), encoded)
    current = cls.VERSION
    if issubclass(cls, Event):
        body = upcast(cls.__name__, version, current, fields["body"])
        return Recorded(build(Meta, fields["meta"]), build(cls, body))
    return build(cls, upcast(cls.__name__, version, current, fields))


def upcast(name: str, version: int, current: int, fields: Fields) -> Fields:
    """The fields of ``version`` as fields of ``current``; a step without an upcaster changes nothing."""
    for step in range(version, current):
        upcaster = UPCASTERS.get((name, step))
        if upcaster is not None:
            fields = upcaster(fields)
    return fields


@lru_cache(maxsize=256)
def writer_schema(name: str, version: int) -> Any:
    """A published schema, parsed. The bound is a guard; there are never that many older versions."""
    return fastavro.parse_schema(schemas.schema(name, version), named_schemas={})


def read_generic(schema: Any, encoded: bytes) -> Fields:
    """The fields behind ``encoded``, strictly: what the schema's own writer would write back differently
    (longer integers, several blocks, bytes behind the end) is refused, as it is for a current schema."""
    try:
        fields = cast(
            "Fields",
            fastavro.schemaless_reader(
                io.BytesIO(encoded),
                schema,
                None,
                return_record_name=True,
                # Only where it tells branches apart: not for a record that may be missing.
                return_record_name_override=True,
            ),
        )
        again = write_generic(schema, fields)
    except _DAMAGE as error:
        raise WireError(f"not what its schema says: {type(error).__name__}") from None
    if again != encoded:
        raise WireError("not what its schema says, or bytes behind its end")
    return fields


def write_generic(schema: Any, fields: Fields) -> bytes:
    """The bytes of fields, by fastavro."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, fields)
    return buffer.getvalue()


def build(cls: type[_T], fields: Fields) -> _T:
    """An object of today's class; fields that are missing get their default, what is left over is refused."""
    known = fields_of(cls)
    left_over = fields.keys() - {field.name for field in known}
    if left_over:
        raise WireError(f"{cls.__name__} has no field {', '.join(sorted(left_over))}: an upcaster is missing")
    values: list[Any] = []
    for field in known:
        if field.name in fields:
            values.append(_typed(field.shape, fields[field.name]))
        elif field.default is not msgspec.NODEFAULT:
            values.append(field.default)
        else:
            raise WireError(
                f"{cls.__name__}.{field.name} has no value and no default: an upcaster is missing"
            )
    return cls(*values)


def to_generic(value: Any) -> Any:
    """A value as fastavro takes it: the way back from :func:`build`."""
    match value:
        case Recorded():
            return {"meta": to_generic(value.meta), "body": to_generic(value.body)}
        case Event() | Message() | Part():
            return {
                field.name: _generic(field.shape, getattr(value, field.name))
                for field in fields_of(type(value))
            }
        case _:
            return str(value) if isinstance(value, StrEnum) else value


def _generic(shape: Shape, value: Any) -> Any:
    match shape.kind:
        case "list":
            return [_generic(shape.of[0], entry) for entry in value]
        case "optional" if value is not None:
            return _generic(shape.of[0], value)
        case "union":
            return (f"{NAMESPACE}.{type(value).__name__}", to_generic(value))
        case _:
            return to_generic(value)


def _typed(shape: Shape, value: Any) -> Any:
    """A generic value as its class has it."""
    match shape.kind:
        case "string" if len(value.encode()) > TEXT_LIMIT:
            raise WireError(f"a text is longer than {TEXT_LIMIT} bytes")
        case "enum":
            try:
                return shape.cls(value)
            except ValueError:
                raise WireError(f"a value that {shape.cls.__name__} does not know") from None
        case "record":
            return build(shape.cls, value)
        case "list":
            if len(value) > LIST_LIMIT:
                raise WireError(f"a list of {len(value)} entries is longer than {LIST_LIMIT}")
            return [_typed(shape.of[0], entry) for entry in value]
        case "optional":
            return None if value is None else _typed(shape.of[0], value)
        case "union":
            name, fields = value
            for branch in shape.of:
                if name == f"{NAMESPACE}.{branch.cls.__name__}":
                    return build(branch.cls, fields)
            raise WireError(f"{name} is no longer a branch: an upcaster is missing")
        case _:
            return value
