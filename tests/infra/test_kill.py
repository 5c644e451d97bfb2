"""The job, killed, interrupted, crowded and out of disk: it goes on where its log ends, to the undisturbed result.

Moments are drawn by how far the log has grown, never by the clock. ``KILL_SEED`` repeats a run.
"""

import os
import signal
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.infra.runs import (
    Done,
    Place,
    children,
    complaint,
    copy,
    ended,
    grown,
    kill_all,
    next_look,
    records,
)

ARGUMENTS = ("--payments", "80", "--seed", "11")
SEED = int(os.environ["KILL_SEED"])
KILLS_OF_EACH = 4


class Undisturbed:
    """The run that all others must come to."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.done = place.demo(*ARGUMENTS)
        self.records = records(place.log)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    made = Undisturbed(Place(tmp_path_factory.mktemp("undisturbed")))
    assert made.done.code == 0, made.done.err
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def projector_of(process: "subprocess.Popen[str]") -> int:
    """The projector that a job has started: waited for while the job lives."""
    while process.poll() is None:
        found = children(process)
        if found:
            return found[0]
        next_look(process)
    raise AssertionError(f"the job has ended without a projector: {ended(process)}")


def kill(process: "subprocess.Popen[str]", victim: str) -> Done:
    """Kill the job, its projector or both; how the job ended."""
    match victim:
        case "projector":
            os.kill(projector_of(process), signal.SIGKILL)
        case "job":
            process.kill()
        case _:
            kill_all(process)
    if victim == "projector":
        return ended(process)
    # An orphaned projector has the pipes a moment longer. It is not waited for: the next job shall meet it.
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    return Done(process.wait(), "", "")


def test_killed_at_random_moments(place: Place, undisturbed: Undisturbed) -> None:
    """Job, projector and both, four times each in any order, and once near the end: nothing is lost or doubled."""
    print(f"KILL_SEED={SEED}")
    random = Random(SEED)
    victims = ["job", "projector", "both"] * KILLS_OF_EACH
    random.shuffle(victims)
    step = undisturbed.records // (len(victims) + 2)
    for number, victim in enumerate(victims):
        process = place.start_demo(*ARGUMENTS)
        target = records(place.log) + random.randrange(1, step)
        assert grown(process, place.log, target), ended(process)
        done = kill(process, victim)
        if victim == "projector":
            assert done.code == 3
            assert "the projector ended with exit code -9" in complaint(done)
            assert "run the same command again" in done.err
        else:
            assert done.code == -signal.SIGKILL
        if number == len(victims) // 2:
            assert place.verify().code == 0
    process = place.start_demo(*ARGUMENTS)
    if grown(process, place.log, undisturbed.records - random.randrange(step)):
        kill(process, "both")
    last = place.demo(*ARGUMENTS)
    assert last.code == 0, last.err
    assert last.told["resumed"]
    assert last.outcome == undisturbed.done.outcome
    assert place.verify().told["state_digest"] == last.told["state_digest"]


@pytest.mark.parametrize("whom", ["job", "terminal"])
def test_interrupted(place: Place, undisturbed: Undisturbed, whom: str) -> None:
    """SIGINT, to the job alone or as a terminal sends it, ends with 130 and one word; the run can be gone on with."""
    process = place.start_demo(*ARGUMENTS)
    assert grown(process, place.log, Random(SEED).randrange(1, undisturbed.records // 2))
    if whom == "job":
        process.send_signal(signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    done = ended(process)
    assert (done.code, done.out, done.err.strip()) == (130, "", "tallystick: interrupted")
    assert 0 < records(place.log) < undisturbed.records
    assert place.verify().code == 0
    assert place.demo(*ARGUMENTS).outcome == undisturbed.done.outcome


@pytest.mark.parametrize("largest_file", [100_000, 2_000_000])
def test_a_full_disk(place: Place, undisturbed: Undisturbed, largest_file: int) -> None:
    """Where the log cannot be written any more the job says so and ends with 3; with room again it goes on."""
    done = place.demo(*ARGUMENTS, largest_file=largest_file)
    assert done.code == 3
    assert "log.db cannot be written" in complaint(done)
    assert records(place.log) < undisturbed.records
    last = place.demo(*ARGUMENTS)
    assert last.code == 0, last.err
    assert last.outcome == undisturbed.done.outcome


def test_a_full_disk_under_the_store(place: Place, undisturbed: Undisturbed) -> None:
    """The projector cannot write what the log holds: that ends with 3 too, and goes on with room again."""
    copy(undisturbed.place, place)
    place.store.unlink()
    done = place.demo(*ARGUMENTS, largest_file=1_000_000)
    assert done.code == 3
    assert "store.duckdb cannot be written" in complaint(done)
    assert place.demo(*ARGUMENTS).outcome == undisturbed.done.outcome


def test_two_jobs_on_one_log(place: Place, undisturbed: Undisturbed) -> None:
    """Who comes second is told so and changes nothing, --fresh or not; the first does not notice."""
    first = place.start_demo(*ARGUMENTS)
    assert grown(first, place.log, 1)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        for more in ((), ("--fresh",)):
            second = place.demo(*ARGUMENTS, *more)
            assert second.code == 3
            assert f"another process ({first.pid}) is writing the log" in complaint(second)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    done = ended(first)
    assert done.code == 0, done.err
    assert done.outcome == undisturbed.done.outcome
    assert place.verify().code == 0
