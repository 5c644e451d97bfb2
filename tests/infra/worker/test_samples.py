"""What a worker counts of what it has committed, and what it tells of it."""

import pytest

from events.authorization import DeclineReason, MessageKind
from events.base import Event
from events.partitions import DeadLetterReason, EventDeadLettered
from infra.worker.metrics import Metrics
from infra.worker.samples import CLASSES, Sample, Sampler
from streams.hosts.index import Staged
from tests.infra.worker.events import approved, declined, submitted
from tests.streams.builders_early import not_sent, recorded, reply, timed_out


class Committing:
    """A sampler on a clock that is set, and one network's payments."""

    def __init__(self) -> None:
        self.now = 100.0
        self.metrics = Metrics()
        self.sampler = Sampler("w1", self.metrics, lambda: 1_800_000_000.5, lambda: self.now)

    def commits(self, *bodies: Event, after: float = 0.0, log: str = "payments") -> None:
        """A transaction."""
        self.now += after
        self.sampler.committed(0, Staged(events={log: [recorded(body) for body in bodies]}))


def test_a_sample_says_what_became_of_attempts() -> None:
    """Counts by outcome, and how long the answers took, from commit to commit."""
    told = Committing()
    told.commits(submitted(1), submitted(2), submitted(3), submitted(4))
    told.commits(reply("00", payment_id="p1"), approved(1), after=0.25)
    told.commits(reply("51", payment_id="p2"), declined(DeclineReason.INSUFFICIENT_FUNDS), after=0.5)
    told.commits(timed_out(payment_id="p3"), not_sent(payment_id="p4"))
    expected = Sample(
        "w1",
        "alpha",
        1_800_000_000_500_000,
        approved=1,
        declined={"account": 1},
        timed_out=1,
        not_sent=1,
        latency_sum_ms=1_000,
        latency_counts=[0, 0, 0, 1, 1, 0, 0, 0, 0],
    )
    (sample,) = told.sampler.take()
    assert expected == sample
    assert 4 == sample.attempts
    assert [] == told.sampler.take()
    text = told.metrics.text().decode()
    assert 'tallystick_authorizations_total{network="alpha",outcome="declined_account"} 1.0' in text
    assert 'tallystick_authorization_seconds_count{network="alpha"} 2.0' in text


def test_our_own_refusals_say_nothing_about_a_network() -> None:
    """Risk and routing decide before anybody is asked; the others are what we make of an answer that does not fit."""
    told = Committing()
    told.commits(declined(DeclineReason.RISK_BLOCKED), declined(DeclineReason.NO_ROUTE))
    assert [] == told.sampler.take()
    assert set(DeclineReason) - set(CLASSES) == {
        DeclineReason.RISK_BLOCKED,
        DeclineReason.NO_ROUTE,
        DeclineReason.NO_ANSWER,
        DeclineReason.CONFLICTING_ANSWER,
    }


def test_reversals_and_late_answers_are_not_timed() -> None:
    """A sample is about what a cardholder waits for."""
    told = Committing()
    told.commits(submitted(1))
    told.commits(
        reply("00", payment_id="p1", kind=MessageKind.REVERSAL),
        reply("00", payment_id="p1", late=True),
        timed_out(payment_id="p1", kind=MessageKind.REVERSAL),
        not_sent(payment_id="p1", kind=MessageKind.REVERSAL),
        after=9.0,
    )
    assert [] == told.sampler.take()
    told.commits(reply("00", payment_id="p1"), after=1.0)
    (sample,) = told.sampler.take()
    assert 10_000 == sample.latency_sum_ms


def test_an_answer_to_what_somebody_else_submitted_is_counted_and_not_timed() -> None:
    """After a takeover the submissions are in another worker's memory."""
    told = Committing()
    told.commits(reply("00", payment_id="p1"), approved(1))
    (sample,) = told.sampler.take()
    assert (1, 0) == (sample.approved, sum(sample.latency_counts))


def test_what_is_waited_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that never answer do not fill the memory: the oldest submissions are no longer timed."""
    monkeypatch.setattr("infra.worker.samples._TIMED", 3)
    told = Committing()
    told.commits(*map(submitted, range(10)))
    told.commits(*(reply("00", payment_id=f"p{number}") for number in range(10)), after=1.0)
    (sample,) = told.sampler.take()
    assert 3 == sum(sample.latency_counts)


def test_dead_letters_are_counted_by_reason() -> None:
    """In whichever log they stand."""
    told = Committing()
    letter = EventDeadLettered(DeadLetterReason.DECISION_FAILED, "", 1, "", "")
    told.commits(letter, log="intake")
    told.commits(letter, log="settlement")
    assert 'tallystick_dead_letters_total{reason="decision_failed"} 2.0' in told.metrics.text().decode()
