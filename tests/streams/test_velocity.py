"""Velocity is its definition: what comes late, twice or afterwards, the features are those of a plain search."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendar import DAY, HOUR, MINUTE
from events.errors import ValidationError
from streams.features import series, velocity
from streams.features.distinct import Distinct
from streams.features.series import Series, reach_of
from streams.features.velocity import Features, Mark, Marked, Plan, State, columns, mark, observe, plan_of
from tests.streams.builders_early import NOON

WINDOWS = "10m,1h,24h,7d"
KEYS = ("card", "ip", "device", "email", "merchant")


class Entry(NamedTuple):
    """An entry of the log: an authorization, or a mark on one."""

    event_id: str
    at: int
    card: str
    ip: str
    device: str
    email: str
    merchant: str
    amount: int
    said: Mark | None = None


# --- the oracle ---------------------------------------------------------------------------------------


def expected(log: list[Entry], plan: Plan) -> Iterator[dict[str, int] | None]:
    """The definition, word by word: a search of everything up to each position."""
    known: dict[str, Entry] = {}
    marks: dict[str, set[Mark]] = {}
    for entry in log:
        if entry.said is not None:
            marks.setdefault(entry.event_id, set()).add(entry.said)
            yield None
        elif entry.event_id in known:
            yield None
        else:
            known[entry.event_id] = entry
            yield dict(searched(list(known.values()), marks, entry, plan))


def searched(
    past: list[Entry], marks: dict[str, set[Mark]], entry: Entry, plan: Plan
) -> Iterator[tuple[str, int]]:
    """Every feature of an entry, out of all that was known then."""
    for name, width in zip(plan.names, plan.reach.widths, strict=True):
        inside = [other for other in past if entry.at - width < other.at <= entry.at]
        for dimension in (*KEYS, "card_merchant")[: len(plan.places)]:
            fields = dimension.split("_")
            key = [getattr(entry, field) for field in fields]
            under = [other for other in inside if all(key) and [getattr(other, f) for f in fields] == key]
            yield f"{dimension}_count_{name}", len(under)
            yield f"{dimension}_sum_{name}", sum(other.amount for other in under)
            if plan.declines:
                declined = [other for other in under if Mark.DECLINED in marks.get(other.event_id, ())]
                yield f"{dimension}_declines_{name}", len(declined)
            if dimension in velocity.SHARED:
                yield f"{dimension}_cards_{name}", len({other.card for other in under if other.card})
            if dimension == "merchant":
                frauds = [other for other in under if Mark.FRAUD in marks.get(other.event_id, ())]
                yield f"merchant_frauds_{name}", len(frauds)


def taken(state: State, log: Iterable[Entry]) -> Iterator[Features | None]:
    """What velocity says to each entry of a log, forgetting as it goes."""
    for entry in log:
        if entry.said is not None:
            mark(state, entry.event_id, entry.said, entry.at)
            yield None
        else:
            yield _observed(state, entry)
        for hour in velocity.stale_hours(state, state.newest):
            velocity.forget(state, hour)


def _observed(state: State, entry: Entry, mine: int = velocity.EVERY) -> Features | None:
    return observe(
        state,
        entry.event_id,
        entry.at,
        entry.card,
        entry.ip,
        entry.device,
        entry.email,
        entry.merchant,
        entry.amount,
        mine,
    )


def named(found: Features | None, plan: Plan) -> dict[str, int] | None:
    """A vector with its columns."""
    return None if found is None else dict(zip(columns(plan), found.values, strict=True))


def history(seed: int, entries: int, step: int, lateness: int) -> list[Entry]:
    """A log: few keys, one in ten late, one in ten delivered again, one in six marked, now and then too early."""
    chance = random.Random(seed)
    log: list[Entry] = []
    newest = NOON
    for number in range(entries):
        what = chance.random()
        if log and what < 0.1:
            recent = [entry for entry in log[-60:] if entry.said is None and entry.at > newest - lateness]
            if recent:
                log.append(chance.choice(recent))
            continue
        if log and what < 0.25:
            ahead = chance.randrange(20) == 0
            event_id = f"e{number + chance.randrange(30)}" if ahead else chance.choice(log[-200:]).event_id
            log.append(Entry(event_id, newest, "", "", "", "", "", 0, chance.choice(list(Mark))))
            continue
        newest += chance.randrange(2 * step)
        late = chance.randrange(lateness) if chance.random() < 0.1 else 0
        log.append(
            Entry(
                f"e{number}",
                newest - late,
                f"card{chance.randrange(12)}" if chance.random() < 0.97 else "",
                f"ip{chance.randrange(9)}" if chance.random() < 0.9 else "",
                f"device{chance.randrange(20)}" if chance.random() < 0.9 else "",
                f"mail{chance.randrange(20)}" if chance.random() < 0.9 else "",
                f"shop{min(chance.randrange(6), chance.randrange(6))}",
                chance.randrange(1, 10**6),
            )
        )
    return log


# --- exactness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("full", "declines"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize(("step", "lateness"), [(5 * MINUTE, HOUR), (40 * MINUTE, 2 * DAY), (1, HOUR)])
def test_features_are_what_the_definition_says(full: bool, declines: bool, step: int, lateness: int) -> None:
    """For every dimension and window, with entries late, repeated, marked, marked early and without keys."""
    plan = plan_of(WINDOWS, lateness=lateness, full=full, declines=declines)
    log = history(11, 800, step, lateness)
    state = velocity.initial(plan)
    pairs = zip(log, taken(state, log), expected(log, plan), strict=True)
    for number, (entry, found, wanted) in enumerate(pairs):
        assert named(found, plan) == wanted, (number, entry)
        assert found is None or found.approximate == 0


short = st.sampled_from(["", "a", "b", "c"])
entries = st.lists(
    st.tuples(
        st.integers(0, 25),
        st.sampled_from([0, 1, MINUTE, 10 * MINUTE, HOUR, 23 * HOUR, DAY, 3 * DAY]),
        st.sampled_from([0, 1, MINUTE, 10 * MINUTE, HOUR, DAY]),
        short,
        short,
        short,
        st.integers(-5, 10**12),
        st.sampled_from([None, None, None, Mark.FRAUD, Mark.DECLINED]),
    ),
    max_size=60,
)


@given(entries)
@settings(max_examples=100, deadline=None)
def test_no_history_is_counted_otherwise(drawn: list[tuple[Any, ...]]) -> None:
    """Whatever comes, in whatever order, and whatever a repeat claims to be."""
    plan = plan_of("10m,24h,3d", lateness=DAY)
    log: list[Entry] = []
    newest = NOON
    first: dict[str, int] = {}
    marked: dict[str, int] = {}
    for number, forward, late, card, ip, merchant, amount, said in drawn:
        event_id = f"e{number}"
        newest += 0 if said is not None else forward
        at = newest - late
        # Beyond the promise: a repeat whose first delivery is forgotten, a payment whose mark has waited too long.
        if said is not None:
            marked.setdefault(event_id, at)
        elif (
            first.setdefault(event_id, at) <= newest - DAY or marked.get(event_id, newest) < newest - 4 * DAY
        ):
            continue
        log.append(Entry(event_id, at, card, ip, ip, card, merchant, amount, said))
    found = list(taken(velocity.initial(plan), log))
    assert list(expected(log, plan)) == [named(features, plan) for features in found]


# --- one at a time, in batches, from snapshots -----------------------------------------------------------


def through_a_snapshot(state: State) -> State:
    """As it comes back from msgpack."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)


