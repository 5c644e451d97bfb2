"""Reading a store on PostgreSQL: in a session that cannot write, while somebody else does."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from events.errors import Refused, TallystickError, Unavailable
from projections.dialect import POSTGRES
from projections.digest import one
from projections.postgres import holds_a_store
from projections.postgres_session import SCHEMA, connect, explained, explaining, load, rows_at_once
from projections.reading import CHUNK_ROWS, HINT
from projections.store import FORMAT

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

#: The views add up whole tables: compiling them takes longer than running them, and sorting wants memory.
_SESSION: Final = f"""
SET search_path = {SCHEMA};
SET datestyle = 'ISO';
SET default_transaction_read_only = on;
SET client_min_messages = warning;
SET jit = off;
SET work_mem = '64MB';
"""
#: What a reading statement begins with. The session is read-only, but there are statements to which that is no
#: hindrance (COPY TO a file of the server, SET).
_READING: Final = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN"})
_BEFORE_WORDS: Final = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)


class PostgresReader:
    """A :class:`projections.reading.Reader` of the database that ``address`` leads to; ``shown`` has no password."""

    dialect = POSTGRES

    def __init__(self, address: str, shown: str) -> None:
        self.shown = shown
        self._error: type[psycopg.Error] = load().Error
        self._size = rows_at_once()
        self.connection: Connection[Any] = connect(address, shown, _SESSION)
        try:
            with explaining(shown):
                self._recognise()
            _as_duckdb_has_them(self.connection)
        except BaseException:
            self.connection.close()
            raise

    def _recognise(self) -> None:
        if not holds_a_store(self.connection, self.shown):
            raise Unavailable(
                f"there is no store at {self.shown}: run `tallystick demo` with this store first, or name another"
            )
        _, [(may, role)] = self.fetch(
            "SELECT has_schema_privilege($1, 'USAGE'), current_user::TEXT", [SCHEMA]
        )
        if not may:
            raise Refused(
                f"the role {role!r} may not read {self.shown}: let the store's owner run"
                f" `tallystick project grant {role}`"
            )
        found = one(self, "SELECT value FROM store_about WHERE name = 'format'")
        if found is None or found[0] != FORMAT:
            raise Refused(f"{self.shown} is of another format than {FORMAT!r}: make it anew from the log")

    def checked(self, sql: str) -> str:
        """See :meth:`projections.reading.Reader.checked`."""
        blank = _BEFORE_WORDS.match(sql)
        assert blank is not None, "the pattern matches nothing at all, too"
        words = re.match(r"\w+", sql[blank.end() :])
        if words is None:
            if sql[blank.end() :].strip(" ;"):
                raise Refused(f"a query begins with SELECT, not with {sql[blank.end() :][:20]!r}\n{HINT}")
            raise Refused("0 statements were given where one query is asked for")
        kind = words[0].upper()
        if kind == "FROM":
            raise Refused(f"PostgreSQL's queries begin with SELECT: put `SELECT *` before the FROM\n{HINT}")
        if kind not in _READING:
            raise Refused(f"the projections are read-only: {kind} is not possible, SELECT is")
        return sql

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query; Refused where PostgreSQL cannot make sense of it."""
        names, chunks = self.chunks(sql, arguments)
        return names, list(chain.from_iterable(chunks))

    def chunks(
        self, sql: str, arguments: Sequence[Any] = ()
    ) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """See :meth:`projections.reading.Reader.chunks`.

        Streamed, not by a cursor of the server: for a cursor PostgreSQL does without its parallel plans.
        """
        cursor = self.connection.cursor()
        rows = self._stream(cursor, sql, arguments)
        first = list(islice(rows, CHUNK_ROWS))
        names = [column.name for column in cursor.description] if cursor.description else self._names(sql)
        return names, self._in_chunks(first, rows)

    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""
        yield from (text for (text,) in self._stream(self.connection.cursor(), sql, ()))

    def _names(self, sql: str) -> list[str]:
        """The columns of an answer without rows, of which a stream says nothing: the server is asked for them alone."""
        session = self.connection.pgconn
        session.prepare(b"", sql.encode())
        described = session.describe_prepared(b"")
        return [(described.fname(number) or b"").decode() for number in range(described.nfields)]

    def _stream(self, cursor: Any, sql: str, arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from cursor.stream(sql, list(arguments) or None, size=self._size)
        except self._error as error:
            raise _refused(error, self.shown) from error

    @staticmethod
    def _in_chunks(
        first: list[tuple[Any, ...]], rows: Iterator[tuple[Any, ...]]
    ) -> Iterator[list[tuple[Any, ...]]]:
        chunk = first
        while chunk:
            yield chunk
            chunk = list(islice(rows, CHUNK_ROWS))

    def tables(self) -> list[tuple[str, str]]:
        """Everything that can be asked, with what it holds."""
        _, found = self.fetch(
            "SELECT viewname::TEXT, obj_description(format('%I.%I', schemaname, viewname)::REGCLASS) AS comment"
            " FROM pg_views WHERE schemaname = $1 ORDER BY viewname",
            [SCHEMA],
        )
        return [(name, comment) for name, comment in found if comment]

    def write_parquet(self, sql: str, path: Path) -> None:
        """Refused: PostgreSQL writes none."""
        raise Refused(
            f"PostgreSQL writes no Parquet files, so {path} cannot come from {self.shown}: --format csv or json can,"
            " and `tallystick export DIR --only NAME` writes tables and views as Parquet"
        )

    @contextmanager
    def moment(self) -> Iterator[None]:
        """See :meth:`projections.reading.Reader.moment`: a transaction that sees what had been committed before it."""
        with explaining(self.shown), self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def close(self) -> None:
        """End the session."""
        self.connection.close()


def _as_duckdb_has_them(connection: "Connection[Any]") -> None:
    """Values as they come from DuckDB: JSON as its text, sums without a fraction as int."""
    text_loader: Any = load(".types.string").TextLoader
    loader: Any = load(".adapt").Loader

    class Number(loader):  # type: ignore[misc]  # psycopg is loaded late, so its class has no type here
        def load(self, data: Any) -> int | Decimal:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdecimal() else Decimal(text)

    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, text_loader)
    connection.adapters.register_loader("numeric", Number)


def _refused(error: "psycopg.Error", shown: str) -> TallystickError:
    kind = (error.sqlstate or "")[:2]
    if kind in ("", "08", "57") and error.sqlstate != "57014":
        return explained(error, shown)
    said = error.diag.message_primary or str(error).partition("\n")[0]
    if error.sqlstate == "25006":
        return Refused("the projections are read-only: a query that changes something is not possible")
    if "multiple commands" in said:
        return Refused("2 statements were given where one query is asked for")
    return Refused(f"PostgreSQL: {said}\n{HINT}")
