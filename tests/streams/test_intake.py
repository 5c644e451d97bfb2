"""Intake takes each request once, and says why it refuses one."""

import pytest

from events.base import Event
from events.calendar import DAY, MINUTE
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    Outcome,
    RequestAccepted,
    RequestRejected,
    RequestRejection,
)
from events.requests import EvidenceRequest, Operation, Request, SettingsRequest, VoidRequest
from streams import intake
from tests.streams.builders_early import (
    CARD,
    KEY,
    NOON,
    OTHER_CARD,
    PAYMENT,
    SHOP,
    Bench,
    capture_request,
    evidence_request,
    increment_request,
    merchant_terms,
    payment_request,
    received,
    refund_request,
    settings_request,
    signals,
    void_request,
)

R = RequestRejection

GOOD, OTHER, BAD = payment_request(), payment_request(card_id=OTHER_CARD), payment_request(amount=0)


def accepted(mac: str) -> Event:
    """The claim of the usual payment."""
    return RequestAccepted(SHOP, KEY, Operation.PAYMENT, PAYMENT, mac)


def duplicate(mac: str, outcome: Outcome) -> Event:
    """The same again."""
    return DuplicateRequestObserved(SHOP, KEY, PAYMENT, mac, outcome)


def conflict(original: str, mac: str) -> Event:
    """Another body under the claimed key."""
    return IdempotencyConflictObserved(SHOP, KEY, PAYMENT, original, mac)


def refused(mac: str) -> Event:
    """The usual payment, with an amount of nothing."""
    return RequestRejected(
        SHOP, KEY, Operation.PAYMENT, PAYMENT, R.AMOUNT_NOT_POSITIVE, "amount", 0, "USD", mac
    )


# Each row: what comes in, as (request, MAC of its body), and what follows, one for one.
DELIVERIES = {
    "first": ([(GOOD, "aa")], [accepted("aa")]),
    "repeated": (
        [(GOOD, "aa"), (GOOD, "aa"), (GOOD, "aa")],
        [accepted("aa"), duplicate("aa", Outcome.ACCEPTED), duplicate("aa", Outcome.ACCEPTED)],
    ),
    "another card under the key": (
        [(GOOD, "aa"), (OTHER, "bb")],
        [accepted("aa"), conflict("aa", "bb")],
    ),
    "a conflict again": (
        [(GOOD, "aa"), (OTHER, "bb"), (OTHER, "bb")],
        [accepted("aa"), conflict("aa", "bb"), duplicate("bb", Outcome.CONFLICT)],
    ),
    "the first again, after a conflict": (
        [(GOOD, "aa"), (OTHER, "bb"), (GOOD, "aa")],
        [accepted("aa"), conflict("aa", "bb"), duplicate("aa", Outcome.ACCEPTED)],
    ),
    "refused again": (
        [(BAD, "cc"), (BAD, "cc")],
        [refused("cc"), duplicate("cc", Outcome.REJECTED)],
    ),
    "refused, then corrected": (
        [(BAD, "cc"), (GOOD, "aa"), (GOOD, "aa")],
        [refused("cc"), accepted("aa"), duplicate("aa", Outcome.ACCEPTED)],
    ),
    "refused, corrected, then the refused body again": (
        [(BAD, "cc"), (GOOD, "aa"), (BAD, "cc")],
        [refused("cc"), accepted("aa"), duplicate("cc", Outcome.REJECTED)],
    ),
    "a bad body under a claimed key": (
        [(GOOD, "aa"), (BAD, "cc")],
        [accepted("aa"), conflict("aa", "cc")],
    ),
}


@pytest.mark.parametrize(("deliveries", "followed"), DELIVERIES.values(), ids=DELIVERIES)
def test_each_delivery_has_one_answer(deliveries: list[tuple[Request, str]], followed: list[Event]) -> None:
    """Given a merchant, when requests come in this order, then exactly these events follow."""
    bench = Bench(intake, merchant_terms())
    assert followed == [event for request, mac in deliveries for event in bench.take(received(request, mac))]


