"""Intake: each request once. Duplicates, conflicts and refusals are seen here, before any payment is touched.

In this order: the same merchant, key and body again is a duplicate of whatever became of the first; another
body under a claimed key is a conflict; a request that makes no sense is refused, and leaves its key free for
a better one; what is left is accepted, and claims its key. Claims, conflicts and refusals are remembered for
:data:`CLAIM_DAYS` days of logical time.

A request with a card number in it must not be recorded at all: the host asks :func:`card_number_in_clear`
before it records, and seals such a request away.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from events.base import Event
from events.calendar import DAY, MINUTE, day_of
from events.envelope import Meta, Recorded
from events.errors import ValidationError
from events.identity import looks_like_pan, luhn_ok, payment_id, slot_of, slot_of_payment
from events.intake import (
    DuplicateRequestObserved,
    EvidenceReceived,
    IdempotencyConflictObserved,
    IncrementReceived,
    Outcome,
    Received,
    RequestAccepted,
    RequestReceived,
    RequestRejected,
    RequestRejection,
    SettingsReceived,
)
from events.money import payable
from events.partitions import ReferenceApplied
from events.reference import MerchantTerms, decode_reference
from events.requests import (
    CaptureRequest,
    EvidenceRequest,
    IncrementRequest,
    Operation,
    PaymentRequest,
    RefundRequest,
    Request,
    SettingsRequest,
    VoidRequest,
    has_day,
)
from events.signals import IdentitySignals
from streams.features.shelf import Shelf
from streams.processor import DEADLINES, Work

NAME: Final = "intake"
HEARS: Final[tuple[type[Event], ...]] = (
    RequestAccepted,
    RequestRejected,
    IdempotencyConflictObserved,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (
    RequestReceived,
    IncrementReceived,
    EvidenceReceived,
    SettingsReceived,
)

CLAIM_DAYS: Final = 30
"""How long a claim, a conflict or a refusal is remembered, in days of logical time."""

LARGEST_AMOUNT: Final = 10**12
"""Ten thousand million in a currency with two decimals: more is a mistake. Merchants' own limits are risk's."""

FUTURE_TOLERANCE: Final = 10 * MINUTE
"""How far a producer's clock may run ahead of the transport's stamp."""

PAST_TOLERANCE: Final = 7 * DAY
"""How long a producer may have held a request back (a shop that was off line)."""

LONGEST_KEY: Final = 128
LONGEST_NAME: Final = 64
LONGEST_NOTE: Final = 256

MOST_DOCUMENTS: Final = 20
"""Networks take a dozen or two with one case; more is a mistake."""

Problem = tuple[RequestRejection, str]

_OPERATIONS: Final[dict[type[Request], Operation]] = {
    PaymentRequest: Operation.PAYMENT,
    CaptureRequest: Operation.CAPTURE,
    IncrementRequest: Operation.INCREMENT,
    VoidRequest: Operation.VOID,
    RefundRequest: Operation.REFUND,
    EvidenceRequest: Operation.EVIDENCE,
    SettingsRequest: Operation.SETTINGS,
}
_DIGITS: Final = "0123456789"
_NAME_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_BIN_LENGTHS: Final = (6, 8)
_HEXADECIMAL: Final = "0123456789abcdef"
_SHA256_LETTERS: Final = 64
_SHORTEST_PAN: Final = 13


class Terms(msgspec.Struct, frozen=True):
    """What intake needs of a merchant's contract."""

    currencies: list[str]
    blocked: bool


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The accepted request of a key; ``mac`` is the body's MAC, raw to keep a claim small."""

    mac: bytes
    payment_id: str
    operation: Operation


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a body was told that was refused, or that came into conflict with a claim."""

    outcome: Outcome
    payment_id: str


class State(msgspec.Struct):
    """Claims by ``merchant/key``, refusals by ``merchant/key#mac``, both filed by the day they came."""

    merchants: dict[str, Terms] = {}
    claims: Shelf[Claim] = msgspec.field(default_factory=Shelf)
    refusals: Shelf[Refusal] = msgspec.field(default_factory=Shelf)


