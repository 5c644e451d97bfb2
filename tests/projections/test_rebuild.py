"""A projection made anew beside the old one: compared, swapped by name, and left alone where it differs."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from events.errors import Broken, Refused
from projections import catalog, clusters, ledger, risk
from projections.batch import Batch
from projections.port import Column, Projection, Rows, Table
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.store import SqlStore
from tests.projections.stores import Stores, change, day, rows


def tables_of(store: SqlStore, prefix: str) -> list[str]:
    found = rows(
        store,
        "SELECT table_name FROM information_schema.tables"
        f" WHERE table_type = 'BASE TABLE' AND table_name LIKE '{prefix}%' ORDER BY table_name",
    )
    return [name for (name,) in found]


def test_the_same_code_gives_the_same_build(stores: Stores) -> None:
    """Every row, position and sum: the new build takes the old one's place, and the old one is gone."""
    story = day(2)
    with stores.filled(story) as store:
        before = store.figures(ledger, whole=True)
        made = rebuild(store, story.log, 2, ledger)
        assert (made.build, made.differences, made.events) == (2, [], len(story.recorded))
        assert store.figures(ledger, whole=True) == before
        assert tables_of(store, "ledger_entries") == ["ledger_entries_v2"]
        assert rows(store, "SELECT count(*) FROM ledger_imbalance") == [(0,)]


def test_a_rebuilt_projection_goes_on_with_the_others(stores: Stores) -> None:
    """After the swap it is read and written under its name, from where the log ended."""
    story = day()
    with stores.filled(story) as store:
        rebuild(store, story.log, 1, ledger)
        story.sale(99)
        Projector(story.written(), store, 1).catch_up()
        with stores.filled(story) as undisturbed:
            assert store.figures(ledger, whole=True) == undisturbed.figures(ledger, whole=True)


def test_an_altered_store_is_found_out_and_stays(stores: Stores) -> None:
    """The log says otherwise: exit with the table's name, and nobody loses what they were reading."""
    story = day()
    with stores.filled(story) as store:
        change(store, "UPDATE ledger_entries_v1 SET item = 'forged' WHERE leg = 0 AND position = 3")
        with pytest.raises(Broken, match="other content in ledger_entries"):
            rebuild(store, story.log, 1, ledger)
        assert tables_of(store, "ledger_entries") == ["ledger_entries_v1"]
        assert rows(store, "SELECT count(*) FROM ledger_entries WHERE item = 'forged'") == [(1,)]


def test_a_killed_rebuild_leaves_the_old_build_alone(stores: Stores) -> None:
    """What it had made is dropped at the next try."""
    story = day()
    with stores.filled(story) as store:

        def kill(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            rebuild(store, story.log, 1, ledger, kill)
        assert tables_of(store, "ledger_entries") == ["ledger_entries_v1", "ledger_entries_v2"]
        assert rows(store, "SELECT count(*) FROM ledger_imbalance") == [(0,)]
        rebuild(store, story.log, 1, ledger)
        assert len(tables_of(store, "ledger_entries")) == 1


def newer(**changes: Any) -> Projection:
    """The risk projection as a later version of its code."""
    names = {name: getattr(risk, name) for name in ("NAME", "TABLES", "VIEWS", "apply")}
    later: Any = SimpleNamespace(**{**names, "VERSION": risk.VERSION + 1, **changes})
    return later  # type: ignore[no-any-return]


def test_other_code_must_be_asked_for(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store made by an older version is refused until its projection is built anew; then it is as the code says."""
    story = day()
    table = Table(
        "risk_scores", "Scores alone.", (Column("score", "INTEGER", "0 to 100"),), business=("score",)
    )

    def apply(batch: Batch) -> list[Rows]:
        made = Rows.of(table)
        events = batch.of(risk.RiskAssessed)
        made.add(len(events), score=events.get("score"))
        return [made]

    later = newer(TABLES=(table,), VIEWS=(), apply=apply)
    with stores.filled(story) as store:
        # What the later version no longer has nobody else may read.
        left = [projection for projection in catalog.CATALOG if projection is not clusters]
        others = tuple(later if projection is risk else projection for projection in left)
        monkeypatch.setattr(catalog, "CATALOG", others)
        assert store.outdated() == [later]
        with pytest.raises(Refused, match="tallystick project rebuild risk"):
            Projector(story.log, store, 1, others)
        assert rows(store, "SELECT count(*) FROM risk_verdicts") == [(12,)]
        made = rebuild(store, story.log, 1, later)
        assert [difference.table for difference in made.differences] == ["risk_scores"]
        assert store.outdated() == []
        assert rows(store, "SELECT count(*), max(score) FROM risk_scores") == [(12, 7)]
        assert tables_of(store, "risk") == ["risk_scores_v2"]


def test_every_projection_is_a_module_of_this_folder() -> None:
    """So that a reader finds it by its name."""
    for projection in catalog.CATALOG:
        assert isinstance(projection, ModuleType)
        assert projection.__name__ == f"projections.{projection.NAME}"
