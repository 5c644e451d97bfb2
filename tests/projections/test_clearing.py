"""Clearing files and batches as rows: counted once, whatever the number of partitions that are told of them."""

from events.clearing import ClearingBatchClosed
from events.clearingfiles import (
    ClearingBatchAccepted,
    ClearingFileAccepted,
    ClearingFileRejected,
    ClearingFileSent,
    FileBatch,
    FileRejection,
)
from tests.projections.stores import Stores, rows
from tests.projections.story import MORNING, Story

FILE, BATCH = "visa-20260302T2200-1", "visa-EUR-20260302"
FIRST, SECOND = "1" * 64, "2" * 64
TOTALS = FileBatch(BATCH, "EUR", 5, 5_000, 1, 300, 42)

FILES = "SELECT file_id, status, attempts, refused, records, hash_total, sha256, agrees FROM clearing_files"
BATCHES = (
    "SELECT batch_id, partitions, presentments, presented_amount, refunds, refunded_amount, file_id, status"
    " FROM clearing_batches"
)


def closed() -> Story:
    """Two partitions have closed their halves of a batch."""
    story = Story(2)
    story.tell("payments", 0, ClearingBatchClosed("visa", "EUR", BATCH, MORNING, 2, 2_000, 1, 300))
    story.tell("payments", 1, ClearingBatchClosed("visa", "EUR", BATCH, MORNING, 3, 3_000, 0, 0))
    return story


def sent(story: Story, attempt: int, sha256: str) -> None:
    for partition in range(2):
        body = ClearingFileSent("visa", FILE, attempt, MORNING, sha256, 6, 42, [TOTALS])
        story.tell("payments", partition, body, sender="network/0")


def refused(story: Story) -> None:
    for partition in range(2):
        reason = FileRejection.INCOMPLETE
        body = ClearingFileRejected("visa", FILE, 1, MORNING, FIRST, reason, "it ends after 7 bytes")
        story.tell("payments", partition, body, sender="network/0")


def accepted(story: Story, *partitions: int) -> None:
    halves = ((2, 2_000, 1, 300), (3, 3_000, 0, 0))
    for partition in partitions:
        body = ClearingFileAccepted("visa", FILE, 2, MORNING, SECOND, 6, 42, [TOTALS])
        cause = story.tell("payments", partition, body, sender="network/0")
        taken = ClearingBatchAccepted("visa", "EUR", BATCH, MORNING, FILE, SECOND, *halves[partition])
        story.tell("payments", partition, taken, cause=cause)


def test_a_batch_waits_for_its_file(stores: Stores) -> None:
    """Merged over partitions, in no file yet."""
    with stores.filled(closed()) as store:
        assert rows(store, FILES) == []
        assert rows(store, BATCHES) == [(BATCH, 2, 5, 5_000, 1, 300, "", "closed")]


def test_a_file_that_was_refused_and_not_sent_again_yet(stores: Stores) -> None:
    """Nobody has any of it."""
    story = closed()
    sent(story, 1, FIRST)
    refused(story)
    with stores.filled(story) as store:
        assert rows(store, FILES) == [(FILE, "rejected", 1, 1, 6, 42, "", False)]
        assert rows(store, BATCHES) == [(BATCH, 2, 5, 5_000, 1, 300, "", "closed")]
        assert rows(store, "SELECT DISTINCT reason FROM clearing_file_steps WHERE step = 'rejected'") == [
            ("incomplete",)
        ]


def test_a_file_that_came_through(stores: Stores) -> None:
    """With its second attempt, and the hash of that; it holds what the partitions closed."""
    story = closed()
    sent(story, 1, FIRST)
    refused(story)
    sent(story, 2, SECOND)
    accepted(story, 0, 1)
    with stores.filled(story) as store:
        assert rows(store, FILES) == [(FILE, "accepted", 2, 1, 6, 42, SECOND, True)]
        assert rows(store, BATCHES) == [(BATCH, 2, 5, 5_000, 1, 300, FILE, "accepted")]
        totals = (
            "SELECT DISTINCT attempt, presentments, refunded_amount, hash_total FROM clearing_file_batches"
        )
        assert rows(store, f"{totals} ORDER BY attempt") == [(1, 5, 300, 42), (2, 5, 300, 42)]


def test_a_partition_that_has_not_heard_of_it_shows(stores: Stores) -> None:
    """The file is accepted with more records than are known to be in it: it does not agree yet."""
    story = closed()
    sent(story, 2, SECOND)
    accepted(story, 0)
    with stores.filled(story) as store:
        assert rows(store, FILES) == [(FILE, "accepted", 2, 0, 6, 42, SECOND, False)]
        assert rows(store, BATCHES) == [(BATCH, 2, 5, 5_000, 1, 300, FILE, "closed")]