@pytest.mark.parametrize(
    ("request_", "operation"),
    [
        (GOOD, Operation.PAYMENT),
        (capture_request(), Operation.CAPTURE),
        (void_request(), Operation.VOID),
        (refund_request(note="wrong size"), Operation.REFUND),
        (increment_request(), Operation.INCREMENT),
        (evidence_request(), Operation.EVIDENCE),
    ],
)
def test_every_operation_names_its_payment(request_: Request, operation: Operation) -> None:
    """A payment's id is computed, an operation's is the one it names."""
    bench = Bench(intake, merchant_terms())
    claim = RequestAccepted(SHOP, request_.idempotency_key, operation, PAYMENT, "aa")
    assert [claim] == bench.take(received(request_))


# Each row: the request, the reason, the field that is named.
REFUSALS: list[tuple[Request, RequestRejection, str]] = [
    (payment_request(amount=0), R.AMOUNT_NOT_POSITIVE, "amount"),
    (payment_request(amount=-1), R.AMOUNT_NOT_POSITIVE, "amount"),
    (capture_request(amount=0), R.AMOUNT_NOT_POSITIVE, "amount"),
    (refund_request(amount=0), R.AMOUNT_NOT_POSITIVE, "amount"),
    (payment_request(amount=10**12 + 1), R.AMOUNT_TOO_LARGE, "amount"),
    (capture_request(amount=10**12 + 1), R.AMOUNT_TOO_LARGE, "amount"),
    (payment_request(currency="XYZ"), R.CURRENCY_UNKNOWN, "currency"),
    (payment_request(currency="XAU"), R.CURRENCY_UNKNOWN, "currency"),
    (refund_request(currency="usd"), R.CURRENCY_UNKNOWN, "currency"),
    (payment_request(currency="JPY"), R.CURRENCY_NOT_ACCEPTED, "currency"),
    (payment_request(card_id="card-9999-000g40r40m30e209"), R.CARD_MALFORMED, "card_id"),
    (payment_request(bin="4111111"), R.CARD_MALFORMED, "bin"),
    (payment_request(bin="4111111x"), R.CARD_MALFORMED, "bin"),
    (payment_request(last4="111"), R.CARD_MALFORMED, "last4"),
    (payment_request(last4="111x"), R.CARD_MALFORMED, "last4"),
    (capture_request(payment_id="pay-1"), R.PAYMENT_ID_MALFORMED, "payment_id"),
    (void_request(payment_id=""), R.PAYMENT_ID_MALFORMED, "payment_id"),
    (refund_request(payment_id=CARD), R.PAYMENT_ID_MALFORMED, "payment_id"),
    (payment_request(idempotency_key=""), R.IDENTIFIER_MALFORMED, "idempotency_key"),
    (payment_request(idempotency_key="k" * 129), R.IDENTIFIER_MALFORMED, "idempotency_key"),
    (payment_request(idempotency_key="caf\u00e9"), R.IDENTIFIER_MALFORMED, "idempotency_key"),
    (void_request(idempotency_key="a\nb"), R.IDENTIFIER_MALFORMED, "idempotency_key"),
    (payment_request(merchant=""), R.IDENTIFIER_MALFORMED, "merchant"),
    (payment_request(merchant="a/b"), R.IDENTIFIER_MALFORMED, "merchant"),
    (payment_request(merchant="m" * 65), R.IDENTIFIER_MALFORMED, "merchant"),
    (payment_request(producer="p" * 65), R.IDENTIFIER_MALFORMED, "producer"),
    (payment_request(device_ref="d" * 65), R.IDENTIFIER_MALFORMED, "device_ref"),
    (payment_request(ip_ref="\x00"), R.IDENTIFIER_MALFORMED, "ip_ref"),
    (payment_request(email_ref="\u00e9"), R.IDENTIFIER_MALFORMED, "email_ref"),
    (payment_request(phone_ref="p" * 65), R.IDENTIFIER_MALFORMED, "phone_ref"),
    (payment_request(signals=signals(provider="\x00")), R.IDENTIFIER_MALFORMED, "signals.provider"),
    (payment_request(signals=signals(country="\u00e9")), R.IDENTIFIER_MALFORMED, "signals.country"),
    (refund_request(note="n" * 257), R.IDENTIFIER_MALFORMED, "note"),
    (settings_request(anchor=7), R.SETTING_MALFORMED, "anchor"),
    (settings_request(minimum_payout=-1), R.SETTING_MALFORMED, "minimum_payout"),
    (settings_request(minimum_payout=10**12 + 1), R.SETTING_MALFORMED, "minimum_payout"),
    (settings_request(currency="JPY"), R.CURRENCY_NOT_ACCEPTED, "currency"),
    (settings_request(merchant="closed"), R.MERCHANT_BLOCKED, "merchant"),
    (evidence_request(case_id=""), R.IDENTIFIER_MALFORMED, "case_id"),
    (evidence_request(case_id="c" * 65), R.IDENTIFIER_MALFORMED, "case_id"),
    (evidence_request(payment_id="pay-1"), R.PAYMENT_ID_MALFORMED, "payment_id"),
    (evidence_request(documents=[]), R.DOCUMENTS_MALFORMED, "documents"),
    (evidence_request(documents=[f"{n:064x}" for n in range(21)]), R.DOCUMENTS_MALFORMED, "documents"),
    (evidence_request(documents=["ab" * 32, "cd" * 32, "ab" * 32]), R.DOCUMENTS_MALFORMED, "documents"),
    (evidence_request(documents=["ab" * 31]), R.DOCUMENTS_MALFORMED, "documents"),
    (evidence_request(documents=["AB" * 32]), R.DOCUMENTS_MALFORMED, "documents"),
    (evidence_request(documents=["invoice.pdf"]), R.DOCUMENTS_MALFORMED, "documents"),
    (payment_request(merchant="shop-2"), R.MERCHANT_UNKNOWN, "merchant"),
    (void_request(merchant="shop-2"), R.MERCHANT_UNKNOWN, "merchant"),
    (payment_request(merchant="m"), R.MERCHANT_UNKNOWN, "merchant"),
    (payment_request(merchant="m" * 64), R.MERCHANT_UNKNOWN, "merchant"),
    (payment_request(merchant="closed"), R.MERCHANT_BLOCKED, "merchant"),
    (capture_request(merchant="closed"), R.MERCHANT_BLOCKED, "merchant"),
    (payment_request(occurred_at=NOON + 10 * MINUTE + 1), R.TIME_OUT_OF_TOLERANCE, "occurred_at"),
    (payment_request(occurred_at=NOON - 7 * DAY - 1), R.TIME_OUT_OF_TOLERANCE, "occurred_at"),
    (void_request(occurred_at=0), R.TIME_OUT_OF_TOLERANCE, "occurred_at"),
]


