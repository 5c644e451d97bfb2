"""Clearing: captures and refunds leave for their networks, and what the networks answer.

Whatever waits when a network's cut-off has come leaves at the first tick at or after it, record by record in key
order, and the batch is closed behind. A network has one cut-off a day; what begins to wait at that tick or later
leaves with the next. Serials of ARNs are given here and not when the capture comes: in which order cards come
differs between two runs, the order of keys does not.

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
from events.calendar import MINUTE, civil, day_of, start_of
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
from events.corrections import ResolutionRejected, ResolutionRequested
from events.disputes import DisputeFundsReturned, DisputeFundsWithdrawn, DisputeNoticeReceived
from events.envelope import Recorded
from events.fees import FeeCorrected, InterchangeAssessed, InterchangeReturned, SchemeFeeAssessed
from events.identity import arn, operation_id, slot_of_payment
from events.lifecycle import CaptureVoided, PaymentCaptured
from events.partitions import ReferenceApplied
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved
from events.reference import NetworkProfile, ReconciliationTerms, decode_reference
from events.refunds import RefundApproved
from events.settlement import ClearingResidualAged
from streams.features import differences, resolving, returns
from streams.features.agreement import Terms, terms_of
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
DECIDES: Final[tuple[type[Event], ...]] = (InterchangeAssessed, InterchangeReturned)

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


class Batch(msgspec.Struct):
    """What has left for one network in one currency at the cut-off under way."""

    network: str
    currency: str
    batch_id: str
    presentments: int = 0
    presented_amount: int = 0
    refunds: int = 0
    refunded_amount: int = 0


class Network(msgspec.Struct, frozen=True):
    """What clearing needs of a network's profile."""

    acquirer_bin: str
    cut_off_minute: int


class State(msgspec.Struct):
    """Records by where they stand.

    ``waiting`` for a cut-off, by network and currency and then by source, oldest first; ``sent`` by record id, and
    of those ``answered`` the ones that the next tick hears. ``unanswered`` has record ids by the day on which we ask
    for them and by source, until they are answered or were asked for often enough.
    ``extras`` are answers to nothing.
    ``noticed``: whether networks have spoken of disputes since the last tick, for the next may then move their money.
    """

    terms: Terms = msgspec.field(default_factory=Terms)
    networks: dict[str, Network] = {}
    waiting: dict[str, dict[str, Record]] = {}
    sent: dict[str, Sent] = {}
    answered: dict[str, bool] = {}
    unanswered: dict[str, dict[str, str]] = {}
    extras: dict[str, Answer] = {}
    returns: Returns = msgspec.field(default_factory=Returns)
    differences: Differences = msgspec.field(default_factory=Differences)
    requests: Requests = msgspec.field(default_factory=Requests)
    noticed: bool = False
    batches: dict[str, Batch] = {}
    totals: Totals = msgspec.field(default_factory=Totals)
    serials: dict[str, int] = {}
    serials_on: int = 0


def initial() -> State:
    """Nothing waits."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Name the difference between our interchange and the network's."""
    body = recorded.body
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
    for lane, records in state.waiting.items():
        works += _cut_off(state, lane, records, now)
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


def _cut_off(state: State, lane: str, records: dict[str, Record], now: int) -> list[Work]:
    """The works of one network and currency whose cut-off has come; records stand oldest first.

    Whether it has come since a record began to wait is a comparison of two instants: there is no "last cut-off" to
    remember, and a cut-off is neither missed nor repeated however the ticks fall.
    """
    oldest = next(iter(records.values()), None)
    if oldest is None:
        return []
    network = state.networks.get(oldest.network)
    if network is None:
        return []
    cut_off_at = _last_cut_off(network, now)
    works = []
    for source_id, record in records.items():
        if record.since >= cut_off_at:
            break
        works.append(Work(CUT_OFFS, RECORD, f"1/{lane}/{source_id}"))
    if works:
        works.append(Work(CUT_OFFS, BATCH, f"2/{lane}"))
    return works


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
            return _send(state, f"{network}/{currency}", source_id, now)
        case "batch":
            return _close(state, work.key.removeprefix("2/"), now)
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


