"""What a long run's figures are made of: looks at a job, by tenths of its log."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import long, page
from tests.bench.figures import processor_seconds, seconds_of_all
from tests.bench.long import Long, Sample, Tenth, tenths

#: An event costs 100 us on the wall and 150 of processors, twice as much behind the middle; memory follows the log.
LOOKS = [
    Sample(wall, wall * 1.5, 100 + events / 10_000, 50.0, events)
    for events in range(0, 1_000_001, 10_000)
    for wall in [(events + max(0, events - 500_000)) / 10_000]
]


def test_a_tenth_tells_of_its_own_events() -> None:
    """Cost between two lengths of the log, memory at the later one."""
    found = tenths(LOOKS)
    assert [(100.0, 150.0)] * 5 + [(200.0, 300.0)] * 5 == [(one.wall_us, one.processor_us) for one in found]
    assert [110.0, 120.0, 200.0] == [found[place].deciding_mib for place in (0, 1, -1)]
    assert {50.0} == {one.others_mib for one in found}


def test_the_most_memory_of_a_tenth_counts() -> None:
    """Whether or not somebody looks just when much is held, as while a snapshot is taken, must not be chance."""
    high = LOOKS[33]._replace(deciding_mib=500.0, others_mib=20.0)
    found = tenths([*LOOKS[:33], high, *LOOKS[34:]])
    assert [(130.0, 50.0), (500.0, 20.0), (150.0, 50.0)] == [
        (one.deciding_mib, one.others_mib) for one in found[2:5]
    ]


def test_the_last_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run tells of the machine as much as of the work: an aim is met where each of them meets it."""
    monkeypatch.setattr(long, "KEPT", tmp_path / "measured" / "long.json")
    assert ([], {}) == (long.kept(), long.figures())
    flat = [Tenth(100.0, 100.0, 50.0, 50.0)] * 10
    for last, commit in ((300.0, "a"), (120.0, "b"), (100.0, "c")):
        ending = [*flat[:-1], Tenth(100.0, last, 50.0, 60.0)]
        long.keep(Long("2026-01-01", commit, "2 x it", 1_000_000, 1_000, 20_000_000, 500.0, ending))
    assert ["c", "b"] == [run.commit for run in long.kept()]
    assert (1.1, 1.1) == (long.figures()["long_cost_flatness"], long.figures()["long_memory_growth"])
    told = "\n".join(page.long_run(*long.kept()))
    assert "A run before it, of commit `b`, found 1.20 and 1.10." in told


def test_too_few_looks_tell_nothing() -> None:
    """A tenth without a look of its own would be made up."""
    with pytest.raises(SystemExit, match="more payments"):
        tenths(LOOKS[:29])


def test_the_page_tells_what_was_measured() -> None:
    """Growth and flatness are those of the tenths."""
    found = Long("2026-01-01", "c" * 40, "2 x it", 1_000_000, 1_000, 20_000_000, 500.0, tenths(LOOKS))
    assert (2.0, 250 / 200) == (found.flatness, found.growth)
    told = "\n".join(page.long_run(found))
    assert "costs 2.00 of what it costs in the second one" in told
    assert "second half is 1.25 of the most" in told
    assert "\n| 10 | 200.0 | 300.0 | 200 | 50 |" in told


#: Lets a process of its own take half a second of a core, tells when that has ended, and waits.
_ENDED_CHILD = """
import multiprocessing, time
def work():
    while time.process_time() < 0.5: pass
child = multiprocessing.get_context("fork").Process(target=work)
child.start(); child.join(); print(flush=True); input()
"""


def test_who_has_ended_is_counted() -> None:
    """The projector ends before the last look, and what it has taken was taken all the same."""
    command = [sys.executable, "-c", _ENDED_CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        # The system counts in hundredths, and rounds each part down.
        assert seconds_of_all(process.pid) - processor_seconds(process.pid) > 0.4
        process.communicate("\n")
