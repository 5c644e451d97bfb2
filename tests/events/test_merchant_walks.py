"""Walks of a merchant's money: what was kept back, owed and held comes to nothing in the end, event by event."""

import pytest

from events.accounts import CLEARING, code_of
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
from events.payouts import (
    MerchantDebitApplied,
    MerchantDebited,
    MerchantDebitReturned,
    MerchantDebitReversed,
    PayoutFailed,
)
from events.postings import balances
from events.reconciliation import BankLineRecorded, PayoutPaid, PayoutReturned
from events.settlement import (
    Entry,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
)
from tests.streams.builders_late import make

#: Accounts that a merchant's story leaves empty when it is over, beside those that are kept by item.
KEPT = CLEARING | {"MA", "RS", "HD", "MR"}


def funds(amount: int, item: str = "cap-1") -> list[Event]:
    """A capture's entry comes by the pending account, as if payments had just posted its other side."""
    return [make(FundsMadeAvailable, entries=[Entry(item, amount)], amount=amount)]


def refunded(amount: int) -> list[Event]:
    return [make(MerchantBalanceAdjusted, item="ref-1", amount=-amount)]


def paid_out(amount: int, payout: str = "po-1", line: int = 1) -> list[Event]:
    return [
        make(PayoutInitiated, payout_id=payout, amount=amount),
        make(BankLineRecorded, line=line, amount=-amount),
        make(PayoutPaid, payout_id=payout, line=line, amount=amount),
    ]


WALKS: dict[str, list[Event]] = {
    "reserve": [
        *funds(1_000),
        make(ReserveWithheld, amount=100),
        *paid_out(900),
        make(ReserveReleased, amount=100),
        *paid_out(100, "po-2", 2),
    ],
    "reserve drawn on for a short balance": [
        *funds(1_000),
        make(ReserveWithheld, amount=100),
        *paid_out(900),
        *refunded(60),
        make(ReserveReleased, amount=60),
        make(ReserveReleased, amount=40),
        *paid_out(40, "po-2", 2),
    ],
    "short pay": [
        *funds(300),
        *paid_out(300),
        *refunded(200),
        make(MerchantReceivableRaised, amount=200),
        *funds(1_000, "cap-2"),
        make(MerchantReceivableOffset, amount=200),
        *paid_out(800, "po-2", 2),
    ],
    "short pay, given up": [
        *funds(300),
        *paid_out(300),
        *refunded(200),
        make(MerchantReceivableRaised, amount=200),
        make(MerchantLossWrittenOff, amount=200),
    ],
    "short pay, drawn from the merchant's bank": [
        *funds(300),
        *paid_out(300),
        *refunded(200),
        make(MerchantReceivableRaised, amount=200),
        make(MerchantDebitApplied, amount=200),
        make(BankLineRecorded, line=2, amount=200),
        make(MerchantDebited, line=2, amount=200),
    ],
    "short pay, the debit comes back": [
        *funds(300),
        *paid_out(300),
        *refunded(200),
        make(MerchantReceivableRaised, amount=200),
        make(MerchantDebitApplied, amount=200),
        make(BankLineRecorded, line=2, amount=200),
        make(MerchantDebited, line=2, amount=200),
        make(BankLineRecorded, line=3, amount=-200),
        make(MerchantDebitReversed, line=3, amount=200),
        make(MerchantDebitReturned, amount=200),
        *funds(1_000, "cap-2"),
        make(MerchantReceivableOffset, amount=200),
        *paid_out(800, "po-2", 4),
    ],
    "payout not sent": [
        *funds(1_000),
        make(PayoutInitiated, amount=1_000),
        make(PayoutFailed, amount=1_000),
        *paid_out(1_000, "po-2"),
    ],
    "payout returned, held until there is a bank account": [
        *funds(1_000),
        *paid_out(1_000),
        make(BankLineRecorded, line=2, amount=1_000),
        make(PayoutReturned, line=2, amount=1_000),
        make(PayoutReturnCredited, amount=1_000),
        make(SettlementHoldPlaced, amount=1_000),
        make(SettlementHoldReleased, amount=1_000),
        *paid_out(1_000, "po-2", 3),
    ],
    "held and released": [
        *funds(1_000),
        make(SettlementHoldPlaced, amount=400),
        *paid_out(600),
        make(SettlementHoldReleased, amount=400),
        *paid_out(400, "po-2", 2),
    ],
}


def kept(events: list[Event]) -> dict[tuple[str, str, str], int]:
    """What the walk leaves, without the sales that are behind it: their entries are what payments posted."""
    return {
        place: amount
        for place, amount in balances(events).items()
        if code_of(place[0]) in KEPT and code_of(place[0]) != "MP"
    }


@pytest.mark.parametrize("name", WALKS)
def test_a_merchants_walk_ends_with_nothing_kept(name: str) -> None:
    """Neither available, reserved, held, owed nor on its way; and all accounts add up to nothing."""
    assert kept(WALKS[name]) == {}
    assert sum(balances(WALKS[name]).values()) == 0


@pytest.mark.parametrize("name", WALKS)
def test_a_merchants_walk_without_one_of_its_events_leaves_something(name: str) -> None:
    """No event about a merchant's money is there for show."""
    walk = WALKS[name]
    for number in range(len(walk)):
        assert kept(walk[:number] + walk[number + 1 :]), walk[number]


@pytest.mark.parametrize("name", WALKS)
def test_a_merchants_walk_with_one_of_its_events_twice_leaves_something(name: str) -> None:
    """The same event posted twice is seen."""
    walk = WALKS[name]
    for event in walk:
        assert kept([*walk, event]), event


def test_what_was_given_up_is_our_loss() -> None:
    """The merchant has had it, and nobody pays for it but us."""
    assert balances(WALKS["short pay, given up"])["expense:loss", "", "USD"] == 200
