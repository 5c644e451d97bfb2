"""What a table holds, in a few numbers that two stores can be compared by."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb

from projections.definitions import physical
from projections.port import Table


class Figures(NamedTuple):
    """What a table of a build holds: rows, sums of its amounts, and the digest of its content."""

    rows: int
    sums: tuple[tuple[str, int], ...]
    digest: str


def figures(
    db: duckdb.DuckDBPyConnection, table: Table, build: int | None = None, *, whole: bool = False
) -> Figures:
    """Rows, sums and digest of a table; of the live build, by the table's plain name, where none is given.

    The digest is SHA-256 over the hashes of the rows' business columns in sorted order, so neither the order of
    rows nor the partitioning of the log shows in it; ``whole`` takes every column and every row, positions too.
    Sorting in 4,096 parts keeps memory flat.
    """
    name = table.name if build is None else physical(table, build)
    numeric = [
        column.name for column in table.columns if column.type == "BIGINT" and column.name in table.business
    ]
    sums = "".join(f', coalesce(sum("{column}"), 0)::BIGINT' for column in numeric)
    counted = one(db, f"SELECT count(*){sums} FROM {name}")
    covered = [column.name for column in table.columns] if whole else table.business
    text = " || chr(31) || ".join(f'"{column}"::VARCHAR' for column in covered)
    where = "TRUE" if whole else table.where
    digest = one(
        db,
        f"""
        SELECT sha256(coalesce(string_agg(part, '' ORDER BY prefix), '')) FROM (
            SELECT prefix, sha256(string_agg(row_hash, '' ORDER BY row_hash)) AS part FROM (
                SELECT sha256({text}) AS row_hash, left(row_hash, 3) AS prefix FROM {name} WHERE {where}
            ) GROUP BY prefix
        )
        """,
    )
    return Figures(counted[0], tuple(zip(numeric, counted[1:], strict=True)), digest[0])


def one(db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()) -> Any:
    """The only row of a result, or None. Fetched whole: DuckDB keeps a connection busy until its result is."""
    rows = db.execute(sql, list(arguments)).fetchall()
    return rows[0] if rows else None
