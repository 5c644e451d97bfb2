"""Reviews: which payments waited for a person, who decided what, how long it took, and how often it was right."""

from typing import Any, Final

from events.review import ReviewClosed, ReviewDecided, ReviewOpened, ReviewProposed, ReviewRefused
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "review"
VERSION: Final = 1

STEPS: Final = Table(
    "review_steps",
    "One step of a review: opened, proposed, decided, refused or closed.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column(
            "step", "TEXT", "opened, proposed (by the first of two), decided, refused or closed (overtaken)"
        ),
        Column("merchant", "TEXT", "merchant id; empty on proposed and refused"),
        Column("queue", "TEXT", "the queue; empty on proposed and refused"),
        Column("decision", "TEXT", "approve, decline or refund; opened: what it falls to; closed: empty"),
        Column("reviewed_by", "TEXT", "decided: analyst or deadline"),
        Column("analyst", "TEXT", "who; empty where it was nobody"),
        Column("proposed_by", "TEXT", "decided: the first of two people"),
        Column("reason", "TEXT", "refused, closed: why; docs/reasons.md explains each"),
        Column("note_sha256", "TEXT", "hash of the note, which is kept elsewhere"),
        Column("priority", "INTEGER", "opened: a smaller one comes first"),
        Column("score", "INTEGER", "opened: of the verdict, 0 to 100"),
        Column("rules", "TEXT", "opened: the rules that matched, separated by commas"),
        Column("deadline_at", "TIMESTAMP", "opened: until when, UTC; else 1970"),
        Column("sequence", "BIGINT", "place in the payment's stream"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "payment_id",
        "step",
        "queue",
        "decision",
        "reviewed_by",
        "analyst",
        "proposed_by",
        "reason",
        "score",
    ),
)
TABLES: Final = (STEPS,)

VIEWS: Final = (
    View(
        "reviews",
        "Every review: how it stands, and who decided.",
        """
        SELECT opened.payment_id, opened.merchant, opened.queue, opened.priority, opened.score, opened.rules,
               opened.recorded_at AS opened_at, opened.deadline_at, opened.decision AS falls_to,
               CASE WHEN ended.step = 'closed' THEN 'overtaken'
                    WHEN ended.step = 'decided' THEN ended.decision ELSE 'open' END AS status,
               COALESCE(ended.reviewed_by, '') AS reviewed_by, COALESCE(ended.analyst, '') AS analyst,
               COALESCE(ended.proposed_by, '') AS proposed_by, ended.recorded_at AS ended_at
        FROM review_steps AS opened
        LEFT JOIN (
            SELECT *, row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM review_steps WHERE step IN ('decided', 'closed')
        ) AS ended ON ended.payment_id = opened.payment_id AND ended.newest = 1
        WHERE opened.step = 'opened'
        """,
    ),
    View(
        "review_statistics",
        "How each queue does: what was decided by whom, and how long it took.",
        """
        SELECT queue, count(*) AS reviews,
               count(*) FILTER (WHERE status = 'open') AS still_open,
               count(*) FILTER (WHERE status = 'overtaken') AS overtaken,
               count(*) FILTER (WHERE reviewed_by = 'analyst') AS decided_by_analysts,
               count(*) FILTER (WHERE reviewed_by = 'deadline') AS lapsed,
               count(*) FILTER (WHERE status = 'approve') AS approved,
               count(*) FILTER (WHERE status = 'decline') AS declined,
               count(*) FILTER (WHERE status = 'refund') AS refunded,
               CAST(COALESCE(avg(CASE WHEN reviewed_by = 'analyst'
                   THEN extract(epoch FROM ended_at - opened_at) END), 0) AS BIGINT) AS seconds_to_decision
        FROM reviews GROUP BY queue
        """,
    ),
    View(
        "review_precision",
        "Of the payments that a rule put into a queue, how many are labelled fraud or genuine by now.",
        """
        SELECT found.queue, found.rule, count(*) AS reviews,
               count(*) FILTER (WHERE labelled.label = 'fraud') AS fraud,
               count(*) FILTER (WHERE labelled.label = 'genuine') AS genuine,
               count(*) FILTER (WHERE labelled.label = 'fraud' AND found.status IN ('decline', 'refund'))
                   AS fraud_stopped
        FROM (SELECT payment_id, queue, status, unnest(string_to_array(rules, ',')) AS rule
              FROM reviews WHERE rules <> '') AS found
        LEFT JOIN (
            SELECT payment_id, label,
                   row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM fraud_labels
        ) AS labelled ON labelled.payment_id = found.payment_id AND labelled.newest = 1
        GROUP BY found.queue, found.rule
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a step."""
    rows = Rows.of(STEPS)
    _add(rows, "opened", opened := batch.of(ReviewOpened), priority=opened.get("priority"),
         decision=opened.get("falls_to"), score=opened.get("score"), deadline_at=opened.get("deadline_at"),
         rules=[",".join(body.rules) for body in opened.bodies])  # fmt: skip
    _add(rows, "proposed", proposed := batch.of(ReviewProposed), decision=proposed.get("decision"))
    _add(rows, "decided", decided := batch.of(ReviewDecided), decision=decided.get("decision"))
    _add(rows, "refused", refused := batch.of(ReviewRefused), decision=refused.get("decision"),
         reason=refused.get("reason"))  # fmt: skip
    _add(rows, "closed", closed := batch.of(ReviewClosed), reason=closed.get("cause"))
    return [rows]


_SAME_NAMES: Final = ("merchant", "queue", "reviewed_by", "analyst", "proposed_by", "note_sha256")


def _add(rows: Rows, step: str, events: Slice[Any], **given: list[Any]) -> None:
    """Add a step's rows: fields of the same name as they are, those given, and nothing for the others."""
    values: dict[str, Any] = {column.name: "" for column in STEPS.columns}
    values |= {"priority": 0, "score": 0, "deadline_at": 0}
    fields = events.bodies[0].__struct_fields__ if events.bodies else ()
    values |= {name: events.get(name) for name in _SAME_NAMES if name in fields}
    rows.add(
        len(events),
        **values
        | given
        | {
            "payment_id": events.get("payment_id"),
            "step": step,
            "sequence": [meta.sequence for meta in events.metas],
            "recorded_at": events.recorded_at,
            "event_id": events.event_ids,
        },
    )
