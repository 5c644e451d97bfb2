"""Review: payments that wait for a person, in queues with a deadline.

A verdict that asks for a look opens a review in the first queue whose score it reaches; where no queue is in force
nobody looks, and the payment goes on. While it is open nothing is captured. What analysts want is reference data of
the kind ``review``, and is decided with the tick that names it, in the order of its versions: where a queue asks for
four eyes, the first decision is a proposal, and another person has to agree; one who disagrees proposes in its place.

Whose an open review is to be is reference data, too, of the kind ``assignment``, and the last one holds. It says who
works on what and binds nobody: whoever decides has decided. What changes nothing (the same analyst again, nobody's to
nobody) makes no event.

At its deadline a review goes the way its queue falls to. A payment that is over before (declined, reversed, voided,
expired) takes its review with it. Open reviews are kept until they end, their ends for :data:`MEMORY_DAYS` days, to
refuse what comes too late with the right reason, and for refunds.
"""

from bisect import insort
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from events.authorization import AuthorizationReversed, PaymentDeclined, ReversalReason
from events.base import Event
from events.calendar import MINUTE, day_of
from events.envelope import Recorded
from events.errors import ValidationError
from events.identity import partition_of_slot, slot_of_payment
from events.lifecycle import AuthorizationExpired, PaymentCaptured, PaymentVoided
from events.partitions import LogOpened, ReferenceApplied
from events.reference import (
    ReviewAssignment,
    ReviewInstruction,
    ReviewQueue,
    ReviewQueues,
    decode_reference,
)
from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewClosed,
    ReviewClosure,
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewFinding,
    ReviewOpened,
    ReviewProposed,
    ReviewRefusal,
    ReviewRefused,
    ReviewUnassigned,
)
from events.risk import RiskAssessed, Verdict
from streams.features.days import Day, before, forget, put_aside
from streams.processor import DEADLINES, Work

