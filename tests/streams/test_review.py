"""A payment that a verdict wants looked at waits for a person or its deadline, and goes the way that is decided."""

from typing import Any

import msgspec
import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import DAY, MINUTE
from events.clearing import ClearingRecordCreated
from events.errors import ValidationError
from events.identity import operation_id
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureRequested,
    OperationParked,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
    VoidRequested,
)
from events.partitions import ClockKind, LogOpened, ReferenceApplied
from events.reference import (
    ReviewAssignment,
    ReviewInstruction,
    ReviewQueue,
    ReviewQueues,
    decode_reference,
    encode_reference,
)
from events.refunds import RefundApproved
from events.requests import CaptureMode, Operation
from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewClosed,
    ReviewClosure,
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewOpened,
    ReviewProposed,
    ReviewRefusal,
    ReviewRefused,
    ReviewUnassigned,
)
from events.risk import RiskAssessed, Verdict
from streams import lifecycle, refunds, review
from tests.streams.builders_early import KEY, NOON, PAYMENT, SHOP
from tests.streams.builders_late import Table, make

APPROVE, DECLINE, REFUND = ReviewDecision
QUEUES = (
    ReviewQueue("pairs", 50, 1, 60, True, "decline"),
    ReviewQueue("singles", 0, 2, 240, False, "approve"),
)
NOTE = "ab" * 32


def assessed(score: int = 10, verdict: Verdict = Verdict.REVIEW) -> RiskAssessed:
    return RiskAssessed(PAYMENT, SHOP, verdict, score, ["odd-hour"], 1, [])


def opened(**fields: Any) -> ReviewOpened:
    """In the queue for one."""
    values = {
        "payment_id": PAYMENT,
        "merchant": SHOP,
        "queue": "singles",
        "priority": 2,
        "four_eyes": False,
        "score": 10,
        "rules": ["odd-hour"],
        "deadline_at": NOON + 240 * MINUTE,
        "falls_to": APPROVE,
    }
    return ReviewOpened(**(values | fields))


def decided(
    decision: ReviewDecision, *, by: str = "ana", first: str = "", queue: str = "singles"
) -> ReviewDecided:
    return ReviewDecided(PAYMENT, SHOP, queue, decision, ReviewedBy.ANALYST, by, first, NOTE)


def lapsed(decision: ReviewDecision, queue: str) -> ReviewDecided:
    return ReviewDecided(PAYMENT, SHOP, queue, decision, ReviewedBy.DEADLINE, "", "", "")


def wants(decision: ReviewDecision, analyst: str = "ana", payment: str = PAYMENT) -> ReferenceApplied:
    content = ReviewInstruction(payment, decision, analyst, NOTE)
    return ReferenceApplied("review", payment, 9, "", encode_reference(content))


def refused(decision: ReviewDecision, reason: ReviewRefusal, by: str = "ana") -> ReviewRefused:
    return ReviewRefused(PAYMENT, by, decision, reason)


def desk(*given: Event, queues: tuple[ReviewQueue, ...] = QUEUES) -> Table:
    """The processor with queues in force, after what is given."""
    table = Table(review)
    table.hear_of(ReferenceApplied("queues", "standard", 1, "", encode_reference(ReviewQueues(1, queues))))
    for one in given:
        table.comes(one)
    return table


# --- opening and ending -------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [Verdict.REVIEW, Verdict.STEP_UP])
def test_a_review_is_opened_in_the_first_queue_that_fits(verdict: Verdict) -> None:
    """With all that whoever looks needs to know of the verdict."""
    assert [opened()] == desk().comes(assessed(verdict=verdict))
    soon = NOON + 60 * MINUTE
    urgent = opened(queue="pairs", priority=1, four_eyes=True, score=50, deadline_at=soon, falls_to=DECLINE)
    assert [urgent] == desk().comes(assessed(50, verdict))


def test_nobody_looks_where_nobody_is_asked_to() -> None:
    """Another verdict, no queue that fits, no queue at all, or a review that there was already."""
    assert [] == desk().comes(assessed(verdict=Verdict.ALLOW), assessed(verdict=Verdict.BLOCK))
    assert [] == desk(queues=QUEUES[:1]).comes(assessed(49))
    assert [] == Table(review).comes(assessed())
    assert [] == desk(assessed()).comes(assessed())
    assert [] == desk(assessed(), wants(APPROVE)).comes(assessed())


