"""Profiles say what a search of the past would say, and never what a label will say later."""

from collections.abc import Callable
from random import Random

import msgspec
import numpy as np
import pytest

from events.calendar import DAY, HOUR, MINUTE, SECOND
from streams.features import profiles
from streams.features.profiles import (
    ENOUGH,
    KNOWN_HOURS,
    LONGEST_RUN,
    MOST_OUTLIERS,
    NAMES,
    NEVER,
    OUTLIER,
    PROFILE,
    PROFILE_SHA256,
    UNIT,
    MerchantProfile,
    Profiles,
    is_ordinary,
    learn,
    observe,
)
from streams.training.histories import History, Whole, replay
from tests.streams.training.histories import FIRST_AT, made_up

NOW = FIRST_AT
DELAY = 5 * DAY


def value(vector: list[int], name: str) -> int:
    return vector[NAMES.index(name)]


# --- the definition, slowly ----------------------------------------------------------------------------


def usual_of(amounts: list[int]) -> tuple[int, int]:
    """How many payments a card has made and the sum of their amounts, each capped as it came."""
    total = 0
    for number, amount in enumerate(amounts):
        high = number >= ENOUGH and amount * UNIT * number // total > OUTLIER
        total += total * OUTLIER // (UNIT * number) if high else amount
    return len(amounts), total


