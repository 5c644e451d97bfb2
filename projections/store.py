"""What every store in an SQL database does alike: whose log it holds, and which build of a projection people read.

Every build of a projection has tables of its own (``ledger_entries_v1``); the name without the number is a view. A
rebuild fills ``_v2`` beside and swaps the view. Rows and positions commit together: a kill leaves whole batches.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from events.errors import Refused
from projections import catalog, glossary
from projections.definitions import create_table, create_views, fingerprint
from projections.dialect import Dialect
from projections.digest import Figures, figures, one
from projections.port import Place, Position, Positions, Projection, Rows, Table

FORMAT: Final = "tallystick store 1"
FIRST_BUILD: Final = 1

#: Build and version of what people read, by projection.
LiveBuilds = dict[str, tuple[int, int]]


class SqlStore(ABC):
    """A :class:`projections.port.Store` that can also be built anew. One process owns it.

    Whoever derives from it says how to speak to the database. ``store_about``, ``projection_builds`` and
    ``projection_positions`` are found under these names.
    """

    dialect: Dialect
    #: What messages call it; never with a password.
    shown: str
    #: Told which point of a commit has been reached: for whoever wants to be killed there.
    reach: Callable[[str], None] = staticmethod(lambda _: None)
    #: How the database says that a table or column is not there.
    _absent: tuple[type[Exception], ...]

    # -- what a database has to do ----------------------------------------------------------------------

    @abstractmethod
    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query."""

    @abstractmethod
    def texts(self, sql: str) -> Iterator[str]:
        """See :meth:`projections.port.Database.texts`."""

    @abstractmethod
    def _execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows."""

    @abstractmethod
    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing of what is done inside."""

    @abstractmethod
    def _append(self, table: Table, build: int, rows: Rows) -> None:
        """Rows into a table's build."""

    @abstractmethod
    def _move(self, builds: list[tuple[str, int]], positions: Positions, as_of: int) -> None:
        """Every build named (projection, number) has read up to the positions."""

    @abstractmethod
    def _name_tables(self, projection: Projection, build: int) -> None:
        """Let the plain names stand for this build. Where the views above are to be made anew: :meth:`_unsay_views`."""

    @abstractmethod
    def _unname_tables(self, names: list[str]) -> None:
        """Drop the plain names of tables that are no more."""

    @abstractmethod
    def _make_views(self, statements: list[str]) -> None:
        """Make the catalog's views, which may be there in another shape."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database, so that another process may have it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _furnish(self) -> None:
        """Tables of every projection that has none yet, and the views: what a constructor ends with."""
        with self._transaction():
            live = self._live_builds()
            for projection in catalog.CATALOG:
                if projection.NAME not in live:
                    self._create(projection, FIRST_BUILD)
                    self._set_live(projection, FIRST_BUILD)
            self._publish_views()

    def _about(self, name: str) -> str | None:
        found = one(self, f"SELECT value FROM {self.dialect.tables}store_about WHERE name = $1", [name])
        return None if found is None else str(found[0])

    def _say(self, name: str, value: str) -> None:
        self._execute(
            f"INSERT INTO {self.dialect.tables}store_about VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, value],
        )

    # -- the port ---------------------------------------------------------------------------------------

    def bind_log(self, identity: str) -> None:
        """Say which log the rows are from; Refused where they are from another one."""
        found = self._about("log")
        if found is None:
            self._say("log", identity)
        elif found != identity:
            raise Refused(
                f"{self.shown} was filled from the log {found!r}, not from {identity!r}:"
                " name the store that belongs to this log with --store, or a new one"
            )

    def positions(self, projection: Projection, build: int | None = None) -> dict[Place, Position]:
        """How far the projection's live build (or the one named) has read each log partition."""
        number = self.live(projection) if build is None else build
        _, found = self.fetch(
            "SELECT topic, partition, next, chain FROM projection_positions WHERE projection = $1 AND build = $2",
            [projection.NAME, number],
        )
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
            live = self._live_builds()
            for projection, made in changes:
                number = self._of_this_code(projection, live) if build is None else build
                moved.append((projection.NAME, number))
                for rows in made:
                    if rows.count:
                        self._append(rows.table, number, rows)
            self.reach("after-rows")
            if moved and positions:
                self._move(moved, positions, as_of)
            self.reach("after-position")
        self.reach("after-commit")

    # -- builds -----------------------------------------------------------------------------------------

    def live(self, projection: Projection) -> int:
        """The build that people read; Refused where code of another version made it."""
        return self._of_this_code(projection, self._live_builds())

    def _of_this_code(self, projection: Projection, live: LiveBuilds) -> int:
        build, version = live[projection.NAME]
        if version != projection.VERSION:
            raise Refused(
                f"{self.shown} holds the projection {projection.NAME!r} of version {version}, this program makes"
                f" version {projection.VERSION}: `tallystick project rebuild {projection.NAME}` makes it anew"
            )
        return build

    def live_build(self, projection: Projection) -> tuple[int, int]:
        """Version and build of what people read, whichever code made it."""
        build, version = self._live_builds()[projection.NAME]
        return version, build

    def unfinished_builds(self, projection: Projection) -> list[int]:
        """Builds that never went live: a rebuild was killed."""
        _, found = self.fetch(
            "SELECT build FROM projection_builds WHERE projection = $1 AND NOT live", [projection.NAME]
        )
        return [build for (build,) in found]

    def outdated(self) -> list[Projection]:
        """Projections whose live build was made by code of another version."""
        live = self._live_builds()
        return [
            projection
            for projection in catalog.CATALOG
            if live.get(projection.NAME, (0, 0))[1] != projection.VERSION
        ]

    def _live_builds(self) -> LiveBuilds:
        # Of all at once: of each projection in turn, asking took a quarter of a commit.
        _, found = self.fetch("SELECT projection, build, version FROM projection_builds WHERE live")
        return {projection: (build, version) for projection, build, version in found}

    def next_build(self, projection: Projection) -> int:
        """A number that no build of the projection has."""
        found = one(
            self,
            "SELECT coalesce(max(build), 0) + 1 FROM projection_builds WHERE projection = $1",
            [projection.NAME],
        )
        return int(found[0])

    def create_build(self, projection: Projection, build: int) -> None:
        """Empty tables for a build that nobody reads yet."""
        with self._transaction():
            self._create(projection, build)

    def _create(self, projection: Projection, build: int) -> None:
        for table in projection.TABLES:
            self._run(create_table(table, build, self.dialect))
        self._execute(
            "INSERT INTO projection_builds VALUES ($1, $2, $3, FALSE, $4)",
            [projection.NAME, build, projection.VERSION, [table.name for table in projection.TABLES]],
        )

    def swap(self, projection: Projection, build: int) -> None:
        """Let people read this build, and drop the others, in one transaction."""
        with self._transaction():
            _, others = self.fetch(
                "SELECT build FROM projection_builds WHERE projection = $1 AND build <> $2",
                [projection.NAME, build],
            )
            self._set_live(projection, build)
            for (other,) in others:
                self._drop(projection, other)
            self._publish_views()

    def drop_build(self, projection: Projection, build: int) -> None:
        """Forget a build that is not live."""
        with self._transaction():
            self._drop(projection, build)

    def _drop(self, projection: Projection, build: int) -> None:
        today = {table.name for table in projection.TABLES}
        arguments = [projection.NAME, build]
        found = one(
            self, "SELECT tables FROM projection_builds WHERE projection = $1 AND build = $2", arguments
        )
        # Older code may have had other tables, so the store says which: those that are no more lose their views too.
        names: list[str] = [] if found is None else found[0]
        gone = [name for name in names if name not in today]
        if gone:
            self._unname_tables(gone)
        for name in names:
            self._execute(f"DROP TABLE IF EXISTS {self.dialect.tables}{name}_v{build}")
        self._execute("DELETE FROM projection_builds WHERE projection = $1 AND build = $2", arguments)
        self._execute("DELETE FROM projection_positions WHERE projection = $1 AND build = $2", arguments)

    def _set_live(self, projection: Projection, build: int) -> None:
        self._execute(
            "UPDATE projection_builds SET live = (build = $1) WHERE projection = $2", [build, projection.NAME]
        )
        self._name_tables(projection, build)

    def _publish_views(self) -> None:
        """Make the views, where code or a swap has changed them; not while a table is of another version."""
        if self.outdated():
            return
        statements = create_views(catalog.CATALOG, self.dialect)
        print_of_all = fingerprint([*statements, glossary.fingerprint()])
        if self._about("views") != print_of_all:
            self._make_views(statements)
            self._say("views", print_of_all)

    def _unsay_views(self) -> None:
        """The views are not, or no longer, what was made of the catalog."""
        self._execute(f"DELETE FROM {self.dialect.tables}store_about WHERE name = 'views'")

    def _run(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._execute(statement)

    # -- figures ----------------------------------------------------------------------------------------

    def figures(
        self, projection: Projection, build: int | None = None, *, whole: bool = False
    ) -> dict[str, Figures]:
        """Rows, sums and digest of each table of the live build (or the one named); ``whole``: of all columns.

        A table that an older build does not have, or has with other columns, is left out.
        """
        number = self.live(projection) if build is None else build
        found: dict[str, Figures] = {}
        for table in projection.TABLES:
            with suppress(*self._absent):
                found[table.name] = figures(self, table, number, whole=whole)
        return found
