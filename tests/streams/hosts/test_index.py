"""An index: its engines on a log. What raises is put aside, and what is restored is what was committed."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from events.authorization import AuthorizationSubmitted
from events.binary import LIST_LIMIT
from events.calendar import MINUTE
from events.envelope import Recorded
from events.errors import Broken, LogDamaged, Refused, ReplayDiffers
from events.identity import card_id, payment_id
from events.intake import RequestReceived
from events.lifecycle import PaymentRequested
from events.messages import DeadLetter, Handover, Marker
from events.partitions import ClockKind, DeadLetterReason, EventDeadLettered, MarkersTaken, TickPassed
from events.requests import CaptureMode, Channel, PaymentRequest, Tick
from events.risk import RiskAssessed
from events.wire import decode_event, decode_message, encode_event, encode_message
from streams import authorization, intake, risk
from streams.edge.reference import published
from streams.features.shelf import Moves
from streams.forensics.sources import Letter, Sources, check_dead_letters
from streams.hosts.actors import IndexActor
from streams.hosts.admission import Keys
from streams.hosts.index import Index, Run
from streams.hosts.log import Append, Stored
from streams.hosts.memory import MemoryLog
from streams.hosts.snapshots import Spilled, unseal
from streams.topology import LOGS, TOPICS
from tests.simulation import workload

AT = workload.START
KEYS = Keys(
    "mac-1", lambda request: request.idempotency_key.encode().hex(), "seal-1", lambda data: data[::-1]
)
RUN = Run(1, ClockKind.VIRTUAL, AT, 8, '{"seed":7}')
POISON = "k2"
CARDS = {f"k{number}": card_id(37, bytes([number] * 10)) for number in range(1, 5)}


def payment(number: int) -> PaymentRequest:
    """A payment with a card of its own."""
    return PaymentRequest(
        merchant="till",
        idempotency_key=f"k{number}",
        card_id=card_id(37, bytes([number] * 10)),
        bin="41111122",
        last4="0042",
        amount=1_000 + number,
        currency="USD",
        channel=Channel.ECOMMERCE,
        capture_mode=CaptureMode.AUTOMATIC,
        device_ref="",
        ip_ref="",
        email_ref="",
        occurred_at=AT,
        producer="till",
        simulated=True,
    )


def filled(payments: int = 4, ticks: int = 2) -> MemoryLog:
    """A log with reference data, the ticks that put it in force, and payments behind them."""
    log = MemoryLog()
    reference = list(published(workload.entries()))
    appends = [Append("reference", 0, AT, encode_message(entry)) for entry in reference]
    for number in range(1, ticks + 1):
        tick = Tick(number, AT + number * MINUTE, len(reference))
        appends.append(Append("payments.requests", 0, AT, encode_message(tick)))
    appends += [
        Append("payments.requests", 0, AT, encode_message(payment(number)))
        for number in range(1, payments + 1)
    ]
    log.commit("publisher", appends, {})
    return log


def work(log: MemoryLog, batch: int = 100, run: Run = RUN) -> Index:
    """Let an index take everything there is; what it has become."""
    actor = IndexActor(log, 0, run, KEYS)
    for _ in range(1_000):
        if not actor.turn(batch):
            return actor.index
    raise AssertionError("livelock")


def events(log: MemoryLog, name: str) -> list[Recorded]:
    """A log's events."""
    return [decode_event(stored.value) for stored in log.read(name, 0, 0, 10_000)]


def kinds(log: MemoryLog, name: str, kind: type) -> list[Any]:
    """The bodies of one kind."""
    return [recorded.body for recorded in events(log, name) if isinstance(recorded.body, kind)]


def everything(log: MemoryLog) -> dict[str, list[Stored]]:
    """All that stands on every topic."""
    return {topic.name: log.read(topic.name, 0, 0, 10_000) for topic in TOPICS}


# --- what raises --------------------------------------------------------------------------------------


