"""The envelope: what every record of a log says about itself.

``key`` and ``sequence`` name the event (gap-free within the key, from 1). ``recorded_at`` is the logical
time of the log, which only ticks advance; ``occurred_at`` is the producer's claim and ``ingested_at`` the
transport's stamp, both inherited by what was decided because of an input. ``source`` is set on recorded
inputs alone and says where the input stood. All times are microseconds since the Unix epoch, UTC.
"""

import msgspec

from events.base import Event, Part


class Source(Part, frozen=True):
    """Where a recorded input stood and who handed it over: provenance, never part of an id.

    ``sender`` (``intake/3``) is the upstream partition whose markers say which interval the input is of.
    """

    topic: str
    partition: int
    offset: int
    sender: str


class Versions(Part, frozen=True):
    """The versions in force when the event was decided; 0 means none has been published yet."""

    rules: int = 0
    fees: int = 0
    bin: int = 0
    fx: int = 0
    model: int = 0
    behaviour: int = 1


class Meta(Part, frozen=True):
    """The envelope of one event."""

    key: str
    sequence: int
    recorded_at: int
    occurred_at: int
    ingested_at: int
    causation_id: str
    correlation_id: str
    source: Source | None
    versions: Versions
    simulated: bool

    @property
    def event_id(self) -> str:
        """The event's name: stream key, dot, gap-free sequence."""
        return f"{self.key}.{self.sequence}"


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its envelope, as a log keeps it."""

    meta: Meta
    body: Event
