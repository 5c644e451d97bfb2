"""Stores filled from a story, on every database there is.

To make tables and views takes 0.1 s, and every test wants a store: on DuckDB a file is copied (0.01 s), on PostgreSQL
a database that a test has left in shape is emptied for the next.
"""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from projections.catalog import CATALOG
from projections.duck import DuckStore
from projections.duck_reading import DuckReader
from projections.port import Database, Projection
from projections.postgres import OWNER_LOCK, PostgresStore
from projections.postgres_reading import PostgresReader
from projections.projector import Projector
from projections.reading import Reader
from projections.store import SqlStore
from tests.postgres import Server
from tests.projections.story import Story


class Stores(ABC):
    """Stores on one database."""

    @abstractmethod
    def empty(self) -> SqlStore:
        """A store of its own that has taken nothing."""

    @abstractmethod
    def reopened(self, store: SqlStore) -> SqlStore:
        """The same store, closed and opened again."""

    @abstractmethod
    def address(self, store: SqlStore) -> str:
        """What ``--store`` has to be."""

    @abstractmethod
    def reader(self, store: SqlStore) -> Reader:
        """A reader of a store. A DuckDB file has to be closed before."""

    def filled(
        self, story: Story, *, batch_events: int = 5_000, projections: Sequence[Projection] = CATALOG
    ) -> SqlStore:
        """A store that has taken everything told so far."""
        store = self.empty()
        Projector(story.written(), store, story.partitions, projections, batch_events=batch_events).catch_up()
        return store

    @contextmanager
    def reading(self, store: SqlStore) -> Iterator[Reader]:
        """A store as its readers see it, after its writer has gone."""
        store.close()
        reader = self.reader(store)
        try:
            yield reader
        finally:
            reader.close()


class DuckStores(Stores):
    """Files in a folder that goes with the run."""

    def empty(self) -> DuckStore:
        with tempfile.NamedTemporaryFile(dir=_folder().name, suffix=".duckdb", delete=False) as copy:
            shutil.copy(_template(), copy.name)
        return DuckStore(copy.name)

    def reopened(self, store: SqlStore) -> DuckStore:
        store.close()
        return DuckStore(store.shown)

    def address(self, store: SqlStore) -> str:
        return f"duckdb:{store.shown}"

    def reader(self, store: SqlStore) -> DuckReader:
        return DuckReader(Path(store.shown))


class PostgresStores(Stores):
    """Databases of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._free: list[str] = []
        self._taken: list[str] = []

    def empty(self) -> PostgresStore:
        database = self._free.pop() if self._free else self.server.database()
        self._taken.append(database)
        return self._open(self.server.address(database))

    def _open(self, address: str) -> PostgresStore:
        return PostgresStore(address, address)

    def reopened(self, store: SqlStore) -> PostgresStore:
        store.close()
        with psycopg.connect(store.shown) as db:
            # A process that was killed has the store until the server has noticed: wait for that. This lock ends with
            # its transaction, for the server notices as late that this connection was closed.
            db.execute("SELECT pg_advisory_xact_lock(%s)", [OWNER_LOCK])
        return self._open(store.shown)

    def address(self, store: SqlStore) -> str:
        return store.shown

    def reader(self, store: SqlStore) -> PostgresReader:
        return PostgresReader(store.shown, store.shown)

    def give_back(self) -> None:
        """After a test: what still has the tables of a new store is emptied, the rest is dropped."""
        for database in self._taken:
            with self.server.connect(database) as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                found = db.execute(
                    "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('tallystick_store')"
                    " AND relkind = 'r'"
                ).fetchall()
                in_shape = {name for (name,) in found} == _TABLES
                if in_shape:
                    for name in _TABLES - {"projection_builds", "store_about"}:
                        db.execute(f"DELETE FROM tallystick_store.{name}")  # type: ignore[arg-type]  # names of ours
                    db.execute(
                        "DELETE FROM tallystick_store.store_about WHERE name NOT IN ('format', 'views')"
                    )
                    db.execute("DELETE FROM tallystick_store.projection_builds WHERE NOT live")
            if in_shape:
                self._free.append(database)
            else:
                self.server.drop(database)
        self._taken.clear()


_TABLES = {f"{table.name}_v1" for projection in CATALOG for table in projection.TABLES} | {
    "store_about",
    "projection_builds",
    "projection_positions",
}


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the files of this test run are; it goes when the run ends."""
    return tempfile.TemporaryDirectory(prefix="tallystick-stores-")


@cache
def _template() -> Path:
    path = Path(_folder().name, "template.duckdb")
    DuckStore(path).close()
    return path


def rows(db: Database, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return db.fetch(sql)[1]


def change(store: SqlStore, sql: str) -> None:
    """Alter a store behind its back."""
    assert isinstance(store, DuckStore | PostgresStore)
    store.connection.execute(sql)


def digests(store: SqlStore) -> dict[str, str]:
    """The digest of every table of every projection."""
    return {
        f"{projection.NAME}.{table}": figures.digest
        for projection in CATALOG
        for table, figures in store.figures(projection).items()
    }


def day(partitions: int = 1, sales: int = 12) -> Story:
    """A small day: sales at three shops, every fourth declined, all settled and paid out but the last shop's."""
    story = Story(partitions)
    captures: dict[str, dict[str, int]] = {}
    for number in range(sales):
        shop, amount = f"shop-{number % 3}", 1_000 + number
        if number % 4 == 3:
            story.decline(story.request(number, shop, amount), shop, amount)
        else:
            captures.setdefault(shop, {})[story.sale(number, shop, amount)] = amount
    story.tick(1)
    for shop, of_shop in captures.items():
        payout = f"po-{shop}"
        amount = story.settle(of_shop, shop, payout=payout)
        if shop != "shop-2":
            story.bank_pays(amount, shop, payout=payout, line=int(shop[-1]) + 1)
    for partition in range(partitions):
        story.cycle_total(partition, 1_000)
    story.tick(2)
    return story