class Defect(NamedTuple):
    """A function of a processor that cannot bear one payment."""

    log: str
    module: Any
    function: str
    topic: str

    def plant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it raise."""
        sound = getattr(self.module, self.function)

        def defective(state: Any, recorded: Recorded) -> Any:
            body = recorded.body
            asked = body.request if isinstance(body, RequestReceived) else body
            if getattr(asked, "idempotency_key", "") == POISON:
                raise ZeroDivisionError(f"while looking at {asked}")
            return sound(state, recorded)

        monkeypatch.setattr(self.module, self.function, defective)


#: In intake the requests have waited for the ticks ahead of them and stand in the log when they are decided; in
#: payments they are decided as they come.
DEFECTS = (
    Defect("intake", intake, "decide", "payments.requests"),
    Defect("payments", risk, "decide", "payments.inbox"),
    Defect("payments", risk, "evolve", "payments.inbox"),
)


@pytest.fixture(params=DEFECTS, ids=lambda defect: f"{defect.log} {defect.function}")
def defect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Defect:
    """A processor raises on one payment."""
    planted: Defect = request.param
    planted.plant(monkeypatch)
    return planted


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_an_input_that_raises_is_put_aside_and_the_stream_goes_on(
    defect: Defect, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    """One event says why and whence, its bytes are sealed, an alert is given; all others are decided."""
    log = filled()
    index = work(log, batch)
    submitted = {body.payment_id for body in kinds(log, "payments", AuthorizationSubmitted)}
    assert {payment_id("till", key, card) for key, card in CARDS.items() if key != POISON} == submitted
    (dead,) = [r for r in events(log, defect.log) if isinstance(r.body, EventDeadLettered)]
    assert isinstance(dead.body, EventDeadLettered)
    assert DeadLetterReason.DECISION_FAILED is dead.body.reason
    assert "ZeroDivisionError" in dead.body.detail
    source = dead.meta.source
    assert source is not None
    (letter,) = [decode_message(one.value) for one in log.read("dead-letters", 0, 0, 10)]
    assert isinstance(letter, DeadLetter)
    assert (defect.topic, source.offset) == (letter.topic, letter.offset)
    assert [letter.sealed[::-1]] == [stored.value for stored in log.read(defect.topic, 0, source.offset, 1)]
    assert POISON.encode() in letter.sealed[::-1]
    assert 1 == sum(record.levelno == logging.CRITICAL for record in caplog.records)
    assert log.positions(index.owner) == {place: at for place, at in index.positions.items() if at}


def test_what_was_put_aside_stays_so_when_the_defect_is_mended(
    defect: Defect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says that it was not decided; so a restart gives the same with the defect and without it."""
    log = filled()
    index = work(log)
    again = Index(0, RUN, KEYS)
    assert again.restore(log)
    monkeypatch.undo()
    mended = Index(0, RUN, KEYS)
    letters: Counter[Letter] = Counter()
    sources = Sources(log, 0, RUN, KEYS, letters)
    assert mended.restore(log, on_taken=sources.note)
    assert index.snapshot() == again.snapshot() == mended.snapshot()
    check_dead_letters(log, letters)


def test_a_snapshot_while_it_waits_changes_nothing(defect: Defect) -> None:
    """A turn is one record here, and each ends in a snapshot and a restart."""
    log, calm = filled(), filled()
    for _ in range(200):
        actor = IndexActor(log, 0, RUN, KEYS)
        if not actor.turn(1):
            break
        log.commit(actor.name, [], {}, actor.index.snapshot())
    work(calm, 1)
    assert everything(log) == everything(calm)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 100])
