"""The table that composes processors into engines, and engines into the house.

An engine is one log's decisions. Its row says what it reads, which facts it takes from where, whose markers
bound its ticks, which processors decide in which order and what it hands on. Topics are made from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from events.authorization import NetworkNotSent, NetworkReplyReceived, NetworkReplyTimedOut
from events.base import Event
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
from events.payouts import DebitAnnounced, MerchantDebitOutcomeReceived
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised, PayoutAnnounced
from events.refunds import RefundRequested
from events.settlement import MerchantEntryReceived, MerchantSettingsRequested, PayoutOutcomeReceived
from streams import (
    authorization,
    clearing,
    disputes,
    exposure,
    fees,
    gathering,
    handovers,
    hotlist,
    intake,
    lifecycle,
    limits,
    reconciliation,
    refunds,
    review,
    risk,
    routing,
    settlement,
)
from streams.features.pieces import learn
from streams.features.shelf import row_decoder, shelves_in
from streams.handovers import HandoverFunction
from streams.processor import Processor

#: How many ticks later the answer of an outside party takes effect than the tick it answers. At least one,
#: or the tick would wait for itself; a little more lets the next ticks go on while the answer travels.
NOTICE_LAG: Final = 4
FEEDBACK_LAG: Final = 4
BANK_LAG: Final = 4
#: Settings take effect a tick later than they were asked for: by the clock on the wall settlement waits for payments
#: alone, and not for intake beside them.
SETTINGS_LAG: Final = 1
#: What goes beyond a limit in one interval is on the hotlist when the second one behind it ends. One tick would be
#: the least that there can be, but then every tick of payments waits for the one of velocity before it, and a run in
#: virtual time takes a quarter longer. By the clock on the wall nobody waits, and it is in force as soon as it comes.
HOTLIST_LAG: Final = 2


class Scope(Enum):
    """Which partitions of an upstream hand markers to partition p."""

    SAME = "the partition of the same index"
    ALL = "every partition"
    ZERO = "partition 0, for the upstream has but one"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A sender whose markers bound our ticks; ``lag`` in ticks. In wall time one with a lag is not waited for."""

    sender: str
    scope: Scope
    lag: int = 0

    def senders(self, partition: int, partitions: int) -> list[str]:
        """The sender names as partition ``partition`` of ``partitions`` sees them."""
        match self.scope:
            case Scope.SAME:
                return [f"{self.sender}/{partition}"]
            case Scope.ALL:
                return [f"{self.sender}/{upstream}" for upstream in range(partitions)]
            case Scope.ZERO:
                return [f"{self.sender}/0"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One row: an engine and everything it is connected to.

    ``inputs`` are read in this order (answers before new work); ``facts`` says which facts may stand in which;
    ``marks`` are the topics whose every partition learns that a tick is over.

    In wall time an engine with an ``own_clock`` waits for nobody, and its host strikes its ticks; the others take
    theirs from their upstreams. ``wall_marks`` are then the topics of those that wait for it.

    ``decoders`` read the states of the processors, in their order. They, and those of cold rows, are made with the row,
    when this module is loaded: msgspec learns a type step by step and lets other threads run between, and one that
    decodes by the same type meanwhile follows a pointer that is not there yet. Indexes are opened in threads, several
    at once.
    """

    name: str
    inputs: tuple[str, ...]
    facts: Mapping[str, frozenset[type[Event]]]
    upstreams: tuple[Upstream, ...]
    processors: tuple[Processor, ...]
    handovers: Mapping[type[Event], HandoverFunction]
    marks: tuple[str, ...]
    wall_marks: tuple[str, ...] = ()
    own_clock: bool = False
    decoders: tuple[msgspec.msgpack.Decoder[msgspec.Struct], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        states = [processor.initial() for processor in self.processors]
        for state in states:
            for shelf in shelves_in(state):
                row_decoder(shelf.kind)
            learn(state)
        made = tuple(msgspec.msgpack.Decoder(type(state)) for state in states)
        object.__setattr__(self, "decoders", made)


INTAKE: Final = EngineSpec(
    name="intake",
    inputs=("reference", "intake.inbox", "payments.requests"),
    facts={
        "intake.inbox": frozenset({RequestReceived, IncrementReceived, EvidenceReceived, SettingsReceived})
    },
    upstreams=(Upstream("requests", Scope.SAME), Upstream("intake", Scope.ALL)),
    processors=(intake,),
    handovers=handovers.INTAKE,
    marks=("payments.inbox", "settlement.inbox"),
    own_clock=True,
)

PAYMENTS: Final = EngineSpec(
    name="payments",
    inputs=("reference", "network.replies", "network.notices", "risk.hotlist", "payments.inbox"),
    facts={
        "network.replies": frozenset({NetworkReplyReceived, NetworkReplyTimedOut, NetworkNotSent}),
        "risk.hotlist": frozenset({HotlistAnnounced, LabelSignalled, ExamplesGathered}),
        "network.notices": frozenset(
            {
                ClearingRecordAnswered,
                ClearingReturnReceived,
                ClearingFileSent,
                ClearingFileRejected,
                ClearingFileAccepted,
                FraudReportReceived,
                DisputeNoticeReceived,
                ResolutionRequested,
            }
        ),
        "payments.inbox": frozenset(
            {
                PaymentRequested,
                CaptureRequested,
                IncrementRequested,
                VoidRequested,
                RefundRequested,
                DisputeEvidenceRequested,
            }
        ),
    },
    upstreams=(
        Upstream("intake", Scope.ALL),
        Upstream("network", Scope.ZERO, NOTICE_LAG),
        Upstream("velocity", Scope.ALL, HOTLIST_LAG),
    ),
    processors=(hotlist, risk, review, routing, authorization, lifecycle, refunds, clearing, disputes, fees),
    handovers=handovers.PAYMENTS,
    marks=("risk.signals", "settlement.inbox", "reconciliation.inbox"),
    wall_marks=("risk.signals", "settlement.inbox", "reconciliation.inbox"),
    own_clock=True,
)

VELOCITY: Final = EngineSpec(
    name="velocity",
    inputs=("reference", "risk.signals"),
    facts={
        "risk.signals": frozenset(
            {RiskSignalled, DeclineSignalled, LabelSignalled, ExampleDrawn, MerchantDisputesTallied}
        )
    },
    upstreams=(Upstream("payments", Scope.ALL),),
    processors=(limits, exposure, gathering),
    handovers=handovers.VELOCITY,
    marks=("risk.hotlist",),
)

SETTLEMENT: Final = EngineSpec(
    name="settlement",
    inputs=("reference", "settlement.inbox"),
    facts={
        "settlement.inbox": frozenset(
            {
                MerchantEntryReceived,
                MerchantSettingsRequested,
                PayoutOutcomeReceived,
                MerchantDebitOutcomeReceived,
            }
        )
    },
    upstreams=(
        Upstream("intake", Scope.ALL, SETTINGS_LAG),
        Upstream("payments", Scope.ALL),
        Upstream("reconciliation", Scope.ALL, FEEDBACK_LAG),
    ),
    processors=(settlement,),
    handovers=handovers.SETTLEMENT,
    marks=("reconciliation.inbox",),
    wall_marks=("reconciliation.inbox",),
)

RECONCILIATION: Final = EngineSpec(
    name="reconciliation",
    inputs=("reference", "reconciliation.inbox", "bank.statements"),
    facts={
        "reconciliation.inbox": frozenset(
            {ClearingCycleTotalled, SchemePeriodTotalled, PayoutAnnounced, DebitAnnounced}
        ),
        "bank.statements": frozenset({BankLineRecorded, NetworkSettlementAdvised, ResolutionRequested}),
    },
    upstreams=(
        Upstream("payments", Scope.ALL),
        Upstream("settlement", Scope.ALL),
        Upstream("bank", Scope.ZERO, BANK_LAG),
    ),
    processors=(reconciliation,),
    handovers=handovers.RECONCILIATION,
    marks=("settlement.inbox",),
)

#: In the order in which an index lets them work.
ENGINES: Final = (INTAKE, PAYMENTS, VELOCITY, SETTLEMENT, RECONCILIATION)

LOGS: Final = tuple(spec.name for spec in ENGINES)

#: Topics that engines alone write, each in one transaction with the event it follows from. Intake marks its own inbox
#: as soon as it is told that requests are over, for it hands on what came to a foreign partition at once.
INBOXES: Final = frozenset({"intake.inbox", *(topic for spec in ENGINES for topic in spec.marks)})

#: Where what nobody can decide is put aside, whichever partition it came to.
DEAD_LETTERS: Final = ("dead-letters", 0)


def written_by(index: int, partitions: int) -> list[tuple[str, int]]:
    """The topic partitions that an index may write: its own logs, which nobody else does, and what it hands on."""
    logs = [(log, index) for log in LOGS]
    inboxes = [(topic, number) for topic in sorted(INBOXES) for number in range(partitions)]
    return [*logs, *inboxes, DEAD_LETTERS]


#: Topics that every partition reads whole.
BROADCAST: Final = frozenset({"reference"})


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and what its key is."""

    name: str
    key: str
    partitioned: bool = True


TOPICS: Final = (
    Topic("payments.requests", "merchant + idempotency key"),
    Topic("intake.inbox", "merchant + idempotency key"),
    Topic("intake", "merchant + idempotency key"),
    Topic("payments.inbox", "card slot"),
    Topic("payments", "card slot"),
    Topic("network.replies", "card slot"),
    Topic("network.notices", "card slot"),
    Topic("settlement.inbox", "merchant"),
    Topic("settlement", "merchant"),
    Topic("reconciliation.inbox", "bank account"),
    Topic("reconciliation", "bank account"),
    Topic("bank.statements", "bank account"),
    Topic("reference", "kind and id", partitioned=False),
    Topic("dead-letters", "source topic", partitioned=False),
    Topic("risk.signals", "dimension and value"),
    Topic("velocity", "dimension and value"),
    Topic("risk.hotlist", "none: a copy for every partition"),
)
