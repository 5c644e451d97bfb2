"""What an event does to the books: a pure function of that one event.

The event carries every amount, account, cycle and item it posts, so no posting looks at what was before, and the
ledger is a projection of the logs. Legs are made in pairs, a debit and a credit of the same amount: they add up to
nothing per event and currency by construction. An amount of 0 posts nothing.

Most events post nothing at all: they are news, not money.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from events.accounts import (
    AH,
    AR,
    BK,
    DF,
    DH,
    DR,
    FX,
    HD,
    IX,
    LO,
    MA,
    MP,
    MR,
    NR,
    NU,
    PAYMENTS,
    PF,
    PT,
    RS,
    RT,
    SF,
    SP,
    SU,
    line_item,
    name,
    scheme_item,
)
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
from events.reconciliation import (
    BankLineRecorded,
    NetworkSettlementReceived,
    PayoutPaid,
    PayoutReturned,
    SchemeInvoicePaid,
)
from events.refunds import RefundApproved, RefundFailed
from events.settlement import (
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
)


class Leg(NamedTuple):
    """One side of a posting: minor units of ``currency``, debit positive, credit negative.

    ``item`` is empty on accounts that are not clearing accounts.
    """

    account: str
    item: str
    currency: str
    amount: int


Legs = tuple[Leg, ...]
#: An account and the item on it.
Side = tuple[str, str]


def postings(event: Event) -> Legs:
    """The legs of an event, in the order of its rule; empty for an event that moves no money."""
    rule = _RULES.get(type(event))
    return () if rule is None else rule(event)


def balances(events: Iterable[Event]) -> dict[tuple[str, str, str], int]:
    """What stands where after these events, by (account, item, currency); what is zero is left out."""
    totals: dict[tuple[str, str, str], int] = {}
    for event in events:
        for account, item, currency, amount in postings(event):
            place = (account, item, currency)
            totals[place] = totals.get(place, 0) + amount
    return {place: amount for place, amount in totals.items() if amount}


def _move(debit: Side, credit: Side, currency: str, amount: int) -> Legs:
    """The one way in which legs come to be. A negative amount moves the other way."""
    if amount == 0:
        return ()
    return (Leg(*debit, currency, amount), Leg(*credit, currency, -amount))


# --- holds --------------------------------------------------------------------------------------------


def _authorized(event: PaymentAuthorized) -> Legs:
    return _move(*_hold(event), event.currency, event.approved_amount)


def _incremented(event: AuthorizationIncremented) -> Legs:
    return _move(*_hold(event), event.currency, event.amount)


Releasing = (
    AuthorizationReversed
    | PaymentVoided
    | AuthorizationExpired
    | AuthorizationRemainderReleased
    | PaymentCaptured
)


def _hold_released(event: Releasing) -> Legs:
    receivable, hold = _hold(event)
    return _move(hold, receivable, event.currency, event.hold_released)


def _hold(event: PaymentAuthorized | AuthorizationIncremented | Releasing) -> tuple[Side, Side]:
    return (name(AR, event.network), event.payment_id), (name(AH, event.merchant), event.payment_id)


# --- captures and refunds -----------------------------------------------------------------------------


def _captured(event: PaymentCaptured) -> Legs:
    unbilled = (name(NU, event.network), event.capture_id)
    pending = (name(MP, event.merchant), event.capture_id)
    return _hold_released(event) + _move(unbilled, pending, event.currency, event.amount)


def _capture_voided(event: CaptureVoided) -> Legs:
    pending = (name(MP, event.merchant), f"void:{event.capture_id}")
    unbilled = (name(NU, event.network), event.capture_id)
    return _move(pending, unbilled, event.currency, event.amount)


def _written_off(event: CaptureWrittenOff) -> Legs:
    unbilled = (name(NU, event.network), event.capture_id)
    match event.borne_by:
        case Bearer.MERCHANT:
            bearer = (name(MP, event.merchant), f"loss:{event.capture_id}")
        case Bearer.US:
            bearer = (name(LO), "")
    return _move(bearer, unbilled, event.currency, event.amount)


def _refund_approved(event: RefundApproved) -> Legs:
    pending = (name(MP, event.merchant), event.refund_id)
    return _move(pending, (name(RT), event.refund_id), event.currency, event.amount)


def _refund_failed(event: RefundFailed) -> Legs:
    pending = (name(MP, event.merchant), f"failed:{event.refund_id}")
    return _move((name(RT), event.refund_id), pending, event.currency, event.amount)


# --- clearing and its cost ----------------------------------------------------------------------------


def _accepted(event: ClearingRecordAccepted) -> Legs:
    unbilled = (name(NU, event.network), event.capture_id)
    return _exchange(_cycle(event), unbilled, event)


def _record_returned(event: ClearingRecordReturned) -> Legs:
    return _exchange((name(NU, event.network), event.capture_id), _cycle(event), event)


def _refund_cleared(event: RefundCleared) -> Legs:
    return _exchange((name(RT), event.refund_id), _cycle(event), event)


Settling = ClearingRecordAccepted | ClearingRecordReturned | RefundCleared


def _exchange(debit: Side, credit: Side, event: Settling) -> Legs:
    """From one side to the other; over the trading account when the network settles in another currency."""
    if event.currency == event.settlement_currency:
        return _move(debit, credit, event.currency, event.amount)
    paid, settled = (
        (name(FX, PAYMENTS, currency), "") for currency in (event.currency, event.settlement_currency)
    )
    if isinstance(event, ClearingRecordAccepted):
        return _move(paid, credit, event.currency, event.amount) + _move(
            debit, settled, event.settlement_currency, event.settlement_amount
        )
    return _move(debit, paid, event.currency, event.amount) + _move(
        settled, credit, event.settlement_currency, event.settlement_amount
    )


def _cycle(event: Settling) -> Side:
    return name(NR, event.network, event.settlement_currency, event.cycle), event.cycle


def _interchange_assessed(event: InterchangeAssessed) -> Legs:
    receivable = (name(NR, event.network, event.currency, event.cycle), event.cycle)
    return _move((name(IX), ""), receivable, event.currency, event.amount)


def _interchange_returned(event: InterchangeReturned) -> Legs:
    receivable = (name(NR, event.network, event.currency, event.cycle), event.cycle)
    return _move(receivable, (name(IX), ""), event.currency, event.amount)


def _scheme_fee_assessed(event: SchemeFeeAssessed) -> Legs:
    payable = (name(SP, event.network), scheme_item(event.network, event.currency, event.period))
    return _move((name(SF), ""), payable, event.currency, event.amount)


def _fee_charged(event: ProcessingFeeCharged) -> Legs:
    pending = (name(MP, event.merchant), f"fee:{event.capture_id}")
    return _move(pending, (name(PF), ""), event.currency, event.amount)


# --- disputes -----------------------------------------------------------------------------------------


def _withdrawn(event: DisputeFundsWithdrawn) -> Legs:
    return _move((name(DR), event.case_id), _dispute_cycle(event), event.currency, event.amount)


def _returned(event: DisputeFundsReturned) -> Legs:
    return _move(_dispute_cycle(event), (name(DR), event.case_id), event.currency, event.amount)


def _dispute_cycle(event: DisputeFundsWithdrawn | DisputeFundsReturned) -> Side:
    return name(NR, event.network, event.currency, event.cycle), event.cycle


def _merchant_debited(event: DisputeMerchantDebited) -> Legs:
    pending = (name(MP, event.merchant), f"dispute:{event.case_id}")
    return _move(pending, (name(DH), event.case_id), event.currency, event.amount)


def _won(event: DisputeWon) -> Legs:
    pending = (name(MP, event.merchant), f"won:{event.case_id}")
    return _move((name(DH), event.case_id), pending, event.currency, event.amount)


def _lost(event: DisputeLost) -> Legs:
    return _move((name(DH), event.case_id), (name(DR), event.case_id), event.currency, event.amount)


def _dispute_fee_charged(event: DisputeFeeCharged) -> Legs:
    pending = (name(MP, event.merchant), f"dispute_fee:{event.case_id}")
    return _move(pending, (name(DF), ""), event.currency, event.amount)


# --- the merchant's money -----------------------------------------------------------------------------


def _made_available(event: FundsMadeAvailable) -> Legs:
    pending = name(MP, event.merchant)
    legs = [Leg(pending, entry.item, event.currency, entry.amount) for entry in event.entries if entry.amount]
    total = sum(leg.amount for leg in legs)
    if total:
        legs.append(Leg(name(MA, event.merchant), "", event.currency, -total))
    return tuple(legs)


def _adjusted(event: MerchantBalanceAdjusted) -> Legs:
    return _move(
        (name(MP, event.merchant), event.item), (name(MA, event.merchant), ""), event.currency, event.amount
    )


def _payout_initiated(event: PayoutInitiated) -> Legs:
    return _move((name(MA, event.merchant), ""), (name(PT), event.payout_id), event.currency, event.amount)


def _return_credited(event: PayoutReturnCredited | PayoutFailed) -> Legs:
    return _move((name(PT), event.payout_id), (name(MA, event.merchant), ""), event.currency, event.amount)


def _merchants(code: str, event: Any) -> Side:
    return name(code, event.merchant), ""


def _reserve_withheld(event: ReserveWithheld) -> Legs:
    return _move(_merchants(MA, event), _merchants(RS, event), event.currency, event.amount)


def _reserve_released(event: ReserveReleased) -> Legs:
    return _move(_merchants(RS, event), _merchants(MA, event), event.currency, event.amount)


def _hold_placed(event: SettlementHoldPlaced) -> Legs:
    return _move(_merchants(MA, event), _merchants(HD, event), event.currency, event.amount)


def _hold_ended(event: SettlementHoldReleased) -> Legs:
    return _move(_merchants(HD, event), _merchants(MA, event), event.currency, event.amount)


def _receivable_raised(event: MerchantReceivableRaised) -> Legs:
    return _move(_merchants(MR, event), _merchants(MA, event), event.currency, event.amount)


def _receivable_offset(event: MerchantReceivableOffset) -> Legs:
    return _move(_merchants(MA, event), _merchants(MR, event), event.currency, event.amount)


def _receivable_lost(event: MerchantLossWrittenOff) -> Legs:
    return _move((name(LO), ""), _merchants(MR, event), event.currency, event.amount)


def _debit_applied(event: MerchantDebitApplied) -> Legs:
    return _move((name(PT), event.debit_id), _merchants(MR, event), event.currency, event.amount)


def _debit_returned(event: MerchantDebitReturned) -> Legs:
    return _move(_merchants(MR, event), (name(PT), event.debit_id), event.currency, event.amount)


# --- the bank -----------------------------------------------------------------------------------------


def _bank_line(event: BankLineRecorded) -> Legs:
    return _move((name(BK, event.account), ""), _line(event), event.currency, event.amount)


def _settlement_received(event: NetworkSettlementReceived) -> Legs:
    receivable = (name(NR, event.network, event.currency, event.cycle), event.cycle)
    return _move(_line(event), receivable, event.currency, event.amount)


def _invoice_paid(event: SchemeInvoicePaid) -> Legs:
    payable = (name(SP, event.network), scheme_item(event.network, event.currency, event.period))
    return _move(payable, _line(event), event.currency, event.amount)


def _payout_paid(event: PayoutPaid) -> Legs:
    return _move((name(PT), event.payout_id), _line(event), event.currency, event.amount)


def _payout_returned(event: PayoutReturned) -> Legs:
    return _move(_line(event), (name(PT), event.payout_id), event.currency, event.amount)


# --- corrections --------------------------------------------------------------------------------------


def _fee_corrected(event: FeeCorrected) -> Legs:
    receivable = (name(NR, event.network, event.currency, event.cycle), event.cycle)
    return _move((name(IX), ""), receivable, event.currency, event.amount)


def _settlement_written_off(event: SettlementDifferenceWrittenOff) -> Legs:
    receivable = (name(NR, event.network, event.currency, event.cycle), event.cycle)
    return _move((name(LO), ""), receivable, event.currency, event.amount)


def _invoice_adjusted(event: SchemeInvoiceAdjusted) -> Legs:
    payable = (name(SP, event.network), scheme_item(event.network, event.currency, event.period))
    return _move((name(SF), ""), payable, event.currency, event.amount)


def _payout_written_off(event: PayoutDifferenceWrittenOff) -> Legs:
    return _move((name(LO), ""), (name(PT), event.payout_id), event.currency, event.amount)


def _suspense_written_off(event: SuspenseWrittenOff) -> Legs:
    return _move(_line(event), (name(LO), ""), event.currency, event.amount)


def _suspense_offset(event: SuspenseOffset) -> Legs:
    other = (name(SU, event.account), line_item(event.by_statement_id, event.by_line))
    return _move(_line(event), other, event.currency, event.amount)


def _debited(event: MerchantDebited) -> Legs:
    return _move(_line(event), (name(PT), event.debit_id), event.currency, event.amount)


def _debit_reversed(event: MerchantDebitReversed) -> Legs:
    return _move((name(PT), event.debit_id), _line(event), event.currency, event.amount)


def _line(
    event: BankLineRecorded
    | NetworkSettlementReceived
    | SchemeInvoicePaid
    | PayoutPaid
    | PayoutReturned
    | SuspenseWrittenOff
    | SuspenseOffset
    | MerchantDebited
    | MerchantDebitReversed,
) -> Side:
    return name(SU, event.account), line_item(event.statement_id, event.line)


_RULES: Final[dict[type[Event], Callable[[Any], Legs]]] = {
    PaymentAuthorized: _authorized,
    AuthorizationIncremented: _incremented,
    AuthorizationReversed: _hold_released,
    AuthorizationRemainderReleased: _hold_released,
    PaymentVoided: _hold_released,
    AuthorizationExpired: _hold_released,
    PaymentCaptured: _captured,
    CaptureVoided: _capture_voided,
    CaptureWrittenOff: _written_off,
    RefundApproved: _refund_approved,
    RefundFailed: _refund_failed,
    ClearingRecordAccepted: _accepted,
    ClearingRecordReturned: _record_returned,
    RefundCleared: _refund_cleared,
    InterchangeAssessed: _interchange_assessed,
    InterchangeReturned: _interchange_returned,
    SchemeFeeAssessed: _scheme_fee_assessed,
    ProcessingFeeCharged: _fee_charged,
    DisputeFundsWithdrawn: _withdrawn,
    DisputeFundsReturned: _returned,
    DisputeMerchantDebited: _merchant_debited,
    DisputeWon: _won,
    DisputeLost: _lost,
    DisputeFeeCharged: _dispute_fee_charged,
    FundsMadeAvailable: _made_available,
    MerchantBalanceAdjusted: _adjusted,
    PayoutInitiated: _payout_initiated,
    PayoutReturnCredited: _return_credited,
    PayoutFailed: _return_credited,
    MerchantDebitApplied: _debit_applied,
    MerchantDebitReturned: _debit_returned,
    ReserveWithheld: _reserve_withheld,
    ReserveReleased: _reserve_released,
    SettlementHoldPlaced: _hold_placed,
    SettlementHoldReleased: _hold_ended,
    MerchantReceivableRaised: _receivable_raised,
    MerchantReceivableOffset: _receivable_offset,
    MerchantLossWrittenOff: _receivable_lost,
    BankLineRecorded: _bank_line,
    NetworkSettlementReceived: _settlement_received,
    SchemeInvoicePaid: _invoice_paid,
    PayoutPaid: _payout_paid,
    PayoutReturned: _payout_returned,
    FeeCorrected: _fee_corrected,
    SettlementDifferenceWrittenOff: _settlement_written_off,
    SchemeInvoiceAdjusted: _invoice_adjusted,
    PayoutDifferenceWrittenOff: _payout_written_off,
    SuspenseWrittenOff: _suspense_written_off,
    SuspenseOffset: _suspense_offset,
    MerchantDebited: _debited,
    MerchantDebitReversed: _debit_reversed,
}
POSTING: Final = frozenset(_RULES)
"""The events that move money."""
