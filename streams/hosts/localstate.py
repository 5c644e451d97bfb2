"""What a worker keeps of an index beside a log on Kafka: a file that saves time and memory, and is never believed.

It holds the last snapshot, the ends and the chain values of the logs it was taken at, and the cold rows that belong to
it, all written in one transaction. It fits where the log has these very records at these ends; anything else (another
log under the same name, a log that was cut, a damaged file) is thrown away, and the log is folded from its beginning.

Writing takes its time, and an index goes on meanwhile: what is on its way lies before what is there. What cannot be
written stays in memory, and goes with the next. What is cold is read from the open file, for which neither a full disk
nor one that has become read-only matters; where it cannot be read after all, the index ends, and its successor finds
the file damaged.
"""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, RLock
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from events.errors import LogDamaged, TallystickError, Unavailable
from streams.features.shelf import NOTHING, Cold, Cupboard
from streams.hosts.cupboards import ERRORS, Incoming, Tables, prepare
from streams.hosts.log import Log, ends_with
from streams.hosts.snapshots import FORMAT, IndexSnapshot, Spilled, opened

LOGGER: Final = logging.getLogger("tallystick.snapshots")

T = TypeVar("T")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kept (body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS part (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
#: Bytes of a snapshot in a row: SQLite holds a row in memory as often as it touches it, and takes none of a gigabyte.
_PART: Final = 1 << 20
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
#: KiB of the file that stay in memory.
_CACHE: Final = 16_384
#: How much longer whoever writes gently rests than works. All that it does with Python it does instead of whoever
#: decides, half of the time where both want to: at half of what a worker can do, a second of that is two of waiting.
_REST: Final = 4


class Kept(msgspec.Struct, frozen=True):
    """Of a snapshot: where the logs ended, the chain value of the last record of each, and how many events they held.

    ``cold`` is how many rows lie beside it, ``size`` its bytes. What was kept before that was told has no ``format``.
    """

    ends: dict[str, int]
    chains: dict[str, bytes]
    events: int
    cold: int
    size: int = 0
    sha256: bytes = b""
    format: int = 0


class Fitting(NamedTuple):
    """What was kept, and the snapshot itself; which is used up where an index is made of it."""

    kept: Kept
    snapshot: IndexSnapshot


#: Made before there are threads: see EngineSpec.
_KEPT: Final = msgspec.msgpack.Decoder(Kept)


class LetGo(Unavailable):
    """Whoever restores or keeps has been told to end: the place may be somebody else's by now."""


class _File(NamedTuple):
    """A connection to the file, and its cold rows; ``sees_changes``: it was not opened as what nobody writes."""

    db: sqlite3.Connection
    tables: Tables
    sees_changes: bool


class LocalState:
    """The place of one owner's snapshot and cold rows in a folder.

    Used by one thread, beside which one other may :meth:`write`: what is cold is read by a connection of its own, which
    no transaction of the other holds up. Either may find that the place was closed meanwhile. An index whose partitions
    are taken away while it is restored is let go of at once, and the thread that restores it cannot be stopped: what it
    does next raises LetGo. It must not write any more, for the place is its successor's, and SQLite does not survive
    being closed under its hands.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.path = folder / f"{owner.replace('/', '-')}.state"
        self._owner = owner
        self._writer: _File | None = None
        self._reader: _File | None = None
        # What is to be written: of the snapshots the last alone, and all that has left memory since one was written.
        self._to_keep: tuple[Kept, Spilled] | None = None
        self._incoming = Incoming(self._cupboard)
        # Whether what lies in the file is what was found or kept last.
        self._is_there = False
        self._unfit = False
        self._closed = False
        self._awaited = Event()
        self._writing = RLock()
        self._reading = RLock()

    def hold(
        self, spilled: Spilled, ends: Mapping[str, int], chains: Mapping[str, bytes], events: int
    ) -> None:
        """What was spilled lies here from now on, and is to be written. Not while something is being written."""
        self._incoming.add(spilled.leaving)
        self._to_keep = (Kept(dict(ends), dict(chains), events, spilled.cold), spilled)

    def hurry(self) -> None:
        """Somebody waits for what is being written, or about to be: it rests no more. From any thread."""
        self._awaited.set()

    def write(self, *, gently: bool = False) -> bool:
        """Replace what was kept by what is held; False where that was not possible, which is said, and costs memory.

        What could not be written goes with the next. ``gently``: beside somebody who decides, and most of the time at
        rest, so that it takes several times as long; until :meth:`hurry`. Raises LetGo.
        """
        to_keep, self._to_keep = self._to_keep, None
        if to_keep is None:
            return True
        if not gently:
            self.hurry()
        kept, spilled = to_keep
        digest = hashlib.sha256(spilled.body).digest()
        told = msgspec.structs.replace(kept, size=spilled.size, sha256=digest, format=FORMAT)
        try:
            with self._writing:
                self._replace(msgspec.msgpack.encode(told), spilled.body)
        except (OSError, TallystickError, *ERRORS) as error:
            self._go_on()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
                # What was opened where nothing could be written goes on like that, and whatever is opened beside it.
                self._release()
            LOGGER.warning("no snapshot was kept at %s: %s", self.path, error)
            return False
        finally:
            self._awaited.clear()
        self._is_there = True
        self._incoming.clear()
        return True

    def _replace(self, told: bytes, snapshot: bytes) -> None:
        db, tables, _ = self._to_write()
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("DELETE FROM kept")
            db.execute("DELETE FROM part")
            db.execute("INSERT INTO kept VALUES (?)", (told,))
            db.executemany("INSERT INTO part VALUES (?, ?)", self._resting(enumerate(_parts(snapshot))))
            tables.apply(self._owner, self._resting(self._incoming.moves()))
            db.execute("COMMIT")
        except BaseException:
            tables.forget_numbers()
            with suppress(*ERRORS):  # A full disk has ended the transaction already.
                db.execute("ROLLBACK")
            raise

    def _resting(self, what: Iterator[T]) -> Iterator[T]:
        """One after the other, with a rest behind each while nobody waits."""
        began = time.thread_time()
        for one in what:
            yield one
            self._awaited.wait(_REST * (time.thread_time() - began))
            self._go_on()
            began = time.thread_time()

    def events(self) -> int:
        """How many events what was kept stands for, whether it fits or not; 0 where that cannot be told."""
        if not self.path.exists():
            return 0
        try:
            with self._reading:
                return self._told().events
        except (Unavailable, LogDamaged, msgspec.MsgspecError):
            return 0

    def fitting(self, log: Log, partition: int) -> Fitting | None:
        """What was kept, where the log agrees with it; the file is replaced by the next that is kept otherwise.

        Raises LetGo.
        """
        self._release()
        # Whoever asks begins with what lies there, and not with what never got there.
        self._forget()
        if self._unfit or not self.path.exists():
            return None
        try:
            with self._reading:
                kept = self._told()
                snapshot = self._snapshot(kept) if kept.format == FORMAT else None
            if snapshot is None:
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
        self._is_there = True
        return Fitting(kept, snapshot)

    def discard(self, why: str) -> None:
        """What was kept is of no use after all: it is not found again, and the next that is kept takes its place.

        Raises LetGo.
        """
        self._forget()
        self._unused(why)

    def _forget(self) -> None:
        self._to_keep, self._is_there = None, False
        self._incoming.clear()

    # -- the cupboard: the cold rows of what was found or kept last ----------------------------------

    def get(self, shelf: str, key: str) -> Cold | None:
        with self._reading:
            return self._incoming.get(shelf, key)

    def keys(self) -> Iterator[str]:
        return self._incoming.keys()

    def filed(self, shelf: str, day: int) -> list[str]:
        with self._reading:
            return self._incoming.filed(shelf, day)

    def rows(self, shelf: str) -> Iterator[Cold]:
        return self._incoming.rows(shelf)

    def _cupboard(self) -> Cupboard:
        self._go_on()
        return self._to_read().tables.cupboard(self._owner) if self._is_there else NOTHING

    def _go_on(self) -> None:
        if self._closed:
            raise LetGo(f"{self.path} was let go of")

    # -- the file ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file for good. What another thread does with it is broken off."""
        self._closed = True
        self.hurry()
        for using, file in ((self._writing, self._writer), (self._reading, self._reader)):
            if using.acquire(blocking=False):
                using.release()
            elif file is not None:
                with suppress(sqlite3.ProgrammingError):  # Meanwhile it may have been released.
                    file.db.interrupt()
        self._release()

    def _release(self) -> None:
        with self._writing, self._reading:
            self._reader, self._writer = self._closed_one(self._reader), self._closed_one(self._writer)

    @staticmethod
    def _closed_one(file: _File | None) -> None:
        if file is not None:
            file.db.close()

    def _to_read(self) -> _File:
        self._go_on()
        if self._reader is None:
            try:
                self._reader = self._opened()
            except Unavailable:
                # No room for what SQLite writes where it reads. Nobody has the file but we, and we write nothing.
                self._reader = self._opened("mode=ro&immutable=1", sees_changes=False)
        return self._reader

    def _to_write(self) -> _File:
        self._go_on()
        if self._writer is None:
            if self._unfit:
                # Its journal first: it would be played into whatever file it finds.
                for ending in ("-wal", "-shm", ""):
                    self.path.with_name(f"{self.path.name}{ending}").unlink(missing_ok=True)
                self._unfit = False
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._opened()
            with self._reading:
                if self._reader is not None and not self._reader.sees_changes:
                    self._reader = self._closed_one(self._reader)
        return self._writer

    def _opened(self, how: str = "mode=rwc", *, sees_changes: bool = True) -> _File:
        try:
            db = sqlite3.connect(
                f"file:{quote(str(self.path))}?{how}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                db.execute(f"PRAGMA cache_size=-{_CACHE}")
                # Readers do not wait for a transaction, nor it for them; what is lost with the machine is made again.
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchone():
                    db.executescript(_SCHEMA)
                    prepare(db)
            except BaseException:
                db.close()
                raise
        except ERRORS as error:
            raise self._failure(error) from error
        return _File(db, Tables(db, self._failure), sees_changes)

    def _told(self) -> Kept:
        """What is told of the snapshot. Raises LogDamaged, Unavailable, DecodeError."""
        db = self._to_read().db
        with self._explained():
            row = db.execute("SELECT body FROM kept").fetchone()
        if row is None:
            raise LogDamaged(f"{self.path} holds no snapshot")
        return _KEPT.decode(row[0])

    def _snapshot(self, kept: Kept) -> IndexSnapshot | None:
        """What lies there, every byte of it looked at. Raises LogDamaged, Unavailable, DecodeError."""
        db, tables, _ = self._to_read()
        body = bytearray()
        with self._explained():
            if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise LogDamaged(f"the tree of {self.path} is damaged")
            for (part,) in db.execute("SELECT body FROM part ORDER BY number"):
                if type(part) is not bytes:
                    raise LogDamaged(f"a part of the snapshot in {self.path} is no bytes")
                body += part
        if tables.check() != kept.cold:
            raise LogDamaged(f"rows of {self.path} are lost")
        return opened(body, kept.sha256)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, *ERRORS) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> TallystickError:
        if self._closed:
            return LetGo(f"{self.path} was let go of")
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF in _DAMAGED:
            return LogDamaged(f"{self.path}: {error}")
        return Unavailable(f"{self.path}: {error}")

    def _unused(self, why: str) -> Fitting | None:
        self._go_on()
        LOGGER.warning(
            "the snapshot %s is not used: %s; the log is folded from its beginning", self.path, why
        )
        self._release()
        self._unfit = True
        return None


def _parts(snapshot: bytes) -> Iterator[memoryview]:
    whole = memoryview(snapshot)
    return (whole[at : at + _PART] for at in range(0, len(whole), _PART))
