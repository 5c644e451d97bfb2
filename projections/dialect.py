"""Where DuckDB and PostgreSQL do not understand the same SQL: all of it, in one table.

Views, queries of commands and digests are written in what both understand. That is more than one might think; what
it costs is a few habits: ``FILTER (WHERE ...)``, a name for every subquery, ``$1`` for arguments, columns named in
``GROUP BY``. What is left over stands here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Dialect(NamedTuple):
    """One database's way to say it. The templates take an SQL expression."""

    #: SQL types of columns where they differ from :data:`projections.port.TYPES`.
    types: Mapping[str, str]
    #: Schema of the views that people read, with its dot; empty where the database is a file of ours.
    views: str
    #: Schema of tables, so that nobody meets the builds behind the names.
    tables: str
    #: Hexadecimal SHA-256 of a text.
    sha256: str
    #: Hexadecimal text of a BLOB, in capital letters.
    hex: str
    #: Whether people see comments on a view's columns, and so get them.
    view_columns: bool


DUCKDB: Final = Dialect(
    # Bodies of events take 44 bytes with zstd and 237 with what DuckDB would choose, at half the time to write.
    types=MappingProxyType({"DOCUMENT": "TEXT USING COMPRESSION zstd"}),
    views="",
    tables="",
    sha256="sha256({})",
    hex="hex({})",
    view_columns=False,
)
POSTGRES: Final = Dialect(
    # Texts compare byte by byte, as DuckDB's do: with the database's own collation two stores would sort differently
    # and every comparison would take five times as long. JSON keeps its text to the byte, which JSONB does not.
    types=MappingProxyType({"TEXT": 'TEXT COLLATE "C"', "DOCUMENT": "JSON", "BLOB": "BYTEA"}),
    views="tallystick.",
    tables="tallystick_store.",
    sha256="encode(sha256(convert_to({}, 'UTF8')), 'hex')",
    hex="upper(encode({}, 'hex'))",
    view_columns=True,
)
