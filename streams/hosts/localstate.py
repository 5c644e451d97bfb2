"""What a worker keeps of an index beside a log on Kafka: a file that saves time and memory, and is never believed.

It holds the last snapshot, the ends and the chain values of the logs it was taken at, and the cold rows that belong to
it, all written in one transaction. It fits where the log has these very records at these ends; anything else (another
log under the same name, a log that was cut, a damaged file) is thrown away, and the log is folded from its beginning.

What cannot be written stays in memory: nothing has become cold then. What is cold is read from the open file, for
which neither a full disk nor one that has become read-only matters; where it cannot be read after all, the index ends,
and its successor finds the file damaged.
"""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Final
from urllib.parse import quote

import msgspec

from events.errors import LogDamaged, TallystickError, Unavailable
from streams.features.shelf import NOTHING, Cold, Cupboard, Moves
from streams.hosts.cupboards import ERRORS, SCHEMA, Tables
from streams.hosts.log import Log, ends_with
from streams.hosts.snapshots import Spilled, unseal

LOGGER: Final = logging.getLogger("tallystick.snapshots")

_SCHEMA: Final = f"CREATE TABLE IF NOT EXISTS kept (body BLOB NOT NULL);{SCHEMA}"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
#: KiB of the file that stay in memory.
_CACHE: Final = 16_384


class Kept(msgspec.Struct, frozen=True):
    """A sealed snapshot, where the logs ended and the chain value of the last record of each.

    ``events`` is how many they held, ``cold`` how many rows lie beside the snapshot.
    """

    ends: dict[str, int]
    chains: dict[str, bytes]
    events: int
    cold: int
    snapshot: bytes


#: Made before there are threads: see EngineSpec.
_KEPT: Final = msgspec.msgpack.Decoder(Kept)


class LetGo(Unavailable):
    """Whoever restores or keeps has been told to end: the place may be somebody else's by now."""


class LocalState:
    """The place of one owner's snapshot and cold rows in a folder.

    Used by one thread; another may close it meanwhile. An index whose partitions are taken away while it is restored
    is let go of at once, and the thread that restores it cannot be stopped: what it does next raises LetGo. It must
    not write any more, for the place is its successor's, and SQLite does not survive being closed under its hands.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.path = folder / f"{owner.replace('/', '-')}.state"
        self._owner = owner
        self._db: sqlite3.Connection | None = None
        self._tables: Tables | None = None
        self._unfit = False
        self._closed = False
        self._using = RLock()

    def keep(
        self, spilled: Spilled, ends: Mapping[str, int], chains: Mapping[str, bytes], events: int
    ) -> bool:
        """Replace what was kept; False where that was not possible, which is said, and costs memory and time.

        Raises LetGo.
        """
        kept = Kept(dict(ends), dict(chains), events, spilled.cold, spilled.snapshot)
        try:
            with self._using:
                self._replace(kept, spilled.moves)
        except (OSError, TallystickError, *ERRORS) as error:
            self._go_on()
            LOGGER.warning("no snapshot was kept at %s: %s", self.path, error)
            return False
        return True

    def _replace(self, kept: Kept, moves: Sequence[Moves]) -> None:
        tables, db = self._opened()
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("DELETE FROM kept")
            db.execute("INSERT INTO kept VALUES (?)", (msgspec.msgpack.encode(kept),))
            tables.apply(self._owner, moves)
            db.execute("COMMIT")
        except BaseException:
            tables.forget_numbers()
            with suppress(*ERRORS):  # A full disk has ended the transaction already.
                db.execute("ROLLBACK")
            raise

    def fitting(self, log: Log, partition: int) -> Kept | None:
        """What was kept, where the log agrees with it; the file is replaced by the next that is kept otherwise.

        Raises LetGo.
        """
        self._release()
        if not self.path.exists():
            return None
        try:
            with self._using:
                kept = self._read()
            if unseal(kept.snapshot) is None:
                return self._unused("it was written by another version")
        except Unavailable as error:
            return self._unused(f"it cannot be read ({error})")
        except (msgspec.MsgspecError, LogDamaged):
            return self._unused("it is damaged")
        for name, end in kept.ends.items():
            if end > log.end(name, partition):
                return self._unused("it is ahead of the log")
            # A snapshot from the way to a state stands at the very beginning of the logs that came later.
            if end and not ends_with(log, name, partition, end, kept.chains.get(name)):
                return self._unused("it belongs to another log")
        return kept

    # -- the cupboard: the cold rows of what was found or kept last ----------------------------------

    def get(self, shelf: str, key: str) -> Cold | None:
        with self._using:
            return self._cupboard().get(shelf, key)

    def filed(self, shelf: str, day: int) -> list[str]:
        with self._using:
            return self._cupboard().filed(shelf, day)

    def rows(self, shelf: str) -> Iterator[Cold]:
        return self._cupboard().rows(shelf)

    def _cupboard(self) -> Cupboard:
        self._go_on()
        return NOTHING if self._tables is None else self._tables.cupboard(self._owner)

    def _go_on(self) -> None:
        if self._closed:
            raise LetGo(f"{self.path} was let go of")

    # -- the file ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file for good. What another thread does with it is broken off."""
        self._closed = True
        db = self._db
        if db is not None:
            with suppress(sqlite3.ProgrammingError):  # Meanwhile it may have been released.
                db.interrupt()
        self._release()

    def _release(self) -> None:
        with self._using:
            db, self._db, self._tables = self._db, None, None
            if db is not None:
                db.close()

    def _opened(self) -> tuple[Tables, sqlite3.Connection]:
        self._go_on()
        if self._db is None or self._tables is None:
            if self._unfit:
                for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                    path.unlink(missing_ok=True)
                self._unfit = False
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=rwc",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                db.execute(f"PRAGMA cache_size=-{_CACHE}")
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone():
                    db.executescript(_SCHEMA)
            except BaseException:
                db.close()
                raise
            self._db, self._tables = db, Tables(db, self._failure)
        return self._tables, self._db

    def _read(self) -> Kept:
        """What lies there, every byte of it looked at. Raises LogDamaged, Unavailable, DecodeError."""
        try:
            tables, db = self._opened()
            if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise LogDamaged(f"the tree of {self.path} is damaged")
            row = db.execute("SELECT body FROM kept").fetchone()
        except (OSError, *ERRORS) as error:
            raise self._failure(error) from error
        if row is None:
            raise LogDamaged(f"{self.path} holds no snapshot")
        kept = _KEPT.decode(row[0])
        if tables.check() != kept.cold:
            raise LogDamaged(f"rows of {self.path} are lost")
        return kept

    def _failure(self, error: Exception) -> TallystickError:
        if self._closed:
            return LetGo(f"{self.path} was let go of")
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF in _DAMAGED:
            return LogDamaged(f"{self.path}: {error}")
        return Unavailable(f"{self.path}: {error}")

    def _unused(self, why: str) -> Kept | None:
        self._go_on()
        LOGGER.warning(
            "the snapshot %s is not used: %s; the log is folded from its beginning", self.path, why
        )
        self._release()
        self._unfit = True
        return None
