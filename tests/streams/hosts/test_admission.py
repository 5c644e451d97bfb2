"""Every way for an input to be wrong has a row; and a card number in clear appears in nothing that comes out."""

import hashlib
import logging
from collections.abc import Iterator

import msgspec
import pytest

from events.base import Message
from events.intake import RequestForwarded, RequestReceived
from events.messages import DeadLetter, Handover, Marker
from events.partitions import ClockKind, DeadLetterReason, EventDeadLettered, MarkerSeen, ReferenceApplied
from events.reconciliation import BankLineRecorded
from events.reference import Holidays, encode_reference
from events.requests import (
    CaptureMode,
    CaptureRequest,
    Channel,
    InputRow,
    PaymentRequest,
    ReferencePublished,
    RefundRequest,
    Request,
    Tick,
    VoidRequest,
)
from events.samples import recorded_samples, samples
from events.wire import RECORD_LIMIT, decode_event, decode_message, encode_event, encode_message
from streams.hosts.actors import IndexActor
from streams.hosts.admission import REQUEST_LIMIT, SEALED_MOST, Admitted, Keys, Refusal, admit
from streams.hosts.engine import Fact
from streams.hosts.index import Run
from streams.hosts.log import Append, Stored
from streams.hosts.memory import MemoryLog
from streams.topology import ENGINES, INTAKE, PAYMENTS, RECONCILIATION, TOPICS, EngineSpec

AT = 1_772_452_800_000_000
#: Made when it runs: no card number stands in a source file.
NUMBER = "4" + "1" * 15
GROUPED = " ".join(["4111", *["1111"] * 3])

NOT_DECODABLE = DeadLetterReason.NOT_DECODABLE
UNKNOWN_SCHEMA = DeadLetterReason.UNKNOWN_SCHEMA
NOT_EXPECTED_HERE = DeadLetterReason.NOT_EXPECTED_HERE


def seal(data: bytes) -> bytes:
    """Enough to hide what stands in it from a search."""
    return bytes(byte ^ 0x5A for byte in data)


KEYS = Keys("mac-1", lambda request: f"mac of {type(request).__name__}", "seal-1", seal)

PAYMENT = PaymentRequest(
    merchant="inn",
    idempotency_key="order-1",
    card_id="card-0037-0123456789abcdef",
    bin="41111122",
    last4="0042",
    amount=100,
    currency="USD",
    channel=Channel.MAIL_OR_TELEPHONE,
    capture_mode=CaptureMode.AUTOMATIC,
    device_ref="",
    ip_ref="",
    email_ref="",
    occurred_at=AT,
    producer="till",
    simulated=True,
)
PAYMENT_ID = "pay-0037-0123456789abcdef"
CAPTURE = CaptureRequest("inn", "capture-1", PAYMENT_ID, 100, "USD", True, AT, "till", True)
VOID = VoidRequest("inn", "void-1", PAYMENT_ID, AT, "till", True)
REFUND = RefundRequest("inn", "refund-1", PAYMENT_ID, 100, "USD", "note", AT, "till", True)
REQUESTS: tuple[Request, ...] = (PAYMENT, CAPTURE, VOID, REFUND)
BYTES = encode_message(PAYMENT)

CONTENT = encode_reference(Holidays("USD", (20_000,)))


def entry(content: str = CONTENT, kind: str = "holidays", sha256: str | None = None) -> ReferencePublished:
    """A reference entry; its hash is right unless told."""
    right = hashlib.sha256(content.encode()).hexdigest()
    return ReferencePublished(kind, "USD", 1, right if sha256 is None else sha256, content)


def handed(fact: type, sender: str = "intake/0") -> Handover:
    """Some fact of a kind, handed over."""
    one = next(message for message in samples(Handover) if isinstance(message, Handover))
    (body, *_) = (recorded.body for recorded in recorded_samples(fact))
    return msgspec.structs.replace(one, fact=body, sender=sender, ingested_at=0)


