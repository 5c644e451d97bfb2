"""Reading a store, whatever database holds it: one reading statement at a time, with errors that say what to do."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from projections.port import Database

#: How many rows of an answer are in memory at a time.
CHUNK_ROWS: Final = 10_000
HINT: Final = "`tallystick query --schema` lists what can be asked"


class Reader(Database, Protocol):
    """A store as its readers see it: nothing can be changed through it."""

    def checked(self, sql: str) -> str:
        """The one reading statement in ``sql``; Refused for anything else, with what to do."""

    def chunks(
        self, sql: str, arguments: Sequence[Any] = ()
    ) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """Column names and, at most 10,000 at a time, the rows: an answer may be larger than memory.

        Refused where the database cannot make sense of it. Ctrl-C ends the work in the database, too.
        """

    def tables(self) -> list[tuple[str, str]]:
        """Everything that can be asked, with what it holds."""

    def write_parquet(self, sql: str, path: Path) -> None:
        """The answer to a statement as a Parquet file."""

    def moment(self) -> AbstractContextManager[None]:
        """Everything read inside is of one moment, whatever a projector commits meanwhile."""

    def close(self) -> None:
        """Let go of the database."""


def records(db: Database, sql: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query by column name."""
    names, rows = db.fetch(sql, arguments)
    return [dict(zip(names, row, strict=True)) for row in rows]
