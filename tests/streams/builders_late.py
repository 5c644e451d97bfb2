"""Builders for the second half of a payment's life: an argument that is set is an argument that matters."""

from typing import Any, TypeVar

from events.accounts import bank_account
from events.authorization import DeclineReason, RetryAdvice, ReversalReason
from events.balances import HoldReason, LossReason, ReceivableCause, ReserveRelease
from events.base import Event
from events.calendar import DAY, HOUR, day_number, start_of
from events.clearing import Bearer, ClearingRejection, RecordKind
from events.corrections import WriteOffRule
from events.disputes import DisputeStage, DisputeStep
from events.envelope import Recorded
from events.partitions import TickPassed
from events.payouts import DebitOutcome, PayoutFailure
from events.refunds import RefundFailure
from events.requests import Answered, CaptureMode, Channel
from events.settlement import EntryCause, PayoutOutcome
from streams.processor import Work
from tests.streams.builders_early import CARD, KEY, NOON, PAYMENT, SHOP, Bench, recorded

DAY_ON = day_number(2026, 3, 9)
"""A Monday."""
MIDNIGHT = start_of(DAY_ON)
CYCLE = "visa-USD-2026-03-09"
PERIOD = "2026-W11"
PAYOUT = "po-1"

_E = TypeVar("_E", bound=Event)

#: What a field is when nobody cares.
DULL: dict[str, Any] = {
    "account": bank_account("USD"),
    "accepted": True,
    "advice": RetryAdvice.NEVER,
    "amount": 1_000,
    "approved_amount": 1_000,
    "approver": "kim",
    "arn": "7" * 23,
    "attempt": 1,
    "auth_code": "A1B2C3",
    "available": 0,
    "avs_result": "Y",
    "base": 10_000,
    "batch_id": "batch-1",
    "bin": "41111111",
    "booked_on": DAY_ON + 1,
    "borne_by": Bearer.MERCHANT,
    "capture_id": "cap-1",
    "capture_mode": CaptureMode.MANUAL,
    "card_id": CARD,
    "cause": EntryCause.CAPTURE,
    "case_id": "dsp-1",
    "channel": Channel.ECOMMERCE,
    "chunk": 1,
    "chunks": 1,
    "correction": "",
    "currency": "USD",
    "cvv_result": "M",
    "cycle": CYCLE,
    "debit_id": "deb-1",
    "device_ref": "",
    "disputed": 0,
    "documents": [],
    "due_on": 0,
    "email_ref": "",
    "file_id": "bank-usd-2026-03-09",
    "fee_id": "VS-ASSESSMENT",
    "fee_table_version": 1,
    "final": True,
    "fixed": 10,
    "hold_id": "h-1",
    "hold_released": 1_000,
    "idempotency_key": KEY,
    "increment_id": "inc-1",
    "interchange": 25,
    "ip_ref": "",
    "phone_ref": "",
    "signals": None,
    "item": "cap-1",
    "kind": RecordKind.PRESENTMENT,
    "last4": "1111",
    "line": 1,
    "merchant": SHOP,
    "net": 975,
    "number": 1,
    "network": "visa",
    "network_transaction_id": "ntx-1",
    "note": "",
    "outcome": PayoutOutcome.PAID,
    "payment_id": PAYMENT,
    "payout_id": PAYOUT,
    "period": PERIOD,
    "plan_version": 1,
    "presented": 1_000,
    "presentment": 1,
    "program": "VS-BLENDED",
    "rate_ppm": 15_000,
    "reason": ReversalReason.TIMEOUT,
    "reason_code": "10.4",
    "record_id": "clr-1",
    "records": 1,
    "reference": f"NET {CYCLE}",
    "refund_id": "ref-1",
    "refunded": 0,
    "rejection": ClearingRejection.NONE,
    "reply_by_at": start_of(DAY_ON + 20),
    "requested": 1_000,
    "release_on": DAY_ON + 10,
    "reserve_id": "reserve-1",
    "response_code": "00",
    "return_code": "",
    "settlement_amount": 1_000,
    "share_ppm": 100_000,
    "settlement_currency": "USD",
    "source_id": "cap-1",
    "stage": DisputeStage.CHARGEBACK,
    "step": DisputeStep.CHARGEBACK,
    "statement_id": "bank-usd-2026-03-10",
    "their_interchange": 25,
    "total": 2_000,
    "valid_until_at": NOON + 7 * DAY,
    "value_on": DAY_ON + 1,
    "wanted": 0,
    "write_off_id": "w-1",
}
_DULL_OF: dict[str, dict[str, Any]] = {
    "PaymentDeclined": {"reason": DeclineReason.DO_NOT_HONOUR, "response_code": "05"},
    "FeeCorrected": {"old": 25, "new": 26, "amount": 1, "approved_by": "grace"},
    "SettlementDifferenceWrittenOff": {"amount": 5, "rule": WriteOffRule.APPROVED, "approved_by": "grace"},
    "SchemeInvoiceAdjusted": {"amount": 1, "rule": WriteOffRule.APPROVED, "approved_by": "grace"},
    "PayoutDifferenceWrittenOff": {"amount": 1, "rule": WriteOffRule.APPROVED, "approved_by": "grace"},
    "SuspenseWrittenOff": {"amount": 5, "approved_by": "grace"},
    "SuspenseOffset": {"amount": 5, "by_statement_id": "bank-usd-2026-03-11", "by_line": 2},
    "IncrementDeclined": {"reason": DeclineReason.DO_NOT_HONOUR, "response_code": "05"},
    "DisputeEvidenceRequested": {"stage": Answered.CHARGEBACK},
    "VoidRequested": {"capture_id": ""},
    "RefundRequested": {"reason": None},
    "RefundApproved": {"reason": None},
    "ClearingRecordReturned": {"reason": ClearingRejection.DUPLICATE_PRESENTMENT, "representable": False},
    "ClearingReturnReceived": {"reason": ClearingRejection.INVALID_DATA},
    "RefundFailed": {"reason": RefundFailure.CLEARING_REJECTED},
    "ClearingRecordRejected": {"reason": ClearingRejection.DUPLICATE_PRESENTMENT, "representable": False},
    "InterchangeAssessed": {"amount": 25},
    "InterchangeReturned": {"amount": 25},
    "SchemeFeeAssessed": {"amount": 3},
    "SchemePeriodTotalled": {"amount": 3},
    "SchemeInvoicePaid": {"amount": 3},
    "ProcessingFeeCharged": {"amount": 59},
    "NetworkSettlementReceived": {"amount": 975},
    "BankLineRecorded": {"amount": 975},
    "PayoutFailed": {"reason": PayoutFailure.ACCOUNT_INVALID},
    "MerchantDebitOutcomeReceived": {"outcome": DebitOutcome.PAID},
    "ReserveReleased": {"reason": ReserveRelease.MATURED},
    "SettlementHoldPlaced": {"reason": HoldReason.RISK_REVIEW},
    "MerchantReceivableRaised": {"cause": ReceivableCause.SHORT_BALANCE},
    "MerchantLossWrittenOff": {"reason": LossReason.INSOLVENT},
}


