"""The docket: which cases are open, whose time ends when, and the names of those that were closed.

Cases are found by name and deadlines by day, so that a tick looks at what may be due and at nothing else.
"""

from collections.abc import Iterator

import msgspec

from events.base import Event
from events.calendar import day_of
from events.disputes import (
    DisputeEscalated,
    DisputeEvidenceExpired,
    DisputeEvidenceSubmitted,
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeInquiryClosed,
    DisputeInquiryOpened,
    DisputeLost,
    DisputeOpened,
    DisputeStage,
    DisputeWon,
)
from events.reconciliation import DiscrepancyDetected
from events.settlement import ClearingResidualAged
from streams.features.cases import Case, end_of_turn


class Docket(msgspec.Struct):
    """Open cases by name, and by the day (since 1970) on which somebody's time ends.

    ``closed`` has the cases that ended, by payment, and whether because the merchant's time was over. Whoever forgets a
    payment forgets them with it.
    """

    cases: dict[str, Case] = {}
    deadlines: dict[str, dict[str, bool]] = {}
    closed: dict[str, dict[str, bool]] = {}


def overdue(docket: Docket, now: int) -> Iterator[str]:
    """The cases in which somebody's time has ended."""
    today = day_of(now)
    for day, names in docket.deadlines.items():
        if int(day) <= today:
            yield from (case_id for case_id in names if docket.cases[case_id].due_at <= now)


def begin(docket: Docket, body: DisputeInquiryOpened | DisputeOpened, card_id: str, paid_at: int) -> None:
    """An inquiry or a dispute is opened; or the one becomes the other."""
    case = docket.cases.get(body.case_id)
    if case is None:
        case = docket.cases[body.case_id] = Case(
            body.payment_id,
            body.merchant,
            card_id,
            body.network,
            body.currency,
            body.reason_code,
            DisputeStage.INQUIRY,
            paid_at=paid_at,
        )
    if isinstance(body, DisputeOpened):
        case.stage = DisputeStage.CHARGEBACK
        case.reason_code = body.reason_code
        case.amount = body.amount
    case.notices += 1
    case.turn = True
    case.missed = False
    _until(docket, body.case_id, body.reply_by_at)


def go_on(docket: Docket, body: Event, today: int) -> None:
    """What happens to a case behind its beginning; ``today`` counts from 1970."""
    match body:
        case DisputeFundsWithdrawn():
            docket.cases[body.case_id].withdrawn += body.amount
        case DisputeFundsReturned():
            case = docket.cases[body.case_id]
            case.withdrawn -= body.amount
            case.notices += 1
        case DisputeEvidenceSubmitted():
            case = docket.cases[body.case_id]
            if case.stage is DisputeStage.CHARGEBACK:
                case.stage = DisputeStage.REPRESENTMENT
            _over_to_the_other_side(docket, body.case_id, today)
        case DisputeEscalated(stage=DisputeStage.PRE_ARBITRATION):
            case = docket.cases[body.case_id]
            case.stage = body.stage
            case.notices += 1
            case.turn = True
            _until(docket, body.case_id, body.reply_by_at)
        case DisputeEscalated():
            docket.cases[body.case_id].stage = body.stage
        case DisputeEvidenceExpired(stage=DisputeStage.INQUIRY):
            docket.cases[body.case_id].missed = True
            _over_to_the_other_side(docket, body.case_id, today)
        case DisputeEvidenceExpired():
            _close(docket, body.case_id, too_late=True)
        case DisputeInquiryClosed() | DisputeLost() | DisputeWon():
            _close(docket, body.case_id)
        case DiscrepancyDetected() if body.item in docket.cases:
            docket.cases[body.item].contested = True
        case ClearingResidualAged() if body.item in docket.cases:
            _until(docket, body.item, 0)
        case _:
            pass


def _over_to_the_other_side(docket: Docket, case_id: str, today: int) -> None:
    docket.cases[case_id].turn = False
    _until(docket, case_id, end_of_turn(today))


def _close(docket: Docket, case_id: str, *, too_late: bool = False) -> None:
    """The case leaves memory with the first of its last events; its name stays."""
    if case_id in docket.cases:
        _until(docket, case_id, 0)
        case = docket.cases.pop(case_id)
        docket.closed.setdefault(case.payment_id, {})[case_id] = too_late


def _until(docket: Docket, case_id: str, at: int) -> None:
    """Somebody's time ends at an instant; 0: nobody waits."""
    case = docket.cases[case_id]
    if case.due_at:
        day = str(day_of(case.due_at))
        del docket.deadlines[day][case_id]
        if not docket.deadlines[day]:
            del docket.deadlines[day]
    case.due_at = at
    if at:
        docket.deadlines.setdefault(str(day_of(at)), {})[case_id] = True


def summary(docket: Docket) -> Iterator[str]:
    """Each case, open or closed."""
    for case_id, case in docket.cases.items():
        yield (
            f"case {case_id} {case.payment_id} {case.merchant} {case.stage} {case.amount} {case.currency} "
            f"withdrawn {case.withdrawn} notices {case.notices} turn {case.turn} until {case.due_at}"
        )
    for payment_id, closed in docket.closed.items():
        for case_id, too_late in closed.items():
            yield f"case {case_id} {payment_id} closed {too_late}"
