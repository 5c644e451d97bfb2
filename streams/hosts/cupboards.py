"""Where cold rows lie (:mod:`streams.features.shelf`): in tables beside a snapshot, or in memory.

A cupboard is written in the transaction that keeps a snapshot, and at no other time. What lies under a key carries a
check; a row that was altered is found when it is read.
"""

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from events.errors import LogDamaged, TallystickError
from streams.features.shelf import UNFILED, Cold, Cupboard, Leaving, Moves, lots, moves_of

#: `shelf` gives each shelf of each owner a number, which is all that its rows need of its name; an owner goes by the
#: first of its own. `cold` has one entry for all that lies under a key, whatever the shelf, for that is written and
#: read at once: what many shelves have of one payment. Entries are numbered as they come, so that new ones all lie in
#: one place of the tree; by their keys, which are in no order, each would touch a page of its own, and a spill write
#: most of the file anew (row by row under their keys, 70,000 of them beside three times as many took nearly three times
#: as long and wrote four times as much, and more with each spill). `filed` finds the rows of a day.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS shelf (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, rows INTEGER NOT NULL, UNIQUE (owner, name)
);
CREATE TABLE IF NOT EXISTS cold (
    number INTEGER PRIMARY KEY, owner INTEGER NOT NULL, key TEXT NOT NULL, rows BLOB NOT NULL, sha256 BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS cold_key ON cold (owner, key);
CREATE TABLE IF NOT EXISTS filed (
    shelf INTEGER NOT NULL, day INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (shelf, day, number)
) WITHOUT ROWID;
"""
_TABLES: Final = ("shelf", "cold", "filed")

#: Half of a SHA-256 is enough against accident, and a cupboard holds millions of them.
_CHECK_BYTES: Final = 16
_READ: Final = 1_000
#: Entries of a statement, five values each: SQLite before 3.32 takes no 1,000. Not one by one, for a thread lets go of
#: the interpreter at each statement, and beside one that decides it waits each time until it gets it back.
_WRITTEN: Final = 160
#: The same of what is filed, three values each.
_FILED: Final = 300
_PUT: Final = "INSERT OR REPLACE INTO cold VALUES "
_REMOVE: Final = "DELETE FROM cold WHERE number IN "
_FILE: Final = "INSERT INTO filed VALUES "
_UNFILE: Final = "DELETE FROM filed WHERE shelf = ? AND day = ? AND number IN "
_FOUND: Final = "SELECT number, key, rows, sha256 FROM cold WHERE "
_UNDER: Final = "owner = ? AND key IN "
_NUMBERED: Final = "+owner = ? AND number IN "
_FROM: Final = "owner = ? AND key > ? ORDER BY key LIMIT ?"
#: In the order in which they lie; by the index of keys, all of an owner's would be sorted for each lot.
_BEHIND: Final = "+owner = ? AND number > ? ORDER BY number LIMIT ?"
_KEYS: Final = "SELECT key FROM cold WHERE owner = ? AND key > ? ORDER BY key LIMIT ?"
_KEYS_OF_DAY: Final = """
SELECT cold.key FROM filed JOIN cold ON cold.number = filed.number WHERE filed.shelf = ? AND filed.day = ?
"""
_DAYS: Final = "SELECT shelf, day, count(*), sum(number) FROM filed GROUP BY shelf, day"

#: What sqlite3 raises; the second where what SQLite complains of, an altered name, is no text.
ERRORS: Final = (sqlite3.DatabaseError, UnicodeDecodeError)

#: A row and the day that it is filed under.
_Row = tuple[int, bytes]
#: By the numbers of their shelves: what comes there, or None for what goes.
_Changes = dict[int, _Row | None]
_ENCODE: Final = msgspec.msgpack.Encoder().encode
#: Made before there are threads: see EngineSpec.
_ROWS: Final = msgspec.msgpack.Decoder(dict[int, _Row])


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables where there are none. Those of an older version go: no snapshot that is used belongs to them."""
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(cold)")}
    if columns and "rows" not in columns:
        for table in _TABLES:
            db.execute(f"DROP TABLE IF EXISTS {table}")
    db.executescript(_SCHEMA)


class _Number(NamedTuple):
    """What stands for a shelf in its rows, and for its owner."""

    owner: int
    shelf: int


class _Entry(NamedTuple):
    """All that lies under a key, by the numbers of the shelves, and the number that this has itself."""

    number: int
    key: str
    rows: dict[int, _Row]


class Tables:
    """The cold rows of all owners in one SQLite file. ``failure`` makes an error of ours of what SQLite raises."""

    def __init__(self, db: sqlite3.Connection, failure: Callable[[Exception], TallystickError]) -> None:
        self._db = db
        self._failure = failure
        self._numbers: dict[tuple[str, str], _Number] = {}
        self._firsts: dict[str, int] = {}
        # The last entry's number, once it was asked for.
        self._last: int | None = None

    def cupboard(self, owner: str) -> Cupboard:
        """What is kept for one owner."""
        return _Owners(self, owner)

    def forget_numbers(self) -> None:
        """A transaction was taken back: numbers given in it are given to others."""
        self._numbers.clear()
        self._firsts.clear()
        self._last = None

    # -- writing -----------------------------------------------------------------------------------

    def apply(self, owner: str, moves: Iterable[Sequence[Moves]]) -> None:
        """Move rows, in the transaction of the caller."""
        for together in moves:
            try:
                self._apply(owner, together)
            except ERRORS as error:
                raise self._failure(error) from error

    def _apply(self, owner: str, together: Sequence[Moves]) -> None:
        numbered = [(self._number(owner, one.shelf) or self._given(owner, one), one) for one in together]
        there = [(number.shelf, one) for number, one in numbered if number is not None]
        first = self._first(owner)
        if first is None:
            return
        anew = {shelf for shelf, one in there if one.anew}
        if anew:
            self._empty(first, anew)
        changes: defaultdict[str, _Changes] = defaultdict(dict)
        for shelf, one in there:
            for day in one.forgotten:
                self._forget(first, shelf, day)
            for key in one.taken:
                changes[key][shelf] = None
            for key, day, row in one.rows:
                changes[key][shelf] = (day, row)
        for keys in lots(sorted(changes), _WRITTEN):
            found = {entry.key: entry for entry in self._under(first, keys)}
            entries = (found.get(key) or self._new(key) for key in keys)
            self._rewrite(first, [(entry, changes[entry.key]) for entry in entries])

    def _empty(self, owner: int, shelves: set[int]) -> None:
        """Take away all rows of some shelves: what was left behind by snapshots that nobody uses, or nothing."""
        laden = {shelf for (shelf,) in self._db.execute("SELECT number FROM shelf WHERE rows > 0")} & shelves
        last = 0
        while laden and (found := self._found(owner, _BEHIND, (last, _WRITTEN))):
            self._rewrite(owner, [(entry, dict.fromkeys(laden & entry.rows.keys())) for entry in found])
            last = found[-1].number

    def _forget(self, owner: int, shelf: int, day: int) -> None:
        filed = self._db.execute("SELECT number FROM filed WHERE shelf = ? AND day = ?", (shelf, day))
        for numbers in lots([number for (number,) in filed], _WRITTEN):
            found = self._found(owner, _NUMBERED + f"({_list('?', numbers)})", numbers)
            days = [entry.rows[shelf][0] for entry in found if shelf in entry.rows]
            if days != [day] * len(numbers):
                raise LogDamaged("the days of rows outside memory have been altered")
            self._rewrite(owner, [(entry, {shelf: None}) for entry in found])

    def _rewrite(self, owner: int, changed: Sequence[tuple[_Entry, _Changes]]) -> None:
        """Change what lies under some keys, no more of them than a statement takes."""
        written: list[tuple[object, ...]] = []
        empty: list[int] = []
        filed: list[tuple[int, int, int]] = []
        unfiled: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        counts: Counter[int] = Counter()
        for (number, key, rows), changes in changed:
            for shelf, coming in changes.items():
                going = rows.pop(shelf, None)
                if going is not None:
                    counts[shelf] -= 1
                    if going[0] != UNFILED:
                        unfiled[(shelf, going[0])].append(number)
                if coming is not None:
                    rows[shelf] = coming
                    counts[shelf] += 1
                    if coming[0] != UNFILED:
                        filed.append((shelf, coming[0], number))
            if rows:
                body = _ENCODE(rows)
                written.append((number, owner, key, body, _check(owner, key, body)))
            else:
                empty.append(number)
        execute = self._db.execute
        if written:
            execute(_PUT + _list("(?, ?, ?, ?, ?)", written), _flat(written))
        if empty:
            execute(_REMOVE + f"({_list('?', empty)})", empty)
        for place, numbers in unfiled.items():
            execute(_UNFILE + f"({_list('?', numbers)})", (*place, *numbers))
        for some in lots(filed, _FILED):
            execute(_FILE + _list("(?, ?, ?)", some), _flat(some))
        for shelf, more in counts.items():
            execute("UPDATE shelf SET rows = rows + ? WHERE number = ?", (more, shelf))

    def _new(self, key: str) -> _Entry:
        if self._last is None:
            (self._last,) = self._db.execute("SELECT coalesce(max(number), 0) FROM cold").fetchone()
        self._last += 1
        return _Entry(self._last, key, {})

    # -- reading -----------------------------------------------------------------------------------

    def check(self) -> int:
        """Look at every row; how many there are. Raises LogDamaged."""
        counts: Counter[int] = Counter()
        # How many entries are filed under each day of each shelf, and the sum of their numbers.
        days: Counter[tuple[int, int]] = Counter()
        sums: Counter[tuple[int, int]] = Counter()
        try:
            for owner, *rest in self._db.execute("SELECT owner, number, key, rows, sha256 FROM cold"):
                entry = _checked(owner, *rest)
                for shelf, (day, _) in entry.rows.items():
                    counts[shelf] += 1
                    if day != UNFILED:
                        days[(shelf, day)] += 1
                        sums[(shelf, day)] += entry.number
            told = dict(self._db.execute("SELECT number, rows FROM shelf WHERE rows != 0"))
            filed = self._db.execute(_DAYS).fetchall()
        except ERRORS as error:
            raise self._failure(error) from error
        if told != counts or sorted(filed) != [(*place, days[place], sums[place]) for place in sorted(days)]:
            raise LogDamaged("rows outside memory are lost or misfiled: the file has been altered")
        return counts.total()

    def get(self, owner: str, shelf: str, key: str) -> Cold | None:
        try:
            number = self._number(owner, shelf)
            if number is None:
                return None
            found = self._under(number.owner, (key,))
        except ERRORS as error:
            raise self._failure(error) from error
        row = found[0].rows.get(number.shelf) if found else None
        return None if row is None else Cold(key, *row)

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
            return [key for (key,) in self._db.execute(_KEYS_OF_DAY, (number.shelf, day))]
        except ERRORS as error:
            raise self._failure(error) from error

    def rows(self, owner: str, shelf: str) -> Iterator[Cold]:
        last = ""
        while True:
            try:
                number = self._number(owner, shelf)
                if number is None:
                    return
                found = self._found(number.owner, _FROM, (last, _READ))
            except ERRORS as error:
                raise self._failure(error) from error
            for entry in found:
                if number.shelf in entry.rows:
                    yield Cold(entry.key, *entry.rows[number.shelf])
            if len(found) < _READ:
                return
            last = found[-1].key

    def _under(self, owner: int, keys: Sequence[str]) -> list[_Entry]:
        return self._found(owner, _UNDER + f"({_list('?', keys)})", keys)

    def _found(self, owner: int, which: str, values: Sequence[str | int]) -> list[_Entry]:
        found = self._db.execute(_FOUND + which, (owner, *values)).fetchall()
        return [_checked(owner, *row) for row in found]

    # -- numbers -----------------------------------------------------------------------------------

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

    def _given(self, owner: str, one: Moves) -> _Number | None:
        """A number for a shelf that has had no rows; None where it gets none now."""
        if not one.rows:
            return None
        self._db.execute("INSERT INTO shelf (owner, name, rows) VALUES (?, ?, 0)", (owner, one.shelf))
        return self._number(owner, one.shelf)


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

    def moves(self) -> Iterator[list[Moves]]:
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

    def apply(self, moves: Iterable[Sequence[Moves]]) -> None:
        """Move rows."""
        for one in chain.from_iterable(moves):
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


def _flat(rows: Sequence[tuple[object, ...]]) -> list[object]:
    return list(chain.from_iterable(rows))


def _check(owner: int, key: str, rows: bytes) -> bytes:
    # The number before the key, and it before the bytes: a key holds no NUL.
    return hashlib.sha256(f"{owner} {key}\0".encode() + rows).digest()[:_CHECK_BYTES]


def _checked(owner: Any, number: Any, key: Any, rows: Any, check: Any) -> _Entry:
    # SQLite columns have no types of their own: an altered row header may turn bytes into text.
    sound = type(owner) is int and type(key) is str and type(rows) is bytes
    if not sound or check != _check(owner, key, rows):
        raise LogDamaged("a row outside memory has been altered")
    return _Entry(number, key, _ROWS.decode(rows))
