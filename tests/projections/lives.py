"""Lives of payments, by hand, with the places at which their money is then; a merchant whose money is everywhere."""

from collections.abc import Mapping, Sequence
from enum import EnumMeta
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_type_hints

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    DeclineReason,
    IncrementDeclined,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
)
from events.balances import (
    MerchantLossWrittenOff,
    MerchantReceivableOffset,
    MerchantReceivableRaised,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.clearing import (
    Bearer,
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordReturned,
    RefundCleared,
)
from events.corrections import PayoutDifferenceWrittenOff
from events.disputes import DisputeLost, DisputeMerchantDebited, DisputeWon
from events.fees import DisputeFeeCharged, ProcessingFeeCharged
from events.intake import (
    IdempotencyConflictObserved,
    RequestAccepted,
    RequestReceived,
    RequestRejected,
)
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureVoided,
    IncrementAdmitted,
    PaymentCaptured,
    PaymentVoided,
)
from events.payouts import (
    MerchantDebitApplied,
    MerchantDebited,
    MerchantDebitReturned,
    MerchantDebitReversed,
    PayoutFailed,
)
from events.reconciliation import NetworkSettlementReceived, PayoutPaid, PayoutReturned
from events.refunds import RefundApproved, RefundFailed
from events.requests import CaptureMode, Channel, Operation, PaymentRequest
from events.settlement import (
    Entry,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
)
from tests.projections.story import Story

ASKED: Final = 1_000
CYCLE, PAID_CYCLE = "visa-EUR-2026-03-02", "visa-EUR-2026-03-01"
ACCOUNT: Final = "bank-eur"
#: Fields that nothing here depends on, by their types.
_ANY: Final[dict[Any, Any]] = {int: 0, str: "x", bool: True}


def given(kind: type[Event], **fields: Any) -> Event:
    """An event of which only what is given matters."""
    usual = {"merchant": "shop-1", "network": "visa", "currency": "EUR", "account": ACCOUNT}
    for name, of in get_type_hints(kind).items():
        if name in kind.__struct_fields__ and name not in fields:
            fields[name] = usual.get(name, next(iter(of)) if isinstance(of, EnumMeta) else _ANY.get(of))
    return kind(**fields)


Told = tuple[type[Event], dict[str, Any]]
"""An event's type, and the fields that matter."""


class Life(NamedTuple):
    """A payment over 1,000: what happened, and where its money is then."""

    name: str
    events: Sequence[Told]
    places: Mapping[str, int]
    captures: Mapping[str, int] = MappingProxyType({})


def approved(amount: int = ASKED) -> Told:
    """The issuer's answer."""
    return PaymentAuthorized, {"amount": ASKED, "approved_amount": amount}


def captured(name: str, amount: int = ASKED, released: int | None = None) -> Told:
    """A capture."""
    held = amount if released is None else released
    return PaymentCaptured, {"capture_id": f"cap-{name}", "amount": amount, "hold_released": held}


def settling(kind: type[Event], amount: int, cycle: str = CYCLE, **item: str) -> Told:
    """What a network takes into a cycle, or gives back."""
    fields = {"amount": amount, "settlement_amount": amount, "settlement_currency": "EUR", "cycle": cycle}
    return kind, fields | item


