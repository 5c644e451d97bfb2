"""``python -m tests.torture``: houses on real brokers, hurt in every way that is known here, and judged."""

import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from events.calendar import HOUR
from events.errors import TallystickError
from infra.crashing import POINTS_OF
from tests.torture import faults, medley, outside
from tests.torture.cluster import Cluster
from tests.torture.planting import DEFECTS, catch
from tests.torture.results import Caught, Result, load, paragraph, save, this_machine, write_into
from tests.torture.rounds import Order, Round, torture

FAULTS: Final[dict[str, type[faults.Fault]]] = {
    kind.name: kind
    for kind in (
        faults.Fault,
        faults.Points,
        faults.Moments,
        faults.Frozen,
        faults.Scale,
        faults.TakenOver,
        outside.BadNetworks,
        outside.Wires,
        outside.FullDisk,
        outside.Refusing,
        outside.Forgotten,
        outside.BrokersDie,
        faults.OnTheWall,
        outside.SetClock,
    )
}
#: Of which the short form makes three rounds.
SHORT: Final[dict[str, type[faults.Fault]]] = {
    kind.name: kind for kind in (faults.Points, medley.Medley, medley.OnTheWallMedley)
}
WORDS: Final = {name: kind.words for name, kind in (FAULTS | SHORT).items()}
ROOT: Final = Path(__file__).resolve().parents[2]
#: Results that the README shows.
KEPT: Final = ROOT / "tests" / "torture" / "measured"
#: What a run leaves behind, by the number of its brokers.
RESULTS: Final = {"1": "one-broker.json", "3": "three-brokers.json"}
#: A long round. The outside answers up to three ticks later, and of thousands of payments some have a dispute that ends
#: on the day of its deadline: with ticks of a day the answer would come too late, in the calm run as well. A house that
#: is killed hundreds of times needs its time.
LONG: Final = Order(4_500, 0, 6, ROOT, every=4 * HOUR, tail=4 * HOUR, patience=3_600.0, each=20)
#: More rounds of points than this are no use: whatever was not reached by then never will be.
_MOST_ROUNDS: Final = 40


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seed", type=int, default=7, show_default=True, help="Of the input, the networks and the blows."
)
@click.option("--payments", type=click.IntRange(20), help="Of each round.  [default: 4500, short: 40]")
@click.option("--short", is_flag=True, help="Every fault once, in three houses.")
@click.option(
    "--brokers",
    type=click.Choice(list(RESULTS)),
    multiple=True,
    default=["1", "3"],
    show_default=True,
    help="One broker, or three of which one at a time is hurt.",
)
@click.option("--faults", "named", help=f"Some of {', '.join(FAULTS)}, with commas between them.")
@click.option("--hits", type=click.IntRange(0), help="Kills at each named point.  [default: 20, short: 1]")
@click.option("--planted/--no-planted", default=True, help="Also plant defects in the engine and catch them.")
@click.option("--folder", type=click.Path(path_type=Path), help="For everything that is made; kept.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/torture"),
    show_default=True,
    help="For a file of what came of it, one for each number of brokers.",
)
@click.option(
    "--readme", is_flag=True, help="Write the README's table from the kept results, and nothing else."
)
def run(
    seed: int,
    payments: int | None,
    short: bool,
    brokers: tuple[str, ...],
    named: str | None,
    hits: int | None,
    planted: bool,
    folder: Path | None,
    results: Path,
    readme: bool,
) -> None:
    """Hurt houses on brokers of their own and judge them; exit code 1 where anything came of it."""
    if readme:
        kept = [load(path) for path in sorted(KEPT.glob("*.json"))]
        write_into(ROOT / "README.md", paragraph(kept, WORDS))
        return
    names = named.split(",") if named else list(SHORT if short else FAULTS)
    unknown = [name for name in names if name not in FAULTS | SHORT]
    if unknown:
        raise click.UsageError(f"there are the faults {', '.join(FAULTS)}, not {', '.join(unknown)}")
    click.echo(f"seed {seed}")
    holds = True
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as made:
        for number in brokers:
            place = (folder or Path(made)) / f"s{seed}b{number}"
            place.mkdir(parents=True)
            order = Order(40, seed, 1, place) if short else replace(LONG, seed=seed, folder=place)
            order = replace(
                order, payments=payments or order.payments, each=order.each if hits is None else hits
            )
            path = results / RESULTS[number]
            found = run_all(order, int(number), names, planted=planted, keep=partial(save, path=path))
            show(found)
            click.echo(f"written to {path}")
            holds &= found.holds
    sys.exit(0 if holds else 1)


