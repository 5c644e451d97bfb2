"""Where cold rows lie (:mod:`streams.features.shelf`): in tables beside a snapshot, or in memory.

A cupboard is written in the transaction that keeps a snapshot, and at no other time. Every row carries a check of its
own; one that was altered is found when it is read.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

from events.errors import LogDamaged, TallystickError
from streams.features.shelf import Cold, Cupboard, Leaving, Moves, lots, moves_of

#: `shelf` gives each shelf of each owner a number, which is all that its rows need of its name; an owner goes by the
#: first of its own. Its rows lie by their keys and not by their shelves: what is written or read at once is what many
#: shelves have of one payment, and a tree for each would have as many pages touched as there are shelves. To look at a
#: shelf alone takes reading all of its owner's.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS shelf (number INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (owner, name)
);
CREATE TABLE IF NOT EXISTS cold (
    owner INTEGER NOT NULL, key TEXT NOT NULL, shelf INTEGER NOT NULL, day INTEGER NOT NULL, row BLOB NOT NULL,
    sha256 BLOB NOT NULL, PRIMARY KEY (owner, key, shelf)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cold_day ON cold (shelf, day) WHERE day >= 0;
"""

#: Half of a SHA-256 is enough against accident, and a cupboard holds millions of them.
_CHECK_BYTES: Final = 16
_READ: Final = 1_000
#: Rows of a statement, six values each: SQLite before 3.32 takes no 1,000. Not one by one, for a thread lets go of the
#: interpreter at each statement, and beside one that decides it waits each time until it gets it back (94,000 rows:
#: minutes beside one that does nothing else, 3 s in hundreds; a third less of the processor where nobody decides).
_WRITTEN: Final = 160
_PUT: Final = "INSERT OR REPLACE INTO cold VALUES "
_TAKE: Final = "DELETE FROM cold WHERE owner = ? AND shelf = ? AND key IN "
_GET: Final = "SELECT day, row, sha256 FROM cold WHERE owner = ? AND key = ? AND shelf = ?"
_KEYS: Final = "SELECT DISTINCT key FROM cold WHERE owner = ? AND key > ? ORDER BY key LIMIT ?"
#: Between a day and itself: beside the condition of the index, SQLite takes `day = ?` for every day from 0 on.
_FILED: Final = "SELECT key FROM cold WHERE shelf = ?1 AND day BETWEEN ?2 AND ?2 AND day >= 0"
_FORGET: Final = "DELETE FROM cold WHERE shelf = ?1 AND day BETWEEN ?2 AND ?2 AND day >= 0"
_ROWS: Final = """
SELECT key, day, row, sha256 FROM cold WHERE owner = ? AND shelf = ? AND key > ? ORDER BY key LIMIT ?
"""

