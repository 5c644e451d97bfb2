"""The table that composes processors into engines, and engines into the house.

An engine is one log's decisions. Its row says what it reads, which facts it takes from where, whose markers
bound its ticks, which processors decide in which order and what it hands on. Topics are made from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from events.authorization import NetworkNotSent, NetworkReplyReceived, NetworkReplyTimedOut
from events.base import Event
from events.clearing import ClearingCycleTotalled, ClearingRecordAnswered, SchemePeriodTotalled
from events.intake import RequestReceived
from events.lifecycle import CaptureRequested, PaymentRequested, VoidRequested
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised, PayoutAnnounced
from events.refunds import RefundRequested
from events.settlement import MerchantEntryReceived, PayoutOutcomeReceived
from streams import (
    authorization,
    clearing,
    fees,
    handovers,
    intake,
    lifecycle,
    reconciliation,
    refunds,
    risk,
    routing,
    settlement,
)
from streams.handovers import HandoverFunction
from streams.processor import Processor

#: How many ticks later the answer of an outside party takes effect than the tick it answers. At least one,
#: or the tick would wait for itself; a little more lets the next ticks go on while the answer travels.
NOTICE_LAG: Final = 4
FEEDBACK_LAG: Final = 4
BANK_LAG: Final = 4


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


INTAKE: Final = EngineSpec(
    name="intake",
    inputs=("reference", "intake.inbox", "payments.requests"),
    facts={"intake.inbox": frozenset({RequestReceived})},
    upstreams=(Upstream("requests", Scope.SAME), Upstream("intake", Scope.ALL)),
    processors=(intake,),
    handovers=handovers.INTAKE,
    marks=("payments.inbox",),
    own_clock=True,
)

PAYMENTS: Final = EngineSpec(
    name="payments",
    inputs=("reference", "network.replies", "network.notices", "payments.inbox"),
    facts={
        "network.replies": frozenset({NetworkReplyReceived, NetworkReplyTimedOut, NetworkNotSent}),
        "network.notices": frozenset({ClearingRecordAnswered}),
        "payments.inbox": frozenset({PaymentRequested, CaptureRequested, VoidRequested, RefundRequested}),
    },
    upstreams=(Upstream("intake", Scope.ALL), Upstream("network", Scope.SAME, NOTICE_LAG)),
    processors=(risk, routing, authorization, lifecycle, refunds, clearing, fees),
    handovers=handovers.PAYMENTS,
    marks=("settlement.inbox", "reconciliation.inbox"),
    wall_marks=("settlement.inbox", "reconciliation.inbox"),
    own_clock=True,
)

SETTLEMENT: Final = EngineSpec(
    name="settlement",
    inputs=("reference", "settlement.inbox"),
    facts={"settlement.inbox": frozenset({MerchantEntryReceived, PayoutOutcomeReceived})},
    upstreams=(Upstream("payments", Scope.ALL), Upstream("reconciliation", Scope.ALL, FEEDBACK_LAG)),
    processors=(settlement,),
    handovers=handovers.SETTLEMENT,
    marks=("reconciliation.inbox",),
    wall_marks=("reconciliation.inbox",),
)

RECONCILIATION: Final = EngineSpec(
    name="reconciliation",
    inputs=("reference", "reconciliation.inbox", "bank.statements"),
    facts={
        "reconciliation.inbox": frozenset({ClearingCycleTotalled, SchemePeriodTotalled, PayoutAnnounced}),
        "bank.statements": frozenset({BankLineRecorded, NetworkSettlementAdvised}),
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
ENGINES: Final = (INTAKE, PAYMENTS, SETTLEMENT, RECONCILIATION)

LOGS: Final = tuple(spec.name for spec in ENGINES)

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
)
