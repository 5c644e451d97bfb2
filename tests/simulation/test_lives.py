"""Random lives of payments, judged by the independent auditor: whatever is asked for and answered, no cent is lost.

A life is a payment, what its networks say, and what is asked for afterwards, sensible or not: captures above the
amount, voids of what is gone, refunds of nothing, twice, too late, of another merchant. Lives share a house, and it
does not matter on how many partitions it works.

``LIVES=2000`` looks at so many houses (a few lives each) instead of a handful.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from events.authorization import (
    AuthorizationOutcomeUnknown,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalSubmitted,
)
from events.clearing import ClearingRejection
from events.disputes import DisputeStage, DisputeStep
from events.identity import operation_id
from events.intake import RequestRejected, RequestRejection
from events.lifecycle import PaymentRequested
from events.requests import Answered
from streams.edge import issuers
from tests.simulation.stories import SHOP, Answer, Story, Word, declined, not_sent, partly, reply, silence

HOUSES: Final = int(os.environ.get("LIVES", "25"))
MERCHANTS: Final = (SHOP, "other")
CURRENCIES: Final = ("USD", "EUR", "JPY")


@dataclass(frozen=True)
class Step:
    """Something that is asked for, ``hours`` after what came before; ``share`` of the payment's amount, percent."""

    what: str
    hours: int
    share: int
    by: str


@dataclass(frozen=True)
class Life:
    """A payment and what becomes of it. ``networks`` are the answers to its attempts, by name; ``issuer`` is what its
    issuer makes of evidence when it disputes the payment, which only one that is captured at once can see coming."""

    amount: int
    manual: bool
    merchant: str
    currency: str
    networks: tuple[str, ...]
    reversal: str
    refused: tuple[bool, bool]
    issuer: str
    steps: tuple[Step, ...]


