"""``tallystick limits``: what is too much under one key over all cards, from a draft to a back-test and into force."""

from pathlib import Path
from typing import Final

import click

from infra.instructing import standing_options
from infra.options import any_log_option, json_option, kafka_config_option
from infra.settings import Value

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group()
def limits() -> None:
    """Limits over all cards: check, compare, back-test, publish."""


@limits.command()
@click.argument("file", type=_FILE)
@json_option
def check(file: Path, as_json: bool) -> int:
    """Read a file of limits and say everything that is wrong with it."""
    from infra.output import remark, to_json
    from streams.edge.limitfiles import LimitsRefused, read_limits, shown

    try:
        found = read_limits(file)
    except LimitsRefused as error:
        if as_json:
            click.echo(to_json({"file": str(file), "sound": False, "faults": error.faults}))
        else:
            for fault in error.faults:
                remark(f"{file}: {fault}")
        raise
    if as_json:
        told = {one.limit_id: shown(one) for one in found.limits}
        click.echo(to_json({"file": str(file), "sound": True, "version": found.version, "limits": told}))
        return 0
    for one in found.limits:
        click.echo(f"{one.limit_id}: {shown(one)}")
    click.echo(f"{file}: version {found.version}, {len(found.limits):,} limits.")
    return 0


@limits.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@json_option
def diff(old: Path, new: Path, as_json: bool) -> int:
    """What NEW changes, limit by limit, whatever their order."""
    from infra.output import console, table, to_json
    from streams.edge.limitfiles import differences, read_limits

    found = differences(read_limits(old), read_limits(new))
    if as_json:
        told = [one._asdict() for one in found]
        click.echo(to_json({"old": str(old), "new": str(new), "differences": told}))
    elif found:
        console().print(table("", ("limit", "", "field", "old", "new"), found))
    else:
        click.echo("They say the same.")
    return 0


@limits.command("back-test")
@click.argument("file", type=_FILE)
@any_log_option
@kafka_config_option
@json_option
def back_test(file: Path, log: Value, kafka_config: Path | None, as_json: bool) -> int:
    """What limits would have said of the payments of a log: which are passed, by how many keys, and who is listed.

    The log's own signals are counted again as the stream would have counted them, tick by tick.
    """
    import msgspec

    from infra.logs import looking_at, place_of
    from infra.output import console, table, to_json
    from infra.tuning import collect_rarely
    from streams.edge.limitfiles import read_limits
    from streams.forensics.limiting import try_limits

    wanted = read_limits(file)
    collect_rarely()
    with looking_at(place_of(log, kafka_config)) as opened:
        found = try_limits(opened, wanted)
    if as_json:
        click.echo(to_json({"file": str(file)} | msgspec.to_builtins(found)))
        return 0
    heads = (
        "limit",
        "standing",
        "passed",
        "keys",
        "most",
        "payments listed",
        "of them fraud",
        "passed in the log",
    )
    rows = [
        (one.limit, one.standing, one.crossings, one.keys, one.most, one.payments, one.frauds, one.recorded)
        for one in found.limits
    ]
    console().print(table("", heads, rows, right=heads[2:]))
    click.echo(
        f"{found.payments:,} payments: {found.blocked:,} would have been blocked ({found.blocked_frauds:,} of them "
        f"fraud), {found.looked_at:,} looked at ({found.looked_at_frauds:,}); {found.labelled_frauds:,} are known to "
        "be fraud."
    )
    return 0


@limits.command()
@click.argument("file", type=_FILE)
@standing_options
@json_option
def publish(
    file: Path, into: Path | None, at: str | None, next_version: int | None, out: Path, as_json: bool
) -> None:
    """Turn limits into reference data: they take the place of all that were in force."""
    from infra.instructing import tell, write_entries
    from streams.edge.limitfiles import read_limits
    from streams.edge.reference import STANDARD, Entry

    entry = Entry("velocity", STANDARD, read_limits(file))
    tell(write_entries([entry], into, at, next_version, out, needs_time=False), as_json)
