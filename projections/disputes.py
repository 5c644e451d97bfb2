"""Disputes: what payments turned out to be, and who said so."""

from typing import Final

from events.disputes import FraudConfirmed
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "disputes"
VERSION: Final = 1

LABELS: Final = Table(
    "fraud_labels",
    "What a payment turned out to be, by everybody who said so; known from recorded_at on.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id"),
        Column("card_id", "TEXT", "the vault's name for the card"),
        Column("source", "TEXT", "who says so; docs/reasons.md explains each"),
        Column("label", "TEXT", "fraud or genuine"),
        Column("reference", "TEXT", "the report that says so"),
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
TABLES: Final = (LABELS,)

VIEWS: Final = (
    View(
        "fraud_summary",
        "How many payments of each merchant turned out to be fraud, and what they came to.",
        """
        SELECT merchant, currency, count(*) AS payments, sum(amount)::BIGINT AS amount
        FROM (
            SELECT merchant, currency, label, amount,
                   row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM fraud_labels
        ) AS labelled
        WHERE newest = 1 AND label = 'fraud'
        GROUP BY merchant, currency
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a label."""
    rows = Rows.of(LABELS)
    events = batch.of(FraudConfirmed)
    rows.add(
        len(events),
        sequence=[meta.sequence for meta in events.metas],
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
        **{field: events.get(field) for field in LABELS.business},
    )
    return [rows]
