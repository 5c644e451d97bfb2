"""Builders for the first half of a payment's life: an argument that is set is an argument that matters."""

from typing import Any, TypeVar

import msgspec

from events.authorization import (
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
)
from events.base import Event
from events.calendar import HOUR, day_number, start_of
from events.envelope import Meta, Recorded, Versions
from events.identity import card_id, payment_id, rrn
from events.intake import Received
from events.intake import received as taken
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied
from events.reference import (
    BinRange,
    BinTable,
    MerchantTerms,
    NetworkHealth,
    NetworkProfile,
    Reference,
    Rule,
    RulePack,
    encode_reference,
)
from events.requests import (
    Answered,
    CaptureMode,
    CaptureRequest,
    Channel,
    EvidenceRequest,
    IncrementRequest,
    PaymentRequest,
    PayoutSchedule,
    RefundRequest,
    Request,
    SettingsRequest,
    VoidRequest,
)
from events.risk import Verdict
from events.signals import Connection, IdentitySignals, ProviderAnswer

NOON = start_of(day_number(2026, 3, 9)) + 12 * HOUR
CARD = card_id(372, bytes(range(10)))
OTHER_CARD = card_id(373, bytes(range(10, 20)))
SHOP = "shop-1"
KEY = "order-9"
PAYMENT = payment_id(SHOP, KEY, CARD)
RRN = rrn(PAYMENT)

_E = TypeVar("_E", bound=msgspec.Struct)


def changed(value: _E, **fields: Any) -> _E:
    """The same value with other fields."""
    return msgspec.structs.replace(value, **fields)


def recorded(
    body: Event,
    *,
    at: int = NOON,
    occurred_at: int | None = None,
    ingested_at: int | None = None,
    sequence: int = 1,
) -> Recorded:
    """An event as its log keeps it; all times are ``at`` unless told."""
    ingested_at = at if ingested_at is None else ingested_at
    meta = Meta(
        key=getattr(body, "payment_id", "intake-0"),
        sequence=sequence,
        recorded_at=at,
        occurred_at=ingested_at if occurred_at is None else occurred_at,
        ingested_at=ingested_at,
        causation_id="",
        correlation_id="",
        source=None,
        versions=Versions(),
        simulated=True,
    )
    return Recorded(meta, body)


class Bench:
    """One processor at work, as the engine runs it: hear, then decide; what was decided is heard at once.

    On the way it proves of every step that deciding remembers nothing and that the state survives a snapshot.
    """

    def __init__(self, processor: Any, *given: Recorded) -> None:
        self.processor = processor
        self.state = processor.initial()
        self.sequence = 0
        for known in given:
            self.hear(known)

    def take(self, *bodies: Event, at: int = NOON, **times: int) -> list[Event]:
        """Give it events, one after the other; everything it decided."""
        decided: list[Event] = []
        for body in bodies:
            self.sequence += 1
            one = recorded(body, at=at, sequence=self.sequence, **times)
            self.hear(one)
            if type(body) in self.processor.DECIDES:
                before = msgspec.msgpack.encode(self.state)
                answers = self.processor.decide(self.state, one)
                assert before == msgspec.msgpack.encode(self.state)
                self._stamp(answers, at)
                decided += answers
        return decided

    def tick(self, at: int) -> list[Event]:
        """Let a tick pass; everything it decided."""
        decided: list[Event] = []
        for work in sorted(self.processor.due(self.state, at)):
            fired = self.processor.fire(self.state, work, at)
            self._stamp(fired, at)
            decided += fired
        return decided

    def hear(self, one: Recorded) -> None:
        """Let it remember an event, and go through a snapshot."""
        if type(one.body) in self.processor.HEARS:
            self.state = self.processor.evolve(self.state, one)
            kept = msgspec.msgpack.encode(self.state)
            again = msgspec.msgpack.decode(kept, type=type(self.state))
            assert self.state == again
            self.state = again

    def summary(self) -> list[str]:
        """The digest lines."""
        return list(self.processor.summary(self.state))

    def _stamp(self, bodies: list[Event], at: int) -> None:
        for body in bodies:
            self.sequence += 1
            self.hear(recorded(body, at=at, sequence=self.sequence))


# --- requests -------------------------------------------------------------------------------------------


def payment_request(**fields: Any) -> PaymentRequest:
    """A payment of 40.00 USD at noon."""
    return changed(
        PaymentRequest(
            merchant=SHOP,
            idempotency_key=KEY,
            card_id=CARD,
            bin="41111111",
            last4="1111",
            amount=4000,
            currency="USD",
            channel=Channel.ECOMMERCE,
            capture_mode=CaptureMode.AUTOMATIC,
            device_ref="dev-1",
            ip_ref="ip-1",
            email_ref="mail-1",
            occurred_at=NOON,
            producer="till-1",
            simulated=True,
        ),
        **fields,
    )


def signals(**fields: Any) -> IdentitySignals:
    """What a provider said of a buyer in Lisbon."""
    return changed(
        IdentitySignals(
            "provider",
            ProviderAnswer.GIVEN,
            "PT",
            3872,
            -914,
            20,
            Connection.CONSUMER,
            5,
            900,
            3,
            False,
            4,
        ),
        **fields,
    )


