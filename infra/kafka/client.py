"""Asking a broker: does it serve? The only place that knows how aiokafka, an extra, is loaded and fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from events.errors import Unavailable

EXTRA: Final = (
    "aiokafka is not installed: pip install 'tallystick[kafka]', or in the source tree make .venv/test.stamp"
)
#: Seconds that one question may take.
PATIENCE: Final = 10.0
_PAUSE: Final = 0.1
#: Group and transactional id of those who only ask whether the coordinators answer.
_PROBE: Final = "tallystick-probe"


def aiokafka(module: str = "") -> Any:
    """The library, or a module of it. Raises Unavailable where the extra ``kafka`` is not installed."""
    try:
        return import_module(f"aiokafka{module}")
    except ModuleNotFoundError as error:
        raise Unavailable(EXTRA) from error


@asynccontextmanager
async def administering(
    bootstrap: str, patience: float = PATIENCE, security: Mapping[str, Any] = MappingProxyType({})
) -> AsyncIterator[Any]:
    """An admin client; ``security`` as :class:`streams.hosts.cluster.Cluster` has it.

    Raises Unavailable where the broker does not answer.
    """
    client = aiokafka(".admin").AIOKafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=int(patience * 1_000), **security
    )
    with _asking(bootstrap):
        try:
            async with asyncio.timeout(patience):
                await client.start()
            yield client
        finally:
            await client.close()


def serves(bootstrap: str, brokers: int = 1, patience: float = PATIENCE) -> bool:
    """Whether the cluster answers now: at least so many brokers, and both coordinators."""
    aiokafka()  # its absence says nothing about the cluster
    try:
        asyncio.run(_ask(bootstrap, brokers, patience))
    except Unavailable:
        return False
    return True


def wait_until_it_serves(
    bootstrap: str, brokers: int, patience: float, still_there: Callable[[], None]
) -> None:
    """Return when the cluster serves. ``still_there`` is asked between tries and raises when waiting is pointless.

    Raises Unavailable after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        still_there()
        try:
            return asyncio.run(_ask(bootstrap, brokers, PATIENCE))
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"not ready after {patience:.0f} s: {error}") from error
        time.sleep(_PAUSE)


async def _ask(bootstrap: str, brokers: int, patience: float) -> None:
    """Ask for metadata, the coordinator of groups and that of transactions, in this order.

    A broker that has just started answers the first long before the others: the coordinators' topics are made when
    they are first asked for.
    """
    async with administering(bootstrap, patience) as client, asyncio.timeout(patience):
        found = len((await client.describe_cluster())["brokers"])
        if found < brokers:
            raise Unavailable(f"{found} of {brokers} brokers have come together at {bootstrap}")
        await client.list_consumer_group_offsets(_PROBE)
    with _asking(bootstrap):
        producer = aiokafka().AIOKafkaProducer(
            bootstrap_servers=bootstrap, transactional_id=_PROBE, request_timeout_ms=int(patience * 1_000)
        )
        try:
            async with asyncio.timeout(patience):
                await producer.start()
        finally:
            await producer.stop()


@contextmanager
def _asking(bootstrap: str) -> Iterator[None]:
    """What the library raises and logs becomes one exception: trying is what we are here for."""
    from streams.hosts.refusals import reason, remember

    remember()
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except (aiokafka(".errors").KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"no answer from Kafka at {bootstrap}: {reason(error)}") from error
    finally:
        logger.setLevel(level)
