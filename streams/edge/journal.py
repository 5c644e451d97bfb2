"""What an adapter has put on the wire: on this machine's disk before it goes there.

One SQLite file, one transaction for a batch, synced before the first byte is sent. Whoever starts again finds in it
what went out and has no answer yet. A journal has a name of its own, drawn when it is made, by which the consumer
group's remarks say whose it is: a file that was lost, and made anew, is another journal, and a copy of one is a lie.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from events.errors import Refused, Unavailable

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS journal (name TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS line (
        partition   INTEGER PRIMARY KEY,
        position    INTEGER NOT NULL,
        last_offset INTEGER NOT NULL,
        last_chain  BLOB NOT NULL,
        state       BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS sent (
        partition INTEGER NOT NULL,
        position  INTEGER NOT NULL,
        event     BLOB NOT NULL,
        PRIMARY KEY (partition, position)
    ) STRICT, WITHOUT ROWID;
"""


class Kept(NamedTuple):
    """How far a partition has been taken, the last record before that, and the adapter's state behind it."""

    position: int
    last_offset: int
    last_chain: bytes
    state: bytes


class Sent(NamedTuple):
    """A submission that is, or was about to be, on the wire: where it stands in its log, and its bytes."""

    partition: int
    offset: int
    event: bytes


class Journal:
    """The journal of one process. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises Unavailable where another process has it, or the file cannot be had."""
        path = folder / "adapter.journal"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Unavailable(
                f"another adapter has the journal {path}: give this one a --state of its own"
            ) from None
        except OSError as error:
            raise Unavailable(f"the journal {path} cannot be had: {error.strerror}") from error
        try:
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.executescript(_TABLES)
            self._file.execute(
                "INSERT INTO journal SELECT ? WHERE NOT EXISTS (SELECT * FROM journal)", (token_hex(8),)
            )
            (self.name,) = self._file.execute("SELECT name FROM journal").fetchone()
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the journal {path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Refused(
                f"{path} is not a journal, or is damaged: {error}; without it the adapter can go on"
            ) from error
        self._path = path

    def line(self, partition: int) -> Kept | None:
        """How far a partition has been taken; None where it never was."""
        row = self._file.execute(
            "SELECT position, last_offset, last_chain, state FROM line WHERE partition = ?", (partition,)
        ).fetchone()
        return None if row is None else Kept(*row)

    def sent(self, partition: int) -> list[Sent]:
        """What went out and has no answer, in the order of the log."""
        rows = self._file.execute(
            "SELECT partition, position, event FROM sent WHERE partition = ? ORDER BY position", (partition,)
        )
        return [Sent(*row) for row in rows]

    def write(
        self, sent: Sequence[Sent], answered: Iterable[tuple[int, int]], lines: Iterable[tuple[int, Kept]]
    ) -> None:
        """Note what goes out, what has been answered and how far each partition has come: on disk when it returns."""
        try:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany("DELETE FROM sent WHERE partition = ? AND position = ?", answered)
                self._file.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?)", sent)
                self._file.executemany(
                    "INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?)",
                    [(partition, *kept) for partition, kept in lines],
                )
                self._file.execute("COMMIT")
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the journal {self._path} cannot be written: {error}") from error

    def forget(self, partition: int) -> None:
        """Drop what is kept of a partition: somebody else has had it since."""
        self._file.execute("DELETE FROM sent WHERE partition = ?", (partition,))
        self._file.execute("DELETE FROM line WHERE partition = ?", (partition,))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        os.close(self._lock)
