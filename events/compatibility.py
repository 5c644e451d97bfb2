"""Whether a new schema version can live beside the old ones.

Events stay in their log for ever, and old and new workers read one log during an upgrade: every version of
an event must read every other (*full*, transitive). A message is gone soon, but old producers keep sending:
the new version must read what all older ones wrote (*backward*, transitive).

Avro's own rules are the ground. They compare what can be *resolved*, not what it then means, so there is
more here, each rule with the change that Avro lets through:

=====================  ===============================================================================
rule                   what would happen without it
=====================  ===============================================================================
renamed                a field goes, one of the same type comes with a default: every old value is lost
type changed           string and bytes resolve into each other, and long into double: ids that are not
                       text, amounts that are not exact
values removed         an enum is a string to Avro: old records hold a value that nobody knows any more
branches moved         two branches of one shape: a value comes out as the other one
optional removed       null resolves into nothing, and fails at the first old record that has it
items bound lowered    an old list is longer than what readers accept
=====================  ===============================================================================

Values may be *added* to an enum with a new version, also for events: a reader must treat a value it does not
know as it treats ``other``.
"""

from collections.abc import Iterator
from typing import Any, Literal

from events.avro import Schema

Mode = Literal["full", "backward"]


def problems(new: Schema, olds: list[Schema], mode: Mode) -> list[str]:
    """Why ``new`` must not be published after ``olds``; empty when it may be. One sentence each."""
    found: dict[str, None] = {}
    for old in olds:
        pair = _Pair(new, old)
        found.update(dict.fromkeys(pair.compare(new, old, _name(new), mode)))
    return list(found)


class _Pair:
    """Two schemas, each with the named types that are defined in it once and then referred to."""

    def __init__(self, new: Schema, old: Schema) -> None:
        self._new = _named(new)
        self._old = _named(old)
        self._seen: set[str] = set()

    def compare(self, new: Schema, old: Schema, path: str, mode: Mode) -> Iterator[str]:
        """Every difference that is not allowed, depth first."""
        new = self._new.get(new, new) if isinstance(new, str) else new
        old = self._old.get(old, old) if isinstance(old, str) else old
        if isinstance(new, list) or isinstance(old, list):
            yield from self._unions(_branches(new), _branches(old), path, mode)
        elif _type(new) != _type(old):
            yield f"{path}: the type changed from {_type(old)} to {_type(new)}"
        elif _type(new) == "record":
            yield from self._records(new, old, path, mode)
        elif _type(new) == "array":
            yield from _bounds(new, old, path)
            yield from self.compare(new["items"], old["items"], f"{path}[]", mode)
        else:
            yield from _values(new, old, path)

    def _records(self, new: Any, old: Any, path: str, mode: Mode) -> Iterator[str]:
        if _name(new) != _name(old):
            yield f"{path}: record {_name(old)} became {_name(new)}"
            return
        if _name(new) in self._seen:
            return
        self._seen.add(_name(new))
        news = {field["name"]: field for field in new["fields"]}
        olds = {field["name"]: field for field in old["fields"]}
        added = [news[name] for name in news if name not in olds]
        removed = [olds[name] for name in olds if name not in news]
        for field in added:
            if "default" not in field:
                yield f"{path}.{field['name']}: a new field needs a default, old records do not have it"
        for field in removed:
            if mode == "full" and "default" not in field:
                yield f"{path}.{field['name']}: removed, and old readers have no default for it"
            for other in added:
                if _plain(other["type"]) == _plain(field["type"]):
                    yield (
                        f"{path}.{field['name']}: removed while {other['name']} of the same type is new. A "
                        "renamed field loses its old values: keep the name"
                    )
        for name, field in news.items():
            if name in olds:
                yield from self.compare(field["type"], olds[name]["type"], f"{path}.{name}", mode)

    def _unions(self, news: list[Schema], olds: list[Schema], path: str, mode: Mode) -> Iterator[str]:
        new_names, old_names = [_label(branch) for branch in news], [_label(branch) for branch in olds]
        missing = [name for name in old_names if name not in new_names]
        if missing:
            yield f"{path}: {', '.join(missing)} can no longer be there, and old records have it"
        extra = [name for name in new_names if name not in old_names]
        if mode == "full" and extra:
            yield f"{path}: {', '.join(extra)} is new, and old readers cannot take it"
        kept = [name for name in new_names if name in old_names]
        if kept != [name for name in old_names if name in new_names]:
            yield f"{path}: branches moved; new ones go to the end"
        for name in kept:
            new, old = news[new_names.index(name)], olds[old_names.index(name)]
            yield from self.compare(new, old, path, mode)


def _bounds(new: Any, old: Any, path: str) -> Iterator[str]:
    new_bound, old_bound = new.get("tallystick.max_items"), old.get("tallystick.max_items")
    if new_bound is not None and (old_bound is None or new_bound < old_bound):
        yield f"{path}: at most {new_bound} entries where {old_bound or 'any number'} were allowed"


def _values(new: Schema, old: Schema, path: str) -> Iterator[str]:
    new_values = new.get("tallystick.values") if isinstance(new, dict) else None
    old_values = old.get("tallystick.values") if isinstance(old, dict) else None
    if new_values is None:
        return
    if old_values is None:
        yield f"{path}: any text was allowed, now it is an enum"
        return
    gone = [value for value in old_values if value not in new_values]
    if gone:
        yield f"{path}: {', '.join(gone)} removed from the enum, and old records have it"


def _named(schema: Schema) -> dict[str, Schema]:
    """Every record of a schema by its full name."""
    found: dict[str, Schema] = {}

    def visit(part: Schema) -> None:
        if isinstance(part, list):
            for branch in part:
                visit(branch)
        elif isinstance(part, dict):
            if part["type"] == "record":
                found[_name(part)] = part
                for field in part["fields"]:
                    visit(field["type"])
            elif part["type"] == "array":
                visit(part["items"])

    visit(schema)
    return found


def _plain(schema: Schema) -> Schema:
    """A field's type without what is defined inside it, so that two fields can be compared."""
    if isinstance(schema, list):
        return [_plain(branch) for branch in schema]
    if isinstance(schema, dict) and schema["type"] == "record":
        return _name(schema)
    if isinstance(schema, dict) and schema["type"] == "array":
        return {"array": _plain(schema["items"])}
    return _type(schema)


def _branches(schema: Schema) -> list[Schema]:
    return schema if isinstance(schema, list) else [schema]


def _type(schema: Schema) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _label(schema: Schema) -> str:
    """What tells one branch of a union from another: the name of a record, else the type."""
    if isinstance(schema, str):
        return schema
    return _name(schema) if schema["type"] == "record" else str(schema["type"])


def _name(schema: Any) -> str:
    namespace = schema.get("namespace", "")
    return f"{namespace}.{schema['name']}" if namespace else str(schema["name"])
