"""What may become of a disputed payment, walked through the whole house: each case's money, and zero at the end.

The network's cycles hold what it takes and gives back, and the bank settles them by the network's own account; so
``story.end()`` finding nothing open says that both sides moved the same money.
"""

from events.disputes import (
    DisputeEscalated,
    DisputeEvidenceAccepted,
    DisputeEvidenceExpired,
    DisputeEvidenceSubmitted,
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeInquiryClosed,
    DisputeInquiryOpened,
    DisputeLost,
    DisputeMerchantDebited,
    DisputeOpened,
    DisputeStage,
    DisputeStep,
    DisputeWithdrawn,
    DisputeWon,
    EarlyFraudWarningReceived,
    FraudConfirmed,
    Label,
    LabelSource,
)
from events.fees import DisputeFeeCharged
from events.lifecycle import OperationRejection, PaymentCaptured
from events.reconciliation import DiscrepancyDetected, DiscrepancyResolved
from events.refunds import RefundApproved, RefundRejected
from events.requests import Answered
from tests.simulation.stories import SHOP, Story, Word, entries, terms

S = DisputeStep
LIFE = (
    DisputeInquiryOpened,
    DisputeInquiryClosed,
    DisputeOpened,
    DisputeFundsWithdrawn,
    DisputeMerchantDebited,
    DisputeFundsReturned,
    DisputeEvidenceSubmitted,
    DisputeEvidenceAccepted,
    DisputeEvidenceExpired,
    DisputeEscalated,
    DisputeWithdrawn,
    DisputeWon,
    DisputeLost,
)
OPENED = ["DisputeOpened", "DisputeFundsWithdrawn", "DisputeMerchantDebited"]


def sold(story: Story, amount: int = 1_000) -> tuple[str, str]:
    """A payment that was captured at once; its id and its capture's."""
    payment = story.pay(amount)
    story.wait(hours=1)
    return payment, story.the(PaymentCaptured, payment_id=payment).capture_id


def test_nobody_answers() -> None:
    """The time to answer ends, and the cardholder keeps the money."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=5))
        story.end()
        assert [*OPENED, "DisputeEvidenceExpired", "DisputeLost"] == story.told(payment, *LIFE)
        assert [1_000, 0] == story.path("DR", case)
        assert [-1_000, 0] == story.path("DH", case)
        assert [1_000, 0] == story.path("MP", f"dispute:{case}")


def test_won() -> None:
    """Evidence brings the money back for now, and for good when the issuer gives in."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=9))
        story.replies(
            capture,
            DisputeStage.CHARGEBACK,
            Word(1, S.EVIDENCE_CREDITED, 1_000),
            Word(3, S.EVIDENCE_ACCEPTED),
        )
        story.wait(days=4)
        story.evidence(payment, case)
        story.end()
        assert [
            *OPENED,
            "DisputeEvidenceSubmitted",
            "DisputeFundsReturned",
            "DisputeEvidenceAccepted",
            "DisputeWon",
        ] == story.told(payment, *LIFE)
        assert [1_000, 0] == story.path("DR", case)
        assert [-1_000, 0] == story.path("DH", case)
        assert [-1_000, 0] == story.path("MP", f"won:{case}")


def test_won_in_part() -> None:
    """The network gives a part back, and the issuer leaves it at that: the rest is lost."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 800, reply_days=9))
        story.replies(
            capture, DisputeStage.CHARGEBACK, Word(1, S.EVIDENCE_CREDITED, 300), Word(3, S.EVIDENCE_ACCEPTED)
        )
        story.wait(days=4)
        story.evidence(payment, case)
        story.end()
        assert [800, 500, 0] == story.path("DR", case)
        assert [-800, -500, 0] == story.path("DH", case)
        assert (300, 500) == (story.the(DisputeWon).amount, story.the(DisputeLost).amount)


def test_taken_twice_and_ruled() -> None:
    """The issuer insists, the merchant too: the network takes the money again, and then rules."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=9))
        story.replies(
            capture,
            DisputeStage.CHARGEBACK,
            Word(1, S.EVIDENCE_CREDITED, 1_000),
            Word(3, S.PRE_ARBITRATION, 1_000, reply_days=6),
        )
        story.replies(capture, DisputeStage.PRE_ARBITRATION, Word(3, S.RULED, 400))
        story.wait(days=4)
        story.evidence(payment, case)
        story.wait(days=6)
        story.evidence(payment, case, Answered.PRE_ARBITRATION)
        story.end(days=28)
        assert [1_000, 0, 1_000, 600, 0] == story.path("DR", case)
        assert [-1_000, -600, 0] == story.path("DH", case)
        assert ["pre_arbitration", "arbitration"] == [one.stage for one in story.all(DisputeEscalated)]
        # However often the network took it, the merchant was debited once.
        assert [1_000] == [one.amount for one in story.all(DisputeMerchantDebited)]


