"""Risk gives every payment a verdict that can be explained from the event and decided again from the log."""

import random

import pytest

from events.authorization import DeclineReason, PaymentDeclined, RetryAdvice
from events.calendar import DAY, HOUR, MINUTE
from events.hotlist import DeclineNoted
from events.identity import payment_id
from events.partitions import ReferenceRefused
from events.reference import FraudModel, Rule, RulePack
from events.requests import Channel
from events.risk import Mode, Phase, RiskAssessed, Verdict
from streams import risk
from streams.features import modelling, profiles
from streams.features.models import encode_model
from streams.features.rules.translated import unknown_features
from streams.features.vectors import FEATURE_SET, RECORDED, TEXTS
from streams.features.windows import LATENESS, TOLERANCE
from tests.streams.builders_early import (
    CARD,
    NOON,
    OTHER_CARD,
    SHOP,
    Bench,
    applied,
    bin_table,
    merchant_terms,
    payment_requested,
    recorded,
    rule_pack,
)
from tests.streams.models import random_model
from tests.streams.rules.builders import book, rule

ALLOW, REVIEW, STEP_UP, BLOCK = Verdict
KEPT = 30 * DAY + LATENESS


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
    return event.features[RECORDED.index(name)]


def test_without_rules_everything_is_allowed() -> None:
    """And the vector is recorded all the same: a first payment, in a currency that adds up with nothing."""
    bench = Bench(risk, bin_table(("4", "4", "visa")), merchant_terms(max_amount=8_000))
    [event] = bench.take(payment_requested())
    assert isinstance(event, RiskAssessed)
    assert (ALLOW, 0, [], FEATURE_SET, Phase.BEFORE_AUTHORIZATION) == (
        event.verdict,
        event.score,
        event.rules,
        event.feature_set,
        event.phase,
    )
    known = {name: value for name, value in zip(RECORDED, event.features, strict=True) if value}
    never = profiles.NEVER
    assert known == {
        **{
            f"{key}.count_{w}": 1
            for key in ("card", "card_merchant")
            for w in ("10m", "1h", "24h", "7d", "30d")
        },
        **{
            f"{key}.sum_{w}": 4_000
            for key in ("card", "card_merchant")
            for w in ("10m", "1h", "24h", "7d", "30d")
        },
        "merchant.limit_percent": 50,
        "card.new": 1,
        "device.new": -1,
        "email.new": -1,
        "card.idle": -1,
        "card.amount_percent": -1,
        **dict.fromkeys(("phone.new", "ip.country_new", "card.travel_km", "card.travel_kmh"), -1),
        "profile.amount": 4_000,
        "profile.merchant_since_genuine": never,
        "profile.merchant_since_fraud": never,
        "profile.merchant_run_age": never,
        "profile.merchant_since_ordinary": never,
    }
    assert dict(zip(TEXTS, event.texts, strict=True)) == {
        "card.country": "US",
        "card.brand": "visa",
        "card.funding": "credit",
        "merchant.mcc": "5411",
    }


def test_the_order_of_a_recorded_vector_is_for_good() -> None:
    """Recorded vectors are read by it: whatever changes here needs a new FEATURE_SET."""
    windows = ("10m", "1h", "24h", "7d", "30d")
    assert FEATURE_SET == 4
    assert RECORDED == (
        *(f"card.{what}_{w}" for what in ("count", "sum", "declines") for w in windows),
        *(f"card_merchant.{what}_{w}" for what in ("count", "sum", "declines") for w in windows),
        *("merchant.limit_percent", "card.new", "card.idle", "device.new", "email.new"),
        *("card.amount_percent", "card.outliers_7d"),
        *(
            f"{key}.frauds_{w}"
            for key in ("card", "ip", "device", "email", "merchant", "card_merchant")
            for w in windows
        ),
        *("cluster.linked", "cluster.frauds", "cluster.cards"),
        *("phone.new", "ip.country_new", "card.travel_km", "card.travel_kmh"),
        *("account.changes", "account.changes_24h"),
        *("profile.amount", "profile.amount_ratio", "profile.card_outliers_7d", "profile.card_outliers_14d"),
        *("profile.merchant_since_genuine", "profile.merchant_since_fraud", "profile.merchant_frauds_28d"),
        *("profile.merchant_labels_28d", "profile.merchant_run", "profile.merchant_run_age"),
        *("profile.merchant_since_ordinary", "profile.merchant_ordinary_28d"),
    )


