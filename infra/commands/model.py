"""``tallystick model``: train a fraud model on a labelled history, test it as the public yardstick does, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from infra.commands.modelforeign import import_, vectors
from infra.commands.modelhistories import (
    FILE,
    Replayed,
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
from infra.commands.modeluse import drift, genuine_options, publish
from infra.options import json_option

if TYPE_CHECKING:
    from streams.features.models import Model
    from streams.training.histories import Whole

_KINDS: Final = ("forest", "scorecard")

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


model.add_command(publish)
model.add_command(drift)
model.add_command(vectors)
model.add_command(import_)


@model.command()
@click.option("--out", type=FILE, required=True, help="The Parquet file to write.")
@json_option
def yardstick(out: Path, as_json: bool) -> int:
    """Write the public yardstick's history: 183 days of simulated payments, the same for everybody.

    Made from the description in the Fraud Detection Handbook; its published totals are checked.
    """
    from events.errors import Broken
    from infra.output import to_json
    from streams.edge.handbook import CUSTOMERS, FRAUDS, PAYMENTS, make
    from streams.edge.labelled import write_history

    with watched(as_json) as stage:
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
@click.option("--out", type=FILE, required=True, help="The model file to write.")
@kind_option
@days_option
@until_option
@delay_option
@version_option
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
    from infra.output import to_json
    from streams.features.models import Kind
    from streams.training.fitting import fit_calibrated

    with watched(as_json) as stage:
        replayed = replayed_from(transactions, delay_days, stage)
        history = replayed.history
        rows, known_at = labelled_rows(history, until, days, delay_days)
        made = fit_calibrated(
            history,
            replayed.vectors,
            rows,
            Kind(kind),
            known_at,
            lambda done, of: stage("training", done, of),
            version,
        )
    name = write_model(out, made)
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
@click.option(
    "--curves", type=FILE, help="A JSON file to write: precision by recall, gains, log-odds, drift by week."
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
    curves: Path | None,
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
    with watched(as_json) as stage:
        replayed = replayed_from(transactions, delay_days, stage)
        history = replayed.history
        first_on = int(history.at[0]) // DAY
        protocol = Protocol(folds=folds, train=train_days, delay=delay_days, test=test_days)
        if start is None:
            protocol = protocol_for(history, protocol)
        else:
            protocol = protocol._replace(start=day_number(start.year, start.month, start.day) - first_on)
        looks: list[tuple[Any, Any, Any]] = []
        made = run(
            history,
            replayed.vectors,
            protocol,
            Kind(kind),
            lambda done, of: stage("testing", done, of),
            lambda *seen: looks.append(seen),
        )
    means = mean(made)
    if curves is not None:
        _write_curves(curves, kind, replayed, looks)
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
@click.option("--champion", type=FILE, required=True, help="The model file in force.")
@click.option("--challenger", type=FILE, required=True, help="The model file that would like to be.")
@delay_option
@click.option(
    "--learning", is_flag=True, help="Let the challenger, a scorecard, learn on the way as in the stream."
)
@genuine_options
@json_option
def compare(
    transactions: Path,
    champion: Path,
    challenger: Path,
    delay_days: int,
    learning: bool,
    genuine_one_in: int,
    genuine_after_days: int,
    as_json: bool,
) -> int:
    """Ask two models about the payments that neither was trained on.

    Shows what each ranking is worth, how far features and scores have drifted since each was trained, and where the two
    differ most. With --learning the challenger learns every fraud when its label comes, and a share of the rest.
    """
    import numpy as np

    from events.calendar import DAY
    from events.errors import Refused
    from infra.output import console, remark, table, to_json
    from streams.training.batches import margins, scores
    from streams.training.drifting import drift as drifted
    from streams.training.learning import said_while_learning
    from streams.training.protocol import figures_of

    files = {"champion": champion, "challenger": challenger}
    models = {role: read_model_file(path) for role, path in files.items()}
    with watched(as_json) as stage:
        replayed = replayed_from(transactions, delay_days, stage)
    history = replayed.history
    fresh_at = max(read.labels_until_at for read in (loaded.trained for loaded, _ in models.values()))
    stretch = history.between(fresh_at, int(history.at[-1]) + 1)
    rows = np.arange(*stretch.indices(len(history.at)))
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
        if learning and role == "challenger":
            reached = said_while_learning(
                loaded,
                history,
                replayed.vectors,
                stretch,
                delay_days=delay_days,
                genuine_one_in=genuine_one_in,
                genuine_after_days=genuine_after_days,
            )
        else:
            reached = margins(loaded, vectors)
        given[role] = scores(loaded, reached)
        result[role] = {
            "model": str(files[role]),
            "sha256": name,
            "kind": loaded.kind.value,
            "learning": learning and role == "challenger",
            "version": loaded.version,
            **figures_of(history, rows, reached)._asdict(),
            "drift": {moved.name: round(moved.stability, 4) for moved in drifted(loaded, vectors)},
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
            (
                f"{role} ({told['kind']}{', learning' if told['learning'] else ''})",
                *(f"{figure:.4f}" for figure in figures),
                f"{moved} {by:.2f}",
            )
        )
    console().print(table("", columns, lines, right=columns[1:4]))
    remark(
        f"{result['payments']:,} payments from {result['from']} on, {result['frauds']:,} of them fraud; "
        f"the scores differ by {apart.mean():.2f} on average, by {apart.max()} at most."
    )
    return 0


def _write_curves(
    path: Path, kind: str, replayed: "Replayed", looks: "list[tuple[Model, Whole, Whole]]"
) -> None:
    """The curves over all folds together, and how payments moved away from the first one's training."""
    import numpy as np

    from infra.output import to_json
    from streams.training.curves import GAINS, ODDS, weekly_drift
    from streams.training.curves import curves as drawn

    history = replayed.history
    tested = np.concatenate([rows for _, rows, _ in looks])
    found = drawn(history.fraud[tested], np.concatenate([reached for _, _, reached in looks]))
    first, rows, _ = looks[0]
    weeks = weekly_drift(first, history, replayed.vectors, int(history.at[rows[0]]))
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"kind": kind, "gains_at": GAINS, "odds": list(ODDS), **found._asdict(), "drift_by_week": weeks}
    path.write_text(to_json(result) + "\n", "utf-8")


def read_model_file(path: Path) -> Any:
    """The model of a file, and its hash. Raises Refused, and Unavailable where there is none."""
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


def _date(day_on: int) -> str:
    from events.calendar import civil

    return "{:04d}-{:02d}-{:02d}".format(*civil(day_on))
