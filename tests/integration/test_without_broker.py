"""Processes that are told to end while their broker has gone: they end, and say so in one sentence or none."""

import os
import signal
from pathlib import Path

from infra.commandline import OK, UNAVAILABLE
from infra.kafka.broker import start, status, stop
from infra.supervisor import Supervisor
from tests.integration.houses import living, new_job

#: A question to the broker may take half a minute; the rest is the end of a process on a starved machine.
END_SECONDS = 120


def test_whoever_is_stopped_without_a_broker_ends(machine: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "kafka"
    job = new_job(start(data, machine).bootstrap, tmp_path, partitions=1)
    log = ["--log", job.cluster.address]
    try:
        with living(job) as (house, path, _):
            own = {name: [*log, "--state", str(job.state / name)] for name in ("adapter", "counterparties")}
            house.start(
                "worker",
                "worker",
                *log,
                "--partitions",
                "1",
                "--keys",
                str(job.keys),
                "--state",
                str(tmp_path / "w"),
            )
            house.start(
                "publisher", "publish", str(path), *log, "--keys", str(job.keys), "--clock", "wall", "--now"
            )
            for name, arguments in own.items():
                house.start(name, name, *arguments, "--seed", str(job.seed))
            while not house.ended("publisher"):
                house.look()
            (broker,) = status(data, machine).brokers
            os.kill(broker.pid, signal.SIGKILL)
            codes = {name: _ended(house, name) for name in own}
            said = {name: house.members[name].output.read_text() for name in own}
    finally:
        stop(data, machine)
    # One that was about to commit is in doubt; one that was not is done.
    assert set(codes.values()) <= {OK, UNAVAILABLE}, said
    assert [] == [name for name, text in said.items() if "Traceback" in text]


def _ended(house: Supervisor, name: str) -> int:
    process = house.members[name].process
    assert process is not None
    process.terminate()
    return process.wait(END_SECONDS)
