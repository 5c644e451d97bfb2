"""Risk: every verdict with what it was made of, and what verdicts knew of earlier payments from when on."""

from typing import Final

from events.labels import LabelApplied, PaymentLabelled
from events.risk import RiskAssessed
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "risk"
VERSION: Final = 4

VERDICTS: Final = Table(
    "risk_verdicts",
    "One verdict on a payment, in one phase of its life.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id"),
        Column("phase", "TEXT", "before_authorization, after_authentication or after_authorization"),
        Column("verdict", "TEXT", "allow, review, step_up or block"),
        Column("score", "INTEGER", "0 harmless to 100"),
        Column("rules", "TEXT", "names of the rules that matched, in pack order, separated by commas"),
        Column("shadow_rules", "TEXT", "those that matched and decide nothing yet, separated by commas"),
        Column("failed_rules", "TEXT", "those that divided by zero on this payment, separated by commas"),
        Column("rules_version", "INTEGER", "version of the rule pack in force"),
        Column("feature_set", "INTEGER", "names the features, their order and their meaning"),
        Column(
            "features", "TEXT", "their values in the order of the set, separated by commas; -1 is not known"
        ),
        Column(
            "texts",
            "TEXT",
            "the set's texts: country, brand and funding of the card, category of the merchant",
        ),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "payment_id",
        "merchant",
        "phase",
        "verdict",
        "score",
        "rules",
        "shadow_rules",
        "failed_rules",
        "feature_set",
        "features",
        "texts",
    ),
)
LABELS: Final = Table(
    "risk_labels",
    "One time from which a label counts: under the payment's card, or in one partition under all that cards share.",
    (
        Column("payment_id", "TEXT", "the payment that is labelled"),
        Column("number", "INTEGER", "which of its labels, from 1; each takes back the one before it"),
        Column("label", "TEXT", "fraud or genuine"),
        Column(
            "counts", "TEXT", "where: own (the card, and the card at the merchant) or shared (all other keys)"
        ),
        Column("merchant", "TEXT", "merchant id"),
        Column("card_id", "TEXT", "the vault's name for its card; empty in old shared labels"),
        Column("ip_ref", "TEXT", "surrogate of its address; empty where none, or where no window reaches it"),
        Column("device_ref", "TEXT", "surrogate of its device; empty likewise"),
        Column("email_ref", "TEXT", "surrogate of its e-mail address; empty likewise"),
        Column("ordinary", "BOOLEAN", "whether its amount was none that is unusual for its card"),
        Column("paid_at", "TIMESTAMP", "event time of the payment, UTC"),
        Column("recorded_at", "TIMESTAMP", "logical time from which it counts, UTC"),
        Column("partition", "INTEGER", "partition of the payments log; shared labels stand in all of them"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "payment_id",
        "number",
        "label",
        "counts",
        "merchant",
        "card_id",
        "ip_ref",
        "device_ref",
        "email_ref",
        "ordinary",
        "paid_at",
    ),
    where="counts = 'own' OR partition = 0",
)
TABLES: Final = (VERDICTS, LABELS)

VIEWS: Final = (
    View(
        "known_frauds",
        "Payments that count as fraud now: since when under their card, and since when everywhere.",
        """
        SELECT own.payment_id, own.merchant, own.ordinary, own.paid_at, own.recorded_at AS known_at,
               shared.recorded_at AS known_everywhere_at
        FROM risk_labels AS own
        LEFT JOIN risk_labels AS shared
            ON shared.payment_id = own.payment_id AND shared.number = own.number
               AND shared.counts = 'shared' AND shared.partition = 0
        WHERE own.counts = 'own' AND own.label = 'fraud' AND NOT EXISTS (
            SELECT 1 FROM risk_labels AS later
            WHERE later.payment_id = own.payment_id AND later.counts = 'own' AND later.number > own.number
        )
        """,
    ),
    View(
        "risk_summary",
        "How each merchant's payments were judged.",
        """
        SELECT merchant, count(*) AS payments,
               count(*) FILTER (WHERE verdict = 'allow') AS allowed,
               count(*) FILTER (WHERE verdict = 'review') AS reviewed,
               count(*) FILTER (WHERE verdict = 'step_up') AS stepped_up,
               count(*) FILTER (WHERE verdict = 'block') AS blocked, max(score) AS highest_score
        FROM risk_verdicts WHERE phase = 'before_authorization' GROUP BY merchant
        """,
    ),
    View(
        "risk_rule_hits",
        "How often each rule matched, and how often the payment was then blocked.",
        """
        SELECT rule, count(*) AS hits, count(*) FILTER (WHERE verdict = 'block') AS blocked
        FROM (SELECT unnest(string_to_array(rules, ',')) AS rule, verdict FROM risk_verdicts WHERE rules <> '')
             AS matched
        GROUP BY rule
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a verdict, one row a label for each place where it counts."""
    return [_verdicts(batch), _labels(batch)]


def _verdicts(batch: Batch) -> Rows:
    rows = Rows.of(VERDICTS)
    events = batch.of(RiskAssessed)
    bodies = events.bodies
    rows.add(
        len(events),
        payment_id=[body.payment_id for body in bodies],
        merchant=[body.merchant for body in bodies],
        phase=[body.phase for body in bodies],
        verdict=[body.verdict for body in bodies],
        score=[body.score for body in bodies],
        rules=[",".join(body.rules) for body in bodies],
        shadow_rules=[",".join(body.shadow_rules) for body in bodies],
        failed_rules=[",".join(body.failed_rules) for body in bodies],
        rules_version=[meta.versions.rules for meta in events.metas],
        feature_set=[body.feature_set for body in bodies],
        features=[",".join(map(str, body.features)) for body in bodies],
        texts=[",".join(body.texts) for body in bodies],
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
    )
    return rows


def _labels(batch: Batch) -> Rows:
    rows = Rows.of(LABELS)
    own, shared = batch.of(PaymentLabelled), batch.of(LabelApplied)
    for events, counts in ((own, "own"), (shared, "shared")):
        fields = (field for field in LABELS.business if field != "counts")
        rows.add(
            len(events),
            **{field: events.get(field) for field in fields},
            counts=counts,
            recorded_at=events.recorded_at,
            partition=events.partitions,
            event_id=events.event_ids,
        )
    return rows
