"""What the comparison rests on and needs no broker: decisions of the peers, agreement, time line, page."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from events.identity import card_id, looks_like_pan
from infra.kafka.broker import Status
from tests.bench import page
from tests.bench.peers import compare, decisions, work
from tests.bench.peers.compare import HALF, NAMES, OURS, agreement, summary
from tests.bench.peers.decisions import DAY, HOUR, MINUTE, Terms
from tests.bench.peers.driver import Timed
from tests.bench.peers.recovery import time_line
from tests.bench.peers.systems import Tuning
from tests.bench.peers.work import Outcome

NOON: Final = 20_000 * DAY
TERMS: Final = Terms(work.terms())


def payment(at: int, amount: int = 1_000, merchant: str = "greenfield-market", **more: str) -> dict[str, Any]:
    """A payment with a Visa card at a merchant that sets no limit of its own to a card's number of payments."""
    usual = {"idempotency_key": f"k-{at}", "card_id": "card", "bin": "41470012", "currency": "USD"}
    return {"occurred_at": at, "amount": amount, "merchant": merchant, **usual, **more}


@pytest.mark.parametrize(
    ("before", "verdict"),
    [
        ([], "allow"),
        ([0, 0], "allow"),
        ([0, 0, 0], "review"),
        ([0, 0, 0, 0, 0], "block"),
        # A window is open at its beginning: what is exactly ten minutes old is out.
        ([10 * MINUTE] * 3, "allow"),
        ([10 * MINUTE - 1] * 3, "review"),
        ([30 * MINUTE] * 8, "block"),
        ([HOUR] * 5, "allow"),
        # Six at one merchant in a day are looked at, whatever the hour.
        ([2 * HOUR] * 6, "review"),
        ([DAY] * 20, "allow"),
    ],
)
def test_a_peer_counts_in_exact_windows(before: list[int], verdict: str) -> None:
    """So long before this payment the card paid, too."""
    history: decisions.History = []
    for ago in before:
        decisions.remember(history, payment(NOON - ago))
    assert verdict == decisions.authorize(TERMS, history, payment(NOON))["verdict"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("submission", "visa")),
        ({"bin": "51000012"}, ("submission", "mastercard")),
        ({"bin": "99990012"}, ("outcome", "")),
        ({"bin": "350000"}, ("outcome", "")),
        ({"bin": "35300012"}, ("submission", "discover")),
    ],
)
def test_a_peer_routes_by_number_and_cost(more: dict[str, str], expected: tuple[str, str]) -> None:
    """The brand by the longest prefix; the cheapest network that carries it in this currency."""
    step = decisions.authorize(TERMS, [], payment(NOON, **more))
    assert expected == (step["type"], step["network"])


def test_what_was_not_sent_goes_to_the_next_network() -> None:
    """And where there is none left, the payment is declined without a network's word."""
    step = decisions.authorize(TERMS, [], payment(NOON))
    again = decisions.answer(TERMS, {**step, "sent": False})
    assert ("star", 2) == (again["network"], again["attempt"])
    ended = decisions.answer(TERMS, {**again, "sent": False})
    assert ("declined", "no_route", "") == (ended["outcome"], ended["reason"], ended["network"])


def test_an_approval_in_another_currency_holds_nothing() -> None:
    """As with us."""
    step = decisions.authorize(TERMS, [], payment(NOON))
    reply = {**step, "sent": True, "response_code": "00", "approved_amount": step["amount"]}
    said = [decisions.answer(TERMS, {**reply, "approved_currency": one}) for one in (step["currency"], "XTS")]
    assert [("authorized", step["amount"]), ("declined", 0)] == [
        (one["outcome"], one["approved"]) for one in said
    ]


def test_the_requests_of_a_card_share_a_partition() -> None:
    """Otherwise two of them could overtake each other, and verdicts would be chance."""
    places: dict[str, set[int]] = {}
    for body in work.requests(3_000):
        place = work.partition_of_name(work.name_of(body), work.PARTITIONS)
        places.setdefault(body.card_id, set()).add(place)
    assert {1} == {len(found) for found in places.values()}
    assert {0, 1} == set().union(*places.values())


def test_no_key_makes_a_card_number() -> None:
    """The request would go to the dead letters, and its outcome be waited for in vain."""
    (one, *_) = work.requests(50)
    cards = (card_id(slot, bytes(10)) for slot in range(2))
    bodies = (
        msgspec.structs.replace(one, merchant=merchant, card_id=card, idempotency_key="webshop-0021722-6535")
        for card in cards
        for merchant in ("atelier-sorel", "lumen-books", "sakura-depato", "northwind-outdoor")
    )
    assert looks_like_pan("webshop-0021722-6535-12")
    assert not any(looks_like_pan(work._key(body)) for body in bodies)


