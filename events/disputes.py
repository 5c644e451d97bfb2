"""What issuers say afterwards: that a payment was fraud, or that their cardholder disputes it. The log ``payments``.

A **case** is one dispute of one payment, under the network's name for it. Its money stands on two clearing accounts
until it is closed: what the network has withdrawn (DR) and what the merchant was debited (DH). Stages and reason codes
are the networks' own: Visa Core Rules, chapter 11 (conditions 10.x fraud, 11.x authorization, 12.x processing errors,
13.x consumer disputes); Mastercard Chargeback Guide (48xx).

An issuer reports fraud to its network, which passes the report on to the acquirer: Visa's TC40 records, Mastercard's
System to Avoid Fraud Effectively (SAFE). Such an early warning moves no money. It is a label: what a payment turned out
to be, known from here on and never before.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT
from events.requests import Answered


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
    DISPUTE = "dispute"
    """The issuer, by a dispute with a reason of fraud; or the end of that dispute, when it did not stand."""
    ANALYST = "analyst"
    """One of our own people, or two who agree, in the decision of a review."""
    REFUND = "refund"
    """The merchant, by an approved refund with the reason `fraudulent`."""


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

    NUMBER_OUT_OF_ORDER = "number_out_of_order"
    """An earlier notice about the case has not come: the network has to send it first."""
    CASE_UNKNOWN = "case_unknown"
    """No dispute was opened under this name."""
    CASE_CLOSED = "case_closed"
    """The case has ended: who still has a claim has to open another."""
    CASE_OPEN = "case_open"
    """A dispute was opened under this name before."""
    STEP_OUT_OF_ORDER = "step_out_of_order"
    """The case stands where this cannot happen."""
    AMOUNT_ABOVE_CLEARED = "amount_above_cleared"
    """More than the network ever paid for the payment, less what is disputed already."""
    AMOUNT_MISMATCH = "amount_mismatch"
    """More than the network holds is to be returned, or more than it returned is to be withdrawn again."""
    CYCLE_MISSING = "cycle_missing"
    """Money moves, and no cycle is named that it settles in."""


class DisputeStep(StrEnum):
    """What a network says of a case."""

    INQUIRY_OPENED = "inquiry_opened"
    """The issuer asks what the payment was (a retrieval request); no money moves."""
    INQUIRY_CLOSED = "inquiry_closed"
    """The issuer is content with what it knows."""
    CHARGEBACK = "chargeback"
    """The issuer disputes the payment, and the network takes the money from us."""
    EVIDENCE_CREDITED = "evidence_credited"
    """Our evidence is with the issuer (second presentment): the network returns all of the money or a part."""
    EVIDENCE_ACCEPTED = "evidence_accepted"
    """The issuer gives in."""
    EVIDENCE_REFUSED = "evidence_refused"
    """The network found the evidence not fit to be passed on."""
    PRE_ARBITRATION = "pre_arbitration"
    """The issuer insists, and the network takes the money again."""
    RULED = "ruled"
    """The network has ruled; the amount is what it gives back, nothing where the issuer wins."""
    WITHDRAWN = "withdrawn"
    """The issuer lets go, and the network gives back what it holds."""


class DisputeStage(StrEnum):
    """How far a case has come, and whose turn it is."""

    INQUIRY = "inquiry"
    """The issuer has asked. Our merchant may answer."""
    CHARGEBACK = "chargeback"
    """The money is gone. It is the merchant's turn: evidence, or the case is lost when the time is up."""
    REPRESENTMENT = "representment"
    """Evidence was sent. It is the issuer's turn."""
    PRE_ARBITRATION = "pre_arbitration"
    """The issuer insists. It is the merchant's turn, for the last time."""
    ARBITRATION = "arbitration"
    """The network itself will rule."""


