"""``tallystick model vectors`` and ``model import``: models that another program has trained on our features."""

from pathlib import Path
from typing import Any

import click

from infra.commands.modelhistories import (
    FILE,
    days_option,
    delay_option,
    labelled_rows,
    replayed_from,
    transactions_option,
    until_option,
    version_option,
    watched,
    write_model,
)
from infra.options import json_option


@click.command()
@transactions_option
@click.option("--out", type=FILE, required=True, help="The Parquet file to write.")
@delay_option
@json_option
def vectors(transactions: Path, out: Path, delay_days: int, as_json: bool) -> int:
    """Write what a model sees of each payment of a history, as the stream makes it: for other programs to train on.

    The columns are time, the features of the profile, and fraud; each label is known to features from its own day on.
    """
    from infra.output import to_json
    from streams.edge.labelled import write_vectors
    from streams.features.profiles import NAMES

    with watched(as_json) as stage:
        replayed = replayed_from(transactions, delay_days, stage)
    write_vectors(out, replayed.history, replayed.vectors)
    if as_json:
        click.echo(to_json({"file": str(out), "payments": len(replayed.history.at), "features": list(NAMES)}))
    else:
        click.echo(f"{out}: {len(replayed.history.at):,} payments with {len(NAMES)} features each.")
    return 0


@click.command("import")
@click.argument("file", type=FILE)
@transactions_option
@click.option("--out", type=FILE, required=True, help="The model file to write.")
@days_option
@until_option
@delay_option
@version_option
@json_option
def import_(
    file: Path,
    transactions: Path,
    out: Path,
    days: int,
    until: Any,
    delay_days: int,
    version: int,
    as_json: bool,
) -> int:
    """Take over a model that LightGBM has trained on the features of `tallystick model vectors`.

    FILE is what its Booster.save_model wrote, with objective=binary and max_depth=3. --transactions, --days and --until
    say on which payments it was trained: what drift is measured against. Its scores are its own probabilities in per
    cent. From then on it is a model like any other: compare, publish, explain.
    """
    from events.errors import Refused, Unavailable, ValidationError
    from infra.output import to_json
    from streams.training.fitting import taken_over
    from streams.training.lightgbm import LONGEST, read

    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(LONGEST + 1)
    except OSError as error:
        raise Unavailable(f"{file} cannot be read: {error.strerror}") from error
    try:
        forest = read(text)
        with watched(as_json) as stage:
            replayed = replayed_from(transactions, delay_days, stage)
        rows, known_at = labelled_rows(replayed.history, until, days, delay_days)
        made = taken_over(forest, replayed.history, replayed.vectors, rows, known_at, version)
        name = write_model(out, made)
    except ValidationError as error:
        raise Refused(f"{file} cannot be taken over: {error}") from error
    if as_json:
        click.echo(to_json({"file": str(out), "sha256": name, "trees": len(made.trees), "version": version}))
    else:
        click.echo(f"{out}: {len(made.trees):,} trees; sha256 {name[:16]}...")
        click.echo(f"Next: tallystick model compare --challenger {out}, then model publish")
    return 0
