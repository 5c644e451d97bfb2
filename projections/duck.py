"""The store on DuckDB: one file, one process at a time.

Rows go in as columns: a table's batch is a dict of numpy arrays that DuckDB scans in place. Tried with 5,000 rows of
ten columns into a file: 930,000 rows/s, against 410,000 with numpy's own text type, 330,000 with the appender,
310,000 with JSON, 200,000 with lists as parameters, and 700 with ``executemany``. So no Arrow library is needed.

Every build of a projection has tables of its own (``ledger_entries_v1``); the name without the number is a view. A
rebuild fills ``_v2`` beside and swaps the view. Rows and positions commit together: a kill leaves whole batches.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import duckdb
import numpy as np

from events.errors import Refused, Unavailable
from projections.catalog import CATALOG
from projections.port import Place, Position, Positions, Projection, Rows, Table

FORMAT: Final = "tallystick store 1"
FIRST_BUILD: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS store_about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS projection_builds (
    projection TEXT NOT NULL, build INTEGER NOT NULL, version INTEGER NOT NULL, live BOOLEAN NOT NULL,
    tables TEXT[] NOT NULL
);
CREATE TABLE IF NOT EXISTS projection_positions (
    projection TEXT NOT NULL, build INTEGER NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    next BIGINT NOT NULL, chain BLOB NOT NULL, as_of TIMESTAMP NOT NULL
);
CREATE OR REPLACE VIEW freshness AS
SELECT projection, sum(next)::BIGINT AS events, max(as_of) AS as_of
FROM projection_positions JOIN projection_builds USING (projection, build) WHERE live GROUP BY projection;
COMMENT ON VIEW freshness IS 'How many events each projection has taken, and the latest logical time among them.';
"""


class Figures(NamedTuple):
    """What a table of a build holds: rows, sums of its amounts, and the digest of its business content."""

    rows: int
    sums: tuple[tuple[str, int], ...]
    digest: str


