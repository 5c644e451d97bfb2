"""Asking the log that holds an item to put it right.

A request is a fact of its own on the topic by which the outside speaks to that log, so the log is complete with it:
what was asked, by whom, who approved, and what was decided. It is named after everything that it says, so the same
command again, after a doubt, is the same request, which is decided once.
"""

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from events.corrections import ResolutionAction, ResolutionRequested
from events.errors import Refused
from events.messages import Handover
from events.partitions import ClockKind
from events.reconciliation import DiscrepancyKind
from events.wire import encode_message
from projections.reading import Reader, records
from streams.forensics.replay import run_of
from streams.hosts.clocks import WallClock
from streams.hosts.log import Append

if TYPE_CHECKING:
    from streams.hosts.cluster import Cluster

#: By which topic a log hears what somebody outside wants, and the name under which we speak there.
TOPICS: Final = {"payments": "network.notices", "reconciliation": "bank.statements"}
OWNER: Final = "desk"

NOT_IN_VIRTUAL_TIME: Final = (
    "this log lives in virtual time, which is made of one input: nobody can ask anything of it behind that. "
    "tallystick demo --plant-differences has a simulated desk that asks in its time"
)


class Open(NamedTuple):
    """A discrepancy that nobody has put right: the log and partition that hold it, and what a correction would move
    (minor units of ``currency``)."""

    item: str
    kind: DiscrepancyKind
    expected: str
    currency: str
    moves: int
    log: str
    partition: int


def open_discrepancy(db: Reader, item: str) -> Open:
    """The newest open discrepancy of an item. Refused where there is none."""
    found = records(
        db,
        "SELECT item, kind, expected, currency, difference, log, partition FROM discrepancies"
        " WHERE NOT resolved AND item = $1 ORDER BY detected_at DESC LIMIT 1",
        [item],
    )
    if not found:
        raise Refused(f"nothing is open of {item!r}: tallystick reconciliation open lists what is")
    row = found[0]
    standing = records(
        db, "SELECT sum(amount)::BIGINT AS amount FROM ledger_residuals WHERE item = $1", [item]
    )
    amount = standing[0]["amount"]
    kind = DiscrepancyKind(row["kind"])
    moves = row["difference"] if kind is DiscrepancyKind.FEE and row["log"] == "payments" else amount or 0
    return Open(item, kind, row["expected"], row["currency"], abs(moves), row["log"], row["partition"])


def fitting(found: Open) -> ResolutionAction:
    """What one does about a discrepancy of this kind, unless one says otherwise."""
    if found.log == "payments":
        by_kind = {
            DiscrepancyKind.FEE: ResolutionAction.ADJUST,
            DiscrepancyKind.MISSING: ResolutionAction.PRESENT_AGAIN,
        }
        return by_kind.get(found.kind, ResolutionAction.ACCEPT)
    if found.moves == 0:
        return ResolutionAction.ACCEPT
    invoice = found.expected == "SchemeInvoicePaid"
    return ResolutionAction.ADJUST if invoice else ResolutionAction.WRITE_OFF


def named(request: ResolutionRequested) -> ResolutionRequested:
    """The request with a name made of all that it says."""
    said = msgspec.json.encode(msgspec.structs.astuple(msgspec.structs.replace(request, request_id="")))
    return msgspec.structs.replace(request, request_id=f"res-{sha256(said).hexdigest()[:20]}")


def ask(cluster: "Cluster", found: Open, request: ResolutionRequested) -> dict[str, Any]:
    """Publish a request. Raises Refused for a log in virtual time, Unavailable where it is in doubt."""
    from streams.hosts.kafkalog import KafkaLog

    log = KafkaLog(cluster)
    try:
        run = run_of(log)
    finally:
        log.close()
    if run.clock is ClockKind.VIRTUAL:
        raise Refused(NOT_IN_VIRTUAL_TIME)
    now = WallClock.of(run.arguments).now()
    message = Handover(f"{OWNER}/{found.partition}", "", "", now, now, False, request)
    topic = TOPICS[found.log]
    offset = asyncio.run(_published(cluster, Append(topic, found.partition, now, encode_message(message))))
    return {"topic": topic, "partition": found.partition, "offset": offset, "request_id": request.request_id}


async def _published(cluster: "Cluster", append: Append) -> int:
    from streams.hosts.transactions import Transactions

    transactions = Transactions(cluster, OWNER)
    try:
        await transactions.fence([(append.topic, append.partition)])
        ends = await transactions.commit([append], "", {})
        return ends[append.topic, append.partition] - 1
    finally:
        await transactions.close()
