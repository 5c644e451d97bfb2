"""The life of a payment, as tables: given what happened, when this comes, then that follows."""

import pytest

from events.authorization import (
    AuthorizationIncremented,
    AuthorizationReversed,
    IncrementDeclined,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
)
from events.base import Event
from events.calendar import DAY, HOUR
from events.clearing import ClearingRecordCreated, RecordKind
from events.envelope import Recorded
from events.identity import operation_id
from events.lifecycle import (
    AuthorizationExpired,
    AuthorizationRemainderReleased,
    CaptureRequested,
    CaptureVoided,
    IncrementAdmitted,
    IncrementRequested,
    OperationParked,
    OperationRejected,
    OperationRejection,
    PaymentCaptured,
    PaymentRequested,
    PaymentVoided,
    VoidRequested,
)
from events.reference import OverCapture
from events.refunds import RefundApproved, RefundFailed
from events.requests import CaptureMode, Operation
from streams import lifecycle
from tests.streams.builders_early import KEY, NOON, PAYMENT, SHOP, merchant_terms, network_profile, recorded
from tests.streams.builders_late import Table, make

REQUESTED = make(PaymentRequested)
AUTHORIZED = make(PaymentAuthorized)
DECLINED = make(PaymentDeclined)
REVERSED = make(AuthorizationReversed, hold_released=0)
CAPTURED = make(PaymentCaptured)
PART = make(PaymentCaptured, amount=300, hold_released=300, final=False)
LEFT = make(ClearingRecordCreated)
LEFT_IN_PART = make(ClearingRecordCreated, amount=300)
VOIDED = make(PaymentVoided)
EXPIRED = make(AuthorizationExpired)
REFUND = make(RefundApproved, amount=100)

RELEASED = make(AuthorizationRemainderReleased, hold_released=700)
ADMITTED = make(IncrementAdmitted)

CAPTURE = make(CaptureRequested)
VOID = make(VoidRequested)
UNDO = make(VoidRequested, capture_id="cap-1")
INCREMENT = make(IncrementRequested)

#: A restaurant may add a fifth at its network; one payment there is at most 5,000.
TIPS = (
    network_profile(network="visa", over_capture=(OverCapture(("5812",), 200_000),)).body,
    merchant_terms(mcc="5812", max_amount=5_000).body,
)
RIGID = network_profile(network="visa", increments=False).body


def capture(amount: int, *, final: bool = False, **fields: str) -> CaptureRequested:
    return make(CaptureRequested, amount=amount, final=final, **fields)


def rejected(operation: Operation, reason: OperationRejection, merchant: str = SHOP) -> OperationRejected:
    return OperationRejected(PAYMENT, merchant, operation, KEY, reason)


def parked(operation: Operation) -> OperationParked:
    return OperationParked(PAYMENT, operation, KEY)


def after(*given: Event) -> Table:
    table = Table(lifecycle)
    for body in given:
        table.hear_of(body)
    return table


C, G, V = Operation.CAPTURE, Operation.INCREMENT, Operation.VOID
R = OperationRejection

