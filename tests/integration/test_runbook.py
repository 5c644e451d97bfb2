"""The runbook's blocks, run as its reader would run them: a house is started, asked, stopped, scaled and restored."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.broker import stop
from tests.test_readme import ROOT, check


@pytest.fixture
def desk(machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder. What a page that breaks its word leaves behind in it is ended."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    yield tmp_path
    for note in tmp_path.glob("*.pid"):
        process = Path("/proc", note.read_text().strip())
        if process.exists() and (process / "cwd").resolve() == tmp_path:
            os.kill(int(process.name), signal.SIGKILL)
    stop(tmp_path / "var" / "kafka", machine)


def test_the_runbook_keeps_its_word(desk: Path) -> None:
    check((ROOT / "docs" / "runbook.md").read_text("utf-8"), desk, {"kafka"})