class DuckStore:
    """A :class:`projections.port.Store` in the file ``path`` (``:memory:`` for none).

    Raises Unavailable where another process has the file, Refused where it is something else or where a projection
    in it was made by other code: then :mod:`projections.rebuild` makes it anew.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        # One thread: a batch is too small to share out, and the engine needs the other core.
        self.path = str(path)
        if self.path != ":memory:":
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self.connection = connect(self.path, threads=threads)
        try:
            self._recognise()
            for projection in CATALOG:
                if self._live(projection) is None:
                    self.create_build(projection, FIRST_BUILD)
                    self._set_live(projection, FIRST_BUILD)
            self.publish_views()
        except BaseException:
            self.connection.close()
            raise

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The store in this file, made where there is none; a context manager that closes it."""
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recognise(self) -> None:
        db = self.connection
        tables = {name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if tables and "store_about" not in tables:
            raise Refused(
                f"{self.path} is a DuckDB file, but not a Tallystick store; name another with --store"
            )
        db.execute(_SCHEMA)
        found = one(db, "SELECT value FROM store_about WHERE name = 'format'")
        if found is None:
            db.execute("INSERT INTO store_about VALUES ('format', ?)", [FORMAT])
        elif found[0] != FORMAT:
            raise Refused(f"{self.path} is of format {found[0]!r}, this program writes {FORMAT!r}")

    # -- the port ------------------------------------------------------------------------------------

    def bind_log(self, identity: str) -> None:
        """Say which log the rows are from; Refused where they are from another one."""
        db = self.connection
        found = one(db, "SELECT value FROM store_about WHERE name = 'log'")
        if found is None:
            db.execute("INSERT INTO store_about VALUES ('log', ?)", [identity])
        elif found[0] != identity:
            raise Refused(
                f"{self.path} was filled from the log {found[0]!r}, not from {identity!r}:"
                " name the store that belongs to this log with --store, or a new file"
            )

    def positions(self, projection: Projection, build: int | None = None) -> dict[Place, Position]:
        """How far the projection's live build (or the one named) has read each log partition."""
        number = self.live(projection) if build is None else build
        found = self.connection.execute(
            "SELECT topic, partition, next, chain FROM projection_positions WHERE projection = ? AND build = ?",
            [projection.NAME, number],
        ).fetchall()
        return {
            (topic, partition): Position(following, chain) for topic, partition, following, chain in found
        }

    def commit(
        self,
        changes: Sequence[tuple[Projection, Iterable[Rows]]],
        positions: Positions,
        as_of: int,
        *,
        build: int | None = None,
    ) -> None:
        """Append the rows and move the projections' live builds (or the build named) to the positions."""
        db = self.connection
        moved: list[tuple[str, int]] = []
        db.begin()
        try:
            for projection, made in changes:
                number = self.live(projection) if build is None else build
                moved.append((projection.NAME, number))
                for rows in made:
                    if rows.count:
                        self._append(physical(rows.table, number), rows)
            self._move(moved, positions, as_of)
            db.commit()
        except BaseException:
            db.rollback()
            raise

    def _append(self, name: str, rows: Rows) -> None:
        columns = rows.table.columns
        given = {column.name: _array(column.type, rows.columns[column.name]) for column in columns}
        names = ", ".join(f'"{column.name}"' for column in columns)
        db = self.connection
        db.register("incoming_rows", given)
        try:
            db.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM incoming_rows")
        finally:
            db.unregister("incoming_rows")

    def _move(self, projections: list[tuple[str, int]], positions: Positions, as_of: int) -> None:
        if not positions or not projections:
            return
        entries = [(*who, *place, *at) for who in projections for place, at in positions.items()]
        projection, build, topic, partition, following, chain = (
            list(values) for values in zip(*entries, strict=True)
        )
        db = self.connection
        db.register(
            "incoming_positions",
            {
                "projection": _array("TEXT", projection),
                "build": _array("INTEGER", build),
                "topic": _array("TEXT", topic),
                "partition": _array("INTEGER", partition),
                "next": _array("BIGINT", following),
                "chain": _array("BLOB", chain),
                "as_of": _array("TIMESTAMP", [as_of] * len(entries)),
            },
        )
        try:
            db.execute(
                "DELETE FROM projection_positions AS old USING incoming_positions AS new WHERE"
                " old.projection = new.projection AND old.build = new.build"
                " AND old.topic = new.topic AND old.partition = new.partition"
            )
            db.execute("INSERT INTO projection_positions SELECT * FROM incoming_positions")
        finally:
            db.unregister("incoming_positions")

    # -- builds --------------------------------------------------------------------------------------

    def live(self, projection: Projection) -> int:
        """The build that people read; Refused where code of another version made it."""
        found = self._live(projection)
        assert found is not None, "the constructor has made it"
        build, version = found
        if version != projection.VERSION:
            raise Refused(
                f"{self.path} holds the projection {projection.NAME!r} of version {version}, this program makes"
                f" version {projection.VERSION}: `tallystick project rebuild {projection.NAME}` makes it anew"
            )
        return build

    def live_build(self, projection: Projection) -> tuple[int, int]:
        """Version and build of what people read, whichever code made it."""
        found = self._live(projection)
        assert found is not None, "the constructor has made it"
        return found[1], found[0]

    def unfinished_builds(self, projection: Projection) -> list[int]:
        """Builds that never went live: a rebuild was killed."""
        found = self.connection.execute(
            "SELECT build FROM projection_builds WHERE projection = ? AND NOT live", [projection.NAME]
        ).fetchall()
        return [build for (build,) in found]

    def outdated(self) -> list[Projection]:
        """Projections whose live build was made by code of another version."""
        return [
            projection
            for projection in CATALOG
            if (self._live(projection) or (0, 0))[1] != projection.VERSION
        ]

    def _live(self, projection: Projection) -> tuple[int, int] | None:
        found: tuple[int, int] | None = one(
            self.connection,
            "SELECT build, version FROM projection_builds WHERE projection = ? AND live",
            [projection.NAME],
        )
        return found

    def next_build(self, projection: Projection) -> int:
        """A number that no build of the projection has."""
        found = one(
            self.connection,
            "SELECT coalesce(max(build), 0) + 1 FROM projection_builds WHERE projection = ?",
            [projection.NAME],
        )
        assert found is not None
        return int(found[0])

    def create_build(self, projection: Projection, build: int) -> None:
        """Empty tables for a build that nobody reads yet."""
        db = self.connection
        for table in projection.TABLES:
            name = physical(table, build)
            # Without NOT NULL, which our rows keep anyway: it takes 2.5 µs an event more, as much as decoding.
            columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
            db.execute(f"CREATE TABLE {name} ({columns})")
            db.execute(f"COMMENT ON TABLE {name} IS {_quoted(table.comment)}")
            for column in table.columns:
                db.execute(f'COMMENT ON COLUMN {name}."{column.name}" IS {_quoted(column.comment)}')
        db.execute(
            "INSERT INTO projection_builds VALUES (?, ?, ?, FALSE, ?)",
            [projection.NAME, build, projection.VERSION, [table.name for table in projection.TABLES]],
        )

    def swap(self, projection: Projection, build: int) -> None:
        """Let people read this build, and drop the others, in one transaction."""
        db = self.connection
        db.begin()
        try:
            others = db.execute(
                "SELECT build FROM projection_builds WHERE projection = ? AND build <> ?",
                [projection.NAME, build],
            ).fetchall()
            self._set_live(projection, build)
            for (other,) in others:
                self._drop(projection, other)
            db.commit()
        except BaseException:
            db.rollback()
            raise
        self.publish_views()

    def drop_build(self, projection: Projection, build: int) -> None:
        """Forget a build that is not live."""
        db = self.connection
        db.begin()
        try:
            self._drop(projection, build)
            db.commit()
        except BaseException:
            db.rollback()
            raise

    def _drop(self, projection: Projection, build: int) -> None:
        db = self.connection
        today = {table.name for table in projection.TABLES}
        found = one(
            db,
            "SELECT tables FROM projection_builds WHERE projection = ? AND build = ?",
            [projection.NAME, build],
        )
        # Older code may have had other tables, so the file says which: those that are no more lose their views too.
        for name in found[0] if found is not None else ():
            if name not in today:
                db.execute(f"DROP VIEW IF EXISTS {name}")
            db.execute(f"DROP TABLE IF EXISTS {name}_v{build}")
        db.execute(
            "DELETE FROM projection_builds WHERE projection = ? AND build = ?", [projection.NAME, build]
        )
        db.execute(
            "DELETE FROM projection_positions WHERE projection = ? AND build = ?", [projection.NAME, build]
        )

    def _set_live(self, projection: Projection, build: int) -> None:
        db = self.connection
        db.execute(
            "UPDATE projection_builds SET live = (build = ?) WHERE projection = ?", [build, projection.NAME]
        )
        for table in projection.TABLES:
            db.execute(f"CREATE OR REPLACE VIEW {table.name} AS SELECT * FROM {physical(table, build)}")
            db.execute(f"COMMENT ON VIEW {table.name} IS {_quoted(table.comment)}")

    def publish_views(self) -> None:
        """(Re)create the views of every projection that is up to date."""
        if self.outdated():
            return
        for projection in CATALOG:
            for view in projection.VIEWS:
                self.connection.execute(f"CREATE OR REPLACE VIEW {view.name} AS {view.sql}")
                self.connection.execute(f"COMMENT ON VIEW {view.name} IS {_quoted(view.comment)}")

    # -- figures -------------------------------------------------------------------------------------

    def figures(
        self, projection: Projection, build: int | None = None, *, whole: bool = False
    ) -> dict[str, Figures]:
        """Rows, sums and digest of each table of the live build (or the one named); ``whole``: of all columns.

        A table that an older build does not have, or has with other columns, is left out.
        """
        number = self.live(projection) if build is None else build
        found: dict[str, Figures] = {}
        for table in projection.TABLES:
            with suppress(duckdb.CatalogException, duckdb.BinderException):
                found[table.name] = figures(self.connection, table, number, whole=whole)
        return found

    def close(self) -> None:
        """Write out and let go of the file."""
        self.connection.close()


def connect(path: str, *, threads: int = 1, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, or say in one sentence why not and what to do."""
    try:
        return duckdb.connect(
            path,
            read_only=read_only,
            config={
                "threads": threads,
                # Less often than by default (16 MB): half-filled row groups are compressed anew each time.
                "checkpoint_threshold": "64MB",
                # Extensions would be downloaded: nothing here needs one.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
    except duckdb.IOException as error:
        text = str(error)
        if "lock" in text:
            raise Unavailable(
                f"the store {path} is in use by another process, and DuckDB lets one process at a time in:"
                " wait until it has ended, or stop it, and ask again"
            ) from error
        if "not a valid DuckDB" in text:
            raise Refused(f"{path} is not a DuckDB file; name the store with --store duckdb:PATH") from error
        raise Unavailable(f"the store {path} cannot be opened: {text.splitlines()[0]}") from error


def one(db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()) -> Any:
    """The only row of a result, or None. Fetched whole: DuckDB keeps a connection busy until its result is."""
    rows = db.execute(sql, list(arguments)).fetchall()
    return rows[0] if rows else None


def physical(table: Table, build: int) -> str:
    """The name of a table's build."""
    return f"{table.name}_v{build}"


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
    assert counted is not None
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


_DTYPES: Final[dict[str, Any]] = {
    "BIGINT": np.int64,
    "INTEGER": np.int32,
    "BOOLEAN": np.bool_,
    "TIMESTAMP": np.int64,
}
_MICROSECONDS_OF_DAY: Final = 86_400_000_000


def _array(kind: str, values: list[Any]) -> Any:
    """Values as the numpy array that DuckDB reads without another copy of each."""
    if kind == "DATE":
        return (np.array(values, dtype=np.int64) * _MICROSECONDS_OF_DAY).view("M8[us]")
    dtype = _DTYPES.get(kind, object)
    array = np.array(values, dtype=dtype)
    return array.view("M8[us]") if kind == "TIMESTAMP" else array


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
