"""Where a process is to die, for those who want to see what becomes of it: a named point and how often to pass it.

``TALLYSTICK_CRASH_AT=after-produce:3`` kills the process, as ``kill -9`` does, when it is there for the third time;
``after-produce:3:stop`` freezes it there, until somebody sends SIGCONT. Several stand with commas between them.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from events.errors import Refused

VARIABLE: Final = "TALLYSTICK_CRASH_AT"

#: Where each process can be killed, in the order in which it comes by. A worker and the counterparties fence, restore
#: and commit to Kafka; the publisher finds out where it was without a name for it; the adapter has its journal; the
#: projector commits rows and its position to the store.
POINTS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "worker": ("after-fence", "after-restore", "after-produce", "after-offsets", "after-commit"),
    "counterparties": ("after-fence", "after-restore", "after-produce", "after-offsets", "after-commit"),
    "publisher": ("after-fence", "after-produce", "after-offsets", "after-commit"),
    "adapter": ("after-journal", "after-wire", "after-replies", "after-group"),
    "projector": ("after-rows", "after-position", "after-commit"),
}
POINTS: Final = tuple(dict.fromkeys(point for points in POINTS_OF.values() for point in points))
_FORM: Final = re.compile(r"([a-z-]+)(?::(\d+))?(?::(stop))?")


def reach_of(environment: Mapping[str, str]) -> Callable[[str], None]:
    """What a process tells of the points that it reaches. Raises Refused for a point that there is not."""
    given = environment.get(VARIABLE)
    if not given:
        return lambda _: None
    blows: dict[tuple[str, int], signal.Signals] = {}
    for one in given.split(","):
        found = _FORM.fullmatch(one)
        if found is None or found[1] not in POINTS:
            points = ", ".join(POINTS)
            raise Refused(
                f"{VARIABLE} has the form POINT:TIMES or POINT:TIMES:stop with a point of {points}, not {one!r}"
            )
        blows[found[1], int(found[2] or 1)] = signal.SIGSTOP if found[3] else signal.SIGKILL
    passed = Counter[str]()

    def reach(here: str) -> None:
        passed[here] += 1
        number = blows.get((here, passed[here]))
        if number is not None:
            os.kill(os.getpid(), number)

    return reach
