"""``tallystick blocks``: which cards, devices, addresses and merchants are blocked or looked at."""

from pathlib import Path

import click

from infra.freshness import beside, field, remark_freshness
from infra.instructing import instant_of, publishing_options, tell, write_entries
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, table, to_json
from infra.stores import StoreAddress, reading
from projections.reading import records

_DIMENSIONS = ("card", "ip", "device", "email", "merchant")


@click.group()
def blocks() -> None:
    """The hotlist: what is on it and why; put a key on it or take it off."""


@blocks.command("list")
@click.option("--dimension", type=click.Choice(_DIMENSIONS), help="Keys of this kind alone.")
@store_option
@as_of_option
@json_option
def list_(dimension: str | None, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """The keys that are listed, who listed them, and until when."""
    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT * FROM hotlist WHERE $1 IN ('', dimension) ORDER BY listed_at, item, listed_by",
            [dimension or ""],
        )
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"listed": found, "freshness": field(fresh)}))
        return
    rows = [
        (
            row["item"],
            row["standing"],
            row["listed_by"],
            row["reason"],
            row["author"],
            instant(row["listed_at"]),
            instant(row["until_at"]) if row["until_at"].year > 1970 else "never",
        )
        for row in found
    ]
    if rows:
        heads = ("key", "standing", "by", "why", "who", "since", "until")
        console().print(table("On the hotlist", heads, rows))
    else:
        click.echo("Nothing is on the hotlist.")
    remark_freshness(fresh)


@blocks.command()
@click.argument("dimension", type=click.Choice(_DIMENSIONS))
@click.argument("value")
@click.option("--review", "looked_at", is_flag=True, help="Have its payments looked at, rather than blocked.")
@click.option("--until", metavar="TIME", help="When it comes off by itself.  [default: never]")
@click.option("--by", "author", required=True, help="Who decides it.")
@click.option("--reason", required=True, help="Why.")
@publishing_options
@json_option
def add(
    dimension: str,
    value: str,
    looked_at: bool,
    until: str | None,
    author: str,
    reason: str,
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Put a key on the hotlist: VALUE is a card's token, a merchant, or a surrogate of the vault."""
    from events.hotlist import Dimension, Standing
    from events.reference import HotlistEntry
    from streams.edge.reference import Entry

    until_at = instant_of("--until", until) if until else 0
    standing = Standing.REVIEW if looked_at else Standing.BLOCK
    content = HotlistEntry(Dimension(dimension), value, standing, until_at, author, reason)
    entry = Entry("hotlist", f"{dimension}:{value}", content)
    tell(write_entries([entry], into, at, next_version, out), as_json)


@blocks.command()
@click.argument("dimension", type=click.Choice(_DIMENSIONS))
@click.argument("value")
@click.option("--not-before", metavar="TIME", help="No limit lists it again before.  [default: at once]")
@click.option("--by", "author", required=True, help="Who decides it.")
@click.option("--reason", required=True, help="Why.")
@publishing_options
@json_option
def release(
    dimension: str,
    value: str,
    not_before: str | None,
    author: str,
    reason: str,
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Take a key off the hotlist, whoever had put it there."""
    from events.hotlist import Dimension
    from events.reference import HotlistEntry
    from streams.edge.reference import Entry

    until_at = instant_of("--not-before", not_before) if not_before else 0
    content = HotlistEntry(Dimension(dimension), value, None, until_at, author, reason)
    entry = Entry("hotlist", f"{dimension}:{value}", content)
    tell(write_entries([entry], into, at, next_version, out), as_json)