@pytest.mark.parametrize(("request_", "reason", "field"), REFUSALS)
def test_a_refusal_names_reason_and_field(request_: Request, reason: RequestRejection, field: str) -> None:
    """And carries what was asked for."""
    bench = Bench(intake, merchant_terms(), merchant_terms(merchant="closed", blocked=True))
    [event] = bench.take(received(request_, "aa"))
    assert isinstance(event, RequestRejected)
    assert (reason, field) == (event.reason, event.field)
    assert (request_.merchant, request_.idempotency_key, "aa") == (
        event.merchant,
        event.idempotency_key,
        event.body_mac,
    )
    if not isinstance(request_, VoidRequest | EvidenceRequest | SettingsRequest):
        assert (request_.amount, request_.currency) == (event.amount, event.currency)


def test_every_reason_has_a_row() -> None:
    """A card number in clear never comes this far: admission seals it away."""
    assert set(R) - {R.CARD_NUMBER_IN_CLEAR} == {reason for _, reason, _ in REFUSALS}


@pytest.mark.parametrize(
    "request_",
    [
        payment_request(amount=1),
        payment_request(amount=10**12),
        payment_request(bin="374211", currency="EUR"),
        payment_request(device_ref="", ip_ref="", email_ref="", producer=""),
        payment_request(idempotency_key="2017/03/01 basket 7"),
        payment_request(idempotency_key="k" * 128, producer="p" * 64, ip_ref="i" * 64),
        payment_request(signals=signals(provider="", country="Nowhere", latitude=10**9, ip_risk=101)),
        refund_request(note="n" * 256),
        payment_request(occurred_at=NOON + 10 * MINUTE),
        payment_request(occurred_at=NOON - 7 * DAY),
        refund_request(currency="JPY"),
        refund_request(merchant="closed"),
        evidence_request(merchant="closed"),
        settings_request(currency="EUR", minimum_payout=10**12),
        evidence_request(documents=[f"{n:064x}" for n in range(20)]),
        void_request(merchant="closed"),
    ],
)
def test_what_is_just_good_enough_is_accepted(request_: Request) -> None:
    """Bounds are inclusive. A currency no longer accepted, or a merchant now blocked, may still give back."""
    bench = Bench(intake, merchant_terms(), merchant_terms(merchant="closed", blocked=True))
    [event] = bench.take(received(request_))
    assert isinstance(event, RequestAccepted)


