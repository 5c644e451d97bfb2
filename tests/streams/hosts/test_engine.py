"""The engine: intervals, barriers, steps, cascades, sequences; and the same again from a snapshot or from the log."""

from random import Random

import msgspec
import pytest

from events.base import Event
from events.envelope import Recorded
from events.errors import Broken
from events.intake import RequestForwarded
from events.lifecycle import OperationParked, OperationRejected, VoidRequested
from events.messages import Handover, Marker
from events.partitions import MarkerSeen, TickPassed
from events.requests import VoidRequest
from events.wire import decode_event, encode_event, encode_message
from streams.handovers import Handed
from streams.hosts.engine import STEP_WORKS, Fact, Output, Sent
from streams.hosts.snapshots import EngineSnapshot
from streams.processor import CUT_OFFS, DEADLINES, FOLLOW_UPS, NOTICES, Work
from streams.topology import Scope, Upstream
from tests.streams.hosts.toys import (
    MINUTE,
    OPENED_AT,
    Answering,
    Heard,
    Holding,
    Tape,
    Toy,
    Waiting,
    fact,
    marker,
    name_of,
    opening,
    parked,
    reference,
    rejected,
    story,
    tape,
    toy_engine,
)

LAG = 2
LAGGED = (Upstream("up", Scope.ALL), Upstream("outside", Scope.SAME, LAG))

# --- barriers -----------------------------------------------------------------------------------------


def test_a_tick_waits_for_every_sender() -> None:
    """It passes with the marker of the last of them, and everybody downstream learns it."""
    run = tape(Toy(), partitions=3)
    assert ["markers"] == run.play(marker(1, "up/0"))
    assert ["markers"] == run.play(marker(1, "up/2"))
    assert ["markers", "tick 1"] == run.play(marker(1, "up/1"))
    expected = Marker("toy/0", 1, OPENED_AT + MINUTE, 0)
    assert [Sent("down", partition, expected) for partition in range(3)] == run.outputs[-1].messages


def test_a_repeated_marker_is_recorded_and_changes_nothing() -> None:
    """Also one of a tick long past; a later tick is handed over once."""
    run = tape(Toy())
    run.play(marker(1), marker(2))
    for repeat in (marker(2), marker(1), [marker(1), marker(2), marker(2)]):
        assert ["markers"] == run.play(repeat)
        assert [] == run.outputs[-1].messages
    assert ["markers", "tick 3"] == run.play([marker(2), marker(3), marker(3)])


def test_a_marker_of_nobody_changes_nothing() -> None:
    """Only the senders of the topology move time."""
    run = tape(Toy())
    assert ["markers"] == run.play(marker(1, "stranger/0"))
    assert ["markers", "tick 1"] == run.play(marker(1))


def test_several_ticks_may_pass_at_once() -> None:
    """One sender was far ahead; the other's vector of markers lets all of them pass, in order."""
    run = tape(Toy(), partitions=2)
    run.play(marker(1, "up/0"), marker(2, "up/0"), marker(3, "up/0"))
    assert ["markers", "tick 1", "tick 2"] == run.play([marker(1, "up/1"), marker(2, "up/1")])
    assert 2 == run.engine.tick


def test_a_marker_stands_for_all_before_it() -> None:
    """A sender that goes on at tick 2 has nothing more for tick 1."""
    run = tape(Toy(), partitions=2)
    run.play(marker(2, "up/0"), marker(1, "up/1"))
    assert 1 == run.engine.tick
    assert ["markers", "tick 2"] == run.play(marker(2, "up/1"))


