"""The store on PostgreSQL: one process writes, anybody reads at the same time.

Two schemas. ``tallystick`` holds nothing but views, for people and their dashboards; ``tallystick_store`` holds the
tables behind them, which only the owner needs to see. Whoever reads sees whole batches, for a batch is one
transaction. A session lock on the database keeps a second writer out, and goes when its owner dies.

Rows go in by COPY as text, a table's batch in one write. Texts are escaped column by column, for most columns have
nothing to escape, and one search over the joined column finds that out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from events.errors import Refused
from projections import glossary
from projections.definitions import name_table, physical, quoted
from projections.dialect import POSTGRES
from projections.port import Positions, Projection, Rows, StoreBusy, Table
from projections.postgres_session import (
    SCHEMA,
    TABLES_SCHEMA,
    connect,
    explained,
    explaining,
    load,
    rows_at_once,
)
from projections.store import FORMAT, SqlStore

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

#: Whoever holds this advisory lock of the database owns the store in it.
OWNER_LOCK: Final = 0x74616C6C79737469
#: How long a change of views waits for somebody who reads them. Behind it everybody else would queue.
_LOCK_TIMEOUT: Final = "30s"
#: What a writer's session needs. What is committed is there after a crash of the server or not, but whole: rows and
#: positions go together, and what is missing is read again. So no commit needs to wait for the disk.
_SESSION: Final = f"""
SET search_path = {SCHEMA}, {TABLES_SCHEMA};
SET datestyle = 'ISO';
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET lock_timeout = '{_LOCK_TIMEOUT}';
SET synchronous_commit = off;
SET client_min_messages = warning;
SET work_mem = '64MB';
"""
#: Views of the schema that no projection makes.
_OWN_VIEWS: Final = ("store_about", "freshness")
_TABLES: Final = f"""
CREATE TABLE {TABLES_SCHEMA}.store_about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE {TABLES_SCHEMA}.projection_builds (
    projection TEXT NOT NULL, build INTEGER NOT NULL, version INTEGER NOT NULL, live BOOLEAN NOT NULL,
    tables TEXT[] NOT NULL, PRIMARY KEY (projection, build)
);
CREATE TABLE {TABLES_SCHEMA}.projection_positions (
    projection TEXT NOT NULL, build INTEGER NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    next BIGINT NOT NULL, chain BYTEA NOT NULL, as_of TIMESTAMP NOT NULL,
    PRIMARY KEY (projection, build, topic, partition)
);
CREATE VIEW {SCHEMA}.store_about AS SELECT name, value FROM {TABLES_SCHEMA}.store_about;
CREATE VIEW {SCHEMA}.freshness AS
SELECT projection, sum(next)::BIGINT AS events, max(as_of) AS as_of
FROM {TABLES_SCHEMA}.projection_positions JOIN {TABLES_SCHEMA}.projection_builds USING (projection, build)
WHERE live GROUP BY projection;
COMMENT ON VIEW {SCHEMA}.freshness IS
    'How many events each projection has taken, and the latest logical time among them.';
