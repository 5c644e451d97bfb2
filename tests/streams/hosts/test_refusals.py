"""What the client library gives up on is asked again."""

import asyncio

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import CoordinatorNotAvailableError

from streams.hosts.refusals import remember


def test_where_no_broker_is_named_there_is_no_coordinator_yet() -> None:
    """A broker that has just come back answers like that; the library would end the process by an assertion."""
    remember()

    async def look_up() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
        client.cluster.update_metadata(_Nobody())
        try:
            with pytest.raises(CoordinatorNotAvailableError):
                await client.coordinator_lookup(CoordinationType.TRANSACTION, "index.0")
        finally:
            await client.close()

    asyncio.run(look_up())


class _Nobody:
    """The answer of such a broker."""

    API_VERSION = 5
    brokers: tuple[()] = ()
    topics: tuple[()] = ()
    cluster_id = "one"
    controller_id = -1