@pytest.mark.parametrize("decision", [APPROVE, DECLINE])
def test_one_person_decides(decision: ReviewDecision) -> None:
    """At once, and for good."""
    table = desk(assessed())
    assert [decided(decision)] == table.comes(wants(decision))
    assert [refused(decision, ReviewRefusal.ALREADY_DECIDED)] == table.comes(wants(decision))
    assert [] == table.passes(NOON + 2 * DAY)


def test_two_people_decide_where_the_queue_asks_for_it() -> None:
    """The second must be another one, and agree; who disagrees proposes instead."""
    table = desk(assessed(60))
    assert [ReviewProposed(PAYMENT, "ana", APPROVE, NOTE)] == table.comes(wants(APPROVE))
    assert [refused(APPROVE, ReviewRefusal.SAME_ANALYST)] == table.comes(wants(APPROVE))
    assert [ReviewProposed(PAYMENT, "ben", DECLINE, NOTE)] == table.comes(wants(DECLINE, "ben"))
    assert [decided(DECLINE, by="ana", first="ben", queue="pairs")] == table.comes(wants(DECLINE))


def test_the_deadline_decides_where_nobody_does() -> None:
    """At the first tick at or after it, the way of the queue; a proposal alone is nothing."""
    table = desk(assessed(60), wants(APPROVE))
    assert [] == table.passes(NOON + 60 * MINUTE - 1)
    assert [lapsed(DECLINE, "pairs")] == table.passes(NOON + 60 * MINUTE)
    assert [refused(APPROVE, ReviewRefusal.AFTER_THE_DEADLINE, "ben")] == table.comes(wants(APPROVE, "ben"))


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        (make(PaymentDeclined), ReviewClosure.DECLINED),
        (make(AuthorizationReversed), ReviewClosure.REVERSED),
        (make(PaymentVoided), ReviewClosure.VOIDED),
        (make(AuthorizationExpired), ReviewClosure.EXPIRED),
    ],
)
def test_a_payment_that_is_over_takes_its_review_with_it(over: Event, cause: ReviewClosure) -> None:
    """Once; and without one it takes nothing."""
    table = desk(assessed())
    assert [ReviewClosed(PAYMENT, SHOP, "singles", cause)] == table.comes(over)
    assert [] == table.comes(over)
    assert [refused(APPROVE, ReviewRefusal.OVERTAKEN)] == table.comes(wants(APPROVE))
    assert [] == table.passes(NOON + DAY)


def test_a_payment_that_nobody_looks_at_is_not_decided() -> None:
    """Whatever it is called; and only its own partition says so."""
    assert [refused(APPROVE, ReviewRefusal.NOT_UNDER_REVIEW)] == desk().comes(wants(APPROVE))
    [nonsense] = desk().comes(wants(APPROVE, payment="no such thing"))
    assert isinstance(nonsense, ReviewRefused)
    elsewhere = desk()
    elsewhere.hear_of(LogOpened("payments", 3, 4, ClockKind.VIRTUAL, 1, NOON, 9, "", []))
    assert [] == elsewhere.comes(wants(APPROVE))


def test_an_approved_payment_can_be_given_back_once_it_is_captured() -> None:
    """Once. While it is under review there is nothing to give back."""
    table = desk(assessed())
    assert [refused(REFUND, ReviewRefusal.NOTHING_CAPTURED)] == table.comes(wants(REFUND))
    table.comes(wants(APPROVE))
    assert [refused(REFUND, ReviewRefusal.NOTHING_CAPTURED)] == table.comes(wants(REFUND))
    table.comes(make(PaymentCaptured))
    assert [decided(REFUND)] == table.comes(wants(REFUND))
    assert [refused(REFUND, ReviewRefusal.ALREADY_DECIDED)] == table.comes(wants(REFUND))


def test_the_end_of_a_review_is_forgotten() -> None:
    """As late as a refund of its payment would be."""
    table = desk(assessed(), wants(APPROVE))
    table.passes(NOON + review.MEMORY_DAYS * DAY)
    assert table.summary()
    table.passes(NOON + (review.MEMORY_DAYS + 1) * DAY)
    assert [] == table.summary()
    assert ([], []) == (table.state.days, table.state.deadlines)


# --- whose it is ---------------------------------------------------------------------------------------


def gives(analyst: str, by: str = "lee", payment: str = PAYMENT) -> ReferenceApplied:
    """Somebody says whose the review is to be."""
    content = ReviewAssignment(payment, analyst, by, NOTE)
    return ReferenceApplied("assignment", payment, 9, "", encode_reference(content))


