"""Payments: what was asked, every step that moved one, and where each stands now.

Status is derived, never stored: ``payments`` reads it off the steps. A payment that was captured twice, refunded in
part and paid out has one row there, with the sums.
"""

from typing import Final, NamedTuple

from events.authorization import (
    AmountConflictDetected,
    AuthorizationIncremented,
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    IncrementDeclined,
    IncrementSubmitted,
    LateApprovalReceived,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalSubmitted,
)
from events.base import Event
from events.clearing import (
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordCreated,
    ClearingRecordRejected,
    ClearingRecordReturned,
    RefundCleared,
)
from events.disputes import (
    DisputeLost,
    DisputeMerchantDebited,
    DisputeWon,
    EarlyFraudWarningReceived,
)
from events.fees import (
    DisputeFeeCharged,
    InterchangeAssessed,
    InterchangeReturned,
    ProcessingFeeCharged,
    SchemeFeeAssessed,
)
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureVoided,
    OperationParked,
    OperationRejected,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
)
from events.refunds import RefundApproved, RefundFailed, RefundRejected
from events.routing import RouteExhausted, RouteFailedOver, RouteSelected
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "payments"
VERSION: Final = 3

REQUESTS: Final = Table(
    "payment_requests",
    "One payment as it was asked for.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id"),
        Column("idempotency_key", "TEXT", "the merchant's own name for the request"),
        Column("card_id", "TEXT", "the vault's name for the card; no way back to its number"),
        Column("bin", "TEXT", "first 8 digits of a 16-digit number, first 6 of a 15-digit one"),
        Column("last4", "TEXT", "last four digits"),
        Column("amount", "BIGINT", "minor units"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("channel", "TEXT", "how the card was presented"),
        Column("capture_mode", "TEXT", "automatic or manual"),
        Column("ip_ref", "TEXT", "surrogate of the address it came from; empty where none was told"),
        Column("device_ref", "TEXT", "surrogate of the device, at a till the merchant's; empty likewise"),
        Column("email_ref", "TEXT", "surrogate of the e-mail address; empty likewise"),
        Column("occurred_at", "TIMESTAMP", "when it happened, by the producer's claim, UTC"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("partition", "INTEGER", "partition of the payments log that holds the payment"),
        Column("simulated", "BOOLEAN", "whether it was made by a simulator"),
    ),
    business=(
        "payment_id",
        "merchant",
        "idempotency_key",
        "card_id",
        "bin",
        "last4",
        "amount",
        "currency",
        "channel",
        "capture_mode",
        "ip_ref",
        "device_ref",
        "email_ref",
        "occurred_at",
    ),
)
STEPS: Final = Table(
    "payment_steps",
    "What was decided about a payment, step by step.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("sequence", "BIGINT", "place in the payment's stream"),
        Column("step", "TEXT", "what was decided: authorized, declined, captured, ..."),
        Column("network", "TEXT", "the network, where one took part"),
        Column(
            "item", "TEXT", "the capture, refund or clearing record; the attempt where a network was asked"
        ),
        Column("amount", "BIGINT", "minor units, 0 where none moves"),
        Column("currency", "TEXT", "ISO 4217; empty where no amount"),
        Column("hold_released", "BIGINT", "what left the hold, minor units"),
        Column("reason", "TEXT", "response code, reason or rule, where there is one"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
        Column("causation_id", "TEXT", "the event that led to it"),
    ),
    business=("payment_id", "step", "network", "item", "amount", "currency", "hold_released", "reason"),
    # How long something waited, and what an answer after its time-out said first, is the transport's business.
    where="step <> 'parked'",
)
TABLES: Final = (REQUESTS, STEPS)


class _Step(NamedTuple):
    """How events of a type become steps: the fields that hold item, amount, hold and reason ('' for none)."""

    type: type[Event]
    step: str
    network: str = "network"
    item: str = ""
    amount: str = "amount"
    hold_released: str = ""
    reason: str = ""


