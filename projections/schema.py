"""What can be asked: every table and view of a store, with the type and the meaning of each column.

One description for both databases: names, types and words are the same, so a query written against it runs on either.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

import msgspec

from events.errors import Refused
from projections.catalog import CATALOG
from projections.glossary import comment
from projections.reading import Reader

#: What the databases call their types, where it is not what we call them.
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VARCHAR": "TEXT",
        "CHARACTER VARYING": "TEXT",
        "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
        "BYTEA": "BLOB",
        "DOCUMENT": "JSON",
    }
)


class Column(msgspec.Struct, frozen=True):
    """A column: its name, its type, and what an analyst needs to know to use it."""

    name: str
    type: str
    comment: str


class Relation(msgspec.Struct, frozen=True):
    """A table or view, and what it holds."""

    name: str
    comment: str
    columns: list[Column]


def relations(db: Reader) -> list[Relation]:
    """Everything that can be asked, by name."""
    held = db.tables()
    _, found = db.fetch(
        "SELECT table_name::VARCHAR, column_name::VARCHAR, data_type::VARCHAR FROM information_schema.columns"
        " WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
    )
    declared = {
        (table.name, column.name): column.type
        for projection in CATALOG
        for table in projection.TABLES
        for column in table.columns
    }
    columns: dict[str, list[Column]] = {}
    for name, column, kind in found:
        kind = declared.get((name, column), kind).upper()
        columns.setdefault(name, []).append(Column(column, _TYPES.get(kind, kind), comment(name, column)))
    return [Relation(name, words, columns.get(name, [])) for name, words in held]


def relation(db: Reader, name: str) -> Relation:
    """The table or view of this name; Refused where there is none."""
    every = {held.name: held for held in relations(db)}
    wanted = name.strip().rstrip(";").lower().removeprefix("tallystick.")
    if wanted in every:
        return every[wanted]
    near = get_close_matches(wanted, every, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`tallystick query --schema` lists all"
    raise Refused(f"there is no table or view {name!r}: {hint}")
