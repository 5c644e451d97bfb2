"""What may become of a payment, walked through the whole house: the path of each clearing item, and zero at the end.

``story.end()`` waits until every obligation is over, lets the auditor go over the logs, and holds every item on every
clearing account against zero; so each walk ends with it, and looks at the way its own items went.
"""

from events.authorization import (
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    LateApprovalReceived,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalSubmitted,
)
from events.clearing import (
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordRejected,
    ClearingRejection,
    RefundCleared,
)
from events.lifecycle import AuthorizationExpired, CaptureVoided, PaymentCaptured, PaymentVoided
from events.refunds import RefundApproved, RefundFailed
from events.routing import RouteFailedOver
from events.settlement import PayoutInitiated
from tests.simulation.stories import SHOP, Story, not_sent, partly, reply, silence

LIFE = (
    AuthorizationSubmitted,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentCaptured,
    CaptureVoided,
    PaymentVoided,
    AuthorizationExpired,
    AuthorizationReversed,
    ClearingRecordAccepted,
    CaptureWrittenOff,
    RefundApproved,
    RefundCleared,
    RefundFailed,
)


def test_whole() -> None:
    """Authorized and captured at once, cleared, settled, paid out: what is left is ours."""
    with Story() as story:
        payment = story.pay(10_000)
        story.end()
        capture = story.the(PaymentCaptured).capture_id
        assert [
            "AuthorizationSubmitted",
            "PaymentAuthorized",
            "PaymentCaptured",
            "ClearingRecordAccepted",
        ] == (story.told(payment, *LIFE))
        assert [10_000, 0] == story.path("AR", payment)
        assert [-10_000, 0] == story.path("AH", payment)
        assert [10_000, 0] == story.path("NU", capture)
        assert [-10_000, 0] == story.path("MP", capture)
        # 30 and 2.9 % of 10,000 are ours, what the network keeps is not.
        assert 10_000 - 320 == story.the(PayoutInitiated).amount


def test_approved_in_part() -> None:
    """The issuer holds less than was asked for: that is what is captured, and what is paid out."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, partly(600))
        story.end()
        assert [600, 0] == story.path("AR", payment)
        assert [600, 0] == story.path("NU", story.the(PaymentCaptured).capture_id)


def test_captured_in_parts_and_the_rest_released() -> None:
    """Each capture takes its part of the hold; the final one lets go of what it leaves."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        first = story.capture(payment, 300)
        story.wait(hours=20)
        second = story.capture(payment, 500, final=True)
        story.end()
        assert [1_000, 700, 0] == story.path("AR", payment)
        assert [300, 0] == story.path("NU", first)
        assert [500, 0] == story.path("NU", second)


def test_voided() -> None:
    """The hold is let go and the issuer is told."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        story.void(payment)
        story.end()
        assert ["AuthorizationSubmitted", "PaymentAuthorized", "PaymentVoided", "AuthorizationReversed"] == (
            story.told(payment, *LIFE)
        )
        assert [-1_000, 0] == story.path("AH", payment)


def test_captured_then_voided() -> None:
    """What has not left for clearing is taken back from the merchant, and never seen by the network's back office."""
    with Story() as story:
        payment = story.pay(1_000)
        story.wait(hours=1)
        story.void(payment)
        story.end()
        capture = story.the(PaymentCaptured).capture_id
        assert [1_000, 0] == story.path("NU", capture)
        assert [-1_000, 0] == story.path("MP", capture)
        assert [1_000, 0] == story.path("MP", f"void:{capture}")
        assert [] == story.all(PayoutInitiated)


def test_expired() -> None:
    """A hold that nobody captures runs out."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.end()
        assert 1_000 == story.the(AuthorizationExpired).hold_released
        assert [1_000, 0] == story.path("AR", payment)


def test_captured_in_part_then_expired() -> None:
    """What was captured stays so; the rest runs out."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        capture = story.capture(payment, 300)
        story.end()
        assert [1_000, 700, 0] == story.path("AR", payment)
        assert [300, 0] == story.path("NU", capture)
        assert 700 == story.the(AuthorizationExpired).hold_released


