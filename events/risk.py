"""What was thought of a payment: before it was sent anywhere, and when the issuer has answered."""

from enum import StrEnum
from typing import ClassVar

import msgspec

from events.base import Event, Part
from events.lifecycle import PAYMENT


class Phase(StrEnum):
    """When a rule is asked, earliest first: as soon as everything that it reads can be known."""

    BEFORE_AUTHORIZATION = "before_authorization"
    """Before any network was asked."""
    AFTER_AUTHENTICATION = "after_authentication"
    """When the cardholder's bank has said who is paying, before it is asked for money."""
    AFTER_AUTHORIZATION = "after_authorization"
    """When the issuer has answered."""


class Verdict(StrEnum):
    """The decision, mildest first."""

    ALLOW = "allow"
    """Go on."""
    REVIEW = "review"
    """Go on, and let a person look at it before it is captured, where a queue is in force."""
    STEP_UP = "step_up"
    """The cardholder should authenticate first. Nobody can ask for that yet: it goes on as one to be reviewed."""
    BLOCK = "block"
    """Decline without asking any network; behind an authorization, take it back."""


class Mode(StrEnum):
    """Whether what a model says counts."""

    ENFORCE = "enforce"
    """Rules read its score."""
    SHADOW = "shadow"
    """It is told, and decides nothing."""


class ModelScore(Part, frozen=True):
    """What a model said: ``score`` 0 to 100, and the ``margin`` (log-odds, 20 bits behind the point) behind it.

    ``model`` are the first 16 letters of the model's SHA-256, ``version`` is the model's own; of a scorecard that
    learns in the stream, of the document that it began with, and the number of the last batch that it has learned.
    """

    model: str
    version: int
    mode: Mode
    score: int
    margin: int


class RiskAssessed(Event, frozen=True):
    """A verdict with everything it was made of.

    ``features`` are the values in the order of the feature set ``feature_set``, -1 for what was not known;
    ``texts`` are those of its features that are texts, "" for what was not known. ``rules`` are the names of all
    rules that matched, in pack order, ``shadow_rules`` those that matched and decide nothing, ``failed_rules`` those
    that divided by zero here. ``score`` are the points of the rules, 0 (harmless) to 100; ``models`` is what each model
    in use said, the champion first.

    A verdict behind an authorization stands on the one before it: it has no ``features`` of its own, and its ``texts``
    are what the issuer's answer adds, in the words of rules. It is given where some rule in force is asked then.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    verdict: Verdict
    score: int
    rules: list[str]
    feature_set: int
    features: list[int]
    phase: Phase = Phase.BEFORE_AUTHORIZATION
    texts: list[str] = msgspec.field(default_factory=list)
    shadow_rules: list[str] = msgspec.field(default_factory=list)
    failed_rules: list[str] = msgspec.field(default_factory=list)
    models: list[ModelScore] = msgspec.field(default_factory=list)
