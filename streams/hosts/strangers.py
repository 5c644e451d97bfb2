"""Records that anybody may have written: what the client library gives up on is read all the same.

On the wire the name of a header is any bytes. The library takes it for UTF-8 and raises where it is not, out of the
batch in which the record stands, every time that it comes by: one record of a stranger would end every reader for
good. Such a name is read as question marks; nobody here asks for a header whose name is no text.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

#: A batch: its first offset (eight bytes), how many bytes follow (four), then those.
_LENGTH_AT: Final = 8
_LENGTH_BYTES: Final = 4


class _Batches:
    """The batches of one answer, as the library has them, and their bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = 0
        self._batches = MemoryRecords(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batches, name)

    def next_batch(self) -> "_Batch | None":
        """The next one; None behind the last."""
        batch = self._batches.next_batch()
        if batch is None:
            return None
        start, length_at = self._start, self._start + _LENGTH_AT
        behind_length = length_at + _LENGTH_BYTES
        self._start = behind_length + int.from_bytes(self._data[length_at:behind_length], "big")
        return _Batch(batch, self._data[start : self._start])


class _Batch:
    """A batch of the library, whose records can all be read."""

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """What the library asks of the end of a transaction, whose record is no stranger's."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = -1
        try:
            for record in self._batch:
                given = record.offset
                yield record
        except UnicodeDecodeError:
            yield from (record for record in _mended(self._data) if record.offset > given)


def _mended(data: bytes) -> Any:
    """The same batch with readable names of headers."""
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    buffer, at = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        length, at = decode_varint(buffer, at)
        end = at + length
        for _ in ("attributes", "time stamp", "offset"):
            _, at = decode_varint(buffer, at)
        for _ in ("key", "value"):
            size, at = decode_varint(buffer, at)
            at += max(0, size)
        headers, at = decode_varint(buffer, at)
        for _ in range(headers):
            size, at = decode_varint(buffer, at)
            try:
                buffer[at : at + size].decode()
            except UnicodeDecodeError:
                buffer[at : at + size] = b"?" * size
            at += size
            size, at = decode_varint(buffer, at)
            at += max(0, size)
        at = end
    return batch


def tolerate() -> None:
    """Let every consumer of this process read what strangers write."""
    fetcher.MemoryRecords = _Batches
