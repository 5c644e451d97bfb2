"""What a log partition says of itself: how it was opened, what time it is, what came into force."""

from enum import StrEnum

from events.base import Event, Part


class ClockKind(StrEnum):
    """Whose time a log lives in."""

    VIRTUAL = "virtual"
    """Time is made from the input: a day takes seconds."""
    WALL = "wall"
    """The clock on the wall: the host strikes it, nobody waits for a slow neighbour, and no two runs are alike."""


class DeadLetterReason(StrEnum):
    """Why an input could not be taken."""

    NOT_DECODABLE = "not_decodable"
    """The bytes are not what their schema says, or a reference entry is not what its kind says."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The schema id is none of ours."""
    NOT_EXPECTED_HERE = "not_expected_here"
    """A good message on a topic where it has no business."""
    CARD_NUMBER_IN_CLEAR = "card_number_in_clear"
    """A field holds what looks like a card number instead of a token."""
    DECISION_FAILED = "decision_failed"
    """Deciding it raised an error: a defect of ours. It was put aside so that the stream goes on."""


class LogOpened(Event, frozen=True):
    """The first record of every partition: what the log is, and for which run.

    ``run`` is the canonical JSON of the run's arguments (seed, input hash, last tick); a start with other
    arguments is refused. ``key_ids`` name the keys whose MACs and seals the log holds.
    """

    log: str
    partition: int
    partitions: int
    clock: ClockKind
    behaviour: int
    opened_at: int
    last_tick: int
    run: str
    key_ids: list[str]


class MarkerSeen(Part, frozen=True):
    """A marker and where it stood."""

    topic: str
    partition: int
    offset: int
    sender: str
    tick: int
    at: int
    reference_version: int


class MarkersTaken(Event, frozen=True):
    """Markers that were read one after the other: their taking is recorded like any input's."""

    markers: list[MarkerSeen]


class ClockStruck(Event, frozen=True):
    """The clock on the wall came to tick ``tick``, which stands for ``at``: the log takes it, and all it has missed.

    ``reference_version`` is as far as this log had read the reference data, which comes into force with the tick.
    """

    tick: int
    at: int
    reference_version: int


class TickStepped(Event, frozen=True):
    """Tick ``tick`` had more to do than fits into one step: step ``step`` (from 2) begins."""

    tick: int
    step: int


class TickPassed(Event, frozen=True):
    """Tick ``tick`` is over; recorded also when it changed nothing, for what reads the log waits for it."""

    tick: int
    at: int
    steps: int


class ReferenceApplied(Event, frozen=True):
    """Reference data as it was read here; in force from the first tick that names its version."""

    kind: str
    ref_id: str
    version: int
    sha256: str
    content: str


class ReferenceRefused(Event, frozen=True):
    """Reference data that came into force and cannot be used, in whole or in part; what was in force stays.

    One event for each thing that is wrong: the pack itself, or a merchant's rules that no longer stand on top of it.
    """

    kind: str
    ref_id: str
    version: int
    reason: str


class EventDeadLettered(Event, frozen=True):
    """An input that could not be taken: its bytes are sealed in ``dead-letters``, its reason stands here."""

    reason: DeadLetterReason
    detail: str
    size: int
    sealed_sha256: str
    key_id: str
