"""Reading a store, on every database: one reading statement at a time, and whatever can be asked says what it is."""

import signal
from collections.abc import Iterator

import pytest

from events.errors import Refused
from projections.catalog import CATALOG
from projections.reading import CHUNK_ROWS, Reader
from tests.projections.stores import Stores, day, rows


@pytest.fixture
def db(stores: Stores) -> Iterator[Reader]:
    """A reader of a small day."""
    with stores.reading(stores.filled(day())) as reader:
        yield reader


def test_every_table_and_view_says_what_it_holds(db: Reader) -> None:
    """What can be asked is listed with comments, and no name is taken twice."""
    expected = [table.name for projection in CATALOG for table in projection.TABLES]
    expected += [view.name for projection in CATALOG for view in projection.VIEWS]
    listed = dict(db.tables())
    for name in expected:
        db.fetch(f"SELECT * FROM {name}")
    assert sorted(expected) == sorted(listed.keys() - {"freshness"})
    assert all(listed.values())


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("DROP TABLE store_about", "read-only: DROP"),
        ("INSERT INTO store_about VALUES ('a', 'b')", "read-only: INSERT"),
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "read-only: COPY"),
        ("-- a remark\n/* and /* one */\nDROP TABLE store_about", "DROP|syntax"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        (" ; ", "0 statements"),
        ("SELEC 1", "SELEC"),
        ("SELECT 1 +", "tallystick query"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("WITH gone AS (DELETE FROM store_about RETURNING *) SELECT * FROM gone", "read-only"),
    ],
)
def test_only_one_query_is_taken(db: Reader, sql: str, complaint: str) -> None:
    """Whatever is not one reading statement is refused, and says why."""
    with pytest.raises(Refused, match=complaint):
        db.fetch(db.checked(sql))
    assert rows(db, "SELECT count(*) FROM payments") == [(12,)]


@pytest.mark.parametrize(
    "sql", ["SELECT 1 AS one", "/* one */ (SELECT 1 AS one);", "WITH a AS (SELECT 1 AS one) SELECT * FROM a"]
)
def test_a_query_is_taken_in_any_dress(db: Reader, sql: str) -> None:
    """Remarks, brackets and a semicolon at the end do not matter."""
    assert db.fetch(db.checked(sql)) == (["one"], [(1,)])


def test_a_long_answer_comes_in_chunks(db: Reader) -> None:
    """Neither row is lost where two chunks meet, and an empty answer has its columns."""
    names, chunks = db.chunks("SELECT a.position AS a FROM events AS a, events AS b, events AS c LIMIT 25000")
    assert names == ["a"]
    assert [len(chunk) for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 25_000 - 2 * CHUNK_ROWS]
    names, chunks = db.chunks("SELECT 1 AS one WHERE FALSE")
    assert (names, list(chunks)) == (["one"], [])


def test_a_long_query_can_be_interrupted(db: Reader) -> None:
    """Neither database looks at our signals while it works; Ctrl-C reaches it, and the connection lives on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    many = "events AS a, events AS b, events AS c, events AS d, events AS e"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            db.fetch(f"SELECT count(*) FROM {many} WHERE a.key || b.key || c.key || d.key || e.key = 'x'")
        assert db.fetch("SELECT 1 AS one") == (["one"], [(1,)])
    finally:
        signal.signal(signal.SIGALRM, before)
