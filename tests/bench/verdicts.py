"""What a verdict costs, part by part, and what the cards behind it take: as the stream decides them, one by one.

``python -m tests.bench.verdicts`` prints the costs; with ``--cards 1000000`` what a partition that knows so many holds.
"""

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final

from events.authorization import PaymentAuthorized
from events.calendar import DAY
from events.disputes import Label
from events.envelope import Recorded
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.reference import FraudModel
from events.risk import Mode, Phase
from events.signals import Connection, IdentitySignals, ProviderAnswer
from infra.tuning import collect_rarely
from streams import risk
from streams.features import measuring, modelling, online
from streams.features.measuring import Measured
from streams.features.models import encode_model
from streams.features.profiles import NAMES
from streams.features.rules import in_force
from streams.features.vectors import HOME
from tests.bench import figures
from tests.streams.builders_early import (
    NOON,
    applied,
    bin_table,
    merchant_terms,
    payment_requested,
    recorded,
)
from tests.streams.models import learner, random_model
from tests.streams.rules.builders import book, rule

PAYMENTS: Final = 30_000
CARDS: Final = 8_000
RULES: Final = 100
TREES: Final = 100
DAYS: Final = 30
LABELLED: Final = 100
"""One payment in so many is known to be fraud three days later."""

#: How long a call takes, in processor seconds.
Timed = Callable[[Callable[[], object]], float]


def house(*, learns: bool = True) -> risk.State:
    """100 rules, a champion of 100 trees, a scorecard that learns, the terms of merchants and the table of BINs."""
    rules = [
        rule(f"card.count_1h > {10 + n} and amount > {n}00 minor", rule_id=f"r{n}") for n in range(RULES)
    ]
    champion = FraudModel(Mode.ENFORCE, "", encode_model(random_model(Random(1), trees=TREES)))
    given = (applied("rulebook", book(*rules)), applied("model", champion), merchant_terms())
    state = risk.initial()
    for one in (*given, bin_table(("4", "4", "visa"))):
        state = risk.evolve(state, one)
    if learns:
        state = risk.evolve(state, applied("online", learner(genuine_one_in=100)))
    # Rules and models are compiled once, when they come into force; that is no part of a verdict.
    in_force.judge_of(state.rules)
    modelling.scores(state.models, [0] * len(NAMES))
    return state


def asked(payments: int, cards: int, days: int = DAYS) -> Iterator[Recorded]:
    """Payments with everything that can be known of one, by cards at random."""
    chance = Random(1)
    for number in range(payments):
        card = number if number < cards else chance.randrange(cards)
        said = IdentitySignals(
            "simulated", ProviderAnswer.GIVEN, "FR", 4_885, 235, 20, Connection.CONSUMER, 10, 400, 5, 5
        )
        body = payment_requested(
            payment_id=f"pay-{card % 1_000:04d}-{number:016d}",
            card_id=f"card-{card:07d}",
            merchant=f"shop-{chance.randrange(100)}",
            amount=chance.randrange(100, 9_000),
            ip_ref=f"ip-{card // 4}",
            device_ref=f"device-{card}",
            email_ref=f"mail-{card}",
            phone_ref=f"phone-{card}",
            signals=said,
        )
        yield recorded(body, at=NOON + number * days * DAY // payments)


def approved(one: Recorded) -> Recorded:
    """The issuer's approval of a payment."""
    body = one.body
    assert isinstance(body, PaymentRequested)
    parties = (body.payment_id, body.merchant, "alpha", 1, body.amount, body.amount, body.currency)
    event = PaymentAuthorized(*parties, "00", "A1", "Y", "M", "n", one.meta.recorded_at + DAY)
    return recorded(event, at=one.meta.recorded_at)


def labels_of(one: Recorded) -> tuple[Recorded, Recorded]:
    """That a payment was fraud: in the partition of its card, and two ticks later in all."""
    body, paid_at = one.body, one.meta.recorded_at
    assert isinstance(body, PaymentRequested)
    keys = (body.ip_ref, body.device_ref, body.email_ref, paid_at, True)
    known = paid_at + 3 * DAY
    own = PaymentLabelled(body.payment_id, 1, Label.FRAUD, body.merchant, body.card_id, *keys, 0)
    shared = LabelApplied(body.payment_id, 1, Label.FRAUD, body.merchant, *keys, known, 0)
    return recorded(own, at=known), recorded(shared, at=known)


def verdicts(timed: Timed) -> dict[str, float]:
    """Microseconds for one payment with 100 rules, two models and known frauds: all of it, and its parts.

    All of it is from the request to the answer that ends its wait, and keeps it for its label.
    """
    collect_rarely()  # as every process does that decides
    state = house()
    payments = list(asked(PAYMENTS, CARDS))
    lag = PAYMENTS * 3 // DAYS

    def stream(state: risk.State) -> None:
        """Each payment is measured, judged and answered, as in a stream: few wait for their answer at a time."""
        for number, one in enumerate(payments):
            if number >= lag and (number - lag) % LABELLED == 0:
                for label in labels[(number - lag) // LABELLED]:
                    risk.evolve(state, label)
            risk.evolve(state, one)
            risk.decide(state, one)
            risk.evolve(state, answers[number])
            state.answered.clear()

    answers = [approved(one) for one in payments]
    labels = [labels_of(one) for one in payments[::LABELLED]]
    judge, running = in_force.judge_of(state.rules), state.online.learner
    assert running is not None
    alone = house(learns=False)
    champion, whole = timed(lambda: stream(alone)), timed(lambda: stream(state))
    other, numbers = measuring.initial(HOME), count()
    measured: list[Measured] = []

    def measure() -> None:
        for one in payments:
            found = measuring.pay(other, one, f"p{next(numbers)}")
            assert found is not None
            measured.append(found)

    measuring_them = timed(measure)
    parts = {
        "verdict_us": whole,
        "verdict_champion_us": champion,
        "verdict_measuring_us": measuring_them,
        "verdict_model_us": timed(lambda: [modelling.scores(state.models, one.profile) for one in measured]),
        "verdict_learner_us": timed(
            lambda: [online.ask(running, one.profile, NOON, Mode.SHADOW) for one in measured]
        ),
        "verdict_rules_us": timed(
            lambda: [judge.judge(Phase.BEFORE_AUTHORIZATION, "shop-1", one.vector) for one in measured]
        ),
    }
    return {name: round(seconds / PAYMENTS * 1e6, 2) for name, seconds in parts.items()}


def bytes_of(cards: int) -> float:
    """Bytes that a card takes in a partition: two payments in 30 days, all kept for a label; kilobytes resident."""
    state = house()
    before = figures.resident(os.getpid())
    for one in asked(2 * cards, cards):
        state = risk.evolve(state, one)
        state = risk.evolve(state, approved(one))
        state.answered.clear()
    return (figures.resident(os.getpid()) - before) * 1024 / cards


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments[:1] == ["--cards"]:
        cards = int(arguments[1])
        found = bytes_of(cards)
        print(
            f"{cards:,} cards, {2 * cards:,} payments: {found:,.0f} bytes a card, {found * cards / 1e9:.2f} GB"
        )
        return 0
    for name, figure in verdicts(figures.timed).items():
        print(f"{name:22} {figure:6.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
