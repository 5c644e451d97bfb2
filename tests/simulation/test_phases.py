"""Rules that know the issuer's answer: a second verdict before anything is captured, told through the whole house."""

import msgspec
import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, ReversalReason, ReversalSubmitted
from events.lifecycle import AuthorizationExpired, OperationParked, PaymentCaptured, PaymentVoided
from events.reference import Action, NetworkProfile, ReviewQueue, ReviewQueues, RuleBook, WrittenRule
from events.review import ReviewClosed, ReviewDecided, ReviewDecision, ReviewOpened
from events.risk import Phase, RiskAssessed, Verdict
from streams.edge.reference import Entry
from streams.features.rules.catalogue import LANGUAGE
from streams.features.rules.judging import Judge
from streams.features.rules.packs import read_pack
from streams.forensics.backtest import back_test
from streams.forensics.explaining import explain
from tests.simulation.stories import Story, declined, entries, reply, silence
from tests.streams.forensics.test_explaining import Whole

BEFORE, _, AFTER = Phase
BLOCK, REVIEW = Action.BLOCK, Action.REVIEW


def written(name: str, action: Action, when: str, points: int = 30) -> WrittenRule:
    """A rule that is asked as soon as it can be."""
    return WrittenRule(name, action, None, when, points, False)


BOOK = RuleBook(
    LANGUAGE,
    1,
    "",
    (
        written("wrong-code", BLOCK, 'payment.cvv == "no_match" and amount > 10.00 USD', 80),
        written("wrong-address", REVIEW, 'payment.avs == "none"'),
        written("large", REVIEW, "amount > 900.00 USD"),
    ),
    (),
    (),
)
QUEUE = ReviewQueue("desk", 0, 1, 240, False, "approve")


def house(*queues: ReviewQueue, partitions: int = 1) -> Story:
    """A story in which the book is in force, and these queues alone."""
    story = Story(partitions=partitions)
    story.publish(Entry("rulebook", "standard", BOOK), Entry("queues", "standard", ReviewQueues(1, queues)))
    return story


def verdicts(story: Story, payment: str) -> list[tuple[Phase, Verdict, list[str]]]:
    """What was thought of a payment, in order."""
    return [(one.phase, one.verdict, one.rules) for one in story.all(RiskAssessed, payment_id=payment)]


LIFE = (RiskAssessed, PaymentAuthorized, PaymentCaptured, PaymentVoided, ReversalSubmitted, ReviewOpened)


def test_a_wrong_code_takes_the_authorization_back() -> None:
    """Nothing is captured, the hold is released, the network is told; the money of it ends at zero."""
    with house() as story:
        good, bad, small = story.pay(4_000), story.pay(4_000), story.pay(900)
        for payment in (bad, small):
            story.answers(payment, reply("00", cvv_result="N"))
        story.end()
        assert [(BEFORE, Verdict.ALLOW, []), (AFTER, Verdict.BLOCK, ["wrong-code"])] == verdicts(story, bad)
        assert [(BEFORE, Verdict.ALLOW, []), (AFTER, Verdict.ALLOW, [])] == verdicts(story, good)
        assert [
            "RiskAssessed",
            "PaymentAuthorized",
            "RiskAssessed",
            "PaymentVoided",
            "ReversalSubmitted",
        ] == story.told(bad, *LIFE)
        assert 4_000 == story.the(PaymentVoided).hold_released
        assert ReversalReason.VOID is story.the(AuthorizationReversed, payment_id=bad).reason
        assert [-4_000, 0] == story.path("AH", bad)
        assert {good, small} == {body.payment_id for body in story.all(PaymentCaptured)}


