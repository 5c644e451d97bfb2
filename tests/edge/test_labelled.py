"""Labelled histories are read as they are meant, or refused with the row and the reason."""

from pathlib import Path

import duckdb
import pytest

from events.errors import Refused, Unavailable
from streams.edge.labelled import read_history, write_history
from tests.streams.training.histories import made_up

GOOD = "TIMESTAMP '2026-03-02 10:00:00' AS time, 'c1' AS card, 'm1' AS merchant, 500 AS amount_minor, true AS fraud"


def parquet(path: Path, query: str) -> Path:
    duckdb.sql(query).write_parquet(str(path))
    return path


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The same payments, by time."""
    history = made_up(payments=500)
    path = tmp_path / "it's here.parquet"
    write_history(path, history)
    read = read_history(path)
    for written, found in zip(history, read, strict=True):
        assert written.tolist() == found.tolist()


@pytest.mark.parametrize(
    ("time", "fraud", "amount"),
    [
        ("TIMESTAMP '2026-03-02 10:00:00.25'", "true", "500"),
        ("TIMESTAMP_NS '2026-03-02 10:00:00.25'", "1", "500.0"),
        ("1772445600250000", "1::TINYINT", "500::UTINYINT * 1"),
        ("TIMESTAMPTZ '2026-03-02 10:00:00.25+00'", "1.0::DOUBLE = 1", "500::DECIMAL(9, 2)"),
    ],
)
def test_the_spellings_of_a_row(tmp_path: Path, time: str, fraud: str, amount: str) -> None:
    """Timestamps of every kind or microseconds, booleans or 0 and 1, whole amounts of any type."""
    row = f"SELECT {time} AS time, 7 AS card, 'x' AS merchant, {amount} AS amount_minor, {fraud} AS fraud"
    history = read_history(
        parquet(tmp_path / "f.parquet", row.replace("500::UTINYINT * 1", "500::USMALLINT"))
    )
    assert ([1_772_445_600_250_000], [500], [True]) == (
        history.at.tolist(),
        history.amount.tolist(),
        history.fraud.tolist(),
    )


def test_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    """They are read by time, those of one instant as they stand; names become numbers in their order."""
    rows = "SELECT * FROM (VALUES (9, 'b', 'z', 1, 0), (5, 'a', 'y', 2, 1), (5, 'c', 'z', 3, 0))"
    path = parquet(
        tmp_path / "f.parquet",
        f"{rows} AS t(time, card, merchant, amount_minor, fraud)".replace("(9,", "(9::BIGINT,"),
    )
    history = read_history(path)
    assert [2, 3, 1] == history.amount.tolist()
    assert ([0, 2, 1], [0, 1, 1]) == (history.card.tolist(), history.merchant.tolist())


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("time", "NULL::TIMESTAMP", "row 2: time is missing"),
        ("time", "TIMESTAMP '9999-01-01'", "row 2: time is missing or not in this age"),
        ("card", "NULL", "row 2: card is missing"),
        ("merchant", "NULL", "row 2: merchant is missing"),
        ("amount_minor", "-1", "row 2: amount_minor is not a whole number"),
        ("amount_minor", "0.5", "row 2: amount_minor is not a whole number"),
        ("amount_minor", "'nan'::DOUBLE", "row 2: amount_minor is not a whole number"),
        ("amount_minor", "'inf'::DOUBLE", "row 2: amount_minor is not a whole number"),
        ("amount_minor", "1e18::DOUBLE", "row 2: amount_minor is not a whole number"),
        ("amount_minor", "'much'", "Could not convert string 'much'"),
        ("fraud", "NULL", "row 2: fraud is neither true nor false"),
        ("fraud", "2", "row 2: fraud is neither true nor false"),
    ],
)
def test_a_row_that_cannot_be_used(tmp_path: Path, column: str, value: str, reason: str) -> None:
    """The first one is named: a model must not guess."""
    bad = ", ".join(
        f"{value} AS {column}" if part.endswith(f" AS {column}") else part for part in GOOD.split(", ")
    )
    first = GOOD.replace("true AS fraud", "1 AS fraud") if column == "fraud" else GOOD
    path = parquet(tmp_path / "f.parquet", f"SELECT {first} UNION ALL SELECT {bad}")
    with pytest.raises(Refused) as refused:
        read_history(path)
    assert reason in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """Not there, not Parquet, other columns, times without a unit, no rows: a sentence for each."""
    with pytest.raises(Unavailable, match="is not a file"):
        read_history(tmp_path / "nothing.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("time,card\n")
    with pytest.raises(Refused, match="is no Parquet file"):
        read_history(text)
    with pytest.raises(Refused, match="has no column merchant, amount_minor, fraud; needed are time"):
        read_history(parquet(tmp_path / "a.parquet", "SELECT 1 AS time, 2 AS card"))
    with pytest.raises(Refused, match="time is DOUBLE; a timestamp or microseconds"):
        read_history(
            parquet(
                tmp_path / "b.parquet",
                f"SELECT {GOOD}".replace("TIMESTAMP '2026-03-02 10:00:00'", "1e9::DOUBLE"),
            )
        )
    with pytest.raises(Refused, match="holds no payment"):
        read_history(parquet(tmp_path / "c.parquet", f"SELECT {GOOD} LIMIT 0"))
