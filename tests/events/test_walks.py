"""Walks of money through the books: whatever becomes of a payment, its clearing accounts end at zero.

A walk is the list of what happened, in order. A loss of an event anywhere shows as an item that is still open, so
each walk is also walked without each of its posting events: then something must be open.
"""

import pytest

from events.accounts import CLEARING, code_of
from events.authorization import (
    AuthorizationIncremented,
    AuthorizationReversed,
    PaymentAuthorized,
    ReversalReason,
)
from events.base import Event
from events.clearing import (
    Bearer,
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordRejected,
    ClearingRecordReturned,
    ClearingRejection,
    RefundCleared,
)
from events.corrections import (
    PayoutDifferenceWrittenOff,
    SchemeInvoiceAdjusted,
    SettlementDifferenceWrittenOff,
    SuspenseOffset,
    SuspenseWrittenOff,
)
from events.disputes import (
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeLost,
    DisputeMerchantDebited,
    DisputeWon,
)
from events.fees import (
    DisputeFeeCharged,
    FeeCorrected,
    InterchangeAssessed,
    InterchangeReturned,
    ProcessingFeeCharged,
    SchemeFeeAssessed,
)
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureVoided,
    PaymentCaptured,
    PaymentVoided,
)
from events.postings import POSTING, balances
from events.reconciliation import (
    BankLineRecorded,
    NetworkSettlementReceived,
    PayoutPaid,
    PayoutReturned,
    SchemeInvoicePaid,
)
from events.refunds import RefundApproved, RefundFailed
from events.settlement import (
    Entry,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
)
from tests.events.test_merchant_walks import WALKS as MERCHANT_WALKS
from tests.streams.builders_late import make

BANK = "bank-usd-2026-03-10"
TUESDAY, WEDNESDAY, THURSDAY = (f"visa-USD-2026-03-{day}" for day in (10, 11, 12))


def authorized(amount: int = 1_000) -> list[Event]:
    return [make(PaymentAuthorized, approved_amount=amount)]


def captured(amount: int = 1_000, hold: int = 1_000, capture: str = "cap-1") -> list[Event]:
    return [make(PaymentCaptured, capture_id=capture, amount=amount, hold_released=hold)]


def cleared(amount: int, interchange: int, capture: str = "cap-1", cycle: str = TUESDAY) -> list[Event]:
    """The network accepts a capture and keeps its share; the merchant pays."""
    return [
        make(ProcessingFeeCharged, capture_id=capture, amount=59),
        make(
            ClearingRecordAccepted, capture_id=capture, amount=amount, settlement_amount=amount, cycle=cycle
        ),
        make(InterchangeAssessed, amount=interchange, cycle=cycle),
    ]


def settled(amount: int, line: int = 1, cycle: str = TUESDAY) -> list[Event]:
    """The network pays a cycle (or is paid, when the amount is negative)."""
    return [
        make(BankLineRecorded, statement_id=BANK, line=line, amount=amount),
        make(NetworkSettlementReceived, statement_id=BANK, line=line, cycle=cycle, amount=amount),
    ]


def available(*entries: tuple[str, int]) -> list[Event]:
    return [make(FundsMadeAvailable, entries=[Entry(item, amount) for item, amount in entries])]


def adjusted(item: str, amount: int) -> list[Event]:
    return [make(MerchantBalanceAdjusted, item=item, amount=amount)]


def paid_out(amount: int, payout: str = "po-1", line: int = 2) -> list[Event]:
    """A payout leaves and is seen on the statement."""
    return [
        make(PayoutInitiated, payout_id=payout, amount=amount),
        make(BankLineRecorded, statement_id=BANK, line=line, amount=-amount),
        make(PayoutPaid, payout_id=payout, statement_id=BANK, line=line, amount=amount),
    ]


def refund_cleared(amount: int, returned: int, cycle: str) -> list[Event]:
    return [
        make(RefundCleared, amount=amount, settlement_amount=amount, cycle=cycle),
        make(InterchangeReturned, amount=returned, cycle=cycle),
    ]


def disputed(amount: int) -> list[Event]:
    """The network takes the money, and the merchant is debited."""
    return [
        make(DisputeFundsWithdrawn, amount=amount, cycle=WEDNESDAY),
        make(DisputeMerchantDebited, amount=amount),
        *adjusted("dispute:dsp-1", -amount),
    ]