#: What sqlite3 raises; the second where what SQLite complains of, an altered name, is no text.
ERRORS: Final = (sqlite3.DatabaseError, UnicodeDecodeError)


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables where there are none. Those of an older version go: no snapshot that is used belongs to them."""
    keys = [name for _, name, _, _, _, place in db.execute("PRAGMA table_info(cold)") if place == 1]
    if keys == ["shelf"]:
        db.execute("DROP TABLE cold")
    db.executescript(_SCHEMA)


class _Number(NamedTuple):
    """What stands for a shelf in its rows, and for its owner."""

    owner: int
    shelf: int


class Tables:
    """The cold rows of all owners in one SQLite file. ``failure`` makes an error of ours of what SQLite raises."""

    def __init__(self, db: sqlite3.Connection, failure: Callable[[Exception], TallystickError]) -> None:
        self._db = db
        self._failure = failure
        self._numbers: dict[tuple[str, str], _Number] = {}
        self._firsts: dict[str, int] = {}
        # Shelves on which surely nothing lies.
        self._bare: set[_Number] = set()

    def cupboard(self, owner: str) -> Cupboard:
        """What is kept for one owner."""
        return _Owners(self, owner)

    def forget_numbers(self) -> None:
        """A transaction was taken back: numbers given in it are given to others."""
        self._numbers.clear()
        self._firsts.clear()
        self._bare.clear()

    def apply(self, owner: str, moves: Iterable[Moves]) -> None:
        """Move rows, in the transaction of the caller."""
        for one in moves:
            try:
                number = self._number(owner, one.shelf)
                if number is not None and number not in self._bare:
                    self._clear(number, one)
                if one.rows:
                    self._put(number or self._given(owner, one.shelf), one.rows)
            except ERRORS as error:
                raise self._failure(error) from error

    def _clear(self, number: _Number, one: Moves) -> None:
        execute = self._db.execute
        if one.anew:
            execute("DELETE FROM cold WHERE owner = ? AND shelf = ?", number)
            self._bare.add(number)
            return
        for day in one.forgotten:
            execute(_FORGET, (number.shelf, day))
        for keys in lots(one.taken, _WRITTEN):
            execute(_TAKE + f"({_list('?', keys)})", (*number, *keys))

    def _put(self, number: _Number, coming: list[Cold]) -> None:
        owner, shelf = number
        self._bare.discard(number)
        for rows in lots(coming, _WRITTEN):
            checked = ((owner, key, shelf, day, row, _check(shelf, key, day, row)) for key, day, row in rows)
            values = [value for row in checked for value in row]
            self._db.execute(_PUT + _list("(?, ?, ?, ?, ?, ?)", rows), values)

    def check(self) -> int:
        """Look at every row; how many there are. Raises LogDamaged."""
        count = 0
        try:
            for shelf, *rest in self._db.execute("SELECT shelf, key, day, row, sha256 FROM cold"):
                _checked(shelf, *rest)
                count += 1
        except ERRORS as error:
            raise self._failure(error) from error
        return count

    def get(self, owner: str, shelf: str, key: str) -> Cold | None:
        try:
            number = self._number(owner, shelf)
            if number is None:
                return None
            found = self._db.execute(_GET, (number.owner, key, number.shelf)).fetchone()
        except ERRORS as error:
            raise self._failure(error) from error
        return None if found is None else _checked(number.shelf, key, *found)

    def keys(self, owner: str) -> Iterator[str]:
        last = ""
        while True:
            try:
                number = self._first(owner)
                if number is None:
                    return
                found = self._db.execute(_KEYS, (number, last, _READ)).fetchall()
            except ERRORS as error:
                raise self._failure(error) from error
            for (key,) in found:
                if type(key) is not str:
                    raise LogDamaged("a key outside memory has been altered")
                yield key
            if len(found) < _READ:
                return
            (last,) = found[-1]

    def filed(self, owner: str, shelf: str, day: int) -> list[str]:
        try:
            number = self._number(owner, shelf)
            if number is None:
                return []
            return [key for (key,) in self._db.execute(_FILED, (number.shelf, day))]
        except ERRORS as error:
            raise self._failure(error) from error

    def rows(self, owner: str, shelf: str) -> Iterator[Cold]:
        last = ""
        while True:
            try:
                number = self._number(owner, shelf)
                if number is None:
                    return
                found = self._db.execute(_ROWS, (*number, last, _READ)).fetchall()
            except ERRORS as error:
                raise self._failure(error) from error
            for row in found:
                yield _checked(number.shelf, *row)
            if len(found) < _READ:
                return
            last = found[-1][0]

    def _number(self, owner: str, shelf: str) -> _Number | None:
        """The number of a shelf; None where it has none, and so no rows."""
        number = self._numbers.get((owner, shelf))
        if number is None:
            found = self._db.execute(
                "SELECT number FROM shelf WHERE owner = ? AND name = ?", (owner, shelf)
            ).fetchone()
            first = self._first(owner)
            if found is None or first is None:
                return None
            number = self._numbers[(owner, shelf)] = _Number(first, int(found[0]))
        return number

    def _first(self, owner: str) -> int | None:
        number = self._firsts.get(owner)
        if number is None:
            (number,) = self._db.execute("SELECT min(number) FROM shelf WHERE owner = ?", (owner,)).fetchone()
            if number is not None:
                self._firsts[owner] = int(number)
        return number

    def _given(self, owner: str, shelf: str) -> _Number:
        self._db.execute("INSERT INTO shelf (owner, name) VALUES (?, ?)", (owner, shelf))
        number = self._number(owner, shelf)
        assert number is not None, "it was given one just now"
        return number


class _Owners:
    """One owner's cupboard in the tables of many."""

    def __init__(self, tables: Tables, owner: str) -> None:
        self._tables = tables
        self._owner = owner

    def get(self, shelf: str, key: str) -> Cold | None:
        return self._tables.get(self._owner, shelf, key)

    def keys(self) -> Iterator[str]:
        return self._tables.keys(self._owner)

    def filed(self, shelf: str, day: int) -> list[str]:
        return self._tables.filed(self._owner, shelf, day)

    def rows(self, shelf: str) -> Iterator[Cold]:
        return self._tables.rows(self._owner, shelf)


