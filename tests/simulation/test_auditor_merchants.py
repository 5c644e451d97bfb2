"""The auditor on what is kept back from a merchant and what it owes: honest steps, and each dishonest one named."""

import json
from typing import Any

import pytest

from tests.simulation.auditor.books import Books
from tests.simulation.auditor.logs import Event

DAY = 24 * 3_600_000_000
SEVEN = 7 * 3_600_000_000

Step = tuple[str, dict[str, Any]]


def step(name: str, amount: int = 0, **fields: Any) -> Step:
    return name, {"merchant": "shop", "currency": "USD", "amount": amount, **fields}


def tick(day: int) -> Step:
    return "TickPassed", {"at": day * DAY + SEVEN, "tick": day, "steps": 1}


def terms(limit: int) -> Step:
    content = json.dumps({"merchant": "shop", "currency": "", "negative_limit": limit})
    return "ReferenceApplied", {"kind": "settlement", "content": content}


def adjusted(amount: int) -> Step:
    return step("MerchantBalanceAdjusted", amount, item="ref-1", cause="refund")


def withheld(amount: int, base: int = 1_000) -> Step:
    return step("ReserveWithheld", amount, reserve_id="r-1", base=base, share_ppm=100_000, release_on=5)


def released(amount: int, reason: str = "matured") -> Step:
    return step("ReserveReleased", amount, reserve_id="r-1", reason=reason)


def raised(amount: int) -> Step:
    return step("MerchantReceivableRaised", amount, cause="short_balance")


def offset(amount: int) -> Step:
    return step("MerchantReceivableOffset", amount)


def placed(amount: int, approver: str = "kim") -> Step:
    return step(
        "SettlementHoldPlaced", amount, hold_id="h-1", approver=approver, reason="legal_order", wanted=0
    )


def unheld(amount: int) -> Step:
    return step("SettlementHoldReleased", amount, hold_id="h-1", approver="kim")


def given_up(amount: int, approver: str = "kim") -> Step:
    return step("MerchantLossWrittenOff", amount, write_off_id="w-1", approver=approver)


def closed(available: int) -> Step:
    return step("SettlementBatchClosed", available=available, batch_id="b-1")


def findings(steps: list[Step]) -> list[str]:
    """What the auditor says of steps on the days of the ticks between them."""
    found: list[str] = []
    books, day = Books(), 1
    for number, (name, body) in enumerate(steps):
        day = body["tick"] if name == "TickPassed" else day
        meta = {"recorded_at": day * DAY + SEVEN}
        found += books.take(Event(f"step {number}", "settlement", 0, name, meta, body))
    return found


HONEST = {
    "reserve": [
        adjusted(1_000),
        withheld(100),
        placed(400),
        closed(500),
        tick(5),
        released(100),
        unheld(400),
    ],
    "short": [
        adjusted(1_000),
        withheld(100),
        tick(2),
        adjusted(-960),
        released(60, "short_balance"),
        closed(0),
    ],
    "owed": [
        adjusted(-300),
        raised(300),
        closed(0),
        tick(2),
        adjusted(500),
        offset(300),
        closed(200),
        tick(3),
    ],
    "given up": [adjusted(-300), raised(300), given_up(300), tick(2)],
    "limit": [terms(300), tick(1), adjusted(-300), tick(2)],
    "more to hold": [placed(0), adjusted(100), placed(100, approver="")],
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_steps_have_no_findings(name: str) -> None:
    """What settlement does, as it does it."""
    assert [] == findings(HONEST[name])


# fmt: off
DISHONEST: dict[str, tuple[list[Step], str]] = {
    "more than the share":      ([adjusted(1_000), withheld(101)],             "ReserveWithheld of 101, of 100"),
    "more than there is":       ([adjusted(50), withheld(100)],                "leaves -50"),
    "released too early":       ([adjusted(1_000), withheld(100), released(100)], "ReserveReleased of 100, matured"),
    "drawn on without need":    ([adjusted(1_000), withheld(100), released(60, "short_balance")], "ReserveReleased"),
    "more than was kept":       ([adjusted(1_000), withheld(100), tick(5), released(101)], "leaves -1"),
    "reserve of nothing":       ([tick(5), released(1)],                       "leaves a reserve of -1"),
    "hold without approver":    ([placed(0, approver="")],                     "nobody has approved the hold h-1"),
    "hold of what is not":      ([adjusted(50), placed(51)],                   "leaves -1"),
    "released and kept":        ([adjusted(50), placed(50), unheld(49)],       "is not what h-1 keeps"),
    "released twice":           ([adjusted(50), placed(50), unheld(50), unheld(50)], "is not what h-1 keeps"),
    "owed more than is short":  ([adjusted(-300), raised(301)],                "of 301 leaves 1"),
    "owed less than is short":  ([adjusted(-300), raised(299)],                "leaves -1"),
    "paid more than there is":  ([adjusted(-300), raised(300), adjusted(100), offset(101)], "leaves -1"),
    "paid more than is owed":   ([adjusted(100), offset(100)],                 "-100 owed"),
    "given up more than owed":  ([adjusted(-300), raised(300), given_up(301)], "-1 owed"),
    "given up by nobody":       ([adjusted(-300), raised(300), given_up(300, approver="")], "approved by ''"),
    "below the limit":          ([terms(300), adjusted(-301), tick(2)],        "is left with -301 USD"),
    "below the usual limit":    ([adjusted(-100_001), tick(2)],                "is left with -100001 USD"),
    "closed below zero":        ([adjusted(-1), closed(-1)],                   "the balance is -1"),
    "closed on another figure": ([adjusted(5), closed(6)],                     "says 6, the balance is 5"),
}
# fmt: on


@pytest.mark.parametrize(("steps", "finding"), DISHONEST.values(), ids=DISHONEST)
def test_a_dishonest_step_is_named(steps: list[Step], finding: str) -> None:
    """Each rule can fail, and says what failed."""
    found = findings(steps)
    assert [line for line in found if finding in line], found
