"""Bytes become a value or a WireError, whatever they are; nothing else ever happens."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import binary, wire
from events.authorization import DeclineReason, PaymentDeclined, RetryAdvice
from events.base import Event, Message
from events.catalog import EVENTS, MESSAGES
from events.envelope import Meta, Recorded, Source, Versions
from events.errors import WireError
from events.messages import DeadLetter, Handover
from events.partitions import DeadLetterReason
from events.requests import Tick
from events.samples import recorded_samples, samples
from events.settlement import Entry, FundsMadeAvailable

VERSIONS = Versions(rules=3)


def _recorded(body: Event, key: str = "pay-0372-0123456789abcdef", source: Source | None = None) -> Recorded:
    return Recorded(Meta(key, 1, 5, 6, 7, "cause.1", "correlation", source, VERSIONS, False), body)


def _declined(currency: str = "EUR") -> PaymentDeclined:
    return PaymentDeclined(
        "pay-0372-0123456789abcdef",
        "shop-1",
        1999,
        currency,
        "vista",
        "51",
        DeclineReason.OTHER,
        RetryAdvice.LATER,
    )


def _available(entries: int) -> FundsMadeAvailable:
    return FundsMadeAvailable(
        "shop-1", "EUR", "batch-1", 1, 1, [Entry(f"item-{n}", n) for n in range(entries)], 7
    )


ALL_BYTES: list[bytes] = [wire.encode_event(recorded) for cls in EVENTS for recorded in recorded_samples(cls)]
ALL_BYTES += [wire.encode_message(message) for cls in MESSAGES for message in samples(cls)]


def _decode(data: bytes) -> bytes | None:
    """Decode and encode again; None for what was refused. Any other exception fails the test."""
    try:
        if issubclass(wire.type_of(data), Event):
            return wire.encode_event(wire.decode_event(data))
        return wire.encode_message(wire.decode_message(data))
    except WireError:
        return None


@pytest.mark.parametrize("cls", [*EVENTS, *MESSAGES])
def test_every_prefix_is_refused(cls: type[Event] | type[Message]) -> None:
    """Byte by byte: no beginning of a record is a record, and neither is a record with a byte to spare."""
    data: list[bytes]
    decode: Callable[[bytes], Any]
    if issubclass(cls, Event):
        decode, data = wire.decode_event, [wire.encode_event(value) for value in recorded_samples(cls)]
    else:
        decode, data = wire.decode_message, [wire.encode_message(value) for value in samples(cls)]
    shortest = min(data, key=len)
    for size in range(len(shortest)):
        with pytest.raises(WireError):
            decode(shortest[:size])
    for spare in (b"\x00", b"\x02", shortest):
        with pytest.raises(WireError, match="behind its end"):
            decode(shortest + spare)


@given(st.sampled_from(ALL_BYTES), st.data())
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_damaged_bytes_are_refused_or_another_value(data: bytes, drawn: st.DataObject) -> None:
    """A flipped byte, a cut, an insertion: refused, or a value whose only bytes these are."""
    at = drawn.draw(st.integers(0, len(data)))
    inserted = drawn.draw(st.binary(max_size=12))
    removed = drawn.draw(st.integers(0, 12))
    damaged = data[:at] + inserted + data[at + removed :]
    assert _decode(damaged) in (None, damaged)


@given(st.sampled_from(ALL_BYTES), st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_behind_a_header_are_refused_or_a_value(data: bytes, rest: bytes) -> None:
    """Whatever stands behind a known schema id."""
    damaged = data[: wire.HEADER_BYTES] + rest
    assert _decode(damaged) in (None, damaged)


@given(st.binary(max_size=64))
@settings(max_examples=200)
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    """Without a schema id there is nothing to read."""
    assert _decode(data) in (None, data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes cannot hold"),
        (b"\x00\x00\x00\x00", "4 bytes cannot hold"),
        (b"\x01\x00\x00\x00\x01rest", "the first byte is 1"),
        (b"\x00\x00\x00\x00\x00rest", "no schema has the id 0"),
        (b"\x00\xff\xff\xff\xffrest", "no schema has the id 4294967295"),
    ],
)
@pytest.mark.parametrize("read", [wire.type_of, wire.decode_event, wire.decode_message])
def test_a_header_that_names_nothing_is_refused(
    read: Callable[[bytes], Any], data: bytes, reason: str
) -> None:
    """By all three readers, with the same reason."""
    with pytest.raises(WireError, match=reason):
        read(data)


def test_events_and_messages_are_not_mixed_up() -> None:
    """A message in a log, or an event on a topic, is refused by name."""
    event, message = wire.encode_event(_recorded(_declined())), wire.encode_message(Tick(1, 2, 3))
    assert wire.type_of(event) is PaymentDeclined
    assert wire.type_of(message) is Tick
    with pytest.raises(WireError, match="PaymentDeclined is not a message"):
        wire.decode_message(event)
    with pytest.raises(WireError, match="Tick is not an event"):
        wire.decode_event(message)


def test_the_header_names_the_schema() -> None:
    """Zero, then the id in four bytes: what any Confluent-compatible client expects."""
    data = wire.encode_message(Tick(1, 2, 3))
    assert data == b"\x00" + wire.schema_id(Tick).to_bytes(4, "big") + b"\x02\x04\x06"


def test_what_is_not_published_is_refused() -> None:
    """A class without a schema cannot be written, whatever it looks like."""

    class Unheard(Message, frozen=True):
        tick: int

    class Unrecorded(Event, frozen=True):
        tick: int

    with pytest.raises(WireError, match="not published"):
        wire.schema_id(Unheard)
    with pytest.raises(WireError, match="not a published"):
        wire.encode_message(Unheard(1))
    with pytest.raises(WireError, match="not a published"):
        wire.encode_event(_recorded(Unrecorded(1)))
    with pytest.raises(WireError):
        wire.encode_message(_declined())  # type: ignore[arg-type]


# --- bounds, each from both sides ---------------------------------------------------------------------


def test_a_list_has_a_bound() -> None:
    """500 entries pass, 501 are refused by the writer and by the reader."""
    full = wire.encode_event(_recorded(_available(binary.LIST_LIMIT)))
    assert wire.decode_event(full).body == _available(binary.LIST_LIMIT)
    with pytest.raises(WireError, match="501 entries"):
        wire.encode_event(_recorded(_available(binary.LIST_LIMIT + 1)))
    one_more = binary.varint(501) + b"".join(binary.TEXTS[f"item-{n}"] + binary.LONGS[n] for n in range(501))
    whole = binary.varint(500) + b"".join(binary.TEXTS[f"item-{n}"] + binary.LONGS[n] for n in range(500))
    assert whole in full
    with pytest.raises(WireError, match="501 entries"):
        wire.decode_event(full.replace(whole, one_more))


@pytest.mark.parametrize("text", ["x" * binary.TEXT_LIMIT, "ü" * (binary.TEXT_LIMIT // 2)])
def test_a_text_has_a_bound(text: str) -> None:
    """64 KiB of UTF-8 pass, one byte more is refused by the writer and by the reader."""
    data = wire.encode_event(_recorded(_declined(text)))
    body = wire.decode_event(data).body
    assert isinstance(body, PaymentDeclined)
    assert body.currency == text
    with pytest.raises(WireError, match="65537 bytes"):
        wire.encode_event(_recorded(_declined(text + "x")))
    encoded = text.encode()
    longer = data.replace(
        binary.varint(len(encoded)) + encoded, binary.varint(len(encoded) + 1) + encoded + b"x"
    )
    assert len(longer) == len(data) + 1
    with pytest.raises(WireError, match="65537 bytes"):
        wire.decode_event(longer)


def _dead_letter(size: int) -> DeadLetter:
    return DeadLetter("payments.requests", 0, 7, DeadLetterReason.NOT_DECODABLE, "", "key-1", bytes(size))


def test_a_record_has_a_bound() -> None:
    """1 MiB; a dead letter, which holds a whole record, 2 MiB."""
    entry = "x" * (binary.TEXT_LIMIT - 100)
    big = FundsMadeAvailable("shop-1", "EUR", "batch-1", 1, 1, [Entry(entry, n) for n in range(17)], 7)
    with pytest.raises(WireError, match="1048576 are possible"):
        wire.encode_event(_recorded(big))
    event = wire.encode_event(_recorded(_declined()))
    with pytest.raises(WireError, match="1048576 are possible"):
        wire.decode_event(event + bytes(wire.RECORD_LIMIT))
    with pytest.raises(WireError, match="1048576 are possible"):
        wire.decode_message(wire.encode_message(Tick(1, 2, 3)) + bytes(wire.RECORD_LIMIT))
    sealed = _dead_letter(wire.RECORD_LIMIT + 500)
    assert wire.decode_message(wire.encode_message(sealed)) == sealed
    with pytest.raises(WireError, match="are possible"):
        wire.encode_message(_dead_letter(wire.DEAD_LETTER_LIMIT))
    with pytest.raises(WireError, match="are more than"):
        wire.encode_message(_dead_letter(wire.DEAD_LETTER_LIMIT + 1))


@pytest.mark.parametrize("amount", [-(2**63) - 1, 2**63])
def test_an_integer_has_64_bits(amount: int) -> None:
    """One more is refused, not wrapped around."""
    with pytest.raises(WireError, match="64 bits"):
        wire.encode_message(Tick(amount, 2, 3))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (b"\x80\x00", "shortest"),
        (b"\x82\x80\x00", "shortest"),
        (b"\xff" * 9 + b"\x02", "64 bits"),
        (b"\x80" * 10 + b"\x01", "ten bytes"),
        (b"\xff" * 9, "ends too early"),
    ],
)
def test_an_integer_has_one_spelling(number: bytes, reason: str) -> None:
    """The shortest one: two spellings of one record would have two hashes."""
    header = wire.encode_message(Tick(1, 2, 3))[: wire.HEADER_BYTES]
    for data in (header + number, header + b"\x02" + number):
        with pytest.raises(WireError, match=reason):
            wire.decode_message(data if reason == "ends too early" else data + b"\x02\x02")


# --- single fields -----------------------------------------------------------------------------------


def test_a_boolean_is_0_or_1() -> None:
    """The flag ``simulated`` stands right before the body."""
    data = wire.encode_event(_recorded(_declined()))
    at = data.index(binary.TEXTS["shop-1"]) - len(binary.TEXTS["pay-0372-0123456789abcdef"]) - 1
    assert data[at] == 0
    assert wire.decode_event(data[:at] + b"\x01" + data[at + 1 :]).meta.simulated is True
    with pytest.raises(WireError, match="2 where a boolean"):
        wire.decode_event(data[:at] + b"\x02" + data[at + 1 :])


def test_a_missing_value_has_two_branches() -> None:
    """``source``: nothing or a source, and no third thing."""
    bare, sourced = _recorded(_declined()), _recorded(_declined(), source=Source("topic", 3, 9, "sender"))
    data, other = wire.encode_event(bare), wire.encode_event(sourced)
    at = data.index(binary.TEXTS["correlation"]) + len(binary.TEXTS["correlation"])
    assert (data[at], other[at]) == (0, 2)
    assert wire.decode_event(other) == sourced
    with pytest.raises(WireError, match="branch 4"):
        wire.decode_event(data[:at] + b"\x04" + data[at + 1 :])


def test_an_unknown_enum_value_is_refused_and_not_quoted() -> None:
    """Whatever stood there may have been a card number."""
    data = wire.encode_event(_recorded(_declined()))
    changed = data.replace(binary.TEXTS["other"], binary.TEXTS["4111111111111111"])
    with pytest.raises(WireError, match="a value or a branch that its schema does not know") as caught:
        wire.decode_event(changed)
    assert "4111" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_unknown_branch_is_refused() -> None:
    """A hand-over with a fact of a kind that was never published."""
    handover = samples(Handover)[0]
    data = wire.encode_message(handover)
    fact_at = len(wire.encode_message(handover)) - len(_fact_bytes(handover))
    with pytest.raises(WireError, match="a branch that its schema does not know"):
        wire.decode_message(data[:fact_at] + b"\x7e" + data[fact_at + 1 :])


def _fact_bytes(handover: Handover) -> bytes:
    """The branch and the fact: everything behind the six fields before it."""
    before = (
        binary.TEXTS[handover.sender]
        + binary.TEXTS[handover.causation_id]
        + binary.TEXTS[handover.correlation_id]
        + binary.LONGS[handover.occurred_at]
        + binary.LONGS[handover.ingested_at]
        + (b"\x01" if handover.simulated else b"\x00")
    )
    data = wire.encode_message(handover)[wire.HEADER_BYTES :]
    assert data.startswith(before)
    return data[len(before) :]


def test_a_text_is_utf_8() -> None:
    """Not Latin-1, not half a character, and no lone surrogate on the way in."""
    data = wire.encode_event(_recorded(_declined("Zürich")))
    encoded = "Zürich".encode()
    for damaged in (b"Z\xfcrich\x00", b"Zuric\xc3\xbc"[:-1] + b"\xff", b"Z\xc3richh"):
        assert len(damaged) == len(encoded)
        with pytest.raises(WireError, match="not UTF-8"):
            wire.decode_event(data.replace(encoded, damaged))
    with pytest.raises(WireError, match="UnicodeEncodeError"):
        wire.encode_event(_recorded(_declined("\ud800")))


@pytest.mark.parametrize("currency", [None, 978, b"EUR", ["EUR"]])
def test_a_field_of_another_type_is_refused(currency: Any) -> None:
    """The writer is total too: msgspec does not check what a Struct is made of."""
    with pytest.raises(WireError, match="PaymentDeclined cannot be written"):
        wire.encode_event(_recorded(_declined(currency)))


def test_an_enum_field_takes_only_its_members_values() -> None:
    """A text that is none of them is refused before it is written."""
    body = PaymentDeclined("p", "m", 1, "EUR", "n", "51", "because", RetryAdvice.LATER)  # type: ignore[arg-type]
    with pytest.raises(WireError, match="KeyError"):
        wire.encode_event(_recorded(body))