def assigned(analyst: str, before: str = "", by: str = "lee", queue: str = "singles") -> ReviewAssigned:
    return ReviewAssigned(PAYMENT, SHOP, queue, analyst, before, by, NOTE)


def test_an_open_review_is_given_passed_on_and_given_back() -> None:
    """Each event says whose it was before."""
    table = desk(assessed())
    assert [assigned("ana")] == table.comes(gives("ana"))
    assert [assigned("ben", "ana", "ana")] == table.comes(gives("ben", "ana"))
    assert [ReviewUnassigned(PAYMENT, SHOP, "singles", "ben", "lee", NOTE)] == table.comes(gives(""))
    assert [assigned("ana", "", "ana")] == table.comes(gives("ana", "ana"))


def test_what_changes_nothing_is_no_event() -> None:
    """The same analyst again, whoever says so and however often; nobody's to nobody."""
    table = desk(assessed())
    assert [] == table.comes(gives(""))
    assert [assigned("ana")] == table.comes(gives("ana"), gives("ana"), gives("ana", "ben"))
    table.comes(gives(""))
    assert [] == table.comes(gives(""), gives("", "ana"))


def test_whoever_decides_need_not_be_who_has_it() -> None:
    """An assignment binds nobody, in a queue for two as in one for one, and the deadline asks for no name."""
    assert [decided(APPROVE, by="ben")] == desk(assessed(), gives("ana")).comes(wants(APPROVE, "ben"))
    table = desk(assessed(60), gives("ana"))
    assert [ReviewProposed(PAYMENT, "ana", DECLINE, NOTE)] == table.comes(wants(DECLINE))
    assert [assigned("ben", "ana", queue="pairs")] == table.comes(gives("ben"))
    assert [decided(DECLINE, by="kim", first="ana", queue="pairs")] == table.comes(wants(DECLINE, "kim"))
    table = desk(assessed(), gives("ana"))
    assert [lapsed(APPROVE, "singles")] == table.passes(NOON + 240 * MINUTE)


@pytest.mark.parametrize("analyst", ["ana", ""])
@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ([], ReviewRefusal.NOT_UNDER_REVIEW),
        ([assessed(), wants(APPROVE)], ReviewRefusal.ALREADY_DECIDED),
        ([assessed(), make(PaymentVoided)], ReviewRefusal.OVERTAKEN),
        ([assessed(), wants(APPROVE), make(PaymentCaptured), wants(REFUND)], ReviewRefusal.ALREADY_DECIDED),
        ([assessed(), wants(APPROVE), make(PaymentCaptured)], ReviewRefusal.ALREADY_DECIDED),
    ],
)
def test_a_review_that_is_not_open_is_given_to_nobody(
    before: list[Event], reason: ReviewRefusal, analyst: str
) -> None:
    """Nor given back; with the reason for which a decision would be refused."""
    table = desk(*before)
    assert [ReviewAssignmentRefused(PAYMENT, analyst, "lee", reason)] == table.comes(gives(analyst))


def test_a_review_that_has_lapsed_is_given_to_nobody() -> None:
    """The deadline has decided it."""
    table = desk(assessed())
    table.passes(NOON + 240 * MINUTE)
    late = ReviewAssignmentRefused(PAYMENT, "ana", "lee", ReviewRefusal.AFTER_THE_DEADLINE)
    assert [late] == table.comes(gives("ana"))


def test_only_its_own_partition_gives_a_review() -> None:
    """What names no payment at all is refused by one."""
    [nonsense] = desk().comes(gives("ana", payment="no such thing"))
    assert isinstance(nonsense, ReviewAssignmentRefused)
    elsewhere = desk()
    elsewhere.hear_of(LogOpened("payments", 3, 4, ClockKind.VIRTUAL, 1, NOON, 9, "", []))
    assert [] == elsewhere.comes(gives("ana"))


def test_whose_it_is_stands_in_the_state_while_it_is_open() -> None:
    """Also in one that was put away and brought back; and is forgotten with it."""
    table = desk(assessed(), gives("ana"))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(table.state), type=review.State)
    assert list(review.summary(table.state)) == list(review.summary(kept))
    assert [line for line in table.summary() if line.endswith(", of ana")]
    table.comes(gives(""))
    assert not [line for line in table.summary() if ", of " in line]
    table.comes(gives("ben"), wants(APPROVE))
    assert not [line for line in table.summary() if "ben" in line]


