"""A network's figures for single records against ours: how they differ, and what two people can do about it.

The books carry our figures. Interchange is compared to the unit: what is a unit in one record is a hundred thousand
in a cycle, and a tolerance here would hide a wrong rate.
"""

import msgspec

from events.base import Event
from events.clearing import ClearingRecordAnswered, ClearingRecordRejected, ClearingRejection
from events.corrections import ResolutionAction, ResolutionRejection, ResolutionRequested
from events.fees import FeeCorrected, InterchangeAssessed, InterchangeReturned
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved
from streams.features.records import Record
from streams.features.resolving import Outcome, resolved


class Difference(msgspec.Struct, frozen=True):
    """What is known of a record that differs, minor units of ``currency``; of interchange also where it settles."""

    kind: DiscrepancyKind
    currency: str
    ours: int
    theirs: int
    since_on: int
    payment_id: str = ""
    network: str = ""
    cycle: str = ""


class Differences(msgspec.Struct):
    """``theirs`` is the network's interchange of records that were just accepted, ``open`` what differs, by record."""

    theirs: dict[str, int] = {}
    open: dict[str, Difference] = {}


def compare_interchange(
    differences: Differences, body: InterchangeAssessed | InterchangeReturned, day_on: int
) -> None:
    """Hold our figure against the network's; what differs is named in the same cascade."""
    theirs = differences.theirs.pop(body.record_id)
    ours = body.amount if isinstance(body, InterchangeAssessed) else -body.amount
    if theirs != ours:
        differences.open[body.record_id] = Difference(
            DiscrepancyKind.FEE,
            body.currency,
            ours,
            theirs,
            day_on,
            body.payment_id,
            body.network,
            body.cycle,
        )


def name_interchange(differences: Differences, record_id: str) -> list[Event]:
    """Say how the interchange of a record differs, if it does."""
    difference = differences.open.get(record_id)
    if difference is None or difference.kind is not DiscrepancyKind.FEE:
        return []
    return [
        DiscrepancyDetected(
            record_id,
            DiscrepancyKind.FEE,
            difference.currency,
            difference.ours,
            difference.theirs,
            ClearingRecordAnswered.__name__,
        )
    ]


def remember(differences: Differences, body: DiscrepancyDetected, day_on: int) -> None:
    """A record differs. One whose interchange differs keeps what is known of that, whatever else is said of it."""
    known = differences.open.get(body.item)
    if known is None or known.kind is not DiscrepancyKind.FEE:
        differences.open[body.item] = Difference(body.kind, body.currency, body.ours, body.theirs, day_on)


def found_again(differences: Differences, record_id: str) -> list[Event]:
    """A record that was named as missing is answered after all."""
    difference = differences.open.get(record_id)
    if difference is None or difference.kind is not DiscrepancyKind.MISSING:
        return []
    answered = ClearingRecordAnswered.__name__
    return [DiscrepancyResolved(record_id, answered, difference.currency, difference.ours)]


def resolve(differences: Differences, request: ResolutionRequested, record: Record | None) -> Outcome:
    """What an approved request does about a record; ``record`` is given while nobody has answered it."""
    difference = differences.open.get(request.item)
    if difference is None:
        return ResolutionRejection.NOT_OPEN
    missing = difference.kind is DiscrepancyKind.MISSING
    match request.action:
        case ResolutionAction.ACCEPT if not missing:
            return [resolved(request, ResolutionRequested, difference.currency, 0)]
        case ResolutionAction.ADJUST if difference.kind is DiscrepancyKind.FEE:
            return _adjust(difference, request)
        case ResolutionAction.PRESENT_AGAIN if missing and record is not None:
            return _present_again(record, request)
        case _:
            return ResolutionRejection.NOT_FITTING


def _adjust(difference: Difference, request: ResolutionRequested) -> Outcome:
    """The network's interchange becomes ours."""
    moved = difference.theirs - difference.ours
    if abs(moved) > request.limit:
        return ResolutionRejection.ABOVE_LIMIT
    corrected = FeeCorrected(
        difference.payment_id,
        difference.network,
        request.item,
        difference.ours,
        difference.theirs,
        moved,
        difference.currency,
        difference.cycle,
        request.approved_by,
    )
    return [corrected, resolved(request, FeeCorrected, difference.currency, moved)]


def _present_again(record: Record, request: ResolutionRequested) -> Outcome:
    """The network has no trace of the record: it waits for the next cut-off, under a new name."""
    lost = ClearingRecordRejected(
        record.payment_id,
        record.network,
        request.item,
        record.kind,
        record.source_id,
        ClearingRejection.NOT_RECEIVED,
        True,
    )
    return [lost, resolved(request, ClearingRecordRejected, record.currency, record.amount)]


def is_old(differences: Differences, before_on: int) -> bool:
    """Whether something differs since before a day."""
    return _oldest(differences, before_on) is not None


def forget_before(differences: Differences, before_on: int) -> None:
    """Let go of what nobody has put right since before a day: it stands in the log."""
    while (oldest := _oldest(differences, before_on)) is not None:
        del differences.open[oldest]


def _oldest(differences: Differences, before_on: int) -> str | None:
    """The oldest stand first. A record that is missing is kept as long as it is on its way."""
    for record_id, one in differences.open.items():
        if one.kind is not DiscrepancyKind.MISSING:
            return record_id if one.since_on < before_on else None
    return None