def test_taken_twice_and_left_at_that() -> None:
    """Who does not answer for the last time has lost."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=9))
        story.replies(
            capture,
            DisputeStage.CHARGEBACK,
            Word(1, S.EVIDENCE_CREDITED, 1_000),
            Word(3, S.PRE_ARBITRATION, 1_000, reply_days=4),
        )
        story.wait(days=4)
        story.evidence(payment, case)
        story.end()
        assert [1_000, 0, 1_000, 0] == story.path("DR", case)
        assert DisputeStage.PRE_ARBITRATION == story.the(DisputeEvidenceExpired).stage
        assert 1_000 == story.the(DisputeLost).amount


def test_refused_evidence() -> None:
    """What the network does not pass on brings nothing back."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=9))
        story.replies(capture, DisputeStage.CHARGEBACK, Word(2, S.EVIDENCE_REFUSED))
        story.wait(days=4)
        story.evidence(payment, case)
        story.end()
        assert [1_000, 0] == story.path("DR", case)
        assert 1_000 == story.the(DisputeLost).amount


def test_let_go() -> None:
    """The issuer has second thoughts; the merchant pays for the dispute all the same."""
    with Story(entries(terms(SHOP, dispute_fee=1_500))) as story:
        payment, capture = sold(story, 5_000)
        case = story.disputes(
            capture, Word(2, S.CHARGEBACK, 5_000, reply_days=9), Word(4, S.WITHDRAWN, 5_000)
        )
        story.end()
        assert [*OPENED, "DisputeFundsReturned", "DisputeWithdrawn", "DisputeWon"] == story.told(
            payment, *LIFE
        )
        assert [5_000, 0] == story.path("DR", case)
        assert 1_500 == story.the(DisputeFeeCharged, case_id=case).amount
        assert [1_500, 0] == story.path("MP", f"dispute_fee:{case}")


def test_asked_only() -> None:
    """An inquiry moves no money, answered or not."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(
            capture, Word(1, S.INQUIRY_OPENED, 1_000, reply_days=5), Word(5, S.INQUIRY_CLOSED)
        )
        story.wait(days=3)
        story.evidence(payment, case, Answered.INQUIRY)
        story.end()
        assert ["DisputeInquiryOpened", "DisputeEvidenceSubmitted", "DisputeInquiryClosed"] == (
            story.told(payment, *LIFE)
        )
        assert [] == story.path("DR", case)


def test_asked_then_disputed() -> None:
    """The answer was not enough, or none came: the inquiry becomes a dispute under the same name."""
    with Story() as story:
        payment, capture = sold(story)
        case = story.disputes(
            capture,
            Word(1, S.INQUIRY_OPENED, 1_000, reply_days=2),
            Word(5, S.CHARGEBACK, 900, reply_days=5),
        )
        story.end()
        assert ["DisputeInquiryOpened", "DisputeEvidenceExpired", *OPENED] == story.told(payment, *LIFE)[:5]
        assert [900, 0] == story.path("DR", case)


def test_warned_then_disputed() -> None:
    """Each label is known from its own event on; a dispute of fraud that does not stand takes it back."""
    with Story() as story:
        payment, capture = sold(story)
        story.disputes(
            capture,
            Word(1, amount=1_000),
            Word(2, S.CHARGEBACK, 1_000, "10.4", reply_days=9),
        )
        story.replies(
            capture,
            DisputeStage.CHARGEBACK,
            Word(1, S.EVIDENCE_CREDITED, 1_000),
            Word(3, S.EVIDENCE_ACCEPTED),
        )
        story.wait(days=4)
        story.evidence(payment, story.the(DisputeOpened).case_id)
        story.end()
        assert 1 == len(story.all(EarlyFraudWarningReceived))
        assert [
            (LabelSource.EARLY_WARNING, Label.FRAUD),
            (LabelSource.DISPUTE, Label.FRAUD),
            (LabelSource.DISPUTE, Label.GENUINE),
        ] == [(one.source, one.label) for one in story.all(FraudConfirmed)]


def test_refund_and_dispute() -> None:
    """What the cardholder got back is disputed all the same: a difference, named until the case is closed.

    What is held for the dispute cannot be refunded meanwhile.
    """
    with Story() as story:
        payment, capture = sold(story)
        story.refund(payment, 400)
        case = story.disputes(capture, Word(2, S.CHARGEBACK, 1_000, reply_days=5))
        story.wait(days=4)
        story.refund(payment, 100)
        story.end()
        assert [400] == [one.amount for one in story.all(RefundApproved)]
        assert OperationRejection.AMOUNT_DISPUTED == story.the(RefundRejected).reason
        found = story.the(DiscrepancyDetected, item=case)
        assert (600, 1_000) == (found.ours, found.theirs)
        assert "DisputeLost" == story.the(DiscrepancyResolved, item=case).resolution
