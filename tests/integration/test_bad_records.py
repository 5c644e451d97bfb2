"""Bad records on a real broker: each is an event with a reason, or a dead letter, and the stream goes on.

All write to one house in wall time, whose worker, adapter and topics nobody mends in between.
"""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from fastavro import schemaless_writer

import schemas
from events.base import Message
from events.identity import luhn_ok, partition_of_name
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    Outcome,
    RequestAccepted,
    RequestForwarded,
    RequestReceived,
    RequestRejected,
    RequestRejection,
)
from events.messages import DeadLetter, Handover, Marker
from events.partitions import DeadLetterReason
from events.requests import (
    CaptureRequest,
    PaymentRequest,
    ReferencePublished,
    RefundRequest,
    Tick,
    VoidRequest,
)
from events.samples import recorded_samples, samples
from events.signals import IdentitySignals, ProviderAnswer
from events.wire import RECORD_LIMIT, encode_event, encode_message, schema_id
from streams.hosts.admission import REQUEST_LIMIT, SEALED_MOST
from streams.intake import (
    FUTURE_TOLERANCE,
    LARGEST_AMOUNT,
    LONGEST_KEY,
    LONGEST_NAME,
    LONGEST_NOTE,
    PAST_TOLERANCE,
)
from tests.integration.foreign import PARTITIONS, REQUESTS, WallHouse, id_of, now, request
from tests.integration.houses import complaints
from tests.patience import PATIENCE_SECONDS

NOT_DECODABLE = DeadLetterReason.NOT_DECODABLE
UNKNOWN_SCHEMA = DeadLetterReason.UNKNOWN_SCHEMA
NOT_EXPECTED_HERE = DeadLetterReason.NOT_EXPECTED_HERE
CARD_NUMBER = DeadLetterReason.CARD_NUMBER_IN_CLEAR

MINUTE: Final = 60_000_000
LONG_MOST: Final = 2**63 - 1


@pytest.fixture(autouse=True)
def the_stream_goes_on(wall_house: WallHouse) -> Iterator[None]:
    """Whatever was sent: on each partition a good payment behind it is answered."""
    yield
    wall_house.goes_on()
    assert complaints(wall_house.supervisor.members["worker"]) == []


def written(fields: dict[str, Any], value: dict[str, Any], name: str = "PaymentRequest") -> bytes:
    """A value in a schema that says it is ours and is not: with a field more, less, or of another type."""
    schema = {
        "type": "record",
        "name": name,
        "fields": [{"name": key, "type": kind} for key, kind in fields.items()],
    }
    body = BytesIO()
    schemaless_writer(body, schema, value)
    return b"\0" + schema_id(PaymentRequest).to_bytes(4, "big") + body.getvalue()


def types() -> dict[str, Any]:
    """The fields of a payment request and what they are made of."""
    schema = schemas.schema("PaymentRequest", PaymentRequest.VERSION)
    return {field["name"]: field["type"] for field in schema["fields"]}


def fields() -> dict[str, Any]:
    """A good payment request as a dictionary."""
    return dict(msgspec.structs.asdict(request()))


def without(name: str) -> bytes:
    """A request in which a field is missing."""
    kinds, value = types(), fields()
    del kinds[name], value[name]
    return written(kinds, value)


def with_one_more(at: int, kind: str, value: Any) -> bytes:
    """A request with a field of its own."""
    kinds, values = list(types().items()), fields()
    kinds.insert(at, ("loyalty", kind))
    return written(dict(kinds), {**values, "loyalty": value})


def with_another_type(name: str, kind: str, value: Any) -> bytes:
    """A request one field of which is something else."""
    return written({**types(), name: kind}, {**fields(), name: value})


