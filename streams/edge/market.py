"""Who buys and sells on the simulated day: merchants' trades, regions, cards.

Money is whole minor units from the first step. An amount is the median, multiplied or divided eight times by a
factor of the trade: the product is nearly log-normal and, unlike ``exp``, the same to the last digit on every
machine.
"""

from collections.abc import Callable, Collection
from functools import cached_property
from hashlib import sha256
from itertools import count
from typing import Final, NamedTuple

from events.identity import ENTROPY_BYTES, SLOTS, card_id
from events.reference import BinRange
from events.requests import Channel
from streams.edge import reference

Draw = Callable[[], float]
"""The next number of the day's generator, from 0 up to but not including 1."""

#: Payments begun in each local hour from midnight on, in parts of the day.
HOURS: Final = (8, 5, 3, 3, 4, 8, 18, 34, 48, 52, 56, 68, 80, 70, 58, 56, 62, 76, 82, 70, 52, 38, 26, 15)

PERMILLE: Final = 1000
SPREAD_STEPS: Final = 8


class Region(NamedTuple):
    """Where cards come from: the countries of their BINs, and how the brands share the market (parts of 100)."""

    countries: tuple[str, ...]
    brands: dict[str, int]
    #: Parts of all cards, in hundredths.
    share: int


REGIONS: Final[dict[str, Region]] = {
    "america": Region(("US",), {"visa": 52, "mastercard": 27, "amex": 12, "discover": 7, "unionpay": 2}, 60),
    "europe": Region(("GB", "DE", "FR", "NL"), {"visa": 50, "mastercard": 43, "amex": 5, "unionpay": 2}, 28),
    "japan": Region(("JP",), {"visa": 42, "jcb": 33, "mastercard": 17, "amex": 5, "unionpay": 3}, 8),
    "gulf": Region(("KW",), {"visa": 62, "mastercard": 34, "unionpay": 4}, 4),
}


class Trade(NamedTuple):
    """How a merchant does business.

    ``share`` of the day's payments in thousandths; ``median`` amounts in minor units by currency; ``spread`` how
    far amounts lie apart, in thousandths for one of eight steps. ``capture_hours``: how long after the
    authorization a manual capture comes, about (0: captures are automatic).
    """

    merchant: str
    share: int
    region: str
    hours_east: int
    channels: tuple[Channel, ...]
    median: dict[str, int]
    spread: int
    capture_hours: int
    producer: str
    #: Whether guests stay on: the hold grows with their stay, and some charges come when they have gone.
    open_ended: bool = False


_WEB, _TILL = Channel.ECOMMERCE, Channel.POINT_OF_SALE
_TELEPHONE, _RECURRING = Channel.MAIL_OR_TELEPHONE, Channel.RECURRING

TRADES: Final[tuple[Trade, ...]] = (
    Trade("harbour-coffee", 170, "america", -5, (_TILL,), {"USD": 680}, 190, 0, "till"),
    Trade("greenfield-market", 190, "america", -6, (_TILL,), {"USD": 3_400}, 320, 0, "till"),
    Trade(
        "northwind-outdoor",
        100,
        "america",
        -8,
        (_WEB, _WEB, _TILL),
        {"USD": 6_800, "EUR": 6_200, "GBP": 5_500},
        320,
        30,
        "webshop",
    ),
    Trade(
        "lumen-books", 90, "europe", 1, (_WEB,), {"EUR": 2_100, "GBP": 1_800, "USD": 2_300}, 230, 0, "webshop"
    ),
    Trade(
        "hotel-miramar",
        40,
        "europe",
        1,
        (_WEB, _TILL),
        {"EUR": 26_000, "USD": 29_000, "GBP": 23_000},
        190,
        52,
        "front-desk",
        open_ended=True,
    ),
    Trade("albion-rail", 100, "europe", 0, (_WEB, _TILL), {"GBP": 2_400}, 280, 0, "ticket-office"),
    Trade(
        "cinder-streaming",
        80,
        "america",
        -5,
        (_RECURRING, _RECURRING, _RECURRING, _WEB),
        {"USD": 1_199, "EUR": 1_099, "GBP": 999, "JPY": 1_490},
        0,
        0,
        "billing",
    ),
    Trade("sakura-depato", 80, "japan", 9, (_TILL, _TILL, _WEB), {"JPY": 4_800}, 320, 0, "till"),
    Trade(
        "al-safat-electronics", 40, "gulf", 3, (_TILL, _WEB), {"KWD": 21_500, "USD": 7_500}, 350, 20, "till"
    ),
    Trade("atelier-sorel", 40, "europe", 1, (_WEB, _TILL), {"EUR": 9_500}, 280, 26, "webshop"),
    Trade("prairie-telephone", 20, "america", -6, (_TELEPHONE,), {"USD": 4_800}, 230, 44, "call-centre"),
    Trade("corner-kiosk", 50, "europe", 1, (_TILL,), {"EUR": 460, "GBP": 390}, 190, 0, "till"),
)


