"""Runs of the command line as somebody starts them, each in a folder of its own, and what can be seen of them."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]

#: What differs between two good runs of one input.
VOLATILE: Final = ("seconds", "payments_per_second", "latency_ms", "resumed", "already_finished", "events")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        """Its one JSON object."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def outcome(self) -> dict[str, Any]:
        """What must be the same in every run of the same input."""
        return {name: value for name, value in self.told.items() if name not in VOLATILE}


class Place:
    """A folder with a log, a store and what belongs to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.db"
        self.store = folder / "store.duckdb"

    @property
    def log_option(self) -> tuple[str, str]:
        """``--log`` of this place."""
        return ("--log", f"sqlite:{self.log}")

    @property
    def options(self) -> tuple[str, ...]:
        """``--log`` and ``--store`` of this place."""
        return (*self.log_option, "--store", f"duckdb:{self.store}")

    def start(self, *arguments: str, largest_file: int | None = None) -> "subprocess.Popen[str]":
        """``tallystick ARGUMENTS``, in a process group of its own; no file may grow beyond ``largest_file`` bytes."""

        def limit() -> None:
            assert largest_file is not None
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        settings = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "infra.cli", *arguments],
            cwd=self.folder,
            env={**settings, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=None if largest_file is None else limit,
        )

    def run(self, *arguments: str, largest_file: int | None = None) -> Done:
        """``tallystick ARGUMENTS`` to its end."""
        return ended(self.start(*arguments, largest_file=largest_file))

    def start_demo(self, *arguments: str, **limits: int) -> "subprocess.Popen[str]":
        """``tallystick demo --json ARGUMENTS`` here."""
        return self.start("demo", "--json", *arguments, *self.options, **limits)

    def demo(self, *arguments: str, **limits: int) -> Done:
        """The same, to its end."""
        return ended(self.start_demo(*arguments, **limits))

    def verify(self) -> Done:
        """``tallystick replay --verify --json`` of the log."""
        return self.run("replay", "--verify", "--json", *self.log_option)


def ended(process: "subprocess.Popen[str]") -> Done:
    """What a process said until its end. One that hangs is killed with what it has started, and fails the test."""
    try:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        kill_all(process)
        process.communicate()
        raise
    return Done(process.returncode, out, err)


def copy(of: Place, to: Place) -> None:
    """Everything that a run has left, in another folder."""
    shutil.copytree(of.folder, to.folder, dirs_exist_ok=True)


def complaint(done: Done) -> str:
    """The one sentence that a command which failed has said, and nothing else has it said."""
    assert done.out == ""
    assert done.err.startswith("tallystick: ")
    assert done.err.count("\n") == 1
    return done.err.removeprefix("tallystick: ")


def content(log: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a log."""
    with closing(_opened(log)) as db:
        return {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
            for table in ("record", "position", "state", "about")
        }


def records(log: Path) -> int:
    """How many records are committed in a log that somebody may be writing; 0 where there is none yet."""
    with suppress(sqlite3.OperationalError), closing(_opened(log)) as db:
        found: int = db.execute("SELECT count(*) FROM record").fetchone()[0]
        return found
    return 0


def _opened(log: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{log}?mode=ro", uri=True)


def grown(process: "subprocess.Popen[str]", log: Path, to: int) -> bool:
    """Wait until a log holds so many records; False where its writer has ended before."""
    while records(log) < to:
        if process.poll() is not None:
            return False
        next_look(process)
    return True


def next_look(process: "subprocess.Popen[str]") -> None:
    """Leave the processor to others between two looks at a process, unless it ends."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.002)


def children(process: "subprocess.Popen[str]") -> Sequence[int]:
    """The processes that a process has started."""
    try:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return [int(word) for word in text.split()]


def kill_all(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to a process and to those that it has started, which need not be of its group."""
    for one in (*children(process), process.pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())
