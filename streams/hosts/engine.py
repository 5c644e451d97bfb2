"""The engine: takes outside facts in order, asks pure processors what follows, and knows what time it is.

One engine decides one partition of one log. Each input leaves one recorded event; what is decided because of
it follows in the log. Time is moved by ticks alone, and which tick comes when is the clock's to say
(:mod:`streams.hosts.ticks`): in virtual time a tick is a barrier, in wall time the host strikes it. What arrives for
a later interval is recorded and set aside.

The engine reads no clock, draws nothing and does no input or output, so that the recorded inputs of a log, taken
again in order, give every decision again: restart, replay and audit are the same operation (:meth:`Engine.retake`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast

from events.base import Event, Message
from events.envelope import Meta, Recorded, Source, Versions
from events.errors import Broken, Retry
from events.intake import Forwarded
from events.messages import Handover, Marker
from events.partitions import (
    ClockKind,
    ClockStruck,
    EventDeadLettered,
    LogOpened,
    MarkerSeen,
    MarkersTaken,
    ReferenceApplied,
    TickPassed,
    TickStepped,
)
from streams.features.pieces import Later, learn, put_together, take_apart
from streams.features.shelf import Cupboard, Found, Known, Shelf, row_decoder, shelves_in
from streams.handovers import HandoverFunction
from streams.hosts.snapshots import EngineSnapshot, packed, unpacked
from streams.hosts.ticks import TickInfo, ticks_of
from streams.processor import Processor, TimedProcessor, Work
from streams.topology import EngineSpec

#: How many works one step of a tick does: about 5 ms, so that a cut-off of a hundred thousand records never
#: makes a transaction that outlives its time-out.
STEP_WORKS: Final = 1_000

#: How many events of each key there are, in a snapshot; read by what was made before there are threads.
_SEQUENCES: Final = Shelf[int]
_SEQUENCES_DECODER: Final = row_decoder(_SEQUENCES)
learn(Shelf[int](), _SEQUENCES)

#: Which reference kind moves which version of the envelope.
_VERSIONED: Final = {
    "rules": "rules",
    "rulebook": "rules",
    "model": "model",
    "online": "model",
    "fees": "fees",
    "bins": "bin",
}


class Fact(NamedTuple):
    """An admitted input: the body to record, where it stood, and what its sender said of it."""

    body: Event
    source: Source
    causation_id: str
    correlation_id: str
    occurred_at: int
    ingested_at: int
    simulated: bool


class Sent(NamedTuple):
    """A message for a topic partition."""

    topic: str
    partition: int
    message: Message


class Output(NamedTuple):
    """What taking something gave: events for the own log, messages for others."""

    events: list[Recorded]
    messages: list[Sent]


class _Part(NamedTuple):
    """A processor at work, and its place in ``Engine.states``."""

    place: int
    processor: Processor


class Undecidable(Broken):
    """A processor raises on an input that has waited for its interval, and so stands in the log already.

    Between an engine and its host: the host puts aside what stands at ``source``.
    """

    def __init__(self, engine: str, recorded: Recorded, source: Source, cause: Exception) -> None:
        super().__init__(f"{engine}: deciding {recorded.meta.event_id} raises {type(cause).__name__}")
        self.engine = engine
        self.source = source
        self.cause = cause


class Engine:
    """One partition of one log. Not thread-safe; owned by one host."""

    def __init__(
        self, spec: EngineSpec, partition: int, partitions: int, clock: ClockKind, *, simulated: bool
    ) -> None:
        """``simulated`` marks what ticks decide; what inputs lead to carries the mark of its input."""
        self.spec = spec
        self.simulated = simulated
        #: Whether the host strikes its ticks (:meth:`strike`).
        self.own_clock = spec.own_clock and clock is ClockKind.WALL
        self.partition = partition
        self.partitions = partitions
        self.sender = f"{spec.name}/{partition}"
        self._own_key = f"{spec.name}-{partition}"
        self._parts = [_Part(place, processor) for place, processor in enumerate(spec.processors)]
        self._timed = [
            (part.place, cast(TimedProcessor, part.processor))
            for part in self._parts
            if hasattr(part.processor, "due")
        ]
        self._counting = [
            (part.place, cast("Callable[[Any], int]", part.processor.open_attempts))
            for part in self._parts
            if hasattr(part.processor, "open_attempts")
        ]
        #: Whose open attempts hold a tick: on the wall an answer may take its time, and everything else goes on.
        self._holds = self._counting if clock is ClockKind.VIRTUAL else []
        self._marks = spec.marks if clock is ClockKind.VIRTUAL else spec.wall_marks
        self._hears: dict[type[Event], list[_Part]] = {}
        self._decides: dict[type[Event], list[_Part]] = {}
        for part in self._parts:
            for kind in part.processor.HEARS:
                self._hears.setdefault(kind, []).append(part)
            for kind in part.processor.DECIDES:
                self._decides.setdefault(kind, []).append(part)
        self._key_of: dict[type[Event], Callable[[Event], str]] = {}

        # What a snapshot keeps.
        self.states: list[Any] = [part.processor.initial() for part in self._parts]
        #: The last sequence of every stream there ever was: most of them lie outside memory.
        self.sequences: Shelf[int] = Shelf()
        self.ticks = ticks_of(spec, partition, partitions, clock)
        self.now = 0
        self.step_number = 0
        self.works: deque[tuple[int, Work]] | None = None
        self.references: list[Recorded] = []
        self.references_read = 0
        self.versions = Versions()
        #: What a tick's own works are caused by: the markers, or the step, that let it go on.
        self.cause = ""

        self._events: list[Recorded] = []
        self._messages: list[Sent] = []

    # -- what a host calls -------------------------------------------------------------------------

    def open(self, opened: LogOpened) -> Output:
        """The first record of the partition."""
        self.now = opened.opened_at
        self._stamp(opened, "", "", opened.opened_at, opened.opened_at, None, False)
        return self._taken()

    def take(self, fact: Fact) -> Output:
        """Record an input and decide it, now or when its interval has come."""
        recorded = self._stamp(
            fact.body,
            fact.causation_id,
            fact.correlation_id,
            fact.occurred_at,
            fact.ingested_at,
            fact.source,
            fact.simulated,
        )
        self._handle_in_time(recorded)
        self._go_on()
        return self._taken()

    def take_markers(self, markers: list[MarkerSeen]) -> Output:
        """Record that upstream partitions have handed ticks over. A repeat changes nothing."""
        taken = self._stamp(MarkersTaken(markers), "", "", self.now, self.now, None, False)
        self.cause = taken.meta.event_id
        for marker in markers:
            info = TickInfo(marker.at, marker.reference_version)
            if self.ticks.hand_over(marker.sender, marker.tick, info) and marker.sender.startswith(
                "requests/"
            ):
                # Requests on a foreign partition were handed over ahead of this marker.
                self._mark("intake.inbox", marker.tick, marker.at, marker.reference_version)
        self._go_on()
        return self._taken()

    def strike(self, tick: int, at: int) -> Output:
        """The clock on the wall has come to a tick, which puts in force all reference data that has been read.

        Nothing happens where the tick is none to come, or while another is under way: the next one stands for it.
        """
        if not self.own_clock:
            raise Broken(f"{self.sender}: its ticks come from its upstreams, not from a clock of its own")
        if self.works is None and tick > self.tick and at >= self.now:
            struck = ClockStruck(tick, at, self.references_read)
            self.cause = self._stamp(struck, "", "", self.now, self.now, None, False).meta.event_id
            self._work_on_tick(lambda: self._begin(tick, TickInfo(at, struck.reference_version)))
        return self._taken()

    @property
    def tick(self) -> int:
        """The last tick begun."""
        return self.ticks.tick

    @property
    def unfinished(self) -> bool:
        """Whether the tick at hand has more to do; :meth:`step` does it."""
        return self.works is not None

    def step(self) -> Output:
        """Go on with a tick that had more to do than one step may."""
        if self.works is None:
            raise Broken(f"{self.sender}: no tick is under way at tick {self.tick}")
        self.step_number += 1
        step = TickStepped(self.tick, self.step_number)
        self.cause = self._stamp(step, "", "", self.now, self.now, None, False).meta.event_id
        self._work_on_tick(self._fire)
        self._go_on()
        return self._taken()

    def retake(self, recorded: Recorded) -> Output | None:
        """Take a recorded event again if it was an input; None when it was a decision."""
        meta, body = recorded.meta, recorded.body
        if isinstance(body, MarkersTaken):
            return self.take_markers(body.markers)
        if isinstance(body, TickStepped):
            return self.step()
        if isinstance(body, ClockStruck):
            struck = self.strike(body.tick, body.at)
            return struck if struck.events else None
        if isinstance(body, LogOpened):
            return self.open(body)
        if meta.source is None:
            return None
        fact = Fact(
            body,
            meta.source,
            meta.causation_id,
            meta.correlation_id,
            meta.occurred_at,
            meta.ingested_at,
            meta.simulated,
        )
        return self.take(fact)

    def open_attempts(self) -> int:
        """Submissions to networks that nobody has answered: what back-pressure looks at."""
        return sum(count(self.states[index]) for index, count in self._counting)

    def summary(self) -> Iterable[str]:
        """The business content of the state, one line an entity, in no particular order."""
        for part in self._parts:
            yield from part.processor.summary(self.states[part.place])

    # -- intervals and ticks -----------------------------------------------------------------------

    def _handle_in_time(self, recorded: Recorded) -> None:
        source = recorded.meta.source
        assert source is not None
        body = recorded.body
        if isinstance(body, ReferenceApplied):
            # In force from the tick that names its version; entries come in version order, repeats do nothing.
            if body.version == self.references_read + 1:
                self.references_read = body.version
                self.references.append(recorded)
            return
        if isinstance(body, EventDeadLettered):
            self.ticks.withdraw(source)
            return
        interval = self.ticks.interval(source.sender)
        if interval is None or isinstance(body, Forwarded):
            # Nobody's interval (an answer), or a request passed on to its own partition, which must get there
            # ahead of the marker that we pass on too.
            self._decide(recorded)
        elif self.works is None and interval <= self.tick + 1:
            self._decide(recorded)
        else:
            self.ticks.set_aside(interval, recorded)

    def _go_on(self) -> None:
        """Begin the ticks that are ready. Called after everything taken, so replay begins them at the same place."""
        while self.works is None and (following := self.ticks.following()) is not None:
            tick, info = following
            if info.reference_version > self.references_read or self._is_held():
                return
            self._work_on_tick(lambda: self._begin(tick, info))  # noqa: B023 - called at once

    def _is_held(self) -> bool:
        return any(count(self.states[index]) for index, count in self._holds)

    def _work_on_tick(self, work: Callable[[], None]) -> None:
        """A defect that a tick meets is no fault of the input that let it go on: nothing is put aside for it."""
        try:
            work()
        except (Broken, Retry):
            raise
        except Exception as error:
            raise Broken(f"{self.sender}: tick {self.tick} raises {type(error).__name__}") from error

    def _begin(self, tick: int, info: TickInfo) -> None:
        self._decide_waiting(tick)
        self.ticks.begin(tick, info)
        self.step_number = 1
        self.now = info.at
        while self.references and self._version_of(self.references[0]) <= info.reference_version:
            recorded = self.references.pop(0)
            self._put_in_force(cast(ReferenceApplied, recorded.body))
            self._decide(recorded)
        works = [
            (work.phase, index, work.key, work.kind, work)
            for index, processor in self._timed
            for work in processor.due(self.states[index], self.now)
        ]
        works.sort(key=_work_order)
        self.works = deque((index, work) for _, index, _, _, work in works)
        self._fire()

    def _fire(self) -> None:
        works = self.works
        assert works is not None
        for _ in range(min(STEP_WORKS, len(works))):
            index, work = works.popleft()
            processor = cast(TimedProcessor, self.spec.processors[index])
            bodies = processor.fire(self.states[index], work, self.now)
            if bodies:
                occurred_at = work.occurred_at or self.now
                cause = work.causation_id or self.cause
                fired = [
                    self._stamp(body, cause, "", occurred_at, self.now, None, self.simulated)
                    for body in bodies
                ]
                self._cascade(None, fired)
        if not works:
            self._finish()

    def _finish(self) -> None:
        tick, info = self.tick, self.ticks.finish()
        self.works = None
        passed = TickPassed(tick, info.at, self.step_number)
        self._stamp(passed, self.cause, "", self.now, self.now, None, False)
        for topic in self._marks:
            self._mark(topic, tick, info.at, info.reference_version)
        self._decide_waiting(tick + 1)

    def _decide_waiting(self, last: int) -> None:
        for recorded in self.ticks.come(last):
            try:
                self._decide(recorded)
            except (Broken, Retry):
                raise
            except Exception as error:
                assert recorded.meta.source is not None
                raise Undecidable(self.sender, recorded, recorded.meta.source, error) from error

    def _mark(self, topic: str, tick: int, at: int, reference_version: int) -> None:
        marker = Marker(self.sender, tick, at, reference_version)
        self._messages.extend(Sent(topic, partition, marker) for partition in range(self.partitions))

    @staticmethod
    def _version_of(recorded: Recorded) -> int:
        return cast(ReferenceApplied, recorded.body).version

    def _put_in_force(self, applied: ReferenceApplied) -> None:
        name = _VERSIONED.get(applied.kind)
        if name is not None:
            values = {field: getattr(self.versions, field) for field in Versions.__struct_fields__}
            self.versions = Versions(**{**values, name: applied.version})

    # -- the cascade -------------------------------------------------------------------------------

    def _decide(self, recorded: Recorded) -> None:
        self._hear(recorded)
        self._cascade(recorded, [recorded])

    def _cascade(self, root: Recorded | None, pending: Sequence[Recorded]) -> None:
        """Let everybody decide on what happened, then on what was decided, breadth first."""
        queue = deque(pending)
        handovers = self.spec.handovers
        while queue:
            recorded = queue.popleft()
            kind = type(recorded.body)
            hand = handovers.get(kind)
            if hand is not None:
                self._hand_over(hand, root, recorded)
            for part in self._decides.get(kind, ()):
                bodies = part.processor.decide(self.states[part.place], recorded)
                if bodies:
                    meta = recorded.meta
                    cause = f"{meta.key}.{meta.sequence}"
                    for body in bodies:
                        queue.append(
                            self._stamp(
                                body, cause, "", meta.occurred_at, meta.ingested_at, None, meta.simulated
                            )
                        )

    def _hand_over(self, hand: HandoverFunction, root: Recorded | None, recorded: Recorded) -> None:
        meta = recorded.meta
        for topic, partition, fact in hand(root, recorded, self.partitions):
            handover = Handover(
                self.sender,
                f"{meta.key}.{meta.sequence}",
                meta.key if root is None else root.meta.correlation_id or root.meta.key,
                meta.occurred_at,
                meta.ingested_at,
                meta.simulated,
                cast(Any, fact),
            )
            self._messages.append(Sent(topic, partition, handover))

    def _stamp(
        self,
        body: Event,
        causation_id: str,
        correlation_id: str,
        occurred_at: int,
        ingested_at: int,
        source: Source | None,
        simulated: bool,
    ) -> Recorded:
        """Put a body into its envelope and into the log; a decision is heard at once, an input in its time."""
        kind = type(body)
        key_of = self._key_of.get(kind)
        if key_of is None:
            key_of = self._key_of[kind] = self._key_function(kind)
        key = key_of(body)
        sequence = (self.sequences.get(key) or 0) + 1
        self.sequences[key] = sequence
        meta = Meta(
            key,
            sequence,
            self.now,
            occurred_at,
            ingested_at,
            causation_id,
            correlation_id,
            source,
            self.versions,
            simulated,
        )
        recorded = Recorded(meta, body)
        self._events.append(recorded)
        if source is None:
            self._hear(recorded)
        return recorded

    def _key_function(self, kind: type[Event]) -> Callable[[Event], str]:
        match kind.KEY:
            case ():
                own_key = self._own_key
                return lambda _: own_key
            case ("item",):
                # Several logs may speak of one item: its streams are told apart by theirs, for an id names one event.
                log = self.spec.name
                return lambda body: f"{log}/{cast(Any, body).item}"
            case (name,):
                return attrgetter(name)
            case names:
                values = attrgetter(*names)
                return lambda body: "/".join(values(body))

    def _hear(self, recorded: Recorded) -> None:
        states = self.states
        for part in self._hears.get(type(recorded.body), ()):
            states[part.place] = part.processor.evolve(states[part.place], recorded)

    def _taken(self) -> Output:
        output = Output(self._events, self._messages)
        self._events, self._messages = [], []
        return output

    # -- snapshots ---------------------------------------------------------------------------------

    def attach(self, cupboard: Cupboard, known: Known) -> None:
        """Say where the cold rows lie, and which keys they have. Before the first event, or behind :meth:`restore`."""
        for name, shelf, kind in self.shelves():
            shelf.attach(name, cupboard, kind, known)

    def shelves(self) -> Iterator[Found]:
        """Everything that may spill."""
        yield Found(f"{self.spec.name}/sequences", self.sequences, int)
        for part in self._parts:
            for found in shelves_in(self.states[part.place]):
                yield found._replace(path=f"{self.spec.name}/{part.processor.NAME}/{found.path}")

    def snapshot(self, later: list[Later] | None = None) -> EngineSnapshot:
        """Everything that :meth:`restore` needs beside the cold rows, between two inputs; nothing of it changes.

        Given ``later``, right behind a spill, this is told what of it is still to be encoded.
        """
        return EngineSnapshot(
            take_apart(self.sequences, _SEQUENCES, later),
            dict(self.ticks.marks),
            {tick: (info.at, info.reference_version) for tick, info in self.ticks.known.items()},
            self.ticks.tick,
            self.now,
            self.step_number,
            None if self.works is None else list(self.works),
            {interval: packed(waiting) for interval, waiting in self.ticks.waiting.items()},
            packed(self.references),
            self.references_read,
            self.versions,
            self.cause,
            [take_apart(state, later=later) for state in self.states],
        )

    def restore(self, snapshot: EngineSnapshot) -> None:
        """Become what a snapshot was taken of."""
        self.sequences = put_together(snapshot.sequences, _SEQUENCES_DECODER, _SEQUENCES)
        self.ticks.marks = dict(snapshot.marks)
        self.ticks.known = {tick: TickInfo(*info) for tick, info in snapshot.ticks.items()}
        self.ticks.tick = snapshot.tick
        self.now = snapshot.now
        self.step_number = snapshot.step_number
        self.works = None if snapshot.works is None else deque(snapshot.works)
        self.ticks.waiting = {interval: unpacked(waiting) for interval, waiting in snapshot.deferred.items()}
        self.references = unpacked(snapshot.references)
        self.references_read = snapshot.references_read
        self.versions = snapshot.versions
        self.cause = snapshot.cause
        self.states = [
            put_together(state, decoder)
            for state, decoder in zip(snapshot.states, self.spec.decoders, strict=True)
        ]


def _work_order(item: tuple[int, int, str, str, Work]) -> tuple[int, int, str, str]:
    return item[:4]
