"""What rules can ask about who pays: what an identity provider said, and what is new about them on their card.

:mod:`streams.features.identity` measures it.
"""

from typing import Final

from streams.features.rules.feature import Feature, Source, Value
from streams.features.rules.types import NUMBER, YES_NO, Base, Type


def _said(name: str, type_: Type, unit: str, meaning: str) -> Feature:
    return Feature(name, type_, unit, Source.IDENTITY, meaning, None, True)


def _follows(
    name: str, type_: Type, unit: str, meaning: str, usual: Value, *, optional: bool = True
) -> Feature:
    return Feature(name, type_, unit, Source.HISTORY, meaning, usual, optional)


PAYER: Final = (
    Feature(
        "phone.id",
        Type(Base.TEXT, "phone"),
        "",
        Source.REQUEST,
        "the surrogate of the telephone number",
        None,
        True,
    ),
    _said("ip.anonymous", YES_NO, "", "the IP address is a proxy's, Tor's or a data centre's"),
    _said("ip.risk", NUMBER, "0 to 100", "how bad the IP address's reputation is"),
    _said("email.age_days", NUMBER, "days", "since the e-mail address was first seen anywhere"),
    _said("email.risk", NUMBER, "0 to 100", "how bad the e-mail address's reputation is"),
    _said("phone.risk", NUMBER, "0 to 100", "how bad the telephone number's reputation is"),
    _follows(
        "phone.new",
        YES_NO,
        "",
        "no payment with this card and telephone number in the 90 days before; unknown without a number",
        False,
    ),
    _follows(
        "ip.country_new",
        YES_NO,
        "",
        "no payment with this card from this country in the 90 days before; unknown without one",
        False,
    ),
    _follows(
        "card.travel_km",
        NUMBER,
        "kilometres",
        "from the card's last known place, less what both are inexact; "
        "unknown where none is within 24 hours, or where ip.anonymous",
        None,
    ),
    _follows(
        "card.travel_kmh",
        NUMBER,
        "kilometres an hour",
        "how fast the payer would have come from there; at least a minute lies between two payments",
        None,
    ),
    _follows(
        "account.changes",
        NUMBER,
        "changes",
        "of device, IP address's country, e-mail address and telephone number, those that are new on a card "
        "that had others in the 90 days before",
        0,
        optional=False,
    ),
    _follows(
        "account.changes_24h",
        NUMBER,
        "changes",
        "such changes on the card in 24 hours, this payment's included",
        0,
        optional=False,
    ),
)
"""They stand at the end of the catalogue, in this order."""
