"""What a table holds, in a few numbers that two stores can be compared by: also one on DuckDB, one on PostgreSQL."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from projections.definitions import physical
from projections.dialect import Dialect
from projections.port import Column, Database, Table

#: Between the columns of a row: a control character, which no field may contain.
_BETWEEN: Final = " || chr(31) || "
_PREFIX: Final = itemgetter(slice(3))


class Figures(NamedTuple):
    """What a table of a build holds: rows, sums of its amounts, and the digest of its content."""

    rows: int
    sums: tuple[tuple[str, int], ...]
    digest: str


def figures(db: Database, table: Table, build: int | None = None, *, whole: bool = False) -> Figures:
    """Rows, sums and digest of a table; of the live build, by the table's plain name, where none is given.

    The digest is SHA-256 over the hashes of the rows' business columns in sorted order, so neither the order of
    rows nor the partitioning of the log shows in it; ``whole`` takes every column and every row, positions too.
    Both databases write a value of a column as the same text, so the bytes that are hashed are the same ones. The
    database sorts, on its disk where that is needed, and nobody holds all hashes at once.
    """
    dialect = db.dialect
    name = table.name if build is None else physical(table, build, dialect)
    numeric = [
        column.name for column in table.columns if column.type == "BIGINT" and column.name in table.business
    ]
    sums = "".join(f', coalesce(sum("{column}"), 0)::BIGINT' for column in numeric)
    counted = one(db, f"SELECT count(*){sums} FROM {name}")
    by_name = {column.name: column for column in table.columns}
    covered = table.columns if whole else [by_name[column] for column in table.business]
    text = _BETWEEN.join(_text(column, dialect) for column in covered)
    where = "TRUE" if whole else table.where
    hashes = f"SELECT {dialect.sha256.format(text)} AS row_hash FROM {name} WHERE {where} ORDER BY 1"
    return Figures(counted[0], tuple(zip(numeric, counted[1:], strict=True)), _digest(db.texts(hashes)))


def _digest(hashes: Iterator[str]) -> str:
    """Of sorted hashes, in the parts of equal beginnings that they were once sorted in."""
    whole = hashlib.sha256()
    for _, part in groupby(hashes, _PREFIX):
        whole.update(hashlib.sha256("".join(part).encode()).hexdigest().encode())
    return whole.hexdigest()


def one(db: Database, sql: str, arguments: Sequence[Any] = ()) -> Any:
    """The only row of a result, or None. Fetched whole: DuckDB keeps a connection busy until its result is."""
    _, rows = db.fetch(sql, arguments)
    return rows[0] if rows else None


def _text(column: Column, dialect: Dialect) -> str:
    name = f'"{column.name}"'
    return dialect.hex.format(name) if column.type == "BLOB" else f"{name}::VARCHAR"