_STEPS: Final = (
    _Step(RouteSelected, "routed", item="attempt", amount="", reason="reason"),
    _Step(RouteFailedOver, "failed_over", network="chosen", amount="", reason="reason"),
    _Step(RouteExhausted, "route_exhausted", network="", amount=""),
    _Step(AuthorizationSubmitted, "submitted", item="attempt"),
    _Step(PaymentAuthorized, "authorized", item="attempt", amount="approved_amount", reason="response_code"),
    _Step(PaymentDeclined, "declined", reason="reason"),
    _Step(AuthorizationOutcomeUnknown, "unknown", item="attempt"),
    _Step(ReversalSubmitted, "reversal_submitted", item="attempt", reason="reason"),
    _Step(AuthorizationReversed, "reversed", hold_released="hold_released", reason="reason"),
    _Step(IncrementSubmitted, "increment_submitted", item="increment_id"),
    _Step(AuthorizationIncremented, "incremented", item="increment_id", reason="response_code"),
    _Step(IncrementDeclined, "increment_declined", item="increment_id", reason="reason"),
    _Step(AmountConflictDetected, "conflicted", item="attempt", amount="", reason="field"),
    _Step(AuthorizationRemainderReleased, "released", amount="", hold_released="hold_released"),
    _Step(LateApprovalReceived, "late_approval", item="attempt", amount="approved_amount", reason="action"),
    _Step(PaymentCaptured, "captured", item="capture_id", hold_released="hold_released"),
    _Step(CaptureVoided, "capture_voided", item="capture_id"),
    _Step(PaymentVoided, "voided", amount="", hold_released="hold_released"),
    _Step(AuthorizationExpired, "expired", amount="", hold_released="hold_released"),
    _Step(OperationParked, "parked", network="", amount="", reason="operation"),
    _Step(OperationRejected, "operation_rejected", network="", item="operation", amount="", reason="reason"),
    _Step(RefundApproved, "refunded", item="refund_id"),
    _Step(RefundRejected, "refund_rejected", network="", item="refund_id", reason="reason"),
    _Step(RefundFailed, "refund_failed", item="refund_id", reason="reason"),
    _Step(ClearingRecordCreated, "presented", item="source_id", reason="arn"),
    _Step(ClearingRecordAccepted, "cleared", item="capture_id", reason="cycle"),
    _Step(RefundCleared, "refund_cleared", item="refund_id", reason="cycle"),
    _Step(ClearingRecordRejected, "clearing_rejected", item="source_id", amount="", reason="reason"),
    _Step(ClearingRecordReturned, "clearing_returned", item="capture_id", reason="reason"),
    _Step(CaptureWrittenOff, "written_off", item="capture_id", reason="borne_by"),
    _Step(InterchangeAssessed, "interchange", item="record_id", reason="program"),
    _Step(InterchangeReturned, "interchange_returned", item="record_id", reason="program"),
    _Step(SchemeFeeAssessed, "scheme_fee", item="record_id", reason="fee_id"),
    _Step(ProcessingFeeCharged, "fee", network="", item="capture_id"),
    _Step(EarlyFraudWarningReceived, "fraud_warning", item="report_id", reason="fraud_type"),
    _Step(DisputeMerchantDebited, "disputed", network="", item="case_id"),
    _Step(DisputeWon, "dispute_won", item="case_id"),
    _Step(DisputeLost, "dispute_lost", item="case_id"),
    _Step(DisputeFeeCharged, "dispute_fee", network="", item="case_id"),
)


def _amount_of(step: str) -> str:
    return f"coalesce(sum(amount) FILTER (WHERE step = '{step}'), 0)::BIGINT"


def _was(step: str) -> str:
    return f"coalesce(bool_or(step = '{step}'), FALSE)"