@pytest.mark.parametrize("far", [5, 2**62])
def test_a_sender_may_leave_ticks_out(far: int) -> None:
    """What it said before them is decided, those that another has handed over are taken, and time goes on there."""
    run = tape(Answering(), Waiting(), partitions=2)
    at = OPENED_AT + 5 * MINUTE
    jumped = msgspec.structs.replace(marker(5), tick=far, at=at)
    run.play(marker(1, "up/0"), fact("second", "up/0"), jumped, fact("behind", "up/0"))
    assert ["markers", "tick 1", "parked second"] == run.play(marker(1, "up/1"))
    assert ["markers", "rejected second", "tick 3"] == run.play(marker(3, "up/1"))
    last = run.play(msgspec.structs.replace(jumped, sender="up/1"), marker(4, "up/1"))
    assert ["markers"] == last
    assert [f"tick {far}", "parked behind"] == story(run.outputs[-2])[1:]
    assert (far, at) == (run.engine.tick, run.engine.now)


@pytest.mark.parametrize("tick", [0, -1, -(2**63)])
def test_a_tick_that_is_none_changes_nothing(tick: int) -> None:
    """Ticks count from 1."""
    run = tape(Toy())
    assert ["markers"] == run.play(msgspec.structs.replace(marker(1), tick=tick))
    assert ["markers", "tick 1"] == run.play(marker(1))


def test_senders_that_disagree_on_a_tick_are_no_race() -> None:
    """The later time and the further reference data count, whoever comes first."""
    for order in (("up/0", "up/1"), ("up/1", "up/0")):
        run = tape(Toy(), partitions=2)
        run.play(reference(1))
        said = {"up/0": marker(1, "up/0"), "up/1": marker(1, "up/1", reference=1)}
        run.play(*(said[sender] for sender in order))
        assert ["reference 1"] == run.engine.states[0].names


def test_nothing_is_kept_of_ticks_behind_us() -> None:
    """A lagging sender's markers come when their ticks have passed."""
    run = tape(Toy(), upstreams=LAGGED)
    run.play(*(one for tick in range(1, 9) for one in (marker(tick), marker(tick, "outside/0"))))
    assert 8 == run.engine.tick
    assert {} == run.engine.snapshot().ticks


def test_a_lagging_sender_is_waited_for_later() -> None:
    """What the outside answers to tick t is waited for at tick t + lag."""
    run = tape(Toy(), upstreams=LAGGED)
    assert ["markers", "tick 1"] == run.play(marker(1))
    assert ["markers", "tick 2"] == run.play(marker(2))
    assert ["markers"] == run.play(marker(3))
    assert ["markers", "tick 3"] == run.play(marker(1, "outside/0"))


# --- intervals ----------------------------------------------------------------------------------------


def test_what_stands_behind_a_marker_is_of_the_next_interval() -> None:
    """It is recorded at once, and decided when the tick before it has passed for all."""
    run = tape(Answering(), partitions=2)
    run.play(marker(1, "up/0"))
    assert ["asked later"] == run.play(fact("later", "up/0"))
    assert ["asked now", "parked now"] == run.play(fact("now", "up/1"))
    assert ["markers", "tick 1", "parked later"] == run.play(marker(1, "up/1"))


def test_each_interval_waits_for_its_own_tick() -> None:
    """A sender may be many ticks ahead."""
    run = tape(Answering(), partitions=2)
    run.play(marker(1), fact("second"), marker(2), marker(3), fact("fourth"))
    assert ["markers", "tick 1", "parked second"] == run.play(marker(1, "up/1"))
    assert ["markers", "tick 2"] == run.play(marker(2, "up/1"))
    assert ["markers", "tick 3", "parked fourth"] == run.play(marker(3, "up/1"))


def test_what_waits_is_decided_in_the_order_in_which_it_came() -> None:
    """Whoever sent it."""
    run = tape(Answering(), partitions=3)
    run.play(marker(1, "up/0"), marker(1, "up/1"))
    run.play(fact("a", "up/0"), fact("b", "up/1"), fact("c", "up/0"))
    assert ["markers", "tick 1", "parked a", "parked b", "parked c"] == run.play(marker(1, "up/2"))


def test_what_a_lagging_sender_says_takes_effect_after_its_lag() -> None:
    """Said before its first marker, it is of interval 1 + lag."""
    run = tape(Answering(), upstreams=LAGGED)
    assert ["asked a"] == run.play(fact("a", "outside/0"))
    assert ["markers", "tick 1"] == run.play(marker(1))
    assert ["markers", "tick 2", "parked a"] == run.play(marker(2))


