"""Records of older versions are read as today's objects, and a contract changes only as it may."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest

import schemas
from events import _codec, avro, evolution, generate, wire
from events.base import Message
from events.binary import LIST_LIMIT, TEXT_LIMIT, TEXTS
from events.catalog import EVENTS, MESSAGES
from events.envelope import Meta, Recorded
from events.errors import Refused, WireError
from events.evolution import UPCASTERS, build, decode_older, read_generic, to_generic, upcast, write_generic
from events.lifecycle import PaymentCaptured
from events.messages import Handover
from events.requests import Channel, PaymentRequest, Tick
from events.samples import recorded_samples, samples
from events.settlement import Entry, FundsMadeAvailable

CATALOG: tuple[type[Any], ...] = (*EVENTS, *MESSAGES)
HEAD = "from enum import StrEnum\nfrom events.base import Event, Message, Part\n"
FIRST = '''
class Colour(StrEnum):
    RED = "red"

class Paid(Event, frozen=True):
    """A payment."""
    KEY = ("payment_id",)
    payment_id: str
    amount: int
    colour: Colour

class Asked(Message, frozen=True):
    amount: int
'''

SECOND = FIRST.replace("KEY =", "VERSION = 2\n    KEY =")
ASKED = FIRST[FIRST.index("class Asked") :]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[type[Any]]]:
    """Writes a family and gives its classes, as if it stood in the catalog."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(source: str) -> list[type[Any]]:
        (tmp_path / "toy_tree.py").write_text(HEAD + source, "utf-8")
        monkeypatch.delitem(sys.modules, "toy_tree", raising=False)
        importlib.invalidate_caches()
        module = importlib.import_module("toy_tree")
        return [getattr(module, name) for name in ("Paid", "Asked") if hasattr(module, name)]

    return load


def _rows(root: Path) -> list[tuple[int, str, int]]:
    rows = json.loads((root / generate.LOCK).read_text("utf-8"))["schemas"]
    return [(row["id"], row["name"], row["version"]) for row in rows]


# --- the generator and its lock -----------------------------------------------------------------------


def test_generating_publishes_once(tree: Callable[[str], list[type[Any]]], tmp_path: Path) -> None:
    """Schema, lock row, codec and golden bytes are written; a second run has nothing to do."""
    classes = tree(FIRST)
    assert generate.main(["--check"], classes, tmp_path) == 1
    assert not (tmp_path / "schemas").exists()
    assert generate.main([], classes, tmp_path) == 0
    assert _rows(tmp_path) == [(1, "Paid", 1), (2, "Asked", 1)]
    assert sorted(path.name for path in (tmp_path / "schemas").glob("*.avsc")) == [
        "Asked.v1.avsc",
        "Paid.v1.avsc",
    ]
    assert {path.name for path in (tmp_path / generate.GOLDEN).iterdir()} == {"Asked.v1.bin", "Paid.v1.bin"}
    assert generate.main(["--check"], classes, tmp_path) == 0


