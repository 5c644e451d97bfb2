"""A log whose offsets have holes, as on Kafka: the same rows, and not a record may be missing."""

import pytest

from events.errors import LogDamaged, Refused
from projections import ledger
from projections.catalog import CATALOG
from projections.projector import Projector
from streams.hosts.log import Stored
from streams.hosts.memory import MemoryLog
from tests.projections.stores import Stores, day, digests, rows


def placed_at(number: int) -> int:
    """Where a record stands: behind every third one a transaction ends, which takes an offset."""
    return number + number // 3


class Holed(MemoryLog):
    """A log read with the offsets of Kafka; ``without`` leaves out the record of that number."""

    holes = True

    def __init__(self, log: MemoryLog, without: int | None = None) -> None:
        super().__init__()
        self._log = log
        self._without = without

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        records = self._log.read(topic, partition, 0, self._log.end(topic, partition))
        found = [
            stored._replace(offset=placed_at(stored.offset))
            for stored in records
            if topic != "payments" or stored.offset != self._without
        ]
        return [stored for stored in found if stored.offset >= offset][:limit]

    def end(self, topic: str, partition: int) -> int:
        """Behind the end of the last transaction."""
        count = self._log.end(topic, partition)
        return placed_at(count - 1) + 2 if count else 0


@pytest.mark.parametrize("batch_events", [1, 7, 5_000])
def test_holes_do_not_show_in_rows(stores: Stores, batch_events: int) -> None:
    """The business content is that of the same log without holes; what stands behind the last record is no work."""
    log = Holed(day(2).written())
    with stores.empty() as store, stores.filled(day(2)) as plain:
        projector = Projector(log, store, 2, batch_events=batch_events)
        assert projector.catch_up() == len(day(2).recorded)
        assert projector.turn() == 0
        assert projector.done < projector.end
        assert digests(store) == digests(plain)
        assert rows(store, "SELECT count(*) FROM events") == [(len(day(2).recorded),)]


def test_reading_goes_on_behind_a_hole(stores: Stores) -> None:
    """A projector that died between two transactions of the log finds its place."""
    log = Holed(day(2).written())
    with stores.empty() as store:
        taken = 0
        while more := Projector(log, store, 2, batch_events=3).turn():
            taken += more
        assert taken == len(day(2).recorded)
        with stores.filled(day(2)) as plain:
            assert digests(store) == digests(plain)


def test_a_projection_that_is_behind_stops_where_the_others_stand(stores: Stores) -> None:
    """As many records as offsets would carry it beyond them, and nobody takes an event twice."""
    log = Holed(day(2).written())
    with stores.empty() as store, stores.filled(day(2)) as plain:
        others = [projection for projection in CATALOG if projection is not ledger]
        for _ in range(4):
            Projector(log, store, 2, others, batch_events=10).turn()
        both = Projector(log, store, 2, batch_events=10)
        both.catch_up()
        assert digests(store) == digests(plain)
        assert store.positions(ledger) == store.positions(others[0])


@pytest.mark.parametrize("number", [0, 4, 20])
def test_a_record_that_is_missing_is_no_hole(stores: Stores, number: int) -> None:
    """The chain says so, at the record behind it."""
    log = Holed(day().written(), without=number)
    with (
        stores.empty() as store,
        pytest.raises(LogDamaged, match=f"record {placed_at(number + 1)} of payments/0"),
    ):
        Projector(log, store, 1, batch_events=1).catch_up()


def test_a_store_ahead_of_its_log_is_refused(stores: Stores) -> None:
    """Also where an older copy of the log goes on behind a hole."""
    with stores.empty() as store:
        Projector(Holed(day().written()), store, 1).catch_up()
        with pytest.raises(Refused, match="the log ends before that"):
            Projector(Holed(MemoryLog()), store, 1)
        with pytest.raises(Refused, match="another log"):
            Projector(Holed(day(1, 14).written()), store, 1)
