"""The projector as a process of its own, beside the job that writes the log.

The job starts it, lets it follow the committed log, and asks it to finish; ``finish`` on its standard input
means "up to the end of the log, then stop", the end of that input (the job has died) means "stop now". Its
position stands in the store, in one transaction with its rows, so stopping anywhere is safe.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from events.errors import TallystickError, Unavailable

#: How long the projector waits for the log to grow before it looks again.
_IDLE_SECONDS: Final = 0.05


class Projecting:
    """The job's side: a projector that runs while the context is entered."""

    def __init__(self, log: Path, store: Path, partitions: int) -> None:
        self._command = [sys.executable, "-m", "infra.projecting", str(log), str(store), str(partitions)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        package_root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def check(self) -> None:
        """Raise Unavailable when the projector has died: what it said stands on standard error."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise Unavailable(
                f"the projector stopped with exit code {self._process.returncode}; the log is whole: "
                "run the same command again to go on"
            )

    def finish(self, on_progress: Callable[[int, int], None]) -> None:
        """Let it come to the end of the log. ``on_progress`` is told how many events it has taken, of how many."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        self.check()
        process.stdin.write("finish\n")
        process.stdin.flush()
        for line in process.stdout:
            on_progress(*json.loads(line))
        if process.wait() != 0:
            self.check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()


def follow(log: Path, store: Path, partitions: int, control: IO[str], answers: IO[str]) -> None:
    """The projector's side: project what is committed until told to stop."""
    from projections.duck import DuckStore
    from projections.projector import Projector
    from streams.hosts.embedded import EmbeddedLog

    source = EmbeddedLog(log, read_only=True)
    duck = DuckStore(store)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    try:
        projector = Projector(source, duck, partitions)
        finishing = False
        while True:
            projected = projector.turn()
            if finishing:
                print(json.dumps([projector.done, projector.end]), file=answers, flush=True)
                if not projected:
                    return
            elif selector.select(0 if projected else _IDLE_SECONDS):
                if control.readline() != "finish\n":
                    return
                finishing = True
    finally:
        duck.close()


def main() -> int:
    """Entry of the projector process: LOG STORE PARTITIONS."""
    log, store, partitions = sys.argv[1:]
    try:
        follow(Path(log), Path(store), int(partitions), sys.stdin, sys.stdout)
    except TallystickError as error:
        print(f"tallystick: projector: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
