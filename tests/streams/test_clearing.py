"""Clearing as tables: what leaves at a cut-off, what an answer means, and what the totals say."""

from typing import Any

import pytest

from events.base import Event
from events.calendar import DAY, HOUR, MINUTE, day_number
from events.clearing import (
    CaptureWrittenOff,
    ClearingBatchClosed,
    ClearingCycleTotalled,
    ClearingRecordAccepted,
    ClearingRecordAnswered,
    ClearingRecordCreated,
    ClearingRecordRejected,
    ClearingRejection,
    RecordKind,
    RefundCleared,
    SchemePeriodTotalled,
)
from events.clearingfiles import ClearingBatchAccepted, ClearingFileAccepted, FileBatch
from events.corrections import (
    ResolutionAction,
    ResolutionRejected,
    ResolutionRejection,
    ResolutionRequested,
)
from events.fees import FeeCorrected, InterchangeAssessed, InterchangeReturned, SchemeFeeAssessed
from events.identity import arn, operation_id
from events.lifecycle import CaptureVoided, PaymentCaptured
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind, DiscrepancyResolved
from events.refunds import RefundApproved
from events.settlement import ClearingResidualAged
from streams import clearing
from streams.features.differences import Differences
from tests.streams.builders_early import NOON, PAYMENT, network_profile
from tests.streams.builders_late import CYCLE, MIDNIGHT, PERIOD, Table, make

BIN = "411111"
CUT_OFF = MIDNIGHT + 22 * HOUR
VISA = network_profile(network="visa", cut_off_minute=22 * 60)
STAR = network_profile(network="star", cut_off_minute=30, acquirer_bin="499999")

CAPTURED = make(PaymentCaptured)
APPROVED = make(RefundApproved)


def record_id(source_id: str, presentment: int = 1) -> str:
    return operation_id("clr", source_id, str(presentment))


CLR, REF = record_id("cap-1"), record_id("ref-1")


def created(serial: int = 0, *, day: int = 9, **fields: object) -> ClearingRecordCreated:
    """The record of cap-1 as it leaves at the cut-off of a day in March."""
    values = {
        "record_id": CLR,
        "arn": arn(372, serial, day_number(2026, 3, day), BIN),
        "batch_id": f"visa-USD-202603{day:02d}",
    }
    return make(ClearingRecordCreated, **values | fields)


def closed(
    presentments: int = 1, presented: int = 1_000, refunds: int = 0, refunded: int = 0
) -> ClearingBatchClosed:
    return ClearingBatchClosed(
        "visa", "USD", "visa-USD-20260309", CUT_OFF, presentments, presented, refunds, refunded
    )


def answer(**fields: object) -> ClearingRecordAnswered:
    return make(ClearingRecordAnswered, **{"record_id": CLR} | fields)


def refused(reason: ClearingRejection, **fields: object) -> ClearingRecordAnswered:
    return answer(accepted=False, rejection=reason, cycle="", settlement_amount=0, interchange=0, **fields)


def rejected(reason: ClearingRejection, *, again: bool = False, **fields: object) -> ClearingRecordRejected:
    return make(
        ClearingRecordRejected, **{"record_id": CLR, "reason": reason, "representable": again} | fields
    )


def waiting(*given: Event) -> Table:
    table = Table(clearing, VISA, STAR)
    table.hear_of(*given)
    return table


def sent(*given: Event) -> Table:
    """What was given has left at the cut-off."""
    table = waiting(*given)
    table.passes(CUT_OFF)
    return table


# --- files ----------------------------------------------------------------------------------------------

SHA = "5" * 64


def told(*batches: FileBatch, cut_off_at: int = CUT_OFF) -> ClearingFileAccepted:
    return ClearingFileAccepted("visa", "visa-1", 1, cut_off_at, SHA, 9, 7, list(batches))


def merged(batch_id: str = "visa-USD-20260309") -> FileBatch:
    """The batch with what other partitions have put into it."""
    return FileBatch(batch_id, "USD", 8, 80_000, 1, 500, 7)


