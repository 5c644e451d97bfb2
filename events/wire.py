"""Events and messages as bytes: five bytes that name the schema, then the value in Avro's binary encoding.

Whoever writes to a log or a topic encodes here, whoever reads decodes here. Both directions are total:
they give a value or raise :class:`~events.errors.WireError`, whatever the bytes are, and nothing else. What
was decoded and is encoded again gives the same bytes, for a current schema; records of an older one are
brought up to date when they are read (:mod:`events.evolution`).

The header is that of Confluent's serializers (0x00, then the schema id, four bytes, big endian), so any
Avro client that knows the schemas (``schemas/``) reads and writes these bytes.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn

from events._codec import (
    EVENT_READERS,
    EVENT_WRITERS,
    MESSAGE_READERS,
    MESSAGE_WRITERS,
    OLDER,
    SCHEMA_IDS,
    read_meta,
    write_meta,
)
from events.base import Event, Message
from events.envelope import Recorded
from events.errors import WireError
from events.evolution import decode_older
from events.messages import DeadLetter

HEADER_BYTES: Final = 5
RECORD_LIMIT: Final = 1024 * 1024
"""The most bytes of a record, header included: what the topics of inputs and logs accept."""
DEAD_LETTER_LIMIT: Final = 2 * 1024 * 1024
"""A dead letter holds a whole record, sealed."""

_MAGIC: Final = 0
_TYPES: Final[dict[int, type[Any]]] = {
    **{schema_id: cls for cls, schema_id in SCHEMA_IDS.items()},
    **{schema_id: cls for schema_id, (cls, _) in OLDER.items()},
}
_DEAD_LETTER_HEADER: Final = SCHEMA_IDS[DeadLetter].to_bytes(HEADER_BYTES, "big")

# What reading damaged bytes raises beside WireError, and what writing an object does whose fields are not what
# its class says (msgspec checks no types): an unknown enum value, a lone surrogate, None where a text belongs.
_NOT_READABLE: Final = (IndexError, KeyError, UnicodeDecodeError)
_NOT_WRITABLE: Final = (KeyError, ValueError, TypeError, AttributeError)


def encode_event(recorded: Recorded) -> bytes:
    """The bytes of an event in its envelope, as its log keeps them."""
    body = recorded.body
    try:
        header, write = EVENT_WRITERS[type(body)]
        data = header + write_meta(recorded.meta) + write(body)
    except _NOT_WRITABLE as error:
        _refuse_to_write(body, error)
    if len(data) > RECORD_LIMIT:
        raise WireError(f"{type(body).__name__} takes {len(data)} bytes, {RECORD_LIMIT} are possible")
    return data


def decode_event(data: bytes) -> Recorded:
    """The event that a log's record holds."""
    read = EVENT_READERS.get(data[:HEADER_BYTES])
    if read is None:
        found = _older(data, Recorded)
        assert isinstance(found, Recorded)
        return found
    size = len(data)
    if size > RECORD_LIMIT:
        raise WireError(f"a record of {size} bytes; {RECORD_LIMIT} are possible")
    try:
        text = data.decode("latin-1")
        meta, end = read_meta(data, text, HEADER_BYTES)
        body, end = read(data, text, end)
    except _NOT_READABLE as error:
        _refuse_to_read(data, error)
    if end != size:
        _refuse_length(data, end)
    return Recorded(meta, body)


def encode_message(message: Message) -> bytes:
    """The bytes of a message, as it travels on a topic."""
    try:
        header, write = MESSAGE_WRITERS[type(message)]
        data = header + write(message)
    except _NOT_WRITABLE as error:
        _refuse_to_write(message, error)
    if len(data) > RECORD_LIMIT and (type(message) is not DeadLetter or len(data) > DEAD_LETTER_LIMIT):
        raise WireError(f"{type(message).__name__} takes {len(data)} bytes, {RECORD_LIMIT} are possible")
    return data


def decode_message(data: bytes) -> Message:
    """The message that a topic's record holds."""
    header = data[:HEADER_BYTES]
    read = MESSAGE_READERS.get(header)
    if read is None:
        found = _older(data, Message)
        assert isinstance(found, Message)
        return found
    size = len(data)
    if size > (DEAD_LETTER_LIMIT if header == _DEAD_LETTER_HEADER else RECORD_LIMIT):
        raise WireError(f"a record of {size} bytes; {RECORD_LIMIT} are possible")
    try:
        message, end = read(data, data.decode("latin-1"), HEADER_BYTES)
    except _NOT_READABLE as error:
        _refuse_to_read(data, error)
    if end != size:
        _refuse_length(data, end)
    assert isinstance(message, Message)
    return message


def schema_id(cls: type[Event | Message]) -> int:
    """The id of the schema that a class is written with."""
    found = SCHEMA_IDS.get(cls)
    if found is None:
        raise WireError(f"{cls.__name__} is not published; run python -m events.generate")
    return found


def type_of(data: bytes) -> type[Event | Message]:
    """The class of the event or message that bytes hold, without decoding them."""
    if len(data) < HEADER_BYTES:
        raise WireError(f"{len(data)} bytes cannot hold the {HEADER_BYTES} of a header")
    if data[0] != _MAGIC:
        raise WireError(f"the first byte is {data[0]}, not {_MAGIC}: no schema id follows")
    found = _TYPES.get(int.from_bytes(data[1:HEADER_BYTES], "big"))
    if found is None:
        raise WireError(f"no schema has the id {int.from_bytes(data[1:HEADER_BYTES], 'big')}")
    return found


def headers_of(classes: Iterable[type[Event | Message]]) -> frozenset[bytes]:
    """How the bytes of these classes begin, in every published version: a reader's filter that decodes nothing."""
    wanted = frozenset(classes)
    return frozenset(
        schema_id.to_bytes(HEADER_BYTES, "big") for schema_id, cls in _TYPES.items() if cls in wanted
    )


def _older(data: bytes, wanted: type[Recorded] | type[Message]) -> Recorded | Message:
    """What was written with an older schema; refuses what is of no known schema, or not wanted here."""
    cls = type_of(data)
    if issubclass(cls, Event) is not (wanted is Recorded):
        raise WireError(f"{cls.__name__} is not {'an event' if wanted is Recorded else 'a message'}")
    if len(data) > RECORD_LIMIT:
        raise WireError(f"a record of {len(data)} bytes; {RECORD_LIMIT} are possible")
    _, version = OLDER[int.from_bytes(data[1:HEADER_BYTES], "big")]
    return decode_older(cls, version, data[HEADER_BYTES:])


# The reasons never quote what was found: a card number may stand where a currency belongs.


def _refuse_to_write(value: object, error: Exception) -> NoReturn:
    name = type(value).__name__
    if type(value) not in SCHEMA_IDS:
        raise WireError(f"{name} is not a published event or message of this kind") from error
    raise WireError(f"{name} cannot be written: {type(error).__name__} in one of its fields") from error


def _refuse_to_read(data: bytes, error: Exception) -> NoReturn:
    refused = WireError(f"{type_of(data).__name__} {_why_unreadable(error)}")
    # What `from None` says, which the compiler leaves out: the error that is being handled has the value in it.
    refused.__suppress_context__ = True
    raise refused


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "ends too early"
    if isinstance(error, KeyError):
        return "holds a value or a branch that its schema does not know"
    return "holds a text that is not UTF-8"


def _refuse_length(data: bytes, end: int) -> NoReturn:
    name = type_of(data).__name__
    if end > len(data):
        raise WireError(f"{name} ends too early")
    raise WireError(f"{name} has {len(data) - end} bytes behind its end")