ANSWERS: Final[dict[str, Callable[[int], Answer]]] = {
    "approved": lambda amount: reply("00"),
    "partly": lambda amount: partly(max(1, amount * 2 // 3)),
    "declined": lambda amount: declined(),
    "stolen": lambda amount: declined("43"),
    "silence": lambda amount: silence,
    "not sent": lambda amount: not_sent,
}

#: What an issuer says to evidence, in days behind it, of a disputed amount; and whether it lets go of its own accord.
ISSUERS: Final[dict[str, Callable[[int], tuple[Word, ...]]]] = {
    "content": lambda amount: (),
    "gives in": lambda amount: (
        Word(1, DisputeStep.EVIDENCE_CREDITED, amount),
        Word(3, DisputeStep.EVIDENCE_ACCEPTED),
    ),
    "insists": lambda amount: (
        Word(1, DisputeStep.EVIDENCE_CREDITED, amount),
        Word(2, DisputeStep.PRE_ARBITRATION, amount, reply_days=3),
    ),
    "refuses": lambda amount: (Word(2, DisputeStep.EVIDENCE_REFUSED),),
    "lets go": lambda amount: (),
}

STEPS: Final = st.builds(
    Step,
    st.sampled_from(["capture", "final capture", "void", "refund", "evidence", "last evidence"]),
    st.integers(0, 60),
    st.sampled_from([0, 1, 30, 50, 100, 101, 250]),
    st.sampled_from([*MERCHANTS[:1] * 5, MERCHANTS[1]]),
)
#: Evidence in time, for an issuer who insists, and then for the last time.
LAST_WORDS: Final = (Step("evidence", 80, 0, SHOP), Step("last evidence", 60, 0, SHOP))
LIVES: Final = st.builds(
    Life,
    st.integers(1, 90_000),
    st.booleans(),
    st.sampled_from(MERCHANTS),
    st.sampled_from(CURRENCIES),
    st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["approved", "silence", "not sent"]),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(sorted(ISSUERS)),
    st.lists(STEPS, max_size=6).map(tuple),
)


def live(story: Story, lives: list[Life]) -> None:
    """Ask for the payments, then for what follows, in the order of time."""
    agenda: list[tuple[int, int, Step, Life, str, str]] = []
    for number, life in enumerate(lives):
        key = f"life-{number}"
        payment = story.pay(
            life.amount, manual=life.manual, merchant=life.merchant, currency=life.currency, key=key
        )
        capture = operation_id("cap", life.merchant, key)
        quarrel(story, life, capture)
        for attempt, name in enumerate(life.networks, 1):
            story.answers(payment, ANSWERS[name](life.amount), attempt=attempt)
        story.answers(payment, ANSWERS[life.reversal](life.amount), to=ReversalSubmitted)
        at = 0
        for step in life.steps:
            at += step.hours
            agenda.append((at, number, step, life, payment, issuers.case_of("visa", capture)))
    agenda.sort(key=lambda entry: entry[:2])
    passed = 0
    for at, _, step, life, payment, case_id in agenda:
        story.wait(hours=at - passed)
        passed = at
        ask(story, step, life, payment, case_id)


def quarrel(story: Story, life: Life, capture: str) -> None:
    """Write down what the issuer will say: of a third of the amount, for no more may be approved of it."""
    if life.issuer == "content":
        return
    amount = max(1, life.amount // 3)
    words = [Word(2, DisputeStep.CHARGEBACK, amount, reply_days=4)]
    if life.issuer == "lets go":
        words.append(Word(5, DisputeStep.WITHDRAWN, amount))
    story.disputes(capture, *words)
    story.replies(capture, DisputeStage.CHARGEBACK, *ISSUERS[life.issuer](amount))
    story.replies(capture, DisputeStage.PRE_ARBITRATION, Word(2, DisputeStep.RULED, amount // 2))


def ask(story: Story, step: Step, life: Life, payment: str, case_id: str) -> None:
    """One request. What it names is refused by the networks where the life says so: once, or for good."""
    amount = life.amount * step.share // 100
    by = life.merchant if step.by == SHOP else MERCHANTS[life.merchant == SHOP]
    match step.what:
        case "void":
            story.void(payment, merchant=by)
            return
        case "evidence" | "last evidence":
            # The case of a capture that the payment made itself, if there ever was one.
            stage = Answered.CHARGEBACK if step.what == "evidence" else Answered.PRE_ARBITRATION
            story.evidence(payment, case_id, stage, merchant=by)
            return
        case "refund":
            source = story.refund(payment, amount, merchant=by, currency=life.currency)
        case what:
            final = what == "final capture"
            source = story.capture(payment, amount, final=final, merchant=by, currency=life.currency)
    for presentment, refused in enumerate(life.refused, 1):
        if refused:
            story.refuses(source, ClearingRejection.INVALID_DATA, presentment=presentment)


def outcomes(story: Story) -> dict[str, set[str]]:
    """How each payment that was taken came out."""
    found: dict[str, set[str]] = {body.payment_id: set() for body in story.all(PaymentRequested)}
    for kind in (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown):
        for body in story.all(kind):
            found[body.payment_id].add(kind.__name__)
    return found


@settings(
    max_examples=HOUSES,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(LIVES, min_size=1, max_size=6), st.integers(2, 3))
@example([Life(300, True, SHOP, "USD", ("silence",), "silence", (False, False), "content", ())], 2)
@example([Life(300, False, SHOP, "USD", ("approved",), "approved", (False, False), "insists", LAST_WORDS)], 2)
def test_no_cent_is_lost_whatever_is_asked_for(lives: list[Life], partitions: int) -> None:
    """Every invariant holds, every item closes, every payment has an outcome, on one partition as on several."""
    balances = []
    for number in (1, partitions):
        with Story(partitions=number) as story:
            live(story, lives)
            story.end()
            note(f"{number}: {outcomes(story)}")
            refused = {body.reason for body in story.all(RequestRejected)}
            assert refused <= {RequestRejection.AMOUNT_NOT_POSITIVE}
            assert all(len(kinds) == 1 for kinds in outcomes(story).values())
            balances.append(story.balances())
    assert balances[0] == balances[1]
