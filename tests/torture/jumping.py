"""``tallystick`` on a machine whose wall clock is set while it runs: ``python -m tests.torture.jumping FILE ...``.

FILE holds by how many seconds the clock is wrong; SIGUSR1 says that it has changed. The steady clocks stay as they are.
The machine's own clock is everybody's, so it is ours that goes wrong.
"""

import signal
import sys
import time
from pathlib import Path

from infra.cli import main

_NANOSECONDS = 1_000_000_000


def jump(file: Path) -> None:
    """From now on the wall clock of this process shows what the file says."""
    wall, wall_ns = time.time, time.time_ns
    offset = int(file.read_text())

    def look(*_: object) -> None:
        nonlocal offset
        offset = int(file.read_text())

    signal.signal(signal.SIGUSR1, look)
    time.time = lambda: wall() + offset
    time.time_ns = lambda: wall_ns() + offset * _NANOSECONDS


if __name__ == "__main__":
    _, name, *sys.argv[1:] = sys.argv
    jump(Path(name))
    raise SystemExit(main())
