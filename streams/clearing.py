"""Clearing: captures and refunds leave for their networks, and what the networks answer.

Whatever waits when a network's cut-off has come leaves at the first tick at or after it, record by record in key
order, and the batch is closed behind. A network has one cut-off a day; what begins to wait at that tick or later
leaves with the next. Serials of ARNs are given here and not when the capture comes: in which order cards come
differs between two runs, the order of keys does not.

What an answer means stands in :mod:`streams.features.records`. Interchange is compared here too: ours is decided by
the fees, so the difference is named when that has been heard.

At the end of each tick the sub-totals of cycles and of invoice periods go to reconciliation.

A record is kept while it waits and until it is answered; one that is not answered for :data:`AGE_DAYS` days is
reported once.
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
    RecordKind,
    RefundCleared,
    SchemePeriodTotalled,
)
from events.envelope import Recorded
from events.fees import InterchangeAssessed, InterchangeReturned, SchemeFeeAssessed
from events.identity import arn, operation_id, slot_of_payment
from events.lifecycle import CaptureVoided, PaymentCaptured
from events.partitions import ReferenceApplied
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind
from events.reference import NetworkProfile, decode_reference
from events.refunds import RefundApproved
from events.settlement import ClearingResidualAged
from streams.features.records import Record, meaning_of
from streams.features.totals import Totals, count, report, reported
from streams.processor import CUT_OFFS, DEADLINES, NOTICES, Work

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
    InterchangeAssessed,
    InterchangeReturned,
    SchemeFeeAssessed,
    ClearingCycleTotalled,
    SchemePeriodTotalled,
    DiscrepancyDetected,
    ClearingResidualAged,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (InterchangeAssessed, InterchangeReturned)

AGE_DAYS: Final = 5
"""After how many days without an answer a record is reported."""

ANSWER, EXTRA, AGE, RECORD, BATCH, TOTALS = "answer", "extra", "age", "record", "batch", "totals"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a network said, until the tick that hears it."""

    body: ClearingRecordAnswered
    causation_id: str
    occurred_at: int


class Sent(msgspec.Struct):
    """A record on its way, and its answer when that has come. ``left_on`` is its day, for ageing."""

    record: Record
    left_on: int
    answer: Answer | None = None