def by_search(history: History, delay: int, index: int) -> list[int]:
    """The vector of one payment, from the whole past and every label that is known."""
    at = int(history.at[index])
    before = range(index)

    def ratio(row: int) -> int:
        mine = [int(history.amount[i]) for i in range(row) if history.card[i] == history.card[row]]
        payments, total = usual_of(mine)
        return int(history.amount[row]) * UNIT * payments // total if payments >= ENOUGH else 0

    outliers = [
        int(history.at[i]) for i in before if history.card[i] == history.card[index] and ratio(i) > OUTLIER
    ]
    known = [
        i for i in before if history.merchant[i] == history.merchant[index] and history.at[i] + delay <= at
    ]
    recent = [i for i in known if (int(history.at[i]) + delay) // HOUR > at // HOUR - KNOWN_HOURS]
    frauds = [i for i in known if history.fraud[i]]
    ordinary = [i for i in frauds if ratio(i) <= OUTLIER]
    genuine_at = max((int(history.at[i]) for i in known if not history.fraud[i]), default=-1)
    run = [int(history.at[i]) for i in ordinary if history.at[i] > genuine_at]

    def since(times: list[int]) -> int:
        return min((at - times[-1]) // SECOND, NEVER) if times else NEVER

    return [
        int(history.amount[index]),
        ratio(index),
        sum(time > at - 7 * DAY for time in outliers),
        sum(time > at - 14 * DAY for time in outliers),
        since([genuine_at] if genuine_at >= 0 else []),
        since([int(history.at[i]) for i in frauds]),
        sum(bool(history.fraud[i]) for i in recent),
        len(recent),
        len(run),
        since(run[:1]),
        since([int(history.at[i]) for i in ordinary]),
        sum(bool(history.fraud[i]) and ratio(i) <= OUTLIER for i in recent),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_vector_is_what_a_search_of_the_past_finds(seed: int) -> None:
    """The definition, word by word, on a history whose merchants go bad and good again."""
    history = made_up(seed, payments=900, days=60, cards=12, merchants=6)
    vectors = replay(history, DELAY, lambda _: None)
    for index in Random(seed).sample(range(900), 120):
        assert by_search(history, DELAY, index) == vectors[index].tolist()


# --- labels and their positions -------------------------------------------------------------------------

Replayed = Callable[[History], Whole]


def leaks(replayed: Replayed, history: History, delay: int) -> list[int]:
    """The rows at which a vector changes although only labels changed that are not known there yet."""
    found = []
    plain = replayed(history)
    for row in range(100, len(history.at), len(history.at) // 12):
        unknown = history.at + delay > history.at[row]
        turned = replayed(history._replace(fraud=history.fraud ^ unknown))
        if (turned[: row + 1] != plain[: row + 1]).any():
            found.append(row)
    return found


def test_no_feature_sees_a_label_before_its_position() -> None:
    """Turn every label over that has not come yet: nothing that was decided by then changes."""
    history = made_up(payments=1_500)
    assert [] == leaks(lambda turned: replay(turned, DELAY, lambda _: None), history, DELAY)


@pytest.mark.parametrize("early", [MINUTE, HOUR])
def test_a_planted_leak_is_found(early: int) -> None:
    """Labels that come one payment early are caught like labels that come with their payments."""
    history = made_up(payments=1_500, merchants=1)
    times = [FIRST_AT + step * MINUTE for step in range(1_500)]
    history = history._replace(at=np.array(times, np.int64))
    assert [] == leaks(lambda turned: replay(turned, HOUR, lambda _: None), history, HOUR)
    assert leaks(lambda turned: replay(turned, HOUR - early, lambda _: None), history, HOUR)


def test_labels_count_from_the_next_payment_on() -> None:
    """Before its label a fraud is a payment like any other."""
    state = Profiles()
    first = observe(state, "card", "shop", NOW, 1_000)
    assert NEVER == value(observe(state, "card", "shop", NOW + HOUR, 1_000), "merchant_since_fraud")
    learn(state, "shop", NOW, NOW + 2 * HOUR, fraud=True, ordinary=is_ordinary(first))
    after = observe(state, "card", "shop", NOW + 3 * HOUR, 1_000)
    assert 3 * 3_600 == value(after, "merchant_since_fraud")
    assert (1, 1) == (value(after, "merchant_run"), value(after, "merchant_labels_28d"))


def test_the_order_in_which_labels_arrive_does_not_matter() -> None:
    """A fraud is often known in days, a genuine payment after weeks; the run goes by the payments' times."""
    random = Random(7)
    labels = [(NOW + n * HOUR, random.random() < 0.5, random.random() < 0.7) for n in range(40)]
    states = []
    for _ in range(5):
        random.shuffle(labels)
        state = Profiles()
        for paid_at, fraud, ordinary in labels:
            learn(state, "shop", paid_at, NOW + 50 * HOUR, fraud=fraud, ordinary=ordinary)
        states.append(state)
    assert [states[0]] * 5 == states


# --- bounds and snapshots -------------------------------------------------------------------------------


def test_a_thief_does_not_teach_us_that_large_amounts_are_usual() -> None:
    """After twenty payments at ten times the usual amount, the next is still far above it."""
    state = Profiles()
    for number in range(30):
        observe(state, "card", "shop", NOW + number * DAY, 1_000)
    for number in range(20):
        vector = observe(state, "card", "shop", NOW + 30 * DAY + number * HOUR, 10_000)
        assert value(vector, "amount_ratio") > OUTLIER
    assert not is_ordinary(vector)


def test_a_late_payment_finds_its_outliers() -> None:
    """Outliers stand in the order of time, whenever they came."""
    state = Profiles()
    for number in range(10):
        observe(state, "card", "shop", NOW + number, 1_000)
    for day in (10, 2, 9):
        observe(state, "card", "shop", NOW + day * DAY, 9_000)
    vector = observe(state, "card", "shop", NOW + 12 * DAY, 1_000)
    assert (2, 3) == (value(vector, "card_outliers_7d"), value(vector, "card_outliers_14d"))


def test_what_is_kept_is_bounded() -> None:
    """However many frauds, outliers and labels there are."""
    state = Profiles()
    for number in range(2_000):
        observe(state, "card", "shop", NOW + number, 1_000 if number < 20 else 10**9)
        learn(state, "shop", NOW + number, NOW + number * HOUR, fraud=True, ordinary=True)
    place = state.merchants["shop"]
    assert (MOST_OUTLIERS, LONGEST_RUN, KNOWN_HOURS) == (
        len(state.cards["card"].outliers or ()),
        len(place.run),
        len(place.hours),
    )
    vector = observe(state, "card", "shop", NOW + 2_000 * SECOND, 1)
    assert 2_000 == value(vector, "merchant_run_age")


def test_a_merchant_of_which_nothing_is_known() -> None:
    """The same vector as one whose labels have all been forgotten, but for the times."""
    state = Profiles(merchants={"quiet": MerchantProfile()})
    assert observe(state, "card", "quiet", NOW, 5) == observe(Profiles(), "card", "new", NOW, 5)


def test_profiles_go_on_from_a_snapshot() -> None:
    """Written and read in the middle, they come to the same vectors."""
    history = made_up(payments=600)
    plain, restored = Profiles(), Profiles()
    for index in range(600):
        if index % 97 == 0:
            restored = msgspec.msgpack.decode(msgspec.msgpack.encode(restored), type=Profiles)
        row = [str(history.card[index]), str(history.merchant[index])]
        at, amount = int(history.at[index]), int(history.amount[index])
        vectors = [observe(state, row[0], row[1], at, amount) for state in (plain, restored)]
        assert vectors[0] == vectors[1]
        for state in (plain, restored):
            learn(
                state,
                row[1],
                at,
                at + HOUR,
                fraud=bool(history.fraud[index]),
                ordinary=is_ordinary(vectors[0]),
            )
    assert plain == restored


def test_another_meaning_is_another_hash() -> None:
    """The hash that models name is a fixed text of this set; whoever changes the profile raises PROFILE_SET."""
    assert (2, "488baa2c2a58913be18c84604cf2b31a5bc44f1ac9a2ebf1a4bdb28288b20e7a") == (
        profiles.PROFILE_SET,
        PROFILE_SHA256,
    )
    assert len(NAMES) == len(set(NAMES)) == len(PROFILE)
