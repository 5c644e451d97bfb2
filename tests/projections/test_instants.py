"""Instants and days come through the stores as they went in."""

import pytest

from events.calendar import day_number, start_of
from projections.instants import day_on, literal, microseconds, moment
from tests.projections.stores import Stores, rows

INSTANTS = (0, 1, 1_772_442_000_000_000, start_of(day_number(2100, 2, 28)) + 999_999, -86_400_000_001)


def test_an_instant_comes_back(stores: Stores) -> None:
    """To the microsecond, from before 1970 too; what the stores give is the moment that was meant."""
    with stores.empty() as store:
        for at in INSTANTS:
            [(given,)] = rows(store, f"SELECT {literal(at)}")
            assert given == moment(at)
            assert microseconds(given) == at


@pytest.mark.parametrize("day", [0, 20_514, -1, day_number(2100, 2, 28)])
def test_a_day_is_the_same_day_whatever_a_store_makes_of_it(stores: Stores, day: int) -> None:
    """A date, or the instant at its beginning."""
    with stores.empty() as store:
        [(given, begins)] = rows(
            store, f"SELECT CAST({literal(start_of(day))} AS DATE), {literal(start_of(day))}"
        )
    assert day_on(given) == day_on(begins) == day
