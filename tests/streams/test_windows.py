"""Windows are exact: whatever comes late or twice, they say what a search of the whole past would say."""

import random
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendar import DAY, HOUR, MINUTE
from streams.features import windows
from streams.features.windows import (
    KEPT,
    LATENESS,
    TOLERANCE,
    Histories,
    History,
    add,
    count,
    count_in,
    event_time,
    remember,
    total_in,
)
from tests.streams.builders_early import NOON

WIDTHS = (10 * MINUTE, HOUR, DAY)


class Happened(NamedTuple):
    """An event as the oracle keeps it."""

    event_id: str
    at: int
    dimension: str
    value: int


def distinct(past: list[Happened]) -> list[Happened]:
    """The first of each id, in the order of the log."""
    return list({happened.event_id: happened for happened in reversed(past)}.values())


def inside(past: list[Happened], at: int, width: int) -> list[Happened]:
    """The definition, word by word."""
    return [happened for happened in distinct(past) if at - width < happened.at <= at]


def assert_exact(history: History, past: list[Happened]) -> None:
    """Every window that ends with the last event is what the oracle says.

    A repeat may be older than the lateness that histories allow for; then the oldest end is asked for.
    """
    at = max(past[-1].at, max(happened.at for happened in past) - LATENESS)
    for width in WIDTHS:
        found = inside(past, at, width)
        assert len(found) == count(history, at, width)
        for dimension in ("EUR", "USD"):
            values = [happened.value for happened in found if happened.dimension == dimension]
            assert len(values) == count_in(history, dimension, at, width)
            assert sum(values) == total_in(history, dimension, at, width)


steps = st.lists(
    st.tuples(
        st.integers(0, 30),  # which id: few, so that many repeat
        st.sampled_from([0, 1, MINUTE, 9 * MINUTE, 10 * MINUTE, 50 * MINUTE, 5 * HOUR, 23 * HOUR, 26 * HOUR]),
        st.sampled_from([0, 1, MINUTE, 10 * MINUTE, LATENESS]),
        st.sampled_from(["EUR", "USD"]),
        st.integers(1, 10**12),
    ),
    min_size=1,
    max_size=60,
)


@given(steps)
@settings(max_examples=150, deadline=None)
def test_windows_are_what_the_definition_says(taken: list[tuple[int, int, int, str, int]]) -> None:
    """For events up to an hour late, repeated at any time, with any values."""
    history, past, newest = History(), [], NOON
    for number, forward, late, dimension, value in taken:
        newest += forward
        known = next((old for old in past if old.event_id == f"e{number}"), None)
        happened = known or Happened(f"e{number}", newest - late, dimension, value)
        past.append(happened)
        add(history, happened.event_id, happened.at, [(happened.dimension, happened.value)])
        assert_exact(history, past)


def test_a_long_history_stays_exact_and_short() -> None:
    """Two weeks of one busy card, 3 % late and 5 % repeated: what no window reaches is let go on the way."""
    chance = random.Random(20260309)
    history, past, newest, longest = History(), [], NOON, 0
    for number in range(3_000):
        newest += chance.randrange(14 * MINUTE)
        late = chance.randrange(LATENESS) if chance.random() < 0.03 else 0
        if past and chance.random() < 0.05:
            happened = past[-chance.randrange(1, min(len(past), 50) + 1)]
        else:
            happened = Happened(
                f"e{number}", newest - late, chance.choice(["EUR", "USD"]), chance.randrange(10**6)
            )
        past.append(happened)
        del past[:-1_500]
        add(history, happened.event_id, happened.at, [(happened.dimension, happened.value)])
        assert_exact(history, past)
        longest = max(longest, len(history.times))
    # 25 hours hold about 214 of them; half as many again may be stale before they go.
    assert longest < 500
    assert len(history.seen) == len(history.times)


