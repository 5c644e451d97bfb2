"""The store on DuckDB: one file, one process at a time.

Rows go in as columns: a table's batch is a dict of numpy arrays that DuckDB scans in place. Tried with 5,000 rows of
ten columns into a file: 930,000 rows/s, against 410,000 with numpy's own text type, 330,000 with the appender,
310,000 with JSON, 200,000 with lists as parameters, and 700 with ``executemany``. So no Arrow library is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import numpy as np

from events.errors import Refused, Unavailable
from projections.definitions import name_table, physical
from projections.dialect import DUCKDB
from projections.port import Positions, Projection, Rows, StoreBusy, Table
from projections.reading import CHUNK_ROWS
from projections.store import FORMAT, SqlStore

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


class DuckStore(SqlStore):
    """A store in the file ``path`` (``:memory:`` for none).

    Raises Unavailable where another process has the file, Refused where it is something else or where a projection
    in it was made by other code: then :mod:`projections.rebuild` makes it anew.
    """

    dialect = DUCKDB
    _absent = (duckdb.CatalogException, duckdb.BinderException)

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        # One thread: a batch is too small to share out, and the engine needs the other core.
        self.shown = str(path)
        if self.shown != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.connection = connect(self.shown, threads=threads)
        try:
            self._recognise()
            self._furnish()
        except BaseException:
            self.connection.close()
            raise

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The store in this file, made where there is none; a context manager that closes it."""
        return cls(path)

    def _recognise(self) -> None:
        tables = {name for (name,) in self.fetch("SELECT table_name FROM duckdb_tables()")[1]}
        if tables and "store_about" not in tables:
            raise Refused(
                f"{self.shown} is a DuckDB file, but not a Tallystick store; name another with --store"
            )
        self.connection.execute(_SCHEMA)
        found = self._about("format")
        if found is None:
            self._say("format", FORMAT)
        elif found != FORMAT:
            raise Refused(f"{self.shown} is of format {found!r}, this program writes {FORMAT!r}")

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query."""
        return fetch(self.connection, sql, arguments)

    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""
        rows = self.connection.execute(sql)
        while chunk := rows.fetchmany(CHUNK_ROWS):
            yield from (text for (text,) in chunk)

    def _execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        self.connection.execute(sql, list(arguments))

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

    def _append(self, table: Table, build: int, rows: Rows) -> None:
        columns = table.columns
        given = {column.name: _array(column.type, rows.columns[column.name]) for column in columns}
        names = ", ".join(f'"{column.name}"' for column in columns)
        name = physical(table, build, self.dialect)
        db = self.connection
        db.register("incoming_rows", given)
        try:
            db.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM incoming_rows")
        finally:
            db.unregister("incoming_rows")

    def _move(self, builds: list[tuple[str, int]], positions: Positions, as_of: int) -> None:
        entries = [(*who, *place, *at) for who in builds for place, at in positions.items()]
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

    def _name_tables(self, projection: Projection, build: int) -> None:
        for table in projection.TABLES:
            self._run(name_table(table, build, self.dialect))
        # A view remembers the columns that it found.
        self._unsay_views()

    def _unname_tables(self, names: list[str]) -> None:
        for name in names:
            self._execute(f"DROP VIEW IF EXISTS {name}")

    def _make_views(self, statements: list[str]) -> None:
        self._run(statements)

    def close(self) -> None:
        """Write out and let go of the file."""
        self.connection.close()


def fetch(
    db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query."""
    rows = db.execute(sql, list(arguments)).fetchall()
    return [column[0] for column in db.description or ()], rows


def connect(path: str, *, threads: int = 1, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, or say in one sentence why not and what to do."""
    try:
        return duckdb.connect(
            path,
            read_only=read_only,
            config={
                "threads": threads,
                # Blocks are kept for re-reading up to this. What is appended is not read again: 60,000 payments took a
                # projector as long with a quarter of a gigabyte as with one, and 390 MB in all instead of 650. What is
                # asked may hold a row for every payment: whether each cent of a million is somewhere takes a gigabyte.
                "memory_limit": "25%" if read_only else "1GB" if path == ":memory:" else "256MB",
                # Less often than by default (16 MB): half-filled row groups are compressed anew each time. Of what
                # 400,000 events cost, checkpoints are 40 % at 16 MB, 27 % at 64, 14 % at 128, and at 256 no less.
                "checkpoint_threshold": "128MB",
                # Extensions would be downloaded: nothing here needs one.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
    except duckdb.IOException as error:
        text = str(error)
        if "lock" in text:
            raise StoreBusy(
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
