"""Limits on every measure and window, held against a plain search of all that was signalled."""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from events.authorization import DeclineReason, PaymentDeclined, RetryAdvice
from events.calendar import DAY, HOUR, MINUTE, SECOND
from events.hotlist import DeclineSignalled, Dimension, Measure, RiskSignalled, VelocityLimitReached, Window
from events.reference import VelocityLimit, VelocityLimits
from events.requests import Channel
from streams import handovers, limits, risk
from tests.streams.builders_early import NOON, Bench, payment_requested, recorded
from tests.streams.test_limits import applied, bench, give, limit, reached, signal

FIELDS = {
    Dimension.CARD: "card_id",
    Dimension.IP: "ip_ref",
    Dimension.DEVICE: "device_ref",
    Dimension.EMAIL: "email_ref",
    Dimension.MERCHANT: "merchant",
}
WIDTHS = {"10m": 10 * MINUTE, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
EVERY = 30 * MINUTE
CARD, IP, DEVICE, EMAIL, MERCHANT = Dimension
SUM, DECLINES = Measure.SUM, Measure.DECLINES
MANY = (
    limit(limit_id="ip-declines-1h", measure=DECLINES, above=2),
    limit(limit_id="ip-declines-10m", measure=DECLINES, window=Window.TEN_MINUTES, above=1),
    limit(limit_id="card-declines-7d", dimension=CARD, measure=DECLINES, window=Window.WEEK, above=4),
    limit(limit_id="email-sum-24h", dimension=EMAIL, measure=SUM, window=Window.DAY, above=2_500),
    limit(limit_id="shop-sum-30d", dimension=MERCHANT, measure=SUM, window=Window.MONTH, above=60_000),
    limit(limit_id="device-cards-7d", dimension=DEVICE, window=Window.WEEK, above=6),
    limit(limit_id="device-count-1h", dimension=DEVICE, measure=Measure.COUNT, above=3),
    limit(limit_id="shop-declines-30d", dimension=MERCHANT, measure=DECLINES, window=Window.MONTH, above=12),
)


def brief(one: VelocityLimit) -> VelocityLimit:
    """The same with a hold that is over by the next tick: whoever goes on is announced with every one."""
    return VelocityLimit(**{name: getattr(one, name) for name in one.__struct_fields__} | {"hold_minutes": 1})


class Told(NamedTuple):
    """A signal on its way: when the payment was made, and in which interval it comes."""

    at: int
    interval: int
    body: RiskSignalled | DeclineSignalled


def history(seed: int, payments: int, days: int) -> list[Told]:
    """Few keys; one in five declined, known at once or intervals later; one in ten late, one in ten twice."""
    chance = random.Random(seed)
    told: list[Told] = []
    for number in range(payments):
        at = NOON + chance.randrange(days * DAY // SECOND) // 7 * 7 * SECOND
        mine = [dimension for dimension in Dimension if chance.random() < 0.8]
        keys = {
            "ip_ref": f"ip-{chance.randrange(4)}" if chance.random() < 0.9 else "",
            "device_ref": f"dev-{chance.randrange(6)}",
            "email_ref": f"mail-{chance.randrange(6)}",
            "merchant": f"shop-{chance.randrange(2)}",
        }
        keys = {
            FIELDS[one]: keys[FIELDS[one]] if one in mine else "" for one in Dimension if FIELDS[one] in keys
        }
        mine = [one for one in mine if one is Dimension.CARD or keys[FIELDS[one]]]
        body = signal(
            number,
            card_id=f"card-{chance.randrange(9)}",
            amount=chance.randrange(1, 999),
            dimensions=mine,
            **keys,
        )
        interval = (at - NOON) // EVERY + (chance.randrange(3) if chance.random() < 0.1 else 0)
        told.append(Told(at, interval, body))
        later = interval + (chance.randrange(5) if chance.random() < 0.3 else 0)
        declined = [Told(at, later, DeclineSignalled(body.payment_id, at))] if chance.random() < 0.2 else []
        told += declined
        if chance.random() < 0.1:
            told += [
                one._replace(interval=one.interval + chance.randrange(3)) for one in (told[-1], *declined)
            ]
    chance.shuffle(told)
    return told


# --- the oracle -----------------------------------------------------------------------------------------


def expected(
    told: list[Told], in_force: tuple[VelocityLimit, ...], intervals: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Of each interval the first crossing of each key: a search of everything that was known by then."""
    paid: dict[str, tuple[int, RiskSignalled]] = {}
    declined: set[str] = set()
    for interval in range(intervals):
        news = [one for one in told if one.interval == interval]
        found: dict[str, tuple[Any, ...]] = {}
        for one in sorted(
            news, key=lambda one: (one.at, one.body.payment_id, isinstance(one.body, DeclineSignalled))
        ):
            name = one.body.payment_id
            if isinstance(one.body, DeclineSignalled):
                if name in declined:
                    continue
                declined.add(name)
                asked = [each for each in in_force if each.measure is Measure.DECLINES]
            else:
                if name in paid:
                    continue
                paid[name] = (one.at, one.body)
                asked = list(in_force)
            for each in asked:
                at, body = paid[name]
                key = getattr(body, FIELDS[each.dimension])
                if each.dimension not in body.dimensions:
                    continue
                measured = searched(paid, declined, each, key, at)
                if measured > each.above:
                    found.setdefault(
                        f"{each.dimension}:{key}", (f"{each.dimension}:{key}", each.limit_id, measured, name)
                    )
        yield list(found.values())


def searched(
    paid: dict[str, tuple[int, RiskSignalled]], declined: set[str], one: VelocityLimit, key: str, at: int
) -> int:
    """What a limit measures in the window that ends at ``at``."""
    under = {
        name: body
        for name, (when, body) in paid.items()
        if at - WIDTHS[one.window] < when <= at
        and one.dimension in body.dimensions
        and getattr(body, FIELDS[one.dimension]) == key
    }
    match one.measure:
        case Measure.COUNT:
            return len(under)
        case Measure.CARDS:
            return len({body.card_id for body in under.values()})
        case Measure.SUM:
            return sum(body.amount for body in under.values())
        case Measure.DECLINES:
            return len(declined & under.keys())


@pytest.mark.parametrize(("seed", "days", "a_work"), [(1, 1, 100), (2, 9, 7), (3, 40, 1), (4, 2, 3)])
def test_limits_are_what_a_search_says(
    seed: int, days: int, a_work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every crossing of every measure, whatever comes late, twice, or is known to be declined only later."""
    monkeypatch.setattr(limits, "SIGNALS_A_WORK", a_work)
    in_force = tuple(brief(one) for one in MANY)
    told = history(seed, 300, days)
    ready = bench(*in_force)
    intervals = 1 + max(one.interval for one in told)
    crossings = 0
    for interval, wanted in enumerate(expected(told, in_force, intervals)):
        now = NOON + (interval + 1) * EVERY
        for one in told:
            if one.interval == interval:
                ready.take(one.body, at=now, ingested_at=one.at, occurred_at=one.at)
        found = [
            (event.item, event.limit_id, event.measured, event.payment_id)
            for event in ready.tick(now)
            if isinstance(event, VelocityLimitReached)
        ]
        assert found == wanted, interval
        crossings += len(found)
    assert crossings > 50


# --- by hand --------------------------------------------------------------------------------------------


def decline(ready: Bench, *numbers: int, at: int = NOON) -> None:
    """Payments that were signalled a second apart are declined."""
    for place, number in enumerate(numbers):
        ready.take(DeclineSignalled(f"pay-{number:03d}", at + place * SECOND))


TESTING = limit(limit_id="device-declines", dimension=Dimension.DEVICE, measure=Measure.DECLINES, above=2)


def test_card_testing_is_found_by_its_declines() -> None:
    """With the third decline of a device, whatever the cards; payments alone are no declines."""
    ready = bench(TESTING)
    give(ready, 1, 2, 3)
    assert [] == ready.tick(NOON + MINUTE)
    decline(ready, 1, 2)
    assert [] == ready.tick(NOON + 2 * MINUTE)
    decline(ready, 3, at=NOON + 2 * SECOND)
    [passed] = ready.tick(NOON + 3 * MINUTE)
    assert isinstance(passed, VelocityLimitReached)
    assert ("device:dev-1", "declines", 3, 2) == (
        passed.item,
        passed.measure,
        passed.measured,
        passed.allowed,
    )
    assert ("pay-003", NOON + 2 * SECOND) == (passed.payment_id, passed.reached_at)


def test_a_decline_told_twice_is_one() -> None:
    """And one of a payment that nobody told of is none."""
    ready = bench(TESTING)
    give(ready, 1, 2)
    decline(ready, 1, 2, 2, 1, 9)
    assert [] == ready.tick(NOON + MINUTE)


def test_a_payment_is_held_against_the_declines_before_it() -> None:
    """A limit that came into force behind them counts them, and the next payment passes it."""
    ready = bench(limit(above=99))
    give(ready, 1, 2, 3)
    decline(ready, 1, 2, 3)
    assert [] == ready.tick(NOON + MINUTE)
    ready.take(applied("velocity", VelocityLimits(2, (TESTING,))))
    give(ready, 4, at=NOON + MINUTE)
    assert [("device:dev-1", 3, "pay-004")] == reached(ready.tick(NOON + 2 * MINUTE))


def test_a_sum_is_of_minor_units_whatever_the_currency() -> None:
    """As the sums of a card are; what was declined was asked for all the same."""
    ready = bench(limit(measure=Measure.SUM, above=250))
    give(ready, 1, currency="EUR")
    give(ready, 2, currency="JPY", at=NOON + SECOND)
    decline(ready, 1, 2)
    assert [] == ready.tick(NOON + MINUTE)
    give(ready, 3, amount=51, at=NOON + MINUTE)
    assert [("ip:ip-1", 251, "pay-003")] == reached(ready.tick(NOON + 2 * MINUTE))


def test_days_are_kept_as_long_as_a_limit_reaches() -> None:
    """A day for whatever may come; thirty for a limit of thirty, which counts from what is still kept."""
    month = limit(limit_id="month", window=Window.MONTH, measure=Measure.SUM, above=250)
    for in_force, wanted in ((limit(above=99), []), (month, [("ip:ip-1", 300, "pay-003")])):
        ready = bench(in_force)
        give(ready, 1, 2)
        ready.tick(NOON + MINUTE)
        ready.tick(NOON + 2 * DAY)
        ready.take(applied("velocity", VelocityLimits(2, (month,))))
        give(ready, 3, at=NOON + 2 * DAY)
        assert wanted == reached(ready.tick(NOON + 2 * DAY + MINUTE))


@pytest.mark.parametrize("channel", [Channel.ECOMMERCE, Channel.POINT_OF_SALE])
@pytest.mark.parametrize("partitions", [1, 2, 7, 64])
def test_a_decline_goes_wherever_its_payment_went(channel: Channel, partitions: int) -> None:
    """To each partition that holds one of its keys, once, and to no other."""
    risky, body = Bench(risk), payment_requested(channel=channel, ip_ref="ip-1", device_ref="dev-1")
    risky.take(body)
    no = PaymentDeclined(
        body.payment_id, body.merchant, 4000, "USD", "alpha", "05", DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER
    )  # fmt: skip
    [noted] = risky.take(no, at=NOON + SECOND)
    told = handovers.signalled_decline(None, recorded(noted), partitions)
    asked = handovers.signalled_payment(None, recorded(body), partitions)
    assert [(one.topic, one.partition) for one in told] == [(one.topic, one.partition) for one in asked]
    assert {one.fact for one in told} == {DeclineSignalled(body.payment_id, NOON)}
