"""The issuers, simulated: how many complain, when, and that it is the same for ever."""

from collections import Counter
from unittest.mock import patch

from events.calendar import DAY, day_of
from events.clearing import ClearingRecordCreated, RecordKind
from events.disputes import FraudProgram, FraudReportReceived
from events.messages import Handover, Marker
from events.partitions import TickPassed
from streams.edge import issuers
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.issuers import DAYS_TO_WARNING, WARNED, Planned, plan
from streams.edge.presenting import present
from tests.edge.clearing import cleared
from tests.streams.builders_early import NOON, recorded
from tests.streams.builders_late import make

SEED = 4
TODAY = day_of(NOON)
MANY = 20_000


def record(number: int, **fields: object) -> ClearingRecordCreated:
    return make(
        ClearingRecordCreated, **{"source_id": f"cap-{number}", "record_id": f"clr-{number}"} | fields
    )


def planned(**fields: object) -> list[Planned]:
    """The reports about many captures that nobody disputes."""
    with patch.object(issuers, "DISPUTED", 0):
        return [one for number in range(MANY) for one in plan(SEED, record(number, **fields), TODAY)]


def reports(found: list[Planned]) -> list[FraudReportReceived]:
    said = [one.said for one in found if isinstance(one.said, FraudReportReceived)]
    assert len(said) == len(found)
    return said


def test_few_captures_are_reported_as_fraud() -> None:
    """Two in a thousand that are not disputed, each within days of its clearing, by the programme of its network."""
    found = planned()
    assert 0.8 < len(found) / (MANY * WARNED / 1_000_000) < 1.2
    low, high = DAYS_TO_WARNING
    assert {TODAY + days for days in range(low, high + 1)} == {one.on for one in found}
    assert {FraudProgram.TC40} == {one.program for one in reports(found)}
    assert {FraudProgram.SAFE} == {one.program for one in reports(planned(network="mastercard"))}
    assert "6" == Counter(one.fraud_type for one in reports(found)).most_common(1)[0][0]


def test_a_report_comes_on_its_day_before_the_marker_and_once() -> None:
    """An issuer speaks at the first tick of the day; the tick's marker stands behind what it says."""
    number = next(
        n
        for n in range(MANY)
        if len(plan(SEED, record(n), TODAY)) == 1 and present(SEED, record(n), NOON).accepted
    )
    (expected,) = plan(SEED, record(number), TODAY)
    house = ClearingHouse(1, SEED)
    cleared(house, record(number))
    days = [house.see("payments", 0, recorded(TickPassed(n + 1, NOON + n * DAY, 1))) for n in range(12)]
    said = [
        (TODAY + n, [one.message.fact for one in out if isinstance(one.message, Handover)])
        for n, out in enumerate(days)
        if len(out) > 1 and n > 0  # on the first, the file is taken
    ]
    assert [(expected.on, [expected.said])] == said
    assert all(isinstance(out[-1].message, Marker) for out in days)


def test_nobody_complains_of_a_refund_or_of_what_was_refused() -> None:
    """Only what the cardholder was charged for can be called fraud."""
    house = ClearingHouse(1, SEED)
    for number in range(MANY):
        one = record(number)
        if plan(SEED, one, TODAY):
            refused = next(
                n for n in range(2, 99) if not present(SEED, record(number, presentment=n), NOON).accepted
            )
            cleared(house, record(number, presentment=refused), record(number, kind=RecordKind.REFUND))
    out = house.see("payments", 0, recorded(TickPassed(1, NOON, 1)))
    assert len(out) > 1
    assert {} == house.state.planned
    assert planned()