def test_a_repeat_changes_nothing() -> None:
    """Not even under another time and with another value."""
    history = History()
    assert add(history, "e1", NOON, [("USD", 5)])
    before = msgspec.msgpack.encode(history)
    assert not add(history, "e1", NOON + HOUR, [("USD", 7)])
    assert before == msgspec.msgpack.encode(history)


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        (NOON - 1, 0),
        (NOON, 1),
        (NOON + 10 * MINUTE - 1, 1),
        (NOON + 10 * MINUTE, 0),
    ],
)
def test_a_window_ends_with_its_time_and_begins_behind_its_width(at: int, counted: int) -> None:
    """Open at the old end, closed at the new one."""
    history = History()
    add(history, "e1", NOON, [("USD", 5)])
    assert counted == count(history, at, 10 * MINUTE)
    assert counted == count_in(history, "USD", at, 10 * MINUTE)
    assert counted * 5 == total_in(history, "USD", at, 10 * MINUTE)


def test_what_was_never_seen_is_nothing() -> None:
    """An unknown dimension has no events and no sum."""
    assert count_in(History(), "USD", NOON, DAY) == 0
    assert total_in(History(), "USD", NOON, DAY) == 0


def test_a_dimension_that_went_quiet_is_let_go() -> None:
    """A card that changes shops for ever does not remember them for ever."""
    history = History()
    for number in range(400):
        add(history, f"e{number}", NOON + number * HOUR, [(f"@shop-{number}", 0)])
    assert len(history.windows) <= 2 * KEPT // HOUR + 2


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


# --- forgetting ---------------------------------------------------------------------------------------


def forget_until(histories: Histories, now: int) -> int:
    """Forget what is stale; how many subjects are left."""
    for hour in windows.stale_hours(histories, now):
        windows.forget(histories, hour)
    return len(histories.by_subject)


def test_a_quiet_subject_is_forgotten_when_no_window_can_reach_it() -> None:
    """Its hour, the longest window and the lateness have passed, and not a moment before."""
    histories = Histories()
    remember(histories, "card", "e1", NOON + 5, [])
    end = NOON + HOUR + KEPT
    assert forget_until(histories, end - 1) == 1
    assert forget_until(histories, end) == 0
    assert histories == Histories()


def test_a_subject_seen_again_stays() -> None:
    """The hour it was filed under first no longer speaks for it."""
    histories = Histories()
    remember(histories, "card", "e1", NOON, [])
    remember(histories, "card", "e2", NOON + HOUR, [])
    assert forget_until(histories, NOON + HOUR + KEPT) == 1
    assert forget_until(histories, NOON + 2 * HOUR + KEPT) == 0


def test_a_late_event_does_not_make_its_subject_old() -> None:
    """What counts is the newest event."""
    histories = Histories()
    remember(histories, "card", "e1", NOON, [])
    remember(histories, "card", "e2", NOON - HOUR, [])
    assert forget_until(histories, NOON + KEPT) == 1


def test_hours_are_kept_in_order_whoever_comes_first() -> None:
    """Subjects are filed by event time, and logs are not in that order."""
    histories = Histories()
    for subject, hours in (("a", 3), ("b", 1), ("c", 2), ("d", 1), ("e", 3)):
        remember(histories, subject, f"of-{subject}", NOON + hours * HOUR, [])
    assert [2, 1, 2] == [len(hour.subjects) for hour in histories.hours]
    for left, passed in ((5, 1), (3, 2), (2, 3), (0, 4)):
        assert left == forget_until(histories, NOON + passed * HOUR + KEPT)


def test_forgetting_twice_is_forgetting_once() -> None:
    """A work may be overtaken between due and fire."""
    histories = Histories()
    remember(histories, "card", "e1", NOON, [])
    windows.forget(histories, NOON // HOUR - 1)
    windows.forget(histories, NOON // HOUR)
    windows.forget(histories, NOON // HOUR)
    assert histories == Histories()
