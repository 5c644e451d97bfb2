"""Captures, increments, voids, refunds and evidence: taken once each, and one answer to each that is wrong.

Every wrong operation is asked of a whole house, as a producer asks: request in, event out.
"""

from collections.abc import Callable

import pytest

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationSubmitted,
    IncrementSubmitted,
    ReversalSubmitted,
)
from events.base import Event
from events.calendar import HOUR, SECOND
from events.disputes import (
    DisputeEvidenceRejected,
    DisputeEvidenceSubmitted,
    DisputeStage,
    DisputeStep,
    EvidenceRejection,
)
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    RequestRejected,
    RequestRejection,
)
from events.lifecycle import (
    OperationParked,
    OperationRejected,
    OperationRejection,
    PaymentCaptured,
    PaymentVoided,
)
from events.refunds import RefundApproved, RefundRejected
from events.requests import (
    Answered,
    CaptureRequest,
    EvidenceRequest,
    IncrementRequest,
    Operation,
    RefundRequest,
    Request,
    VoidRequest,
)
from streams.edge.issuers import case_of
from tests.simulation.stories import SHOP, Story, Word, declined, silence

R = OperationRejection
AMOUNT = 1_000
STRANGE = "pay-0042-0123456789abcdef"

#: How a payment came to where an operation finds it.
Given = Callable[[Story], str]


def held(story: Story) -> str:
    """Authorized, nothing captured."""
    payment = story.pay(AMOUNT, manual=True)
    story.wait(hours=1)
    return payment


def unknown(story: Story) -> str:
    """Nobody ever asked for it."""
    return STRANGE


def refused(story: Story) -> str:
    """Declined by its issuer."""
    payment = story.pay(AMOUNT, manual=True)
    story.answers(payment, declined())
    story.wait(hours=1)
    return payment


def captured(story: Story) -> str:
    """Captured whole; the record has not left."""
    payment = held(story)
    story.capture(payment, AMOUNT)
    story.wait(hours=1)
    return payment


def cleared(story: Story) -> str:
    """Captured whole; the record has left and was accepted."""
    payment = captured(story)
    story.wait(days=1)
    return payment


def voided(story: Story) -> str:
    """Let go."""
    payment = held(story)
    story.void(payment)
    story.wait(hours=1)
    return payment


def expired(story: Story) -> str:
    """The hold ran out."""
    payment = held(story)
    story.wait(days=8, every=6 * HOUR)
    return payment


def refunded(story: Story) -> str:
    """Given back whole, before it left."""
    payment = captured(story)
    story.refund(payment, AMOUNT)
    story.wait(hours=1)
    return payment


def partly_refunded(story: Story) -> str:
    """Captured and left, some given back."""
    payment = cleared(story)
    story.refund(payment, AMOUNT - 100)
    story.wait(hours=1)
    return payment


CAPTURE, INCREMENT, VOID, REFUND = (
    Operation.CAPTURE,
    Operation.INCREMENT,
    Operation.VOID,
    Operation.REFUND,
)

# fmt: off
#: What is asked for, of what, how much (a void: nothing), and the one answer.
WRONG: list[tuple[Operation, Given, int, R]] = [
    # of nothing
    (CAPTURE,   unknown,  AMOUNT, R.PAYMENT_UNKNOWN),
    (INCREMENT, unknown,  AMOUNT, R.PAYMENT_UNKNOWN),
    (VOID,      unknown,  0,      R.PAYMENT_UNKNOWN),
    (REFUND,    unknown,  AMOUNT, R.PAYMENT_UNKNOWN),
    (CAPTURE,   refused,  AMOUNT, R.NOT_AUTHORIZED),
    (INCREMENT, refused,  AMOUNT, R.NOT_AUTHORIZED),
    (VOID,      refused,  0,      R.NOT_AUTHORIZED),
    (REFUND,    refused,  AMOUNT, R.NOT_AUTHORIZED),
    (REFUND,    held,     AMOUNT, R.NOTHING_CAPTURED),
    (REFUND,    voided,   AMOUNT, R.NOTHING_CAPTURED),
    (REFUND,    expired,  AMOUNT, R.NOTHING_CAPTURED),
    # above what is left
    (CAPTURE,   held,     AMOUNT + 1, R.AMOUNT_ABOVE_HOLD),
    (REFUND,    captured, AMOUNT + 1, R.AMOUNT_ABOVE_CAPTURED),
    (REFUND,    partly_refunded, 101, R.AMOUNT_ABOVE_CAPTURED),
    # twice, or too late for it
    (CAPTURE,   captured, AMOUNT, R.ALREADY_CAPTURED),
    (CAPTURE,   cleared,  AMOUNT, R.ALREADY_CAPTURED),
    (INCREMENT, captured, AMOUNT, R.ALREADY_CAPTURED),
    (REFUND,    refunded, AMOUNT, R.AMOUNT_ABOVE_CAPTURED),
    (VOID,      refunded, 0,      R.REFUNDS_BEGUN),
    (VOID,      cleared,  0,      R.ALREADY_CLEARING),
    (CAPTURE,   voided,   AMOUNT, R.ALREADY_VOIDED),
    (INCREMENT, voided,   AMOUNT, R.ALREADY_VOIDED),
    (VOID,      voided,   0,      R.ALREADY_VOIDED),
    # after expiry
    (CAPTURE,   expired,  AMOUNT, R.AUTHORIZATION_EXPIRED),
    (INCREMENT, expired,  AMOUNT, R.AUTHORIZATION_EXPIRED),
    (VOID,      expired,  0,      R.AUTHORIZATION_EXPIRED),
]
# fmt: on