def test_an_answer_has_no_interval() -> None:
    """Who sends no markers is heard at once, ahead of everything that waits."""
    run = tape(Answering(), partitions=2)
    run.play(marker(1, "up/0"), fact("waits", "up/0"))
    assert ["asked answer", "parked answer"] == run.play(fact("answer", "adapter/0"))


def test_a_forwarded_request_is_passed_on_at_once() -> None:
    """It must reach its own partition ahead of the marker that is passed on too."""

    class Forwarding(Toy):
        HEARS = (RequestForwarded,)

    handed: list[Recorded] = []

    def hand(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
        handed.append(recorded)
        return []

    run = tape(Forwarding(), partitions=2, handovers={RequestForwarded: hand})
    forwarded = RequestForwarded(VoidRequest("shop", "key", "pay", 1, "me", False), "mac", 1)
    run.play(marker(1), fact("", body=forwarded))
    assert [forwarded] == [recorded.body for recorded in handed]


# --- time ---------------------------------------------------------------------------------------------


def test_only_ticks_move_the_time() -> None:
    """Records bear the time of the last tick begun, whatever their stamps say."""
    run = tape(Answering(), Waiting())
    run.play(fact("a", at=10**15), marker(1), fact("b"), marker(2))
    times = [
        (name_of(recorded), (recorded.meta.recorded_at - OPENED_AT) // MINUTE) for recorded in run.events
    ]
    assert [
        ("LogOpened", 0),
        ("asked a", 0),
        ("parked a", 0),
        ("markers", 0),
        ("rejected a", 1),
        ("tick 1", 1),
        ("asked b", 1),
        ("parked b", 1),
        ("markers", 1),
        ("rejected b", 2),
        ("tick 2", 2),
    ] == times


def test_a_tick_does_works_by_phase_processor_and_key() -> None:
    """Notices first and cut-offs last; within a phase the topology decides, then the key."""
    run = tape(
        Waiting(CUT_OFFS, "cut-off"),
        Waiting(DEADLINES, "second in the table"),
        Waiting(DEADLINES, "third in the table"),
        Waiting(FOLLOW_UPS, "follow-up"),
        Waiting(NOTICES, "notice"),
    )
    run.play(fact("b"), fact("a"), marker(1))
    notes = [
        (r.body.idempotency_key, r.meta.key) for r in run.events if isinstance(r.body, OperationRejected)
    ]
    assert [
        (note, key)
        for note in ("notice", "follow-up", "second in the table", "third in the table", "cut-off")
        for key in ("a", "b")
    ] == notes


def test_an_overtaken_work_gives_nothing() -> None:
    """Firing looks again: what one work has settled, the next finds settled."""

    class Twice(Waiting):
        def due(self, state: Heard, now: int) -> list[Work]:
            return [work._replace(kind=kind) for work in super().due(state, now) for kind in ("one", "two")]

    run = tape(Twice())
    assert ["markers", "rejected a", "tick 1"] == run.play(fact("a"), marker(1))


def test_a_long_tick_goes_on_in_steps() -> None:
    """A step does STEP_WORKS works; the tick has passed, and is handed on, after the last."""
    run = tape(Waiting())
    names = [f"{number:05d}" for number in range(2 * STEP_WORKS + 1)]
    run.play(*(fact(name) for name in names))
    first = run.play(marker(1))
    assert ["markers", *(f"rejected {name}" for name in names[:STEP_WORKS])] == first
    assert run.engine.unfinished
    second = run.play(None)
    assert ["TickStepped", *(f"rejected {name}" for name in names[STEP_WORKS:-1])] == second
    assert [] == run.outputs[-1].messages
    assert ["TickStepped", f"rejected {names[-1]}", "tick 1"] == run.play(None)
    assert not run.engine.unfinished
    assert [Marker("toy/0", 1, OPENED_AT + MINUTE, 0)] == [sent.message for sent in run.outputs[-1].messages]
    stepped, _, passed = run.outputs[-1].events
    assert TickPassed(1, OPENED_AT + MINUTE, 3) == passed.body
    assert stepped.meta.event_id == passed.meta.causation_id


def test_a_tick_of_exactly_one_step_needs_no_other() -> None:
    """The boundary of the step."""
    run = tape(Waiting())
    run.play(*(fact(str(number)) for number in range(STEP_WORKS)), marker(1))
    assert not run.engine.unfinished
    assert TickPassed(1, OPENED_AT + MINUTE, 1) == run.events[-1].body


def test_nothing_is_decided_between_the_steps_of_a_tick() -> None:
    """Inputs that come meanwhile are of a later interval, and ticks that become ready wait."""
    run = tape(Waiting(), Answering())
    run.play(*(fact(str(number)) for number in range(STEP_WORKS + 1)), marker(1))
    assert ["asked late"] == run.play(fact("late"))
    assert ["markers"] == run.play(marker(2))
    last = run.play(None)
    # "late" was said in interval 2: decided after tick 1, due at tick 2.
    assert ["tick 1", "parked late", "rejected late", "tick 2"] == last[-4:]


def test_there_is_no_step_without_a_tick() -> None:
    """A recorded step where none is due means that the log is not ours."""
    with pytest.raises(Broken, match="no tick is under way"):
        tape(Toy()).play(None)


def test_a_tick_is_held_while_an_attempt_is_open() -> None:
    """The answer lets it go on, at once."""
    run = tape(Holding())
    run.play(fact("a"), fact("b"))
    assert 2 == run.engine.open_attempts()
    assert ["markers"] == run.play(marker(1))
    assert ["asked a"] == run.play(fact("a", "adapter/0"))
    assert ["asked b", "tick 1"] == run.play(fact("b", "adapter/0"))
    assert 0 == run.engine.open_attempts()


# --- reference data -----------------------------------------------------------------------------------


def test_reference_data_comes_into_force_at_the_tick_that_names_it() -> None:
    """Read long before, it is heard first thing in its tick; later versions wait on."""
    run = tape(Toy())
    for version in (1, 2, 3):
        assert [f"reference {version}"] == run.play(reference(version))
    assert [] == run.engine.states[0].names
    run.play(marker(1, reference=2))
    assert ["reference 1", "reference 2"] == run.engine.states[0].names
    run.play(marker(2, reference=3))
    assert ["reference 1", "reference 2", "reference 3"] == run.engine.states[0].names


def test_a_tick_waits_for_the_reference_data_it_names() -> None:
    """An engine that has not read so far does not decide with less."""
    run = tape(Toy())
    assert ["markers"] == run.play(marker(1, reference=2))
    assert ["reference 1"] == run.play(reference(1))
    assert ["reference 2", "tick 1"] == run.play(reference(2))


def test_a_repeated_or_early_version_is_not_in_force() -> None:
    """Versions come in order; what leaves a gap must come again."""
    run = tape(Toy())
    run.play(reference(1), reference(1), reference(3), marker(1, reference=1), marker(2, reference=3))
    assert 1 == run.engine.tick
    run.play(reference(2), reference(3))
    assert 2 == run.engine.tick
    assert ["reference 1", "reference 2", "reference 3"] == run.engine.states[0].names


def test_the_envelope_names_the_versions_in_force() -> None:
    """From the tick on, not from when it was read."""
    run = tape(Answering())
    run.play(reference(1), reference(2, "fees"), fact("a"), marker(1, reference=2), fact("b"))
    versions = {name_of(r): (r.meta.versions.rules, r.meta.versions.fees) for r in run.events}
    assert ((0, 0), (1, 2)) == (versions["parked a"], versions["parked b"])


# --- cascades -----------------------------------------------------------------------------------------


class First(Toy):
    """Decides on inputs, twice; and on what the second decides."""

    DECIDES = (VoidRequested, OperationRejected)

    def decide(self, state: Heard, recorded: Recorded) -> list[Event]:
        key, body = recorded.meta.key, recorded.body
        if isinstance(body, OperationRejected):
            return [parked(key, f"first on {body.idempotency_key}")]
        return [parked(key, "one"), parked(key, "two")]


class Second(Toy):
    """Decides on inputs, and on the first decisions of the first."""

    DECIDES = (VoidRequested, OperationParked)

    def decide(self, state: Heard, recorded: Recorded) -> list[Event]:
        key, body = recorded.meta.key, recorded.body
        if isinstance(body, OperationParked):
            note = body.idempotency_key
            return [rejected(key, f"second on {note}")] if note in {"one", "two"} else []
        return [parked(key, "second")]


def notes_of(run: Tape) -> list[str]:
    """What the decisions say, in order."""
    return [
        recorded.body.idempotency_key
        for recorded in run.events
        if isinstance(recorded.body, OperationParked | OperationRejected)
    ]


def test_a_cascade_is_decided_breadth_first_in_the_order_of_the_table() -> None:
    """First everybody answers the input, then everybody the answers."""
    run = tape(First(), Second())
    run.play(fact("a"))
    assert [
        "one",
        "two",
        "second",
        "second on one",
        "second on two",
        "first on second on one",
        "first on second on two",
    ] == notes_of(run)


def test_what_is_decided_is_heard_before_anybody_decides_on() -> None:
    """A processor that decides later in the table has heard what was decided before it."""
    run = tape(First(), Answering())
    run.play(fact("a"))
    assert ["one", "two", "heard 3"] == notes_of(run)


def test_every_event_has_its_key_its_place_and_its_cause() -> None:
    """Keys are those of the classes, sequences count from 1 without gaps, causes exist."""
    run = tape(First(), Second(), Waiting())
    run.play(fact("a"), fact("b"), marker(1), fact("a"), marker(2))
    seen: dict[str, int] = {}
    ids = set()
    for recorded in run.events:
        meta = recorded.meta
        assert seen.get(meta.key, 0) + 1 == meta.sequence
        seen[meta.key] = meta.sequence
        assert not meta.causation_id or meta.causation_id in ids
        ids.add(meta.event_id)
    assert {"toy-0", "a", "b"} == seen.keys()


def test_decisions_inherit_the_times_and_the_mark_of_their_input() -> None:
    """``occurred_at``, ``ingested_at`` and ``simulated`` come down the cascade."""
    run = tape(First(), Second())
    real, simulated = fact("a", at=500), fact("b", at=600)._replace(simulated=True)
    run.play(real, simulated)
    assert {("a", 500, 501, False), ("b", 600, 601, True)} == {
        (r.meta.key, r.meta.occurred_at, r.meta.ingested_at, r.meta.simulated) for r in run.events[1:]
    }


def test_a_work_is_caused_by_what_waited_or_by_its_tick() -> None:
    """And happens when what waited happened."""
    run = tape(Waiting())
    run.play(fact("a", at=500), marker(1))
    _, asked, _, answer, passed = run.events
    assert (asked.meta.event_id, 500) == (answer.meta.causation_id, answer.meta.occurred_at)
    assert run.events[2].meta.event_id == passed.meta.causation_id
    assert (OPENED_AT + MINUTE, True) == (answer.meta.ingested_at, answer.meta.simulated)


def test_a_handover_carries_its_origin() -> None:
    """Sender, cause, correlation, times: what the receiver needs to record it as its own."""

    def hand(root: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
        return [Handed("there", partitions - 1, recorded.body)]

    run = tape(
        Answering(), Waiting(), partitions=2, handovers={OperationParked: hand, OperationRejected: hand}
    )
    run.play(fact("a", at=5))
    decided = run.events[-1]
    expected = Handover("toy/0", decided.meta.event_id, "corr", 5, 6, False, decided.body)  # type: ignore[arg-type]
    assert [Sent("there", 1, expected)] == run.outputs[-1].messages
    run.play(marker(1, "up/0"), marker(1, "up/1"))
    sent = run.outputs[-1].messages[0].message
    assert isinstance(sent, Handover)
    assert "a" == sent.correlation_id  # A tick began this cascade: the event's own key stands for it.


# --- again --------------------------------------------------------------------------------------------

Input = Fact | MarkerSeen | None
PROCESSORS = (First(), Second(), Waiting(FOLLOW_UPS), Waiting(DEADLINES, "later"), Holding())
SEEDS = range(4)


def any_inputs(seed: int) -> Tape:
    """Inputs of every kind, in any order that senders may produce; some ticks take several steps."""
    random = Random(seed)
    run = tape(*PROCESSORS, upstreams=LAGGED, partitions=2)
    senders = ["up/0", "up/1", "outside/0"]
    marks = dict.fromkeys(senders, 0)
    version = 0
    for number in range(200):
        choice = random.random()
        sender = random.choice(senders)
        holding = run.engine.states[-1].waiting
        if number in (30, 60):
            run.play(*(fact(f"many-{one}", sender) for one in range(STEP_WORKS // 2 + 10)))
        elif run.engine.unfinished and choice < 0.6:
            run.play(None)
        elif choice < 0.05:
            version += 1
            run.play(reference(version, random.choice(["rules", "fees", "network"])))
        elif choice < 0.4:
            marks[sender] += 1
            run.play(marker(marks[sender], sender, reference=min(version, marks[sender] // 9)))
        elif holding and choice < 0.9:
            run.play(fact(next(iter(holding)), "adapter/0"))
        else:
            run.play(fact(random.choice("abcdef"), sender))
    return run


def as_bytes(outputs: list[Output]) -> list[bytes]:
    """Everything that came out, as it goes into the log and onto topics."""
    return [
        data
        for output in outputs
        for data in (
            *(encode_event(recorded) for recorded in output.events),
            *(
                sent.topic.encode() + bytes([sent.partition]) + encode_message(sent.message)
                for sent in output.messages
            ),
        )
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_taking_the_log_again_gives_it_again(seed: int) -> None:
    """Byte for byte, hand-overs and markers included, from the bytes of the log alone."""
    run = any_inputs(seed)
    assert run.engine.tick > 3
    again = toy_engine(*PROCESSORS, upstreams=LAGGED, partitions=2)
    outputs = [
        output
        for recorded in run.events
        if (output := again.retake(decode_event(encode_event(recorded)))) is not None
    ]
    assert as_bytes(run.outputs) == as_bytes(outputs)
    assert list(run.engine.summary()) == list(again.summary())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_anywhere_changes_nothing(seed: int) -> None:
    """Taken between any two inputs, in the middle of a long tick too, the rest comes out as without it."""
    run = any_inputs(seed)
    random = Random(seed)
    places = random.sample(range(1, len(run.outputs)), 8)
    long = [
        number
        for number, output in enumerate(run.outputs)
        if output.events and name_of(output.events[0]) == "TickStepped"
    ]
    assert long, "this seed has no tick of several steps"
    engine = toy_engine(*PROCESSORS, upstreams=LAGGED, partitions=2)
    snapshots = {}
    for number, output in enumerate(run.outputs):
        if number in {*places, *long[:3]}:
            snapshots[number] = msgspec.msgpack.encode(engine.snapshot())
        engine.retake(output.events[0])
    for number, data in snapshots.items():
        restored = toy_engine(*PROCESSORS, upstreams=LAGGED, partitions=2)
        restored.restore(msgspec.msgpack.decode(data, type=EngineSnapshot))
        rest = [restored.retake(output.events[0]) for output in run.outputs[number:]]
        assert as_bytes(run.outputs[number:]) == as_bytes([output for output in rest if output is not None])


def test_decisions_are_not_taken_again() -> None:
    """They follow from the inputs; a log is its inputs and what they led to."""
    run = tape(Answering())
    run.play(fact("a"), marker(1))
    again = toy_engine(Answering())
    again.open(opening())
    taken = [again.retake(recorded) is not None for recorded in run.events[1:]]
    assert [True, False, True, False] == taken
