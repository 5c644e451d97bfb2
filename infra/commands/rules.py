"""``tallystick rules``: fraud rules, from the first draft to a back-test and into force."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from infra.instructing import standing_options
from infra.options import any_log_option, json_option, kafka_config_option
from infra.settings import Value

if TYPE_CHECKING:
    from streams.edge.rulefiles import FileRefused, RuleFile
    from streams.features.models import Model
    from streams.features.rules.judging import Judge

_FILE = click.Path(path_type=Path, dir_okay=False)
_MOST_SHOWN: Final = 20

house_option: Final = click.option(
    "--house", type=_FILE, help="The house's pack, where FILE is a merchant's own: it stands on top of it."
)


@click.group()
def rules() -> None:
    """Fraud rules: check, test, compare, back-test, publish."""


@rules.command()
@click.argument("file", type=_FILE)
@house_option
@json_option
def check(file: Path, house: Path | None, as_json: bool) -> int:
    """Read a pack of rules and say everything that is wrong with it, each at its place."""
    from infra.output import remark, to_json
    from streams.edge.rulefiles import FileRefused, judge_of, pack_of, read_file
    from streams.features.rules.packs import steps_by_phase

    with _faults_shown(as_json):
        try:
            read = read_file(file)
            above = read_file(house) if house else None
            judge_of(read, above)
            pack = pack_of(read, pack_of(above) if above else None)
        except FileRefused as error:
            if as_json:
                click.echo(to_json({"file": str(file), "sound": False, "faults": _faults(error)}))
            raise
    steps = {phase.value: cost for phase, cost in steps_by_phase(pack).items()}
    shadow = sum(rule.shadow for rule in pack.rules)
    if as_json:
        result = {
            "file": str(file),
            "sound": True,
            "merchant": pack.merchant,
            "version": pack.version,
            "sha256": pack.sha256,
            "rules": len(pack.rules),
            "shadow": shadow,
            "thresholds": len(read.book.thresholds),
            "lists": {named.name: named.entries for named in read.book.lists},
            "cases": len(read.cases),
            "steps": steps,
            "unmeasured": _unmeasured(judge_of(read, above)),
        }
        click.echo(to_json(result))
        return 0
    click.echo(
        f"{file}: version {pack.version}, {len(pack.rules):,} rules ({shadow:,} in shadow), "
        f"{len(read.book.thresholds):,} thresholds, {len(read.book.lists):,} lists; sha256 {pack.sha256[:16]}..."
    )
    for phase, cost in steps.items():
        if cost:
            click.echo(f"  {phase.replace('_', ' ')}: up to {cost:,} steps")
    for name in _unmeasured(judge_of(read, above)):
        remark(f"The stream does not know {name} yet: there, a comparison with it is false.")
    return 0


@rules.command()
@click.argument("file", type=_FILE)
@house_option
@json_option
def test(file: Path, house: Path | None, as_json: bool) -> int:
    """Try the cases of a pack's file: payments that somebody made up, and what the rules should say of them."""
    from infra.output import to_json
    from streams.edge.rulecases import run_cases

    with _faults_shown(as_json):
        read, judge = _judge(file, house)
        tested = run_cases(read, judge)
    wrong = [one for one in tested if one.wrong]
    named = {name for one in tested for name in (*one.outcome.fired, *one.outcome.shadow)}
    untested = [name for name, _, _ in judge.rules() if name not in named]
    if as_json:
        cases = [
            {
                "name": one.case.name,
                "passed": not one.wrong,
                "wrong": one.wrong,
                "action": one.outcome.action.value if one.outcome.action else None,
                "fired": one.outcome.fired,
                "shadow": one.outcome.shadow,
                "failed": one.outcome.failed,
            }
            for one in tested
        ]
        click.echo(to_json({"file": str(file), "passed": not wrong, "cases": cases, "never_fired": untested}))
    else:
        for one in wrong:
            click.echo(f"{one.case.name}: {one.wrong}")
        click.echo(f"{file}: {len(tested) - len(wrong):,} of {len(tested):,} cases as they should be.")
        if untested:
            click.echo(f"No case makes fire: {', '.join(untested[:_MOST_SHOWN])}")
    return 1 if wrong else 0