class Writing:
    """A driver that writes down what it is given, and a system that has nothing to start."""

    name = "written down"
    first_payments = 3
    tuning = Tuning("defaults", "there is nothing to set")
    repeated = 0

    def __init__(self, *_: Any) -> None:
        self.given: list[int] = []

    def __enter__(self) -> None:
        """Nothing to start."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def warm_up(self, bodies: list[int]) -> None:
        self.given += bodies

    def burst(self, bodies: list[int]) -> Timed:
        self.given += bodies
        return Timed(len(bodies), 1.0, [1.0], [1.0], {compare.DECIDING: 1.0}, 1.0)

    def paced(self, bodies: list[int], _: float) -> Timed:
        return self.burst(bodies)

    def collect(self) -> set[Outcome]:
        return set()

    def close(self) -> None:
        """Nothing to let go of."""


def test_the_phases_leave_no_payment_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they meet depends on a system's speed: what was left out there would count in some histories alone."""
    driver = Writing()
    monkeypatch.setattr(compare, "Driver", lambda *_: driver)
    broker = Status("localhost:1", ready=True, ours=True)
    compare.run(driver, broker, range(60_000), 2.0)  # type: ignore[arg-type]
    assert len(driver.given) > compare.PROBE + 3 * compare.LEAST
    assert driver.given == list(range(len(driver.given)))


def test_another_outcome_is_seen() -> None:
    """Of payments that only one of the two has, nothing is said."""
    ours = {
        "a": Outcome("a", "authorized", "visa", "allow", 5),
        "b": Outcome("b", "unknown", "visa", "allow", 0),
    }
    theirs = {Outcome("a", "authorized", "visa", "review", 5), Outcome("c", "declined", "", "block", 0)}
    found = agreement(ours, theirs)
    assert (1, 1) == (found["compared"], found["differ"])
    assert [("allow", "review")] == [(our.verdict, their.verdict) for our, their in found["differing"]]
    assert 0 == agreement(ours, set(ours.values()))["differ"]


def test_the_time_line_finds_the_silence() -> None:
    """Ten outcomes a second; killed at 2 s, nothing until 5 s, late answers until 6 s."""
    at = [0.1 * number for number in range(20)] + [5.0 + 0.1 * number for number in range(20)]
    latencies = [10.0] * 20 + [3_000.0] * 11 + [10.0] * 9
    told = time_line(Timed(40, 7.0, latencies, at, {}, 8.0), 2.0)
    assert (3.0, 4.0) == (told["silent_seconds"], told["recovered_seconds"])
    assert 40 == sum(told["outcomes_per_second"]) * told["step_seconds"]


def run_at(rate: float, differ: int = 0) -> dict[str, Any]:
    """The figures of a run."""
    half = {
        "share": HALF,
        "offered": rate / 2,
        "p50_ms": 10.0,
        "p99_ms": 20.0,
        "budget_us": {"deciding": 2.0},
    }
    kept = {
        "tuning": "defaults",
        "processes": 1,
        "settings": "defaults",
        "payments": 100,
        "repeated": 0,
        "budget_us": {"deciding": 1.0},
    }
    return {
        **kept,
        "rate": rate,
        "rate_until_level": rate / 2,
        "loads": [half],
        "compared": 100,
        "differ": differ,
        "differing": [],
    }


def test_the_fastest_tuning_counts() -> None:
    """Of a peer as of ours; but the floor is one process, and so is what stands on it."""
    ours = [run_at(500.0), run_at(400.0, 3), {**run_at(800.0), "processes": 2}]
    tables = {name: [run_at(100.0), run_at(200.0)] for name in NAMES} | {OURS: ours}
    found = summary(tables, {"floor_per_second": 1_000.0, "path_alone": run_at(900.0)})
    assert (800.0, 4.0, 4.5, 0.5) == (
        found["authorizations_per_second"],
        found["ratio_quix"],
        found["ratio_quix_path_alone"],
        found["ratio_floor"],
    )
    assert 3 == found["outcomes_that_differ"]


def test_a_peer_is_held_against_what_we_did_beside_it() -> None:
    """Not against what we did on a better machine a quarter of an hour before."""
    tables = {name: [run_at(200.0)] for name in NAMES} | {OURS: [run_at(800.0)]}
    measured = {
        "floor_per_second": 1_000.0,
        "path_alone": run_at(900.0),
        "ours_beside": {"quix": [500.0, 300.0]},
    }
    found = summary(tables, measured)
    assert (4.0, 2.0, 2.25) == (found["ratio_faust"], found["ratio_quix"], found["ratio_quix_path_alone"])


