"""Risk gives every payment a verdict that can be explained from the event alone."""

import random

import pytest

from events.calendar import DAY, HOUR, MINUTE
from events.identity import payment_id
from events.reference import Rule, RulePack
from events.risk import RiskAssessed, Verdict
from streams import risk
from streams.features.catalogue import FEATURE_SET, FEATURES, INDEX
from streams.features.windows import KEPT, TOLERANCE
from tests.streams.builders_early import (
    CARD,
    NOON,
    OTHER_CARD,
    PAYMENT,
    SHOP,
    Bench,
    merchant_terms,
    payment_requested,
    recorded,
    rule_pack,
)

ALLOW, REVIEW, BLOCK = Verdict


def assess(
    bench: Bench, number: int, *, at: int = NOON, claimed_at: int | None = None, **fields: object
) -> RiskAssessed:
    """The verdict on the ``number``-th payment."""
    body = payment_requested(payment_id=payment_id(SHOP, f"k{number}", CARD), **fields)
    [event] = bench.take(body, at=at, occurred_at=at if claimed_at is None else claimed_at)
    assert isinstance(event, RiskAssessed)
    return event


def feature(event: RiskAssessed, name: str) -> int:
    """One entry of the vector."""
    return event.features[INDEX[name]]


def test_without_rules_everything_is_allowed() -> None:
    """And the vector is recorded all the same."""
    assert [
        RiskAssessed(PAYMENT, SHOP, ALLOW, 0, [], FEATURE_SET, [1, 4000, 1, 4000, 1, 4000, 1, 4000, 0])
    ] == Bench(risk).take(payment_requested())


def test_the_order_of_the_catalogue_is_for_good() -> None:
    """Recorded vectors are read by it: whatever changes here needs a new FEATURE_SET."""
    assert FEATURE_SET == 1
    assert [entry.name for entry in FEATURES] == [
        "card_count_10m",
        "card_sum_10m",
        "card_count_1h",
        "card_sum_1h",
        "card_count_24h",
        "card_sum_24h",
        "card_merchant_count_24h",
        "amount",
        "merchant_amount_percent",
    ]


# Earlier payments as (minutes before this one, changes), and what the vector then says of this one.
VELOCITY = [
    ([], {"card_count_10m": 1, "card_sum_10m": 4000, "card_merchant_count_24h": 1}),
    ([(9, {})], {"card_count_10m": 2, "card_sum_10m": 8000, "card_count_24h": 2}),
    ([(10, {})], {"card_count_10m": 1, "card_sum_10m": 4000, "card_count_1h": 2, "card_sum_1h": 8000}),
    ([(60, {})], {"card_count_1h": 1, "card_sum_1h": 4000, "card_count_24h": 2, "card_sum_24h": 8000}),
    ([(1440, {})], {"card_count_24h": 1, "card_sum_24h": 4000, "card_merchant_count_24h": 1}),
    ([(5, {"currency": "EUR"})], {"card_count_10m": 2, "card_sum_10m": 4000, "card_count_24h": 2}),
    ([(5, {"merchant": "shop-2"})], {"card_count_10m": 2, "card_merchant_count_24h": 1}),
    ([(5, {"merchant": "USD"})], {"card_sum_10m": 8000, "card_merchant_count_24h": 1}),
    ([(5, {"card_id": OTHER_CARD})], {"card_count_10m": 1, "card_sum_10m": 4000, "card_count_24h": 1}),
    ([(9, {}), (8, {}), (70, {})], {"card_count_10m": 3, "card_count_1h": 3, "card_count_24h": 4}),
]


@pytest.mark.parametrize(("earlier", "expected"), VELOCITY)
def test_velocity_counts_the_card_in_its_windows(
    earlier: list[tuple[int, dict[str, object]]], expected: dict[str, int]
) -> None:
    """This payment included, the old end of the window excluded."""
    bench = Bench(risk)
    for number, (minutes, fields) in enumerate(earlier):
        assess(bench, number, at=NOON - minutes * MINUTE, **fields)
    event = assess(bench, 99)
    assert expected == {name: feature(event, name) for name in expected}


