"""``tallystick export``: the projections as files, for notebooks and warehouses."""

from pathlib import Path

import click
from msgspec import to_builtins

from infra.options import as_of_option, json_option, store_option
from infra.output import remark, to_json
from infra.stores import StoreAddress, reading


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet"]),
    default="parquet",
    show_default=True,
    help="What the files are.",
)
@click.option(
    "--only", "names", multiple=True, metavar="NAME", help="This table or view alone; may be repeated."
)
@store_option
@as_of_option
@json_option
def export(
    folder: Path, form: str, names: tuple[str, ...], store: StoreAddress, as_of: str | None, as_json: bool
) -> None:
    """Write every table and view into DIR as Parquet, with manifest.json: rows, SHA-256, positions of the logs.

    All files are of one moment, and the same from either database.
    """
    assert form == "parquet", "there is no other yet"
    from projections.export import MANIFEST
    from projections.export import export as write

    with reading(store, as_of) as db:
        manifest = write(db, folder, names)
    if as_json:
        click.echo(to_json(to_builtins(manifest)))
        return
    rows = sum(file.rows for file in manifest.files)
    remark(f"{len(manifest.files)} files with {rows:,} rows in {folder}; {MANIFEST} says what each holds")
