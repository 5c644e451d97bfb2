"""Processes of one house, started together: watched, started again when they were in doubt, ended together.

A process that cannot be sure of what it did ends with exit code 3, and a new one finds out from the log. Whoever runs
a house does that with systemd or Kubernetes; this does it for the main job and the tests. When the supervisor dies
itself, the kernel ends its processes.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from events.errors import Broken, Refused, TallystickError, Unavailable
from infra.commandline import INVARIANT_FAILED, OK, UNAVAILABLE, USAGE
from infra.crashing import VARIABLE

#: How long a process may take to settle what it is doing when it is told to stop.
STOP_SECONDS: Final = 20.0
_RESTART_SECONDS: Final = 60.0
_LAST_WORDS: Final = 2_000

_ERRORS: Final[dict[int, type[TallystickError]]] = {
    INVARIANT_FAILED: Broken,
    USAGE: Refused,
    UNAVAILABLE: Unavailable,
}
_PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True)
class Member:
    """A process of the house: what it is called, how it is started, and how often it was."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    output: Path
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)
    #: Whether it was told to stop: then it may end as it likes.
    stopped: bool = False
    #: The exit codes of those that were started again.
    restarted: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self.process is not None
        return self.process.pid

    def said(self) -> str:
        """The end of what it wrote."""
        with self.output.open("rb") as file:
            file.seek(max(0, self.output.stat().st_size - _LAST_WORDS))
            return file.read().decode("utf-8", "replace").strip()


class Supervisor:
    """Starts ``tallystick`` commands; what each writes goes to ``NAME.log`` in ``folder``."""

    #: More restarts than this of one process within a minute are no bad luck.
    most_restarts = 10

    def __init__(self, folder: Path, *, restart_killed: bool = False) -> None:
        """``restart_killed``: start again whoever was killed, too (for those who kill)."""
        self.members: dict[str, Member] = {}
        self._folder = folder
        self._restart_killed = restart_killed

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Member:
        """Start ``tallystick ARGUMENTS``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        member = Member(
            name,
            [sys.executable, *self.program(name), *arguments],
            _environment(environment or {}),
            self._folder / f"{name}.log",
        )
        self.members[name] = member
        self._launch(member)
        return member

    def program(self, name: str) -> Sequence[str]:
        """What Python is given before the arguments of a process."""
        return ["-m", "infra.cli"]

    def _launch(self, member: Member) -> None:
        parent = os.getpid()
        with member.output.open("ab") as output:
            member.process = subprocess.Popen(
                member.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=member.environment,
                # Ctrl-C is for the supervisor, which ends the others in order.
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
            )
        member.starts.append(time.monotonic())

    def look(self) -> None:
        """Start again who ended in doubt. Raises what ended anybody else."""
        for member in self.members.values():
            assert member.process is not None
            code = member.process.poll()
            if code is None or code == OK or member.stopped:
                continue
            recent = [at for at in member.starts if at > time.monotonic() - _RESTART_SECONDS]
            if not self.forgives(member, code) or len(recent) > self.most_restarts:
                raise _ERRORS.get(code, Unavailable)(self._last_words(member, code))
            member.restarted.append(code)
            self.died(member, code)
            self._launch(member)

    def forgives(self, member: Member, code: int) -> bool:
        """Whether a process that ended like this is to be started again."""
        return code == UNAVAILABLE or (self._restart_killed and code == -signal.SIGKILL)

    def died(self, member: Member, code: int) -> None:
        """A process that is to be started again has ended; whatever it was to die of, it has."""
        member.environment = {name: value for name, value in member.environment.items() if name != VARIABLE}

    def _last_words(self, member: Member, code: int) -> str:
        said = member.said().rpartition("\n")[2]
        return f"{member.name} ended with exit code {code}: {said or 'without a word'} (see {member.output})"

    def ended(self, name: str) -> bool:
        """Whether a process has done what it was started for."""
        process = self.members[name].process
        return process is not None and process.poll() == OK

    def stop(self, *names: str) -> None:
        """Let them settle what they are doing and end; all of them where none is named."""
        members = [self.members[name] for name in names or list(self.members)]
        for member in members:
            member.stopped = True
            if member.process is not None and member.process.poll() is None:
                member.process.terminate()
        patience_ends = time.monotonic() + STOP_SECONDS
        for member in members:
            if member.process is None:
                continue
            try:
                member.process.wait(max(0.1, patience_ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    package_root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def _die_with(parent: int) -> None:
    """In the new process: end when the supervisor dies, also when it is killed. Where there is no prctl, go on."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(UNAVAILABLE)
