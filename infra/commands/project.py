"""``tallystick project``: keeping the projections up with a log, how far they are, and making them anew."""

import os
from pathlib import Path

import click

from events.errors import Refused
from infra.commandline import OK
from infra.kafka.options import diagnostics_options
from infra.logs import looking_at, place_of
from infra.options import any_log_option, json_option, kafka_config_option, store_option
from infra.output import console, remark, table, text_of, to_json
from infra.settings import Value
from infra.stores import StoreAddress, grant_reading, open_store, reading


@click.group()
def project() -> None:
    """Keep the projections up with a log; how far they are; build them anew."""


@project.command()
@any_log_option
@kafka_config_option
@store_option
@diagnostics_options
def run(log: Value, kafka_config: Path | None, store: StoreAddress) -> int:
    """Keep a store up with a log that others write, until Ctrl-C or SIGTERM; one such process for each store.

    Its position stands in the store, in one transaction with the rows: it can be killed at any moment. Exit code 3: the
    log or the store cannot be had; start it again.
    """
    from infra.crashing import reach_of
    from infra.tuning import give_way
    from infra.upkeep import keep_up

    give_way()
    place, reach = place_of(log, kafka_config), reach_of(os.environ)
    keep_up(place, store, lambda: remark(f"projecting {log.text} into {store}"), reach)
    return OK


@project.command()
@store_option
@json_option
def status(store: StoreAddress, as_json: bool) -> None:
    """How many events each projection has taken, and up to when."""
    from projections.reading import records

    with reading(store) as db:
        rows = records(db, "SELECT * FROM freshness ORDER BY projection")
    if as_json:
        click.echo(to_json(rows))
        return
    columns = ("projection", "events", "as_of")
    lines = [tuple(text_of(row[column]) for column in columns) for row in rows]
    console().print(table("", ("projection", "events", "up to"), lines, right=("events",)))


@project.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@any_log_option
@kafka_config_option
@store_option
def rebuild(names: tuple[str, ...], log: Value, kafka_config: Path | None, store: StoreAddress) -> None:
    """Make projections anew from the log, beside the old ones, compare and swap. Without NAME: all of them.

    Exit code 1 where the same code gave other rows: then the old ones stay. It reads the log as it is at one moment,
    and nobody else may be writing the store.
    """
    from projections.catalog import CATALOG, by_name
    from projections.projector import partitions_of
    from projections.rebuild import rebuild as make_anew

    wanted = [by_name(name) for name in names] or list(CATALOG)
    if None in wanted:
        raise Refused(f"there are the projections {', '.join(projection.NAME for projection in CATALOG)}")
    with looking_at(place_of(log, kafka_config)) as source, source.view(), open_store(store) as held:
        partitions = partitions_of(source)
        for projection in filter(None, wanted):
            made = make_anew(held, source, partitions, projection)
            differing = ", ".join(difference.table for difference in made.differences)
            outcome = f"differs in {differing}" if differing else "the same as before"
            remark(f"{made.projection}: {made.events:,} events, {outcome}; build {made.build} is live")


@project.command()
@click.argument("role")
@store_option
def grant(role: str, store: StoreAddress) -> None:
    """Let ROLE read the views of a store on PostgreSQL: for a dashboard, which should not be able to do more."""
    grant_reading(store, role)
    remark(f"{role} may read every table and view of the schema tallystick, and nothing else")