def test_a_refused_request_without_a_payment_has_no_payment_id() -> None:
    """An id is never made up."""
    bench = Bench(intake, merchant_terms())
    for bad in (payment_request(card_id="x"), void_request(payment_id="x")):
        [event] = bench.take(received(bad))
        assert isinstance(event, RequestRejected)
        assert event.payment_id == ""


def test_a_slash_in_a_merchants_name_does_not_lead_to_another_merchants_claim() -> None:
    """shop/1 with key k and shop with key 1/k have one name; only a known merchant owns a claim."""
    bench = Bench(intake, merchant_terms(merchant="shop"))
    [first] = bench.take(received(payment_request(merchant="shop", idempotency_key="1/k"), "aa"))
    assert isinstance(first, RequestAccepted)
    [second] = bench.take(received(payment_request(merchant="shop/1", idempotency_key="k"), "bb"))
    assert isinstance(second, RequestRejected)
    assert second.reason is R.IDENTIFIER_MALFORMED


def test_terms_come_into_force_for_what_comes_later() -> None:
    """What a body was told once it is told again, also when it would be good by now."""
    bench = Bench(intake)
    [before] = bench.take(received(GOOD, "aa"))
    assert isinstance(before, RequestRejected)
    assert before.reason is R.MERCHANT_UNKNOWN
    bench.hear(merchant_terms())
    assert [duplicate("aa", Outcome.REJECTED)] == bench.take(received(GOOD, "aa"))
    assert [accepted("bb")] == bench.take(received(GOOD, "bb"))


# --- forgetting ---------------------------------------------------------------------------------------


