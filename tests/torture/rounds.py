"""A round: a house of its own, an input, one fault, and the question what has come of it."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from events.calendar import HOUR
from events.errors import TallystickError, Unavailable
from events.partitions import ClockKind
from infra.clusterjob import ClusterJob, make_topics, slowest_tick, start_house
from infra.job import run_of, simulated_day
from infra.stores import in_file
from streams.edge.inputs import read_rows, write_rows
from streams.edge.vault import open_keys
from streams.hosts.cluster import Cluster as House
from streams.hosts.index import Run
from streams.hosts.kafkalog import KafkaLog
from tests.torture.calm import asked, calm_run
from tests.torture.cluster import Cluster
from tests.torture.faults import Fault, Scene
from tests.torture.house import Tormented
from tests.torture.judging import judge, network_complaints, payments_of
from tests.torture.wall import serve_on_the_wall
from tests.torture.watching import Exposure, Spread, recoveries, stamped

#: Between two ticks, beside the input and behind it: a run of seconds, with enough of them to be hurt between two.
EVERY: Final = 8 * HOUR
TAIL: Final = 24 * HOUR
_LOOK_SECONDS: Final = 0.05
#: How often the log itself is asked how far it is; that is work for the broker.
_TICK_SECONDS: Final = 0.25


class Round(msgspec.Struct, frozen=True):
    """What came of a round. Times are milliseconds; ``ends`` are exit codes by kind of process, ``hits`` kills at
    named points, ``blows`` everything that was done, each with how often."""

    fault: str
    payments: int
    seconds: float
    blows: dict[str, int]
    hits: dict[str, int]
    ends: dict[str, int]
    recovery: Spread
    exposure: Spread
    #: From a request to its outcome; measured by the clock on the wall alone.
    outcome: Spread
    complaints: list[str]


@dataclass(frozen=True)
class Order:
    """What a round is to be."""

    payments: int
    seed: int
    dose: int
    folder: Path
    every: int = EVERY
    tail: int = TAIL
    #: Requests a second, by the clock on the wall.
    rate: int = 60
    #: No round takes this long, on any machine.
    patience: float = 600.0
    #: How often each process is to be killed at each of its points, and what earlier rounds have done of it.
    each: int = 1
    hits: Counter[tuple[str, str]] | None = None


def torture(order: Order, brokers: Cluster, kind: type[Fault], say: Callable[[str], None]) -> Round:
    """Run a round to its end and judge it."""
    began = time.monotonic()
    job, path = _prepared(order, brokers, kind)
    run, _ = run_of(path, order.seed, job.partitions, job.every, job.tail)
    virtual = kind.clock is ClockKind.VIRTUAL
    calm = calm_run(path, order.folder, order.seed, job.every, job.tail) if virtual else None
    make_topics(job)
    open_keys(job.keys)
    chance = random.Random(f"{order.seed}/{kind.name}")
    exposure = Exposure(job.cluster, job.partitions)
    with Tormented(job.state / "output", chance) as house:
        house.hits.update(order.hits or {})
        before = Counter(house.hits)
        scene = Scene(house, job, brokers, chance, order.dose, order.each)
        fault = kind(scene)
        exposure.start()
        try:
            if virtual:
                _live(scene, fault, path, run, order.patience, say)
            else:
                serve_on_the_wall(scene, fault, path, order, say)
        except TallystickError as error:
            scene.complaints.append(f"the house did not come to its end: {error}")
        finally:
            house.stop()
            fault.clean()
            stands = exposure.stop()
        if not fault.done:
            scene.complaints.append(f"the house came to its end before all of {fault.name} was done to it")
        wanted = asked(path)
        complaints = [
            *scene.complaints,
            *judge(job, run, wanted, calm),
            *network_complaints(job.state / "network"),
        ]
        written = stamped(job.cluster.bootstrap, job.cluster.topic("payments"))
        return Round(
            kind.name,
            len(wanted),
            round(time.monotonic() - began, 1),
            dict(sorted(Counter(blow.what for blow in house.blows).items())),
            {f"{who} {point}": count for (who, point), count in sorted((house.hits - before).items())},
            {f"{who} {code}": count for (who, code), count in sorted(house.ends.items())},
            Spread.of(recoveries(house.blows, written, job.partitions)),
            stands,
            Spread.of([] if virtual else payments_of(job).waits()),
            complaints,
        )


def _prepared(order: Order, brokers: Cluster, kind: type[Fault]) -> tuple[ClusterJob, Path]:
    number = sum(1 for _ in order.folder.glob(f"{kind.name}-*")) + 1
    folder = order.folder / f"{kind.name}-{number}"
    folder.mkdir(parents=True)
    house = House(brokers.bootstrap, f"{order.folder.name}-{folder.name}")
    job = ClusterJob(
        house,
        order.payments,
        order.seed,
        None,
        in_file(folder / "store" / "store.duckdb"),
        folder,
        None,
        kind.partitions,
        kind.workers,
        every=kind.every or order.every,
        tail=kind.tail or order.tail,
        session_ms=kind.session_ms,
        standbys=kind.standbys,
    )
    (folder / "store").mkdir()
    day = simulated_day(order.folder, order.payments, order.seed, False, lambda _: None)
    rows = list(read_rows(day))
    changed = kind.input(rows)
    if changed is rows:
        return job, day
    path = folder / "input.avro"
    write_rows(path, changed, "torture")
    return job, path


def _live(
    scene: Scene, fault: Fault, path: Path, run: Run, patience: float, say: Callable[[str], None]
) -> None:
    """In virtual time: until the last tick has passed everywhere."""
    job, house = scene.job, scene.house
    environments = fault.environments()
    start_house(job, house, path, run, environments)
    store = ["--log", job.address, "--store", str(job.store)]
    house.start("projector", "project", "run", *store, environment=environments.get("projector"))
    patience_ends = time.monotonic() + patience
    tick, asked_at = 0, 0.0
    with closing(KafkaLog(job.cluster)) as log:
        while tick < run.last_tick:
            house.look()
            if time.monotonic() - asked_at > _TICK_SECONDS:
                # Where the broker itself is hurt nobody knows; that the house comes to its end, patience sees to.
                with suppress(Unavailable):
                    tick = slowest_tick(log, job.partitions)
                asked_at = time.monotonic()
                say(f"tick {tick} of {run.last_tick}, {len(house.blows)} blows")
            fault.look(tick)
            if time.monotonic() > patience_ends:
                scene.complaints.append(
                    f"tick {tick} of {run.last_tick}, and nobody goes on: {_words(house)}"
                )
                return
            time.sleep(_LOOK_SECONDS)


def _words(house: Tormented) -> str:
    return "; ".join(f"{name}: {member.said()[-150:]}" for name, member in house.members.items())
