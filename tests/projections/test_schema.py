"""The schema that analysts see: complete, explained, and the same on every database."""

import re

import pytest

from events.errors import Refused
from projections.catalog import CATALOG
from projections.glossary import COLUMNS, comment, sources
from projections.schema import Relation, relation, relations
from tests.projections.stores import DuckStores, PostgresStores, Stores, rows


def schema(stores: Stores) -> list[Relation]:
    """What readers of a new store see."""
    with stores.reading(stores.empty()) as db:
        return relations(db)


def test_every_column_is_explained(duck_stores: DuckStores) -> None:
    """Whoever adds a view says in the glossary what its columns mean, and nothing there is about columns of old."""
    found = {held.name: [column.name for column in held.columns] for held in schema(duck_stores)}
    unexplained = [
        f"{name}.{column}" for name in found for column in found[name] if not comment(name, column)
    ]
    assert unexplained == []
    assert [
        f"{name}.{column}" for name in COLUMNS for column in COLUMNS[name] if column not in found[name]
    ] == []
    assert found.keys() == {"freshness"} | {
        held.name for projection in CATALOG for held in (*projection.TABLES, *projection.VIEWS)
    }


def test_both_databases_have_one_schema(duck_stores: DuckStores, postgres_stores: PostgresStores) -> None:
    """Names, order, types and words: a query that suits one suits the other."""
    assert schema(duck_stores) == schema(postgres_stores)


def test_dashboards_see_what_a_column_means(postgres_stores: PostgresStores) -> None:
    """PostgreSQL keeps the words beside the columns of tables and views alike."""
    with postgres_stores.reading(postgres_stores.empty()) as db:
        said = {
            (name, column): words
            for name, column, words in rows(
                db,
                "SELECT c.relname::TEXT, a.attname::TEXT, col_description(c.oid, a.attnum)"
                " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
                " WHERE c.relnamespace = 'tallystick'::REGNAMESPACE AND c.relname <> 'store_about'",
            )
        }
    assert said
    assert {place: comment(*place) for place in said} == said


def test_a_relation_is_found_by_its_name(stores: Stores) -> None:
    """In any case, with the schema before it; and a likely one is named where there is none."""
    with stores.reading(stores.empty()) as db:
        assert relation(db, "Tallystick.PAYMENTS;").name == "payments"
        with pytest.raises(Refused, match=r"'payment': did you mean .*payments"):
            relation(db, "payment")
        with pytest.raises(Refused, match=re.escape("`tallystick query --schema` lists all")):
            relation(db, "zebra")


def test_a_view_knows_what_it_reads() -> None:
    """A column that comes from a table keeps the words of the table."""
    assert sources()["ledger_trial_balance"] == ("ledger_balances",)
    assert comment("ledger_trial_balance", "class") == comment("ledger_accounts", "class") != ""
    assert comment("payments", "no_such_column") == ""