def test_what_has_waited_in_the_batch_in_which_it_came_is_put_aside(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes behind one sender's marker, and the other's marker, in the same batch, lets it go."""
    Defect("payments", risk, "decide", "payments.inbox").plant(monkeypatch)
    log = MemoryLog()
    run = Run(2, ClockKind.VIRTUAL, AT, 8, "{}")
    markers = [Marker(f"intake/{number}", 1, AT + MINUTE, 0) for number in (0, 1)]
    facts = [Handover("intake/0", "", "", AT, AT, True, requested(number)) for number in (1, 2, 3)]
    appends = [
        Append("payments.inbox", 0, AT, encode_message(message))
        for message in (markers[0], *facts, markers[1])
    ]
    log.commit("intake", appends, {})
    work(log, batch, run)
    decided = {body.payment_id for body in kinds(log, "payments", RiskAssessed)}
    assert {requested(number).payment_id for number in (1, 3)} == decided
    (dead,) = [r for r in events(log, "payments") if isinstance(r.body, EventDeadLettered)]
    assert dead.meta.source is not None
    assert 2 == dead.meta.source.offset
    monkeypatch.undo()
    assert Index(0, run, KEYS).restore(log)


def requested(number: int) -> PaymentRequested:
    """A payment as intake hands it over."""
    asked = payment(number)
    return PaymentRequested(
        payment_id("till", asked.idempotency_key, asked.card_id),
        asked.merchant,
        asked.idempotency_key,
        asked.card_id,
        asked.bin,
        asked.last4,
        asked.amount,
        asked.currency,
        asked.channel,
        asked.capture_mode,
        "",
        "",
        "",
    )


@pytest.mark.usefixtures("defect")
def test_the_batch_size_does_not_show() -> None:
    """What surrounds the defect is decided alike, wherever a batch begins."""
    logs = []
    for batch in (1, 2, 100):
        log = filled(6)
        work(log, batch)
        logs.append([(recorded.meta.key, recorded.body) for recorded in _decided(log)])
    assert logs[0] == logs[1] == logs[2]


def _decided(log: MemoryLog) -> list[Recorded]:
    """What was decided for payments, whenever the inputs were taken."""
    return [r for r in events(log, "payments") if r.meta.source is None and r.meta.key.startswith("pay-")]


def test_a_defect_in_a_tick_stops_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """No input is to blame, so none is put aside; nothing of the turn is committed."""

    def due(state: Any, now: int) -> list[Any]:
        raise ZeroDivisionError

    log = filled()
    monkeypatch.setattr(authorization, "due", due)
    actor = IndexActor(log, 0, RUN, KEYS)
    with pytest.raises(Broken, match="payments/0: tick 1 raises ZeroDivisionError"):
        all(actor.turn(100) for _ in range(20))
    assert [] == kinds(log, "payments", EventDeadLettered)
    assert [] == kinds(log, "payments", TickPassed)
    monkeypatch.undo()
    work(log)
    assert 2 == len(kinds(log, "payments", TickPassed))


@pytest.mark.usefixtures("defect")
def test_a_commit_is_told_to_whoever_watches() -> None:
    """Also those that are made one by one."""
    log = filled()
    told: list[Recorded] = []
    actor = IndexActor(log, 0, RUN, KEYS, lambda staged: told.extend(staged.events.get("payments", [])))
    while actor.turn(100):
        pass
    assert events(log, "payments")[1:] == told  # The opening is nobody's news.


# --- batches ------------------------------------------------------------------------------------------


def test_many_markers_are_recorded_in_lists_that_an_event_may_hold() -> None:
    """However many stand one behind the other."""
    log = filled(0)
    markers = [Marker("intake/0", 1, AT + MINUTE, 0)] * (2 * LIST_LIMIT + 3)
    log.commit("intake", [Append("payments.inbox", 0, AT, encode_message(marker)) for marker in markers], {})
    work(log, 5_000)
    sizes = [len(body.markers) for body in kinds(log, "payments", MarkersTaken)]
    assert LIST_LIMIT == max(sizes)
    assert len(markers) + 4 == sum(sizes)  # Two more are those that intake made, and two that velocity did.


def test_too_many_open_attempts_hold_requests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else is still read: an answer must never wait for a request that waits for it."""
    monkeypatch.setattr("streams.hosts.index.OUTSTANDING_CAP", 2)
    log = filled(40)
    index = work(log, 1)
    assert 2 <= index.open_attempts() < 40  # More than two: some were on their way already.
    assert not index.wants("payments.requests")
    topics = {topic for _, topic, _ in index.inputs()}
    assert {"payments.inbox", "network.replies", "reference", "bank.statements"} <= topics
    assert "payments.requests" not in topics
    assert log.positions(index.owner)[("payments.requests", 0)] < log.end("payments.requests", 0)


# --- restoring ----------------------------------------------------------------------------------------


def test_an_empty_log_restores_nothing() -> None:
    """Whoever finds it so writes the opening."""
    assert not Index(0, RUN, KEYS).restore(MemoryLog())


def test_a_restored_index_is_the_one_that_was() -> None:
    """Its state, its positions, and what it decides next."""
    log, other = filled(), filled()
    index = work(log)
    work(other)
    again = Index(0, RUN, KEYS)
    assert again.restore(log)
    assert index.snapshot() == again.snapshot()
    for one in (log, other):
        one.commit("publisher", [Append("payments.requests", 0, AT, encode_message(payment(9)))], {})
    staged = again.take(
        [(spec, topic, log.read(topic, 0, offset, 100)) for spec, topic, offset in again.inputs()]
    )
    log.commit(again.owner, staged.appends, staged.positions)
    work(other)
    work(log)
    assert everything(log) == everything(other)


@pytest.mark.parametrize(
    ("run", "keys", "what"),
    [
        (Run(2, RUN.clock, RUN.opened_at, RUN.last_tick, RUN.arguments), KEYS, "partitions 1, not 2"),
        (Run(1, ClockKind.WALL, RUN.opened_at, RUN.last_tick, RUN.arguments), KEYS, "clock"),
        (Run(1, RUN.clock, RUN.opened_at, 9, RUN.arguments), KEYS, "last tick 8, not 9"),
        (Run(1, RUN.clock, RUN.opened_at, RUN.last_tick, '{"seed":8}'), KEYS, "seed 7, not 8"),
        (RUN, KEYS._replace(mac_key_id="mac-2"), "keys"),
        (RUN, KEYS._replace(seal_key_id="seal-2"), "keys"),
    ],
)
def test_another_run_is_refused(run: Run, keys: Keys, what: str) -> None:
    """With what differs, and what to do."""
    log = filled()
    work(log)
    with pytest.raises(Refused, match=f"opened with {what}.*--fresh"):
        Index(0, run, keys).restore(log)


@pytest.mark.parametrize("topic", ["payments.requests", "payments.inbox", "network.replies"])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_position_that_disagrees_with_the_log_is_found(topic: str, by: int) -> None:
    """Reading on from it would take an input twice, or leave one out."""
    log = filled()
    index = work(log)
    log.commit(index.owner, [], {(topic, 0): index.positions[(topic, 0)] + by})
    with pytest.raises(LogDamaged, match=rf"index/0 has read {topic}/0 up to \d+ by its log, but up to"):
        Index(0, RUN, KEYS).restore(log)


def altered(log: MemoryLog, name: str, kind: type, change: Callable[[Recorded], Recorded]) -> int:
    """Change the first event of a kind in place; where it stood."""
    records = log._topics[(name, 0)]
    for number, stored in enumerate(records):
        recorded = decode_event(stored.value)
        if isinstance(recorded.body, kind):
            records[number] = stored._replace(value=encode_event(change(recorded)))
            return number
    raise AssertionError(f"{name} holds no {kind.__name__}")


def with_body(**fields: Any) -> Callable[[Recorded], Recorded]:
    """The event with other fields."""
    return lambda recorded: Recorded(recorded.meta, msgspec.structs.replace(recorded.body, **fields))


def with_meta(**fields: Any) -> Callable[[Recorded], Recorded]:
    """The event in another envelope."""
    return lambda recorded: Recorded(msgspec.structs.replace(recorded.meta, **fields), recorded.body)


@pytest.mark.parametrize(
    ("change", "field", "recorded"),
    [
        (with_body(amount=9), "AuthorizationSubmitted.body.amount", "9"),
        (with_body(stan="000001"), "AuthorizationSubmitted.body.stan", "'000001'"),
        (with_meta(sequence=99), "AuthorizationSubmitted.meta.sequence", "99"),
        (with_meta(recorded_at=5), "AuthorizationSubmitted.meta.recorded_at", "5"),
        (with_meta(causation_id="x.1"), "AuthorizationSubmitted.meta.causation_id", "'x.1'"),
        (with_meta(simulated=False), "AuthorizationSubmitted.meta.simulated", "False"),
    ],
)
def test_an_altered_decision_is_named(
    change: Callable[[Recorded], Recorded], field: str, recorded: str
) -> None:
    """With its place, its field and both values."""
    log = filled()
    work(log)
    offset = altered(log, "payments", AuthorizationSubmitted, change)
    with pytest.raises(ReplayDiffers) as found:
        Index(0, RUN, KEYS).restore(log)
    assert (f"payments/0 at {offset}", field, recorded) == (
        found.value.place,
        found.value.field,
        found.value.recorded,
    )
    assert recorded != found.value.decided


def test_an_altered_input_is_found_by_what_was_decided() -> None:
    """Another amount was asked for than was submitted."""
    log = filled()
    work(log)
    altered(log, "payments", PaymentRequested, with_body(amount=1_500))
    with pytest.raises(
        ReplayDiffers, match=r"RiskAssessed\.body\.features was recorded as .*1001.*, is decided as .*1500"
    ):
        Index(0, RUN, KEYS).restore(log)


def test_a_decision_that_is_gone_is_found() -> None:
    """At the end of the log, or where the next stands in its place."""
    log = filled()
    work(log)
    records = log._topics[("payments", 0)]
    submitted = [
        n
        for n, stored in enumerate(records)
        if isinstance(decode_event(stored.value).body, AuthorizationSubmitted)
    ]
    behind = records[submitted[-1] :]
    del records[submitted[-1] :]
    with pytest.raises(ReplayDiffers, match="nothing: the log ends"):
        Index(0, RUN, KEYS).restore(log)
    records += behind
    del records[submitted[0]]
    with pytest.raises(ReplayDiffers, match="AuthorizationSubmitted"):
        Index(0, RUN, KEYS).restore(log)


def test_a_decision_that_nothing_leads_to_is_found() -> None:
    """Somebody has put it there."""
    log = filled()
    work(log)
    records = log._topics[("payments", 0)]
    decided = next(s for s in records if isinstance(decode_event(s.value).body, AuthorizationSubmitted))
    records.append(decided._replace(offset=len(records)))
    with pytest.raises(ReplayDiffers, match="nothing: no event before it leads to it"):
        Index(0, RUN, KEYS).restore(log)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_does_not_begin_with_its_opening_is_damaged(name: str) -> None:
    """Each of the four says itself what it is."""
    log = filled()
    work(log)
    records = log._topics[(name, 0)]
    records[0] = records[1]._replace(offset=0)
    with pytest.raises(LogDamaged, match=f"{name}/0 does not begin with LogOpened"):
        Index(0, RUN, KEYS).restore(log)


class Undone(MemoryLog):
    """A log whose opening was undone, as on Kafka: it holds nothing, and its offsets have moved on."""

    holes = True

    def end(self, topic: str, partition: int) -> int:
        """Behind what was written and undone, and the end of that transaction."""
        return super().end(topic, partition) + 2


def test_a_log_whose_opening_was_undone_is_empty() -> None:
    """Whoever died in its first commit leaves nothing behind: the next one opens the log."""
    assert not Index(0, RUN, KEYS).restore(Undone())


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0\1", b"rubbish"])
def test_a_record_that_cannot_be_read_is_damage(value: bytes) -> None:
    """With its place."""
    log = filled()
    work(log)
    records = log._topics[("payments", 0)]
    records[1] = records[1]._replace(value=value)
    with pytest.raises(LogDamaged, match="payments/0 at 1"):
        Index(0, RUN, KEYS).restore(log)


# --- snapshots ----------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_where_it_was_and_the_rest_is_folded() -> None:
    """The log before it is not looked at again; what comes out is the same."""
    log = filled()
    half = work(log)
    log.commit(half.owner, [], {}, half.snapshot())
    ends = dict(half.log_ends)
    log.commit("publisher", [Append("payments.requests", 0, AT, encode_message(payment(9)))], {})
    whole = work(log)
    assert sum(ends.values()) < sum(whole.log_ends.values())
    altered(log, "payments", AuthorizationSubmitted, with_body(amount=9))  # Before the snapshot.
    again = Index(0, RUN, KEYS)
    assert again.restore(log)
    assert whole.snapshot() == again.snapshot()
    with pytest.raises(ReplayDiffers):
        Index(0, RUN, KEYS).restore(log, snapshots=False)


def test_what_was_spilled_stays_as_it_was_while_the_index_goes_on() -> None:
    """It is written behind the index's back: whatever the index becomes meanwhile is none of its business."""
    log = filled()
    actor = IndexActor(log, 0, RUN, KEYS)
    spills: list[tuple[Spilled, bytes, list[list[Moves]]]] = []
    while actor.turn(1):
        spilled = actor.index.spill()
        spills.append((spilled, spilled.sealed(), list(spilled.moves())))
        log.commit(actor.name, [], {}, *spills[-1][1:])
    assert any(move.rows for _, _, moves in spills for together in moves for move in together)
    assert len(spills) == len({snapshot for _, snapshot, _ in spills}) > 20
    assert [one for one in spills if (one[0].sealed(), list(one[0].moves())) != one[1:]] == []


def test_a_snapshot_ahead_of_the_log_is_thrown_away() -> None:
    """The log is the truth."""
    log, longer = filled(2), filled(4)
    work(log)
    log.commit("index/0", [], {}, work(longer).snapshot())
    again = Index(0, RUN, KEYS)
    assert again.restore(log)
    assert 2 == again.open_attempts()


def test_a_snapshot_of_another_format_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one of another behaviour: both only save time."""
    log = filled()
    index = work(log)
    for name in ("FORMAT", "BEHAVIOUR"):
        with monkeypatch.context() as other:
            other.setattr(f"streams.hosts.index.{name}", 99)
            log.commit(index.owner, [], {}, index.snapshot())
        again = Index(0, RUN, KEYS)
        assert again.restore(log)
        assert index.snapshot() == again.snapshot()


def test_a_damaged_snapshot_is_no_snapshot() -> None:
    """Every byte of it is covered."""
    log = filled()
    index = work(log)
    data = index.snapshot()
    assert unseal(data) is not None
    for place in range(0, len(data), 97):
        bad = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        log.commit(index.owner, [], {}, bad)
        with pytest.raises(LogDamaged, match="snapshot is damaged"):
            Index(0, RUN, KEYS).restore(log)
