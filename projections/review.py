"""Reviews: which payments waited for a person, whose they were, who decided what, how long it took, and how often it
was right."""

from typing import Any, Final

from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewClosed,
    ReviewDecided,
    ReviewOpened,
    ReviewProposed,
    ReviewRefused,
    ReviewUnassigned,
)
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "review"
VERSION: Final = 3

STEPS: Final = Table(
    "review_steps",
    "One step of a review: opened, assigned, unassigned, proposed, decided, refused or closed.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column(
            "step",
            "TEXT",
            "opened, assigned (to an analyst), unassigned (anybody's again), proposed (by the first of two), decided,"
            " refused or closed (overtaken)",
        ),
        Column("merchant", "TEXT", "merchant id; empty on proposed and refused"),
        Column("queue", "TEXT", "the queue; empty on proposed and refused"),
        Column(
            "decision",
            "TEXT",
            "approve, decline or refund; opened: what it falls to; refused: also assign or unassign; else empty",
        ),
        Column("finding", "TEXT", "proposed, decided: fraud or genuine; empty where nobody says what it is"),
        Column("reviewed_by", "TEXT", "decided: analyst or deadline"),
        Column("analyst", "TEXT", "who; assigned: whose it is; empty where it was nobody"),
        Column("proposed_by", "TEXT", "decided: the first of two people"),
        Column(
            "taken_from", "TEXT", "assigned, unassigned: whose it was before; empty where it was nobody's"
        ),
        Column("assigned_by", "TEXT", "assigned, unassigned, or refused to be: who said so"),
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
        "finding",
        "reviewed_by",
        "analyst",
        "proposed_by",
        "taken_from",
        "assigned_by",
        "reason",
        "score",
    ),
)
TABLES: Final = (STEPS,)

VIEWS: Final = (
    View(
        "reviews",
        "Every review: how it stands, whose it is or was last, and who decided.",
        """
        SELECT opened.payment_id, opened.merchant, opened.queue, opened.priority, opened.score, opened.rules,
               opened.recorded_at AS opened_at, opened.deadline_at, opened.decision AS falls_to,
               CASE WHEN ended.step = 'closed' THEN 'overtaken'
                    WHEN ended.step = 'decided' THEN ended.decision ELSE 'open' END AS status,
               COALESCE(ended.reviewed_by, '') AS reviewed_by, COALESCE(ended.analyst, '') AS analyst,
               COALESCE(ended.proposed_by, proposal.analyst, '') AS proposed_by,
               COALESCE(proposal.decision, '') AS proposed, COALESCE(ended.finding, '') AS finding,
               ended.recorded_at AS ended_at,
               COALESCE(given.analyst, '') AS assigned_to, given.recorded_at AS assigned_at,
               COALESCE(given.assigned_by, '') AS assigned_by
        FROM review_steps AS opened
        LEFT JOIN (
            SELECT *, row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM review_steps WHERE step IN ('decided', 'closed')
        ) AS ended ON ended.payment_id = opened.payment_id AND ended.newest = 1
        LEFT JOIN (
            SELECT *, row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM review_steps WHERE step = 'proposed'
        ) AS proposal ON proposal.payment_id = opened.payment_id AND proposal.newest = 1 AND ended.step IS NULL
        LEFT JOIN (
            SELECT *, row_number() OVER (PARTITION BY payment_id ORDER BY sequence DESC) AS newest
            FROM review_steps WHERE step IN ('assigned', 'unassigned')
        ) AS given ON given.payment_id = opened.payment_id AND given.newest = 1 AND given.step = 'assigned'
        WHERE opened.step = 'opened'
        """,
    ),
    View(
        "review_statistics",
        "How each queue does: what was decided by whom, and how long it took.",
        """
        SELECT queue, count(*) AS reviews,
               count(*) FILTER (WHERE status = 'open') AS still_open,
               count(*) FILTER (WHERE status = 'open' AND assigned_to = '') AS unassigned,
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
        "review_desk",
        "What each analyst has before him, and what became of the reviews that were his.",
        """
        SELECT assigned_to AS analyst,
               count(*) FILTER (WHERE status = 'open') AS still_open,
               min(deadline_at) FILTER (WHERE status = 'open') AS next_deadline_at,
               count(*) FILTER (WHERE reviewed_by = 'analyst' AND analyst = assigned_to) AS decided,
               count(*) FILTER (WHERE reviewed_by = 'analyst' AND analyst <> assigned_to) AS decided_by_others,
               count(*) FILTER (WHERE reviewed_by = 'deadline') AS lapsed,
               count(*) FILTER (WHERE status = 'overtaken') AS overtaken
        FROM reviews WHERE assigned_to <> '' GROUP BY assigned_to
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
        LEFT JOIN payment_labels AS labelled ON labelled.payment_id = found.payment_id
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
    _add(
        rows,
        "proposed",
        proposed := batch.of(ReviewProposed),
        decision=proposed.get("decision"),
        finding=_findings(proposed),
    )
    _add(
        rows,
        "decided",
        decided := batch.of(ReviewDecided),
        decision=decided.get("decision"),
        finding=_findings(decided),
    )
    _add(rows, "refused", refused := batch.of(ReviewRefused), decision=refused.get("decision"),
         reason=refused.get("reason"))  # fmt: skip
    _add(rows, "assigned", batch.of(ReviewAssigned))
    _add(
        rows,
        "unassigned",
        unassigned := batch.of(ReviewUnassigned),
        assigned_by=unassigned.get("unassigned_by"),
    )
    _add(rows, "refused", not_given := batch.of(ReviewAssignmentRefused), reason=not_given.get("reason"),
         decision=["assign" if body.analyst else "unassign" for body in not_given.bodies])  # fmt: skip
    _add(rows, "closed", closed := batch.of(ReviewClosed), reason=closed.get("cause"))
    return [rows]


def _findings(events: Slice[Any]) -> list[str]:
    return [body.finding or "" for body in events.bodies]


_SAME_NAMES: Final = (
    "merchant",
    "queue",
    "reviewed_by",
    "analyst",
    "proposed_by",
    "taken_from",
    "assigned_by",
    "note_sha256",
)


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
