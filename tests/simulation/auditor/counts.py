"""How often things happen: once at most, and exactly once where somebody waits for it."""

from collections import Counter, defaultdict
from typing import Any

from tests.simulation.auditor.logs import Event, Findings

#: What may happen once to each: an event, and the fields that name what it happens to.
ONCE = {
    "PaymentRequested": ("payment_id",),
    "CaptureRequested": ("capture_id",),
    "RefundRequested": ("refund_id",),
    "RiskAssessed": ("payment_id", "phase"),
    "ReviewOpened": ("payment_id",),
    "ReviewDecided": ("payment_id", "decision"),
    "ReviewClosed": ("payment_id",),
    "RequestAccepted": ("merchant", "idempotency_key"),
    "AuthorizationSubmitted": ("payment_id", "attempt"),
    "ReversalSubmitted": ("payment_id", "attempt"),
    "IncrementRequested": ("increment_id",),
    "IncrementAdmitted": ("increment_id",),
    "IncrementSubmitted": ("payment_id", "attempt"),
    "AuthorizationIncremented": ("increment_id",),
    "IncrementDeclined": ("increment_id",),
    "AmountConflictDetected": ("payment_id", "kind", "attempt"),
    "AuthorizationRemainderReleased": ("payment_id",),
    "PaymentAuthorized": ("payment_id",),
    "PaymentDeclined": ("payment_id",),
    "PaymentVoided": ("payment_id",),
    "AuthorizationExpired": ("payment_id",),
    "AuthorizationReversed": ("payment_id", "reason", "attempt"),
    "LateApprovalReceived": ("payment_id", "kind", "attempt"),
    "PaymentCaptured": ("capture_id",),
    "CaptureVoided": ("capture_id",),
    "CaptureWrittenOff": ("capture_id",),
    "ClearingRecordCreated": ("record_id",),
    "ClearingRecordAccepted": ("record_id",),
    "ClearingRecordReturned": ("record_id",),
    "RefundCleared": ("record_id",),
    "RefundApproved": ("refund_id",),
    "RefundFailed": ("refund_id",),
    "InterchangeAssessed": ("record_id",),
    "InterchangeReturned": ("record_id",),
    "SchemeFeeAssessed": ("record_id", "fee_id"),
    "ProcessingFeeCharged": ("capture_id",),
    "EarlyFraudWarningReceived": ("payment_id", "report_id"),
    "FraudConfirmed": ("payment_id", "source", "label", "reference"),
    "PaymentLabelled": ("payment_id", "number"),
    "DisputeInquiryOpened": ("case_id",),
    "DisputeInquiryClosed": ("case_id",),
    "DisputeOpened": ("case_id",),
    "DisputeMerchantDebited": ("case_id",),
    "DisputeEvidenceSubmitted": ("case_id", "stage"),
    "DisputeEscalated": ("case_id", "stage"),
    "DisputeWon": ("case_id",),
    "DisputeLost": ("case_id",),
    "DisputeFeeCharged": ("case_id",),
    "MerchantEntryReceived": ("merchant", "currency", "item"),
    "MerchantBalanceAdjusted": ("merchant", "currency", "item"),
    "SettlementBatchClosed": ("merchant", "currency", "batch_id"),
    "ReserveWithheld": ("merchant", "currency", "reserve_id"),
    "PayoutSubmitted": ("payout_id",),
    "PayoutFailed": ("payout_id",),
    "PayoutReturnCredited": ("payout_id",),
    "PayoutRetryScheduled": ("payout_id",),
    "MerchantDebitApplied": ("debit_id",),
    "MerchantDebitReturned": ("debit_id",),
    "MerchantDebited": ("account", "statement_id", "line"),
    "MerchantDebitReversed": ("account", "statement_id", "line"),
    "MerchantLossWrittenOff": ("merchant", "currency", "write_off_id"),
    "PayoutInitiated": ("payout_id", "attempt"),
    "BankLineRecorded": ("account", "statement_id", "line"),
    "NetworkSettlementReceived": ("account", "statement_id", "line"),
    "SchemeInvoicePaid": ("account", "statement_id", "line"),
    "PayoutPaid": ("account", "statement_id", "line"),
    "PayoutReturned": ("account", "statement_id", "line"),
    "SuspenseWrittenOff": ("account", "statement_id", "line"),
    "SuspenseOffset": ("account", "statement_id", "line"),
    "FeeCorrected": ("record_id",),
}

#: What became of a request: exactly one of them follows it.
ANSWERS = ("RequestAccepted", "DuplicateRequestObserved", "IdempotencyConflictObserved", "RequestRejected")


class Counts:
    """What may happen once, and what must."""

    def __init__(self) -> None:
        self._seen: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self._requests: dict[str, str] = {}
        self._answers: Counter[str] = Counter()
        self._requested: dict[str, str] = {}
        self._outcomes: Counter[str] = Counter()
        self._increments: Counter[str] = Counter()

    def take(self, event: Event) -> Findings:
        """Count it."""
        name, body = event.name, event.body
        if name in ONCE:
            what = tuple(body.get(field) for field in ONCE[name])
            if what in self._seen[name]:
                yield f"{event.where}: {name} of {'/'.join(map(str, what))} happens again"
            self._seen[name].add(what)
        match name:
            case "RequestReceived" | "IncrementReceived" | "EvidenceReceived" | "SettingsReceived":
                self._requests[event.event_id] = event.where
            case _ if name in ANSWERS:
                self._answers[event.meta["causation_id"]] += 1
            case "PaymentRequested":
                self._requested[body["payment_id"]] = event.where
            case "IncrementAdmitted":
                self._increments[body["increment_id"]] += 1
            case "AuthorizationIncremented" | "IncrementDeclined":
                self._increments[body["increment_id"]] -= 1
            case "PaymentAuthorized" | "PaymentDeclined":
                self._outcomes[body["payment_id"]] += 1
            case "AuthorizationReversed" if body["reason"] == "timeout":
                self._outcomes[body["payment_id"]] += 1
            case _:
                pass

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """One answer to each request, one outcome of each payment; none where it was put aside."""
        if not ended:
            return
        for request, where in self._requests.items():
            if self._answers[request] != (where not in put_aside):
                yield f"{where}: the request {request} has {self._answers[request]} answers"
        for increment, open_ in sorted(self._increments.items()):
            if open_:
                yield f"the increment {increment} has {1 - open_} outcomes"
        for payment in sorted(self._requested | self._outcomes.keys()):
            expected = 0 if self._requested.get(payment) in put_aside else 1
            if self._outcomes[payment] != expected:
                yield f"{payment} has {self._outcomes[payment]} outcomes"
