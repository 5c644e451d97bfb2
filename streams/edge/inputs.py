"""Input files: Avro object container files of :class:`~events.requests.InputRow`.

A row is a request or a piece of reference data with the transport's stamp, ``ingested_at``; rows stand in the
order of that stamp. Any Avro library can write one from ``schemas/InputRow.v5.avsc``. What comes from outside is
checked row by row while it is read: a file that is damaged, or not what it says, ends in one sentence with the
number of the row (from 1), never in a traceback, and never in half a row taken.

Files are written without compression, and with a sync marker made from a label: the same rows give the same
bytes on every machine, so that the hash of a file names its content.
"""

import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import cache
from hashlib import file_digest, sha256
from importlib.resources import files
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

import fastavro
import msgspec
from fastavro.schema import parse_schema

import schemas
from events.errors import Refused, Unavailable, WireError
from events.requests import InputRow, ReferencePublished, Request

SCHEMA_FILE: Final = schemas.file_name(InputRow.__name__, InputRow.VERSION)
MAGIC: Final = b"Obj\x01"
#: A block is this large before it is written: small enough to stream, large enough to read fast.
BLOCK_BYTES: Final = 64_000

_ENTRIES: Final[dict[str, type[Any]]] = {
    f"tallystick.{cls.__name__}": cls for cls in (*get_args(Request), ReferencePublished)
}
_NAMES: Final = {cls: name for name, cls in _ENTRIES.items()}


@cache
def schema() -> Any:
    """The published schema of a row, parsed."""
    return parse_schema(json.loads(files("schemas").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")))


# --- writing ------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: Iterable[InputRow], label: str) -> int:
    """Write a file and return how many rows it has. The file appears whole or not at all."""
    counted = 0

    def plain() -> Iterator[dict[str, Any]]:
        nonlocal counted
        for row in rows:
            counted += 1
            yield _plain(row)

    # The name of this process, so that two writers of one file never write into each other's half.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            fastavro.writer(
                file,
                schema(),
                plain(),
                codec="null",
                sync_interval=BLOCK_BYTES,
                sync_marker=sha256(label.encode()).digest()[:16],
            )
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):  # Where it could not be made, not even looking for it may be possible.
            unfinished.unlink(missing_ok=True)
    return counted


def _plain(row: InputRow) -> dict[str, Any]:
    entry = row.entry
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    if fields.get("signals") is not None:
        fields["signals"] = msgspec.structs.asdict(fields["signals"])
    return {"ingested_at": row.ingested_at, "entry": (_NAMES[type(entry)], fields)}


# --- reading ------------------------------------------------------------------------------------------


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal: what a run's arguments name its input by."""
    with _open(path) as file:
        return file_digest(file, "sha256").hexdigest()


def read_rows(path: Path, skip: int = 0) -> Iterator[InputRow]:
    """The rows of a file in order, from row ``skip`` + 1 on. Skipped rows are checked all the same."""
    return islice(_checked(path), skip, None)


def _checked(path: Path) -> Iterator[InputRow]:
    before = 0
    with closing(_records(path)) as records:
        for number, record in enumerate(records, 1):
            row = _row(path, number, record)
            if row.ingested_at < before:
                raise Refused(
                    f"{path.name}, row {number}: ingested_at {row.ingested_at} is before {before} of the row "
                    f"before it; rows stand in the order of their stamps"
                )
            before = row.ingested_at
            yield row


def _records(path: Path) -> Generator[Any, None, None]:
    """What the Avro library reads, with whatever it raises on bad bytes turned into one kind of error."""
    with _open(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Refused(f"{path.name} is not an Avro container file: it does not begin with Obj and 1")
        file.seek(0)
        number = 0
        try:
            reader = _reader(file)
            name = reader.writer_schema.get("name") if isinstance(reader.writer_schema, dict) else None
            if name != "tallystick.InputRow":
                raise Refused(f"{path.name} holds {name or 'no records'}, not tallystick.InputRow")
            # A file written with the very schema needs no resolution, which would take twice the time.
            if fastavro.schema.to_parsing_canonical_form(
                reader.writer_schema
            ) != fastavro.schema.to_parsing_canonical_form(schema()):
                file.seek(0)
                reader = _reader(file, schema())
            for record in reader:
                yield record
                number += 1
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - a decoder on damaged bytes raises anything, MemoryError included
            raise WireError(
                f"{path.name} is damaged behind row {number}: {type(error).__name__} while reading the next"
            ) from None


def _reader(file: BufferedReader, own: Any = None) -> Any:
    """What is one of several comes with its name; what is there or not comes as it is."""
    return fastavro.reader(file, own, return_record_name=True, return_record_name_override=True)


def _row(path: Path, number: int, record: Any) -> InputRow:
    try:
        name, fields = record["entry"]
        entry = msgspec.convert(fields, _ENTRIES[name])
        return InputRow(msgspec.convert(record["ingested_at"], int), entry)
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        # The reason names the field and the type expected, never the value: it may be a card number.
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "no known kind of entry"
        raise WireError(f"{path.name}, row {number}: {_without_value(reason)}") from None


def _without_value(reason: str) -> str:
    """msgspec says ``Invalid enum value 'what stood there' - at `$.channel```: the value goes."""
    head, quote, tail = reason.partition("'")
    return f"{head.rstrip()}{tail.rpartition(chr(39))[2]}" if quote else reason


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
