"""What a rule can ask about: every feature with its type, when it is known, and what it means.

A vector has the values in the order of :data:`FEATURES`, None for what is not known. Windows end with the payment's
own event time and include the payment; none has seen a label before its position (:mod:`streams.features.velocity`
has the definition). A new feature goes to the end: recorded vectors keep their meaning.
"""

from typing import Final

from events.calendar import DAY, HOUR, MINUTE
from events.risk import Phase
from streams.features.rules.feature import Feature as Feature
from streams.features.rules.feature import Source as Source
from streams.features.rules.feature import Value as Value
from streams.features.rules.payer import PAYER
from streams.features.rules.types import CLOCK, DURATION, MONEY, NUMBER, YES_NO, Base, Type

#: The windows of velocity: name and width (microseconds).
WINDOWS: Final = {"10m": 10 * MINUTE, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
_KEYS: Final = {
    "card": "with this card",
    "ip": "from this IP address",
    "device": "from this device",
    "email": "with this e-mail address",
    "merchant": "at this merchant",
    "card_merchant": "with this card at this merchant",
}
_WITH_CARDS: Final = ("ip", "device", "merchant")
_AT_HOME: Final = ("card", "card_merchant")
"""The keys of which one partition has all payments. The others' features are not known in the stream yet."""
#: Merchants are busy, cards are not.
_BUSY: Final = 1_000


def _text(domain: str) -> Type:
    return Type(Base.TEXT, domain)


def _windows() -> list[Feature]:
    found = []
    for key, whose in _KEYS.items():
        usual = _BUSY if key == "merchant" else 1
        optional = key not in _AT_HOME
        for window in WINDOWS:
            found += [
                Feature(
                    f"{key}.count_{window}",
                    NUMBER,
                    "payments",
                    Source.VELOCITY,
                    f"payments {whose} in {window}",
                    usual,
                    optional,
                ),
                Feature(
                    f"{key}.sum_{window}",
                    MONEY,
                    "minor units",
                    Source.VELOCITY,
                    f"their amounts, minor units added as they stand whatever the currency, in {window}",
                    usual * 5_000,
                    optional,
                ),
                Feature(
                    f"{key}.declines_{window}",
                    NUMBER,
                    "payments",
                    Source.VELOCITY,
                    f"payments {whose} in {window} that were declined",
                    0,
                    optional,
                ),
            ]
            if key in _WITH_CARDS:
                found.append(
                    Feature(
                        f"{key}.cards_{window}",
                        NUMBER,
                        "cards",
                        Source.VELOCITY,
                        f"different cards {whose.removeprefix('with ')} in {window}",
                        usual,
                        optional,
                    )
                )
            if key == "merchant":
                found.append(
                    Feature(
                        f"{key}.frauds_{window}",
                        NUMBER,
                        "payments",
                        Source.VELOCITY,
                        f"payments {whose} in {window} that are known to be fraud",
                        0,
                    )
                )
    return found


def _frauds() -> list[Feature]:
    """What labels say under every other key. They are told to every partition, so nothing of it is unknown."""
    return [
        Feature(
            f"{key}.frauds_{window}",
            NUMBER,
            "payments",
            Source.VELOCITY,
            f"payments {whose} in {window} that are known to be fraud",
            0,
        )
        for key, whose in _KEYS.items()
        if key != "merchant"
        for window in WINDOWS
    ]


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("amount", MONEY, "minor units", Source.REQUEST, "the amount of this payment", 5_000),
    Feature("payment.currency", _text("currency"), "", Source.REQUEST, "its currency", "USD"),
    Feature(
        "payment.channel", _text("channel"), "", Source.REQUEST, "how the card was presented", "ecommerce"
    ),
    Feature("payment.time", CLOCK, "minutes", Source.REQUEST, "when it was made, UTC", 720),
    Feature("payment.weekday", _text("weekday"), "", Source.REQUEST, "the day of the week, UTC", "wednesday"),
    Feature("card.id", _text("card"), "", Source.REQUEST, "the card's token", "card"),
    Feature(
        "card.bin", _text("bin"), "", Source.REQUEST, "the first six or eight digits of the card", "424242"
    ),
    Feature(
        "card.country",
        _text("country"),
        "",
        Source.TERMS,
        "where the card was issued, by its first digits",
        "US",
        True,
    ),
    Feature("card.brand", _text("brand"), "", Source.TERMS, "its brand, by its first digits", "visa", True),
    Feature("card.funding", _text("funding"), "", Source.TERMS, "credit, debit or prepaid", "credit", True),
    Feature("merchant.id", _text("merchant"), "", Source.REQUEST, "the merchant", "merchant"),
    Feature("merchant.mcc", _text("mcc"), "", Source.TERMS, "the merchant's category", "5411", True),
    Feature(
        "merchant.limit_percent",
        NUMBER,
        "percent",
        Source.TERMS,
        "the amount against the merchant's limit, rounded down; unknown without one",
        10,
        True,
    ),
    Feature("ip.id", _text("ip"), "", Source.REQUEST, "the surrogate of the IP address", None, True),
    Feature("device.id", _text("device"), "", Source.REQUEST, "the surrogate of the device", None, True),
    Feature(
        "email.id", _text("email"), "", Source.REQUEST, "the surrogate of the e-mail address", None, True
    ),
    *_windows(),
    Feature("card.new", YES_NO, "", Source.HISTORY, "no payment with this card in the 90 days before", False),
    Feature(
        "device.new",
        YES_NO,
        "",
        Source.HISTORY,
        "no payment with this card from this device in the 90 days before; unknown without a device",
        False,
        True,
    ),
    Feature(
        "email.new",
        YES_NO,
        "",
        Source.HISTORY,
        "no payment with this card and e-mail address in the 90 days before; unknown without an address",
        False,
        True,
    ),
    Feature(
        "card.idle",
        DURATION,
        "seconds",
        Source.HISTORY,
        "since the payment before with this card; unknown where card.new",
        86_400,
        True,
    ),
    Feature(
        "card.amount_percent",
        NUMBER,
        "percent",
        Source.HISTORY,
        "the amount against what the card usually pays, rounded down; unknown before its sixth payment",
        100,
        True,
    ),
    Feature(
        "card.outliers_7d",
        NUMBER,
        "payments",
        Source.HISTORY,
        "unusually high amounts on the card in 7 days",
        0,
    ),
    Feature(
        "merchant.p50",
        MONEY,
        "minor units",
        Source.HISTORY,
        "half of the merchant's payments in this currency were for no more; unknown before its hundredth",
        5_000,
        True,
    ),
    Feature(
        "merchant.p95",
        MONEY,
        "minor units",
        Source.HISTORY,
        "95 in 100 of the merchant's payments in this currency were for no more; unknown before its hundredth",
        20_000,
        True,
    ),
    Feature("model.score", NUMBER, "0 to 100", Source.MODEL, "how likely the payment is fraud", 1, True),
    Feature("ip.country", _text("country"), "", Source.IDENTITY, "where the IP address is", None, True),
    Feature("ip.proxy", YES_NO, "", Source.IDENTITY, "the IP address hides another", None, True),
    Feature(
        "email.disposable", YES_NO, "", Source.IDENTITY, "addresses like this are thrown away", None, True
    ),
    Feature(
        "authentication.result",
        _text("authentication"),
        "",
        Source.AUTHENTICATION,
        "what the cardholder's bank said of who is paying; unknown where it was not asked",
        None,
        True,
        Phase.AFTER_AUTHENTICATION,
    ),
    Feature(
        "authorization.approved",
        YES_NO,
        "",
        Source.NETWORK,
        "the issuer approved",
        True,
        True,
        Phase.AFTER_AUTHORIZATION,
    ),
    Feature(
        "authorization.code",
        _text("response"),
        "",
        Source.NETWORK,
        "the issuer's response code",
        "00",
        True,
        Phase.AFTER_AUTHORIZATION,
    ),
    Feature(
        "payment.avs",
        _text("avs"),
        "",
        Source.NETWORK,
        "how far the address is the cardholder's",
        None,
        True,
        Phase.AFTER_AUTHORIZATION,
    ),
    Feature(
        "payment.cvv",
        _text("cvv"),
        "",
        Source.NETWORK,
        "whether the security code is the card's",
        None,
        True,
        Phase.AFTER_AUTHORIZATION,
    ),
    *_frauds(),
    Feature(
        "cluster.linked",
        NUMBER,
        "keys",
        Source.HISTORY,
        "how many of its card, address, device and e-mail address belong to a cluster of known frauds",
        0,
    ),
    Feature(
        "cluster.frauds", NUMBER, "payments", Source.HISTORY, "the known frauds in the clusters it touches", 0
    ),
    Feature("cluster.cards", NUMBER, "cards", Source.HISTORY, "the different cards of those frauds", 0),
    *PAYER,
)

NAMES: Final = tuple(feature.name for feature in FEATURES)
PLACES: Final[dict[str, int]] = {name: place for place, name in enumerate(NAMES)}
CURRENCY: Final = PLACES["payment.currency"]

NOT_IN_THE_STREAM: Final = frozenset(
    feature.name
    for feature in FEATURES
    if feature.source is Source.AUTHENTICATION
    or feature.name in ("merchant.p50", "merchant.p95")
    or (
        feature.source is Source.VELOCITY
        and feature.name.partition(".")[0] not in _AT_HOME
        and ".frauds_" not in feature.name
    )
)
"""Features that nobody measures where decisions are made. A merchant's payments, or those from an address, are shared
out over the partitions: to count some of them would make a verdict depend on how they are shared out. Of those known
to be fraud every partition is told."""

PHASES: Final = tuple(Phase)

LANGUAGE: Final = 1
"""Names what the words of the language and of this catalogue mean. Another meaning is another number."""


def usual_vector() -> list[Value]:
    """An ordinary payment."""
    return [feature.usual for feature in FEATURES]
