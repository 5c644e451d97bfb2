"""What logs say of their inputs against the inputs themselves.

An input is recorded with the place where it stood. Deciding again takes the *recorded* input, so it would never miss
what the log has changed in it without consequence; here the record at that place is admitted again and compared.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from events.envelope import Recorded, Source
from events.errors import LogDamaged, WireError
from events.intake import Forwarded, Received
from events.messages import DeadLetter
from events.partitions import DeadLetterReason, EventDeadLettered, MarkerSeen, MarkersTaken
from events.wire import decode_message
from streams.hosts.admission import Keys, Refusal, admit
from streams.hosts.engine import Fact
from streams.hosts.index import Run
from streams.hosts.log import Log, Stored, records_of
from streams.topology import BROADCAST, ENGINES


class Letter(NamedTuple):
    """A dead letter by what both the log and ``dead-letters`` say of it."""

    topic: str
    partition: int
    offset: int
    reason: DeadLetterReason
    detail: str
    key_id: str
    sealed_sha256: str


class Sources:
    """The inputs of one index, followed beside its logs; ``letters`` collects what they call dead letters."""

    def __init__(self, log: Log, number: int, run: Run, keys: Keys, letters: Counter[Letter]) -> None:
        self._log = log
        self._number = number
        self._run = run
        self._specs = {spec.name: spec for spec in ENGINES}
        self._letters = letters
        self._mac = ""
        # A MAC needs its key, which is not here: what was recorded is taken as given. Nothing is sealed.
        self._keys = Keys(keys.mac_key_id, lambda _: self._mac, keys.seal_key_id, lambda _: b"")
        self._records: dict[tuple[str, str], Iterator[Stored]] = {}
        self._last: dict[tuple[str, str], int] = {}

    def note(self, name: str, offset: int, recorded: Recorded) -> None:
        """Compare the next recorded input of the log ``name``. Raises LogDamaged."""
        body, source = recorded.body, recorded.meta.source
        where = f"{name}/{self._number} at {offset}"
        if isinstance(body, MarkersTaken):
            for marker in body.markers:
                stored = self._next(where, name, marker.topic, marker.partition, marker.offset)
                self._compare(where, name, marker.topic, stored, marker)
        elif source is not None:
            if isinstance(body, EventDeadLettered):
                self._note_letter(body, source)
                if body.reason is DeadLetterReason.DECISION_FAILED:
                    # It was admitted well, and what went wrong then is no property of its bytes. One that had waited
                    # for its interval stands in the log already.
                    if source.offset > self._last.get((name, source.topic), -1):
                        self._next(where, name, source.topic, source.partition, source.offset)
                    return
            stored = self._next(where, name, source.topic, source.partition, source.offset)
            if isinstance(body, Received | Forwarded):
                self._mac = body.body_mac
            meta = recorded.meta
            fact = Fact(
                body,
                source,
                meta.causation_id,
                meta.correlation_id,
                meta.occurred_at,
                meta.ingested_at,
                meta.simulated,
            )
            self._compare(where, name, source.topic, stored, fact)

    def _note_letter(self, body: EventDeadLettered, source: Source) -> None:
        place = (source.topic, source.partition, source.offset)
        self._letters[Letter(*place, body.reason, body.detail, body.key_id, body.sealed_sha256)] += 1

    def _next(self, where: str, name: str, topic: str, partition: int, offset: int) -> Stored:
        if partition != (0 if topic in BROADCAST else self._number):
            raise LogDamaged(f"{where}: {topic}/{partition} is no input of this index")
        records = self._records.get((name, topic))
        if records is None:
            records = self._records[(name, topic)] = records_of(self._log, topic, partition)
        stored = next(records, None)
        if stored is None or stored.offset != offset:
            raise LogDamaged(f"{where}: its source, {topic}/{partition} at {offset}, does not stand there")
        self._last[(name, topic)] = offset
        return stored

    def _compare(
        self, where: str, name: str, topic: str, stored: Stored, recorded: Fact | MarkerSeen
    ) -> None:
        spec = self._specs[name]
        partition = 0 if topic in BROADCAST else self._number
        run = self._run
        admitted = admit(spec, partition, run.partitions, run.clock, self._keys, topic, stored)
        if isinstance(admitted, Refusal):
            admitted = admitted.fact
            if isinstance(recorded, Fact) and isinstance(recorded.body, EventDeadLettered):
                sealed = msgspec.structs.replace(admitted.body, sealed_sha256=recorded.body.sealed_sha256)
                admitted = admitted._replace(body=sealed)
        if admitted != recorded:
            raise LogDamaged(
                f"{where}: {_first_difference(recorded, admitted)} by {topic}/{partition} at {stored.offset}, "
                "its source"
            )


def check_dead_letters(log: Log, letters: Counter[Letter]) -> None:
    """Every dead letter that the logs speak of must stand in ``dead-letters``, and no other. Raises LogDamaged."""
    found: Counter[Letter] = Counter()
    for stored in records_of(log, "dead-letters", 0):
        try:
            message = decode_message(stored.value)
        except WireError as error:
            raise LogDamaged(f"dead-letters/0 at {stored.offset}: {error}") from error
        if not isinstance(message, DeadLetter):
            raise LogDamaged(f"dead-letters/0 at {stored.offset} is no dead letter")
        fields = {name: getattr(message, name) for name in Letter._fields[:-1]}
        found[Letter(**fields, sealed_sha256=sha256(message.sealed).hexdigest())] += 1
    for letter in sorted((letters - found) | (found - letters)):
        whose = "no log speaks of it" if found[letter] > letters[letter] else "it is missing there"
        raise LogDamaged(
            f"the dead letter of {letter.topic}/{letter.partition} at {letter.offset} is not the same in "
            f"dead-letters and in the log: {whose}"
        )


def _first_difference(recorded: Fact | MarkerSeen, admitted: Fact | MarkerSeen) -> str:
    """The first field that differs, and both values."""
    before, after = _fields(recorded), _fields(admitted)
    for name in {**before, **after}:
        was, now = before.get(name, "nothing"), after.get(name, "nothing")
        if was != now:
            return f"{name} was recorded as {was!r}, but is {now!r}"
    raise AssertionError("only what differs is compared")


def _fields(given: Fact | MarkerSeen) -> dict[str, Any]:
    if isinstance(given, MarkerSeen):
        return {"type": "MarkerSeen", **msgspec.structs.asdict(given)}
    body = {f"body.{name}": value for name, value in msgspec.structs.asdict(given.body).items()}
    return {"type": type(given.body).__name__, **body, **given._asdict(), "body": None}