def test_a_batch_is_accepted_with_the_file_it_is_in() -> None:
    """With this partition's own totals, once: a file that is told of again changes nothing."""
    table = sent(CAPTURED)
    accepted = ClearingBatchAccepted(
        "visa", "USD", "visa-USD-20260309", CUT_OFF, "visa-1", SHA, 1, 1_000, 0, 0
    )
    assert table.comes(told(merged("visa-EUR-20260309"), merged())) == [accepted]
    assert table.state.cut_offs.closed == {}
    assert table.comes(told(merged())) == []


def test_a_file_of_another_cut_off_is_another_file() -> None:
    """Even where a network's cut-off has moved within a day, and the batch is called the same."""
    table = sent(CAPTURED)
    assert table.comes(told(merged(), cut_off_at=CUT_OFF - HOUR)) == []
    assert len(table.state.cut_offs.closed) == 1


def test_a_batch_waits_for_its_file_while_its_records_are_answered() -> None:
    """What is said of records and what is said of the file are two things: neither ends the other."""
    table = sent(CAPTURED)
    table.comes(answer())
    table.passes(CUT_OFF + HOUR)
    assert len(table.state.cut_offs.closed) == 1
    assert [ClearingBatchAccepted] == list(map(type, table.comes(told(merged()))))


# --- cut-offs -------------------------------------------------------------------------------------------


def test_a_capture_leaves_at_the_cut_off() -> None:
    """At the first tick at or after it, once; the batch is closed behind."""
    table = waiting(CAPTURED)
    assert table.passes(CUT_OFF - 1) == []
    assert table.passes(CUT_OFF) == [created(), closed()]
    assert table.passes(CUT_OFF + MINUTE) == []
    assert table.passes(CUT_OFF + DAY) == []


def test_a_late_tick_does_not_miss_a_cut_off() -> None:
    """Even when no tick fell on the rest of its day: the batch is that of the cut-off, the ARN of today."""
    table = waiting(CAPTURED)
    record, batch = table.passes(CUT_OFF + 3 * HOUR)
    assert record == created(batch_id="visa-USD-20260309", arn=arn(372, 0, day_number(2026, 3, 10), BIN))
    assert batch == closed()


def test_what_comes_at_the_cut_off_leaves_with_the_next() -> None:
    """A tick's own time is the cut-off's: whatever is captured from then on waits a day."""
    table = waiting()
    assert table.passes(CUT_OFF) == []
    table.hear_of(CAPTURED)
    assert table.passes(CUT_OFF + HOUR) == []
    assert [type(body) for body in table.passes(CUT_OFF + DAY)] == [
        ClearingRecordCreated,
        ClearingBatchClosed,
    ]


def test_records_leave_in_key_order_and_serials_count_per_slot() -> None:
    """Whatever order they came in."""
    other = PAYMENT.replace("0372", "0373")
    given = [
        make(PaymentCaptured, capture_id="cap-3", payment_id=other, amount=3),
        make(PaymentCaptured, capture_id="cap-2", amount=2),
        make(RefundApproved, amount=5),
        make(PaymentCaptured, amount=1),
    ]
    expected = [
        created(0, amount=1),
        created(1, source_id="cap-2", record_id=record_id("cap-2"), amount=2),
        created(
            source_id="cap-3",
            record_id=record_id("cap-3"),
            payment_id=other,
            amount=3,
            arn=arn(373, 0, day_number(2026, 3, 9), BIN),
        ),
        created(2, source_id="ref-1", record_id=REF, kind=RecordKind.REFUND, amount=5),
        closed(3, 6, 1, 5),
    ]
    assert waiting(*given).passes(CUT_OFF) == expected
    assert waiting(*reversed(given)).passes(CUT_OFF) == expected


