"""The verdicts on a payment explained: what was measured, what fired and why, where it comes from, and that it comes
out again.

The log of the payment's partition is decided again from its beginning, by the engine that decided it, with a witness
beside the risk processor: it sees the state that a verdict was made of. What comes out must be the recorded bytes.
Nothing is written. Raises Refused for a payment that the log does not have, LogDamaged for one that cannot be read.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.envelope import Recorded
from events.errors import LogDamaged, Refused, ValidationError, WireError
from events.identity import partition_of_slot, slot_of_payment
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.partitions import ClockKind
from events.reference import WrittenRule
from events.risk import Phase, RiskAssessed
from events.signals import IdentitySignals
from events.wire import encode_event, type_of
from streams import risk
from streams.features import clusters, measuring, modelling, velocity
from streams.features.online import Online
from streams.features.rules.catalogue import WINDOWS
from streams.features.rules.in_force import InForce
from streams.features.scoring import Assessment
from streams.features.vectors import ANSWERED_TEXTS, RECORDED, TEXTS
from streams.features.windows import event_time
from streams.forensics.reading import decoded
from streams.forensics.replay import WholeLog, run_of
from streams.hosts.engine import Engine
from streams.hosts.log import Log, Stored, records_of
from streams.topology import PAYMENTS

_READ: Final = 5_000
_REACH_US: Final = max(WINDOWS.values())

Progress = Callable[[int], None]


class Fired(NamedTuple):
    """A rule that the verdict names. ``when`` is its text, "" for a limit or a hotlist entry, which have none."""

    rule: str
    how: str
    action: str
    when: str
    points: int


class Origin(NamedTuple):
    """An event that went into the vector: an earlier payment with the card, or what became of it; a label."""

    offset: int
    event_id: str
    what: str
    at: int
    merchant: str
    amount: int
    currency: str


class Difference(NamedTuple):
    """A field that came out otherwise than it was recorded."""

    field: str
    recorded: str
    again: str


class Explained(NamedTuple):
    """A verdict with everything behind it. ``differences`` is empty where it came out again, bit for bit.

    ``cluster`` has the known frauds that the payment was linked to when it was judged; ``models`` say where the scores
    of the verdict come from, in its order. ``after`` is the verdict that followed the issuer's answer, where there is
    one: it stands on the same features. ``signals`` is what
    an identity provider said of the buyer; it stands in the request.
    """

    offset: int
    partition: int
    event: Recorded
    features: dict[str, int]
    texts: dict[str, str]
    fired: list[Fired]
    models: list[Assessment]
    origins: list[Origin]
    agrees: bool
    differences: list[Difference]
    cluster: list[str]
    after: "Explained | None" = None
    signals: IdentitySignals | None = None


class _Seen(NamedTuple):
    """What the witness saw when the verdict was made."""

    rules: InForce
    models: modelling.Models
    learning: Online
    profile: list[int]
    cluster: list[str]


class _Witness:
    """The risk processor, and a look at its state when one payment is decided."""

    NAME = risk.NAME
    HEARS = risk.HEARS
    DECIDES = risk.DECIDES

    def __init__(self, payment_id: str) -> None:
        self._payment_id = payment_id
        self.seen: _Seen | None = None
        self.over = False
        self.initial = risk.initial
        self.evolve = risk.evolve
        self.due = risk.due
        self.fire = risk.fire
        self.summary = risk.summary

    def decide(self, state: risk.State, recorded: Recorded) -> list[Any]:
        """As risk decides. Once nothing more is asked of the payment it is ``over``."""
        body = recorded.body
        match body:
            case PaymentRequested() | PaymentAuthorized() if body.payment_id == self._payment_id:
                measured = state.open.get(body.payment_id) or state.answered.get(body.payment_id)
                if measured is None:
                    self.over = True
                else:
                    keys = velocity.keys_of(state.measures.velocity, body.payment_id)
                    self.seen = _Seen(
                        _copied(state.rules),
                        _copied(state.models),
                        _copied(state.online),
                        list(measured.profile),
                        clusters.touched(state.measures.clusters, keys),
                    )
            case _:
                pass
        return risk.decide(state, recorded)


def explain(log: WholeLog, payment_id: str, progress: Progress = lambda done: None) -> Explained:
    """The verdict on a payment before its authorization, with the one behind it."""
    with log.view():
        run = run_of(log)
        try:
            partition = partition_of_slot(slot_of_payment(payment_id), run.partitions)
        except ValidationError as error:
            raise Refused(f"{payment_id[:60]!r} is no payment: {error.reason}") from error
        asked = _request(log, partition, payment_id)
        witness = _Witness(payment_id)
        processors = tuple(witness if one is risk else one for one in PAYMENTS.processors)
        spec = replace(PAYMENTS, processors=processors)
        virtual = run.clock is ClockKind.VIRTUAL
        engine = Engine(spec, partition, run.partitions, run.clock, simulated=virtual)
        origins = _Origins(asked)
        expected: deque[Recorded] = deque()
        before: Explained | None = None
        for stored in records_of(log, "payments", partition):
            if stored.offset % _READ == 0:
                progress(stored.offset)
            recorded = decoded(stored, "payments", partition)
            origins.take(stored.offset, recorded)
            if not expected:
                output = engine.retake(recorded)
                expected.extend(output.events if output is not None else [])
            again = expected.popleft() if expected else None
            if isinstance(recorded.body, RiskAssessed) and recorded.body.payment_id == payment_id:
                found = _explained(stored, partition, recorded, again, witness.seen, origins)
                if before is not None:
                    return before._replace(after=found)
                before = found._replace(signals=asked.signals)
            if before is not None and (witness.over or _is_end(recorded, payment_id)):
                break
    if before is None:
        raise Refused(f"{payment_id} has no verdict yet")
    return before


def _is_end(recorded: Recorded, payment_id: str) -> bool:
    """Whether a payment is over before it was authorized."""
    body = recorded.body
    return isinstance(body, PaymentDeclined | AuthorizationOutcomeUnknown) and body.payment_id == payment_id


def _request(log: Log, partition: int, payment_id: str) -> PaymentRequested:
    for stored in records_of(log, "payments", partition):
        try:
            if type_of(stored.value) is not PaymentRequested:
                continue
        except WireError as error:
            raise LogDamaged(f"payments/{partition} at {stored.offset}: {error}") from error
        body = decoded(stored, "payments", partition).body
        if isinstance(body, PaymentRequested) and body.payment_id == payment_id:
            return body
    raise Refused(f"there is no payment {payment_id} in this log")


def _explained(
    stored: Stored,
    partition: int,
    recorded: Recorded,
    again: Recorded | None,
    seen: _Seen | None,
    origins: "_Origins",
) -> Explained:
    body = recorded.body
    assert isinstance(body, RiskAssessed)
    differences = _differences(recorded, again)
    agrees = again is not None and encode_event(again) == stored.value
    return Explained(
        stored.offset,
        partition,
        recorded,
        dict(zip(RECORDED, body.features, strict=False)),
        dict(
            zip(
                TEXTS if body.phase is Phase.BEFORE_AUTHORIZATION else ANSWERED_TEXTS,
                body.texts,
                strict=False,
            )
        ),
        [] if seen is None else list(_fired(seen.rules, body)),
        []
        if seen is None or not body.models
        else measuring.reasons(seen.models, seen.learning, seen.profile),
        origins.found(event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)),
        agrees,
        differences,
        [] if seen is None else seen.cluster,
    )


def _differences(recorded: Recorded, again: Recorded | None) -> list[Difference]:
    if again is None or type(again.body) is not type(recorded.body):
        name = "nothing" if again is None else type(again.body).__name__
        return [Difference("", type(recorded.body).__name__, name)]
    found = []
    for part in ("meta", "body"):
        was, is_ = msgspec.to_builtins(getattr(recorded, part)), msgspec.to_builtins(getattr(again, part))
        found += [
            Difference(f"{part}.{name}", str(was[name]), str(is_[name]))
            for name in was
            if was[name] != is_[name]
        ]
    return found


def _fired(rules: InForce, body: RiskAssessed) -> Iterator[Fired]:
    """The rules that the verdict names, with their texts as they were in force."""
    written: dict[str, WrittenRule] = {}
    for book in (rules.house, rules.own.get(body.merchant)):
        if book is not None:
            prefix = f"{book.merchant}/" if book.merchant else ""
            written |= {prefix + rule.rule_id: rule for rule in book.rules}
    for how, names in (("fired", body.rules), ("shadow", body.shadow_rules), ("failed", body.failed_rules)):
        for name in names:
            rule = written.get(name)
            yield Fired(
                name,
                how,
                rule.action.value if rule else "",
                rule.when if rule else "",
                rule.points if rule else 0,
            )


class _Origins:
    """The payments with the same card up to the verdict, and those of them that were declined; and labels.

    A label is of a payment with the same card, or of one that shares another key: of that one this partition may know
    no more than the label.
    """

    def __init__(self, asked: PaymentRequested) -> None:
        self._card = asked.card_id
        self._keys = (asked.merchant, asked.ip_ref, asked.device_ref, asked.email_ref)
        self._labels: list[Origin] = []
        self._paid: dict[str, Origin] = {}
        self._counted: set[str] = set()
        self._declined: list[Origin] = []

    def take(self, offset: int, recorded: Recorded) -> None:
        """Look at an event in the order of the log."""
        meta, body = recorded.meta, recorded.body
        if isinstance(body, PaymentRequested) and body.card_id == self._card:
            at = event_time(meta.occurred_at, meta.ingested_at)
            self._paid[body.payment_id] = Origin(
                offset, meta.event_id, "payment", at, body.merchant, body.amount, body.currency
            )
        elif isinstance(body, RiskAssessed) and body.payment_id in self._paid:
            # A payment that came for a later interval stands in the log before it is counted.
            self._counted.add(body.payment_id)
        elif isinstance(body, PaymentDeclined) and body.payment_id in self._paid:
            paid = self._paid[body.payment_id]
            self._declined.append(paid._replace(offset=offset, event_id=meta.event_id, what="decline"))
        elif isinstance(body, PaymentLabelled) and body.card_id == self._card:
            self._label(offset, meta.event_id, body)
        elif isinstance(body, LabelApplied):
            shared = (body.merchant, body.ip_ref, body.device_ref, body.email_ref)
            if any(key and key == own for key, own in zip(shared, self._keys, strict=True)):
                self._label(offset, meta.event_id, body)

    def _label(self, offset: int, event_id: str, body: PaymentLabelled | LabelApplied) -> None:
        origin = Origin(offset, event_id, f"{body.label} label", body.paid_at, body.merchant, 0, "")
        self._labels.append(origin)

    def found(self, at: int) -> list[Origin]:
        """Those that a window ending at ``at`` reaches, in the order of the log."""
        counted = [self._paid[payment_id] for payment_id in self._paid if payment_id in self._counted]
        told = (*counted, *self._declined, *self._labels)
        reached = [one for one in told if at - _REACH_US < one.at <= at]
        return sorted(reached, key=lambda one: one.offset)


def _copied(value: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value))