# --- bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        pytest.param(lambda: b'{"merchant": "shop"}', NOT_DECODABLE, "first byte is 123", id="JSON"),
        pytest.param(lambda: b"pay 10 EUR", NOT_DECODABLE, "first byte is 112", id="text"),
        pytest.param(
            lambda: b"Obj\x01" + encode_message(request()), NOT_DECODABLE, "first byte is 79", id="Avro file"
        ),
        pytest.param(lambda: b"", NOT_DECODABLE, "0 bytes cannot hold", id="empty"),
        pytest.param(lambda: None, NOT_DECODABLE, "0 bytes cannot hold", id="tombstone"),
        pytest.param(lambda: encode_message(request())[5:], NOT_DECODABLE, "first byte is", id="no header"),
        pytest.param(
            lambda: encode_message(request())[:5], NOT_DECODABLE, "ends too early", id="header alone"
        ),
        pytest.param(lambda: encode_message(request())[:-1], NOT_DECODABLE, "ends too early", id="cut short"),
        pytest.param(
            lambda: encode_message(request()) + b"\0", NOT_DECODABLE, "1 bytes behind", id="trailing bytes"
        ),
        pytest.param(
            lambda: b"\0\x7f\xff\xff\xff" + encode_message(request())[5:],
            UNKNOWN_SCHEMA,
            "no schema has the id 2147483647",
            id="unknown schema",
        ),
        pytest.param(lambda: without("signals"), NOT_DECODABLE, "ends too early", id="last field missing"),
        pytest.param(lambda: without("last4"), NOT_DECODABLE, "PaymentRequest", id="inner field missing"),
        pytest.param(
            lambda: with_one_more(17, "string", "x"), NOT_DECODABLE, "2 bytes behind", id="field more"
        ),
        pytest.param(lambda: with_one_more(2, "long", 7), NOT_DECODABLE, "", id="inner field more"),
        pytest.param(
            lambda: with_another_type("amount", "string", "12.50"),
            NOT_DECODABLE,
            "",
            id="text amount",
        ),
        pytest.param(
            lambda: with_another_type("amount", "double", 12.5),
            NOT_DECODABLE,
            "PaymentRequest",
            id="float amount",
        ),
        pytest.param(
            lambda: with_another_type("channel", "string", "pigeon"),
            NOT_DECODABLE,
            "does not know",
            id="no such word",
        ),
        pytest.param(
            lambda: encode_message(request(producer="tell")).replace(b"tell", b"t\xff\xfel"),
            NOT_DECODABLE,
            "not UTF-8",
            id="no UTF-8",
        ),
    ],
)
def test_bytes_that_are_no_request(
    wall_house: WallHouse, make: Any, reason: DeadLetterReason, detail: str
) -> None:
    """A dead letter with its reason, and the reason in the log."""
    value = make()
    body, _ = wall_house.refused(wall_house.send(value, partition=1))
    assert (reason, len(value or b"")) == (body.reason, body.size)
    assert detail in body.detail


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: encode_message(Tick(10**9, now(), 0)), id="Tick"),
        pytest.param(lambda: encode_message(Marker("intake/0", 10**9, now(), 0)), id="Marker"),
        pytest.param(lambda: encode_message(_first(Handover)), id="Handover"),
        pytest.param(lambda: encode_message(_first(ReferencePublished)), id="ReferencePublished"),
        pytest.param(lambda: encode_message(_first(DeadLetter)), id="DeadLetter of another vault"),
        pytest.param(lambda: encode_event(next(iter(recorded_samples(RequestReceived)))), id="event"),
    ],
)
def test_a_good_record_that_has_no_business_here(wall_house: WallHouse, make: Any) -> None:
    """Nobody sets the clock, hands over facts or publishes reference data through the door of requests."""
    body, _ = wall_house.refused(wall_house.send(make(), partition=0))
    assert NOT_EXPECTED_HERE is body.reason


def _first(kind: type[Message]) -> Message:
    found = samples(kind)[0]
    assert isinstance(found, Message)
    return found


def test_a_schema_named_in_a_header(wall_house: WallHouse) -> None:
    """What newer serializers can do, and nobody here reads: the value alone does not say what it is."""
    value = encode_message(request())
    place = wall_house.send(value[5:], headers=[("__value_schema_id", b"\x01" + bytes(16))])
    body, _ = wall_house.refused(place)
    assert NOT_DECODABLE is body.reason
    assert "no schema id follows" in body.detail
    # One that stands in both places is served.
    asked = request()
    wall_house.send(encode_message(asked), headers=[("__value_schema_id", b"\x01" + bytes(16))])
    wall_house.outcomes(asked)


