"""Tables and views as Parquet files, with a manifest that says what they are and where the logs stood.

Both databases give the same bytes: rows are sorted, and one writer writes them, DuckDB in memory. The manifest is
written last, so a folder without one is an export that did not end.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from events.errors import Refused, Unavailable
from projections.as_of import PastReader
from projections.catalog import CATALOG
from projections.definitions import quoted
from projections.duck import connect
from projections.freshness import freshness_of
from projections.reading import Reader
from projections.schema import Relation, relations

FORMAT: Final = "tallystick export 1"
MANIFEST: Final = "manifest.json"
#: They say how far the store has read, which is in the manifest.
_LEFT_OUT: Final = frozenset({"freshness", "freshness_by_log"})
#: Types of the schema that DuckDB calls otherwise.
_TYPES: Final = {"JSON": "TEXT"}


class File(msgspec.Struct, frozen=True):
    """One table or view."""

    name: str
    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds.

    ``positions`` has the next position of each log partition: the rows are what all records before come to, cut at
    ``as_of`` where that is not empty. ``schema`` is a hash over names, types and meanings of all columns, and
    ``projections`` has the version of each projection: with both the same, two exports can be laid side by side.
    """

    format: str
    schema: str
    projections: dict[str, int]
    as_of: str
    events: int
    up_to: str
    positions: dict[str, int]
    files: list[File]


def export(
    db: Reader, folder: Path, names: Sequence[str] = (), progress: Callable[[str], None] = lambda name: None
) -> Manifest:
    """Write everything, or what is named, into a folder that is new or empty. Raises Refused, and Unavailable."""
    with db.moment():
        every = [held for held in relations(db) if held.name not in _LEFT_OUT]
        known = {held.name for held in every}
        if unknown := [name for name in names if name not in known]:
            raise Refused(
                f"there is no table or view {unknown[0]!r} to export: `tallystick query --schema` lists all"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise Refused(
                    f"{folder} is not empty: name a new folder, so that no old file is taken for a new one"
                )
            files = []
            for held in every:
                if not names or held.name in names:
                    progress(held.name)
                    files.append(_write(db, held, folder))
            manifest = _manifest(db, every, files)
            written = folder / f"{MANIFEST}.part"
            written.write_text(json.dumps(msgspec.to_builtins(manifest), indent=2) + "\n", "utf-8")
            written.replace(folder / MANIFEST)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written: {os.strerror(error.errno or 0)}") from error
        except duckdb.IOException as error:
            raise Unavailable(f"{folder} cannot be written: {str(error).splitlines()[0]}") from error
    return manifest


def _write(db: Reader, held: Relation, folder: Path) -> File:
    columns = ", ".join(f'"{column.name}"' for column in held.columns)
    typed = ", ".join(f'"{column.name}" {_TYPES.get(column.type, column.type)}' for column in held.columns)
    path = folder / f"{held.name}.parquet"
    with closing(connect(":memory:")) as made:
        made.execute(f"CREATE TABLE held ({typed})")
        _, chunks = db.chunks(f"SELECT {columns} FROM {held.name}")
        rows = 0
        for chunk in chunks:
            rows += len(chunk)
            _append(made, held, chunk)
        made.execute(
            f"COPY (SELECT * FROM held ORDER BY ALL) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )
    content = path.read_bytes()
    return File(held.name, path.name, rows, len(content), hashlib.sha256(content).hexdigest())


def _append(made: duckdb.DuckDBPyConnection, held: Relation, chunk: list[tuple[Any, ...]]) -> None:
    """Rows as lists by column: DuckDB takes them apart in one statement."""
    lists = [list(values) for values in zip(*chunk, strict=True)]
    made.execute(
        "INSERT INTO held SELECT "
        + ", ".join(
            f"unnest(${place}::{_TYPES.get(column.type, column.type)}[])"
            for place, column in enumerate(held.columns, 1)
        ),
        lists,
    )


def _manifest(db: Reader, every: list[Relation], files: list[File]) -> Manifest:
    fresh = freshness_of(db)
    schema = json.dumps(msgspec.to_builtins(every), sort_keys=True)
    return Manifest(
        format=FORMAT,
        schema=hashlib.sha256(schema.encode()).hexdigest(),
        projections={projection.NAME: projection.VERSION for projection in CATALOG},
        as_of=db.cut.text if isinstance(db, PastReader) else "",
        events=fresh.events,
        up_to="" if fresh.up_to is None else f"{fresh.up_to.isoformat()}Z",
        positions=fresh.positions,
        files=files,
    )
