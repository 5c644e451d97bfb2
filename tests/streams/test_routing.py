"""Routing picks the fittest and cheapest network, and another one only for what never left."""

import pytest

from events.authorization import (
    AuthorizationOutcomeUnknown,
    DeclineReason,
    MessageKind,
    PaymentAuthorized,
    PaymentDeclined,
    RetryAdvice,
)
from events.base import Event
from events.identity import looks_like_pan
from events.risk import RiskAssessed, Verdict
from events.routing import (
    FailoverReason,
    RouteCandidate,
    RouteExhausted,
    RouteFailedOver,
    RouteReason,
    RouteSelected,
)
from streams import routing
from tests.streams.builders_early import (
    NOON,
    PAYMENT,
    SHOP,
    Bench,
    bin_table,
    network_health,
    network_profile,
    not_sent,
    payment_requested,
)

VISA = bin_table(("4", "4", "visa"))
ALPHA = network_profile()
BETA = network_profile(network="beta", cost_ppm=20_000, mid_prefix="BETA")
GAMMA = network_profile(network="gamma", cost_ppm=30_000, mid_prefix="GAMMA")

COSTS = {"alpha": 50, "beta": 90, "gamma": 130}


def assessed(verdict: Verdict = Verdict.ALLOW) -> RiskAssessed:
    """Risk's word on the payment."""
    return RiskAssessed(PAYMENT, SHOP, verdict, 0, [], 1, [])


def selected(attempt: int, reason: RouteReason, *names: str, unfit: tuple[str, ...] = ()) -> RouteSelected:
    """A route over the first of the candidates, which stand in order of preference."""
    return RouteSelected(
        PAYMENT,
        attempt,
        names[0],
        "visa",
        routing.merchant_number(names[0].upper(), SHOP),
        reason,
        [RouteCandidate(name, COSTS[name], 1_000_000, name not in unfit) for name in names],
    )


def failed_over(left: str, chosen: str) -> RouteFailedOver:
    """The network before was not reached."""
    return RouteFailedOver(PAYMENT, left, chosen, FailoverReason.NOT_SENT)


ONLY, CHEAPEST, HEALTHIER = RouteReason

# Given, when, then.
ROUTES = {
    "one network": ([ALPHA], assessed(), [selected(1, ONLY, "alpha")]),
    "review goes on": ([ALPHA], assessed(Verdict.REVIEW), [selected(1, ONLY, "alpha")]),
    "blocked": ([ALPHA], assessed(Verdict.BLOCK), []),
    "cheapest": ([GAMMA, BETA, ALPHA], assessed(), [selected(1, CHEAPEST, "alpha", "beta", "gamma")]),
    "unfit goes last": (
        [ALPHA, BETA, network_health("alpha", False)],
        assessed(),
        [selected(1, HEALTHIER, "beta", "alpha", unfit=("alpha",))],
    ),
    "unfit, but nothing else": (
        [ALPHA, network_health("alpha", False)],
        assessed(),
        [selected(1, ONLY, "alpha", unfit=("alpha",))],
    ),
    "all unfit": (
        [ALPHA, BETA, network_health("alpha", False), network_health("beta", False)],
        assessed(),
        [selected(1, CHEAPEST, "alpha", "beta", unfit=("alpha", "beta"))],
    ),
    "fit again": (
        [ALPHA, BETA, network_health("alpha", False), network_health("alpha", True)],
        assessed(),
        [selected(1, CHEAPEST, "alpha", "beta")],
    ),
    "other brand": ([network_profile(brands=("amex",))], assessed(), [RouteExhausted(PAYMENT, "visa", [])]),
    "other currency": (
        [network_profile(currencies=("EUR",))],
        assessed(),
        [RouteExhausted(PAYMENT, "visa", [])],
    ),
    "a new profile replaces the old": (
        [BETA, ALPHA, network_profile(brands=())],
        assessed(),
        [selected(1, ONLY, "beta")],
    ),
}


@pytest.mark.parametrize(("given", "when", "then"), ROUTES.values(), ids=ROUTES)
def test_a_route_is_the_best_candidate(given: list[object], when: Event, then: list[Event]) -> None:
    """Fit before unfit, then the lower expected cost, then the name."""
    bench = Bench(routing, VISA, *given)
    bench.take(payment_requested())
    assert then == bench.take(when)


def test_equal_costs_are_decided_by_name() -> None:
    """Not by the order in which profiles were published."""
    twin = network_profile(network="aaaa")
    for given in ([ALPHA, twin], [twin, ALPHA]):
        bench = Bench(routing, VISA, *given)
        [event] = bench.take(payment_requested(), assessed())
        assert isinstance(event, RouteSelected)
        assert (event.network, event.reason) == ("aaaa", RouteReason.CHEAPEST)


