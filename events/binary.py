"""The primitives of the binary encoding: what the generated codec leaves to functions.

The encoding is Avro's, and of every value only *one* byte string is accepted: integers in the fewest bytes,
lists in one block, booleans 0 or 1. So decoding and encoding again gives the same bytes, which is what a
hash chain over records relies on, and every Avro writer that we know of writes this form anyway.

Writing looks values up: :data:`TEXTS` and :data:`LONGS` map a value to its finished bytes and fill
themselves on a miss. Most texts and numbers of an event (merchant, currency, payment id, the times that a
cascade inherits) were written a moment ago; a hit costs 20 ns where encoding costs 70 for a text and 600 for
an instant. Both are cleared when full, so memory does not grow with the log.
"""

from typing import Final

from events.errors import WireError

TEXT_LIMIT: Final = 64 * 1024
"""The longest text, in bytes of UTF-8."""
LIST_LIMIT: Final = 500
"""The most entries of a list; longer ones are cut into chunks by whoever writes them."""
BYTES_LIMIT: Final = 2 * 1024 * 1024
"""The longest byte string; what a whole record may weigh is the concern of :mod:`events.wire`."""

CACHED_VALUES: Final = 1 << 16
CACHED_TEXT: Final = 64

_LONGEST_VARINT: Final = 10
_SMALLEST: Final = -(1 << 63)
_LARGEST: Final = (1 << 63) - 1


# --- writing ------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A signed 64-bit integer, zigzag, seven bits to a byte, lowest first."""
    if not _SMALLEST <= value <= _LARGEST:
        raise WireError(f"{value} does not fit into 64 bits")
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 127:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


class Longs(dict[int, bytes]):
    """Integers and their bytes, filled on demand."""

    def __missing__(self, value: int) -> bytes:
        encoded = varint(value)
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[value] = encoded
        return encoded


class Texts(dict[str, bytes]):
    """Texts and their bytes behind their length, filled on demand; long ones are not kept."""

    def __missing__(self, text: str) -> bytes:
        encoded = text.encode()
        size = len(encoded)
        if size > TEXT_LIMIT:
            raise WireError(f"a text of {size} bytes is longer than {TEXT_LIMIT}")
        encoded = LONGS[size] + encoded
        if size <= CACHED_TEXT:
            if len(self) >= CACHED_VALUES:
                self.clear()
            self[text] = encoded
        return encoded


LONGS: Final = Longs()
TEXTS: Final = Texts()


def write_bytes(value: bytes) -> bytes:
    """A byte string behind its length."""
    if len(value) > BYTES_LIMIT:
        raise WireError(f"{len(value)} bytes are more than {BYTES_LIMIT}")
    return LONGS[len(value)] + value


def write_list(entries: list[bytes]) -> bytes:
    """Encoded entries as one block; an empty list is its end mark alone."""
    if not entries:
        return b"\x00"
    if len(entries) > LIST_LIMIT:
        raise WireError(f"a list of {len(entries)} entries is longer than {LIST_LIMIT}")
    entries.append(b"\x00")
    return LONGS[len(entries) - 1] + b"".join(entries)


# --- reading ------------------------------------------------------------------------------------------
# Every function takes the place to read at and returns it moved on. Reading past the end raises IndexError
# or leaves a place behind the end; events.wire turns both into a WireError.


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """An integer of any length."""
    byte = data[at]
    value = byte & 127
    shift = 0
    while byte > 127:
        at += 1
        shift += 7
        if shift == 7 * _LONGEST_VARINT:
            raise WireError("an integer of more than ten bytes")
        byte = data[at]
        value |= (byte & 127) << shift
    if (byte == 0 and shift) or value >> 64:
        raise WireError("an integer that is not written in its shortest form, or has more than 64 bits")
    return (value >> 1) ^ -(value & 1), at + 1


# Instants are eight bytes long from 1978 to 2112, and the same few stand in all records of a cascade: one
# look-up (40 ns) instead of a loop (670 ns). Only whole eight-byte integers are kept, so a hit is exact.
INSTANTS: Final[dict[bytes, int]] = {}

SMALL: Final = [(octet >> 1) ^ -(octet & 1) for octet in range(128)]
"""The integers that take one byte, by that byte: a look-up takes a third of the time of the arithmetic."""


def read_instant(data: bytes, at: int) -> tuple[int, int]:
    """An integer that is likely to be an instant seen before."""
    octets = data[at : at + 8]
    known = INSTANTS.get(octets)
    if known is not None:
        return known, at + 8
    value, end = read_long(data, at)
    if end - at == 8:
        if len(INSTANTS) >= CACHED_VALUES:
            INSTANTS.clear()
        INSTANTS[octets] = value
    return value, end


def read_span(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of a text whose length takes more than one byte."""
    size, start = read_long(data, at)
    if not 0 <= size <= TEXT_LIMIT:
        raise WireError(f"a text of {size} bytes; 0 to {TEXT_LIMIT} are possible")
    return start, start + size


def read_utf8(data: bytes, start: int, end: int) -> str:
    """A text that is not ASCII. Raises UnicodeDecodeError."""
    return data[start:end].decode()


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """A byte string."""
    size, start = read_long(data, at)
    if not 0 <= size <= BYTES_LIMIT:
        raise WireError(f"{size} bytes; 0 to {BYTES_LIMIT} are possible")
    end = start + size
    return data[start:end], end


def not_a_boolean(octet: int) -> WireError:
    """The refusal of a boolean."""
    return WireError(f"{octet} where a boolean is 0 or 1")


def not_a_branch(octet: int) -> WireError:
    """The refusal of the branch of a value that may be missing."""
    return WireError(f"branch {octet} where 0 is nothing and 2 is a value")


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """The number of entries of a list. One block, so the end mark must follow the last entry."""
    count, at = read_long(data, at)
    if not 0 <= count <= LIST_LIMIT:
        raise WireError(f"a list of {count} entries; 0 to {LIST_LIMIT} are possible")
    return count, at


def read_end(data: bytes, at: int) -> int:
    """The end mark of a list that was not empty."""
    if data[at] != 0:
        raise WireError("a list in more than one block")
    return at + 1
