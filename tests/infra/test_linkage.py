"""Clusters through the whole house: what verdicts were told, what explains them, and what the store says of them."""

from pathlib import Path
from typing import NamedTuple

import pytest

from events.calendar import iso_instant
from events.identity import card_id
from events.lifecycle import PaymentCaptured
from events.reference import Action, RuleBook, WrittenRule
from events.risk import RiskAssessed, Verdict
from projections.projector import Projector
from streams.edge.reference import Entry
from streams.features import clusters
from streams.features.rules.catalogue import LANGUAGE
from streams.features.rules.judging import Judge
from streams.features.rules.packs import read_pack
from streams.features.vectors import RECORDED
from streams.forensics.backtest import back_test
from streams.forensics.explaining import explain
from tests.infra.asking import Tallystick
from tests.infra.conftest import settled_in
from tests.projections.stores import Stores
from tests.simulation.stories import Story, Word
from tests.streams.forensics.test_explaining import Whole

BOOK = RuleBook(
    LANGUAGE,
    1,
    "",
    (WrittenRule("ring", Action.REVIEW, None, "cluster.frauds >= 3 and card.frauds_30d == 0", 30, False),),
    (),
    (),
)


class Ring(NamedTuple):
    """Three frauds in a row, each sharing something with the next; one beside them; and payments of new cards."""

    story: Story
    frauds: list[str]
    alone: str
    before: str
    linked: str
    stranger: str


def card(number: int) -> str:
    """Cards at home in different partitions."""
    return card_id(number * 331 % 1_024, number.to_bytes(10, "big"))


@pytest.fixture(scope="module")
def ring() -> Ring:
    """Four payments are reported as fraud two days later; others come before and behind."""
    with Story(partitions=2) as story:
        story.publish(Entry("rulebook", "standard", BOOK))
        story.wait(hours=1)
        frauds = [
            story.pay(1_000, card=card(1), device="dev-a", ip="ip-1"),
            story.pay(1_000, card=card(2), device="dev-b", ip="ip-1"),
            story.pay(1_000, card=card(3), device="dev-b", ip="ip-2"),
        ]
        alone = story.pay(1_000, card=card(4), device="dev-z", ip="ip-9")
        story.wait(hours=1)
        for payment in (*frauds, alone):
            story.disputes(story.the(PaymentCaptured, payment_id=payment).capture_id, Word(2, amount=1_000))
        story.wait(hours=2)
        before = story.pay(700, card=card(5), device="dev-a")
        story.wait(days=6)
        linked = story.pay(700, card=card(5), device="dev-a")
        stranger = story.pay(700, card=card(6), device="dev-q", ip="ip-7")
        story.end()
    return Ring(story, frauds, alone, before, linked, stranger)


def told(story: Story, payment: str) -> list[int]:
    """What its verdict was told of clusters."""
    features = story.the(RiskAssessed, payment_id=payment).features
    return [features[RECORDED.index(name)] for name in clusters.COLUMNS]


def test_a_verdict_knows_the_ring_behind_a_device(ring: Ring) -> None:
    """Once everybody has been told; and a rule acts on it, though its card has seen no fraud."""
    assert [0, 0, 0] == told(ring.story, ring.before) == told(ring.story, ring.stranger)
    assert [1, 3, 3] == told(ring.story, ring.linked)
    verdict = ring.story.the(RiskAssessed, payment_id=ring.linked)
    assert (Verdict.REVIEW, ["ring"]) == (verdict.verdict, verdict.rules)


def test_it_is_explained_and_tested_back(ring: Ring) -> None:
    """Decided again bit for bit, with the frauds that it was linked to; a back-test fires on the same payments."""
    log = Whole(ring.story.log)
    found = explain(log, ring.linked)  # type: ignore[arg-type]
    assert found.agrees
    assert sorted(ring.frauds) == found.cluster
    assert [] == explain(log, ring.before).cluster  # type: ignore[arg-type]
    rows = []
    back_test(log, Judge(read_pack(BOOK), {}), told=rows.append)  # type: ignore[arg-type]
    assert [ring.linked] == [row.payment_id for row in rows if row.rules]


@pytest.fixture
def asked(
    ring: Ring,
    houses: Stores,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Tallystick:
    """The command line before a store of it."""
    store = houses.empty()
    Projector(ring.story.log, store, 2).catch_up()
    store.close()
    return settled_in(houses.address(store), capsys, monkeypatch, tmp_path)


def test_the_store_says_the_same(ring: Ring, asked: Tallystick) -> None:
    """Of a payment, of a key, and of all; of the time before anybody knew, nothing."""
    payment = asked("risk", "cluster", ring.linked, "--json").told
    assert dict(zip(clusters.COLUMNS, told(ring.story, ring.linked), strict=True)) == payment["features"]
    [found] = payment["clusters"]
    assert sorted(ring.frauds) == sorted(one["payment_id"] for one in found["frauds"])
    assert {"ip:ip-1", "device:dev-b"} == {one["key"] for one in found["keys"] if one["frauds"] > 1}
    assert payment["clusters"] == asked("risk", "cluster", "ip:ip-2", "--json").told["clusters"]
    assert [] == asked("risk", "cluster", ring.stranger, "--json").told["clusters"]
    listed = asked("risk", "cluster", "--json").told["clusters"]
    assert [(min(ring.frauds), 3, 3)] == [(one["cluster"], one["frauds"], one["cards"]) for one in listed]
    known = ring.story.the(RiskAssessed, payment_id=ring.before)
    moment = next(one.meta.recorded_at for one in ring.story.events if one.body is known)
    past = asked("risk", "cluster", ring.before, "--as-of", iso_instant(moment), "--json").told
    assert ([], dict.fromkeys(clusters.COLUMNS, 0)) == (past["clusters"], past["features"])


def test_people_see_it_too(ring: Ring, asked: Tallystick) -> None:
    """Of a payment, of all, and beside a review; a key of no kind is refused."""
    assert "3 frauds on 3 cards" in asked("risk", "cluster", ring.linked).shown
    assert min(ring.frauds) in asked("risk", "cluster").shown
    review = asked("review", "show", ring.linked, "--json").told
    assert 3 == review["linked"]["features"]["cluster.frauds"]
    assert "3 frauds on 3 cards" in asked("review", "show", ring.linked).shown
    refused = asked("risk", "cluster", "shop:morning")
    assert 2 == refused.code
    assert "a key is one of card, ip, device, email" in refused.err