class Difference(msgspec.Struct, frozen=True):
    """Two figures for one interchange, minor units of ``currency``."""

    currency: str
    ours: int
    theirs: int


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
    of those ``answered`` the ones that the next tick hears. ``unanswered`` has record ids by the day they left and
    by source, until they are answered or reported.
    ``extras`` are answers to nothing; ``theirs`` and ``differences`` compare interchange within one cascade.
    """

    networks: dict[str, Network] = {}
    waiting: dict[str, dict[str, Record]] = {}
    sent: dict[str, Sent] = {}
    answered: dict[str, bool] = {}
    unanswered: dict[str, dict[str, str]] = {}
    extras: dict[str, Answer] = {}
    theirs: dict[str, int] = {}
    differences: dict[str, Difference] = {}
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
    difference = state.differences.get(body.record_id)
    if difference is None:
        return []
    return [
        DiscrepancyDetected(
            body.record_id,
            DiscrepancyKind.FEE,
            difference.currency,
            difference.ours,
            difference.theirs,
            ClearingRecordAnswered.__name__,
        )
    ]


def due(state: State, now: int) -> list[Work]:
    """Answers, records that nobody answers, whatever a cut-off sends off, and the totals of the tick."""
    works = []
    for record_id in state.answered:
        answer = state.sent[record_id].answer
        assert answer is not None
        works.append(Work(NOTICES, ANSWER, record_id, answer.causation_id, answer.occurred_at))
    for key, extra in state.extras.items():
        works.append(Work(NOTICES, EXTRA, key, extra.causation_id, extra.occurred_at))
    if state.answered or state.totals.cycles or state.totals.periods:
        works.append(Work(CUT_OFFS, TOTALS, "3"))
    for day, sources in state.unanswered.items():
        if int(day) + AGE_DAYS > day_of(now):
            break
        works += [Work(DEADLINES, AGE, record_id) for record_id in sources.values()]
    for lane, records in state.waiting.items():
        works += _cut_off(state, lane, records, now)
    return works


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
            return meaning_of(work.key, sent.record, sent.answer.body)
        case "extra":
            return [_extra(state.extras.pop(work.key).body)]
        case "age":
            return _age(state, work.key, now)
        case "record":
            _, network, currency, source_id = work.key.split("/", 3)
            return _send(state, f"{network}/{currency}", source_id, now)
        case "batch":
            return _close(state, work.key.removeprefix("2/"), now)
        case _:
            return list(report(state.totals))


def _extra(said: ClearingRecordAnswered) -> DiscrepancyDetected:
    """An answer to a record that never left, or the second one to a record."""
    return DiscrepancyDetected(
        said.record_id, DiscrepancyKind.EXTRA, said.currency, 0, said.amount, ClearingRecordCreated.__name__
    )


def _age(state: State, record_id: str, now: int) -> list[Event]:
    sent = state.sent.get(record_id)
    if sent is None:
        return []
    record = sent.record
    presentment = record.kind is RecordKind.PRESENTMENT
    return [
        ClearingResidualAged(
            name(NU, record.network) if presentment else name(RT),
            record.source_id,
            record.currency,
            record.amount if presentment else -record.amount,
            day_of(now) - sent.left_on,
            ClearingRecordAnswered.__name__,
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
            _settle(state, body)
        case ClearingRecordRejected() as body:
            record = _finish(state, body.record_id).record
            if body.representable:
                again = msgspec.structs.replace(
                    record, presentment=record.presentment + 1, since=recorded.meta.recorded_at
                )
                _put(state, again)
        case InterchangeAssessed() as body:
            count(state.totals, body)
            _compare(state, body, body.amount)
        case InterchangeReturned() as body:
            count(state.totals, body)
            _compare(state, body, -body.amount)
        case SchemeFeeAssessed() as body:
            count(state.totals, body)
        case ClearingCycleTotalled() | SchemePeriodTotalled() as body:
            reported(state.totals, body)
        case DiscrepancyDetected() as body:
            state.differences.pop(body.item, None)
        case ClearingResidualAged() as body:
            _aged(state, body.item)
        case ReferenceApplied(kind="network") as body:
            profile = decode_reference(body.kind, body.content)
            assert isinstance(profile, NetworkProfile)
            state.networks[profile.network] = Network(profile.acquirer_bin, profile.cut_off_minute)
        case _:
            pass
    return state


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
    state.sent[body.record_id] = Sent(record, left_on)
    state.unanswered.setdefault(str(left_on), {})[body.source_id] = body.record_id
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
    answer = Answer(body, meta.event_id, meta.occurred_at)
    sent = state.sent.get(body.record_id)
    if sent is None or sent.answer is not None:
        state.extras[f"{body.record_id}/{meta.sequence:012d}"] = answer
        return
    sent.answer = answer
    state.answered[body.record_id] = True


def _finish(state: State, record_id: str) -> Sent:
    """The record is answered: forget it."""
    sent = state.sent.pop(record_id)
    del state.answered[record_id]
    _no_longer_unanswered(state, str(sent.left_on), sent.record.source_id)
    return sent


def _settle(state: State, body: ClearingRecordAccepted | RefundCleared) -> None:
    answer = _finish(state, body.record_id).answer
    assert answer is not None
    state.theirs[body.record_id] = answer.body.interchange
    count(state.totals, body)


def _compare(state: State, body: InterchangeAssessed | InterchangeReturned, ours: int) -> None:
    """Remember a difference until it is named, in the same cascade."""
    theirs = state.theirs.pop(body.record_id)
    if theirs != ours:
        state.differences[body.record_id] = Difference(body.currency, ours, theirs)


def _aged(state: State, source_id: str) -> None:
    for day, sources in state.unanswered.items():
        if source_id in sources:
            _no_longer_unanswered(state, day, source_id)
            return


def _no_longer_unanswered(state: State, day: str, source_id: str) -> None:
    """Nobody waits for the answer any more, or has said so."""
    sources = state.unanswered.get(day)
    if sources is not None:
        sources.pop(source_id, None)
        if not sources:
            del state.unanswered[day]


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