# fmt: off
TABLE: list[tuple[str, list[Event], Event, list[Event]]] = [
    # what is asked for and done
    ("whole",            [REQUESTED, AUTHORIZED],       CAPTURE,                   [CAPTURED]),
    ("part",             [REQUESTED, AUTHORIZED],       capture(300),              [PART]),
    ("part, final",      [REQUESTED, AUTHORIZED],       capture(300, final=True),
     [make(PaymentCaptured, amount=300, hold_released=300), RELEASED]),
    ("rest is final",    [REQUESTED, AUTHORIZED, PART], capture(700, capture_id="cap-2"),
     [make(PaymentCaptured, capture_id="cap-2", amount=700, hold_released=700)]),
    ("void",             [REQUESTED, AUTHORIZED],       VOID,                      [VOIDED]),
    ("void of capture",  [REQUESTED, AUTHORIZED, CAPTURED], VOID,
     [make(CaptureVoided), make(PaymentVoided, hold_released=0)]),
    ("void of parts",    [REQUESTED, AUTHORIZED, PART,
                          make(PaymentCaptured, capture_id="cap-0", amount=1, hold_released=1, final=False)], VOID,
     [make(CaptureVoided, capture_id="cap-0", amount=1), make(CaptureVoided, amount=300),
      make(PaymentVoided, hold_released=699)]),
    ("void of the captured part of an expired one",
     [REQUESTED, AUTHORIZED, PART, make(AuthorizationExpired, hold_released=700)], VOID,
     [make(CaptureVoided, amount=300), make(PaymentVoided, hold_released=0)]),
    ("void after a failed refund", [REQUESTED, AUTHORIZED, CAPTURED, REFUND, make(RefundFailed, amount=100)], VOID,
     [make(CaptureVoided), make(PaymentVoided, hold_released=0)]),
    ("void of the rest", [REQUESTED, AUTHORIZED, PART, LEFT_IN_PART], VOID, [RELEASED]),
    ("void of the rest, and of a capture",
     [REQUESTED, AUTHORIZED, PART, LEFT_IN_PART,
      make(PaymentCaptured, capture_id="cap-2", amount=100, hold_released=100, final=False)], VOID,
     [make(CaptureVoided, capture_id="cap-2", amount=100), make(AuthorizationRemainderReleased, hold_released=600)]),
    # one capture
    ("void of one",      [REQUESTED, AUTHORIZED, PART], UNDO,                      [make(CaptureVoided, amount=300)]),
    ("void of the only", [REQUESTED, AUTHORIZED, CAPTURED], UNDO,
     [make(CaptureVoided), make(PaymentVoided, hold_released=0)]),
    ("void of one, refunded from another",
     [REQUESTED, AUTHORIZED, PART, make(PaymentCaptured, capture_id="cap-2", amount=700, hold_released=700), REFUND],
     UNDO, [make(CaptureVoided, amount=300)]),
    ("no such capture",  [REQUESTED, AUTHORIZED, PART], make(VoidRequested, capture_id="cap-9"),
     [rejected(V, R.CAPTURE_UNKNOWN)]),
    ("capture undone",   [REQUESTED, AUTHORIZED, PART, make(CaptureVoided, amount=300)], UNDO,
     [rejected(V, R.ALREADY_VOIDED)]),
    ("capture left",     [REQUESTED, AUTHORIZED, PART, LEFT_IN_PART], UNDO, [rejected(V, R.ALREADY_CLEARING)]),
    ("capture refunded", [REQUESTED, AUTHORIZED, CAPTURED, REFUND],   UNDO, [rejected(V, R.REFUNDS_BEGUN)]),
    # more than is held
    ("a tip",            [*TIPS, REQUESTED, AUTHORIZED], capture(1_200), [make(PaymentCaptured, amount=1_200)]),
    ("a tip on the rest", [*TIPS, REQUESTED, AUTHORIZED, PART], capture(900, capture_id="cap-2"),
     [make(PaymentCaptured, capture_id="cap-2", amount=900, hold_released=700)]),
    ("above the tip",    [*TIPS, REQUESTED, AUTHORIZED], capture(1_201), [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    ("above the tip, with an increment", [*TIPS, REQUESTED, AUTHORIZED, make(AuthorizationIncremented, amount=500)],
     capture(1_801), [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    # more on hold
    ("increment",        [*TIPS, REQUESTED, AUTHORIZED],       INCREMENT, [ADMITTED]),
    ("increment, partly captured", [REQUESTED, AUTHORIZED, PART], INCREMENT, [ADMITTED]),
    ("capture of what grew", [REQUESTED, AUTHORIZED, ADMITTED, make(AuthorizationIncremented, amount=500)],
     capture(1_500), [make(PaymentCaptured, amount=1_500, hold_released=1_500)]),
    ("capture of what did not grow", [REQUESTED, AUTHORIZED, ADMITTED, make(IncrementDeclined)], capture(1_001),
     [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    ("increment unknown", [],                               INCREMENT, [rejected(G, R.PAYMENT_UNKNOWN)]),
    ("increment, not theirs", [REQUESTED, AUTHORIZED],      make(IncrementRequested, merchant="other"),
     [rejected(G, R.MERCHANT_MISMATCH, "other")]),
    ("increment, currency", [REQUESTED, AUTHORIZED],        make(IncrementRequested, currency="EUR"),
     [rejected(G, R.CURRENCY_MISMATCH)]),
    ("increment, declined", [REQUESTED, DECLINED],          INCREMENT, [rejected(G, R.NOT_AUTHORIZED)]),
    ("increment, captured", [REQUESTED, AUTHORIZED, CAPTURED], INCREMENT, [rejected(G, R.ALREADY_CAPTURED)]),
    ("increment, voided",   [REQUESTED, AUTHORIZED, VOIDED],   INCREMENT, [rejected(G, R.ALREADY_VOIDED)]),
    ("increment, expired",  [REQUESTED, AUTHORIZED, EXPIRED],  INCREMENT, [rejected(G, R.AUTHORIZATION_EXPIRED)]),
    ("increment, above the limit", [*TIPS, REQUESTED, AUTHORIZED], make(IncrementRequested, amount=4_001),
     [rejected(G, R.AMOUNT_ABOVE_LIMIT)]),
    ("increment, not supported", [RIGID, REQUESTED, AUTHORIZED], INCREMENT, [rejected(G, R.INCREMENT_NOT_SUPPORTED)]),
    # what waits
    ("increment waits",  [REQUESTED],                   INCREMENT,                 [parked(G)]),
    ("capture waits for an increment", [REQUESTED, AUTHORIZED, ADMITTED], CAPTURE, [parked(C)]),
    ("void waits for an increment",    [REQUESTED, AUTHORIZED, ADMITTED], VOID,    [parked(V)]),
    ("capture waits",    [REQUESTED],                   CAPTURE,                   [parked(C)]),
    ("void waits",       [REQUESTED],                   VOID,                      [parked(V)]),
    # every reason to refuse a capture
    ("unknown",          [],                            CAPTURE, [rejected(C, R.PAYMENT_UNKNOWN)]),
    ("not theirs",       [REQUESTED, AUTHORIZED],       make(CaptureRequested, merchant="other"),
     [rejected(C, R.MERCHANT_MISMATCH, "other")]),
    ("not theirs, open", [REQUESTED],                   make(CaptureRequested, merchant="other"),
     [rejected(C, R.MERCHANT_MISMATCH, "other")]),
    ("not theirs, over", [REQUESTED, DECLINED],         make(CaptureRequested, merchant="other"),
     [rejected(C, R.MERCHANT_MISMATCH, "other")]),
    ("currency",         [REQUESTED, AUTHORIZED],       make(CaptureRequested, currency="EUR"),
     [rejected(C, R.CURRENCY_MISMATCH)]),
    ("declined",         [REQUESTED, DECLINED],         CAPTURE, [rejected(C, R.NOT_AUTHORIZED)]),
    ("reversed",         [REQUESTED, REVERSED],         CAPTURE, [rejected(C, R.NOT_AUTHORIZED)]),
    ("above hold",       [REQUESTED, AUTHORIZED],       capture(1_001), [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    ("above the rest",   [REQUESTED, AUTHORIZED, PART], capture(701),   [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    ("above approved",   [REQUESTED, make(PaymentAuthorized, approved_amount=600)], CAPTURE,
     [rejected(C, R.AMOUNT_ABOVE_HOLD)]),
    ("captured",         [REQUESTED, AUTHORIZED, CAPTURED],       CAPTURE, [rejected(C, R.ALREADY_CAPTURED)]),
    ("captured, left",   [REQUESTED, AUTHORIZED, CAPTURED, LEFT], CAPTURE, [rejected(C, R.ALREADY_CAPTURED)]),
    ("voided",           [REQUESTED, AUTHORIZED, VOIDED],         CAPTURE, [rejected(C, R.ALREADY_VOIDED)]),
    ("expired",          [REQUESTED, AUTHORIZED, EXPIRED],        CAPTURE, [rejected(C, R.AUTHORIZATION_EXPIRED)]),
    ("rest expired",     [REQUESTED, AUTHORIZED, PART, make(AuthorizationExpired, hold_released=700)], CAPTURE,
     [rejected(C, R.AUTHORIZATION_EXPIRED)]),
    # every reason to refuse a void
    ("unknown",          [],                                      VOID, [rejected(V, R.PAYMENT_UNKNOWN)]),
    ("not theirs",       [REQUESTED, AUTHORIZED],                 make(VoidRequested, merchant="other"),
     [rejected(V, R.MERCHANT_MISMATCH, "other")]),
    ("declined",         [REQUESTED, DECLINED],                   VOID, [rejected(V, R.NOT_AUTHORIZED)]),
    ("voided",           [REQUESTED, AUTHORIZED, VOIDED],         VOID, [rejected(V, R.ALREADY_VOIDED)]),
    ("expired",          [REQUESTED, AUTHORIZED, EXPIRED],        VOID, [rejected(V, R.AUTHORIZATION_EXPIRED)]),
    ("left",             [REQUESTED, AUTHORIZED, CAPTURED, LEFT], VOID, [rejected(V, R.ALREADY_CLEARING)]),
    ("being refunded",   [REQUESTED, AUTHORIZED, CAPTURED, REFUND],   VOID, [rejected(V, R.REFUNDS_BEGUN)]),
    ("being refunded, left in part",
     [REQUESTED, AUTHORIZED, PART, LEFT_IN_PART,
      make(PaymentCaptured, capture_id="cap-2", amount=700, hold_released=700), make(RefundApproved, amount=301)],
     VOID, [rejected(V, R.REFUNDS_BEGUN)]),
]
# fmt: on


@pytest.mark.parametrize(("given", "when", "then"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_follow_up_is_decided_at_the_tick(given: list[Event], when: Event, then: list[Event]) -> None:
    """Given, when, then."""
    table = after(*given)
    assert table.comes(when) == []
    assert table.next() == then
    assert table.next() == []


def test_every_reason_has_a_row() -> None:
    """All that lifecycle may answer; the others are about refunds."""
    reasons = {body.reason for *_, then in TABLE for body in then if isinstance(body, OperationRejected)}
    assert reasons == set(R) - {R.NOTHING_CAPTURED, R.AMOUNT_ABOVE_CAPTURED, R.AMOUNT_DISPUTED}


# --- automatic mode -------------------------------------------------------------------------------------


def test_an_automatic_payment_is_captured_at_once() -> None:
    """All that was approved, and a capture id that the merchant can compute."""
    table = after(make(PaymentRequested, capture_mode=CaptureMode.AUTOMATIC))
    captured = make(
        PaymentCaptured, capture_id=operation_id("cap", SHOP, KEY), amount=600, hold_released=600, final=True
    )
    assert table.comes(make(PaymentAuthorized, approved_amount=600)) == [captured]
    assert table.passes(NOON + 8 * DAY) == []


def test_a_manual_payment_is_left_to_its_merchant() -> None:
    """Nothing is captured that nobody asked for."""
    assert after(REQUESTED).comes(AUTHORIZED) == []


# --- time -----------------------------------------------------------------------------------------------


def test_a_hold_runs_out_at_the_first_tick_at_or_after_its_time() -> None:
    """Not a tick earlier, once, and only what is still held."""
    table = after(REQUESTED, AUTHORIZED, PART)
    assert table.passes(NOON + 7 * DAY - 1) == []
    assert table.passes(NOON + 7 * DAY) == [make(AuthorizationExpired, hold_released=700)]
    assert table.state.expiries == []
    assert table.passes(NOON + 8 * DAY) == []


@pytest.mark.parametrize("ending", [CAPTURED, VOIDED], ids=["captured", "voided"])
def test_a_hold_that_is_used_does_not_run_out(ending: Event) -> None:
    """Its time is forgotten, so no tick looks at it again."""
    table = after(REQUESTED, AUTHORIZED, ending)
    assert table.state.expiries == []
    assert table.passes(NOON + 8 * DAY) == []


def test_holds_run_out_in_the_order_of_their_times() -> None:
    """Payments authorized in any order, with holds of any length."""
    table = Table(lifecycle)
    for name, days in (("c", 5), ("a", 9), ("b", 2), ("d", 5)):
        table.hear_of(make(PaymentRequested, payment_id=name))
        table.hear_of(make(PaymentAuthorized, payment_id=name, valid_until_at=NOON + days * DAY))
    assert [expiry.at for expiry in table.state.expiries] == [NOON + days * DAY for days in (2, 5, 9)]
    assert [body.payment_id for body in table.passes(NOON + 5 * DAY)] == ["b", "c", "d"]
    assert [body.payment_id for body in table.passes(NOON + 9 * DAY)] == ["a"]


def test_a_capture_goes_before_the_end_of_the_hold() -> None:
    """A follow-up that came before the tick is decided before the tick's deadlines."""
    table = after(REQUESTED, AUTHORIZED)
    table.comes(CAPTURE)
    assert table.passes(NOON + 7 * DAY) == [CAPTURED]


def test_a_hold_that_was_used_in_this_tick_is_not_released_again() -> None:
    """What was due when the tick began is looked at again when its turn comes."""
    table = after(REQUESTED, AUTHORIZED)
    table.comes(VOID)
    assert table.passes(NOON + 7 * DAY) == [VOIDED]


# --- order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_two_follow_ups_are_decided_by_their_time_and_key(turned: bool) -> None:
    """Whichever was read first: the capture was asked for earlier, so the void comes too late for the hold."""
    first = recorded_at(NOON - HOUR, capture(1_000, idempotency_key="z"))
    second = recorded_at(NOON - HOUR + 1, make(VoidRequested, idempotency_key="a"))
    table = after(REQUESTED, AUTHORIZED)
    for one in (second, first) if turned else (first, second):
        table.hear(one)
    assert table.next() == [CAPTURED, make(CaptureVoided), make(PaymentVoided, hold_released=0)]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_at_one_time_the_smaller_key_goes_first(turned: bool) -> None:
    """Times collide; keys of one merchant do not."""
    pair = [
        recorded_at(NOON, capture(600, idempotency_key="b", capture_id="cap-b")),
        recorded_at(NOON, capture(500, idempotency_key="a", capture_id="cap-a")),
    ]
    table = after(REQUESTED, AUTHORIZED)
    for one in pair[::-1] if turned else pair:
        table.hear(one)
    done, refused = table.next()
    assert (done.capture_id, refused.idempotency_key) == ("cap-a", "b")
    assert refused.reason is R.AMOUNT_ABOVE_HOLD


def recorded_at(occurred_at: int, body: Event) -> Recorded:
    """A follow-up with the producer's own time."""
    return recorded(body, occurred_at=occurred_at)


# --- parking --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "then"),
    [
        (AUTHORIZED, [CAPTURED]),
        (DECLINED, [rejected(C, R.NOT_AUTHORIZED)]),
        (REVERSED, [rejected(C, R.NOT_AUTHORIZED)]),
    ],
    ids=["authorized", "declined", "reversed"],
)
def test_a_parked_follow_up_is_decided_after_the_outcome(outcome: Event, then: list[Event]) -> None:
    """It is parked once, costs ticks nothing while it waits, and is decided at the tick after the outcome."""
    table = after(REQUESTED)
    table.comes(CAPTURE)
    assert table.next() == [parked(C)]
    assert lifecycle.due(table.state, table.now + HOUR) == []
    assert table.next() == []
    assert table.comes(outcome) == []
    assert table.next() == then


def test_the_reversal_of_a_void_changes_nothing_more() -> None:
    """The network acknowledges what we have booked already."""
    table = after(REQUESTED, AUTHORIZED, VOIDED, make(AuthorizationReversed, reason=ReversalReason.VOID))
    table.comes(CAPTURE)
    assert table.next() == [rejected(C, R.ALREADY_VOIDED)]


# --- memory ---------------------------------------------------------------------------------------------


def test_a_payment_is_kept_until_its_captures_have_left() -> None:
    """Then only its ending remains."""
    table = after(REQUESTED, AUTHORIZED, PART)
    table.comes(capture(700, capture_id="cap-2"))
    table.next()
    table.hear_of(LEFT_IN_PART)
    assert PAYMENT in table.state.payments
    table.hear_of(make(ClearingRecordCreated, source_id="cap-2", amount=700))
    assert len(table.state.payments) == 0
    assert dict(table.state.closed.items()) == {PAYMENT: lifecycle.Closed(SHOP, lifecycle.Standing.CAPTURED)}


def test_a_second_presentment_and_a_refund_record_are_no_news() -> None:
    """The first presentment is what a void can come too late for."""
    table = after(REQUESTED, AUTHORIZED, PART, LEFT_IN_PART)
    state = table.summary()
    table.hear_of(make(ClearingRecordCreated, presentment=2))
    table.hear_of(make(ClearingRecordCreated, kind=RecordKind.REFUND, source_id="ref-1"))
    assert table.summary() == state


def test_an_ending_is_forgotten_after_its_days() -> None:
    """For 30 whole days a follow-up is refused with the right reason, then its payment is unknown."""
    table = after(REQUESTED, DECLINED)
    days = lifecycle.MEMORY_DAYS
    table.comes(CAPTURE)
    assert table.passes(NOON + days * DAY) == [rejected(C, R.NOT_AUTHORIZED)]
    assert table.passes(NOON + (days + 1) * DAY) == []
    assert (len(table.state.closed), table.state.closed.days) == (0, {})
    table.comes(CAPTURE)
    assert table.next() == [rejected(C, R.PAYMENT_UNKNOWN)]


def test_the_summary_names_every_payment_and_what_waits() -> None:
    """What two runs must agree on."""
    table = after(
        REQUESTED,
        AUTHORIZED,
        PART,
        make(PaymentRequested, payment_id="p-2"),
        make(PaymentDeclined, payment_id="p-2"),
    )
    table.comes(VOID)
    assert table.summary() == [
        (
            f"payment {PAYMENT} authorized {SHOP} visa USD approved 1000 held 700 until {NOON + 7 * DAY} "
            "captured 300 refunded 0 unsent [cap-1=300]"
        ),
        f"payment p-2 declined {SHOP} over",
        f"follow-up {PAYMENT} void {SHOP}/{KEY} waits",
    ]
