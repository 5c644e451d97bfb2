"""Planted differences: each kind is named for what it is, put right by whoever must, and nothing is open behind it."""

from functools import lru_cache
from pathlib import Path

import pytest

from events.corrections import ResolutionRequested
from events.errors import Refused, Unavailable
from events.identity import operation_id
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved
from streams.edge.faults import (
    EXPECTED,
    RECORD_FAULTS,
    Fault,
    FaultKind,
    Plan,
    plan_of,
    read_plan,
    seeded,
)
from tests.simulation.stories import MASTERCARD, Story

LONG = 60
"""Days: a record that is lost is missed, asked for, presented again and invoiced."""


def played(plan: Plan, partitions: int = 1) -> Story:
    """Some days of trade at a house whose outside has faults, to their end."""
    with Story(partitions=partitions, faults=plan) as story:
        for _ in range(3):
            for amount in (20_000, 35_000):
                story.pay(amount)
                story.pay(amount + 1, currency="EUR")
                story.pay(amount + 2, bin_=MASTERCARD)
            story.wait(days=1)
        story.end(LONG)
    return story


@lru_cache(maxsize=len(FaultKind))
def story_of(kind: FaultKind) -> Story:
    """A house with one fault, of this kind."""
    if kind not in RECORD_FAULTS:
        return played(Plan([Fault(kind)]))
    capture = operation_id("cap", "shop", "order-1")
    return played(Plan([Fault(kind, capture)]))


@pytest.mark.parametrize("kind", FaultKind)
def test_a_planted_difference_is_named_and_put_right(kind: FaultKind) -> None:
    """By the kind and the event that it must be named by; and resolved by the event that must do it."""
    expected = EXPECTED[kind]
    story = story_of(kind)
    named = story.all(DiscrepancyDetected, expected_event=expected.expected_event)
    found = [one for one in named if one.kind is expected.kind]
    assert found
    items = {one.item for one in found}
    resolved = [one for one in story.all(DiscrepancyResolved) if one.item in items]
    assert {one.item for one in resolved} == items
    assert {one.resolution for one in resolved} == {expected.resolution}
    asked = {one.action for one in story.all(ResolutionRequested) if one.item in items}
    assert asked == ({expected.action} if expected.action else set())


@pytest.mark.parametrize("kind", FaultKind)
def test_nothing_is_open_behind_it(kind: FaultKind) -> None:
    """Every discrepancy is over, and every clearing item is back at zero."""
    story = story_of(kind)
    assert {one.item for one in story.all(DiscrepancyDetected)} == {
        one.item for one in story.all(DiscrepancyResolved)
    }
    assert story.open_items() == {}


def test_what_is_named_does_not_depend_on_partitions() -> None:
    """All faults of a seed at once, in one partition and in three: the same differences, the same end."""

    def told(partitions: int) -> list[tuple[object, ...]]:
        story = played(seeded(7), partitions)
        named = [
            (one.item, one.kind, one.ours, one.theirs, one.expected_event)
            for one in story.all(DiscrepancyDetected)
        ]
        over = [(one.item, one.resolution, one.amount) for one in story.all(DiscrepancyResolved)]
        return [*sorted(named), *sorted(over)]

    assert told(1) == told(3)


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    """And what is none is refused."""
    path = tmp_path / "plan.toml"
    path.write_text('[[fault]]\nkind = "late_line"\ntarget = "NET visa-USD-2026-03-02"\n')
    assert plan_of(str(path)) == Plan([Fault(FaultKind.LATE_LINE, "NET visa-USD-2026-03-02")])
    assert plan_of("7") == seeded(7)
    for bad in ("[[fault]]", '[[fault]]\nkind = "flood"', "fault = 1", "\x00"):
        path.write_text(bad)
        with pytest.raises(Refused, match="is no plan of differences"):
            read_plan(path)
    with pytest.raises(Unavailable, match="cannot be read"):
        read_plan(tmp_path / "nowhere.toml")


def test_every_kind_of_discrepancy_is_planted() -> None:
    """By one fault at least."""
    assert {one.kind for one in EXPECTED.values()} == set(DiscrepancyKind)
    assert set(EXPECTED) == set(FaultKind)


def test_the_page_has_every_fault_as_it_is_expected() -> None:
    """docs/reconciliation.md, row by row."""
    page = (Path(__file__).parents[2] / "docs/reconciliation.md").read_text("utf-8")
    for fault, one in EXPECTED.items():
        asked = f", asked for as `{one.action}`" if one.action else ""
        row = (
            f"| `{fault}` | `{one.kind}` | {one.item} | `{one.expected_event}` | `{one.resolution}`{asked} |"
        )
        assert row in page.splitlines()
