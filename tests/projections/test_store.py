"""A store, on every database: rows and positions in one transaction, one log for ever, the same digests everywhere."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from events.errors import Refused
from projections import audit, ledger, risk
from projections.catalog import CATALOG
from projections.digest import figures
from projections.freshness import Freshness, freshness_of
from projections.port import Column, Database, Position, Rows, Table
from projections.report import report
from tests.projections.stores import DuckStores, PostgresStores, Stores, change, day, digests, rows

PLACE = ("payments", 0)
AT = Position(7, b"c" * 32)


def one_verdict(payment: str = "pay-1") -> Rows:
    made = Rows.of(risk.VERDICTS)
    made.add(
        1, payment_id=payment, merchant="shop", phase="before_authorization", verdict="allow", score=7, rules="",
        shadow_rules="", failed_rules="", rules_version=1, feature_set=1, features="", texts="",
        recorded_at=86_400_000_000, event_id=f"{payment}.2",
    )  # fmt: skip
    return made


def test_rows_and_positions_are_kept(stores: Stores) -> None:
    """What was committed is there after closing: the rows, how far they were read, and how fresh they are."""
    store = stores.empty()
    store.commit([(risk, [one_verdict()])], {PLACE: AT}, 86_400_000_000)
    with stores.reopened(store) as again:
        assert again.positions(risk) == {PLACE: AT}
        assert again.positions(ledger) == {}
        assert rows(again, "SELECT payment_id, score, recorded_at::VARCHAR FROM risk_verdicts") == [
            ("pay-1", 7, "1970-01-02 00:00:00")
        ]
    with stores.reading(again) as db:
        found = freshness_of(db)
    # The stores give instants in UTC without saying so.
    up_to = datetime(1970, 1, 2, tzinfo=UTC).replace(tzinfo=None)
    assert found == Freshness(7, up_to, {f"{PLACE[0]}/{PLACE[1]}": 7})


def test_a_later_position_replaces_the_earlier_one(stores: Stores) -> None:
    """Positions do not pile up."""
    with stores.empty() as store:
        store.commit([(risk, [])], {PLACE: AT}, 1)
        store.commit([(risk, [])], {PLACE: Position(9, b"d" * 32), ("intake", 1): Position(1, b"e" * 32)}, 2)
        assert store.positions(risk) == {PLACE: Position(9, b"d" * 32), ("intake", 1): Position(1, b"e" * 32)}


def test_a_commit_that_fails_leaves_nothing(stores: Stores) -> None:
    """Neither rows nor positions: half a batch would be counted twice when it is read again."""
    wrong = one_verdict("pay-2")
    wrong.columns["score"] = ["seven"]
    with stores.empty() as store:
        with pytest.raises((ValueError, TypeError)):
            store.commit([(risk, [one_verdict(), wrong])], {PLACE: AT}, 1)
        assert rows(store, "SELECT * FROM risk_verdicts") == []
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


def test_a_store_belongs_to_one_log(stores: Stores) -> None:
    """The identity that was given first stays."""
    with stores.empty() as store:
        store.bind_log("run-1")
        store.bind_log("run-1")
        with pytest.raises(Refused, match="filled from the log 'run-1', not from 'run-2'"):
            store.bind_log("run-2")


def test_digests_do_not_depend_on_the_order_of_rows(stores: Stores) -> None:
    """The same entries in another order give the same number; another amount does not."""
    with stores.filled(day()) as store:
        before = figures(store, ledger.ENTRIES)
        change(store, "CREATE TABLE shuffled AS SELECT * FROM ledger_entries_v1 ORDER BY item, amount")
        change(store, "DELETE FROM ledger_entries_v1")
        change(store, "INSERT INTO ledger_entries_v1 SELECT * FROM shuffled")
        assert figures(store, ledger.ENTRIES) == before
        change(store, "UPDATE ledger_entries_v1 SET amount = amount + 1 WHERE item LIKE 'fee:%'")
        assert figures(store, ledger.ENTRIES).digest != before.digest


def test_a_digest_needs_no_more_memory_for_more_rows() -> None:
    """The hashes of a million rows are 64 MB of text; sorted on disk they fit into less."""
    lines = Table("lines", "numbers", (Column("item", "BIGINT", "a number"),), business=("item",))
    with DuckStores().empty() as store:
        change(store, "CREATE TABLE lines AS SELECT range AS item FROM range(1000000)")
        change(store, "SET memory_limit = '60MB'")
        found = figures(store, lines)
    by_hand: dict[str, list[str]] = {}
    for hashed in sorted(sha256(str(number).encode()).hexdigest() for number in range(1_000_000)):
        by_hand.setdefault(hashed[:3], []).append(hashed)
    parts = "".join(sha256("".join(part).encode()).hexdigest() for part in by_hand.values())
    assert (1_000_000, sha256(parts.encode()).hexdigest()) == (found.rows, found.digest)


def test_a_digest_sees_a_row_that_is_there_twice(stores: Stores) -> None:
    """Order does not count, number does."""
    with stores.empty() as store:
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        once = digests(store)["risk.risk_verdicts"]
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        assert digests(store)["risk.risk_verdicts"] != once
        store.commit([(risk, [one_verdict()])], {PLACE: AT}, 1)
        assert digests(store)["risk.risk_verdicts"] != once


def awkward() -> Rows:
    """Rows of texts, instants and bytes that a text format has to mind."""
    texts = ["", "\\", "\\N", "a\tb\nc\rd", "\\.", "\u00e9\u2028\U0001f600", "'\"", "\x1f", " "]
    made = Rows.of(audit.EVENTS)
    count = len(texts)
    made.add(
        count, log="intake", partition=-1, position=2**63 - 1, event_id=texts, type=texts, key=texts, sequence=-(2**63),
        recorded_at=[-1, 0, 1, 10, 500_000, 1_772_442_000_000_000, 253_402_300_799_999_999, 123_456, 86_400_000_000],
        occurred_at=0, ingested_at=0, causation_id=texts, correlation_id="", who="", source="", behaviour=2**31 - 1,
        rules=0, fees=-(2**31), simulated=[number % 2 == 0 for number in range(count)],
        body=[json.dumps({"text": text}) for text in texts],
        chain=[bytes(range(256)) * number for number in range(count)],
    )  # fmt: skip
    return made


def test_both_databases_give_the_same_bytes(duck_stores: DuckStores, postgres_stores: PostgresStores) -> None:
    """Figures of a day and of awkward values: rows, sums and digests, of the business columns and of all columns."""
    stores: tuple[Stores, ...] = (duck_stores, postgres_stores)
    found = []
    for kind in stores:
        with kind.filled(day(2)) as store:
            store.commit([(audit, [awkward()])], {("intake", 9): AT}, 1)
            found.append(
                [store.figures(projection, whole=whole) for projection in CATALOG for whole in (False, True)]
            )
    assert found[0] == found[1]


def test_both_databases_give_the_same_answers(
    duck_stores: DuckStores, postgres_stores: PostgresStores
) -> None:
    """Every table and view of the catalog, with all its rows, and the types of the values."""
    stores: tuple[Stores, ...] = (duck_stores, postgres_stores)
    found = []
    for kind in stores:
        store = kind.filled(day(2))
        with kind.reading(store) as db:
            found.append({name: answer(db, name) for name in names()} | {"": [repr(report(db))]})
    for name in found[0]:
        assert found[0][name] == found[1][name], name


def names() -> list[str]:
    """Everything that can be asked."""
    return [made.name for projection in CATALOG for made in (*projection.TABLES, *projection.VIEWS)]


def answer(db: Database, name: str) -> list[str]:
    """The columns and the rows of a table or view, in an order of ours."""
    columns, found = db.fetch(f"SELECT * FROM {name}")
    return [repr(columns), *sorted(map(repr, found))]


def test_text_without_a_place_in_postgres_does_not_stop_it(postgres_stores: PostgresStores) -> None:
    """PostgreSQL's texts hold no NUL: a sign for it stands there."""
    with postgres_stores.empty() as store:
        store.commit([(risk, [one_verdict("pay\0\t1"), one_verdict("pay-2")])], {PLACE: AT}, 1)
        assert rows(store, "SELECT payment_id FROM risk_verdicts ORDER BY 1") == [
            ("pay-2",),
            ("pay\u2400\t1",),
        ]
