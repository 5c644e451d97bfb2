"""Ticks: where they stand, how many there are, and that neither blocks nor crashes change either."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.calendar import DAY, HOUR, MINUTE, day_number, day_of, start_of, weekday
from events.errors import Refused
from events.identity import partition_of_name
from events.reference import Holidays
from events.requests import InputRow, PaymentRequest, Tick
from streams.edge.publisher import Published, Publisher, PublisherState, Schedule, Terms, horizon, schedule
from streams.edge.reference import Entry, published, starter
from streams.edge.simulate import simulate
from tests.streams.builders_early import CARD, NOON, OTHER_CARD, payment_request, void_request

EVER = 10**9


def pay(at: int, key: str, card: str = CARD) -> InputRow:
    """A payment that arrives at a time."""
    return InputRow(at, payment_request(idempotency_key=key, card_id=card, occurred_at=at))


def publish(
    rows: list[InputRow], partitions: int = 1, limit: int = 1_000, foreign_ppm: int = 0
) -> list[Published]:
    """Everything a run publishes."""
    publisher = Publisher(rows, schedule(rows), partitions, foreign_ppm=foreign_ppm)
    publisher.allow_tick(EVER)
    out: list[Published] = []
    while not publisher.finished:
        out += publisher.next_block(limit)
    return out


def told(out: list[Published], ends_at: int) -> list[str]:
    """Keys of payments and times of ticks (minutes from noon), as partition 0 reads them."""
    lines = []
    for item in out:
        if isinstance(item.message, Tick) and item.message.at < ends_at:
            lines.append(f"tick {item.message.tick} at {(item.message.at - NOON) / MINUTE:g}")
        elif isinstance(item.message, PaymentRequest):
            lines.append(item.message.idempotency_key)
    return lines


def test_ticks_come_by_the_quarter_hour_while_the_input_lasts() -> None:
    """A tick stands behind what came before its time; what comes at its very time belongs to the next."""
    rows = [
        pay(NOON + 1, "a"),
        pay(NOON + 14 * MINUTE, "b", OTHER_CARD),
        pay(NOON + 15 * MINUTE, "c"),
        pay(NOON + 46 * MINUTE, "d"),
    ]
    assert ["a", "b", "tick 1 at 15", "c", "tick 2 at 30", "tick 3 at 45", "d"] == told(
        publish(rows), NOON + 46 * MINUTE
    )


def test_a_tick_stands_before_a_cards_second_payment() -> None:
    """Two payments of one card never share an interval; a repeat of one request is no second payment."""
    rows = [
        pay(NOON, "a"),
        pay(NOON + 1 * MINUTE, "b", OTHER_CARD),
        pay(NOON + 2 * MINUTE, "a"),
        pay(NOON + 3 * MINUTE, "c"),
        pay(NOON + 4 * MINUTE, "d"),
        InputRow(NOON + 5 * MINUTE, void_request()),
    ]
    expected = ["a", "b", "a", "tick 1 at 3", "c", "tick 2 at 4", "d"]
    assert expected == told(publish(rows), NOON + 10 * MINUTE)


def test_every_tick_has_a_time_of_its_own() -> None:
    """Also where a card's payments have one stamp: each tick is later than the one before."""
    rows = [pay(NOON, f"k{number}") for number in range(5)]
    ticks = [item.message for item in publish(rows) if isinstance(item.message, Tick)]
    assert all(later.at > earlier.at for earlier, later in pairwise(ticks))
    assert list(range(1, len(ticks) + 1)) == [tick.tick for tick in ticks]


def test_behind_the_last_row_the_hours_tick_to_the_end() -> None:
    """The last tick is the one that was foretold, at the time that was foretold."""
    rows = [pay(NOON + 7 * MINUTE, "a")]
    plan = schedule(rows)
    ticks = [item.message for item in publish(rows) if isinstance(item.message, Tick)]
    assert [NOON + HOUR, NOON + 2 * HOUR] == [tick.at for tick in ticks[:2]]
    assert (plan.last_tick, plan.ends_at) == (ticks[-1].tick, ticks[-1].at)
    assert plan.first_at == NOON + 7 * MINUTE


