"""``tallystick counterparties``: the card networks' clearing house and the bank, simulated."""

import asyncio
import os
from pathlib import Path

import click

from infra.commandline import OK
from infra.kafka.options import cluster_of, cluster_options, diagnostics_options
from infra.options import seed_option
from infra.output import remark


@click.command()
@cluster_options
@seed_option
@click.option(
    "--only",
    type=click.Choice(("networks", "bank")),
    help="One kind alone; the other runs elsewhere.  [default: both]",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/counterparties"),
    show_default=True,
    help="A folder for snapshots; what is lost there is folded again.",
)
@diagnostics_options
def counterparties(log: str, config: Path | None, seed: int, only: str | None, state: Path) -> int:
    """Simulated: the clearing house of the card networks, and the bank with its statements.

    They read the committed logs and answer in transactions, so they can be killed at any moment. Runs until Ctrl-C or
    SIGTERM. Exit code 3: in doubt, or another process has taken over; start it again.
    """
    from infra.crashing import reach_of
    from infra.stopping import run_until_stopped
    from infra.tuning import collect_rarely
    from streams.edge.counterparties import run

    collect_rarely()
    cluster, reach = cluster_of(log, config), reach_of(os.environ)
    remark(f"simulated counterparties at {cluster.address}")

    async def work(stop: asyncio.Event) -> None:
        await run(cluster, seed, state, stop, networks=only != "bank", bank=only != "networks", reach=reach)

    run_until_stopped(work)
    return OK
