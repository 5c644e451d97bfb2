"""Clearing: the files that left for the networks, what became of each, and the batches of partitions in them.

Every partition with a batch in a file is told of it in the same words, so rows about a file are there once for each;
the views count it once.
"""

from typing import Any, Final

from events.clearing import ClearingBatchClosed
from events.clearingfiles import (
    ClearingBatchAccepted,
    ClearingFileAccepted,
    ClearingFileRejected,
    ClearingFileSent,
)
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "clearing"
VERSION: Final = 1

_EVENT: Final = (
    Column("partition", "INTEGER", "partition of the payments log that was told, or whose batch it is"),
    Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
    Column("event_id", "TEXT", "the event; join with events.event_id"),
)
_FIGURES: Final = (
    Column("presentments", "BIGINT", "records that present a capture"),
    Column("presented_amount", "BIGINT", "what they come to, minor units"),
    Column("refunds", "BIGINT", "records that refund"),
    Column("refunded_amount", "BIGINT", "what they come to, minor units"),
)

STEPS: Final = Table(
    "clearing_file_steps",
    "What happened to clearing files, attempt by attempt; once for each partition with a batch in the file.",
    (
        Column("file_id", "TEXT", "the file: network, cut-off and a number"),
        Column("network", "TEXT", "the network it is for"),
        Column("cut_off_at", "TIMESTAMP", "the network's cut-off, UTC"),
        Column("attempt", "INTEGER", "how often it has left with this, from 1"),
        Column("step", "TEXT", "sent, rejected or accepted"),
        Column("reason", "TEXT", "on rejected: why; docs/reasons.md explains each"),
        Column("detail", "TEXT", "on rejected: what the network found"),
        Column(
            "sha256", "TEXT", "of the bytes: as they left on sent and rejected, as they arrived on accepted"
        ),
        Column("records", "BIGINT", "records in it; 0 on rejected"),
        Column("hash_total", "BIGINT", "sum of the reference numbers, modulo 10^18 - 1; 0 on rejected"),
        *_EVENT,
    ),
    business=("file_id", "network", "cut_off_at", "attempt", "step", "reason", "sha256", "records"),
    # As often as there are partitions with a batch in the file.
    where="FALSE",
)
FILE_BATCHES: Final = Table(
    "clearing_file_batches",
    "Control totals of clearing files, currency by currency, as they left; once for each partition with a batch in it.",
    (
        Column("file_id", "TEXT", "the file"),
        Column("attempt", "INTEGER", "the attempt"),
        Column("batch_id", "TEXT", "the batch: network, currency and day of the cut-off"),
        Column("currency", "TEXT", "ISO 4217"),
        *_FIGURES,
        Column("hash_total", "BIGINT", "sum of the reference numbers, modulo 10^18 - 1"),
        *_EVENT,
    ),
    business=("file_id", "attempt", "batch_id", "currency", *(column.name for column in _FIGURES)),
    where="FALSE",
)
BATCHES: Final = Table(
    "clearing_batch_steps",
    "Batches of single partitions: closed at a cut-off, accepted with a file.",
    (
        Column("batch_id", "TEXT", "the batch: network, currency and day of the cut-off"),
        Column("network", "TEXT", "the network it is for"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("cut_off_at", "TIMESTAMP", "the network's cut-off, UTC"),
        Column("step", "TEXT", "closed or accepted"),
        Column("file_id", "TEXT", "on accepted: the file it is in"),
        *_FIGURES,
        *_EVENT,
    ),
    business=("batch_id", "network", "currency", "cut_off_at", "step", "file_id"),
    # As many as there are partitions with such a batch.
    where="FALSE",
)
TABLES: Final = (STEPS, FILE_BATCHES, BATCHES)


def _sum(figure: str, step: str) -> str:
    return f"coalesce(sum({figure}) FILTER (WHERE step = '{step}'), 0)::BIGINT"


VIEWS: Final = (
    View(
        "clearing_files",
        "One row a clearing file: when it left, whether its network has it, and whether it holds what partitions"
        " closed.",
        f"""
        SELECT file_id, files.network, files.cut_off_at, attempts, refused,
               CASE WHEN accepted_at IS NOT NULL THEN 'accepted' WHEN refused = attempts THEN 'rejected'
                    ELSE 'sent' END AS status,
               sha256, records, hash_total, sent_at, accepted_at,
               accepted_at IS NOT NULL AND records = coalesce(batched, 0) AS agrees
        FROM (
            SELECT file_id, max(network) AS network, max(cut_off_at) AS cut_off_at,
                   coalesce(max(attempt), 0) AS attempts,
                   count(DISTINCT attempt) FILTER (WHERE step = 'rejected') AS refused,
                   coalesce(max(sha256) FILTER (WHERE step = 'accepted'), '') AS sha256,
                   max(records) AS records, max(hash_total) AS hash_total,
                   min(recorded_at) AS sent_at, min(recorded_at) FILTER (WHERE step = 'accepted') AS accepted_at
            FROM clearing_file_steps GROUP BY file_id
        ) AS files
        LEFT JOIN (
            SELECT file_id, {_sum("presentments + refunds", "accepted")} AS batched
            FROM clearing_batch_steps GROUP BY file_id
        ) AS taken USING (file_id)
        """,
    ),
    View(
        "clearing_batches",
        "One row a batch, merged over partitions: what was closed, what a network has of it, and in which file.",
        f"""
        SELECT batch_id, network, currency, cut_off_at, partitions,
               presentments, presented_amount, refunds, refunded_amount, file_id,
               CASE WHEN records = accepted_records THEN 'accepted' ELSE 'closed' END AS status
        FROM (
            SELECT batch_id, network, currency, cut_off_at,
                   count(*) FILTER (WHERE step = 'closed') AS partitions,
                   {_sum("presentments", "closed")} AS presentments,
                   {_sum("presented_amount", "closed")} AS presented_amount,
                   {_sum("refunds", "closed")} AS refunds,
                   {_sum("refunded_amount", "closed")} AS refunded_amount,
                   {_sum("presentments + refunds", "closed")} AS records,
                   {_sum("presentments + refunds", "accepted")} AS accepted_records,
                   max(file_id) AS file_id
            FROM clearing_batch_steps GROUP BY batch_id, network, currency, cut_off_at
        ) AS batches
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a step of a file, one a batch in a file that left, one a step of a partition's batch."""
    return [_steps(batch), _file_batches(batch), _batches(batch)]


def _common(events: Slice[Any]) -> dict[str, list[Any]]:
    return {
        "partition": events.partitions,
        "recorded_at": events.recorded_at,
        "event_id": events.event_ids,
    }


def _steps(batch: Batch) -> Rows:
    rows = Rows.of(STEPS)
    steps: tuple[tuple[str, Slice[Any]], ...] = (
        ("sent", batch.of(ClearingFileSent)),
        ("rejected", batch.of(ClearingFileRejected)),
        ("accepted", batch.of(ClearingFileAccepted)),
    )
    for step, events in steps:
        refused = step == "rejected"
        rows.add(
            len(events),
            step=step,
            reason=events.get("reason") if refused else "",
            detail=events.get("detail") if refused else "",
            records=0 if refused else events.get("records"),
            hash_total=0 if refused else events.get("hash_total"),
            **_common(events),
            **{
                field: events.get(field)
                for field in ("file_id", "network", "cut_off_at", "attempt", "sha256")
            },
        )
    return rows


def _file_batches(batch: Batch) -> Rows:
    rows = Rows.of(FILE_BATCHES)
    events = batch.of(ClearingFileSent)
    common = _common(events)
    parts = [(number, body, part) for number, body in enumerate(events.bodies) for part in body.batches]
    names = ("batch_id", "currency", *(column.name for column in _FIGURES), "hash_total")
    rows.add(
        len(parts),
        file_id=[body.file_id for _, body, _ in parts],
        attempt=[body.attempt for _, body, _ in parts],
        **{name: [getattr(part, name) for _, _, part in parts] for name in names},
        **{name: [values[number] for number, _, _ in parts] for name, values in common.items()},
    )
    return rows


def _batches(batch: Batch) -> Rows:
    rows = Rows.of(BATCHES)
    steps: tuple[tuple[str, Slice[Any]], ...] = (
        ("closed", batch.of(ClearingBatchClosed)),
        ("accepted", batch.of(ClearingBatchAccepted)),
    )
    names = ("batch_id", "network", "currency", "cut_off_at", *(column.name for column in _FIGURES))
    for step, events in steps:
        rows.add(
            len(events),
            step=step,
            file_id=events.get("file_id") if step == "accepted" else "",
            **_common(events),
            **{field: events.get(field) for field in names},
        )
    return rows
