"""What a projection is: tables, views over them, and a function from a batch of events to rows.

A projection is a module of this folder with ``NAME``, ``VERSION``, ``TABLES``, ``VIEWS`` and ``apply``. It owns
its tables; it never reads them back. A store (:mod:`projections.duck`, :mod:`projections.postgres`) keeps the rows
and, in the same transaction, how far the projection has read, so a crash leaves behind whole batches or nothing.

Rows are only ever appended: what changes (a balance, a status) is a view. Measured on two shared cores, 5,000
rows of ten columns at a time, appending gives 930,000 rows/s; the same rows with an upsert by key gave 160,000
and an order to keep. A sum over a million rows takes 40 ms, so the views can afford it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from events.errors import Unavailable
from projections.batch import Batch
from projections.dialect import Dialect

#: Types that columns may have. TIMESTAMP is UTC, to the microsecond; DATE a day in UTC; DOCUMENT a longer text.
TYPES: Final = frozenset({"TEXT", "DOCUMENT", "BIGINT", "INTEGER", "BOOLEAN", "TIMESTAMP", "DATE", "BLOB"})


class Column(NamedTuple):
    """A column: name, one of :data:`TYPES`, and what an analyst needs to know to use it.

    Values come as text, bytes, bool or int: for TIMESTAMP microseconds since 1970, for DATE days. Nothing is
    NULL: a text that does not apply is empty, a number that does not apply is 0, so that sums need no care.
    """

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a projection.

    ``business`` names the columns that two runs of one input must agree on, however the log was partitioned
    and batched: the digest covers them alone. ``where`` (SQL) leaves rows out of the digest.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    business: tuple[str, ...]
    where: str = "TRUE"

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        assert len(set(names)) == len(names), f"{self.name} has a column twice"
        assert set(self.business) <= set(names), f"{self.name}: business columns it does not have"
        assert all(column.type in TYPES for column in self.columns), f"{self.name}: unknown column type"


class View(NamedTuple):
    """A named query over tables and earlier views of the catalog, in SQL that every store understands."""

    name: str
    comment: str
    sql: str


@dataclass(slots=True)
class Rows:
    """Rows for one table, column by column. Made for one batch, filled by ``add``, read by the store."""

    table: Table
    columns: dict[str, list[Any]]
    count: int = 0

    @classmethod
    def of(cls, table: Table) -> "Rows":
        """No rows yet."""
        return cls(table, {column.name: [] for column in table.columns})

    def add(self, count: int, **values: Any) -> None:
        """Append ``count`` rows. A list gives one value a row, anything else the same value for all.

        Every column must be given: a forgotten one would shift the rows that follow.
        """
        columns = self.columns
        assert values.keys() == columns.keys(), f"{self.table.name}: {values.keys() ^ columns.keys()}"
        for name, value in values.items():
            if isinstance(value, list):
                assert len(value) == count, f"{self.table.name}.{name}: {len(value)} values for {count} rows"
                columns[name] += value
            else:
                columns[name] += [value] * count
        self.count += count


class Projection(Protocol):
    """A module of this folder, listed in :mod:`projections.catalog`."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a module constant

    @property
    def VERSION(self) -> int:  # noqa: N802 - a module constant
        """Raised whenever the same events give other rows; a store with another one must be rebuilt."""

    @property
    def TABLES(self) -> tuple[Table, ...]: ...  # noqa: N802 - a module constant

    @property
    def VIEWS(self) -> tuple[View, ...]: ...  # noqa: N802 - a module constant

    def apply(self, batch: Batch) -> Iterable[Rows]:
        """The rows that these events give. A pure function: no table is read, no clock, no state kept."""


class Position(NamedTuple):
    """How far a projection has read a log partition.

    ``next`` is the position of the next record to read and ``chain`` the chain value of the last one read: a
    store that was filled from another log is found out by it.
    """

    next: int
    chain: bytes


Place = tuple[str, int]
"""A log topic and a partition."""

Positions = Mapping[Place, Position]


class StoreBusy(Unavailable):
    """Another process has the store now."""


class Database(Protocol):
    """What can be asked in SQL: a store by whoever owns it, a reader by everybody else."""

    @property
    def dialect(self) -> Dialect:
        """What its SQL needs."""

    def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query; ``$1`` stands for the first argument."""

    def texts(self, sql: str) -> Iterator[str]:
        """The only column of an answer, which may be larger than memory; nothing else is asked meanwhile."""


class Store(Protocol):
    """Where rows and positions live. One process owns it."""

    def positions(self, projection: Projection) -> dict[Place, Position]:
        """How far the projection has read each log partition; partitions never read are absent."""

    def commit(
        self,
        changes: Sequence[tuple[Projection, Iterable[Rows]]],
        positions: Positions,
        as_of: int,
    ) -> None:
        """Append the rows and move every projection named to the positions, all in one transaction.

        ``as_of`` is the latest logical time in the rows, microseconds UTC: how fresh the store is.
        """

    def bind_log(self, identity: str) -> None:
        """Say which log the rows are from; Refused where they are from another one."""