def test_our_burst_is_made_again_beside_each_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first and behind every one; a peer that does not run has nothing beside it."""
    rates = iter((400.0, 300.0, 200.0))
    ran: list[str] = []

    def run(system: Any, *_: Any) -> compare.Ran:
        ran.append(system.name)
        return compare.Ran(run_at(500.0), set())

    def again(system: Any, *_: Any) -> float:
        ran.append(f"{system.name}, {system.tuning.name}, again")
        return next(rates)

    monkeypatch.setattr(compare, "run", run)
    monkeypatch.setattr(compare, "rate_of", again)
    monkeypatch.setattr(compare, "missing", lambda peer: "no Java" if peer.name == "quix" else "")
    monkeypatch.setattr(compare, "alone", lambda *_: run_at(600.0))
    monkeypatch.setattr(compare.floor, "floor", lambda *_: {"floor_per_second": 1_000.0})
    monkeypatch.setattr(compare.recovery, "kill", lambda *_: {})
    broker = Status("localhost:1", ready=True, ours=True)
    found = compare.compare(tmp_path, broker, seconds=0.01, say=lambda _: None)
    ours = f"{OURS}, {compare.TUNINGS[OURS][0].name}, again"
    times = {name: len(compare.TUNINGS[name]) for name in NAMES}
    assert ran == [
        *[OURS] * times[OURS],
        ours,
        *["faust"] * times["faust"],
        ours,
        *["kafka_streams"] * times["kafka_streams"],
        ours,
    ]
    assert {"faust": [400.0, 300.0], "kafka_streams": [300.0, 200.0]} == found["ours_beside"]
    assert (0.7, 0.5) == (found["ratio_faust"], found["ratio_kafka_streams"])


def test_half_a_comparison_makes_no_page() -> None:
    """Where a peer could not run, the page of an earlier run stays as it is."""
    peers = {name: [run_at(100.0)] for name in NAMES if name != "quix"}
    assert page.publish({"peers": peers}).startswith("No page: without quix")


def test_the_page_says_which_aims_are_met() -> None:
    """And of one that is not, what stands between."""
    loads = [
        {"share": share, "offered": 4_000 * share, "p99_ms": 400 * share, "budget_us": {"deciding": 500.0}}
        for share in (0.25, HALF)
    ]
    ours = {**run_at(4_000.0), "loads": loads, "budget_us": {"deciding": 300.0, "broker": 100.0}}
    runs = {name: [run_at(1_000.0)] for name in NAMES} | {OURS: [ours]}
    kept = {
        "peers": runs,
        "cores": 2,
        "decode_us": 4.0,
        "encode_us": 3.0,
        "replay_events_per_second": 120_000.0,
        "engine_events_per_second": 50_000.0,
        "projection_postings_per_second": 20_000.0,
        "projection_rows_per_second": 60_000.0,
        "embedded_payments_per_second": 600.0,
        "events_per_payment": 20.0,
        "engine_us_per_payment": 1_000.0,
    }
    told = list(page.aims(kept))
    assert (
        "| 5,000 authorizations a second | 4,000 | **no** | 400 µs of a core for a payment: "
        "broker, line to the networks and driver take 100, deciding 300, projecting 0 |"
    ) in told
    assert "| p99 under 250 ms at half load | 200 ms at 2,000 a second | yes |  |" in told
    assert "| 2 times Quix Streams | 4.00 | yes |  |" in told
    assert [
        line
        for line in told
        if line.startswith("| 10 times Faust | 4.00 | **no** | 10,000 a second leave 200 ")
    ]
    assert "| 100,000 events a second replayed, per core | 120,000 | yes |  |" in told


def test_the_page_says_what_the_cores_are_spent_on() -> None:
    """By part and system, what all of it comes to, and what a target would leave."""
    ours = {"deciding": 300.0, "line to the networks": 50.0, "projector": 200.0, "broker": 150.0}
    runs = {name: [{**run_at(100.0), "budget_us": {"deciding": 400.0}}] for name in NAMES}
    half = {"share": HALF, "offered": 1_000.0, "budget_us": {part: 2 * taken for part, taken in ours.items()}}
    runs[OURS] = [{**run_at(100.0), "budget_us": ours, "loads": [half]}]
    told = "\n".join(page.budget({"peers": runs, "cores": 2, "floor_codec_us": 80.0}))
    assert "| projector | 200 | 0 | 0 | 0 |\n" in told
    assert (
        "| payments a second, were the cores spent on nothing else | 2,857 | 5,000 | 5,000 | 5,000 |" in told
    )
    assert "2 cores have 400 µs" in told
    assert "\n120 are left" in told
    assert "takes 1.8 times as many cores.\n" in told
    assert "| projector | 200 | 400 |\n" in told
    assert "| all | 700 | 1,400 |\n" in told
    assert "| cores kept busy beside the projector, of 2 | | 1.0 |\n" in told
