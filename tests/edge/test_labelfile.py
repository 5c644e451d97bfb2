"""What somebody knows of payments, as a file; what cannot be a label is refused with its line."""

from pathlib import Path

import pytest

from events.errors import Refused, Unavailable
from streams.edge.labelfile import instant_of, read_labels
from streams.forensics.backtest import Label


def test_labels_with_and_without_a_time(tmp_path: Path) -> None:
    """Whatever the order of the columns; others are left alone."""
    path = tmp_path / "labels.csv"
    path.write_text(
        "note,fraud,payment_id,known_at\n,1,a,1970-01-01T00:00:01Z\n,0,b,\n,TRUE,c,5\n,false,d,1970-01-01T01:00:00+01:00\n"
    )
    assert {
        "a": Label(True, 1_000_000),
        "b": Label(False),
        "c": Label(True, 5),
        "d": Label(False, 0),
    } == read_labels(path)
    path.write_text("payment_id,fraud\na,1\n")
    assert {"a": Label(True)} == read_labels(path)


BAD = [
    ("payment,fraud\na,1\n", "the first line names the columns payment_id, fraud and perhaps known_at"),
    ("", "the first line names the columns payment_id, fraud and perhaps known_at"),
    ("payment_id,fraud\na,1\nb,maybe\n", "line 3: a payment_id, and a fraud that is 1 or 0"),
    ("payment_id,fraud\n,1\n", "line 2: a payment_id, and a fraud that is 1 or 0"),
    ("payment_id,fraud\na\n", "line 2: a payment_id, and a fraud that is 1 or 0"),
    ("payment_id,fraud\na,1\na,1\n", "line 3: a has a label already"),
    ("payment_id,fraud\na,1\na,0\n", "line 3: a has a label already"),
    ("payment_id,fraud,known_at\na,1,yesterday\n", "line 2: known_at is a time like 2026-03-02T09:00:00Z"),
    ("payment_id,fraud,known_at\na,1,2026-03-02T09:00:00\n", "line 2: known_at is a time like"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_no_label_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """In a sentence with the line."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        read_labels(path)
    assert reason in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Missing, or no text."""
    with pytest.raises(Unavailable, match="cannot be read"):
        read_labels(tmp_path / "nothing.csv")
    path = tmp_path / "labels.csv"
    path.write_bytes(b"payment_id,fraud\n\xff,1\n")
    with pytest.raises(Refused, match="no CSV file in UTF-8"):
        read_labels(path)


@pytest.mark.parametrize(
    ("text", "at"),
    [("0", 0), ("-5", -5), ("1970-01-01T00:00:00Z", 0), ("1970-01-01", None), ("", None), ("٣", None)],
)
def test_instants(text: str, at: int | None) -> None:
    """With an offset, or in microseconds; a local time is nobody's."""
    assert at == instant_of(text)
