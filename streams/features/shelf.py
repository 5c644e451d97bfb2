"""A shelf: rows by key, of which those that nobody has touched for long lie outside memory.

A processor uses a :class:`Shelf` like a dict. The rows touched lately are in memory, in two generations: ``young``
since the last spill, ``old`` before it. Touching a row makes it young. A spill takes away what is still old (nobody has
touched it between two spills) and lets the young grow old; the host puts what is leaving into a :class:`Cupboard`, in
the transaction that keeps the snapshot, and nowhere else. So a cupboard always stands at its snapshot, and what has
happened to cold rows since is remembered here: ``taken`` are those that were touched or removed, ``forgotten`` the days
that were.

What a processor sees never depends on what is hot or cold. A row may be filed under a day (since 1970), and a whole day
be forgotten at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

import msgspec

T = TypeVar("T")
V = TypeVar("V")

#: The day of a row that is filed under none.
UNFILED: Final = -1

#: Keys that are moved at once, and what lies under each on all shelves: some milliseconds. Others go on in between.
_AT_ONCE: Final = 160

_ENCODE: Final = msgspec.msgpack.Encoder().encode


class Cold(NamedTuple):
    """A row outside memory: its key, the day it is filed under (:data:`UNFILED` for none), and its msgpack."""

    key: str
    day: int
    row: bytes


class Moves(NamedTuple):
    """What a spill does to the cupboard of one shelf, in this order: days go, rows go, rows come.

    Cupboards are given lists of them: what is done together, of several shelves.

    ``anew``: of what lies there nothing counts, for it belongs to no snapshot that is used; all of it goes first.
    """

    shelf: str
    anew: bool
    forgotten: list[int]
    taken: list[str]
    rows: list[Cold]


class Cupboard(Protocol):
    """Cold rows, by the name of their shelf. It changes by :class:`Moves` alone. Raises LogDamaged, Unavailable."""

    def get(self, shelf: str, key: str) -> Cold | None:
        """A row, or None."""

    def keys(self) -> Iterator[str]:
        """The keys under which anything lies, on whatever shelf; one may come more than once."""

    def filed(self, shelf: str, day: int) -> list[str]:
        """The keys of all rows that are filed under a day."""

    def rows(self, shelf: str) -> Iterator[Cold]:
        """All rows, in the order of their keys."""


class Known(Protocol):
    """Keys that may lie in a cupboard: every one that does, and now and then another. A set is one."""

    def update(self, keys: Iterable[str], /) -> None:
        """These may, too."""

    def __contains__(self, key: object, /) -> bool:
        """Whether it is worth looking."""


class Empty:
    """The cupboard of whoever has none."""

    def get(self, shelf: str, key: str) -> Cold | None:
        return None

    def keys(self) -> Iterator[str]:
        return iter(())

    def filed(self, shelf: str, day: int) -> list[str]:
        return []

    def rows(self, shelf: str) -> Iterator[Cold]:
        return iter(())


NOTHING: Final = Empty()


class Shelf(msgspec.Struct, Generic[V], dict=True):
    """Rows by key. A part of a processor's state, and by msgpack, without its cold rows, of a snapshot.

    ``filed`` has the days of hot rows that have one, ``days`` how many rows are filed under each, hot or cold; ``cold``
    counts the rows of the cupboard that are neither taken nor forgotten. Rows are not None.
    """

    young: dict[str, V] = {}
    old: dict[str, V] = {}
    filed: dict[str, int] = {}
    days: dict[int, int] = {}
    taken: dict[str, bool] = {}
    forgotten: list[int] = []
    cold: int = 0

    def __post_init__(self) -> None:
        """Cold rows need :meth:`attach`; until then there are none."""
        self._name = ""
        self._cupboard: Cupboard = NOTHING
        self._decoder: msgspec.msgpack.Decoder[V] | None = None
        self._known: Known | None = None
        # The key under which nothing was found last: who asks for a row that is not there puts one there next.
        self._absent: str | None = None
        # What a snapshot holds of `old`, while it is still to be encoded.
        self._staying: Staying[V] | None = None

    def attach(self, name: str, cupboard: Cupboard, kind: Any, known: Known) -> None:
        """Say where the cold rows lie, and the type of a row. The host's, before the first event.

        ``known`` has every key of the cupboard. All shelves of one cupboard share it.
        """
        self._name = name
        self._cupboard = cupboard
        self._decoder = row_decoder(kind)
        self._known = known
        self._absent = None

    @property
    def attached(self) -> bool:
        """Whether rows that go can come back: a shelf that does not know where to may not spill."""
        return self._decoder is not None

    # -- like a dict -------------------------------------------------------------------------------

    def get(self, key: str) -> V | None:
        """A row, which may be changed in place until the next event; None where there is none."""
        row = self.young.get(key)
        return self._touch(key) if row is None else row

    def peek(self, key: str) -> V | None:
        """A row as it is, without touching it: for whoever looks on, and changes nothing."""
        row = self.young.get(key) or self.old.get(key)
        if row is None:
            found = self._found_cold(key)
            return None if found is None else self._decoded(found)
        return row

    def __getitem__(self, key: str) -> V:
        row = self.young.get(key)
        if row is None:
            row = self._touch(key)
            if row is None:
                raise KeyError(key)
        return row

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __setitem__(self, key: str, row: V) -> None:
        """Put a row in the place of the one that is there, if any; it stays filed where that one was."""
        if key not in self.young and key != self._absent:
            self._touch(key)
        self._absent = None
        self.young[key] = row

    def __delitem__(self, key: str) -> None:
        if self.pop(key) is None:
            raise KeyError(key)

    def pop(self, key: str) -> V | None:
        """Take a row away; None where there is none."""
        row = self.get(key)
        if row is not None:
            del self.young[key]
            self._unfile(key)
        return row

    def __len__(self) -> int:
        return len(self.young) + len(self.old) + self.cold

    def items(self) -> Iterator[tuple[str, V]]:
        """All rows in the order of their keys. Cold ones stay where they are: for reading alone."""
        hot = sorted([*self.young.items(), *self.old.items()], key=itemgetter(0))
        return merge(hot, self._cold_items(), key=itemgetter(0)) if self.cold else iter(hot)

    # -- days --------------------------------------------------------------------------------------

    def put(self, key: str, row: V, day: int) -> None:
        """Put a row and file it under a day."""
        self[key] = row
        self.file(key, day)

    def file(self, key: str, day: int) -> None:
        """File a row that is there under a day, and no more under the one before."""
        self._touch_or_fail(key)
        self._unfile(key)
        self.filed[key] = day
        self.days[day] = self.days.get(day, 0) + 1

    def days_before(self, day: int) -> list[int]:
        """The days before this one under which something is filed, in order."""
        return sorted(filed for filed in self.days if filed < day)

    def forget(self, day: int) -> list[str]:
        """Take away all rows that are filed under a day; their keys, in no order that means anything."""
        if not self.days.pop(day, 0):
            return []
        names = [key for key, filed in self.filed.items() if filed == day]
        for key in names:
            del self.filed[key]
            if self.young.pop(key, None) is None:
                del self.old[key]
        if self.cold and day not in self.forgotten:
            cold = [key for key in self._cupboard.filed(self._name, day) if key not in self.taken]
            if cold:
                self.cold -= len(cold)
                self.forgotten.append(day)
                names += cold
        return names

    # -- spilling ----------------------------------------------------------------------------------

    @property
    def known(self) -> Known:
        """The keys that may lie in the cupboard of an attached shelf."""
        assert self._known is not None, "what goes has to come back"
        return self._known

    def let_go(self) -> "Leaving[V]":
        """A shelf's part of a :func:`spill`."""
        rows, filed = self.old, self.filed
        days = {key: filed[key] for key in rows if key in filed}
        if days:
            self.filed = {key: day for key, day in filed.items() if key not in days}
        is_bare = not (self.cold or self.forgotten or self.taken)
        leaving = Leaving(self._name, is_bare, self.forgotten, self.taken, rows, days)
        self.young, self.old = {}, self.young
        self.taken, self.forgotten = {}, []
        self.cold += len(rows)
        return leaving

    def stay(self) -> "Staying[V]":
        """What a spill has left in memory, as it is, for a snapshot that is encoded later. Right behind it."""
        assert not self.young, "young rows are changed by whoever has them"
        self._staying = Staying(self.old)
        return self._staying

    def _touch(self, key: str) -> V | None:
        """Make an old or a cold row young; None where there is none."""
        row = self.old.pop(key, None)
        if row is not None:
            if self._staying is not None:
                self._staying.keep(key, row)
        else:
            found = self._found_cold(key)
            if found is None:
                self._absent = key
                return None
            row = self._decoded(found)
            self.taken[key] = True
            self.cold -= 1
            if found.day != UNFILED:
                self.filed[key] = found.day
        self.young[key] = row
        return row

    def _found_cold(self, key: str) -> Cold | None:
        if not self.cold or key in self.taken or self._known is None or key not in self._known:
            return None
        found = self._cupboard.get(self._name, key)
        return None if found is None or found.day in self.forgotten else found

    def _touch_or_fail(self, key: str) -> None:
        if key not in self.young and self._touch(key) is None:
            raise KeyError(key)

    def _unfile(self, key: str) -> None:
        day = self.filed.pop(key, UNFILED)
        if day != UNFILED:
            left = self.days[day] - 1
            if left:
                self.days[day] = left
            else:
                del self.days[day]

    def _cold_items(self) -> Iterator[tuple[str, V]]:
        for found in self._cupboard.rows(self._name):
            if found.key not in self.taken and found.day not in self.forgotten:
                yield found.key, self._decoded(found)

    def _decoded(self, found: Cold) -> V:
        assert self._decoder is not None, "a shelf with cold rows is attached"
        return self._decoder.decode(found.row)


