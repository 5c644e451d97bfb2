"""What is registered, and what may come next: the core of the registry, without time, network or disk.

A *decision* looks at the state and gives its answer with the records that make it true, or raises RegistryRefused. A
record changes the state when it has been written and read back (:meth:`State.evolve`), in the order of the log, so
that everybody who reads the same log has the same registry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from streams.hosts.registry.avro import Schema, parse
from streams.hosts.registry.compatibility import Level, problems
from streams.hosts.registry.ours import FOREIGN_IDS, Ours
from streams.hosts.registry.records import LevelWritten, Record, VersionWritten
from streams.hosts.registry.refusal import (
    Code,
    RegistryRefused,
    schema_not_found,
    subject_not_found,
    version_not_found,
)

DEFAULT_LEVEL: Final = Level.BACKWARD
SUBJECT_LETTERS: Final = 500
VERSIONS: Final = 1_000
"""The most versions of a subject; a transitive level compares with all of them."""
SCHEMAS: Final = 10_000
"""The most schemas: all are held in memory."""
_NOT_SUBJECTS: Final = frozenset({"", "__GLOBAL", "__EMPTY"})

_T = TypeVar("_T")


class Decision(NamedTuple, Generic[_T]):
    """An answer, and what has to be written before it is given."""

    answer: _T
    records: tuple[Record, ...] = ()


class Version(NamedTuple):
    """A version of a subject, as it is shown."""

    subject: str
    version: int
    id: int
    schema: Schema
    deleted: bool


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    deleted: bool


@dataclass(slots=True)
class State:
    """All that is registered."""

    ours: Ours
    _rows: dict[str, dict[int, _Row]] = field(default_factory=dict)
    _schemas: dict[int, Schema] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _uses: dict[int, int] = field(default_factory=dict)
    _levels: dict[str | None, Level] = field(default_factory=dict)
    _highest: int = FOREIGN_IDS - 1

    def __post_init__(self) -> None:
        for row in self.ours.published:
            self._schemas[row.id] = row.schema
            self._ids[row.schema.identity] = row.id
            self._uses[row.id] = 1
        for subject, owned in self.ours.subjects.items():
            self._rows[subject] = {
                number: _Row(row.id, False) for number, row in enumerate(owned.versions, 1)
            }

    def evolve(self, record: Record) -> None:
        """Take in what has been written."""
        match record:
            case LevelWritten(subject, level):
                if level is None:
                    self._levels.pop(subject, None)
                else:
                    self._levels[subject] = level
            case VersionWritten():
                self._highest = max(self._highest, record.id)
                # What is ours today may have been anybody's in an earlier release.
                if not self.ours.owns(record.subject):
                    self._evolve_version(record)

    def _evolve_version(self, record: VersionWritten) -> None:
        if record.text and record.id not in self._schemas:
            self._schemas[record.id] = schema = parse(record.text)
            self._ids.setdefault(schema.identity, record.id)
        rows = self._rows.setdefault(record.subject, {})
        before = rows.pop(record.version, None)
        if record.text:
            self._uses[record.id] = self._uses.get(record.id, 0) + 1
            rows[record.version] = _Row(record.id, record.deleted)
        if before is not None:
            self._release(before.id)
        if not rows:
            del self._rows[record.subject]

    def _release(self, schema_id: int) -> None:
        self._uses[schema_id] -= 1
        if not self._uses[schema_id]:
            del self._uses[schema_id]
            gone = self._schemas.pop(schema_id)
            if self._ids.get(gone.identity) == schema_id:
                del self._ids[gone.identity]

    # -- questions ---------------------------------------------------------------------------------

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """The names of all subjects with a version that is there; ``deleted``: also of those with none."""
        return sorted(
            subject for subject, rows in self._rows.items() if deleted or not _all_deleted(rows.values())
        )

    def versions(self, subject: str, *, deleted: bool = False) -> list[int]:
        """The versions of a subject."""
        rows = self._rows.get(subject, {})
        found = sorted(number for number, row in rows.items() if deleted or not row.deleted)
        if not found:
            raise subject_not_found(subject)
        return found

    def version(self, subject: str, version: int | None, *, deleted: bool = False) -> Version:
        """A version of a subject; None is the latest."""
        numbers = self.versions(subject, deleted=deleted)
        number = numbers[-1] if version is None else version
        if number not in numbers:
            raise version_not_found(number)
        return self._shown(subject, number)

    def schema(self, schema_id: int) -> Schema:
        """The schema that has an id."""
        found = self._schemas.get(schema_id)
        if found is None:
            raise schema_not_found(schema_id)
        return found

    def places(self, schema_id: int, *, deleted: bool = False) -> list[Version]:
        """The versions that are a schema, by subject."""
        self.schema(schema_id)
        return [
            self._shown(subject, number)
            for subject, rows in sorted(self._rows.items())
            for number, row in sorted(rows.items())
            if row.id == schema_id and (deleted or not row.deleted)
        ]

    def lookup(self, subject: str, schema: Schema, *, normal: bool = False, deleted: bool = False) -> Version:
        """The version of a subject that is the same as a schema."""
        numbers = self.versions(subject, deleted=deleted)
        if self.ours.owns(subject):
            found = self.ours.find(subject, schema)
            if found is not None:
                return self._shown(subject, found[0])
        for number in reversed(numbers):
            version = self._shown(subject, number)
            if _same(version.schema, schema, normal):
                return version
        raise schema_not_found()

    def level(self, subject: str | None, *, inherit: bool = False) -> Level:
        """The level that is set for a subject (None: for all), or with ``inherit`` the one that counts for it."""
        owned = self.ours.subjects.get(subject or "")
        if owned is not None:
            return owned.level
        if subject is None or (inherit and subject not in self._levels):
            return self._levels.get(None, DEFAULT_LEVEL)
        if subject not in self._levels:
            raise RegistryRefused(
                Code.LEVEL_NOT_CONFIGURED,
                f"Subject '{subject}' does not have subject-level compatibility configured",
            )
        return self._levels[subject]

    def problems(self, subject: str, schema: Schema, version: int | None = None) -> list[str]:
        """Why a schema could not be registered now; with ``version``, looking at that one alone. Empty: it could."""
        if self.ours.owns(subject):
            found = self.ours.find(subject, schema)
            return [] if found is not None else [str(self.ours.refusal(subject))]
        if version is not None:
            rows = self._rows.get(subject, {})
            if version not in rows or rows[version].deleted:
                raise version_not_found(version)
            return problems(schema, [self._shown(subject, version).schema], self.level(subject, inherit=True))
        return problems(schema, self._there(subject), self.level(subject, inherit=True))

    # -- decisions ---------------------------------------------------------------------------------

    def register(self, subject: str, schema: Schema, *, normal: bool = False) -> Decision[int]:
        """Make a schema the next version of a subject, unless it is one already; its id."""
        if self.ours.owns(subject):
            found = self.ours.find(subject, schema)
            if found is None:
                raise self.ours.refusal(subject)
            return Decision(found[1].id)
        _check_name(subject)
        rows = self._rows.get(subject, {})
        for number, row in sorted(rows.items(), reverse=True):
            if not row.deleted and _same(self._shown(subject, number).schema, schema, normal):
                return Decision(row.id)
        reasons = self.problems(subject, schema)
        if reasons:
            raise RegistryRefused(
                Code.INCOMPATIBLE_SCHEMA,
                f'Schema being registered is incompatible with an earlier schema for subject "{subject}", details: '
                f"{'; '.join(reasons[:_REASONS])}; compatibility: {self.level(subject, inherit=True)}",
            )
        text = schema.normal if normal else schema.text
        schema_id = self._ids.get(parse(text).identity, self._highest + 1)
        if len(rows) >= VERSIONS or (schema_id not in self._schemas and len(self._schemas) >= SCHEMAS):
            raise RegistryRefused(
                Code.NOT_PERMITTED,
                f"There is room for {SCHEMAS} schemas and {VERSIONS} versions of a subject; delete some for good.",
            )
        return Decision(schema_id, (VersionWritten(subject, max(rows, default=0) + 1, schema_id, text),))

    def delete_subject(self, subject: str, *, permanent: bool = False) -> Decision[list[int]]:
        """Hide every version of a subject; ``permanent``: forget those that are hidden. The numbers."""
        self._refuse_to_delete_ours(subject)
        rows = self._rows.get(subject)
        if rows is None:
            raise subject_not_found(subject)
        if permanent and not _all_deleted(rows.values()):
            raise RegistryRefused(
                Code.SUBJECT_NOT_SOFT_DELETED,
                f"Subject '{subject}' was not deleted first before being permanently deleted",
            )
        if not permanent and _all_deleted(rows.values()):
            raise RegistryRefused(
                Code.SUBJECT_SOFT_DELETED,
                f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently",
            )
        numbers = sorted(number for number, row in rows.items() if permanent or not row.deleted)
        level = (LevelWritten(subject, None),) if subject in self._levels else ()
        written = tuple(self._deleted(subject, number, permanent) for number in numbers)
        return Decision(numbers, (*written, *level))

    def delete_version(self, subject: str, version: int | None, *, permanent: bool = False) -> Decision[int]:
        """Hide a version (None: the latest); ``permanent``: forget one that is hidden. Its number."""
        self._refuse_to_delete_ours(subject)
        if permanent and version is None:
            raise RegistryRefused(
                Code.INVALID_VERSION, "A version that is to be deleted permanently needs its number."
            )
        number = self.version(subject, version, deleted=version is not None).version
        row = self._rows[subject][number]
        if permanent and not row.deleted:
            raise RegistryRefused(
                Code.VERSION_NOT_SOFT_DELETED,
                f"Subject '{subject}' Version {number} was not deleted first before being permanently deleted",
            )
        if not permanent and row.deleted:
            raise RegistryRefused(
                Code.VERSION_SOFT_DELETED,
                f"Subject '{subject}' Version {number} was soft deleted. Set permanent=true to delete permanently",
            )
        return Decision(number, (self._deleted(subject, number, permanent),))

    def set_level(self, subject: str | None, level: Level) -> Decision[Level]:
        """What new versions of a subject (None: of all that have no level of their own) must be compatible with."""
        if subject is not None:
            if self.ours.owns(subject):
                raise _read_only(subject)
            _check_name(subject)
            if subject not in self._levels and len(self._levels) >= SCHEMAS:
                raise RegistryRefused(Code.NOT_PERMITTED, f"There is room for {SCHEMAS} levels.")
        if self._levels.get(subject) == level:
            return Decision(level)
        return Decision(level, (LevelWritten(subject, level),))

    def delete_level(self, subject: str | None) -> Decision[Level]:
        """Take back a level; the one that was."""
        if subject is not None and self.ours.owns(subject):
            raise _read_only(subject)
        if subject not in self._levels:
            if subject is None:
                return Decision(DEFAULT_LEVEL)
            raise subject_not_found(subject)
        return Decision(self._levels[subject], (LevelWritten(subject, None),))

    # -- helpers -----------------------------------------------------------------------------------

    def _shown(self, subject: str, number: int) -> Version:
        row = self._rows[subject][number]
        return Version(subject, number, row.id, self._schemas[row.id], row.deleted)

    def _there(self, subject: str) -> Sequence[Schema]:
        rows = self._rows.get(subject, {})
        return [self._schemas[row.id] for _, row in sorted(rows.items()) if not row.deleted]

    def _deleted(self, subject: str, number: int, permanent: bool) -> VersionWritten:
        row = self._rows[subject][number]
        text = "" if permanent else self._schemas[row.id].text
        return VersionWritten(subject, number, row.id, text, deleted=True)

    def _refuse_to_delete_ours(self, subject: str) -> None:
        if self.ours.owns(subject):
            raise _read_only(subject)


#: How many reasons a message has room for.
_REASONS: Final = 10


def _same(one: Schema, other: Schema, normal: bool) -> bool:
    return one.normal == other.normal if normal else one.identity == other.identity


def _all_deleted(rows: Iterable[_Row]) -> bool:
    return all(row.deleted for row in rows)


def _read_only(subject: str) -> RegistryRefused:
    return RegistryRefused(Code.NOT_PERMITTED, f"Subject {subject} is Tallystick's and cannot be changed.")


def _check_name(subject: str) -> None:
    if subject in _NOT_SUBJECTS or len(subject) > SUBJECT_LETTERS or not subject.isprintable():
        raise RegistryRefused(Code.INVALID_SUBJECT, "The specified subject name is not a valid subject.")
