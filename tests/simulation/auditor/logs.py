"""What every room knows: the topics, what each log takes of them, and an event as the auditor sees it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

#: The topics of the embedded log in the order of their numbers, from 1.
TOPICS = (
    "payments.requests",
    "intake.inbox",
    "intake",
    "payments.inbox",
    "payments",
    "network.replies",
    "network.notices",
    "settlement.inbox",
    "settlement",
    "reconciliation.inbox",
    "reconciliation",
    "bank.statements",
    "reference",
    "dead-letters",
    "risk.signals",
    "velocity",
    "risk.hotlist",
)
#: The logs, and the topics that each of them takes whole. Partition p takes partition p, and all of "reference".
INPUTS = {
    "intake": ("reference", "intake.inbox", "payments.requests"),
    "payments": ("reference", "network.replies", "network.notices", "risk.hotlist", "payments.inbox"),
    "velocity": ("reference", "risk.signals"),
    "settlement": ("reference", "settlement.inbox"),
    "reconciliation": ("reference", "reconciliation.inbox", "bank.statements"),
}
LOGS = tuple(INPUTS)

#: A day in the time of events, and how far from the transport's stamp a producer's time is believed; microseconds.
DAY = 86_400_000_000
BELIEVED = 240_000_000

Record = tuple[str, int, int, bytes]
Body = dict[str, Any]
Findings = Iterator[str]


class Event(NamedTuple):
    """An event as the auditor sees it."""

    where: str
    log: str
    partition: int
    name: str
    meta: Body
    body: Body

    @property
    def event_id(self) -> str:
        """Its name: key and sequence."""
        return f"{self.meta['key']}.{self.meta['sequence']}"


def event_time(meta: Body) -> int:
    """The producer's time, as far as it is believed."""
    stamp = meta["ingested_at"]
    return min(max(meta["occurred_at"], stamp - BELIEVED), stamp + BELIEVED)
