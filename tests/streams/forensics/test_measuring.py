"""Features measured from events, against looking through everything that came before."""

from random import Random

import pytest

from events.authorization import NetworkReplyReceived, PaymentAuthorized, PaymentDeclined
from events.calendar import DAY, HOUR, MINUTE, SECOND, day_number, start_of
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from streams.features.familiar import KEPT
from streams.features.measuring import ENOUGH, answered, is_answer
from streams.features.models import Model
from streams.features.quantiles import bucket_of, end_of
from streams.features.rules.catalogue import FEATURES, NAMES, PLACES, Source, Value
from streams.features.windows import event_time
from streams.forensics.measuring import Measuring
from tests.streams.builders_early import NOON, payment_requested, recorded, reply
from tests.streams.forensics.days import authorized, made_up
from tests.streams.models import random_model


def measured(events: list[Recorded]) -> list[tuple[PaymentRequested, int, list[Value]]]:
    """Each payment with its event time and its vector."""
    measuring, found = Measuring(), []
    for one in events:
        if isinstance(one.body, PaymentRequested):
            vector = measuring.pay(one)
            if vector is not None:
                at = event_time(one.meta.occurred_at, one.meta.ingested_at)
                found.append((one.body, at, vector[0]))
        else:
            measuring.hear(one)
    return found