class Staying(Generic[V]):
    """What one spill has left in memory, as it was, for the snapshot: encoded later, so many rows at a time.

    Whoever touches a row before its turn has come encodes it first.
    """

    def __init__(self, rows: dict[str, V]) -> None:
        self._rows: dict[str, V | msgspec.Raw] = dict(rows)

    def keep(self, key: str, row: V) -> None:
        """A row is about to change."""
        if key in self._rows:
            self._rows[key] = msgspec.Raw(_ENCODE(row))

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of it, as msgpack of dicts of so many rows. Once; between two pieces rows may be touched."""
        yield from pieces_of(self._rows, size)
        self._rows = {}


class Leaving(Generic[V]):
    """What one spill has taken out of memory, as it was: nobody changes it any more.

    ``rows`` by their keys, ``days`` of those that are filed; the rest as in :class:`Moves`. Encoding them takes longer
    than all that a spill does, and may be done by another thread, later.
    """

    def __init__(
        self,
        shelf: str,
        anew: bool,
        forgotten: list[int],
        taken: dict[str, bool],
        rows: dict[str, V],
        days: dict[str, int],
    ) -> None:
        self.shelf = shelf
        self.anew = anew
        self.forgotten = forgotten
        self.taken = taken
        self.rows = rows
        self.days = days

    def get(self, key: str) -> Cold | None:
        """A row as a cupboard would have it: whoever gets it may change what is made of it."""
        row = self.rows.get(key)
        return None if row is None else self._cold(key, row)

    def replaces(self, key: str) -> bool:
        """Whether what the cupboard has under a key counts no more: it went with all, was taken, or comes anew."""
        return self.anew or key in self.taken or key in self.rows

    def clearing(self) -> Moves:
        """What goes from the cupboard because of this, beside what was taken."""
        return Moves(self.shelf, self.anew, self.forgotten, [], [])

    def moving(self, keys: Sequence[str]) -> Moves:
        """What goes and comes under some keys."""
        return Moves(self.shelf, False, [], [key for key in keys if key in self.taken], self.arriving(keys))

    def arriving(self, keys: Iterable[str]) -> list[Cold]:
        """Those of these that come into the cupboard."""
        return [self._cold(key, self.rows[key]) for key in keys if key in self.rows]

    def _cold(self, key: str, row: V) -> Cold:
        return Cold(key, self.days.get(key, UNFILED), _ENCODE(row))

    def then(self, later: "Leaving[V]") -> "Leaving[V]":
        """This and what has left the same shelf after it, as one."""
        if later.anew:
            return later
        gone = {key for key, day in self.days.items() if day in later.forgotten} | later.taken.keys()
        rows = {key: row for key, row in self.rows.items() if key not in gone}
        days = {key: day for key, day in self.days.items() if key not in gone}
        return Leaving(
            self.shelf,
            self.anew,
            [*self.forgotten, *later.forgotten],
            self.taken | later.taken,
            rows | later.rows,
            days | later.days,
        )


def spill(shelves: Sequence[Shelf[Any]]) -> list[Leaving[Any]]:
    """Let go of every row that was not touched since the last spill. Between two events, with a snapshot.

    All shelves of a cupboard together: most of what leaves them lies under the same keys, which become known once.
    """
    leaving = [shelf.let_go() for shelf in shelves]
    shelves[0].known.update(set().union(*(one.rows for one in leaving)))
    return leaving


def moves_of(leaving: Sequence[Leaving[Any]]) -> Iterator[list[Moves]]:
    """What all of this does to the cupboard, so many keys at a time.

    What goes and comes under a key is told together, whatever the shelf: it lies together.
    """
    yield [one.clearing() for one in leaving]
    moving = [one for one in leaving if one.rows or one.taken]
    keys = set().union(*(one.rows for one in moving), *(one.taken for one in moving))
    for some in lots(sorted(keys), _AT_ONCE):
        moves = [one.moving(some) for one in moving]
        yield [one for one in moves if one.taken or one.rows]


def pieces_of(rows: dict[Any, Any], size: int) -> Iterator[bytes]:
    """A dict as msgpack of dicts of so many of its entries, whose values may be others between two of them."""
    entries = iter(rows.items())
    while piece := dict(islice(entries, size)):
        yield _ENCODE(piece)


def lots(what: list[T], size: int) -> Iterator[list[T]]:
    """A list, so many at a time."""
    return (what[at : at + size] for at in range(0, len(what), size))


@cache
def row_decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """What reads rows of a type. Made once, by whoever first asks, which is to be before there are threads."""
    return msgspec.msgpack.Decoder(kind)


class Found(NamedTuple):
    """A shelf in a state: the names of the fields that lead to it, and the type of its rows."""

    path: str
    shelf: Shelf[Any]
    kind: Any


@cache
def types_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of the fields of a state. Finding out takes longer than a spill, and is asked at each."""
    return get_type_hints(kind)


def shelves_in(state: msgspec.Struct) -> Iterator[Found]:
    """The shelves among the fields of a state, and of the Structs in its fields, in the order of the fields."""
    kinds = types_of(type(state))
    for field in state.__struct_fields__:
        value = getattr(state, field)
        if isinstance(value, Shelf):
            yield Found(field, value, get_args(kinds[field])[0])
        elif isinstance(value, msgspec.Struct):
            for found in shelves_in(value):
                yield found._replace(path=f"{field}.{found.path}")
