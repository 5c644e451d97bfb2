"""Disputes: every case with where it stands and what is at stake; what payments turned out to be, and who said so."""

from typing import Any, Final, NamedTuple

from events.base import Event
from events.disputes import (
    DisputeEscalated,
    DisputeEvidenceAccepted,
    DisputeEvidenceExpired,
    DisputeEvidenceRejected,
    DisputeEvidenceSubmitted,
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeInquiryClosed,
    DisputeInquiryOpened,
    DisputeLost,
    DisputeMerchantDebited,
    DisputeNoticeRefused,
    DisputeOpened,
    DisputeWithdrawn,
    DisputeWon,
    FraudConfirmed,
)
from events.fees import DisputeFeeCharged
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "disputes"
VERSION: Final = 2

LABELS: Final = Table(
    "fraud_labels",
    "What a payment turned out to be, by everybody who said so; known from recorded_at on.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id"),
        Column("card_id", "TEXT", "the vault's name for the card"),
        Column("source", "TEXT", "who says so; docs/reasons.md explains each"),
        Column("label", "TEXT", "fraud or genuine"),
        Column("reference", "TEXT", "the report, the case, the refund or the analyst that says so"),
        Column("amount", "BIGINT", "what is said to be fraud, minor units"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("sequence", "BIGINT", "place in the payment's stream: a later label replaces an earlier one"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "payment_id",
        "merchant",
        "card_id",
        "source",
        "label",
        "reference",
        "amount",
        "currency",
    ),
)
STEPS: Final = Table(
    "dispute_steps",
    "What happened to disputes, step by step.",
    (
        Column("case_id", "TEXT", "the network's name for the dispute"),
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id; empty on steps between the network and us"),
        Column("network", "TEXT", "the network; empty on steps between the merchant and us"),
        Column(
            "step",
            "TEXT",
            "inquiry_opened, inquiry_closed, opened, funds_withdrawn, merchant_debited, funds_returned,"
            " evidence_submitted, evidence_rejected, evidence_accepted, evidence_expired, escalated, withdrawn, won,"
            " lost, fee, notice_refused",
        ),
        Column(
            "stage",
            "TEXT",
            "inquiry, chargeback, representment, pre_arbitration or arbitration, where one is meant",
        ),
        Column("reason", "TEXT", "the network's reason code; on what was refused or rejected, why"),
        Column("amount", "BIGINT", "minor units, 0 where none moves"),
        Column("currency", "TEXT", "ISO 4217; empty where no amount"),
        Column("cycle", "TEXT", "the settlement cycle that the network moves the money in"),
        Column(
            "reply_by_at",
            "TIMESTAMP",
            "when the merchant's time to answer ends, UTC; 1970 where nothing is asked",
        ),
        Column("sequence", "BIGINT", "place in the payment's stream"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "case_id",
        "payment_id",
        "merchant",
        "network",
        "step",
        "stage",
        "reason",
        "amount",
        "currency",
        "cycle",
        "reply_by_at",
    ),
)
TABLES: Final = (LABELS, STEPS)


def _sum(step: str) -> str:
    return f"coalesce(sum(amount) FILTER (WHERE step = '{step}'), 0)::BIGINT"


def _was(condition: str) -> str:
    return f"coalesce(bool_or({condition}), FALSE)"


VIEWS: Final = (
    View(
        "disputes",
        "One row a case: where it stands, until when the merchant may answer, and whose the money is.",
        f"""
        SELECT case_id, payment_id, merchant, network, reason_code,
               CASE WHEN won > 0 AND lost > 0 THEN 'partly_won' WHEN won > 0 THEN 'won' WHEN lost > 0 THEN 'lost'
                    WHEN was_closed THEN 'closed' ELSE 'open' END AS status,
               CASE WHEN was_arbitration THEN 'arbitration' WHEN was_pre_arbitration THEN 'pre_arbitration'
                    WHEN was_answered THEN 'representment' WHEN was_opened THEN 'chargeback'
                    ELSE 'inquiry' END AS stage,
               CASE WHEN was_opened THEN disputed ELSE inquired END AS amount, currency,
               debited - won - lost AS at_stake, withdrawn - returned - lost AS held_by_network, won, lost, fees,
               evidence,
               CASE WHEN won + lost = 0 AND NOT was_closed AND NOT was_arbitration AND NOT was_expired
                         AND (was_pre_arbitration OR NOT was_answered)
                    THEN nullif(reply_by_at, TIMESTAMP '1970-01-01 00:00:00') END AS reply_by_at,
               opened_at,
               CASE WHEN won + lost > 0 OR was_closed THEN last_step_at END AS closed_at,
               last_step_at
        FROM (
            SELECT case_id, max(payment_id) AS payment_id, max(merchant) AS merchant, max(network) AS network,
                   max(currency) AS currency,
                   (array_agg(reason ORDER BY sequence DESC) FILTER (WHERE reason <> ''))[1] AS reason_code,
                   {_sum("inquiry_opened")} AS inquired, {_sum("opened")} AS disputed,
                   {_sum("merchant_debited")} AS debited, {_sum("funds_withdrawn")} AS withdrawn,
                   {_sum("funds_returned")} AS returned, {_sum("won")} AS won, {_sum("lost")} AS lost,
                   {_sum("fee")} AS fees,
                   count(*) FILTER (WHERE step = 'evidence_submitted') AS evidence,
                   {_was("step = 'opened'")} AS was_opened, {_was("step = 'inquiry_closed'")} AS was_closed,
                   {_was("step = 'evidence_expired'")} AS was_expired,
                   {_was("step = 'evidence_submitted' AND stage = 'chargeback'")} AS was_answered,
                   {_was("step = 'escalated' AND stage = 'pre_arbitration'")} AS was_pre_arbitration,
                   {_was("step = 'escalated' AND stage = 'arbitration'")} AS was_arbitration,
                   max(reply_by_at) AS reply_by_at, min(recorded_at) AS opened_at, max(recorded_at) AS last_step_at
            FROM dispute_steps WHERE step NOT IN ('notice_refused', 'evidence_rejected')
            GROUP BY case_id
        ) AS cases
        """,
    ),
    View(
        "dispute_outcomes",
        "How disputes of each network and reason came out.",
        """
        SELECT network, reason_code, currency, count(*) AS cases, count(*) FILTER (WHERE status = 'open') AS open,
               count(*) FILTER (WHERE status = 'won') AS won,
               count(*) FILTER (WHERE status = 'partly_won') AS partly_won,
               count(*) FILTER (WHERE status = 'lost') AS lost, sum(amount)::BIGINT AS amount,
               sum(lost)::BIGINT AS lost_amount
        FROM disputes WHERE stage <> 'inquiry' GROUP BY network, reason_code, currency
        """,
    ),
    View(
        "payment_labels",
        "What each payment is by the last word of each who spoke: the issuer, the merchant, the analysts.",
        """
        SELECT payment_id, merchant, card_id, currency,
               CASE WHEN bool_or(label = 'fraud') THEN 'fraud' ELSE 'genuine' END AS label,
               max(CASE WHEN label = 'fraud' THEN amount ELSE 0 END) AS fraud_amount,
               string_agg(voice, ',' ORDER BY voice) FILTER (WHERE label = 'fraud') AS fraud_by,
               max(recorded_at) AS last_said_at
        FROM (
            SELECT said.*, row_number() OVER (PARTITION BY payment_id, voice ORDER BY sequence DESC) AS newest
            FROM (
                SELECT fraud_labels.*, CASE source WHEN 'refund' THEN 'merchant' WHEN 'analyst' THEN 'analyst'
                       ELSE 'issuer' END AS voice
                FROM fraud_labels
            ) AS said
        ) AS voices
        WHERE newest = 1 GROUP BY payment_id, merchant, card_id, currency
        """,
    ),
    View(
        "fraud_summary",
        "How many payments of each merchant turned out to be fraud, and what they came to.",
        """
        SELECT merchant, currency, count(*) AS payments, sum(fraud_amount)::BIGINT AS amount
        FROM payment_labels WHERE label = 'fraud' GROUP BY merchant, currency
        """,
    ),
)


class _Step(NamedTuple):
    """How events of a type become steps: the fields that hold what a step says ('' for none)."""

    type: type[Event]
    step: str
    merchant: str = "merchant"
    network: str = "network"
    stage: str = ""
    reason: str = ""
    amount: str = "amount"
    cycle: str = ""
    reply_by_at: str = ""


_STEPS: Final = (
    _Step(DisputeInquiryOpened, "inquiry_opened", reason="reason_code", reply_by_at="reply_by_at"),
    _Step(DisputeInquiryClosed, "inquiry_closed", amount=""),
    _Step(DisputeOpened, "opened", reason="reason_code", cycle="cycle", reply_by_at="reply_by_at"),
    _Step(DisputeFundsWithdrawn, "funds_withdrawn", merchant="", stage="stage", cycle="cycle"),
    _Step(DisputeMerchantDebited, "merchant_debited", network=""),
    _Step(DisputeFundsReturned, "funds_returned", merchant="", stage="stage", cycle="cycle"),
    _Step(DisputeEvidenceSubmitted, "evidence_submitted", stage="stage", amount=""),
    _Step(DisputeEvidenceRejected, "evidence_rejected", network="", reason="reason", amount=""),
    _Step(DisputeEvidenceAccepted, "evidence_accepted", stage="stage", amount=""),
    _Step(DisputeEvidenceExpired, "evidence_expired", stage="stage", amount=""),
    _Step(DisputeEscalated, "escalated", stage="stage", amount="", reply_by_at="reply_by_at"),
    _Step(DisputeWithdrawn, "withdrawn", stage="stage", amount=""),
    _Step(DisputeWon, "won"),
    _Step(DisputeLost, "lost"),
    _Step(DisputeFeeCharged, "fee", network=""),
    _Step(DisputeNoticeRefused, "notice_refused", merchant="", reason="reason"),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a label, one row a step."""
    return [_labels(batch), _steps(batch)]


def _labels(batch: Batch) -> Rows:
    rows = Rows.of(LABELS)
    events = batch.of(FraudConfirmed)
    rows.add(
        len(events),
        sequence=[meta.sequence for meta in events.metas],
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
        **{field: events.get(field) for field in LABELS.business},
    )
    return rows


def _steps(batch: Batch) -> Rows:
    rows = Rows.of(STEPS)
    for spec in _STEPS:
        events = batch.of(spec.type)
        if len(events):
            rows.add(
                len(events),
                case_id=events.get("case_id"),
                payment_id=events.get("payment_id"),
                step=spec.step,
                currency=_field(events, "currency" if spec.amount else "", ""),
                sequence=[meta.sequence for meta in events.metas],
                recorded_at=events.recorded_at,
                event_id=events.event_ids,
                merchant=_field(events, spec.merchant, ""),
                network=_field(events, spec.network, ""),
                stage=_field(events, spec.stage, ""),
                reason=_field(events, spec.reason, ""),
                amount=_field(events, spec.amount, 0),
                cycle=_field(events, spec.cycle, ""),
                reply_by_at=_field(events, spec.reply_by_at, 0),
            )
    return rows


def _field(events: Slice[Any], name: str, nothing: str | int) -> Any:
    return events.get(name) if name else nothing