def initial() -> State:
    """No merchant is known and no key is claimed."""
    return State()


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Exactly one event for each delivery of a request."""
    received = recorded.body
    assert isinstance(received, Received)
    request, mac = received.request, received.body_mac
    merchant, key = request.merchant, request.idempotency_key
    name = f"{merchant}/{key}"
    terms = state.merchants.get(merchant)
    # A merchant's name holds no "/", so only a known merchant's requests can look like the name of a claim.
    claim = state.claims.get(name) if terms is not None else None
    if claim is not None and claim.mac == bytes.fromhex(mac):
        return [DuplicateRequestObserved(merchant, key, claim.payment_id, mac, Outcome.ACCEPTED)]
    refusal = state.refusals.get(f"{name}#{mac}")
    if refusal is not None:
        return [DuplicateRequestObserved(merchant, key, refusal.payment_id, mac, refusal.outcome)]
    if claim is not None:
        return [IdempotencyConflictObserved(merchant, key, claim.payment_id, claim.mac.hex(), mac)]
    operation = _OPERATIONS[type(request)]
    problem = _problem(request, terms, recorded.meta)
    if problem is None:
        return [RequestAccepted(merchant, key, operation, _payment_named(request), mac)]
    reason, field = problem
    amount, currency = _money_named(request)
    return [
        RequestRejected(
            merchant,
            key,
            operation,
            _payment_named(request),
            reason,
            field,
            amount,
            currency,
            mac,
        )
    ]


def evolve(state: State, recorded: Recorded) -> State:
    """Remember what a request was told; put merchants' terms into force."""
    match recorded.body:
        case RequestAccepted() as body:
            name = f"{body.merchant}/{body.idempotency_key}"
            claim = Claim(bytes.fromhex(body.body_mac), body.payment_id, body.operation)
            state.claims.put(name, claim, day_of(recorded.meta.recorded_at))
        case RequestRejected() as body:
            _refuse(state, recorded.meta, body, Outcome.REJECTED)
        case IdempotencyConflictObserved() as body:
            _refuse(state, recorded.meta, body, Outcome.CONFLICT)
        case ReferenceApplied(kind="merchant") as body:
            terms = decode_reference(body.kind, body.content)
            assert isinstance(terms, MerchantTerms)
            state.merchants[terms.merchant] = Terms(list(terms.currencies), terms.blocked)
        case _:
            pass
    return state


def due(state: State, now: int) -> list[Work]:
    """One work for each day that is older than :data:`CLAIM_DAYS`."""
    oldest_kept = day_of(now) - CLAIM_DAYS
    passed = {*state.claims.days_before(oldest_kept), *state.refusals.days_before(oldest_kept)}
    return [Work(DEADLINES, "forget", f"{day_on:08d}") for day_on in sorted(passed)]


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Forget a day. Nobody needs to hear of it."""
    state.claims.forget(int(work.key))
    state.refusals.forget(int(work.key))
    return []


def summary(state: State) -> Iterator[str]:
    """Each claim and each refusal."""
    for name, claim in state.claims.items():
        yield f"claim {name} {claim.payment_id} {claim.operation}"
    # Without the MACs: the same run with other keys is the same run.
    refusals = Counter(
        f"{name.rpartition('#')[0]} {refusal.outcome} {refusal.payment_id}"
        for name, refusal in state.refusals.items()
    )
    for refusal, bodies in sorted(refusals.items()):
        yield f"refusal {refusal} {bodies}"


def card_number_in_clear(request: Request) -> bool:
    """Whether any text of a request may be a card number. Asked before anything of it is recorded.

    In ids of our own form only a number of exactly sixteen digits can hide: their letters come from a hash,
    and a search for shorter numbers among them would seal away one good request in some millions. A number may also
    come cut in two, or as an amount, which is then larger than any that is accepted.
    """
    if isinstance(request, PaymentRequest):
        parts = request.bin + request.last4
        if len(parts) >= _SHORTEST_PAN and looks_like_pan(parts):
            return True
        if request.signals is not None and _is_number_said(request.signals):
            return True
    amount, _ = _money_named(request)
    if amount > LARGEST_AMOUNT and luhn_ok(str(amount)):
        return True
    for text in _texts(request):
        if len(text) < _SHORTEST_PAN:
            continue
        if _is_own_id(text):
            if luhn_ok(text[-16:]):
                return True
        elif looks_like_pan(text):
            return True
    return False


def _texts(request: Request) -> Iterator[str]:
    """Every text of a request."""
    for value in msgspec.structs.astuple(request):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value
        elif isinstance(value, IdentitySignals):
            yield from (value.provider, value.country)


def _is_number_said(said: IdentitySignals) -> bool:
    """Whether a figure of an identity provider's, which has a few digits, may be a card number."""
    figures = (value for value in msgspec.structs.astuple(said) if isinstance(value, int))
    return any(figure > LARGEST_AMOUNT and luhn_ok(str(figure)) for figure in figures)