def test_far_behind_the_input_a_day_has_four_ticks() -> None:
    """All hours of the first days, then every sixth, at the same times whatever came before."""
    rows = [pay(NOON + 7 * MINUTE, "a")]
    plan = schedule(rows)
    times = [item.message.at for item in publish(rows) if isinstance(item.message, Tick)]
    steps = [later - earlier for earlier, later in pairwise(times)]
    fine = 12 + 2 * 24
    assert [HOUR] * (fine - 1) == steps[: fine - 1]
    assert {6 * HOUR} == set(steps[fine - 1 :])
    assert (plan.fine_until, plan.ends_at) == (times[fine - 1], times[-1])


def test_a_long_step_behind_the_input_stays() -> None:
    """Whoever asks for longer steps than the coarse ones gets them to the end."""
    plan = schedule([pay(NOON, "a")], tail=12 * HOUR)
    assert 12 * HOUR == plan.coarse
    assert plan.last_tick == (plan.ends_at - start_of(day_of(NOON))) // (12 * HOUR) - 1


def test_a_tick_names_the_reference_data_that_is_out() -> None:
    """Reference data before the first payment is in force when it comes."""
    entries = list(published(starter()))
    rows = [InputRow(NOON - 15 * MINUTE, entry) for entry in entries] + [pay(NOON, "a")]
    out = publish(rows)
    topics = [item.topic for item in out[: len(entries) + 2]]
    assert ["reference"] * len(entries) + ["payments.requests"] * 2 == topics
    tick = out[len(entries)].message
    assert isinstance(tick, Tick)
    assert (1, NOON, len(entries)) == (tick.tick, tick.at, tick.reference_version)


def test_a_gap_in_versions_is_refused_with_its_row() -> None:
    """An engine would wait for the missing version for ever."""
    first, second, third = list(published(starter()))[:3]
    with pytest.raises(Refused, match="row 2: reference data of version 3 where 2 comes next"):
        schedule([InputRow(NOON, first), InputRow(NOON, third), InputRow(NOON, second)])


def test_reference_data_that_makes_no_sense_is_refused_with_its_row() -> None:
    """Before the run begins, not in the middle of it."""
    entry = next(published(starter()))
    bad = msgspec.structs.replace(entry, content='{"nonsense": 1}')
    with pytest.raises(Refused, match="row 1: content"):
        schedule([InputRow(NOON, bad)])


def test_a_gap_of_years_is_refused() -> None:
    """It is a mistake in a stamp, and a year has 35,040 quarter-hours."""
    with pytest.raises(Refused, match="row 2 comes more than 366 days"):
        schedule([pay(NOON, "a"), pay(NOON + 367 * DAY, "b")])


def test_an_empty_input_is_refused() -> None:
    """There is nothing to run."""
    with pytest.raises(Refused, match="no rows"):
        schedule([])


def test_the_publisher_waits_for_its_slowest_reader() -> None:
    """No tick behind the allowed one, and nothing that stands behind it."""
    rows = [pay(NOON, "a"), pay(NOON + 20 * MINUTE, "b"), pay(NOON + 40 * MINUTE, "c")]
    publisher = Publisher(rows, schedule(rows), 2)
    assert ["PaymentRequest"] == [type(item.message).__name__ for item in publisher.next_block(100)]
    assert [] == publisher.next_block(100)
    publisher.allow_tick(1)
    block = publisher.next_block(100)
    assert ["Tick", "Tick", "PaymentRequest"] == [type(item.message).__name__ for item in block]
    assert not publisher.finished


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.sampled_from([1, 3, 4]))
def test_neither_blocks_nor_crashes_change_what_is_published(limits: list[int], partitions: int) -> None:
    """A publisher made again from the state of any commit goes on with the next message."""
    rows = list(simulate(12, seed=5))
    plan = schedule(rows)
    expected = publish(rows, partitions)
    state, out = msgspec.msgpack.encode(PublisherState()), list[Published]()
    turn = 0
    while True:
        publisher = Publisher(rows, plan, partitions, msgspec.msgpack.decode(state, type=PublisherState))
        publisher.allow_tick(EVER)
        block = publisher.next_block(limits[turn % len(limits)] + 40 * turn)
        turn += 1
        if not block:
            break
        if turn % 3 == 0:
            continue  # killed before the commit: neither the block nor the state is kept
        out += block
        state = msgspec.msgpack.encode(publisher.state)
    assert expected == out


