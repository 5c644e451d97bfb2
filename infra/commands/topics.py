"""``tallystick topics``: the topics of the house, on paper and on a broker."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from events.errors import Refused
from infra.options import json_option, kafka_config_option, kafka_partitions_option
from infra.output import console, remark, table, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.kafka.topics import Difference
    from streams.hosts.cluster import Cluster

OK, DIFFERENT = 0, 1
_DATA = Path("var/kafka")

bootstrap_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    help="The broker.  [default: KAFKA_BOOTSTRAP, or the one that `tallystick kafka start` has started]",
)
prefix_option = click.option(
    "--prefix",
    metavar="P",
    default="tallystick",
    show_default=True,
    help="P.payments.requests and so on; several houses can share a broker.",
)


@click.group()
def topics() -> None:
    """The topics: list them, make them, check their settings."""


@topics.command("list")
@kafka_partitions_option
@json_option
def list_(partitions: int, as_json: bool) -> None:
    """Every topic: its key, its partitions and its settings, where they are not those of all."""
    from infra.kafka.topics import ALL, SETTINGS, partitions_of, settings_of

    if as_json:
        rows = [
            {
                "name": topic.name,
                "key": topic.key,
                "partitions": partitions_of(topic, partitions),
                "settings": settings_of(topic, 1),
            }
            for topic in ALL
        ]
        click.echo(to_json(rows))
        return
    lines = [
        (topic.name, topic.key, partitions_of(topic, partitions), _own(settings_of(topic, 1), SETTINGS))
        for topic in ALL
    ]
    screen = console()
    screen.print(
        table("", ("topic", "key", "partitions", "settings of its own"), lines, right=("partitions",))
    )
    screen.print()
    screen.print(table("Settings of all", ("setting", "value"), SETTINGS.items()))


@topics.command()
@bootstrap_option
@prefix_option
@kafka_config_option
@kafka_partitions_option
@json_option
def create(
    bootstrap: str | None, prefix: str, kafka_config: Path | None, partitions: int, as_json: bool
) -> int:
    """Make the topics that are missing; those that are there stay as they are and are checked.

    Three copies of each record where there are three brokers or more, one otherwise. Exit code 1: a topic that was
    there is set otherwise.
    """
    from infra.kafka.topics import create as create_topics

    cluster = _cluster(bootstrap, prefix, kafka_config)
    made, differences = create_topics(cluster.bootstrap, prefix, partitions, cluster.security)
    if as_json:
        click.echo(to_json({"made": made, "differences": _plain(differences)}))
    else:
        for name in made:
            click.echo(name)
        remark(f"{len(made)} topics made" if made else "every topic was there")
        _show(differences)
    return DIFFERENT if differences else OK


@topics.command()
@bootstrap_option
@prefix_option
@kafka_config_option
@click.option(
    "--partitions",
    type=click.IntRange(1),
    metavar="N",
    help="How many there have to be.  [default: as most topics have]",
)
@json_option
def check(
    bootstrap: str | None, prefix: str, kafka_config: Path | None, partitions: int | None, as_json: bool
) -> int:
    """Compare the topics of a broker with what they have to be. Exit code 1 where one differs or is missing."""
    from infra.kafka.topics import ALL
    from infra.kafka.topics import check as check_topics

    cluster = _cluster(bootstrap, prefix, kafka_config)
    differences = check_topics(cluster.bootstrap, prefix, partitions, cluster.security)
    if as_json:
        click.echo(to_json(_plain(differences)))
    else:
        _show(differences)
        if not differences:
            click.echo(f"All {len(ALL)} topics are as they have to be.")
    return DIFFERENT if differences else OK


def _cluster(bootstrap: str | None, prefix: str, config: Path | None) -> "Cluster":
    """Which broker, and how to talk to it."""
    from infra.kafka.broker import address
    from infra.kafka.client import aiokafka

    found = bootstrap or address(_DATA, os.environ)
    if found is None:
        raise Refused("which broker? Give --bootstrap HOST:PORT, or start one: tallystick kafka start")
    aiokafka()
    from streams.hosts.cluster import SCHEME, Cluster

    return Cluster.parse(f"{SCHEME}{found}/{prefix}", config)


def _own(settings: "Mapping[str, str]", common: "Mapping[str, str]") -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items() if common.get(name) != value)


def _plain(differences: "Sequence[Difference]") -> list[dict[str, str]]:
    return [
        {"topic": row.topic, "setting": row.setting, "expected": row.expected, "found": row.found}
        for row in differences
    ]


def _show(differences: "Sequence[Difference]") -> None:
    if differences:
        rows = [(row.topic, row.setting, row.expected, row.found) for row in differences]
        console().print(table("", ("topic", "what", "has to be", "is"), rows))
