"""Producers' times are believed within a tolerance; what is filed by the hour is found by the hour."""

import pytest

from events.calendar import DAY, HOUR, MINUTE
from streams.features.windows import TOLERANCE, Hour, event_time, file_under, hours_before, take_hour
from tests.streams.builders_early import NOON


@pytest.mark.parametrize(
    ("claimed", "taken"),
    [
        (0, 0),
        (TOLERANCE, TOLERANCE),
        (TOLERANCE + 1, TOLERANCE),
        (DAY, TOLERANCE),
        (-TOLERANCE, -TOLERANCE),
        (-TOLERANCE - 1, -TOLERANCE),
        (-DAY, -TOLERANCE),
    ],
)
def test_a_claimed_time_is_believed_within_the_tolerance(claimed: int, taken: int) -> None:
    """Around the transport's stamp, to both sides."""
    assert NOON + taken == event_time(NOON + claimed, NOON)


def test_no_choice_of_times_leaves_the_shortest_window() -> None:
    """Payments that arrive within two minutes lie within ten, whatever their producer says."""
    spread = event_time(NOON + 2 * MINUTE + 601, NOON + 2 * MINUTE - 1) - event_time(NOON - DAY, NOON)
    assert spread < 10 * MINUTE


# --- forgetting by the hour -----------------------------------------------------------------------------


def test_hours_are_kept_in_order_whoever_comes_first() -> None:
    """Subjects are filed by event time, and logs are not in that order."""
    hours: list[Hour] = []
    for subject, hour in (("a", 3), ("b", 1), ("c", 2), ("d", 1), ("e", 3)):
        file_under(hours, hour, subject)
    assert [Hour(1, ["b", "d"]), Hour(2, ["c"]), Hour(3, ["a", "e"])] == hours


def test_an_hour_is_taken_once() -> None:
    """A work may be overtaken between due and fire."""
    hours = [Hour(1, ["b", "d"]), Hour(2, ["c"])]
    assert take_hour(hours, 1) == ["b", "d"]
    assert take_hour(hours, 1) == []
    assert [Hour(2, ["c"])] == hours


def test_an_hour_is_stale_when_it_has_ended() -> None:
    """And not a moment before; earliest first."""
    hours = [Hour(NOON // HOUR, []), Hour(NOON // HOUR + 1, [])]
    assert hours_before(hours, NOON + HOUR - 1) == []
    assert hours_before(hours, NOON + HOUR) == [NOON // HOUR]
    assert hours_before(hours, NOON + DAY) == [NOON // HOUR, NOON // HOUR + 1]