def plainly(events: list[Recorded]) -> list[dict[str, Value]]:
    """Some features of each payment, by looking through everything that came before it."""
    found: list[dict[str, Value]] = []
    past: list[tuple[PaymentRequested, int]] = []
    refused: set[str] = set()
    for one in events:
        body = one.body
        if isinstance(body, PaymentDeclined):
            refused.add(body.payment_id)
        if not isinstance(body, PaymentRequested) or any(body.payment_id == p.payment_id for p, _ in past):
            continue
        at = event_time(one.meta.occurred_at, one.meta.ingested_at)
        before = list(past)
        past.append((body, at))
        known: dict[str, Value] = {}
        for window, width in (("10m", 10 * MINUTE), ("1h", HOUR), ("24h", DAY), ("30d", 30 * DAY)):
            here = [(p, t) for p, t in past if at - width < t <= at]
            of_card = [p for p, _ in here if p.card_id == body.card_id]
            known[f"card.count_{window}"] = len(of_card)
            known[f"card.sum_{window}"] = sum(p.amount for p in of_card)
            known[f"card.declines_{window}"] = sum(p.payment_id in refused for p in of_card)
            known[f"card_merchant.count_{window}"] = sum(p.merchant == body.merchant for p in of_card)
            shop = {p.card_id for p, _ in here if p.merchant == body.merchant}
            known[f"merchant.cards_{window}"] = len(shop)
            with_ip = [p for p, _ in here if body.ip_ref and p.ip_ref == body.ip_ref]
            known[f"ip.count_{window}"] = len(with_ip)
        earlier = [t for p, t in before if p.card_id == body.card_id and t > at - KEPT]
        known["card.new"] = not earlier
        known["card.idle"] = max(0, at - max(earlier)) // SECOND if earlier else None
        device = [p for p, _ in before if (p.device_ref, p.card_id) == (body.device_ref, body.card_id)]
        known["device.new"] = (not device) if body.device_ref else None
        amounts = sorted(
            p.amount for p, _ in before if (p.merchant, p.currency) == (body.merchant, body.currency)
        )
        for part in (50, 95):
            exact = amounts[-(-part * len(amounts) // 100) - 1] if len(amounts) >= ENOUGH else None
            known[f"merchant.p{part}"] = None if exact is None else end_of(bucket_of(exact))
        found.append(known)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_features_are_what_looking_back_finds(seed: int) -> None:
    """Late payments, repeats, declines; some cards rest long enough to be forgotten in between."""
    events = made_up(seed, 600 if seed == 0 else 150)
    expected = plainly(events)
    found = measured(events)
    assert len(expected) == len(found) > 100
    for known, (_, _, vector) in zip(expected, found, strict=True):
        assert known == {name: vector[PLACES[name]] for name in known}
    if seed == 0:
        assert any(known["merchant.p95"] is not None for known in expected)


def test_every_feature_that_a_log_knows_is_measured() -> None:
    """What nobody records yet is not known, and nothing else is unknown for good."""
    measuring = Measuring(random_model(Random(1)))
    seen: set[str] = set()
    answer = None
    vectors: dict[str, list[Value]] = {}
    for one in made_up(0, 600):
        body = one.body
        if isinstance(body, PaymentRequested):
            taken = measuring.pay(one)
            if taken is not None:
                vectors[body.payment_id] = taken[0]
            continue
        measuring.hear(one)
        if isinstance(body, NetworkReplyReceived):
            answer = body
        if isinstance(body, PaymentAuthorized | PaymentDeclined):
            vector = answered(
                vectors[body.payment_id],
                body,
                answer.avs_result if answer else "",
                answer.cvv_result if answer else "",
            )
            seen |= {name for name, value in zip(NAMES, vector, strict=True) if value is not None}
    # Nobody gives an e-mail address on these days.
    missing = {feature.name for feature in FEATURES if feature.name not in seen} - {"email.id", "email.new"}
    unsaid = Source.AUTHENTICATION
    assert {feature.name for feature in FEATURES if feature.source is unsaid} == missing


def test_what_the_request_and_reference_data_say() -> None:
    """Monday noon, UTC; a card of a narrow range; half of the merchant's limit."""
    events = made_up(1, 1)[:2]
    body = payment_requested(
        payment_id="one", merchant="shop-0", bin="42424299", amount=5_000, email_ref="mail-1"
    )
    [(_, _, vector)] = measured([*events, recorded(body, at=NOON + 90 * MINUTE)])
    expected = {
        "amount": 5_000,
        "payment.currency": "USD",
        "payment.channel": "ecommerce",
        "payment.time": 13 * 60 + 30,
        "payment.weekday": "monday",
        "card.bin": "42424299",
        "card.country": "DE",
        "card.brand": "visa",
        "card.funding": "debit",
        "merchant.id": "shop-0",
        "merchant.mcc": "5411",
        "merchant.limit_percent": 50,
        "email.id": "mail-1",
        "email.new": True,
        "ip.id": None,
        "card.amount_percent": None,
    }
    assert start_of(day_number(2026, 3, 9)) + 12 * HOUR == NOON
    assert expected == {name: vector[PLACES[name]] for name in expected}


@pytest.mark.parametrize(
    ("avs", "cvv", "words"),
    [("Y", "M", ("full", "match")), ("N", "N", ("none", "no_match")), ("", "?", (None, None))],
)
def test_what_the_network_says(avs: str, cvv: str, words: tuple[Value, Value]) -> None:
    """In words; a letter that nobody knows is not known."""
    vector = answered([None] * len(NAMES), authorized("p"), avs, cvv)
    assert words == (vector[PLACES["payment.avs"]], vector[PLACES["payment.cvv"]])
    assert (True, "00") == (
        vector[PLACES["authorization.approved"]],
        vector[PLACES["authorization.code"]],
    )


def test_a_label_counts_from_its_position_on() -> None:
    """No vector before it has seen it; afterwards it counts in the windows of its payment."""
    measuring = Measuring()
    counts = []
    for number in range(3):
        one = recorded(payment_requested(payment_id=f"p{number}"), at=NOON + number)
        taken = measuring.pay(one)
        assert taken is not None
        counts.append(taken[0][PLACES["merchant.frauds_24h"]])
        if number == 1:
            measuring.label("p0", "shop-1", NOON, NOON + 1, fraud=True, ordinary=True)
    assert [0, 0, 1] == counts


def test_answers_that_count() -> None:
    """To an authorization, and in time."""
    assert is_answer(reply())
    assert not is_answer(reply(late=True))
    assert not is_answer(authorized("p"))


def test_a_model_gives_the_score() -> None:
    """Unknown without one."""
    one = recorded(payment_requested(), at=NOON)
    place = PLACES["model.score"]
    model: Model = random_model(Random(1))
    without, with_model = Measuring().pay(one), Measuring(model).pay(one)
    assert without is not None
    assert with_model is not None
    assert without[0][place] is None
    assert isinstance(with_model[0][place], int)
