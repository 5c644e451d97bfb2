"""Names by day: what is too old is found by looking at days, and forgotten a day at a time."""

from streams.features.days import Day, before, forget, put_aside


def three_days() -> list[Day]:
    days: list[Day] = []
    for day_on, name in ((7, "a"), (7, "b"), (8, "c"), (11, "d")):
        put_aside(days, day_on, name)
    return days


def test_names_of_one_day_stand_together() -> None:
    """In the order they came."""
    assert three_days() == [Day(7, ["a", "b"]), Day(8, ["c"]), Day(11, ["d"])]


def test_days_before_a_day_are_the_older_ones() -> None:
    """The day itself is not before itself."""
    days = three_days()
    assert [list(before(days, day_on)) for day_on in (7, 8, 9, 11, 12)] == [
        [],
        [7],
        [7, 8],
        [7, 8],
        [7, 8, 11],
    ]
    assert list(before([], 7)) == []


def test_a_day_is_forgotten_once_and_in_order() -> None:
    """A day that is not the oldest, or is gone, gives nothing and stays."""
    days = three_days()
    assert forget(days, 8) == []
    assert forget(days, 7) == ["a", "b"]
    assert forget(days, 7) == []
    assert forget(days, 8) == ["c"]
    assert days == [Day(11, ["d"])]
    assert forget([], 7) == []