def run_all(
    order: Order,
    brokers: int,
    names: list[str],
    *,
    planted: bool,
    keep: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Every round in its turn, on one cluster. ``keep`` is told after each what there is: hours may be cut short."""
    began = time.monotonic()
    rounds: list[Round] = []
    left_out: dict[str, str] = {}
    caught: list[Caught] = []

    def so_far() -> Result:
        seconds = round(time.monotonic() - began, 1)
        today = datetime.now(UTC).date().isoformat()
        found = Result(
            today, this_machine(), order.seed, order.payments, brokers, seconds, rounds, left_out, caught
        )
        keep(found)
        return found

    with Cluster(order.folder / "kafka", brokers) as cluster:
        for name in names:
            kind = (FAULTS | SHORT)[name]
            why_not = kind.why_not() if brokers in kind.brokers else f"not with {brokers} brokers"
            if why_not:
                left_out[name] = why_not
            elif name == faults.Points.name:
                for one in _until_hit(order, cluster):
                    rounds.append(one)
                    so_far()
            else:
                rounds.append(_round(order, cluster, kind))
            so_far()
        if planted and brokers == 1:
            for defect in DEFECTS:
                found = catch(defect, order, cluster, _progress(defect.name))
                # The first complaint, without where on this machine more can be read.
                by = found.complaints[0].partition(" (see ")[0] if found.complaints else ""
                click.echo(f"planted: {defect.words}: {by or 'NOT CAUGHT'}")
                caught.append(Caught(defect.name, defect.words, by))
    return so_far()


def _until_hit(order: Order, cluster: Cluster) -> Iterator[Round]:
    """Rounds until every process has died at every point so often."""
    hits = Counter[tuple[str, str]]()
    wanted = [(kind, point) for kind, points in POINTS_OF.items() for point in points]
    for _ in range(_MOST_ROUNDS):
        one = _round(replace(order, hits=hits), cluster, faults.Points)
        yield one
        for named, count in one.hits.items():
            kind, _, point = named.partition(" ")
            hits[kind, point] += count
        if one.complaints or all(hits[each] >= order.each for each in wanted):
            break


def _round(order: Order, cluster: Cluster, kind: type[faults.Fault]) -> Round:
    say = _progress(kind.name)
    try:
        found = torture(order, cluster, kind, say)
    except TallystickError as error:
        raise click.ClickException(f"{kind.name}: {error}") from error
    blows = sum(found.blows.values())
    outcome = "; ".join(found.complaints) or "nothing came of it"
    click.echo(f"\r{kind.name}: {found.payments} payments, {blows} blows, {found.seconds:.0f} s: {outcome}")
    return found


def _progress(name: str) -> Callable[[str], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda words: click.echo(f"\r\x1b[K{name}: {words}", nl=False, err=True)


def show(result: Result) -> None:
    """The table, for people."""
    click.echo(paragraph([result], WORDS))
    for point, count in sorted(_points(result).items()):
        click.echo(f"  {point}: {count}")
    for name, why in result.left_out.items():
        click.echo(f"left out: {name} ({why})")
    for one in result.planted:
        click.echo(f"planted: {one.words}: {f'caught by: {one.by}' if one.by else 'NOT CAUGHT'}")


def _points(result: Result) -> Counter[str]:
    found = Counter[str]()
    for one in result.rounds:
        found.update(one.hits)
    return found


def main() -> None:
    """The entry point."""
    # Brokers die here, and the client would tell of each time it tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    run()
