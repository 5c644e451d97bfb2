"""``tallystick publish``: an input file onto Kafka."""

import asyncio
import os
from pathlib import Path

import click
import msgspec

from events.errors import Refused
from infra.commandline import INTERRUPTED, OK
from infra.kafka.options import cluster_of, cluster_options, diagnostics_options, keys_option
from infra.options import json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@cluster_options
@keys_option
@click.option(
    "--clock",
    type=click.Choice(("virtual", "wall")),
    default="virtual",
    show_default=True,
    help="The time that the log lives in: made from the file's stamps, or the wall's.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    metavar="N",
    help="Records a transaction.",
)
@click.option(
    "--rate", type=click.IntRange(1, 1_000_000), metavar="N", help="Rows a second, on the wall's clock."
)
@click.option(
    "--tick",
    type=click.IntRange(1),
    default=900,
    show_default=True,
    metavar="S",
    help="Seconds between two ticks.",
)
@click.option(
    "--tail",
    type=click.IntRange(1),
    default=3_600,
    show_default=True,
    metavar="S",
    help="The same behind the last row.",
)
@click.option("--now", is_flag=True, help="Let simulated rows occur when they are sent, on the wall's clock.")
@json_option
@diagnostics_options
def publish(
    file: Path,
    log: str,
    config: Path | None,
    keys: Path,
    clock: str,
    tick: int,
    tail: int,
    batch: int,
    rate: int | None,
    now: bool,
    as_json: bool,
) -> int:
    """Publish an input FILE on Kafka, every row once: killed and called again, it goes on where it was.

    In virtual time it waits for the slowest worker and ends when the last tick is out; on the wall's clock it sends as
    fast as it can, or at --rate, whether anybody keeps up or not. Exit code 3: it is in doubt what is out; call it
    again.
    """
    from events.partitions import ClockKind
    from infra.crashing import reach_of
    from infra.job import Stage
    from infra.progress import progress_bar
    from infra.stopping import run_until_stopped
    from streams.edge.publishing import Order, Told
    from streams.edge.publishing import publish as publish_file
    from streams.edge.vault import open_keys
    from streams.hosts.clocks import SECOND

    kind = ClockKind(clock)
    if kind is ClockKind.VIRTUAL and (rate is not None or now):
        raise Refused("--rate and --now are for the wall's clock: give --clock wall")
    cluster, order = (
        cluster_of(log, config),
        Order(file, kind, tick * SECOND, tail * SECOND, batch, rate, now),
    )
    opened, reach = open_keys(keys), reach_of(os.environ)
    with progress_bar(quiet=as_json) as watch:

        async def work(stop: asyncio.Event) -> Told:
            return await publish_file(
                cluster, order, opened, stop, lambda done, of: watch(Stage("publishing", done, of)), reach
            )

        told = run_until_stopped(work)
    if as_json:
        click.echo(msgspec.json.encode(told))
    else:
        behind = f" behind row {told.resumed_behind_row:,}" if told.resumed_behind_row else ""
        click.echo(
            f"{told.rows:,} rows{behind} and {told.ticks:,} ticks are out; the file is at row {told.last_row:,}."
        )
    return OK if told.finished else INTERRUPTED
