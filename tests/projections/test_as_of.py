"""The past, on every database: a store asked as of a cut says what a store says that has read no further."""

from collections.abc import Iterator

import pytest

from events.calendar import DAY, HOUR, iso_instant, start_of
from events.errors import Refused
from events.refunds import RefundApproved
from projections.as_of import Cut, PastReader, parse, rewritten
from projections.catalog import CATALOG
from projections.dialect import DUCKDB
from projections.glossary import sources
from projections.reading import Reader
from streams.topology import LOGS
from tests.projections.stores import Stores, day, rows
from tests.projections.story import DAY_ON, MORNING, Story

#: Everything but what says how far the store itself has read.
NAMES = [table.name for projection in CATALOG for table in projection.TABLES] + [
    view.name for projection in CATALOG for view in projection.VIEWS if sources()[view.name]
]


def full_day() -> Story:
    """A day on two partitions, with a refund after its payouts."""
    story = day(2)
    payment = story.request(50, "shop-1", 7_000)
    capture = story.capture(payment, "shop-1", 7_000, cause=story.authorize(payment, "shop-1", 7_000))
    story.in_payments(payment, [RefundApproved(payment, "shop-1", "visa", f"ref-{capture[4:]}", 500, "EUR")])
    story.tick(3)
    return story


def cut_short(story: Story, count: int) -> tuple[Story, str]:
    """The story up to its first ``count`` events, and the positions of the last of each log partition."""
    told = Story(story.partitions)
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, recorded in story.recorded[:count]:
        told.now = recorded.meta.recorded_at
        told.tell_recorded(topic, partition, recorded)
        ends[(topic, partition)] = ends.get((topic, partition), -1) + 1
    return told, ",".join(f"{topic}/{partition}@{position}" for (topic, partition), position in ends.items())


def said(db: Reader) -> dict[str, list[tuple[object, ...]]]:
    """Every row of everything."""
    return {name: sorted(rows(db, f"SELECT * FROM {name}"), key=repr) for name in NAMES}


@pytest.mark.parametrize("share", [10, 45, 70, 90, 100])
def test_positions_cut_exactly(stores: Stores, share: int) -> None:
    """Of every table and view, whatever had been read by then and nothing else."""
    story = full_day()
    short, positions = cut_short(story, len(story.recorded) * share // 100)
    # Partitions of which nothing had been read cannot be named, so there must be none of them.
    assert len(positions.split(",")) == 2 * len(LOGS) or share < 90
    with stores.reading(stores.filled(short)) as db:
        expected = said(db)
    with stores.reading(stores.filled(story)) as db:
        cut = parse(positions, db)
        if len(cut.positions) == 8:
            assert expected == said(PastReader(db, cut))
        else:
            assert (
                expected["ledger_imbalance"]
                == rows(PastReader(db, cut), "SELECT * FROM ledger_imbalance")
                == []
            )


def test_a_time_cuts_every_log_alike(stores: Stores) -> None:
    """Everything recorded until then, the instant itself included."""
    story = full_day()
    with stores.reading(stores.filled(story)) as db:
        for hours in (-1, 0, 1, 2, 3):
            at = MORNING + hours * HOUR
            short, _ = cut_short(story, sum(one.meta.recorded_at <= at for _, _, one in story.recorded))
            with stores.reading(stores.filled(short)) as other:
                assert said(other) == said(PastReader(db, parse(iso_instant(at), db)))


def test_a_day_is_the_whole_day(stores: Stores) -> None:
    """In UTC; an offset moves an instant."""
    with stores.reading(stores.filled(day())) as db:
        assert parse("2026-03-02", db) == Cut("the end of 2026-03-02", start_of(DAY_ON) + DAY - 1)
        assert parse("2026-03-02T10:00:00+01:00", db) == Cut("2026-03-02T09:00:00Z", MORNING)
        before = PastReader(db, parse("2026-03-01", db))
        assert rows(before, "SELECT count(*) FROM payments") == [(0,)]
        assert rows(PastReader(db, parse("2026-03-02", db)), "SELECT count(*) FROM payments") == [(12,)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", r"--as-of takes a day \(2026-03-09\), an instant"),
        ("2026-03-02T10:00:00", "is not of the form"),
        ("2026-02-30", "does not exist"),
        ("payments@3", "'payments@3' is no position"),
        ("payments/7@3", "has read no log partition payments/7; it has read intake/0, payments/0"),
        ("payments/0@999999", r"has read payments/0 up to \d+: name a position up to there"),
        ("payments/0@1,payments/0@2", "payments/0 is named twice"),
    ],
)
def test_what_is_no_cut_is_refused(stores: Stores, text: str, complaint: str) -> None:
    """With what would be one."""
    with stores.reading(stores.filled(day())) as db, pytest.raises(Refused, match=complaint):
        parse(text, db)


@pytest.fixture
def past(stores: Stores) -> Iterator[PastReader]:
    """A small day, before its payouts."""
    with stores.reading(stores.filled(day())) as db:
        yield PastReader(db, parse("2026-03-02T09:00:00Z", db))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS n FROM payouts",
        "  -- remark\nWITH a AS (SELECT * FROM payouts) SELECT count(*) AS n FROM a;",
        "with recursive a(n) AS (SELECT 1 UNION SELECT n + 1 FROM a WHERE n < 3) SELECT count(*) AS n FROM a, payouts",
        'SELECT count(*) AS n FROM (SELECT * FROM "payouts") AS held',
        "SELECT count(*) AS n FROM PAYOUTS WHERE merchant <> 'with'",
    ],
)
def test_a_query_is_cut_in_any_dress(past: PastReader, sql: str) -> None:
    """Also one with expressions of its own, and nothing of the present shows."""
    assert past.fetch(past.checked(sql))[1] == [(0,)]
    assert past.present.fetch(sql)[1] != [(0,)]


def test_a_plan_is_about_now(past: PastReader) -> None:
    """A plan of what we make of a query would mislead."""
    with pytest.raises(Refused, match="leave --as-of out"):
        past.checked("EXPLAIN SELECT 1")


def test_a_query_about_nothing_of_ours_stays() -> None:
    """Nothing is put before it."""
    assert rewritten("SELECT 1", Cut("x", 0), DUCKDB) == "SELECT 1"