def test_sent_to_another_network_when_the_first_was_not_reached() -> None:
    """Provably never sent: no reversal, no hold, and the next network has it."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, not_sent)
        story.end()
        first, second = story.all(AuthorizationSubmitted)
        assert first.network != second.network
        assert (1, 2) == (first.attempt, second.attempt)
        assert first.stan != second.stan
        assert second.network == story.the(PaymentAuthorized).network
        assert first.network == story.the(RouteFailedOver).left
        assert [] == story.all(ReversalSubmitted)


def test_unknown_reversed_again_and_again_and_approved_late() -> None:
    """Silence, silence to the reversal, an approval that comes late: recorded once, covered, and nothing is held."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, silence)
        story.answers(payment, silence, to=ReversalSubmitted)
        story.answers(payment, silence, to=ReversalSubmitted, attempt=2)
        story.wait(hours=1)
        late = reply("00", late=True)(story.the(AuthorizationSubmitted))
        story.says("network.replies", *late, sender="adapter/0")
        story.says("network.replies", *late, sender="adapter/0")
        story.end()
        assert ["0400", "0401", "0401"] == [one.mti for one in story.all(ReversalSubmitted)]
        assert 1 == len(story.all(AuthorizationOutcomeUnknown)) == len(story.all(LateApprovalReceived))
        assert 0 == story.the(AuthorizationReversed).hold_released
        assert [] == story.path("AR", payment)


def test_presented_again() -> None:
    """Refused for its data once, taken in another cycle."""
    with Story() as story:
        story.pay(1_000)
        story.wait(hours=1)
        capture = story.the(PaymentCaptured).capture_id
        story.refuses(capture)
        story.end()
        assert story.the(ClearingRecordRejected).representable
        assert [1_000, 0] == story.path("NU", capture)


def test_written_off() -> None:
    """Refused for good: the merchant bears it, out of what it would have had."""
    with Story() as story:
        story.pay(1_000)
        story.wait(hours=1)
        capture = story.the(PaymentCaptured).capture_id
        story.refuses(capture)
        story.refuses(capture, ClearingRejection.AUTHORIZATION_NOT_FOUND, presentment=2)
        story.pay(5_000)
        story.end()
        assert [1_000, 0] == story.path("NU", capture)
        assert [-1_000, 0] == story.path("MP", capture)
        assert [1_000, 0] == story.path("MP", f"loss:{capture}")
        assert "merchant" == story.the(CaptureWrittenOff).borne_by


def test_several_cycles() -> None:
    """Captures of one payment on several days: each in its day's cycle, and each cycle paid by itself."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        for amount in (200, 300, 500):
            story.capture(payment, amount)
            story.wait(days=1)
        story.end()
        cycles = [one.cycle for one in story.all(ClearingRecordAccepted)]
        assert 3 == len(set(cycles))
        for cycle in cycles:
            assert 0 == story.path("NR", cycle)[-1]


def test_refunded_before_it_was_settled() -> None:
    """The refund leaves with the capture; the merchant has the rest."""
    with Story() as story:
        payment = story.pay(1_000)
        story.wait(hours=1)
        refund = story.refund(payment, 400)
        story.end()
        assert [-400, 0] == story.path("RT", refund)
        assert [400, 0] == story.path("MP", refund)


def test_refunded_after_it_was_paid_out() -> None:
    """The money comes from what the merchant earns next."""
    with Story() as story:
        payment = story.pay(1_000)
        story.wait(days=7)
        assert 1 == len(story.all(PayoutInitiated))
        refund = story.refund(payment, 1_000)
        story.wait(hours=1)
        assert 1_000 == story.balances()[f"liab:merchant_available:{SHOP}", "USD"]
        story.pay(9_000)
        story.end()
        assert [-1_000, 0] == story.path("RT", refund)
        assert 10_000 - 1_000 - (30 + 29) - (30 + 261) == sum(
            one.amount for one in story.all(PayoutInitiated)
        )


def test_refunded_in_parts_up_to_all_of_it() -> None:
    """Several refunds, each an item of its own, together never more than was captured."""
    with Story() as story:
        payment = story.pay(1_000)
        story.wait(hours=1)
        first = story.refund(payment, 400)
        story.wait(days=4)
        second = story.refund(payment, 600)
        story.pay(5_000)
        story.end()
        assert [-400, 0] == story.path("RT", first)
        assert [-600, 0] == story.path("RT", second)


def test_refund_failed() -> None:
    """The network will not take it: the merchant has the money again."""
    with Story() as story:
        payment = story.pay(1_000)
        story.wait(hours=1)
        refund = story.refund(payment, 400)
        story.refuses(refund, ClearingRejection.AUTHORIZATION_NOT_FOUND)
        story.end()
        assert [-400, 0] == story.path("RT", refund)
        assert [400, 0] == story.path("MP", refund)
        assert [-400, 0] == story.path("MP", f"failed:{refund}")