# --- what makes no sense --------------------------------------------------------------------------------


def _problem(request: Request, terms: Terms | None, meta: Meta) -> Problem | None:
    """The first reason to refuse a request and the field that gives it; None for a good one."""
    if not _is_text(request.idempotency_key, 1, LONGEST_KEY):
        return RequestRejection.IDENTIFIER_MALFORMED, "idempotency_key"
    if terms is None:
        if not 1 <= len(request.merchant) <= LONGEST_NAME or request.merchant.strip(_NAME_LETTERS):
            return RequestRejection.IDENTIFIER_MALFORMED, "merchant"
        return RequestRejection.MERCHANT_UNKNOWN, "merchant"
    if not _is_text(request.producer, 0, LONGEST_NAME):
        return RequestRejection.IDENTIFIER_MALFORMED, "producer"
    if not -PAST_TOLERANCE <= request.occurred_at - meta.ingested_at <= FUTURE_TOLERANCE:
        return RequestRejection.TIME_OUT_OF_TOLERANCE, "occurred_at"
    match request:
        case PaymentRequest():
            return _payment_problem(request, terms)
        case CaptureRequest() | IncrementRequest():
            if terms.blocked:
                return RequestRejection.MERCHANT_BLOCKED, "merchant"
            return _operation_problem(request.payment_id) or _money_problem(request.amount, request.currency)
        case RefundRequest():
            # A blocked merchant may still give money back, here and by a void.
            if not _is_text(request.note, 0, LONGEST_NOTE):
                return RequestRejection.IDENTIFIER_MALFORMED, "note"
            return _operation_problem(request.payment_id) or _money_problem(request.amount, request.currency)
        case VoidRequest():
            if request.capture_id and not _is_text(request.capture_id, 1, LONGEST_NAME):
                return RequestRejection.IDENTIFIER_MALFORMED, "capture_id"
            return _operation_problem(request.payment_id)
        case EvidenceRequest():
            # A blocked merchant is disputed as well, and may answer.
            if not _is_text(request.case_id, 1, LONGEST_NAME):
                return RequestRejection.IDENTIFIER_MALFORMED, "case_id"
            return _operation_problem(request.payment_id) or _documents_problem(request.documents)
        case SettingsRequest():
            if terms.blocked:
                return RequestRejection.MERCHANT_BLOCKED, "merchant"
            return _settings_problem(request, terms)


def _payment_problem(request: PaymentRequest, terms: Terms) -> Problem | None:
    if terms.blocked:
        return RequestRejection.MERCHANT_BLOCKED, "merchant"
    problem = _money_problem(request.amount, request.currency)
    if problem is not None:
        return problem
    if request.currency not in terms.currencies:
        return RequestRejection.CURRENCY_NOT_ACCEPTED, "currency"
    try:
        slot_of(request.card_id)
    except ValidationError:
        return RequestRejection.CARD_MALFORMED, "card_id"
    if len(request.bin) not in _BIN_LENGTHS or request.bin.strip(_DIGITS):
        return RequestRejection.CARD_MALFORMED, "bin"
    if len(request.last4) != 4 or request.last4.strip(_DIGITS):
        return RequestRejection.CARD_MALFORMED, "last4"
    for field, text in (
        ("device_ref", request.device_ref),
        ("ip_ref", request.ip_ref),
        ("email_ref", request.email_ref),
        ("phone_ref", request.phone_ref),
        *_said_texts(request),
    ):
        if text and not _is_text(text, 1, LONGEST_NAME):
            return RequestRejection.IDENTIFIER_MALFORMED, field
    return None


