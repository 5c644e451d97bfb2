"""Dead letters: finding them, opening one with the vault's private key, publishing one again.

What is opened is shown with every digit covered that may be part of a card number. A retry is a new record on the
topic that the letter came from, with a header that names the letter; nothing is marked in place. It happens once
however often it is asked for: whoever retries shuts out others who do, and looks for that header first.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from events.envelope import Recorded
from events.errors import LogDamaged, Refused, ValidationError, WireError
from events.identity import covered
from events.intake import Forwarded, Received
from events.messages import DeadLetter
from events.partitions import ClockKind, DeadLetterReason
from events.wire import decode_event, decode_message
from streams.edge.vault import load_key, unseal
from streams.forensics.replay import run_of
from streams.hosts.admission import Keys, Refusal, admit
from streams.hosts.clocks import WallClock
from streams.hosts.index import Run
from streams.hosts.log import Append, Log, Stored
from streams.intake import PAST_TOLERANCE
from streams.topology import ENGINES

if TYPE_CHECKING:
    from streams.hosts.cluster import Cluster

TOPIC: Final = "dead-letters"
OWNER: Final = "dead-letters"
#: The header of a record that was published again: the number of its dead letter.
RETRY_HEADER: Final = "dead-letter"

_READ: Final = 100
_MICROSECONDS: Final = 1_000_000


class Letter(NamedTuple):
    """A dead letter; ``number`` is its offset, ``at`` when it was put aside (microseconds UTC, the log's own time)."""

    number: int
    at: int
    letter: DeadLetter

    def described(self) -> dict[str, Any]:
        """All that may be known of it without a key."""
        letter = self.letter
        return {
            "number": self.number,
            "put_aside_at": instant_of(self.at),
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "reason": str(letter.reason),
            "detail": covered(letter.detail),
            "key_id": letter.key_id,
            "sealed_bytes": len(letter.sealed),
        }


class Content(NamedTuple):
    """What was sealed, fit to be seen. ``fields`` is empty, and ``problem`` says why, where it cannot be decoded."""

    size: int
    hexadecimal: str
    type: str
    fields: dict[str, Any]
    problem: str


class Retried(NamedTuple):
    """Where a dead letter was published again; ``before``: by an earlier call."""

    topic: str
    partition: int
    offset: int
    before: bool


# --- looking ------------------------------------------------------------------------------------------


def letters(log: Log) -> Iterator[Letter]:
    """Every dead letter, oldest first. Raises LogDamaged for a record that is none."""
    offset = 0
    while block := log.read(TOPIC, 0, offset, _READ):
        yield from map(_letter, block)
        offset = block[-1].offset + 1


def letter(log: Log, number: int) -> Letter:
    """Dead letter ``number``. Raises Refused where there is none."""
    found = log.read(TOPIC, 0, number, 1)
    if not found or found[0].offset != number:
        raise Refused(f"there is no dead letter {number}; `tallystick dead-letters list` names them")
    return _letter(found[0])


def _letter(stored: Stored) -> Letter:
    try:
        message = decode_message(stored.value)
    except WireError as error:
        raise LogDamaged(f"{TOPIC} at {stored.offset}: {error}") from error
    if not isinstance(message, DeadLetter):
        raise LogDamaged(f"{TOPIC} at {stored.offset} is no dead letter")
    return Letter(stored.offset, stored.at, message)


def unsealed(found: Letter, keys: Path) -> bytes:
    """What a dead letter holds. Raises Refused where the private key is not in the folder, or is another."""
    path = keys / "seal.key"
    if not path.exists():
        raise Refused(
            f"dead letter {found.number} is sealed to {found.letter.key_id}, and there is no {path}: --keys names the "
            "folder of the vault's keys"
        )
    try:
        return unseal(X25519PrivateKey.from_private_bytes(load_key(keys, "seal")), found.letter.sealed)
    except ValidationError as error:
        raise Refused(
            f"dead letter {found.number} cannot be opened with {path}: it {error.reason}"
        ) from error


def content(data: bytes) -> Content:
    """What was sealed, decoded where that is possible; no card number of it is in clear."""
    value: Any
    try:
        value = decode_message(data)
        name, plain = type(value).__name__, msgspec.to_builtins(value)
    except WireError as error:
        problem = str(error)
        try:
            value = decode_event(data)
        except WireError:
            return Content(len(data), hexadecimal(data), "", {}, covered(problem))
        assert isinstance(value, Recorded)
        name, plain = type(value.body).__name__, msgspec.to_builtins(value)
    fields = {key: _fit_to_be_seen(key, inner) for key, inner in plain.items()}
    return Content(len(data), hexadecimal(data), name, fields, "")


def hexadecimal(data: bytes) -> str:
    """Bytes as pairs of letters; those of digits that may be part of a card number are ``**``."""
    text = data.decode("utf-8", "surrogateescape")
    pairs = []
    for before, after in zip(text, covered(text), strict=True):
        own = before.encode("utf-8", "surrogateescape")
        pairs.append(own.hex() if before == after else "**" * len(own))
    return "".join(pairs)


def _fit_to_be_seen(name: str, value: Any) -> Any:
    match value:
        case dict():
            return {key: _fit_to_be_seen(key, inner) for key, inner in value.items()}
        case list():
            return [_fit_to_be_seen(name, inner) for inner in value]
        case str():
            return covered(value)
        case bool():
            return value
        case int():
            if name.endswith("_at"):
                # One in ten instants in microseconds would look like a card number.
                return instant_of(value)
            text = covered(str(value))
            return value if text == str(value) else text
        case _:
            return value


def instant_of(at: int) -> str:
    """``2026-03-02T09:00:00.000000Z``; the covered number where that is no year of ours."""
    try:
        moment = datetime.fromtimestamp(at // _MICROSECONDS, UTC)
    except (ValueError, OverflowError, OSError):
        return covered(str(at))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % _MICROSECONDS:06d}Z"


# --- publishing again ---------------------------------------------------------------------------------


def retry(cluster: "Cluster", number: int, keys: Path) -> Retried:
    """Publish a dead letter again, once. Raises Refused where that cannot help, Unavailable where it is in doubt."""
    from streams.hosts.kafkalog import KafkaLog

    log = KafkaLog(cluster)
    try:
        found = letter(log, number)
        run = run_of(log)
    finally:
        log.close()
    if run.clock is ClockKind.VIRTUAL:
        raise Refused(NOT_IN_VIRTUAL_TIME)
    now = WallClock.of(run.arguments).now()
    data = unsealed(found, keys)
    check_that_it_helps(found, data, run, now)
    return asyncio.run(_published(cluster, found, data, now))


NOT_IN_VIRTUAL_TIME: Final = (
    "this log lives in virtual time, which is made of one input: whatever is added would belong to no tick of it. Mend "
    "the input, or the code, and run it again (tallystick demo --fresh)"
)


def check_that_it_helps(found: Letter, data: bytes, run: Run, now: int) -> None:
    """Refused where a record would only be put aside, or refused, again. ``now`` is business time."""
    name, letter = f"dead letter {found.number}", found.letter
    if letter.reason is DeadLetterReason.CARD_NUMBER_IN_CLEAR:
        raise Refused(
            f"{name} holds a card number in clear, and no retry can help: the producer has to send the vault's token "
            "instead, under the same key"
        )
    spec = next((spec for spec in ENGINES if letter.topic in spec.inputs), None)
    if spec is None:
        raise Refused(f"{name} comes from {covered(letter.topic)}, which nobody reads here")
    # Nothing is sealed and no MAC is kept: this is admission's opinion and nothing else.
    keys = Keys("", lambda _: "", letter.key_id, lambda _: b"")
    stored = Stored(letter.offset, now, data, b"")
    admitted = admit(spec, letter.partition, run.partitions, run.clock, keys, letter.topic, stored)
    if isinstance(admitted, Refusal):
        again = admitted.letter
        raise Refused(f"{name} would be put aside again ({again.reason}): {covered(again.detail)}")
    body = getattr(admitted, "body", None)
    if isinstance(body, Received | Forwarded) and now - body.request.occurred_at > PAST_TOLERANCE:
        raise Refused(
            f"{name} occurred at {instant_of(body.request.occurred_at)}, too long ago to be accepted: the producer has "
            "to ask again"
        )


async def _published(cluster: "Cluster", found: Letter, data: bytes, now: int) -> Retried:
    from streams.hosts.following import Follower, settled_ends
    from streams.hosts.transactions import Transactions

    topic, partition = place = found.letter.topic, found.letter.partition
    header = (RETRY_HEADER, str(found.number).encode())
    transactions, reader = Transactions(cluster, OWNER), Follower(cluster)
    try:
        await reader.start()
        # Now nobody else retries, and what somebody left open is settled.
        await transactions.fence([place])
        ends = await settled_ends(reader, [place])
        async for _, records in reader.read_up_to({place: found.letter.offset + 1}, ends):
            for record in records:
                if header in record.headers:
                    return Retried(topic, partition, record.offset, before=True)
        ends = await transactions.commit([Append(topic, partition, now, data)], "", {}, [[header]])
        return Retried(topic, partition, ends[place] - 1, before=False)
    finally:
        await transactions.close()
        await reader.close()