NAME: Final = "review"
HEARS: Final[tuple[type[Event], ...]] = (
    LogOpened,
    ReviewOpened,
    ReviewAssigned,
    ReviewUnassigned,
    ReviewProposed,
    ReviewDecided,
    ReviewClosed,
    PaymentCaptured,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (
    RiskAssessed,
    PaymentDeclined,
    AuthorizationReversed,
    PaymentVoided,
    AuthorizationExpired,
    ReferenceApplied,
)

MEMORY_DAYS: Final = 180
"""How many whole days of logical time the end of a review is kept: as long as a payment can be refunded."""

LAPSE: Final = "lapse"
FORGET: Final = "forget"

_LOOKED_AT: Final = frozenset({Verdict.REVIEW, Verdict.STEP_UP})
_CLOSURES: Final[dict[type[Event], ReviewClosure]] = {
    PaymentDeclined: ReviewClosure.DECLINED,
    AuthorizationReversed: ReviewClosure.REVERSED,
    PaymentVoided: ReviewClosure.VOIDED,
    AuthorizationExpired: ReviewClosure.EXPIRED,
}


class Open(msgspec.Struct, gc=False):
    """A review under way; ``proposed`` and ``finding`` are what the first of two people decided.

    ``assigned_to`` is whose it is, empty where it is anybody's.
    """

    merchant: str
    queue: str
    four_eyes: bool
    deadline_at: int
    falls_to: ReviewDecision
    proposed: ReviewDecision | None = None
    finding: ReviewFinding | None = None
    proposed_by: str = ""
    assigned_to: str = ""


class Ending(StrEnum):
    """How a review ended."""

    APPROVED = "approved"
    DECLINED = "declined"
    REFUNDED = "refunded"
    LAPSED = "lapsed"
    OVERTAKEN = "overtaken"


class Ended(msgspec.Struct, gc=False):
    """What remains of a review. ``captured``: there is money that can be given back."""

    merchant: str
    queue: str
    ending: Ending
    captured: bool = False


class State(msgspec.Struct):
    """Queues in force, open reviews, their deadlines in order, ends of reviews by the day; which partition this is."""

    queues: tuple[ReviewQueue, ...] = ()
    open: dict[str, Open] = {}
    deadlines: list[tuple[int, str]] = []
    ended: dict[str, Ended] = {}
    days: list[Day] = []
    partition: int = 0
    partitions: int = 1


def initial() -> State:
    """Nobody looks at anything."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Open a review, close one that was overtaken, do what an analyst wants, or give it to one."""
    match recorded.body:
        case RiskAssessed() as body:
            return _open(state, body, recorded.meta.recorded_at)
        case ReferenceApplied(kind="review") as body:
            return _follow(state, _instruction(body))
        case ReferenceApplied(kind="assignment") as body:
            return _assign(state, _assignment(body))
        case (
            PaymentDeclined()
            | AuthorizationReversed(reason=ReversalReason.TIMEOUT | ReversalReason.VOID)
            | PaymentVoided()
            | AuthorizationExpired()
        ) as body:
            found = state.open.get(body.payment_id)
            if found is None:
                return []
            return [ReviewClosed(body.payment_id, found.merchant, found.queue, _CLOSURES[type(body)])]
        case _:
            return []


def _open(state: State, body: RiskAssessed, now: int) -> list[Event]:
    known = body.payment_id in state.open or body.payment_id in state.ended
    if body.verdict not in _LOOKED_AT or known:
        return []
    queue = next((queue for queue in state.queues if body.score >= queue.from_score), None)
    if queue is None:
        return []
    return [
        ReviewOpened(
            body.payment_id,
            body.merchant,
            queue.queue,
            queue.priority,
            queue.four_eyes,
            body.score,
            body.rules,
            now + queue.minutes * MINUTE,
            ReviewDecision(queue.falls_to),
        )
    ]


def _follow(state: State, wanted: ReviewInstruction) -> list[Event]:
    """What an instruction comes to. It is read by every partition, and followed by the payment's own."""
    if not _is_own(state, wanted.payment_id):
        return []
    found = state.open.get(wanted.payment_id)
    reason = _refusal(state, wanted, found)
    if reason is not None:
        return [ReviewRefused(wanted.payment_id, wanted.analyst, wanted.decision, reason)]
    if found is None:
        # Given back: what had been approved.
        ended = state.ended[wanted.payment_id]
        return [_decided(wanted, ended.merchant, ended.queue, "")]
    if found.four_eyes and not _is_proposed(found, wanted):
        return [
            ReviewProposed(
                wanted.payment_id, wanted.analyst, wanted.decision, wanted.note_sha256, wanted.finding
            )
        ]
    return [_decided(wanted, found.merchant, found.queue, found.proposed_by)]


def _is_proposed(found: Open, wanted: ReviewInstruction) -> bool:
    """Two people agree when they want the same and have found the same."""
    return found.proposed is wanted.decision and found.finding is wanted.finding


def _refusal(state: State, wanted: ReviewInstruction, found: Open | None) -> ReviewRefusal | None:
    """The first reason against an instruction; None for a good one."""
    refund = wanted.decision is ReviewDecision.REFUND
    if found is not None:
        if refund:
            return ReviewRefusal.NOTHING_CAPTURED
        again = _is_proposed(found, wanted) and found.proposed_by == wanted.analyst
        return ReviewRefusal.SAME_ANALYST if found.four_eyes and again else None
    ended = state.ended.get(wanted.payment_id)
    if ended is not None and refund and ended.ending is not Ending.REFUNDED:
        return None if ended.captured else ReviewRefusal.NOTHING_CAPTURED
    return _not_open(ended)


def _not_open(ended: Ended | None) -> ReviewRefusal:
    """Why nothing can be done about a review that is not open."""
    match ended:
        case None:
            return ReviewRefusal.NOT_UNDER_REVIEW
        case Ended(ending=Ending.LAPSED):
            return ReviewRefusal.AFTER_THE_DEADLINE
        case Ended(ending=Ending.OVERTAKEN):
            return ReviewRefusal.OVERTAKEN
        case _:
            return ReviewRefusal.ALREADY_DECIDED


def _assign(state: State, wanted: ReviewAssignment) -> list[Event]:
    """What an assignment comes to, in the payment's own partition; nothing where the review is his already."""
    payment_id, analyst = wanted.payment_id, wanted.analyst
    if not _is_own(state, payment_id):
        return []
    found = state.open.get(payment_id)
    if found is None:
        reason = _not_open(state.ended.get(payment_id))
        return [ReviewAssignmentRefused(payment_id, analyst, wanted.assigned_by, reason)]
    if analyst == found.assigned_to:
        return []
    of, by = (payment_id, found.merchant, found.queue), (wanted.assigned_by, wanted.note_sha256)
    if not analyst:
        return [ReviewUnassigned(*of, found.assigned_to, *by)]
    return [ReviewAssigned(*of, analyst, found.assigned_to, *by)]


def _decided(wanted: ReviewInstruction, merchant: str, queue: str, proposed_by: str) -> ReviewDecided:
    return ReviewDecided(
        wanted.payment_id,
        merchant,
        queue,
        wanted.decision,
        ReviewedBy.ANALYST,
        wanted.analyst,
        proposed_by,
        wanted.note_sha256,
        wanted.finding,
    )


def due(state: State, now: int) -> list[Work]:
    """Reviews whose deadline has passed; days whose reviews nobody needs any more."""
    works = []
    for deadline_at, payment_id in state.deadlines:
        if deadline_at > now:
            break
        works.append(Work(DEADLINES, LAPSE, payment_id))
    works += [
        Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in before(state.days, day_of(now) - MEMORY_DAYS)
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Let one review fall to what its queue says, or forget one day."""
    if work.kind == FORGET:
        for payment_id in forget(state.days, int(work.key)):
            del state.ended[payment_id]
        return []
    found = state.open.get(work.key)
    if found is None:
        return []
    return [
        ReviewDecided(work.key, found.merchant, found.queue, found.falls_to, ReviewedBy.DEADLINE, "", "", "")
    ]


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow reviews from their opening to their end; put queues into force."""
    match recorded.body:
        case ReviewOpened() as body:
            state.open[body.payment_id] = Open(
                body.merchant, body.queue, body.four_eyes, body.deadline_at, body.falls_to
            )
            insort(state.deadlines, (body.deadline_at, body.payment_id))
        case ReviewAssigned() as body:
            state.open[body.payment_id].assigned_to = body.analyst
        case ReviewUnassigned() as body:
            state.open[body.payment_id].assigned_to = ""
        case ReviewProposed() as body:
            found = state.open[body.payment_id]
            found.proposed, found.finding, found.proposed_by = body.decision, body.finding, body.analyst
        case ReviewDecided(decision=ReviewDecision.REFUND) as body:
            state.ended[body.payment_id].ending = Ending.REFUNDED
        case ReviewDecided() as body:
            approved = body.decision is ReviewDecision.APPROVE
            ending = Ending.APPROVED if approved else Ending.DECLINED
            lapsed = body.reviewed_by is ReviewedBy.DEADLINE
            _end(state, recorded, body.payment_id, Ending.LAPSED if lapsed else ending)
        case ReviewClosed() as body:
            _end(state, recorded, body.payment_id, Ending.OVERTAKEN)
        case PaymentCaptured() as body:
            ended = state.ended.get(body.payment_id)
            if ended is not None:
                ended.captured = True
        case ReferenceApplied(kind="queues") as body:
            queues = decode_reference(body.kind, body.content)
            assert isinstance(queues, ReviewQueues)
            state.queues = queues.queues
        case LogOpened() as body:
            state.partition, state.partitions = body.partition, body.partitions
        case _:
            pass
    return state


def _end(state: State, recorded: Recorded, payment_id: str, ending: Ending) -> None:
    found = state.open.pop(payment_id)
    state.deadlines.remove((found.deadline_at, payment_id))
    state.ended[payment_id] = Ended(found.merchant, found.queue, ending)
    put_aside(state.days, day_of(recorded.meta.recorded_at), payment_id)


def _instruction(body: ReferenceApplied) -> ReviewInstruction:
    wanted = decode_reference(body.kind, body.content)
    assert isinstance(wanted, ReviewInstruction)
    return wanted


def _assignment(body: ReferenceApplied) -> ReviewAssignment:
    wanted = decode_reference(body.kind, body.content)
    assert isinstance(wanted, ReviewAssignment)
    return wanted


def _is_own(state: State, payment_id: str) -> bool:
    """Whether what is said of a payment is for this partition to follow."""
    return partition_of_slot(_slot(payment_id), state.partitions) == state.partition


def _slot(payment_id: str) -> int:
    """The slot of a payment; that of no payment at all is looked for, and refused, in the first partition."""
    try:
        return slot_of_payment(payment_id)
    except ValidationError:
        return 0


def summary(state: State) -> Iterator[str]:
    """Each review and how it stands."""
    for payment_id in sorted(state.open):
        found = state.open[payment_id]
        whose = f", of {found.assigned_to}" if found.assigned_to else ""
        yield f"review {payment_id} in {found.queue} until {found.deadline_at}, proposed {found.proposed}{whose}"
    for payment_id in sorted(state.ended):
        ended = state.ended[payment_id]
        yield f"review {payment_id} in {ended.queue} {ended.ending}, captured {ended.captured}"
