"""``tallystick clearing``: the files that left for the networks, and each of them again, byte for byte."""

from pathlib import Path

import click

from events.errors import Broken
from infra.freshness import beside, field, remark_freshness
from infra.logs import looking_at, place_of
from infra.options import (
    any_log_option,
    as_of_option,
    json_option,
    kafka_config_option,
    limit_option,
    store_option,
)
from infra.output import console, instant, table, to_json
from infra.settings import Value
from infra.stores import StoreAddress, reading

STATUSES = ("sent", "rejected", "accepted")


@click.group()
def clearing() -> None:
    """What left for the networks."""


@clearing.group()
def files() -> None:
    """Clearing files: one for each network and cut-off, whatever the number of partitions."""


@files.command("list")
@click.option("--network", default="", metavar="NAME", help="For this network alone.")
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Of this status alone.")
@limit_option
@store_option
@as_of_option
@json_option
def list_(
    network: str, status: str | None, limit: int, store: StoreAddress, as_of: str | None, as_json: bool
) -> None:
    """Files with what became of them, newest first. Exit code 1 where one holds other records than were closed."""
    from projections.reading import records

    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT * FROM clearing_files WHERE ($1 = '' OR network = $1) AND ($2 = '' OR status = $2)"
            " ORDER BY cut_off_at DESC, file_id",
            [network, status or ""],
        )
        fresh = beside(db)
    shown = found[:limit]
    if as_json:
        click.echo(to_json({"files": shown, "total": len(found), "freshness": field(fresh)}))
    else:
        screen = console()
        if shown:
            columns = ("file", "cut-off", "records", "attempts", "status", "SHA-256")
            rows = [
                (
                    row["file_id"],
                    instant(row["cut_off_at"]),
                    row["records"],
                    row["attempts"],
                    row["status"],
                    row["sha256"][:16],
                )
                for row in shown
            ]
            screen.print(table("", columns, rows, right=("records", "attempts")))
            if len(found) > limit:
                screen.print(f"{len(found) - limit} more; --limit shows them.")
        else:
            screen.print("There are no such clearing files.")
        remark_freshness(fresh)
    wrong = [row["file_id"] for row in found if row["status"] == "accepted" and not row["agrees"]]
    if wrong:
        raise Broken(
            f"{wrong[0]} was accepted with another number of records than its batches were closed with"
        )


@files.command()
@click.argument("file")
@click.option(
    "--attempt", type=click.IntRange(1), default=None, help="  [default: the one that was accepted]"
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the file's bytes there.")
@any_log_option
@kafka_config_option
@json_option
def show(
    file: str, attempt: int | None, out: Path | None, log: Value, kafka_config: Path | None, as_json: bool
) -> None:
    """Make FILE again from the records in the log and compare its SHA-256 with the one recorded.

    The file goes to the standard output, what there is to say of it to the other. Exit code 1: an accepted file has
    other bytes than its records make.
    """
    from infra.clearingfiles import find

    with looking_at(place_of(log, kafka_config)) as opened:
        found = find(opened, file)
    accepted = found.accepted
    which = attempt or (max(found.sent) if accepted is None else accepted.attempt)
    content = found.content(which)
    agrees, recorded = found.agrees(which, content), found.sent[which].sha256
    refused = found.rejected.get(which)
    if out is not None:
        out.write_bytes(content)
    if as_json:
        told = {
            "file": file,
            "attempt": which,
            "accepted": accepted is not None and accepted.attempt == which,
            "reason": refused.reason if refused else "",
            "detail": refused.detail if refused else "",
            "records": found.sent[which].records,
            "sha256": recorded,
            "agrees": agrees,
            "lines": content.decode().splitlines(),
        }
        click.echo(to_json(told))
    else:
        if out is None:
            click.echo(content, nl=False)
        if refused is not None:
            click.echo(f"attempt {which} was refused ({refused.reason}): {refused.detail}", err=True)
        same = "the same bytes, made again from the log" if agrees else "not what the records make"
        click.echo(f"SHA-256 {recorded}: {same}", err=True)
    if accepted is not None and accepted.attempt == which and not agrees:
        raise Broken(f"{file} was accepted with other bytes than its records in the log make")