def asked(operation: Operation, story: Story, payment: str, amount: int, **fields: str) -> Request:
    """The request of an operation, with a key that belongs to it."""
    merchant, key = fields.get("merchant", SHOP), fields.get("key", f"the-{operation}")
    currency = fields.get("currency", "USD")
    match operation:
        case Operation.CAPTURE:
            return CaptureRequest(merchant, key, payment, amount, currency, False, story.now, "story", True)
        case Operation.INCREMENT:
            return IncrementRequest(merchant, key, payment, amount, currency, story.now, "story", True)
        case Operation.VOID:
            return VoidRequest(merchant, key, payment, story.now, "story", True, fields.get("capture", ""))
        case _:
            return RefundRequest(merchant, key, payment, amount, currency, "", story.now, "story", True)


def outcomes(story: Story, operation: Operation) -> list[R]:
    """Why the operation under its own key was refused, as often as that was said."""
    rejected = story.all(OperationRejected, idempotency_key=f"the-{operation}")
    if operation is Operation.REFUND:
        refunds = story.all(RefundRejected)
        return [one.reason for one in refunds]
    return [one.reason for one in rejected]


def done(story: Story) -> int:
    """How much has happened that moves a payment on."""
    kinds: tuple[type[Event], ...] = (
        PaymentCaptured,
        AuthorizationIncremented,
        PaymentVoided,
        RefundApproved,
    )
    return sum(len(story.all(kind)) for kind in kinds)


@pytest.mark.parametrize(("operation", "given", "amount", "reason"), WRONG)
def test_a_wrong_operation_has_one_answer(operation: Operation, given: Given, amount: int, reason: R) -> None:
    """And does nothing; asked again, it is the same request and nothing more is said of the payment."""
    with Story() as story:
        payment = given(story)
        before = done(story)
        request = asked(operation, story, payment, amount)
        for _ in range(2):
            story.ask(request)
            story.wait(hours=2)
        assert [reason] == outcomes(story, operation)
        assert before == done(story)
        assert 1 == len(story.all(DuplicateRequestObserved))
        assert story.findings(ended=False) == []


@pytest.mark.parametrize("operation", [CAPTURE, INCREMENT, VOID, REFUND])
def test_of_another_merchants_payment(operation: Operation) -> None:
    """It learns nothing of the payment but that it is not its own, whatever has become of it."""
    with Story() as story:
        payment = held(story)
        story.ask(asked(operation, story, payment, AMOUNT, merchant="other"))
        story.wait(hours=1)
        assert [R.MERCHANT_MISMATCH] == outcomes(story, operation)
        assert 0 == done(story)


@pytest.mark.parametrize("operation", [CAPTURE, INCREMENT, REFUND])
def test_in_another_currency(operation: Operation) -> None:
    """A payment has one."""
    with Story() as story:
        payment = held(story)
        story.ask(asked(operation, story, payment, AMOUNT, currency="EUR"))
        story.wait(hours=1)
        assert [R.CURRENCY_MISMATCH] == outcomes(story, operation)


