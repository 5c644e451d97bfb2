"""A file onto a real broker by the clock on the wall: once, at the moments that were foreseen, behind what it needs."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from events.errors import Refused, Unavailable
from events.partitions import ClockKind, ClockStruck
from events.requests import InputRow, PaymentRequest, ReferencePublished
from events.wire import decode_message, encode_event, encode_message
from streams.edge import pacing
from streams.edge.inputs import hash_of, write_rows
from streams.edge.publisher import placed
from streams.edge.publishing import Order, Told, publish
from streams.edge.vault import open_keys
from streams.hosts.cluster import Cluster
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Append, TopicPartition
from tests.integration.outsiders import PARTITIONS, SEED, Counting, Outsider, annotated, new_cluster, written
from tests.patience import PATIENCE_SECONDS
from tests.simulation.schedules import planned
from tests.streams.builders_early import recorded

REQUESTS: Final[tuple[TopicPartition, ...]] = tuple(
    ("payments.requests", number) for number in range(PARTITIONS)
)
ROWS: Final = planned(SEED)[0]
#: Reference data in front of the first request.
LEADING: Final = next(number for number, row in enumerate(ROWS) if isinstance(row.entry, PaymentRequest))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input that all publish."""
    path = tmp_path_factory.mktemp("input") / "day.avro"
    write_rows(path, ROWS, "test")
    return path


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return new_cluster(kafka)


@pytest.fixture
def counting(cluster: Cluster) -> Iterator[Counting]:
    with closing(Counting(cluster)) as made:
        yield made


def strike(cluster: Cluster, version: int, topics: tuple[str, ...] = ("intake", "payments")) -> None:
    """Put reference data into force, as workers do when their clock strikes."""
    struck = encode_event(recorded(ClockStruck(1, 1, version)))
    with closing(KafkaLog(cluster)) as log:
        places = [(topic, number) for topic in topics for number in range(PARTITIONS)]
        log.commit("index/0", [Append(topic, number, 1, struck) for topic, number in places], {})


def published(cluster: Cluster, file: Path, keys: Path, **more: Any) -> Told:
    """What publishing by the wall's clock comes to in this process."""
    order = replace(Order(file, ClockKind.WALL), **more)
    return asyncio.run(publish(cluster, order, open_keys(keys), asyncio.Event()))


def expected(rows: tuple[InputRow, ...] = ROWS) -> dict[TopicPartition, list[bytes]]:
    """What stands in each partition when the rows are out once."""
    found: dict[TopicPartition, list[bytes]] = {place: [] for place in (("reference", 0), *REQUESTS)}
    for row in rows:
        item = placed(row, PARTITIONS)
        found[(item.topic, item.partition)].append(encode_message(item.message))
    return found


def check_all_once(cluster: Cluster, file: Path) -> None:
    """Every row of the file once, in its place, in order, with its number."""
    numbers = []
    for place, wanted in expected().items():
        found = annotated(cluster, place)
        assert [value for _, value in found] == wanted
        rows = [int(headers["row"]) for headers, _ in found]
        assert rows == sorted(rows)
        assert {headers["file"] for headers, _ in found} == {hash_of(file).encode()}
        numbers += rows
    assert sorted(numbers) == list(range(1, len(ROWS) + 1))


@pytest.mark.parametrize("batch", [9, 1_000])
def test_every_row_once_and_in_order(cluster: Cluster, file: Path, tmp_path: Path, batch: int) -> None:
    """No tick among them; called again, nothing is left to do."""
    strike(cluster, LEADING)
    told = published(cluster, file, tmp_path, batch=batch)
    assert (told.rows, told.ticks, told.finished) == (len(ROWS), 0, True)
    check_all_once(cluster, file)
    assert published(cluster, file, tmp_path).rows == 0
    check_all_once(cluster, file)


@pytest.mark.parametrize("point", ["after-fence", "after-produce", "after-commit"])
@pytest.mark.parametrize("times", [1, 7])
def test_killed_at_each_point(cluster: Cluster, file: Path, tmp_path: Path, point: str, times: int) -> None:
    """Among the reference data and among the requests: the next one goes on."""
    strike(cluster, LEADING)
    times = 1 if point == "after-fence" else times
    arguments = (
        "publish", str(file), "--log", cluster.address, "--keys", str(tmp_path / "keys"), "--clock", "wall",
        "--batch", "9",
    )  # fmt: skip
    with Outsider(tmp_path, *arguments) as publisher:
        publisher.start(f"{point}:{times}")
        publisher.until(lambda: publisher.code == 0)
        assert publisher.deaths == 1
    check_all_once(cluster, file)


