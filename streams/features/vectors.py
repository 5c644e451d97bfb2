"""What a payment's vector is made of: the names that are measured, their places, and which of them a verdict records.

Velocity measures the keys that are counted (:func:`plan_of`), :mod:`streams.features.measuring` the rest
(:data:`GIVEN`). :func:`spread_of` puts both into the places that the rules' catalogue gives them. A verdict records the
whole numbers of :data:`RECORDED`, -1 for what is not known, and the texts of :data:`TEXTS`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from streams.features import clusters, identity, labels, profiles, velocity
from streams.features.rules.catalogue import FEATURES, NAMES, PLACES, WINDOWS, Value
from streams.features.rules.types import Base
from streams.features.velocity import CARD, CARD_MERCHANT

FEATURE_SET: Final = 4
"""Names :data:`RECORDED` and :data:`TEXTS`, their order and their meaning. Others are another set."""

HOME: Final = CARD | CARD_MERCHANT
"""The keys of which a partition has all payments: card numbers decide where a payment goes."""

UNKNOWN: Final = -1
"""In a recorded vector: not known. No figure that is recorded can be negative."""


def plan_of(mine: int) -> velocity.Plan:
    """What velocity measures where the keys of these dimensions are counted: the windows of the catalogue."""
    return velocity.plan_of(",".join(WINDOWS), mine=mine)


def _rule_name(column: str) -> str:
    """velocity says card_count_1h and card_merchant_count_1h, the rules card.count_1h and card_merchant.count_1h."""
    key, measure, window = column.rsplit("_", 2)
    return f"{key}.{measure}_{window}"


def _columns(mine: int) -> list[str]:
    """The names of what velocity measures where these keys are counted, as rules call them."""
    return [
        # Velocity's own count of fraud is for histories whose labels are never taken back.
        "" if column.startswith("merchant_frauds_") else _rule_name(column)
        for column in velocity.columns(plan_of(mine))
    ]


_HISTORY: Final = (
    "merchant.limit_percent",
    "card.new",
    "card.idle",
    "device.new",
    "email.new",
    "card.amount_percent",
    "card.outliers_7d",
)
"""Of GIVEN what is recorded in whole numbers beside labels, clusters and identity."""

GIVEN: Final = (
    "amount",
    "payment.currency",
    "payment.channel",
    "payment.time",
    "payment.weekday",
    "card.id",
    "card.bin",
    "merchant.id",
    "ip.id",
    "device.id",
    "email.id",
    "card.country",
    "card.brand",
    "card.funding",
    "merchant.mcc",
    *_HISTORY,
    "merchant.p50",
    "merchant.p95",
    *labels.COLUMNS,
    *clusters.COLUMNS,
    *identity.COLUMNS,
)
"""What is measured beside velocity, in the order in which :mod:`streams.features.measuring` lists it."""

_VELOCITY_RECORDED: Final = tuple(_columns(HOME))
_OTHERS_RECORDED: Final = (
    *_HISTORY,
    *labels.COLUMNS,
    *clusters.COLUMNS,
    *identity.RECORDED,
)
RECORDED: Final = (
    *_VELOCITY_RECORDED,
    *_OTHERS_RECORDED,
    *(f"profile.{name}" for name in profiles.NAMES),
)
"""The whole numbers of a recorded vector. Those of the profile (what a model sees) stand at its end."""

TEXTS: Final = ("card.country", "card.brand", "card.funding", "merchant.mcc")
ANSWERED_TEXTS: Final = ("authorization.code", "payment.avs", "payment.cvv")
"""What a verdict behind an authorization records."""

Spread = Callable[[Sequence[int], Sequence[Value], Sequence[int]], tuple[list[Value], list[int]]]


@lru_cache(maxsize=2)
def spread_of(mine: int) -> Spread:
    """What puts velocity's values, those of :data:`GIVEN` and the profile into a vector and a verdict's features.

    It is written out as source and compiled once, like the rules: only places get into it. Looking each value up by its
    place takes five times as long.
    """
    columns = _columns(mine)
    local = {name: f"c{place}" for place, name in enumerate(columns)}
    local |= {name: f"g{place}" for place, name in enumerate(GIVEN)}
    vector = [local.get(name, "None") for name in NAMES]
    features = [_as_number(name, local[name]) for name in (*_VELOCITY_RECORDED, *_OTHERS_RECORDED)]
    source = f"""
def spread(c, g, profile):
    ({", ".join(f"c{place}" for place in range(len(columns)))},) = c
    ({", ".join(f"g{place}" for place in range(len(GIVEN)))},) = g
    return [{", ".join(vector)}], [{", ".join(features)}, *profile]
"""
    space: dict[str, Spread] = {}
    exec(compile(source, "<spread>", "exec"), {"__builtins__": {}}, space)  # noqa: S102 - our own source, see above
    return space["spread"]


def _as_number(name: str, local: str) -> str:
    """How a value is recorded: a plus makes a number of True, three times as fast as int() does."""
    feature = FEATURES[PLACES[name]]
    number = f"+{local}" if feature.type.base is Base.YES_NO else local
    return f"{UNKNOWN} if {local} is None else {number}" if feature.optional else number