WALKS: dict[str, list[Event]] = {
    "whole": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
    ],
    "timed out, then reversed": [make(AuthorizationReversed, hold_released=0)],
    "expired": [*authorized(), make(AuthorizationExpired)],
    "voided": [
        *authorized(),
        make(PaymentVoided),
        make(AuthorizationReversed, reason=ReversalReason.VOID, hold_released=0),
    ],
    "captured, then voided": [
        *authorized(),
        *captured(),
        make(CaptureVoided),
        make(PaymentVoided, hold_released=0),
        *available(("cap-1", 1_000), ("void:cap-1", -1_000)),
    ],
    "captured in two parts": [
        *authorized(),
        *captured(300, 300),
        *captured(500, 700, "cap-2"),
        *cleared(300, 10),
        *cleared(500, 15, "cap-2"),
        *settled(775),
        *available(("cap-1", 300), ("cap-2", 500), ("fee:cap-1", -59), ("fee:cap-2", -59)),
        *paid_out(682),
    ],
    "captured in part, the rest expired": [
        *authorized(),
        *captured(300, 300),
        make(AuthorizationExpired, hold_released=700),
        *cleared(300, 10),
        *settled(290),
        *available(("cap-1", 300), ("fee:cap-1", -59)),
        *paid_out(241),
    ],
    "captured in part, then voided": [
        *authorized(),
        *captured(300, 300),
        make(CaptureVoided, amount=300),
        make(PaymentVoided, hold_released=700),
        *available(("cap-1", 300), ("void:cap-1", -300)),
    ],
    "incremented, then captured": [
        *authorized(),
        make(AuthorizationIncremented, amount=500, total=1_500),
        *captured(1_500, 1_500),
        *cleared(1_500, 35),
        *settled(1_465),
        *available(("cap-1", 1_500), ("fee:cap-1", -59)),
        *paid_out(1_441),
    ],
    "captured above the hold": [
        *authorized(),
        *captured(1_150, 1_000),
        *cleared(1_150, 27),
        *settled(1_123),
        *available(("cap-1", 1_150), ("fee:cap-1", -59)),
        *paid_out(1_091),
    ],
    "captured in part, the remainder released": [
        *authorized(),
        *captured(600, 600),
        make(AuthorizationRemainderReleased, hold_released=400),
        make(AuthorizationReversed, reason=ReversalReason.PARTIAL, hold_released=0, amount=400),
        *cleared(600, 20),
        *settled(580),
        *available(("cap-1", 600), ("fee:cap-1", -59)),
        *paid_out(541),
    ],
    "approved in part": [
        *authorized(600),
        *captured(600, 600),
        *cleared(600, 20),
        *settled(580),
        *available(("cap-1", 600), ("fee:cap-1", -59)),
        *paid_out(541),
    ],
    "presented again": [
        *authorized(),
        *captured(),
        make(ClearingRecordRejected, reason=ClearingRejection.INVALID_DATA, representable=True),
        *cleared(1_000, 25, cycle=WEDNESDAY),
        *settled(975, cycle=WEDNESDAY),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
    ],
    "given back, presented again": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        make(
            ClearingRecordReturned, cycle=WEDNESDAY, reason=ClearingRejection.INVALID_DATA, representable=True
        ),
        make(InterchangeReturned, amount=25, cycle=WEDNESDAY),
        *settled(-975, 2, WEDNESDAY),
        make(ClearingRecordAccepted, cycle=THURSDAY),
        make(InterchangeAssessed, cycle=THURSDAY),
        *settled(975, 3, THURSDAY),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941, line=4),
    ],
    "given back, written off": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        make(ClearingRecordReturned, cycle=WEDNESDAY),
        make(InterchangeReturned, amount=25, cycle=WEDNESDAY),
        make(CaptureWrittenOff),
        *settled(-975, 2, WEDNESDAY),
        *adjusted("loss:cap-1", -1_000),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
    ],
    "written off by the merchant": [
        *authorized(),
        *captured(),
        make(ProcessingFeeCharged),
        make(ClearingRecordRejected),
        make(CaptureWrittenOff),
        *adjusted("loss:cap-1", -1_000),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
    ],
    "written off by us": [
        *authorized(),
        *captured(),
        make(CaptureWrittenOff, borne_by=Bearer.US),
        *available(("cap-1", 1_000)),
        *paid_out(1_000),
    ],
    "several cycles": [
        *authorized(),
        *captured(300, 300),
        *cleared(300, 10, cycle=TUESDAY),
        *captured(700, 700, "cap-2"),
        *settled(290, 1, TUESDAY),
        *cleared(700, 15, "cap-2", WEDNESDAY),
        *settled(685, 2, WEDNESDAY),
        *available(("cap-1", 300), ("fee:cap-1", -59)),
        *available(("cap-2", 700), ("fee:cap-2", -59)),
        *paid_out(882, line=3),
    ],
    "refunded before it was settled": [
        *authorized(),
        *captured(),
        make(RefundApproved, amount=400),
        *adjusted("ref-1", -400),
        *cleared(1_000, 25),
        *refund_cleared(400, 16, TUESDAY),
        *settled(591),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(541),
    ],
    "refunded after it was paid out": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
        make(RefundApproved),
        *adjusted("ref-1", -1_000),
        *refund_cleared(1_000, 25, WEDNESDAY),
        *settled(-975, 3, WEDNESDAY),
    ],
    "refund failed": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        make(RefundApproved, amount=400),
        *adjusted("ref-1", -400),
        make(RefundFailed, amount=400),
        *adjusted("failed:ref-1", 400),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
    ],
    "disputed after it was paid out, and lost": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
        *disputed(1_000),
        make(DisputeFeeCharged, amount=1_500),
        *adjusted("dispute_fee:dsp-1", -1_500),
        make(DisputeLost),
        *settled(-1_000, 3, WEDNESDAY),
    ],
    "disputed, and won": [
        *disputed(1_000),
        make(DisputeFundsReturned, cycle=WEDNESDAY),
        make(DisputeWon),
        *adjusted("won:dsp-1", 1_000),
    ],
    "disputed, withdrawn twice, and won in part": [
        *disputed(1_000),
        make(DisputeFundsReturned, cycle=WEDNESDAY),
        make(DisputeFundsWithdrawn, cycle=WEDNESDAY),
        make(DisputeFundsReturned, amount=400, cycle=WEDNESDAY),
        make(DisputeWon, amount=400),
        make(DisputeLost, amount=600),
        *adjusted("won:dsp-1", 400),
        *settled(-600, 1, WEDNESDAY),
    ],
    "scheme fees of a week": [
        make(SchemeFeeAssessed, amount=3),
        make(SchemeFeeAssessed, amount=4),
        make(BankLineRecorded, statement_id=BANK, amount=-7),
        make(SchemeInvoicePaid, statement_id=BANK, amount=7),
    ],
    "a wrong interchange, corrected": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        make(FeeCorrected, old=25, new=26, cycle=TUESDAY),
        *settled(974),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
    ],
    "settled short, and written off": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(970),
        make(SettlementDifferenceWrittenOff, amount=5, cycle=TUESDAY),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
    ],
    "an invoice too high, adjusted": [
        make(SchemeFeeAssessed, amount=3),
        make(BankLineRecorded, statement_id=BANK, amount=-7),
        make(SchemeInvoicePaid, statement_id=BANK, amount=7),
        make(SchemeInvoiceAdjusted, amount=4),
    ],
    "a payout that the bank paid too much of": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        make(PayoutInitiated, amount=941),
        make(BankLineRecorded, statement_id=BANK, line=2, amount=-942),
        make(PayoutPaid, statement_id=BANK, line=2, amount=942),
        make(PayoutDifferenceWrittenOff, amount=1),
    ],
    "a stranger's line, written off": [
        make(BankLineRecorded, statement_id=BANK, amount=5),
        make(SuspenseWrittenOff, statement_id=BANK, amount=5),
    ],
    "a line that the bank takes back": [
        make(BankLineRecorded, statement_id=BANK, amount=5),
        make(BankLineRecorded, statement_id=BANK, line=2, amount=-5),
        make(SuspenseOffset, statement_id=BANK, amount=5, by_statement_id=BANK, by_line=2),
    ],
    "payout returned and paid again": [
        *authorized(),
        *captured(),
        *cleared(1_000, 25),
        *settled(975),
        *available(("cap-1", 1_000), ("fee:cap-1", -59)),
        *paid_out(941),
        make(BankLineRecorded, statement_id=BANK, line=3, amount=941),
        make(PayoutReturned, statement_id=BANK, line=3, amount=941),
        make(PayoutReturnCredited, amount=941),
        *paid_out(941, "po-2", 4),
    ],
}


