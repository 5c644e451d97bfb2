"""The simulated networks: believable, and a function of names."""

from collections import Counter
from typing import Any

import msgspec

from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    ReversalReason,
    ReversalSubmitted,
)
from events.base import Event
from events.calendar import HOUR
from events.identity import payment_id, rrn
from events.messages import Handover
from events.money import MILLION
from events.partitions import (
    ClockStruck,
    MarkerSeen,
    MarkersTaken,
    ReferenceApplied,
)
from events.reference import NetworkHealth, encode_reference
from streams.edge import networks
from streams.edge.networks import (
    REVERSAL_PATIENCE,
    Adapter,
    AdapterState,
    Answer,
    authorize,
)
from streams.features.approvals import DECLINES as KNOWN_DECLINES
from streams.features.approvals import stan
from tests.streams.builders_early import CARD, NOON, changed, recorded

SEED = 4
RRNS = [rrn(payment_id("shop-1", f"order-{number}", CARD)) for number in range(20_000)]


def submitted(number: int = 0, **fields: Any) -> AuthorizationSubmitted:
    """An authorization of 40.00 USD over Visa."""
    payment = payment_id("shop-1", f"order-{number}", CARD)
    event = AuthorizationSubmitted(
        payment,
        "shop-1",
        "visa",
        "41",
        1,
        "0100",
        "000001",
        rrn(payment),
        CARD,
        "41111111",
        4000,
        "USD",
        "5411",
        8000,
    )
    return changed(event, **fields)


def reversal(number: int = 0, attempt: int = 1, **fields: Any) -> ReversalSubmitted:
    """A reversal of that authorization after a time-out."""
    payment = payment_id("shop-1", f"order-{number}", CARD)
    event = ReversalSubmitted(
        payment,
        "shop-1",
        "visa",
        "41",
        attempt,
        "0400" if attempt == 1 else "0401",
        "000001",
        rrn(payment),
        CARD,
        4000,
        "USD",
        ReversalReason.TIMEOUT,
        8000,
    )
    return changed(event, **fields)


def facts(adapter: Adapter, event: Event, at: int = NOON) -> list[Any]:
    """What an adapter says to an event."""
    said = adapter.see("payments", adapter.partition, recorded(event, at=at))
    assert {("network.replies", adapter.partition)} >= {(one.topic, one.partition) for one in said}
    messages = [one.message for one in said]
    assert all(isinstance(one, Handover) and one.simulated and one.sender == adapter.name for one in messages)
    return [one.fact for one in messages if isinstance(one, Handover)]


def sick(adapter: Adapter, version: int = 1, *, healthy: bool = False, network: str = "visa") -> None:
    """Let an adapter read a fact on a network's health."""
    content = encode_reference(NetworkHealth(network, healthy, ""))
    adapter.see("payments", 0, recorded(ReferenceApplied("health", network, version, "", content)))


def named(adapter: Adapter, tick: int, at: int, version: int) -> None:
    """Let an adapter see that a tick names a version."""
    marker = MarkerSeen("payments.inbox", 0, tick, "intake/0", tick, at, version)
    adapter.see("payments", 0, recorded(MarkersTaken([marker])))


def test_answers_are_believable() -> None:
    """About 95 in 100 approved, a few of them in part, 4 declined, 6 in 1,000 without an answer."""
    answers = [authorize(SEED, name, 1, 4000, healthy=True) for name in RRNS]
    codes = Counter(answer.response_code for answer in answers)
    of = len(RRNS)
    assert 0.935 < codes["00"] / of < 0.955
    assert 0.002 < codes["10"] / of < 0.007
    assert 0.004 < sum(answer == networks.TIMED_OUT for answer in answers) / of < 0.008
    assert 0.001 < sum(answer == networks.NOT_SENT for answer in answers) / of < 0.005
    assert codes["51"] > codes["05"] > codes["54"] > 0
    for answer in answers:
        if answer.response_code == "10":
            assert 0 < answer.approved_amount < 4000


def test_every_decline_has_a_meaning() -> None:
    """The codes that issuers say add up, and all but one are in our own table."""
    assert 1_000_000 == sum(weight for _, weight in networks.DECLINES)
    assert {"57"} == {code for code, _ in networks.DECLINES} - set(KNOWN_DECLINES)


def test_a_bad_hour_is_bad() -> None:
    """A third of the authorizations gets no answer; the line is as dead as ever."""
    answers = [authorize(SEED, name, 1, 4000, healthy=False) for name in RRNS]
    assert 0.31 < sum(answer == networks.TIMED_OUT for answer in answers) / len(RRNS) < 0.35
    calm = [authorize(SEED, name, 1, 4000, healthy=True) for name in RRNS]
    assert [one == networks.NOT_SENT for one in calm] == [one == networks.NOT_SENT for one in answers]


