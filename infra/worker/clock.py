"""The guard of the wall clock: a step of minutes stops the worker until somebody has looked at the clock.

Ticks are seconds of the wall clock, and deadlines hang on ticks: a clock that is set two days ahead would let every
hold expire and every settlement run, in one second and for good. So the wall clock is compared with one that nobody
can set. A step is written down beside the worker's state, for a supervisor that starts the process again would
otherwise lose the finding: a restarted process has nothing to compare with.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.errors import Refused

#: A step of more seconds than this stops the worker. Leap seconds and NTP's slow corrections are far below.
LIMIT_SECONDS: Final = 300.0
#: How old the comparison may get: NTP may slew by 43 seconds a day, which is no step however long we run.
_RENEWED_AFTER_SECONDS: Final = 3_600.0
_FILE: Final = "clock-step"
#: Counts while the machine sleeps, so that a laptop that was closed is no step. Elsewhere than on Linux it is one.
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Seconds = Callable[[], float]


def unsettable() -> float:
    """Seconds of a clock that nobody can set."""
    return time.clock_gettime(_BOOT_CLOCK)


class ClockGuard:
    """Compares the wall clock with one that cannot be set; ``folder`` is where a step is remembered."""

    def __init__(self, folder: Path, wall: Seconds = time.time, steady: Seconds = unsettable) -> None:
        self._file = folder / _FILE
        self._wall = wall
        self._steady = steady
        self._reference = wall() - steady()
        self._renewed = steady()
        #: How far the wall clock has moved against the other since the last comparison was begun.
        self.step_seconds = 0.0

    def admit(self, *, confirmed: bool) -> None:
        """Called at the start. Raises Refused where a step has stopped the worker and nobody has confirmed it."""
        if confirmed:
            self._file.unlink(missing_ok=True)
        elif self._file.exists():
            raise Refused(f"{self._file.read_text('utf-8').strip()}; {_ADVICE}")

    def check(self) -> None:
        """Called every second. Raises Refused, after writing it down, when the wall clock has been set."""
        steady = self._steady()
        offset = self._wall() - steady
        self.step_seconds = offset - self._reference
        if abs(self.step_seconds) > LIMIT_SECONDS:
            finding = self._finding()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(finding + "\n", "utf-8")
            raise Refused(f"{finding}; {_ADVICE}")
        if steady - self._renewed > _RENEWED_AFTER_SECONDS:
            self._reference, self._renewed = offset, steady

    def _finding(self) -> str:
        direction = "ahead" if self.step_seconds > 0 else "back"
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="seconds")
        return f"the wall clock was set {direction} by {abs(self.step_seconds):.0f} s, to {now}"


_ADVICE: Final = (
    "no tick has passed since: set the clock right, or see that it is, and start again with --confirm-clock"
)