def seconds_of_day(drawn: float, within: float, hours_east: int) -> int:
    """A UTC second of the day by the curve of :data:`HOURS`, which is local time ``hours_east`` of Greenwich."""
    left = int(drawn * sum(HOURS))
    hour = 0
    while left >= HOURS[hour]:
        left -= HOURS[hour]
        hour += 1
    return (hour - hours_east) % 24 * 3600 + int(within * 3600)


def amount_of(draw: Draw, median: int, spread: int) -> int:
    """An amount around the median, in minor units, at least 1. Without spread it is the median: a fixed price."""
    if spread == 0:
        return median
    amount = median * PERMILLE
    for _ in range(SPREAD_STEPS):
        if draw() < 0.5:
            amount = amount * (PERMILLE + spread) // PERMILLE
        else:
            amount = amount * PERMILLE // (PERMILLE + spread)
    # Eight steps give nine sums; a tenth up or down blurs them.
    amount = amount * (900 + int(draw() * 200)) // PERMILLE
    return max(1, amount // PERMILLE)


def channel_of(draw: Draw, trade: Trade) -> Channel:
    """One of the merchant's channels."""
    return trade.channels[int(draw() * len(trade.channels))]


class Card(NamedTuple):
    """A card and its holder. ``secret`` are hash bytes that surrogates are made of."""

    card_id: str
    brand: str
    bin: str
    last4: str
    secret: bytes

    def device(self, merchant: str, channel: Channel) -> str:
        """The holder's device on the web; at a till one of the merchant's terminals."""
        if channel is Channel.POINT_OF_SALE:
            return f"trm-{merchant}-{self.secret[0] % 5}"
        return f"dev-{self.secret[:5].hex()}" if channel is Channel.ECOMMERCE else ""

    def ip(self, channel: Channel) -> str:
        """Where the holder comes from on the web. Households share one."""
        return f"ip-{self.secret[5:9].hex()}" if channel is Channel.ECOMMERCE else ""

    def email(self, channel: Channel) -> str:
        """The holder's address, where a shop asks for it."""
        asked = channel in (Channel.ECOMMERCE, Channel.RECURRING)
        return f"mail-{self.secret[9:14].hex()}" if asked else ""

    def phone(self, channel: Channel) -> str:
        """The holder's telephone, where somebody has to be reached: on the way to the door, or on the line."""
        asked = channel in (Channel.ECOMMERCE, Channel.MAIL_OR_TELEPHONE)
        return f"tel-{self.secret[18:23].hex()}" if asked else ""


class Cards:
    """The cards of the day: as many as fit the number of payments, some used more than others."""

    def __init__(self, seed: int, payments: int) -> None:
        self.seed = seed
        self.payments = payments
        self._cards: dict[tuple[str, int], Card] = {}

    @cached_property
    def _ranges(self) -> dict[tuple[str, str], list[BinRange]]:
        """The BIN ranges of each brand and region: its own countries' where there are any, else all."""
        ranges = reference.starter_bins().ranges
        found = {}
        for name, region in REGIONS.items():
            for brand in region.brands:
                of_brand = [one for one in ranges if one.brand == brand and len(one.low) <= 6]
                local = [one for one in of_brand if one.country in region.countries]
                found[name, brand] = local or of_brand
        return found

    def pick(self, draw: Draw, region: str) -> Card:
        """A card of a region. The first are used twice as often as the middle ones; no card pays all day long."""
        size = max(20, self.payments * REGIONS[region].share // 120)
        drawn = draw()
        number = int(drawn * (1 + drawn) / 2 * size)
        card = self._cards.get((region, number))
        if card is None:
            card = self._cards[region, number] = self._make(region, f"{region}/{number}")
        return card

    def stolen(self, number: int) -> Card:
        """A card that nobody used before."""
        return self._make("america", f"stolen/{number}")

    def of_brands(self, name: str, brands: Collection[str]) -> Card:
        """A card of its own for a name, of one of some brands that are issued in America."""
        made = (self._make("america", f"{name}/{number}") for number in count())
        return next(card for card in made if card.brand in brands)

    def _make(self, region: str, name: str) -> Card:
        secret = sha256(f"{self.seed}/card/{name}".encode()).digest()
        slot = int.from_bytes(secret[14:16], "big") % SLOTS
        brand = _share(REGIONS[region].brands, int.from_bytes(secret[16:18], "big"))
        ranges = self._ranges[region, brand]
        number = int.from_bytes(sha256(secret).digest()[:16], "big")
        number, which = divmod(number, len(ranges))
        low, high = int(ranges[which].low), int(ranges[which].high)
        number, above = divmod(number, high - low + 1)
        # Fifteen-digit numbers show six digits, sixteen-digit ones eight.
        length = 6 if brand == "amex" else 8
        number, last4 = divmod(number, 10_000)
        prefix = str(low + above)
        missing = length - len(prefix)
        filling = str(number % 10**missing).rjust(missing, "0") if missing else ""
        return Card(
            card_id(slot, sha256(b"entropy" + secret).digest()[:ENTROPY_BYTES]),
            brand,
            prefix + filling,
            f"{last4:04d}",
            secret,
        )


def _share(parts: dict[str, int], drawn: int) -> str:
    left = drawn % sum(parts.values())
    for name, part in parts.items():
        left -= part
        if left < 0:
            return name
    raise AssertionError("what is left after all parts is not below zero")
