"""A label on its way through the house: under its card at once, under all the rest in every partition at one tick."""

from typing import NamedTuple

import pytest

from events.calendar import HOUR
from events.disputes import DisputeStage, DisputeStep, FraudConfirmed, Label, LabelSource
from events.identity import card_id
from events.labels import LabelApplied, LabelSignalled, PaymentLabelled
from events.lifecycle import PaymentCaptured, PaymentRequested
from events.partitions import TickPassed
from events.reference import Action, ReviewInstruction, RuleBook, WrittenRule
from events.requests import RefundReason
from events.review import ReviewDecision, ReviewFinding
from events.risk import RiskAssessed, Verdict
from streams.edge.reference import Entry
from streams.features.rules.catalogue import LANGUAGE
from streams.features.rules.judging import Judge
from streams.features.rules.packs import read_pack
from streams.features.vectors import RECORDED
from streams.forensics.backtest import back_test
from streams.forensics.explaining import explain
from tests.simulation.stories import START, Story, Word
from tests.streams.forensics.test_explaining import Whole

S = DisputeStep
THIEF, OTHER = card_id(3, b"a" * 10), card_id(900, b"b" * 10)
"""At home in the first and in the last partition."""
BOOK = RuleBook(
    LANGUAGE,
    1,
    "",
    (
        WrittenRule("known-card", Action.BLOCK, None, "card.frauds_30d > 0", 50, False),
        WrittenRule("known-device", Action.REVIEW, None, "device.frauds_30d > 0", 20, False),
        WrittenRule("bad-shop", Action.REVIEW, None, "merchant.frauds_30d >= 1 and not card.new", 10, True),
    ),
    (),
    (),
)


def known(story: Story, payment: str) -> dict[str, int]:
    """What a verdict knew of frauds in 30 days, what is nothing left out."""
    features = story.the(RiskAssessed, payment_id=payment).features
    return {
        name.removesuffix(".frauds_30d"): value
        for name, value in zip(RECORDED, features, strict=True)
        if name.endswith(".frauds_30d") and value
    }


class Told(NamedTuple):
    """The story with its payments: the stolen one, then those of its card, those of the other, and the last."""

    story: Story
    stolen: str
    thief: list[str]
    other: list[str]
    last: str


@pytest.fixture(scope="module")
def told() -> Told:
    """Two cards, one device; the issuer reports the first payment, disputes it, and gives in to evidence.

    Each card pays once an hour from the tick of a label on, until one hour behind the tick at which all count it.
    """
    with Story(partitions=2) as story:
        story.publish(Entry("rulebook", "standard", BOOK))
        story.wait(hours=1)
        stolen = story.pay(1_000, card=THIEF, device="phone", ip="ip-1")
        story.wait(hours=1)
        capture = story.the(PaymentCaptured, payment_id=stolen).capture_id
        case = story.disputes(
            capture,
            Word(2, amount=1_000),
            Word(3, S.CHARGEBACK, 1_000, "10.4", reply_days=9),
        )
        story.replies(
            capture,
            DisputeStage.CHARGEBACK,
            Word(1, S.EVIDENCE_CREDITED, 1_000),
            Word(2, S.EVIDENCE_ACCEPTED),
        )
        thief, other, outstanding = [], [], False
        for day in range(9):
            for _ in range(24):
                story.wait(hours=1)
                before, outstanding = (
                    outstanding,
                    len(story.all(LabelApplied)) < 2 * len(story.all(PaymentLabelled)),
                )
                if outstanding or before:
                    thief.append(story.pay(500, card=THIEF, ip="ip-2"))
                    other.append(story.pay(500, card=OTHER, device="phone"))
            if day == 4:
                story.evidence(stolen, case)
        story.wait(hours=6)
        last = story.pay(500, card=THIEF, ip="ip-1", device="phone")
        story.end()
    return Told(story, stolen, thief, other, last)


def test_who_knows_what_when(told: Told) -> None:
    """The auditor has looked at all of it; here is the order, hour by hour."""
    story = told.story
    first, second = story.all(PaymentLabelled)
    assert (1, Label.FRAUD, 2, Label.GENUINE) == (first.number, first.label, second.number, second.label)
    assert told.stolen == first.payment_id == second.payment_id
    assert second.replaced_at > first.paid_at
    # One record in velocity and one in each partition for each label, however often it was said.
    assert 2 * 3 == len(story.all(LabelSignalled))
    applied = [(one.number, one.label) for one in story.all(LabelApplied)]
    assert [(1, Label.FRAUD)] * 2 + [(2, Label.GENUINE)] * 2 == applied

    thief = [known(story, payment) for payment in told.thief]
    other = [known(story, payment) for payment in told.other]
    own, shared = {"card": 1, "card_merchant": 1}, {"merchant": 1}
    assert {} == known(story, told.stolen) == known(story, told.last), "before, and when it is taken back"
    # What the card's own partition knows at once, the others know two ticks later, and so when it is taken back.
    assert [own, own, own | shared, shared, shared, {}] == thief
    assert [{}, {}, *[{"device": 1} | shared] * 3, {}] == other
    allow, review, _, block = Verdict
    verdicts = [story.the(RiskAssessed, payment_id=one).verdict for one in (*told.thief, *told.other)]
    assert [block] * 3 + [allow] * 3 == verdicts[:6]
    assert [allow] * 2 + [review] * 3 + [allow] == verdicts[6:]