def test_a_single_unit_is_not_approved_in_part() -> None:
    """There is no part of it."""
    for name in RRNS[:5_000]:
        answer = authorize(SEED, name, 1, 1, healthy=True)
        assert answer.response_code != "10"
        assert answer.approved_amount in (0, 1)


def test_an_answer_is_a_function_of_names() -> None:
    """Asked again, by another adapter, in another order, at another time: the same. Another seed: not all."""
    events = [submitted(number) for number in range(400)]
    first = [facts(Adapter(0, SEED), event) for event in events]
    again = Adapter(3, SEED)
    assert list(reversed(first)) == [facts(again, event, NOON + HOUR) for event in reversed(events)]
    assert first != [facts(Adapter(0, SEED + 1), event) for event in events]


def test_each_submission_has_exactly_one_meaning() -> None:
    """An answer, a time-out or not sent; now and then the same answer twice."""
    adapter = Adapter(0, SEED)
    kinds: Counter[Any] = Counter()
    for number in range(3_000):
        event = submitted(number)
        said = facts(adapter, event)
        assert said[0] == said[-1]
        kinds[type(said[0]), len(said)] += 1
        assert (event.payment_id, event.rrn, event.attempt, event.network) == (
            said[0].payment_id,
            said[0].rrn,
            said[0].attempt,
            said[0].network,
        )
        assert said[0].kind is MessageKind.AUTHORIZATION
    assert {
        (NetworkReplyReceived, 1),
        (NetworkReplyReceived, 2),
        (NetworkReplyTimedOut, 1),
        (NetworkNotSent, 1),
    } == (set(kinds))
    assert 5 < kinds[NetworkReplyReceived, 2] < 60


def test_an_approval_says_what_an_approval_says() -> None:
    """Code, AVS, CVV and the network's own reference; a decline says none of the first three."""
    adapter = Adapter(0, SEED)
    replies = [fact for number in range(300) for fact in facts(adapter, submitted(number))[:1]]
    approved = [one for one in replies if isinstance(one, NetworkReplyReceived) and one.approved_amount]
    declined = [one for one in replies if isinstance(one, NetworkReplyReceived) and not one.approved_amount]
    assert all(len(one.auth_code) == 6 and one.avs_result and one.cvv_result for one in approved)
    assert all(not one.auth_code and not one.avs_result and not one.cvv_result for one in declined)
    assert approved
    assert declined
    assert all(one.mti == "0110" and len(one.network_transaction_id) == 15 for one in approved + declined)


def test_every_reversal_is_acknowledged_in_the_end() -> None:
    """The first is lost now and then, the last never: every run comes to an end."""
    for healthy in (True, False):
        adapter = Adapter(0, SEED)
        if not healthy:
            sick(adapter)
            named(adapter, 1, NOON, 1)
        lost = 0
        for number in range(500):
            answers = [
                [
                    fact
                    for fact in facts(adapter, reversal(number, attempt))
                    if fact.kind is MessageKind.REVERSAL
                ]
                for attempt in range(1, REVERSAL_PATIENCE + 1)
            ]
            assert all(len(one) == 1 for one in answers)
            lost += isinstance(answers[0][0], NetworkReplyTimedOut)
            assert "00" == answers[-1][0].response_code
            assert "0410" == answers[-1][0].mti
        assert lost in (range(40, 120) if healthy else range(200, 300))


def test_a_late_approval_comes_with_the_answer_to_the_first_reversal() -> None:
    """Before or behind it, never by itself, never for a void, and for the attempt that was sent."""
    adapter = Adapter(0, SEED)
    first, behind = 0, 0
    for number in range(500):
        said = facts(adapter, reversal(number))
        late = [fact for fact in said if fact.kind is MessageKind.AUTHORIZATION]
        assert len(said) == 1 + len(late)
        for fact in late:
            assert fact.late
            assert 4000 == fact.approved_amount
            assert not networks.not_sent(SEED, fact.rrn, fact.attempt)
            assert all(networks.not_sent(SEED, fact.rrn, before) for before in range(1, fact.attempt))
        first += bool(late) and said[0] is late[0]
        behind += bool(late) and said[-1] is late[0]
        assert 1 == len(facts(adapter, reversal(number, 2)))
        assert 1 == len(facts(adapter, reversal(number, reason=ReversalReason.VOID)))
    assert first > 40
    assert behind > 40


def extension(number: int, attempt: int = 1) -> IncrementSubmitted:
    """An increment of 10.00 on that authorization."""
    first = submitted(number)
    return IncrementSubmitted(
        first.payment_id,
        "shop-1",
        "visa",
        "41",
        attempt,
        "0100",
        stan(f"{first.rrn}/increment", attempt),
        first.rrn,
        CARD,
        "inc-1",
        1000,
        5000,
        "USD",
        "1" * 15,
        "7011",
        8000,
    )


