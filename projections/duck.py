"""The store on DuckDB: one file, one process at a time.

Rows go in as columns: a table's batch is a dict of numpy arrays that DuckDB scans in place. Tried with 5,000 rows of
ten columns into a file: 930,000 rows/s, against 410,000 with numpy's own text type, 330,000 with the appender,
310,000 with JSON, 200,000 with lists as parameters, and 700 with ``executemany``. So no Arrow library is needed.

Every build of a projection has tables of its own (``ledger_entries_v1``); the name without the number is a view. A
rebuild fills ``_v2`` beside and swaps the view. Rows and positions commit together: a kill leaves whole batches.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import numpy as np

from events.errors import Refused, Unavailable
from projections.catalog import CATALOG
from projections.definitions import create_table, create_views, fingerprint, name_table, physical
from projections.digest import Figures, figures, one
from projections.port import Place, Position, Positions, Projection, Rows

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
            with self._transaction():
                for projection in CATALOG:
                    if self._live(projection) is None:
                        self._create(projection, FIRST_BUILD)
                        self._set_live(projection, FIRST_BUILD)
                self._publish_views()
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
        moved: list[tuple[str, int]] = []
        with self._transaction():
            for projection, made in changes:
                number = self.live(projection) if build is None else build
                moved.append((projection.NAME, number))
                for rows in made:
                    if rows.count:
                        self._append(physical(rows.table, number), rows)
            self._move(moved, positions, as_of)

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
        with self._transaction():
            self._create(projection, build)

    def _create(self, projection: Projection, build: int) -> None:
        self._run(*(statement for table in projection.TABLES for statement in create_table(table, build)))
        self.connection.execute(
            "INSERT INTO projection_builds VALUES (?, ?, ?, FALSE, ?)",
            [projection.NAME, build, projection.VERSION, [table.name for table in projection.TABLES]],
        )

    def swap(self, projection: Projection, build: int) -> None:
        """Let people read this build, and drop the others, in one transaction."""
        with self._transaction():
            others = self.connection.execute(
                "SELECT build FROM projection_builds WHERE projection = ? AND build <> ?",
                [projection.NAME, build],
            ).fetchall()
            self._set_live(projection, build)
            for (other,) in others:
                self._drop(projection, other)
            self._publish_views(anew=True)

    def drop_build(self, projection: Projection, build: int) -> None:
        """Forget a build that is not live."""
        with self._transaction():
            self._drop(projection, build)

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
        self.connection.execute(
            "UPDATE projection_builds SET live = (build = ?) WHERE projection = ?", [build, projection.NAME]
        )
        self._run(*(statement for table in projection.TABLES for statement in name_table(table, build)))

    def _publish_views(self, *, anew: bool = False) -> None:
        """Make the views, where code has changed them or ``anew``; not while a table is of another version."""
        if self.outdated():
            return
        statements = create_views(CATALOG)
        print_of_all = fingerprint(statements)
        found = one(self.connection, "SELECT value FROM store_about WHERE name = 'views'")
        if anew or found is None or found[0] != print_of_all:
            self._run(*statements)
            self.connection.execute("INSERT OR REPLACE INTO store_about VALUES ('views', ?)", [print_of_all])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        db = self.connection
        db.begin()
        try:
            yield
        except BaseException:
            db.rollback()
            raise
        db.commit()

    def _run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

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
                # Blocks are kept for re-reading up to this; a projector needs a fraction of it.
                "memory_limit": "1GB",
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