def test_headers_of_strangers_change_nothing(wall_house: WallHouse) -> None:
    """Not even those that we write ourselves: the time is the broker's, and a header may have no value."""
    early = (now() - 30 * 86_400_000_000).to_bytes(8, "big")
    for headers in (
        [("at", early), ("chain", bytes(32)), ("file", b"0" * 64), ("row", b"1")],
        [("at", None), ("chain", None)],
        [("at", b"")],
        [("", b"")],
        [("dead-letter", b"0")],
    ):
        asked = request()
        wall_house.send(encode_message(asked), headers=headers)
        assert wall_house.answer(asked, RequestAccepted)
        # Claimed by the clock on the wall.
        assert wall_house.outcomes(asked)


def test_a_stamp_of_the_producer_changes_nothing(wall_house: WallHouse) -> None:
    """The topic is stamped by the broker: no record is too old or too new for it."""
    for stamp in (1, now() // 1_000 + 10**10):
        asked = request()
        wall_house.send(encode_message(asked), timestamp=stamp)
        wall_house.answer(asked, RequestAccepted)


# --- time, repetition, places ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "away",
    [FUTURE_TOLERANCE + MINUTE, -PAST_TOLERANCE - MINUTE, LONG_MOST - 2 * 10**15, -(2**62)],
    ids=["from the future", "too old", "behind all time", "before all time"],
)
def test_a_request_of_another_time(wall_house: WallHouse, away: int) -> None:
    """Refused with the field's name; its key stays free for a better one."""
    asked = request(occurred_at=now() + away)
    wall_house.send(encode_message(asked))
    rejected = wall_house.answer(asked, RequestRejected)
    assert (RequestRejection.TIME_OUT_OF_TOLERANCE, "occurred_at") == (rejected.reason, rejected.field)
    better = msgspec.structs.replace(asked, occurred_at=now())
    wall_house.send(encode_message(better))
    assert isinstance(wall_house.answers(better, 2)[1], RequestAccepted)
    wall_house.outcomes(better)


@pytest.mark.parametrize("away", [FUTURE_TOLERANCE - MINUTE, -PAST_TOLERANCE + MINUTE])
def test_a_clock_may_be_a_little_off(wall_house: WallHouse, away: int) -> None:
    """A till that was off line for days is served."""
    asked = request(occurred_at=now() + away)
    wall_house.send(encode_message(asked))
    wall_house.answer(asked, RequestAccepted)
    wall_house.outcomes(asked)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"amount": 0}, RequestRejection.AMOUNT_NOT_POSITIVE, "amount"),
        ({"amount": -(2**63)}, RequestRejection.AMOUNT_NOT_POSITIVE, "amount"),
        ({"amount": LARGEST_AMOUNT + 1}, RequestRejection.AMOUNT_TOO_LARGE, "amount"),
        ({"amount": LONG_MOST}, RequestRejection.AMOUNT_TOO_LARGE, "amount"),
        ({"currency": "XXX"}, RequestRejection.CURRENCY_UNKNOWN, "currency"),
        ({"currency": "JPY"}, RequestRejection.CURRENCY_NOT_ACCEPTED, "currency"),
        ({"card_id": "card-1"}, RequestRejection.CARD_MALFORMED, "card_id"),
        ({"merchant": "nobody"}, RequestRejection.MERCHANT_UNKNOWN, "merchant"),
        ({"merchant": "no body"}, RequestRejection.IDENTIFIER_MALFORMED, "merchant"),
        ({"idempotency_key": ""}, RequestRejection.IDENTIFIER_MALFORMED, "idempotency_key"),
        ({"idempotency_key": "ü"}, RequestRejection.IDENTIFIER_MALFORMED, "idempotency_key"),
        (
            {"idempotency_key": "\0\x1b[2J\u2028\U0010ffff"},
            RequestRejection.IDENTIFIER_MALFORMED,
            "idempotency_key",
        ),
        ({"producer": "a\0b"}, RequestRejection.IDENTIFIER_MALFORMED, "producer"),
    ],
)
def test_good_bytes_that_make_no_sense(
    wall_house: WallHouse, changes: dict[str, Any], reason: RequestRejection, field: str
) -> None:
    """An event with a reason and a field."""
    asked = request(**changes)
    wall_house.send(encode_message(asked))
    rejected = wall_house.answer(asked, RequestRejected)
    assert (reason, field) == (rejected.reason, rejected.field)


