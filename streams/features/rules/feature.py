"""One entry of the catalogue: a feature's type, who says it, when it is known, and what it means."""

from enum import StrEnum
from typing import NamedTuple

from events.risk import Phase
from streams.features.rules.types import Type


class Source(StrEnum):
    """Who says it. What the source has not said is not known."""

    REQUEST = "the request"
    TERMS = "reference data"
    VELOCITY = "velocity"
    HISTORY = "the history"
    MODEL = "the model"
    IDENTITY = "an identity provider"
    AUTHENTICATION = "3-D Secure"
    NETWORK = "the network"


Value = int | bool | str | None


class Feature(NamedTuple):
    """One entry of a vector.

    ``usual`` is its value on an ordinary payment: what a test that does not give it gets, and what tells the compiler
    which conditions rarely hold. ``optional`` ones may be unknown.
    """

    name: str
    type: Type
    unit: str
    source: Source
    meaning: str
    usual: Value
    optional: bool = False
    phase: Phase = Phase.BEFORE_AUTHORIZATION
