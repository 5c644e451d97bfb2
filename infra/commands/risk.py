"""``tallystick risk``: what fraud decisions see, and why one came out as it did."""

import re
from pathlib import Path
from typing import Final

import click

from events.errors import Refused
from infra.commands.attacks import attacks
from infra.options import any_log_option, as_of_option, json_option, kafka_config_option, store_option
from infra.settings import Value
from infra.stores import StoreAddress

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def risk() -> None:
    """What fraud decisions see, and why one came out as it did."""


risk.add_command(attacks)


@risk.command()
@click.option("--input", "source", type=_FILE, required=True, help="The history: a Parquet or CSV file.")
@click.option(
    "--windows", metavar="W,W,...", default="10m,1h,24h,7d,30d", show_default=True, help="How far back."
)
@click.option("--out", type=_FILE, required=True, help="The Parquet or CSV file to write.")
@click.option(
    "--hot",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Keep keys of more than N events in one-hour tiles beyond 24 hours: less memory, and approximate there."
    "  [default: never]",
)
@json_option
def features(source: Path, windows: str, out: Path, hot: int, as_json: bool) -> int:
    """Measure a history of yours as the stream would have: counts, sums, cards and known fraud.

    The order of the rows is the order of the log. Columns: event_id, kind (authorization or label), event_time (a
    timestamp, or microseconds), card, ip, device, email, merchant, amount_minor. A label names the event_id of what was
    fraud, and is known from its row on. OUT has one row for each first delivery of an authorization.
    """
    import time

    import msgspec

    from infra.job import Stage
    from infra.output import remark
    from infra.progress import progress_bar
    from infra.tuning import collect_rarely
    from streams.edge.backfill import backfill
    from streams.features.velocity import columns, plan_of

    collect_rarely()
    started = time.monotonic()
    with progress_bar(quiet=as_json) as watch:
        found = backfill(
            source, windows, out, hot=hot, progress=lambda done, of: watch(Stage("measuring", done, of))
        )
    seconds = time.monotonic() - started
    plan = plan_of(windows, full=False, declines=False)
    names = columns(plan)
    if as_json:
        counts = found._asdict()
        lateness, remembered = counts.pop("lateness"), counts.pop("remembered")
        approximate = counts.pop("approximate")
        result = {
            "file": str(out),
            "windows": plan.names,
            "features": len(names),
            **counts,
            "lateness_us": lateness,
            "remembered_us": remembered,
            "approximate_rows": approximate,
            "seconds": round(seconds, 3),
            "rows_per_second": round(found.rows / max(seconds, 1e-9), 1),
        }
        click.echo(msgspec.json.encode(result))
        return 0
    click.echo(
        f"{out}: {len(names)} features of {found.authorizations:,} authorizations"
        f" from {found.rows:,} rows ({seconds:.1f} s)."
    )
    if found.repeats:
        remark(f"{found.repeats:,} rows deliver an authorization again: counted once.")
    for count, what in (
        (found.labels_repeated, "repeat one that is known: counted once"),
        (found.labels_early, "stand before their authorization: they count from it on"),
        (found.labels_unknown, "are of an authorization that is nowhere in the file: they count nothing"),
    ):
        if count:
            remark(f"{count:,} of {found.labels:,} labels {what}.")
    if found.approximate:
        remark(f"{found.approximate:,} rows are approximate beyond 24 hours, where a key was hot.")
    return 0


@risk.command()
@click.argument("payment_id", metavar="PAYMENT")
@any_log_option
@kafka_config_option
@json_option
def explain(payment_id: str, log: Value, kafka_config: Path | None, as_json: bool) -> int:
    """Why a payment got its verdicts: what was measured, what fired, what the models said, and from which events.

    Each verdict, before the authorization and behind it, is decided again from the beginning of its partition's log.
    Exit code 1: one came out otherwise.
    """
    from infra.explanations import as_json_value, print_explained
    from infra.job import Stage
    from infra.logs import looking_at, place_of
    from infra.output import to_json
    from infra.progress import progress_bar
    from infra.tuning import collect_rarely
    from streams.forensics.explaining import explain as explained

    collect_rarely()
    with looking_at(place_of(log, kafka_config)) as opened, progress_bar(quiet=as_json) as watch:
        found = explained(opened, payment_id, lambda done: watch(Stage("deciding again", done, done)))
    if as_json:
        click.echo(to_json(as_json_value(found)))
    else:
        print_explained(found)
    return 0 if found.agrees and (found.after is None or found.after.agrees) else 1


