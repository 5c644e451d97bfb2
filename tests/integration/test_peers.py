"""The comparison compares like with like: on the same payments every system of it comes to the same outcomes.

It needs the peers' own environment, which `make bench-peers` makes. Without it this is skipped, unless
``TALLYSTICK_REQUIRE_PEERS=1`` says that it has to be there.
"""

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import pytest

from events.identity import looks_like_pan, partition_of_name, rrn
from events.requests import PaymentRequest
from streams.edge.networks import authorize
from tests.bench.peers import work
from tests.bench.peers.driver import Driver
from tests.bench.peers.systems import PEERS, Peer, System, Tallystick, missing
from tests.bench.peers.tunings import OURS, TUNINGS
from tests.bench.peers.work import Outcome

FIRST: Final = 100
PAYMENTS: Final = 500


@dataclass(frozen=True)
class Ours:
    """What Tallystick makes of the payments."""

    bootstrap: str
    outcomes: set[Outcome]


def partition_of(body: PaymentRequest) -> int:
    """Of its request."""
    return partition_of_name(work.name_of(body), work.PARTITIONS)


def approved_otherwise(body: PaymentRequest) -> PaymentRequest:
    """A payment whose first network mixes up its currency, as one in some ten thousands does."""
    tries = (msgspec.structs.replace(body, idempotency_key=f"{body.idempotency_key}-{n}") for n in count())
    return next(
        one
        for one in tries
        if authorize(work.SEED, rrn(work.id_of(one)), 1, one.amount, healthy=True).currency
        and not looks_like_pan(one.idempotency_key)
        and partition_of(one) == partition_of(body)
    )


_DAY: Final = work.requests(FIRST + PAYMENTS)
BODIES: Final = [*_DAY, approved_otherwise(_DAY[-1])]


def lacking(what: str) -> NoReturn:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("TALLYSTICK_REQUIRE_PEERS") == "1":
        pytest.fail(what)
    pytest.skip(what)


def outcomes_of(system: System, bootstrap: str) -> set[Outcome]:
    """Some payments, and when they are through all others at once."""
    with system:
        driver = Driver(system, bootstrap)
        try:
            driver.warm_up(BODIES[:FIRST])
            driver.burst(BODIES[FIRST:])
            return driver.collect()
        finally:
            driver.close()


@pytest.fixture(scope="module")
def ours(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Ours:
    """Run once for all peers, where there is one to compare with."""
    if all(missing(peer) for peer in PEERS):
        lacking("NO PEERS, SO NOTHING IS COMPARED: " + "; ".join({missing(peer) for peer in PEERS}))
    names = {work.id_of(body): work.name_of(body) for body in BODIES}
    system = Tallystick(kafka, tmp_path_factory.mktemp("peers") / "ours", "peers-ours", OURS[0], names)
    return Ours(kafka, outcomes_of(system, kafka))


def test_every_kind_of_outcome_is_compared(ours: Ours) -> None:
    """A comparison of approvals alone would not notice much."""
    kinds = {(one.outcome, one.verdict, bool(one.network)) for one in ours.outcomes}
    assert kinds >= {
        ("authorized", "allow", True),
        ("authorized", "review", True),
        ("declined", "allow", True),
        ("declined", "block", False),
        ("declined", "allow", False),
        ("unknown", "allow", True),
    }
    mixed_up = work.name_of(BODIES[-1])
    assert [("declined", True)] == [
        (one.outcome, bool(one.network)) for one in ours.outcomes if one.payment == mixed_up
    ]
    assert "star" in {one.network for one in ours.outcomes}, "nothing was sent to a second network"


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_decides_as_we_do(peer: type[Peer], ours: Ours, tmp_path: Path) -> None:
    """The same payments, the same outcomes: who said no, who was asked, what was thought of it, what is held."""
    if reason := missing(peer):
        lacking(f"NOT COMPARED: {reason}")
    system = peer(ours.bootstrap, tmp_path / peer.name, f"peers-{peer.name}", TUNINGS[peer.name][0])
    assert ours.outcomes == outcomes_of(system, ours.bootstrap)
