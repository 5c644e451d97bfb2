"""The engine by the clock on the wall: who strikes, who aligns with whom, what is left out, and the same again."""

from random import Random
from typing import Any

import msgspec
import pytest

from events.base import Event
from events.envelope import Recorded, Source
from events.errors import Broken
from events.messages import Marker
from events.partitions import (
    ClockKind,
    ClockStruck,
    DeadLetterReason,
    EventDeadLettered,
    MarkersTaken,
    TickPassed,
    TickStepped,
)
from events.wire import decode_event, encode_event
from streams.hosts.engine import STEP_WORKS, Output, Sent, Undecidable
from streams.hosts.snapshots import EngineSnapshot
from streams.processor import DEADLINES, FOLLOW_UPS
from streams.topology import ENGINES, Scope, Upstream
from tests.streams.hosts.test_engine import as_bytes
from tests.streams.hosts.toys import (
    MINUTE,
    OPENED_AT,
    Answering,
    Heard,
    Holding,
    Strike,
    Tape,
    Toy,
    Waiting,
    fact,
    marker,
    name_of,
    opening,
    reference,
    tape,
    toy_engine,
)

UPSTREAMS = (Upstream("up", Scope.ALL), Upstream("outside", Scope.SAME, 2))
OWN: dict[str, Any] = {"clock": ClockKind.WALL, "own_clock": True, "upstreams": UPSTREAMS}
ALIGNED: dict[str, Any] = {"clock": ClockKind.WALL, "upstreams": UPSTREAMS}

# --- a clock of its own -------------------------------------------------------------------------------


def test_a_strike_is_a_tick() -> None:
    """Recorded as what moved the time, at the time before; what the tick does is caused by it."""
    run = tape(Waiting(), **OWN)
    run.play(fact("a"))
    assert ["ClockStruck", "rejected a", "tick 7"] == run.play(Strike(7))
    struck, _, passed = run.outputs[-1].events
    at = OPENED_AT + 7 * MINUTE
    assert (ClockStruck(7, at, 0), OPENED_AT) == (struck.body, struck.meta.recorded_at)
    assert (TickPassed(7, at, 1), at) == (passed.body, passed.meta.recorded_at)
    assert struck.meta.event_id == passed.meta.causation_id
    assert [Sent("down", 0, Marker("toy/0", 7, at, 0))] == run.outputs[-1].messages


def test_what_arrives_is_decided_on_arrival() -> None:
    """Whoever sends it, whatever its sender has handed over; markers of others move nothing."""
    run = tape(Answering(), partitions=2, **OWN)
    assert ["markers"] == run.play([marker(5, "up/0"), marker(9, "outside/0")])
    assert [] == run.outputs[-1].messages
    for sender in ("up/0", "up/1", "outside/0", "adapter/0"):
        assert ["asked a", "parked a"] == run.play(fact("a", sender))
    assert 0 == run.engine.tick


def test_a_tick_once_struck_does_not_come_again() -> None:
    """Nor one before it, nor one of a time that lies behind; nothing is recorded of them."""
    run = tape(Toy(), **OWN)
    run.play(Strike(3))
    assert [] == run.play(Strike(3))
    assert [] == run.play(Strike(2))
    assert Output([], []) == run.engine.strike(4, OPENED_AT)
    assert ["ClockStruck", "tick 4"] == run.play(Strike(4))


def test_no_tick_is_held_by_an_open_attempt() -> None:
    """The attempts are counted all the same, for the back-pressure."""
    run = tape(Holding(), **OWN)
    run.play(fact("a"))
    assert ["ClockStruck", "tick 1"] == run.play(Strike(1))
    assert 1 == run.engine.open_attempts()


def test_a_long_tick_lets_others_go_on() -> None:
    """A request is decided between two of its steps, what outside parties say after the last; strikes are left out."""
    run = tape(Waiting(), Answering(), **OWN)
    names = [f"{number:05d}" for number in range(STEP_WORKS + 1)]
    run.play(*(fact(name) for name in names), Strike(1))
    assert run.engine.unfinished
    assert ["asked now", "parked now"] == run.play(fact("now"))
    assert ["asked notice"] == run.play(fact("notice", "outside/0"))
    assert [] == run.play(Strike(2))
    assert ["TickStepped", f"rejected {names[-1]}", "tick 1", "parked notice"] == run.play(None)
    assert ["ClockStruck", "rejected notice", "rejected now", "tick 3"] == run.play(Strike(3))


