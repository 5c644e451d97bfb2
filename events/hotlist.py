"""What is seen too often, and what is refused or looked at because of it.

The log ``velocity`` counts what payments have in common besides their card's home: addresses, devices, shops. What
goes beyond a limit is announced to every partition of the log ``payments``, which puts it on its hotlist at a tick.
A key of either is a dimension and a value, ``ip:ip-5f2c9a01``; values are surrogates of the vault.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class Dimension(StrEnum):
    """What payments may have in common."""

    CARD = "card"
    """The card, by its token."""
    IP = "ip"
    """The internet address that a payment came from."""
    DEVICE = "device"
    """The customer's device; at a till the device is the merchant's own, and is no key."""
    EMAIL = "email"
    """The customer's e-mail address."""
    MERCHANT = "merchant"
    """The merchant."""


class Measure(StrEnum):
    """What is counted under a key."""

    COUNT = "count"
    """Payments that were asked for, whatever became of them."""
    CARDS = "cards"
    """Different cards; counted under addresses, devices and merchants."""
    SUM = "sum"
    """What they asked for, whatever became of them: minor units added as they stand, whatever the currency."""
    DECLINES = "declines"
    """Payments that were declined: by the issuer, by ourselves, or because there was no way to the issuer."""


class Window(StrEnum):
    """How far back is counted. Up to a day all are exact, whatever comes late.

    Beyond that a key of more than 8,192 payments counts the hour in which a window begins as a whole.
    """

    TEN_MINUTES = "10m"
    """Ten minutes."""
    HOUR = "1h"
    """One hour."""
    DAY = "24h"
    """Twenty-four hours, not a calendar day."""
    WEEK = "7d"
    """Seven times twenty-four hours."""
    MONTH = "30d"
    """Thirty times twenty-four hours, not a calendar month."""


class Standing(StrEnum):
    """What being on the hotlist means, mildest first."""

    REVIEW = "review"
    """A payment with this key goes on, and a person looks at it."""
    BLOCK = "block"
    """A payment with this key is declined, and no network is asked."""


class ListedBy(StrEnum):
    """Who put a key on the hotlist."""

    LIMIT = "limit"
    """A limit that it went beyond: it comes off by itself when the hold is over."""
    OPERATOR = "operator"
    """A person, by `tallystick blocks add`."""


class ReleaseCause(StrEnum):
    """Why a key came off the hotlist."""

    EXPIRED = "expired"
    """Its time was over. Who goes on in the same way is put on it again."""
    OPERATOR = "operator"
    """A person took it off, by `tallystick blocks release`. No limit puts it back before the time that was given."""


class RiskSignalled(Event, frozen=True):
    """A payment was asked for: to be counted under those of its keys that this partition holds.

    ``dimensions`` names them; what is not counted here is empty, but for the card, which is counted under other keys.
    ``amount`` in minor units of ``currency``.
    """

    payment_id: str
    card_id: str
    ip_ref: str
    device_ref: str
    email_ref: str
    merchant: str
    amount: int
    currency: str
    dimensions: list[Dimension]


class DeclineNoted(Event, frozen=True):
    """A payment was declined, by whomever: with the keys under which it counts, empty for those that it has not.

    ``paid_at`` is the event time of the payment. It stands behind the decline in the payment's own log, and goes to
    every partition that counts one of its keys as :class:`DeclineSignalled`.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    card_id: str
    ip_ref: str
    device_ref: str
    email_ref: str
    merchant: str
    paid_at: int


class DeclineSignalled(Event, frozen=True):
    """A payment that this partition was told of by :class:`RiskSignalled` was declined; ``paid_at`` as there.

    Under which keys it counts is known here: a decline is one small fact more, and an approval none.
    """

    payment_id: str
    paid_at: int


class VelocityLimitReached(Event, frozen=True):
    """A key went beyond a limit, or goes on beyond it half-way through its hold: it is announced until ``until_at``.

    ``measured`` is what was counted in ``window`` up to ``reached_at``, the event time of ``payment_id``; the limit
    allows ``allowed``. Of a limit on sums both are minor units. Sums, declines and the two long windows came with
    version 2.
    """

    KEY: ClassVar[tuple[str, ...]] = ("item",)
    VERSION: ClassVar[int] = 2

    item: str
    limit_id: str
    measure: Measure
    window: Window
    allowed: int
    measured: int
    standing: Standing
    payment_id: str
    reached_at: int
    until_at: int


class VelocityLimitCleared(Event, frozen=True):
    """The hold of a key is over: the next time it goes beyond a limit is announced at once."""

    KEY: ClassVar[tuple[str, ...]] = ("item",)

    item: str
    limit_id: str
    cause: ReleaseCause


class HotlistAnnounced(Event, frozen=True):
    """A limit wants a key on the hotlist until ``until_at``; in force from the tick that ends its interval."""

    item: str
    limit_id: str
    standing: Standing
    until_at: int


class HotlistApplied(Event, frozen=True):
    """A key is on the hotlist of this partition from here on.

    ``reason`` is the limit, or what the operator gave; ``author`` the operator. ``until_at`` of 0 has no end.
    """

    item: str
    standing: Standing
    listed_by: ListedBy
    reason: str
    author: str
    until_at: int


class HotlistReleased(Event, frozen=True):
    """A key is no longer on the hotlist of this partition for what ``listed_by`` put it there."""

    item: str
    listed_by: ListedBy
    cause: ReleaseCause
    reason: str
    author: str
