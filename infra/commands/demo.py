"""``tallystick demo``: the main job, from input to reconciled bank statement and trial balance."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from infra.options import (
    json_option,
    log_option,
    partitions_option,
    payments_option,
    seed_option,
    store_option,
)

if TYPE_CHECKING:
    from infra.stores import StoreAddress
    from projections.report import Counts


@click.command()
@payments_option
@seed_option
@click.option(
    "--input",
    "input_",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An Avro file of requests (see simulate and import) instead of a simulated day.",
)
@log_option
@store_option
@partitions_option
@click.option(
    "--batch", type=click.IntRange(1, 100_000), default=None, help="Records an input gives to one turn."
)
@click.option("--fresh", is_flag=True, help="Begin anew: remove the log and the store first.")
@json_option
def demo(
    payments: int,
    seed: int,
    input_: Path | None,
    log: Path,
    store: "StoreAddress",
    partitions: int,
    batch: int | None,
    fresh: bool,
    as_json: bool,
) -> int:
    """Run a day of card payments through the whole life of money.

    Producers, card networks and the bank are simulated; everything between them is the real thing, on the embedded
    log and in virtual time, until every obligation has ended. Killed at any moment and started again with the same
    arguments it goes on where the log ends.

    Exit code 1: an invariant does not hold; 130: interrupted, and resumable.
    """
    from infra.job import Job, run
    from infra.progress import progress_bar
    from infra.stores import reading
    from infra.summary import as_object, print_summary
    from projections.report import report
    from streams.hosts.house import BATCH

    job = Job(payments, seed, input_, log, store, partitions, batch or BATCH, fresh)
    with progress_bar(quiet=as_json) as watch:
        finished = run(job, watch)
    with reading(store) as db:
        figures = report(db)
    if as_json:
        click.echo(msgspec.json.encode(as_object(figures, finished)))
    else:
        print_summary(job, figures, finished)
    return 0 if holds(figures.counts) else 1


def holds(counts: "Counts") -> bool:
    """Whether the books balance and every obligation has ended."""
    return counts.ledger_imbalance == 0 and counts.open_clearing_residuals == 0
