"""Refunds as tables: never more than was captured, decided at the tick, and taken back when they fail."""

import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined, ReversalReason
from events.base import Event
from events.calendar import DAY, HOUR
from events.clearing import (
    CaptureWrittenOff,
    ClearingRecordRejected,
    ClearingRejection,
    RecordKind,
    RefundCleared,
)
from events.disputes import DisputeLost, DisputeMerchantDebited, DisputeWon
from events.lifecycle import (
    CaptureVoided,
    OperationParked,
    OperationRejection,
    PaymentCaptured,
    PaymentRequested,
)
from events.refunds import RefundApproved, RefundFailed, RefundRejected, RefundRequested
from events.requests import Operation
from streams import refunds
from tests.streams.builders_early import KEY, NOON, PAYMENT, SHOP
from tests.streams.builders_late import Table, make

REQUESTED = make(PaymentRequested)
AUTHORIZED = make(PaymentAuthorized)
CAPTURED = make(PaymentCaptured)
APPROVED = make(RefundApproved)
REFUSED = make(ClearingRecordRejected, kind=RecordKind.REFUND, source_id="ref-1")
R = OperationRejection


def refund(amount: int = 1_000, **fields: str) -> RefundRequested:
    return make(RefundRequested, amount=amount, **fields)


def rejected(reason: OperationRejection, amount: int = 1_000, **fields: str) -> RefundRejected:
    return make(RefundRejected, amount=amount, reason=reason, **fields)


def after(*given: Event) -> Table:
    table = Table(refunds)
    table.hear_of(*given)
    return table


# fmt: off
TABLE: list[tuple[str, list[Event], Event, list[Event]]] = [
    ("whole",           [REQUESTED, AUTHORIZED, CAPTURED], refund(),    [APPROVED]),
    ("part",            [REQUESTED, AUTHORIZED, CAPTURED], refund(300), [make(RefundApproved, amount=300)]),
    ("rest",            [REQUESTED, AUTHORIZED, CAPTURED, make(RefundApproved, amount=300, refund_id="ref-0")],
     refund(700), [make(RefundApproved, amount=700)]),
    ("of two captures", [REQUESTED, AUTHORIZED, make(PaymentCaptured, amount=1), make(PaymentCaptured, amount=2)],
     refund(3), [make(RefundApproved, amount=3)]),
    ("again after it failed", [REQUESTED, AUTHORIZED, CAPTURED, APPROVED, make(RefundFailed)],
     refund(refund_id="ref-2"), [make(RefundApproved, refund_id="ref-2")]),
    ("waits",           [REQUESTED],                       refund(), [OperationParked(PAYMENT, Operation.REFUND, KEY)]),
    ("unknown",         [],                                refund(), [rejected(R.PAYMENT_UNKNOWN)]),
    ("not theirs",      [REQUESTED, AUTHORIZED, CAPTURED], refund(merchant="other"),
     [rejected(R.MERCHANT_MISMATCH, merchant="other")]),
    ("not theirs, open", [REQUESTED],                      refund(merchant="other"),
     [rejected(R.MERCHANT_MISMATCH, merchant="other")]),
    ("currency",        [REQUESTED, AUTHORIZED, CAPTURED], refund(currency="EUR"),
     [rejected(R.CURRENCY_MISMATCH, currency="EUR")]),
    ("declined",        [REQUESTED, make(PaymentDeclined)], refund(), [rejected(R.NOT_AUTHORIZED)]),
    ("reversed",        [REQUESTED, make(AuthorizationReversed)], refund(), [rejected(R.NOT_AUTHORIZED)]),
    ("only held",       [REQUESTED, AUTHORIZED],           refund(), [rejected(R.NOTHING_CAPTURED)]),
    ("captured, voided", [REQUESTED, AUTHORIZED, CAPTURED, make(CaptureVoided),
                          make(AuthorizationReversed, reason=ReversalReason.VOID)],
     refund(), [rejected(R.NOTHING_CAPTURED)]),
    ("written off",     [REQUESTED, AUTHORIZED, CAPTURED, make(CaptureWrittenOff)],
     refund(), [rejected(R.NOTHING_CAPTURED)]),
    ("more",            [REQUESTED, AUTHORIZED, CAPTURED], refund(1_001), [rejected(R.AMOUNT_ABOVE_CAPTURED, 1_001)]),
    ("more than the rest", [REQUESTED, AUTHORIZED, CAPTURED, make(RefundApproved, amount=300)],
     refund(701), [rejected(R.AMOUNT_ABOVE_CAPTURED, 701)]),
    ("cleared counts",  [REQUESTED, AUTHORIZED, CAPTURED, APPROVED, make(RefundCleared)],
     refund(1), [rejected(R.AMOUNT_ABOVE_CAPTURED, 1)]),
    ("disputed",        [REQUESTED, AUTHORIZED, CAPTURED, make(DisputeMerchantDebited, amount=600)],
     refund(401), [rejected(R.AMOUNT_DISPUTED, 401)]),
    ("beside a dispute", [REQUESTED, AUTHORIZED, CAPTURED, make(DisputeMerchantDebited, amount=600)],
     refund(400), [make(RefundApproved, amount=400)]),
    ("lost in part",    [REQUESTED, AUTHORIZED, CAPTURED, make(DisputeMerchantDebited), make(DisputeWon, amount=600),
                         make(DisputeLost, amount=400)], refund(601), [rejected(R.AMOUNT_DISPUTED, 601)]),
    ("won",             [REQUESTED, AUTHORIZED, CAPTURED, make(DisputeMerchantDebited), make(DisputeWon)],
     refund(), [APPROVED]),
]
# fmt: on


