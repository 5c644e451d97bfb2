"""A broker that wants TLS and a password: every process gets in by ``--kafka-config``, and only by the right one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from infra.clusterjob import start_house
from infra.commandline import OK, UNAVAILABLE
from infra.kafka.broker import stop
from streams.hosts.cluster import Cluster
from tests.integration.conftest import why_not
from tests.integration.houses import calm_digest, living, new_job, until_done
from tests.integration.secured import (
    PASSWORD,
    WRONG,
    Secured,
    authority,
    client_settings,
    start_secured,
)
from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker of our own, whoever else runs one."""
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    assert why_not(environment) == ""
    folder = tmp_path_factory.mktemp("secured")
    try:
        yield start_secured(folder, environment)
    finally:
        stop(folder / "kafka", environment)


def tallystick(*arguments: str | Path) -> tuple[int, str]:
    """The exit code of a command, and everything that it said."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_house_behind_tls_and_a_password(
    secured: Secured, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = new_job(secured.plain, tmp_path, partitions=2)
    cluster = Cluster.parse(f"kafka://{secured.bootstrap}/{job.cluster.prefix}", secured.config)
    job = replace(job, cluster=cluster, kafka_config=secured.config)
    with_config = ["--kafka-config", secured.config]
    at = ["--bootstrap", secured.bootstrap, "--prefix", cluster.prefix, *with_config]
    assert OK == tallystick("topics", "create", *at, "--partitions", "2")[0]
    assert OK == tallystick("topics", "check", *at)[0]
    with living(job) as (house, path, run):
        projector = house.start(
            "projector",
            "project",
            "run",
            "--log",
            cluster.address,
            "--store",
            str(job.store),
            *map(str, with_config),
        )
        start_house(job, house, path, run)
        ran = until_done(job, house, run)
        said = "".join(member.output.read_text() for member in house.members.values())
    assert ran.digest == calm_digest(tmp_path_factory.mktemp("day"))
    assert ran.complaints == []
    assert projector.process is not None
    assert projector.process.returncode == OK
    log = ["--log", cluster.address, *with_config]
    code, verified = tallystick("replay", "--verify", *log)
    assert OK == code, verified
    code, listed = tallystick("dead-letters", "list", *log)
    assert OK == code, listed
    assert PASSWORD not in said + verified + listed


@pytest.fixture(scope="module")
def elsewhere(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Settings that do not get in, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    ours = secured.config.parent / "authority" / "ca.pem"
    other, _ = authority(folder / "authority")
    plaintext = folder / "plaintext"
    plaintext.write_text("security.protocol=PLAINTEXT\n")
    return {
        "password": client_settings(folder / "password", ours, WRONG),
        "authority": client_settings(folder / "other", other, PASSWORD),
        "protocol": plaintext,
    }


WHY: Final = {
    "password": "it does not accept this user and password",
    "authority": "its certificate is not to be trusted",
    "protocol": "it hangs up (where it wants TLS: see security.protocol)",
}
COMMANDS: Final = [
    "worker",
    "adapter",
    "counterparties",
    "project run",
    "replay --verify",
    "dead-letters list",
    "registry serve --port 0",
    "demo --payments 1",
]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        *((command, "password") for command in COMMANDS),
        *((command, wrong) for command in COMMANDS[:2] for wrong in ("authority", "protocol")),
    ],
)
def test_whoever_does_not_get_in_says_why(
    secured: Secured, elsewhere: dict[str, Path], tmp_path: Path, command: str, wrong: str
) -> None:
    """In its last sentence, with the exit code of what may be otherwise later, and without the password."""
    own = {
        "worker": ["--keys", tmp_path / "keys", "--state", tmp_path],
        "adapter": ["--state", tmp_path],
        "counterparties": ["--state", tmp_path],
        "project run": ["--store", f"duckdb:{tmp_path}/store.duckdb"],
        "demo --payments 1": ["--store", f"duckdb:{tmp_path}/store.duckdb"],
    }
    log = ["--log", f"kafka://{secured.bootstrap}/test-outside", "--kafka-config", elsewhere[wrong]]
    code, said = tallystick(*command.split(), *log, *own.get(command, []))
    assert UNAVAILABLE == code, said
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"tallystick: no answer from Kafka at {secured.bootstrap}: {WHY[wrong]}")
    assert PASSWORD not in said
    assert WRONG not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("wrong", ["password", "authority", "protocol"])
def test_topics_are_not_shown_to_whoever_does_not_get_in(
    secured: Secured, elsewhere: dict[str, Path], wrong: str
) -> None:
    at = ["--bootstrap", secured.bootstrap, "--prefix", "test-outside", "--kafka-config", elsewhere[wrong]]
    for command in ("check", "create"):
        code, said = tallystick("topics", command, *at)
        assert (UNAVAILABLE, True) == (code, WHY[wrong] in said), said
