"""``tallystick model``: train a fraud model on a labelled history, test it as the public yardstick does, compare."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from infra.options import json_option

if TYPE_CHECKING:
    from streams.training.histories import History, Whole

_FILE = click.Path(path_type=Path, dir_okay=False)
_KINDS: Final = ("forest", "scorecard")

transactions_option: Final = click.option(
    "--transactions",
    type=_FILE,
    required=True,
    help="A Parquet file with the columns time, card, merchant, amount_minor, fraud.",
)
delay_option: Final = click.option(
    "--delay-days",
    type=click.IntRange(1, 365),
    default=7,
    show_default=True,
    help="How many days after its payment a label becomes known.",
)
kind_option: Final = click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default="forest",
    show_default=True,
    help="Boosted trees, or logistic regression.",
)


@click.group()
def model() -> None:
    """Train, test and compare fraud models."""


@model.command()
@click.option("--out", type=_FILE, required=True, help="The Parquet file to write.")
@json_option
def yardstick(out: Path, as_json: bool) -> int:
    """Write the public yardstick's history: 183 days of simulated payments, the same for everybody.

    Made from the description in the Fraud Detection Handbook; its published totals are checked.
    """
    from events.errors import Broken
    from infra.output import to_json
    from streams.edge.handbook import CUSTOMERS, FRAUDS, PAYMENTS, make
    from streams.edge.labelled import write_history

    with _progress(as_json) as stage:
        made = make(lambda done: stage("simulating", done, CUSTOMERS))
    payments, frauds = len(made.history.at), int(made.history.fraud.sum())
    if (payments, frauds) != (PAYMENTS, FRAUDS):
        raise Broken(
            f"{payments:,} payments and {frauds:,} frauds came out; published are {PAYMENTS:,} and {FRAUDS:,}"
        )
    write_history(out, made.history)
    if as_json:
        click.echo(to_json({"file": str(out), "payments": payments, "frauds": frauds, "added": made.added}))
    else:
        click.echo(f"{out}: {payments:,} payments, {frauds:,} of them fraud, as published.")
        click.echo(f"Next: tallystick model evaluate --transactions {out}")
    return 0


@model.command()
@transactions_option
@click.option("--out", type=_FILE, required=True, help="The model file to write.")
@kind_option
@click.option("--days", type=click.IntRange(1, 3650), default=28, show_default=True, help="How many days.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Train as on the morning of this day (UTC).  [default: the day after the last payment]",
)
@delay_option
@click.option(
    "--version", type=click.IntRange(min=1), default=1, show_default=True, help="The model's version."
)
@json_option
def train(
    transactions: Path,
    out: Path,
    kind: str,
    days: int,
    until: Any,
    delay_days: int,
    version: int,
    as_json: bool,
) -> int:
    """Train a model on the labelled days that end where labels are not known yet, and write it to a file.

    The same history gives the same file, byte for byte. Its scores are per cent, set by the last quarter of the
    training days with a twin that has not seen them.
    """
    from events.calendar import DAY, day_number
    from events.errors import Refused
    from infra.output import to_json
    from streams.features.models import Kind, decode_model, encode_model
    from streams.training.fitting import fit_calibrated

    with _progress(as_json) as stage:
        replayed = _replayed(transactions, delay_days, stage)
        history = replayed.history
        if until is None:
            morning = int(history.at[-1]) // DAY + 1
        else:
            morning = day_number(until.year, until.month, until.day)
        end_at = (morning - delay_days) * DAY
        rows = history.between(end_at - days * DAY, end_at)
        if rows.start == rows.stop:
            raise Refused(f"there is no payment in the {days} days before the labels end; move --until")
        made = fit_calibrated(
            history,
            replayed.vectors,
            rows,
            Kind(kind),
            morning * DAY,
            lambda done, of: stage("training", done, of),
            version,
        )
    document = encode_model(made)
    _, name = decode_model(document)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(document, "utf-8")
    figures = {metric.name: metric.ppm / 1_000_000 for metric in made.metrics}
    if as_json:
        result = {
            "file": str(out),
            "sha256": name,
            "kind": kind,
            "version": version,
            "payments": made.trained.payments,
            "frauds": made.trained.frauds,
            **figures,
        }
        click.echo(to_json(result))
        return 0
    click.echo(
        f"{out}: a {kind} from {made.trained.payments:,} payments, {made.trained.frauds:,} of them fraud; "
        f"sha256 {name[:16]}..."
    )
    if "held_back_average_precision" in figures:
        click.echo(
            f"On the last quarter, which its twin had not seen: AUC ROC {figures['held_back_auc_roc']:.3f}, "
            f"average precision {figures['held_back_average_precision']:.3f}."
        )
    return 0


@model.command()
@transactions_option
@kind_option
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The first training day.  [default: the 116th day, or as late as the history allows]",
)
@click.option("--folds", type=click.IntRange(1, 100), default=4, show_default=True, help="How many folds.")
@click.option(
    "--train-days", type=click.IntRange(1, 365), default=7, show_default=True, help="Days to train on."
)
@delay_option
@click.option(
    "--test-days", type=click.IntRange(1, 365), default=7, show_default=True, help="Days to test on."
)
@json_option
def evaluate(
    transactions: Path,
    kind: str,
    start: Any,
    folds: int,
    train_days: int,
    delay_days: int,
    test_days: int,
    as_json: bool,
) -> int:
    """Test by the protocol of the Fraud Detection Handbook: AUC ROC, average precision, card precision at 100.

    Train on a week, wait a week for labels, test on a week; four times, each a week later. Cards known to be stolen are
    left out of the test. Features are made as the stream makes them, each label from the time on when it is known.
    """
    import time

    from events.calendar import DAY, day_number
    from infra.output import console, remark, table, to_json
    from streams.features.models import Kind
    from streams.training.protocol import Protocol, mean, protocol_for
    from streams.training.protocol import evaluate as run

    started = time.monotonic()
    with _progress(as_json) as stage:
        replayed = _replayed(transactions, delay_days, stage)
        history = replayed.history
        first_on = int(history.at[0]) // DAY
        protocol = Protocol(folds=folds, train=train_days, delay=delay_days, test=test_days)
        if start is None:
            protocol = protocol_for(history, protocol)
        else:
            protocol = protocol._replace(start=day_number(start.year, start.month, start.day) - first_on)
        made = run(
            history, replayed.vectors, protocol, Kind(kind), lambda done, of: stage("testing", done, of)
        )
    means = mean(made)
    if as_json:
        result = {
            "file": str(transactions),
            "payments": len(history.at),
            "frauds": int(history.fraud.sum()),
            "kind": kind,
            "protocol": {
                "folds": folds,
                "train_days": train_days,
                "delay_days": delay_days,
                "test_days": test_days,
            },
            "folds": [
                {
                    "train_from": _date(first_on + fold.first_day),
                    "train_payments": fold.train_payments,
                    "train_frauds": fold.train_frauds,
                    "test_from": _date(first_on + fold.first_day + train_days + delay_days),
                    "test_payments": fold.test_payments,
                    "test_frauds": fold.test_frauds,
                    **fold.figures._asdict(),
                }
                for fold in made
            ],
            "mean": means._asdict(),
            "seconds": round(time.monotonic() - started, 3),
        }
        click.echo(to_json(result))
        return 0
    columns = ("test from", "payments", "frauds", "AUC ROC", "average precision", "card precision@100")
    lines = [
        (
            _date(first_on + fold.first_day + train_days + delay_days),
            f"{fold.test_payments:,}",
            f"{fold.test_frauds:,}",
            *(f"{figure:.4f}" for figure in fold.figures),
        )
        for fold in made
    ]
    lines.append(("mean", "", "", *(f"{figure:.4f}" for figure in means)))
    console().print(table("", columns, lines, right=columns[1:]))
    remark(
        "Under the protocol of the Fraud Detection Handbook: figures of this history, not of your payments to come."
    )
    return 0


@model.command()
@transactions_option
@click.option("--champion", type=_FILE, required=True, help="The model file in force.")
@click.option("--challenger", type=_FILE, required=True, help="The model file that would like to be.")
@delay_option
@json_option
def compare(transactions: Path, champion: Path, challenger: Path, delay_days: int, as_json: bool) -> int:
    """Ask two models about the payments that neither was trained on.

    Shows what each ranking is worth, how far features and scores have drifted since each was trained, and where the two
    differ most.
    """
    import numpy as np

    from events.calendar import DAY
    from events.errors import Refused
    from infra.output import console, remark, table, to_json
    from streams.training.batches import margins, scores
    from streams.training.fitting import drift
    from streams.training.protocol import figures_of

    files = {"champion": champion, "challenger": challenger}
    models = {role: _read_model(path) for role, path in files.items()}
    with _progress(as_json) as stage:
        replayed = _replayed(transactions, delay_days, stage)
    history = replayed.history
    fresh_at = max(read.labels_until_at for read in (loaded.trained for loaded, _ in models.values()))
    rows = np.arange(*history.between(fresh_at, int(history.at[-1]) + 1).indices(len(history.at)))
    if len(rows) == 0 or not 0 < int(history.fraud[rows].sum()) < len(rows):
        raise Refused(
            f"from {_date(fresh_at // DAY)} on, when both models were trained, "
            "the history has not both frauds and genuine payments"
        )
    vectors = replayed.vectors[rows]
    given = {}
    result: dict[str, Any] = {
        "file": str(transactions),
        "from": _date(fresh_at // DAY),
        "payments": len(rows),
        "frauds": int(history.fraud[rows].sum()),
    }
    for role, (loaded, name) in models.items():
        reached = margins(loaded, vectors)
        given[role] = scores(loaded, reached)
        result[role] = {
            "model": str(files[role]),
            "sha256": name,
            "kind": loaded.kind.value,
            "version": loaded.version,
            **figures_of(history, rows, reached)._asdict(),
            "drift": {moved.name: round(moved.stability, 4) for moved in drift(loaded, vectors)},
        }
    apart = np.abs(given["champion"] - given["challenger"])
    result["scores_differ_by"] = {"mean": round(float(apart.mean()), 4), "most": int(apart.max())}
    if as_json:
        click.echo(to_json(result))
        return 0
    columns = ("", "AUC ROC", "average precision", "card precision@100", "drifted most")
    lines = []
    for role in models:
        told = result[role]
        moved, by = next(iter(told["drift"].items()))
        figures = (told["auc_roc"], told["average_precision"], told["card_precision_100"])
        lines.append(
            (f"{role} ({told['kind']})", *(f"{figure:.4f}" for figure in figures), f"{moved} {by:.2f}")
        )
    console().print(table("", columns, lines, right=columns[1:4]))
    remark(
        f"{result['payments']:,} payments from {result['from']} on, {result['frauds']:,} of them fraud; "
        f"the scores differ by {apart.mean():.2f} on average, by {apart.max()} at most."
    )
    return 0


class _Replayed(NamedTuple):
    history: "History"
    vectors: "Whole"


def _replayed(transactions: Path, delay_days: int, stage: Callable[[str, int, int], None]) -> _Replayed:
    """A history, and the vector of each of its payments."""
    from events.calendar import DAY
    from streams.edge.labelled import read_history
    from streams.training.histories import replay

    history = read_history(transactions)
    vectors = replay(history, delay_days * DAY, lambda done: stage("replaying", done, len(history.at)))
    return _Replayed(history, vectors)


def _read_model(path: Path) -> Any:
    from events.errors import Refused, Unavailable, ValidationError
    from streams.features.models import LONGEST_BYTES, decode_model

    if not path.is_file():
        raise Unavailable(f"{path} is not a file that can be read")
    with path.open("rb") as file:
        content = file.read(LONGEST_BYTES + 1)
    try:
        return decode_model(content)
    except ValidationError as error:
        raise Refused(f"{path} cannot be used: {error}") from error


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    from infra.job import Stage
    from infra.progress import progress_bar

    with progress_bar(quiet=quiet) as watch:
        yield lambda name, done, of: watch(Stage(name, done, of))


def _date(day_on: int) -> str:
    from events.calendar import civil

    return "{:04d}-{:02d}-{:02d}".format(*civil(day_on))


@model.command()
@click.argument("file", type=_FILE)
@click.option(
    "--mode",
    type=click.Choice(("enforce", "shadow")),
    default="shadow",
    show_default=True,
    help="In enforce it is the champion, whose score rules read; in shadow its challenger.",
)
@click.option("--into", type=_FILE, required=True, help="The input file to add the model to.")
@click.option("--at", metavar="TIME", help="When it is published.  [default: before the first request]")
@click.option("--out", type=_FILE, required=True, help="The input file to write.")
@json_option
def publish(file: Path, mode: str, into: Path, at: str | None, out: Path, as_json: bool) -> int:
    """Turn a model into reference data: an input row for the publisher.

    From the tick that names its version it is asked about every payment, and every verdict tells what it said. A model
    on other features than these, or whose bytes were changed, is not published.
    """
    from events.errors import Refused, ValidationError
    from events.risk import Mode
    from infra.output import to_json
    from streams.edge.amended import amended
    from streams.edge.inputs import hash_of, read_rows, write_rows
    from streams.edge.labelfile import instant_of
    from streams.edge.modelfiles import entry_of, read_model

    try:
        content = read_model(file, Mode(mode))
    except ValidationError as error:
        raise Refused(f"{file}: {error}") from error
    moment = None
    if at is not None and (moment := instant_of(at)) is None:
        raise Refused(f"--at is a time like 2026-03-02T09:00:00Z, not {at[:40]!r}")
    rows = amended(read_rows(into), [entry_of(content)], moment)
    written = write_rows(out, rows, f"model {content.sha256}")
    if as_json:
        result = {
            "file": str(out),
            "rows": written,
            "mode": mode,
            "model": content.sha256,
            "sha256": hash_of(out),
        }
        click.echo(to_json(result))
    else:
        click.echo(f"{out}: the model {content.sha256[:16]} in {mode}, in {written:,} rows.")
        click.echo(f"Next: tallystick demo --fresh --input {out}")
    return 0
