"""An index: the engines that own partition p of every log, and the one transaction that they share.

The host reads records, :meth:`Index.take` turns them into what is to be committed, the host commits it. Engines
change their state while they decide, so a commit that fails leaves an index that is ahead of its log: the only
way on is a new :class:`Index`, restored. Restoring takes the recorded inputs of the log again and checks, event
by event, that the same is decided.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from events.base import Event
from events.binary import LIST_LIMIT
from events.envelope import Recorded, Source
from events.errors import LogDamaged, Refused, ReplayDiffers, TallystickError, WireError
from events.partitions import (
    ClockKind,
    DeadLetterReason,
    EventDeadLettered,
    LogOpened,
    MarkerSeen,
    MarkersTaken,
)
from events.wire import decode_event, encode_event, encode_message
from streams.features.pieces import Later
from streams.features.shelf import Cupboard, Shelf, spill
from streams.hosts.admission import Keys, Refusal, admit, refuse
from streams.hosts.engine import Engine, Fact, Output, Sent
from streams.hosts.log import Append, Log, Stored, TopicPartition, records_of
from streams.hosts.sieve import Sieve
from streams.hosts.snapshots import FORMAT, Distance, IndexSnapshot, Spilled, seal, unseal
from streams.topology import BROADCAST, DEAD_LETTERS, ENGINES, EngineSpec

#: Raised with every change of what processors decide; older stretches of a log carry their own.
BEHAVIOUR: Final = 2

#: Submissions without an answer at which new requests are left on their topic. Everything else goes on, so
#: that answers and hand-overs can never wait for requests that wait for them.
OUTSTANDING_CAP: Final = 20_000


@dataclass(frozen=True, slots=True)
class Run:
    """What a log is opened for. ``arguments`` is canonical JSON; a log with other arguments is refused."""

    partitions: int
    clock: ClockKind
    opened_at: int
    last_tick: int
    arguments: str


@dataclass(slots=True)
class Staged:
    """What one transaction shall hold, and what of it the host may tell others once it is committed."""

    appends: list[Append] = field(default_factory=list)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    events: dict[str, list[Recorded]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.appends or self.positions)

    def add(self, later: "Staged") -> None:
        """Let the same transaction hold what was decided next."""
        self.appends += later.appends
        self.positions |= later.positions
        for name, events in later.events.items():
            self.events.setdefault(name, []).extend(events)


class Index:
    """Index ``number`` of ``run.partitions``."""

    def __init__(self, number: int, run: Run, keys: Keys) -> None:
        self.number = number
        self.run = run
        self.keys = keys
        self.owner = f"index/{number}"
        simulated = run.clock is ClockKind.VIRTUAL
        self.engines = {
            spec.name: Engine(spec, number, run.partitions, run.clock, simulated=simulated)
            for spec in ENGINES
        }
        #: The next offset to read of every input, and to write of every log.
        self.positions: dict[TopicPartition, int] = {
            self.place(topic): 0 for spec in ENGINES for topic in spec.inputs if topic not in BROADCAST
        }
        self.broadcast: dict[str, int] = {spec.name: 0 for spec in ENGINES}
        self.log_ends = {spec.name: 0 for spec in ENGINES}
        self._holes = False
        #: How many events were folded when this was restored.
        self.restored = 0
        # What the input that was folded last leads to and has not been read yet, by log, last first.
        self._expected: dict[str, list[Recorded]] = {spec.name: [] for spec in ENGINES}
        self._distance = Distance(0)

    def place(self, topic: str) -> TopicPartition:
        """The partition of a topic that this index reads."""
        return (topic, 0 if topic in BROADCAST else self.number)

    # -- life --------------------------------------------------------------------------------------

    def opening(self) -> Staged:
        """The first record of each log."""
        staged = Staged()
        for name, engine in self.engines.items():
            opened = LogOpened(
                name,
                self.number,
                self.run.partitions,
                self.run.clock,
                BEHAVIOUR,
                self.run.opened_at,
                self.run.last_tick,
                self.run.arguments,
                [self.keys.mac_key_id, self.keys.seal_key_id],
            )
            self._stage(staged, name, engine.open(opened))
        return staged

    def wants(self, topic: str) -> bool:
        """Whether records of this input may be taken now (back-pressure holds requests alone)."""
        return topic != "payments.requests" or self.open_attempts() < OUTSTANDING_CAP

    def open_attempts(self) -> int:
        """Submissions that no network has answered yet."""
        return sum(engine.open_attempts() for engine in self.engines.values())

    @property
    def unfinished(self) -> bool:
        """Whether an engine has more of a tick to do without any input."""
        return any(engine.unfinished for engine in self.engines.values())

    @property
    def done(self) -> bool:
        """Whether the last tick of the run is behind every engine; never, where a run has none."""
        last = self.run.last_tick
        return last > 0 and all(
            engine.tick >= last and not engine.unfinished for engine in self.engines.values()
        )

    def tick(self, engine: str = "payments") -> int:
        """The last tick an engine has passed."""
        working = self.engines[engine]
        return working.tick - working.unfinished

    # -- work --------------------------------------------------------------------------------------

    def inputs(self) -> Iterator[tuple[EngineSpec, str, int]]:
        """Every (engine, topic, next offset) to read, in the order in which it is taken."""
        for spec in ENGINES:
            for topic in spec.inputs:
                if topic in BROADCAST:
                    yield spec, topic, self.broadcast[spec.name]
                elif self.wants(topic):
                    yield spec, topic, self.positions[self.place(topic)]

    def take(self, read: Iterable[tuple[EngineSpec, str, Sequence[Stored]]]) -> Staged:
        """Decide a batch of records, and one step of every tick that is under way."""
        staged = Staged()
        for spec, topic, records in read:
            if records:
                self._take_topic(staged, spec, topic, records)
        for name, engine in self.engines.items():
            if engine.unfinished:
                self._stage(staged, name, engine.step())
        return staged

    def strike(self, tick: int, at: int) -> Staged:
        """The clock on the wall has come to a tick, which stands for the business time ``at``."""
        staged = Staged()
        for name, engine in self.engines.items():
            if engine.own_clock:
                self._stage(staged, name, engine.strike(tick, at))
        return staged

    def _take_topic(self, staged: Staged, spec: EngineSpec, topic: str, records: Sequence[Stored]) -> None:
        engine = self.engines[spec.name]
        partition = self.place(topic)[1]
        markers: list[MarkerSeen] = []
        for stored in records:
            admitted = admit(spec, partition, self.run.partitions, self.run.clock, self.keys, topic, stored)
            if isinstance(admitted, MarkerSeen) and len(markers) < LIST_LIMIT:
                markers.append(admitted)
                continue
            if markers:
                self._stage(staged, spec.name, engine.take_markers(markers))
                markers = []
            if isinstance(admitted, MarkerSeen):
                markers.append(admitted)
            else:
                self._take_one(staged, spec.name, admitted)
        if markers:
            self._stage(staged, spec.name, engine.take_markers(markers))
        self._read_up_to(staged, spec, topic, records[-1].offset + 1)

    def _read_up_to(self, staged: Staged, spec: EngineSpec, topic: str, following: int) -> None:
        """Note how far an input has been read; reading does not go back."""
        place = self.place(topic)
        if topic in BROADCAST:
            self.broadcast[spec.name] = max(self.broadcast[spec.name], following)
        elif following > self.positions[place]:
            self.positions[place] = staged.positions[place] = following

    def _take_one(self, staged: Staged, name: str, admitted: Fact | Refusal) -> None:
        if isinstance(admitted, Refusal):
            letter = admitted.letter
            staged.appends.append(Append(*DEAD_LETTERS, admitted.fact.ingested_at, encode_message(letter)))
            admitted = admitted.fact
        self._stage(staged, name, self.engines[name].take(admitted))

    def _stage(self, staged: Staged, name: str, output: Output) -> None:
        now = self.engines[name].now
        appends, number = staged.appends, self.number
        for recorded in output.events:
            appends.append(Append(name, number, now, encode_event(recorded)))
        for sent in output.messages:
            appends.append(Append(sent.topic, sent.partition, now, encode_message(sent.message)))
        self.log_ends[name] += len(output.events)
        staged.events.setdefault(name, []).extend(output.events)

    def dead_letter(self, spec: EngineSpec, topic: str, stored: Stored, error: Exception) -> Staged:
        """Put aside the one input that makes a processor raise: a defect of ours, and no reason to stop.

        One that was taken long ago, and waited for its interval, is told by its offset.
        """
        partition = self.place(topic)[1]
        detail = f"deciding it raised {type(error).__name__}; the stream went on without it"
        refusal = refuse(self.keys, topic, partition, stored, DeadLetterReason.DECISION_FAILED, detail)
        staged = Staged()
        self._take_one(staged, spec.name, refusal)
        self._read_up_to(staged, spec, topic, stored.offset + 1)
        return staged

    def committed(self, ends: Mapping[TopicPartition, int]) -> None:
        """Learn where the logs end after a commit, where their offsets are given by somebody else."""
        for (topic, partition), end in ends.items():
            if topic in self.log_ends and partition == self.number:
                self.log_ends[topic] = end

    # -- restoring ---------------------------------------------------------------------------------

    def restore(
        self,
        log: Log,
        on_sent: Callable[[str, Sent], None] | None = None,
        on_taken: Callable[[str, int, Recorded], None] | None = None,
        *,
        snapshots: bool = True,
        keep: Callable[[Spilled], None] | None = None,
    ) -> bool:
        """Become what the log says; False where the log is empty.

        Takes every recorded input again (from the last snapshot on, where there is one) and compares what is
        decided with what was recorded, byte for byte; ``on_sent`` is told what is handed over again, ``on_taken``
        every input with its log and offset. What is restored is given to ``keep`` on the way, at the distances of a
        running index, so that a long log needs no more memory than a short one.

        Raises Refused where the log was opened for another run, LogDamaged and ReplayDiffers where it is not what it
        was.
        """
        if not self.begin(log, snapshots=snapshots):
            return False
        self.go_on(log, on_sent, on_taken, keep)
        return True

    def attach(self, cupboard: Cupboard) -> None:
        """Say where cold rows lie and go, before the first of them does; :meth:`begin` has it from its log."""
        known = Sieve(cupboard.keys())
        for engine in self.engines.values():
            engine.attach(cupboard, known)

    def begin(
        self, log: Log, beside: IndexSnapshot | None = None, size: int = 0, *, snapshots: bool = True
    ) -> bool:
        """Become what the last snapshot says, or nothing yet; False where the log is empty.

        ``beside`` is one of so many bytes that lies beside the log; it is used up.
        """
        self._holes = log.holes
        # Not by its end: on Kafka one moves behind an opening that was undone.
        empty = not log.read(ENGINES[0].name, self.number, 0, 1)
        snapshot = None
        if snapshots and not empty:
            snapshot = self._kept_in(log) if beside is None else self._fitting(log, beside, size)
        if snapshot is not None:
            for name, engine in self.engines.items():
                engine.restore(snapshot.engines[name])
            self.log_ends = dict(snapshot.log_ends)
            self.positions = {self.place(topic): at for topic, at in snapshot.positions.items()}
            self.broadcast = dict(snapshot.broadcast)
        self.attach(log.cupboard(self.owner))
        if empty:
            return False
        for name in self.engines:
            self._read_first(log, name)
        return True

    def go_on(
        self,
        log: Log,
        on_sent: Callable[[str, Sent], None] | None = None,
        on_taken: Callable[[str, int, Recorded], None] | None = None,
        keep: Callable[[Spilled], None] | None = None,
    ) -> None:
        """From where this stands to the end of the log, and to its positions."""
        for name in self.engines:
            records = records_of(log, name, self.number, self.log_ends[name])
            self.fold(name, records, on_sent, on_taken, keep)
            if not self.is_between_inputs(name):
                raise ReplayDiffers(
                    f"{name}/{self.number} at {self.log_ends[name]}",
                    "type",
                    "nothing: the log ends",
                    type(self._expected[name][-1].body).__name__,
                )
        self._agree_with(log)

    def is_between_inputs(self, name: str) -> bool:
        """Whether everything has been folded that the last input of a log led to."""
        return not self._expected[name]

    def _kept_in(self, log: Log) -> IndexSnapshot | None:
        data = log.state(self.owner)
        snapshot = None if data is None else unseal(data)
        if data is None or snapshot is None:
            return None
        return self._fitting(log, snapshot, len(data))

    def _fitting(self, log: Log, snapshot: IndexSnapshot, size: int) -> IndexSnapshot | None:
        if snapshot.behaviour != BEHAVIOUR or snapshot.partitions != self.run.partitions:
            return None
        # Ahead of the log: somebody put an older log beside a newer snapshot. The log is the truth.
        ahead = any(end > log.end(name, self.number) for name, end in snapshot.log_ends.items())
        if ahead:
            return None
        self._distance = Distance(0, size)
        return snapshot

    def fold(
        self,
        name: str,
        records: Iterable[Stored],
        on_sent: Callable[[str, Sent], None] | None = None,
        on_taken: Callable[[str, int, Recorded], None] | None = None,
        keep: Callable[[Spilled], None] | None = None,
    ) -> None:
        """Take what stands next in a log again. May end between an input and what was decided because of it."""
        engine, expected, position = self.engines[name], self._expected[name], self.log_ends[name]
        for stored in records:
            if not expected:
                if keep is not None and self._distance.is_passed(self.restored):
                    self.log_ends[name] = position
                    self._keep(keep)
                # Only inputs are decoded; decisions are made again and compared as bytes.
                recorded = self._decoded(name, stored)
                output = self._retaken(engine, name, stored, recorded)
                if output is None:
                    raise ReplayDiffers(
                        f"{name}/{self.number} at {stored.offset}",
                        "type",
                        type(recorded.body).__name__,
                        "nothing: no event before it leads to it",
                    )
                self._note_position(name, stored, recorded)
                if on_taken is not None:
                    on_taken(name, stored.offset, recorded)
                if on_sent is not None:
                    for sent in output.messages:
                        on_sent(name, sent)
                expected = output.events[::-1]
            decided = expected.pop()
            if encode_event(decided) != stored.value:
                raise self._difference(name, stored, decided)
            position = stored.offset + 1
            self.restored += 1
        self._expected[name] = expected
        self.log_ends[name] = position

    def _keep(self, keep: Callable[[Spilled], None]) -> None:
        # Another log may have been left within the events of an input.
        if all(map(self.is_between_inputs, self.engines)):
            spilled = self.spill()
            keep(spilled)
            self._distance.begin(self.restored, spilled.size)

    def _read_first(self, log: Log, name: str) -> None:
        first = log.read(name, self.number, 0, 1)
        body: Event | None = self._decoded(name, first[0]).body if first else None
        if not isinstance(body, LogOpened):
            raise LogDamaged(f"{name}/{self.number} does not begin with LogOpened")
        run = self.run
        for what, recorded, wanted in (
            ("partitions", body.partitions, run.partitions),
            ("clock", body.clock, run.clock),
            ("behaviour version", body.behaviour, BEHAVIOUR),
            *_arguments(body.run, run.arguments),
            ("last tick", body.last_tick, run.last_tick),
            ("keys", body.key_ids, [self.keys.mac_key_id, self.keys.seal_key_id]),
        ):
            if recorded != wanted:
                raise Refused(
                    f"this log was opened with {what} {recorded}, not {wanted}: give the same input, seed and "
                    "partitions again, another log with --log, or --fresh to begin anew"
                )

    def _decoded(self, name: str, stored: Stored) -> Recorded:
        try:
            return decode_event(stored.value)
        except WireError as error:
            raise LogDamaged(f"{name}/{self.number} at {stored.offset}: {error}") from error

    def _retaken(self, engine: Engine, name: str, stored: Stored, recorded: Recorded) -> Output | None:
        try:
            return engine.retake(recorded)
        except TallystickError:
            raise
        except Exception as error:
            # Deciding it went well once, so what was recorded has changed since.
            raise LogDamaged(
                f"{name}/{self.number} at {stored.offset}: deciding {type(recorded.body).__name__} again raised "
                f"{type(error).__name__}"
            ) from error

    def _note_position(self, name: str, stored: Stored, recorded: Recorded) -> None:
        body, source = recorded.body, recorded.meta.source
        if isinstance(body, MarkersTaken):
            for marker in body.markers:
                self._advance(name, stored, marker.topic, marker.partition, marker.offset)
        elif source is not None and not self._is_withdrawn(body, source):
            self._advance(name, stored, source.topic, source.partition, source.offset)

    def _is_withdrawn(self, body: Event, source: Source) -> bool:
        """Whether this puts an input aside that had been taken before, and whose position is behind us."""
        return (
            isinstance(body, EventDeadLettered)
            and body.reason is DeadLetterReason.DECISION_FAILED
            and source.offset < self.positions.get((source.topic, source.partition), 0)
        )

    def _advance(self, name: str, stored: Stored, topic: str, partition: int, offset: int) -> None:
        """Every record of an input is taken once and in order."""
        if topic in BROADCAST:
            following = self.broadcast[name]
            self.broadcast[name] = offset + 1
        else:
            following = self.positions.get((topic, partition), -1)
            self.positions[(topic, partition)] = offset + 1
        # Every input leaves an event, so none is passed over; where offsets have holes, less can be told from them.
        if offset < following or (offset > following and not self._holes) or following < 0:
            raise ReplayDiffers(
                f"{name}/{self.number} at {stored.offset}",
                "meta.source.offset",
                f"{topic}/{partition} at {offset}",
                f"{topic}/{partition} at {following}"
                if following >= 0
                else "nothing: it is no input of this index",
            )

    def _agree_with(self, log: Log) -> None:
        """Recorded sources and committed positions are two accounts of the same reading."""
        committed = log.positions(self.owner)
        for place, position in self.positions.items():
            # A consumer group that was idle for long has been forgotten; the log never is.
            if committed.get(place, position if log.holes else 0) != position:
                raise LogDamaged(
                    f"{self.owner} has read {place[0]}/{place[1]} up to {position} by its log, "
                    f"but up to {committed.get(place, 0)} by its committed position"
                )

    def _difference(self, name: str, stored: Stored, decided: Recorded) -> ReplayDiffers:
        place = f"{name}/{self.number} at {stored.offset}"
        recorded = self._decoded(name, stored)
        kind = type(decided.body).__name__
        if type(recorded.body) is not type(decided.body):
            return ReplayDiffers(place, "type", type(recorded.body).__name__, kind)
        for part in ("meta", "body"):
            before, after = getattr(recorded, part), getattr(decided, part)
            for field_name in before.__struct_fields__:
                was, now = getattr(before, field_name), getattr(after, field_name)
                if was != now:
                    return ReplayDiffers(place, f"{kind}.{part}.{field_name}", repr(was), repr(now))
        return ReplayDiffers(place, f"{kind} (bytes)", stored.value.hex(), encode_event(decided).hex())

    # -- snapshots ---------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The index as of the last commit, sealed."""
        return seal(self._snapshot())

    def _snapshot(self, later: list[Later] | None = None) -> IndexSnapshot:
        return IndexSnapshot(
            FORMAT,
            BEHAVIOUR,
            self.run.partitions,
            dict(self.log_ends),
            {topic: position for (topic, _), position in self.positions.items()},
            dict(self.broadcast),
            {name: engine.snapshot(later) for name, engine in self.engines.items()},
        )

    def spill(self) -> Spilled:
        """A snapshot as of the last commit, behind which lies outside memory what nobody has touched for long."""
        shelves = [found.shelf for engine in self.engines.values() for found in engine.shelves()]
        leaving = spill(shelves)
        later: list[Later] = []
        return Spilled(self._snapshot(later), leaving, sum(shelf.cold for shelf in shelves), later)

    def payment(self, payment_id: str) -> dict[str, object] | None:
        """The state of a payment, processor by processor, without touching it; None where nobody knows it."""
        engine = self.engines["payments"]
        known = {
            processor.NAME: msgspec.to_builtins(row)
            for processor, state in zip(engine.spec.processors, engine.states, strict=True)
            if isinstance(rows := getattr(state, "payments", None), Shelf)
            and (row := rows.peek(payment_id)) is not None
        }
        return {"payment_id": payment_id, "index": self.number, **known} if known else None

    def summary(self) -> Iterator[str]:
        """The business content of all engines, one line an entity."""
        for name, engine in self.engines.items():
            for line in engine.summary():
                yield f"{name} {line}"


def _arguments(recorded: str, wanted: str) -> Iterator[tuple[str, object, object]]:
    """Two texts of arguments, one by one where they are the JSON objects they should be."""
    try:
        was, now = (msgspec.json.decode(text, type=dict[str, str | int]) for text in (recorded, wanted))
    except msgspec.MsgspecError:
        yield "arguments", recorded, wanted
        return
    for name in sorted(was.keys() | now.keys()):
        yield name, was.get(name, "nothing"), now.get(name, "nothing")
