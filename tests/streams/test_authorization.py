"""Authorization submits once, believes the first answer, and takes back what nobody answered."""

import pytest

from events.authorization import (
    AmountConflictDetected,
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    AuthorizationSubmitted,
    ConflictField,
    DeclineReason,
    LateApprovalAction,
    LateApprovalReceived,
    MessageKind,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    NetworkReplyUnmatched,
    PaymentAuthorized,
    PaymentDeclined,
    RetryAdvice,
    ReversalReason,
    ReversalSubmitted,
    UnmatchedReason,
)
from events.base import Event
from events.calendar import DAY, MINUTE
from events.clearing import ClearingRecordCreated, RecordKind
from events.identity import rrn
from events.lifecycle import (
    AuthorizationExpired,
    CaptureVoided,
    PaymentCaptured,
    PaymentVoided,
)
from events.risk import RiskAssessed, Verdict
from events.routing import RouteExhausted, RouteReason, RouteSelected
from streams import authorization
from streams.features.approvals import DECLINES, OTHER_DECLINE, stan
from tests.streams.builders_early import (
    CARD,
    NOON,
    PAYMENT,
    RRN,
    SHOP,
    Bench,
    changed,
    merchant_terms,
    network_profile,
    not_sent,
    payment_requested,
    reply,
    timed_out,
)

A, L, N = DeclineReason, RetryAdvice, UnmatchedReason
REVERSAL, AUTHORIZATION = MessageKind.REVERSAL, MessageKind.AUTHORIZATION
QUARTER = 15 * MINUTE
STAN = stan(RRN, 1)


def assessed(verdict: Verdict) -> RiskAssessed:
    """Risk's word on the payment."""
    return RiskAssessed(PAYMENT, SHOP, verdict, 0, [], 1, [])


def route(attempt: int = 1, network: str = "alpha") -> RouteSelected:
    """Routing's word on an attempt."""
    return RouteSelected(PAYMENT, attempt, network, "visa", f"{network}-mid", RouteReason.ONLY, [])


def submitted(attempt: int = 1, network: str = "alpha") -> AuthorizationSubmitted:
    """The authorization of an attempt."""
    return AuthorizationSubmitted(
        payment_id=PAYMENT,
        merchant=SHOP,
        network=network,
        mid=f"{network}-mid",
        attempt=attempt,
        mti="0100",
        stan=stan(RRN, attempt),
        rrn=RRN,
        card_id=CARD,
        bin="41111111",
        amount=4000,
        currency="USD",
        mcc="5411",
        timeout_ms=5000,
    )


def reversal(
    attempt: int = 1, reason: ReversalReason = ReversalReason.TIMEOUT, amount: int = 4000
) -> ReversalSubmitted:
    """The reversal of the first attempt."""
    return ReversalSubmitted(
        payment_id=PAYMENT,
        merchant=SHOP,
        network="alpha",
        mid="alpha-mid",
        attempt=attempt,
        mti="0400" if attempt == 1 else "0401",
        stan=STAN,
        rrn=RRN,
        card_id=CARD,
        amount=amount,
        currency="USD",
        reason=reason,
        timeout_ms=5000,
    )


def authorized(approved: int = 4000, attempt: int = 1, code: str = "00") -> PaymentAuthorized:
    """The payment is good for so much."""
    answer = reply(code)
    return PaymentAuthorized(
        payment_id=PAYMENT,
        merchant=SHOP,
        network="alpha",
        attempt=attempt,
        amount=4000,
        approved_amount=approved,
        currency="USD",
        response_code=code,
        auth_code=answer.auth_code,
        avs_result="Y",
        cvv_result="M",
        network_transaction_id="ntx-1",
        valid_until_at=NOON + 7 * DAY,
    )


def declined(
    reason: DeclineReason, advice: RetryAdvice, code: str = "", network: str = ""
) -> PaymentDeclined:
    """The payment ends without money."""
    return PaymentDeclined(PAYMENT, SHOP, 4000, "USD", network, code, reason, advice)


def unknown(attempt: int = 1) -> AuthorizationOutcomeUnknown:
    """Nobody knows."""
    return AuthorizationOutcomeUnknown(PAYMENT, SHOP, "alpha", attempt, 4000, "USD", 5000)