@pytest.mark.parametrize("every", [1, 100, 1_000])
@pytest.mark.parametrize("hot", [0, 40])
def test_a_snapshot_changes_nothing(every: int, hot: int) -> None:
    """Taken after every entry, or now and then, also of hot keys: the same features and the same state."""
    plan = plan_of(WINDOWS, hot=hot)
    log = history(5, 1_500 if every > 1 else 400, 20 * MINUTE, HOUR)
    straight, restored = velocity.initial(plan), velocity.initial(plan)
    wanted = list(taken(straight, log))
    found: list[Features | None] = []
    for start in range(0, len(log), every):
        found += taken(restored, log[start : start + every])
        restored = through_a_snapshot(restored)
    assert wanted == found
    assert list(velocity.summary(straight)) == list(velocity.summary(restored))
    assert straight == restored


def test_keys_may_be_shared_out() -> None:
    """Each dimension measured in a state of its own gives what one state for all gives."""
    plan = plan_of(WINDOWS)
    log = history(6, 600, 20 * MINUTE, HOUR)
    whole = [found.values if found else [] for found in taken(velocity.initial(plan), log)]
    parts = [0] * len(velocity.DIMENSIONS)
    summed: list[list[int]] = [[0] * len(values) for values in whole]
    for place in range(len(parts)):
        state = velocity.initial(plan)
        for number, entry in enumerate(log):
            if entry.said is not None:
                mark(state, entry.event_id, entry.said, entry.at)
            elif found := _observed(state, entry, 1 << place):
                summed[number] = [a + b for a, b in zip(summed[number], found.values, strict=True)]
    assert whole == summed