def taken(
    value: bytes | Message,
    topic: str = "payments.requests",
    spec: EngineSpec = INTAKE,
    partitions: int = 1,
    clock: ClockKind = ClockKind.VIRTUAL,
) -> Admitted:
    """What admission makes of a record at offset 7 of a topic's partition 0."""
    data = value if isinstance(value, bytes) else encode_message(value)
    return admit(spec, 0, partitions, clock, KEYS, topic, Stored(7, AT, data, b""))


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "topic", "spec", "reason", "detail"),
    [
        # bytes
        (b"", "payments.requests", INTAKE, NOT_DECODABLE, "0 bytes"),
        (b"{}", "payments.requests", INTAKE, NOT_DECODABLE, "2 bytes"),
        (b'{"amount": 100}', "payments.requests", INTAKE, NOT_DECODABLE, "first byte is 123"),
        (BYTES[:-1], "payments.requests", INTAKE, NOT_DECODABLE, "ends too early"),
        (BYTES[:5], "payments.requests", INTAKE, NOT_DECODABLE, "ends too early"),
        (BYTES + b"\0", "payments.requests", INTAKE, NOT_DECODABLE, "1 bytes behind its end"),
        (BYTES.replace(b"till", b"ti\xff\xff"), "payments.requests", INTAKE, NOT_DECODABLE, "not UTF-8"),
        (BYTES.replace(b"mail_or", b"mail-or"), "payments.requests", INTAKE, NOT_DECODABLE, "does not know"),
        (BYTES + bytes(RECORD_LIMIT), "payments.requests", INTAKE, NOT_DECODABLE, "are possible"),
        # schemas
        (b"\0\0\0\x27\x0f" + BYTES[5:], "payments.requests", INTAKE, UNKNOWN_SCHEMA, "id 9999"),
        (b"\0\xff\xff\xff\xff", "payments.inbox", PAYMENTS, UNKNOWN_SCHEMA, "id 4294967295"),
        # what belongs elsewhere
        (
            PAYMENT,
            "intake.inbox",
            INTAKE,
            NOT_EXPECTED_HERE,
            "PaymentRequest does not belong on intake.inbox",
        ),
        (PAYMENT, "reference", INTAKE, NOT_EXPECTED_HERE, "PaymentRequest"),
        (InputRow(AT, PAYMENT), "payments.requests", INTAKE, NOT_EXPECTED_HERE, "InputRow"),
        (entry(), "payments.requests", INTAKE, NOT_EXPECTED_HERE, "ReferencePublished"),
        (Tick(1, AT, 0), "intake.inbox", INTAKE, NOT_EXPECTED_HERE, "Tick"),
        (Tick(1, AT, 0), "reference", PAYMENTS, NOT_EXPECTED_HERE, "Tick"),
        (Marker("intake/0", 1, AT, 0), "payments.requests", INTAKE, NOT_EXPECTED_HERE, "Marker"),
        (Marker("intake/0", 1, AT, 0), "reference", INTAKE, NOT_EXPECTED_HERE, "Marker"),
        (handed(RequestReceived), "payments.requests", INTAKE, NOT_EXPECTED_HERE, "RequestReceived"),
        (handed(RequestReceived), "payments.inbox", PAYMENTS, NOT_EXPECTED_HERE, "RequestReceived"),
        (handed(BankLineRecorded), "network.notices", PAYMENTS, NOT_EXPECTED_HERE, "BankLineRecorded"),
        (handed(BankLineRecorded), "reconciliation.inbox", RECONCILIATION, NOT_EXPECTED_HERE, "BankLine"),
        (
            encode_event(next(iter(recorded_samples(RequestReceived)))),
            "intake.inbox",
            INTAKE,
            NOT_EXPECTED_HERE,
            "not a message",
        ),
        # reference data
        (entry(sha256="0" * 64), "reference", INTAKE, NOT_DECODABLE, "sha256"),
        (entry(kind="weather"), "reference", INTAKE, NOT_DECODABLE, "no reference data of kind"),
        (entry('{"currency":"USD"}'), "reference", PAYMENTS, NOT_DECODABLE, "days_on"),
        (entry("{"), "reference", PAYMENTS, NOT_DECODABLE, "content"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(
    value: bytes | Message, topic: str, spec: EngineSpec, reason: DeadLetterReason, detail: str
) -> None:
    """The log gets the reason and the source, the dead letters the sealed bytes with the same."""
    refusal = taken(value, topic, spec)
    assert isinstance(refusal, Refusal)
    body, letter, source = refusal.fact.body, refusal.letter, refusal.fact.source
    assert isinstance(body, EventDeadLettered)
    assert reason is body.reason
    assert detail in body.detail
    assert (topic, 0, 7) == (source.topic, source.partition, source.offset)
    assert (topic, 0, 7) == (letter.topic, letter.partition, letter.offset)
    assert (body.reason, body.detail, "seal-1") == (letter.reason, letter.detail, letter.key_id)
    data = value if isinstance(value, bytes) else encode_message(value)
    assert (len(data), hashlib.sha256(letter.sealed).hexdigest()) == (body.size, body.sealed_sha256)
    assert data == seal(letter.sealed)


@pytest.mark.parametrize("size", [RECORD_LIMIT, SEALED_MOST, SEALED_MOST + 1, 8 * RECORD_LIMIT])
def test_a_record_of_any_size_fits_into_a_dead_letter(size: int) -> None:
    """Whatever a topic accepts can be put aside, and compression gets much past its limit."""
    data = b"\1" + bytes(size - 1)
    refusal = taken(data)
    assert isinstance(refusal, Refusal)
    assert refusal.letter == decode_message(encode_message(refusal.letter))
    assert data[:SEALED_MOST] == seal(refusal.letter.sealed)
    assert size == refusal.fact.body.size  # type: ignore[attr-defined]
    assert (size > SEALED_MOST) is refusal.letter.detail.endswith(f"the first {SEALED_MOST} are sealed")


def test_a_request_that_no_log_could_refuse_is_no_request() -> None:
    """Its refusal would repeat it, with its key: more than a record has room for."""
    room = REQUEST_LIMIT - len(encode_message(msgspec.structs.replace(REFUND, note="x" * 5_000))) + 5_000
    largest = msgspec.structs.replace(REFUND, note="x" * room)
    assert REQUEST_LIMIT == len(encode_message(largest))
    assert isinstance(taken(largest), Fact)
    refusal = taken(msgspec.structs.replace(REFUND, note="x" * (room + 1)))
    assert isinstance(refusal, Refusal)
    assert (NOT_DECODABLE, f"a request of {REQUEST_LIMIT + 1} bytes; {REQUEST_LIMIT} are possible") == (
        refusal.letter.reason,
        refusal.letter.detail,
    )
    number = taken(msgspec.structs.replace(REFUND, note=f"{NUMBER} {'x' * room}"))
    assert isinstance(number, Refusal)
    assert DeadLetterReason.CARD_NUMBER_IN_CLEAR is number.letter.reason


def test_a_seal_of_a_stranger_has_to_fit_again() -> None:
    """A sealed request is passed on under our name, which takes some bytes more."""
    for size, reason in (
        (SEALED_MOST, DeadLetterReason.CARD_NUMBER_IN_CLEAR),
        (SEALED_MOST + 1, NOT_EXPECTED_HERE),
    ):
        refusal = taken(DeadLetter("", 0, 0, DeadLetterReason.UNKNOWN_SCHEMA, "", "seal-1", bytes(size)))
        assert isinstance(refusal, Refusal)
        assert reason is refusal.letter.reason
        assert refusal.letter == decode_message(encode_message(refusal.letter))


# --- what is right ------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_is_taken_where_its_key_lives(request_: Request) -> None:
    """Its MAC is made at the door; on another partition it is taken to be passed on."""
    here = taken(request_)
    assert isinstance(here, Fact)
    assert RequestReceived(request_, KEYS.body_mac(request_)) == here.body
    assert ("requests/0", AT, AT, True) == (
        here.source.sender,
        here.occurred_at,
        here.ingested_at,
        here.simulated,
    )
    bodies = {
        type(fact.body) for n in (2, 3, 5, 7) if isinstance(fact := taken(request_, partitions=n), Fact)
    }
    assert bodies <= {RequestReceived, RequestForwarded}


@pytest.mark.parametrize(
    ("claim", "shown"),
    [
        (-(2**63), AT),
        (-1, AT),
        (0, 0),
        (AT - 1, AT - 1),
        (253_402_300_799_999_999, 253_402_300_799_999_999),
        (253_402_300_800_000_000, AT),
        (2**63 - 1, AT),
    ],
)
def test_a_claim_that_no_calendar_holds_stays_in_the_request(claim: int, shown: int) -> None:
    """The envelope has a time that can be shown."""
    request = msgspec.structs.replace(PAYMENT, occurred_at=claim)
    fact = taken(request)
    assert isinstance(fact, Fact)
    assert isinstance(fact.body, RequestReceived)
    assert (shown, AT, claim) == (fact.occurred_at, fact.ingested_at, fact.body.request.occurred_at)


def test_a_request_on_a_foreign_partition_names_its_home() -> None:
    """Of sixteen partitions one is its own."""
    homes = set()
    for number in range(16):
        stored = Stored(0, AT, BYTES, b"")
        admitted = admit(INTAKE, number, 16, ClockKind.VIRTUAL, KEYS, "payments.requests", stored)
        assert isinstance(admitted, Fact)
        body = admitted.body
        homes.add(number if isinstance(body, RequestReceived) else body.home_partition)  # type: ignore[attr-defined]
    assert 1 == len(homes)


def test_time_comes_through_the_door_of_requests() -> None:
    """A tick is a marker of its own partition."""
    expected = MarkerSeen("payments.requests", 0, 7, "requests/0", 3, AT, 2)
    assert expected == taken(Tick(3, AT, 2))


def test_a_clock_on_the_wall_is_set_by_nobody() -> None:
    """A tick that a producer sends is put aside; everything else goes through the door as ever."""
    refusal = taken(Tick(3, AT, 2), clock=ClockKind.WALL)
    assert isinstance(refusal, Refusal)
    assert NOT_EXPECTED_HERE is refusal.letter.reason
    assert refusal.fact.body.detail == "Tick does not belong on payments.requests"  # type: ignore[attr-defined]
    for request in REQUESTS:
        assert taken(request) == taken(request, clock=ClockKind.WALL)


@pytest.mark.parametrize(
    ("topic", "spec"), [(topic, spec) for spec in ENGINES for topic in spec.facts], ids=lambda x: str(x)[:24]
)
def test_markers_come_with_the_facts_of_other_logs(topic: str, spec: EngineSpec) -> None:
    """By every topic that brings facts."""
    seen = taken(Marker("there/1", 3, AT, 2), topic, spec)
    assert MarkerSeen(topic, 0, 7, "there/1", 3, AT, 2) == seen


@pytest.mark.parametrize(
    ("kind", "topic", "spec"),
    [
        (kind, topic, spec)
        for spec in ENGINES
        for topic, kinds in spec.facts.items()
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
    ],
    ids=lambda x: getattr(x, "__name__", "") or (x if isinstance(x, str) else ""),
)
def test_every_fact_of_the_table_is_taken(kind: type, topic: str, spec: EngineSpec) -> None:
    """With what its sender says of it; one without a stamp gets the transport's."""
    handover = handed(kind, "there/1")
    admitted = taken(handover, topic, spec)
    assert isinstance(admitted, Fact)
    assert (handover.fact, "there/1", AT) == (admitted.body, admitted.source.sender, admitted.ingested_at)
    assert (handover.causation_id, handover.correlation_id, handover.occurred_at, handover.simulated) == (
        admitted.causation_id,
        admitted.correlation_id,
        admitted.occurred_at,
        admitted.simulated,
    )


@pytest.mark.parametrize("spec", ENGINES, ids=lambda spec: spec.name)
def test_reference_data_is_taken_by_every_engine(spec: EngineSpec) -> None:
    """With its version and hash."""
    admitted = taken(entry(), "reference", spec)
    assert isinstance(admitted, Fact)
    assert ReferenceApplied("holidays", "USD", 1, entry().sha256, CONTENT) == admitted.body


# --- card numbers -------------------------------------------------------------------------------------


def with_number(number: str) -> Iterator[tuple[str, Request]]:
    """Every request with a card number in each of its free texts."""
    for request in REQUESTS:
        for name in request.__struct_fields__:
            value = getattr(request, name)
            if type(value) is str:
                changed = msgspec.structs.replace(request, **{name: f"{value} {number}"})
                yield f"{type(request).__name__}.{name}", changed


NUMBERED = [
    (f"{name} {kind}", request)
    for kind, number in (("plain", NUMBER), ("grouped", GROUPED))
    for name, request in with_number(number)
]


@pytest.mark.parametrize("request_", [r for _, r in NUMBERED], ids=[name for name, _ in NUMBERED])
def test_a_card_number_in_any_field_is_put_aside(request_: Request) -> None:
    """Whatever the field, however it is written."""
    refusal = taken(request_)
    assert isinstance(refusal, Refusal)
    assert DeadLetterReason.CARD_NUMBER_IN_CLEAR is refusal.letter.reason
    assert_hidden(repr(refusal))


def assert_hidden(text: str) -> None:
    """No card number, in no form; not even most of one."""
    digits = "".join(filter(str.isdigit, text))
    assert NUMBER not in digits
    assert GROUPED not in text


def lying(detail: str = "", key_id: str = "seal-1") -> DeadLetter:
    """A letter as a careless producer may write it."""
    return DeadLetter("", 0, 0, DeadLetterReason.DECISION_FAILED, detail, key_id, b"sealed")


LEAKY: dict[str, tuple[str, bytes | Message]] = {
    "unknown enum value": (
        "payments.requests",
        encode_message(PAYMENT).replace(b"mail_or_telephone", b"9" + NUMBER.encode()),
    ),
    "truncated": ("payments.requests", encode_message(msgspec.structs.replace(REFUND, note=NUMBER))[:-1]),
    "raw": ("payments.requests", NUMBER.encode()),
    "letter with a detail": ("payments.requests", lying(detail=NUMBER)),
    "letter with a key": ("payments.requests", lying(key_id=NUMBER)),
    "reference kind": ("reference", entry(kind=NUMBER)),
    "reference field": ("reference", entry(f'{{"{NUMBER}":1,"currency":"USD","days_on":[]}}')),
    "not here": ("intake.inbox", msgspec.structs.replace(REFUND, note=NUMBER)),
    "row": ("payments.requests", InputRow(AT, msgspec.structs.replace(REFUND, note=GROUPED))),
    **{name: ("payments.requests", request) for name, request in NUMBERED},
}


@pytest.mark.parametrize(("topic", "value"), LEAKY.values(), ids=LEAKY)
def test_a_card_number_in_clear_appears_nowhere(
    topic: str, value: bytes | Message, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in what an index writes to any topic, not in what it logs, not in a snapshot."""
    caplog.set_level(logging.DEBUG)
    log = MemoryLog()
    actor = IndexActor(log, 0, Run(1, ClockKind.VIRTUAL, AT, 9, "{}"), KEYS)
    log.commit(
        "producer", [Append(topic, 0, AT, value if isinstance(value, bytes) else encode_message(value))], {}
    )
    assert actor.turn(10)
    letters = log.read("dead-letters", 0, 0, 10)
    assert letters
    for name in {known.name for known in TOPICS} - {topic}:
        for stored in log.read(name, 0, 0, 100):
            assert_hidden(stored.value.decode("latin-1"))
            message = decode_message if name.endswith(("inbox", "letters")) else decode_event
            assert_hidden(repr(message(stored.value)))
    assert_hidden(caplog.text)
    assert_hidden(actor.index.snapshot().decode("latin-1"))
