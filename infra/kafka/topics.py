"""The topics on a broker: what they are called, how they have to be set, making them, and what differs.

Beside the topics of the topology there are a few on which no money hangs: how the networks are doing, and what came
of probes. They are small, of one partition, and kept for days.

A log has to keep every record for ever, whatever its time stamp says. Kafka's defaults do not: a record stamped in
the past is gone with the next retention check, and one stamped ahead is refused and takes its transaction with it.
So a log's topics are stamped by the broker and nothing ever removes a record.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from events.errors import Refused, Unavailable
from infra.kafka.client import administering, aiokafka
from streams.topology import TOPICS, Topic

#: The schema registry's: no engine knows of it. Of each key only the last record matters, so it is compacted.
REGISTRY: Final = Topic("schemas", "subject and version", partitioned=False)
#: What workers tell each other and operators. Nothing is decided by it.
OPERATIONAL: Final = (
    Topic("ops.samples", "network", partitioned=False),
    Topic("ops.alerts", "network", partitioned=False),
    Topic("ops.livecheck", "probe", partitioned=False),
    Topic("ops.livecheck.bus", "probe", partitioned=False),
    Topic("ops.livecheck.report", "probe", partitioned=False),
)
#: All that stands on a broker.
ALL: Final = (*TOPICS, REGISTRY, *OPERATIONAL)

MEBIBYTE: Final = 1_048_576
SETTINGS: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MEBIBYTE),
}
_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
#: A dead letter is a record that may have been as large as its topic takes, sealed and with a reason.
_OWN_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "dead-letters": {"max.message.bytes": str(2 * MEBIBYTE)},
    REGISTRY.name: {"cleanup.policy": "compact"},
    "ops.samples": {"retention.ms": str(_DAY)},
    "ops.alerts": {"retention.ms": str(30 * _DAY)},
    "ops.livecheck": {"retention.ms": str(_HOUR)},
    "ops.livecheck.bus": {"retention.ms": str(_HOUR)},
    "ops.livecheck.report": {"retention.ms": str(_DAY)},
}
#: With three copies a record counts when two have it: one broker may fail, and nothing is lost.
COPIES: Final = 3
_SHOWN_BOUND: Final = 10.0
"""Seconds until every broker knows of a topic that the controller has made."""
_ALREADY_EXISTS: Final = 36


#: What clients of a broker need beside its address (:class:`streams.hosts.cluster.Cluster`).
Security = Mapping[str, Any]
NONE: Final[Security] = MappingProxyType({})


class Difference(msgspec.Struct, frozen=True):
    """A topic (with its prefix) that is not as it has to be; ``setting`` may also be partitions or copies."""

    topic: str
    setting: str
    expected: str
    found: str


class Made(NamedTuple):
    """What create came to: the topics that were missing, and how all differ now."""

    made: list[str]
    differences: list[Difference]


def full_name(prefix: str, name: str) -> str:
    """What a topic is called on a broker, where several houses may live beside each other."""
    return f"{prefix}.{name}" if prefix else name


def settings_of(topic: Topic, copies: int) -> dict[str, str]:
    """The settings that a topic has to have when each record is kept ``copies`` times."""
    in_sync = {"min.insync.replicas": str(COPIES - 1)} if copies >= COPIES else {}
    return {**SETTINGS, **_OWN_SETTINGS.get(topic.name, {}), **in_sync}


def partitions_of(topic: Topic, partitions: int) -> int:
    """How many partitions a topic has in a house of ``partitions``."""
    return partitions if topic.partitioned else 1


def create(bootstrap: str, prefix: str, partitions: int, security: Security = NONE) -> Made:
    """Make the topics that are missing; return when all are seen. Those that are there are left as they are."""
    return asyncio.run(_create(bootstrap, prefix, partitions, security))


def check(
    bootstrap: str, prefix: str, partitions: int | None = None, security: Security = NONE
) -> list[Difference]:
    """How the topics on a broker differ. Without ``partitions`` they only have to agree with each other."""
    return asyncio.run(_check(bootstrap, prefix, partitions, security))


def refuse(differences: Sequence[Difference]) -> None:
    """Raise Refused where topics are not as a log needs them: on them records would be lost."""
    if differences:
        first = differences[0]
        what = (
            "is missing"
            if first.setting == "topic"
            else f"has {first.setting}={first.found}, not {first.expected}"
        )
        raise Refused(
            f"the topic {first.topic} {what}; `tallystick topics check` shows all that differs, `tallystick topics "
            "create` makes what is missing"
        )


def remove(bootstrap: str, prefix: str, security: Security = NONE) -> list[str]:
    """Remove the topics of a house, and its log with them; gives their names.

    The broker forgets of itself what consumer groups have read in them.
    """
    return asyncio.run(_remove(bootstrap, prefix, security))


async def _remove(bootstrap: str, prefix: str, security: Security) -> list[str]:
    async with administering(bootstrap, security=security) as client:
        names = {full_name(prefix, topic.name) for topic in ALL}
        there = sorted(names & set(await client.list_topics()))
        if there:
            answer = await client.delete_topics(there)
            for name, code in answer.topic_error_codes:
                if code:
                    raise Unavailable(f"{bootstrap} did not remove {name}: error {code}")
        async with asyncio.timeout(_SHOWN_BOUND):
            while set(there) & set(await client.list_topics()) or await _remembered(client, prefix, there):
                await asyncio.sleep(0.05)
        return there


async def _remembered(client: Any, prefix: str, names: Iterable[str]) -> bool:
    """Whether a consumer group of the house still has a position in one of these topics."""
    groups = [group for group, _ in await client.list_consumer_groups() if group.startswith(f"{prefix}.")]
    positions = [await client.list_consumer_group_offsets(group) for group in groups]
    return any(place.topic in names for found in positions for place in found)


async def _create(bootstrap: str, prefix: str, partitions: int, security: Security) -> Made:
    async with administering(bootstrap, security=security) as client:
        copies = await _copies(client)
        there = set(await client.list_topics())
        new_topic = aiokafka(".admin").NewTopic
        missing = [
            new_topic(
                full_name(prefix, topic.name),
                partitions_of(topic, partitions),
                copies,
                topic_configs=settings_of(topic, copies),
            )
            for topic in ALL
            if full_name(prefix, topic.name) not in there
        ]
        made = []
        if missing:
            await _refuse_fewer(client, bootstrap, copies)
            answer = await client.create_topics(missing)
            for name, code, message in answer.topic_errors:
                if code == 0:
                    made.append(name)
                elif code != _ALREADY_EXISTS:
                    raise Unavailable(f"{bootstrap} did not make {name}: {message or f'error {code}'}")
            described = await _until_seen(client, {topic.name for topic in missing})
            await _until_served(bootstrap, security, described)
        # Of several brokers the next to be asked may be one that has not heard of them yet.
        async with asyncio.timeout(_SHOWN_BOUND):
            while _lacks(differences := await _differences(client, prefix, partitions)):
                await asyncio.sleep(0.05)
        return Made(made, differences)


def _lacks(differences: Iterable[Difference]) -> bool:
    return any(difference.setting == "topic" for difference in differences)


async def _check(bootstrap: str, prefix: str, partitions: int | None, security: Security) -> list[Difference]:
    async with administering(bootstrap, security=security) as client:
        return await _differences(client, prefix, partitions)


async def _copies(client: Any) -> int:
    brokers = (await client.describe_cluster())["brokers"]
    return COPIES if len(brokers) >= COPIES else 1


async def _refuse_fewer(client: Any, bootstrap: str, copies: int) -> None:
    """Raises Unavailable where brokers are away: what is made meanwhile would have a single copy for ever."""
    kept = [len(part["replicas"]) for topic in await client.describe_topics() for part in topic["partitions"]]
    if max(kept, default=0) > copies:
        raise Unavailable(
            f"{bootstrap} keeps {max(kept)} copies of what it has, and fewer brokers than that answer: topics that are "
            "made now would have one; start the broker that is missing, and try again"
        )


async def _until_seen(client: Any, names: set[str]) -> dict[str, Any]:
    """These topics, when all of them are there."""
    async with asyncio.timeout(_SHOWN_BOUND):
        while not names <= (described := await _described(client)).keys():
            await asyncio.sleep(0.05)
    return {name: described[name] for name in names}


async def _until_served(bootstrap: str, security: Security, topics: Mapping[str, Any]) -> None:
    """Until each partition's leader has its log: metadata tell of both before there is one.

    No transaction is to end in between. Kafka 4.3 tries to write its marker again and again without a pause, and a try
    that comes just when the log does may stay without an answer for 30 s; behind it wait the markers of all others.
    """
    partition = aiokafka().TopicPartition
    places = [partition(name, part["partition"]) for name in topics for part in topics[name]["partitions"]]
    asking = aiokafka().AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, retry_backoff_ms=20, **security
    )
    try:
        await asking.start()
        # Only a log has an end: until there is one, the library asks again.
        await asking.end_offsets(places)
    finally:
        await asking.stop()


async def _described(client: Any) -> dict[str, Any]:
    """The topics whose every partition has a leader, by name."""
    return {
        topic["topic"]: topic
        for topic in await client.describe_topics()
        if not topic["error_code"] and all(part["leader"] >= 0 for part in topic["partitions"])
    }


async def _differences(client: Any, prefix: str, partitions: int | None) -> list[Difference]:
    copies = await _copies(client)
    there = {topic["topic"]: topic for topic in await client.describe_topics()}
    present = [topic for topic in ALL if full_name(prefix, topic.name) in there]
    configured = await _configured(client, [full_name(prefix, topic.name) for topic in present])
    if partitions is None:
        counts = [
            len(there[full_name(prefix, topic.name)]["partitions"]) for topic in present if topic.partitioned
        ]
        partitions = max(set(counts), key=counts.count, default=1)
    found: list[Difference] = []
    for topic in ALL:
        name = full_name(prefix, topic.name)
        if topic not in present:
            found.append(Difference(name, "topic", "there", "missing"))
            continue
        parts = there[name]["partitions"]
        kept = min(len(part["replicas"]) for part in parts)
        # One of three brokers may be away, and its copies are still copies.
        wanted = max(copies, kept)
        actual = {"partitions": str(len(parts)), "copies": str(kept), **configured[name]}
        expected = {
            "partitions": str(partitions_of(topic, partitions)),
            "copies": str(wanted),
            **settings_of(topic, wanted),
        }
        found += [
            Difference(name, setting, value, actual.get(setting, "unknown"))
            for setting, value in expected.items()
            if actual.get(setting) != value
        ]
    return found


async def _configured(client: Any, names: list[str]) -> dict[str, dict[str, str]]:
    """The settings of topics as the broker sees them, defaults included."""
    if not names:
        return {}
    admin = aiokafka(".admin")
    resources = [
        admin.config_resource.ConfigResource(admin.config_resource.ConfigResourceType.TOPIC, name)
        for name in names
    ]
    answers = await client.describe_configs(resources)
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
