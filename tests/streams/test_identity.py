"""What follows from a provider's words, against looking through everything that came before."""

import random
from typing import Any, Final, NamedTuple

import pytest

from events.calendar import DAY, HOUR, MINUTE, SECOND
from events.lifecycle import PaymentRequested
from events.requests import Channel
from events.risk import RiskAssessed
from events.signals import Connection, IdentitySignals
from streams import risk
from streams.features import identity, measuring, takeover, travel
from streams.features.earth import distance_km
from streams.features.familiar import KEPT
from streams.features.identity import COLUMNS, SAID
from streams.features.rules.catalogue import NAMES
from streams.features.vectors import HOME, RECORDED
from tests.streams.builders_early import NOON, Bench, payment_requested, recorded, signals

LISBON: Final = signals()
PORTO: Final = signals(latitude=4116, longitude=-863, accuracy_km=10)
LAGOS: Final = signals(country="NG", latitude=643, longitude=338, accuracy_km=50)
HIDDEN: Final = signals(country="NL", latitude=5237, longitude=490, connection=Connection.PROXY)

Figures = tuple[int, ...]


def assess(
    bench: Bench, number: int, at: int = NOON, claimed_at: int | None = None, **fields: Any
) -> Figures:
    """The six figures that a verdict records of a payment's payer."""
    body = payment_requested(payment_id=f"pay-{number}", **fields)
    [event] = bench.take(body, at=at, occurred_at=at if claimed_at is None else claimed_at, ingested_at=at)
    assert isinstance(event, RiskAssessed)
    return figures(event)


def figures(event: RiskAssessed) -> Figures:
    """Of a verdict, in the order of the vector."""
    return tuple(event.features[RECORDED.index(name)] for name in identity.RECORDED)


# --- stories --------------------------------------------------------------------------------------------

_MINE: Final = {"device_ref": "laptop", "email_ref": "me", "phone_ref": "mine"}
_THEIRS: Final = {"device_ref": "tablet", "email_ref": "them", "phone_ref": "theirs"}

#: What came before, as (minutes before, fields); the payment; phone.new, ip.country_new, card.travel_km,
#: card.travel_kmh, account.changes, account.changes_24h.
STORIES: Final = [
    pytest.param([], {}, (-1, -1, -1, -1, 0, 0), id="nothing is known"),
    pytest.param([], {**_MINE, "signals": LISBON}, (1, 1, -1, -1, 0, 0), id="the first of everything"),
    pytest.param(
        [(60, {**_MINE, "signals": LISBON})], {**_MINE, "signals": LISBON}, (0, 0, 0, 0, 0, 0), id="again"
    ),
    pytest.param(
        [(60, {})],
        {**_THEIRS, "signals": LAGOS},
        (1, 1, -1, -1, 0, 0),
        id="what a card never had cannot change",
    ),
    pytest.param(
        [(60, _MINE)],
        {"email_ref": "me", "device_ref": "tablet"},
        (-1, -1, -1, -1, 1, 1),
        id="another device",
    ),
    pytest.param(
        [(60, {**_MINE, "signals": LISBON})],
        {**_THEIRS, "signals": LAGOS},
        (1, 1, 3735, 3735, 4, 4),
        id="a takeover",
    ),
    pytest.param(
        [(120, _MINE), (60, _THEIRS)], _MINE, (0, -1, -1, -1, 0, 3), id="the owner, after a takeover"
    ),
    pytest.param([(1500, _MINE), (1440, _THEIRS)], _MINE, (0, -1, -1, -1, 0, 0), id="a day after a takeover"),
    pytest.param([(91 * 1440, _MINE)], _THEIRS, (1, -1, -1, -1, 0, 0), id="nobody remembers"),
    pytest.param([(60, {"signals": LISBON})], {"signals": PORTO}, (-1, 0, 245, 245, 0, 0), id="a train"),
    pytest.param(
        [(0, {"signals": LISBON})],
        {"signals": PORTO},
        (-1, 0, 245, 14_700, 0, 0),
        id="clocks differ by a minute",
    ),
    pytest.param(
        [(0, {"signals": LISBON})], {"signals": LAGOS}, (-1, 1, 3735, 99_999, 1, 1), id="faster than is told"
    ),
    pytest.param(
        [(1440, {"signals": LISBON})], {"signals": LAGOS}, (-1, 1, -1, -1, 1, 1), id="a day is enough"
    ),
    pytest.param(
        [(1439, {"signals": LISBON})], {"signals": LAGOS}, (-1, 1, 3735, 155, 1, 1), id="and less is told"
    ),
    pytest.param(
        [(60, {"signals": LISBON})], {"signals": HIDDEN}, (-1, 1, -1, -1, 1, 1), id="a proxy is no place"
    ),
    pytest.param(
        [(90, {"signals": LISBON}), (60, {"signals": HIDDEN})],
        {"signals": LAGOS},
        (-1, 1, 3735, 2490, 1, 2),
        id="and does not hide the last one",
    ),
    pytest.param(
        [(60, {"signals": LISBON})],
        {"signals": signals(accuracy_km=-1)},
        (-1, 0, -1, -1, 0, 0),
        id="a place of which nothing is known",
    ),
    pytest.param(
        [(60, {"signals": LISBON})],
        {"signals": signals(latitude=9001)},
        (-1, 0, -1, -1, 0, 0),
        id="a place beyond the pole",
    ),
    pytest.param(
        [(60, {"signals": LISBON})],
        {"signals": signals(country="??")},
        (-1, -1, 0, 0, 0, 0),
        id="a country that is none",
    ),
    pytest.param(
        [(60, {"signals": LISBON, "card_id": "card-2"})],
        {"signals": LAGOS},
        (-1, 1, -1, -1, 0, 0),
        id="another card",
    ),
    pytest.param(
        [(60, {"device_ref": "till-1", "channel": Channel.POINT_OF_SALE})],
        {"device_ref": "till-2", "channel": Channel.POINT_OF_SALE},
        (-1, -1, -1, -1, 0, 0),
        id="a till is not its customers'",
    ),
]


