"""The generated codec, and the pieces it is made of: fastavro is the referee, both ways."""

import importlib
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import _codec, avro, binary, emit, wire
from events.base import Event
from events.catalog import EVENTS, MESSAGES
from events.envelope import Meta, Recorded, Source, Versions
from events.errors import Refused, WireError
from events.evolution import build, read_generic, to_generic, write_generic
from events.intake import RequestReceived
from events.samples import recorded_samples, samples

LONG = st.integers(-(2**63), 2**63 - 1)
# What UTF-8 can write: anything but lone surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


# --- against fastavro ---------------------------------------------------------------------------------


def _values(shape: avro.Shape) -> st.SearchStrategy[Any]:
    """Any value of a shape."""
    match shape.kind:
        case "string":
            return TEXT
        case "long":
            return LONG | st.integers(-200, 10_000)
        case "boolean":
            return st.booleans()
        case "bytes":
            return st.binary(max_size=100)
        case "enum":
            return st.sampled_from(_members(shape.cls))
        case "record":
            return _records(shape.cls)
        case "list":
            return st.lists(_values(shape.of[0]), max_size=3)
        case "optional":
            return st.none() | _values(shape.of[0])
        case "union":
            return st.one_of(*(_values(branch) for branch in shape.of))


def _members(enum: Any) -> list[Any]:
    return list(enum)


def _records(cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*(_values(field.shape) for field in avro.fields_of(cls))).map(
        lambda values: cls(*values)
    )


def _drawable() -> st.SearchStrategy[Any]:
    return st.sampled_from([*EVENTS, *MESSAGES]).flatmap(
        lambda cls: st.tuples(_records(Meta), _records(cls)).map(
            lambda drawn: Recorded(drawn[0], drawn[1]) if issubclass(cls, Event) else drawn[1]
        )
    )


@given(_drawable())
@settings(max_examples=250, deadline=None)
def test_the_codec_and_fastavro_agree(value: Any) -> None:
    """Same bytes, and from them the same value, for any value of any class."""
    if isinstance(value, Recorded):
        data, cls = wire.encode_event(value), type(value.body)
        assert wire.decode_event(data) == value
    else:
        data, cls = wire.encode_message(value), type(value)
        assert wire.decode_message(data) == value
    schema = fastavro.parse_schema(avro.schema_of(cls), named_schemas={})
    assert write_generic(schema, to_generic(value)) == data[wire.HEADER_BYTES :]
    assert read_generic(schema, data[wire.HEADER_BYTES :]) == to_generic(value)


@pytest.mark.parametrize("cls", [*EVENTS, *MESSAGES])
def test_every_value_of_every_enum_passes(cls: type[Any]) -> None:
    """Samples see some values of an enum; here are all, in every field."""
    for field in avro.fields_of(cls):
        if field.shape.kind == "enum":
            for value in _members(field.shape.cls):
                fields = to_generic(samples(cls)[0]) | {field.name: str(value)}
                changed = build(cls, fields)
                if isinstance(changed, Event):
                    recorded = Recorded(recorded_samples(RequestReceived)[0].meta, changed)
                    assert wire.decode_event(wire.encode_event(recorded)) == recorded
                else:
                    assert wire.decode_message(wire.encode_message(changed)) == changed


def test_samples_show_every_branch_and_both_kinds_of_nothing() -> None:
    """What golden bytes are made of covers every branch, a missing and a present value, an empty list."""
    for cls in (*EVENTS, *MESSAGES):
        values = samples(cls)
        for field in avro.fields_of(cls):
            found = [getattr(value, field.name) for value in values]
            if field.shape.kind == "union":
                assert {type(value) for value in found} == {branch.cls for branch in field.shape.of}
            if field.shape.kind == "list":
                assert {0, 65} <= {len(value) for value in found}
    metas = [recorded.meta for recorded in recorded_samples(EVENTS[0])]
    assert {type(meta.source) for meta in metas} == {Source, type(None)}


# --- what is shared and remembered --------------------------------------------------------------------