def make(kind: type[_E], /, **fields: Any) -> _E:
    """An event of a kind: 10.00 USD of one shop, wherever nothing else is said."""
    own = _DULL_OF.get(kind.__name__, {})
    values = {}
    for name in kind.__struct_fields__:
        if name in fields:
            values[name] = fields.pop(name)
        else:
            values[name] = own[name] if name in own else DULL[name]
    assert not fields, f"{kind.__name__} has no {sorted(fields)}"
    return kind(**values)


class Table(Bench):
    """A processor at work in logical time: what is fired is decided on too, and ticks are heard to pass.

    Every method returns what was decided, so a test reads as a table of what comes and what follows.
    """

    def __init__(self, processor: Any, *given: Recorded, now: int = NOON) -> None:
        super().__init__(processor, *given)
        self.now = now
        self.ticks = 0

    def hear_of(self, *bodies: Event) -> None:
        """Things that happened: heard, and decided on long ago."""
        for body in bodies:
            self.hear(recorded(body, at=self.now))

    def comes(self, *bodies: Event, **times: int) -> list[Event]:
        """Events reach the processor between two ticks."""
        return self.take(*bodies, at=self.now, **times)

    def passes(self, at: int) -> list[Event]:
        """A tick at a time of its own; what it fires is heard and decided on, work by work."""
        self.now = at
        decided: list[Event] = []
        for work in self.works(at):
            for body in self.processor.fire(self.state, work, at):
                decided += [body, *self.take(body, at=at)]
        self.ticks += 1
        self.take(TickPassed(self.ticks, at, 1), at=at)
        return decided

    def works(self, at: int) -> list[Work]:
        """What a tick would do, in the engine's order."""
        return sorted(self.processor.due(self.state, at), key=lambda work: (work.phase, work.key, work.kind))

    def next(self) -> list[Event]:
        """The next tick, a quarter of an hour later."""
        return self.passes(self.now + HOUR // 4)