@pytest.mark.parametrize(
    ("analyst", "by", "good"),
    [
        ("a" * 80, "b" * 80, True),
        ("", "b", True),
        ("a" * 81, "b", False),
        ("a", "", False),
        ("a", "b" * 81, False),
    ],
)
def test_names_are_as_long_as_those_of_who_decides(analyst: str, by: str, good: bool) -> None:
    """Where nobody is named to have it, it is anybody's; somebody has always said so."""
    content = ReviewAssignment(PAYMENT, analyst, by, "")
    written = encode_reference(content)
    if good:
        assert content == decode_reference("assignment", written)
    else:
        with pytest.raises(ValidationError, match="length"):
            decode_reference("assignment", written)


# --- what follows for the payment ---------------------------------------------------------------------

REQUESTED = make(PaymentRequested, capture_mode=CaptureMode.AUTOMATIC)
AUTHORIZED = make(PaymentAuthorized)
BY_HAND = make(PaymentRequested, capture_mode=CaptureMode.MANUAL)


def test_what_is_looked_at_is_captured_when_it_is_approved() -> None:
    """And not when the issuer approves it."""
    table = Table(lifecycle)
    assert [] == table.comes(REQUESTED, opened(), AUTHORIZED)
    [captured] = table.comes(decided(APPROVE))
    assert isinstance(captured, PaymentCaptured)
    assert (1_000, 1_000, True) == (captured.amount, captured.hold_released, captured.final)
    assert [] == table.passes(AUTHORIZED.valid_until_at + DAY)


@pytest.mark.parametrize(
    "ending", [decided(APPROVE), ReviewClosed(PAYMENT, SHOP, "q", ReviewClosure.DECLINED)]
)
def test_what_is_decided_before_the_issuer_answers_goes_on_as_ever(ending: Event) -> None:
    """Captured by itself as soon as it is authorized."""
    table = Table(lifecycle)
    [captured] = table.comes(REQUESTED, opened(), ending, AUTHORIZED)
    assert isinstance(captured, PaymentCaptured)


def test_what_is_turned_down_is_let_go() -> None:
    """With its whole hold, now or as soon as there is one."""
    voided = make(PaymentVoided)
    table = Table(lifecycle)
    assert [voided] == table.comes(REQUESTED, opened(), AUTHORIZED, decided(DECLINE))
    table = Table(lifecycle)
    assert [voided] == table.comes(REQUESTED, opened(), decided(DECLINE), AUTHORIZED)


def test_a_merchants_capture_waits_for_the_decision() -> None:
    """Parked, and done at the tick behind it; a void does not wait."""
    wanted = make(CaptureRequested, amount=400, final=True)
    table = Table(lifecycle)
    table.comes(BY_HAND, opened(), AUTHORIZED, wanted)
    assert [OperationParked(PAYMENT, Operation.CAPTURE, wanted.idempotency_key)] == table.next()
    assert [] == table.next()
    assert [] == table.comes(decided(APPROVE))
    captured, released = table.next()
    assert isinstance(captured, PaymentCaptured)
    assert isinstance(released, AuthorizationRemainderReleased)
    table = Table(lifecycle)
    table.comes(BY_HAND, opened(), AUTHORIZED, make(VoidRequested))
    assert [make(PaymentVoided)] == table.next()


def test_a_hold_may_run_out_while_somebody_looks() -> None:
    """Also of what would have been captured by itself."""
    table = Table(lifecycle)
    table.comes(REQUESTED, opened(), AUTHORIZED)
    assert [make(AuthorizationExpired)] == table.passes(AUTHORIZED.valid_until_at)


def test_what_is_given_back_is_all_that_is_left() -> None:
    """Of what was captured, less what was refunded; nothing where nothing is."""
    table = Table(refunds)
    table.comes(REQUESTED, AUTHORIZED, make(PaymentCaptured), make(RefundApproved, amount=300))
    [back] = table.comes(decided(REFUND))
    assert isinstance(back, RefundApproved)
    assert 700 == back.amount
    assert [] == table.comes(decided(REFUND))
    assert [] == table.comes(decided(APPROVE))
    assert [] == Table(refunds).comes(decided(REFUND))


def test_a_review_that_ends_late_leaves_a_payment_that_is_over_alone() -> None:
    """Its captures have left: nothing is done twice."""
    table = Table(lifecycle)
    table.comes(REQUESTED, AUTHORIZED)
    table.comes(make(ClearingRecordCreated, source_id=operation_id("cap", SHOP, KEY)))
    assert [] == table.comes(decided(APPROVE), decided(DECLINE))
