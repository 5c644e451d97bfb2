"""What operators do to a house that is at work: scale it, roll a release over it, move it to another disk."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.calendar import HOUR
from infra.clusterjob import make_topics, start_house, worker_command
from infra.commandline import USAGE
from infra.kafka.broker import start, stop
from infra.kafka.client import administering
from infra.supervisor import Supervisor
from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from tests.integration.houses import calm_digest, living, new_job, until_done
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("events", "infra", "projections", "schemas", "streams")
OF_ANOTHER_TREE = "of another tree"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the input and the calm run's keys."""
    return tmp_path_factory.mktemp("day")


class Steps:
    """What is done to a house, each step when all workers have come up and some more ticks have passed."""

    def __init__(self, house: Supervisor, *steps: Callable[[], object]) -> None:
        self.left = list(steps)
        self._house = house
        self._next = 2

    def __call__(self, tick: int) -> None:
        workers = [member for name, member in self._house.members.items() if name.startswith("worker")]
        if self.left and tick >= self._next and all(member.said() for member in workers):
            self.left.pop(0)()
            self._next = tick + 1


def test_a_release_is_rolled_over_the_workers_under_load(kafka: str, tmp_path: Path, day: Path) -> None:
    """One after the other is told to stop and started from another tree, while its neighbour goes on."""
    release = tmp_path / "release"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, release / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (release / "infra" / "__init__.py").open("a") as file:
        file.write(f"import sys\nprint({OF_ANOTHER_TREE!r}, file=sys.stderr)\n")
    job = replace(new_job(kafka, tmp_path, partitions=2, workers=2), tail=4 * HOUR)
    run_file = job.state / "run.json"
    # Nothing of the folder that we stand in.
    environment = {"PYTHONPATH": str(release), "PYTHONSAFEPATH": "1"}

    def renew(house: Supervisor, name: str) -> None:
        house.stop(name)
        house.start(name, *worker_command(job, name, run_file), environment=environment)

    with living(job) as (house, path, run):
        steps = Steps(house, lambda: renew(house, "worker-1"), lambda: renew(house, "worker-2"))
        start_house(job, house, path, run)
        ran = until_done(job, house, run, steps)
        said = {name: member.output.read_text() for name, member in house.members.items()}
    assert steps.left == []
    assert {name for name, words in said.items() if OF_ANOTHER_TREE in words} == {"worker-1", "worker-2"}
    assert ran.digest == calm_digest(day, tail=4 * HOUR)
    assert ran.complaints == []


class Halfway(Exception):
    """Enough has been done."""


def halfway(tick: int) -> None:
    """End the watch in the middle; soon, for a house that has nothing else beside it runs through its ticks at once."""
    if tick >= 1:
        raise Halfway


def test_a_log_is_backed_up_and_restored_with_its_broker(
    machine: dict[str, str], tmp_path: Path, day: Path
) -> None:
    """A cold copy of the broker's folder is the log, with everything that anybody had read of it."""
    data, copy = tmp_path / "kafka", tmp_path / "backup"
    job = replace(new_job(start(data, machine).bootstrap, tmp_path, partitions=2), tail=8 * HOUR)
    try:
        with living(job) as (house, path, run):
            start_house(job, house, path, run)
            with pytest.raises(Halfway):
                until_done(job, house, run, halfway)
        stop(data, machine)
        shutil.copytree(data, copy)
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        start(data, machine)
        # What lies beside the log helps, and is not needed: the adapter's journal alone must never be lost with it.
        for snapshots in job.state.glob("worker-*"):
            shutil.rmtree(snapshots)
        with living(job) as (house, path, run):
            start_house(job, house, path, run)
            ran = until_done(job, house, run)
        assert ran.digest == calm_digest(day, tail=8 * HOUR)
        with closing(KafkaLog(job.cluster)) as log:
            assert state_digest(verify(log).summaries) == ran.digest
    finally:
        stop(data, machine)


def test_a_house_that_was_stopped_halfway_can_be_verified(kafka: str, tmp_path: Path) -> None:
    """Whoever serves ends with code 0 when told to, and what is left is one whole log."""
    job = replace(new_job(kafka, tmp_path, partitions=2), tail=8 * HOUR)
    with living(job) as (house, path, run):
        start_house(job, house, path, run)
        with pytest.raises(Halfway):
            until_done(job, house, run, halfway)
        house.stop()
        codes = {name: member.process.returncode for name, member in house.members.items() if member.process}
    del codes["publisher"]  # Done, interrupted, or just ending.
    assert codes == dict.fromkeys(codes, 0)
    with closing(KafkaLog(job.cluster)) as log:
        assert verify(log).partitions == 2


def test_a_worker_refuses_topics_on_which_records_would_be_lost(kafka: str, tmp_path: Path) -> None:
    job = new_job(kafka, tmp_path, partitions=2)
    make_topics(job)
    topic = job.cluster.topic("payments")

    async def keep_a_week() -> None:
        async with administering(kafka) as client:
            kind = ConfigResourceType.TOPIC
            await client.alter_configs([ConfigResource(kind, topic, configs={"retention.ms": "604800000"})])

    asyncio.run(keep_a_week())
    command = [sys.executable, "-m", "infra.cli", "worker", "--log", job.address, "--partitions", "2"]
    done = subprocess.run(
        [*command, "--state", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == USAGE
    assert f"the topic {topic} has" in done.stderr
    done = subprocess.run(
        [*command[:-1], "3", "--state", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == USAGE
    assert "has partitions=2, not 3" in done.stderr
