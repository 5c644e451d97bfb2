"""Records of a log as whoever looks at one reads them: what cannot be read is damage, named by its place."""

from events.base import Event, Message
from events.envelope import Recorded
from events.errors import LogDamaged, WireError
from events.wire import decode_event, type_of
from streams.hosts.log import Stored


def decoded(stored: Stored, topic: str, partition: int) -> Recorded:
    """The event of a record. Raises LogDamaged."""
    try:
        return decode_event(stored.value)
    except WireError as error:
        raise _damaged(stored, topic, partition, error) from error


def kind_of(stored: Stored, topic: str, partition: int) -> type[Event] | type[Message]:
    """What a record is, without decoding it. Raises LogDamaged."""
    try:
        return type_of(stored.value)
    except WireError as error:
        raise _damaged(stored, topic, partition, error) from error


def _damaged(stored: Stored, topic: str, partition: int, error: WireError) -> LogDamaged:
    return LogDamaged(f"{topic}/{partition} at {stored.offset}: {error}")
