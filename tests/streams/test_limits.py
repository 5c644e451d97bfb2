"""What goes beyond a limit is announced once, goes on being held while it goes on, and is let go."""

import random
from typing import Any

import pytest

from events.base import Event
from events.calendar import DAY, HOUR, MINUTE, SECOND
from events.hotlist import (
    Dimension,
    Measure,
    ReleaseCause,
    RiskSignalled,
    Standing,
    VelocityLimitCleared,
    VelocityLimitReached,
    Window,
)
from events.partitions import ReferenceApplied, ReferenceRefused
from events.reference import HotlistEntry, Reference, VelocityLimit, VelocityLimits, encode_reference
from streams import limits
from streams.features import velocity
from tests.streams.builders_early import NOON, Bench

ALL = list(Dimension)


def limit(**fields: Any) -> VelocityLimit:
    """More than two cards behind an address within an hour block it for two."""
    values = {
        "limit_id": "ip-cards-1h",
        "dimension": Dimension.IP,
        "measure": Measure.CARDS,
        "window": Window.HOUR,
        "above": 2,
        "standing": Standing.BLOCK,
        "hold_minutes": 120,
    }
    return VelocityLimit(**(values | fields))


def applied(kind: str, content: Reference) -> ReferenceApplied:
    """A piece of reference data as it comes into force."""
    return ReferenceApplied(kind, "standard", 1, "", encode_reference(content))


def bench(*in_force: VelocityLimit) -> Bench:
    """The processor with limits in force."""
    ready = Bench(limits)
    ready.take(applied("velocity", VelocityLimits(1, in_force or (limit(),))))
    return ready


def signal(number: int, **fields: Any) -> RiskSignalled:
    """The ``number``-th payment, each of another card, all from one address."""
    values = {
        "payment_id": f"pay-{number:03d}",
        "card_id": f"card-{number}",
        "ip_ref": "ip-1",
        "device_ref": "dev-1",
        "email_ref": "",
        "merchant": "shop-1",
        "amount": 100,
        "currency": "EUR",
        "dimensions": [Dimension.CARD, Dimension.IP, Dimension.DEVICE, Dimension.MERCHANT],
    }
    return RiskSignalled(**(values | fields))


def give(ready: Bench, *numbers: int, at: int = NOON, **fields: Any) -> None:
    """Signal payments a second apart."""
    for place, number in enumerate(numbers):
        ready.take(signal(number, **fields), at=at + place * SECOND)


def reached(events: list[Event]) -> list[tuple[str, int, str]]:
    """Key, count and payment of what was announced."""
    return [
        (event.item, event.measured, event.payment_id)
        for event in events
        if isinstance(event, VelocityLimitReached)
    ]


def test_the_payment_that_goes_beyond_is_named() -> None:
    """With the key, what was counted and until when it holds; at the tick, and not before."""
    ready = bench()
    give(ready, 1, 2, 3)
    assert [
        VelocityLimitReached(
            "ip:ip-1",
            "ip-cards-1h",
            Measure.CARDS,
            Window.HOUR,
            2,
            3,
            Standing.BLOCK,
            "pay-003",
            NOON + 2 * SECOND,
            NOON + 15 * MINUTE + 2 * HOUR,
        )
    ] == ready.tick(NOON + 15 * MINUTE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"above": 3}, []),
        ({"window": Window.TEN_MINUTES}, ["pay-003"]),
        ({"measure": Measure.COUNT}, ["pay-003"]),
        ({"dimension": Dimension.DEVICE}, ["pay-003"]),
        ({"dimension": Dimension.MERCHANT}, ["pay-003"]),
        ({"dimension": Dimension.EMAIL, "measure": Measure.COUNT}, []),  # They have no address.
        ({"dimension": Dimension.CARD, "measure": Measure.COUNT}, []),  # Each is of another card.
    ],
)
def test_each_limit_counts_its_own(changes: dict[str, Any], expected: list[str]) -> None:
    """Payments or cards, under its own kind of key."""
    ready = bench(limit(**changes))
    give(ready, 1, 2, 3)
    assert expected == [payment for *_, payment in reached(ready.tick(NOON + MINUTE))]


def test_what_another_partition_counts_is_not_counted_here() -> None:
    """Its keys are empty here, or not named."""
    ready = bench(limit(), limit(limit_id="m", dimension=Dimension.MERCHANT, measure=Measure.COUNT))
    give(ready, 1, 2, 3, ip_ref="", dimensions=[Dimension.MERCHANT])
    assert [("merchant:shop-1", 3, "pay-003")] == reached(ready.tick(NOON + MINUTE))


def test_a_peak_in_the_midst_of_an_interval_is_found() -> None:
    """Although nothing of it is left in the window when the tick comes."""
    ready = bench(limit(window=Window.TEN_MINUTES))
    give(ready, 1, 2, 3)
    assert [("ip:ip-1", 3, "pay-003")] == reached(ready.tick(NOON + 20 * MINUTE))


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    """Of the signals of one interval, be they more than one work counts: all are counted by event time."""
    chance = random.Random(seed)
    signals = [
        (signal(number, card_id=f"card-{number % 7}", ip_ref=f"ip-{number % 3}"), NOON + number % 50 * SECOND)
        for number in range(2 * limits.SIGNALS_A_WORK + 7)
    ]
    told = []
    for shuffled in (False, True):
        ready = bench(limit(above=3), limit(limit_id="d", dimension=Dimension.DEVICE, measure=Measure.COUNT))
        if shuffled:
            chance.shuffle(signals)
        for body, at in signals:
            ready.take(body, at=at)
        told.append((ready.tick(NOON + HOUR), ready.summary()))
    assert told[0][0]
    assert told[0] == told[1]


