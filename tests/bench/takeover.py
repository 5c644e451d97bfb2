"""What it takes to have an index back, by how many payments it holds: folded, from a snapshot, from a standby.

The payments are those of a simulated day, captured by hand and never captured, so that each that was authorized stays
open. ``python -m tests.bench.takeover --payments 20000,100000`` measures on an embedded log, one size after the other,
each in a process of its own; with ``--kafka`` the whole take-over between two workers on a broker: one owns and is
killed, the other has kept the index warm. A million payments take half an hour of that: what ``--keep`` has kept in
``tests/bench/measured`` stands on the page of ``make bench``.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from events.authorization import PaymentAuthorized
from events.lifecycle import AuthorizationExpired, PaymentVoided
from events.partitions import ClockKind
from events.requests import CaptureMode, InputRow, PaymentRequest, ReferencePublished
from events.wire import HEADER_BYTES, headers_of
from infra.clusterjob import ClusterJob, make_topics
from infra.job import simulated_day
from infra.kafka.broker import Jvm, start, stop
from infra.stores import in_file
from infra.supervisor import Member, Supervisor
from infra.tuning import collect_rarely
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.inputs import read_rows, write_rows
from streams.edge.networks import Adapter
from streams.edge.publisher import TAIL_TICK, Publisher, Schedule, schedule
from streams.edge.vault import open_keys
from streams.features.shelf import NOTHING, Cupboard
from streams.hosts.actors import Actor, EdgeActor, IndexActor, PublisherActor
from streams.hosts.admission import Keys
from streams.hosts.cluster import Cluster
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.house import TICKS_AHEAD, House
from streams.hosts.index import Index, Run
from streams.hosts.localstate import LocalState
from streams.hosts.standby import Warm
from streams.topology import LOGS
from tests.bench.figures import about, clock, put_down, resident
from tests.integration.houses import publish_on_the_wall, start_on_the_wall
from tests.torture.house import has_index, keeps_warm, shown
from tests.torture.watching import stamped

KEPT: Final = Path(__file__).parent / "measured" / "takeover.json"
SEED: Final = 1
#: How many payments, where nobody says.
PAYMENTS: Final = 20_000
#: Records of each log by which a standby is behind when it takes over: some tenths of a second of a house at work.
BEHIND: Final = 1_000
_MIB: Final = 1 << 20
#: A million payments take most of an hour.
_PATIENCE_SECONDS: Final = 7_200.0
_LOOK_SECONDS: Final = 0.05
_SAY_SECONDS: Final = 60.0
_LAG: Final = 10
_OPENED: Final = headers_of((PaymentAuthorized,))
_CLOSED: Final = headers_of((AuthorizationExpired, PaymentVoided))
_T = TypeVar("_T")


class Measured(msgspec.Struct, frozen=True):
    """Of one size. Processor seconds of one core, MiB, and how many payments are open and events in the logs."""

    payments: int
    open: int
    events: int
    fold_seconds: float
    snapshot_seconds: float
    snapshot_mib: float
    from_snapshot_seconds: float
    from_standby_seconds: float
    memory_mib: float


class Beside(EmbeddedLog):
    """An embedded log as a worker on Kafka sees one: snapshots and cold rows are kept beside it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_only=True)
        self.cupboards: dict[str, Cupboard] = {}

    def state(self, owner: str) -> bytes | None:
        return None

    def cupboard(self, owner: str) -> Cupboard:
        return self.cupboards.get(owner, NOTHING)


# --- a log whose payments stay open ---------------------------------------------------------------------


def by_hand(rows: Iterable[InputRow]) -> Iterator[InputRow]:
    """The payments of a day, each to be captured by hand, with the reference data, and nobody who asks for more."""
    for row in rows:
        if isinstance(row.entry, PaymentRequest):
            asked = msgspec.structs.replace(row.entry, capture_mode=CaptureMode.MANUAL)
            yield InputRow(row.ingested_at, asked)
        elif isinstance(row.entry, ReferencePublished):
            yield row


def filled(folder: Path, payments: int) -> Run:
    """The log of a day up to its last request: no hour is struck behind it, so that nothing expires."""
    collect_rarely()  # as every process does that decides
    day = simulated_day(folder, payments, SEED, False, lambda _: None)
    rows = folder / "by-hand.avro"
    write_rows(rows, by_hand(read_rows(day)), "payments that stay open")
    plan = schedule(read_rows(rows))
    last_at = max(row.ingested_at for row in read_rows(rows))
    last = last_tick_of_input(plan, last_at)
    run, keys = Run(1, ClockKind.VIRTUAL, plan.first_at, last, "{}"), open_keys(folder / "keys")
    with closing(EmbeddedLog(folder / "log.db")) as log:
        index = IndexActor(log, 0, run, keys)
        publisher = PublisherActor(
            log,
            Publisher(read_rows(rows), plan, 1),
            keys,
            lambda: min(index.index.tick(), last - TICKS_AHEAD),
            TICKS_AHEAD,
        )
        outside = (Adapter(0, SEED), ClearingHouse(1, SEED), Bank(1, SEED))
        others: list[Actor] = [publisher, *(EdgeActor(log, one) for one in outside)]
        for _ in House([index], others, log.round).run():
            pass
    return run