LIVES: Final = (
    Life("asked", [], {"open": 1000}),
    Life("declined", [(PaymentDeclined, {"amount": 1000, "reason": DeclineReason.OTHER})], {"declined": 1000}),
    Life("blocked", [(PaymentDeclined, {"amount": 1000, "reason": DeclineReason.RISK_BLOCKED})], {"blocked": 1000}),
    Life("unknown", [(AuthorizationOutcomeUnknown, {"amount": 1000})], {"unknown": 1000}),
    Life(
        "reversed",
        [
            (AuthorizationOutcomeUnknown, {"amount": 1000}),
            (AuthorizationReversed, {"amount": 1000, "reason": ReversalReason.TIMEOUT}),
        ],
        {"reversed": 1000},
    ),
    Life("held", [approved(700)], {"not_approved": 300, "on_hold": 700}),
    Life("voided", [approved(), (PaymentVoided, {"hold_released": 1000})], {"voided": 1000}),
    Life("expired", [approved(), (AuthorizationExpired, {"hold_released": 1000})], {"expired": 1000}),
    Life(
        "incremented",
        [
            approved(),
            (IncrementAdmitted, {"increment_id": "inc-1", "amount": 500}),
            (AuthorizationIncremented, {"increment_id": "inc-1", "requested": 500, "amount": 400}),
            (IncrementAdmitted, {"increment_id": "inc-2", "amount": 60}),
            (IncrementDeclined, {"increment_id": "inc-2", "amount": 60}),
            (IncrementAdmitted, {"increment_id": "inc-3", "amount": 7}),
        ],
        {"open": 7, "not_approved": 160, "on_hold": 1400},
    ),
    Life(
        "in parts",
        [approved(), captured("parts", 600), (AuthorizationRemainderReleased, {"hold_released": 400})],
        {"released": 400, "merchant": 600},
        {"unbilled": 600},
    ),
    Life("tipped", [approved(), captured("tip", 1200, 1000)], {"merchant": 1200}, {"unbilled": 1200}),
    Life(
        "undone",
        [approved(), captured("undone"), (CaptureVoided, {"capture_id": "cap-undone", "amount": 1000})],
        {"voided": 1000},
    ),
    Life(
        "never paid, at its merchant's cost",
        [
            approved(),
            captured("lost"),
            (CaptureWrittenOff, {"capture_id": "cap-lost", "amount": 1000, "borne_by": Bearer.MERCHANT}),
        ],
        {"written_off": 1000},
        {"never_paid": 1000},
    ),
    Life(
        "never paid, at ours",
        [
            approved(),
            captured("ours"),
            (CaptureWrittenOff, {"capture_id": "cap-ours", "amount": 1000, "borne_by": Bearer.US}),
        ],
        {"merchant": 1000},
        {"never_paid": 1000},
    ),
    Life(
        "cleared and charged",
        [
            approved(),
            captured("cleared"),
            settling(ClearingRecordAccepted, 1000, capture_id="cap-cleared"),
            (ProcessingFeeCharged, {"capture_id": "cap-cleared", "amount": 30}),
        ],
        {"fees": 30, "merchant": 970},
        {"in_cycle": 1000},
    ),
    Life(
        "paid by the network, given back in part",
        [
            approved(),
            captured("paid"),
            settling(ClearingRecordAccepted, 1000, PAID_CYCLE, capture_id="cap-paid"),
            (RefundApproved, {"refund_id": "ref-1", "amount": 250}),
            settling(RefundCleared, 250, refund_id="ref-1"),
            (RefundApproved, {"refund_id": "ref-2", "amount": 100}),
            (RefundFailed, {"refund_id": "ref-2", "amount": 100}),
            (RefundApproved, {"refund_id": "ref-3", "amount": 5}),
        ],
        {"refund_in_transit": 5, "refunded": 250, "merchant": 745},
        {"settled": 1000},
    ),
    Life(
        "given back by the network",
        [
            approved(),
            captured("back"),
            settling(ClearingRecordAccepted, 1000, capture_id="cap-back"),
            settling(ClearingRecordReturned, 1000, capture_id="cap-back"),
        ],
        {"merchant": 1000},
        {"unbilled": 1000},
    ),
    Life(
        "disputed after it was given back",
        [
            approved(),
            captured("twice"),
            (RefundApproved, {"refund_id": "ref-9", "amount": 1000}),
            (DisputeMerchantDebited, {"case_id": "case-1", "amount": 1000}),
            (DisputeFeeCharged, {"case_id": "case-1", "amount": 15}),
            (DisputeWon, {"case_id": "case-1", "amount": 200}),
            (DisputeLost, {"case_id": "case-1", "amount": 300}),
        ],
        {"fees": 15, "refund_in_transit": 1000, "disputed": 500, "charged_back": 300, "merchant": -815},
        {"unbilled": 1000},
    ),
)  # fmt: skip


def told() -> tuple[Story, dict[str, str]]:
    """All lives in one log, and a merchant whose money has been everywhere; the payments by the names of lives."""
    story = Story()
    payments = {}
    for number, life in enumerate(LIVES):
        payments[life.name] = payment = story.request(number, "shop-1", ASKED)
        for kind, fields in life.events:
            story.in_payments(payment, [given(kind, payment_id=payment, **fields)])
    paid = given(NetworkSettlementReceived, cycle=PAID_CYCLE, amount=1000)
    story.in_reconciliation(ACCOUNT, paid)
    settle(story)
    refuse(story)
    return story, payments


