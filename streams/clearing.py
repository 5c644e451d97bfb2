"""Clearing: captures and refunds leave for their networks, and what the networks answer.

Whatever waits when a network's cut-off has come leaves, record by record in key order, and the batch is closed behind
(:mod:`streams.features.cutoffs`). The batches of all partitions travel in one file, which the network takes whole or
not at all: when it has taken it, our batch is accepted. What it refused is sent again by whoever sends files, and
nothing changes here.

What an answer means stands in :mod:`streams.features.records`, what two people can do about a record that differs in
:mod:`streams.features.differences`. Interchange is compared here too: ours is decided by the fees, so the difference
is named when that has been heard.

At the end of each tick the sub-totals of cycles and of invoice periods go to reconciliation.

A record is kept while it waits and until it is answered. When one is missing, and at which ages it is reported, is
reference data (:class:`~events.reference.ReconciliationTerms`).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.accounts import NU, RT, name
from events.base import Event
from events.calendar import day_of
from events.clearing import (
    ClearingBatchClosed,
    ClearingCycleTotalled,
    ClearingRecordAccepted,
    ClearingRecordAnswered,
    ClearingRecordCreated,
    ClearingRecordRejected,
    ClearingRecordReturned,
    ClearingReturnReceived,
    RecordKind,
    RefundCleared,
    SchemePeriodTotalled,
)
from events.clearingfiles import ClearingBatchAccepted, ClearingFileAccepted
from events.corrections import ResolutionRejected, ResolutionRequested
from events.disputes import DisputeFundsReturned, DisputeFundsWithdrawn, DisputeNoticeReceived
from events.envelope import Recorded
from events.fees import FeeCorrected, InterchangeAssessed, InterchangeReturned, SchemeFeeAssessed
from events.lifecycle import CaptureVoided, PaymentCaptured
from events.partitions import ReferenceApplied
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved
from events.reference import NetworkProfile, ReconciliationTerms, decode_reference
from events.refunds import RefundApproved
from events.settlement import ClearingResidualAged
from streams.features import cutoffs, differences, resolving, returns
from streams.features.agreement import Terms, terms_of
from streams.features.cutoffs import CutOffs
from streams.features.differences import Differences
from streams.features.records import Record, meaning_of
from streams.features.resolving import Requests
from streams.features.returns import Returns
from streams.features.totals import Totals, count, report, reported
from streams.processor import CUT_OFFS, DEADLINES, FOLLOW_UPS, NOTICES, Work

NAME: Final = "clearing"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentCaptured,
    CaptureVoided,
    RefundApproved,
    ClearingRecordCreated,
    ClearingBatchClosed,
    ClearingFileAccepted,
    ClearingBatchAccepted,
    ClearingRecordAnswered,
    ClearingRecordAccepted,
    RefundCleared,
    ClearingRecordRejected,
    ClearingReturnReceived,
    ClearingRecordReturned,
    InterchangeAssessed,
    InterchangeReturned,
    SchemeFeeAssessed,
    FeeCorrected,
    DisputeNoticeReceived,
    DisputeFundsWithdrawn,
    DisputeFundsReturned,
    ClearingCycleTotalled,
    SchemePeriodTotalled,
    DiscrepancyDetected,
    DiscrepancyResolved,
    ClearingResidualAged,
    ResolutionRequested,
    ResolutionRejected,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (ClearingFileAccepted, InterchangeAssessed, InterchangeReturned)

ANSWER, EXTRA, RETURN, RESOLVE, AGE, FORGET = "answer", "extra", "return", "resolve", "age", "forget"
RECORD, BATCH, TOTALS = "record", "batch", "totals"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a network said, until the tick that hears it; ``again`` where it had said something before."""

    body: ClearingRecordAnswered
    causation_id: str
    occurred_at: int
    again: bool = False


class Sent(msgspec.Struct):
    """A record on its way, and its answer when that has come.

    ``left_on`` is its day, ``ask_on`` the next on which we ask where the answer is, ``asked`` how often we did.
    """

    record: Record
    left_on: int
    ask_on: int
    asked: int = 0
    answer: Answer | None = None