def test_an_increment_is_answered_by_a_die_of_its_own() -> None:
    """Approved, declined, unanswered or never sent, whatever became of the authorization; the same again and again."""
    adapter = Adapter(0, SEED)
    kinds = Counter()
    for number in range(2_000):
        asked = extension(number)
        said = facts(adapter, asked)
        assert said == facts(Adapter(0, SEED), asked)
        kinds[type(said[0])] += 1
        assert {(MessageKind.INCREMENT, 1, asked.stan, asked.rrn)} == {
            (fact.kind, fact.attempt, fact.stan, fact.rrn) for fact in said
        }
    assert kinds[NetworkReplyReceived] > 1_900
    assert kinds[NetworkReplyTimedOut] > 3
    assert kinds[NetworkNotSent] > 1


def test_an_increment_may_be_approved_late() -> None:
    """Beside the reversal that takes it back, and for the increment that the reversal names by its trace number."""
    adapter = Adapter(0, SEED)
    late = []
    for number in range(200):
        asked = extension(number, 2)
        taken_back = changed(reversal(number), amount=1000, stan=asked.stan, reason=ReversalReason.INCREMENT)
        late += [fact for fact in facts(adapter, taken_back) if fact.kind is MessageKind.INCREMENT]
        assert [] == [
            fact
            for fact in facts(adapter, changed(taken_back, mti="0401"))
            if fact.kind is MessageKind.INCREMENT
        ]
    assert len(late) > 30
    assert {(2, 1000, True)} == {(fact.attempt, fact.approved_amount, fact.late) for fact in late}


def test_a_few_approvals_are_of_something_else() -> None:
    """A little less, a little more, or another currency: about as many as the share says, and never of a decline."""
    answers = [
        authorize(SEED, RRNS[number % len(RRNS)], number, 4000, healthy=True) for number in range(30_000)
    ]
    full = [answer for answer in answers if answer.response_code == "00"]
    odd = [answer for answer in full if (answer.approved_amount, answer.currency) != (4000, "")]
    share = networks.CONFLICTING * len(full) // MILLION
    assert share // 2 <= len(odd) <= 2 * share
    assert {3959, 4000, 4041} == {answer.approved_amount for answer in odd}
    assert {3959, 4000, 0} == {answer.held(4000) for answer in odd}


def test_health_counts_from_the_tick_that_names_it() -> None:
    """Not from when the fact was read, which is chance."""
    adapter = Adapter(0, SEED)
    timed_out = next(
        number
        for number in range(1_000)
        if authorize(SEED, RRNS[number], 1, 4000, healthy=True).response_code == "00"
        and authorize(SEED, RRNS[number], 1, 4000, healthy=False) == networks.TIMED_OUT
    )
    event = submitted(timed_out)
    sick(adapter, 1)
    sick(adapter, 2, healthy=True)
    named(adapter, 1, NOON, 0)
    assert isinstance(facts(adapter, event, NOON)[0], NetworkReplyReceived)
    named(adapter, 2, NOON + HOUR, 1)
    named(adapter, 3, NOON + 2 * HOUR, 2)
    assert isinstance(facts(adapter, event, NOON + HOUR - 1)[0], NetworkReplyReceived)
    assert isinstance(facts(adapter, event, NOON + HOUR)[0], NetworkReplyTimedOut)
    assert isinstance(facts(adapter, changed(event, network="star"), NOON + HOUR)[0], NetworkReplyReceived)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(adapter.state), type=AdapterState)
    again = Adapter(0, SEED)
    again.state = kept
    assert isinstance(facts(again, event, NOON + HOUR)[0], NetworkReplyTimedOut)
    assert isinstance(facts(again, event, NOON + 2 * HOUR)[0], NetworkReplyReceived)


def test_a_log_with_a_clock_says_itself_what_is_in_force() -> None:
    """A tick that is struck names the version as a marker does."""
    by_marker, by_clock = Adapter(0, SEED), Adapter(0, SEED)
    for adapter in (by_marker, by_clock):
        sick(adapter)
    named(by_marker, 4, NOON, 1)
    by_clock.see("payments", 0, recorded(ClockStruck(4, NOON, 1)))
    assert by_marker.state == by_clock.state
    assert by_clock.state.announcements.onsets


def test_what_is_read_twice_counts_once() -> None:
    """Several markers of one tick, and a fact that a log holds twice, change nothing."""
    once, twice = Adapter(0, SEED), Adapter(0, SEED)
    for adapter, times in ((once, 1), (twice, 3)):
        for _ in range(times):
            sick(adapter)
        for _ in range(times):
            named(adapter, 4, NOON, 1)
    assert once.state == twice.state


# --- state --------------------------------------------------------------------------------------------


def test_an_answer_needs_no_memory() -> None:
    """An adapter's state is health alone: what it commits stays small."""
    adapter = Adapter(0, SEED)
    for number in range(200):
        facts(adapter, submitted(number))
    assert AdapterState() == adapter.state
    assert isinstance(authorize(SEED, RRNS[0], 1, 4000, healthy=True), Answer)