def test_a_late_payment_counts_where_it_belongs() -> None:
    """It sees what was before its own time, and is seen by what comes later; nothing is assessed again."""
    bench = Bench(risk)
    assert feature(assess(bench, 1, at=NOON), "card_count_10m") == 1
    late = assess(bench, 2, at=NOON, claimed_at=NOON - 2 * MINUTE)
    assert feature(late, "card_count_10m") == 1
    assert feature(assess(bench, 3, at=NOON + 1), "card_count_10m") == 3


def test_a_payment_counts_once() -> None:
    """However often it is delivered."""
    bench = Bench(risk)
    first = bench.take(payment_requested())
    assert first == bench.take(payment_requested())
    assert feature(assess(bench, 1), "card_count_24h") == 2


def test_claimed_times_are_held_to_the_tolerance() -> None:
    """Times spaced out by 601 seconds do not hide five payments in one minute."""
    bench = Bench(risk)
    for number in range(5):
        event = assess(bench, number, at=NOON + number, claimed_at=NOON + (number - 5) * 601_000_000)
    assert feature(event, "card_count_10m") == 5
    assert TOLERANCE * 2 < 10 * MINUTE


@pytest.mark.parametrize(
    ("amount", "limit", "percent"),
    [(4000, 0, 0), (4000, 4000, 100), (3999, 4000, 99), (1, 4000, 0), (8001, 4000, 200)],
)
def test_the_amount_is_measured_against_the_merchants_limit(amount: int, limit: int, percent: int) -> None:
    """In whole percent, rounded down; 0 where there is no limit."""
    bench = Bench(risk, merchant_terms(max_amount=limit))
    assert percent == feature(assess(bench, 1, amount=amount), "merchant_amount_percent")


# --- rules ----------------------------------------------------------------------------------------------

A = ("a-small", "amount", 1_000, ALLOW, 5)
R = ("b-medium", "amount", 2_000, REVIEW, 30)
B = ("c-large", "amount", 3_000, BLOCK, 60)
PLUS = ("d-points", "amount", 0, REVIEW, 90)
MINUS = ("e-trusted", "amount", 0, ALLOW, -50)
UNKNOWN = ("f-later", "card_age_days", 0, BLOCK, 100)

RULES = [
    # rules               amount  verdict  score  matched
    ([A, R, B], 1_000, ALLOW, 0, []),
    ([A, R, B], 1_001, ALLOW, 5, ["a-small"]),
    ([A, R, B], 2_001, REVIEW, 35, ["a-small", "b-medium"]),
    ([A, R, B], 3_001, BLOCK, 95, ["a-small", "b-medium", "c-large"]),
    ([B, R, A], 3_001, BLOCK, 95, ["c-large", "b-medium", "a-small"]),
    ([B, PLUS], 3_001, BLOCK, 100, ["c-large", "d-points"]),
    ([MINUS], 1, ALLOW, 0, ["e-trusted"]),
    ([R, MINUS], 2_001, REVIEW, 0, ["b-medium", "e-trusted"]),
    ([UNKNOWN], 1, ALLOW, 0, []),
]


@pytest.mark.parametrize(("rules", "amount", "verdict", "score", "matched"), RULES)
def test_the_strongest_verdict_of_all_matching_rules_wins(
    rules: list[tuple[str, str, int, Verdict, int]],
    amount: int,
    verdict: Verdict,
    score: int,
    matched: list[str],
) -> None:
    """Above the threshold, not at it; points add up and stay between 0 and 100; names in pack order."""
    event = assess(Bench(risk, rule_pack(*rules)), 1, amount=amount)
    assert (verdict, score, matched) == (event.verdict, event.score, event.rules)


def test_a_new_pack_replaces_the_old_one() -> None:
    """And speaks of later payments alone."""
    bench = Bench(risk, rule_pack(B))
    assert assess(bench, 1).verdict is BLOCK
    bench.hear(rule_pack(R))
    assert assess(bench, 2).rules == ["b-medium"]