@pytest.mark.parametrize("operation", [CAPTURE, INCREMENT, VOID, REFUND])
def test_the_same_key_with_another_body(operation: Operation) -> None:
    """The first is done, the second is a conflict and does nothing."""
    with Story() as story:
        payment = captured(story) if operation is REFUND else held(story)
        before = done(story)
        story.ask(asked(operation, story, payment, 100))
        story.wait(hours=1)
        other = asked(operation, story, payment, 101)
        story.ask(other)
        story.wait(hours=1)
        assert before + 1 == done(story)
        assert payment == story.the(IdempotencyConflictObserved).payment_id
        assert [] == outcomes(story, operation)


@pytest.mark.parametrize("operation", [CAPTURE, INCREMENT, REFUND])
@pytest.mark.parametrize("amount", [0, -1])
def test_of_no_amount(operation: Operation, amount: int) -> None:
    """Refused before any payment is looked at."""
    with Story() as story:
        payment = captured(story) if operation is REFUND else held(story)
        before = done(story)
        story.ask(asked(operation, story, payment, amount))
        story.wait(hours=1)
        assert RequestRejection.AMOUNT_NOT_POSITIVE is story.the(RequestRejected).reason
        assert before == done(story)


@pytest.mark.parametrize("operation", [CAPTURE, INCREMENT, VOID, REFUND])
def test_waiting_for_an_answer(operation: Operation) -> None:
    """While nobody knows whether the issuer holds the money, an operation waits; then it is refused."""
    with Story() as story:
        payment = story.pay(AMOUNT, manual=True)
        story.answers(payment, silence)
        for attempt in (1, 2, 3):
            story.answers(payment, silence, attempt=attempt, to=ReversalSubmitted)
        story.wait(ticks=1)
        story.ask(asked(operation, story, payment, AMOUNT))
        story.wait(ticks=2)
        assert operation is story.the(OperationParked).operation
        assert [] == outcomes(story, operation)
        story.wait(hours=3)
        assert [R.NOT_AUTHORIZED] == outcomes(story, operation)
        story.end()


#: A capture that a void names, by what it finds.
CAPTURES = {
    "unknown": (held, "cap-0123456789abcdef", R.CAPTURE_UNKNOWN),
    "left": (cleared, "", R.ALREADY_CLEARING),
    "refunded": (refunded, "", R.REFUNDS_BEGUN),
}


@pytest.mark.parametrize(("given", "named", "reason"), CAPTURES.values(), ids=CAPTURES)
def test_a_void_of_one_capture(given: Given, named: str, reason: R) -> None:
    """One answer to each that cannot be."""
    with Story() as story:
        payment = given(story)
        capture = named or story.the(PaymentCaptured).capture_id
        before = done(story)
        story.ask(asked(VOID, story, payment, 0, capture=capture))
        story.wait(hours=1)
        assert [reason] == outcomes(story, VOID)
        assert before == done(story)


def test_each_operation_is_done_once_however_often_it_comes() -> None:
    """Twenty deliveries of each, at once and later; one effect of each, one message to the network."""
    with Story() as story:
        payment = story.pay(AMOUNT, manual=True)
        story.wait(hours=1)
        for operation, amount in ((INCREMENT, 500), (CAPTURE, 600)):
            request = asked(operation, story, payment, amount)
            for _ in range(10):
                story.ask(request)
            story.wait(hours=1)
            for _ in range(10):
                story.ask(request)
            story.wait(hours=1)
        story.end()
        assert 1 == len(story.all(AuthorizationSubmitted)) == len(story.all(IncrementSubmitted))
        assert 1_500 == story.the(AuthorizationIncremented).total
        assert 600 == story.the(PaymentCaptured).amount
        assert 38 == len(story.all(DuplicateRequestObserved))


# --- evidence -------------------------------------------------------------------------------------------


def nobody_disputes(story: Story) -> tuple[str, str]:
    """Captured and cleared, and the cardholder is content."""
    payment = story.pay(AMOUNT)
    story.wait(days=2)
    return payment, case_of("visa", story.the(PaymentCaptured, payment_id=payment).capture_id)


def complained(story: Story, *more: Word) -> tuple[str, str]:
    """Disputed the day before yesterday; the merchant has six days left."""
    payment = story.pay(AMOUNT)
    story.wait(hours=1)
    capture = story.the(PaymentCaptured, payment_id=payment).capture_id
    case = story.disputes(capture, Word(1, DisputeStep.CHARGEBACK, AMOUNT, reply_days=8), *more)
    story.wait(days=3)
    return payment, case


def answered(story: Story) -> tuple[str, str]:
    """Disputed, and the merchant's evidence is with the issuer."""
    payment, case = complained(story)
    story.evidence(payment, case)
    story.wait(hours=1)
    return payment, case