VIEWS: Final = (
    View(
        "payment_settlement",
        "How many captures each payment has, how many settlement made available, how many a payout carried.",
        """
        SELECT capture.payment_id, count(*) AS captures, count(entry.item) AS available,
               count(*) FILTER (WHERE entry.payout_id <> '') AS paid_out
        FROM merchant_facts AS capture
        LEFT JOIN merchant_entries AS entry ON entry.item = capture.item AND entry.kind = 'available'
        WHERE capture.kind = 'captured'
        GROUP BY capture.payment_id
        """,
    ),
    View(
        "payments",
        "One row a payment: where it stands and what it has moved. The was_ columns say what ever happened to it.",
        f"""
        SELECT request.payment_id, request.merchant, request.amount, request.currency,
               CASE WHEN step.payment_id IS NULL THEN 'requested'
                    WHEN step.was_declined THEN 'declined'
                    WHEN step.was_voided THEN 'voided'
                    WHEN step.was_captured THEN
                        CASE WHEN step.written_off_amount >= step.captured_amount THEN 'written_off'
                             WHEN settlement.paid_out = settlement.captures THEN 'paid_out'
                             WHEN settlement.available = settlement.captures THEN 'settled'
                             WHEN step.was_cleared THEN 'cleared'
                             ELSE 'captured' END
                    WHEN step.was_expired THEN 'expired'
                    WHEN step.was_reversed THEN 'reversed'
                    WHEN step.was_unknown THEN 'unknown'
                    WHEN step.was_authorized AND step.authorized_amount < request.amount THEN 'partially_authorized'
                    WHEN step.was_authorized THEN 'authorized'
                    WHEN step.was_submitted THEN 'submitted'
                    ELSE 'assessed' END AS status,
               coalesce(step.network, '') AS network,
               coalesce(step.decline_reason, '') AS decline_reason,
               coalesce(step.authorized_amount + step.incremented_amount, 0) AS authorized_amount,
               coalesce(step.captured_amount, 0) AS captured_amount,
               coalesce(step.refunded_amount, 0) AS refunded_amount,
               coalesce(step.fee_amount, 0) AS fee_amount,
               coalesce(step.written_off_amount, 0) AS written_off_amount,
               coalesce(step.disputed_amount, 0) AS disputed_amount,
               coalesce(dispute.status, '') AS dispute_status, coalesce(dispute.stage, '') AS dispute_stage,
               coalesce(step.incremented_amount, 0) AS incremented_amount,
               coalesce(step.was_authorized, FALSE) AS was_authorized,
               coalesce(step.was_declined, FALSE) AS was_declined,
               coalesce(step.was_unknown, FALSE) AS was_unknown,
               coalesce(step.was_reversed, FALSE) AS was_reversed,
               coalesce(step.was_captured, FALSE) AS was_captured,
               coalesce(step.was_refunded, FALSE) AS was_refunded,
               coalesce(step.was_disputed, FALSE) AS was_disputed,
               coalesce(step.was_conflicted, FALSE) AS was_conflicted,
               coalesce(step.was_voided, FALSE) AS was_voided,
               coalesce(step.was_expired, FALSE) AS was_expired,
               coalesce(step.was_cleared, FALSE) AS was_cleared,
               coalesce(settlement.available = settlement.captures, FALSE) AS was_settled,
               coalesce(settlement.paid_out = settlement.captures, FALSE) AS was_paid_out,
               request.card_id, request.bin, request.last4, request.channel, request.capture_mode,
               request.idempotency_key, request.occurred_at AS requested_at,
               coalesce(step.last_at, request.recorded_at) AS last_step_at
        FROM payment_requests AS request
        LEFT JOIN (
            SELECT payment_id,
                   (array_agg(network ORDER BY sequence DESC) FILTER (WHERE network <> ''))[1] AS network,
                   max(reason) FILTER (WHERE step = 'declined') AS decline_reason,
                   {_amount_of("authorized")} AS authorized_amount,
                   {_amount_of("incremented")} AS incremented_amount,
                   {_amount_of("captured")} - {_amount_of("capture_voided")} AS captured_amount,
                   {_amount_of("refunded")} - {_amount_of("refund_failed")} AS refunded_amount,
                   {_amount_of("fee")} AS fee_amount,
                   {_amount_of("written_off")} AS written_off_amount,
                   {_amount_of("disputed")} - {_amount_of("dispute_won")} AS disputed_amount,
                   {_was("submitted")} AS was_submitted,
                   {_was("authorized")} AS was_authorized,
                   {_was("declined")} AS was_declined,
                   {_was("unknown")} AS was_unknown,
                   coalesce(bool_or(step = 'reversed' AND reason IN ('timeout', 'void')), FALSE) AS was_reversed,
                   {_was("captured")} AS was_captured,
                   {_was("refunded")} AS was_refunded,
                   {_was("disputed")} AS was_disputed,
                   {_was("conflicted")} AS was_conflicted,
                   {_was("voided")} AS was_voided,
                   {_was("expired")} AS was_expired,
                   {_was("cleared")} AS was_cleared,
                   max(recorded_at) AS last_at
            FROM payment_steps GROUP BY payment_id
        ) AS step ON step.payment_id = request.payment_id
        LEFT JOIN (
            SELECT payment_id, (array_agg(status ORDER BY opened_at DESC, case_id DESC))[1] AS status,
                   (array_agg(stage ORDER BY opened_at DESC, case_id DESC))[1] AS stage
            FROM disputes GROUP BY payment_id
        ) AS dispute ON dispute.payment_id = request.payment_id
        LEFT JOIN payment_settlement AS settlement ON settlement.payment_id = request.payment_id
        """,
    ),
    View(
        "network_performance",
        "What each network answered: attempts sent, and how the payments it was asked for last ended.",
        """
        SELECT network, count(*) AS payments,
               count(*) FILTER (WHERE was_authorized) AS authorized, count(*) FILTER (WHERE was_declined) AS declined,
               count(*) FILTER (WHERE was_unknown) AS unknown,
               floor(count(*) FILTER (WHERE was_authorized) * 1000000.0 / count(*))::BIGINT AS approval_ppm
        FROM payments WHERE network <> '' GROUP BY network
        """,
    ),
    View(
        "decline_reasons",
        "Why payments were declined, by network.",
        """
        SELECT network, reason, count(*) AS payments, sum(amount)::BIGINT AS amount, currency
        FROM payment_steps WHERE step = 'declined' GROUP BY network, reason, currency
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a request, one row a step."""
    return [_requests(batch), _steps(batch)]


def _requests(batch: Batch) -> Rows:
    rows = Rows.of(REQUESTS)
    events = batch.of(PaymentRequested)
    fields = REQUESTS.business[:-1]
    rows.add(
        len(events),
        occurred_at=[meta.occurred_at for meta in events.metas],
        recorded_at=events.recorded_at,
        partition=events.partitions,
        simulated=[meta.simulated for meta in events.metas],
        **{field: events.get(field) for field in fields},
    )
    return rows


def _steps(batch: Batch) -> Rows:
    rows = Rows.of(STEPS)
    for spec in _STEPS:
        events = batch.of(spec.type)
        if not len(events):
            continue
        metas = events.metas
        rows.add(
            len(events),
            payment_id=events.get("payment_id"),
            sequence=[meta.sequence for meta in metas],
            step=spec.step,
            network=events.get(spec.network) if spec.network else "",
            item=[str(item) for item in events.get(spec.item)] if spec.item else "",
            amount=events.get(spec.amount) if spec.amount else 0,
            currency=events.get("currency") if spec.amount else "",
            hold_released=events.get(spec.hold_released) if spec.hold_released else 0,
            reason=events.get(spec.reason) if spec.reason else "",
            recorded_at=events.recorded_at,
            event_id=events.event_ids,
            causation_id=[meta.causation_id for meta in metas],
        )
    return rows
