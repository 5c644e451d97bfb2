"""Stores filled from a story. Tables and views are made once (0.1 s) and copied (0.01 s)."""

import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from projections.catalog import CATALOG
from projections.duck import DuckStore
from projections.port import Projection
from projections.projector import Projector
from tests.projections.story import Story


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the stores of this test run are; it goes when the run ends."""
    return tempfile.TemporaryDirectory(prefix="tallystick-stores-")


@cache
def _template() -> Path:
    path = Path(_folder().name, "template.duckdb")
    DuckStore(path).close()
    return path


def empty() -> DuckStore:
    """A store of its own that has taken nothing."""
    with tempfile.NamedTemporaryFile(dir=_folder().name, suffix=".duckdb", delete=False) as copy:
        shutil.copy(_template(), copy.name)
    return DuckStore(copy.name)


def filled(
    story: Story, *, batch_events: int = 5_000, projections: Sequence[Projection] = CATALOG
) -> DuckStore:
    """A store that has taken everything told so far."""
    store = empty()
    Projector(story.written(), store, story.partitions, projections, batch_events=batch_events).catch_up()
    return store


def rows(store: DuckStore, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return store.connection.execute(sql).fetchall()


def digests(store: DuckStore) -> dict[str, str]:
    """The digest of every table of every projection."""
    return {
        f"{projection.NAME}.{table}": figures.digest
        for projection in CATALOG
        for table, figures in store.figures(projection).items()
    }


def day(partitions: int = 1, sales: int = 12) -> Story:
    """A small day: sales at three shops, every fourth declined, all settled and paid out but the last shop's."""
    story = Story(partitions)
    captures: dict[str, dict[str, int]] = {}
    for number in range(sales):
        shop, amount = f"shop-{number % 3}", 1_000 + number
        if number % 4 == 3:
            story.decline(story.request(number, shop, amount), shop, amount)
        else:
            captures.setdefault(shop, {})[story.sale(number, shop, amount)] = amount
    story.tick(1)
    for shop, of_shop in captures.items():
        payout = f"po-{shop}"
        amount = story.settle(of_shop, shop, payout=payout)
        if shop != "shop-2":
            story.bank_pays(amount, shop, payout=payout, line=int(shop[-1]) + 1)
    for partition in range(partitions):
        story.cycle_total(partition, 1_000)
    story.tick(2)
    return story
