"""Reference data: what decisions look up, published as versioned JSON and applied at ticks.

Each type here is the content of one ``kind`` (see :data:`KINDS`). Rates are parts per million, amounts minor
units of the payment's currency, times of day minutes after midnight UTC.
"""

from enum import StrEnum
from typing import Final

import msgspec

from events.errors import ValidationError
from events.risk import Verdict


class Reference(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The content of one reference entry."""


class MerchantTerms(Reference, frozen=True):
    """A merchant's contract: identity, price, limits, when and where it is paid.

    ``max_amount`` bounds one payment; ``card_count_24h`` bounds how often one card may pay here in 24 hours
    (0: no bound). ``settlement_days`` are business days between capture and availability.
    """

    merchant: str
    name: str
    mcc: str
    currencies: tuple[str, ...]
    plan_version: int
    fee_fixed: int
    fee_ppm: int
    settlement_days: int
    max_amount: int
    card_count_24h: int
    blocked: bool


class BinRange(Reference, frozen=True):
    """Card numbers whose first digits lie from ``low`` to ``high`` (same length) belong to ``brand``."""

    low: str
    high: str
    brand: str
    country: str
    funding: str


class BinTable(Reference, frozen=True):
    """Which brand a number belongs to; the longest prefix wins."""

    ranges: tuple[BinRange, ...]


class NetworkProfile(Reference, frozen=True):
    """A network we can send to: whom it carries, what it costs, when it clears."""

    network: str
    brands: tuple[str, ...]
    currencies: tuple[str, ...]
    cost_ppm: int
    cost_fixed: int
    success_ppm: int
    acquirer_bin: str
    mid_prefix: str
    cut_off_minute: int
    hold_days: int
    timeout_ms: int


class NetworkHealth(Reference, frozen=True):
    """Whether a network is fit to be sent to; an unfit one is used only when nothing else is left."""

    network: str
    healthy: bool
    note: str


class InterchangeRate(Reference, frozen=True):
    """What the issuer keeps: the first row that fits network, channel and funding (``*`` fits all)."""

    network: str
    channel: str
    funding: str
    program: str
    rate_ppm: int
    fixed: int


class SchemeRate(Reference, frozen=True):
    """What the network invoices per record."""

    network: str
    fee_id: str
    rate_ppm: int
    fixed: int


class FeeTable(Reference, frozen=True):
    """Interchange and scheme fees of all networks, one version."""

    version: int
    interchange: tuple[InterchangeRate, ...]
    scheme: tuple[SchemeRate, ...]


class Rule(Reference, frozen=True):
    """``feature`` (a name of the feature catalogue) above ``threshold`` gives ``verdict`` and ``points``."""

    rule_id: str
    feature: str
    threshold: int
    verdict: Verdict
    points: int


class RulePack(Reference, frozen=True):
    """The rules in force for every merchant."""

    version: int
    rules: tuple[Rule, ...]


class Phase(StrEnum):
    """When a rule is asked, earliest first: as soon as everything that it reads can be known."""

    BEFORE_AUTHORIZATION = "before_authorization"
    """Before any network was asked."""
    AFTER_AUTHENTICATION = "after_authentication"
    """When the cardholder's bank has said who is paying, before it is asked for money."""
    AFTER_AUTHORIZATION = "after_authorization"
    """When the issuer has answered."""


class Action(StrEnum):
    """What a rule asks for. Of the rules that fire, the first kind in this order decides."""

    REQUEST_3DS = "request_3ds"
    """Have the cardholder authenticate first."""
    ALLOW = "allow"
    """Go on, whatever the kinds below say."""
    BLOCK = "block"
    """Decline; behind an authorization, take it back."""
    REVIEW = "review"
    """Let a person look at it."""


class WrittenRule(Reference, frozen=True):
    """A rule in the language of ``streams.features.rules``: where ``when`` holds, ``action`` is asked for.

    ``phase`` is null for the first in which everything that it reads is known. One in ``shadow`` is told and decides
    nothing. ``points`` add to the score.
    """

    rule_id: str
    action: Action
    phase: Phase | None
    when: str
    points: int
    shadow: bool


class Threshold(Reference, frozen=True):
    """A figure that rules name as ``$name``, written as in a rule: ``5``, ``500.00 EUR``, ``24h``."""

    name: str
    value: str


class RuleList(Reference, frozen=True):
    """A list that rules name as ``@name``: how many entries, and SHA-256 over them, sorted, a line each."""

    name: str
    of: str
    entries: int
    sha256: str


class RuleListPart(Reference, frozen=True):
    """Some entries of the list with this hash; with ``parts`` of them it is whole. Parts count from 0."""

    sha256: str
    part: int
    parts: int
    entries: tuple[str, ...]


class RuleBook(Reference, frozen=True):
    """Rules for every merchant, or (``merchant`` is not empty) one's own thresholds, lists and rules on top.

    ``language`` names the meaning of the rules' words; another meaning is another number.
    """

    language: int
    version: int
    merchant: str
    rules: tuple[WrittenRule, ...]
    thresholds: tuple[Threshold, ...]
    lists: tuple[RuleList, ...]


class Holidays(Reference, frozen=True):
    """Days on which no bank of ``currency`` works, as days since 1970-01-01."""

    currency: str
    days_on: tuple[int, ...]


KINDS: Final[dict[str, type[Reference]]] = {
    "merchant": MerchantTerms,
    "bins": BinTable,
    "network": NetworkProfile,
    "health": NetworkHealth,
    "fees": FeeTable,
    "rules": RulePack,
    "rulebook": RuleBook,
    "rulelist": RuleListPart,
    "holidays": Holidays,
}


def decode_reference(kind: str, content: str) -> Reference:
    """The typed content of a reference entry; ValidationError where the kind or the content is not known."""
    expected = KINDS.get(kind)
    if expected is None:
        raise ValidationError("kind", f"no reference data of kind {kind!r}; one of {', '.join(KINDS)}")
    try:
        return msgspec.json.decode(content, type=expected)
    except msgspec.MsgspecError as error:
        raise ValidationError("content", str(error)) from error


def encode_reference(content: Reference) -> str:
    """The canonical JSON of a reference entry."""
    return msgspec.json.encode(content, order="deterministic").decode()