def taken_back(
    reason: ReversalReason = ReversalReason.TIMEOUT, amount: int = 4000, attempt: int = 1
) -> AuthorizationReversed:
    """The network has acknowledged the reversal."""
    return AuthorizationReversed(PAYMENT, SHOP, "alpha", reason, amount, 0, "USD", attempt)


def conflict(
    theirs: int,
    currency: str = "USD",
    field: ConflictField = ConflictField.AMOUNT,
    kind: MessageKind = AUTHORIZATION,
    asked: int = 4000,
) -> AmountConflictDetected:
    """The answer is not of what was asked for."""
    return AmountConflictDetected(PAYMENT, SHOP, "alpha", kind, 1, field, asked, "USD", theirs, currency)


def late_approval(approved: int = 4000) -> LateApprovalReceived:
    """The approval after the time-out, covered."""
    return LateApprovalReceived(PAYMENT, "alpha", 1, approved, "USD", LateApprovalAction.COVERED_BY_REVERSAL)


def unmatched(
    reason: UnmatchedReason, kind: MessageKind = AUTHORIZATION, attempt: int = 1, rrn: str = RRN
) -> NetworkReplyUnmatched:
    """An answer put aside."""
    return NetworkReplyUnmatched(PAYMENT, kind, attempt, rrn, reason)


def reversal_reply(code: str = "00", attempt: int = 1) -> NetworkReplyReceived:
    """An answer to a reversal."""
    return reply(code, kind=REVERSAL, attempt=attempt, mti="0410")


def reversal_timed_out(attempt: int = 1) -> NetworkReplyTimedOut:
    """Silence after a reversal."""
    return timed_out(kind=REVERSAL, attempt=attempt)


def bench(*taken: Event) -> Bench:
    """A payment and its history so far."""
    made = Bench(
        authorization, merchant_terms(), network_profile(), network_profile(network="beta", hold_days=3)
    )
    made.take(payment_requested(), *taken)
    return made


