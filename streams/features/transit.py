"""Payouts and debits between us and a merchant's bank: sent, and what follows when they come back.

A payout that came back goes out again a run later, then two, then four, with corrected data where the bank has given
any. Where sending again would not help, or has been tried often enough, the money and all that comes goes on hold until
the merchant gives a bank account that can be validated.
"""

from hashlib import sha256
from typing import Final

import msgspec

from events.balances import HoldReason, SettlementHoldPlaced, SettlementHoldReleased
from events.base import Event
from events.calendar import iso_day
from events.payouts import (
    BankAccountValidated,
    BankAccountValidationFailed,
    MerchantDebitReturned,
    PayoutFailed,
    PayoutFailure,
    PayoutRetryScheduled,
    PayoutSubmitted,
)
from events.reference import PayoutAccount
from events.settlement import PayoutInitiated, PayoutReturnCredited
from streams.features.merchantbooks import Book

UNUSABLE: Final = frozenset({"R02", "R03", "R04", "R16", "R20"})
"""Return codes by which the account will never take a credit: closed, not there, no valid number, frozen, not for
transactions (Nacha Operating Rules, Appendix Four)."""


class Transit(msgspec.Struct):
    """A payout, or a debit, that the bank may still send back. ``silent`` until the bank has said anything of it."""

    merchant: str
    currency: str
    amount: int
    attempt: int
    debit: bool = False
    silent: bool = True


class Returned(msgspec.Struct, frozen=True, gc=False):
    """What came back, until the next tick."""

    item: str
    amount: int
    return_code: str
    correction: str
    causation_id: str
    occurred_at: int


def send(payout: PayoutInitiated, valid: bool, run_on: int) -> list[Event]:
    """A payout goes into the bank's file of its run, unless the merchant's bank account is not valid."""
    if not valid:
        return [
            PayoutFailed(
                payout.payout_id,
                payout.merchant,
                payout.currency,
                payout.amount,
                PayoutFailure.ACCOUNT_INVALID,
            )
        ]
    return [
        PayoutSubmitted(
            payout.payout_id,
            payout.merchant,
            payout.currency,
            payout.amount,
            payout.account,
            payout.attempt,
            payout.value_on,
            f"{payout.account}-{iso_day(run_on)}",
            _trace_number(payout.payout_id),
        )
    ]


def come_back(
    returned: Returned, sent: Transit, book: Book, run_on: int, attempts: int, valid: bool
) -> list[Event]:
    """What follows from a return. ``run_on`` is the day of the newest run, ``attempts`` how often to send at most."""
    who = (sent.merchant, sent.currency)
    if sent.debit:
        return [MerchantDebitReturned(returned.item, *who, returned.amount, returned.return_code)]
    credited = PayoutReturnCredited(returned.item, *who, returned.amount)
    unusable = returned.return_code in UNUSABLE and not returned.correction
    if unusable or sent.attempt >= attempts or not valid:
        there = max(book.available + returned.amount, 0)
        reason = HoldReason.PAYOUTS_RETURNED
        return [credited, SettlementHoldPlaced(*who, f"returned:{returned.item}", reason, 0, there, "")]
    retry = PayoutRetryScheduled(
        returned.item,
        *who,
        returned.amount,
        sent.attempt + 1,
        run_on + (1 << (sent.attempt - 1)),
        returned.return_code,
        returned.correction,
    )
    return [credited, retry]


def validate(account: PayoutAccount, book: Book) -> list[Event]:
    """What a bank account that was validated, or was not, leads to. A valid one frees what had come back."""
    who = (account.merchant, account.currency, account.account_ref, account.method)
    if not account.valid:
        return [BankAccountValidationFailed(*who)]
    freed = [
        SettlementHoldReleased(account.merchant, account.currency, hold_id, hold.amount, "")
        for hold_id, hold in sorted(book.holds.items())
        if hold.reason is HoldReason.PAYOUTS_RETURNED
    ]
    return [BankAccountValidated(*who), *freed]


def _trace_number(payout_id: str) -> str:
    """Seven digits. Of a hash, not a counter: the order in which merchants are settled must not show."""
    number = int.from_bytes(sha256(payout_id.encode()).digest()[:8], "big") % 9_999_999
    return f"{number + 1:07d}"
