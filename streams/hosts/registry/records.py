"""What the registry writes down: a key that says what it is about, and the last word on it.

JSON, in the words of Confluent's ``_schemas`` topic, so that a compacted topic keeps all that matters. Where Confluent
leaves a tombstone for a version that was removed for good, a row without its schema stays: it remembers the id, which
must not be given again.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from streams.hosts.registry.compatibility import Level

_SCHEMA, _CONFIG = "SCHEMA", "CONFIG"
_NUMBERS: Final = range(1, 2**31)
_MAGIC: Final = {_SCHEMA: 1, _CONFIG: 0}


@dataclass(frozen=True, slots=True)
class VersionWritten:
    """The last word on a version of a subject. ``text`` is "" when it was removed for good."""

    subject: str
    version: int
    id: int
    text: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class LevelWritten:
    """The last word on the level of a subject (None: of all that have none). None: none any more."""

    subject: str | None
    level: Level | None


Record = VersionWritten | LevelWritten
Encoded = tuple[bytes, bytes | None]
"""Key and value; no value is the end of what the key is about."""


def encode(record: Record) -> Encoded:
    """A record as it stands on the topic."""
    match record:
        case VersionWritten():
            key = {"keytype": _SCHEMA, "subject": record.subject, "version": record.version}
            value: dict[str, Any] | None = {
                "subject": record.subject,
                "version": record.version,
                "id": record.id,
                "schema": record.text,
                "deleted": record.deleted,
            }
        case LevelWritten():
            key = {"keytype": _CONFIG, "subject": record.subject}
            value = None if record.level is None else {"compatibilityLevel": str(record.level)}
    return _dumps({**key, "magic": _MAGIC[str(key["keytype"])]}), None if value is None else _dumps(value)


def decode(key: bytes | None, value: bytes | None) -> Record | None:
    """What a record says; None for what is none of ours (a stranger's, or of a kind that came later)."""
    try:
        about, said = json.loads(key or b""), None if value is None else json.loads(value)
        match about, said:
            case (
                {"keytype": "SCHEMA", "subject": str(subject), "version": int(version)},
                {"id": int(id_), "schema": str(text), "deleted": bool(deleted)},
            ) if version in _NUMBERS and id_ in _NUMBERS:
                return VersionWritten(subject, version, id_, text, deleted)
            case {"keytype": "CONFIG", "subject": str() | None as subject}, None:
                return LevelWritten(subject, None)
            case {"keytype": "CONFIG", "subject": str() | None as subject}, {"compatibilityLevel": level}:
                return LevelWritten(subject, Level(level))
            case _:
                return None
    except (ValueError, RecursionError):
        return None


def _dumps(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
