"""What the registry refuses, with the codes that Confluent's clients know.

A code is the HTTP status, with two more digits where one status has several reasons: 40401 is a 404.
"""

from enum import IntEnum

from events.errors import Refused, Unavailable


class Code(IntEnum):
    """Why a call was refused."""

    SUBJECT_NOT_FOUND = 40401
    VERSION_NOT_FOUND = 40402
    SCHEMA_NOT_FOUND = 40403
    SUBJECT_SOFT_DELETED = 40404
    SUBJECT_NOT_SOFT_DELETED = 40405
    VERSION_SOFT_DELETED = 40406
    VERSION_NOT_SOFT_DELETED = 40407
    LEVEL_NOT_CONFIGURED = 40408
    MODE_NOT_CONFIGURED = 40409
    INCOMPATIBLE_SCHEMA = 409
    INVALID_SCHEMA = 42201
    INVALID_VERSION = 42202
    INVALID_LEVEL = 42203
    NOT_PERMITTED = 42205
    INVALID_SUBJECT = 42208
    SCHEMA_TOO_LARGE = 42209


class RegistryRefused(Refused):
    """A call that cannot be done as asked."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(str(self.code.value)[:3])


class Overtaken(Unavailable):
    """Another writer took its turn while ours lasted; nothing of ours was written."""


def subject_not_found(subject: str) -> RegistryRefused:
    """Nothing is registered under a subject."""
    return RegistryRefused(Code.SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")


def version_not_found(version: int) -> RegistryRefused:
    """A subject that is there has no such version."""
    return RegistryRefused(Code.VERSION_NOT_FOUND, f"Version {version} not found.")


def schema_not_found(schema_id: int | None = None) -> RegistryRefused:
    """No schema has an id, or a subject has no such schema."""
    return RegistryRefused(
        Code.SCHEMA_NOT_FOUND, "Schema not found" if schema_id is None else f"Schema {schema_id} not found"
    )
