"""Processes that outlive the command that starts them, and how to know one again.

A pid alone names whoever has it today. Together with the moment of its start, which the kernel keeps in hundredths of
a second since a boot of which it tells the id, it names one process for good.
"""

import os
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import randbelow
from typing import Final, NamedTuple

from events.errors import Unavailable

_PROC: Final = Path("/proc")
_BOOT: Final = _PROC / "sys/kernel/random/boot_id"
#: States of what has ended and is still in the table of processes.
_ENDED: Final = frozenset("ZX")
_POLL_SECONDS: Final = 0.05


class Process(NamedTuple):
    """A pid, and when it was born: the id of the boot and the clock tick."""

    pid: int
    born: str


def refuse_other_systems() -> None:
    """Raises Unavailable where a process cannot be known again, for then it could not be stopped safely."""
    if not _BOOT.exists():
        raise Unavailable("starting a broker needs Linux; elsewhere name one that runs by KAFKA_BOOTSTRAP")


def spawn(command: list[str], output: Path) -> Process:
    """Start a command in a session of its own, its output at the end of a file.

    The session keeps it when the shell ends, and keeps a Ctrl-C of the terminal away from it. Not subprocess.Popen,
    which wants to see the end of what it has started.
    """
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be started: {error.strerror}") from error
    # It cannot be gone from the table of processes: it is our child, and nobody has asked for its end.
    return Process(pid, _born(pid)[0])


def alive(process: Process) -> bool:
    """Whether the process still runs, and is still the one that was started."""
    try:
        born, state = _born(process.pid)
    except OSError:
        return False
    if born != process.born:
        return False
    if state in _ENDED:
        # A child of ours stays in the table of processes until we ask for its end.
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
    return state not in _ENDED


def _born(pid: int) -> tuple[str, str]:
    # The name of the program, in brackets, may hold anything, brackets too; the state comes right behind it.
    state, *fields = (
        (_PROC / str(pid) / "stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    )
    return f"{_BOOT.read_text('ascii').strip()}/{fields[18]}", state


def resident_bytes(process: Process) -> int:
    """How much memory the process holds; 0 if it is gone."""
    try:
        pages = (_PROC / str(process.pid) / "statm").read_text("ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def end(processes: Iterable[Process], patience: float) -> list[Process]:
    """Ask the processes to end and wait; kill whoever has not done so after ``patience`` seconds, and name them."""
    left = [process for process in processes if alive(process)]
    for process in left:
        _send(process, signal.SIGTERM)
    left = _wait(left, patience)
    for process in left:
        _send(process, signal.SIGKILL)
    stubborn = _wait(left, patience)
    if stubborn:
        named = ", ".join(str(process.pid) for process in stubborn)
        raise Unavailable(
            f"the processes {named} do not end even when killed: see what holds them, try again"
        )
    return left


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def _wait(processes: list[Process], patience: float) -> list[Process]:
    deadline = time.monotonic() + patience
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def free_ports(count: int, wanted: Sequence[int] = ()) -> list[int]:
    """``count`` loopback ports that nobody listens on: the ``wanted`` if they are all free, or new ones.

    Not from the range of outgoing connections: while a broker is down its clients keep connecting, and sooner or
    later one of them would get the very port as its own, talk to itself and keep the broker out.
    """
    if len(wanted) == count and all(map(_is_free, wanted)):
        return list(wanted)
    low, high = 10_240, _first_outgoing_port()
    found: list[int] = []
    for _ in range(1_000):
        port = low + randbelow(high - low)
        if port not in found and _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise Unavailable(f"no {count} free ports between {low} and {high} on 127.0.0.1")


def _first_outgoing_port() -> int:
    try:
        low = int((_PROC / "sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    except OSError:
        low = 32_768
    return low if low > 12_288 else 32_768


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections that linger after their broker's end do not count; it sets the same.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
