"""Who owns an index: the member of the engines' group that has its partition, as the broker knows it.

A member is known to the broker by the id of its client, so that is where a worker writes the address of its views.
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

from events.errors import Unavailable
from infra.kafka.client import aiokafka
from streams.hosts.cluster import Cluster

GROUP: Final = "engines"
#: The topic by whose partitions indexes are told apart; every input has the same count and goes the same way.
_TOPIC: Final = "payments.requests"
_PATIENCE: Final = 3.0
_WORKER: Final = "worker "


def named(cluster: Cluster, address: str) -> Cluster:
    """The same cluster, for clients that carry the address of a worker's views in their id."""
    return replace(cluster, security={**cluster.security, "client_id": f"{_WORKER}{address}"})


async def owner_of(cluster: Cluster, index: int) -> str:
    """The address of the owner's views and the host that it is on; empty where nobody owns it. Raises Unavailable."""
    client = aiokafka(".admin").AIOKafkaAdminClient(
        **cluster.options(), request_timeout_ms=int(_PATIENCE * 1_000)
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            await client.start()
            answers = await client.describe_consumer_groups([cluster.topic(GROUP)])
    except (aiokafka(".errors").KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"no answer from Kafka at {cluster.bootstrap}: {error}") from error
    finally:
        await client.close()
    for answer in answers:
        for group in answer.groups:
            for _, client_id, host, _, assignment in group[5]:
                if index in _partitions(assignment, cluster.topic(_TOPIC)):
                    return f"{client_id.removeprefix(_WORKER)} on {host.lstrip('/')}"
    return ""


def _partitions(assignment: bytes, topic: str) -> list[int]:
    """The partitions of a topic in what a member was given."""
    if not assignment:
        return []
    protocol: Any = aiokafka(".coordinator.protocol").ConsumerProtocolMemberAssignment
    return [
        partition
        for name, partitions in protocol.decode(assignment).assignment
        if name == topic
        for partition in partitions
    ]