# Given, when, then. Every answer in every state it can find.
WALKS: dict[str, tuple[list[Event], Event, list[Event]]] = {
    # before the network
    "allowed": ([], assessed(Verdict.ALLOW), []),
    "review": ([], assessed(Verdict.REVIEW), []),
    "blocked": ([], assessed(Verdict.BLOCK), [declined(A.RISK_BLOCKED, L.NEVER)]),
    "no route": ([], RouteExhausted(PAYMENT, "visa", []), [declined(A.NO_ROUTE, L.LATER)]),
    "routed": ([], route(), [submitted()]),
    # answered in time
    "approved": ([route()], reply("00"), [authorized()]),
    "approved without an amount": ([route()], reply("00", approved_amount=0), [authorized()]),
    # in conflict with what was asked for
    "approved above what was asked": (
        [route()],
        reply("00", approved_amount=4001),
        [authorized(), conflict(4001), reversal(1, ReversalReason.CONFLICT, 1)],
    ),
    "approved below what was asked": (
        [route()],
        reply("00", approved_amount=3999),
        [authorized(3999), conflict(3999)],
    ),
    "approved in part, above what was asked": (
        [route()],
        reply("10", approved_amount=4500),
        [
            changed(authorized(code="10"), auth_code=""),
            conflict(4500),
            reversal(1, ReversalReason.CONFLICT, 500),
        ],
    ),
    "approved in another currency": (
        [route()],
        reply("00", currency="EUR"),
        [
            conflict(4000, "EUR", ConflictField.CURRENCY),
            reversal(1, ReversalReason.CONFLICT),
            declined(A.CONFLICTING_ANSWER, L.LATER, "00", "alpha"),
        ],
    ),
    "approved in no currency": ([route()], reply("00", currency=""), [authorized()]),
    "declined in another currency": (
        [route()],
        reply("51", currency="EUR"),
        [declined(A.INSUFFICIENT_FUNDS, L.LATER, "51", "alpha")],
    ),
    "approved in part": (
        [route()],
        reply("10", approved_amount=1500, auth_code=""),
        [authorized(1500, code="10")],
    ),
    "approved in part, for nothing": (
        [route()],
        reply("10", approved_amount=0),
        [declined(A.OTHER, L.OTHER_CARD, "10", "alpha")],
    ),
    "declined": ([route()], reply("51"), [declined(A.INSUFFICIENT_FUNDS, L.LATER, "51", "alpha")]),
    # never sent
    "not sent": ([route()], not_sent(), []),
    "routed again": ([route(), not_sent()], route(2, "beta"), [submitted(2, "beta")]),
    "not sent, nowhere else": (
        [route(), not_sent()],
        RouteExhausted(PAYMENT, "visa", ["alpha"]),
        [declined(A.NO_ROUTE, L.LATER)],
    ),
    "approved at the second attempt": (
        [route(1, "beta"), not_sent(network="beta"), route(2)],
        reply("00", attempt=2),
        [authorized(attempt=2)],
    ),
    # silence
    "timed out": ([route()], timed_out(), [unknown(), reversal()]),
    "reversal acknowledged": ([route(), timed_out()], reversal_reply("00"), [taken_back()]),
    "reversal: no action taken": ([route(), timed_out()], reversal_reply("21"), [taken_back()]),
    "reversal: nothing on file": ([route(), timed_out()], reversal_reply("25"), [taken_back()]),
    "reversal refused": ([route(), timed_out()], reversal_reply("96"), []),
    "reversal timed out": ([route(), timed_out()], reversal_timed_out(), []),
    "reversal not sent": ([route(), timed_out()], not_sent(kind=REVERSAL), []),
    # an approval after all
    "late approval": ([route(), timed_out()], reply("00", late=True), [late_approval()]),
    "late partial approval": (
        [route(), timed_out()],
        reply("10", late=True, approved_amount=7),
        [late_approval(7)],
    ),
    "late approval after the reversal": (
        [route(), timed_out(), reversal_reply()],
        reply("00", late=True),
        [late_approval()],
    ),
    "late approval, not marked late": ([route(), timed_out()], reply("00"), [late_approval()]),
    "late approval again": (
        [route(), timed_out(), reply("00", late=True)],
        reply("00", late=True),
        [unmatched(N.DUPLICATE)],
    ),
    "late decline": ([route(), timed_out()], reply("05", late=True), [unmatched(N.DUPLICATE)]),
    "late answer to a reversal": (
        [route(), timed_out(), reversal_timed_out()],
        reversal_reply("00"),
        [unmatched(N.DUPLICATE, REVERSAL)],
    ),
    # twice
    "approved twice": ([route(), reply("00")], reply("00"), [unmatched(N.DUPLICATE)]),
    "declined twice": ([route(), reply("05")], reply("05"), [unmatched(N.DUPLICATE)]),
    "declined, then approved": ([route(), reply("05")], reply("00"), [unmatched(N.DUPLICATE)]),
    "approved, then timed out": ([route(), reply("00")], timed_out(), [unmatched(N.DUPLICATE)]),
    "timed out twice": ([route(), timed_out()], timed_out(), [unmatched(N.DUPLICATE)]),
    "not sent twice": (
        [route(1, "beta"), not_sent(), route(2)],
        not_sent(network="beta"),
        [unmatched(N.DUPLICATE)],
    ),
    "not sent, then approved": ([route(), not_sent(), route(2)], reply("00"), [unmatched(N.DUPLICATE)]),
    "not sent again, after the decline": (
        [route(), not_sent(), RouteExhausted(PAYMENT, "visa", ["alpha"])],
        not_sent(),
        [unmatched(N.DUPLICATE)],
    ),
    "reversal acknowledged twice": (
        [route(), timed_out(), reversal_reply()],
        reversal_reply(),
        [unmatched(N.DUPLICATE, REVERSAL)],
    ),
    # for nothing we know
    "answer to no attempt": ([route()], reply("00", attempt=2), [unmatched(N.UNKNOWN, attempt=2)]),
    "answer to attempt 0": ([route()], reply("00", attempt=0), [unmatched(N.UNKNOWN, attempt=0)]),
    "answer with another reference": (
        [route()],
        reply("00", rrn="AC0000000000"),
        [unmatched(N.UNKNOWN, rrn="AC0000000000")],
    ),
    "answer to no reversal": ([route()], reversal_reply(), [unmatched(N.UNKNOWN, REVERSAL)]),
    "answer before the route": ([], reply("00"), [unmatched(N.UNKNOWN)]),
    "answer after a block": ([assessed(Verdict.BLOCK)], reply("00"), [unmatched(N.UNKNOWN)]),
    "time-out of no attempt": ([route()], timed_out(attempt=3), [unmatched(N.UNKNOWN, attempt=3)]),
    "not sent, no attempt": ([route()], not_sent(attempt=3), [unmatched(N.UNKNOWN, attempt=3)]),
}


