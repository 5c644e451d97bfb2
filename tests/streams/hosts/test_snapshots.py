"""When an index is worth another snapshot."""

from streams.hosts.snapshots import SNAPSHOT_BYTES, SNAPSHOT_EVENTS, Distance


def passed_at(distance: Distance) -> int:
    """The first number of events that is far enough."""
    return next(events for events in range(0, 5 * SNAPSHOT_EVENTS, 1_000) if distance.is_passed(events))


def test_the_first_snapshots_of_a_house_come_one_after_the_other() -> None:
    """Indices go on side by side; behind the first, each goes its own way."""
    firsts = [passed_at(Distance(0, turn=number / 4)) for number in range(4)]
    assert firsts == [SNAPSHOT_EVENTS + number * SNAPSHOT_EVENTS // 4 for number in range(4)]
    distance = Distance(0, turn=0.5)
    distance.begin(150_000, 0)
    assert passed_at(distance) == 150_000 + SNAPSHOT_EVENTS
    assert passed_at(Distance(150_000, turn=0.5)) == 150_000 + SNAPSHOT_EVENTS


def test_a_large_snapshot_is_worth_a_longer_way() -> None:
    """What is hot is written again each time."""
    assert passed_at(Distance(1_000, 2 * SNAPSHOT_EVENTS * SNAPSHOT_BYTES)) == 1_000 + 2 * SNAPSHOT_EVENTS
