"""From logs to stores: the same rows however the reading was cut up, and never from the wrong log."""

import subprocess
import sys
from pathlib import Path

import pytest

from events.errors import LogDamaged, Refused
from projections import ledger
from projections.catalog import CATALOG
from projections.projector import Projector
from streams.hosts.log import Stored
from streams.hosts.memory import MemoryLog
from tests.projections.stores import Stores, day, digests, rows


@pytest.mark.parametrize("batch_events", [1, 7, 64])
def test_batches_do_not_show(stores: Stores, batch_events: int) -> None:
    """One event a transaction or all in one: every table comes out the same, positions and all."""
    at_once, in_parts = stores.filled(day(2, 6)), stores.filled(day(2, 6), batch_events=batch_events)
    with at_once, in_parts:
        for projection in CATALOG:
            assert at_once.figures(projection, whole=True) == in_parts.figures(projection, whole=True)
            assert at_once.positions(projection) == in_parts.positions(projection)


@pytest.mark.parametrize("partitions", [2, 5])
def test_partitions_do_not_show_in_digests(stores: Stores, partitions: int) -> None:
    """The business content of one day is the same however many partitions recorded it."""
    one, many = stores.filled(day(1)), stores.filled(day(partitions))
    with one, many:
        assert digests(one) == digests(many)


def test_another_day_has_other_digests(stores: Stores) -> None:
    """One sale more shows wherever a sale shows, and nowhere else."""
    with stores.filled(day(1, 8)) as one, stores.filled(day(1, 9)) as other:
        first, second = digests(one), digests(other)
    assert {name for name in first if first[name] != second[name]} == {
        "audit.events",
        "ledger.ledger_entries",
        "merchants.merchant_facts",
        "merchants.payout_steps",
        "payments.payment_requests",
        "payments.payment_steps",
        "risk.risk_verdicts",
    }


def test_reading_goes_on_where_it_ended(stores: Stores) -> None:
    """A projector that died is replaced by one that finds its place in the store."""
    story = day(2)
    log = story.written()
    store = stores.empty()
    first = Projector(log, store, 2, batch_events=10)
    assert first.turn() == 10
    second = Projector(log, store, 2, batch_events=1_000)
    assert second.done == 10
    assert second.catch_up() == len(story.recorded) - 10
    assert second.done == second.end == len(story.recorded)
    assert second.turn() == 0
    with store, stores.filled(day(2)) as undisturbed:
        assert digests(store) == digests(undisturbed)
        assert rows(store, "SELECT DISTINCT events FROM freshness") == [(len(story.recorded),)]


def test_what_comes_later_is_taken_later(stores: Stores) -> None:
    """A log grows; a projector that had caught up goes on."""
    story = day()
    with stores.filled(story) as store:
        projector = Projector(story.log, store, 1)
        assert projector.turn() == 0
        story.sale(99)
        story.written()
        assert projector.catch_up() == 17
        assert rows(store, "SELECT count(*) FROM payments") == [(13,)]


def test_a_projection_that_is_behind_catches_up_alone(stores: Stores) -> None:
    """New projections start at position 0, and then walk with the others; nobody takes an event twice."""
    story = day(2)
    log = story.written()
    store = stores.empty()
    others = [projection for projection in CATALOG if projection is not ledger]
    Projector(log, store, 2, others, batch_events=30).catch_up()
    assert rows(store, "SELECT count(*) FROM ledger_entries") == [(0,)]
    both = Projector(log, store, 2, batch_events=30)
    assert both.done == 0
    both.catch_up()
    assert both.done == both.end
    with store, stores.filled(day(2)) as undisturbed:
        assert digests(store) == digests(undisturbed)


def test_a_store_of_another_log_is_refused(stores: Stores) -> None:
    """The last record it has read is not the one that stands there."""
    with stores.filled(day(1, 8)) as store, pytest.raises(Refused, match="another log"):
        Projector(day(1, 9).written(), store, 1)


def test_a_host_may_name_its_log(stores: Stores) -> None:
    """The name that was given first is kept, also while the log is still empty."""
    story = day()
    with stores.filled(story) as store:
        Projector(story.log, store, 1, log_identity="run-1")
        with pytest.raises(Refused, match="filled from the log 'run-1'"):
            Projector(story.log, store, 1, log_identity="run-2")


def test_a_store_ahead_of_its_log_is_refused(stores: Stores) -> None:
    """The log was put back to an earlier copy; the store knows more than it holds."""
    with stores.filled(day()) as store, pytest.raises(Refused, match="the log ends before that"):
        Projector(MemoryLog(), store, 1)


def test_a_store_of_more_partitions_is_refused(stores: Stores) -> None:
    """Partitions are fixed for a log's life."""
    with stores.filled(day(2)) as store, pytest.raises(Refused, match="which this log does not have"):
        Projector(day(2).written(), store, 1)


class _Altered(MemoryLog):
    """A log in which one record was changed on the disk."""

    def __init__(self, log: MemoryLog, at: int) -> None:
        super().__init__()
        self._log = log
        self._at = at

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        found = self._log.read(topic, partition, offset, limit)
        return [
            stored._replace(value=stored.value[:-1] + b"\xff")
            if topic == "payments" and stored.offset == self._at
            else stored
            for stored in found
        ]


@pytest.mark.parametrize("at", [0, 5, 30])
def test_an_altered_record_is_not_projected(stores: Stores, at: int) -> None:
    """The chain is computed again on the way in: what does not follow is named, and nothing of it is kept."""
    log = _Altered(day().written(), at)
    with stores.empty() as store:
        projector = Projector(log, store, 1, batch_events=1)
        with pytest.raises(LogDamaged, match=f"record {at} of payments/0"):
            projector.catch_up()
        assert rows(store, "SELECT count(*) FROM events WHERE log = 'payments'") == [(at,)]


ROOT = Path(__file__).resolve().parents[2]

_CHILD = """
import sys
from infra.settings import Value
from infra.stores import open_store, store_address
from projections.projector import Projector
from tests.projections.stores import day
story = day(2, 6)
store = open_store(store_address(Value(sys.argv[1], "the test")))
projector = Projector(story.written(), store, 2, batch_events=7)
print(projector.done, flush=True)
while projector.turn():
    print(projector.done, flush=True)
"""


@pytest.mark.parametrize("commits", [0, 3, 9])
def test_a_killed_projector_leaves_whole_batches(stores: Stores, commits: int) -> None:
    """kill -9 in the middle: the store opens, stands between two batches, and is filled to the same content."""
    store = stores.empty()
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, stores.address(store)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    for _ in range(commits + 1):
        told = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    story = day(2, 6)
    with stores.reopened(store) as again:
        projector = Projector(story.written(), again, 2)
        assert projector.done >= told
        assert rows(again, "SELECT count(*) FROM events") == [(projector.done,)]
        projector.catch_up()
        with stores.filled(day(2, 6)) as undisturbed:
            for projection in CATALOG:
                assert again.figures(projection, whole=True) == undisturbed.figures(projection, whole=True)