def test_it_counts_at_the_same_tick_everywhere(told: Told) -> None:
    """Two ticks behind the one that decides it, whichever partition heard of it."""
    times = {
        (recorded.body.number, recorded.meta.recorded_at)
        for recorded in told.story.events
        if isinstance(recorded.body, LabelApplied)
    }
    known_at = {
        (recorded.body.number, recorded.meta.recorded_at)
        for recorded in told.story.events
        if isinstance(recorded.body, PaymentLabelled)
    }
    assert {(number, at + 2 * HOUR) for number, at in known_at} == times
    assert START < min(at for _, at in times) < max(body.at for body in told.story.all(TickPassed))


def test_it_is_explained_and_tested_back(told: Told) -> None:
    """Every verdict comes out again from the log, and names its label; a back-test sees what the stream saw."""
    log = Whole(told.story.log)
    verdicts = told.story.all(RiskAssessed)
    for verdict in verdicts:
        found = explain(log, verdict.payment_id)  # type: ignore[arg-type]
        assert found.agrees
        labels = [one for one in found.origins if one.what == "fraud label"]
        assert bool(known(told.story, verdict.payment_id)) <= bool(labels)
    rows = []
    found_again = back_test(log, Judge(read_pack(BOOK), {}), told=rows.append)  # type: ignore[arg-type]
    assert {row.payment_id: row.rules for row in rows if row.rules} == {
        verdict.payment_id: tuple(verdict.rules) for verdict in verdicts if verdict.rules
    }
    assert 1 == found_again.labels
    assert 0 == found_again.frauds, "what was taken back is no fraud"


# --- merchants and analysts -----------------------------------------------------------------------------------


class Heard(NamedTuple):
    """Payments that were labelled by a refund and by a review, and the card's later payments, an hour apart each."""

    story: Story
    refunded: str
    declined: str
    later: list[str]


LOOKED_AT = RuleBook(
    LANGUAGE, 1, "", (WrittenRule("large", Action.REVIEW, None, "amount >= 90000 minor", 20, False),), (), ()
)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """One card is refunded for fraud, another is declined as fraud by an analyst while its payment is under review."""
    with Story(partitions=2) as story:
        story.publish(Entry("rulebook", "standard", LOOKED_AT))
        story.wait(hours=1)
        refunded = story.pay(1_000, card=THIEF, device="phone")
        declined = story.pay(90_000, card=OTHER, device="tablet")
        other = story.pay(1_000, device="book")
        story.wait(hours=2)
        story.refund(refunded, 400, reason=RefundReason.FRAUDULENT)
        story.refund(other, 1_000, reason=RefundReason.REQUESTED_BY_CUSTOMER)
        said = ReviewInstruction(declined, ReviewDecision.DECLINE, "ana", "", ReviewFinding.FRAUD)
        story.publish(Entry("review", declined, said))
        later = []
        for _ in range(5):
            later.append(story.pay(500, card=THIEF, device="phone"))
            later.append(story.pay(500, card=OTHER, device="tablet"))
            story.wait(hours=1)
        story.end()
    return Heard(story, refunded, declined, later)


def test_merchants_and_analysts_are_heard(heard: Heard) -> None:
    """Each labels its own payment and no other; the label counts of the card from its position on, and not before."""
    story = heard.story
    assert {
        (heard.refunded, LabelSource.REFUND, Label.FRAUD, 400),
        (heard.declined, LabelSource.ANALYST, Label.FRAUD, 90_000),
    } == {(one.payment_id, one.source, one.label, one.amount) for one in story.all(FraudConfirmed)}
    assert {heard.refunded, heard.declined} == {one.payment_id for one in story.all(PaymentLabelled)}
    assert not [one for one in story.all(PaymentCaptured) if one.payment_id == heard.declined]
    order = [recorded.body for recorded in story.events]
    for labelled in story.all(PaymentLabelled):
        position = order.index(labelled)
        for payment in heard.later:
            if story.the(PaymentRequested, payment_id=payment).card_id == labelled.card_id:
                verdict = story.the(RiskAssessed, payment_id=payment)
                assert ("card" in known(story, payment)) == (order.index(verdict) > position)
    last = [known(story, payment) for payment in heard.later[-2:]]
    assert [{"card", "device", "card_merchant", "merchant"}] * 2 == [set(one) for one in last]
    first = [known(story, payment) for payment in heard.later[:2]]
    assert [{}, {}] == first