@pytest.mark.parametrize("path", [generate.CODEC, generate.SCHEMAS / "Paid.v1.avsc", generate.LOCK])
def test_a_stale_file_is_named(
    path: Path, tree: Callable[[str], list[type[Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Edited by hand: --check says which file and exits 1, generating puts it right."""
    classes = tree(FIRST)
    generate.main([], classes, tmp_path)
    (tmp_path / path).write_text((tmp_path / path).read_text("utf-8") + "\n", "utf-8")
    assert generate.main(["--check"], classes, tmp_path) == 1
    assert f"stale: {path}" in capsys.readouterr().err
    assert generate.main([], classes, tmp_path) == 0
    assert generate.main(["--check"], classes, tmp_path) == 0


def test_a_left_over_schema_is_named(tree: Callable[[str], list[type[Any]]], tmp_path: Path) -> None:
    """A schema file without a row in the lock is a mistake; it is reported and not deleted."""
    classes = tree(FIRST)
    generate.main([], classes, tmp_path)
    (tmp_path / "schemas/Stray.v1.avsc").write_text("{}", "utf-8")
    assert generate.main(["--check"], classes, tmp_path) == 1
    assert generate.main([], classes, tmp_path) == 0
    assert (tmp_path / "schemas/Stray.v1.avsc").exists()


CHANGES = [
    ("field added", FIRST.replace("colour: Colour", "colour: Colour\n    extra: int = 0"),
     "Paid version 1 is published and its schema has changed: set VERSION to 2"),
    ("default added", FIRST.replace("amount: int\n    colour: Colour", "amount: int\n    colour: Colour = Colour.RED"),
     "Paid version 1 is published"),
    ("value added", FIRST.replace('RED = "red"', 'RED = "red"\n    BLUE = "blue"'), "Paid version 1 is published"),
    ("version skipped", FIRST.replace("KEY =", "VERSION = 3\n    KEY ="), "VERSION is 3, the next one after 1 is 2"),
    ("version lowered", FIRST.replace("KEY =", "VERSION = 0\n    KEY ="), "VERSION is 0, the next one after 1 is 2"),
    ("class gone", FIRST[: FIRST.index("class Asked")], "published and gone: Asked"),
    ("incompatible event", SECOND.replace("amount: int\n    c", "sum: int\n    c"),
     "Paid is not compatible .full. with what is published"),
    ("incompatible message", FIRST.replace(ASKED, ASKED.replace("amount: int", "VERSION = 2\n    amount: str")),
     "Asked is not compatible .backward. with what is published"),
    ("key without field", FIRST.replace('("payment_id",)', '("payment",)'), "Paid.KEY: payment does not lead"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changed", "reason"), CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_that_must_not_be_is_refused(
    name: str,
    changed: str,
    reason: str,
    tree: Callable[[str], list[type[Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a reason that says what to do, exit code 2, and nothing written."""
    assert changed != FIRST
    generate.main([], tree(FIRST), tmp_path)
    before = {
        path: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    classes = tree(changed)
    with pytest.raises(Refused, match=reason):
        generate.resolve(classes, tmp_path)
    assert generate.main([], classes, tmp_path) == 2
    assert "refused: " in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in before}


def test_two_classes_of_one_name_are_refused(tree: Callable[[str], list[type[Any]]], tmp_path: Path) -> None:
    """Names are the namespace of the wire."""
    classes = tree(FIRST)
    with pytest.raises(Refused, match="two classes have this name"):
        generate.resolve([*classes, classes[0]], tmp_path)


def test_a_new_version_gets_a_new_id(tree: Callable[[str], list[type[Any]]], tmp_path: Path) -> None:
    """Old rows, schemas and golden bytes stay; the codec knows the old id as one to be read."""
    generate.main([], tree(FIRST), tmp_path)
    golden = (tmp_path / generate.GOLDEN / "Paid.v1.bin").read_bytes()
    second = SECOND.replace("colour: Colour", 'colour: Colour\n    note: str = ""')
    assert generate.main([], tree(second), tmp_path) == 0
    assert _rows(tmp_path) == [(1, "Paid", 1), (2, "Asked", 1), (3, "Paid", 2)]
    assert (tmp_path / generate.GOLDEN / "Paid.v1.bin").read_bytes() == golden
    assert (tmp_path / generate.GOLDEN / "Paid.v2.bin").exists()
    codec = (tmp_path / generate.CODEC).read_text("utf-8")
    assert "    1: (Paid, 1),\n" in codec
    assert "    Paid: 3,\n" in codec


def test_a_published_schema_that_was_edited_is_refused(
    tree: Callable[[str], list[type[Any]]], tmp_path: Path
) -> None:
    """An older version's file is not generated any more, so its fingerprint guards it."""
    generate.main([], tree(FIRST), tmp_path)
    second = tree(SECOND)
    generate.main([], second, tmp_path)
    path = tmp_path / "schemas/Paid.v1.avsc"
    path.write_text(path.read_text("utf-8").replace('"amount"', '"amounts"'), "utf-8")
    with pytest.raises(Refused, match=r"Paid\.v1\.avsc is not what was published"):
        generate.resolve(second, tmp_path)


def test_documentation_may_change(tree: Callable[[str], list[type[Any]]], tmp_path: Path) -> None:
    """Words are not part of the contract: the file follows the class, the version stays."""
    generate.main([], tree(FIRST), tmp_path)
    classes = tree(FIRST.replace("A payment.", "A payment that was made."))
    assert generate.main([], classes, tmp_path) == 0
    assert "that was made" in (tmp_path / "schemas/Paid.v1.avsc").read_text("utf-8")
    assert _rows(tmp_path) == [(1, "Paid", 1), (2, "Asked", 1)]


# --- reading older versions ---------------------------------------------------------------------------


def _older(cls: type[Any], monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], object]) -> Any:
    """Pretend that version 0 of a class was published, with another schema."""
    schema = avro.schema_of(cls)
    change(schema if issubclass(cls, Message) else schema["fields"][1]["type"])
    parsed = fastavro.parse_schema(schema, named_schemas={})
    known = evolution.writer_schema
    monkeypatch.setattr(
        evolution,
        "writer_schema",
        lambda name, version: parsed if (name, version) == (cls.__name__, 0) else known(name, version),
    )
    return parsed


def _without(name: str) -> Callable[[Any], object]:
    def change(schema: Any) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] != name]

    return change


