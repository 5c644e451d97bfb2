"""Writes what follows from the classes: schemas, the lock, the codec, golden bytes.

``python -m events.generate`` (``make schemas``) is run by whoever changed a class; with ``--check`` it
writes nothing and exits 1 when something is stale. It refuses, with exit code 2, what must not happen to a
contract that others hold records of:

- a published version that changed: raise the class's ``VERSION`` instead;
- a new version that old readers or old records could not live with (:mod:`events.compatibility`);
- a published class that is gone: logs may hold it.

Schema ids are given once, in the order of publishing, and never change. Golden bytes are written once, by
fastavro, when a version is published, and never again: the codec has to read them for good.

The generated codec is not imported here: a broken one could not be repaired otherwise.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fastavro

import schemas
from events import avro, compatibility
from events.base import Event
from events.catalog import EVENTS, MESSAGES
from events.emit import codec_source
from events.errors import Refused
from events.evolution import to_generic, write_generic
from events.samples import recorded_samples, samples
from schemas import Published

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMAS: Final = Path("schemas")
LOCK: Final = SCHEMAS / schemas.PUBLISHED
CODEC: Final = Path("events/_codec.py")
GOLDEN: Final = Path("tests/events/golden")

_ABOUT: Final = (
    "Every schema version that was ever published. Written by python -m events.generate; "
    "ids are given once, rows are never changed or removed."
)


@dataclass(frozen=True, slots=True)
class Contract:
    """What the classes of a tree amount to."""

    rows: list[Published]
    schemas: dict[str, avro.Schema]
    """Today's schema of every class, by class name."""


def resolve(classes: Iterable[type[Any]], root: Path) -> Contract:
    """Compare the classes with the lock; raises Refused for a change that must not be."""
    rows = _lock(root)
    fresh: list[Published] = []
    today: dict[str, avro.Schema] = {}
    for cls in classes:
        name, version = cls.__name__, int(cls.VERSION)
        if name in today:
            raise Refused(f"{name}: two classes have this name")
        if issubclass(cls, Event):
            avro.check_key(cls)
        today[name] = schema = avro.schema_of(cls)
        row = Published(
            id=max((row["id"] for row in (*rows, *fresh)), default=0) + 1,
            name=name,
            kind=avro.kind_of(cls),
            version=version,
            fingerprint=avro.fingerprint(schema),
        )
        if _is_new(row, schema, [row for row in rows if row["name"] == name], root):
            fresh.append(row)
    gone = sorted({row["name"] for row in rows} - today.keys())
    if gone:
        raise Refused(f"published and gone: {', '.join(gone)}. Logs may hold records of it: keep the class")
    return Contract([*rows, *fresh], today)


def _is_new(row: Published, schema: avro.Schema, known: list[Published], root: Path) -> bool:
    """Whether a version is still to be published; Refused when it neither is nor may be."""
    name, version = row["name"], row["version"]
    latest = known[-1] if known else None
    older = [_published(other, root) for other in known if other["version"] < version]
    if latest is not None and latest["version"] == version:
        if latest["fingerprint"] != row["fingerprint"]:
            raise Refused(
                f"{name} version {version} is published and its schema has changed: set VERSION to "
                f"{version + 1} (or undo the change; a class inside it may be what changed)"
            )
        return False
    following = latest["version"] + 1 if latest is not None else 1
    if version != following:
        raise Refused(f"{name}: VERSION is {version}, the next one after {following - 1} is {following}")
    mode: compatibility.Mode = "full" if row["kind"] == "event" else "backward"
    found = compatibility.problems(schema, older, mode)
    if found:
        raise Refused(f"{name} is not compatible ({mode}) with what is published:\n  " + "\n  ".join(found))
    return True


def outputs(classes: Iterable[type[Any]], contract: Contract, root: Path) -> dict[Path, bytes]:
    """Every generated file and what has to be in it. Golden files that exist are left as they are."""
    classes = tuple(classes)
    files = {LOCK: _lock_text(contract.rows).encode()}
    for cls in classes:
        path = SCHEMAS / schemas.file_name(cls.__name__, cls.VERSION)
        files[path] = avro.schema_text(contract.schemas[cls.__name__]).encode()
    ids: dict[str, int] = {}
    older: dict[int, tuple[str, int]] = {}
    current = {cls.__name__: cls.VERSION for cls in classes}
    for row in contract.rows:
        if row["version"] == current[row["name"]]:
            ids[row["name"]] = row["id"]
        else:
            older[row["id"]] = (row["name"], row["version"])
    files[CODEC] = codec_source(classes, ids, older).encode()
    for cls in classes:
        path = GOLDEN / f"{cls.__name__}.v{cls.VERSION}.bin"
        if not (root / path).exists():
            files[path] = golden_bytes(cls, ids[cls.__name__], contract.schemas[cls.__name__])
    return files


def golden_bytes(cls: type[Any], schema_id: int, schema: avro.Schema) -> bytes:
    """The samples of a class as its records, each behind its length in four bytes (big endian)."""
    parsed = fastavro.parse_schema(schema, named_schemas={})
    values = recorded_samples(cls) if issubclass(cls, Event) else samples(cls)
    records = [schema_id.to_bytes(5, "big") + write_generic(parsed, to_generic(value)) for value in values]
    return b"".join(len(record).to_bytes(4, "big") + record for record in records)


def stale(files: dict[Path, bytes], contract: Contract, root: Path) -> list[Path]:
    """The generated files that are missing or differ, and schema files that nothing published names."""
    found = [
        path
        for path, content in files.items()
        if not (root / path).exists() or (root / path).read_bytes() != content
    ]
    named = {SCHEMAS / schemas.file_name(row["name"], row["version"]) for row in contract.rows}
    there = (path.relative_to(root) for path in (root / SCHEMAS).glob("*.avsc"))
    return found + sorted(path for path in there if path not in named)


def main(
    arguments: list[str] | None = None, classes: Iterable[type[Any]] = (*EVENTS, *MESSAGES), root: Path = ROOT
) -> int:
    """The command line: 0 all is well, 1 something is stale, 2 refused."""
    parser = argparse.ArgumentParser(
        prog="python -m events.generate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file is stale")
    options = parser.parse_args(arguments)
    classes = tuple(classes)
    try:
        contract = resolve(classes, root)
        files = outputs(classes, contract, root)
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 2
    found = stale(files, contract, root)
    if options.check:
        for path in found:
            print(f"stale: {path}; run python -m events.generate", file=sys.stderr)
        return 1 if found else 0
    for path in found:
        if path in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(files[path])
            print(f"wrote {path}")
        else:
            print(f"left alone: {path}, which nothing published names")
    return 0


def _published(row: Published, root: Path) -> avro.Schema:
    """A published schema, provided that its file still is what was published."""
    path = root / SCHEMAS / schemas.file_name(row["name"], row["version"])
    schema = json.loads(path.read_text("utf-8")) if path.exists() else None
    if schema is None or avro.fingerprint(schema) != row["fingerprint"]:
        raise Refused(f"{path.relative_to(root)} is not what was published; restore it from version control")
    return schema


def _lock(root: Path) -> list[Published]:
    path = root / LOCK
    if not path.exists():
        return []
    rows: list[Published] = json.loads(path.read_text("utf-8"))["schemas"]
    return rows


def _lock_text(rows: list[Published]) -> str:
    """The lock, one row a line, so that publishing adds lines and changes none."""
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    return f'{{\n  "about": {json.dumps(_ABOUT)},\n  "schemas": [\n{lines}\n  ]\n}}\n'


if __name__ == "__main__":
    sys.exit(main())
