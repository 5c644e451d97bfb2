"""A file onto a real broker: every row once and in order, whoever is killed, and never far ahead."""

import asyncio
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from events.errors import Refused, Unavailable
from events.messages import Marker
from events.partitions import ClockKind, LogOpened
from events.requests import Tick
from events.wire import decode_message, encode_event, encode_message
from streams.edge import outlet, publishing
from streams.edge.inputs import hash_of, read_rows, write_rows
from streams.edge.publisher import Publisher, schedule
from streams.edge.publishing import Order, publish
from streams.edge.vault import open_keys
from streams.hosts.clocks import SECOND, WallClock
from streams.hosts.cluster import Cluster
from streams.hosts.following import settled_ends
from streams.hosts.house import TICKS_AHEAD
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Append, TopicPartition
from tests.integration.outsiders import PARTITIONS, SEED, Outsider, annotated, new_cluster
from tests.patience import PATIENCE_SECONDS
from tests.simulation.schedules import EVERY, TAIL, planned
from tests.streams.builders_early import recorded

EVER: Final = 10**9
_LOOK_SECONDS: Final = 0.05
_MORE_SECONDS: Final = 0.5
PLACES: Final[tuple[TopicPartition, ...]] = (
    ("reference", 0),
    *(("payments.requests", number) for number in range(PARTITIONS)),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input that all publish."""
    path = tmp_path_factory.mktemp("input") / "day.avro"
    rows, _ = planned(SEED)
    write_rows(path, rows, "test")
    return path


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return new_cluster(kafka)


def expected(file: Path) -> dict[TopicPartition, list[bytes]]:
    """What stands in each partition when the whole file is out once, in virtual time."""
    publisher = Publisher(read_rows(file), schedule(read_rows(file), EVERY, TAIL), PARTITIONS)
    publisher.allow_tick(publisher.plan.last_tick)
    found: dict[TopicPartition, list[bytes]] = {place: [] for place in PLACES}
    while not publisher.finished:
        for item in publisher.next_block(1_000):
            found[(item.topic, item.partition)].append(encode_message(item.message))
    return found


def pass_ticks(cluster: Cluster, tick: int) -> None:
    """Let the payments partitions have come to a tick, as the clearing house says."""
    with closing(KafkaLog(cluster)) as log:
        for number in range(PARTITIONS):
            marker = encode_message(Marker("network/0", tick, tick * EVERY, 0))
            log.commit("network/0", [Append("network.notices", number, 0, marker)], {})


def order(file: Path, **more: Any) -> Order:
    return replace(Order(file, every=EVERY, tail=TAIL), **more)


def published(
    cluster: Cluster, given: Order, keys: Path, *, until: Callable[[], bool] = lambda: False
) -> publishing.Told:
    """What publishing comes to in this process; stopped a little after something has become true.

    A little after, for what must not come then would come at once.
    """

    async def work() -> publishing.Told:
        stop = asyncio.Event()
        stopping = asyncio.create_task(stopped_when(stop))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await publish(cluster, given, open_keys(keys), stop)
        finally:
            stopping.cancel()

    async def stopped_when(stop: asyncio.Event) -> None:
        while not await asyncio.to_thread(until):
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(_MORE_SECONDS)
        stop.set()

    return asyncio.run(work())


def last_ticks(cluster: Cluster) -> set[int]:
    """The last tick that is out, in each partition."""
    return {
        max(
            (int(headers["tick"]) for headers, _ in annotated(cluster, place) if headers.get("tick")),
            default=0,
        )
        for place in PLACES[1:]
    }


def check_all_once(cluster: Cluster, file: Path) -> None:
    """Every record of the file is out once, in its place, in order, and says which row it is."""
    sha256 = hash_of(file).encode()
    rows = []
    for place, wanted in expected(file).items():
        found = annotated(cluster, place)
        assert [value for _, value in found] == wanted
        numbers = [int(headers["row"]) for headers, _ in found]
        assert numbers == sorted(numbers)
        assert {headers["file"] for headers, _ in found} == {sha256}
        for headers, value in found:
            message = decode_message(value)
            assert headers.get("tick") == (b"%d" % message.tick if isinstance(message, Tick) else None)
        rows += [int(headers["row"]) for headers, _ in found if "tick" not in headers]
    assert sorted(rows) == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("batch", [7, 1_000])
def test_every_row_once_and_in_order(cluster: Cluster, file: Path, tmp_path: Path, batch: int) -> None:
    """Requests and ticks where they belong, whatever goes into a transaction; called again, nothing is left to do."""
    pass_ticks(cluster, EVER)
    told = published(cluster, order(file, batch=batch), tmp_path)
    check_all_once(cluster, file)
    rows, plan = planned(SEED)
    assert (told.rows, told.ticks, told.finished) == (len(rows), plan.last_tick, True)
    again = published(cluster, order(file), tmp_path)
    assert (again.rows, again.ticks, again.finished) == (0, 0, True)
    assert again.resumed_behind_row == len(rows)
    check_all_once(cluster, file)


def test_it_stays_close_to_the_slowest_partition(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """No tick is out that is further ahead than allowed; with progress it goes on."""

    def is_out(tick: int) -> Callable[[], bool]:
        return lambda: min(last_ticks(cluster)) >= tick

    told = published(cluster, order(file), tmp_path, until=is_out(TICKS_AHEAD))
    assert not told.finished
    assert last_ticks(cluster) == {TICKS_AHEAD}
    pass_ticks(cluster, 3)
    published(cluster, order(file), tmp_path, until=is_out(TICKS_AHEAD + 3))
    assert last_ticks(cluster) == {TICKS_AHEAD + 3}
    with closing(KafkaLog(cluster)) as log:  # One partition alone is no progress.
        marker = encode_message(Marker("network/0", 9, 9 * EVERY, 0))
        log.commit("network/0", [Append("network.notices", 0, 0, marker)], {})
    published(cluster, order(file), tmp_path, until=is_out(TICKS_AHEAD + 3))
    assert last_ticks(cluster) == {TICKS_AHEAD + 3}


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("after-fence", 1),
        ("after-produce", 1),
        ("after-produce", 6),
        ("after-offsets", 6),
        ("after-commit", 6),
    ],
)
def test_killed_at_each_point(cluster: Cluster, file: Path, tmp_path: Path, point: str, times: int) -> None:
    """Before anything is out, with a transaction open, or committed and nobody told: the next one goes on."""
    pass_ticks(cluster, EVER)
    with Outsider(tmp_path, *arguments(cluster, file, tmp_path, batch=20)) as publisher:
        publisher.start(f"{point}:{times}")
        publisher.until(lambda: publisher.code == 0)
        assert publisher.deaths == 1
    check_all_once(cluster, file)


def test_killed_at_random_moments(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Whenever: every row once."""
    seed = random.randrange(1, 10**6)
    print(f"seed {seed}")
    pass_ticks(cluster, EVER)
    with Outsider(tmp_path, *arguments(cluster, file, tmp_path, batch=1)) as publisher:
        publisher.start()
        chance = random.Random(seed)
        for _ in range(4):
            publisher.killed_at_random(chance, lambda: publisher.code == 0)
        publisher.until(lambda: publisher.code == 0)
    check_all_once(cluster, file)


def arguments(cluster: Cluster, file: Path, folder: Path, *, batch: int) -> list[str]:
    """``tallystick publish`` of the file, in virtual time."""
    return [
        "publish",
        str(file),
        "--log",
        cluster.address,
        "--keys",
        str(folder / "keys"),
        "--tick",
        str(EVERY // SECOND),
        "--tail",
        str(TAIL // SECOND),
        "--batch",
        str(batch),
        "--json",
    ]


def test_a_second_publisher_shuts_out_the_first(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Whoever starts later owns the name; the other ends in doubt, and between them every row is out once."""
    pass_ticks(cluster, EVER)

    async def both() -> None:
        stop = asyncio.Event()
        keys = open_keys(tmp_path)

        def in_the_middle(point: str) -> None:
            if point == "after-offsets" and not entered.is_set():
                entered.set()

        entered = asyncio.Event()
        first = asyncio.create_task(publish(cluster, order(file, batch=1), keys, stop, reach=in_the_middle))
        await entered.wait()
        told = await publish(cluster, order(file), keys, stop)
        assert told.finished
        with pytest.raises(Unavailable):
            await first

    asyncio.run(both())
    check_all_once(cluster, file)


def test_a_strangers_open_transaction_hides_nothing(
    cluster: Cluster, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are committed behind it are not seen until it ends, and are not published a second time for that."""

    async def hidden() -> None:
        keys, stop, out = open_keys(tmp_path), asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(publish(cluster, order(file), keys, stop, lambda _done, _of: out.set()))
        await out.wait()
        stranger = AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap, transactional_id=f"{cluster.prefix}.stranger"
        )
        await stranger.start()
        try:
            await stranger.begin_transaction()
            await stranger.send_and_wait(cluster.topic("payments.requests"), b"not yet", partition=1)
            out.clear()
            await asyncio.to_thread(pass_ticks, cluster, 4)
            await out.wait()
            stop.set()
            assert not (await first).finished
            with monkeypatch.context() as patch:
                patch.setattr(outlet, "settled_ends", partial(settled_ends, patience=0.3))
                with pytest.raises(Unavailable, match="stays open"):
                    await publish(cluster, order(file), keys, asyncio.Event())
            await stranger.abort_transaction()
        finally:
            await stranger.stop()

    asyncio.run(hidden())
    pass_ticks(cluster, EVER)
    published(cluster, order(file), tmp_path)
    check_all_once(cluster, file)


def test_a_log_in_virtual_time_is_made_of_one_file(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Another one's rows would stand between ticks that count those of the first."""
    published(cluster, order(file), tmp_path, until=lambda: max(last_ticks(cluster)) > 0)
    other = tmp_path / "other.avro"
    rows, _ = planned(SEED + 1)
    write_rows(other, rows, "test")
    with pytest.raises(Refused, match="rows of another file"):
        published(cluster, order(other), tmp_path)


def test_the_wrong_clock_is_refused(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """A log that lives by the wall's clock takes no ticks."""
    opened = open_wall(cluster)
    assert opened.clock is ClockKind.WALL
    with pytest.raises(Refused, match="publish with --clock wall"):
        published(cluster, order(file), tmp_path)


def open_wall(cluster: Cluster) -> LogOpened:
    """The first record of a log in wall time."""
    opened = LogOpened("intake", 0, PARTITIONS, ClockKind.WALL, 1, 0, 0, WallClock().arguments, [])
    with closing(KafkaLog(cluster)) as log:
        log.commit("index/0", [Append("intake", 0, 0, encode_event(recorded(opened)))], {})
    return opened


def test_strangers_write_what_they_like(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Records without a value, headers like ours with anything in them, markers that are none: nobody is misled."""
    sha256 = hash_of(file).encode()
    marker = encode_message(Marker("network/0", EVER, EVER, 0))

    async def write() -> None:
        stranger = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap)
        await stranger.start()
        try:
            for topic, value, headers in (
                ("payments.requests", None, [("file", sha256)]),
                ("payments.requests", b"x", [("file", sha256), ("row", b"many")]),
                ("payments.requests", b"x", [("file", b""), ("row", b"12"), ("tick", None)]),
                ("network.notices", None, []),
                ("network.notices", marker[:-2], []),
                ("network.notices", encode_message(Marker("network/9", EVER, EVER, 0)), []),
            ):
                await stranger.send_and_wait(cluster.topic(topic), value, b"key", 0, headers=headers)
        finally:
            await stranger.stop()

    asyncio.run(write())
    told = published(cluster, order(file), tmp_path, until=lambda: min(last_ticks(cluster)) >= TICKS_AHEAD)
    assert (told.resumed_behind_row, told.ticks) == (0, TICKS_AHEAD)
    asyncio.run(write())
    pass_ticks(cluster, EVER)
    again = published(cluster, order(file), tmp_path)
    assert (again.resumed_behind_row, again.finished) == (told.rows, True)
    for place, wanted in expected(file).items():
        assert [value for headers, value in annotated(cluster, place) if headers.get("at")] == wanted
