"""What happens to a house from outside: its brokers, its wires, its disks, its networks, its clock."""

import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.partitions import ClockKind
from events.requests import InputRow, ReferencePublished
from infra.commandline import INVARIANT_FAILED, USAGE
from infra.kafka.client import administering
from infra.kafka.topics import MEBIBYTE
from streams.edge import reference
from tests.integration.outsiders import forget_positions, until_empty
from tests.torture import wall
from tests.torture.faults import Dosed, Fault, Scene
from tests.torture.house import kind_of

#: For so long is somebody cut off, or without room: longer than a session lasts.
_HELD_SECONDS: Final = 6.0
_PATIENCE_SECONDS: Final = 60.0


class Held(Dosed):
    """A fault that begins, lasts, and is over."""

    name = ""
    seconds = _HELD_SECONDS

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._since = 0.0

    def look(self, tick: int) -> None:
        if not self._since:
            super().look(tick)
        elif time.monotonic() - self._since > self.seconds:
            self.end()
            self._since = 0.0
            self.struck += 1

    def strike(self) -> bool:
        self.begin()
        self._since = time.monotonic()
        return False  # It counts when it is over.

    def clean(self) -> None:
        if self._since:
            self.end()

    def begin(self) -> None:
        """From now on it is so."""
        raise NotImplementedError

    def end(self) -> None:
        """It is over."""
        raise NotImplementedError


class Wires(Held):
    """A worker, the adapter and the projector are cut off from brokers that go on serving the others."""

    name = "network"
    words = (
        "connections cut, or kept and silent, for longer than a session lasts: a worker, adapter, projector"
    )

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        job = self.scene.job
        wired = f"kafka://{self.scene.brokers.wired}/{job.cluster.prefix}"
        for name in ("worker-1", "adapter", "projector"):
            self.scene.house.addresses[name] = (job.address, wired)
        return {}

    def begin(self) -> None:
        if self.struck % 2:
            self.scene.brokers.swallow()
            self.scene.house.struck("wire silent")
        else:
            self.scene.brokers.cut()
            self.scene.house.struck("wire cut")

    def end(self) -> None:
        self.scene.brokers.mend()


class BrokersDie(Held):
    """One broker at a time is killed, and another one frozen; of three, two are enough."""

    name = "brokers"
    words = "brokers killed (kill -9) or frozen, one at a time"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._number = 0

    def begin(self) -> None:
        brokers = self.scene.brokers
        self._number = self.scene.chance.randint(1, brokers.count)
        if self.struck % 2:
            brokers.freeze(self._number)
            self.scene.house.struck("broker frozen")
        else:
            brokers.kill(self._number)
            self.scene.house.struck("broker killed")
            if brokers.count == 1:
                brokers.start()

    def end(self) -> None:
        brokers = self.scene.brokers
        if self.struck % 2:
            brokers.thaw(self._number)
        elif brokers.count > 1:
            brokers.start()


class FullDisk(Held):
    """No room where the adapter has its journal and the projector its store; then nobody may write there."""

    name = "disk"
    words = "no room left, then a disk that became read-only: journal, store, snapshots"

    _BYTES: Final = 24 << 20

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        for folder in self._folders():
            folder.mkdir(parents=True, exist_ok=True)
            _run("mount", "-t", "tmpfs", "-o", f"size={self._BYTES}", "tallystick-torture", str(folder))
        return {}

    def _folders(self) -> list[Path]:
        job = self.scene.job
        assert job.store.path is not None
        return [job.state / "adapter", job.state / "worker-1", job.store.path.parent]

    def begin(self) -> None:
        house = self.scene.house
        if self.struck % 2:
            # A file that is open for writing keeps its disk writable: whoever has one comes back to a disk that is not.
            for name in ("adapter", "projector", "worker-1"):
                house.kill(name)
                process = house.members[name].process
                assert process is not None
                process.wait()
            self._remount("ro")
        else:
            for folder in self._folders():
                _fill(folder / "ballast")
            house.struck("disk full")

    def end(self) -> None:
        if self.struck % 2:
            self._remount("rw")
        for folder in self._folders():
            (folder / "ballast").unlink(missing_ok=True)

    def _remount(self, how: str) -> None:
        for folder in self._folders():
            _run("mount", "-o", f"remount,{how}", str(folder))

    def clean(self) -> None:
        super().clean()
        for folder in self._folders():
            _run("umount", "--lazy", str(folder))

    @classmethod
    def why_not(cls) -> str:
        with tempfile.TemporaryDirectory() as place:
            try:
                _run("mount", "-t", "tmpfs", "tallystick-torture", place)
                _run("umount", place)
            except (OSError, subprocess.CalledProcessError):
                return "nobody may mount a disk here"
        return ""


