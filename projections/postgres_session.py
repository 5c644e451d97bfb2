"""Speaking to a PostgreSQL server, and its complaints as sentences that say what to do next."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from events.errors import Refused, TallystickError, Unavailable

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

#: The schema of the views that people read, and the one of the tables behind them.
SCHEMA: Final = "tallystick"
TABLES_SCHEMA: Final = "tallystick_store"
#: ``FILTER``, ``ON CONFLICT`` and the rest are older; what is older than this gets no repairs any more.
OLDEST_VERSION: Final = 13
EXTRA: Final = (
    "psycopg is not installed:"
    " pip install 'tallystick[postgres]', or in the source tree make .venv/test.stamp"
)
_STREAM_ROWS: Final = 1_000
#: Seconds until a server that does not answer counts as away. ``connect_timeout`` in the address beats it.
CONNECT_TIMEOUT_S: Final = 10
#: Without these a connection whose other end has lost its power stays for hours, and with it the writer's lock.
_SERVER_KEEPALIVES: Final = (
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
)

_NO_DATABASE: Final = re.compile(r'database "(.*?)" does not exist')
_NO_ROLE: Final = re.compile(r'role "(.*?)" does not exist')


def load(module: str = "") -> Any:
    """psycopg, or a module of it. Raises Unavailable where the extra ``postgres`` is not installed."""
    try:
        return import_module(f"psycopg{module}")
    except ImportError as error:
        raise Unavailable(EXTRA) from error


def rows_at_once() -> int:
    """How many rows of a stream come from the server at once: before libpq 17 one by one."""
    return _STREAM_ROWS if load().capabilities.has_stream_chunked() else 1


def connect(address: str, shown: str, settings: str) -> "Connection[Any]":
    """A connection in autocommit mode with arguments written ``$1``, its session set up by ``settings``.

    Raises Unavailable and Refused as :func:`explaining` does; ``shown`` is the address without its password.
    """
    library: Any = load()
    try:
        parts: dict[str, Any] = library.conninfo.conninfo_to_dict(address)
    except library.ProgrammingError as error:
        raise _not_understood(shown) from error
    # A password with a slash in it ends up here. What libpq complains of then is a piece of the password.
    if not all(port.isdecimal() for port in str(parts.get("port", "0")).split(",")):
        raise _not_understood(shown)
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "fallback_application_name": "tallystick"}
    try:
        connection: Connection[Any] = library.connect(
            **(defaults | parts),
            autocommit=True,
            cursor_factory=library.RawCursor,
            # The plan of a statement that is run once a batch is cheap beside its rows.
            prepare_threshold=None,
        )
    except library.Error as error:
        raise _not_connected(error, shown) from error
    try:
        _check(connection, shown)
        with explaining(shown):
            connection.execute(f"{_SERVER_KEEPALIVES}; {settings}")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: "Connection[Any]", shown: str) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise Refused(f"{shown} is PostgreSQL {version}: from {OLDEST_VERSION} on it can hold a store")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Refused(
            f"the database {connection.info.dbname!r} of {shown} is encoded in {encoding}, which cannot hold every"
            " text: create one with `createdb --template=template0 --encoding=UTF8 NAME`"
        )


@contextmanager
def explaining(shown: str) -> Iterator[None]:
    """Raise what PostgreSQL complains of inside as Unavailable (it may pass) or Refused (it will not)."""
    library: Any = load()
    try:
        yield
    except library.Error as error:
        raise explained(error, shown) from error


def explained(error: "psycopg.Error", shown: str) -> TallystickError:
    """The exception for an error of a statement, with what to do next."""
    words = _words(error)
    code = error.sqlstate or ""
    match code:
        case "42501" if "for database" in words:
            return Refused(
                f"{shown}: {words}. A store is two schemas, so let the owner of the database run"
                f" `CREATE SCHEMA {SCHEMA} AUTHORIZATION ROLE; CREATE SCHEMA {TABLES_SCHEMA} AUTHORIZATION ROLE`"
            )
        case "42501":
            return Refused(
                f"{shown}: {words}. Only the role that made the store may change it: name that one"
            )
        case "42704":
            return Refused(f"{shown}: {words}; `CREATE ROLE` makes one")
        case "25006":
            return Refused(f"{shown} only lets read ({words}): name the primary server with --store")
        case "2BP01":
            return Refused(
                f"{shown}: {words}{_detail(error)}. Drop what stands on it, and create it again afterwards"
            )
        case "55P03":
            return Unavailable(
                f"{shown}: somebody has been reading what is to be replaced for too long ({words}):"
                " end that query, or ask again later"
            )
        case _ if code[:2] in ("", "08", "57"):
            return Unavailable(
                f"the connection to the store {shown} broke ({words}): whole batches are kept, so run the same"
                " command again to go on"
            )
        case _:
            return Unavailable(f"the store {shown} cannot be written: {words}")


def _not_connected(error: "psycopg.Error", shown: str) -> TallystickError:
    """libpq gives no code for what fails before a session stands, so its words decide."""
    text, words = str(error), _words(error)
    if found := _NO_DATABASE.search(text):
        return Refused(f"{shown}: there is no database {found[1]!r}: make it with `createdb {found[1]}`")
    if found := _NO_ROLE.search(text):
        return Refused(f"{shown}: there is no role {found[1]!r}: make it with `createuser {found[1]}`")
    if "no password supplied" in text:
        return Refused(f"{shown} asks for a password: give it in PGPASSWORD or ~/.pgpass")
    if "authentication failed" in text or "no pg_hba.conf entry" in text:
        return Refused(f"{shown} does not let us in: {words}; check the user and the password")
    if "service" in text and "not found" in text:
        return Refused(f"{shown}: {words}; the file ~/.pg_service.conf has the services")
    return Unavailable(f"no PostgreSQL answers at {shown} ({words}): start it, or name another store")


def _not_understood(shown: str) -> Refused:
    return Refused(
        f"{shown} is not an address that PostgreSQL understands: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with"
        " letters like @ : / in a password written as %40 %3A %2F, or the password in PGPASSWORD"
    )


def _words(error: "psycopg.Error") -> str:
    """What PostgreSQL says, in one line: the first of several attempts to connect."""
    said = error.diag.message_primary or str(error).partition("Multiple connection attempts failed")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (
        lines[0].removeprefix("connection failed: ").removeprefix("connection is bad: ").rstrip(".")
        if lines
        else type(error).__name__
    )


def _detail(error: "psycopg.Error") -> str:
    return f" ({'; '.join(error.diag.message_detail.splitlines())})" if error.diag.message_detail else ""