def test_a_strike_puts_in_force_what_has_been_read() -> None:
    """And tells those who align."""
    run = tape(Answering(), **OWN)
    run.play(reference(1), reference(2, "fees"))
    run.play(Strike(1), fact("a"))
    struck = next(recorded.body for recorded in run.events if isinstance(recorded.body, ClockStruck))
    assert 2 == struck.reference_version
    assert [2] == [
        sent.message.reference_version
        for output in run.outputs
        for sent in output.messages
        if isinstance(sent.message, Marker)
    ]
    versions = run.events[-1].meta.versions
    assert (1, 2) == (versions.rules, versions.fees)


@pytest.mark.parametrize("options", [ALIGNED, {"own_clock": True}], ids=["aligned", "virtual"])
def test_nobody_else_can_be_struck(options: dict[str, Any]) -> None:
    """Whose ticks come from upstreams; and in virtual time nobody at all."""
    run = tape(Toy(), **options)
    assert not run.engine.own_clock
    with pytest.raises(Broken, match="not from a clock of its own"):
        run.play(Strike(1))


# --- aligned with others ------------------------------------------------------------------------------


def test_the_newest_tick_of_all_upstreams_is_taken() -> None:
    """Those between are left out, and outside parties are not waited for."""
    run = tape(Toy(), partitions=2, **ALIGNED)
    run.play(marker(3, "up/0"), marker(4, "up/0"), marker(7, "up/0"))
    assert ["markers", "tick 5"] == run.play([marker(2, "up/1"), marker(5, "up/1")])
    assert ["markers", "tick 7"] == run.play(marker(9, "up/1"))
    assert OPENED_AT + 7 * MINUTE == run.engine.now
    assert ["markers"] == run.play(marker(8, "outside/0"))
    assert [9] == list(run.engine.ticks.known)


def test_what_lies_before_a_tick_is_decided_before_it() -> None:
    """Also where its own interval ended with a tick that is left out; what lies behind it waits on."""
    run = tape(Waiting(), Answering(), partitions=2, **ALIGNED)
    run.play(marker(2, "up/0"), fact("third", "up/0"))
    run.play(marker(4, "up/0"), fact("fifth", "up/0"), marker(6, "up/0"), fact("seventh", "up/0"))
    assert ["asked first", "parked first"] == run.play(fact("first", "up/1"))
    assert [
        "markers",
        "parked third",
        "parked fifth",
        "rejected fifth",
        "rejected first",
        "rejected third",
        "tick 6",
        "parked seventh",
    ] == run.play(marker(8, "up/1"))


def test_what_cannot_be_decided_is_named_when_its_interval_has_come() -> None:
    """Left-out ticks or not; put aside, it waits no longer, and what waits beside it is decided."""

    class Defective(Answering):
        def decide(self, state: Heard, recorded: Recorded) -> list[Event]:
            if recorded.meta.key == "bad":
                raise ZeroDivisionError
            return super().decide(state, recorded)

    source = Source("in", 0, 5, "up/0")
    letter = EventDeadLettered(DeadLetterReason.DECISION_FAILED, "", 0, "", "")
    run = tape(Defective(), partitions=2, **ALIGNED)
    run.play(marker(2, "up/0"), fact("bad")._replace(source=source), fact("good"), marker(6, "up/0"))
    with pytest.raises(Undecidable) as raised:
        run.play(marker(8, "up/1"))
    assert source == raised.value.source
    again = tape(Defective(), partitions=2, **ALIGNED)
    for recorded in run.events[1:]:
        again.engine.retake(recorded)
    again.play(fact("", body=letter)._replace(source=source))
    assert ["markers", "parked good", "tick 6"] == again.play(marker(8, "up/1"))


def test_what_the_outside_says_is_decided_on_arrival() -> None:
    """Far ahead or far behind."""
    run = tape(Answering(), **ALIGNED)
    assert ["asked a", "parked a"] == run.play(fact("a", "outside/0"))
    run.play(marker(50, "outside/0"))
    assert ["asked b", "parked b"] == run.play(fact("b", "outside/0"))
    run.play(marker(9))
    assert ["asked c", "parked c"] == run.play(fact("c", "outside/0"))


def test_a_tick_takes_the_furthest_reference_version_named_so_far() -> None:
    """Upstreams read at their own pace; who has not read that far waits, and may leave more ticks out."""
    run = tape(Toy(), partitions=2, **ALIGNED)
    run.play(reference(1), marker(2, "up/0", reference=2), marker(4, "up/0", reference=2))
    assert ["markers"] == run.play([marker(3, "up/1"), marker(4, "up/1")])
    assert ["reference 2", "tick 4"] == run.play(reference(2))
    assert ["reference 1", "reference 2"] == run.engine.states[0].names
    assert 2 == run.outputs[-1].messages[0].message.reference_version  # type: ignore[union-attr]