def _said_texts(request: PaymentRequest) -> tuple[tuple[str, str], ...]:
    """What an identity provider said in words. Its figures are checked where they are used: one that is out of range
    is not known, and no payment is refused for what somebody else says of its buyer."""
    said = request.signals
    return () if said is None else (("signals.provider", said.provider), ("signals.country", said.country))


def _operation_problem(named: str) -> Problem | None:
    try:
        slot_of_payment(named)
    except ValidationError:
        return RequestRejection.PAYMENT_ID_MALFORMED, "payment_id"
    return None


def _money_problem(amount: int, currency: str) -> Problem | None:
    if amount <= 0:
        return RequestRejection.AMOUNT_NOT_POSITIVE, "amount"
    if amount > LARGEST_AMOUNT:
        return RequestRejection.AMOUNT_TOO_LARGE, "amount"
    if not payable(currency):
        return RequestRejection.CURRENCY_UNKNOWN, "currency"
    return None


def _settings_problem(request: SettingsRequest, terms: Terms) -> Problem | None:
    if request.currency and request.currency not in terms.currencies:
        return RequestRejection.CURRENCY_NOT_ACCEPTED, "currency"
    if not has_day(request.schedule, request.anchor):
        return RequestRejection.SETTING_MALFORMED, "anchor"
    if not 0 <= request.minimum_payout <= LARGEST_AMOUNT:
        return RequestRejection.SETTING_MALFORMED, "minimum_payout"
    return None


def _documents_problem(documents: list[str]) -> Problem | None:
    named = 1 <= len(documents) <= MOST_DOCUMENTS and len(documents) == len(frozenset(documents))
    if named and all(len(name) == _SHA256_LETTERS and not name.strip(_HEXADECIMAL) for name in documents):
        return None
    return RequestRejection.DOCUMENTS_MALFORMED, "documents"


def _is_text(text: str, shortest: int, longest: int) -> bool:
    """Whether a text is printable ASCII of a fit length."""
    return shortest <= len(text) <= longest and text.isascii() and text.isprintable()


# --- names ----------------------------------------------------------------------------------------------


def _payment_named(request: Request) -> str:
    """The payment that a request makes or names; empty where there is none, or no well-formed name of it."""
    if isinstance(request, SettingsRequest):
        return ""
    try:
        if isinstance(request, PaymentRequest):
            return payment_id(request.merchant, request.idempotency_key, request.card_id)
        slot_of_payment(request.payment_id)
    except ValidationError:
        return ""
    return request.payment_id


def _money_named(request: Request) -> tuple[int, str]:
    """The amount that a request is about, and its currency; nothing where it is about none."""
    match request:
        case VoidRequest() | EvidenceRequest():
            return 0, ""
        case SettingsRequest():
            return request.minimum_payout, request.currency
        case _:
            return request.amount, request.currency


def _is_own_id(text: str) -> bool:
    """Whether a text has the exact form of a card id or of a payment id."""
    if not text.startswith(("card-", "pay-")):
        return False
    try:
        if text[0] == "c":
            slot_of(text)
        else:
            slot_of_payment(text)
    except ValidationError:
        return False
    return True


def _refuse(
    state: State, meta: Meta, body: RequestRejected | IdempotencyConflictObserved, outcome: Outcome
) -> None:
    name = f"{body.merchant}/{body.idempotency_key}#{body.body_mac}"
    state.refusals.put(name, Refusal(outcome, body.payment_id), day_of(meta.recorded_at))
