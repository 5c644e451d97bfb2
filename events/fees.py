"""What carrying a payment costs, and what it is charged for. Rates are parts per million of the amount."""

from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class InterchangeAssessed(Event, frozen=True):
    """What the issuer keeps of a presentment; our own figure, from the fee table in force."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    record_id: str
    program: str
    rate_ppm: int
    fixed: int
    amount: int
    currency: str
    cycle: str
    fee_table_version: int


class InterchangeReturned(Event, frozen=True):
    """What the issuer gives back with a refund."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    record_id: str
    program: str
    rate_ppm: int
    fixed: int
    amount: int
    currency: str
    cycle: str
    fee_table_version: int


class SchemeFeeAssessed(Event, frozen=True):
    """What the network will invoice for one record, by invoice period (``2026-W10``)."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    record_id: str
    fee_id: str
    amount: int
    currency: str
    period: str
    fee_table_version: int


class ProcessingFeeCharged(Event, frozen=True):
    """What the merchant pays for a presented capture: fixed part and share, by its plan."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    capture_id: str
    amount: int
    currency: str
    plan_version: int


class FeeCorrected(Event, frozen=True):
    """What the issuer keeps of a record is ``new`` and not ``old`` (negative: it gives back): ``amount`` more.

    The network's figure was found to be right, and somebody approved that ours becomes it.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    record_id: str
    old: int
    new: int
    amount: int
    currency: str
    cycle: str
    approved_by: str


class DisputeFeeCharged(Event, frozen=True):
    """What the merchant pays for a dispute, by its plan; won or lost."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    case_id: str
    amount: int
    currency: str
    plan_version: int