def test_each_network_and_currency_has_its_own_batch() -> None:
    """And its own cut-off; a network whose profile is not known yet waits."""
    table = waiting(
        CAPTURED,
        make(PaymentCaptured, capture_id="cap-2", currency="EUR"),
        make(PaymentCaptured, capture_id="cap-3", network="star"),
        make(PaymentCaptured, capture_id="cap-4", network="nowhere"),
    )
    batches = [body.batch_id for body in table.passes(CUT_OFF) if isinstance(body, ClearingBatchClosed)]
    assert batches == ["visa-EUR-20260309", "visa-USD-20260309"]
    batches = [
        body.batch_id for body in table.passes(CUT_OFF + 3 * HOUR) if isinstance(body, ClearingBatchClosed)
    ]
    assert batches == ["star-USD-20260310"]
    assert [line.split()[1] for line in table.summary() if "waits" in line] == ["cap-4"]


def test_serials_and_totals_begin_again_every_day() -> None:
    """Serials are unique with the day in the ARN, and a batch counts its own records."""
    table = sent(CAPTURED)
    table.hear_of(make(PaymentCaptured, capture_id="cap-2"))
    record, batch = table.passes(CUT_OFF + DAY)
    assert record == created(0, day=10, source_id="cap-2", record_id=record_id("cap-2"))
    assert (batch.batch_id, batch.presentments, batch.presented_amount) == ("visa-USD-20260310", 1, 1_000)


def test_a_voided_capture_does_not_leave() -> None:
    """Also when the void was decided in the cut-off's own tick, after its works were listed."""
    table = waiting(CAPTURED, make(CaptureVoided))
    assert table.passes(CUT_OFF) == []
    table = waiting(CAPTURED)
    works = clearing.due(table.state, CUT_OFF)
    table.hear_of(make(CaptureVoided))
    assert [clearing.fire(table.state, work, CUT_OFF) for work in works] == [[], []]


# --- answers --------------------------------------------------------------------------------------------

INVALID, DUPLICATE = ClearingRejection.INVALID_DATA, ClearingRejection.DUPLICATE_PRESENTMENT
NOT_FOUND, LOST = ClearingRejection.AUTHORIZATION_NOT_FOUND, ClearingRejection.NOT_RECEIVED
ACCEPTED = make(ClearingRecordAccepted, record_id=CLR)
CLEARED = make(RefundCleared, record_id=REF)
REFUND = {"record_id": REF, "kind": RecordKind.REFUND, "source_id": "ref-1"}


def differs(ours: int, theirs: int) -> DiscrepancyDetected:
    return DiscrepancyDetected(CLR, DiscrepancyKind.AMOUNT, "USD", ours, theirs, "ClearingRecordAnswered")


def extra(record: str) -> DiscrepancyDetected:
    return DiscrepancyDetected(record, DiscrepancyKind.EXTRA, "USD", 0, 1_000, "ClearingRecordCreated")


