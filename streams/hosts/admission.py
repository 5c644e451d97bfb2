"""Admission: from the bytes on a topic to an input that an engine may take.

Everything that can be wrong with an input is found here, before any processor sees it: bytes that are no Avro,
schemas nobody published, facts that do not belong on the topic, a card number in clear. Such an input becomes
an :class:`~events.partitions.EventDeadLettered` in the log, with its reason, and its bytes go to the dead
letters, sealed, for they may hold a card number. The stream goes on.
"""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from events.base import Event, Message
from events.envelope import Source
from events.errors import ValidationError, WireError
from events.identity import MASKED, looks_like_pan, partition_of_name
from events.intake import forwarded, received
from events.messages import DeadLetter, Handover, Marker
from events.partitions import ClockKind, DeadLetterReason, EventDeadLettered, MarkerSeen, ReferenceApplied
from events.reference import decode_reference
from events.requests import ReferencePublished, Request, Tick
from events.wire import HEADER_BYTES, RECORD_LIMIT, decode_message, encode_message, type_of
from streams.hosts.engine import Fact
from streams.hosts.log import Stored
from streams.intake import card_number_in_clear
from streams.topology import EngineSpec


class Keys(NamedTuple):
    """What admission needs of the deployment's secrets: functions, so that no secret is held here.

    ``body_mac`` gives the keyed hash of a request's canonical body; ``seal`` seals bytes to the vault's public
    key. ``mac_key_id`` and ``seal_key_id`` name the keys.
    """

    mac_key_id: str
    body_mac: Callable[[Request], str]
    seal_key_id: str
    seal: Callable[[bytes], bytes]


class Refusal(NamedTuple):
    """A dead letter in both its forms: what the log says and what the sealed topic keeps."""

    fact: Fact
    letter: DeadLetter


Admitted = Fact | MarkerSeen | Refusal

#: Many times the largest request that is ever accepted. One of a megabyte would fit onto its topic, but not into the
#: log: the event that refuses it holds its names again.
REQUEST_LIMIT: Final = 8 * 1024
#: A record in a compressed batch may be larger than its topic seems to allow. Of such a one this much is sealed, for a
#: dead letter has to fit into a record, too.
SEALED_MOST: Final = 3 * RECORD_LIMIT // 2

#: The year 9999 is over: what databases and clients can show ends about here.
_END_OF_TIME: Final = 253_402_300_800_000_000

_NOBODY: Final = ""
_NUMBER_IN_CLEAR: Final = "a field holds what looks like a card number; send the vault's token instead"


def admit(
    spec: EngineSpec,
    partition: int,
    partitions: int,
    clock: ClockKind,
    keys: Keys,
    topic: str,
    stored: Stored,
) -> Admitted:
    """What the engine shall take for this record. Total: never raises for bad bytes.

    Producers make the time with their requests where it is virtual; a clock on the wall is nobody's to set.
    """
    try:
        message = decode_message(stored.value)
    except WireError as error:
        return refuse(keys, topic, partition, stored, _why_undecodable(stored.value), str(error))
    # Markers come from other logs, by the topics that bring their facts: never through the door of requests.
    if isinstance(message, Marker) and topic in spec.facts:
        return MarkerSeen(
            topic,
            partition,
            stored.offset,
            message.sender,
            message.tick,
            message.at,
            message.reference_version,
        )
    if isinstance(message, Handover) and type(message.fact) in spec.facts.get(topic, frozenset()):
        return Fact(
            message.fact,
            Source(topic, partition, stored.offset, message.sender),
            message.causation_id,
            message.correlation_id,
            message.occurred_at,
            # An inbox brings the stamp of the request it goes back to; an outside answer is stamped on arrival.
            message.ingested_at or stored.at,
            message.simulated,
        )
    if topic == "payments.requests":
        if (
            isinstance(message, DeadLetter)
            and message.key_id == keys.seal_key_id
            and len(message.sealed) <= SEALED_MOST
        ):
            return _sealed_before(topic, partition, stored, message)
        if isinstance(message, Tick) and clock is ClockKind.VIRTUAL:
            return MarkerSeen(
                topic,
                partition,
                stored.offset,
                f"requests/{partition}",
                message.tick,
                message.at,
                message.reference_version,
            )
        if isinstance(message, Request):
            return _admit_request(partition, partitions, keys, topic, stored, message)
    if topic == "reference" and isinstance(message, ReferencePublished):
        return _admit_reference(keys, topic, stored, message)
    what = type(message.fact if isinstance(message, Handover) else message).__name__
    return refuse(
        keys,
        topic,
        partition,
        stored,
        DeadLetterReason.NOT_EXPECTED_HERE,
        f"{what} does not belong on {topic}",
    )


