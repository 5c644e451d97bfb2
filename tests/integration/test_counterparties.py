"""Clearing houses and the bank on a real broker: what they say is said once, whoever is killed and whatever is lost."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from events.errors import LogDamaged, Refused, Unavailable
from events.partitions import TickPassed
from events.wire import decode_event, decode_message, encode_message, type_of
from streams.edge import counterparties
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.hosts.cluster import Cluster
from streams.hosts.edges import Edge
from streams.hosts.following import group_positions
from streams.hosts.kafkaedges import KafkaEdge
from streams.hosts.kafkalog import KafkaLog, group_of
from streams.hosts.log import Append, TopicPartition
from tests.integration.outsiders import (
    PARTITIONS,
    SEED,
    Counting,
    Outsider,
    appends,
    copied,
    forget_positions,
    new_cluster,
    played,
    values,
    written,
)

TOPICS = ("network.notices", "bank.statements")
POINTS = ("after-fence", "after-restore", "after-produce", "after-offsets", "after-commit")


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return new_cluster(kafka)


def heard() -> list[Append]:
    """What the counterparties read."""
    places = [(topic, number) for topic in ("payments", "settlement") for number in range(PARTITIONS)]
    return appends(played(), places)


def said(topic: str) -> list[list[bytes]]:
    """What they say to it when nobody dies."""
    return [values(played(), topic, number) for number in range(PARTITIONS)]


def check_all_said_once(cluster: Cluster) -> None:
    """What differs is shown by itself: whole logs would drown it."""
    for topic in TOPICS:
        for number, (found, wanted) in enumerate(zip(written(cluster, topic), said(topic), strict=True)):
            differ = [at for at, (one, other) in enumerate(zip(found, wanted, strict=False)) if one != other][
                :3
            ]
            shown = [(at, decode_message(found[at]), decode_message(wanted[at])) for at in differ]
            assert (topic, number, len(found), shown) == (topic, number, len(wanted), [])


def arguments(cluster: Cluster, folder: Path, *more: str) -> list[str]:
    return [
        "counterparties", "--log", cluster.address, "--seed", str(SEED), "--state", str(folder / "state"), *more,
    ]  # fmt: skip


def all_said(counting: Counting) -> bool:
    return all(counting.of(topic) >= sum(map(len, said(topic))) for topic in TOPICS)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point(cluster: Cluster, tmp_path: Path, point: str) -> None:
    """At the first time, and again in the middle of the work: what is said is said once."""
    pieces = copied(cluster, heard(), 12)
    next(pieces)
    with (
        closing(Counting(cluster)) as counting,
        Outsider(tmp_path, *arguments(cluster, tmp_path)) as outsider,
    ):
        outsider.start(f"{point}:1")
        outsider.until(lambda: outsider.deaths == 1)
        for number, _ in enumerate(pieces):
            if number == 5:
                outsider.kill()
                outsider.start(f"{point}:2")
        outsider.until(lambda: all_said(counting))
        assert outsider.deaths == 1
    check_all_said_once(cluster)


def test_killed_at_random_moments(cluster: Cluster, tmp_path: Path) -> None:
    """Whenever: every notice and every statement once."""
    seed = random.randrange(1, 10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with (
        closing(Counting(cluster)) as counting,
        Outsider(tmp_path, *arguments(cluster, tmp_path)) as outsider,
    ):
        outsider.start()
        for number, _ in enumerate(copied(cluster, heard(), 60)):
            if number % 15 == 14:
                outsider.killed_at_random(chance, lambda: all_said(counting))
        outsider.until(lambda: all_said(counting))
    check_all_said_once(cluster)


def test_one_kind_alone_in_each_process(cluster: Cluster, tmp_path: Path) -> None:
    """``--only`` divides them, and SIGTERM ends each in order."""
    for _ in copied(cluster, heard()):
        pass
    networks = Outsider(tmp_path / "networks", *arguments(cluster, tmp_path, "--only", "networks"))
    bank = Outsider(tmp_path / "bank", *arguments(cluster, tmp_path, "--only", "bank"))
    with closing(Counting(cluster)) as counting, networks, bank:
        networks.start()
        networks.until(lambda: counting.of("network.notices") == sum(map(len, said("network.notices"))))
        assert counting.of("bank.statements") == 0
        bank.start()
        bank.until(lambda: all_said(counting))
        networks.stop()
        bank.stop()
        assert (networks.code, bank.code) == (0, 0)
    check_all_said_once(cluster)


# --- in this process ----------------------------------------------------------------------------------


def made() -> list[Edge]:
    return [ClearingHouse(PARTITIONS, SEED), Bank(PARTITIONS, SEED)]


async def work(cluster: Cluster, edges: Sequence[Edge], state: Path | None = None) -> list[int]:
    """Let edges say what there is to say, one after the other; how many records each has read."""
    read = []
    for edge in edges:
        hosted = KafkaEdge(cluster, edge, state, batch=300)
        try:
            stop = asyncio.Event()
            await hosted.open()
            ends = await asyncio.to_thread(last_ends, cluster, edge)
            while hosted.positions != ends:
                await hosted.turn()
            stop.set()
            await hosted.run(stop)
            read.append(hosted.read)
        finally:
            await hosted.close()
    return read


def last_ends(cluster: Cluster, edge: Edge) -> dict[TopicPartition, int]:
    """The offset behind the last record of each partition that an edge reads."""
    with closing(KafkaLog(cluster)) as log:
        found = {place: log.last(*place) for place in edge.reads()}
    return {place: 0 if last is None else last.offset + 1 for place, last in found.items()}


def in_halves(cluster: Cluster, between: Coroutine[Any, Any, None], state: Path | None = None) -> None:
    """Half of the log, something in between, the other half."""
    half = len(heard()) // 2

    async def both() -> None:
        await asyncio.to_thread(list, copied(cluster, heard()[:half], 3))
        await work(cluster, made(), state)
        await between
        await asyncio.to_thread(list, copied_on(cluster, heard()[half:]))
        await work(cluster, made(), state)

    asyncio.run(both())


def copied_on(cluster: Cluster, records: Sequence[Append]) -> Any:
    return copied(cluster, records, 3)


async def nothing() -> None:
    """Nothing happens."""


def test_a_restart_restores_what_an_edge_knew(cluster: Cluster) -> None:
    """Cycles half full, payouts under way: folded again from the log, without a word."""
    in_halves(cluster, nothing())
    check_all_said_once(cluster)


def test_positions_that_the_group_has_forgotten(cluster: Cluster) -> None:
    """A week without a commit: what an edge has said stands in its topics, and is not said again."""

    async def forget() -> None:
        groups = [group_of(cluster, edge.name) for edge in made()]
        await asyncio.to_thread(forget_positions, cluster, groups)
        for group in groups:
            assert await group_positions(cluster, group) == {}

    in_halves(cluster, forget())
    check_all_said_once(cluster)


def notices(seed: int) -> list[bytes]:
    """What the clearing house says in all, when its dice are thrown with this seed."""
    edge = ClearingHouse(PARTITIONS, seed)
    records = (one for one in heard() if (one.topic, one.partition) in edge.reads())
    events = ((one, decode_event(one.value)) for one in records if type_of(one.value) in ClearingHouse.HEARS)
    return [
        encode_message(answer.message)
        for one, event in events
        for answer in edge.see(one.topic, one.partition, event)
    ]


def another_seed() -> int:
    """One with which it says something else; of so few records, most seeds turn down the same."""
    ours = notices(SEED)
    return next(seed for seed in count(SEED + 1) if notices(seed) != ours)


def test_what_would_be_said_otherwise_is_not_said(cluster: Cluster) -> None:
    """Positions are gone, and what stands in the topics was said by an edge of another seed."""

    async def twice() -> None:
        await asyncio.to_thread(list, copied(cluster, heard(), 1))
        await work(cluster, [ClearingHouse(PARTITIONS, another_seed())])
        await asyncio.to_thread(forget_positions, cluster, [group_of(cluster, "network/0")])
        before = await asyncio.to_thread(written, cluster, "network.notices")
        with pytest.raises(Refused, match="would now say something else"):
            await work(cluster, [ClearingHouse(PARTITIONS, SEED)])
        assert await asyncio.to_thread(written, cluster, "network.notices") == before

    asyncio.run(twice())


def test_a_snapshot_is_taken_where_it_fits(cluster: Cluster, tmp_path: Path) -> None:
    """Only what came behind it is read again."""
    in_halves(cluster, nothing(), tmp_path)
    check_all_said_once(cluster)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["bank-0.snapshot", "network-0.snapshot"]

    async def opened() -> list[int]:
        seen = []
        for edge in made():
            hosted = KafkaEdge(cluster, edge, tmp_path)
            heard_again: list[int] = []
            see = edge.see
            edge.see = lambda *one, see=see, to=heard_again: (to.append(1), see(*one))[1]  # type: ignore[method-assign]
            try:
                await hosted.open()
            finally:
                await hosted.close()
            seen.append(len(heard_again))
        return seen

    assert asyncio.run(opened()) == [0, 0]


@pytest.mark.parametrize("harm", ["damaged", "ahead", "of another log"])
def test_a_snapshot_that_does_not_fit_is_thrown_away(
    kafka: str, cluster: Cluster, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is folded from its beginning instead."""
    state = tmp_path / "state"

    async def disturb() -> None:
        other = cluster
        if harm == "of another log":
            other = await asyncio.to_thread(new_cluster, kafka)
            shifted = [one._replace(at=one.at + 1) for one in heard()]
            await asyncio.to_thread(list, copied(other, shifted[: len(shifted) // 2], 3))
            await work(other, made(), state)
        for path in state.iterdir():
            data = path.read_bytes()
            if harm == "damaged":
                path.write_bytes(data[:-9])
        if harm == "ahead":  # of positions that are no more
            groups = [group_of(cluster, edge.name) for edge in made()]
            await asyncio.to_thread(forget_positions, cluster, groups)
        caplog.clear()

    in_halves(cluster, disturb(), state)
    check_all_said_once(cluster)
    assert caplog.text.count("is not used") == len(made())


def test_a_second_one_shuts_out_the_first(cluster: Cluster) -> None:
    """Both have read the same; only who came last is heard."""

    async def all_of(edge: KafkaEdge) -> None:
        while await edge.turn(10_000):
            pass

    async def both() -> None:
        await asyncio.to_thread(list, copied(cluster, heard(), 1))
        first, second = (KafkaEdge(cluster, ClearingHouse(PARTITIONS, SEED)) for _ in range(2))
        try:
            await first.open()
            await second.open()
            with pytest.raises(Unavailable):
                await all_of(first)
            await all_of(second)
        finally:
            await first.close()
            await second.close()

    asyncio.run(both())
    found = written(cluster, "network.notices")[0]
    assert found == said("network.notices")[0][: len(found)]
    assert found


def test_a_damaged_record_ends_it(cluster: Cluster) -> None:
    """An edge says nothing to what it cannot read."""
    record = next(one for one in heard() if type_of(one.value) is TickPassed)
    with closing(KafkaLog(cluster)) as log:
        log.commit("index/0", [Append("payments", 0, record.at, record.value[:-1])], {})
    with pytest.raises(LogDamaged, match="payments/0 at "):
        asyncio.run(work(cluster, [ClearingHouse(PARTITIONS, SEED)]))


def test_another_seed_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """In virtual time the log says of which seed all chance is made."""
    for _ in copied(cluster, heard()[:20], 1):
        pass

    async def run() -> None:
        await counterparties.run(cluster, SEED + 1, tmp_path, asyncio.Event())

    with pytest.raises(Refused, match=f"made of seed {SEED}, not {SEED + 1}"):
        asyncio.run(run())