IN_EUR = {"settlement_amount": 900, "settlement_currency": "EUR"}
# fmt: off
ANSWERS: list[tuple[str, list[Event], Event, list[Event]]] = [
    ("accepted",        [CAPTURED], answer(),                        [ACCEPTED]),
    ("refund cleared",  [APPROVED], answer(record_id=REF),           [CLEARED]),
    ("other currency",  [CAPTURED], answer(**IN_EUR),
     [make(ClearingRecordAccepted, record_id=CLR, **IN_EUR)]),
    ("other amount",    [CAPTURED], answer(amount=999),              [ACCEPTED, differs(1_000, 999)]),
    ("other settlement", [CAPTURED], answer(settlement_amount=998),  [ACCEPTED, differs(1_000, 998)]),
    ("invalid data",    [CAPTURED], refused(INVALID),                [rejected(INVALID, again=True)]),
    ("no trace of it",  [CAPTURED], refused(LOST),                   [rejected(LOST, again=True)]),
    ("duplicate",       [CAPTURED], refused(DUPLICATE),
     [rejected(DUPLICATE), make(CaptureWrittenOff)]),
    ("not found",       [CAPTURED], refused(NOT_FOUND),
     [rejected(NOT_FOUND), make(CaptureWrittenOff)]),
    ("refund invalid",  [APPROVED], refused(INVALID, record_id=REF), [rejected(INVALID, again=True, **REFUND)]),
    ("refund refused",  [APPROVED], refused(NOT_FOUND, record_id=REF), [rejected(NOT_FOUND, **REFUND)]),
    ("unknown",         [],         answer(record_id="clr-0"),       [extra("clr-0")]),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "when", "then"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
def test_an_answer_is_heard_at_the_tick(given: list[Event], when: Event, then: list[Event]) -> None:
    """Given, when, then; the books carry our figures, whatever the network's are."""
    table = sent(*given)
    assert table.comes(when) == []
    assert [body for body in table.next() if not isinstance(body, ClearingCycleTotalled)] == then
    assert table.next() == []


def test_every_rejection_has_a_row() -> None:
    """What a network may say, but for the word that says nothing."""
    reasons = {when.rejection for _, _, when, _ in ANSWERS}
    assert reasons == set(ClearingRejection)


@pytest.mark.parametrize("late", [False, True], ids=["in the same interval", "later"])
def test_a_second_answer_is_one_too_many(late: bool) -> None:
    """The first counts, and the second is named."""
    table = sent(CAPTURED)
    table.comes(answer())
    if late:
        table.next()
        table.comes(answer())
        assert table.next() == [extra(CLR)]
    else:
        table.comes(answer(amount=7))
        decided = table.next()
        assert decided[0] == ACCEPTED
        assert decided[1].kind is DiscrepancyKind.DUPLICATE


def test_a_corrected_record_leaves_once_more() -> None:
    """At the next cut-off, as presentment 2; refused again it is written off, whatever the reason."""
    table = sent(CAPTURED)
    table.comes(refused(INVALID))
    table.passes(CUT_OFF + HOUR)
    again = record_id("cap-1", 2)
    record, _ = table.passes(CUT_OFF + DAY)
    assert record == created(day=10, record_id=again, presentment=2)
    table.comes(refused(INVALID, record_id=again))
    assert table.next() == [rejected(INVALID, record_id=again), make(CaptureWrittenOff)]
    assert table.state.sent == {}
    assert table.summary() == []


# --- figures and totals ---------------------------------------------------------------------------------


def settle(table: Table, *answered: ClearingRecordAnswered) -> list[Event]:
    """A tick that hears answers, with fees deciding 25 and 3 + 1 as they would; what clearing decided."""
    table.comes(*answered)
    decided = []
    at = CUT_OFF + HOUR
    for work in table.works(at):
        for body in clearing.fire(table.state, work, at):
            decided.append(body)
            table.hear_of(body)
            match body:
                case ClearingRecordAccepted():
                    decided += table.comes(
                        make(InterchangeAssessed, record_id=body.record_id, cycle=body.cycle),
                        make(SchemeFeeAssessed, record_id=body.record_id),
                        make(SchemeFeeAssessed, record_id=body.record_id, fee_id="SWITCH", amount=1),
                    )
                case RefundCleared():
                    decided += table.comes(
                        make(InterchangeReturned, record_id=body.record_id, cycle=body.cycle)
                    )
                case _:
                    pass
    return decided


def test_equal_interchange_is_no_news() -> None:
    """And a refund's is negative on the network's side."""
    table = sent(CAPTURED, APPROVED)
    decided = settle(table, answer(), answer(record_id=REF, interchange=-25))
    assert decided[:2] == [CLEARED, ACCEPTED]
    assert not any(isinstance(body, DiscrepancyDetected) for body in decided)
    assert table.state.differences == Differences()


@pytest.mark.parametrize(
    ("given", "record", "theirs", "ours"),
    [(CAPTURED, CLR, 26, 25), (APPROVED, REF, -26, -25)],
    ids=["capture", "refund"],
)
def test_another_interchange_is_named(given: Event, record: str, theirs: int, ours: int) -> None:
    """Once, with both figures; the totals carry ours."""
    table = sent(given)
    decided = settle(table, answer(record_id=record, interchange=theirs))
    assert decided[1] == DiscrepancyDetected(
        record, DiscrepancyKind.FEE, "USD", ours, theirs, "ClearingRecordAnswered"
    )
    assert decided[2].interchange == ours
    assert list(table.state.differences.open) == [record]


def test_the_tick_ends_with_what_it_settled() -> None:
    """Sub-totals of cycles and invoice periods, behind all records, and only what is new since the last."""
    table = sent(CAPTURED, APPROVED, make(PaymentCaptured, capture_id="cap-2", amount=500))
    second = record_id("cap-2")
    decided = settle(
        table,
        answer(),
        answer(record_id=REF, interchange=-25),
        answer(record_id=second, amount=500, settlement_amount=500, cycle="visa-USD-2026-03-10"),
    )
    assert decided[3:] == [
        ClearingCycleTotalled("visa", "USD", CYCLE, "bank-usd", 2, 1_000, 1_000, 0, 0),
        ClearingCycleTotalled("visa", "USD", "visa-USD-2026-03-10", "bank-usd", 1, 500, 0, 25, 475),
        SchemePeriodTotalled("visa", "USD", PERIOD, "bank-usd", 4, 8),
    ]
    assert clearing.due(table.state, CUT_OFF + 2 * HOUR) == []


def test_a_quiet_tick_lists_nothing() -> None:
    """Records on their way cost ticks nothing."""
    assert clearing.due(sent(CAPTURED).state, CUT_OFF + HOUR) == []


# --- what two people put right --------------------------------------------------------------------------


def asks(action: ResolutionAction, record: str = CLR, **fields: Any) -> ResolutionRequested:
    given = {"request_id": "r-1", "target": "", "limit": 1, "requested_by": "ada", "approved_by": "grace"}
    return ResolutionRequested(item=record, action=action, note="", **{**given, **fields})


def put_right(by: type[Event], amount: int, record: str = CLR) -> DiscrepancyResolved:
    return DiscrepancyResolved(record, by.__name__, "USD", amount, "r-1", "ada", "grace")


def no(reason: ResolutionRejection, request: ResolutionRequested) -> ResolutionRejected:
    return ResolutionRejected(
        request.item, "r-1", request.action, reason, request.requested_by, request.approved_by
    )


A, R = ResolutionAction, ResolutionRejection


@pytest.mark.parametrize(
    ("given", "record", "theirs", "ours"),
    [(CAPTURED, CLR, 26, 25), (APPROVED, REF, -26, -25)],
    ids=["capture", "refund"],
)
def test_an_approved_adjustment_takes_the_networks_interchange(
    given: Event, record: str, theirs: int, ours: int
) -> None:
    """The cycle's total follows, and what was named is over; a repetition is refused."""
    table = sent(given)
    settle(table, answer(record_id=record, interchange=theirs))
    request = asks(A.ADJUST, record)
    table.comes(request)
    assert table.next() == [
        FeeCorrected(PAYMENT, "visa", record, ours, theirs, theirs - ours, "USD", CYCLE, "grace"),
        put_right(FeeCorrected, theirs - ours, record),
        ClearingCycleTotalled("visa", "USD", CYCLE, "bank-usd", 0, 0, 0, theirs - ours, ours - theirs),
    ]
    table.comes(request)
    assert table.next() == [no(R.REPEATED, request)]


def test_a_record_without_a_trace_leaves_again_when_it_is_approved() -> None:
    """Under a new name, at the next cut-off; and the old one is forgotten."""
    table = sent(CAPTURED)
    table.passes(NOON + 5 * DAY)
    table.comes(asks(A.PRESENT_AGAIN))
    assert table.next() == [rejected(LOST, again=True), put_right(ClearingRecordRejected, 1_000)]
    assert table.state.sent == {}
    assert table.state.unanswered == {}
    again = created(
        record_id=record_id("cap-1", 2),
        presentment=2,
        batch_id="visa-USD-20260314",
        arn=arn(372, 0, day_number(2026, 3, 14), BIN),
    )
    assert table.passes(CUT_OFF + 5 * DAY)[0] == again


@pytest.mark.parametrize(
    ("said", "request_", "then"),
    [
        ([answer(amount=999)], asks(A.ACCEPT), put_right(ResolutionRequested, 0)),
        ([answer(), answer()], asks(A.ACCEPT), put_right(ResolutionRequested, 0)),
        ([answer(amount=999)], asks(A.ADJUST), R.NOT_FITTING),
        ([answer(interchange=27)], asks(A.ADJUST), R.ABOVE_LIMIT),
        ([answer(interchange=26)], asks(A.WRITE_OFF), R.NOT_FITTING),
        ([answer(interchange=26)], asks(A.ADJUST, approved_by="ADA"), R.FOUR_EYES),
        ([answer(interchange=26)], asks(A.PRESENT_AGAIN), R.NOT_FITTING),
        ([answer()], asks(A.ACCEPT), R.NOT_OPEN),
        ([], asks(A.ACCEPT), R.NOT_FITTING),
    ],
)
def test_a_request_fits_what_differs_or_is_refused(
    said: list[Event], request_: ResolutionRequested, then: DiscrepancyResolved | ResolutionRejection
) -> None:
    """A record that is missing, at last, can only leave again."""
    table = sent(CAPTURED)
    if said:
        settle(table, *said)
    else:
        table.passes(NOON + 5 * DAY)
    table.comes(request_)
    expected = no(then, request_) if isinstance(then, ResolutionRejection) else then
    assert [body for body in table.next() if not isinstance(body, ClearingCycleTotalled)] == [expected]


def test_what_nobody_puts_right_is_forgotten_in_the_end() -> None:
    """It stands in the log, and memory must not grow for ever."""
    table = sent(CAPTURED)
    settle(table, answer(interchange=26))
    table.comes(asks(A.ACCEPT, "clr-0"))
    table.next()
    assert table.state.differences.open
    assert table.state.requests.answered
    table.passes(NOON + 62 * DAY)
    assert table.state.differences.open == {}
    assert table.state.requests.answered == {}


# --- ageing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "account", "item", "amount"),
    [
        (CAPTURED, "asset:network_unbilled:visa", "cap-1", 1_000),
        (APPROVED, "liab:refund_in_transit", "ref-1", -1_000),
    ],
    ids=["capture", "refund"],
)
def test_a_record_that_nobody_answers_is_asked_for(
    given: Event, account: str, item: str, amount: int
) -> None:
    """As missing after five days, then at each step of age; and when the answer comes after all, that is said."""
    table = sent(given)
    record = record_id(item)
    missing = DiscrepancyDetected(record, DiscrepancyKind.MISSING, "USD", 1_000, 0, "ClearingRecordAnswered")
    told = {day: table.passes(NOON + day * DAY) for day in range(1, 80)}
    aged = {
        day: [ClearingResidualAged(account, item, "USD", amount, day, "ClearingRecordAnswered")]
        for day in (19, 35, 65)
    }
    assert {day: said for day, said in told.items() if said} == {5: [missing], **aged}
    table.comes(answer(record_id=record))
    found, settled, *_ = table.next()
    assert found == DiscrepancyResolved(record, "ClearingRecordAnswered", "USD", 1_000)
    assert type(settled) in (ClearingRecordAccepted, RefundCleared)
    assert table.state.differences.open == {}


def test_a_record_that_is_answered_in_time_is_not_reported() -> None:
    """Nor is one whose answer is heard in the very tick."""
    table = sent(CAPTURED)
    table.comes(answer())
    assert not any(isinstance(body, ClearingResidualAged) for body in table.passes(NOON + 5 * DAY))
    assert table.state.unanswered == {}


def test_the_summary_names_records_and_no_sub_totals() -> None:
    """Sub-totals differ with partitions and ticks."""
    table = sent(CAPTURED)
    table.hear_of(APPROVED)
    assert table.summary() == [
        "clearing ref-1 refund visa 1000 USD waits for presentment 1",
        f"clearing cap-1 presentment visa 1000 USD left as {CLR}",
    ]
