"""A record with a header whose name is no text ends no reader, and no other record of its batch is lost."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.hosts import strangers


class NoText(str):
    """The name of a header that becomes other bytes on the wire."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """No UTF-8."""
        return b"\xff\xfe\x80"


def batch(
    first: int, codec: int = 0, names: tuple[str, ...] = ("at", "at", "at"), value: bytes = b""
) -> bytes:
    """Records of one producer, a header each, with the offsets that a broker gives."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, False, -1, -1, -1, 1 << 20)
    for number, name in enumerate(names):
        key = None if number == 1 else b"key"
        headers = [(name, b"\x07"), ("none", None)]
        assert builder.append(number, 1_000 + number, key, value or b"value %d" % number, headers) is not None
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    return bytes(built)


def read(data: bytes, offset: int = 0) -> list[Any]:
    """What the library's consumer makes of an answer."""
    records = fetcher.PartitionRecords(
        TopicPartition("payments.requests", 0), fetcher.MemoryRecords(data), [], offset, None, None, True, 1
    )
    return list(records)


def test_every_consumer_reads_so() -> None:
    """Whoever imports what reads Kafka here."""
    import streams.hosts.transactions  # noqa: F401

    assert fetcher.MemoryRecords is strangers._Batches


@pytest.mark.parametrize("codec", range(5), ids="none gzip snappy lz4 zstd".split())
@pytest.mark.parametrize("at", range(3))
def test_a_name_that_is_no_text(codec: int, at: int) -> None:
    """Read as question marks, wherever it stands; keys, values and stamps are what they were."""
    names = tuple(NoText() if number == at else "at" for number in range(3))
    data = batch(40, codec, names)
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(data).next_batch())
    found = read(data)
    assert [(40, b"key"), (41, None), (42, b"key")] == [(one.offset, one.key) for one in found]
    assert [b"value 0", b"value 1", b"value 2"] == [one.value for one in found]
    assert [1_000, 1_001, 1_002] == [one.timestamp for one in found]
    expected = [(("???" if number == at else "at", b"\x07"), ("none", None)) for number in range(3)]
    assert expected == [one.headers for one in found]


def test_the_batches_around_it_are_read() -> None:
    """Each with its own bytes, large ones too; a reader that begins in the middle gets the rest."""
    bad = (NoText(), "at", NoText())
    data = batch(0) + batch(3, 1, bad, b"x" * 100_000) + batch(6) + batch(9, 0, bad) + batch(12)
    assert list(range(15)) == [one.offset for one in read(data)]
    assert list(range(4, 15)) == [one.offset for one in read(data[len(batch(0)) :], 4)]
    # The last batch of an answer may be cut off.
    assert list(range(12)) == [one.offset for one in read(data[:-7])]
    assert [] == read(b"")


def test_the_ends_of_transactions_are_passed_over() -> None:
    """And what was taken back, as ever."""
    taken_back = _DefaultRecordBatchBuilderPy(2, 0, True, 7, 0, 0, 1 << 20)
    assert taken_back.append(0, 0, None, b"never said", []) is not None
    # An abort marker: version 0, type 0.
    end = _DefaultRecordBatchBuilderPy(2, 0, True, 7, 0, -1, 1 << 20)
    assert end.append(0, 0, bytes(4), bytes(6), []) is not None
    marker = bytearray(end.build())
    marker[:8] = (1).to_bytes(8, "big")
    marker[22] |= 0x20  # a control batch
    marker[17:21] = calc_crc32c(bytes(marker[21:])).to_bytes(4, "big")
    data = bytes(taken_back.build()) + bytes(marker) + batch(2)
    records = fetcher.PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(data), [(7, 0)], 0, None, None, True, 1
    )
    assert [2, 3, 4] == [one.offset for one in records]


def test_what_is_damaged_still_says_so() -> None:
    """Only names are forgiven."""
    data = bytearray(batch(0, 0, (NoText(), "at", "at")))
    data[-5] ^= 1
    with pytest.raises(Exception, match="Invalid CRC"):
        read(bytes(data))
