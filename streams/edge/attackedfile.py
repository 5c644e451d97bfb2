"""Attacks woven into an input file: into somebody's real payments, say, which have none or do not tell.

Who is attacked is found in the file: cards that pay there, and its busiest merchants. Days are counted from the first
payment (:data:`DAYS`); attacks on days that the file does not have are left out. A rogue merchant takes its time here:
complaints come while it still charges.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from events.calendar import day_of, start_of
from events.errors import Refused
from events.reference import MerchantTerms, decode_reference
from events.requests import Channel, InputRow, PaymentRequest, ReferencePublished
from streams.edge.attackedday import BEGIN, BRANDS, contracts, rogue_terms
from streams.edge.attackledger import Attack, write_ledger
from streams.edge.attacks import (
    DELAY,
    VICTIMS,
    Person,
    Planned,
    Scene,
    Shop,
    account_takeover,
    card_testing,
    rogue_merchant,
    stolen_card,
)
from streams.edge.dice import chance
from streams.edge.inputs import read_rows, write_rows
from streams.edge.market import Cards
from streams.edge.reference import published

#: On which days of a file attacks begin; the first day is 0.
DAYS: Final = {
    rogue_merchant: (7, 97, 217, 307),
    card_testing: (8, 98, 218, 308),
    stolen_card: (9, 99, 219, 309),
    account_takeover: (10, 100, 220, 310),
}
SHOPS: Final = 12
#: A card is known when it has paid so often in so many days before.
KNOWN_PAYMENTS: Final = 4
KNOWN_DAYS: Final = 25
#: Hours lie between two charges of a rogue: fewer a day than anybody limits.
ROGUE_SECONDS: Final = (2 * 3600, 6 * 3600)
#: A planted takeover is charged here at least.
DEAR: Final = 100_000


class _Found(NamedTuple):
    """What is known of a file after reading it once."""

    first_on: int
    last_on: int
    currency: str
    shops: tuple[Shop, ...]
    #: By day of an attack: cards that are known then.
    known: dict[int, list[Person]]


def plant(path: Path, seed: int) -> list[Attack]:
    """Weave attacks into an input file, for a run with this seed; the ledger lies beside it.

    Refused where the file has no day with enough known cards, or holds attacks already.
    """
    found = _look(path)
    planned: list[Planned] = []
    rogues: list[MerchantTerms] = []
    for kind, days in DAYS.items():
        for number, day in enumerate(days):
            day_on = found.first_on + day
            if day_on <= found.last_on and len(found.known[day_on]) >= VICTIMS:
                scene = _scene(found, seed, f"file/{kind.__name__}/{day}", number, day_on)
                late = chance(seed, scene.name, "begin") * 60
                planned.append(kind(scene, number + 1, start_of(day_on) + BEGIN[kind] + late))
                rogues += [scene.rogue] if kind is rogue_merchant else []
    if not planned:
        raise Refused(f"{path.name} has no day on which {VICTIMS} cards are known: nobody to attack")
    planned.sort(key=lambda one: one.attack.payments[0].at)
    write_rows(path, _woven(path, planned, rogues), f"attacked/{seed}")
    attacks = [one.attack for one in planned]
    write_ledger(path, seed, attacks)
    return attacks


# --- who is there -------------------------------------------------------------------------------------


def _look(path: Path) -> _Found:
    """Read a file once: its days, its busiest merchants, and who is known on the days of attacks."""
    terms: dict[str, MerchantTerms] = {}
    busy: Counter[str] = Counter()
    currencies: Counter[str] = Counter()
    producers: dict[str, str] = {}
    cards: dict[str, Person] = {}
    paid: dict[str, list[int]] = {}
    days: list[int] = []
    for row in read_rows(path):
        entry = row.entry
        if isinstance(entry, ReferencePublished):
            if entry.kind == "merchant":
                content = decode_reference(entry.kind, entry.content)
                assert isinstance(content, MerchantTerms)
                terms[content.merchant] = content
        elif isinstance(entry, PaymentRequest) and entry.amount > 0:
            days.append(day_of(entry.occurred_at))
            busy[entry.merchant] += 1
            currencies[entry.currency] += 1
            producers[entry.merchant] = entry.producer
            network = _network(entry.bin)
            if network:
                cards.setdefault(entry.card_id, Person(entry.card_id, entry.bin, entry.last4, network))
                paid.setdefault(entry.card_id, []).append(days[-1])
    if not days:
        raise Refused(f"{path.name} holds no payments")
    currency = max(sorted(currencies), key=lambda name: currencies[name])
    if rogue_terms(0, currency).merchant in terms:
        raise Refused(f"{path.name} holds attacks already")
    shops = tuple(
        Shop(name, producers[name], terms[name].max_amount or DEAR, tuple(Channel))
        for name in sorted(busy, key=lambda name: (-busy[name], name))
        if name in terms and currency in terms[name].currencies
    )[:SHOPS]
    if not shops:
        raise Refused(f"{path.name} names no merchant with its terms")
    attacked_on = {min(days) + day for of_kind in DAYS.values() for day in of_kind}
    known = {
        day_on: [
            cards[card]
            for card, on in sorted(paid.items())
            if sum(day_on - KNOWN_DAYS <= day < day_on for day in on) >= KNOWN_PAYMENTS
        ]
        for day_on in sorted(attacked_on)
    }
    return _Found(min(days), max(days), currency, shops, known)


def _network(bin_: str) -> str:
    """The brand of a card's first digits, where it is one that attackers use."""
    visa, mastercard = BRANDS
    if bin_.startswith("4"):
        return visa
    return mastercard if "51" <= bin_[:2] <= "55" else ""


def _scene(found: _Found, seed: int, name: str, number: int, day_on: int) -> Scene:
    """Where an attack of a day happens, and whom it hits: others for each name."""
    victims = sorted(found.known[day_on], key=lambda one: chance(seed, name, "victim", one.card_id))[:VICTIMS]
    cards = Cards(seed, 1)

    def fresh(turn: int) -> Person:
        card = cards.of_brands(f"{name}/fresh/{turn}", BRANDS)
        return Person(card.card_id, card.bin, card.last4, card.brand)

    return Scene(
        seed,
        name,
        found.currency,
        shops=found.shops,
        streets=found.shops,
        rogue=rogue_terms(number, found.currency),
        victims=tuple(victims),
        known=victims[0],
        fresh=fresh,
        rogue_seconds=ROGUE_SECONDS,
    )


# --- the file with them -------------------------------------------------------------------------------


def _woven(path: Path, planned: list[Planned], rogues: list[MerchantTerms]) -> Iterator[InputRow]:
    """The rows of a file and of its attackers, in order; reference data is counted anew."""
    rows = read_rows(path)
    first = next(rows)
    theirs = [InputRow(request.occurred_at + DELAY, request) for one in planned for request in one.requests]
    said = [(desk.at, desk.entry) for one in planned for desk in one.desk]
    theirs += [InputRow(at, message) for at, entry in said for message in published([entry])]
    signed = [InputRow(first.ingested_at, message) for message in published(contracts(rogues))]
    version = 0
    for row in heapq.merge([first], rows, signed, sorted(theirs, key=_stamp), key=_stamp):
        entry = row.entry
        if isinstance(entry, ReferencePublished):
            version += 1
            row = InputRow(row.ingested_at, msgspec.structs.replace(entry, version=version))
        yield row


def _stamp(row: InputRow) -> int:
    return row.ingested_at