# Earlier payments as (minutes before this one, changes), and what the vector then says of this one.
VELOCITY = [
    ([], {"card.count_10m": 1, "card.sum_10m": 4000, "card_merchant.count_24h": 1}),
    ([(9, {})], {"card.count_10m": 2, "card.sum_10m": 8000, "card.count_24h": 2}),
    ([(10, {})], {"card.count_10m": 1, "card.sum_10m": 4000, "card.count_1h": 2, "card.sum_1h": 8000}),
    ([(60, {})], {"card.count_1h": 1, "card.sum_1h": 4000, "card.count_24h": 2, "card.sum_24h": 8000}),
    ([(1440, {})], {"card.count_24h": 1, "card.sum_24h": 4000, "card_merchant.count_24h": 1}),
    ([(5, {"currency": "EUR"})], {"card.count_10m": 2, "card.sum_10m": 8000, "card.count_24h": 2}),
    ([(7 * 1440, {})], {"card.count_24h": 1, "card.count_7d": 1, "card.count_30d": 2, "card.sum_30d": 8000}),
    ([(30 * 1440, {})], {"card.count_30d": 1, "card.new": 0, "card.idle": 30 * 86_400}),
    ([(90 * 1440, {})], {"card.new": 1, "card.idle": -1}),
    ([(5, {})], {"card.new": 0, "card.idle": 300, "device.new": -1, "email.new": -1}),
    ([(5, {})] * 5, {"card.amount_percent": 100, "card.outliers_7d": 0}),
    ([(5, {"amount": 1000})] * 5, {"card.amount_percent": 400, "profile.amount_ratio": 4 * 256}),
    ([(5, {"merchant": "shop-2"})], {"card.count_10m": 2, "card_merchant.count_24h": 1}),
    ([(5, {"merchant": "USD"})], {"card.sum_10m": 8000, "card_merchant.count_24h": 1}),
    ([(5, {"card_id": OTHER_CARD})], {"card.count_10m": 1, "card.sum_10m": 4000, "card.count_24h": 1}),
    ([(9, {}), (8, {}), (70, {})], {"card.count_10m": 3, "card.count_1h": 3, "card.count_24h": 4}),
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


def test_a_card_on_a_new_device() -> None:
    """New is the pair: another card has been here, and this card elsewhere."""
    bench = Bench(risk)
    assess(bench, 1, device_ref="dev-1", email_ref="mail-1")
    assess(bench, 2, device_ref="dev-2", card_id=OTHER_CARD)
    event = assess(bench, 3, device_ref="dev-2", email_ref="mail-1")
    assert [0, 1, 0] == [feature(event, name) for name in ("card.new", "device.new", "email.new")]


def test_a_late_payment_counts_where_it_belongs() -> None:
    """It sees what was before its own time, and is seen by what comes later; nothing is assessed again."""
    bench = Bench(risk)
    assert feature(assess(bench, 1, at=NOON), "card.count_10m") == 1
    late = assess(bench, 2, at=NOON, claimed_at=NOON - 2 * MINUTE)
    assert feature(late, "card.count_10m") == 1
    assert feature(assess(bench, 3, at=NOON + 1), "card.count_10m") == 3


def test_a_payment_counts_once() -> None:
    """However often it is delivered."""
    bench = Bench(risk)
    first = bench.take(payment_requested())
    assert first == bench.take(payment_requested())
    assert feature(assess(bench, 1), "card.count_24h") == 2


def test_claimed_times_are_held_to_the_tolerance() -> None:
    """Times spaced out by 601 seconds do not hide five payments in one minute."""
    bench = Bench(risk)
    for number in range(5):
        event = assess(bench, number, at=NOON + number, claimed_at=NOON + (number - 5) * 601_000_000)
    assert feature(event, "card.count_10m") == 5
    assert TOLERANCE * 2 < 10 * MINUTE


@pytest.mark.parametrize(
    ("amount", "limit", "percent"),
    [(4000, 0, -1), (4000, 4000, 100), (3999, 4000, 99), (1, 4000, 0), (8001, 4000, 200)],
)
def test_the_amount_is_measured_against_the_merchants_limit(amount: int, limit: int, percent: int) -> None:
    """In whole percent, rounded down; not known where there is no limit."""
    bench = Bench(risk, merchant_terms(max_amount=limit))
    assert percent == feature(assess(bench, 1, amount=amount), "merchant.limit_percent")


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
    assert unknown_features(RulePack(1, rules)) == ["card_age_days"]
    assert unknown_features(RulePack(1, rules[1:])) == []


def test_a_pack_that_cannot_be_used_is_refused_and_the_old_one_stays() -> None:
    """The event says what was wrong."""
    bench = Bench(risk, rule_pack(B))
    worse = rule_pack(("No Such Id", "amount", 1, BLOCK, 1))
    reason = "the house's rules: rule No Such Id: an id is up to 64 small letters, digits and hyphens"
    assert [ReferenceRefused("rules", "any", 1, reason)] == bench.take(worse.body)
    assert assess(bench, 1).rules == ["c-large"]
    assert [] == bench.take(rule_pack(R).body)
    assert assess(bench, 2).rules == ["b-medium"]


def test_rules_read_the_champions_score() -> None:
    """The challenger is told beside it, and decides nothing; without a champion there is no score."""
    champion, challenger = (
        applied("model", FraudModel(mode, "", encode_model(random_model(random.Random(seed)))))
        for seed, mode in enumerate(Mode)
    )
    scored = applied(
        "rulebook", book(rule("model.score >= 0"), rule("model.score is unknown", rule_id="none"))
    )
    bench = Bench(risk, scored, challenger)
    assert assess(bench, 1).rules == ["none"]
    bench.hear(champion)
    event = assess(bench, 2)
    assert (event.verdict, event.rules) == (BLOCK, ["rule"])
    assert list(Mode) == [said.mode for said in event.models]
    profile = event.features[-len(profiles.NAMES) :]
    assert event.models == modelling.scores(bench.state.models, profile)


def test_a_model_that_cannot_be_used_is_refused_and_the_old_one_stays() -> None:
    """The event says what was wrong."""
    good = applied("model", FraudModel(Mode.ENFORCE, "", encode_model(random_model(random.Random(1)))))
    bench = Bench(risk, good)
    before = assess(bench, 1).models
    bad = FraudModel(Mode.ENFORCE, "0" * 64, encode_model(random_model(random.Random(2))))
    [refused] = bench.take(applied("model", bad).body)
    assert isinstance(refused, ReferenceRefused)
    assert "was asked for, the file holds" in refused.reason
    assert [said.model for said in before] == [said.model for said in assess(bench, 2).models]


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


# --- declines, forgetting -------------------------------------------------------------------------------


def declined(number: int) -> PaymentDeclined:
    """The issuer's no to the ``number``-th payment."""
    name = payment_id(SHOP, f"k{number}", CARD)
    return PaymentDeclined(
        name, SHOP, 4000, "USD", "alpha", "05", DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER
    )


@pytest.mark.parametrize(("channel", "device"), [(Channel.ECOMMERCE, "dev-1"), (Channel.POINT_OF_SALE, "")])
def test_a_decline_is_told_with_what_the_payment_shares(channel: Channel, device: str) -> None:
    """Once, with its event time; at a till the device is the merchant's."""
    bench = Bench(risk)
    keys = {"ip_ref": "ip-1", "device_ref": "dev-1", "email_ref": "mail-1"}
    assess(bench, 1, claimed_at=NOON - MINUTE, channel=channel, **keys)
    outcome = declined(1)
    noted = DeclineNoted(outcome.payment_id, CARD, "ip-1", device, "mail-1", SHOP, NOON - MINUTE)
    assert [noted] == bench.take(outcome, at=NOON + MINUTE)
    assert not bench.state.open


def test_a_decline_counts_from_its_own_position_on() -> None:
    """In the windows of its payment, under its card and its card at the merchant."""
    bench = Bench(risk)
    assess(bench, 1)
    assert feature(assess(bench, 2, at=NOON + MINUTE), "card.declines_10m") == 0
    bench.take(declined(1), at=NOON + 2 * MINUTE)
    third = assess(bench, 3, at=NOON + 9 * MINUTE)
    assert (feature(third, "card.declines_10m"), feature(third, "card_merchant.declines_24h")) == (1, 1)
    fourth = assess(bench, 4, at=NOON + 10 * MINUTE)
    assert (feature(fourth, "card.declines_10m"), feature(fourth, "card.declines_1h")) == (0, 1)


def test_a_key_used_again_after_its_claim_is_another_payment() -> None:
    """The id is the same, the payment is counted all the same."""
    bench = Bench(risk)
    assess(bench, 1)
    bench.take(declined(1))
    again = assess(bench, 1, at=NOON + 30 * DAY + 1)
    assert feature(again, "card.count_30d") == 1
    assert feature(assess(bench, 2, at=NOON + 30 * DAY + 2), "card.count_30d") == 2


def test_quiet_cards_are_forgotten_by_ticks() -> None:
    """When no window can reach them any more; a card in use stays."""
    bench = Bench(risk)
    assess(bench, 1)
    assess(bench, 2, card_id=OTHER_CARD)
    assess(bench, 3, at=NOON + 12 * HOUR)

    def counted() -> list[str]:
        return [line.split()[1] for line in bench.summary() if line.startswith("card ")]

    assert bench.tick(NOON + KEPT) == []
    assert counted() == [CARD, OTHER_CARD]
    assert bench.tick(NOON + HOUR + KEPT) == []
    assert counted() == [CARD]
    bench.tick(NOON + 13 * HOUR + KEPT)
    assert counted() == []


def test_what_is_counted_does_not_grow_for_ever() -> None:
    """A year of a card in use every six hours, others that come once, a tick a day: at its end a season is left."""
    bench = Bench(risk)
    state = bench.state
    for day in range(365):
        for hour in (0, 6, 12, 18):
            at = NOON + day * DAY + hour * HOUR
            name = f"p{day}-{hour}"
            risk.evolve(state, recorded(payment_requested(payment_id=name), at=at))
            once = payment_requested(
                payment_id=f"{name}-once", card_id=f"once-{name}", device_ref=f"d-{name}"
            )
            risk.evolve(state, recorded(once, at=at))
            for decided in (name, f"{name}-once"):
                outcome = PaymentDeclined(
                    decided, SHOP, 4000, "USD", "", "", DeclineReason.NO_ROUTE, RetryAdvice.LATER
                )
                no = recorded(outcome, at=at)
                risk.evolve(state, no)
                for noted in risk.decide(state, no):
                    risk.evolve(state, recorded(noted, at=at))
        for work in risk.due(state, NOON + day * DAY):
            risk.fire(state, work, NOON + day * DAY)
    measures = state.measures
    assert len(measures.velocity.payments) <= 8 * 33
    assert [len(subjects) for subjects in measures.velocity.subjects] <= [4 * 33] * 6
    assert len(measures.familiar.cards) <= 4 * 93
    assert len(measures.profiles.cards) <= 4 * 184
    assert not state.open


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
    assert f"card {CARD} [2, 2, 2, 2, 2, 8000, 8000, 8000, 8000, 8000]" in left.summary()