def test_every_current_record_could_be_read_by_the_slow_path() -> None:
    """The generic decoder gives the very objects that the generated one gives."""
    for recorded in recorded_samples(PaymentCaptured):
        data = wire.encode_event(recorded)
        assert decode_older(PaymentCaptured, PaymentCaptured.VERSION, data[5:]) == recorded
    for message in samples(Handover):
        assert decode_older(Handover, Handover.VERSION, wire.encode_message(message)[5:]) == message


def test_an_upcaster_fills_in_what_was_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event whose version 0 had no ``amount``: the upcaster knows what it was."""
    schema = _older(PaymentCaptured, monkeypatch, _without("amount"))
    recorded = recorded_samples(PaymentCaptured)[0]
    fields = to_generic(recorded)
    del fields["body"]["amount"]
    encoded = write_generic(schema, fields)
    with pytest.raises(WireError, match=r"PaymentCaptured\.amount has no value and no default: an upcaster"):
        decode_older(PaymentCaptured, 0, encoded)
    monkeypatch.setitem(UPCASTERS, ("PaymentCaptured", 0), lambda fields: fields | {"amount": 77})
    found = decode_older(PaymentCaptured, 0, encoded)
    assert isinstance(found, Recorded)
    assert isinstance(found.body, PaymentCaptured)
    assert found.body.amount == 77
    assert found.meta == recorded.meta


def test_the_wire_reads_an_older_schema_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """By id, from the header alone; events and messages are still told apart, and the bound holds."""
    schema = _older(Tick, monkeypatch, _without("reference_version"))
    monkeypatch.setitem(_codec.OLDER, 60_000, (Tick, 0))
    monkeypatch.setitem(wire._TYPES, 60_000, Tick)
    monkeypatch.setitem(UPCASTERS, ("Tick", 0), lambda fields: fields | {"reference_version": 4})
    data = (60_000).to_bytes(5, "big") + write_generic(schema, {"tick": 2, "at": 3})
    assert wire.type_of(data) is Tick
    assert wire.decode_message(data) == Tick(2, 3, 4)
    with pytest.raises(WireError, match="Tick is not an event"):
        wire.decode_event(data)
    for damaged in (data[:-1], data + b"\x00", data[:5]):
        with pytest.raises(WireError):
            wire.decode_message(damaged)
    with pytest.raises(WireError, match="are possible"):
        wire.decode_message(data + bytes(wire.RECORD_LIMIT))


def test_the_wire_reads_an_older_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its envelope, like any other."""
    schema = _older(PaymentCaptured, monkeypatch, _without("final"))
    monkeypatch.setitem(_codec.OLDER, 60_001, (PaymentCaptured, 0))
    monkeypatch.setitem(wire._TYPES, 60_001, PaymentCaptured)
    monkeypatch.setitem(UPCASTERS, ("PaymentCaptured", 0), lambda fields: fields | {"final": True})
    recorded = recorded_samples(PaymentCaptured)[1]
    fields = to_generic(recorded)
    expected = msgspec.structs.replace(recorded.body, final=True)
    del fields["body"]["final"]
    data = (60_001).to_bytes(5, "big") + write_generic(schema, fields)
    assert wire.decode_event(data) == Recorded(recorded.meta, expected)
    with pytest.raises(WireError, match="PaymentCaptured is not a message"):
        wire.decode_message(data)


