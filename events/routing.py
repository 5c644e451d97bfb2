"""Which network a payment was sent over, and why."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event, Part
from events.lifecycle import PAYMENT


class RouteReason(StrEnum):
    """Why this network came first."""

    ONLY = "only"
    """No other network could carry the payment."""
    CHEAPEST = "cheapest"
    """The lowest expected cost among the fit ones."""
    HEALTHIER = "healthier"
    """A cheaper one is unfit."""


class FailoverReason(StrEnum):
    """Why the network before was left."""

    NOT_SENT = "not_sent"
    """The message provably never left."""


class RouteCandidate(Part, frozen=True):
    """A network that could carry the payment. ``cost`` is the expected cost in minor units of the payment."""

    network: str
    cost: int
    success_ppm: int
    healthy: bool


class RouteSelected(Event, frozen=True):
    """The network and merchant number for one attempt (from 1)."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    attempt: int
    network: str
    brand: str
    mid: str
    reason: RouteReason
    candidates: list[RouteCandidate]


class RouteFailedOver(Event, frozen=True):
    """The attempt before was provably not sent; the next network is tried."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    left: str
    chosen: str
    reason: FailoverReason


class RouteExhausted(Event, frozen=True):
    """No network can carry the payment (any more)."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    brand: str
    tried: list[str]
