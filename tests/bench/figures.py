"""What the figures are made with: clocks, memory, percentiles."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from events.errors import TallystickError
from streams.hosts.embedded import EmbeddedLog
from streams.topology import LOGS

ROOT: Final = Path(__file__).parents[2]
SAMPLE_SECONDS: Final = 0.2
MOMENTS: Final = 10


def about() -> dict[str, Any]:
    """The machine and the code."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    cpu = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    model = next((value.strip() for name, _, value in cpu if "model name" in name), platform.processor())
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{os.cpu_count()} x {model}",
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("duckdb", "fastavro", "msgspec", "numpy")},
    }


def put_down(path: Path, figures: object) -> None:
    """Write figures that stay, in the place of those before them, as JSON that people can read."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")


class Along(NamedTuple):
    """A process from its start to its end: MiB that it and its children hold at ten moments, and its log's growth.

    ``log`` has pairs: seconds since the start, and the events that stand in the log then.
    """

    memory_mb: list[float]
    log: list[tuple[float, int]]


def along(process: "subprocess.Popen[str]", path: Path) -> Along:
    """Look at a process that fills the embedded log at ``path`` until it has ended."""
    samples: list[float] = []
    lengths: list[tuple[float, int]] = []
    for seconds in while_running(process, SAMPLE_SECONDS):
        samples.append(round(resident(process.pid) / 1024, 1))
        lengths.append((round(seconds, 2), length(path)))
    moments = [samples[moment * len(samples) // MOMENTS] for moment in range(1, MOMENTS)] + samples[-1:]
    return Along(moments, lengths)


def while_running(process: "subprocess.Popen[str]", every: float) -> Iterator[float]:
    """Seconds since now, so often, until a process has ended."""
    began = time.monotonic()
    while process.poll() is None:
        yield time.monotonic() - began
        with suppress(subprocess.TimeoutExpired):
            process.wait(every)


def command(*arguments: str) -> list[str]:
    """What starts a command of ours as a process."""
    return [sys.executable, "-m", "infra.cli", *arguments]


def length(path: Path) -> int:
    """Events in an embedded log of one partition; 0 while there is none."""
    if not path.exists():
        return 0
    try:
        log = EmbeddedLog(path, read_only=True)
    except TallystickError:
        return 0  # It is being made.
    try:
        return sum(log.end(name, 0) for name in LOGS)
    finally:
        log.close()


def resident(pid: int) -> int:
    """Resident KiB of a process and all below it; 0 where it is gone or the system has no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    own = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return own + sum(map(resident, children(pid)))


def processor_seconds(pid: int) -> float:
    """Seconds of a core that a process has taken; 0 where it is gone."""
    return _processor_seconds(pid)[0]


def seconds_of_all(pid: int) -> float:
    """Seconds of a core that a process and those right below it have taken, those that have ended, too."""
    return sum(_processor_seconds(pid)) + sum(map(processor_seconds, children(pid)))


def _processor_seconds(pid: int) -> tuple[float, float]:
    """Of a process itself, and of those below it that it has waited for."""
    try:
        # Behind the name, which may hold blanks: from utime, field 14 of proc(5), to cstime, field 17.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    own, own_system, ended, ended_system = map(int, fields[11:15])
    second = os.sysconf("SC_CLK_TCK")
    return (own + own_system) / second, (ended + ended_system) / second


def children(pid: int) -> list[int]:
    """The processes right below one; none where it is gone or the system has no /proc."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """Processor seconds of this process inside the block: other processes of a busy machine do not count."""
    started = time.process_time()
    ended = 0.0
    yield lambda: ended
    ended = time.process_time() - started


def timed(call: Callable[[], object]) -> float:
    """The processor seconds that a call takes."""
    with clock() as took:
        call()
    return took()


def percentile(values: list[float], percent: int) -> float:
    """Nearest rank, one decimal."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 1)
