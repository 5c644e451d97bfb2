"""Builders for the second half of a payment's life: an argument that is set is an argument that matters."""

from typing import Any, TypeVar

from events.accounts import bank_account
from events.authorization import DeclineReason, RetryAdvice, ReversalReason
from events.base import Event
from events.calendar import DAY, HOUR, day_number, start_of
from events.clearing import Bearer, ClearingRejection, RecordKind
from events.envelope import Recorded
from events.partitions import TickPassed
from events.refunds import RefundFailure
from events.requests import CaptureMode, Channel
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
    "arn": "7" * 23,
    "attempt": 1,
    "auth_code": "A1B2C3",
    "available": 0,
    "avs_result": "Y",
    "batch_id": "batch-1",
    "bin": "41111111",
    "booked_on": DAY_ON + 1,
    "borne_by": Bearer.MERCHANT,
    "capture_id": "cap-1",
    "capture_mode": CaptureMode.MANUAL,
    "card_id": CARD,
    "cause": EntryCause.CAPTURE,
    "channel": Channel.ECOMMERCE,
    "chunk": 1,
    "chunks": 1,
    "currency": "USD",
    "cvv_result": "M",
    "cycle": CYCLE,
    "device_ref": "",
    "due_on": 0,
    "email_ref": "",
    "fee_id": "VS-ASSESSMENT",
    "fee_table_version": 1,
    "final": True,
    "fixed": 10,
    "hold_released": 1_000,
    "idempotency_key": KEY,
    "interchange": 25,
    "ip_ref": "",
    "item": "cap-1",
    "kind": RecordKind.PRESENTMENT,
    "last4": "1111",
    "line": 1,
    "merchant": SHOP,
    "net": 975,
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
    "record_id": "clr-1",
    "records": 1,
    "reference": f"NET {CYCLE}",
    "refund_id": "ref-1",
    "refunded": 0,
    "rejection": ClearingRejection.NONE,
    "response_code": "00",
    "return_code": "",
    "settlement_amount": 1_000,
    "settlement_currency": "USD",
    "source_id": "cap-1",
    "statement_id": "bank-usd-2026-03-10",
    "valid_until_at": NOON + 7 * DAY,
    "value_on": DAY_ON + 1,
}
_DULL_OF: dict[str, dict[str, Any]] = {
    "PaymentDeclined": {"reason": DeclineReason.DO_NOT_HONOUR, "response_code": "05"},
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