class Incoming:
    """A cupboard as it will be: what is on its way into one is looked at first, and then what is there.

    Nothing changes here but by :meth:`add` and :meth:`clear`. Whoever is reading meanwhile, in whatever thread, goes on
    with what was on its way: behind the transaction that has put all of it into the cupboard both say the same. This is
    looked at before the cupboard is asked for: one from before that transaction would miss what is on its way no more.
    """

    def __init__(self, behind: Callable[[], Cupboard]) -> None:
        """``behind`` gives the cupboard as it is."""
        self._behind = behind
        self._shelves: dict[str, Leaving[Any]] = {}

    def add(self, leaving: Iterable[Leaving[Any]]) -> None:
        """This too has left its shelf, behind whatever is still on its way."""
        shelves = dict(self._shelves)
        for one in leaving:
            before = shelves.get(one.shelf)
            shelves[one.shelf] = one if before is None else before.then(one)
        self._shelves = shelves

    def moves(self) -> Iterator[Moves]:
        """All that is to be done to the cupboard."""
        return moves_of(list(self._shelves.values()))

    def clear(self) -> None:
        """It has come, or nobody wants it any more."""
        self._shelves = {}

    def get(self, shelf: str, key: str) -> Cold | None:
        coming = self._shelves.get(shelf)
        behind = self._behind()
        if coming is None:
            return behind.get(shelf, key)
        found = coming.get(key)
        if found is None and not coming.replaces(key):
            found = behind.get(shelf, key)
            if found is not None and found.day in coming.forgotten:
                return None
        return found

    def keys(self) -> Iterator[str]:
        shelves = self._shelves
        behind = self._behind()
        return chain(behind.keys(), *(one.rows for one in shelves.values()))

    def filed(self, shelf: str, day: int) -> list[str]:
        coming = self._shelves.get(shelf)
        behind = self._behind()
        if coming is None:
            return behind.filed(shelf, day)
        keys = [key for key, filed in coming.days.items() if filed == day]
        if day not in coming.forgotten and not coming.anew:
            keys += [key for key in behind.filed(shelf, day) if not coming.replaces(key)]
        return keys

    def rows(self, shelf: str) -> Iterator[Cold]:
        coming = self._shelves.get(shelf)
        behind = self._behind()
        if coming is None:
            return behind.rows(shelf)
        there = (
            found
            for found in (() if coming.anew else behind.rows(shelf))
            if not coming.replaces(found.key) and found.day not in coming.forgotten
        )
        return merge(coming.arriving(sorted(coming.rows)), there, key=attrgetter("key"))


class MemoryCupboard:
    """Cold rows in a dict, for a log in memory."""

    def __init__(self) -> None:
        self._shelves: dict[str, dict[str, Cold]] = {}

    def apply(self, moves: Iterable[Moves]) -> None:
        """Move rows."""
        for one in moves:
            kept = {} if one.anew else self._shelves.get(one.shelf, {})
            if one.forgotten:
                kept = {key: cold for key, cold in kept.items() if cold.day not in one.forgotten}
            for key in one.taken:
                kept.pop(key, None)
            kept.update((cold.key, cold) for cold in one.rows)
            self._shelves[one.shelf] = kept

    def get(self, shelf: str, key: str) -> Cold | None:
        return self._shelves.get(shelf, {}).get(key)

    def keys(self) -> Iterator[str]:
        return chain.from_iterable(self._shelves.values())

    def filed(self, shelf: str, day: int) -> list[str]:
        return [cold.key for cold in self._shelves.get(shelf, {}).values() if cold.day == day]

    def rows(self, shelf: str) -> Iterator[Cold]:
        kept = self._shelves.get(shelf, {})
        return (kept[key] for key in sorted(kept))


def _list(one: str, of: Sequence[object]) -> str:
    return ", ".join([one] * len(of))


def _check(shelf: int, key: str, day: int, row: bytes) -> bytes:
    # Numbers before the key, and it before the bytes: a key holds no NUL.
    return hashlib.sha256(f"{shelf} {day} {key}\0".encode() + row).digest()[:_CHECK_BYTES]


def _checked(shelf: int, key: Any, day: Any, row: Any, check: Any) -> Cold:
    # SQLite columns have no types of their own: an altered row header may turn bytes into text.
    sound = type(key) is str and type(day) is int and type(row) is bytes
    if not sound or check != _check(shelf, key, day, row):
        raise LogDamaged("a row outside memory has been altered")
    return Cold(key, day, row)
