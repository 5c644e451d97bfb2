"""What an approved request does about a discrepancy: the correcting event and the end of the discrepancy, or a reason.

A request says what shall be done and how much it may move at most. How much it moves is found in the books at the
moment it is decided: what was approved yesterday may have been put right by others since.
"""

from collections.abc import Callable
from itertools import islice

import msgspec

from events.base import Event
from events.corrections import (
    ResolutionAction,
    ResolutionRejected,
    ResolutionRejection,
    ResolutionRequested,
    SuspenseWrittenOff,
    WriteOffRule,
)
from events.envelope import Recorded
from events.reconciliation import DiscrepancyResolved
from streams.features.matching import Settlement, Status, correction
from streams.features.payouts import Payout, payout_correction
from streams.features.suspense import Line


class Asked(msgspec.Struct, frozen=True):
    """A request to put something right, until the next tick decides it."""

    body: ResolutionRequested
    causation_id: str
    occurred_at: int


class Requests(msgspec.Struct):
    """Requests that wait for the tick, in the order of item, time and name; and the names of those that were decided,
    with the day, for as long as one may come again."""

    asked: dict[str, Asked] = {}
    answered: dict[str, int] = {}


def ask(requests: Requests, recorded: Recorded, body: ResolutionRequested) -> None:
    """Keep a request for the tick."""
    meta = recorded.meta
    key = f"{body.item} {meta.occurred_at:020d} {body.request_id}"
    requests.asked[key] = Asked(body, meta.event_id, meta.occurred_at)


def decided(requests: Requests, body: DiscrepancyResolved | ResolutionRejected, day_on: int) -> None:
    """A request has its answer. One that comes again does not live longer for it."""
    if body.request_id:
        requests.answered.setdefault(body.request_id, day_on)


def forget_before(requests: Requests, before_on: int) -> None:
    """Let go of what was decided before a day; the oldest stand first."""
    while requests.answered:
        oldest = next(iter(requests.answered))
        if requests.answered[oldest] >= before_on:
            return
        del requests.answered[oldest]


def is_old(requests: Requests, before_on: int) -> bool:
    """Whether there is something to let go of."""
    return any(day_on < before_on for day_on in islice(requests.answered.values(), 1))


def answer(requests: Requests, key: str, resolve: Callable[[ResolutionRequested], "Outcome"]) -> list[Event]:
    """Do what two people want, once; or say why not."""
    request = requests.asked.pop(key).body
    if request.request_id in requests.answered:
        return [rejected(request, ResolutionRejection.REPEATED)]
    if not approved(request):
        return [rejected(request, ResolutionRejection.FOUR_EYES)]
    outcome = resolve(request)
    return [rejected(request, outcome)] if isinstance(outcome, ResolutionRejection) else outcome


Outcome = list[Event] | ResolutionRejection

_NAMED = (Status.DIFFERENT, Status.MISSING)


def approved(request: ResolutionRequested) -> bool:
    """Whether two people stand behind a request."""
    approver = request.approved_by.strip()
    return bool(approver) and approver.casefold() != request.requested_by.strip().casefold()


def rejected(request: ResolutionRequested, reason: ResolutionRejection) -> ResolutionRejected:
    """The "no" to a request."""
    return ResolutionRejected(
        request.item, request.request_id, request.action, reason, request.requested_by, request.approved_by
    )


def resolved(
    request: ResolutionRequested, by: type[Event], currency: str, amount: int
) -> DiscrepancyResolved:
    """The end of a discrepancy, with both people's names."""
    return DiscrepancyResolved(
        request.item,
        by.__name__,
        currency,
        amount,
        request.request_id,
        request.requested_by,
        request.approved_by,
        request.note,
    )


def on_settlement(settlement: Settlement, request: ResolutionRequested) -> Outcome:
    """A cycle is written off, an invoice adjusted; where no money stands open, either can be accepted."""
    if settlement.status not in _NAMED:
        return ResolutionRejection.NOT_OPEN
    residual = settlement.residual
    if request.action is ResolutionAction.ACCEPT and residual == 0:
        return [resolved(request, ResolutionRequested, settlement.currency, 0)]
    fitting = ResolutionAction.ADJUST if settlement.invoice else ResolutionAction.WRITE_OFF
    if request.action is not fitting or residual == 0:
        return ResolutionRejection.NOT_FITTING
    if abs(residual) > request.limit:
        return ResolutionRejection.ABOVE_LIMIT
    event = correction(settlement, WriteOffRule.APPROVED, request.approved_by)
    return [event, resolved(request, type(event), settlement.currency, residual)]


def on_payout(payout: Payout, request: ResolutionRequested) -> Outcome:
    """What the bank paid too much or too little is written off; one that has not left is the bank's to explain."""
    if payout.status not in _NAMED:
        return ResolutionRejection.NOT_OPEN
    residual = payout.residual if payout.line else 0
    if request.action is ResolutionAction.ACCEPT and payout.line and residual == 0:
        return [resolved(request, ResolutionRequested, payout.currency, 0)]
    if request.action is not ResolutionAction.WRITE_OFF or residual == 0:
        return ResolutionRejection.NOT_FITTING
    if abs(residual) > request.limit:
        return ResolutionRejection.ABOVE_LIMIT
    event = payout_correction(request.item, payout, request.approved_by)
    return [event, resolved(request, type(event), payout.currency, residual)]


def on_line(line: Line, request: ResolutionRequested) -> Outcome:
    """A line on suspense that will never be known is written off. To assign one is the processor's own to do."""
    if not line.expected:
        return ResolutionRejection.NOT_OPEN
    if request.action is not ResolutionAction.WRITE_OFF:
        return ResolutionRejection.NOT_FITTING
    body = line.body
    if abs(body.amount) > request.limit:
        return ResolutionRejection.ABOVE_LIMIT
    event = SuspenseWrittenOff(
        body.account, body.statement_id, body.line, body.currency, body.amount, request.approved_by
    )
    return [event, resolved(request, SuspenseWrittenOff, body.currency, body.amount)]
