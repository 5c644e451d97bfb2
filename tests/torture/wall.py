"""A house by the clock on the wall: requests come at a steady rate, whoever dies, and nobody waits."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.clusterjob import ClusterJob
from streams.hosts.kafkalog import KafkaLog
from tests.torture.calm import asked
from tests.torture.faults import Fault, Scene
from tests.torture.house import Tormented
from tests.torture.judging import Payments
from tests.torture.watching import Stamped

if TYPE_CHECKING:
    from tests.torture.rounds import Order

_LOOK_SECONDS: Final = 0.05
_READ_SECONDS: Final = 0.5
_RECORDS: Final = 2_000


def serve_on_the_wall(
    scene: Scene, fault: Fault, path: Path, order: "Order", say: Callable[[str], None]
) -> None:
    """Until the fault has struck, and everything that is published has been answered."""
    job, house = scene.job, scene.house
    wanted = asked(path)
    start(job, house, fault.environments())
    paced = ["--clock", "wall", "--now", "--rate", str(order.rate)]
    house.start("publisher", "publish", str(path), "--log", job.address, "--keys", str(job.keys), *paced)
    began, read_at = time.monotonic(), 0.0
    with closing(KafkaLog(job.cluster)) as log:
        watched = Watched(log, job.partitions)
        while not fault.done or not house.ended("publisher") or not watched.payments.all_answered(wanted):
            house.look()
            now = time.monotonic()
            if now - read_at > _READ_SECONDS:
                read_at = now
                watched.look()
                say(f"{len(watched.payments.answered)} payments answered, {len(house.blows)} blows")
            if watched.payments.answered:
                fault.look(int(now - began))
            if now - began > order.patience:
                scene.complaints.append("nobody goes on")
                return
            time.sleep(_LOOK_SECONDS)


def start(job: ClusterJob, house: Tormented, environments: Mapping[str, Mapping[str, str]]) -> None:
    """Everything that serves."""
    log = ["--log", job.address]
    commands = {f"worker-{number}": worker(job, f"worker-{number}") for number in range(1, job.workers + 1)}
    for edge in ("adapter", "counterparties"):
        commands[edge] = [edge, *log, "--seed", str(job.seed), "--state", str(job.state / edge)]
    commands["adapter"] += ["--network-record", str(job.state / "network")]
    commands["projector"] = ["project", "run", *log, "--store", str(job.store)]
    for name, command in commands.items():
        house.start(name, *command, environment=environments.get(name))


def worker(job: ClusterJob, name: str) -> list[str]:
    """The arguments of a worker."""
    own = ["--keys", str(job.keys), "--state", str(job.state / name), "--partitions", str(job.partitions)]
    own += ["--session-ms", str(job.session_ms), "--standby", str(job.standbys)]
    return ["worker", "--log", job.address, *own, "--clock", "wall"]


class Watched:
    """What the logs of a house say of its payments so far, read as they grow."""

    def __init__(self, log: KafkaLog, partitions: int) -> None:
        self.payments = Payments()
        self._log = log
        self._positions = {
            (name, number): 0 for name in ("intake", "payments") for number in range(partitions)
        }

    def look(self) -> None:
        """Read what has come."""
        for (name, number), position in self._positions.items():
            while records := self._log.read(name, number, position, _RECORDS):
                position = records[-1].offset + 1
                for stored in records:
                    self.payments.see(Stamped(number, stored.at / 1_000_000, stored.value))
            self._positions[name, number] = position