# --- marks ------------------------------------------------------------------------------------------------


def test_no_feature_sees_a_label_before_its_position() -> None:
    """Whatever is said from a position on, all vectors before it stay, and the first one after may differ."""
    plan = plan_of(WINDOWS)
    log = [entry for entry in history(7, 400, 5 * MINUTE, HOUR) if entry.said is None]
    wanted = list(taken(velocity.initial(plan), log))
    for place in range(0, len(log) - 1, 13):
        said = Entry(log[place].event_id, log[place].at, "", "", "", "", "", 0, Mark.FRAUD)
        behind = place + 1 + (place * 7) % (len(log) - place)
        found = list(taken(velocity.initial(plan), [*log[:behind], said, *log[behind:]]))
        assert wanted[:behind] == found[:behind]
    same = log[:60]
    said = Entry(same[0].event_id, NOON, "", "", "", "", "", 0, Mark.FRAUD)
    after = same[0]._replace(event_id="after")
    (last,) = list(taken(velocity.initial(plan), [*same, said, after]))[-1:]
    found_now = named(last, plan)
    assert found_now is not None
    assert found_now["merchant_frauds_10m"] == 1


def test_what_becomes_of_a_mark() -> None:
    """Counted once; said again it changes nothing; before its payment it waits; of nobody it waits in vain."""
    state = velocity.initial(plan_of(WINDOWS))
    assert mark(state, "e1", Mark.FRAUD, NOON) is Marked.WAITS
    assert mark(state, "e1", Mark.FRAUD, NOON) is Marked.REPEATED
    found = observe(state, "e1", NOON, "card", "", "", "", "shop", 5)
    assert found is not None
    assert dict(zip(columns(state.plan), found.values, strict=True))["merchant_frauds_10m"] == 1
    assert mark(state, "e1", Mark.FRAUD, NOON) is Marked.REPEATED
    assert mark(state, "e1", Mark.DECLINED, NOON) is Marked.COUNTED
    assert mark(state, "nobody", Mark.FRAUD, NOON) is Marked.WAITS
    observe(state, "e2", NOON + 9 * DAY, "card", "", "", "", "shop", 5)
    for hour in velocity.stale_hours(state, NOON + 20 * DAY):
        velocity.forget(state, hour)
    assert state.payments == {}
    assert state.waiting == {}
    assert state.frauds == {}


# --- memory -----------------------------------------------------------------------------------------------