@pytest.mark.parametrize(("given", "when", "then"), WALKS.values(), ids=WALKS)
def test_walks(given: list[Event], when: Event, then: list[Event]) -> None:
    """Given a payment and what happened to it, when this comes, then exactly this follows."""
    assert then == bench(*given).take(when)


def test_an_answer_to_a_payment_nobody_asked_for_is_unknown() -> None:
    """Whatever its id looks like."""
    strange = reply("00", payment_id="pay-0001-0123456789abcdef")
    [event] = Bench(authorization).take(strange)
    assert event == changed(unmatched(N.UNKNOWN), payment_id=strange.payment_id)


@pytest.mark.parametrize(("code", "meaning"), [*DECLINES.items(), ("99", OTHER_DECLINE)])
def test_a_response_code_gives_reason_and_advice(
    code: str, meaning: tuple[DeclineReason, RetryAdvice]
) -> None:
    """In one vocabulary for all networks; a code that we do not know declines too."""
    assert [declined(*meaning, code, "alpha")] == bench(route()).take(reply(code))


def test_every_decline_reason_can_happen() -> None:
    """Those of the table, and those of ours."""
    of_networks = {reason for reason, _ in (*DECLINES.values(), OTHER_DECLINE)}
    assert set(DeclineReason) == of_networks | {A.RISK_BLOCKED, A.NO_ROUTE, A.NO_ANSWER, A.CONFLICTING_ANSWER}
    assert {"00", "10"}.isdisjoint(DECLINES)


def test_a_merchant_without_terms_has_no_category() -> None:
    """The field must be filled, and zeros say that nobody filled it."""
    unheard = Bench(authorization, network_profile())
    assert [changed(submitted(), mcc="0000")] == unheard.take(payment_requested(), route())


def test_the_hold_is_as_long_as_its_network_says() -> None:
    """Counted from the logical time of the approval."""
    [_, event] = bench().take(route(network="beta"), reply("00", network="beta"))
    assert isinstance(event, PaymentAuthorized)
    assert (event.network, event.valid_until_at) == ("beta", NOON + 3 * DAY)


def test_trace_numbers_have_six_digits_and_are_never_zero() -> None:
    """Different for each attempt of a payment, as far as six digits go."""
    assert stan(RRN, 1) == "513822"
    numbers = [stan(RRN, attempt) for attempt in range(1, 3_000)]
    assert all(len(number) == 6 and number.isdecimal() and number != "000000" for number in numbers)
    assert len(set(numbers)) > 2_950


# --- reversals at ticks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unanswered", [reversal_timed_out(), not_sent(kind=REVERSAL), reversal_reply("96"), reversal_reply("")]
)
def test_a_reversal_is_repeated_at_the_next_tick_until_acknowledged(unanswered: Event) -> None:
    """Same STAN and RRN, repeat MTI, one at a time, nothing at once."""
    talk = bench(route(), timed_out())
    assert talk.tick(NOON) == []
    assert talk.take(unanswered) == []
    assert [reversal(2)] == talk.tick(NOON + QUARTER)
    assert talk.tick(NOON + 2 * QUARTER) == []
    assert talk.take(reversal_timed_out(2)) == []
    assert [reversal(3)] == talk.tick(NOON + 3 * QUARTER)
    assert [taken_back(attempt=3)] == talk.take(reversal_reply(attempt=3))
    assert talk.tick(NOON + 4 * QUARTER) == []


def test_a_repeated_silence_repeats_the_reversal_once() -> None:
    """The second time-out of one attempt is put aside."""
    talk = bench(route(), timed_out(), reversal_timed_out())
    assert [unmatched(N.DUPLICATE, REVERSAL)] == talk.take(reversal_timed_out())
    assert [reversal(2)] == talk.tick(NOON)