def _fill(ballast: Path) -> None:
    """Until there is no room for another byte."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for size in (65_536, 512, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Forgotten(Fault):
    """The broker forgets what every group has read, as it does when a house has stood still for a week."""

    name = "forgotten"
    words = "the broker forgets every group's positions while the house stands still"

    def strike(self) -> bool:
        house, job = self.scene.house, self.scene.job
        told = {name: list(member.command) for name, member in house.members.items()}
        house.stop()
        prefix = job.cluster.prefix
        names = ("engines", "adapter", "edge.network.0", "edge.bank.0")
        groups = [f"{prefix}.{name}" for name in names]
        for group in groups:
            until_empty(job.cluster, group)
        forget_positions(job.cluster, groups)
        house.struck("positions forgotten")
        for name, command in told.items():
            if not house.ended(name) or kind_of(name) != "publisher":
                house.start(name, *command[1 + len(house.program(name)) :])
        return True

    @property
    def done(self) -> bool:
        return self.struck > 0


class Refusing(Fault):
    """For a while the broker refuses the records of a topic, as it does when somebody has set its limit too low."""

    name = "refused"
    words = "the broker refuses records in the middle of transactions"

    _TOPIC: Final = "settlement.inbox"
    #: Every tick hands something to this topic, so that whoever waits for its answers is gone by then.
    _ENOUGH_SECONDS: Final = 30.0

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._since = 0.0

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        self.scene.house.forgiven |= {("worker", INVARIANT_FAILED), ("worker", USAGE)}
        return {}

    def look(self, tick: int) -> None:
        if not self._since:
            super().look(tick)
            return
        refused = self.scene.house.ends["worker", INVARIANT_FAILED]
        if refused or time.monotonic() - self._since > self._ENOUGH_SECONDS:
            self._set(MEBIBYTE)
            self._since = 0.0
            self.struck += 1
            if not refused:
                self.scene.complaints.append("no worker ended when the broker refused its records")

    def strike(self) -> bool:
        self._set(100)
        self._since = time.monotonic()
        self.scene.house.struck("records refused")
        return False

    @property
    def done(self) -> bool:
        return self.struck > 0

    def _set(self, limit: int) -> None:
        topic = self.scene.job.cluster.topic(self._TOPIC)

        async def alter() -> None:
            async with administering(self.scene.job.cluster.bootstrap) as client:
                wanted = {"max.message.bytes": str(limit), "message.timestamp.type": "LogAppendTime"}
                wanted |= {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
                await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, wanted)])

        asyncio.run(alter())


class BadNetworks(Dosed):
    """Every network answers late, twice or never, and the line to them is killed with calls on it."""

    name = "answers"
    words = "networks that answer late, twice or never (simulated), and kill -9 of the line to them"

    @staticmethod
    def input(rows: Sequence[InputRow]) -> Sequence[InputRow]:
        names = [profile.network for profile in reference.starter_networks()]
        bad = [reference.health(name, healthy=False, note="every third answer is late") for name in names]
        leading = list(takewhile(lambda row: isinstance(row.entry, ReferencePublished), rows))
        others = [row for row in rows[len(leading) :] if not isinstance(row.entry, ReferencePublished)]
        at, first = others[0].ingested_at, len(leading) + 1
        return [*leading, *(InputRow(at, entry) for entry in reference.published(bad, first)), *others]

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        self.scene.house.arm = self._arm
        return {"adapter": self._arm("adapter")}

    def _arm(self, name: str) -> Mapping[str, str]:
        house = self.scene.house
        if kind_of(name) != "adapter":
            return {}
        self.struck = sum(count for (kind, _), count in house.hits.items() if kind == "adapter")
        return {} if self.done else house.armed("adapter")


class SetClock(Fault):
    """The wall clock of a worker jumps a day ahead under its hands."""

    name = "clock"
    words = "a worker's wall clock jumps a day ahead, and is set right"
    clock = ClockKind.WALL

    _AHEAD: Final = 86_400

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._offset = scene.job.state / "offset"

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        self._offset.parent.mkdir(parents=True, exist_ok=True)
        self._offset.write_text("0")
        self.scene.house.programs["worker-1"] = ["-m", "tests.torture.jumping", str(self._offset)]
        return {}

    def strike(self) -> bool:
        house = self.scene.house
        process = house.members["worker-1"].process
        assert process is not None
        said = house.members["worker-1"].output.stat().st_size
        self._offset.write_text(str(self._AHEAD))
        house.send("worker-1", signal.SIGUSR1)
        house.struck("clock set ahead")
        # Not by the supervisor: nobody may start it again before somebody has looked at the clock.
        house.members["worker-1"].stopped = True
        code = process.wait(_PATIENCE_SECONDS)
        words = house.members["worker-1"].output.read_bytes()[said:].decode()
        if code != USAGE or "wall clock" not in words:
            self.scene.complaints.append(f"a worker whose clock jumped ended with {code}: {words[-200:]}")
        self._offset.write_text("0")
        house.start("worker-1", *wall.worker(self.scene.job, "worker-1"), "--confirm-clock")
        return True

    @property
    def done(self) -> bool:
        return self.struck > 0