def test_upcasters_walk_one_version_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 to 2 to 3 to 4; a version without an upcaster is stepped over."""
    monkeypatch.setitem(UPCASTERS, ("Walk", 1), lambda fields: fields | {"trace": fields["trace"] + [1]})
    monkeypatch.setitem(UPCASTERS, ("Walk", 3), lambda fields: fields | {"trace": fields["trace"] + [3]})
    assert upcast("Walk", 1, 4, {"trace": []}) == {"trace": [1, 3]}
    assert upcast("Walk", 3, 4, {"trace": []}) == {"trace": [3]}
    assert upcast("Walk", 4, 4, {"trace": []}) == {"trace": []}


def test_every_upcaster_belongs_to_an_older_version() -> None:
    """One for a version that was never published, or for the current one, would never run."""
    older = {(row["name"], row["version"]) for row in schemas.published()} - {
        (cls.__name__, cls.VERSION) for cls in CATALOG
    }
    assert UPCASTERS.keys() <= older


def test_a_field_with_a_default_needs_no_upcaster() -> None:
    """``Versions`` has defaults: a record from before a counter existed reads as 0."""
    meta = to_generic(recorded_samples(PaymentCaptured)[0].meta)
    del meta["versions"]["model"]
    assert build(Meta, meta).versions.model == 0


# --- the generic form -----------------------------------------------------------------------------------


def test_fields_that_are_left_over_are_refused() -> None:
    """What an old record says and today's class has no room for is not dropped in silence."""
    with pytest.raises(WireError, match="Tick has no field extra: an upcaster is missing"):
        build(Tick, {"tick": 1, "at": 2, "reference_version": 3, "extra": 4})


@pytest.mark.parametrize(
    ("cls", "field", "value", "reason"),
    [
        (PaymentRequest, "channel", "by pigeon", "a value that Channel does not know"),
        (PaymentRequest, "merchant", "x" * (TEXT_LIMIT + 1), "a text is longer"),
        (FundsMadeAvailable, "entries", [{"item": "i", "amount": 1}] * (LIST_LIMIT + 1), "501 entries"),
        (Handover, "fact", ("tallystick.Unheard", {}), "no longer a branch"),
    ],
)
def test_the_slow_path_has_the_same_bounds(cls: type[Any], field: str, value: object, reason: str) -> None:
    """Old bytes are no way around what new ones may hold."""
    fields = to_generic(samples(cls)[0]) | {field: value}
    with pytest.raises(WireError, match=reason):
        build(cls, fields)


def test_bytes_that_are_not_canonical_are_refused() -> None:
    """fastavro reads a list in two blocks, or a long zero; a record of ours never has them."""
    schema = fastavro.parse_schema({"type": "array", "items": "long"}, named_schemas={})
    canonical: Any = read_generic(schema, b"\x04\x02\x04\x00")
    assert canonical == [1, 2]
    for spelled in (b"\x02\x02\x02\x04\x00", b"\x04\x82\x00\x04\x00", b"\x03\x04\x02\x04\x00"):
        with pytest.raises(WireError):
            read_generic(schema, spelled)


def test_generic_fields_are_plain() -> None:
    """Enums as text, branches by name: what a template or another language can use."""
    request = samples(PaymentRequest)[0]
    assert type(to_generic(request)["channel"]) is str
    assert to_generic(request)["channel"] in {str(channel) for channel in Channel}
    assert to_generic(Entry("i", 1)) == {"item": "i", "amount": 1}
    assert {to_generic(message)["fact"][0] for message in samples(Handover)} >= {"tallystick.RequestReceived"}
    assert TEXTS["ü"] == b"\x04\xc3\xbc"
