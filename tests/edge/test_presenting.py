"""What networks make of clearing records: how many come back, which never do, and that the bank settles the same."""

from collections import Counter
from unittest.mock import patch

from events.calendar import HOUR, day_of, iso_day, start_of
from events.clearing import ClearingRejection, ClearingReturnReceived, RecordKind
from events.messages import Handover
from events.partitions import TickPassed
from events.reconciliation import NetworkSettlementAdvised
from streams.edge import issuers
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.issuers import DAYS_TO_RETURN, Planned
from streams.edge.presenting import REFUNDS_REFUSED, RETURNED, present, returned
from tests.edge.clearing import cleared, record
from tests.streams.builders_early import NOON, recorded

SEED = 4
TODAY = day_of(NOON)
MANY = 20_000


def back(number: int, **fields: object) -> Planned | None:
    """Whether a record that left today comes back."""
    one = record(number, **fields)
    return returned(SEED, one, present(SEED, one, NOON), TODAY)


def one_that_returns() -> int:
    """The number of a record that comes back, and of which nobody says anything else."""
    return next(
        number for number in range(MANY) if back(number) and not issuers.plan(SEED, record(number), 0)
    )


def test_few_records_come_back_within_days_and_for_both_reasons() -> None:
    found = [planned for number in range(MANY) if (planned := back(number))]
    assert 0.6 < len(found) / (MANY * RETURNED / 1_000_000) < 1.4
    low, high = DAYS_TO_RETURN
    assert {TODAY + days for days in range(low, high + 1)} == {planned.on for planned in found}
    said = [planned.said for planned in found if isinstance(planned.said, ClearingReturnReceived)]
    assert len(found) == len(said)
    assert {ClearingRejection.INVALID_DATA, ClearingRejection.AUTHORIZATION_NOT_FOUND} == {
        one.reason for one in said
    }


def test_what_is_disputed_comes_back_by_its_dispute_alone() -> None:
    with patch.object(issuers, "DISPUTED", 1_000_000):
        assert not [number for number in range(MANY) if back(number)]


def test_a_refund_and_a_second_presentment_stay() -> None:
    assert not [number for number in range(MANY) if back(number, kind=RecordKind.REFUND)]
    assert not [number for number in range(MANY) if back(number, presentment=2)]


def test_some_refunds_find_no_card_any_more() -> None:
    said = Counter(
        present(SEED, record(number, kind=RecordKind.REFUND), NOON).rejection for number in range(MANY)
    )
    share = said[ClearingRejection.AUTHORIZATION_NOT_FOUND] / MANY
    assert 0.7 < share / (REFUNDS_REFUSED / 1_000_000) < 1.3


def test_it_is_said_on_its_day_and_settled_in_the_cycle_of_that_day() -> None:
    """Clearing house and bank each ask for themselves: what the one says, the other takes, to the cent."""
    one = record(one_that_returns())
    accepted, planned = present(SEED, one, NOON), back(one_that_returns())
    assert planned is not None
    house, bank = ClearingHouse(1, SEED), Bank(1, SEED)
    cleared(house, one)
    assert not bank.see("payments", 0, recorded(one, at=NOON))
    heard, advised = [], []
    for tick, day in enumerate(range(TODAY, planned.on + 2), 1):
        at = start_of(day) + 13 * HOUR
        passed = recorded(TickPassed(tick, at, 1), at=at)
        out = house.see("payments", 0, passed)
        heard += [(day, each.message.fact) for each in out if isinstance(each.message, Handover)]
        for log in ("payments", "settlement"):
            said = bank.see(log, 0, passed)
            advised += [each.message.fact for each in said if isinstance(each.message, Handover)]
    assert [(planned.on, planned.said)] == [
        (day, fact) for day, fact in heard if isinstance(fact, ClearingReturnReceived)
    ]
    assert isinstance(planned.said, ClearingReturnReceived)
    first, last = (fact for fact in advised if isinstance(fact, NetworkSettlementAdvised))
    assert (one.amount, accepted.interchange) == (first.presented, first.interchange)
    assert planned.said.cycle == last.cycle == f"visa-USD-{iso_day(planned.on)}"
    assert (1, -one.amount, -accepted.interchange) == (last.records, last.presented, last.interchange)
    assert first.net + last.net == 0
