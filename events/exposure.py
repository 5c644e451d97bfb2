"""How many of a merchant's payments are reported or disputed, against the networks' programmes.

The payments of a merchant are spread over the partitions of the log ``payments`` by their cards, so each partition
tells what it has counted, once a day, and the log ``velocity`` adds it up in the partition of the merchant. There an
alert is raised before a network's limits are reached, and when they are.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event


class DisputeAlertLevel(StrEnum):
    """How near a merchant is to a programme, mildest first. Each is said once a month."""

    NEAR = "near"
    """The stated share of every limit of the programme is reached."""
    EXPECTED = "expected"
    """Payments that were made already are expected to bring it to the limits before the month ends."""
    EXCEEDED = "exceeded"
    """The limits are reached: the network will name the merchant."""


class MerchantDisputesTallied(Event, frozen=True):
    """What this partition has counted of a merchant at a network on one day of logical time, in one currency.

    ``cleared`` payments, with those without a card present (``remote``) and in e-commerce; ``ecommerce_sales`` is what
    the last came to. Then fraud reports and disputes, each with those of remote payments; ``ecommerce_fraud`` is what
    was disputed in e-commerce as fraud. Amounts in minor units.
    """

    merchant: str
    network: str
    currency: str
    day_on: int
    cleared: int
    remote: int
    ecommerce: int
    ecommerce_sales: int
    reports: int
    remote_reports: int
    disputes: int
    remote_disputes: int
    ecommerce_fraud: int


class DisputeAlertRaised(Event, frozen=True):
    """A merchant comes near a programme in the month that begins on ``month_on``, as known behind ``day_on``.

    ``counted`` (cases, or minor units of ``currency`` where the programme goes by amount) against ``base``;
    ``expected`` and ``expected_base`` are what they will have come to when the month ends, by what is known today.
    ``least`` and ``least_bps`` are the programme's limits, both of which have to be reached.
    """

    KEY: ClassVar[tuple[str, ...]] = ("merchant", "programme")

    merchant: str
    network: str
    programme: str
    currency: str
    month_on: int
    day_on: int
    level: DisputeAlertLevel
    counted: int
    base: int
    expected: int
    expected_base: int
    least: int
    least_bps: int