class State(msgspec.Struct):
    """Records by where they stand.

    ``cut_offs`` has those that wait to leave; ``sent`` by record id those that have, and of those ``answered`` the ones
    that the next tick hears. ``unanswered`` has record ids by the day on which we ask
    for them and by source, until they are answered or were asked for often enough.
    ``extras`` are answers to nothing.
    ``noticed``: whether networks have spoken of disputes since the last tick, for the next may then move their money.
    """

    terms: Terms = msgspec.field(default_factory=Terms)
    cut_offs: CutOffs = msgspec.field(default_factory=CutOffs)
    sent: dict[str, Sent] = {}
    answered: dict[str, bool] = {}
    unanswered: dict[str, dict[str, str]] = {}
    extras: dict[str, Answer] = {}
    returns: Returns = msgspec.field(default_factory=Returns)
    differences: Differences = msgspec.field(default_factory=Differences)
    requests: Requests = msgspec.field(default_factory=Requests)
    noticed: bool = False
    totals: Totals = msgspec.field(default_factory=Totals)


def initial() -> State:
    """Nothing waits."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """A file was taken: so are our batches in it. Or name the difference between our interchange and the network's."""
    body = recorded.body
    if isinstance(body, ClearingFileAccepted):
        return cutoffs.accepted(state.cut_offs, body)
    assert isinstance(body, InterchangeAssessed | InterchangeReturned)
    return differences.name_interchange(state.differences, body.record_id)


def due(state: State, now: int) -> list[Work]:
    """Answers, records that nobody answers, whatever a cut-off sends off, and the totals of the tick."""
    works = []
    for record_id in state.answered:
        answer = state.sent[record_id].answer
        assert answer is not None
        works.append(Work(NOTICES, ANSWER, record_id, answer.causation_id, answer.occurred_at))
    for key, extra in state.extras.items():
        works.append(Work(NOTICES, EXTRA, key, extra.causation_id, extra.occurred_at))
    for key, back in state.returns.waiting.items():
        works.append(Work(NOTICES, RETURN, key, back.causation_id, back.occurred_at))
    for key, asked in state.requests.asked.items():
        works.append(Work(FOLLOW_UPS, RESOLVE, key, asked.causation_id, asked.occurred_at))
    heard = state.answered or state.noticed or state.returns.waiting or state.requests.asked
    if heard or state.totals.cycles or state.totals.periods:
        works.append(Work(CUT_OFFS, TOTALS, "3"))
    works += _deadlines(state, day_of(now))
    for lane, sources in cutoffs.leaving(state.cut_offs, now):
        works += [Work(CUT_OFFS, RECORD, f"1/{lane}/{source_id}") for source_id in sources]
        works.append(Work(CUT_OFFS, BATCH, f"2/{lane}"))
    return works