def _with(versions: Versions) -> Recorded:
    recorded = recorded_samples(RequestReceived)[0]
    meta = Meta("key", 1, 2, 3, 4, "cause", "correlation", None, versions, False)
    return Recorded(meta, recorded.body)


def test_remembered_versions_are_never_the_wrong_ones() -> None:
    """Alternating values, equal values in other objects, and values that begin with the same bytes."""
    several = [Versions(), Versions(1), Versions(1, 2, 3, 4, 5, 6), Versions(10**6), Versions(), Versions(64)]
    for first, second in itertools.product(several, repeat=2):
        for versions in (first, second, first):
            data = wire.encode_event(_with(versions))
            assert wire.decode_event(data).meta.versions == versions
    one = wire.decode_event(wire.encode_event(_with(several[2]))).meta.versions
    two = wire.decode_event(wire.encode_event(_with(several[2]))).meta.versions
    assert one is two


def test_a_cut_record_does_not_spoil_what_is_remembered() -> None:
    """Bytes that end inside the shared part leave the next record alone."""
    data = wire.encode_event(_with(Versions(9, 9, 9, 9, 9, 9)))
    for size in range(len(data)):
        with pytest.raises(WireError):
            wire.decode_event(data[:size])
        assert wire.decode_event(data).meta.versions == Versions(9, 9, 9, 9, 9, 9)


def test_what_is_remembered_stays_bounded() -> None:
    """Memory is flat in the number of records, and a table that was just cleared gives the same bytes.

    With the real bound, not a smaller one: compiled code has constants built in.
    """
    texts, longs = binary.Texts(), binary.Longs()
    for number in range(binary.CACHED_VALUES + 100):
        text = f"{number}"
        assert texts[text] == bytes([len(text) * 2]) + text.encode()
        assert longs[number] == binary.varint(number)
    assert 0 < len(texts) <= 100
    assert 0 < len(longs) <= 100
    long_text = "x" * (binary.CACHED_TEXT + 1)
    assert texts[long_text].endswith(b"x")
    assert long_text not in texts
    binary.INSTANTS.clear()
    for instant_at in range(1_773_059_400_000_000, 1_773_059_400_000_000 + binary.CACHED_VALUES + 100):
        assert binary.read_instant(binary.varint(instant_at), 0) == (instant_at, 8)
    assert len(binary.INSTANTS) == 100


@given(LONG)
def test_integers_of_every_length_are_read_back(value: int) -> None:
    """By both readers, twice: the second time from what the first one remembered."""
    data = binary.varint(value)
    assert len(data) <= 10
    for read in (binary.read_long, binary.read_instant, binary.read_instant):
        assert read(b"\x01" + data + b"\xff", 1) == (value, len(data) + 1)


def test_the_shortest_integers_by_hand() -> None:
    """The examples of the Avro specification."""
    by_hand = {0: b"\x00", -1: b"\x01", 1: b"\x02", -2: b"\x03", 2: b"\x04", -64: b"\x7f", 64: b"\x80\x01"}
    assert {value: binary.varint(value) for value in by_hand} == by_hand
    assert binary.SMALL[:5] == [0, -1, 1, -2, 2]


# --- the generator ------------------------------------------------------------------------------------