@pytest.mark.parametrize("manual", [False, True])
def test_a_capture_waits_for_whoever_looks_at_the_answer(manual: bool) -> None:
    """And goes on when the queue lets it, or when he does; where no queue is in force nobody looks."""
    with house(QUEUE) as story:
        looked_at = story.pay(4_000, manual=manual)
        story.answers(looked_at, reply("00", avs_result="N"))
        if manual:
            story.wait(hours=1)
            story.capture(looked_at, 4_000)
        story.wait(hours=2)
        assert [] == story.all(PaymentCaptured)
        assert [(BEFORE, Verdict.ALLOW, []), (AFTER, Verdict.REVIEW, ["wrong-address"])] == verdicts(
            story, looked_at
        )
        assert bool(story.all(OperationParked)) is manual
        story.end()
        assert 4_000 == story.the(PaymentCaptured, payment_id=looked_at).amount
        assert ReviewDecision.APPROVE is story.the(ReviewDecided).decision
    with house() as story:
        unseen = story.pay(4_000)
        story.answers(unseen, reply("00", avs_result="N"))
        story.wait(hours=1)
        assert 4_000 == story.the(PaymentCaptured, payment_id=unseen).amount
        story.end()


def test_a_review_that_waits_longer_than_the_issuer_ends_with_the_hold() -> None:
    """The hold runs out although the payment is captured by itself."""
    slow = ReviewQueue("desk", 0, 1, 5 * 24 * 60, False, "approve")
    with house(slow) as story:
        story.publish(
            *(
                entry._replace(content=msgspec.structs.replace(entry.content, hold_days=2))
                for entry in entries()
                if isinstance(entry.content, NetworkProfile)
            )
        )
        story.wait(hours=1)
        payment = story.pay(4_000)
        story.answers(payment, reply("00", avs_result="N"))
        story.wait(days=2, hours=6)
        assert 4_000 == story.the(AuthorizationExpired, payment_id=payment).hold_released
        assert payment == story.the(ReviewClosed).payment_id
        story.end()
        assert [] == story.all(PaymentCaptured)


def test_both_phases_have_their_say() -> None:
    """A payment that is looked at already is blocked by the answer, and its review is over with it."""
    with house(QUEUE) as story:
        payment = story.pay(95_000)
        story.answers(payment, reply("00", cvv_result="N", avs_result="N"))
        story.end()
        assert [
            (BEFORE, Verdict.REVIEW, ["large"]),
            (AFTER, Verdict.BLOCK, ["wrong-code", "wrong-address"]),
        ] == verdicts(story, payment)
        assert payment == story.the(ReviewOpened).payment_id == story.the(ReviewClosed).payment_id
        assert [] == story.all(PaymentCaptured)


def test_of_what_is_over_nothing_is_asked() -> None:
    """A payment that the issuer declines, and one of which nothing is heard in time."""
    with house() as story:
        over = story.pay(4_000), story.pay(4_000)
        story.answers(over[0], declined())
        story.answers(over[1], silence)
        story.end()
        for payment in over:
            assert [(BEFORE, Verdict.ALLOW, [])] == verdicts(story, payment)


def test_both_verdicts_are_decided_again() -> None:
    """From the log, bit for bit, with the words of the answer; and a back-test fires the same rules."""
    with house(partitions=2) as story:
        asked = [story.pay(4_000 + number) for number in range(8)]
        for number, payment in enumerate(asked):
            story.answers(payment, reply("00", cvv_result="MN"[number % 2], avs_result="YN"[number % 3 == 0]))
        story.answers(asked[-1], declined())
        story.end()
    log = Whole(story.log)
    for number, payment in enumerate(asked):
        found = explain(log, payment)  # type: ignore[arg-type]
        assert found.agrees
        assert not found.texts.get("payment.cvv")
        if payment == asked[-1]:
            assert found.after is None
            continue
        assert found.after is not None
        assert found.after.agrees
        assert ("00", ["match", "no_match"][number % 2]) == (
            found.after.texts["authorization.code"],
            found.after.texts["payment.cvv"],
        )
        assert [one.rule for one in found.after.fired] == verdicts(story, payment)[1][2]
        assert all(one.when for one in found.after.fired)
    rows = []
    back_test(log, Judge(read_pack(BOOK), {}), told=rows.append)  # type: ignore[arg-type]
    again = {row.payment_id: list(row.rules) for row in rows if row.rules}
    assert {
        payment: rules for payment in asked for *_, rules in verdicts(story, payment)[1:] if rules
    } == again
