"""A broker that vanishes while a worker restores: the worker ends, with the code of what may be had later."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from infra.clusterjob import ClusterJob, start_house, worker_command
from infra.commandline import UNAVAILABLE
from infra.kafka.broker import start, status, stop
from tests.integration.houses import living, new_job, until_done

#: A second's worth of restoring, and more.
PAYMENTS: Final = 800
#: Half a minute is what one question may take; the rest is the end of a process on a starved machine.
END_SECONDS: Final = 120


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClusterJob, Path, dict[str, str]]]:
    """A log with something to restore, on a broker of its own: its job, the broker's folder, the environment."""
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    folder = tmp_path_factory.mktemp("vanishing")
    data = folder / "kafka"
    try:
        job = replace(new_job(start(data, environment).bootstrap, folder, partitions=1), payments=PAYMENTS)
        with living(job) as (processes, path, run):
            start_house(job, processes, path, run)
            until_done(job, processes, run)
        yield job, data, environment
    finally:
        stop(data, environment)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_worker_that_restores_does_not_wait_for_ever(
    house: tuple[ClusterJob, Path, dict[str, str]], tmp_path: Path, how: signal.Signals
) -> None:
    job, data, environment = house
    start(data, environment)
    (broker,) = status(data, environment).brokers
    # Without its snapshot.
    command = worker_command(replace(job, folder=tmp_path), "worker-1", job.state / "run.json")
    command = [*command, "--keys", str(job.keys), "-v"]
    said = tmp_path / "said"
    with said.open("wb") as output:
        worker = subprocess.Popen([sys.executable, "-m", "infra.cli", *command], stdout=output, stderr=output)
        try:
            while b"indexes of this worker: [0]" not in said.read_bytes():
                assert worker.poll() is None, said.read_text()
                time.sleep(0.01)  # What is waited for takes a second, and we would have a core of it.
            os.kill(broker.pid, how)
            code = worker.wait(END_SECONDS)
        finally:
            if how is signal.SIGSTOP:
                os.kill(broker.pid, signal.SIGCONT)
            worker.kill()
            worker.wait()
    text = said.read_text()
    assert UNAVAILABLE == code, text
    assert "no answer from Kafka" in text.splitlines()[-1] or "cannot begin" in text.splitlines()[-1]
