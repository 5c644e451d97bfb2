"""What the commands of `tallystick model` share: a labelled history, its vectors, the file of a model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

if TYPE_CHECKING:
    from streams.features.models import Model
    from streams.training.histories import History, Whole

FILE: Final = click.Path(path_type=Path, dir_okay=False)

transactions_option: Final = click.option(
    "--transactions",
    type=FILE,
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


days_option: Final = click.option(
    "--days", type=click.IntRange(1, 3650), default=28, show_default=True, help="How many days."
)
until_option: Final = click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Train as on the morning of this day (UTC).  [default: the day after the last payment]",
)
version_option: Final = click.option(
    "--version", type=click.IntRange(min=1), default=1, show_default=True, help="The model's version."
)


class Replayed(NamedTuple):
    """A history with the vector of the profile for each of its payments."""

    history: "History"
    vectors: "Whole"


def replayed_from(transactions: Path, delay_days: int, stage: Callable[[str, int, int], None]) -> Replayed:
    """A history, and the vector of each of its payments."""
    from events.calendar import DAY
    from streams.edge.labelled import read_history
    from streams.training.histories import replay

    history = read_history(transactions)
    vectors = replay(history, delay_days * DAY, lambda done: stage("replaying", done, len(history.at)))
    return Replayed(history, vectors)


def labelled_rows(history: "History", until: Any, days: int, delay_days: int) -> tuple[slice, int]:
    """The payments of so many days whose labels were known on a morning, and that morning in microseconds."""
    from events.calendar import DAY, day_number
    from events.errors import Refused

    morning = (
        int(history.at[-1]) // DAY + 1 if until is None else day_number(until.year, until.month, until.day)
    )
    end_at = (morning - delay_days) * DAY
    rows = history.between(end_at - days * DAY, end_at)
    if rows.start == rows.stop:
        raise Refused(f"there is no payment in the {days} days before the labels end; move --until")
    return rows, morning * DAY


def write_model(out: Path, model: "Model") -> str:
    """Write a model to a file; gives its hash."""
    from streams.features.models import decode_model, encode_model

    document = encode_model(model)
    _, name = decode_model(document)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(document, "utf-8")
    return name


@contextmanager
def watched(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with the name of what is done; none where it would be in the way."""
    from infra.job import Stage
    from infra.progress import progress_bar

    with progress_bar(quiet=quiet) as watch:
        yield lambda name, done, of: watch(Stage(name, done, of))
