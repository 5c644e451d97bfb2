"""A house whose processes are to die: who was killed where, and what each end was."""

import random
import re
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from infra.crashing import POINTS_OF, VARIABLE
from infra.supervisor import Member, Supervisor

#: A point is passed up to so many times before it kills; the first two are passed once for each index or edge.
_MOST_PASSES: Final = 4
_VIEW_SECONDS: Final = 2.0
_AT_THE_START: Final = frozenset({"after-fence", "after-restore"})


class Blow(NamedTuple):
    """What was done to a house, and when (seconds since 1970)."""

    at: float
    what: str


def kind_of(name: str) -> str:
    """Of which kind the process of a name is: ``worker-2`` is a worker."""
    return re.sub(r"-\d+$", "", name)


def shown(member: Member, path: str) -> Any:
    """What a worker's view says; None where it has no view yet, or does not answer."""
    addresses = re.findall(r"^http://\S+$", member.output.read_text("utf-8", "replace"), re.MULTILINE)
    if not addresses:
        return None
    try:
        with urllib.request.urlopen(addresses[-1] + path, timeout=_VIEW_SECONDS) as answer:  # noqa: S310 - ours, http
            return msgspec.json.decode(answer.read())
    except (urllib.error.URLError, OSError, msgspec.DecodeError):
        return None


def has_index(member: Member, number: int) -> Any:
    """What a worker says of an index that it has and that is at work; None where it has not."""
    said = shown(member, "/partitions") or {"indexes": []}
    return next((one for one in said["indexes"] if one["index"] == number and not one["restoring"]), None)


def keeps_warm(member: Member, number: int, most_behind: int) -> bool:
    """Whether a worker follows an index, and is no more records behind than that."""
    said = shown(member, "/partitions") or {"standby": []}
    return any(
        one["index"] == number and one["events"] > 0 and one["records_behind"] <= most_behind
        for one in said["standby"]
    )


class Tormented(Supervisor):
    """Starts again whoever was killed, writes down every blow, and arms the next one at a named point."""

    #: Points at the beginning kill a process as often as it can be started.
    most_restarts = 60

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, restart_killed=True)
        self.blows: list[Blow] = []
        #: How often each kind of process ended with each exit code; those that were told to end do not count.
        self.ends: Counter[tuple[str, int]] = Counter()
        #: How often each kind of process was killed at each point, by itself.
        self.hits: Counter[tuple[str, str]] = Counter()
        #: Processes that are given another address of the log than the others.
        self.addresses: dict[str, tuple[str, str]] = {}
        #: Another program than the product's, by the name of the process.
        self.programs: dict[str, Sequence[str]] = {}
        #: Exit codes that are expected of a kind of process beside those of doubt, and mended by starting it again.
        self.forgiven: set[tuple[str, int]] = set()
        #: What whoever is started again is given to die of next.
        self.arm: Callable[[str], Mapping[str, str]] = lambda _: {}
        self._chance = chance
        self._killed: set[int] = set()

    def program(self, name: str) -> Sequence[str]:
        return self.programs.get(name, super().program(name))

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Member:
        before, instead = self.addresses.get(name, ("", ""))
        replaced = [instead if argument == before else argument for argument in arguments]
        return super().start(name, *replaced, environment=environment)

    # -- blows -------------------------------------------------------------------------------------

    def struck(self, what: str) -> None:
        """Write down that something was done."""
        self.blows.append(Blow(time.time(), what))

    def lives(self, name: str) -> bool:
        """Whether a process is there."""
        member = self.members.get(name)
        return member is not None and member.process is not None and member.process.poll() is None

    def serves(self, name: str) -> bool:
        """Whether a process is there and has said its first word since it was last started."""
        return self.lives(name) and bool(self.members[name].said())

    def kill(self, name: str) -> bool:
        """``kill -9``; False where nobody is there any more."""
        if not self.lives(name):
            return False
        self._killed.add(self.members[name].pid)
        self.send(name, signal.SIGKILL)
        self.struck(f"{kind_of(name)} killed")
        return True

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to a process that is there."""
        process = self.members[name].process
        assert process is not None
        process.send_signal(number)

    def is_stopped(self, name: str) -> bool:
        """Whether a process is frozen."""
        if not self.lives(name):
            return False
        stat = Path(f"/proc/{self.members[name].pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    # -- points ------------------------------------------------------------------------------------

    def armed(self, name: str) -> dict[str, str]:
        """The variable that kills a process of this name at the point at which its kind was killed least often."""
        kind = kind_of(name)
        pending = Counter(
            (kind_of(member.name), _point(member)) for member in self.members.values() if member.name != name
        )
        fewest = min(POINTS_OF[kind], key=lambda point: self.hits[kind, point] + pending[kind, point])
        passes = 1 if fewest in _AT_THE_START else self._chance.randint(1, _MOST_PASSES)
        return {VARIABLE: f"{fewest}:{passes}"}

    def forgives(self, member: Member, code: int) -> bool:
        return super().forgives(member, code) or (kind_of(member.name), code) in self.forgiven

    def died(self, member: Member, code: int) -> None:
        kind, point = kind_of(member.name), _point(member)
        self.ends[kind, code] += 1
        by_itself = code == -signal.SIGKILL and member.pid not in self._killed
        super().died(member, code)
        if by_itself:
            self.hits[kind, point] += 1
            self.struck(f"{kind} killed {point}")
        member.environment = {**member.environment, **self.arm(member.name)}


def _point(member: Member) -> str:
    """The point at which a process is to die; empty where it is to live."""
    return member.environment.get(VARIABLE, "").partition(":")[0]