COMMENT ON SCHEMA {SCHEMA} IS 'Card payments, for reading: what the projections of Tallystick hold.';
COMMENT ON SCHEMA {TABLES_SCHEMA} IS 'Tables behind the views of the schema {SCHEMA}. Written by Tallystick alone.';
"""
_MOVE: Final = f"""
INSERT INTO {TABLES_SCHEMA}.projection_positions
SELECT * FROM unnest($1::TEXT[], $2::INTEGER[], $3::TEXT[], $4::INTEGER[], $5::BIGINT[], $6::BYTEA[], $7::TIMESTAMP[])
ON CONFLICT (projection, build, topic, partition)
DO UPDATE SET next = excluded.next, chain = excluded.chain, as_of = excluded.as_of
"""


class PostgresStore(SqlStore):
    """A store in the database that ``address`` (a URL, or what else libpq understands) leads to.

    Raises Unavailable where the server is away or another process writes, Refused where the database cannot hold a
    store or holds something else. ``shown`` is the address as messages may repeat it, without a password.
    """

    dialect = POSTGRES

    def __init__(self, address: str, shown: str) -> None:
        errors: Any = load(".errors")
        self._absent = (errors.UndefinedTable, errors.UndefinedColumn)
        self._error = errors.Error
        self._other_shape = errors.InvalidTableDefinition
        self.shown = shown
        self.connection: Connection[Any] = connect(address, shown, _SESSION)
        try:
            with explaining(shown):
                _own(self.connection, shown)
                self._recognise()
                self._furnish()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, address: str, shown: str) -> Self:
        """The store in this database, made where there is none; a context manager that closes it."""
        return cls(address, shown)

    def _recognise(self) -> None:
        if holds_a_store(self.connection, self.shown):
            found = self._about("format")
            if found != FORMAT:
                raise Refused(f"{self.shown} is of format {found!r}, this program writes {FORMAT!r}")
            return
        _, present = self.fetch(
            "SELECT nspname::TEXT FROM pg_namespace WHERE nspname IN ($1, $2)", [SCHEMA, TABLES_SCHEMA]
        )
        with self._transaction():
            # Not IF NOT EXISTS: PostgreSQL asks for the right to create schemas even where they are there.
            for schema in (SCHEMA, TABLES_SCHEMA):
                if (schema,) not in present:
                    self._execute(f"CREATE SCHEMA {schema}")
            self.connection.execute(_TABLES)
            self._say("format", FORMAT)

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query."""
        found = self._cursor(sql, arguments)
        return [column.name for column in found.description or ()], found.fetchall()

    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""
        with explaining(self.shown), self.connection.cursor() as cursor:
            yield from (text for (text,) in cursor.stream(sql, size=rows_at_once()))

    def _execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        self._cursor(sql, arguments)

    def _cursor(self, sql: str, arguments: Sequence[Any]) -> "Cursor[Any]":
        try:
            return self.connection.execute(sql, list(arguments) or None)
        except (*self._absent, self._other_shape):
            raise
        except self._error as error:
            raise explained(error, self.shown) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with explaining(self.shown), self.connection.transaction():
            yield

    def _append(self, table: Table, build: int, rows: Rows) -> None:
        columns = [_FIELDS[column.type](rows.columns[column.name]) for column in table.columns]
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        lines = "\n".join(map("\t".join, zip(*columns, strict=True)))
        name = physical(table, build, self.dialect)
        with self.connection.cursor() as cursor, cursor.copy(f"COPY {name} ({names}) FROM STDIN") as copy:
            copy.write(f"{lines}\n".encode())

    def _move(self, builds: list[tuple[str, int]], positions: Positions, as_of: int) -> None:
        entries = [(*who, *place, *at) for who in builds for place, at in positions.items()]
        self._execute(
            _MOVE,
            [
                *(list(values) for values in zip(*entries, strict=True)),
                _timestamps([as_of] * len(entries)),
            ],
        )

    def _name_tables(self, projection: Projection, build: int) -> None:
        for table in projection.TABLES:
            # Of new tables the planner knows nothing until the server gets round to it.
            self._execute(f"ANALYZE {physical(table, build, self.dialect)}")
        statements = [
            statement for table in projection.TABLES for statement in name_table(table, build, self.dialect)
        ]
        plain = [table.name for table in projection.TABLES]
        self._replace(statements, plain)

    def _unname_tables(self, names: list[str]) -> None:
        self._drop_views(names)

    def _make_views(self, statements: list[str]) -> None:
        self._replace(statements, [])
        # Dashboards show what a column means. Which ones a view has, only the database knows.
        _, columns = self.fetch(
            "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns WHERE table_schema = $1"
            " AND table_name = ANY ($2)",
            [SCHEMA, [*glossary.sources(), "freshness"]],
        )
        self._run(
            f'COMMENT ON COLUMN {SCHEMA}.{view}."{column}" IS {quoted(glossary.comment(view, column))}'
            for view, column in columns
        )

    def _replace(self, statements: list[str], plain: list[str]) -> None:
        """Run statements that replace views; where one has other columns now, drop ours first.

        Replacing keeps what others have built on a view and the right to read it; dropping refuses the one, and the
        other follows from the default privileges that ``tallystick project grant`` sets.
        """
        try:
            with self.connection.transaction():
                self._run(statements)
        except self._other_shape:
            self._drop_views(plain)
            self._run(statements)

    def _drop_views(self, plain: list[str]) -> None:
        """Drop the catalog's views and the plain names given; others go on standing on the other plain names."""
        _, found = self.fetch(
            "SELECT viewname::TEXT FROM pg_views WHERE schemaname = $1 AND viewname <> ALL ($2)"
            " AND (viewname = ANY ($3) OR viewname NOT IN"
            f" (SELECT unnest(tables) FROM {TABLES_SCHEMA}.projection_builds))",
            [SCHEMA, list(_OWN_VIEWS), plain],
        )
        if found:
            # In one statement, so that the order does not matter.
            self._execute("DROP VIEW " + ", ".join(f'{SCHEMA}."{name}"' for (name,) in found))
        self._unsay_views()

    def close(self) -> None:
        """Let go of the database; so does a process that dies."""
        _disown(self.connection)


