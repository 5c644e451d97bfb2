"""``tallystick adapter``: the line to the card networks."""

import os
from pathlib import Path

import click

from events.errors import Refused
from infra.commandline import OK
from infra.kafka.options import cluster_of, cluster_options, diagnostics_options
from infra.options import seed_option
from infra.output import remark


def _numbers(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = text.split(",")
    if not all(word.isdecimal() for word in words):
        raise Refused(f"--partitions are numbers with commas between them, not {text!r}")
    return tuple(sorted(set(map(int, words))))


@click.command()
@cluster_options
@seed_option
@click.option(
    "--partitions",
    metavar="N[,N]",
    callback=_numbers,
    help="Serve these, and nobody else does.  [default: the consumer group divides them]",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/adapter"),
    show_default=True,
    help="A folder for the journal of what was sent; one for each adapter.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    metavar="N",
    help="Records read a turn: what is sent of them is journalled together.",
)
@click.option(
    "--latency-ms",
    type=click.IntRange(0, 60_000),
    default=0,
    show_default=True,
    metavar="MS",
    help="Simulated: how long an answer takes, in the middle; a time-out then takes its own time.",
)
@click.option(
    "--network-record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Simulated: a file for the networks' own account of what has reached them.",
)
@diagnostics_options
def adapter(
    log: str,
    config: Path | None,
    seed: int,
    partitions: tuple[int, ...] | None,
    state: Path,
    batch: int,
    latency_ms: int,
    network_record: Path | None,
) -> int:
    """The line to the card networks, which are simulated: committed submissions out, answers back.

    An authorization goes out at most once, whatever happens to this process: what was sent is journalled first. Runs
    until Ctrl-C or SIGTERM. Exit code 3: in doubt, or another adapter has taken over; start it again.
    """
    from infra.crashing import reach_of
    from infra.stopping import run_until_stopped
    from infra.tuning import collect_rarely
    from streams.edge.adapter import Settings, serve

    collect_rarely()
    cluster, reach = cluster_of(log, config), reach_of(os.environ)
    settings = Settings(seed, state, partitions, latency_ms, network_record, batch)
    remark(f"line to simulated networks at {cluster.address}; journal in {state}")
    run_until_stopped(lambda stop: serve(cluster, settings, stop, reach))
    return OK