def test_nothing_is_kept_of_ticks_left_out() -> None:
    """However many."""
    run = tape(Toy(), partitions=2, **ALIGNED)
    run.play(*(marker(tick, "up/0") for tick in range(1, 500)), marker(498, "up/1"))
    assert [499] == list(run.engine.ticks.known)


def test_whoever_aligns_waits_only_for_whoever_has_a_clock() -> None:
    """Directly or by another that aligns: the table has no circle in wall time."""
    moving = {spec.name for spec in ENGINES if spec.own_clock}
    assert {"intake", "payments"} == moving
    for spec in ENGINES:
        if not spec.own_clock:
            assert {upstream.sender for upstream in spec.upstreams if not upstream.lag} <= moving
            moving.add(spec.name)


def test_whoever_is_waited_for_tells_it_and_nobody_else() -> None:
    """A marker that moves nothing would be an event in a log, every second and for ever."""
    inbox = {spec.name: f"{spec.name}.inbox" for spec in ENGINES} | {"velocity": "risk.signals"}
    for spec in ENGINES:
        waiting = {
            inbox[other.name]
            for other in ENGINES
            if not other.own_clock
            for upstream in other.upstreams
            if upstream.sender == spec.name and not upstream.lag
        }
        assert waiting == set(spec.wall_marks)


# --- again --------------------------------------------------------------------------------------------

PROCESSORS = (Answering(), Waiting(FOLLOW_UPS), Waiting(DEADLINES, "later"), Holding())


def any_inputs(seed: int, options: dict[str, Any]) -> Tape:
    """Inputs of every kind, ticks that are left out, and some that take several steps."""
    random = Random(seed)
    run = tape(*PROCESSORS, partitions=2, **options)
    marks = {"up/0": 0, "up/1": 0, "outside/0": 0}
    struck = version = 0
    for number in range(200):
        choice = random.random()
        sender = random.choice([*marks, "adapter/0"])
        if number in (30, 60):
            run.play(*(fact(f"many-{one}", sender) for one in range(STEP_WORKS // 2 + 10)))
        elif run.engine.unfinished and choice < 0.4:
            run.play(None)
        elif choice < 0.05:
            version += 1
            run.play(reference(version, random.choice(["rules", "fees", "network"])))
        elif choice < 0.2 and run.engine.own_clock:
            struck += random.choice((0, 1, 1, 3))
            run.play(Strike(struck))
        elif choice < 0.5 and sender in marks:
            marks[sender] += random.choice((1, 1, 4))
            run.play(marker(marks[sender], sender, reference=random.randint(0, version)))
        else:
            run.play(fact(random.choice("abcdef"), sender))
    return run


def inputs_of(recorded: list[Recorded]) -> list[Recorded]:
    """The events that are inputs: what a replay begins with."""
    moved = (MarkersTaken, ClockStruck, TickStepped)
    return [one for one in recorded if one.meta.source is not None or isinstance(one.body, moved)]


@pytest.mark.parametrize("options", [OWN, ALIGNED], ids=["own clock", "aligned"])
@pytest.mark.parametrize("seed", range(4))
def test_taking_the_log_again_gives_it_again(seed: int, options: dict[str, Any]) -> None:
    """Byte for byte, from the bytes of the log alone; and a snapshot anywhere changes nothing."""
    random = Random(seed)
    run = any_inputs(seed, options)
    assert any(isinstance(recorded.body, TickStepped) for recorded in run.events)
    ticks = [recorded.body.tick for recorded in run.events if isinstance(recorded.body, TickPassed)]
    assert ticks == sorted(set(ticks))
    assert len(ticks) < ticks[-1]
    outputs = [output for output in run.outputs if output.events]
    engine = toy_engine(*PROCESSORS, partitions=2, **options)
    again = []
    for recorded in run.events:
        output = engine.retake(decode_event(encode_event(recorded)))
        if output is not None:
            again.append(output)
            if random.random() > 0.02 and not engine.unfinished:
                continue
            snapshot = msgspec.msgpack.encode(engine.snapshot())
            engine = toy_engine(*PROCESSORS, partitions=2, **options)
            engine.restore(msgspec.msgpack.decode(snapshot, type=EngineSnapshot))
    assert as_bytes(outputs) == as_bytes(again)
    assert len(again) == len(inputs_of(run.events)) + 1  # and the opening
    assert list(run.engine.summary()) == list(engine.summary())


def test_a_strike_that_could_not_have_been_is_no_input() -> None:
    """Somebody has put it into the log: nothing leads to it."""
    run = tape(Toy(), **OWN)
    run.play(Strike(2), Strike(3))
    struck = [recorded for recorded in run.events if name_of(recorded) == "ClockStruck"]
    engine = toy_engine(Toy(), **OWN)
    engine.open(opening())
    assert engine.retake(struck[1]) is not None
    assert engine.retake(struck[0]) is None