def _deadlines(state: State, day_on: int) -> Iterator[Work]:
    """Records that nobody has answered for too long, and what is to be forgotten."""
    for day in sorted(state.unanswered):
        if int(day) > day_on:
            break
        yield from (Work(DEADLINES, AGE, record_id) for record_id in state.unanswered[day].values())
    before_on = day_on - state.terms.memory_days
    if (
        differences.is_old(state.differences, before_on)
        or resolving.is_old(state.requests, before_on)
        or returns.is_old(state.returns, day_on)
    ):
        yield Work(DEADLINES, FORGET, "")


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Hear one answer, report one old record, send one record off, close one batch, or give the totals."""
    match work.kind:
        case "answer":
            sent = state.sent[work.key]
            assert sent.answer is not None
            found = differences.found_again(state.differences, work.key)
            return [*found, *meaning_of(work.key, sent.record, sent.answer.body)]
        case "extra":
            return [_extra(state.extras.pop(work.key))]
        case "return":
            return returns.meaning_of(state.returns, work.key)
        case "resolve":
            return resolving.answer(state.requests, work.key, lambda request: _resolve(state, request))
        case "age":
            return _age(state, work.key, now)
        case "forget":
            before_on = day_of(now) - state.terms.memory_days
            differences.forget_before(state.differences, before_on)
            resolving.forget_before(state.requests, before_on)
            returns.forget_before(state.returns, day_of(now))
            return []
        case "record":
            _, network, currency, source_id = work.key.split("/", 3)
            return cutoffs.send(state.cut_offs, cutoffs.lane_of(network, currency), source_id, now)
        case "batch":
            return cutoffs.close(state.cut_offs, work.key.removeprefix("2/"), now)
        case _:
            state.noticed = False
            return list(report(state.totals))


def _extra(answer: Answer) -> DiscrepancyDetected:
    """An answer to a record that never left or was done with long ago, or the second one to a record."""
    said = answer.body
    kind = DiscrepancyKind.DUPLICATE if answer.again else DiscrepancyKind.EXTRA
    return DiscrepancyDetected(
        said.record_id, kind, said.currency, 0, said.amount, ClearingRecordCreated.__name__
    )


def _resolve(state: State, request: ResolutionRequested) -> resolving.Outcome:
    sent = state.sent.get(request.item)
    record = sent.record if sent is not None and sent.answer is None else None
    return differences.resolve(state.differences, request, record)


def _age(state: State, record_id: str, now: int) -> list[Event]:
    """Name a record that nobody has answered as missing; after that, report it at each step of age."""
    sent = state.sent.get(record_id)
    if sent is None:
        return []
    record = sent.record
    expected = ClearingRecordAnswered.__name__
    if sent.asked == 0:
        return [
            DiscrepancyDetected(
                record_id, DiscrepancyKind.MISSING, record.currency, record.amount, 0, expected
            )
        ]
    presentment = record.kind is RecordKind.PRESENTMENT
    return [
        ClearingResidualAged(
            name(NU, record.network) if presentment else name(RT),
            record.source_id,
            record.currency,
            record.amount if presentment else -record.amount,
            day_of(now) - sent.left_on,
            expected,
        )
    ]


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow each record from waiting to sent to settled, and add up what settles."""
    match recorded.body:
        case PaymentCaptured() as body:
            _wait(state, recorded, body, RecordKind.PRESENTMENT, body.capture_id)
        case RefundApproved() as body:
            _wait(state, recorded, body, RecordKind.REFUND, body.refund_id)
        case CaptureVoided() as body:
            cutoffs.withdraw(state.cut_offs, body.network, body.currency, body.capture_id)
        case ClearingRecordCreated() as body:
            _leave(state, body, day_of(recorded.meta.recorded_at))
        case ClearingBatchClosed() as body:
            cutoffs.closed(state.cut_offs, body)
        case ClearingBatchAccepted() as body:
            cutoffs.taken(state.cut_offs, body)
        case ClearingRecordAnswered() as body:
            _take_answer(state, recorded, body)
        case ClearingRecordAccepted() | RefundCleared() as body:
            _settle(state, body, day_of(recorded.meta.recorded_at))
        case ClearingReturnReceived() as body:
            meta = recorded.meta
            returns.receive(state.returns, body, meta.sequence, meta.event_id, meta.occurred_at)
        case ClearingRecordReturned() as body:
            _take_back(state, body, recorded.meta.recorded_at)
        case ClearingRecordRejected() as body:
            record = _finish(state, body.record_id).record
            if body.representable:
                _present_again(state, record, recorded.meta.recorded_at)
        case InterchangeAssessed() | InterchangeReturned() as body:
            count(state.totals, body)
            if isinstance(body, InterchangeAssessed):
                returns.assess(state.returns, body)
            differences.compare_interchange(state.differences, body, day_of(recorded.meta.recorded_at))
        case SchemeFeeAssessed() | FeeCorrected() | DisputeFundsWithdrawn() | DisputeFundsReturned() as body:
            count(state.totals, body)
            if isinstance(body, FeeCorrected):
                returns.assess(state.returns, body)
        case DisputeNoticeReceived():
            state.noticed = True
        case ClearingCycleTotalled() | SchemePeriodTotalled() as body:
            reported(state.totals, body)
        case DiscrepancyDetected() as body:
            differences.remember(state.differences, body, day_of(recorded.meta.recorded_at))
            if body.kind is DiscrepancyKind.MISSING and body.item in state.sent:
                _ask_again(state, body.item)
        case ClearingResidualAged() as body:
            _aged(state, body.item)
        case ResolutionRequested() as body:
            resolving.ask(state.requests, recorded, body)
        case DiscrepancyResolved() | ResolutionRejected() as body:
            resolving.decided(state.requests, body, day_of(recorded.meta.recorded_at))
            if isinstance(body, DiscrepancyResolved):
                state.differences.open.pop(body.item, None)
        case ReferenceApplied() as body:
            _apply(state, body)
        case _:
            pass
    return state


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("network", "reconciliation"):
        return
    match decode_reference(body.kind, body.content):
        case NetworkProfile() as profile:
            cutoffs.know(state.cut_offs, profile)
        case ReconciliationTerms() as terms:
            state.terms = terms_of(terms)
        case _:
            pass