def test_claims_and_refusals_are_forgotten_after_their_days() -> None:
    """Whole days: a claim of day d counts through day d + 30."""
    bench = Bench(intake, merchant_terms())
    bench.take(received(BAD, "cc"), received(GOOD, "aa"), received(OTHER, "bb"))
    last_moment = (NOON // DAY + intake.CLAIM_DAYS + 1) * DAY - 1
    assert bench.tick(last_moment) == []
    assert [duplicate("aa", Outcome.ACCEPTED)] == bench.take(received(GOOD, "aa"))
    assert bench.tick(last_moment + 1) == []
    assert bench.summary() == []
    assert [accepted("bb")] == bench.take(received(GOOD, "bb"))


def test_a_tick_forgets_each_passed_day_once() -> None:
    """One work a day, also after a long silence; what came later stays."""
    bench = Bench(intake, merchant_terms())
    for day in range(5):
        request = payment_request(idempotency_key=f"k{day}")
        bench.take(received(request), at=NOON + day * DAY, ingested_at=NOON)
    now = NOON + (intake.CLAIM_DAYS + 3) * DAY
    works = intake.due(bench.state, now)
    assert len({work.key for work in works}) == len(works) == 3
    for work in (*works, works[0]):
        assert intake.fire(bench.state, work, now) == []
    assert [line.split()[1] for line in bench.summary()] == [f"{SHOP}/k3", f"{SHOP}/k4"]


def test_the_summary_is_the_same_in_any_order_and_with_duplicates() -> None:
    """Business content only."""
    one, two = payment_request(idempotency_key="k1"), payment_request(idempotency_key="k2")
    left, right = Bench(intake, merchant_terms()), Bench(intake, merchant_terms())
    left.take(received(one, "aa"), received(two, "bb"), received(BAD, "cc"))
    right.take(*[received(two, "bb"), received(BAD, "cc"), received(one, "aa")] * 2)
    assert left.summary() == right.summary()
    assert len(left.summary()) == 3


# --- card numbers -------------------------------------------------------------------------------------

PAN = "4111111111111111"


@pytest.mark.parametrize(
    "request_",
    [
        payment_request(card_id=PAN),
        payment_request(card_id=f"card-0372-{PAN}"),
        payment_request(bin=PAN),
        payment_request(last4=PAN),
        payment_request(bin=PAN[:12], last4=PAN[12:]),
        payment_request(amount=int(PAN)),
        payment_request(idempotency_key=f"order {PAN}"),
        payment_request(merchant=f"shop-{PAN}"),
        payment_request(device_ref="4111 1111 1111 1111"),
        payment_request(ip_ref=PAN),
        payment_request(email_ref=f"{PAN}@example.com"),
        payment_request(phone_ref=PAN),
        payment_request(signals=signals(provider=PAN)),
        payment_request(signals=signals(country=PAN)),
        payment_request(signals=signals(longitude=int(PAN))),
        payment_request(producer="378282246310005"),
        payment_request(producer="4222222222222"),
        payment_request(idempotency_key="card-4111-1111-1111-1111"),
        payment_request(idempotency_key="pay-4111 1111 1111 1111"),
        payment_request(currency=PAN),
        payment_request(idempotency_key="till_4111_1111_1111_1111"),
        capture_request(payment_id=f"pay-0372-{PAN}"),
        capture_request(amount=int(PAN)),
        void_request(payment_id=PAN),
        refund_request(note="paid with 4111-1111-1111-1111, sorry"),
        refund_request(note="paid with 4111.1111.1111.1111, sorry"),
        refund_request(amount=4_222_222_222_222),
        refund_request(currency=PAN),
        settings_request(minimum_payout=int(PAN)),
        evidence_request(case_id=PAN),
        evidence_request(documents=["ab" * 32, PAN]),
        evidence_request(documents=[PAN + "a" * 48]),
    ],
)
def test_a_card_number_is_found_in_every_field(request_: Request) -> None:
    """Before anything of the request is recorded."""
    assert intake.card_number_in_clear(request_)


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        capture_request(),
        void_request(),
        refund_request(note="order 4111111111111112"),
        refund_request(amount=int(PAN) + 1),
        refund_request(amount=intake.LARGEST_AMOUNT),
        evidence_request(documents=["a4111111111111111b9" + "c" * 45]),
        void_request(payment_id="pay-0372-123456785abcdefg"),
        payment_request(card_id="card-0372-123456785abcdefg"),
        void_request(payment_id="pay-0001-4111111111111112"),
        payment_request(card_id="card-0004-111111111111abcd"),
    ],
)
def test_ids_and_ordinary_texts_pass(request_: Request) -> None:
    """Slot and letters of an id are not read as one number."""
    assert not intake.card_number_in_clear(request_)


def test_a_refused_card_number_would_not_be_repeated() -> None:
    """Even past admission, no text of a refusal but the sender's own names comes from the request."""
    bench = Bench(intake, merchant_terms())
    [event] = bench.take(received(payment_request(card_id=PAN, idempotency_key="k")))
    assert isinstance(event, RequestRejected)
    assert PAN not in repr(event)
