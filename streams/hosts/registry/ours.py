"""What we have published, under every subject at which a client looks for it.

A client makes a subject's name in one of three ways: from the topic (``tallystick.payments.requests-value``), from the
record (``tallystick.PaymentRequest``), or from both (``tallystick.payments.requests-tallystick.PaymentRequest``). Each
leads to the same ids. A topic with several types has one version for each of them, so *the latest* of a topic is an
arbitrary one: whoever wants the latest has to name the record.

Subjects that begin with the house's prefix or with ``tallystick.`` are ours and cannot be written: what is published
is decided by a release and never by a call. Whoever registers there learns the id of what we have published, or that
we have not.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

import schemas
from events.avro import NAMESPACE
from streams.hosts.registry.avro import Schema, parse
from streams.hosts.registry.compatibility import Level
from streams.hosts.registry.refusal import Code, RegistryRefused
from streams.topology import LOGS, TOPICS

#: Ids of others begin here; ours come one after the other from 1.
FOREIGN_IDS: Final = 100_000

_REQUESTS: Final = (
    "PaymentRequest",
    "CaptureRequest",
    "VoidRequest",
    "RefundRequest",
    "IncrementRequest",
    "EvidenceRequest",
    "SettingsRequest",
    "Tick",
)
_MESSAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "payments.requests": _REQUESTS,
    "reference": ("ReferencePublished",),
    "dead-letters": ("DeadLetter",),
}
"""The messages of a topic, where it is not what passes between logs and edges."""
_BETWEEN: Final = ("Handover", "Marker")


class Published(NamedTuple):
    """A schema of ours, and what every version of it has to be to the others."""

    id: int
    name: str
    version: int
    schema: Schema
    level: Level


class Owned(NamedTuple):
    """A subject of ours: its versions, the first is 1."""

    versions: tuple[Published, ...]
    level: Level


@cache
def published() -> tuple[Published, ...]:
    """All that was ever published, by id."""
    return tuple(
        Published(
            row["id"],
            row["name"],
            row["version"],
            parse(json.dumps(schemas.schema(row["name"], row["version"]), ensure_ascii=False)),
            Level.FULL_TRANSITIVE if row["kind"] == "event" else Level.BACKWARD_TRANSITIVE,
        )
        for row in schemas.published()
    )


class Ours:
    """The subjects of a house. ``prefix`` is that of its topics."""

    def __init__(self, prefix: str, rows: Iterable[Published] | None = None) -> None:
        self._namespaces = (f"{prefix}.", f"{NAMESPACE}.")
        self._of_logs = tuple(f"{prefix}.{log}-" for log in LOGS)
        self.published = tuple(sorted(published() if rows is None else rows))
        self.subjects: dict[str, Owned] = {}
        by_record: dict[str, list[Published]] = {}
        for row in self.published:
            by_record.setdefault(row.schema.type.name, []).append(row)
        for record, versions in by_record.items():
            self._own(record, versions)
        for topic in TOPICS:
            names = _MESSAGES.get(topic.name, _BETWEEN)
            within = [
                row
                for row in self.published
                if (_is_event(row) if topic.name in LOGS else row.name in names and not _is_event(row))
            ]
            full = f"{prefix}.{topic.name}"
            # Several types that have nothing to do with each other.
            self.subjects[f"{full}-value"] = Owned(tuple(within), Level.NONE)
            for record in dict.fromkeys(row.schema.type.name for row in within):
                self._own(f"{full}-{record}", by_record[record])

    def _own(self, subject: str, versions: Iterable[Published]) -> None:
        rows = tuple(sorted(versions, key=lambda row: row.version))
        self.subjects[subject] = Owned(rows, rows[-1].level)

    def owns(self, subject: str) -> bool:
        """Whether a subject is ours, even if nothing is there."""
        return subject.startswith(self._namespaces)

    def offered(self) -> list[tuple[str, Owned]]:
        """The subjects that others have a use for: all but those of the logs' topics, on which nobody else writes.
        Who reads a log finds its schemas by their ids."""
        return [
            (subject, owned)
            for subject, owned in self.subjects.items()
            if not subject.startswith(self._of_logs)
        ]

    def find(self, subject: str, schema: Schema) -> tuple[int, Published] | None:
        """The version and the row of what is the same on the wire: the same schema, or else the newest that gives
        the same bytes. A producer may leave out documentation and our extra attributes. It may not say that a time
        is one in milliseconds: a logical type of its own makes another schema."""
        owned = self.subjects.get(subject)
        if owned is None:
            return None
        found = list(enumerate(owned.versions, 1))
        exact = [place for place in found if place[1].schema.normal == schema.normal]
        alike = [place for place in found if place[1].schema.wire == schema.wire]
        return next(iter(exact), alike[-1] if alike else None)

    def refusal(self, subject: str) -> RegistryRefused:
        """Why a schema cannot be registered under a subject of ours."""
        owned = self.subjects.get(subject)
        if owned is None:
            why = "no schema is published for it"
            if subject.endswith("-key"):
                why = "keys on Tallystick's topics are plain text"
            return RegistryRefused(
                Code.INCOMPATIBLE_SCHEMA, f'The subject "{subject}" is Tallystick\'s: {why}.'
            )
        names = ", ".join(dict.fromkeys(row.schema.type.name for row in owned.versions[:_NAMED]))
        more = " and others" if len(owned.versions) > _NAMED else ""
        return RegistryRefused(
            Code.INCOMPATIBLE_SCHEMA,
            f'Schema being registered is incompatible: the subject "{subject}" takes what Tallystick has published '
            f"({names}{more}), and this is none of it.",
        )


#: How many names a message has room for.
_NAMED: Final = 6


def _is_event(row: Published) -> bool:
    return row.level is Level.FULL_TRANSITIVE