def last_tick_of_input(plan: Schedule, last_at: int) -> int:
    """The number of the last tick that lies among the requests."""
    behind = plan.fine_until // TAIL_TICK - last_at // TAIL_TICK
    return plan.last_tick - behind - plan.coarse_ticks


# --- one size -------------------------------------------------------------------------------------------


def measured(payments: int) -> Measured:
    """All ways to have the index back. In processes of their own: what one has let go would hide what is taken."""
    with tempfile.TemporaryDirectory(prefix="takeover-") as made:
        folder = Path(made)
        run = _apart(filled, folder, payments)
        return _apart(_from, folder, run, payments)


def _apart(work: Callable[..., _T], *arguments: object) -> _T:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _from(folder: Path, run: Run, payments: int) -> Measured:
    collect_rarely()
    with closing(Beside(folder / "log.db")) as log:
        return _had_back(log, run, open_keys(folder / "keys"), folder, payments)


def _had_back(log: Beside, run: Run, keys: Keys, folder: Path, payments: int) -> Measured:
    def begun(name: str) -> Warm:
        warm = Warm(Index(0, run, keys))
        warm.begin(log, LocalState(folder / name, "index/0"))
        return warm

    before = resident(os.getpid())
    with clock() as folding:
        warm = begun("kept")
        warm.go_on(log)
    memory = (resident(os.getpid()) - before) / 1024
    index = warm.index
    chains = {name: log.read(name, 0, end - 1, 1)[0].chain for name, end in index.log_ends.items()}
    with clock() as sealing:
        spilled = index.spill()
    warm.local.hold(spilled, index.log_ends, chains, warm.events)
    if not warm.local.write():
        raise SystemExit("the snapshot was not kept")
    events = index.restored
    warm.close()
    del warm, index
    with clock() as reading:
        again = begun("kept")
        again.go_on(log)
    if again.index.restored:
        raise SystemExit("the snapshot was not used")
    again.close()
    del again
    standby = begun("standby")
    _follow(standby, log)
    with clock() as taking_over:
        if not standby.catch_up(log):
            raise SystemExit("the standby was not used")
    standby.close()
    return Measured(
        payments,
        still_open(_payments(log)),
        events,
        round(folding(), 2),
        round(sealing(), 3),
        round(spilled.size / _MIB, 1),
        round(reading(), 3),
        round(taking_over(), 3),
        round(memory, 1),
    )


def still_open(events: Iterable[bytes]) -> int:
    """How many payments are authorized and wait for their capture, by all events of the topic of payments."""
    headers = (value[:HEADER_BYTES] for value in events)
    return sum((header in _OPENED) - (header in _CLOSED) for header in headers)


def _payments(log: Beside) -> Iterator[bytes]:
    position = 0
    while records := log.read("payments", 0, position, 5_000):
        position = records[-1].offset + 1
        yield from (record.value for record in records)


def _follow(standby: Warm, log: Beside) -> None:
    """Until it is so many records of each log behind, keeping what it does not touch."""
    for name in LOGS:
        left = log.end(name, 0) - BEHIND
        while left > 0:
            records = log.read(name, 0, standby.index.log_ends[name], min(left, 1_000))
            standby.take(name, records)
            left -= len(records)
            if standby.is_worth_keeping:
                standby.keep_apart()


# --- on a broker ----------------------------------------------------------------------------------------


class TakenOver(msgspec.Struct, frozen=True):
    """A take-over between two processes, seconds on the wall: from ``kill -9`` to the first commit that is seen, which
    begins with the group's session; from the fence to the first commit. Events folded behind the fence, payments that
    were open, and MiB that the heir held before."""

    payments: int
    open: int
    after_kill: float
    after_fence: float
    folded: int
    heir_mib: int


class Kept(msgspec.Struct, frozen=True):
    """A take-over that stays, and when and on what it was measured."""

    date: str
    commit: str
    machine: str
    found: TakenOver


def on_kafka(folder: Path, payments: int) -> TakenOver:
    """On a broker of its own, by the clock on the wall."""
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    broker = start(folder / "kafka", environment, None, Jvm.FAST)
    try:
        return _taken_over(folder, broker.bootstrap, payments)
    finally:
        stop(folder / "kafka", environment)


