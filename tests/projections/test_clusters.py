"""Clusters in a store are those that verdicts were told of, on each database and at any time in the past."""

from datetime import date
from random import Random

import pytest

from events.calendar import DAY, day_of, parse_day, start_of
from events.disputes import Label
from events.labels import LabelApplied
from events.partitions import TickPassed
from projections import as_of
from projections.as_of import PastReader
from projections.clusters import KEPT_DAYS, MOST_CARDS
from streams.features import clusters
from streams.features.clusters import Clusters
from tests.projections.stores import Stores, rows
from tests.projections.story import Story

SHOP = "shop-1"
FIRST_DAY = start_of(parse_day("2026-03-02"))


def test_the_figures_are_those_of_the_verdicts() -> None:
    """Two definitions of one thing, for the store imports no engine."""
    assert MOST_CARDS == dict(zip(clusters.KINDS, clusters.MOST_CARDS, strict=True))
    assert KEPT_DAYS == clusters.KEPT_DAYS


def told(seed: int) -> tuple[Story, dict[str, Clusters]]:
    """Labels over most of a year, some taken back and said again; the clusters at the end of some of its days."""
    chance = Random(seed)
    story = Story()
    found, told_on = Clusters(), {}
    numbers: dict[str, int] = {}
    keys: dict[str, tuple[str, str, str, str]] = {}
    for step in range(40):
        story.now = FIRST_DAY + step * 7 * DAY
        today = day_of(story.now)
        for day_on in list(clusters.stale_days(found, today)):
            clusters.forget_day(found, day_on)
        story.tell("payments", 0, TickPassed(step + 1, story.now, 1))
        for _ in range(4):
            name = f"pay-{chance.randrange(120):04d}"
            number = numbers[name] = numbers.get(name, 0) + 1
            own = keys.setdefault(name, drawn(chance))
            fraud = number % 2 == 1
            label = Label.FRAUD if fraud else Label.GENUINE
            said = (name, number, label, SHOP, *own[1:], FIRST_DAY, True, story.now, 0, own[0])
            story.tell("payments", 0, LabelApplied(*said))
            if fraud:
                clusters.add(found, name, own, today)
            else:
                clusters.take_back(found, [name])
        told_on[str(date.fromordinal(today + date(1970, 1, 1).toordinal()))] = [*clusters.components(found)]
    return story, told_on  # type: ignore[return-value]


def drawn(chance: Random) -> tuple[str, str, str, str]:
    """One address is everybody's, most other keys are shared by few."""
    shared = chance.choice(["office", "office", f"ip-{chance.randrange(30)}", ""])
    return (
        f"card-{chance.randrange(60)}",
        shared,
        f"dev-{chance.randrange(90)}",
        chance.choice(["", "", f"mail-{chance.randrange(60)}"]),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_clusters_are_those_of_the_verdicts(stores: Stores, seed: int) -> None:
    """Now, and as of the end of days before: what was taken back or forgotten since was there then."""
    story, told_on = told(seed)
    with stores.filled(story) as store:
        days = sorted(told_on)
        for day in (days[5], days[20], days[33], days[-1]):
            past = PastReader(store, as_of.parse(day, store))
            assert told_on[day] == together(past), day
        assert told_on[days[-1]] == together(store)
        assert len(told_on[days[-1]]) > 3
        assert max(map(len, told_on[days[-1]])) > 5
        assert [False] in [
            list(row) for row in rows(store, "SELECT DISTINCT links FROM fraud_links WHERE key = 'office'")
        ]


def together(store) -> list[list[str]]:  # type: ignore[no-untyped-def]
    """Every cluster with its payments; each is named by its first."""
    found: dict[str, list[str]] = {}
    _, listed = store.fetch("SELECT cluster, payment_id FROM fraud_clusters ORDER BY payment_id")
    for cluster, payment_id in listed:
        found.setdefault(cluster, []).append(payment_id)
    assert all(cluster == payments[0] for cluster, payments in found.items())
    return sorted(found.values())
