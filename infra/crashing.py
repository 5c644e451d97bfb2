"""Where a process is to die, for those who want to see what becomes of it: a named point and how often to pass it.

``TALLYSTICK_CRASH_AT=after-produce:3`` kills the process, as ``kill -9`` does, when it is there for the third time.
"""

import os
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


def reach_of(environment: Mapping[str, str]) -> Callable[[str], None]:
    """What a process tells of the points that it reaches. Raises Refused for a point that there is not."""
    given = environment.get(VARIABLE)
    if not given:
        return lambda _: None
    point, colon, times = given.partition(":")
    if point not in POINTS or (colon and not times.isdecimal()):
        raise Refused(
            f"{VARIABLE} has the form POINT:TIMES with a point of {', '.join(POINTS)}, not {given!r}"
        )
    wanted, passed = int(times or 1), Counter[str]()

    def reach(here: str) -> None:
        passed[here] += 1
        if here == point and passed[here] == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return reach
