"""Learning: from which payments the scorecard in the stream learned, and what each batch made of it."""

from typing import Final

from events.examples import ExampleDrawn, ExamplesLearned
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "learning"
VERSION: Final = 1

EXAMPLES: Final = Table(
    "scorecard_examples",
    "One payment that the scorecard learns from, in the log of its card's partition.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("number", "INTEGER", "which of its labels, from 1; 0 where nobody has labelled it"),
        Column("label", "TEXT", "fraud or genuine"),
        Column("weight", "INTEGER", "how many payments it stands for"),
        Column("learner", "INTEGER", "version of the reference data that put the scorecard into use"),
        Column("paid_at", "TIMESTAMP", "event time of the payment, UTC"),
        Column("recorded_at", "TIMESTAMP", "logical time at which it was drawn, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("payment_id", "number", "label", "weight", "learner", "paid_at"),
)
BATCHES: Final = Table(
    "scorecard_batches",
    "One batch that one partition of the payments log has learned; each partition learns all of them.",
    (
        Column("number", "INTEGER", "the batch, from 1"),
        Column("learner", "INTEGER", "version of the reference data that put its scorecard into use"),
        Column("examples", "INTEGER", "how many were learned; 0 where its scorecard was no longer in use"),
        Column("frauds", "INTEGER", "how many of them were fraud"),
        Column("sha256", "TEXT", "hash of the scorecard's numbers from here on: the same in every partition"),
        Column("partition", "INTEGER", "partition of the payments log"),
        Column("recorded_at", "TIMESTAMP", "logical time from which the scorecard knows it, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("number", "learner", "examples", "frauds", "sha256"),
    where="partition = 0",
)
TABLES: Final = (EXAMPLES, BATCHES)

VIEWS: Final = (
    View(
        "scorecard_learning",
        "Each batch that the scorecard has learned, and whether all partitions came to the same by it.",
        """
        SELECT number, max(learner) AS learner, max(examples) AS examples, max(frauds) AS frauds,
               max(sha256) AS sha256, count(*) AS partitions, count(DISTINCT sha256) = 1 AS agreed,
               min(recorded_at) AS first_learned_at, max(recorded_at) AS last_learned_at
        FROM scorecard_batches GROUP BY number
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row an example, one row a batch and partition."""
    return [_examples(batch), _batches(batch)]


def _examples(batch: Batch) -> Rows:
    """An example stands in the log ``velocity`` as well, which takes it as a fact: that one is no row."""
    rows, events = Rows.of(EXAMPLES), batch.of(ExampleDrawn)
    own = [place for place, log in enumerate(events.topics) if log == "payments"]
    columns = {
        **{field: events.get(field) for field in EXAMPLES.business},
        "recorded_at": events.recorded_at,
        "event_id": events.event_ids,
    }
    rows.add(len(own), **{name: [column[place] for place in own] for name, column in columns.items()})
    return rows


def _batches(batch: Batch) -> Rows:
    rows, events = Rows.of(BATCHES), batch.of(ExamplesLearned)
    rows.add(
        len(events),
        **{field: events.get(field) for field in BATCHES.business},
        partition=events.partitions,
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
    )
    return rows
