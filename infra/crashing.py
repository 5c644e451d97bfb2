"""Where a process is to die, for those who want to see what becomes of it: a named point and how often to pass it.

``TALLYSTICK_CRASH_AT=after-produce:3`` kills the process, as ``kill -9`` does, when it is there for the third time;
``after-produce:3:stop`` freezes it there, until somebody sends SIGCONT.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from events.errors import Refused

VARIABLE: Final = "TALLYSTICK_CRASH_AT"

#: Where whoever commits to Kafka can be killed, in the order in which it comes by.
POINTS: Final = (
    "after-fence",
    "after-restore",
    "after-produce",
    "after-offsets",
    "after-commit",
    "after-journal",
    "after-wire",
    "after-replies",
    "after-group",
)
_FORM: Final = re.compile(r"([a-z-]+)(?::(\d+))?(?::(stop))?")


def reach_of(environment: Mapping[str, str]) -> Callable[[str], None]:
    """What a process tells of the points that it reaches. Raises Refused for a point that there is not."""
    given = environment.get(VARIABLE)
    if not given:
        return lambda _: None
    found = _FORM.fullmatch(given)
    if found is None or found[1] not in POINTS:
        points = ", ".join(POINTS)
        raise Refused(
            f"{VARIABLE} has the form POINT:TIMES or POINT:TIMES:stop with a point of {points}, not {given!r}"
        )
    point, wanted = found[1], int(found[2] or 1)
    number = signal.SIGSTOP if found[3] else signal.SIGKILL
    passed = Counter[str]()

    def reach(here: str) -> None:
        passed[here] += 1
        if here == point and passed[here] == wanted:
            os.kill(os.getpid(), number)

    return reach
