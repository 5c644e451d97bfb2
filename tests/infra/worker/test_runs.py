"""What a worker is told of the run that its log is opened for."""

from pathlib import Path

import pytest

from events.errors import Refused
from events.partitions import ClockKind
from infra.worker import runs
from streams.hosts.clocks import WallClock
from streams.hosts.index import Run

VIRTUAL = Run(2, ClockKind.VIRTUAL, 1_772_400_000_000_000, 86_460, '{"input_sha256":"00","seed":1}')


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    """All workers of a house are given the same."""
    runs.save(tmp_path / "run.json", VIRTUAL)
    assert VIRTUAL == runs.load(tmp_path / "run.json", 2)


def test_a_run_that_is_not_meant_is_refused(tmp_path: Path) -> None:
    """Each with the file's name."""
    path = tmp_path / "run.json"
    with pytest.raises(Refused, match="cannot be read: No such file"):
        runs.load(path, 2)
    path.write_text("{}", "utf-8")
    with pytest.raises(Refused, match="does not hold a run"):
        runs.load(path, 2)
    runs.save(path, VIRTUAL)
    with pytest.raises(Refused, match="a run with 2 partitions, not 3"):
        runs.load(path, 3)
    runs.save(path, runs.wall_run(2, WallClock()))
    with pytest.raises(Refused, match="a run in wall time"):
        runs.load(path, 2)


def test_a_run_on_the_wall_names_its_clock() -> None:
    """A log that lives by another clock is refused by this."""
    run = runs.wall_run(4, WallClock(7, 60))
    assert (4, ClockKind.WALL) == (run.partitions, run.clock)
    assert WallClock(7, 60) == WallClock.of(run.arguments)
