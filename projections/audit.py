"""The audit trail: every event of every log, who brought it, what caused it, and its link in the chain.

Nothing is left out and nothing is summed up: a row here is a record there. ``chain`` is the record's chain value,
so a row can be checked against the log, and the log against a published checkpoint.
"""

from typing import Final

import msgspec

from events.authorization import NetworkReplyReceived, NetworkReplyTimedOut, NetworkReplyUnmatched
from events.envelope import Meta
from events.intake import (
    DuplicateRequestObserved,
    EvidenceForwarded,
    EvidenceReceived,
    IdempotencyConflictObserved,
    IncrementForwarded,
    IncrementReceived,
    Received,
    RequestAccepted,
    RequestForwarded,
    RequestReceived,
    RequestRejected,
    SettingsForwarded,
    SettingsReceived,
)
from events.lifecycle import OperationParked
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "audit"
VERSION: Final = 1

#: What two runs of one input may differ in: what the transport did, how long something waited, and keyed hashes,
#: for another deployment has another key. What came of all these is in the digest.
_OBSERVATIONS: Final = tuple(
    kind.__name__
    for kind in (
        DuplicateRequestObserved,
        IdempotencyConflictObserved,
        NetworkReplyReceived,
        NetworkReplyTimedOut,
        NetworkReplyUnmatched,
        OperationParked,
        RequestAccepted,
        EvidenceForwarded,
        EvidenceReceived,
        IncrementForwarded,
        IncrementReceived,
        RequestForwarded,
        RequestReceived,
        RequestRejected,
        SettingsForwarded,
        SettingsReceived,
    )
)