def between_two(payments: int) -> TakenOver:
    """The same, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="takeover-") as made:
        return on_kafka(Path(made), payments)


def _taken_over(folder: Path, bootstrap: str, payments: int) -> TakenOver:
    cluster = Cluster(bootstrap, "takeover")
    store = in_file(folder / "store.duckdb")
    job = ClusterJob(cluster, payments, SEED, None, store, folder, partitions=1, workers=2, standbys=1)
    make_topics(job)
    open_keys(job.keys)
    rows = folder / "by-hand.avro"
    write_rows(
        rows, by_hand(read_rows(simulated_day(folder, payments, SEED, False, lambda _: None))), "stays open"
    )
    with Supervisor(job.state / "output") as house:
        start_on_the_wall(job, house)
        publish_on_the_wall(job, house, rows)
        workers = [house.members[f"worker-{number}"] for number in (1, 2)]
        _until(house, lambda: house.ended("publisher") and _has_answered(workers), lambda: _told(workers))
        owner = next(one for one in workers if has_index(one, 0))
        (heir,) = (one for one in workers if one is not owner)
        _until(house, lambda: keeps_warm(heir, 0, 100))
        held = resident(heir.pid) // 1024
        owner.stopped = True
        assert owner.process is not None
        owner.process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        _until(house, lambda: (has_index(heir, 0) or {"transactions": 0})["transactions"] > 0)
        after_kill = round(time.monotonic() - killed_at, 2)
        taken = has_index(heir, 0)
        return TakenOver(
            payments,
            still_open(one.value for one in stamped(bootstrap, cluster.topic("payments"))),
            after_kill,
            round(taken["first_commit_seconds"], 3),
            taken["restored_events"],
            held,
        )


def _has_answered(workers: list[Member]) -> bool:
    """Whether the owner has taken all requests and knows the networks' answers."""
    owned = next((found for one in workers if (found := has_index(one, 0))), None)
    # Each transaction of the publisher takes an offset more: lag need not come to nothing.
    return (
        owned is not None
        and not owned["open_attempts"]
        and owned["lag"].get("payments.requests/0", _LAG + 1) <= _LAG
    )


def _told(workers: list[Member]) -> str:
    """What each worker holds."""
    return "; ".join(f"{one.name}: {_held(one)}, {resident(one.pid) // 1024:,} MiB" for one in workers)


def _held(worker: Member) -> str:
    if owned := has_index(worker, 0):
        behind = owned["lag"].get("payments.requests/0", 0)
        return f"decides, {owned['inputs']:,} inputs, {behind:,} requests to come"
    said = (shown(worker, "/partitions") or {}).get("standby", [])
    return ", ".join(f"follows, {one['records_behind']:,} records behind" for one in said) or "on its way"


def _until(
    house: Supervisor, holds: Callable[[], object], told: Callable[[], str] = lambda: "waiting"
) -> None:
    began = said_at = time.monotonic()
    while not holds():
        house.look()
        if time.monotonic() > began + _PATIENCE_SECONDS:
            raise SystemExit("a take-over was waited for in vain")
        if time.monotonic() > said_at + _SAY_SECONDS:
            said_at = time.monotonic()
            click.echo(f"{said_at - began:7,.0f} s  {told()}", err=True)
        time.sleep(_LOOK_SECONDS)


# --- figures --------------------------------------------------------------------------------------------


def takeover() -> dict[str, float]:
    """The figures of ``make bench``, without a broker."""
    one = measured(PAYMENTS)
    return {
        "takeover_open_payments": one.open,
        "restore_records_per_second": round(one.events / one.fold_seconds, 1),
        "snapshot_seconds": one.snapshot_seconds,
        "snapshot_restore_seconds": one.from_snapshot_seconds,
        "takeover_fold_seconds": one.from_standby_seconds,
    }


def takeover_on_kafka(folder: Path) -> dict[str, float]:
    """The whole take-over."""
    folder.mkdir(parents=True)
    return {"takeover_seconds": on_kafka(folder, PAYMENTS).after_fence}


def kept() -> Kept | None:
    """The take-over that was kept last."""
    return msgspec.json.decode(KEPT.read_bytes(), type=Kept) if KEPT.exists() else None


def keep(made_with: dict[str, Any], found: TakenOver) -> None:
    """Put a take-over in the place of the one before it."""
    put_down(KEPT, Kept(made_with["date"], made_with["commit"], made_with["machine"], found))


def _sizes(_: click.Context, __: click.Parameter, given: str) -> list[int]:
    try:
        return [int(one) for one in given.split(",")]
    except ValueError as error:
        raise click.BadParameter("whole numbers with commas between them") from error


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--payments", "sizes", default=str(PAYMENTS), callback=_sizes, show_default=True, metavar="N,N…"
)
@click.option("--kafka", is_flag=True, help="Instead between two workers on a broker of its own.")
@click.option("--keep", "keeps", is_flag=True, help="Keep what comes of the last one on a broker.")
def main(sizes: list[int], kafka: bool, keeps: bool) -> None:
    """Measure, and print a line for each size."""
    if keeps and not kafka:
        raise click.UsageError("only a take-over on a broker is kept: add --kafka")
    made_with = about()
    click.echo(" ".join(f"{name:>21}" for name in (TakenOver if kafka else Measured).__struct_fields__))
    for size in sizes:
        found = between_two(size) if kafka else measured(size)
        click.echo(" ".join(f"{value:>21,}" for value in msgspec.structs.astuple(found)))
        if keeps and isinstance(found, TakenOver):
            keep(made_with, found)


if __name__ == "__main__":
    main()
