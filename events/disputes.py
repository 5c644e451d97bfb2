"""What issuers say afterwards: that a payment was fraud, or that their cardholder disputes it. The log ``payments``.

An issuer reports fraud to its network, which passes the report on to the acquirer: Visa's TC40 records, Mastercard's
System to Avoid Fraud Effectively (SAFE). Such an early warning moves no money. It is a label: what a payment turned out
to be, known from here on and never before.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class FraudProgram(StrEnum):
    """By which of the networks' programmes an issuer reported fraud."""

    TC40 = "tc40"
    """Visa: a TC40 record of the Fraud Reporting System."""
    SAFE = "safe"
    """Mastercard: System to Avoid Fraud Effectively, today Fraud and Loss Database."""
    OTHER = "other"
    """The report of another network."""


class Label(StrEnum):
    """What a payment turned out to be."""

    FRAUD = "fraud"
    """The cardholder did not make it."""
    GENUINE = "genuine"
    """It was called fraud, and that did not stand: the cardholder made it."""


class LabelSource(StrEnum):
    """Who says so."""

    EARLY_WARNING = "early_warning"
    """The issuer, in a fraud report to its network."""


class NoticeRefusal(StrEnum):
    """Why a notice about fraud or a dispute had no effect."""

    PAYMENT_UNKNOWN = "payment_unknown"
    """There is no such payment, or it is too old to be disputed. The network has to name another."""
    NETWORK_MISMATCH = "network_mismatch"
    """The payment went over another network. Ask the one that sent the notice."""
    CURRENCY_MISMATCH = "currency_mismatch"
    """Not the currency of the payment."""
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    """The notice has to name an amount above zero."""
    NOTICE_REPEATED = "notice_repeated"
    """The same notice was heard before, and has had its effect."""


class FraudReportReceived(Event, frozen=True):
    """An issuer's fraud report, as the network passes it on. ``fraud_type`` is the network's own code."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    report_id: str
    program: FraudProgram
    fraud_type: str
    amount: int
    currency: str


class EarlyFraudWarningReceived(Event, frozen=True):
    """The issuer has reported a payment of ours as fraud. A dispute may follow, or none."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    card_id: str
    network: str
    report_id: str
    program: FraudProgram
    fraud_type: str
    amount: int
    currency: str


class FraudConfirmed(Event, frozen=True):
    """What a payment turned out to be, by ``source``; ``reference`` is its report. A later one replaces it."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    card_id: str
    source: LabelSource
    label: Label
    reference: str
    amount: int
    currency: str


class FraudReportRefused(Event, frozen=True):
    """A fraud report that means nothing here."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    report_id: str
    reason: NoticeRefusal
    amount: int
    currency: str