@pytest.mark.parametrize(("before", "fields", "expected"), STORIES)
def test_stories(before: list[tuple[int, dict[str, Any]]], fields: dict[str, Any], expected: Figures) -> None:
    """Each by what came before it."""
    bench = Bench(risk)
    for number, (minutes, earlier) in enumerate(before):
        assess(bench, number, at=NOON - minutes * MINUTE, **earlier)
    assert expected == assess(bench, 99, **fields)


def test_a_late_payment_has_no_negative_speed() -> None:
    """It is as far from the newest place as if it had come in time, and takes nobody's place."""
    bench = Bench(risk)
    assess(bench, 1, at=NOON, signals=LISBON)
    assert (3735, 74_700) == assess(bench, 2, at=NOON, claimed_at=NOON - 3 * MINUTE, signals=LAGOS)[2:4]
    assert (0, 0) == assess(bench, 3, at=NOON + MINUTE, signals=LISBON)[2:4]


def test_words_and_their_ranges() -> None:
    """A figure out of its range is not known, and takes nothing with it that is."""
    measures = measuring.initial(HOME)
    said = [
        (LISBON, ("PT", False, False, 5, 900, 3, False, 4)),
        (HIDDEN, ("NL", True, True, 5, 900, 3, False, 4)),
        (signals(connection=Connection.HOSTING), ("PT", False, True, 5, 900, 3, False, 4)),
        (signals(connection=Connection.NOT_KNOWN), ("PT", None, None, 5, 900, 3, False, 4)),
        (signals(ip_risk=101, email_age_days=36_501), ("PT", False, False, None, None, 3, False, 4)),
        (signals(email_risk=-1, email_disposable=None), ("PT", False, False, 5, 900, None, None, 4)),
        (signals(country="", phone_risk=-7), (None, False, False, 5, 900, 3, False, None)),
        (None, (None,) * len(SAID)),
    ]
    for number, (words, expected) in enumerate(said):
        one = recorded(payment_requested(payment_id=f"p{number}", phone_ref="tel", signals=words))
        measured = measuring.pay(measures, one, f"p{number}")
        assert measured is not None
        assert ("tel", *expected) == tuple(
            measured.vector[NAMES.index(name)] for name in COLUMNS[: 1 + len(SAID)]
        )


# --- against looking through everything -----------------------------------------------------------------


class Past(NamedTuple):
    """A payment that came before."""

    body: PaymentRequested
    at: int


def plainly(past: list[Past], body: PaymentRequested, at: int, changed: list[int]) -> Figures:
    """The figures by their definitions. ``changed`` are the event times of the card's changes so far."""
    mine = [one for one in past if one.body.card_id == body.card_id]
    new, changes = {}, 0
    for kind in takeover.KINDS:
        name = name_of(kind, body)
        if not name:
            continue
        seen = [one.at for one in mine if name_of(kind, one.body) == name]
        new[kind] = not seen or at - max(seen) >= KEPT
        had = [one.at for one in mine if name_of(kind, one.body) and not is_till(kind, one.body)]
        changes += bool(new[kind] and had and at - max(had) < KEPT and not is_till(kind, body))
    changed += [at] * changes
    recently = [when for when in sorted(changed)[-takeover.MOST_CHANGES :] if at - DAY < when <= at]
    phone, country = (int(new[kind]) if kind in new else -1 for kind in ("phone", "country"))
    return phone, country, *travelled(mine, body.signals, at), changes, len(recently)


