"""Where the projections are: ``duckdb:PATH`` or ``postgresql://...``, and the store that an address leads to.

Nothing of either database is loaded before it is asked for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from events.errors import Refused, Unavailable
from infra.settings import Value, masked, path_of

if TYPE_CHECKING:
    from projections.reading import Reader
    from projections.store import SqlStore

POSTGRES: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's address. ``text`` may hold a password and is shown nowhere; ``str()`` may be shown."""

    text: str = field(repr=False)
    #: The file, where the store is one.
    path: Path | None = None

    def __str__(self) -> str:
        return masked(self.text)


def store_address(value: Value) -> StoreAddress:
    """The address that a setting means; Refused where it means none."""
    if value.text.startswith(POSTGRES):
        return StoreAddress(value.text)
    return in_file(path_of(value, "duckdb", "postgresql://USER@HOST:PORT/DATABASE"))


def in_file(path: Path) -> StoreAddress:
    """The address of a DuckDB file."""
    return StoreAddress(f"duckdb:{path}", path)


def open_store(address: StoreAddress) -> "SqlStore":
    """The store, made where there is none, for the one process that writes. Whoever opens it closes it."""
    if address.path is not None:
        from projections.duck import DuckStore

        return DuckStore(address.path)
    from projections.postgres import PostgresStore

    return PostgresStore(address.text, str(address))


@contextmanager
def reading(address: StoreAddress, as_of: str | None = None) -> Iterator["Reader"]:
    """The store as readers have it; Unavailable where there is none. ``as_of``: as it was at a time or at positions."""
    reader = _reader(address)
    try:
        if as_of is None:
            yield reader
        else:
            from projections.as_of import PastReader, parse

            yield PastReader(reader, parse(as_of, reader))
    finally:
        reader.close()


def _reader(address: StoreAddress) -> "Reader":
    if address.path is not None:
        from projections.duck_reading import DuckReader

        return DuckReader(address.path)
    from projections.postgres_reading import PostgresReader

    return PostgresReader(address.text, str(address))


def grant_reading(address: StoreAddress, role: str) -> None:
    """Let a role of the database server read the store."""
    if address.path is not None:
        raise Refused(
            f"{address} is a file: whoever may read the file may read the store; roles are PostgreSQL's"
        )
    from projections.postgres import grant

    grant(address.text, str(address), role)


def remove_store(address: StoreAddress) -> None:
    """Take the store away with all it holds, where there is one: it can be made again from the log."""
    if address.path is None:
        from projections.postgres import remove

        remove(address.text, str(address))
        return
    try:
        for name in (address.path.name, f"{address.path.name}.wal"):
            address.path.with_name(name).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{address.path} cannot be removed: {os.strerror(error.errno or 0)}") from error
