"""Lists of names that may be long: a million entries in a tenth of the memory of a set, and exact.

A short list is a frozenset. A long one is cut into buckets by CRC-32; a bucket is one text of its entries, and looking
something up is one search in a text of some two hundred letters. Rejected: hashes of the entries in place of the
entries (a name that is on no list may share its hash with one that is, and somebody may look for it).
"""

from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from itertools import groupby
from typing import Final
from zlib import crc32

from events.errors import ValidationError
from events.reference import RuleListPart
from streams.features.rules.types import DOMAINS

PACKED_FROM: Final = 10_000
"""Entries from which a list is packed: a set of these takes about a megabyte."""
MOST_ENTRIES: Final = 2_000_000
PART_BYTES: Final = 60_000
"""Of the entries of one part, with their quotes and commas: a part fits into one text of the wire."""

_IN_A_BUCKET: Final = 16
_END: Final = b"\n"


class Packed(Collection[str]):
    """A long list. Entries have no line break in them; :func:`entries_of` sees to it."""

    def __init__(self, entries: Collection[str]) -> None:
        self._size = len(entries)
        buckets = 1
        while buckets * _IN_A_BUCKET < self._size:
            buckets *= 2
        self._mask = buckets - 1
        # Sorted by bucket and joined one at a time: nothing of the size of the list is left behind in between.
        self._buckets = [_END] * buckets
        for number, names in groupby(sorted(entries, key=self._bucket), key=self._bucket):
            self._buckets[number] = "\n".join(["", *names, ""]).encode()

    def _bucket(self, entry: str) -> int:
        return crc32(entry.encode()) & self._mask

    def __contains__(self, entry: object) -> bool:
        if not isinstance(entry, str):
            return False
        name = entry.encode()
        return b"%b%b%b" % (_END, name, _END) in self._buckets[crc32(name) & self._mask]

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket[1:-1].decode().split("\n") if len(bucket) > 1 else ()

    def __len__(self) -> int:
        return self._size


class Both(Collection[str]):
    """A list of everybody's with a merchant's own on top."""

    def __init__(self, house: Collection[str], own: Collection[str]) -> None:
        self._house = house
        self._own = own

    def __contains__(self, entry: object) -> bool:
        return entry in self._own or entry in self._house

    def __iter__(self) -> Iterator[str]:
        yield from self._house
        yield from (entry for entry in self._own if entry not in self._house)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def packed(entries: Collection[str]) -> Collection[str]:
    """The entries in the form that suits their number."""
    return Packed(entries) if len(entries) >= PACKED_FROM else frozenset(entries)


def entries_of(name: str, of: str, given: Iterable[str]) -> list[str]:
    """The entries of a list, sorted and each once; ValidationError where one cannot stand in it."""
    if of not in DOMAINS:
        raise ValidationError(f"list @{name}", f"there are no lists of {of!r}; of {', '.join(DOMAINS)}")
    domain = DOMAINS[of]
    found: set[str] = set()
    for number, entry in enumerate(given, 1):
        why = domain.refuses(entry)
        if why:
            # What stands in a list of cards by mistake may be a card number: it is counted, not quoted.
            raise ValidationError(f"list @{name}", f"entry {number:,} {why}")
        found.add(entry)
        if len(found) > MOST_ENTRIES:
            raise ValidationError(f"list @{name}", f"a list has at most {MOST_ENTRIES:,} entries")
    return sorted(found)


def list_sha256(entries: Iterable[str]) -> str:
    """What a list is called: the hash over its entries, sorted, a line each."""
    hashed = sha256()
    for entry in entries:
        hashed.update(entry.encode() + _END)
    return hashed.hexdigest()


def parts_of(entries: list[str]) -> Iterator[RuleListPart]:
    """A list as pieces of reference data; a list without entries has one, which is empty."""
    name = list_sha256(entries)
    pieces: list[list[str]] = [[]]
    size = 0
    for entry in entries:
        length = len(entry.encode()) + len('"",')
        if size + length > PART_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(entry)
        size += length
    for part, piece in enumerate(pieces):
        yield RuleListPart(name, part, len(pieces), tuple(piece))


def whole(parts: Iterable[RuleListPart]) -> list[str] | None:
    """The entries of a list from its parts in any order, or None while one is missing.

    ValidationError where they are not what their hash says.
    """
    found = {part.part: part for part in parts}
    if not found:
        return None
    any_part = next(iter(found.values()))
    if any(number not in found for number in range(any_part.parts)):
        return None
    entries = [entry for number in range(any_part.parts) for entry in found[number].entries]
    if list_sha256(entries) != any_part.sha256:
        raise ValidationError("sha256", "the parts of the list are not what their hash says")
    return entries