def travelled(mine: list[Past], said: IdentitySignals | None, at: int) -> tuple[int, int]:
    located = [one for one in mine if has_place(one.body.signals)]
    if said is None or not has_place(said) or not located:
        return -1, -1
    last = max(located, key=lambda one: one.at)  # the first of several, as max says
    there = last.body.signals
    assert there is not None
    apart = abs(at - last.at)
    if apart >= travel.KEPT:
        return -1, -1
    km = distance_km(there.latitude, there.longitude, said.latitude, said.longitude)
    km = max(0, km - there.accuracy_km - said.accuracy_km)
    return km, min(travel.FASTEST, km * 3600 // max(60, apart // SECOND))


def name_of(kind: str, body: PaymentRequested) -> str:
    if kind == "country":
        return body.signals.country if body.signals is not None else ""
    return str(getattr(body, f"{kind}_ref"))


def is_till(kind: str, body: PaymentRequested) -> bool:
    return kind == "device" and body.channel is Channel.POINT_OF_SALE


def has_place(said: IdentitySignals | None) -> bool:
    return said is not None and said.accuracy_km >= 0 and said.connection is Connection.CONSUMER


@pytest.mark.parametrize("seed", range(6))
def test_any_history(seed: int) -> None:
    """Late payments, repeated ones, long rests, and ticks that forget: the figures are those of the definitions."""
    chance = random.Random(seed)
    bench, past, at = Bench(risk), [], NOON
    changed: dict[str, list[int]] = {}
    for number in range(250):
        at += chance.choice([0, SECOND, 5 * MINUTE, 5 * HOUR, DAY, 40 * DAY if number % 25 == 0 else 0])
        if chance.random() < 0.2:
            bench.tick(at)
        claimed_at = at - chance.choice([0, 0, 0, MINUTE, 4 * MINUTE, -4 * MINUTE])
        fields = {
            "card_id": chance.choice(["card-1", "card-2"]),
            "device_ref": chance.choice(["", "laptop", "phone", f"device-{number}"]),
            "email_ref": chance.choice(["", "mail-1", "mail-2"]),
            "phone_ref": chance.choice(["", "tel-1", "tel-2", "tel-3"]),
            "channel": chance.choice([Channel.ECOMMERCE, Channel.ECOMMERCE, Channel.POINT_OF_SALE]),
            "signals": chance.choice([None, LISBON, PORTO, LAGOS, HIDDEN, signals(accuracy_km=-1)]),
        }
        found = assess(bench, number, at, claimed_at, **fields)
        assert found == assess(bench, number, at + MINUTE, claimed_at, **fields), "it is delivered again"
        body = payment_requested(payment_id=f"pay-{number}", **fields)
        assert found == plainly(past, body, claimed_at, changed.setdefault(body.card_id, []))
        past.append(Past(body, claimed_at))


def test_what_no_figure_reaches_is_forgotten() -> None:
    """A place after two days, a card's changes after ninety; whoever pays again is kept."""
    bench = Bench(risk)
    for number in range(20):
        assess(bench, number, card_id=f"card-{number}", signals=LISBON, **_MINE)
    bench.tick(NOON + 3 * DAY)
    kept = bench.state.measures.identities
    assert ({}, []) == (kept.travels.last, kept.travels.days)
    assess(bench, 20, at=NOON + 50 * DAY, card_id="card-7", signals=LISBON, **_MINE)
    bench.tick(NOON + 92 * DAY)
    kept = bench.state.measures.identities
    assert ["card-7"] == list(kept.accounts.cards)
    bench.tick(NOON + 142 * DAY)
    kept = bench.state.measures.identities
    assert ({}, []) == (kept.accounts.cards, kept.accounts.days)
    assert {} == bench.state.measures.familiar.cards


def test_a_card_keeps_a_bounded_number_of_changes() -> None:
    """However often a card is on another device."""
    bench = Bench(risk)
    for number in range(2 * takeover.MOST_CHANGES):
        found = assess(bench, number, at=NOON + number * SECOND, device_ref=f"device-{number}")
    assert (1, takeover.MOST_CHANGES) == found[-2:]