def withdrawn(story: Story) -> tuple[str, str]:
    """Disputed, and let go of."""
    return complained(story, Word(2, DisputeStep.WITHDRAWN, AMOUNT))


def lost(story: Story) -> tuple[str, str]:
    """Disputed, and nobody answered in time."""
    payment, case = complained(story)
    story.wait(days=7, every=6 * HOUR)
    return payment, case


def no_payment(story: Story) -> tuple[str, str]:
    """Nobody ever asked for it."""
    return STRANGE, "dsp-0"


E = EvidenceRejection
# fmt: off
#: Whose case is answered, as what, by whom, and the one answer.
WRONG_EVIDENCE = [
    (no_payment,      Answered.CHARGEBACK,      SHOP,    E.PAYMENT_UNKNOWN),
    (nobody_disputes, Answered.CHARGEBACK,      SHOP,    E.CASE_UNKNOWN),
    (complained,      Answered.CHARGEBACK,      "other", E.MERCHANT_MISMATCH),
    (nobody_disputes, Answered.CHARGEBACK,      "other", E.MERCHANT_MISMATCH),
    (complained,      Answered.INQUIRY,         SHOP,    E.STAGE_MISMATCH),
    (complained,      Answered.PRE_ARBITRATION, SHOP,    E.STAGE_MISMATCH),
    (answered,        Answered.CHARGEBACK,      SHOP,    E.ALREADY_SUBMITTED),
    (withdrawn,       Answered.CHARGEBACK,      SHOP,    E.CASE_CLOSED),
    (lost,            Answered.CHARGEBACK,      SHOP,    E.TOO_LATE),
]
# fmt: on


@pytest.mark.parametrize(("given", "stage", "merchant", "reason"), WRONG_EVIDENCE)
def test_wrong_evidence_has_one_answer(
    given: Callable[[Story], tuple[str, str]], stage: Answered, merchant: str, reason: E
) -> None:
    """And nothing goes to the issuer; asked again, it is the same request and nothing more is said of the case."""
    with Story() as story:
        payment, case = given(story)
        before = len(story.all(DisputeEvidenceSubmitted))
        request = EvidenceRequest(
            merchant, "the-evidence", payment, case, stage, ["cd" * 32], story.now, "story", True
        )
        for _ in range(2):
            story.ask(request)
            story.wait(hours=2)
        rejected = story.all(DisputeEvidenceRejected, idempotency_key="the-evidence")
        assert [(merchant, case, reason)] == [(one.merchant, one.case_id, one.reason) for one in rejected]
        assert before == len(story.all(DisputeEvidenceSubmitted))
        assert 1 == len(story.all(DuplicateRequestObserved))
        assert story.findings(ended=False) == []


def test_every_wrong_evidence_has_a_row() -> None:
    """Asked of a whole house."""
    assert set(E) == {reason for *_, reason in WRONG_EVIDENCE}


def test_evidence_is_sent_once_as_it_came() -> None:
    """Twenty deliveries, one of them with another document under the same key: the first is what the issuer gets."""
    with Story() as story:
        payment, case = complained(story)
        capture = story.the(PaymentCaptured).capture_id
        story.replies(capture, DisputeStage.CHARGEBACK, Word(1, DisputeStep.EVIDENCE_ACCEPTED))
        for number in range(20):
            documents = ("ef" * 32,) if number == 7 else ("ab" * 32, "cd" * 32)
            story.ask(
                EvidenceRequest(
                    SHOP,
                    "the-evidence",
                    payment,
                    case,
                    Answered.CHARGEBACK,
                    list(documents),
                    story.now - number * SECOND,
                    "story",
                    True,
                )
            )
        story.wait(hours=1)
        assert ["ab" * 32, "cd" * 32] == story.the(DisputeEvidenceSubmitted).documents
        assert payment == story.the(IdempotencyConflictObserved).payment_id
        assert 18 == len(story.all(DuplicateRequestObserved))
        story.end()


@pytest.mark.parametrize("documents", [(), ("ab" * 31,), ("ab" * 32, "ab" * 32)])
def test_evidence_of_nothing(documents: tuple[str, ...]) -> None:
    """Refused before any case is looked at."""
    with Story() as story:
        payment, case = complained(story)
        story.evidence(payment, case, documents=documents)
        story.wait(hours=1)
        refused = story.the(RequestRejected)
        assert (RequestRejection.DOCUMENTS_MALFORMED, "documents") == (refused.reason, refused.field)
        assert [] == story.all(DisputeEvidenceSubmitted)