@rules.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@json_option
def diff(old: Path, new: Path, as_json: bool) -> int:
    """What NEW changes: rules, thresholds and lists, whatever their order and white space."""
    from events.errors import Refused, ValidationError
    from infra.output import console, table, to_json
    from streams.edge.rulefiles import read_file
    from streams.features.rules.comparing import differences

    with _faults_shown(as_json):
        was, is_ = read_file(old), read_file(new)
        try:
            found = differences(was.book, is_.book, was.entries, is_.entries)
        except ValidationError as error:
            raise Refused(f"{old}, {new}: {error}; tallystick rules check says where") from error
    if as_json:
        result = {
            "old": {"file": str(old), "version": was.book.version},
            "new": {"file": str(new), "version": is_.book.version},
            "differences": [{"change": one.change, **one._asdict()} for one in found],
        }
        click.echo(to_json(result))
    elif found:
        rows = [(one.kind, one.name, one.change, one.field, one.old, one.new) for one in found]
        console().print(table("", ("", "name", "", "field", "old", "new"), rows))
    else:
        click.echo("They say the same.")
    return 0


@rules.command("back-test")
@click.argument("file", type=_FILE)
@house_option
@any_log_option
@kafka_config_option
@click.option(
    "--from", "first", metavar="TIME", help="Judge payments from this time on.  [default: the first]"
)
@click.option("--to", "end", metavar="TIME", help="Judge payments before this time.  [default: all]")
@click.option("--labels", type=_FILE, help="A CSV file: payment_id, fraud, and known_at where it is known.")
@click.option("--model", "model_file", type=_FILE, help="A model file: what model.score comes from.")
@click.option("--out", type=_FILE, help="Write every payment on which a rule fires to this CSV file.")
@json_option
def back_test(
    file: Path,
    house: Path | None,
    log: Value,
    kafka_config: Path | None,
    first: str | None,
    end: str | None,
    labels: Path | None,
    model_file: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """What a pack would have said of the payments of a log: what fires, on what, and what that costs.

    Every payment is measured again from the beginning of the log. TIME is like 2026-03-02T09:00:00Z.
    """
    import time

    import msgspec

    from infra.backtests import details, print_back_test
    from infra.job import Stage
    from infra.logs import looking_at, place_of
    from infra.output import remark, to_json
    from infra.progress import progress_bar
    from infra.tuning import collect_rarely
    from streams.edge.labelfile import read_labels
    from streams.forensics.backtest import ALWAYS, back_test

    with _faults_shown(as_json):
        _, judge = _judge(file, house)
    between = (_instant("--from", first, ALWAYS[0]), _instant("--to", end, ALWAYS[1]))
    known = read_labels(labels) if labels else None
    model = _model(model_file) if model_file else None
    collect_rarely()
    started = time.monotonic()
    with (
        details(out) as told,
        looking_at(place_of(log, kafka_config)) as opened,
        progress_bar(quiet=as_json) as watch,
    ):
        found = back_test(
            opened,
            judge,
            between=between,
            labels=known,
            model=model,
            told=told,
            progress=lambda done, of: watch(Stage("judging", done, of)),
        )
    seconds = time.monotonic() - started
    if as_json:
        result = {"file": str(file), "labelled": known is not None, "seconds": round(seconds, 3)}
        click.echo(to_json(result | msgspec.to_builtins(found)))
        return 0
    print_back_test(found, labelled=known is not None)
    if out is not None:
        remark(f"Every payment on which a rule fires stands in {out}.")
    remark(f"{found.events:,} events read in {seconds:.1f} s.")
    return 0


@rules.command()
@click.argument("file", type=_FILE)
@house_option
@standing_options
@json_option
def publish(
    file: Path,
    house: Path | None,
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> int:
    """Turn a pack into reference data: input rows for the publisher, lists in parts, the book last.

    A pack that is not sound, or of which a case fails, is not published.
    """
    from events.errors import Refused
    from events.requests import InputRow
    from infra.output import to_json
    from streams.edge.amended import amended
    from streams.edge.inputs import hash_of, read_rows, write_rows
    from streams.edge.reference import published
    from streams.edge.rulecases import run_cases
    from streams.edge.rulefiles import entries_to_publish
    from streams.features.rules.packs import book_sha256

    if (into is None) == (next_version is None):
        raise Refused(
            "name either the input to add to (--into) or the next version of the topic (--next-version)"
        )
    with _faults_shown(as_json):
        read, judge = _judge(file, house)
        wrong = [one.case.name for one in run_cases(read, judge) if one.wrong]
    if wrong:
        raise Refused(
            f"{file}: {len(wrong):,} cases fail, the first is {wrong[0]!r}; tallystick rules test says how"
        )
    moment = _instant("--at", at, None)
    entries = entries_to_publish(read)
    sha256 = book_sha256(read.book)
    if into is not None:
        rows = amended(read_rows(into), entries, moment)
    else:
        rows = (InputRow(moment or 0, entry) for entry in published(entries, next_version or 1))
    written = write_rows(out, rows, f"rules {sha256}")
    if as_json:
        result = {
            "file": str(out),
            "rows": written,
            "entries": len(entries),
            "book": sha256,
            "sha256": hash_of(out),
        }
        click.echo(to_json(result))
    else:
        click.echo(
            f"{out}: {len(entries):,} entries of reference data in {written:,} rows; book {sha256[:16]}..."
        )
        if into is not None:
            click.echo(f"Next: tallystick demo --fresh --input {out}")
    return 0


# --- what the commands share -----------------------------------------------------------------------------


def _judge(file: Path, house: Path | None) -> "tuple[RuleFile, Judge]":
    from streams.edge.rulefiles import judge_of, read_file

    read = read_file(file)
    return read, judge_of(read, read_file(house) if house else None)


@contextmanager
def _faults_shown(quiet: bool) -> Iterator[None]:
    """Show each fault with its line and caret before the sentence that ends the command."""
    from infra.output import remark
    from streams.edge.rulefiles import FileRefused

    try:
        yield
    except FileRefused as error:
        for trouble in error.troubles if not quiet else ():
            where = f":{trouble.line}:{trouble.column}" if trouble.line else ""
            remark(f"{error.path}{where}: {trouble.what}: {trouble.reason}")
            if trouble.shown:
                remark(trouble.shown)
        raise


def _faults(error: "FileRefused") -> list[dict[str, Any]]:
    return [
        {name: value for name, value in one._asdict().items() if name != "shown"} for one in error.troubles
    ]


def _unmeasured(judge: "Judge") -> list[str]:
    """The features that rules read and the stream does not know yet."""
    from streams.features.rules.catalogue import NAMES, NOT_IN_THE_STREAM

    return [NAMES[place] for place in judge.places() if NAMES[place] in NOT_IN_THE_STREAM]


def _instant(option: str, text: str | None, default: Any) -> Any:
    from events.errors import Refused
    from streams.edge.labelfile import instant_of

    if text is None:
        return default
    at = instant_of(text)
    if at is None:
        raise Refused(f"{option} is a time like 2026-03-02T09:00:00Z, not {text[:40]!r}")
    return at


def _model(path: Path) -> "Model":
    from events.errors import Refused, Unavailable, ValidationError
    from streams.features.models import LONGEST_BYTES, decode_model

    if not path.is_file():
        raise Unavailable(f"{path} is not a file that can be read")
    with path.open("rb") as file:
        content = file.read(LONGEST_BYTES + 1)
    try:
        return decode_model(content)[0]
    except ValidationError as error:
        raise Refused(f"{path} cannot be used: {error}") from error
