"""Postings: every event that moves money has a row, and its legs add up to nothing."""

from collections import defaultdict

import msgspec
import pytest

from events import postings as module
from events.accounts import CLEARING, code_of
from events.authorization import AuthorizationIncremented, AuthorizationReversed, PaymentAuthorized
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
from events.catalog import EVENTS
from events.clearing import (
    Bearer,
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordReturned,
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
from events.payouts import (
    MerchantDebitApplied,
    MerchantDebited,
    MerchantDebitReturned,
    MerchantDebitReversed,
    PayoutFailed,
)
from events.postings import POSTING, Leg, balances, postings
from events.reconciliation import (
    BankLineRecorded,
    NetworkSettlementReceived,
    PayoutPaid,
    PayoutReturned,
    SchemeInvoicePaid,
)
from events.refunds import RefundApproved, RefundFailed
from events.samples import samples
from events.settlement import (
    Entry,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
)
from tests.streams.builders_late import CYCLE, PAYMENT, make

AR, AH = "memo:auth_receivable:visa", "memo:auth_hold:shop-1"
NU, NR = "asset:network_unbilled:visa", f"asset:network_receivable:visa:USD:{CYCLE}"
NR_EUR = f"asset:network_receivable:visa:EUR:{CYCLE}"
RT, MP, MA = "liab:refund_in_transit", "liab:merchant_pending:shop-1", "liab:merchant_available:shop-1"
RS, HD, MR = "liab:merchant_reserve:shop-1", "liab:merchant_hold:shop-1", "asset:merchant_receivable:shop-1"
PT, SP, SU = "liab:payout_in_transit", "liab:scheme_payable:visa", "liab:suspense:bank-usd"
BK, PF, IX = "asset:bank:bank-usd", "income:processing_fee", "expense:interchange"
SF, LO = "expense:scheme_fee", "expense:loss"
DR, DH, DF = "asset:dispute_recoverable", "liab:dispute_held", "income:dispute_fee"
FX_USD, FX_EUR = "trading:fx:payments:USD", "trading:fx:payments:EUR"
LINE, PERIOD = "bank-usd-2026-03-10/1", "visa-USD-2026-W11"
IN_EUR = {"settlement_amount": 900, "settlement_currency": "EUR"}

# fmt: off
ROWS: list[tuple[Event, list[tuple[str, str, int]]]] = [
    (make(PaymentAuthorized, amount=1_500), [(AR, PAYMENT, 1_000), (AH, PAYMENT, -1_000)]),
    (make(AuthorizationReversed),           [(AH, PAYMENT, 1_000), (AR, PAYMENT, -1_000)]),
    (make(AuthorizationReversed, hold_released=0), []),
    (make(AuthorizationIncremented, requested=1_500), [(AR, PAYMENT, 1_000), (AH, PAYMENT, -1_000)]),
    (make(AuthorizationRemainderReleased, hold_released=400), [(AH, PAYMENT, 400), (AR, PAYMENT, -400)]),
    (make(PaymentVoided),                   [(AH, PAYMENT, 1_000), (AR, PAYMENT, -1_000)]),
    (make(PaymentVoided, hold_released=0),  []),
    (make(AuthorizationExpired, hold_released=7), [(AH, PAYMENT, 7), (AR, PAYMENT, -7)]),
    (make(PaymentCaptured, amount=600),     [(AH, PAYMENT, 1_000), (AR, PAYMENT, -1_000),
                                             (NU, "cap-1", 600),   (MP, "cap-1", -600)]),
    (make(PaymentCaptured, amount=1_150),   [(AH, PAYMENT, 1_000), (AR, PAYMENT, -1_000),
                                             (NU, "cap-1", 1_150), (MP, "cap-1", -1_150)]),
    (make(CaptureVoided),                   [(MP, "void:cap-1", 1_000), (NU, "cap-1", -1_000)]),
    (make(CaptureWrittenOff),               [(MP, "loss:cap-1", 1_000), (NU, "cap-1", -1_000)]),
    (make(CaptureWrittenOff, borne_by=Bearer.US), [(LO, "", 1_000),     (NU, "cap-1", -1_000)]),
    (make(ClearingRecordAccepted),          [(NR, CYCLE, 1_000),   (NU, "cap-1", -1_000)]),
    (make(ClearingRecordReturned),          [(NU, "cap-1", 1_000), (NR, CYCLE, -1_000)]),
    (make(RefundCleared),                   [(RT, "ref-1", 1_000), (NR, CYCLE, -1_000)]),
    (make(InterchangeAssessed),             [(IX, "", 25),         (NR, CYCLE, -25)]),
    (make(InterchangeReturned),             [(NR, CYCLE, 25),      (IX, "", -25)]),
    (make(SchemeFeeAssessed),               [(SF, "", 3),          (SP, PERIOD, -3)]),
    (make(ProcessingFeeCharged),            [(MP, "fee:cap-1", 59), (PF, "", -59)]),
    (make(RefundApproved),                  [(MP, "ref-1", 1_000), (RT, "ref-1", -1_000)]),
    (make(RefundFailed),                    [(RT, "ref-1", 1_000), (MP, "failed:ref-1", -1_000)]),
    (make(DisputeFundsWithdrawn),           [(DR, "dsp-1", 1_000), (NR, CYCLE, -1_000)]),
    (make(DisputeFundsReturned),            [(NR, CYCLE, 1_000), (DR, "dsp-1", -1_000)]),
    (make(DisputeMerchantDebited),          [(MP, "dispute:dsp-1", 1_000), (DH, "dsp-1", -1_000)]),
    (make(DisputeWon),                      [(DH, "dsp-1", 1_000), (MP, "won:dsp-1", -1_000)]),
    (make(DisputeLost),                     [(DH, "dsp-1", 1_000), (DR, "dsp-1", -1_000)]),
    (make(DisputeFeeCharged),               [(MP, "dispute_fee:dsp-1", 1_000), (DF, "", -1_000)]),
    (make(MerchantBalanceAdjusted, amount=-5), [(MP, "cap-1", -5), (MA, "", 5)]),
    (make(FundsMadeAvailable, entries=[Entry("cap-1", 1_000), Entry("cap-2", 0), Entry("fee:cap-1", -59)]),
                                            [(MP, "cap-1", 1_000), (MP, "fee:cap-1", -59), (MA, "", -941)]),
    (make(FundsMadeAvailable, entries=[]),  []),
    (make(FundsMadeAvailable, entries=[Entry("cap-1", 8), Entry("void:cap-1", -8)]),
                                            [(MP, "cap-1", 8),     (MP, "void:cap-1", -8)]),
    (make(PayoutInitiated),                 [(MA, "", 1_000),      (PT, "po-1", -1_000)]),
    (make(PayoutReturnCredited),            [(PT, "po-1", 1_000),  (MA, "", -1_000)]),
    (make(PayoutFailed),                    [(PT, "po-1", 1_000),  (MA, "", -1_000)]),
    (make(MerchantDebitApplied),            [(PT, "deb-1", 1_000), (MR, "", -1_000)]),
    (make(MerchantDebited),                 [(SU, LINE, 1_000),    (PT, "deb-1", -1_000)]),
    (make(MerchantDebitReversed),           [(PT, "deb-1", 1_000), (SU, LINE, -1_000)]),
    (make(MerchantDebitReturned),           [(MR, "", 1_000),      (PT, "deb-1", -1_000)]),
    (make(ReserveWithheld),                 [(MA, "", 1_000),      (RS, "", -1_000)]),
    (make(ReserveReleased),                 [(RS, "", 1_000),      (MA, "", -1_000)]),
    (make(SettlementHoldPlaced),            [(MA, "", 1_000),      (HD, "", -1_000)]),
    (make(SettlementHoldPlaced, amount=0),  []),
    (make(SettlementHoldReleased),          [(HD, "", 1_000),      (MA, "", -1_000)]),
    (make(MerchantReceivableRaised),        [(MR, "", 1_000),      (MA, "", -1_000)]),
    (make(MerchantReceivableOffset),        [(MA, "", 1_000),      (MR, "", -1_000)]),
    (make(MerchantLossWrittenOff),          [(LO, "", 1_000),      (MR, "", -1_000)]),
    (make(BankLineRecorded),                [(BK, "", 975),        (SU, LINE, -975)]),
    (make(BankLineRecorded, amount=-975),   [(BK, "", -975),       (SU, LINE, 975)]),
    (make(NetworkSettlementReceived),       [(SU, LINE, 975),      (NR, CYCLE, -975)]),
    (make(NetworkSettlementReceived, amount=-9), [(SU, LINE, -9),  (NR, CYCLE, 9)]),
    (make(SchemeInvoicePaid),               [(SP, PERIOD, 3),      (SU, LINE, -3)]),
    (make(PayoutPaid),                      [(PT, "po-1", 1_000),  (SU, LINE, -1_000)]),
    (make(PayoutReturned),                  [(SU, LINE, 1_000),    (PT, "po-1", -1_000)]),
    # corrections
    (make(FeeCorrected),                    [(IX, "", 1),          (NR, CYCLE, -1)]),
    (make(SettlementDifferenceWrittenOff),  [(LO, "", 5),          (NR, CYCLE, -5)]),
    (make(SchemeInvoiceAdjusted),           [(SF, "", 1),          (SP, PERIOD, -1)]),
    (make(PayoutDifferenceWrittenOff),      [(LO, "", 1),          (PT, "po-1", -1)]),
    (make(SuspenseWrittenOff),              [(SU, LINE, 5),        (LO, "", -5)]),
    (make(SuspenseOffset),                  [(SU, LINE, 5),        (SU, "bank-usd-2026-03-11/2", -5)]),
]
# fmt: on


@pytest.mark.parametrize(("event", "legs"), ROWS, ids=lambda value: type(value).__name__)
def test_an_event_posts_its_row(event: Event, legs: list[tuple[str, str, int]]) -> None:
    """Debit positive, credit negative, all in the event's currency."""
    assert postings(event) == tuple(Leg(account, item, "USD", amount) for account, item, amount in legs)


def test_a_settlement_in_another_currency_goes_over_the_trading_account() -> None:
    """Each currency adds up by itself; a refund mirrors its capture."""
    assert postings(make(ClearingRecordAccepted, **IN_EUR)) == (
        Leg(FX_USD, "", "USD", 1_000),
        Leg(NU, "cap-1", "USD", -1_000),
        Leg(NR_EUR, CYCLE, "EUR", 900),
        Leg(FX_EUR, "", "EUR", -900),
    )
    assert postings(make(RefundCleared, **IN_EUR)) == (
        Leg(RT, "ref-1", "USD", 1_000),
        Leg(FX_USD, "", "USD", -1_000),
        Leg(FX_EUR, "", "EUR", 900),
        Leg(NR_EUR, CYCLE, "EUR", -900),
    )


def test_every_posting_event_has_a_row() -> None:
    """An event that begins to move money needs a row above."""
    assert {type(event) for event, _ in ROWS} == POSTING


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_legs_of_any_event_add_up_to_nothing(kind: type[Event]) -> None:
    """Per currency, whatever the fields hold; items stand on clearing accounts and nowhere else."""
    for event in samples(kind):
        sums: defaultdict[str, int] = defaultdict(int)
        for leg in postings(event):
            sums[leg.currency] += leg.amount
            assert leg.amount != 0
        assert not any(sums.values())
        assert bool(postings(event)) <= (kind in POSTING)


def test_items_stand_on_clearing_accounts_alone() -> None:
    """What has an item must come back to zero."""
    for event, _ in ROWS:
        for leg in postings(event):
            assert bool(leg.item) == (code_of(leg.account) in CLEARING)


def test_the_bank_account_is_posted_by_its_statement_alone() -> None:
    """So its balance is the statement's, whatever we think."""
    touching = {type(event) for event, _ in ROWS for leg in postings(event) if leg.account == BK}
    assert touching == {BankLineRecorded}


def test_balances_leave_out_what_is_zero() -> None:
    """The fold that the walks are checked with."""
    authorized, voided = make(PaymentAuthorized), make(PaymentVoided)
    assert balances([authorized]) == {(AR, PAYMENT, "USD"): 1_000, (AH, PAYMENT, "USD"): -1_000}
    assert balances([authorized, voided]) == {}


def test_a_planted_one_sided_leg_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over samples would see a rule that is not made of pairs."""
    monkeypatch.setitem(module._RULES, PaymentVoided, lambda event: (Leg(AR, "x", event.currency, 1),))
    with pytest.raises(AssertionError):
        test_legs_of_any_event_add_up_to_nothing(PaymentVoided)


def test_no_posting_looks_at_anything_but_the_event() -> None:
    """An event read back from its bytes posts the same."""
    for event, _ in ROWS:
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=type(event))
        assert postings(again) == postings(event)
