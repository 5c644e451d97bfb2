"""A processor with a defect: what it cannot bear is put aside, and every schedule puts the same aside."""

from typing import Any
from zlib import crc32

import pytest

from events.envelope import Recorded
from events.intake import RequestReceived
from events.lifecycle import PaymentRequested
from events.partitions import DeadLetterReason, EventDeadLettered
from events.wire import decode_event
from streams import intake, risk
from streams.hosts.memory import MemoryLog
from tests.simulation.auditor import audit
from tests.simulation.auditor.logs import LOGS, TOPICS
from tests.simulation.schedules import Outcome, Simulation

SEED = 2
SCHEDULES = (1, 2, 3, 4, 5)


def unbearable(body: Any) -> bool:
    """One request in nine."""
    request = body.request if isinstance(body, RequestReceived) else body
    return crc32(request.idempotency_key.encode()) % 9 == 0


@pytest.fixture(params=[intake, risk], ids=["intake", "risk"])
def _defect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    processor = request.param
    sound = processor.decide

    def decide(state: Any, recorded: Recorded) -> Any:
        if isinstance(recorded.body, RequestReceived | PaymentRequested) and unbearable(recorded.body):
            raise ZeroDivisionError
        return sound(state, recorded)

    monkeypatch.setattr(processor, "decide", decide)


def records(outcome: Outcome) -> list[tuple[str, int, int, bytes]]:
    """Everything that stands on the topics."""
    log = outcome.log
    assert isinstance(log, MemoryLog)
    return [
        (name, partition, stored.offset, stored.value)
        for name in TOPICS
        for partition in range(outcome.partitions)
        for stored in log.read(name, partition, 0, 1_000_000)
    ]


def put_aside(outcome: Outcome) -> int:
    """How many inputs could not be decided."""
    bodies = [decode_event(value).body for name, _, _, value in records(outcome) if name in LOGS]
    return sum(
        isinstance(body, EventDeadLettered) and body.reason is DeadLetterReason.DECISION_FAILED
        for body in bodies
    )


@pytest.mark.usefixtures("_defect")
def test_a_defect_costs_what_it_cannot_bear_and_nothing_else() -> None:
    """Waiting or not, in a batch with others or alone, in one partition or many, killed or calm."""
    calm = Simulation(SEED, None).run()
    assert [] == audit(records(calm))
    assert put_aside(calm) > 3
    for number in SCHEDULES:
        outcome = Simulation(SEED, number).run()
        assert (calm.ledger, calm.state) == (outcome.ledger, outcome.state), f"schedule {SEED} {number}"
        assert [] == audit(records(outcome)), f"schedule {SEED} {number}"
