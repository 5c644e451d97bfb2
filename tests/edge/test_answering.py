"""Merchants who answer disputes, simulated: when, how often, what is wrong with it, and that it stays the same."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from unittest.mock import patch

import pytest

from events.calendar import DAY, HOUR, day_of, start_of
from events.disputes import DisputeNoticeReceived, DisputeStep
from events.requests import Answered, EvidenceRequest
from streams.edge import answering, issuers
from streams.edge.answering import Charge, answers, cleared_on
from streams.edge.issuers import Planned, foreseen
from tests.streams.builders_early import NOON

SEED, MANY = 4, 3_000
TODAY = day_of(NOON)


def charge(number: int) -> Charge:
    """One of many captures of a shop."""
    return Charge("shop", "till", f"pay-{number}", "visa", f"cap-{number}", 1_000, "USD", TODAY)


@pytest.fixture(autouse=True)
def quarrel() -> Iterator[None]:
    """Everybody disputes."""
    with patch.object(issuers, "DISPUTED", 1_000_000):
        yield


def asked(number: int) -> list[tuple[Planned, DisputeNoticeReceived]]:
    """What the merchant of a capture is asked before it has said anything."""
    said = foreseen(SEED, "visa", f"pay-{number}", f"cap-{number}", 1_000, "USD", TODAY)
    notices = [(one, one.said) for one in said if isinstance(one.said, DisputeNoticeReceived)]
    return [(one, notice) for one, notice in notices if notice.reply_by_at]


@lru_cache(maxsize=1)
def sent() -> tuple[tuple[int, tuple[EvidenceRequest, ...]], ...]:
    """What each capture led to."""
    return tuple((number, tuple(answers(SEED, charge(number), "stranger"))) for number in range(MANY))


def test_most_answer_in_time_and_some_do_not() -> None:
    """By the end of their time: about two in three once, one in twelve too late, one in six never."""
    found: Counter[str] = Counter()
    for number, evidence in sent():
        for _, notice in asked(number):
            stage = answering.ASKED[notice.step]
            own = [one for one in evidence if one.stage is stage and one.merchant == "shop"]
            late = [one for one in own if one.occurred_at >= notice.reply_by_at]
            found["late" if late else str(min(2, len(own)))] += 1
    asked_for = found.total()
    assert 0.62 < found["1"] / asked_for < 0.76
    assert 0.05 < found["late"] / asked_for < 0.11
    assert 0.12 < found["0"] / asked_for < 0.20
    assert 0.03 < found["2"] / asked_for < 0.10


def test_nobody_answers_before_it_is_asked() -> None:
    """By the merchant itself, of what it can know."""
    for number, evidence in sent():
        for one, notice in asked(number):
            stage = answering.ASKED[notice.step]
            # What is sent to another stage than the case's may come ahead of that stage.
            own = [one for one in evidence if one.idempotency_key.endswith(f"{stage}-1")]
            assert all(start_of(one.on) < request.occurred_at for request in own), number


def test_a_few_are_strangers_or_answer_another_stage() -> None:
    """Each mistake under a key of its own, beside the good answer."""
    strangers = [one for _, evidence in sent() for one in evidence if one.merchant == "stranger"]
    assert 0.01 < len(strangers) / MANY < 0.04
    stages = Counter(one.stage for _, evidence in sent() for one in evidence)
    assert set(Answered) == set(stages)
    for _, evidence in sent():
        assert len(evidence) == len({(one.merchant, one.idempotency_key) for one in evidence})


def test_documents_are_hashes_and_none_comes_twice() -> None:
    """One to three of them, for the same question the same."""
    for _, evidence in sent():
        for one in evidence:
            assert 1 <= len(one.documents) == len(set(one.documents)) <= answering.MOST_DOCUMENTS
            assert {64} == {len(name) for name in one.documents}
    assert sent()[0][1] == tuple(answers(SEED, charge(0), "stranger"))


def test_who_insists_is_answered_again() -> None:
    """Behind the day on which the issuer insists, at the latest some hours after its time."""
    again = [one for _, evidence in sent() for one in evidence if one.stage is Answered.PRE_ARBITRATION]
    assert len(again) > MANY // 10
    assert all(one.occurred_at > start_of(TODAY) + 3 * DAY for one in again)


def test_a_capture_is_cleared_by_the_next_cut_off() -> None:
    """At 22:00, and on the next day behind it."""
    midnight = start_of(TODAY)
    assert [TODAY, TODAY + 1] == [cleared_on(midnight + hour * HOUR, 1_320) for hour in (21, 22)]


def test_what_is_foreseen_is_what_the_issuer_says() -> None:
    """A merchant is asked by the network what it has got ready for."""
    notices = [notice for number in range(50) for _, notice in asked(number)]
    assert {DisputeStep.INQUIRY_OPENED, DisputeStep.CHARGEBACK} == {notice.step for notice in notices}
