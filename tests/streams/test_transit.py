"""Payouts and debits on their way, as tables: sent or stopped, returned, sent again, given up; drawn and unpaid."""

from typing import Any

import pytest

from events.balances import (
    HoldReason,
    MerchantReceivableOffset,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.calendar import DAY, HOUR
from events.identity import operation_id
from events.partitions import ClockKind, LogOpened, ReferenceApplied
from events.payouts import (
    BankAccountValidated,
    BankAccountValidationFailed,
    DebitOutcome,
    MerchantDebitApplied,
    MerchantDebitOutcomeReceived,
    MerchantDebitReturned,
    PayoutFailed,
    PayoutFailure,
    PayoutRetryScheduled,
    PayoutSubmitted,
)
from events.reference import PayoutAccount, SettlementTerms, encode_reference
from events.settlement import (
    ClearingResidualAged,
    EntryCause,
    MerchantEntryReceived,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
    PayoutReturnCredited,
)
from streams import settlement
from streams.features.transit import UNUSABLE
from tests.streams.builders_early import SHOP, applied, merchant_terms
from tests.streams.builders_late import DAY_ON, MIDNIGHT, Table, make

RUN = MIDNIGHT + 6 * HOUR
"""Monday's run, the ninth of March."""


def run_on(day: int) -> int:
    return RUN + (day - 9) * DAY


def payout(day: int) -> str:
    return operation_id("po", SHOP, f"USD/2026-03-{day:02d}")


def debit(day: int) -> str:
    return operation_id("deb", SHOP, f"USD/2026-03-{day:02d}")


def at_work(**terms: Any) -> Table:
    """A merchant whose sales are available a business day later, on Monday noon."""
    table = Table(settlement, merchant_terms(settlement_days=1), now=MIDNIGHT + 12 * HOUR)
    table.hear(applied("settlement", SettlementTerms(SHOP, **terms)))
    table.hear_of(LogOpened("settlement", 0, 1, ClockKind.VIRTUAL, 1, table.now, 9, "", []))
    return table


def paid_out(**terms: Any) -> Table:
    """10.00 are on their way since Tuesday's run."""
    table = at_work(**terms)
    table.comes(make(MerchantEntryReceived, item="cap-1", amount=1_000, cause=EntryCause.CAPTURE))
    table.passes(run_on(10))
    return table


def returned(table: Table, day: int, code: str = "", correction: str = "") -> list[Event]:
    """The payout of a day's run comes back; what the next tick makes of it."""
    table.comes(
        make(
            PayoutOutcomeReceived,
            payout_id=payout(day),
            outcome=PayoutOutcome.RETURNED,
            return_code=code,
            correction=correction,
        )
    )
    return table.next()


def account(table: Table, *, valid: bool) -> list[Event]:
    """A bank account's validation comes into force; what it leads to."""
    content = PayoutAccount(SHOP, "USD", "ba-1", "micro_deposit", valid)
    return table.comes(ReferenceApplied("payoutaccount", SHOP, 9, "", encode_reference(content)))


def book(table: Table) -> Any:
    return table.state.books[f"{SHOP} USD"]


# --- payouts --------------------------------------------------------------------------------------------


def test_a_payout_goes_into_the_file_of_its_run() -> None:
    """With a trace number of seven digits that depends on its name alone."""
    table = at_work()
    table.comes(make(MerchantEntryReceived, item="cap-1", amount=1_000, cause=EntryCause.CAPTURE))
    initiated, submitted = table.passes(run_on(10))[-2:]
    assert isinstance(initiated, PayoutInitiated)
    assert isinstance(submitted, PayoutSubmitted)
    assert (initiated.payout_id, 1_000, "bank-usd", 1, DAY_ON + 2, "bank-usd-2026-03-10") == (
        submitted.payout_id,
        submitted.amount,
        submitted.account,
        submitted.attempt,
        submitted.value_on,
        submitted.file_id,
    )
    assert len(submitted.trace_number) == 7
    assert submitted.trace_number.isdigit()


def test_nothing_is_sent_to_an_invalid_bank_account() -> None:
    """The payout is stopped once, the money stays, and is paid when there is an account."""
    table = at_work()
    assert account(table, valid=False) == [BankAccountValidationFailed(SHOP, "USD", "ba-1", "micro_deposit")]
    table.comes(make(MerchantEntryReceived, item="cap-1", amount=1_000, cause=EntryCause.CAPTURE))
    reason = PayoutFailure.ACCOUNT_INVALID
    assert table.passes(run_on(10))[-1] == PayoutFailed(payout(10), SHOP, "USD", 1_000, reason)
    assert table.passes(run_on(11)) == []
    assert account(table, valid=True) == [BankAccountValidated(SHOP, "USD", "ba-1", "micro_deposit")]
    assert [type(body) for body in table.passes(run_on(12))] == [PayoutInitiated, PayoutSubmitted]


def retry(
    day: int, attempt: int, retry_day: int, code: str = "", correction: str = ""
) -> PayoutRetryScheduled:
    return PayoutRetryScheduled(
        payout(day), SHOP, "USD", 1_000, attempt, DAY_ON + retry_day - 9, code, correction
    )


CREDITED = make(PayoutReturnCredited, payout_id=payout(10))


def test_what_comes_back_is_sent_again_later_and_later() -> None:
    """A run later, then two; with the third return it goes on hold, with all that comes."""
    table = paid_out()
    assert returned(table, 10, "R23") == [CREDITED, retry(10, 2, 11, "R23")]
    assert [type(body) for body in table.passes(run_on(11))] == [PayoutInitiated, PayoutSubmitted]
    assert returned(table, 11, "R23")[1] == retry(11, 3, 13, "R23")
    assert table.passes(run_on(12)) == []
    initiated, _ = table.passes(run_on(13))
    assert initiated.attempt == 3  # type: ignore[attr-defined]
    assert returned(table, 13, "R23")[1] == _given_up(13, 1_000)
    table.comes(make(MerchantEntryReceived, item="cap-2", amount=500, cause=EntryCause.CAPTURE))
    assert _given_up(13, 500) in table.passes(run_on(16))
    assert (book(table).available, book(table).attempt) == (0, 0)


def _given_up(day: int, amount: int) -> SettlementHoldPlaced:
    hold_id = f"returned:{payout(day)}"
    return SettlementHoldPlaced(SHOP, "USD", hold_id, HoldReason.PAYOUTS_RETURNED, 0, amount, "")


@pytest.mark.parametrize("code", sorted(UNUSABLE))
def test_an_account_that_takes_nothing_is_not_tried_again(code: str) -> None:
    """Unless the bank has said what is right: then the next attempt goes out with that."""
    assert returned(paid_out(), 10, code) == [CREDITED, _given_up(10, 1_000)]
    assert returned(paid_out(), 10, code, "C01") == [CREDITED, retry(10, 2, 11, code, "C01")]


def test_the_merchants_terms_say_how_often_a_payout_is_sent() -> None:
    """Once, and its first return goes on hold."""
    assert returned(paid_out(payout_attempts=1), 10, "R23") == [CREDITED, _given_up(10, 1_000)]


def test_a_valid_bank_account_frees_what_had_come_back() -> None:
    """And only that: a hold of ours stays."""
    table = paid_out()
    returned(table, 10, "R02")
    validated, released = account(table, valid=True)
    assert validated == BankAccountValidated(SHOP, "USD", "ba-1", "micro_deposit")
    assert released == SettlementHoldReleased(SHOP, "USD", f"returned:{payout(10)}", 1_000, "")
    initiated, _ = table.passes(run_on(11))
    assert (initiated.amount, initiated.attempt) == (1_000, 1)  # type: ignore[attr-defined]


# --- debits ---------------------------------------------------------------------------------------------


def owing(**terms: Any) -> Table:
    """The merchant owes 5.00 since Tuesday's run, and two days later it is drawn."""
    table = at_work(debit_after_days=2, **terms)
    table.comes(make(MerchantEntryReceived, item="ref-1", amount=-500, cause=EntryCause.REFUND))
    table.passes(run_on(10))
    return table


def drawn(day: int, amount: int = 500, attempt: int = 1, value_day: int = 0) -> MerchantDebitApplied:
    value_on = DAY_ON + (value_day or day + 1) - 9
    return MerchantDebitApplied(debit(day), SHOP, "USD", amount, "bank-usd", attempt, value_on)


def outcome(table: Table, day: int, what: DebitOutcome, code: str = "") -> list[Event]:
    """What the bank made of a debit; what the next tick makes of that."""
    table.comes(
        make(MerchantDebitOutcomeReceived, debit_id=debit(day), outcome=what, return_code=code, amount=500)
    )
    return table.next()


def test_what_is_owed_for_long_is_drawn_from_the_merchants_bank() -> None:
    """Once, on a business day; paid, nothing is owed any more."""
    table = owing()
    assert table.passes(run_on(11)) == []
    assert table.passes(run_on(12)) == [drawn(12)]
    assert table.passes(run_on(13)) == []
    assert outcome(table, 12, DebitOutcome.PAID) == []
    assert table.passes(run_on(20)) == []
    assert book(table).receivable == 0


def test_without_terms_nothing_is_drawn() -> None:
    """The debt waits for later funds."""
    table = at_work()
    table.comes(make(MerchantEntryReceived, item="ref-1", amount=-500, cause=EntryCause.REFUND))
    table.passes(run_on(10))
    assert [table.passes(run_on(day)) for day in range(11, 30)] == [[]] * 19


def test_a_debit_that_comes_back_is_owed_again_and_drawn_once_more() -> None:
    """Then no more: later funds pay it, and after that a new debt is drawn again."""
    table = owing()
    table.passes(run_on(12))
    outcome(table, 12, DebitOutcome.PAID)
    unpaid = MerchantDebitReturned(debit(12), SHOP, "USD", 500, "R01")
    assert outcome(table, 12, DebitOutcome.RETURNED, "R01") == [unpaid]
    assert [table.passes(run_on(day)) for day in (13, 14, 15)] == [[], [], []], "no bank works at a weekend"
    assert table.passes(run_on(16)) == [drawn(16, attempt=2)]
    outcome(table, 16, DebitOutcome.RETURNED, "R01")
    assert [table.passes(run_on(day)) for day in range(17, 26)] == [[]] * 9
    table.comes(make(MerchantEntryReceived, item="cap-1", amount=700, cause=EntryCause.CAPTURE))
    assert MerchantReceivableOffset(SHOP, "USD", 500) in table.passes(run_on(26))
    table.comes(make(MerchantEntryReceived, item="ref-2", amount=-300, cause=EntryCause.REFUND))
    table.passes(run_on(27))
    assert [body for day in (28, 29, 30) for body in table.passes(run_on(day))] == [
        drawn(30, 300, value_day=31)
    ]


def test_later_funds_go_before_a_debit() -> None:
    """Only what is then still owed is drawn."""
    table = owing()
    table.comes(
        make(MerchantEntryReceived, item="cap-1", amount=200, cause=EntryCause.CAPTURE, due_on=DAY_ON + 3)
    )
    assert table.passes(run_on(12))[1:3] == [
        MerchantReceivableOffset(SHOP, "USD", 200),
        drawn(12, 300),
    ]


def test_a_debit_without_a_word_from_the_bank_is_reported_once() -> None:
    """On the side on which it stands."""
    table = owing()
    table.passes(run_on(12))
    aged = ClearingResidualAged(
        "liab:payout_in_transit", debit(12), "USD", 500, 10, MerchantDebitOutcomeReceived.__name__
    )
    assert table.passes(run_on(22)) == [aged]
    assert table.passes(run_on(23)) == []


def test_a_return_that_we_do_not_know_changes_nothing() -> None:
    """Reconciliation has asked about the line already."""
    assert outcome(owing(), 12, DebitOutcome.RETURNED, "R01") == []
