"""A long run: what a payment costs, and what memory is taken, from the first to the millionth.

``python -m tests.bench.long`` takes most of an hour and some 20 GB of disk: the main job on the embedded log, with as
many days as it takes until what windows reach (the longest is half a year) is a small part of it. What is held of cards
and windows comes to its full size in them, and behind that nothing may grow. Its figures are kept in
``tests/bench/measured``; ``make bench`` puts them on its page.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import click
import msgspec

from tests.bench.figures import (
    ROOT,
    about,
    children,
    command,
    length,
    put_down,
    resident,
    seconds_of_all,
    while_running,
)

KEPT: Final = Path(__file__).parent / "measured" / "long.json"
#: How many runs stay.
RUNS: Final = 2
TENTHS: Final = 10
#: So many looks at least, or a tenth may have none of its own.
SAMPLES: Final = 30
SAMPLE_SECONDS: Final = 5.0


class Sample(NamedTuple):
    """A look at the job: seconds since its start, processor seconds of all its processes, MiB of the process that
    decides and of the others, and events in the log."""

    seconds: float
    processor: float
    deciding_mib: float
    others_mib: float
    events: int


class Tenth(msgspec.Struct, frozen=True):
    """A tenth of the log's final length: microseconds for an event, on the wall and of processors; MiB when most were
    taken in it."""

    wall_us: float
    processor_us: float
    deciding_mib: float
    others_mib: float


class Long(msgspec.Struct, frozen=True):
    """One run. ``payments_per_second`` is for all of it; digest and invariants at its end included."""

    date: str
    commit: str
    machine: str
    payments: int
    days: int
    events: int
    payments_per_second: float
    tenths: list[Tenth]

    @property
    def flatness(self) -> float:
        """What an event costs in the last tenth over the second: the first one has the start in it."""
        return self.tenths[-1].processor_us / self.tenths[1].processor_us

    @property
    def growth(self) -> float:
        """The most memory in the second half over the most in the first."""
        return _most(self.tenths[TENTHS // 2 :]) / _most(self.tenths[: TENTHS // 2])


def _most(tenths: Sequence[Tenth]) -> float:
    return max(one.deciding_mib + one.others_mib for one in tenths)


def kept() -> list[Long]:
    """The last runs, the newest first: what one says of half an hour is, for a tenth, the machine's."""
    return msgspec.json.decode(KEPT.read_bytes(), type=list[Long]) if KEPT.exists() else []


def keep(found: Long) -> None:
    """Put a run before the others; the oldest goes."""
    put_down(KEPT, [found, *kept()][:RUNS])


def figures() -> dict[str, float]:
    """What stands in ``bench.json`` of it: means of the runs that are kept."""
    runs = kept()
    if not runs:
        return {}
    return {
        "long_payments": runs[0].payments,
        "long_cost_flatness": round(fmean(run.flatness for run in runs), 3),
        "long_memory_growth": round(fmean(run.growth for run in runs), 3),
    }


def samples(process: "subprocess.Popen[str]", log: Path) -> Iterator[Sample]:
    """Looks at a job until it has ended."""
    for seconds in while_running(process, SAMPLE_SECONDS):
        below = children(process.pid)
        others = sum(resident(child) for child in below)
        yield Sample(
            seconds,
            seconds_of_all(process.pid),
            (resident(process.pid) - others) / 1024,
            others / 1024,
            length(log),
        )


def tenths(looks: Sequence[Sample]) -> list[Tenth]:
    """The run by tenths of the length that the log had at its end."""
    end = looks[-1].events
    if len(looks) < SAMPLES:
        raise SystemExit(f"{len(looks)} looks at it tell nothing of its tenths: give it more payments")
    found, before = [], looks[0]
    for number in range(1, TENTHS + 1):
        at = next(look for look in looks if look.events >= end * number // TENTHS)
        events = max(1, at.events - before.events)
        within = [look for look in looks if before.seconds < look.seconds <= at.seconds]
        most = max(within, key=lambda look: look.deciding_mib + look.others_mib)
        found.append(
            Tenth(
                round((at.seconds - before.seconds) / events * 1e6, 1),
                round((at.processor - before.processor) / events * 1e6, 1),
                round(most.deciding_mib, 1),
                round(most.others_mib, 1),
            )
        )
        before = at
    return found


def run(folder: Path, payments: int, days: int, seed: int) -> dict[str, Any]:
    """Simulate and run, with a line a minute; what the job says of itself, and its tenths."""
    rows, log = folder / "rows.avro", folder / "log.db"
    asked = (f"--payments={payments}", f"--days={days}", f"--seed={seed}", f"--out={rows}")
    subprocess.run(command("simulate", *asked), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    store = f"--store=duckdb:{folder / 'store.duckdb'}"
    job = command("demo", "--fresh", "--json", f"--input={rows}", f"--log=sqlite:{log}", store)
    process = subprocess.Popen(job, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    looks: list[Sample] = []
    told = 0.0
    for look in samples(process, log):
        looks.append(look)
        if look.seconds >= told:
            told += 60
            click.echo(
                f"{look.seconds:7,.0f} s {look.events:12,} events "
                f"{look.deciding_mib:7,.0f} + {look.others_mib:,.0f} MiB",
                err=True,
            )
    out = process.stdout.read() if process.stdout is not None else ""
    if process.returncode:
        raise SystemExit(f"the job ended with exit code {process.returncode}: {out[-500:]}")
    said: dict[str, Any] = json.loads(out)
    return said | {"tenths": tenths(looks)}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--payments", default=1_000_000, show_default=True)
@click.option("--days", default=1_000, show_default=True)
@click.option("--seed", default=5, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where log and store stay, to look at them.")
def main(payments: int, days: int, seed: int, folder: Path | None) -> None:
    """Measure, print, keep."""
    made_with = about()
    with tempfile.TemporaryDirectory(prefix="tallystick-long-") as made:
        place = Path(made) if folder is None else folder
        place.mkdir(parents=True, exist_ok=True)
        said = run(place, payments, days, seed)
    found = Long(
        made_with["date"],
        made_with["commit"],
        made_with["machine"],
        payments,
        days,
        said["events"],
        said["payments_per_second"],
        said["tenths"],
    )
    keep(found)
    click.echo(f"cost of an event, last tenth over second: {found.flatness:.3f}; memory: {found.growth:.3f}")


if __name__ == "__main__":
    main()
