"""When a network's success rate or its answers give cause for alarm: thresholds, windows, hysteresis.

Pure: samples and the time come as arguments. An alert is raised when its figure has been bad for ``patience_seconds``
and is over when it has been good for ``calm_seconds``; between the two thresholds nothing changes. While it lasts it
is said again every ``renew_seconds``, so that who reads ``ops.alerts`` can take one that has fallen silent as over:
the worker that watches may be killed, and its successor begins with an empty window.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import Refused
from infra.worker.catalogue import LATENCY_SECONDS, NETWORKS
from infra.worker.samples import Sample

TOPIC: Final = "ops.alerts"
_MICROSECONDS: Final = 1_000_000
#: A sample from so many seconds ahead has a wrong clock behind it.
_AHEAD: Final = 5


class Kind(StrEnum):
    """What is watched."""

    SUCCESS_RATE = "success_rate"
    """Approvals among attempts, in percent."""
    LATENCY = "latency"
    """The percentile of the answers, in milliseconds."""


class State(StrEnum):
    """What an alert says."""

    RAISED = "raised"
    CONTINUES = "continues"
    OVER = "over"


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an alert is raised and when it is over."""

    window_seconds: int = 60
    least_attempts: int = 50
    success_raise_percent: int = 60
    success_over_percent: int = 70
    latency_percentile: int = 95
    latency_raise_ms: int = 2_000
    latency_over_ms: int = 1_000
    patience_seconds: int = 10
    calm_seconds: int = 30
    renew_seconds: int = 60

    def __post_init__(self) -> None:
        if not 0 <= self.success_raise_percent <= self.success_over_percent <= 100:
            raise ValueError("success_raise_percent must not be above success_over_percent, both 0 to 100")
        if not 0 < self.latency_over_ms <= self.latency_raise_ms:
            raise ValueError("latency_over_ms must not be above latency_raise_ms")
        if not 0 < self.latency_percentile <= 100 or not 0 < self.window_seconds <= 3_600:
            raise ValueError("latency_percentile is 1 to 100, window_seconds 1 to 3600")
        if (
            min(self.least_attempts, self.renew_seconds) < 1
            or min(self.patience_seconds, self.calm_seconds) < 0
        ):
            raise ValueError("least_attempts and renew_seconds are at least 1, patience and calm at least 0")


class Alert(msgspec.Struct, frozen=True):
    """A record of ``ops.alerts``. Times in microseconds of the wall clock; percent or milliseconds by ``alert``."""

    alert: Kind
    network: str
    state: State
    at: int
    since: int
    value: int
    raise_at: int
    over_at: int
    attempts: int
    window_seconds: int
    text: str


def load(path: Path | None) -> Mapping[str, Thresholds]:
    """The thresholds by network, ``default`` for the others. Raises Refused.

    A file has a table ``[default]`` and one for each network that differs, ``[networks.NAME]``; what a table does not
    name is as in the one above it.
    """
    if path is None:
        return {"default": Thresholds()}
    try:
        file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
        tables = {
            "default": file.default,
            **{name: {**file.default, **own} for name, own in file.networks.items()},
        }
        return {name: msgspec.convert(table, Thresholds) for name, table in tables.items()}
    except OSError as error:
        raise Refused(f"the thresholds {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # TOML's, msgspec's, a decoder's and our own are all of this kind
        raise Refused(f"{path} does not hold thresholds: {error}") from error


class _File(msgspec.Struct, forbid_unknown_fields=True):
    default: dict[str, Any] = {}
    networks: dict[str, dict[str, Any]] = {}


@dataclass(slots=True)
class _Tally:
    approved: int = 0
    attempts: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_SECONDS) + 1))

    def add(self, other: "_Tally") -> None:
        self.approved += other.approved
        self.attempts += other.attempts
        self.latencies = [ours + theirs for ours, theirs in zip(self.latencies, other.latencies, strict=True)]


@dataclass(slots=True)
class _Standing:
    """Where an alert stands. ``turning`` is since when the figure has been on the other side."""

    raised_at: int | None = None
    said_at: int = 0
    turning: int | None = None


