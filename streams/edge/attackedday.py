"""Attacks on the simulated day: which, when, on whom.

Every day that is large enough has one attack of each kind, larger ones have more: some 180 payments of 10,000. A rogue
merchant has signed up shortly before; what its contract expects of it is a limit of its own.
"""

from functools import partial
from itertools import count
from typing import Final, NamedTuple

from events.calendar import HOUR, MINUTE
from events.hotlist import Dimension, Measure, Standing, Window
from events.reference import MerchantTerms, VelocityLimit, VelocityLimits
from events.requests import Channel, PaymentRequest
from streams.edge import reference
from streams.edge.attackledger import Attack
from streams.edge.attacks import (
    AT_HOME,
    VICTIMS,
    Desk,
    Person,
    Planned,
    Scene,
    Shop,
    account_takeover,
    asked,
    card_testing,
    rogue_merchant,
    stolen_card,
)
from streams.edge.dice import MILLION, between, chance
from streams.edge.market import TRADES, Card, Cards
from streams.edge.reference import STANDARD, Entry

#: On a smaller day the attackers would be most of it.
LEAST_PAYMENTS: Final = 2_000
PAYMENTS_A_SET: Final = 20_000
MOST_SETS: Final = 20

CURRENCY: Final = "USD"
#: The brands whose cards thieves have here: those that every shop takes.
BRANDS: Final = ("visa", "mastercard")
#: When attacks begin, after midnight UTC, and by how much that differs.
BEGIN: Final = {
    card_testing: 8 * HOUR + 30 * MINUTE,
    stolen_card: 15 * HOUR,
    rogue_merchant: 15 * HOUR + 30 * MINUTE,
    account_takeover: 20 * HOUR,
}
BEGIN_WITHIN: Final = 80 * MINUTE
#: When the holder of an account paid before it was taken over.
GENUINE_AT: Final = (9 * HOUR, 10 * HOUR + 20 * MINUTE, 12 * HOUR)
GENUINE_AMOUNTS: Final = (1_900, 6_900)
#: What can be sold on is not bought where payments are small.
DEAR: Final = 100_000
#: Different cards in a day that a merchant of the rogue's size is expected to have.
EXPECTED_CARDS: Final = 20


class AttackedDay(NamedTuple):
    """What attacks add to a day: reference data before it, requests, and the ledger.

    ``requests`` are those of attackers, and earlier ones of holders whose accounts are taken over; ``desk`` is what the
    review desk does about them. Neither is in any order.
    """

    entries: list[Entry]
    requests: list[PaymentRequest]
    desk: list[Desk]
    attacks: list[Attack]


QUIET_DAY: Final = AttackedDay([], [], [], [])


def attacked(seed: int, payments: int, day_at: int) -> AttackedDay:
    """The attacks of a day of so many payments that begins at ``day_at``; none on a small one."""
    if payments < LEAST_PAYMENTS:
        return QUIET_DAY
    sets = min(MOST_SETS, 1 + payments // PAYMENTS_A_SET)
    scenes = [_scene(seed, payments, number) for number in range(sets)]
    requests, desk, attacks = [], [], []
    for number, scene in enumerate(scenes):
        requests += _genuine(scene, number, day_at)
        for kind, begin in BEGIN.items():
            late = chance(seed, scene.name, kind.__name__) * BEGIN_WITHIN // MILLION
            planned: Planned = kind(scene, number + 1, day_at + begin + late)
            requests += planned.requests
            desk += planned.desk
            attacks.append(planned.attack)
    return AttackedDay(contracts([scene.rogue for scene in scenes]), requests, desk, attacks)


def _scene(seed: int, payments: int, number: int) -> Scene:
    cards = Cards(seed, payments)
    name = f"day-{payments}/{number}"
    return Scene(
        seed,
        name,
        CURRENCY,
        shops=tuple(
            shop for shop in _shops() if Channel.ECOMMERCE in shop.channels and shop.max_amount >= DEAR
        ),
        streets=_shops(),
        rogue=rogue_terms(number, CURRENCY),
        victims=_victims(cards, seed, name),
        known=_person(cards.of_brands(f"{name}/known", BRANDS)),
        fresh=lambda turn: _person(cards.of_brands(f"{name}/fresh/{turn}", BRANDS)),
    )


def _shops() -> tuple[Shop, ...]:
    """Where goods can be had at once, for dollars."""
    terms = {terms.merchant: terms for terms in reference.starter_merchants()}
    return tuple(
        Shop(trade.merchant, trade.producer, terms[trade.merchant].max_amount, trade.channels)
        for trade in TRADES
        if CURRENCY in trade.median
        and not trade.open_ended
        and Channel.MAIL_OR_TELEPHONE not in trade.channels
    )


def _victims(cards: Cards, seed: int, name: str) -> tuple[Person, ...]:
    """Holders who pay on this day, too, and know nothing of it."""
    found: dict[str, Person] = {}
    for turn in count():
        card = cards.pick(lambda turn=turn: chance(seed, name, "victim", turn) / MILLION, "america")  # type: ignore[misc]
        if card.brand in BRANDS:
            found.setdefault(card.card_id, _person(card))
        if len(found) == VICTIMS:
            break
    return tuple(found.values())


def _person(card: Card) -> Person:
    web = Channel.ECOMMERCE
    return Person(
        card.card_id,
        card.bin,
        card.last4,
        card.brand,
        card.device("", web),
        card.ip(web),
        card.email(web),
        AT_HOME,
    )


def rogue_terms(number: int, currency: str) -> MerchantTerms:
    """A mail-order merchant with an ordinary contract."""
    merchant = f"fernhill-mail-order-{number + 1}"
    return MerchantTerms(
        merchant=merchant,
        name="Fernhill Mail Order",
        mcc="5964",
        currencies=(currency,),
        plan_version=1,
        fee_fixed=30,
        fee_ppm=32_000,
        settlement_days=3,
        max_amount=50_000,
        card_count_24h=4,
        blocked=False,
        dispute_fee=2_500,
    )


def contracts(rogues: list[MerchantTerms]) -> list[Entry]:
    """The terms of new merchants, and the house's limits with one on each: more cards than were expected of it."""
    limits = reference.starter_limits()
    own = tuple(
        VelocityLimit(
            "new-merchant-cards-24h",
            Dimension.MERCHANT,
            Measure.CARDS,
            Window.DAY,
            EXPECTED_CARDS,
            Standing.REVIEW,
            24 * 60,
            terms.merchant,
        )
        for terms in rogues
    )
    return [
        *(Entry("merchant", terms.merchant, terms) for terms in rogues),
        Entry("velocity", STANDARD, VelocityLimits(limits.version + 1, limits.limits + own)),
    ]


def _genuine(scene: Scene, number: int, day_at: int) -> list[PaymentRequest]:
    """What the holder of an account bought before it was taken over."""
    made = []
    for turn, offset in enumerate(GENUINE_AT):
        drawn = partial(chance, scene.seed, scene.name, "genuine", turn)
        shop = scene.shops[drawn("shop") % len(scene.shops)]
        key = f"{shop.producer}-{drawn('key'):06x}-{number}{turn}"
        amount = between(drawn("amount"), *GENUINE_AMOUNTS)
        at = day_at + offset + drawn("late") * HOUR // MILLION
        made.append(asked(scene, shop, scene.known, key, amount, Channel.ECOMMERCE, at))
    return made