def _send(state: State, lane: str, source_id: str, now: int) -> list[Event]:
    """One record, unless it was voided since the tick began."""
    record = state.waiting[lane].get(source_id)
    if record is None:
        return []
    network = state.networks[record.network]
    slot = slot_of_payment(record.payment_id)
    day_on = day_of(now)
    serial = state.serials.get(str(slot), 0) if state.serials_on == day_on else 0
    return [
        ClearingRecordCreated(
            record.payment_id,
            record.merchant,
            record.network,
            operation_id("clr", record.source_id, str(record.presentment)),
            record.kind,
            record.source_id,
            arn(slot, serial, day_on, network.acquirer_bin),
            record.presentment,
            record.amount,
            record.currency,
            _batch_id(record.network, record.currency, _last_cut_off(network, now)),
        )
    ]


def _close(state: State, lane: str, now: int) -> list[Event]:
    batch = state.batches.get(lane)
    if batch is None:
        return []
    return [
        ClearingBatchClosed(
            batch.network,
            batch.currency,
            batch.batch_id,
            _last_cut_off(state.networks[batch.network], now),
            batch.presentments,
            batch.presented_amount,
            batch.refunds,
            batch.refunded_amount,
        )
    ]


def _last_cut_off(network: Network, now: int) -> int:
    """The network's newest cut-off that has come, microseconds UTC."""
    minutes = network.cut_off_minute * MINUTE
    return start_of(day_of(now - minutes)) + minutes


def _batch_id(network: str, currency: str, cut_off_at: int) -> str:
    year, month, day = civil(day_of(cut_off_at))
    return f"{network}-{currency}-{year:04d}{month:02d}{day:02d}"


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow each record from waiting to sent to settled, and add up what settles."""
    match recorded.body:
        case PaymentCaptured() as body:
            _wait(state, recorded, body, RecordKind.PRESENTMENT, body.capture_id)
        case RefundApproved() as body:
            _wait(state, recorded, body, RecordKind.REFUND, body.refund_id)
        case CaptureVoided() as body:
            del state.waiting[_lane(body.network, body.currency)][body.capture_id]
        case ClearingRecordCreated() as body:
            _leave(state, body, day_of(recorded.meta.recorded_at))
        case ClearingBatchClosed() as body:
            del state.batches[_lane(body.network, body.currency)]
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
                again = msgspec.structs.replace(
                    record, presentment=record.presentment + 1, since=recorded.meta.recorded_at
                )
                _put(state, again)
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
            state.networks[profile.network] = Network(profile.acquirer_bin, profile.cut_off_minute)
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
    _put(state, record)


def _put(state: State, record: Record) -> None:
    state.waiting.setdefault(_lane(record.network, record.currency), {})[record.source_id] = record


def _leave(state: State, body: ClearingRecordCreated, left_on: int) -> None:
    """The record is on its way, counts in its batch, and has used a serial of its slot and day."""
    lane = _lane(body.network, body.currency)
    record = state.waiting[lane].pop(body.source_id)
    ask_on = left_on + state.terms.answer_days
    state.sent[body.record_id] = Sent(record, left_on, ask_on)
    state.unanswered.setdefault(str(ask_on), {})[body.source_id] = body.record_id
    batch = state.batches.setdefault(lane, Batch(body.network, body.currency, body.batch_id))
    if body.kind is RecordKind.PRESENTMENT:
        batch.presentments += 1
        batch.presented_amount += body.amount
    else:
        batch.refunds += 1
        batch.refunded_amount += body.amount
    if state.serials_on != left_on:
        state.serials, state.serials_on = {}, left_on
    slot = str(slot_of_payment(body.payment_id))
    state.serials[slot] = state.serials.get(slot, 0) + 1


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
    record = state.returns.settled.pop(body.record_id).record
    state.differences.theirs[body.record_id] = -body.their_interchange
    count(state.totals, body)
    if body.representable:
        _put(state, msgspec.structs.replace(record, presentment=record.presentment + 1, since=at))


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


def _lane(network: str, currency: str) -> str:
    return f"{network}/{currency}"


def summary(state: State) -> Iterator[str]:
    """Each record that waits or is on its way. Sub-totals are a matter of partitions and ticks: not here."""
    for records in state.waiting.values():
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
