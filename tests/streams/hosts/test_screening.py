"""A card number in clear reaches no topic: it is sealed before it is published, and dead-lettered all the same."""

from events.messages import DeadLetter
from events.partitions import ClockKind, DeadLetterReason, EventDeadLettered
from events.requests import RefundRequest
from events.wire import decode_message, encode_message
from streams.hosts.admission import Refusal, admit, screened
from streams.hosts.log import Stored
from streams.topology import INTAKE
from tests.simulation.schedules import KEYS

#: Made when it runs: no card number stands in a source file.
NUMBER = "4" + "1" * 15
SEALING = KEYS._replace(seal=lambda data: bytes(byte ^ 0x5A for byte in data))


def request(note: str) -> RefundRequest:
    """A refund whose free text says ``note``."""
    return RefundRequest("inn", "k1", "pay-0037-0123456789abcdef", 100, "USD", note, 1, "till", True)


def test_a_good_message_is_published_as_it_is() -> None:
    """Nothing is sealed without need."""
    message = request("room 12")
    assert screened(SEALING, message) is message


def test_a_card_number_is_sealed_before_it_is_published_and_dead_lettered_with_its_source() -> None:
    """What lies on the topic holds no digit of it, and the log says where it stood and why it was put aside."""
    published = encode_message(screened(SEALING, request(f"card {NUMBER}")))
    assert NUMBER.encode() not in published
    admitted = admit(
        INTAKE, 0, 1, ClockKind.VIRTUAL, SEALING, "payments.requests", Stored(7, 42, published, b"")
    )
    assert isinstance(admitted, Refusal)
    body, source, letter = admitted.fact.body, admitted.fact.source, admitted.letter
    assert isinstance(body, EventDeadLettered)
    assert (body.reason, source.offset) == (DeadLetterReason.CARD_NUMBER_IN_CLEAR, 7)
    assert (letter.topic, letter.partition, letter.offset) == ("payments.requests", 0, 7)
    assert NUMBER not in repr(admitted)
    assert decode_message(SEALING.seal(letter.sealed)) == request(f"card {NUMBER}")


def test_a_letter_that_came_by_another_topic_is_not_taken_for_a_sealed_request() -> None:
    """Only the door of requests knows sealed ones."""
    letter = DeadLetter("", 0, 0, DeadLetterReason.NOT_DECODABLE, "", "k", b"x")
    admitted = admit(
        INTAKE, 0, 1, ClockKind.VIRTUAL, SEALING, "intake.inbox", Stored(0, 1, encode_message(letter), b"")
    )
    assert isinstance(admitted, Refusal)
    assert isinstance(admitted.fact.body, EventDeadLettered)
    assert admitted.fact.body.reason is DeadLetterReason.NOT_EXPECTED_HERE
