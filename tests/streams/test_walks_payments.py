"""What may become of a payment, walked through the whole house: the path of each clearing item, and zero at the end.

``story.end()`` waits until every obligation is over, lets the auditor go over the logs, and holds every item on every
clearing account against zero; so each walk ends with it, and looks at the way its own items went.
"""

import msgspec

from events.authorization import (
    AmountConflictDetected,
    AuthorizationIncremented,
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    ConflictField,
    DeclineReason,
    IncrementDeclined,
    IncrementSubmitted,
    LateApprovalReceived,
    MessageKind,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
    ReversalSubmitted,
)
from events.calendar import HOUR, day_of, iso_day
from events.clearing import (
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordRejected,
    ClearingRecordReturned,
    ClearingRejection,
    ClearingReturnReceived,
    RefundCleared,
)
from events.fees import InterchangeAssessed, InterchangeReturned, ProcessingFeeCharged
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureVoided,
    OperationRejected,
    OperationRejection,
    PaymentCaptured,
    PaymentVoided,
)
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind
from events.refunds import RefundApproved, RefundFailed
from events.routing import RouteFailedOver
from events.settlement import PayoutInitiated
from tests.simulation.stories import (
    END_DAYS,
    SHOP,
    Story,
    declined,
    entries,
    not_sent,
    partly,
    reply,
    silence,
    terms,
)

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
        assert [1_000, 700, 200, 0] == story.path("AR", payment)
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


def test_incremented() -> None:
    """The hold grows with the stay, by a round trip each; a capture takes all of it."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        first = story.increment(payment, 500)
        second = story.increment(payment, 250)
        story.wait(hours=2)
        assert [first, second] == [one.increment_id for one in story.all(AuthorizationIncremented)]
        assert [1_500, 1_750] == [one.total for one in story.all(AuthorizationIncremented)]
        capture = story.capture(payment, 1_750)
        story.end()
        assert [1_000, 1_500, 1_750, 0] == story.path("AR", payment)
        assert [-1_000, -1_500, -1_750, 0] == story.path("AH", payment)
        assert [1_750, 0] == story.path("NU", capture)
        stans = [one.stan for one in (*story.all(AuthorizationSubmitted), *story.all(IncrementSubmitted))]
        assert 3 == len(set(stans))


def test_incremented_in_part_declined_and_never_sent() -> None:
    """What the issuer gives counts; a decline changes nothing, and nothing was tried elsewhere."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        for attempt, answer in enumerate((partly(200), declined("61"), not_sent), 1):
            story.answers(payment, answer, attempt=attempt, to=IncrementSubmitted)
        story.wait(hours=1)
        for _ in range(3):
            story.increment(payment, 500)
        story.wait(hours=3)
        assert 1_200 == story.the(AuthorizationIncremented).total
        reasons = [one.reason for one in story.all(IncrementDeclined)]
        assert [DeclineReason.LIMIT_EXCEEDED, DeclineReason.NO_ROUTE] == reasons
        story.capture(payment, 1_201)
        capture = story.capture(payment, 1_200)
        story.end()
        assert OperationRejection.AMOUNT_ABOVE_HOLD is story.the(OperationRejected).reason
        assert [1_000, 1_200, 0] == story.path("AR", payment)
        assert [1_200, 0] == story.path("NU", capture)