class Watch:
    """The samples of a window, and what stands raised."""

    def __init__(self, thresholds: Mapping[str, Thresholds]) -> None:
        self._thresholds = thresholds
        self._seconds: dict[str, dict[int, _Tally]] = {}
        self._standings: dict[tuple[str, Kind], _Standing] = {}

    def fold(self, sample: Sample, now: int) -> bool:
        """Take a sample; False where it is too old, from the future, or of one network too many."""
        network = sample.network
        age = (now - sample.at) // _MICROSECONDS
        if not -_AHEAD <= age < self._of(network).window_seconds:
            return False
        if network not in self._seconds and len(self._seconds) >= NETWORKS:
            return False
        latencies = sample.latency_counts or [0] * (len(LATENCY_SECONDS) + 1)
        if len(latencies) != len(LATENCY_SECONDS) + 1:
            return False
        tally = self._seconds.setdefault(network, {}).setdefault(sample.at // _MICROSECONDS, _Tally())
        tally.add(_Tally(sample.approved, sample.attempts, latencies))
        return True

    def judge(self, now: int) -> list[Alert]:
        """What there is to say now; called once a second."""
        said: list[Alert] = []
        for network, seconds in sorted(self._seconds.items()):
            limits = self._of(network)
            for second in [at for at in seconds if at <= now // _MICROSECONDS - limits.window_seconds]:
                del seconds[second]
            total = _Tally()
            for tally in seconds.values():
                total.add(tally)
            for kind in Kind:
                alert = self._judge(network, kind, limits, total, now)
                if alert is not None:
                    said.append(alert)
        return said

    def forget(self) -> None:
        """Begin anew: somebody else watches now."""
        self._seconds.clear()
        self._standings.clear()

    @property
    def raised(self) -> dict[tuple[str, Kind], bool]:
        """Which alerts stand, of those that have been judged."""
        return {place: standing.raised_at is not None for place, standing in self._standings.items()}

    def _of(self, network: str) -> Thresholds:
        return self._thresholds.get(network, self._thresholds["default"])

    def _judge(self, network: str, kind: Kind, limits: Thresholds, total: _Tally, now: int) -> Alert | None:
        standing = self._standings.setdefault((network, kind), _Standing())
        figure = _figure(kind, limits, total)
        if standing.raised_at is None:
            turned = figure is not None and _bad(kind, limits, figure)
            needed = limits.patience_seconds
        else:
            # Without traffic nothing can be said, and an alert that says it anyway would never end.
            turned = figure is None or _good(kind, limits, figure)
            needed = limits.calm_seconds
        if not turned:
            standing.turning = None
        elif standing.turning is None:
            standing.turning = now
        if standing.turning is not None and now - standing.turning >= needed * _MICROSECONDS:
            standing.turning = None
            standing.said_at = now
            if standing.raised_at is None:
                standing.raised_at = now
                return _alert(network, kind, State.RAISED, limits, total, figure, now, now)
            since, standing.raised_at = standing.raised_at, None
            return _alert(network, kind, State.OVER, limits, total, figure, since, now)
        if standing.raised_at is not None and now - standing.said_at >= limits.renew_seconds * _MICROSECONDS:
            standing.said_at = now
            return _alert(network, kind, State.CONTINUES, limits, total, figure, standing.raised_at, now)
        return None


def _figure(kind: Kind, limits: Thresholds, total: _Tally) -> int | None:
    """The figure that is judged; None where there is too little to judge by."""
    match kind:
        case Kind.SUCCESS_RATE:
            return None if total.attempts < limits.least_attempts else total.approved * 100 // total.attempts
        case Kind.LATENCY:
            answers = sum(total.latencies)
            return None if answers < limits.least_attempts else _percentile(total.latencies, limits)


def _percentile(counts: list[int], limits: Thresholds) -> int:
    """The bound in milliseconds within which so many percent lie; twice the last bound for what has none."""
    wanted = sum(counts) * limits.latency_percentile
    seen = 0
    for count, bound in zip(counts, LATENCY_SECONDS, strict=False):
        seen += count * 100
        if seen >= wanted:
            return round(bound * 1_000)
    return round(LATENCY_SECONDS[-1] * 2_000)


def _bad(kind: Kind, limits: Thresholds, figure: int) -> bool:
    match kind:
        case Kind.SUCCESS_RATE:
            return figure < limits.success_raise_percent
        case Kind.LATENCY:
            return figure > limits.latency_raise_ms


def _good(kind: Kind, limits: Thresholds, figure: int) -> bool:
    match kind:
        case Kind.SUCCESS_RATE:
            return figure >= limits.success_over_percent
        case Kind.LATENCY:
            return figure <= limits.latency_over_ms


def _alert(
    network: str,
    kind: Kind,
    state: State,
    limits: Thresholds,
    total: _Tally,
    figure: int | None,
    since: int,
    now: int,
) -> Alert:
    if kind is Kind.SUCCESS_RATE:
        raise_at, over_at = limits.success_raise_percent, limits.success_over_percent
        what = f"{figure} % of {total.attempts} attempts were approved"
    else:
        raise_at, over_at = limits.latency_raise_ms, limits.latency_over_ms
        what = f"{limits.latency_percentile} % of the answers came within {figure} ms"
    if figure is None:
        what = f"too few attempts to tell ({total.attempts})"
    return Alert(
        kind,
        network,
        state,
        now,
        since,
        -1 if figure is None else figure,
        raise_at,
        over_at,
        total.attempts,
        limits.window_seconds,
        f"{network}: {what} in the last {limits.window_seconds} s",
    )


def decode(data: bytes) -> Sample | None:
    """A sample off the topic; None for anything else."""
    try:
        sample: Any = msgspec.json.decode(data, type=Sample)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    counts = [sample.approved, sample.timed_out, sample.not_sent, *sample.declined.values()]
    return None if min(*counts, *sample.latency_counts, 0) < 0 else sample
