"""The store: rows and positions in one transaction, one process at a time, one log for ever."""

import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from events.errors import Refused, Unavailable
from projections import ledger, risk
from projections.catalog import CATALOG
from projections.digest import figures
from projections.duck import DuckStore
from projections.port import Position, Rows
from projections.reading import ask, checked, freshness, reading, tables
from tests.projections.stores import day, digests, empty, filled, rows

PLACE = ("payments", 0)
AT = Position(7, b"c" * 32)


def one_verdict(payment: str = "pay-1") -> Rows:
    made = Rows.of(risk.VERDICTS)
    made.add(
        1, payment_id=payment, merchant="shop", verdict="allow", score=7, rules="", rules_version=1, feature_set=1,
        features="", recorded_at=86_400_000_000, event_id=f"{payment}.2",
    )  # fmt: skip
    return made


def test_rows_and_positions_are_kept(tmp_path: Path) -> None:
    """What was committed is there after closing: the rows, how far they were read, and how fresh they are."""
    with DuckStore.open(tmp_path / "s.duckdb") as store:
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 86_400_000_000)
    with DuckStore.open(tmp_path / "s.duckdb") as store:
        assert store.positions(risk) == {PLACE: AT}
        assert store.positions(ledger) == {}
        assert rows(store, "SELECT payment_id, score, recorded_at::VARCHAR FROM risk_verdicts") == [
            ("pay-1", 7, "1970-01-02 00:00:00")
        ]
    with reading(tmp_path / "s.duckdb") as db:
        taken = freshness(db)
        assert taken is not None
        assert taken[0] == 7


def test_a_later_position_replaces_the_earlier_one() -> None:
    """Positions do not pile up."""
    with empty() as store:
        store.commit([(risk, [])], {PLACE: AT}, 1)
        store.commit([(risk, [])], {PLACE: Position(9, b"d" * 32), ("intake", 1): Position(1, b"e" * 32)}, 2)
        assert store.positions(risk) == {PLACE: Position(9, b"d" * 32), ("intake", 1): Position(1, b"e" * 32)}


def test_a_commit_that_fails_leaves_nothing() -> None:
    """Neither rows nor positions: half a batch would be counted twice when it is read again."""
    wrong = one_verdict("pay-2")
    wrong.columns["score"] = ["seven"]
    with empty() as store:
        with pytest.raises(ValueError, match="seven"):
            store.commit([(risk, [one_verdict(), wrong])], {PLACE: AT}, 1)
        assert rows(store, "FROM risk_verdicts") == []
        assert store.positions(risk) == {}
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        assert rows(store, "SELECT count(*) FROM risk_verdicts") == [(1,)]


def test_a_forgotten_column_is_a_mistake() -> None:
    """Rows shift silently if one column is shorter; so each must be given, in full."""
    made = Rows.of(risk.VERDICTS)
    with pytest.raises(AssertionError, match="payment_id"):
        made.add(1, merchant="shop")
    with pytest.raises(AssertionError, match="2 values for 1 rows"):
        one_verdict().add(1, **{**dict.fromkeys(made.columns, ""), "rules": ["a", "b"]})


def test_another_process_is_told_what_to_do(tmp_path: Path) -> None:
    """DuckDB lets one process in; the other learns so in one sentence."""
    path = tmp_path / "s.duckdb"
    with DuckStore.open(path):
        code = f"from projections.duck import DuckStore; DuckStore.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "events.errors.Unavailable" in other.stderr
    assert "in use by another process" in other.stderr


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Neither a text file nor somebody else's database is written into."""
    text = tmp_path / "text.duckdb"
    text.write_text("not a database, and long enough to be looked at " * 100)
    with pytest.raises(Refused, match="not a DuckDB file"):
        DuckStore.open(text)
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as db:
        db.execute("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(Refused, match="not a Tallystick store"):
        DuckStore.open(foreign)
    with pytest.raises(Refused, match="not a Tallystick store"), reading(foreign):
        pass
    with pytest.raises(Unavailable, match="tallystick demo"), reading(tmp_path / "nothing.duckdb"):
        pass


def test_a_store_belongs_to_one_log() -> None:
    """The identity that was given first stays."""
    with empty() as store:
        store.bind_log("run-1")
        store.bind_log("run-1")
        with pytest.raises(Refused, match="filled from the log 'run-1', not from 'run-2'"):
            store.bind_log("run-2")


def test_a_long_query_can_be_interrupted() -> None:
    """DuckDB looks at no signals while it works; Ctrl-C reaches it all the same, and the connection lives on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with duckdb.connect(config={"threads": 1}) as db:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                ask(db, "SELECT count(*) FROM range(1000000000000) AS many(a) WHERE a % 7 = hash(a) % 5")
            assert ask(db, "SELECT 1 AS one") == (["one"], [(1,)])
    finally:
        signal.signal(signal.SIGALRM, before)


def test_digests_do_not_depend_on_the_order_of_rows() -> None:
    """The same entries in another order give the same number; another amount does not."""
    with filled(day()) as store:
        db = store.connection
        before = figures(db, ledger.ENTRIES)
        db.execute("CREATE TABLE shuffled AS FROM ledger_entries_v1 ORDER BY hash(event_id)")
        db.execute("DELETE FROM ledger_entries_v1")
        db.execute("INSERT INTO ledger_entries_v1 FROM shuffled")
        assert figures(db, ledger.ENTRIES) == before
        db.execute("UPDATE ledger_entries_v1 SET amount = amount + 1 WHERE item LIKE 'fee:%'")
        assert figures(db, ledger.ENTRIES).digest != before.digest


def test_a_digest_sees_a_row_that_is_there_twice() -> None:
    """Order does not count, number does."""
    with empty() as store:
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        once = digests(store)["risk.risk_verdicts"]
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        assert digests(store)["risk.risk_verdicts"] != once
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        assert digests(store)["risk.risk_verdicts"] != once


def test_every_table_and_view_says_what_it_holds(tmp_path: Path) -> None:
    """What can be asked is listed with comments, and no name is taken twice."""
    with DuckStore.open(tmp_path / "s.duckdb"):
        pass
    expected = [table.name for projection in CATALOG for table in projection.TABLES]
    expected += [view.name for projection in CATALOG for view in projection.VIEWS]
    with reading(tmp_path / "s.duckdb") as db:
        listed = dict(tables(db))
        for name in expected:
            db.execute(f"FROM {name}").fetchall()
    assert sorted(expected) == sorted(listed.keys() - {"freshness"})
    assert all(listed.values())


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("DROP TABLE store_about", "read-only: DROP"),
        ("INSERT INTO store_about VALUES ('a', 'b')", "read-only: INSERT"),
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "read-only: COPY"),
        ("ATTACH 'x' AS y", "read-only: ATTACH"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("SELEC 1", "syntax error"),
    ],
)
def test_only_one_query_is_taken(sql: str, complaint: str) -> None:
    """Whatever is not one reading statement is refused, and says why."""
    with duckdb.connect() as db, pytest.raises(Refused, match=complaint):
        checked(db, sql)