def test_an_increment_that_nobody_answers() -> None:
    """It is declined at once and taken back until acknowledged; the payment goes on meanwhile, and ends in order."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.answers(payment, silence, to=IncrementSubmitted)
        story.answers(payment, silence, to=ReversalSubmitted)
        story.wait(hours=1)
        story.increment(payment, 500)
        capture = story.capture(payment, 700, final=True)
        story.wait(hours=2)
        assert DeclineReason.NO_ANSWER is story.the(IncrementDeclined).reason
        assert capture == story.the(PaymentCaptured).capture_id
        late = reply("00", late=True)(story.the(IncrementSubmitted))
        story.says("network.replies", *late, sender="adapter/0")
        story.says("network.replies", *late, sender="adapter/0")
        story.end()
        sent = [(one.mti, one.reason, one.amount) for one in story.all(ReversalSubmitted)]
        assert ("0400", ReversalReason.INCREMENT, 500) == sent[0]
        assert ("0401", ReversalReason.INCREMENT, 500) in sent
        assert ("0400", ReversalReason.PARTIAL, 300) in sent
        assert {(ReversalReason.INCREMENT, 500), (ReversalReason.PARTIAL, 300)} == {
            (one.reason, one.amount) for one in story.all(AuthorizationReversed)
        }
        assert MessageKind.INCREMENT is story.the(LateApprovalReceived).kind
        assert [1_000, 300, 0] == story.path("AR", payment)


def test_captured_above_the_hold() -> None:
    """A restaurant's tip: within what the network lets its kind of merchant, and no unit more."""
    with Story(entries(terms(SHOP, mcc="5812"))) as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        story.capture(payment, 1_201, final=True)
        capture = story.capture(payment, 1_200, final=True)
        story.end()
        assert OperationRejection.AMOUNT_ABOVE_HOLD is story.the(OperationRejected).reason
        assert [1_000, 0] == story.path("AR", payment)
        assert [1_200, 0] == story.path("NU", capture)
        assert 1_200 - 30 - 35 == story.the(PayoutInitiated).amount


def test_the_remainder_is_let_go_and_the_network_told() -> None:
    """A final capture of less: the rest leaves our books at once, and the issuer hears of it."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.answers(payment, silence, to=ReversalSubmitted)
        story.wait(hours=1)
        story.capture(payment, 600, final=True)
        story.end()
        assert 400 == story.the(AuthorizationRemainderReleased).hold_released
        assert ["0400", "0401"] == [one.mti for one in story.all(ReversalSubmitted)]
        taken = story.the(AuthorizationReversed)
        assert (ReversalReason.PARTIAL, 400, 0, 2) == (
            taken.reason,
            taken.amount,
            taken.hold_released,
            taken.attempt,
        )
        assert [1_000, 400, 0] == story.path("AR", payment)


def test_the_rest_is_voided_when_some_has_left() -> None:
    """What has left stays captured; the day's capture and the hold are let go, and the issuer hears of both."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        left = story.capture(payment, 300)
        story.wait(days=1)
        undone = story.capture(payment, 200)
        story.wait(hours=1)
        story.void(payment)
        story.wait(hours=1)
        story.void(payment)
        story.end()
        assert [300, 0] == story.path("NU", left)
        assert [200, 0] == story.path("NU", undone)
        assert [1_000, 700, 500, 0] == story.path("AR", payment)
        assert [200, 500] == [one.amount for one in story.all(ReversalSubmitted)]
        assert OperationRejection.ALREADY_CLEARING is story.the(OperationRejected).reason
        assert [] == story.all(PaymentVoided)


def test_one_capture_is_voided() -> None:
    """The same day, by its id: the other stays, and so does what is on hold."""
    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.wait(hours=1)
        wrong = story.capture(payment, 300)
        right = story.capture(payment, 200)
        story.wait(hours=1)
        story.void(payment, capture=wrong)
        story.wait(hours=1)
        last = story.capture(payment, 500)
        story.end()
        assert wrong == story.the(CaptureVoided).capture_id
        assert [300, 0] == story.path("NU", wrong)
        assert [200, 0] == story.path("NU", right)
        assert [500, 0] == story.path("NU", last)
        assert [-300, 0] == story.path("MP", wrong)
        assert [1_000, 700, 500, 0] == story.path("AR", payment)


def test_approved_for_less_than_was_asked() -> None:
    """The network says 00 and another amount: what it holds is what there is."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, reply("00", 900))
        story.end()
        detected = story.the(AmountConflictDetected)
        assert (ConflictField.AMOUNT, 1_000, 900) == (
            detected.field,
            detected.our_amount,
            detected.their_amount,
        )
        assert [900, 0] == story.path("NU", story.the(PaymentCaptured).capture_id)
        assert [] == story.all(ReversalSubmitted)


def test_approved_for_more_than_was_asked() -> None:
    """Nobody agreed to more: ours is on hold, and the surplus is taken back until that is acknowledged."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, reply("00", 1_100))
        story.answers(payment, silence, to=ReversalSubmitted)
        story.end()
        assert [1_000, 0] == story.path("AR", payment)
        assert [(ReversalReason.CONFLICT, 100)] * 2 == [
            (one.reason, one.amount) for one in story.all(ReversalSubmitted)
        ]
        assert 100 == story.the(AuthorizationReversed).amount


