"""Labelled histories of payments as Parquet files: ``time, card, merchant, amount_minor, fraud``.

``time`` is a timestamp (UTC where it names no zone) or microseconds since 1970, ``card`` and ``merchant`` anything that
names them, ``amount_minor`` a whole number of minor units, ``fraud`` a boolean, or 0 and 1. Rows may stand in
any order; those of the same instant keep theirs.
"""

from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from events.errors import Refused, Unavailable
from streams.features.profiles import NAMES
from streams.training.histories import History, Truth, Whole

COLUMNS: Final = ("time", "card", "merchant", "amount_minor", "fraud")
_TIMES: Final = frozenset(("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "BIGINT"))
_WITH_ZONE: Final = "TIMESTAMP WITH TIME ZONE"
MOST_MICROSECONDS: Final = 1 << 52
"""Times lie within 142 years of 1970, and an amount is not higher either: beyond that, a unit is wrong."""


def read_history(path: Path) -> History:
    """The payments of a file, by time."""
    if not path.is_file():
        raise Unavailable(f"{path} is not a file that can be read")
    with duckdb.connect() as database:
        try:
            described = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        except duckdb.Error as error:
            raise Refused(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from error
        types = {str(row[0]): str(row[1]) for row in described}
        if missing := [column for column in COLUMNS if column not in types]:
            raise Refused(f"{path} has no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}")
        if types["time"] not in _TIMES | {_WITH_ZONE}:
            raise Refused(f"{path}: time is {types['time']}; a timestamp or microseconds (BIGINT) is needed")
        as_microseconds = "time" if types["time"] == "BIGINT" else "epoch_us(time)"
        _refuse_bad_rows(database, path, as_microseconds)
        columns = database.execute(
            f"""
            SELECT {as_microseconds}::BIGINT AS paid_at, dense_rank() OVER (ORDER BY card) - 1 AS card,
                dense_rank() OVER (ORDER BY merchant) - 1 AS merchant,
                amount_minor::BIGINT AS amount, fraud::BOOLEAN AS fraud
            FROM read_parquet(?, file_row_number = true) ORDER BY paid_at, file_row_number
            """,  # noqa: S608 - one of two texts above
            [str(path)],
        ).fetchnumpy()
    at, card, merchant, amount = (
        np.ascontiguousarray(columns[name], np.int64) for name in ("paid_at", "card", "merchant", "amount")
    )
    return History(at, card, merchant, amount, np.ascontiguousarray(columns["fraud"], np.bool_))


def _refuse_bad_rows(database: duckdb.DuckDBPyConnection, path: Path, at: str) -> None:
    """Refuse a file with the first row that cannot be used and why: a model must not guess."""
    checks = {
        "time is missing or not in this age": f"coalesce(abs({at}::HUGEINT) > {MOST_MICROSECONDS}, true)",
        "card is missing": "card IS NULL",
        "merchant is missing": "merchant IS NULL",
        "amount_minor is not a whole number from 0 on": "coalesce(amount_minor::DOUBLE NOT BETWEEN 0 AND "
        f"{MOST_MICROSECONDS} OR amount_minor::DOUBLE != round(amount_minor::DOUBLE), true)",
        "fraud is neither true nor false": "coalesce(fraud::VARCHAR NOT IN ('true', 'false', '0', '1'), true)",
    }
    found = ", ".join(f"min(CASE WHEN {check} THEN file_row_number END)" for check in checks.values())
    query = f"SELECT count(*), {found} FROM read_parquet(?, file_row_number = true)"  # noqa: S608 - from the table above
    try:
        answer = database.execute(query, [str(path)]).fetchone()
    except duckdb.Error as error:
        raise Refused(f"{path}: {str(error).splitlines()[0]}") from error
    assert answer is not None
    if answer[0] == 0:
        raise Refused(f"{path} holds no payment")
    bad = [(row, reason) for row, reason in zip(answer[1:], checks, strict=True) if row is not None]
    if bad:
        row, reason = min(bad)
        raise Refused(f"{path}, row {row + 1}: {reason}")


def write_vectors(path: Path, history: History, vectors: Whole) -> None:
    """Write the vector of each payment, a column for each feature, behind its time and its label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Whole | Truth] = {"time": history.at, "fraud": history.fraud}
    columns |= {name: np.ascontiguousarray(vectors[:, place]) for place, name in enumerate(NAMES)}
    with duckdb.connect() as database:
        database.register("vectors", columns)
        database.sql("SELECT * REPLACE (make_timestamp(time) AS time) FROM vectors").write_parquet(str(path))


def write_history(path: Path, history: History) -> None:
    """Write a history; cards and merchants are named by their numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: np.asarray(column) for name, column in zip(COLUMNS, history, strict=True)}
    with duckdb.connect() as database:
        database.register("history", columns)
        database.sql(
            "SELECT make_timestamp(time) AS time, card, merchant, amount_minor, fraud FROM history"
        ).write_parquet(str(path))
