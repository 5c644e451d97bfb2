"""What passes between logs and edges: facts with a sender, markers, sealed dead letters.

``sender`` is the upstream partition (``intake/3``, ``network/0``, ``bank/0``): the engine that receives it
counts intervals per sender.
"""

from typing import ClassVar

from events.authorization import NetworkNotSent, NetworkReplyReceived, NetworkReplyTimedOut
from events.base import Message
from events.clearing import (
    ClearingCycleTotalled,
    ClearingRecordAnswered,
    ClearingReturnReceived,
    SchemePeriodTotalled,
)
from events.clearingfiles import ClearingFileAccepted, ClearingFileRejected, ClearingFileSent
from events.corrections import ResolutionRequested
from events.disputes import DisputeEvidenceRequested, DisputeNoticeReceived, FraudReportReceived
from events.examples import ExampleDrawn, ExamplesGathered
from events.exposure import MerchantDisputesTallied
from events.hotlist import DeclineSignalled, HotlistAnnounced, RiskSignalled
from events.intake import EvidenceReceived, IncrementReceived, RequestReceived, SettingsReceived
from events.labels import LabelSignalled
from events.lifecycle import CaptureRequested, IncrementRequested, PaymentRequested, VoidRequested
from events.partitions import DeadLetterReason
from events.payouts import DebitAnnounced, MerchantDebitOutcomeReceived
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised, PayoutAnnounced
from events.refunds import RefundRequested
from events.settlement import MerchantEntryReceived, MerchantSettingsRequested, PayoutOutcomeReceived


class Handover(Message, frozen=True):
    """A fact for another log: the receiver records ``fact`` as its own event, once."""

    VERSION: ClassVar[int] = 18

    sender: str
    causation_id: str
    correlation_id: str
    occurred_at: int
    ingested_at: int
    simulated: bool
    fact: (
        RequestReceived
        | PaymentRequested
        | CaptureRequested
        | VoidRequested
        | RefundRequested
        | NetworkReplyReceived
        | NetworkReplyTimedOut
        | NetworkNotSent
        | ClearingRecordAnswered
        | MerchantEntryReceived
        | PayoutOutcomeReceived
        | ClearingCycleTotalled
        | SchemePeriodTotalled
        | PayoutAnnounced
        | BankLineRecorded
        | NetworkSettlementAdvised
        | FraudReportReceived
        | RiskSignalled
        | HotlistAnnounced
        | ResolutionRequested
        | DisputeNoticeReceived
        | DisputeEvidenceRequested
        | IncrementReceived
        | IncrementRequested
        | DebitAnnounced
        | MerchantDebitOutcomeReceived
        | ClearingReturnReceived
        | EvidenceReceived
        | LabelSignalled
        | ClearingFileSent
        | ClearingFileRejected
        | ClearingFileAccepted
        | SettingsReceived
        | MerchantSettingsRequested
        | ExampleDrawn
        | ExamplesGathered
        | MerchantDisputesTallied
        | DeclineSignalled
    )


class Marker(Message, frozen=True):
    """Everything that ``sender`` made for tick ``tick`` stands before this."""

    sender: str
    tick: int
    at: int
    reference_version: int


class DeadLetter(Message, frozen=True):
    """What could not be taken: reason and source in clear, the bytes sealed to the vault's public key."""

    topic: str
    partition: int
    offset: int
    reason: DeadLetterReason
    detail: str
    key_id: str
    sealed: bytes
