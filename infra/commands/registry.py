"""``tallystick registry``: the schema registry on its own, and our schemas in somebody else's."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from events.errors import Unavailable
from infra.kafka.options import cluster_of, cluster_options
from infra.options import json_option
from infra.output import console, remark, table, to_json

if TYPE_CHECKING:
    from infra.registry.client import Difference

OK, DIFFERENT = 0, 1
_HOST: Final = "127.0.0.1"

url_option = click.option("--url", metavar="URL", required=True, help="The registry: https://HOST:PORT")
credentials_option = click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that holds USER:PASSWORD.",
)
prefix_option = click.option(
    "--prefix",
    metavar="P",
    default="tallystick",
    show_default=True,
    help="What the topics' names begin with.",
)


@click.group()
def registry() -> None:
    """The schema registry: serve it, publish our schemas elsewhere, compare."""


@registry.command()
@cluster_options
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8081,
    show_default=True,
    metavar="PORT",
    help="On this machine alone; 0 takes a free one.",
)
def serve(log: str, config: Path | None, port: int) -> int:
    """Serve the registry of a log on Kafka, as every worker does. Prints its address when it serves; ends on Ctrl-C."""
    from infra.registry.topic import TopicStorage
    from infra.registry.web import serving
    from infra.stopping import run_until_stopped
    from streams.hosts.registry.service import Registry

    cluster = cluster_of(log, config)

    async def work(stop: asyncio.Event) -> None:
        async with serving(Registry(cluster.prefix, TopicStorage(cluster)), _HOST, port) as address:
            click.echo(address)
            await stop.wait()

    run_until_stopped(work)
    return OK


@registry.command()
@url_option
@credentials_option
@prefix_option
@json_option
def publish(url: str, credentials: Path | None, prefix: str, as_json: bool) -> int:
    """Bring a registry all that we have published, each schema with our id. What is right there is not touched."""
    _need_aiohttp()
    from infra.registry.client import outside
    from infra.registry.client import publish as publish_there
    from streams.hosts.registry.ours import Ours

    async def work() -> list[str]:
        async with outside(url, credentials) as there:
            return await publish_there(there, Ours(prefix))

    changed = asyncio.run(work())
    if as_json:
        click.echo(to_json(changed))
    else:
        for subject in changed:
            click.echo(subject)
        remark(f"{len(changed)} subjects changed" if changed else "everything was there")
    return OK


@registry.command()
@url_option
@credentials_option
@prefix_option
@json_option
def check(url: str, credentials: Path | None, prefix: str, as_json: bool) -> int:
    """Compare a registry with what we have published. Exit code 1 where something is missing or otherwise."""
    _need_aiohttp()
    from infra.registry.client import check as check_there
    from infra.registry.client import outside
    from streams.hosts.registry.ours import Ours

    async def work() -> "Sequence[Difference]":
        async with outside(url, credentials) as there:
            return await check_there(there, Ours(prefix))

    differences = asyncio.run(work())
    if as_json:
        click.echo(to_json([row._asdict() for row in differences]))
    elif differences:
        console().print(table("", ("subject", "what", "has to be", "is"), differences))
    else:
        click.echo("The registry has all that is published.")
    return DIFFERENT if differences else OK


def _need_aiohttp() -> None:
    try:
        import aiohttp  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unavailable(
            "aiohttp is not installed: pip install 'tallystick[kafka]', or in the source tree make .venv/test.stamp"
        ) from error