def settle(story: Story) -> None:
    """The money of shop-7 goes to every place that there is: 10,000 of one capture less 3,000 of a refund."""
    payment = story.request(99, "shop-7", 10_000)
    mine: dict[str, Any] = {"merchant": "shop-7"}
    story.in_payments(
        payment,
        [
            given(PaymentAuthorized, payment_id=payment, amount=10_000, approved_amount=10_000, **mine),
            given(
                PaymentCaptured, payment_id=payment, capture_id="cap-7", amount=10_000, hold_released=10_000, **mine
            ),
            given(RefundApproved, payment_id=payment, refund_id="ref-7", amount=3_000, **mine),
            given(RefundApproved, payment_id=payment, refund_id="ref-8", amount=11, **mine),
        ],
    )  # fmt: skip
    first: Sequence[Told] = (
        (FundsMadeAvailable, {"entries": [Entry("cap-7", 10_000)], "amount": 10_000}),
        (ReserveWithheld, {"reserve_id": "r-1", "amount": 1_000}),
        (ReserveReleased, {"reserve_id": "r-1", "amount": 400}),
        (SettlementHoldPlaced, {"hold_id": "h-1", "amount": 900}),
        (SettlementHoldReleased, {"hold_id": "h-1", "amount": 100}),
        (PayoutInitiated, {"payout_id": "po-1", "amount": 2_000}),
        (PayoutInitiated, {"payout_id": "po-2", "amount": 1_500}),
        (PayoutInitiated, {"payout_id": "po-3", "amount": 1_200}),
        (PayoutInitiated, {"payout_id": "po-4", "amount": 80}),
        (PayoutFailed, {"payout_id": "po-4", "amount": 80}),
        (MerchantBalanceAdjusted, {"item": "ref-7", "amount": -3_000}),
    )
    for kind, fields in first:
        story.in_settlement("shop-7", given(kind, **mine, **fields))
    at_the_bank: Sequence[Told] = (
        (PayoutPaid, {"payout_id": "po-1", "amount": 2_002}),
        (PayoutDifferenceWrittenOff, {"payout_id": "po-1", "amount": 2}),
        (PayoutPaid, {"payout_id": "po-2", "amount": 1_500}),
        (PayoutReturned, {"payout_id": "po-2", "amount": 1_500}),
    )
    for kind, fields in at_the_bank:
        story.in_reconciliation(ACCOUNT, given(kind, **mine, **fields))
    then: Sequence[Told] = (
        (PayoutReturnCredited, {"payout_id": "po-2", "amount": 1_500}),
        (PayoutInitiated, {"payout_id": "po-5", "amount": 5_000}),
        (MerchantReceivableRaised, {"amount": 2_600}),
        (MerchantReceivableOffset, {"amount": 300}),
        (MerchantLossWrittenOff, {"write_off_id": "w-1", "amount": 40}),
        (MerchantDebitApplied, {"debit_id": "db-1", "amount": 500}),
        (MerchantDebitApplied, {"debit_id": "db-2", "amount": 70}),
        (MerchantDebitApplied, {"debit_id": "db-3", "amount": 9}),
    )
    for kind, fields in then:
        story.in_settlement("shop-7", given(kind, **mine, **fields))
    debits: Sequence[Told] = (
        (MerchantDebited, {"debit_id": "db-1", "amount": 500}),
        (MerchantDebited, {"debit_id": "db-2", "amount": 70}),
        (MerchantDebitReversed, {"debit_id": "db-2", "amount": 70}),
    )
    for kind, fields in debits:
        story.in_reconciliation(ACCOUNT, given(kind, **mine, **fields))
    story.in_settlement("shop-7", given(MerchantDebitReturned, debit_id="db-2", amount=70, **mine))


#: Where the 6,989 of shop-7 are.
SETTLED: Final = {
    "pending": -11,
    "available": 10_000 - 600 - 800 - 3_000 - 2_000 - 1_200 - 5_000 + 2_600 - 300,
    "reserve": 600,
    "held": 800,
    "owed": -(2_600 - 300 - 40 - 500 - 9),
    "in_payout": 1_200 + 5_000,
    "paid_out": 2_002,
    "in_debit": -9,
    "drawn": -500,
    "forgiven": -40,
    "bank_difference": -2,
}


def refuse(story: Story) -> None:
    """A request that is refused, one in conflict, and one that is on its way to its card."""
    refused: Sequence[tuple[str, int, type[Event], dict[str, Any]]] = (
        ("none", 0, RequestRejected, {"operation": Operation.PAYMENT, "amount": 0}),
        ("vast", 10**18, RequestRejected, {"operation": Operation.PAYMENT, "amount": 10**18}),
        ("other", 77, IdempotencyConflictObserved, {}),
        ("moving", 88, RequestAccepted, {"operation": Operation.PAYMENT, "payment_id": "pay-moving"}),
    )
    for key, amount, kind, fields in refused:
        request = PaymentRequest(
            "shop-1", key, "card-1", "41111111", "1111", amount, "EUR", Channel.ECOMMERCE, CaptureMode.AUTOMATIC,
            "", "", "", story.now, "till-7", True,
        )  # fmt: skip
        cause = story.tell("intake", 0, RequestReceived(request, "mac"), sender="requests/0")
        story.tell("intake", 0, given(kind, idempotency_key=key, **fields), cause=cause)