def test_approved_in_another_currency() -> None:
    """Nothing of it can be on hold: all is taken back and the payment is declined."""
    with Story() as story:
        payment = story.pay(1_000)
        story.answers(payment, reply("00", 1_000, currency="EUR"))
        story.end()
        assert ConflictField.CURRENCY is story.the(AmountConflictDetected).field
        assert DeclineReason.CONFLICTING_ANSWER is story.the(PaymentDeclined).reason
        assert ReversalReason.CONFLICT is story.the(AuthorizationReversed).reason
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


def given_back(story: Story, reason: ClearingRejection) -> str:
    """A capture that was accepted, paid and given back days later; its cycle and the bank know of it."""
    story.pay(1_000)
    story.wait(days=4)
    accepted = story.the(ClearingRecordAccepted)
    kept = story.the(InterchangeAssessed).amount
    cycle = f"visa-USD-{iso_day(day_of(story.now) - 1)}"
    story.says(
        "network.notices",
        ClearingReturnReceived(
            accepted.payment_id,
            accepted.network,
            accepted.record_id,
            reason,
            cycle,
            1_000,
            "USD",
            1_000,
            "USD",
            kept,
        ),
        sender="network/0",
    )
    story.settles(cycle, records=1, presented=-1_000, interchange=-kept)
    return accepted.capture_id


def test_given_back_and_presented_again() -> None:
    """What was accepted is unbilled again, leaves a second time, and is paid in a third cycle."""
    with Story() as story:
        capture = given_back(story, ClearingRejection.INVALID_DATA)
        story.end()
        assert story.the(ClearingRecordReturned).representable
        assert [1_000, 0, 1_000, 0] == story.path("NU", capture)
        first, again = story.all(ClearingRecordAccepted)
        assert first.cycle < story.the(ClearingRecordReturned).cycle < again.cycle
        kept = {one.amount for one in story.all(InterchangeAssessed)}
        assert kept == {one.amount for one in story.all(InterchangeReturned)}
        assert [] == story.all(CaptureWrittenOff)
        assert 1 == len(story.all(ProcessingFeeCharged))


def test_given_back_and_written_off() -> None:
    """What may not leave again is the merchant's loss, out of what it earns next."""
    with Story() as story:
        capture = given_back(story, ClearingRejection.AUTHORIZATION_NOT_FOUND)
        story.wait(days=1)
        story.pay(9_000)
        story.end()
        assert [1_000, 0, 1_000, 0] == story.path("NU", capture)
        assert [1_000, 0] == story.path("MP", f"loss:{capture}")
        fees = 30 + 29 + 30 + 261
        assert 9_000 - fees == sum(one.amount for one in story.all(PayoutInitiated))


def test_given_back_twice_or_for_nothing() -> None:
    """The second time, and what was never accepted, is a difference with a name and moves nothing."""
    with Story() as story:
        capture = given_back(story, ClearingRejection.INVALID_DATA)
        once = ClearingReturnReceived(
            story.the(PaymentCaptured).payment_id,
            "visa",
            story.the(ClearingRecordAccepted).record_id,
            ClearingRejection.INVALID_DATA,
            "visa-USD-2026-03-05",
            1_000,
            "USD",
            1_000,
            "USD",
            0,
        )
        story.says("network.notices", once, sender="network/0")
        strange = msgspec.structs.replace(once, record_id="clr-0123456789abcdef")
        story.says("network.notices", strange, sender="network/0")
        story.wait(days=END_DAYS, every=6 * HOUR)
        assert 1 == len(story.all(ClearingRecordReturned))
        unknown = sorted([once.record_id, strange.record_id])
        assert unknown == sorted(
            one.item for one in story.all(DiscrepancyDetected, kind=DiscrepancyKind.EXTRA)
        )
        # Somebody has to look at the two; of the money nothing is open.
        assert [f"payments: {item} is open: extra" for item in unknown] == story.findings()
        assert {} == story.open_items()
        assert [1_000, 0, 1_000, 0] == story.path("NU", capture)


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
