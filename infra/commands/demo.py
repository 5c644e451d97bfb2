"""``tallystick demo``: the main job, from input to reconciled bank statement and trial balance."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from events.errors import Refused
from infra.options import (
    ON_KAFKA,
    any_log_option,
    json_option,
    kafka_config_option,
    partitions_of,
    partitions_option,
    payments_option,
    seed_option,
    store_option,
)
from infra.settings import Value

if TYPE_CHECKING:
    from infra.stores import StoreAddress
    from projections.report import Counts

#: Where keys, snapshots and journals lie when the store is no file.
_FOLDER: Final = Path("var")


@click.command()
@payments_option
@seed_option
@click.option(
    "--input",
    "input_",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An Avro file of requests (see simulate and import) instead of a simulated day.",
)
@any_log_option
@kafka_config_option
@store_option
@partitions_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="On Kafka: how many processes share the partitions.",
)
@click.option(
    "--batch", type=click.IntRange(1, 100_000), default=None, help="Records an input gives to one turn."
)
@click.option(
    "--plant-differences",
    "differences",
    metavar="SEED|FILE",
    help="Let the simulated networks and bank be wrong: one difference of each kind, or those of a TOML file.",
)
@click.option("--fresh", is_flag=True, help="Begin anew: remove the log and the store first.")
@json_option
def demo(
    payments: int,
    seed: int,
    input_: Path | None,
    log: Value,
    kafka_config: Path | None,
    store: "StoreAddress",
    partitions: Value,
    workers: int,
    batch: int | None,
    differences: str | None,
    fresh: bool,
    as_json: bool,
) -> int:
    """Run a day of card payments through the whole life of money.

    Producers, card networks and the bank are simulated; everything between them is the real thing, in virtual time,
    until every obligation has ended. Killed at any moment and started again with the same arguments it goes on where
    the log ends.

    With --log kafka://HOST:PORT/PREFIX the same happens on Kafka: workers, the line to the networks, clearing houses
    and bank, the publisher and the projector are processes that share nothing but the broker.

    Exit code 1: an invariant does not hold; 130: interrupted, and resumable.
    """
    from infra.attackreport import told_of
    from infra.job import Job, Ran, day_file, run
    from infra.logs import place_of
    from infra.progress import progress_bar
    from infra.stores import reading
    from infra.summary import as_object, print_summary
    from projections.report import report
    from streams.edge.faults import NO_FAULTS, plan_of
    from streams.hosts.house import BATCH

    place = place_of(log, kafka_config)
    folder = place.parent if isinstance(place, Path) else (store.path or _FOLDER / "store").parent
    with progress_bar(quiet=as_json) as watch:
        if isinstance(place, Path):
            if workers != 1:
                raise Refused("--workers share the partitions of a log on Kafka; a file has one writer")
            in_file = Job(
                payments,
                seed,
                input_,
                place,
                store,
                partitions_of(partitions, 1),
                batch or BATCH,
                fresh,
                plan_of(differences) if differences is not None else NO_FAULTS,
            )
            job: Ran = in_file
            finished = run(in_file, watch)
        else:
            if differences is not None:
                raise Refused(
                    "--plant-differences is for a log in a file: on Kafka, counterparties are honest"
                )
            from infra.clusterjob import ClusterJob, run_on_kafka

            on_kafka = ClusterJob(
                place,
                payments,
                seed,
                input_,
                store,
                folder,
                kafka_config,
                partitions_of(partitions, ON_KAFKA),
                workers,
                batch,
                fresh=fresh,
            )
            job = on_kafka
            finished = run_on_kafka(on_kafka, watch)
    with reading(store) as db:
        figures = report(db)
        attacks = told_of(db, job.input or day_file(folder, payments, seed))
    if as_json:
        click.echo(msgspec.json.encode(as_object(figures, finished, attacks)))
    else:
        print_summary(job, figures, finished, attacks)
    return 0 if holds(figures.counts) else 1


def holds(counts: "Counts") -> bool:
    """Whether the books balance, every obligation has ended, and no cent is anywhere but at its one place."""
    return counts.ledger_imbalance == counts.open_clearing_residuals == counts.money_unplaced == 0