class EvidenceRejection(StrEnum):
    """Why a merchant's evidence was refused."""

    CASE_UNKNOWN = "case_unknown"
    """The payment has no dispute of this name."""
    MERCHANT_MISMATCH = "merchant_mismatch"
    """The payment is another merchant's; nothing more is said of it."""
    CASE_CLOSED = "case_closed"
    """The case has ended."""
    TOO_LATE = "too_late"
    """The time to answer is over."""
    ALREADY_SUBMITTED = "already_submitted"
    """Evidence was sent at this stage, and the other side has not answered yet."""
    PAYMENT_UNKNOWN = "payment_unknown"
    """There is no such payment, or it is too old to be disputed."""
    STAGE_MISMATCH = "stage_mismatch"
    """The case does not stand where the evidence says that it answers: it has gone on, or has not come so far."""


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
    """What a payment turned out to be, by ``source``; ``reference`` is its report, its case, the refund or the analyst.

    A later one replaces an earlier one of the same voice: the issuer's, the merchant's, or that of our own people.
    ``paid_at`` is the event time of the payment; 0 where an older version of this event did not say it.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 4

    payment_id: str
    merchant: str
    card_id: str
    source: LabelSource
    label: Label
    reference: str
    amount: int
    currency: str
    paid_at: int = 0


class FraudReportRefused(Event, frozen=True):
    """A fraud report that means nothing here."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    network: str
    report_id: str
    reason: NoticeRefusal
    amount: int
    currency: str


class DisputeNoticeReceived(Event, frozen=True):
    """What the network says of a case. ``number`` counts its notices about the case from 1.

    ``cycle`` is where money that moves settles, empty where none moves; ``reply_by_at`` is when the merchant's time to
    answer ends (0: nothing is asked of it). ``arn`` names the clearing record, for people who look for it.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    case_id: str
    number: int
    step: DisputeStep
    reason_code: str
    arn: str
    amount: int
    currency: str
    cycle: str
    reply_by_at: int


class DisputeNoticeRefused(Event, frozen=True):
    """A notice that has no effect here. If it moved money, the cycle it names will not agree with the network's."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    case_id: str
    number: int
    step: DisputeStep
    reason: NoticeRefusal
    amount: int
    currency: str


class DisputeInquiryOpened(Event, frozen=True):
    """The issuer asks what a payment was. A dispute may follow."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    reason_code: str
    amount: int
    currency: str
    reply_by_at: int


class DisputeInquiryClosed(Event, frozen=True):
    """The inquiry is over; nothing moved."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str


class DisputeOpened(Event, frozen=True):
    """The issuer disputes ``amount`` of a payment. The merchant may answer until ``reply_by_at``."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    reason_code: str
    arn: str
    amount: int
    currency: str
    cycle: str
    reply_by_at: int


class DisputeFundsWithdrawn(Event, frozen=True):
    """The network takes ``amount`` from what it owes us, in its cycle. May come again at a later stage."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    case_id: str
    stage: DisputeStage
    amount: int
    currency: str
    cycle: str


class DisputeMerchantDebited(Event, frozen=True):
    """What is disputed is taken from the merchant and held until the case is closed. Once for each case."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    case_id: str
    amount: int
    currency: str


class DisputeFundsReturned(Event, frozen=True):
    """The network gives ``amount`` back, in its cycle."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    network: str
    case_id: str
    stage: DisputeStage
    amount: int
    currency: str
    cycle: str


class DisputeEvidenceRequested(Event, frozen=True):
    """The merchant answers an inquiry or a dispute. ``documents`` are SHA-256 of what it sends, in hex.

    ``stage`` came with version 2; where there is none, whatever is asked of the merchant is answered.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    idempotency_key: str
    case_id: str
    documents: list[str]
    stage: Answered | None = None


class DisputeEvidenceRejected(Event, frozen=True):
    """Evidence that goes nowhere."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    idempotency_key: str
    case_id: str
    reason: EvidenceRejection


class DisputeEvidenceSubmitted(Event, frozen=True):
    """Evidence is on its way to the issuer; ``stage`` is the one that it answers."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    stage: DisputeStage
    amount: int
    currency: str
    documents: list[str]


class DisputeEvidenceAccepted(Event, frozen=True):
    """The issuer gives in at this stage."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    stage: DisputeStage


class DisputeEvidenceExpired(Event, frozen=True):
    """The merchant's time to answer at this stage is over, and nothing came."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    stage: DisputeStage


class DisputeEscalated(Event, frozen=True):
    """The case goes on to ``stage``; the merchant may answer until ``reply_by_at`` (0: it has nothing more to say)."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    stage: DisputeStage
    reply_by_at: int


class DisputeWithdrawn(Event, frozen=True):
    """The issuer lets go of its dispute."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    stage: DisputeStage


class DisputeWon(Event, frozen=True):
    """``amount`` of what was disputed is the merchant's again. The case is closed; the rest, if any, is lost."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    amount: int
    currency: str


class DisputeLost(Event, frozen=True):
    """``amount`` of what was disputed is the cardholder's. The case is closed; the rest, if any, is won."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    network: str
    case_id: str
    amount: int
    currency: str