def test_a_payment_signalled_twice_counts_once() -> None:
    """By its id."""
    ready = bench(limit(measure=Measure.COUNT, above=1))
    give(ready, 1, 1, 1)
    assert [] == ready.tick(NOON + MINUTE)


def test_who_stops_is_let_go() -> None:
    """At the first tick behind the hold; the next time is announced anew."""
    ready = bench()
    give(ready, 1, 2, 3)
    [first] = ready.tick(NOON)
    assert isinstance(first, VelocityLimitReached)
    assert [] == ready.tick(first.until_at - 1)
    cleared = VelocityLimitCleared("ip:ip-1", "ip-cards-1h", ReleaseCause.EXPIRED)
    assert [cleared] == ready.tick(first.until_at)
    assert [] == ready.tick(first.until_at + HOUR)
    give(ready, 4, 5, 6, at=NOON + DAY)
    assert [("ip:ip-1", 3, "pay-006")] == reached(ready.tick(NOON + DAY + MINUTE))


def test_who_goes_on_is_held_on() -> None:
    """Announced again once less than half of the hold is left, and not before; let go when the last hold is over."""
    ready = bench()
    give(ready, 1, 2, 3)
    assert 1 == len(ready.tick(NOON))
    give(ready, 4, at=NOON + 50 * MINUTE)
    assert [] == ready.tick(NOON + HOUR)
    give(ready, 5, at=NOON + 58 * MINUTE)
    [again] = ready.tick(NOON + 61 * MINUTE)
    assert isinstance(again, VelocityLimitReached)
    assert [] == ready.tick(NOON + 2 * HOUR)
    assert 1 == len(ready.tick(again.until_at))


def test_the_stricter_limit_counts() -> None:
    """A block comes on top of a review at once; a review does not soften a block."""
    mild = limit(limit_id="mild", above=1, standing=Standing.REVIEW)
    ready = bench(mild, limit(above=3))
    give(ready, 1, 2)
    assert ["mild"] == [event.limit_id for event in ready.tick(NOON + MINUTE)]  # type: ignore[attr-defined]
    give(ready, 3, 4, at=NOON + 2 * MINUTE)
    assert ["ip-cards-1h"] == [event.limit_id for event in ready.tick(NOON + 3 * MINUTE)]  # type: ignore[attr-defined]
    give(ready, 5, at=NOON + 4 * MINUTE)
    assert [] == ready.tick(NOON + 5 * MINUTE)


def test_whom_an_operator_lets_go_no_limit_lists_before_its_time() -> None:
    """The hold ends at once; after the time that was given limits count again."""
    ready = bench()
    give(ready, 1, 2, 3)
    ready.tick(NOON)
    freed = HotlistEntry(Dimension.IP, "ip-1", None, NOON + 2 * HOUR, "operator-1", "a school")
    cleared = VelocityLimitCleared("ip:ip-1", "ip-cards-1h", ReleaseCause.OPERATOR)
    assert [cleared] == ready.take(applied("hotlist", freed), at=NOON)
    give(ready, 4, at=NOON + MINUTE)
    assert [] == ready.tick(NOON + HOUR)
    give(ready, 5, 6, 7, at=NOON + 2 * HOUR)
    assert [("ip:ip-1", 3, "pay-007")] == reached(ready.tick(NOON + 2 * HOUR + MINUTE))


def test_a_key_that_an_operator_lists_is_no_limits_affair() -> None:
    """Nor one that he lets go and that no limit holds."""
    ready = bench()
    for standing in (Standing.BLOCK, None):
        entry = HotlistEntry(Dimension.IP, "ip-9", standing, 0, "operator-1", "known")
        assert [] == ready.take(applied("hotlist", entry))


def test_a_limit_on_what_is_not_counted_is_refused() -> None:
    """By name; the others are in force."""
    odd = limit(limit_id="email-cards", dimension=Dimension.EMAIL)
    ready = Bench(limits)
    [refused] = ready.take(applied("velocity", VelocityLimits(1, (odd, limit()))))
    assert refused == ReferenceRefused("velocity", "standard", 1, "email-cards limits what is not counted")
    give(ready, 1, 2, 3, email_ref="mail-1", dimensions=ALL)
    assert [("ip:ip-1", 3, "pay-003")] == reached(ready.tick(NOON + MINUTE))


def test_what_no_window_reaches_is_forgotten() -> None:
    """Nothing is left of keys, payments and holds when their time is over."""
    ready = bench()
    give(ready, *range(1, 40))
    ready.tick(NOON + MINUTE)
    assert ready.summary()
    ready.tick(NOON + 2 * DAY)
    assert [] == ready.summary()
    counts = ready.state.counts
    assert (counts.payments, counts.hours, ready.state.ends) == ({}, [], [])
    assert not any(counts.subjects)


def test_the_dimensions_are_those_that_are_counted() -> None:
    """In one order, for bits are made of their places."""
    assert list(velocity.DIMENSIONS[: len(Dimension)]) == list(Dimension)


def test_a_limit_may_be_of_one_key() -> None:
    """What is expected of one merchant binds that one alone, beside the limits of all."""
    one = limit(limit_id="new-merchant", dimension=Dimension.MERCHANT, measure=Measure.COUNT, value="shop-2")
    ready = bench(one)
    for number in range(6):
        shop = f"shop-{1 + number % 2}"
        ready.take(signal(number, merchant=shop), at=NOON, occurred_at=NOON + number * SECOND)
    told = [body for body in ready.tick(NOON + MINUTE) if isinstance(body, VelocityLimitReached)]
    assert [("merchant:shop-2", "new-merchant", 3)] == [
        (body.item, body.limit_id, body.measured) for body in told
    ]