def _wait(
    state: State,
    recorded: Recorded,
    body: PaymentCaptured | RefundApproved,
    kind: RecordKind,
    source_id: str,
) -> None:
    record = Record(
        body.payment_id,
        body.merchant,
        body.network,
        kind,
        source_id,
        body.amount,
        body.currency,
        1,
        recorded.meta.recorded_at,
    )
    cutoffs.wait(state.cut_offs, record)


def _leave(state: State, body: ClearingRecordCreated, left_on: int) -> None:
    """The record is on its way, and its answer is expected."""
    record = cutoffs.leave(state.cut_offs, body, left_on)
    ask_on = left_on + state.terms.answer_days
    state.sent[body.record_id] = Sent(record, left_on, ask_on)
    state.unanswered.setdefault(str(ask_on), {})[body.source_id] = body.record_id


def _take_answer(state: State, recorded: Recorded, body: ClearingRecordAnswered) -> None:
    """Keep an answer for the tick; only the first to a record is one."""
    meta = recorded.meta
    sent = state.sent.get(body.record_id)
    answer = Answer(body, meta.event_id, meta.occurred_at, sent is not None)
    if sent is None or sent.answer is not None:
        state.extras[f"{body.record_id}/{meta.sequence:012d}"] = answer
        return
    sent.answer = answer
    state.answered[body.record_id] = True


def _finish(state: State, record_id: str) -> Sent:
    """The record is answered, or will never be: forget it. One that was missing and came is no more missing."""
    sent = state.sent.pop(record_id)
    state.answered.pop(record_id, None)
    _no_longer_unanswered(state, sent)
    return sent


def _settle(state: State, body: ClearingRecordAccepted | RefundCleared, day_on: int) -> None:
    sent = _finish(state, body.record_id)
    assert sent.answer is not None
    state.differences.theirs[body.record_id] = sent.answer.body.interchange
    count(state.totals, body)
    if isinstance(body, ClearingRecordAccepted):
        returns.accept(state.returns, sent.record, body, day_on)


def _take_back(state: State, body: ClearingRecordReturned, at: int) -> None:
    """The network has not got it any more: it waits for a cut-off again, if it may."""
    record = state.returns.settled[body.record_id].record
    del state.returns.settled[body.record_id]
    state.differences.theirs[body.record_id] = -body.their_interchange
    count(state.totals, body)
    if body.representable:
        _present_again(state, record, at)


def _present_again(state: State, record: Record, at: int) -> None:
    again = msgspec.structs.replace(record, presentment=record.presentment + 1, since=at)
    cutoffs.wait(state.cut_offs, again)


def _ask_again(state: State, record_id: str) -> None:
    """A record was asked for: the next time is at its next step of age, if there is one."""
    sent, ages = state.sent[record_id], state.terms.age_days
    _no_longer_unanswered(state, sent)
    if sent.asked < len(ages):
        sent.ask_on = sent.left_on + state.terms.answer_days + ages[sent.asked]
        state.unanswered.setdefault(str(sent.ask_on), {})[sent.record.source_id] = record_id
    sent.asked += 1


def _aged(state: State, source_id: str) -> None:
    for sources in state.unanswered.values():
        if source_id in sources:
            _ask_again(state, sources[source_id])
            return


def _no_longer_unanswered(state: State, sent: Sent) -> None:
    """Nobody waits for the answer any more on its day."""
    sources = state.unanswered.get(str(sent.ask_on))
    if sources is not None:
        sources.pop(sent.record.source_id, None)
        if not sources:
            del state.unanswered[str(sent.ask_on)]


def summary(state: State) -> Iterator[str]:
    """Each record that waits or is on its way. Sub-totals are a matter of partitions and ticks: not here."""
    for records in state.cut_offs.waiting.values():
        for record in records.values():
            yield (
                f"clearing {record.source_id} {record.kind} {record.network} {record.amount} {record.currency} "
                f"waits for presentment {record.presentment}"
            )
    for record_id, sent in state.sent.items():
        record = sent.record
        yield (
            f"clearing {record.source_id} {record.kind} {record.network} {record.amount} {record.currency} "
            f"left as {record_id}"
        )
