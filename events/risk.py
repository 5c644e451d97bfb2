"""What was thought of a payment before it was sent anywhere."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class Verdict(StrEnum):
    """The decision, mildest first."""

    ALLOW = "allow"
    """Go on."""
    REVIEW = "review"
    """Go on, and mark it: nobody is asked, for there is no review queue yet."""
    BLOCK = "block"
    """Decline without asking any network."""


class RiskAssessed(Event, frozen=True):
    """A verdict with everything it was made of.

    ``features`` are the values in the order of the feature catalogue ``feature_set``; ``rules`` are the
    names of all rules that matched, in pack order. ``score`` is 0 (harmless) to 100.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    verdict: Verdict
    score: int
    rules: list[str]
    feature_set: int
    features: list[int]
