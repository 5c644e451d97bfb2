"""The projector as a service: started before there is a log, killed on the way, told to stop, and nothing is amiss."""

import signal
from pathlib import Path

from infra.clusterjob import start_house
from infra.commandline import run as tallystick
from infra.projecting import Projecting
from infra.stores import reading
from projections.reading import records
from projections.report import report
from tests.integration.houses import PAYMENTS, living, new_job, until_done


def test_a_store_is_kept_up_with_a_log_that_others_write(kafka: str, tmp_path: Path) -> None:
    job = new_job(kafka, tmp_path, partitions=2)
    address = ["--log", job.cluster.address, "--store", str(job.store)]
    killed = False

    def kill_once(tick: int) -> None:
        nonlocal killed
        if tick >= 4 and not killed:
            killed = True
            house.members["projector"].process.kill()
            house.members["projector"].process.wait()

    with living(job, restart_killed=True) as (house, path, run):
        projector = house.start("projector", "project", "run", *address)
        start_house(job, house, path, run)
        until_done(job, house, run, kill_once)
    assert projector.restarted == [-signal.SIGKILL]
    assert projector.process.returncode == 0
    with reading(job.store) as db:
        by_itself = min(row["events"] for row in records(db, "SELECT events FROM freshness"))
    assert by_itself > 0
    with Projecting(job.cluster.address, job.store, job.partitions) as rest:
        rest.finish(lambda _done, _of: None)
    with reading(job.store) as db:
        counts = report(db).counts
    assert (PAYMENTS, 0, 0) == (counts.payments, counts.ledger_imbalance, counts.open_clearing_residuals)
    # Broken, and so 1, where the rows were not what the log gives.
    assert tallystick(["project", "rebuild", *address]) == 0


def test_without_a_log_it_waits_and_can_be_stopped(kafka: str, tmp_path: Path) -> None:
    job = new_job(kafka, tmp_path, partitions=1)
    with living(job) as (house, _, _):
        waiting = house.start(
            "projector", "project", "run", "--log", job.cluster.address, "--store", str(job.store)
        )
        while "projecting" not in waiting.said():
            house.look()
        house.stop()
    assert waiting.process.returncode == 0