def test_features_of_a_later_catalogue_are_named() -> None:
    """For whoever publishes a pack: here they would never match."""
    rules = tuple(Rule(*row) for row in (UNKNOWN, A))
    assert risk.unknown_features(RulePack(1, rules)) == ["card_age_days"]
    assert risk.unknown_features(RulePack(1, rules[1:])) == []


LIMITS = [
    # max_amount, card_count_24h, amounts of the payments, rules matched by the last one
    (0, 0, [10**12], []),
    (4_000, 0, [4_000], []),
    (4_000, 0, [4_001], ["merchant_max_amount"]),
    (0, 2, [1, 1], []),
    (0, 2, [1, 1, 1], ["merchant_card_count_24h"]),
    (4_000, 1, [1, 4_001], ["merchant_max_amount", "merchant_card_count_24h"]),
]


@pytest.mark.parametrize(("max_amount", "card_count_24h", "amounts", "matched"), LIMITS)
def test_a_merchants_limits_block(
    max_amount: int, card_count_24h: int, amounts: list[int], matched: list[str]
) -> None:
    """Beyond the limit, not at it; 0 is no limit."""
    bench = Bench(risk, merchant_terms(max_amount=max_amount, card_count_24h=card_count_24h))
    for number, amount in enumerate(amounts):
        event = assess(bench, number, amount=amount)
    assert matched == event.rules
    assert (event.verdict, event.score) == ((BLOCK, 100) if matched else (ALLOW, 0))


def test_limits_are_the_merchants_own() -> None:
    """Another merchant's card is not counted here, nor bound by these terms."""
    bench = Bench(risk, merchant_terms(max_amount=10, card_count_24h=1))
    assess(bench, 1, amount=5, merchant="shop-2")
    assert assess(bench, 2, amount=5).rules == []
    assert assess(bench, 3, amount=50, merchant="shop-2").rules == []


# --- forgetting -----------------------------------------------------------------------------------------


def test_quiet_cards_are_forgotten_by_ticks() -> None:
    """When no window can reach them any more; a card in use stays."""
    bench = Bench(risk)
    assess(bench, 1)
    assess(bench, 2, card_id=OTHER_CARD)
    assess(bench, 3, at=NOON + 12 * HOUR)
    assert bench.tick(NOON + KEPT) == []
    assert len(bench.summary()) == 2
    assert bench.tick(NOON + HOUR + KEPT) == []
    assert [CARD] == [line.split()[1] for line in bench.summary()]
    bench.tick(NOON + 13 * HOUR + KEPT)
    assert bench.summary() == []
    assert risk.due(bench.state, NOON + 9 * DAY) == []


def test_many_payments_do_not_make_a_state_that_grows() -> None:
    """Forty days of one card in use every hour, with a tick a day: two days are what is left."""
    bench = Bench(risk)
    for day in range(40):
        for hour in range(24):
            at = NOON + day * DAY + hour * HOUR
            risk.evolve(bench.state, recorded(payment_requested(payment_id=f"p{day}-{hour}"), at=at))
        for work in risk.due(bench.state, NOON + day * DAY):
            risk.fire(bench.state, work, NOON + day * DAY)
    histories = bench.state.histories
    assert len(histories.by_subject[CARD].seen) <= 2 * KEPT // HOUR
    assert len(histories.hours) <= 2 * KEPT // HOUR + 24


def test_the_summary_does_not_depend_on_the_order_of_cards_or_on_repeats() -> None:
    """Lines are sorted and count each payment once."""
    bodies = [
        payment_requested(payment_id=payment_id(SHOP, f"k{number}", card), card_id=card)
        for number, card in enumerate([CARD, OTHER_CARD, CARD])
    ]
    shuffled = bodies * 2
    random.Random(1).shuffle(shuffled)
    left, right = Bench(risk), Bench(risk)
    left.take(*bodies)
    right.take(*shuffled)
    assert left.summary() == right.summary()
    assert f"card {CARD} 2 payments in 24 h, newest {NOON}" in left.summary()
