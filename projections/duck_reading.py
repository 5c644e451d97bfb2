"""Reading a DuckDB file: opened read-only, by one process at a time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from events.errors import Refused, Unavailable
from projections.definitions import quoted
from projections.dialect import DUCKDB
from projections.digest import one
from projections.duck import connect
from projections.reading import CHUNK_ROWS, HINT
from projections.store import FORMAT

_T = TypeVar("_T")
_READ_ONLY_STATEMENTS: Final = frozenset({"SELECT", "EXPLAIN"})


class DuckReader:
    """A :class:`projections.reading.Reader` of the file ``path``."""

    dialect = DUCKDB

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise Unavailable(
                f"there is no store at {path}: run `tallystick demo` first, or name another with --store duckdb:PATH"
            )
        self.connection = connect(str(path), threads=2, read_only=True)
        try:
            self._recognise(path)
        except BaseException:
            self.connection.close()
            raise

    def _recognise(self, path: Path) -> None:
        if not one(self, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'store_about'"):
            raise Refused(f"{path} is a DuckDB file, but not a Tallystick store; name another with --store")
        found = one(self, "SELECT value FROM store_about WHERE name = 'format'")
        if found is None or found[0] != FORMAT:
            raise Refused(f"{path} is a store of another format than {FORMAT!r}: make it anew from the log")

    def checked(self, sql: str) -> str:
        """See :meth:`projections.reading.Reader.checked`."""
        try:
            statements = self.connection.extract_statements(sql)
        except duckdb.Error as error:
            raise _refused(error) from error
        if len(statements) != 1:
            raise Refused(f"{len(statements)} statements were given where one query is asked for")
        kind = statements[0].type.name
        if kind not in _READ_ONLY_STATEMENTS:
            raise Refused(f"the projections are read-only: {kind} is not possible, SELECT is")
        return statements[0].query

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query; Refused where DuckDB cannot make sense of it."""
        names, chunks = self.chunks(sql, arguments)
        return names, list(chain.from_iterable(chunks))

    def chunks(
        self, sql: str, arguments: Sequence[Any] = ()
    ) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """See :meth:`projections.reading.Reader.chunks`."""
        db = self.connection
        self._interruptible(lambda: db.execute(sql, list(arguments)))
        names = [column[0] for column in db.description or ()]
        return names, iter(lambda: self._interruptible(lambda: db.fetchmany(CHUNK_ROWS)), [])

    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""
        for chunk in self.chunks(sql)[1]:
            yield from (text for (text,) in chunk)

    def _interruptible(self, work: Callable[[], _T]) -> _T:
        """DuckDB does not look at signals while it works, so it works in a thread and is interrupted from here."""
        with ThreadPoolExecutor(1) as worker:
            future = worker.submit(work)
            try:
                return future.result()
            except KeyboardInterrupt:
                self.connection.interrupt()
                raise
            except duckdb.Error as error:
                raise _refused(error) from error

    def tables(self) -> list[tuple[str, str]]:
        """Everything that can be asked, with what it holds."""
        _, found = self.fetch(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL"
            " ORDER BY view_name"
        )
        return [(name, comment) for name, comment in found]

    def write_parquet(self, sql: str, path: Path) -> None:
        """See :meth:`projections.reading.Reader.write_parquet`."""
        self.fetch(f"COPY ({sql.rstrip().rstrip(';')}) TO {quoted(str(path))} (FORMAT parquet)")

    def moment(self) -> AbstractContextManager[None]:
        """See :meth:`projections.reading.Reader.moment`. Nobody writes while the file is open here."""
        return nullcontext()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


def _refused(error: duckdb.Error) -> Refused:
    if isinstance(error, duckdb.InvalidInputException) and "read-only mode" in str(error):
        return Refused("the projections are read-only: a query that changes something is not possible")
    lines = [line for line in str(error).splitlines() if line.strip()]
    return Refused(f"{' '.join(lines[:2])}\n{HINT}")
