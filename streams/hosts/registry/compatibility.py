"""Whether values written with one schema can be read with another, and which pairs a level asks for.

Avro's rules of schema resolution, and on top of them one that Avro leaves open: a value must still *mean* the same.
1.00 read with another scale is 100, a time in milliseconds read as microseconds is in 1970, and every library does
it without a word. A logical type that came or went is let through: the number is the same, and it is the reader's
business to know.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from streams.hosts.registry.avro import Logical, Schema, Type

_READABLE_AS: Final = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
"""What is written as the key can be read as any of the values, beside itself."""


class Level(StrEnum):
    """What a new version of a subject has to be compatible with."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Whether the new schema has to read what was written before."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether readers of before have to read what the new schema writes."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether that goes for all versions, not for the last one alone."""
        return self.endswith("_TRANSITIVE")


def problems(new: Schema, olds: Sequence[Schema], level: Level) -> list[str]:
    """Why ``new`` must not follow ``olds`` (in the order of their versions); empty where it may."""
    found: dict[str, None] = {}
    for old in olds if level.transitive else olds[-1:]:
        if level.backward:
            found.update(dict.fromkeys(f"reading old values: {reason}" for reason in unreadable(new, old)))
        if level.forward:
            found.update(dict.fromkeys(f"old readers: {reason}" for reason in unreadable(old, new)))
    return list(found)


def unreadable(reader: Schema, writer: Schema) -> list[str]:
    """Why values of ``writer`` cannot be read with ``reader``, one sentence each, with where in the schema."""
    bad: frozenset[_Records] = frozenset()
    while True:
        pair = _Pair(bad)
        try:
            found = list(pair.compare(reader.type, writer.type, ""))
        except RecursionError:
            return ["the types lead to each other over more steps than can be followed"]
        if bad == pair.bad():
            return found
        # Somebody may have counted on a pair that turned out to be bad: once more, knowing better.
        bad = pair.bad()


_Records = tuple[Type, Type]


class _Pair:
    """One pass over two schemas. Records may hold themselves, so a pair that is still being compared is taken for
    good, unless an earlier pass has found it bad."""

    def __init__(self, bad: frozenset[_Records]) -> None:
        self._known_bad = bad
        self._found: dict[_Records, list[str] | None] = {}
        #: The branches of a reader's union, by what a writer's type may be called.
        self._branches: dict[Type, dict[str, list[Type]]] = {}

    def bad(self) -> frozenset[_Records]:
        """The records that cannot be read."""
        return self._known_bad | {pair for pair, reasons in self._found.items() if reasons}

    def compare(self, reader: Type, writer: Type, path: str) -> Iterator[str]:
        """Why it cannot be read; nothing where it can."""
        if writer.kind == "union":
            for branch in writer.of:
                yield from self.compare(reader, branch, path)
        elif reader.kind == "union":
            yield from self._into_union(reader, writer, path)
        elif reader.kind != writer.kind:
            if reader.kind not in _READABLE_AS.get(writer.kind, ()):
                yield f"{_at(path)}{_label(writer)} cannot be read as {_label(reader)}"
            else:
                yield from _meaning(reader.logical, writer.logical, path)
        else:
            yield from self._alike(reader, writer, path)

    def _into_union(self, reader: Type, writer: Type, path: str) -> Iterator[str]:
        """The writer's type has to fit one branch; one of its own kind says best what is wrong."""
        reasons: list[str] = []
        for branch in self._candidates(reader, writer):
            found = list(self.compare(branch, writer, path))
            if not found:
                return
            reasons = reasons or found
        yield from reasons or [f"{_at(path)}{_label(writer)} is no branch of the reader's union"]

    def _candidates(self, union: Type, writer: Type) -> Iterator[Type]:
        """The branches that may fit. Looked up, not tried one by one: two unions of a thousand records have a million
        pairs."""
        branches = self._branches.get(union)
        if branches is None:
            branches = self._branches[union] = {}
            for branch in union.of:
                for label in {branch.short_name, *branch.aliases} if branch.name else {branch.kind}:
                    branches.setdefault(label, []).append(branch)
        if writer.name:
            labels = [writer.short_name, *({writer.name} - {writer.short_name})]
        else:
            labels = [writer.kind, *_READABLE_AS.get(writer.kind, ())]
        for label in labels:
            yield from branches.get(label, ())

    def _alike(self, reader: Type, writer: Type, path: str) -> Iterator[str]:
        if reader.name and reader.short_name != writer.short_name and writer.name not in reader.aliases:
            yield f"{_at(path)}{writer.kind} {writer.name} is not {reader.name}"
            return
        match reader.kind:
            case "record":
                yield from self._records(reader, writer, path)
            case "enum":
                gone = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
                if gone and reader.default is None:
                    yield f"{_at(path)}the reader does not know the symbols {', '.join(gone)}"
            case "array" | "map":
                yield from self.compare(reader.of[0], writer.of[0], f"{path}[]")
            case "fixed" if reader.size != writer.size:
                yield f"{_at(path)}{writer.size} bytes cannot be read as {reader.size}"
            case _:
                yield from _meaning(reader.logical, writer.logical, path)

    def _records(self, reader: Type, writer: Type, path: str) -> Iterator[str]:
        pair = (reader, writer)
        if pair not in self._found:
            self._found[pair] = None
            self._found[pair] = list(self._fields(reader, writer, path))
        reasons = self._found[pair]
        if reasons:
            yield from reasons
        elif reasons is None and pair in self._known_bad:
            yield f"{_at(path)}{writer.name} cannot be read"

    def _fields(self, reader: Type, writer: Type, path: str) -> Iterator[str]:
        written = {field.name: field for field in writer.fields}
        for field in reader.fields:
            place = f"{path}.{field.name}" if path else field.name
            source = next((written[name] for name in (field.name, *field.aliases) if name in written), None)
            if source is not None:
                yield from self.compare(field.type, source.type, place)
            elif not field.has_default:
                yield f"{_at(place)}the field is not written, and the reader has no default for it"


def _meaning(reader: Logical | None, writer: Logical | None, path: str) -> Iterator[str]:
    if reader is None or writer is None or reader == writer:
        return
    if reader.name == writer.name and reader.scale == writer.scale and reader.precision >= writer.precision:
        return
    yield f"{_at(path)}{writer} read as {reader} is another value"


def _at(path: str) -> str:
    return f"{path}: " if path else ""


def _label(type_: Type) -> str:
    return type_.name or type_.kind
