"""Foreign files made ready for DuckDB, with the number of every line.

Parquet is read as it is. CSV, JSON Lines and Avro are read here, record by record, and written to a scratch file
as JSON Lines with the number of the line they came from: a line that cannot be read is then one refused line with
its number, where a bulk reader would stop, guess, or skip it.
"""

import csv
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import fastavro
import msgspec

from events.errors import Refused, Unavailable, WireError

LINE: Final = "tallystick_line"
#: A JSON document on one line is a mistake beyond this, and would fill the memory.
LONGEST_LINE: Final = 4 * 1024 * 1024


class Refusal(NamedTuple):
    """A line that cannot be used. Lines count from 1; the first of a CSV file is its header."""

    line: int
    reason: str


class Staged(NamedTuple):
    """What DuckDB shall read: ``scan`` reads ``path``, given as a parameter; ``line`` is the line's number."""

    path: Path
    scan: str
    line: str
    lines: int


Refuse = Callable[[Refusal], None]
Record = dict[str, Any]


def stage(source: Path, scratch: Path, refuse: Refuse) -> Staged:
    """Make a file ready. ``refuse`` is told of every line that cannot be read."""
    if not source.is_file():
        raise Unavailable(f"{source} is not a file that can be read")
    suffix = source.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parquet(source)
    readers: dict[str, Callable[[Path, Refuse], Iterator[tuple[int, Record]]]] = {
        ".csv": _csv,
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".avro": _avro,
    }
    reader = readers.get(suffix)
    if reader is None:
        raise Refused(f"{source.name}: {', '.join(readers)} and .parquet can be imported")
    refused = 0

    def counted(refusal: Refusal) -> None:
        nonlocal refused
        refused += 1
        refuse(refusal)

    staged = scratch / "lines.jsonl"
    lines = 0
    encoder = msgspec.json.Encoder(enc_hook=_as_text)
    try:
        with staged.open("wb") as file:
            for number, record in reader(source, counted):
                file.write(encoder.encode({**record, LINE: number}) + b"\n")
                lines += 1
    except OSError as error:
        raise Unavailable(f"{source} cannot be read: {error.strerror}") from error
    if not lines:
        raise Refused(f"{source.name} has no line that can be read")
    scan = f"read_json(?, format = 'newline_delimited', sample_size = -1, maximum_object_size = {2 * LONGEST_LINE})"
    return Staged(staged, scan, LINE, lines + refused)


def _as_text(value: Any) -> str:
    if isinstance(value, Decimal | date | datetime | time):
        return str(value)
    raise Refused(f"a value of type {type(value).__name__} cannot be imported")


def _parquet(source: Path) -> Staged:
    try:
        with duckdb.connect(":memory:") as database:
            counted = database.execute("SELECT count(*) FROM read_parquet(?)", [str(source)]).fetchone()
    except duckdb.Error as error:
        raise WireError(
            f"{source.name} cannot be read as Parquet: {str(error).partition(chr(10))[0]}"
        ) from error
    assert counted is not None
    return Staged(source, "read_parquet(?, file_row_number = true)", "file_row_number + 1", int(counted[0]))


def _csv(source: Path, refuse: Refuse) -> Iterator[tuple[int, Record]]:
    """Comma-separated text in UTF-8 with a header; a byte order mark is taken away. All fields are text."""
    with source.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] | None = None
        while True:
            first = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                refuse(Refusal(first, f"it is not CSV: {error}"))
                continue
            if fields is None:
                return
            if header is None:
                header = _header(source, fields)
            elif len(fields) == len(header):
                if all(map(_is_utf8, fields)):
                    yield first, dict(zip(header, fields, strict=True))
                else:
                    refuse(Refusal(first, "it is not UTF-8"))
            elif fields:
                refuse(Refusal(first, f"it has {len(fields)} fields, the header has {len(header)}"))


def _header(source: Path, fields: list[str]) -> list[str]:
    if not fields or "" in fields or len(set(fields)) != len(fields) or LINE in fields:
        raise Refused(f"{source.name}: the first line must name every column, each by a name of its own")
    return fields


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def _json_lines(source: Path, refuse: Refuse) -> Iterator[tuple[int, Record]]:
    """One JSON object on each line; empty lines count and hold nothing."""
    decoder = msgspec.json.Decoder(Record)
    with source.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise WireError(f"{source.name}, line {number} is longer than {LONGEST_LINE} bytes")
            if not line.strip():
                continue
            try:
                yield number, decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                refuse(Refusal(number, "it is not a JSON object"))


def _avro(source: Path, refuse: Refuse) -> Iterator[tuple[int, Record]]:
    """An Avro container file of records. Damage ends it: what stands behind a damaged block cannot be found."""
    with source.open("rb") as file:
        number = 0
        try:
            for record in fastavro.reader(file):
                number += 1
                if isinstance(record, dict):
                    yield number, record
                else:
                    refuse(Refusal(number, "it is not a record"))
        except (Refused, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a decoder on damaged bytes raises anything
            raise WireError(
                f"{source.name} is damaged behind record {number}: {type(error).__name__}"
            ) from None