EVENTS: Final = Table(
    "events",
    "Every event of every log, in the order it was recorded within its partition.",
    (
        Column("log", "TEXT", "the log: intake, payments, velocity, settlement, reconciliation"),
        Column("partition", "INTEGER", "partition of the log"),
        Column("position", "BIGINT", "position within the partition"),
        Column("event_id", "TEXT", "name of the event: key, dot, sequence"),
        Column("type", "TEXT", "what happened"),
        Column(
            "key", "TEXT", "whose stream it belongs to: a payment, a merchant, merchant/key, a log partition"
        ),
        Column("sequence", "BIGINT", "place in that stream, from 1 without gaps"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("occurred_at", "TIMESTAMP", "when its cause happened, by the producer's claim, UTC"),
        Column("ingested_at", "TIMESTAMP", "when its cause arrived, by the transport's stamp, UTC"),
        Column("causation_id", "TEXT", "the event that led to it; empty where a tick or nobody did"),
        Column("correlation_id", "TEXT", "on inputs: the stream in which the story began"),
        Column("who", "TEXT", "producer of a request, sender of another input, or the log that decided"),
        Column("source", "TEXT", "topic/partition@offset of an input; empty on decisions"),
        Column("behaviour", "INTEGER", "version of the decision code"),
        Column("rules", "INTEGER", "version of the rules in force"),
        Column("fees", "INTEGER", "version of the fee table in force"),
        Column("simulated", "BOOLEAN", "whether an outside party of it was a simulator"),
        Column("body", "DOCUMENT", "the event's own fields as JSON, one line"),
        Column("chain", "BLOB", "SHA-256 over the chain value before, the stamp and the record's bytes"),
    ),
    business=("type", "key", "body"),
    # Events of a partition (ticks, markers, totals of a batch) follow the partitioning; their keys are the log's.
    where="key NOT SIMILAR TO '(intake|payments|velocity|settlement|reconciliation)-[0-9]+' AND type NOT IN ("
    + ", ".join(f"'{name}'" for name in _OBSERVATIONS)
    + ")",
)
TABLES: Final = (EVENTS,)

VIEWS: Final = (
    View(
        "freshness_by_log",
        "How far each projection has read each log partition.",
        "SELECT projection, topic AS log, partition, next, chain, as_of FROM projection_positions"
        " JOIN projection_builds USING (projection, build) WHERE live",
    ),
    View(
        "event_edges",
        "Lineage: which event led to which.",
        "SELECT causation_id AS cause, event_id AS effect, type, recorded_at FROM events WHERE causation_id <> ''",
    ),
    View(
        "event_counts",
        "How many events of each type each log holds.",
        "SELECT log, type, count(*) AS events, min(recorded_at) AS first_at, max(recorded_at) AS last_at"
        " FROM events GROUP BY log, type",
    ),
    View(
        "duplicate_requests",
        "Requests that came again and had no further effect.",
        """
        SELECT recorded_at, body ->> 'merchant' AS merchant, body ->> 'idempotency_key' AS idempotency_key,
               body ->> 'payment_id' AS payment_id, body ->> 'outcome' AS outcome, event_id
        FROM events WHERE type = 'DuplicateRequestObserved'
        """,
    ),
    View(
        "refused_requests",
        "Requests that no payment came of: refused, or in conflict with an earlier one under the same key.",
        """
        SELECT recorded_at, body ->> 'merchant' AS merchant, body ->> 'idempotency_key' AS idempotency_key,
               coalesce(body ->> 'operation', '') AS operation,
               coalesce(body ->> 'reason', 'idempotency_conflict') AS reason, coalesce(body ->> 'field', '') AS field,
               coalesce((body ->> 'amount')::BIGINT, 0) AS amount, coalesce(body ->> 'currency', '') AS currency,
               event_id
        FROM events WHERE type IN ('RequestRejected', 'IdempotencyConflictObserved')
        """,
    ),
    View(
        "dead_letters",
        "Inputs that could not be taken; their bytes are sealed in the topic dead-letters.",
        """
        SELECT recorded_at, source, body ->> 'reason' AS reason, body ->> 'detail' AS detail,
               (body ->> 'size')::BIGINT AS size, event_id
        FROM events WHERE type = 'EventDeadLettered'
        """,
    ),
)

_ENCODER: Final = msgspec.json.Encoder()


def apply(batch: Batch) -> list[Rows]:
    """One row an event."""
    metas = batch.metas
    bodies = batch.bodies
    rows = Rows.of(EVENTS)
    rows.add(
        len(bodies),
        log=batch.topics,
        partition=batch.partitions,
        position=batch.positions,
        event_id=batch.event_ids,
        type=[type(body).__name__ for body in bodies],
        key=[meta.key for meta in metas],
        sequence=[meta.sequence for meta in metas],
        recorded_at=batch.recorded_at,
        occurred_at=[meta.occurred_at for meta in metas],
        ingested_at=[meta.ingested_at for meta in metas],
        causation_id=[meta.causation_id for meta in metas],
        correlation_id=[meta.correlation_id for meta in metas],
        who=_who(batch),
        source=[_source(meta) for meta in metas],
        behaviour=[meta.versions.behaviour for meta in metas],
        rules=[meta.versions.rules for meta in metas],
        fees=[meta.versions.fees for meta in metas],
        simulated=[meta.simulated for meta in metas],
        # One call for the whole batch. JSON escapes line feeds, so each line is a body; splitlines() would also
        # split at U+2028 and its like, which JSON does not escape.
        body=_ENCODER.encode_lines(bodies).decode().split("\n")[:-1],
        chain=batch.chains,
    )
    return [rows]


def _who(batch: Batch) -> list[str]:
    who = [
        f"{topic}/{partition}" if meta.source is None else meta.source.sender
        for meta, topic, partition in zip(batch.metas, batch.topics, batch.partitions, strict=True)
    ]
    return [
        body.request.producer if isinstance(body, Received) else name
        for body, name in zip(batch.bodies, who, strict=True)
    ]


def _source(meta: Meta) -> str:
    source = meta.source
    return "" if source is None else f"{source.topic}/{source.partition}@{source.offset}"