TOYS = """
from enum import StrEnum
from events.base import Event, Message, Part

class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"

class Inner(Part, frozen=True):
    name: str
    weight: int | None

class Asked(Message, frozen=True):
    text: str
    data: bytes
    end: int
    at: int
    start: bool

class Said(Message, frozen=True):
    octet: list[str]
    count: list[int]
    flags: list[bool]

class Toy(Event, frozen=True):
    KEY = ("reason.text",)
    reason: Asked
    colour: Colour
    other: Colour | None
    inner: Inner | None
    inners: list[Inner]
    colours: list[Colour]
    blobs: list[bytes]
    note: str | None
    flag: bool | None
    blob: bytes | None
    seen_at: int | None
    many: list[list[int]]
    answer: Asked | Said
    again: Asked | Said
    more: list[Asked | Said] = []
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A family with every shape there is, and field names that clash with those of generated code."""
    (tmp_path / "toy_family.py").write_text(TOYS, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_family", raising=False)
    return importlib.import_module("toy_family")


def test_every_shape_is_generated(toys: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optional lists, lists of lists, unions in lists: fastavro reads and writes the same."""
    classes = (toys.Toy, toys.Asked, toys.Said)
    source = emit.codec_source(classes, {"Toy": 1, "Asked": 2, "Said": 3}, {})
    (tmp_path / "toy_codec.py").write_text(source, "utf-8")
    monkeypatch.delitem(sys.modules, "toy_codec", raising=False)
    codec = importlib.import_module("toy_codec")
    for cls in classes:
        record = avro.schema_of(cls)
        schema = fastavro.parse_schema(
            record["fields"][1]["type"] if issubclass(cls, Event) else record, named_schemas={}
        )
        writers = codec.EVENT_WRITERS if issubclass(cls, Event) else codec.MESSAGE_WRITERS
        readers = codec.EVENT_READERS if issubclass(cls, Event) else codec.MESSAGE_READERS
        header, write = writers[cls]
        for value in samples(cls):
            data = write(value)
            assert data == write_generic(schema, to_generic(value))
            assert readers[header](data, data.decode("latin-1"), 0) == (value, len(data))


def test_generating_twice_gives_the_same_source(toys: ModuleType) -> None:
    """No set, no hash order, no time in it."""
    ids = {"Toy": 1, "Asked": 2, "Said": 3}
    classes = (toys.Toy, toys.Asked, toys.Said)
    assert emit.codec_source(classes, ids, {}) == emit.codec_source(classes, ids, {})


@pytest.mark.parametrize("cls", [*EVENTS, *MESSAGES])
def test_every_class_of_the_catalog_has_a_codec(cls: type[Any]) -> None:
    """Written and read under one id."""
    writers = _codec.EVENT_WRITERS if issubclass(cls, Event) else _codec.MESSAGE_WRITERS
    readers = _codec.EVENT_READERS if issubclass(cls, Event) else _codec.MESSAGE_READERS
    header, _ = writers[cls]
    assert header == wire.schema_id(cls).to_bytes(5, "big")
    assert header in readers


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("class Bad(Event, frozen=True):\n    rate: float", "Bad.rate: .*float"),
        ("class Bad(Event, frozen=True):\n    rates: dict[str, int]", "Bad.rates: .*dict"),
        ("class Bad(Event, frozen=True):\n    pair: tuple[int, int]", "Bad.pair: .*tuple"),
        ("class Bad(Event, frozen=True):\n    either: str | int", "Bad.either: a union joins"),
        (
            "class Bad(Event, frozen=True):\n    either: One | Two | None",
            "Bad.either: a union of records cannot",
        ),
        ("class Bad(Event, frozen=True):\n    word: Word", "Bad.word: Word: values of an enum are ASCII"),
    ],
)
def test_what_the_contract_does_not_allow_is_refused(source: str, reason: str) -> None:
    """With the class and the field in the reason."""
    head = "from enum import StrEnum\nfrom events.base import Event, Message\n"
    head += "class One(Message, frozen=True):\n    a: int\nclass Two(Message, frozen=True):\n    a: int\n"
    head += "class Word(StrEnum):\n    UMLAUT = 'ü'\n"
    space: dict[str, Any] = {"__name__": "bad_family"}
    exec(head + source, space)  # noqa: S102 (the classes are written above)
    with pytest.raises(Refused, match=reason):
        avro.fields_of(space["Bad"])


@pytest.mark.parametrize("path", ["nowhere", "count", "request.amount", "request.nowhere"])
def test_a_key_has_to_lead_to_a_text(path: str) -> None:
    """In every branch of a union: RequestReceived's requests do not all have an amount."""

    class Misnamed(RequestReceived, frozen=True):
        KEY = (path,)
        count: int

    with pytest.raises(Refused, match=r"Misnamed\.KEY"):
        avro.check_key(Misnamed)
