"""Whether a card, and what it is seen with, was seen in the 90 days before, against looking through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from events.calendar import DAY
from streams.features.familiar import KEPT, KINDS, Familiar, forget_day, meet, stale_days

NAMES = st.tuples(*(st.sampled_from(["", "a", "b", "c"]) for _ in KINDS))
STEPS = st.lists(
    st.tuples(st.sampled_from("xyz"), NAMES, st.integers(0, 60), st.integers(0, 1), st.booleans()),
    max_size=40,
)
NOTHING = ("",) * len(KINDS)


@given(STEPS)
def test_new_means_not_seen_in_90_days(
    steps: list[tuple[str, tuple[str, ...], int, int, bool]],
) -> None:
    """Whether days are forgotten in between or not, and whether events come late or not."""
    familiar, now = Familiar(), 10 * DAY
    newest: dict[tuple[str, ...], int] = {}
    for card, names, days, late, tidy in steps:
        now += days * DAY + 1
        if tidy:
            for day_on in stale_days(familiar, now):
                forget_day(familiar, day_on)
            for met in familiar.cards.values():
                assert met.newest > now - KEPT - 3 * DAY
        at = now - late * DAY
        known = {name: at - time < KEPT for name, time in newest.items()}
        before = newest[card,] if known.get((card,)) else None
        new = [
            None if not name else not known.get((card, kind, name))
            for kind, name in zip(KINDS, names, strict=True)
        ]
        assert (before if before is None else min(before, at), new) == meet(familiar, card, names, at)
        seen = [(card,), *((card, kind, name) for kind, name in zip(KINDS, names, strict=True) if name)]
        newest |= {name: max(at, newest.get(name, at)) for name in seen}


def test_a_late_event_is_no_news_and_makes_none() -> None:
    """It was seen, later; and what comes next goes by the newest."""
    familiar = Familiar()
    assert meet(familiar, "a", NOTHING, 10 * DAY)[0] is None
    assert meet(familiar, "a", NOTHING, 9 * DAY)[0] == 9 * DAY
    assert meet(familiar, "a", NOTHING, 11 * DAY)[0] == 10 * DAY
    assert meet(familiar, "a", NOTHING, 11 * DAY + KEPT)[0] is None


def test_what_a_card_was_seen_with_goes_when_nobody_can_ask_for_it() -> None:
    """Also of a card that goes on paying, with other devices: the first of all and those that lay beside it."""
    familiar = Familiar()
    for day in range(400):
        meet(familiar, "a", (f"device-{day // 7}", "", "mail", ""), day * DAY)
        for day_on in stale_days(familiar, day * DAY):
            forget_day(familiar, day_on)
    (met,) = familiar.cards.values()
    weeks = KEPT // (7 * DAY)
    assert weeks <= 1 + len(met.others or {}) <= weeks + 2, "those that can still be asked for"
    assert met.names[0] != "device-0", "another one is the usual device now"
    assert ["", "mail", ""] == met.names[1:]
