"""Whether a name was seen in the 90 days before, against looking through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from events.calendar import DAY
from streams.features.familiar import KEPT, Familiar, forget_day, meet, stale_days

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.booleans()), max_size=40)


@given(STEPS)
def test_new_means_not_seen_in_90_days(steps: list[tuple[str, int, bool]]) -> None:
    """Whether days are forgotten in between or not; what is forgotten can no longer be asked for."""
    familiar, at = Familiar(), 0
    seen: dict[str, list[int]] = {}
    for name, days, tidy in steps:
        at += days * DAY + 1
        if tidy:
            for day_on in stale_days(familiar, at):
                forget_day(familiar, day_on)
            assert all(newest > at - KEPT - DAY for newest in familiar.newest.values())
        before = [time for time in seen.get(name, []) if time > at - KEPT]
        assert (max(before) if before else None) == meet(familiar, name, at)
        seen.setdefault(name, []).append(at)


def test_a_late_event_is_no_news_and_makes_none() -> None:
    """It was seen, later; and what comes next goes by the newest."""
    familiar = Familiar()
    assert meet(familiar, "a", 10 * DAY) is None
    assert meet(familiar, "a", 9 * DAY) == 9 * DAY
    assert meet(familiar, "a", 11 * DAY) == 10 * DAY
    assert meet(familiar, "a", 11 * DAY + KEPT) is None