@risk.command()
@click.argument("name", metavar="[PAYMENT|KIND:VALUE]", default="")
@store_option
@as_of_option
@json_option
def cluster(name: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Known frauds that hang together by cards, addresses (ip), devices and e-mail addresses (email).

    With a payment, or a key such as device:dev-9f3a, the clusters that it touches; without, the largest ones.
    """
    from infra.freshness import beside, field, remark_freshness
    from infra.linkage import keys_of, largest, print_largest, print_touched, touched
    from infra.output import to_json
    from infra.stores import reading

    with reading(store, as_of) as db:
        listed = [] if name else largest(db)
        found = touched(db, keys_of(db, name)) if name else {}
        fresh = beside(db)
    if as_json:
        told = found if name else {"clusters": listed}
        click.echo(to_json({**told, "freshness": field(fresh)}))
        return
    if name:
        print_touched(found)
    elif listed:
        print_largest(listed)
    else:
        click.echo("No two payments known to be fraud share anything.")
    remark_freshness(fresh)


@risk.command()
@click.option(
    "--month", metavar="YYYY-MM", default="", help="The month to look at.  [default: the last that has any]"
)
@click.option("--merchant", default="", metavar="ID", help="Of this merchant alone.")
@click.option(
    "--back-test", "tested", is_flag=True, help="How well months that are over would have been foreseen."
)
@store_option
@as_of_option
@json_option
def monitoring(
    month: str, merchant: str, tested: bool, store: StoreAddress, as_of: str | None, as_json: bool
) -> int:
    """How near merchants are to the networks' programmes against fraud and disputes, and the alerts of the month.

    Exit code 1: somebody exceeds one. `monitoring_programmes` has the limits, `dispute_monitoring` what was counted,
    `dispute_alerts` what was said before.
    """
    from infra.freshness import beside, field, remark_freshness
    from infra.output import console, money, table, to_json
    from infra.programmes import print_alerts, print_trials, summary, trials
    from infra.stores import reading
    from projections.reading import records

    if tested:
        with reading(store, as_of) as db:
            tried = [trial for trial in trials(db) if merchant in ("", trial.merchant)]
            fresh = beside(db)
        if as_json:
            told = {"trials": [trial._asdict() for trial in tried], "summary": summary(tried)}
            click.echo(to_json({**told, "freshness": field(fresh)}))
        else:
            print_trials(summary(tried))
            remark_freshness(fresh)
        return 0
    if month and not _MONTH.fullmatch(month):
        raise Refused(f"--month {month[:20]}: a month is written 2026-03")
    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT * FROM monitoring_standing WHERE ($1 = '' OR merchant = $1) AND month = CASE WHEN $2 = ''"
            " THEN (SELECT max(month) FROM dispute_monitoring) ELSE CAST(nullif($2, '') AS DATE) END"
            " ORDER BY percent_of_limit DESC, merchant, network, programme, currency",
            [merchant, f"{month}-01" if month else ""],
        )
        alerts = records(
            db,
            "SELECT * FROM dispute_alerts WHERE ($1 = '' OR merchant = $1) AND month = CASE WHEN $2 = ''"
            " THEN (SELECT max(month) FROM dispute_monitoring) ELSE CAST(nullif($2, '') AS DATE) END"
            " ORDER BY day, merchant, network, programme, currency",
            [merchant, f"{month}-01" if month else ""],
        )
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"standing": found, "alerts": alerts, "freshness": field(fresh)}))
    elif not found:
        click.echo("No payment was cleared, reported or disputed then, at a network that has a programme.")
    else:
        rows = [
            (
                row["merchant"],
                row["network"],
                row["programme"],
                *(
                    money(row[name], row["currency"]) if row["currency"] else f"{row[name]:,}"
                    for name in ("counted", "counted_limit", "base")
                ),
                "" if row["ratio_bps"] is None else f"{row['ratio_bps']:,}",
                f"{row['ratio_limit_bps']:,}",
                row["standing"],
            )
            for row in found
        ]
        columns = ("merchant", "network", "programme", "counted", "limit", "of", "bps", "limit", "standing")
        console().print(table(f"Month {found[0]['month']:%Y-%m}", columns, rows, right=columns[3:8]))
    if not as_json:
        print_alerts(alerts)
        remark_freshness(fresh)
    return 1 if any(row["standing"] == "exceeded" for row in found) else 0
