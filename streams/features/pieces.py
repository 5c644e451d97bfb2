"""A state in pieces, so that no one step of writing or reading it takes long.

Encoding holds the interpreter until it is done, in whatever thread: of a million cards for seconds, in which the
heartbeats of a worker wait, and its group takes its indexes away. So what is large of a state, its dicts, is encoded so
many entries at a time, and everything else beside them; between two pieces others go on.

What a spill has left on shelves may be encoded later than the rest, while the state itself goes on (:class:`Later`).
"""

from collections.abc import Iterator
from types import GenericAlias
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from streams.features.shelf import Shelf, Staying, pieces_of, row_decoder, types_of

#: Entries of a dict that are encoded at once: some milliseconds.
PIECE: Final = 10_000

S = TypeVar("S", bound=msgspec.Struct)
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class Apart(msgspec.Struct, frozen=True):
    """A state as msgpack of its type in which the large dicts are empty, and these by their paths, in pieces."""

    rest: bytes
    pieces: dict[str, list[bytes]]


class Later(NamedTuple):
    """Rows whose pieces are still to be made, and where these belong."""

    pieces: list[bytes]
    rows: Staying[Any]

    def make(self) -> Iterator[None]:
        """One piece after the other."""
        for piece in self.rows.pieces(PIECE):
            self.pieces.append(piece)
            yield


class _Part(NamedTuple):
    """What lies in a state: a field by its name, a dict in a list by its place; and its type."""

    name: str
    value: Any
    kind: Any


def take_apart(state: msgspec.Struct, kind: Any = None, later: list[Later] | None = None) -> Apart:
    """A state in pieces; ``kind`` is its type where it is a Shelf. Nobody may change the state meanwhile.

    Given ``later``, right behind a spill, this is told what is still to be made, and may be used behind that alone.
    """
    pieces: dict[str, list[bytes]] = {}
    return Apart(_ENCODE(_without(state, kind, "", pieces, later)), pieces)


def put_together(apart: Apart, decoder: "msgspec.msgpack.Decoder[S]", kind: Any = None) -> S:
    """The state, dicts in the order that they had. ``decoder`` is the one of its type.

    Each piece is let go of when it has been read: both together would be twice the state.
    """
    state = decoder.decode(apart.rest)
    if apart.pieces:
        for path, rows, of in dicts_in(state, kind):
            pieces = apart.pieces.pop(path, [])[::-1]
            while pieces:
                rows.update(row_decoder(of).decode(pieces.pop()))
    return state


def learn(state: msgspec.Struct, kind: Any = None) -> None:
    """Make what reads the pieces of such a state, which is to be done before there are threads."""
    for found in dicts_in(state, kind):
        row_decoder(found.kind)


class Dict(NamedTuple):
    """A dict in a state: the names that lead to it, itself, and its type."""

    path: str
    rows: dict[Any, Any]
    kind: Any


def dicts_in(value: Any, kind: Any = None, path: str = "") -> Iterator[Dict]:
    """The dicts that may be taken apart: in fields of Structs and in lists, not those of which a field may be None."""
    if _is_dict(value, kind):
        yield Dict(path, value, kind)
    for part in _parts(value, kind):
        yield from dicts_in(part.value, part.kind, f"{path}.{part.name}")


def _without(
    value: Any, kind: Any, path: str, pieces: dict[str, list[bytes]], later: list[Later] | None
) -> Any:
    """A value without its large dicts, which are put into ``pieces``; the value itself where it has none."""
    if _is_dict(value, kind) and len(value) > PIECE:
        pieces[path] = list(pieces_of(value, PIECE))
        return {}
    changed: dict[str, Any] = {}
    if later is not None and isinstance(value, Shelf) and value.old:
        changed["old"] = {}
        later.append(Later(pieces.setdefault(f"{path}.old", []), value.stay()))
    for part in _parts(value, kind):
        if part.name not in changed:
            kept = _without(part.value, part.kind, f"{path}.{part.name}", pieces, later)
            if kept is not part.value:
                changed[part.name] = kept
    if not changed:
        return value
    if isinstance(value, list):
        return [changed.get(str(place), one) for place, one in enumerate(value)]
    return msgspec.structs.replace(value, **changed)


def _is_dict(value: Any, kind: Any) -> bool:
    return get_origin(kind) is dict and isinstance(value, dict)


def _parts(value: Any, kind: Any) -> Iterator[_Part]:
    if isinstance(value, Shelf):
        (row,) = get_args(kind)
        rows = GenericAlias(dict, (str, row))
        yield _Part("young", value.young, rows)
        yield _Part("old", value.old, rows)
        yield _Part("filed", value.filed, dict[str, int])
        yield _Part("taken", value.taken, dict[str, bool])
    elif isinstance(value, msgspec.Struct):
        kinds = types_of(type(value))
        for name in value.__struct_fields__:
            yield _Part(name, getattr(value, name), kinds[name])
    elif isinstance(value, list) and get_origin(kind) is list:
        (entry,) = get_args(kind)
        if get_origin(entry) is dict:
            for place, one in enumerate(value):
                yield _Part(str(place), one, entry)