def test_everything_is_forgotten_when_no_window_reaches_it() -> None:
    """An hour, the widest window and the lateness after the last event, nothing is left; before, all is."""
    plan = plan_of(WINDOWS)
    state = velocity.initial(plan)
    for entry in history(8, 500, 5 * MINUTE, HOUR):
        if entry.said is None:
            _observed(state, entry)
        else:
            mark(state, entry.event_id, entry.said, entry.at)
    end = (state.newest // HOUR + 1) * HOUR + plan.reach.kept
    for hour in velocity.stale_hours(state, end - 1):
        velocity.forget(state, hour)
    assert len(state.payments) > 0
    assert all(len(subjects) for subjects in state.subjects)
    for hour in velocity.stale_hours(state, end):
        velocity.forget(state, hour)
    empty = velocity.initial(plan)
    empty.newest = state.newest
    assert empty == state


def test_a_busy_key_is_kept_short() -> None:
    """A shop that is never quiet does not remember for ever: neither its events nor its cards."""
    state = velocity.initial(plan_of("10m,1h"))
    for number in range(5_000):
        observe(state, f"e{number}", NOON + number * MINUTE, f"card{number}", "", "", "", "shop", 1)
        for hour in velocity.stale_hours(state, state.newest):
            velocity.forget(state, hour)
    shop = state.subjects[velocity.DIMENSIONS.index("merchant")]["shop"]
    assert isinstance(shop, velocity.Subject)
    assert len(shop.times) <= 2 * 120 + 32
    assert isinstance(shop.cards, Distinct)
    assert len(shop.cards.times) == len(shop.cards.cards) <= 2 * 120 + 32
    assert len(state.payments) <= 4 * 60


# --- hot keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", [100, 10])
def test_a_hot_key_is_exact_up_to_a_day_and_says_when_it_is_not(hot: int) -> None:
    """Beyond, it counts at most an hour too much, never too little; cards stay exact everywhere."""
    exact, tiled = plan_of("10m,1h,24h,7d", hot=0), plan_of("10m,1h,24h,7d", hot=hot)
    log = history(9, 6_000, 8 * MINUTE, HOUR)
    wider = plan_of("10m,1h,24h,169h", hot=0)
    state = velocity.initial(tiled)
    rows = zip(
        taken(velocity.initial(exact), log),
        taken(state, log),
        taken(velocity.initial(wider), log),
        strict=True,
    )
    approximate = 0
    for wanted, found, most in rows:
        if wanted is None or found is None or most is None:
            assert wanted is found is most
            continue
        told = [name for place, name in enumerate(velocity.DIMENSIONS) if found.approximate >> place & 1]
        approximate += bool(told)
        assert wanted.approximate == 0
        for name, least, value, greatest in zip(
            columns(exact), wanted.values, found.values, most.values, strict=True
        ):
            dimension, measure, width = name.rsplit("_", 2)
            if width == "7d" and dimension in told and measure != "cards":
                assert least <= value <= greatest, name
            else:
                assert least == value, name
    assert approximate > 2_000
    # With tiles this small those of what was declined, too, are in tiles.
    assert (hot == 10) == any(found.tiles for marked in state.declines for found in marked.values())


def test_a_hot_series_is_small() -> None:
    """A hundred thousand events of a month rest in a day of events and a month of hours."""
    reach = reach_of((30 * DAY,), HOUR, 1_000)
    busy = Series([NOON], [1])
    for number in range(1, 100_000):
        series.take(busy, NOON + number * 30 * DAY // 100_000, 1, reach)
    assert busy.tiles is not None
    assert len(busy.times) < 2 * 100_000 * 26 // (30 * 24)
    assert len(busy.tiles.hours) <= 30 * 24
    values: list[int] = []
    series.measure(busy, busy.times[-1], reach, values)
    assert values == [100_000, 100_000]


def test_what_comes_too_late_says_so() -> None:
    """It is counted all the same."""
    state = velocity.initial(plan_of(WINDOWS, full=False))
    observe(state, "e1", NOON, "card", "", "", "", "", 1)
    late = observe(state, "e2", NOON - HOUR - 1, "card", "", "", "", "", 1)
    assert late is not None
    assert late.approximate == velocity.EVERY
    again = observe(state, "e3", NOON, "card", "", "", "", "", 1)
    assert again is not None
    assert (again.approximate, again.values[2]) == (0, 3)


# --- plans ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "windows", ["", "1", "m", "1w", "0m", "-1m", "1m,1m", "1m,,1h", "1.5h", "401d", "9" * 30 + "s", "²h"]
)
def test_windows_that_cannot_be(windows: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(ValidationError, match="windows: "):
        plan_of(windows)


def test_too_many_windows() -> None:
    """A vector has a bound."""
    with pytest.raises(ValidationError, match="17 are more than 16"):
        plan_of(",".join(f"{number}s" for number in range(1, 18)))


def test_columns_are_named_after_what_they_hold() -> None:
    """In the order of the vector; a foreign history has no declines."""
    names = columns(plan_of("1m,1h", full=False, declines=False))
    assert names[:4] == ["card_count_1m", "card_count_1h", "card_sum_1m", "card_sum_1h"]
    assert names[-4:] == [
        "merchant_cards_1m",
        "merchant_cards_1h",
        "merchant_frauds_1m",
        "merchant_frauds_1h",
    ]
    assert len(names) == 2 * (5 * 2 + 3 + 1)
    assert len(columns(plan_of())) == 5 * (6 * 3 + 3 + 1)
