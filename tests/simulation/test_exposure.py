"""How long an attacker has between passing a limit and being blocked: until the second interval behind it ends."""

from hashlib import sha256
from typing import Final

import pytest

from events.calendar import MINUTE, SECOND
from events.hotlist import HotlistApplied, VelocityLimitReached
from events.identity import card_id
from events.lifecycle import PaymentRequested
from events.requests import CaptureMode, Channel, InputRow, PaymentRequest
from events.risk import RiskAssessed, Verdict
from streams.edge.publisher import schedule
from streams.edge.reference import published
from streams.forensics.digests import events_of
from tests.simulation import schedules
from tests.simulation.schedules import EVERY, TAIL, Simulation
from tests.simulation.workload import BINS, START, entries

CARDS: Final = 120
EVERY_CARD: Final = 30 * SECOND


def attack() -> list[InputRow]:
    """One device tries a stolen card every half minute, for an hour."""
    rows = [InputRow(START - 15 * MINUTE, entry) for entry in published(entries())]
    for number in range(CARDS):
        at = START + number * EVERY_CARD
        card = card_id(number * 8, sha256(b"%d" % number).digest()[:10])
        request = PaymentRequest(
            "inn", f"try-{number}", card, BINS[number % 3], "0042", 100 + number, "USD", Channel.ECOMMERCE,
            CaptureMode.AUTOMATIC, "dev-bot", "ip-bot", "", at, "simulation", True,
        )  # fmt: skip
        rows.append(InputRow(at, request))
    return rows


def test_an_attacker_has_until_the_second_interval_behind_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is asked for in the interval of the crossing and in the two behind it passes; nothing after that."""
    rows = attack()
    plan = schedule(rows, EVERY, TAIL)
    monkeypatch.setattr(schedules, "planned", lambda _: (tuple(rows), plan))
    told = {number: Simulation(0, number).run() for number in (None, 1, 2)}
    assert 1 == len({(outcome.ledger, outcome.state) for outcome in told.values()})
    for outcome in told.values():
        assert outcome.log is not None
        bodies = list(events_of(outcome.log, outcome.partitions))
        asked = {one.body.payment_id: one.meta for one in bodies if isinstance(one.body, PaymentRequested)}
        passed = min(
            one.body.reached_at
            for one in bodies
            if isinstance(one.body, VelocityLimitReached) and one.body.item == "device:dev-bot"
        )
        force = min(
            one.meta.recorded_at
            for one in bodies
            if isinstance(one.body, HotlistApplied) and one.body.item == "device:dev-bot"
        )
        verdicts = {
            asked[one.body.payment_id].occurred_at: one.body.verdict
            for one in bodies
            if isinstance(one.body, RiskAssessed)
        }
        assert passed < force <= passed + 3 * EVERY
        assert CARDS == len(verdicts)
        assert all((verdict is Verdict.BLOCK) == (at >= force) for at, verdict in verdicts.items())
        got_through = sum(passed < at < force for at in verdicts)
        assert got_through <= 3 * EVERY // EVERY_CARD