def test_the_same_record_twice_is_one_payment(wall_house: WallHouse) -> None:
    """The second gets the first one's answer, wherever it lands."""
    asked = request()
    value = encode_message(asked)
    for number in (0, 1, 1):
        wall_house.send(value, partition=number)
    first, *others = wall_house.answers(asked, 3)
    assert isinstance(first, RequestAccepted)
    for other in others:
        assert isinstance(other, DuplicateRequestObserved)
        assert (Outcome.ACCEPTED, id_of(asked)) == (other.outcome, other.payment_id)
    assert len(wall_house.outcomes(asked)) == 1


def test_the_same_key_with_another_body_is_a_conflict(wall_house: WallHouse) -> None:
    """Also where another kind of request comes under it; the first goes its way."""
    asked = request()
    capture = CaptureRequest(
        asked.merchant, asked.idempotency_key, id_of(asked), 1, "USD", True, now(), "shop", True
    )
    void = VoidRequest(asked.merchant, asked.idempotency_key, id_of(asked), now(), "shop", True)
    others = [msgspec.structs.replace(asked, amount=asked.amount + 1), capture, void]
    wall_house.send_all([encode_message(one) for one in (asked, *others)], key=f"{asked.merchant}/1")
    first, *conflicts = wall_house.answers(asked, 4)
    assert isinstance(first, RequestAccepted)
    for conflict in conflicts:
        assert isinstance(conflict, IdempotencyConflictObserved)
        assert (id_of(asked), first.body_mac) == (conflict.payment_id, conflict.original_mac)
    assert len(wall_house.outcomes(asked)) == 1


def test_a_foreign_partition_is_no_hindrance(wall_house: WallHouse) -> None:
    """What lands on the wrong one is handed to its home, and is answered there."""
    asked = request()
    home = partition_of_name(f"{asked.merchant}/{asked.idempotency_key}", PARTITIONS)
    place = wall_house.send(encode_message(asked), partition=1 - home)
    forwarded = wall_house.taken(place).body
    assert isinstance(forwarded, RequestForwarded)
    assert home == forwarded.home_partition
    wall_house.answer(asked, RequestAccepted)
    wall_house.outcomes(asked)


def test_transactions_of_strangers(wall_house: WallHouse) -> None:
    """What they take back was never said; what they commit is served."""
    settings = {
        "bootstrap.servers": wall_house.cluster.bootstrap,
        "transactional.id": wall_house.cluster.prefix,
    }
    producer = Producer(settings)
    producer.init_transactions(PATIENCE_SECONDS)
    taken_back, meant = request(), request()
    producer.begin_transaction()
    producer.produce(wall_house.cluster.topic(REQUESTS), encode_message(taken_back), partition=0)
    producer.flush(PATIENCE_SECONDS)
    producer.abort_transaction(PATIENCE_SECONDS)
    producer.begin_transaction()
    producer.produce(wall_house.cluster.topic(REQUESTS), encode_message(meant), partition=0)
    producer.commit_transaction(PATIENCE_SECONDS)
    wall_house.outcomes(meant)
    known = [getattr(one.body, "idempotency_key", None) for one in wall_house.recorded]
    assert taken_back.idempotency_key not in known


# --- card numbers -------------------------------------------------------------------------------------


def number() -> str:
    """A card number that stands in no other test: made here, so that it stands in no file."""
    body = "4539" + "86" + "204" + "1".zfill(6)
    return next(body + str(digit) for digit in range(10) if luhn_ok(body + str(digit)))


def groups(by: str) -> str:
    """The number as people write it."""
    digits = number()
    return by.join(digits[at : at + 4] for at in range(0, 16, 4))


IN_CLEAR: Final[list[dict[str, Any]]] = [
    {"card_id": number()},
    {"card_id": f"card-0372-{number()}"},
    {"bin": number()},
    {"bin": number()[:12], "last4": number()[12:]},
    {"last4": number()},
    {"amount": int(number())},
    {"currency": number()},
    {"merchant": number()},
    {"idempotency_key": f"order {number()}"},
    {"device_ref": f"x{number()}y"},
    {"ip_ref": number()},
    {"email_ref": f"{number()}@shop.example"},
    {"phone_ref": number()},
    {"signals": IdentitySignals(number(), ProviderAnswer.GIVEN)},
    {"producer": number()},
    *({"idempotency_key": f"order {groups(by)} of today"} for by in (" ", "-", ".", "_", "/", " - ", "\t")),
]


