"""Whose a review is, told through the whole house: on any number of partitions, whatever is published twice."""

import pytest

from events.lifecycle import PaymentCaptured
from events.reference import Action, ReviewAssignment, ReviewInstruction, ReviewQueue, ReviewQueues, RuleBook
from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewClosed,
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewFinding,
    ReviewOpened,
    ReviewRefusal,
    ReviewUnassigned,
)
from streams.edge.reference import Entry
from streams.features.rules.catalogue import LANGUAGE
from tests.simulation.stories import Story
from tests.simulation.test_phases import written

BOOK = RuleBook(LANGUAGE, 1, "", (written("large", Action.REVIEW, "amount > 900.00 USD"),), (), ())
QUEUES = ReviewQueues(1, (ReviewQueue("desk", 0, 1, 240, False, "approve"),))
LIFE = (
    ReviewOpened,
    ReviewAssigned,
    ReviewUnassigned,
    ReviewAssignmentRefused,
    ReviewDecided,
    PaymentCaptured,
)


def given(payment: str, analyst: str, by: str = "lee") -> Entry:
    """Somebody says whose a review is to be."""
    return Entry("assignment", payment, ReviewAssignment(payment, analyst, by, ""))


@pytest.mark.parametrize("partitions", [1, 3])
def test_reviews_are_shared_out_and_decided(partitions: int) -> None:
    """One is passed on and decided by a third, one is given back and falls to its deadline, one is nobody's ever."""
    with Story(partitions=partitions) as story:
        story.publish(Entry("rulebook", "standard", BOOK), Entry("queues", "standard", QUEUES))
        story.wait(hours=1)
        first, second, harmless = story.pay(95_000), story.pay(96_000), story.pay(1_000)
        story.wait(hours=1)
        story.publish(given(first, "ana"), given(second, "ana"), given(harmless, "ana"), given(first, "ana"))
        story.wait(hours=1)
        story.publish(given(first, "ben", "ana"), given(second, ""), given(second, "", "ana"))
        story.wait(hours=1)
        assert [] == [one for one in story.all(PaymentCaptured) if one.payment_id != harmless]
        approved = ReviewInstruction(first, ReviewDecision.APPROVE, "kim", "", ReviewFinding.GENUINE)
        story.publish(Entry("review", first, approved), given(first, "kim"))
        story.end()
        assert [("", "ana", "lee"), ("ana", "ben", "ana")] == [
            (one.taken_from, one.analyst, one.assigned_by)
            for one in story.all(ReviewAssigned, payment_id=first)
        ]
        assert "kim" == story.the(ReviewDecided, payment_id=first).analyst
        assert ["ana"] == [one.taken_from for one in story.all(ReviewUnassigned, payment_id=second)]
        assert ReviewedBy.DEADLINE is story.the(ReviewDecided, payment_id=second).reviewed_by
        assert {
            (harmless, "ana", ReviewRefusal.NOT_UNDER_REVIEW),
            (first, "kim", ReviewRefusal.ALREADY_DECIDED),
        } == {(one.payment_id, one.analyst, one.reason) for one in story.all(ReviewAssignmentRefused)}
        assert [] == story.all(ReviewClosed)
        captured = ["ReviewDecided", "PaymentCaptured"]
        assert captured == story.told(second, *LIFE)[-2:]
        assert {first, second, harmless} == {one.payment_id for one in story.all(PaymentCaptured)}
