"""Input files: the same bytes for the same rows, and no bad byte that goes unnoticed or ends in a traceback."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from events.errors import Refused, TallystickError, Unavailable, WireError
from events.requests import InputRow
from streams.edge.inputs import hash_of, read_rows, schema, write_rows
from streams.edge.simulate import simulate
from tests.streams.builders_early import (
    NOON,
    capture_request,
    payment_request,
    refund_request,
    void_request,
)

ENTRIES = (payment_request(), capture_request(), void_request(), refund_request())


def rows_at(*stamps: int) -> list[InputRow]:
    """Rows of each kind in turn, with these stamps."""
    return [InputRow(at, ENTRIES[number % len(ENTRIES)]) for number, at in enumerate(stamps)]


def written(path: Path, records: list[dict[str, Any]], of: Any = None) -> Path:
    """A file as another program would write it."""
    with path.open("wb") as file:
        fastavro.writer(file, of or schema(), records)
    return path


def plain(**fields: Any) -> dict[str, Any]:
    """A void as a plain record."""
    entry = void_request()
    named = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return {"ingested_at": NOON, "entry": ("tallystick.VoidRequest", named)} | fields


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Rows of every kind come back as they were, reference data with them."""
    rows = list(simulate(40, seed=3))
    assert len(rows) == write_rows(tmp_path / "day.avro", rows, "day")
    assert rows == list(read_rows(tmp_path / "day.avro"))
    assert rows[17:] == list(read_rows(tmp_path / "day.avro", skip=17))


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    """A file's hash names its content: it depends on rows and label alone."""
    rows = list(simulate(40, seed=3))
    for name, label in (("a", "day"), ("b", "day"), ("c", "another")):
        write_rows(tmp_path / name, rows, label)
    assert hash_of(tmp_path / "a") == hash_of(tmp_path / "b")
    assert hash_of(tmp_path / "a") != hash_of(tmp_path / "c")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A writer that fails half-way leaves neither a file nor a half of one."""

    def failing() -> Any:
        yield from rows_at(NOON, NOON)
        raise Refused("no more")

    with pytest.raises(Refused, match="no more"):
        write_rows(tmp_path / "day.avro", failing(), "day")
    assert [] == list(tmp_path.iterdir())


def test_rows_out_of_order_are_refused_with_their_number(tmp_path: Path) -> None:
    """Equal stamps are in order; an earlier one is not."""
    write_rows(tmp_path / "day.avro", rows_at(NOON, NOON, NOON + 1, NOON), "day")
    read = read_rows(tmp_path / "day.avro")
    assert [next(read).ingested_at for _ in range(3)] == [NOON, NOON, NOON + 1]
    with pytest.raises(Refused, match=r"day\.avro, row 4: .* is before"):
        next(read)


def test_every_cut_and_every_flip_is_an_error_or_other_rows(tmp_path: Path) -> None:
    """Whatever happens to a byte: one of our errors, or rows that are well-formed. Never anything else."""
    path = tmp_path / "day.avro"
    write_rows(path, rows_at(NOON, NOON + 1), "day")
    good = path.read_bytes()
    body = good.index(b"shop-1") - 40
    damaged = [good[:end] for end in range(0, len(good), 23)]
    damaged += [
        good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :]
        for at in [*range(0, body, 29), *range(body, len(good), 3)]
        for bit in (0x01, 0x80)
    ]
    said = [_read(path, data) for data in damaged]
    errors = [text for text in said if text is not None]
    assert len(errors) > len(damaged) // 4
    assert all("day.avro" in text for text in errors)


def _read(path: Path, data: bytes) -> str | None:
    """What is said of a file's bytes; None where they hold rows."""
    path.write_bytes(data)
    try:
        rows = list(read_rows(path))
    except TallystickError as error:
        return str(error)
    assert all(isinstance(row, InputRow) for row in rows)
    return None


def test_bytes_behind_the_end_are_noticed(tmp_path: Path) -> None:
    """A file with something glued to it is damaged."""
    path = tmp_path / "day.avro"
    write_rows(path, rows_at(NOON), "day")
    path.write_bytes(path.read_bytes() + b"\x02tail")
    with pytest.raises(WireError, match="damaged behind row 1"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", Refused, "not an Avro container file"),
        (b"merchant,amount\n", Refused, "not an Avro container file"),
        (b"Obj\x01", WireError, "damaged behind row 0"),
    ],
)
def test_what_is_no_container_is_refused(
    tmp_path: Path, content: bytes, error: type[Exception], says: str
) -> None:
    """The first bytes tell."""
    (tmp_path / "day.avro").write_bytes(content)
    with pytest.raises(error, match=says):
        list(read_rows(tmp_path / "day.avro"))


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    """It may be there later."""
    with pytest.raises(Unavailable, match="nowhere"):
        list(read_rows(tmp_path / "nowhere.avro"))


def test_records_of_something_else_are_refused(tmp_path: Path) -> None:
    """A container of other records names them."""
    other = {"type": "record", "name": "Cup", "fields": [{"name": "tea", "type": "string"}]}
    written(tmp_path / "cups.avro", [{"tea": "green"}], of=other)
    with pytest.raises(Refused, match="holds Cup, not tallystick"):
        list(read_rows(tmp_path / "cups.avro"))


def test_a_writer_with_more_fields_is_understood(tmp_path: Path) -> None:
    """Avro resolves what another program's schema has in addition."""
    text = io.StringIO()
    json.dump(schema(), text)
    wider = json.loads(text.getvalue())
    wider["fields"].append({"name": "trace", "type": "string", "default": ""})
    wider.pop("__fastavro_parsed__", None)
    wider.pop("__named_schemas", None)
    written(tmp_path / "day.avro", [plain(trace="abc")], of=fastavro.parse_schema(wider))
    assert [InputRow(NOON, void_request())] == list(read_rows(tmp_path / "day.avro"))


def test_a_value_outside_its_set_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """The text that should have been a channel may be a card number: the error names the field alone."""
    entry = payment_request()
    named = {name: getattr(entry, name) for name in entry.__struct_fields__}
    record = {
        "ingested_at": NOON,
        "entry": ("tallystick.PaymentRequest", named | {"channel": "4111111111111111"}),
    }
    written(tmp_path / "day.avro", [plain(), record])
    read = read_rows(tmp_path / "day.avro")
    next(read)
    with pytest.raises(WireError, match=r"row 2: .*channel") as caught:
        next(read)
    assert "4111" not in str(caught.value)