def _own(connection: "Connection[Any]", shown: str) -> None:
    """Be the one process that writes; StoreBusy where another is."""
    if connection.execute("SELECT pg_try_advisory_lock($1)", [OWNER_LOCK]).fetchone() == (True,):
        return
    holders = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::BIGINT << 32) + objid::BIGINT = $1",
        [OWNER_LOCK],
    ).fetchall()
    who = "".join(f" (backend {pid})" for (pid,) in holders)
    raise StoreBusy(
        f"the store {shown} is being written by another process{who}, and one at a time may:"
        " wait until it has ended, or stop it, and ask again"
    )


def _disown(connection: "Connection[Any]") -> None:
    """Let another process write, and go. The server only notices later that a connection was closed."""
    with suppress(load().Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
    connection.close()


def remove(address: str, shown: str) -> None:
    """Drop every view and table, where there is a store. The schemas stay, and with them who may read what comes next.

    Raises as the store does, and Refused where somebody's own view stands on one of ours.
    """
    with ExitStack() as left, explaining(shown):
        connection = connect(address, shown, _SESSION)
        left.callback(_disown, connection)
        _own(connection, shown)
        if not holds_a_store(connection, shown):
            return
        with connection.transaction():
            for kind, letter in (("VIEW", "v"), ("TABLE", "r")):
                names = connection.execute(
                    "SELECT format('%I.%I', n.nspname, c.relname)"
                    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                    " WHERE n.nspname IN ($1, $2) AND c.relkind = $3",
                    [SCHEMA, TABLES_SCHEMA, letter],
                ).fetchall()
                connection.execute(f"DROP {kind} {', '.join(name for (name,) in names)}")


def grant(address: str, shown: str, role: str) -> None:
    """Let a role read the store: what is there now and what any later build brings. Also while somebody writes.

    Raises Refused where there is no such role or store, or where we are not the one who may say so.
    """
    identifier: Any = load(".sql").Identifier
    with closing(connect(address, shown, _SESSION)) as connection, explaining(shown):
        found = connection.execute(
            "SELECT nspowner::REGROLE::TEXT FROM pg_namespace WHERE nspname = $1", [SCHEMA]
        ).fetchone()
        if found is None or not holds_a_store(connection, shown):
            raise Refused(
                f"there is no store at {shown} that {role!r} could read: run `tallystick demo` first"
            )
        reader = identifier(role).as_string(connection)
        with connection.transaction():
            connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {reader}")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {reader}")
            # Views that have to be dropped for a change of columns come back with this.
            connection.execute(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {found[0]} IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO {reader}"
            )


def holds_a_store(connection: "Connection[Any]", shown: str) -> bool:
    """Whether the database has a store; Refused where it has something else under our names."""
    relations = connection.execute(
        "SELECT n.nspname::TEXT, c.relname::TEXT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ($1, $2)",
        [SCHEMA, TABLES_SCHEMA],
    ).fetchall()
    if relations and (SCHEMA, "store_about") not in relations:
        raise Refused(
            f"{shown} has a schema {relations[0][0]!r} that is no Tallystick store: name another database with --store"
        )
    return bool(relations)


# -- values as COPY reads them -------------------------------------------------------------------------------

#: What stands for a character that PostgreSQL's texts cannot hold; the event's body keeps it.
_FOR_NUL: Final = "\N{SYMBOL FOR NULL}"


def _texts(values: list[str]) -> list[str]:
    """Texts with backslashes, tabs and line ends escaped. The join is over NUL, which no text may hold here."""
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):
        return _texts([value.replace("\0", _FOR_NUL) for value in values])
    if "\\" not in joined and "\t" not in joined and "\n" not in joined and "\r" not in joined:
        return values
    escaped = joined.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
    return escaped.split("\0")


def _integers(values: list[int]) -> list[str]:
    return list(map(int.__repr__, values))


def _booleans(values: list[bool]) -> list[str]:
    return ["t" if value else "f" for value in values]


def _times(unit: str) -> Callable[[list[int]], list[str]]:
    def written(values: list[int]) -> list[str]:
        # Few different ones: the events of a tick have one logical time.
        distinct = list(set(values))
        texts = np.datetime_as_string(np.array(distinct, dtype=np.int64).view(f"M8[{unit}]")).tolist()
        known = dict(zip(distinct, texts, strict=True))
        return [known[value] for value in values]

    return written


def _blobs(values: list[bytes]) -> list[str]:
    return [rf"\\x{value.hex()}" for value in values]


_timestamps: Final = _times("us")

_FIELDS: Final = MappingProxyType[str, Callable[[list[Any]], list[str]]](
    {
        "TEXT": _texts,
        "DOCUMENT": _texts,
        "BIGINT": _integers,
        "INTEGER": _integers,
        "BOOLEAN": _booleans,
        "TIMESTAMP": _timestamps,
        "DATE": _times("D"),
        "BLOB": _blobs,
    }
)
