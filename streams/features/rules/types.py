"""The types of the language: whole numbers with a meaning, texts with a vocabulary, yes and no.

Numbers, money, durations and times of day are all whole numbers at run time, and never mixed: money is minor units
beside a currency, a duration seconds, a time of day minutes after midnight UTC.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from events.money import EXPONENTS
from events.requests import Channel


class Base(StrEnum):
    """What a value is."""

    NUMBER = "number"
    MONEY = "money"
    DURATION = "duration"
    CLOCK = "time of day"
    YES_NO = "yes or no"
    TEXT = "text"


class Type(NamedTuple):
    """A base and, for a text, whose name it is; for money, which currency: "" for the payment's own."""

    base: Base
    domain: str = ""

    def __str__(self) -> str:
        if self.base is Base.TEXT:
            return f"text ({self.domain})"
        return f"money in {self.domain}" if self.base is Base.MONEY and self.domain else str(self.base)


NUMBER: Final = Type(Base.NUMBER)
MONEY: Final = Type(Base.MONEY)
DURATION: Final = Type(Base.DURATION)
CLOCK: Final = Type(Base.CLOCK)
YES_NO: Final = Type(Base.YES_NO)


class Domain(NamedTuple):
    """The vocabulary of a text: the ``words`` there are, or a ``pattern`` and what it looks like."""

    words: tuple[str, ...] = ()
    pattern: str = ""
    like: str = ""

    def refuses(self, text: str) -> str:
        """Why a text is none of these, or nothing."""
        if self.words:
            return "" if text in self.words else f"is none of {_few(self.words)}"
        return "" if re.fullmatch(self.pattern, text) else f"does not look like {self.like}"


COUNTRIES: Final = tuple(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
    UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()
)
"""ISO 3166-1, two letters."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_NAME: Final = Domain(pattern=r"[^\s\"@$#]{1,200}", like="an id of up to 200 letters without spaces")

DOMAINS: Final[dict[str, Domain]] = {
    "country": Domain(COUNTRIES),
    "currency": Domain(tuple(sorted(EXPONENTS))),
    "mcc": Domain(pattern="[0-9]{4}", like="the four digits of a merchant category"),
    "bin": Domain(pattern="[0-9]{6}|[0-9]{8}", like="the first six or eight digits of a card"),
    "brand": Domain(("visa", "mastercard", "amex", "discover", "jcb", "diners", "unionpay")),
    "funding": Domain(("credit", "debit", "prepaid")),
    "channel": Domain(tuple(Channel)),
    "weekday": Domain(WEEKDAYS),
    "avs": Domain(("full", "street", "postal_code", "none", "unavailable")),
    "cvv": Domain(("match", "no_match", "not_given", "unavailable")),
    "authentication": Domain(("authenticated", "attempted", "denied", "unavailable", "rejected")),
    "response": Domain(pattern="[0-9A-Z]{2}", like="the two letters of a response code"),
    "card": _NAME,
    "merchant": _NAME,
    "ip": _NAME,
    "device": _NAME,
    "email": _NAME,
    "phone": _NAME,
}
"""Every vocabulary by its name."""


def _few(words: tuple[str, ...]) -> str:
    return ", ".join(words) if len(words) <= 8 else f"{', '.join(words[:4])} ... ({len(words)} in all)"