def written_forms() -> list[bytes]:
    """Everything to look for: the number however it was written, as a number on the wire, and its beginning."""
    zigzag, varint = int(number()) << 1, bytearray()
    while zigzag > 127:
        varint.append(zigzag & 127 | 128)
        zigzag >>= 7
    varint.append(zigzag)
    texts = [number(), number()[:12], *(groups(by) for by in (" ", "-", ".", "_", "/", " - ", "\t"))]
    return [bytes(varint), number().encode().hex().encode(), *(text.encode() for text in texts)]


def everything_on_the_broker(house: WallHouse) -> dict[str, bytes]:
    """The bytes of every topic of the house, committed or not: keys, headers, values."""
    consumer = Consumer(
        {
            "bootstrap.servers": house.cluster.bootstrap,
            "group.id": f"{house.cluster.prefix}.scan",
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    topics = consumer.list_topics(timeout=PATIENCE_SECONDS).topics
    places = [
        TopicPartition(name, number, 0)
        for name, topic in topics.items()
        if name.startswith(f"{house.cluster.prefix}.")
        for number in topic.partitions
    ]
    consumer.assign(places)
    left = {(place.topic, place.partition) for place in places}
    found: dict[str, list[bytes]] = {place.topic: [] for place in places}
    while left:
        message = consumer.poll(PATIENCE_SECONDS)
        assert message is not None, left
        if message.error() is not None:
            left.discard((message.topic(), message.partition()))
            continue
        headers = [part for name, value in message.headers() or [] for part in (name.encode(), value or b"")]
        found[message.topic()] += [message.key() or b"", message.value() or b"", *headers]
    consumer.close()
    return {name: b"\n".join(pieces) for name, pieces in found.items()}


def test_a_card_number_is_sealed_and_nowhere_in_clear(wall_house: WallHouse) -> None:
    """In no topic but the one that keeps what its producer wrote, in no file and in nothing that a process printed."""
    letters = []
    for changes in IN_CLEAR:
        asked = request(**changes)
        body, letter = wall_house.refused(wall_house.send(encode_message(asked), key=number()))
        assert CARD_NUMBER is body.reason, changes
        letters.append((letter, asked))
    payment = id_of(request())
    for follow_up in (
        CaptureRequest("harbour-coffee", "c", f"pay-0372-{number()}", 1, "USD", True, now(), "", True),
        CaptureRequest("harbour-coffee", "c", payment, int(number()), "USD", True, now(), "", True),
        VoidRequest("harbour-coffee", number(), payment, now(), "", True),
        RefundRequest("harbour-coffee", "r", payment, 1, "USD", f"to {groups('.')}", now(), "", True),
    ):
        body, _ = wall_house.refused(wall_house.send(encode_message(follow_up)))
        assert CARD_NUMBER is body.reason, follow_up
    # Whatever else is wrong with a record, nothing of it is repeated.
    for value in (
        number().encode(),
        json.dumps({"card": groups("-")}).encode(),
        b"\0\0\1\0\0" + number().encode(),
        encode_message(request(producer=number())) + b"\0",
        encode_message(request(card_id=number())).replace(b"ecommerce", number()[:9].encode()),
        encode_message(Tick(1, int(number()), 1)),
    ):
        wall_house.refused(wall_house.send(value, headers=[(number(), number().encode())]))

    wall_house.goes_on()
    topics = everything_on_the_broker(wall_house)
    requests = wall_house.cluster.topic(REQUESTS)
    for form in written_forms():
        assert [] == [name for name, data in topics.items() if name != requests and form in data], form
        assert form not in wall_house.printed()
        for path in wall_house.folder.rglob("*"):
            assert not path.is_file() or form not in path.read_bytes(), path
    # The search finds what is there.
    assert number().encode() in topics[requests]
    assert len(topics) > 14
    assert letters[0][0].sealed in topics[wall_house.cluster.topic("dead-letters")]


# --- size ---------------------------------------------------------------------------------------------


def test_the_clients_own_limit_comes_first(wall_house: WallHouse) -> None:
    """librdkafka refuses a million bytes at once."""
    producer = Producer({"bootstrap.servers": wall_house.cluster.bootstrap})
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        producer.produce(wall_house.cluster.topic(REQUESTS), bytes(1_000_000))


def test_the_broker_refuses_what_is_too_large(wall_house: WallHouse) -> None:
    """The producer is told, and nothing is on the topic."""
    failures: list[str] = []
    producer = Producer({"bootstrap.servers": wall_house.cluster.bootstrap, "message.max.bytes": 10_000_000})
    producer.produce(
        wall_house.cluster.topic(REQUESTS),
        bytes(RECORD_LIMIT),
        on_delivery=lambda error, _: failures.append(error.name()),
    )
    assert producer.flush(PATIENCE_SECONDS) == 0
    assert failures == ["MSG_SIZE_TOO_LARGE"]


def test_the_largest_good_request_is_served(wall_house: WallHouse) -> None:
    """Every text as long as it may be; one more is refused with the field's name."""
    name = "n" * LONGEST_NAME
    asked = request(
        idempotency_key="k" * LONGEST_KEY,
        device_ref=name,
        ip_ref=name,
        email_ref=name,
        producer=name,
        phone_ref=name,
        signals=IdentitySignals(name, ProviderAnswer.GIVEN, name),
    )
    wall_house.send(encode_message(asked))
    wall_house.outcomes(asked)
    back = RefundRequest(
        asked.merchant, "r" * LONGEST_KEY, id_of(asked), 1, "USD", "n" * LONGEST_NOTE, now(), name, True
    )
    wall_house.send(encode_message(back))
    wall_house.answer(back, RequestAccepted)
    longer = msgspec.structs.replace(back, idempotency_key="longer", note="n" * (LONGEST_NOTE + 1))
    wall_house.send(encode_message(longer))
    rejected = wall_house.answer(longer, RequestRejected)
    assert (RequestRejection.IDENTIFIER_MALFORMED, "note") == (rejected.reason, rejected.field)


def test_the_largest_request_that_is_one(wall_house: WallHouse) -> None:
    """Up to its limit it is refused by an event; beyond, by a dead letter."""
    asked = request(producer="")
    room = REQUEST_LIMIT - len(encode_message(asked)) - 1
    large, larger = (msgspec.structs.replace(asked, producer="p" * size) for size in (room, room + 1))
    wall_house.send(encode_message(large))
    assert "producer" == wall_house.answer(large, RequestRejected).field
    body, _ = wall_house.refused(wall_house.send(encode_message(larger)))
    assert f"a request of {REQUEST_LIMIT + 1} bytes" in body.detail


def test_the_largest_record_that_the_broker_takes(wall_house: WallHouse) -> None:
    """Sealed whole, whatever it is."""
    settings = {"message.max.bytes": 10_000_000}
    for value in (
        b"x" * (RECORD_LIMIT - 100),
        encode_message(request())[:5] + b"\xff" * (RECORD_LIMIT - 105),
    ):
        body, letter = wall_house.refused(wall_house.send(value, settings=settings))
        assert (NOT_DECODABLE, len(value)) == (body.reason, body.size)
        assert len(letter.sealed) > len(value)


def test_what_compression_gets_past_the_broker(wall_house: WallHouse) -> None:
    """A record may be larger than its topic allows: its beginning is sealed, its size stands in the log."""
    settings = {"message.max.bytes": 100_000_000, "compression.type": "zstd"}
    size = 16 * RECORD_LIMIT
    body, letter = wall_house.refused(wall_house.send(b"x" * size, settings=settings))
    assert (NOT_DECODABLE, size) == (body.reason, body.size)
    assert body.detail.endswith(f"the first {SEALED_MOST} are sealed")
    assert len(letter.sealed) < 2 * RECORD_LIMIT


def test_a_batch_that_is_larger_than_it_looks(wall_house: WallHouse) -> None:
    """More than one transaction could take before its deadline is taken in several."""
    settings = {"message.max.bytes": 100_000_000, "compression.type": "gzip", "linger.ms": 1_000}
    settings |= {"batch.size": 100_000_000}
    places = wall_house.send_all([bytes(RECORD_LIMIT)] * 12, settings=settings, partition=0)
    assert len(places) == 12
    for place in places:
        body, _ = wall_house.refused(place)
        assert body.size == RECORD_LIMIT
