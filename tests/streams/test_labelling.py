"""Who may say what a payment was, beside its issuer: the merchant by a refund, our own people by a review."""

from itertools import product

import pytest

from events.authorization import PaymentAuthorized
from events.calendar import DAY, HOUR
from events.disputes import FraudConfirmed, Label, LabelSource
from events.errors import ValidationError
from events.lifecycle import PaymentCaptured, PaymentRequested
from events.partitions import ReferenceApplied
from events.reference import ReviewInstruction, ReviewQueue, ReviewQueues, decode_reference, encode_reference
from events.refunds import RefundApproved, RefundRequested
from events.requests import RefundReason
from events.review import (
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewFinding,
    ReviewProposed,
    ReviewRefused,
)
from events.risk import RiskAssessed, Verdict
from streams import disputes, refunds, review
from streams.features.cases import FRAUD_CODES, is_fraud
from tests.streams.builders_early import CARD, NOON, PAYMENT, SHOP
from tests.streams.builders_late import Table, make

APPROVE, DECLINE, REFUND = ReviewDecision
FRAUD, GENUINE = ReviewFinding
REQUESTED = make(PaymentRequested)
AUTHORIZED = make(PaymentAuthorized)
FOUND = (None, FRAUD, GENUINE)


def after(processor: object, *given: object) -> Table:
    table = Table(processor)
    table.hear_of(*given)  # type: ignore[arg-type]
    return table


def decided(decision: ReviewDecision, finding: ReviewFinding | None, by: str = "ana") -> ReviewDecided:
    return ReviewDecided(PAYMENT, SHOP, "singles", decision, ReviewedBy.ANALYST, by, "", "", finding)


def labelled(source: LabelSource, label: Label, reference: str) -> FraudConfirmed:
    return FraudConfirmed(PAYMENT, SHOP, CARD, source, label, reference, 1_000, "USD", NOON)


# --- merchants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, *RefundReason])
def test_a_refund_keeps_its_reason(reason: RefundReason | None) -> None:
    """From the request to the approval; also of one that had to wait for its payment's answer."""
    table = after(refunds, REQUESTED)
    table.take(make(RefundRequested, reason=reason))
    table.tick(NOON + HOUR)
    table.take(AUTHORIZED, make(PaymentCaptured))
    assert [make(RefundApproved, reason=reason)] == table.tick(NOON + 2 * HOUR)


@pytest.mark.parametrize("reason", [None, *RefundReason])
def test_a_refund_for_fraud_labels_its_payment(reason: RefundReason | None) -> None:
    """When it is approved, and no other does."""
    answers = after(disputes, REQUESTED, AUTHORIZED).comes(make(RefundApproved, reason=reason))
    label = labelled(LabelSource.REFUND, Label.FRAUD, "ref-1")
    assert ([label] if reason is RefundReason.FRAUDULENT else []) == answers


# --- our own people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", list(ReviewDecision))
@pytest.mark.parametrize("finding", [None, FRAUD, GENUINE])
def test_a_finding_labels_and_a_decision_alone_does_not(
    decision: ReviewDecision, finding: ReviewFinding | None
) -> None:
    """At once, before the payment is let go; with the whole of its amount."""
    answers = after(disputes, REQUESTED).comes(decided(decision, finding))
    expected = [] if finding is None else [labelled(LabelSource.ANALYST, Label(finding), "ana")]
    assert expected == answers


def test_a_payment_too_old_to_be_disputed_is_labelled_by_nobody() -> None:
    """It is unknown by then; the decision itself stands."""
    table = after(disputes, REQUESTED, AUTHORIZED)
    table.tick(NOON + (disputes.WINDOW_DAYS + 1) * DAY)
    assert [] == table.comes(decided(REFUND, FRAUD))


def wants(decision: ReviewDecision, finding: ReviewFinding | None, analyst: str) -> ReferenceApplied:
    content = ReviewInstruction(PAYMENT, decision, analyst, "", finding)
    return ReferenceApplied("review", PAYMENT, 9, "", encode_reference(content))


@pytest.mark.parametrize(("first", "second"), list(product(FOUND, FOUND)))
def test_two_people_agree_on_what_they_have_found(
    first: ReviewFinding | None, second: ReviewFinding | None
) -> None:
    """The same decision with another finding is another proposal, also by the same person."""
    queues = ReviewQueues(1, (ReviewQueue("pairs", 0, 1, 60, True, "decline"),))
    table = after(review, ReferenceApplied("queues", "standard", 1, "", encode_reference(queues)))
    table.comes(RiskAssessed(PAYMENT, SHOP, Verdict.REVIEW, 60, ["odd-hour"], 1, []))
    assert [ReviewProposed(PAYMENT, "ana", DECLINE, "", first)] == table.comes(wants(DECLINE, first, "ana"))
    [again] = table.comes(wants(DECLINE, second, "ana"))
    assert isinstance(again, ReviewRefused if second is first else ReviewProposed)
    [end] = table.comes(wants(DECLINE, second, "ben"))
    assert isinstance(end, ReviewDecided)
    assert (second, "ana", "ben") == (end.finding, end.proposed_by, end.analyst)


def test_nobody_lets_a_payment_go_on_that_he_calls_fraud() -> None:
    """Not where it is written, and not where it is read."""
    with pytest.raises(ValueError, match="cannot be approved"):
        ReviewInstruction(PAYMENT, APPROVE, "ana", "", FRAUD)
    good = encode_reference(ReviewInstruction(PAYMENT, DECLINE, "ana", "", FRAUD))
    with pytest.raises(ValidationError):
        decode_reference("review", good.replace("decline", "approve"))


def test_instructions_of_before_have_no_finding() -> None:
    """They are read as they were."""
    before = f'{{"payment_id":"{PAYMENT}","decision":"decline","analyst":"ana","note_sha256":""}}'
    assert ReviewInstruction(PAYMENT, DECLINE, "ana", "") == decode_reference("review", before)


# --- issuers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "fraud", "other"),
    [
        ("visa", ("10.1", "10.2", "10.3", "10.4", "10.5"), ("11.3", "12.5", "13.1", "13.7")),
        ("mastercard", ("4837", "4849", "4870", "4871"), ("4808", "4834", "4853")),
        ("amex", ("F10", "F14", "F24", "F29", "F30", "F31"), ("FR4", "FR6", "C08", "P05", "A02")),
        ("discover", ("UA01", "UA02", "UA05", "UA06"), ("UA10", "RG", "RM", "AP")),
        ("jcb", ("fraud",), ("other", "10.4")),
    ],
)
def test_only_reasons_of_fraud_label(network: str, fraud: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Not delivered, twice charged, not authorized: the cardholder made those."""
    assert all(is_fraud(network, code) for code in fraud)
    assert not any(is_fraud(network, code) for code in other)
    assert set(fraud) <= FRAUD_CODES.get(network, {"fraud"})