def while_publishing(
    cluster: Cluster, file: Path, keys: Path, see: Callable[[asyncio.Task[Told]], Any], **more: Any
) -> Told:
    """Publish, and do something meanwhile in another thread."""

    async def work() -> Told:
        order = replace(Order(file, ClockKind.WALL), **more)
        task = asyncio.create_task(publish(cluster, order, open_keys(keys), asyncio.Event()))
        await asyncio.to_thread(see, task)
        return await task

    return asyncio.run(work())


def until(condition: Callable[[], bool]) -> None:
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < patience_ends
        time.sleep(0.02)


def test_requests_wait_until_the_reference_data_is_in_force(
    cluster: Cluster, counting: Counting, file: Path, tmp_path: Path
) -> None:
    """In every log that takes requests, and not in an earlier version. Killed meanwhile, they wait again."""

    def see(task: asyncio.Task[Told]) -> None:
        until(lambda: counting.of("reference", 1) == LEADING)
        strike(cluster, LEADING - 1)
        strike(cluster, LEADING, ("intake",))
        looked = time.monotonic() + 0.7
        until(lambda: time.monotonic() > looked or task.done())
        assert counting.of("payments.requests") == 0
        strike(cluster, LEADING, ("payments",))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "_IN_FORCE_SECONDS", 0.5)
        with pytest.raises(Unavailable, match="is a worker running"):
            published(cluster, file, tmp_path)
    assert counting.of("payments.requests") == 0
    assert while_publishing(cluster, file, tmp_path, see).finished
    check_all_once(cluster, file)


def test_a_rate_is_a_schedule(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Each row at its moment, to the microsecond, however they were committed; ``now`` lets it occur then."""
    strike(cluster, LEADING)
    began = time.time_ns() // 1_000
    told = published(cluster, file, tmp_path, rate=200, now=True)
    assert told.finished
    moments = {}
    for place in REQUESTS:
        for headers, value in annotated(cluster, place):
            at = int.from_bytes(headers["at"], "big", signed=True)
            moments[int(headers["row"])] = at
            message = decode_message(value)
            assert at == message.occurred_at  # type: ignore[attr-defined]
    first = min(moments)
    reference = [number for number, row in enumerate(ROWS, 1) if isinstance(row.entry, ReferencePublished)]
    assert set(moments) == set(range(1, len(ROWS) + 1)) - set(reference)
    assert {at - moments[first] for at in moments.values()} == {5_000 * (row - first) for row in moments}
    assert began < moments[first] < time.time_ns() // 1_000
    # The last one went out at its moment or behind it, never before.
    assert time.time_ns() // 1_000 >= max(moments.values())


def test_only_simulated_rows_are_renewed(cluster: Cluster, tmp_path: Path) -> None:
    """When a real request occurred is its producer's to say."""
    strike(cluster, LEADING)
    entry = ROWS[LEADING].entry
    real = InputRow(ROWS[LEADING].ingested_at, msgspec.structs.replace(entry, simulated=False))
    file = tmp_path / "real.avro"
    write_rows(file, [*ROWS[:LEADING], real], "test")
    with pytest.raises(Refused, match=f"row {LEADING + 1} is no simulated request"):
        published(cluster, file, tmp_path, now=True)
    assert written(cluster, "payments.requests") == [[], []]


def test_a_second_file_brings_no_reference_data_twice(cluster: Cluster, file: Path, tmp_path: Path) -> None:
    """Versions count what the topic holds: the same again is left out, another under the same number is refused."""
    strike(cluster, LEADING)
    later = tmp_path / "later.avro"
    write_rows(later, ROWS[: LEADING + 3], "later")
    published(cluster, file, tmp_path)
    told = published(cluster, later, tmp_path)
    assert (told.finished, told.last_row) == (True, LEADING + 3)
    assert written(cluster, "reference", 1) == [expected()[("reference", 0)]]
    found = [headers for place in REQUESTS for headers, _ in annotated(cluster, place)]
    rows = sorted(int(headers["row"]) for headers in found if headers["file"] == hash_of(later).encode())
    assert rows == [LEADING + 1, LEADING + 2, LEADING + 3]

    first = ROWS[0].entry
    assert isinstance(first, ReferencePublished)
    other = tmp_path / "other.avro"
    write_rows(
        other, [InputRow(ROWS[0].ingested_at, msgspec.structs.replace(first, sha256="0" * 64))], "other"
    )
    with pytest.raises(Refused, match="version 1 is another there"):
        published(cluster, other, tmp_path)
    assert written(cluster, "reference", 1) == [expected()[("reference", 0)]]
