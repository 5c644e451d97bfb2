"""What is known of who pays: what a provider said with the request, and what it means for the card.

The provider's words are taken as they were recorded; a figure out of its range is not known. An address behind which
somebody else is (a proxy, Tor, a data centre) is no place: it would make travellers of everybody who uses one.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from events.lifecycle import PaymentRequested
from events.requests import Channel
from events.signals import Connection, IdentitySignals
from streams.features import takeover, travel
from streams.features.earth import HALF_WAY_ROUND_KM, is_place
from streams.features.rules.types import DOMAINS
from streams.features.takeover import Accounts
from streams.features.travel import Place, Travels

SAID: Final = (
    "ip.country",
    "ip.proxy",
    "ip.anonymous",
    "ip.risk",
    "email.age_days",
    "email.risk",
    "email.disposable",
    "phone.risk",
)
"""What the provider said. It stands in the request, so no verdict records it again."""

RECORDED: Final = (
    "phone.new",
    "ip.country_new",
    "card.travel_km",
    "card.travel_kmh",
    "account.changes",
    "account.changes_24h",
)
"""What follows from it, and from what the card had before."""

COLUMNS: Final = ("phone.id", *SAID, *RECORDED)

Value = int | bool | str | None

WORST: Final = 100
"""The highest risk there is."""
OLDEST_DAYS: Final = 36_500
"""No e-mail address is older."""

_PROXIES: Final = (Connection.PROXY, Connection.TOR)
_ANONYMOUS: Final = (*_PROXIES, Connection.HOSTING)
_HIDES: Final[dict[Connection, tuple[bool | None, bool | None]]] = {
    **{connection: (connection in _PROXIES, connection in _ANONYMOUS) for connection in Connection},
    Connection.NOT_KNOWN: (None, None),
}
"""Of a connection whether it is a proxy's, and whether it is anonymous."""
_NOTHING_SAID: Final[tuple[Value, ...]] = (None,) * len(SAID)


class Identities(msgspec.Struct):
    """Where cards were last, and what changed about their payers."""

    travels: Travels = msgspec.field(default_factory=Travels)
    accounts: Accounts = msgspec.field(default_factory=Accounts)


def names_of(body: PaymentRequested) -> tuple[str, str, str, str]:
    """What a card is seen with in a payment, in the order of familiar's KINDS."""
    said = body.signals
    country = _country(said.country) or "" if said is not None else ""
    return body.device_ref, country, body.email_ref, body.phone_ref


def measure(
    identities: Identities, body: PaymentRequested, at: int, new: Sequence[bool | None]
) -> tuple[Value, ...]:
    """The values of :data:`COLUMNS` for a payment at event time ``at``, then part of its card's past.

    ``new`` is whether the card is seen with its names for the first time.
    """
    card, said = body.card_id, body.signals
    words, moved = _NOTHING_SAID, None
    if said is not None:
        words = _words(said)
        place = _place(said, at)
        moved = travel.travel(identities.travels, card, place) if place is not None else None
    device_new, country_new, email_new, phone_new = new
    if body.channel is Channel.POINT_OF_SALE:
        device_new = None
    changes = takeover.observe(identities.accounts, card, at, (device_new, country_new, email_new, phone_new))
    return (
        body.phone_ref or None,
        *words,
        phone_new,
        country_new,
        *(moved or (None, None)),
        *changes,
    )


def stale(identities: Identities, now: int) -> Iterator[str]:
    """What can be forgotten at ``now``, in the order in which :func:`forget` takes it."""
    yield from (f"travels {day_on:08d}" for day_on in travel.stale_days(identities.travels, now))
    yield from (f"accounts {day_on:08d}" for day_on in takeover.stale_days(identities.accounts, now))


def forget(identities: Identities, kind: str, day_on: int) -> None:
    """Forget a day that :func:`stale` has named."""
    if kind == "travels":
        travel.forget_day(identities.travels, day_on)
    else:
        takeover.forget_day(identities.accounts, day_on)


def summary(identities: Identities) -> Iterator[str]:
    """Each card with its last place, and with what changed."""
    last, cards = identities.travels.last, identities.accounts.cards
    for card in sorted(last):
        place = last[card]
        yield f"place {card} {place.at} {place.latitude} {place.longitude} {place.accuracy_km}"
    for card in sorted(cards):
        yield f"account {card} {cards[card].had} {cards[card].changes or []}"


def _words(said: IdentitySignals) -> tuple[Value, ...]:
    """The values of :data:`SAID`."""
    return (
        _country(said.country),
        *_HIDES[said.connection],
        _within(said.ip_risk, WORST),
        _within(said.email_age_days, OLDEST_DAYS),
        _within(said.email_risk, WORST),
        said.email_disposable,
        _within(said.phone_risk, WORST),
    )


def _within(value: int, most: int) -> int | None:
    return value if 0 <= value <= most else None


def _place(said: IdentitySignals, at: int) -> Place | None:
    if (
        not 0 <= said.accuracy_km <= HALF_WAY_ROUND_KM
        or not is_place(said.latitude, said.longitude)
        or said.connection in _ANONYMOUS
    ):
        return None
    return Place(at, said.latitude, said.longitude, said.accuracy_km)


@lru_cache(maxsize=1 << 9)
def _country(text: str) -> str | None:
    return None if DOMAINS["country"].refuses(text) else text
