"""Reading a store: opened read-only, by one process at a time, with errors that say what to do next."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from events.errors import Refused, Unavailable
from projections.digest import one
from projections.duck import FORMAT, connect

_T = TypeVar("_T")

#: How many rows of an answer are in memory at a time.
CHUNK_ROWS: Final = 10_000
READ_ONLY_STATEMENTS: Final = frozenset({"SELECT", "EXPLAIN"})


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a store."""
    if not path.exists():
        raise Unavailable(
            f"there is no store at {path}: run `tallystick demo` first, or name another with --store duckdb:PATH"
        )
    db = connect(str(path), threads=2, read_only=True)
    try:
        _recognise(db, path)
        yield db
    finally:
        db.close()


def _recognise(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        found = one(db, "SELECT value FROM store_about WHERE name = 'format'")
    except duckdb.CatalogException as error:
        raise Refused(
            f"{path} is a DuckDB file, but not a Tallystick store; name another with --store"
        ) from error
    if found is None or found[0] != FORMAT:
        raise Refused(f"{path} is a store of another format than {FORMAT!r}: make it anew from the log")


def checked(db: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one reading statement in ``sql``; Refused for anything else, with what to do."""
    try:
        statements = db.extract_statements(sql)
    except duckdb.Error as error:
        raise Refused(_explained(error)) from error
    if len(statements) != 1:
        raise Refused(f"{len(statements)} statements were given where one query is asked for")
    kind = statements[0].type.name
    if kind not in READ_ONLY_STATEMENTS:
        raise Refused(f"the projections are read-only: {kind} is not possible, SELECT is")
    return statements[0].query


def ask(
    db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query; Refused where DuckDB cannot make sense of it."""
    names, chunks = ask_in_chunks(db, sql, arguments)
    return names, list(chain.from_iterable(chunks))


def ask_in_chunks(
    db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()
) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
    """Column names and, at most 10,000 at a time, the rows: an answer may be larger than memory.

    DuckDB does not look at signals while it works, so it works in a thread, and Ctrl-C interrupts it from here.
    """
    _interruptible(db, lambda: db.execute(sql, list(arguments)))
    names = [column[0] for column in db.description or ()]
    return names, iter(lambda: _interruptible(db, lambda: db.fetchmany(CHUNK_ROWS)), [])


def _interruptible(db: duckdb.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
    with ThreadPoolExecutor(1) as worker:
        future = worker.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            db.interrupt()
            raise
        except duckdb.Error as error:
            raise Refused(_explained(error)) from error


def records(db: duckdb.DuckDBPyConnection, sql: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query by column name."""
    names, rows = ask(db, sql, arguments)
    return [dict(zip(names, row, strict=True)) for row in rows]


def tables(db: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Everything that can be asked, with what it holds."""
    return db.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL ORDER BY view_name"
    ).fetchall()


def freshness(db: duckdb.DuckDBPyConnection) -> tuple[int, datetime] | None:
    """How many events every projection has taken, and the latest logical time among them; None before the first."""
    found = one(db, "SELECT min(events), max(as_of) FROM freshness")
    return None if found is None or found[0] is None else (int(found[0]), found[1])


def _explained(error: duckdb.Error) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines[:2])}\n`tallystick query` without SQL lists what can be asked"
