"""``tallystick model publish`` and ``model drift``: models in the stream, and what they are asked about there."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from infra.commands.modelhistories import FILE
from infra.options import any_log_option, json_option, kafka_config_option
from infra.settings import Value

if TYPE_CHECKING:
    from events.reference import FraudModel, OnlineModel

_C = TypeVar("_C", bound=Callable[..., Any])
_ROLES: Final = ("champion", "challenger", "learner")


def genuine_options(command: _C) -> _C:
    """How a scorecard that learns comes to its genuine examples."""
    share = click.option(
        "--genuine-one-in",
        type=click.IntRange(1, 1_000),
        default=20,
        show_default=True,
        help="With --learning: of payments that nobody labels, how many one stands for that is learned as genuine.",
    )
    days = click.option(
        "--genuine-after-days",
        type=click.IntRange(1, 182),
        default=30,
        show_default=True,
        help="With --learning: days that labels have to come.",
    )
    return share(days(command))


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--mode",
    type=click.Choice(("enforce", "shadow")),
    default="shadow",
    show_default=True,
    help="In enforce it is the champion, whose score rules read; in shadow its challenger.",
)
@click.option(
    "--learning",
    is_flag=True,
    help="Let a scorecard go on learning in the stream. In enforce it stands in where there is no champion.",
)
@genuine_options
@click.option("--into", type=FILE, required=True, help="The input file to add the model to.")
@click.option("--at", metavar="TIME", help="When it is published.  [default: before the first request]")
@click.option("--out", type=FILE, required=True, help="The input file to write.")
@json_option
def publish(
    file: Path,
    mode: str,
    learning: bool,
    genuine_one_in: int,
    genuine_after_days: int,
    into: Path,
    at: str | None,
    out: Path,
    as_json: bool,
) -> int:
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
    from streams.edge.modelfiles import entry_of, read_learner, read_model

    try:
        content: FraudModel | OnlineModel
        if learning:
            content = read_learner(file, Mode(mode), genuine_one_in, genuine_after_days)
        else:
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
            "learning": learning,
            "model": content.sha256,
            "sha256": hash_of(out),
        }
        click.echo(to_json(result))
    else:
        what = "the scorecard that learns from" if learning else "the model"
        click.echo(f"{out}: {what} {content.sha256[:16]} in {mode}, in {written:,} rows.")
        click.echo(f"Next: tallystick demo --fresh --input {out}")
    return 0


@click.command()
@any_log_option
@kafka_config_option
@click.option("--model", "file", type=FILE, help="A model file, in place of one that the log names.")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="champion",
    show_default=True,
    help="Which model of the log is asked: the one that was published last as this.",
)
@click.option("--from", "first", metavar="TIME", help="Verdicts from this time on.  [default: all]")
@click.option("--to", "end", metavar="TIME", help="Verdicts before this time.  [default: all]")
@json_option
def drift(
    log: Value,
    kafka_config: Path | None,
    file: Path | None,
    role: str,
    first: str | None,
    end: str | None,
    as_json: bool,
) -> int:
    """How far the payments of a log are from those that a model was trained on: each feature, and the score.

    The profiles are those that verdicts have recorded; times are logical times of the log. Exit code 1: something is
    in another world, and the model is to be trained again.
    """
    from infra.commands.model import read_model_file
    from infra.instructing import instant_of
    from infra.job import Stage
    from infra.logs import looking_at, place_of
    from infra.output import console, remark, table, to_json
    from infra.progress import progress_bar
    from streams.forensics.judged import judged, model_in_use
    from streams.training.drifting import ANOTHER
    from streams.training.drifting import drift as drifted

    begins = 0 if first is None else instant_of("--from", first)
    ends = (1 << 63) - 1 if end is None else instant_of("--to", end)
    with looking_at(place_of(log, kafka_config)) as opened, progress_bar(quiet=as_json) as watch:
        model, name = read_model_file(file) if file is not None else model_in_use(opened, role)
        found = judged(opened, begins, ends, lambda done: watch(Stage("reading verdicts", done, done)))
    moved = drifted(model, found.vectors) if len(found.vectors) else []
    worst = max((one.stability for one in moved if one.standing != "stable"), default=0.0)
    if as_json:
        result = {
            "model": name,
            "kind": model.kind.value,
            "version": model.version,
            "trained_on": model.trained.payments,
            "payments": len(found.vectors),
            "passed_over": found.passed_over,
            "drift": [{**one._asdict(), "standing": one.standing} for one in moved],
        }
        click.echo(to_json(result))
        return int(worst >= ANOTHER)
    if not moved:
        click.echo("There is no verdict of these features in the stretch.")
        return 0
    columns = ("", "stability index", "by chance below", "distance", "")
    rows = [
        (one.name, f"{one.stability:.3f}", f"{one.by_chance:.3f}", f"{one.distance:.3f}", one.standing)
        for one in moved
    ]
    console().print(table("", columns, rows, right=columns[1:4]))
    remark(
        f"{len(found.vectors):,} payments against the {model.trained.payments:,} that the {model.kind} "
        f"{name[:16]} was trained on."
    )
    if found.passed_over:
        remark(f"{found.passed_over:,} verdicts of another feature set are passed over.")
    return int(worst >= ANOTHER)