@pytest.mark.parametrize(("given", "when", "then"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_refund_is_decided_at_the_tick(given: list[Event], when: Event, then: list[Event]) -> None:
    """Given, when, then."""
    table = after(*given)
    assert table.comes(when) == []
    assert table.next() == then
    assert table.next() == []


def test_every_reason_has_a_row() -> None:
    """All that may be answered to a refund; the others are about captures and voids."""
    reasons = {body.reason for *_, then in TABLE for body in then if isinstance(body, RefundRejected)}
    assert reasons == {
        R.PAYMENT_UNKNOWN,
        R.MERCHANT_MISMATCH,
        R.CURRENCY_MISMATCH,
        R.NOT_AUTHORIZED,
        R.NOTHING_CAPTURED,
        R.AMOUNT_DISPUTED,
        R.AMOUNT_ABOVE_CAPTURED,
    }


@pytest.mark.parametrize("turned", [False, True])
def test_two_refunds_are_decided_by_their_time_and_key(turned: bool) -> None:
    """The first of them gets the money, whichever was read first."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED)
    early = (refund(600, idempotency_key="z", refund_id="ref-z"), NOON)
    late = (refund(600, idempotency_key="a", refund_id="ref-a"), NOON + 1)
    for body, occurred_at in (late, early) if turned else (early, late):
        table.comes(body, occurred_at=occurred_at)
    assert table.next() == [
        make(RefundApproved, amount=600, refund_id="ref-z"),
        rejected(R.AMOUNT_ABOVE_CAPTURED, 600, refund_id="ref-a"),
    ]


def test_a_parked_refund_is_decided_after_the_outcome() -> None:
    """It is parked once and costs ticks nothing while it waits."""
    table = after(REQUESTED)
    table.comes(refund())
    assert table.next() == [OperationParked(PAYMENT, Operation.REFUND, KEY)]
    assert refunds.due(table.state, table.now + HOUR) == []
    table.hear_of(AUTHORIZED, CAPTURED)
    assert table.next() == [APPROVED]


# --- what becomes of it ---------------------------------------------------------------------------------


def test_a_refund_fails_when_its_record_is_refused_for_good() -> None:
    """Once, and the money can be refunded again."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED, APPROVED)
    assert table.comes(REFUSED) == [make(RefundFailed)]
    assert table.state.refunds == {}
    assert table.state.payments[PAYMENT].refunded == 0


def test_a_cleared_refund_is_over() -> None:
    """Nothing of it can fail any more."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED, APPROVED)
    assert list(table.state.refunds) == ["ref-1"]
    table.hear_of(make(RefundCleared))
    assert table.state.refunds == {}


@pytest.mark.parametrize(
    "refused",
    [
        make(
            ClearingRecordRejected,
            kind=RecordKind.REFUND,
            source_id="ref-1",
            reason=ClearingRejection.INVALID_DATA,
            representable=True,
        ),
        make(ClearingRecordRejected),
    ],
    ids=["it leaves again", "a capture"],
)
def test_no_other_refusal_fails_a_refund(refused: Event) -> None:
    """One that leaves again has not failed, and a capture's is not ours to judge."""
    assert after(REQUESTED, AUTHORIZED, CAPTURED, APPROVED).comes(refused) == []


def test_a_refund_under_way_outlives_its_payment() -> None:
    """A network may take longer than our memory of the payment lasts; the refund still fails properly."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED, APPROVED)
    assert table.passes(NOON + (refunds.WINDOW_DAYS + 1) * DAY) == []
    assert len(table.state.payments) == 0
    assert table.comes(REFUSED) == [make(RefundFailed)]
    assert table.state.refunds == {}


def test_a_payment_can_be_refunded_for_its_window() -> None:
    """180 whole days after its outcome; then it is unknown."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED)
    table.comes(refund(1))
    assert table.passes(NOON + refunds.WINDOW_DAYS * DAY) == [make(RefundApproved, amount=1)]
    assert table.passes(NOON + (refunds.WINDOW_DAYS + 1) * DAY) == []
    table.comes(refund(1))
    assert table.next() == [rejected(R.PAYMENT_UNKNOWN, 1)]


def test_the_summary_names_payments_refunds_and_requests() -> None:
    """What two runs must agree on."""
    table = after(REQUESTED, AUTHORIZED, CAPTURED, make(RefundApproved, amount=300))
    table.comes(refund(1))
    assert table.summary() == [
        f"refundable {PAYMENT} authorized {SHOP} USD captured 1000 refunded 300 disputed 0",
        f"refund ref-1 {PAYMENT} 300 USD under way",
        f"follow-up {PAYMENT} refund {SHOP}/{KEY} waits",
    ]
