"""What a verdict costs, part by part: one payment after the other, as the stream decides them."""

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Final

from events.calendar import DAY
from events.reference import FraudModel
from events.risk import Mode, Phase
from streams import risk
from streams.features import measuring, modelling
from streams.features.models import encode_model
from streams.features.rules import in_force
from tests.streams.builders_early import (
    NOON,
    applied,
    bin_table,
    merchant_terms,
    payment_requested,
    recorded,
)
from tests.streams.models import random_model
from tests.streams.rules.builders import book, rule

PAYMENTS: Final = 30_000
CARDS: Final = 8_000
RULES: Final = 100
TREES: Final = 100
DAYS: Final = 30

#: How long a call takes, in processor seconds.
Timed = Callable[[Callable[[], object]], float]


def verdicts(timed: Timed) -> dict[str, float]:
    """Microseconds for one payment with 100 rules and a champion of 100 trees: all of it, and its parts."""
    chance = Random(1)
    rules = [
        rule(f"card.count_1h > {10 + n} and amount > {n}00 minor", rule_id=f"r{n}") for n in range(RULES)
    ]
    champion = FraudModel(Mode.ENFORCE, "", encode_model(random_model(Random(1), trees=TREES)))
    given = (applied("rulebook", book(*rules)), applied("model", champion), merchant_terms())
    state = risk.initial()
    for one in (*given, bin_table(("4", "4", "visa"))):
        state = risk.evolve(state, one)
    asked = [
        recorded(
            payment_requested(
                payment_id=f"p{number}",
                card_id=f"card-{chance.randrange(CARDS)}",
                merchant=f"shop-{chance.randrange(100)}",
                amount=chance.randrange(100, 9_000),
                device_ref=f"device-{chance.randrange(CARDS)}",
                email_ref=f"mail-{chance.randrange(CARDS)}",
            ),
            at=NOON + number * DAYS * DAY // PAYMENTS,
        )
        for number in range(PAYMENTS)
    ]
    heard = timed(lambda: [risk.evolve(state, one) for one in asked])
    decided = timed(lambda: [risk.decide(state, one) for one in asked])
    measured = list(state.open.values())
    judge = in_force.judge_of(state.rules)
    other, numbers = measuring.initial(measuring.HOME), count()
    parts = {
        "verdict_us": heard + decided,
        "verdict_measuring_us": timed(
            lambda: [measuring.pay(other, one, f"p{next(numbers)}") for one in asked]
        ),
        "verdict_model_us": timed(lambda: [modelling.scores(state.models, one.profile) for one in measured]),
        "verdict_rules_us": timed(
            lambda: [judge.judge(Phase.BEFORE_AUTHORIZATION, "shop-1", one.vector) for one in measured]
        ),
        "verdict_event_us": timed(
            lambda: [(measuring.features_of(one), measuring.texts_of(one)) for one in measured]
        ),
    }
    return {name: round(seconds / PAYMENTS * 1e6, 2) for name, seconds in parts.items()}
