"""What a log is opened for, as a worker is told: from a file in virtual time, from the clock in wall time."""

from pathlib import Path
from typing import Final

import msgspec

from events.errors import Refused
from events.partitions import ClockKind
from streams.hosts.clocks import WallClock
from streams.hosts.index import Run

#: In wall time no tick is the last one.
_NO_LAST_TICK: Final = 0


def wall_run(partitions: int, clock: WallClock) -> Run:
    """A run on the clock on the wall. ``opened_at`` is the moment at which an index opens its logs."""
    return Run(partitions, ClockKind.WALL, 0, _NO_LAST_TICK, clock.arguments)


def save(path: Path, run: Run) -> None:
    """Write a run for the workers of a house."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")


def load(path: Path, partitions: int) -> Run:
    """A run in virtual time, as :func:`save` has written it. Raises Refused."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise Refused(f"the run {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise Refused(f"{path} does not hold a run: {error}") from error
    if run.clock is not ClockKind.VIRTUAL:
        raise Refused(f"{path} is of a run in {run.clock} time: a worker is given one in virtual time")
    if run.partitions != partitions:
        raise Refused(f"{path} is of a run with {run.partitions} partitions, not {partitions}")
    return run
