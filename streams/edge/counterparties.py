"""Who is on the other side, simulated: the networks' clearing house, and the bank."""

import asyncio
from pathlib import Path

import msgspec

from events.errors import LogDamaged, Refused
from events.partitions import ClockKind, LogOpened
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.hosts.cluster import Cluster
from streams.hosts.edges import Edge
from streams.hosts.following import Follower, opened
from streams.hosts.kafkaedges import KafkaEdge, host
from streams.hosts.transactions import Reach, never


def seed_for(log: LogOpened, seed: int) -> int:
    """The seed of all simulated chance, which in virtual time is the log's own. Raises Refused for another one."""
    if log.clock is not ClockKind.VIRTUAL:
        return seed
    try:
        given = msgspec.json.decode(log.run, type=dict[str, int | str])["seed"]
    except (msgspec.MsgspecError, KeyError) as error:
        raise LogDamaged("the log's first record does not say of which seed it is made") from error
    if given != seed:
        raise Refused(f"this log is made of seed {given}, not {seed}: give --seed {given}")
    return seed


async def run(
    cluster: Cluster,
    seed: int,
    state: Path,
    stop: asyncio.Event,
    *,
    networks: bool = True,
    bank: bool = True,
    reach: Reach = never,
) -> None:
    """Answer until ``stop`` is set. ``state`` is a folder for snapshots."""
    reader = Follower(cluster)
    await reader.start()
    try:
        partitions = await reader.partitions("payments")
        first = await opened(reader, ("payments", 0), stop)
    finally:
        await reader.close()
    if first is None:
        return
    seed = seed_for(first, seed)
    edges: list[Edge] = []
    if networks:
        edges.append(ClearingHouse(partitions, seed))
    if bank:
        edges.append(Bank(partitions, seed))
    # In virtual time the run waits for them; a bank on the wall's clock takes its time.
    hurried = first.clock is ClockKind.VIRTUAL
    await host([KafkaEdge(cluster, edge, state, reach=reach, hurried=hurried) for edge in edges], stop)