def test_a_work_that_was_overtaken_does_nothing() -> None:
    """Fire looks again."""
    talk = bench(route(), timed_out(), reversal_timed_out())
    [work] = authorization.due(talk.state, NOON)
    assert [reversal(2)] == talk.tick(NOON)
    assert authorization.fire(talk.state, work, NOON) == []


def test_a_late_approval_never_makes_a_second_reversal() -> None:
    """It is covered, whether the reversal is under way, waits for its tick or is done."""
    for before in ([], [reversal_timed_out()], [reversal_reply()]):
        talk = bench(route(), timed_out(), *before)
        assert [late_approval()] == talk.take(reply("00", late=True))
        again = talk.tick(NOON)
        assert again == ([reversal(2)] if before == [reversal_timed_out()] else [])


# --- open attempts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "open_"),
    [
        ([], 0),
        ([route()], 1),
        ([route(), reply("00")], 0),
        ([route(), reply("05"), reply("05")], 0),
        ([route(), reply("00", attempt=2)], 1),
        ([route(), not_sent()], 0),
        ([route(), not_sent(), route(2)], 1),
        ([route(), timed_out()], 1),
        ([route(), timed_out(), reply("00", late=True)], 1),
        ([route(), timed_out(), reversal_timed_out()], 0),
        ([route(), timed_out(), reversal_reply("96")], 0),
        ([route(), timed_out(), reversal_reply(), reversal_reply()], 0),
    ],
)
def test_a_submission_is_open_until_its_first_answer(taken: list[Event], open_: int) -> None:
    """Which is what a tick waits for; a reversal that waits for its own tick must not hold it."""
    assert open_ == authorization.open_attempts(bench(*taken).state)


# --- voids ----------------------------------------------------------------------------------------------

VOIDED = PaymentVoided(PAYMENT, SHOP, "alpha", 4000, "USD")
EXPIRED = AuthorizationExpired(PAYMENT, SHOP, "alpha", 4000, "USD")


def captured(amount: int, *, final: bool, number: int = 1) -> PaymentCaptured:
    """Part of the hold was taken."""
    return PaymentCaptured(PAYMENT, SHOP, "alpha", f"cap-{number}", amount, "USD", amount, final)


def left(
    amount: int, kind: RecordKind = RecordKind.PRESENTMENT, presentment: int = 1
) -> ClearingRecordCreated:
    """A clearing record has left."""
    return ClearingRecordCreated(
        PAYMENT, SHOP, "alpha", "clr-1", kind, "cap-1", "7" * 23, presentment, amount, "USD", "batch"
    )


def uncaptured(amount: int) -> CaptureVoided:
    """A capture was undone before it left."""
    return CaptureVoided(PAYMENT, SHOP, "alpha", "cap-1", amount, "USD")


VOIDS: dict[str, tuple[list[Event], int]] = {
    "the whole hold": ([], 4000),
    "a capture that was undone, of which it has heard": (
        [captured(1500, final=False), uncaptured(1500)],
        2500,
    ),
    "the rest, after a capture that left": ([captured(1500, final=False), left(1500)], 2500),
    "after expiry": ([EXPIRED], 0),
    "after the last capture left": ([captured(3000, final=True), left(3000)], 0),
    "with nothing more to hold": ([captured(4000, final=False), left(4000)], 0),
}


@pytest.mark.parametrize(("given", "amount"), VOIDS.values(), ids=VOIDS)
def test_a_void_tells_the_network_what_it_still_holds(given: list[Event], amount: int) -> None:
    """Nothing where nothing is held any more."""
    talk = bench(route(), reply("00"), *given)
    before = authorization.open_attempts(talk.state)
    expected = [reversal(before + 1, ReversalReason.VOID, amount)] if amount else []
    assert [changed(one, mti="0400") for one in expected] == talk.take(VOIDED)
    assert authorization.open_attempts(talk.state) == before + len(expected)


def test_the_reversal_of_a_void_is_repeated_like_any_other() -> None:
    """With the same amount, and its acknowledgement says why."""
    talk = bench(route(), reply("10", approved_amount=1500), VOIDED)
    assert talk.take(reversal_timed_out()) == []
    assert [reversal(2, ReversalReason.VOID, 1500)] == talk.tick(NOON)
    assert [taken_back(ReversalReason.VOID, 1500, 2)] == talk.take(reversal_reply(attempt=2))