def capture_request(**fields: Any) -> CaptureRequest:
    """A final capture of the whole payment."""
    return changed(
        CaptureRequest(SHOP, "capture-9", PAYMENT, 4000, "USD", True, NOON, "till-1", True), **fields
    )


def void_request(**fields: Any) -> VoidRequest:
    """A void of the payment."""
    return changed(VoidRequest(SHOP, "void-9", PAYMENT, NOON, "till-1", True), **fields)


def refund_request(**fields: Any) -> RefundRequest:
    """A refund of the whole payment."""
    return changed(RefundRequest(SHOP, "refund-9", PAYMENT, 4000, "USD", "", NOON, "till-1", True), **fields)


def increment_request(**fields: Any) -> IncrementRequest:
    """10.00 more on hold."""
    return changed(
        IncrementRequest(SHOP, "increment-9", PAYMENT, 1000, "USD", NOON, "till-1", True), **fields
    )


def evidence_request(**fields: Any) -> EvidenceRequest:
    """One document in a case of the payment."""
    return changed(
        EvidenceRequest(
            SHOP, "evidence-9", PAYMENT, "dsp-1", Answered.CHARGEBACK, ["ab" * 32], NOON, "till-1", True
        ),
        **fields,
    )


def settings_request(**fields: Any) -> SettingsRequest:
    """Paid on Fridays, whatever there is."""
    return changed(
        SettingsRequest(SHOP, "settings-9", "", PayoutSchedule.WEEKLY, 4, 0, NOON, "till-1", True), **fields
    )


def received(request: Request, mac: str = "aa") -> Received:
    """A request as intake records it."""
    return taken(request, mac)


# --- reference data -------------------------------------------------------------------------------------


def applied(kind: str, content: Reference) -> Recorded:
    """Reference data coming into force."""
    return recorded(ReferenceApplied(kind, "any", 1, "00", encode_reference(content)))


def merchant_terms(**fields: Any) -> Recorded:
    """A merchant that takes USD and EUR and has no limits."""
    terms = MerchantTerms(SHOP, "A Shop", "5411", ("USD", "EUR"), 1, 30, 29_000, 2, 0, 0, False)
    return applied("merchant", changed(terms, **fields))


def network_profile(**fields: Any) -> Recorded:
    """A network that carries one brand and one currency for 1 % and 10."""
    profile = NetworkProfile(
        "alpha", ("visa",), ("USD",), 10_000, 10, 1_000_000, "411111", "ALPHA", 1320, 7, 5000
    )
    return applied("network", changed(profile, **fields))


def network_health(network: str, healthy: bool) -> Recorded:
    """News of a network."""
    return applied("health", NetworkHealth(network, healthy, ""))


def bin_table(*rows: tuple[str, str, str]) -> Recorded:
    """A BIN table of (low, high, brand)."""
    return applied("bins", BinTable(tuple(BinRange(*row, "US", "credit") for row in rows)))


def rule_pack(*rules: tuple[str, str, int, Verdict, int]) -> Recorded:
    """A rule pack of (id, feature, threshold, verdict, points)."""
    return applied("rules", RulePack(1, tuple(Rule(*rule) for rule in rules)))


# --- payments and answers -------------------------------------------------------------------------------


def payment_requested(**fields: Any) -> PaymentRequested:
    """A payment of 40.00 USD, captured at once."""
    return changed(
        PaymentRequested(
            payment_id=PAYMENT,
            merchant=SHOP,
            idempotency_key=KEY,
            card_id=CARD,
            bin="41111111",
            last4="1111",
            amount=4000,
            currency="USD",
            channel=Channel.ECOMMERCE,
            capture_mode=CaptureMode.AUTOMATIC,
            device_ref="",
            ip_ref="",
            email_ref="",
        ),
        **fields,
    )


def reply(code: str = "00", **fields: Any) -> NetworkReplyReceived:
    """An answer to the first authorization attempt."""
    return changed(
        NetworkReplyReceived(
            payment_id=PAYMENT,
            network="alpha",
            kind=MessageKind.AUTHORIZATION,
            attempt=1,
            late=False,
            mti="0110",
            stan="000001",
            rrn=RRN,
            response_code=code,
            approved_amount=4000 if code == "00" else 0,
            currency="USD",
            auth_code="A1B2C3" if code == "00" else "",
            avs_result="Y",
            cvv_result="M",
            network_transaction_id="ntx-1",
            frame=b"",
            frame_sha256=b"",
        ),
        **fields,
    )


def timed_out(**fields: Any) -> NetworkReplyTimedOut:
    """Silence after the first authorization attempt."""
    value = NetworkReplyTimedOut(PAYMENT, "alpha", MessageKind.AUTHORIZATION, 1, "000001", RRN, 5000)
    return changed(value, **fields)


def not_sent(**fields: Any) -> NetworkNotSent:
    """The first authorization attempt never left."""
    return changed(NetworkNotSent(PAYMENT, "alpha", MessageKind.AUTHORIZATION, 1, "000001", RRN), **fields)
