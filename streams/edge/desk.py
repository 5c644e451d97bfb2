"""The reconciliation desk, simulated: two people who look at what differs, and put right what nobody else does.

It sees what a log says of its discrepancies. What is still open some days after it was named, it asks to be put right,
by the action that fits; what the bank and the networks have to put right themselves it leaves to them.
"""

from typing import Final

import msgspec

from events.calendar import DAY
from events.corrections import ResolutionAction, ResolutionRequested
from events.envelope import Recorded
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved

#: How long the desk waits for others: a day longer than they take to notice.
PATIENCE: Final = 4 * DAY
ASKS: Final = "simulated-desk"
APPROVES: Final = "simulated-controller"

#: By kind and expected event, what is done about it. What is not here is others' to put right.
ACTIONS: Final[dict[tuple[DiscrepancyKind, str], ResolutionAction]] = {
    (DiscrepancyKind.AMOUNT, "NetworkSettlementReceived"): ResolutionAction.WRITE_OFF,
    (DiscrepancyKind.AMOUNT, "PayoutPaid"): ResolutionAction.WRITE_OFF,
    (DiscrepancyKind.AMOUNT, "SchemeInvoicePaid"): ResolutionAction.ADJUST,
    (DiscrepancyKind.AMOUNT, "ClearingRecordAnswered"): ResolutionAction.ACCEPT,
    (DiscrepancyKind.DATE, "NetworkSettlementReceived"): ResolutionAction.ACCEPT,
    (DiscrepancyKind.DATE, "PayoutPaid"): ResolutionAction.ACCEPT,
    (DiscrepancyKind.FEE, "ClearingRecordAnswered"): ResolutionAction.ADJUST,
    (DiscrepancyKind.EXTRA, "BankLineRecorded"): ResolutionAction.WRITE_OFF,
    (DiscrepancyKind.EXTRA, "ClearingRecordCreated"): ResolutionAction.ACCEPT,
    (DiscrepancyKind.DUPLICATE, "ClearingRecordCreated"): ResolutionAction.ACCEPT,
    (DiscrepancyKind.MISSING, "ClearingRecordAnswered"): ResolutionAction.PRESENT_AGAIN,
}


class Case(msgspec.Struct, frozen=True, gc=False):
    """Something that differs, as it was named last, and in which partition."""

    item: str
    action: ResolutionAction
    limit: int
    partition: int
    event_id: str
    due_at: int


class Desk(msgspec.Struct):
    """Cases by partition and item."""

    cases: dict[str, Case] = {}


def hear(desk: Desk, partition: int, recorded: Recorded) -> None:
    """Take a discrepancy on, or close its case."""
    body, meta = recorded.body, recorded.meta
    if isinstance(body, DiscrepancyResolved):
        desk.cases.pop(f"{partition}/{body.item}", None)
    elif isinstance(body, DiscrepancyDetected):
        action = ACTIONS.get((body.kind, body.expected_event))
        key = f"{partition}/{body.item}"
        if action is None:
            desk.cases.pop(key, None)
            return
        desk.cases[key] = Case(
            body.item,
            action,
            abs(body.theirs - body.ours),
            partition,
            f"{meta.key}.{meta.sequence}",
            meta.recorded_at + PATIENCE,
        )


def requests(desk: Desk, now: int) -> list[tuple[Case, ResolutionRequested]]:
    """What is asked at a tick, in the order of items; each case once."""
    due = sorted(key for key, case in desk.cases.items() if case.due_at <= now)
    asked = []
    for key in due:
        case = desk.cases.pop(key)
        body = ResolutionRequested(
            case.item,
            case.event_id,
            case.action,
            "",
            case.limit,
            ASKS,
            APPROVES,
            "looked into: the other side's figure stands",
        )
        asked.append((case, body))
    return asked