def test_an_unknown_card_has_no_route() -> None:
    """No brand, no network."""
    bench = Bench(routing, ALPHA, VISA)
    assert [RouteExhausted(PAYMENT, "", [])] == bench.take(payment_requested(bin="99999999"), assessed())


@pytest.mark.parametrize(
    ("amount", "cost_ppm", "fixed", "success_ppm", "cost"),
    [
        (4000, 10_000, 10, 1_000_000, 50),
        (4000, 10_000, 10, 500_000, 100),
        (4000, 10_000, 10, 999_999, 51),
        (4000, 10_000, 10, 0, 50_000_000),
        (4000, 0, 0, 900_000, 0),
        (1, 10_000, 0, 1_000_000, 0),
    ],
)
def test_expected_cost_counts_the_attempts_that_fail(
    amount: int, cost_ppm: int, fixed: int, success_ppm: int, cost: int
) -> None:
    """In minor units, rounded up."""
    assert cost == routing.expected_cost(amount, cost_ppm, fixed, success_ppm)


# --- what never left ------------------------------------------------------------------------------------


def test_what_was_not_sent_goes_to_the_next_network_until_none_is_left() -> None:
    """Each network once, in order of preference."""
    bench = Bench(routing, VISA, ALPHA, BETA, network_health("beta", False), GAMMA)
    assert [selected(1, CHEAPEST, "alpha", "gamma", "beta", unfit=("beta",))] == bench.take(
        payment_requested(), assessed()
    )
    assert [
        failed_over("alpha", "gamma"),
        selected(2, HEALTHIER, "gamma", "beta", unfit=("beta",)),
    ] == bench.take(not_sent())
    assert [failed_over("gamma", "beta"), selected(3, ONLY, "beta", unfit=("beta",))] == bench.take(
        not_sent(attempt=2, network="gamma")
    )
    assert [RouteExhausted(PAYMENT, "visa", ["alpha", "gamma", "beta"])] == bench.take(
        not_sent(attempt=3, network="beta")
    )


@pytest.mark.parametrize(
    "answer",
    [
        not_sent(attempt=2),
        not_sent(attempt=0),
        not_sent(kind=MessageKind.REVERSAL),
        not_sent(rrn="AC0000000000"),
        not_sent(payment_id="pay-0001-0123456789abcdef"),
    ],
)
def test_an_answer_to_no_attempt_of_ours_moves_nothing(answer: Event) -> None:
    """Authorization names it; routing stays."""
    bench = Bench(routing, VISA, ALPHA, BETA)
    bench.take(payment_requested(), assessed())
    assert bench.take(answer) == []


def test_a_repeated_answer_fails_over_once() -> None:
    """The second one is for an attempt that has been left."""
    bench = Bench(routing, VISA, ALPHA, BETA)
    bench.take(payment_requested(), assessed(), not_sent())
    assert bench.take(not_sent()) == []


@pytest.mark.parametrize(
    "outcome",
    [
        PaymentAuthorized(PAYMENT, SHOP, "alpha", 1, 4000, 4000, "USD", "00", "A1", "", "", "n", NOON),
        PaymentDeclined(
            PAYMENT, SHOP, 4000, "USD", "alpha", "05", DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER
        ),
        AuthorizationOutcomeUnknown(PAYMENT, SHOP, "alpha", 1, 4000, "USD", 5000),
    ],
)
def test_a_payment_with_an_outcome_is_forgotten(outcome: Event) -> None:
    """And cannot be sent anywhere again."""
    bench = Bench(routing, VISA, ALPHA, BETA)
    bench.take(payment_requested(), assessed())
    assert bench.summary() == [f"journey {PAYMENT} visa alpha"]
    bench.take(outcome, outcome)
    assert bench.summary() == []
    assert bench.take(not_sent()) == []


# --- names and numbers ----------------------------------------------------------------------------------


def test_a_merchant_number_has_fifteen_characters_and_no_card_number() -> None:
    """One per network and merchant."""
    numbers = {
        routing.merchant_number(prefix, f"shop-{number}")
        for prefix in ("", "41", "ALPHA", "411111")
        for number in range(200)
    }
    assert len(numbers) == 800
    assert {len(number) for number in numbers} == {15}
    assert not any(looks_like_pan(number) for number in numbers)
    assert routing.merchant_number("0123456789ABCDEFGH", SHOP) == "0123456789ABCDE"
    assert routing.merchant_number("41", SHOP) == routing.merchant_number("42", SHOP).replace("42", "41")