def open_items(events: list[Event]) -> dict[tuple[str, str, str], int]:
    return {place: amount for place, amount in balances(events).items() if code_of(place[0]) in CLEARING}


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_ends_with_nothing_open(name: str) -> None:
    """No clearing account keeps anything, and all accounts add up to nothing."""
    assert open_items(WALKS[name]) == {}
    assert sum(balances(WALKS[name]).values()) == 0


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_without_one_of_its_events_does_not_close(name: str) -> None:
    """An event that is lost between two logs is seen as an open item."""
    walk = WALKS[name]
    moving = [number for number in range(len(walk)) if balances([walk[number]])]
    for number in moving:
        assert open_items(walk[:number] + walk[number + 1 :]), walk[number]


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_with_one_of_its_events_twice_does_not_close(name: str) -> None:
    """An event that is taken twice is seen too."""
    walk = WALKS[name]
    for event in walk:
        if balances([event]):
            assert open_items([*walk, event]), event


def test_what_is_left_is_the_merchants_and_ours() -> None:
    """After the whole walk we hold what we earned: the merchant's fee less the issuer's share."""
    assert balances(WALKS["whole"]) == {
        ("asset:bank:bank-usd", "", "USD"): 34,
        ("expense:interchange", "", "USD"): 25,
        ("income:processing_fee", "", "USD"): -59,
    }


def test_a_merchant_that_was_paid_out_owes_its_refund() -> None:
    """The refund of what was paid out leaves a negative balance, to be offset by later funds."""
    left = balances(WALKS["refunded after it was paid out"])
    assert left["liab:merchant_available:shop-1", "", "USD"] == 1_000


def test_a_loss_of_ours_is_a_loss() -> None:
    """The merchant keeps its money, and nobody pays for it but us."""
    left = balances(WALKS["written off by us"])
    assert left["expense:loss", "", "USD"] == 1_000


def test_every_posting_event_is_walked() -> None:
    """An event that moves money belongs into a walk."""
    walks = [*WALKS.values(), *MERCHANT_WALKS.values()]
    assert {type(event) for walk in walks for event in walk} & POSTING == POSTING