def test_time_does_not_depend_on_partitions() -> None:
    """Ticks stand at the same times in every partition of every deployment."""
    rows = list(simulate(60, seed=5))

    def ticks(partitions: int, partition: int) -> list[Tick]:
        return [
            item.message
            for item in publish(rows, partitions)
            if isinstance(item.message, Tick) and item.partition == partition
        ]

    assert ticks(1, 0) == ticks(4, 0) == ticks(4, 3)


def test_requests_go_to_the_partition_of_their_key() -> None:
    """At home, unless a producer with another partitioner is played; then all requests of a key go astray together."""
    rows = list(simulate(200, seed=5))
    for foreign_ppm, strays in ((0, range(1)), (500_000, range(60, 200))):
        places: dict[str, set[int]] = {}
        for item in publish(rows, 4, foreign_ppm=foreign_ppm):
            if item.topic == "payments.requests" and not isinstance(item.message, Tick):
                key = f"{item.message.merchant}/{item.message.idempotency_key}"  # type: ignore[attr-defined]
                places.setdefault(key, set()).add(item.partition)
        assert all(len(of_key) == 1 for of_key in places.values())
        assert sum(partition_of_name(key, 4) not in of_key for key, of_key in places.items()) in strays


@given(st.integers(0, 13), st.integers(0, 23), st.integers(1, 5), st.integers(1, 30))
def test_the_horizon_leaves_room_for_every_obligation(
    day: int, hour: int, settlement_days: int, hold_days: int
) -> None:
    """Counted in another way: from the row by calendar days, with every weekend in the way."""
    last_at = start_of(day_number(2026, 3, 2) + day) + hour * HOUR
    end = horizon(last_at, Terms(hold_days=hold_days, settlement_days=settlement_days))
    assert end >= last_at + hold_days * DAY
    # Two cut-offs (2 days), then the Wednesday behind the week of the second, and its statement.
    second = day_of(last_at) + 2
    assert end >= start_of(second + 6 - weekday(second) + 3) + 18 * HOUR
    # Settlement days, run, value date, return and second payout take this many working days at least.
    working = settlement_days + 1 + 2 + 1
    assert end >= start_of(day_of(last_at) + working) + 18 * HOUR
    assert end % DAY == 0


def test_holidays_move_the_horizon() -> None:
    """A week without banks, when the last payout is to leave, makes a run longer."""
    rows = [pay(NOON, "a")]
    ends_on = day_of(schedule(rows).ends_at)
    closed = tuple(range(ends_on - 14, ends_on - 2))
    entry = next(published([Entry("holidays", "USD", Holidays("USD", closed))]))
    plain, longer = schedule(rows), schedule([InputRow(NOON, entry), *rows])
    assert longer.ends_at >= plain.ends_at + 7 * DAY
    assert isinstance(longer, Schedule)


@given(cut=st.integers(0, 40), limit=st.integers(1, 7))
def test_what_was_given_out_can_be_passed_over(cut: int, limit: int) -> None:
    """By the number of rows and ticks alone: what is left is what the first one would have given."""
    rows = [
        pay(NOON + number * 7 * MINUTE, f"k{number}", (CARD, OTHER_CARD)[number % 2]) for number in range(12)
    ]
    plan = schedule(rows)
    given_out = publish(rows, limit=1)[:cut]
    first = Publisher(rows, plan, 1)
    first.allow_tick(EVER)
    for _ in given_out:
        first.next_block(1)
    again = Publisher(rows, plan, 1)
    again.skip_to(first.state.rows, first.state.tick)
    assert again.state == first.state
    first.allow_tick(EVER)
    again.allow_tick(EVER)
    assert again.next_block(limit) == first.next_block(limit)


def test_rows_and_ticks_that_never_stood_beside_each_other_are_refused() -> None:
    """They are of another input, or of other steps between ticks."""
    rows = [pay(NOON, "a"), pay(NOON + 16 * MINUTE, "b")]
    with pytest.raises(Refused, match="row 1 and tick 2"):
        Publisher(rows, schedule(rows), 1).skip_to(1, 2)
