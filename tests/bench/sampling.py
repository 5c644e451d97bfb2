"""Where the processor's time goes: the main thread's stack, looked at every millisecond of processor time.

Good for shares of seconds, and for nothing smaller. A look costs some microseconds, so what is sampled is not timed.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_EVERY_SECONDS: Final = 0.001
#: Whose time it is, by where the innermost frame of ours lies; the first that fits. What a library in C does counts
#: to whoever called it.
PARTS: Final = {
    "events/_codec.py": "codec",
    "events/binary.py": "codec",
    "events/wire.py": "codec",
    "events/": "money, identity, accounts",
    "streams/hosts/engine.py": "engine",
    "streams/hosts/ticks.py": "engine",
    "streams/hosts/": "hosts: admission, chain, log",
    "streams/features/rules/": "rules",
    "streams/features/": "features: velocity, model, days",
    "streams/edge/": "simulated outside, publisher",
    "streams/handovers.py": "hand-overs",
    "streams/": "processors",
}
OTHER: Final = "other"


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """Looks by part; of the main thread, while the block lasts."""
    found = Counter[str]()

    def look(_: int, frame: FrameType | None) -> None:
        found[_part(frame)] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def shares(found: Counter[str]) -> dict[str, float]:
    """Thousandths as fractions, the largest first."""
    total = found.total() or 1
    return {part: round(count / total, 3) for part, count in found.most_common()}


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(str(ROOT)):
            inside = path[len(str(ROOT)) + 1 :]
            return next((part for place, part in PARTS.items() if inside.startswith(place)), OTHER)
        frame = frame.f_back
    return OTHER
