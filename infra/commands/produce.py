"""``tallystick simulate`` and ``tallystick import``: input files of requests."""

from pathlib import Path

import click
import msgspec

from infra.options import json_option, log_option, payments_option, seed_option

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@payments_option
@seed_option
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="D",
    help="Spread the payments over so many days.",
)
@click.option("--out", type=_FILE, required=True, help="The Avro file to write.")
@json_option
def simulate(payments: int, seed: int, days: int, out: Path, as_json: bool) -> int:
    """Write a simulated day of card payments to a file, or several; the same seed gives the same bytes.

    A dozen merchants, five currencies, captures, voids, refunds, duplicates, late deliveries, bad requests, and a
    network that is slow for an hour.
    """
    from infra.job import Stage
    from infra.progress import progress_bar
    from streams.edge.inputs import hash_of
    from streams.edge.simulate import write_day

    with progress_bar(quiet=as_json) as watch:
        rows = write_day(out, payments, seed, lambda done: watch(Stage("simulating", done, payments)), days)
    if as_json:
        made = {"payments": payments, "seed": seed, "days": days}
        click.echo(msgspec.json.encode({"file": str(out), "rows": rows, **made, "sha256": hash_of(out)}))
    else:
        click.echo(
            f"{out}: {rows:,} rows for {payments:,} payments. Next: tallystick demo --fresh --input {out}"
        )
    return 0


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--map", "map_", type=_FILE, required=True, help="A TOML file that says which column is what.")
@click.option("--out", type=_FILE, required=True, help="The Avro file to write.")
@click.option(
    "--plant-attacks",
    "attackers",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Weave simulated attacks into it, for a run with this seed; their ledger lies beside OUT.",
)
@log_option
@json_option
def import_(file: Path, map_: Path, out: Path, attackers: int | None, log: Path, as_json: bool) -> int:
    """Turn a CSV, JSON Lines, Parquet or Avro FILE into requests.

    Every line that cannot become a request stands in OUT.refused.csv with its number and reason; the other lines
    are imported. Card numbers go into the token vault beside the log, and nowhere else.
    """
    from infra.job import Stage
    from infra.progress import progress_bar
    from streams.edge.attackedfile import plant
    from streams.edge.attackledger import write_ledger
    from streams.edge.importer import import_file
    from streams.edge.mapping import read_mapping

    mapping = read_mapping(map_)
    with progress_bar(quiet=as_json) as watch:
        imported = import_file(
            file,
            mapping,
            out,
            keys=log.parent / "keys",
            progress=lambda done, of: watch(Stage("importing", done, of)),
        )
        write_ledger(out, 0, [])  # What an earlier import planted is not in this file.
        if attackers is not None:
            watch(Stage("planting attacks", 0, 0))
        attacks = [] if attackers is None else plant(out, attackers)
    if as_json:
        told = {**imported._asdict(), "file": str(out), "attacks": [attack.attack_id for attack in attacks]}
        click.echo(msgspec.json.encode(told, enc_hook=str))
        return 0
    click.echo(
        f"{out}: {imported.payments:,} payments at {imported.merchants:,} merchants from {imported.lines:,} lines."
    )
    if imported.refused_lines:
        click.echo(
            f"{imported.refused_lines:,} lines were refused: each with its reason in {imported.refusals}"
        )
    if attacks:
        planted = sum(len(attack.payments) for attack in attacks)
        click.echo(f"{len(attacks)} simulated attacks of {planted} payments are woven into it.")
    click.echo(f"Next: tallystick demo --fresh --input {out}")
    return 0
