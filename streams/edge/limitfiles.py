"""Limits over all cards as people write them: a TOML file with one table a limit, checked before it is published.

::

    version = 2
    limits = [
        { limit_id = "device-declines-10m", dimension = "device", measure = "declines", window = "10m", above = 20,
          standing = "block", hold_minutes = 1440 },
    ]

What each field may be is said by :class:`events.reference.VelocityLimit`. A file is taken whole or not at all, and
everything that is wrong with it is said at once.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from events.errors import Refused, Unavailable
from events.hotlist import Dimension, Measure, Standing, Window
from events.reference import VelocityLimit, VelocityLimits
from streams.features.velocity import SHARED

MOST_BYTES: Final = 1024 * 1024
MOST_LIMITS: Final = 1_000
"""Every one is looked at with every payment under its kind of key."""

_WORDS: Final[dict[str, type[StrEnum]]] = {
    "dimension": Dimension,
    "measure": Measure,
    "window": Window,
    "standing": Standing,
}
_FIELDS: Final = tuple(field.encode_name for field in msgspec.structs.fields(VelocityLimit))
_NEEDED: Final = tuple(field.name for field in msgspec.structs.fields(VelocityLimit) if field.required)


class LimitsRefused(Refused):
    """A file of limits that cannot be used; ``faults`` are sentences, each naming its limit."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{path}: {faults[0]}{more}")
        self.path = path
        self.faults = faults


class Change(NamedTuple):
    """What a new file says otherwise of one limit; ``old`` and ``new`` are "" where there is nothing."""

    limit: str
    change: str
    field: str
    old: str
    new: str


def read_limits(path: Path) -> VelocityLimits:
    """The limits of a file. Raises LimitsRefused with all that is wrong, and Unavailable where it cannot be read."""
    written = _toml(path)
    strange = sorted(set(written) - {"version", "limits"})
    rows = written.get("limits")
    if strange:
        raise LimitsRefused(path, [f"there is no {strange[0]}: a file has a version and limits"])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LimitsRefused(path, ["limits is a list of tables"])
    if len(rows) > MOST_LIMITS:
        raise LimitsRefused(path, [f"{len(rows):,} limits are more than {MOST_LIMITS:,}"])
    faults = [fault for number, row in enumerate(rows, 1) for fault in _faults(number, row)]
    twice = Counter((row.get("limit_id"), row.get("value", "")) for row in rows)
    faults += [
        f"limit {name}: it stands here {times} times" for (name, _), times in twice.items() if times > 1
    ]
    if faults:
        raise LimitsRefused(path, faults)
    try:
        return msgspec.convert(written, VelocityLimits)
    except msgspec.ValidationError as error:
        raise LimitsRefused(path, [str(error)]) from error


def differences(old: VelocityLimits, new: VelocityLimits) -> list[Change]:
    """What ``new`` changes, whatever the order: limits that are gone, that have come, and fields that differ."""
    was, is_ = ({_name(one): one for one in limits.limits} for limits in (old, new))
    found = [Change(name, "removed", "", shown(was[name]), "") for name in was if name not in is_]
    found += [Change(name, "added", "", "", shown(is_[name])) for name in is_ if name not in was]
    for name in was.keys() & is_.keys():
        found += [
            Change(name, "changed", field, str(getattr(was[name], field)), str(getattr(is_[name], field)))
            for field in _FIELDS
            if getattr(was[name], field) != getattr(is_[name], field)
        ]
    return sorted(found)


def shown(limit: VelocityLimit) -> str:
    """A limit as a sentence: ``more than 20 declines of a device in 10m: block for 1440 minutes``."""
    what = {Measure.COUNT: "payments", Measure.SUM: "minor units"}.get(limit.measure, limit.measure.value)
    whose = f"{limit.dimension} {limit.value}" if limit.value else f"each {limit.dimension}"
    return (
        f"more than {limit.above:,} {what} under {whose} in {limit.window}: {limit.standing} for "
        f"{limit.hold_minutes:,} minutes"
    )


def _name(limit: VelocityLimit) -> str:
    return f"{limit.limit_id} {limit.value}".rstrip()


# --- what is wrong --------------------------------------------------------------------------------------


def _faults(number: int, row: dict[str, Any]) -> Iterator[str]:
    """Everything that is wrong with one limit, each in a sentence."""
    where = f"limit {row.get('limit_id', number)}"
    for name in row.keys() - set(_FIELDS):
        yield f"{where}: there is no field {name}{_near(name, _FIELDS)}"
    for name in _NEEDED:
        if name not in row:
            yield f"{where}: {name} is missing"
    words_hold = True
    for name, kind in _WORDS.items():
        if name in row and row[name] not in list(kind):
            words_hold = False
            allowed = [member.value for member in kind]
            yield f"{where}: {name} {row[name]!r} is none of {', '.join(allowed)}{_near(row[name], allowed)}"
    if words_hold and row.get("measure") == Measure.CARDS and row.get("dimension") not in (None, *SHARED):
        yield f"{where}: cards are counted under {', '.join(SHARED)}, and not under {row['dimension']}"
    sample = {"limit_id": "x", "dimension": "ip", "measure": "count", "window": "1h", "above": 1}
    sample |= {"standing": "block", "hold_minutes": 1, "value": ""}
    for name in ("limit_id", "above", "hold_minutes", "value"):
        if name in row:
            try:
                msgspec.convert(sample | {name: row[name]}, VelocityLimit)
            except msgspec.ValidationError as error:
                yield f"{where}: {name} {row[name]!r}: {str(error).partition(' - at ')[0]}"


def _near(name: object, allowed: "tuple[str, ...] | list[str]") -> str:
    found = get_close_matches(str(name), allowed, 1)
    return f"; did you mean {found[0]}?" if found else ""


def _toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refused(f"{path} has more than {MOST_BYTES:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror or 'no such file'}") from error
