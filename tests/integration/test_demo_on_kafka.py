"""``tallystick demo`` on Kafka, as somebody calls it: the same money as in a file, also when it was killed."""

import json
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.clusterjob import last_tick
from infra.kafka.topics import create
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog
from tests.infra.runs import VOLATILE
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]


def demo(folder: Path, log: str, *more: str) -> "subprocess.Popen[str]":
    """The main job, begun in a folder."""
    arguments = ["demo", "--payments", "120", "--seed", "5", "--partitions", "1", "--json", "--log", log]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "infra.cli",
            *arguments,
            "--store",
            f"duckdb:{folder / 'store.duckdb'}",
            *more,
        ],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What it says at its end, which is good."""
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def business(said: dict[str, Any]) -> dict[str, Any]:
    """What two runs of one input must agree on."""
    return {name: value for name, value in said.items() if name not in VOLATILE}


def test_the_same_money_on_kafka_as_in_a_file(kafka: str, tmp_path: Path) -> None:
    in_file, on_kafka = tmp_path / "file", tmp_path / "kafka"
    for folder in (in_file, on_kafka):
        folder.mkdir()
    embedded = told(demo(in_file, f"sqlite:{in_file / 'log.db'}"))

    cluster = Cluster(kafka, f"test-{uuid.uuid4().hex[:8]}")
    create(kafka, cluster.prefix, 1)
    first = demo(on_kafka, cluster.address)
    with closing(KafkaLog(cluster)) as log:
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while last_tick(log, "payments", 0) < 60:
            assert first.poll() is None
            assert time.monotonic() < patience_ends
            time.sleep(0.2)  # Looking is work for the broker, too.
    first.kill()
    first.communicate()

    resumed = told(demo(on_kafka, cluster.address))
    assert resumed["resumed"]
    assert business(resumed) == business(embedded)
    again = told(demo(on_kafka, cluster.address))
    assert again["already_finished"]
    assert business(again) == business(embedded)