# --- forgetting -----------------------------------------------------------------------------------------

CLOSED: dict[str, list[Event]] = {
    "declined": [route(), reply("05")],
    "reversed": [route(), timed_out(), reversal_reply()],
    "expired": [route(), reply("00"), EXPIRED],
    "captured and gone": [route(), reply("00"), captured(4000, final=True), left(4000)],
    "captured in parts and gone": [
        route(),
        reply("00"),
        captured(1000, final=False),
        captured(500, final=True, number=2),
        left(500),
        left(1000),
    ],
    "voided": [route(), reply("00"), VOIDED, reversal_reply()],
    "voided, nothing held": [route(), reply("00"), captured(4000, final=False), left(4000), VOIDED],
}


@pytest.mark.parametrize("taken", CLOSED.values(), ids=CLOSED)
def test_a_closed_payment_is_known_for_two_more_days(taken: list[Event]) -> None:
    """Then an answer is one that nobody waits for."""
    talk = bench(*taken)
    assert [f"authorization {PAYMENT} closed"] == [line[: 21 + len(PAYMENT)] for line in talk.summary()]
    last_moment = (NOON // DAY + authorization.REPLY_MEMORY_DAYS + 1) * DAY - 1
    assert talk.tick(last_moment) == []
    assert talk.take(not_sent()) == [unmatched(N.DUPLICATE)]
    assert talk.tick(last_moment + 1) == []
    assert talk.summary() == []
    assert talk.take(not_sent()) == [unmatched(N.UNKNOWN)]


@pytest.mark.parametrize(
    "taken",
    [
        [],
        [route()],
        [route(), timed_out()],
        [route(), timed_out(), reversal_timed_out()],
        [route(), reply("00")],
        [route(), reply("00"), captured(1000, final=False), left(1000)],
        [route(), reply("00"), captured(4000, final=True)],
        [route(), reply("00"), captured(4000, final=True), left(4000, RecordKind.REFUND)],
        [route(), reply("00"), captured(1000, final=False), captured(500, final=True, number=2), left(500)],
        [route(), reply("00"), VOIDED],
    ],
)
def test_a_payment_that_its_network_may_still_hear_of_is_kept(taken: list[Event]) -> None:
    """For as long as it takes."""
    talk = bench(*taken)
    talk.tick(NOON + 90 * DAY)
    [line] = talk.summary()
    assert "closed" not in line


def test_a_payment_that_was_never_sent_leaves_nothing() -> None:
    """No attempt, no answer to recognise."""
    for end in (assessed(Verdict.BLOCK), RouteExhausted(PAYMENT, "visa", [])):
        assert bench(end).summary() == []


def test_a_second_day_is_forgotten_on_its_own() -> None:
    """One work a day."""
    talk = bench(route(), reply("05"))
    later = payment_requested(payment_id="pay-0372-0123456789abcdef")
    talk.take(later, at=NOON + DAY)
    second = changed(route(), payment_id=later.payment_id)
    talk.take(second, at=NOON + DAY)
    talk.take(timed_out(payment_id=later.payment_id, rrn=rrn(later.payment_id)), at=NOON + DAY)
    talk.take(
        changed(reversal_reply(), payment_id=later.payment_id, rrn=rrn(later.payment_id)),
        at=NOON + DAY,
    )
    assert len(talk.summary()) == 2
    assert len(authorization.due(talk.state, NOON + 3 * DAY)) == 1
    talk.tick(NOON + 3 * DAY)
    assert [f"authorization {later.payment_id} closed 1 attempts, unknown at attempt 1"] == talk.summary()


def test_the_summary_keeps_quiet_about_repeats() -> None:
    """How often the outside said something, or was told it again, is no business content."""
    calm = bench(route(), timed_out(), reversal_reply())
    busy = bench(route(), timed_out(), timed_out(), reversal_timed_out())
    busy.tick(NOON)
    busy.take(reversal_reply(attempt=2), reversal_reply(attempt=2))
    assert calm.summary() == busy.summary()
