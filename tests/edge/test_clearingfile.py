"""The clearing file: what is written is read again, in whatever order it came, and what is wrong with it is named."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.clearing import ClearingRecordCreated, RecordKind
from events.clearingfiles import FileBatch, FileRejection
from streams.edge.clearingfile import (
    HASH_MODULUS,
    BatchName,
    ClearingFile,
    Head,
    Trouble,
    line_of,
    read,
    write,
)
from tests.edge.clearing import record
from tests.streams.builders_early import NOON

HEAD = Head("visa-20260309T1200-1", "visa", NOON, 1)
EURO = {"currency": "EUR", "batch_id": "visa-EUR-20260309"}
RECORDS = (
    record(4, **EURO),
    record(1),
    record(2, kind=RecordKind.REFUND, amount=1_500, source_id="ref-2"),
    record(3, presentment=2),
)


def lines_of(records: tuple[ClearingRecordCreated, ...]) -> dict[BatchName, list[str]]:
    lines: dict[BatchName, list[str]] = {}
    for one in records:
        lines.setdefault(BatchName(one.currency, one.batch_id), []).append(line_of(one))
    return lines


CONTENT = write(HEAD, lines_of(RECORDS))


def test_it_is_text_that_a_person_can_read() -> None:
    """Every byte of a small one: batches by currency, records by reference number, totals behind them."""
    one, two, three, four = (record(number) for number in (1, 2, 3, 4))
    assert (
        CONTENT.decode()
        == f"""\
FH|TALLYSTICK-CLEARING-1|visa-20260309T1200-1|visa|2026-03-09T12:00:00.000000Z|1|simulated
BH|visa-EUR-20260309|EUR
PR|{four.arn}|clr-4|{four.payment_id}|cap-4|shop-1|1|4000
BT|visa-EUR-20260309|1|4000|0|0|{int(four.arn) % HASH_MODULUS}
BH|visa-USD-20260309|USD
PR|{one.arn}|clr-1|{one.payment_id}|cap-1|shop-1|1|4000
RF|{two.arn}|clr-2|{two.payment_id}|ref-2|shop-1|1|1500
PR|{three.arn}|clr-3|{three.payment_id}|cap-3|shop-1|2|4000
BT|visa-USD-20260309|2|8000|1|1500|{sum(int(r.arn) for r in (one, two, three)) % HASH_MODULUS}
FT|2|4|{sum(int(r.arn) for r in (one, two, three, four)) % HASH_MODULUS}
"""
    )


def test_what_is_written_is_read() -> None:
    """Every record with all its fields, the totals, and the hash of the bytes."""
    file = read(CONTENT, "visa")
    assert isinstance(file, ClearingFile)
    assert (HEAD, sha256(CONTENT).hexdigest()) == (file.head, file.sha256)
    assert sorted(RECORDS, key=lambda one: (one.currency, one.arn)) == list(file.records)
    euro, dollar = file.batches
    assert ("visa-EUR-20260309", "EUR", 1, 4_000, 0, 0) == tuple(
        getattr(euro, name) for name in FileBatch.__struct_fields__[:-1]
    )
    assert (2, 8_000, 1, 1_500) == (
        dollar.presentments,
        dollar.presented_amount,
        dollar.refunds,
        dollar.refunded_amount,
    )


@given(st.permutations(RECORDS))
def test_the_order_in_which_records_come_leaves_no_trace(records: list[ClearingRecordCreated]) -> None:
    """So the bytes do not depend on partitions."""
    assert CONTENT == write(HEAD, lines_of(tuple(records)))


@given(st.integers(0, len(CONTENT) - 1))
def test_a_part_of_it_is_never_taken(length: int) -> None:
    """Wherever the line breaks."""
    said = read(CONTENT[:length], "visa")
    assert isinstance(said, Trouble)
    assert said.reason is FileRejection.INCOMPLETE


def figures(*records: ClearingRecordCreated) -> list[tuple[str, RecordKind, int]]:
    return [(one.arn, one.kind, one.amount) for one in records]


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255))
def test_no_other_byte_makes_other_figures(at: int, byte: int) -> None:
    """A file of which a byte has changed is refused, or holds what it held to the unit: names have no totals."""
    altered = CONTENT[:at] + bytes([byte]) + CONTENT[at + 1 :]
    said = read(altered, "visa")
    if isinstance(said, ClearingFile):
        assert sorted(figures(*said.records)) == sorted(figures(*RECORDS))


@pytest.mark.parametrize(
    ("old", "new", "reason", "detail"),
    [
        (b"|2|8000|", b"|2|8001|", FileRejection.TOTALS, "presented_amount is said to be 8001"),
        (b"|2|8000|1|1500|", b"|1|8000|1|1500|", FileRejection.TOTALS, "presentments is said to be 1"),
        (b"FT|2|4|", b"FT|2|3|", FileRejection.TOTALS, "batches, records and hash total"),
        (b"cap-1|shop-1|1|4000", b"cap-1|shop-1|1|9000", FileRejection.TOTALS, "presented_amount"),
        (b"|visa|", b"|amex|", FileRejection.UNREADABLE, "line 1 cannot be read"),
        (b"|simulated\n", b"|production\n", FileRejection.UNREADABLE, "line 1 "),
        (b"CLEARING-1", b"CLEARING-2", FileRejection.UNREADABLE, "line 1 "),
        (b"2026-03-09T12", b"2026-13-09T12", FileRejection.UNREADABLE, "line 1 "),
        (b"PR|", b"XX|", FileRejection.UNREADABLE, "line 3 "),
        (b"|4000\nBT", b"|-400\nBT", FileRejection.UNREADABLE, "line 3 "),
        (b"|shop-1|1|4000\nBT", b"||1|4000\nBT", FileRejection.UNREADABLE, "line 3 "),
        (b"BH|visa-USD-20260309|USD\n", b"", FileRejection.UNREADABLE, "line 5 "),
        (b"BT|visa-EUR", b"BT|visa-USD", FileRejection.UNREADABLE, "line 4 "),
        (b"shop-1", "shøp".encode(), FileRejection.UNREADABLE, "not all ASCII"),
    ],
)
def test_what_is_wrong_is_named(old: bytes, new: bytes, reason: FileRejection, detail: str) -> None:
    """By the first line that shows it."""
    said = read(CONTENT.replace(old, new, 1), "visa")
    assert isinstance(said, Trouble)
    assert (reason, True) == (said.reason, detail in said.detail), said


def test_a_record_in_the_place_of_another_shows() -> None:
    """Same number, same amount: only the hash total knows."""
    said = read(CONTENT.replace(record(1).arn.encode(), record(9).arn.encode()), "visa")
    assert isinstance(said, Trouble)
    assert "hash_total" in said.detail