def _why_undecodable(data: bytes) -> DeadLetterReason:
    try:
        kind = type_of(data)
    except WireError:
        has_header = len(data) >= HEADER_BYTES and data[0] == 0
        return DeadLetterReason.UNKNOWN_SCHEMA if has_header else DeadLetterReason.NOT_DECODABLE
    return DeadLetterReason.NOT_EXPECTED_HERE if issubclass(kind, Event) else DeadLetterReason.NOT_DECODABLE


def screened(keys: Keys, message: Message) -> Message:
    """What may be published instead of a message: itself, or sealed where it holds a card number in clear.

    For whoever publishes on our side of the door: a topic keeps what is written to it. The reason and the source
    travel in clear, and admission dead-letters it like any other.
    """
    if not isinstance(message, Request) or not card_number_in_clear(message):
        return message
    reason = DeadLetterReason.CARD_NUMBER_IN_CLEAR
    return DeadLetter(
        "", 0, 0, reason, _NUMBER_IN_CLEAR, keys.seal_key_id, keys.seal(encode_message(message))
    )


def _sealed_before(topic: str, partition: int, stored: Stored, letter: DeadLetter) -> Refusal:
    # Its words are not repeated: they come from outside, and there is one reason to seal a request.
    letter = DeadLetter(
        topic,
        partition,
        stored.offset,
        DeadLetterReason.CARD_NUMBER_IN_CLEAR,
        _NUMBER_IN_CLEAR,
        letter.key_id,
        letter.sealed,
    )
    digest = hashlib.sha256(letter.sealed).hexdigest()
    body = EventDeadLettered(letter.reason, letter.detail, len(letter.sealed), digest, letter.key_id)
    fact = Fact(body, Source(topic, partition, stored.offset, _NOBODY), "", "", stored.at, stored.at, False)
    return Refusal(fact, letter)


def _admit_request(
    partition: int, partitions: int, keys: Keys, topic: str, stored: Stored, request: Request
) -> Fact | Refusal:
    reason = DeadLetterReason.CARD_NUMBER_IN_CLEAR
    if card_number_in_clear(request):
        return refuse(keys, topic, partition, stored, reason, _NUMBER_IN_CLEAR)
    if len(stored.value) > REQUEST_LIMIT:
        detail = f"a request of {len(stored.value)} bytes; {REQUEST_LIMIT} are possible"
        return refuse(keys, topic, partition, stored, DeadLetterReason.NOT_DECODABLE, detail)
    mac = keys.body_mac(request)
    home = partition_of_name(f"{request.merchant}/{request.idempotency_key}", partitions)
    body = received(request, mac) if home == partition else forwarded(request, mac, home)
    source = Source(topic, partition, stored.offset, f"requests/{partition}")
    # A claim that no calendar holds is refused by intake, and would stop whoever puts events into tables.
    claim = request.occurred_at if 0 <= request.occurred_at < _END_OF_TIME else stored.at
    return Fact(body, source, "", "", claim, stored.at, request.simulated)


def _admit_reference(keys: Keys, topic: str, stored: Stored, entry: ReferencePublished) -> Fact | Refusal:
    # A bad entry leaves its version unread, and the tick that names it waits until the version comes again, good.
    try:
        if hashlib.sha256(entry.content.encode()).hexdigest() != entry.sha256:
            raise ValidationError("sha256", "the content does not have this hash")
        decode_reference(entry.kind, entry.content)
    except ValidationError as error:
        return refuse(keys, topic, 0, stored, DeadLetterReason.NOT_DECODABLE, str(error))
    applied = ReferenceApplied(entry.kind, entry.ref_id, entry.version, entry.sha256, entry.content)
    return Fact(applied, Source(topic, 0, stored.offset, _NOBODY), "", "", stored.at, stored.at, False)


def refuse(
    keys: Keys, topic: str, partition: int, stored: Stored, reason: DeadLetterReason, detail: str
) -> Refusal:
    """Seal an input that cannot be taken. ``detail`` is masked where it quotes what may be a card number."""
    if looks_like_pan(detail):
        detail = MASKED
    if len(stored.value) > SEALED_MOST:
        detail = f"{detail}; the first {SEALED_MOST} are sealed"
    sealed = keys.seal(stored.value[:SEALED_MOST])
    body = EventDeadLettered(
        reason, detail, len(stored.value), hashlib.sha256(sealed).hexdigest(), keys.seal_key_id
    )
    source = Source(topic, partition, stored.offset, _NOBODY)
    letter = DeadLetter(topic, partition, stored.offset, reason, detail, keys.seal_key_id, sealed)
    return Refusal(Fact(body, source, "", "", stored.at, stored.at, False), letter)
