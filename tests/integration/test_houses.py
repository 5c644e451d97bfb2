"""The whole house on a real broker: the same money as in one process, whoever shares the work and whoever dies."""

import random
import re
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from events.calendar import HOUR
from infra.clusterjob import start_house
from infra.commandline import UNAVAILABLE
from infra.crashing import VARIABLE
from infra.projecting import Projecting
from infra.stores import reading
from projections.report import report
from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from tests.integration.houses import (
    calm_digest,
    calm_ledger_digest,
    living,
    new_job,
    run_house,
    until_done,
)


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the input and the calm run's keys."""
    return tmp_path_factory.mktemp("day")


@pytest.mark.parametrize(("partitions", "workers", "batch"), [(1, 2, 3), (4, 1, 64), (4, 2, None)])
def test_the_digests_do_not_depend_on_who_shares_the_work(
    kafka: str, tmp_path: Path, day: Path, partitions: int, workers: int, batch: int | None
) -> None:
    ran = run_house(new_job(kafka, tmp_path, partitions=partitions, workers=workers, batch=batch))
    assert ran.digest == calm_digest(day)
    assert ran.restarted == []
    with closing(KafkaLog(ran.job.cluster)) as log:
        found = verify(log)
    assert state_digest(found.summaries) == ran.digest
    assert found.partitions == partitions


#: Every process dies once in a run, each at a point of its own; together the runs go through all points.
DEATHS = [
    {
        "worker-1": point,
        "worker-2": "after-commit:5",
        "counterparties": edge,
        "adapter": line,
        "publisher": out,
    }
    for point, edge, line, out in [
        ("after-fence", "after-produce:3", "after-journal", "after-produce:2"),
        ("after-restore", "after-offsets:2", "after-wire", "after-fence"),
        ("after-produce:4", "after-commit:4", "after-replies", "after-commit:3"),
        ("after-offsets:6", "after-fence:2", "after-group", "after-produce:5"),
        ("after-commit:3", "after-restore", "after-wire:2", "after-commit:1"),
    ]
]


@pytest.mark.parametrize("deaths", DEATHS, ids=lambda deaths: deaths["worker-1"].replace(":", "-"))
def test_whoever_is_killed_at_a_point_costs_nothing(
    kafka: str, tmp_path: Path, day: Path, deaths: dict[str, str]
) -> None:
    job = new_job(kafka, tmp_path, partitions=2, workers=2)
    with living(job, restart_killed=True) as (house, path, run):
        start_house(job, house, path, run, {name: {"TALLYSTICK_CRASH_AT": at} for name, at in deaths.items()})
        ran = until_done(job, house, run)
    assert ran.digest == calm_digest(day)
    # An index, or a clearing house, that had nothing to do at its point did not die there; the others did.
    assert {"worker-1", "publisher"} <= set(ran.restarted) <= set(deaths)


def test_whoever_is_killed_at_any_moment_costs_nothing(kafka: str, tmp_path: Path, day: Path) -> None:
    job = replace(new_job(kafka, tmp_path, partitions=2, workers=2), tail=4 * HOUR)
    chance = random.Random(11)
    killed: list[str] = []
    next_at = 2

    with living(job, restart_killed=True) as (house, path, run):
        start_house(job, house, path, run)
        left = sorted(house.members)
        chance.shuffle(left)

        def kill_somebody(tick: int) -> None:
            nonlocal next_at
            if left and tick >= next_at:
                next_at = tick + chance.randrange(1, 6)
                process = house.members[left[0]].process
                assert process is not None
                if process.poll() is None:
                    process.kill()
                    killed.append(left[0])
                left.pop(0)

        ran = until_done(job, house, run, kill_somebody)
    assert ran.digest == calm_digest(day, tail=4 * HOUR)
    assert len(killed) >= 4, "a publisher may have been done"
    # The last one may have died when nothing was left to do.
    assert set(killed[:-1]) <= set(ran.restarted) <= set(killed)


def test_a_frozen_worker_that_wakes_is_shut_out(kafka: str, tmp_path: Path, day: Path) -> None:
    """Frozen in the middle of a transaction, and woken when somebody else has taken over."""
    job = replace(new_job(kafka, tmp_path, partitions=2, workers=2), tail=4 * HOUR)
    codes: list[int] = []
    frozen_at = -1

    with living(job) as (house, path, run):
        start_house(job, house, path, run, {"worker-1": {VARIABLE: "after-produce:6:stop"}})

        def wake(tick: int) -> None:
            nonlocal frozen_at
            process = house.members["worker-1"].process
            assert process is not None
            if frozen_at < 0 and _is_stopped(process.pid):
                frozen_at = tick
            # Ticks go on, and they need every index: the other one has all of them.
            elif frozen_at >= 0 and not codes and tick >= frozen_at + 10:
                process.send_signal(signal.SIGCONT)
                codes.append(process.wait(60))

        ran = until_done(job, house, run, wake)
        said = house.members["worker-1"].output.read_text()
    assert codes == [UNAVAILABLE]
    assert ran.digest == calm_digest(day, tail=4 * HOUR)
    assert re.search("another process has taken over|did not go through", said), said


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_projector_that_is_killed_shows_every_row_once(kafka: str, tmp_path: Path, day: Path) -> None:
    job = replace(new_job(kafka, tmp_path, partitions=2), tail=HOUR)
    kills = [4, 40, 80]

    with living(job, restart_killed=True) as (house, path, run):
        start_house(job, house, path, run)

        def project_and_kill(tick: int) -> None:
            if "projector" not in house.members:
                if tick > 0:  # There is a log.
                    house.start(
                        "projector", "project", "run", "--log", job.address, "--store", str(job.store)
                    )
            elif kills and tick >= kills[0] and house.members["projector"].said():
                kills.pop(0)
                process = house.members["projector"].process
                assert process is not None
                process.kill()

        ran = until_done(job, house, run, project_and_kill)
        with Projecting(job.address, job.store, job.partitions) as projecting:
            projecting.finish(lambda _done, _of: None)
    assert ran.digest == calm_digest(day, tail=HOUR)
    assert ran.restarted.count("projector") >= 1
    with reading(job.store) as db:
        projected = report(db)
    assert projected.ledger_digest == calm_ledger_digest(day, tail=HOUR)
    counts = projected.counts
    assert counts.payments == counts.authorized + counts.declined + counts.unknown
