"""``tallystick reconciliation``: what networks and bank have not agreed with yet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from events.errors import Refused
from infra.freshness import beside, field, remark_freshness
from infra.options import any_log_option, as_of_option, json_option, kafka_config_option, store_option
from infra.output import console, instant, money, remark, table, to_json
from infra.settings import Value
from infra.stores import StoreAddress, reading

if TYPE_CHECKING:
    from rich.console import Console

_ACTIONS = ("write-off", "adjust", "assign", "accept", "present-again")


@click.group()
def reconciliation() -> None:
    """Our books against the networks' and the bank's."""


@reconciliation.command("open")
@store_option
@as_of_option
@json_option
def open_(store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Discrepancies that nothing has settled, bank lines that nobody knows, cycles whose three sides differ."""
    from projections.reading import records

    with reading(store, as_of) as db:
        differing = records(
            db,
            "SELECT detected_at, item, kind, currency, ours, theirs, difference, expected, log FROM discrepancies"
            " WHERE NOT resolved ORDER BY detected_at, item, kind",
        )
        lines = records(
            db,
            "SELECT account, statement_id, line, booked_on, amount, currency, reference FROM bank_statement"
            " WHERE use = '' ORDER BY booked_on, statement_id, line",
        )
        cycles = records(
            db,
            "SELECT cycle, network, currency, our_net, network_net, received FROM cycles WHERE NOT agrees"
            " ORDER BY cycle",
        )
        fresh = beside(db)
    if as_json:
        told = {"discrepancies": differing, "bank_lines": lines, "cycles": cycles, "freshness": field(fresh)}
        click.echo(to_json(told))
        return
    screen = console()
    if differing:
        figures = ("ours", "theirs", "difference")
        rows = [
            (
                instant(row["detected_at"]),
                row["item"],
                row["kind"],
                *(_figure(row, figure) for figure in figures),
                row["expected"],
            )
            for row in differing
        ]
        columns = ("found", "item", "kind", *figures, "expected")
        screen.print(table("Discrepancies", columns, rows, right=figures))
        screen.print()
    if lines:
        rows = [
            (
                row["booked_on"],
                f"{row['statement_id']}/{row['line']}",
                money(row["amount"], row["currency"]),
                row["reference"],
            )
            for row in lines
        ]
        screen.print(
            table(
                "Bank lines on suspense", ("booked", "line", "amount", "reference"), rows, right=("amount",)
            )
        )
        screen.print()
    if cycles:
        figures = ("ours", "the network's", "received")
        rows = [
            (
                row["cycle"],
                *(money(row[side], row["currency"]) for side in ("our_net", "network_net", "received")),
            )
            for row in cycles
        ]
        screen.print(table("Cycles that are not settled", ("cycle", *figures), rows, right=figures))
        screen.print()
    if not (differing or lines or cycles):
        screen.print("Nothing is open: networks and bank agree with our books.")
    remark_freshness(fresh)


def _figure(row: dict[str, Any], figure: str) -> str:
    """Money; of dates a day, or how many of them."""
    if row["kind"] != "date":
        return money(row[figure], row["currency"])
    if figure == "difference":
        return f"{row[figure]} days"
    from events.calendar import iso_day

    return iso_day(row[figure])


@reconciliation.command()
@click.argument("item")
@store_option
@as_of_option
@json_option
def show(item: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """All that is known of one ITEM: a cycle, an invoice (visa-USD-2026-W10), a payout, a line, a clearing record."""
    from projections.reading import records

    questions = {
        "discrepancies": "SELECT detected_at, kind, currency, ours, theirs, difference, expected, resolved,"
        " resolved_at, resolution, requested_by, approved_by, note FROM discrepancies WHERE item = $1"
        " ORDER BY detected_at, kind",
        "requests": "SELECT recorded_at, request_id, step, action, reason, requested_by, approved_by"
        " FROM resolution_requests WHERE item = $1 ORDER BY recorded_at, step DESC",
        "corrections": "SELECT recorded_at, kind, currency, amount, rule, approved_by FROM corrections"
        " WHERE item = $1 ORDER BY recorded_at, kind",
        "matches": 'SELECT recorded_at, "left", "right", rule, currency, amount, tolerance, confidence_ppm'
        " FROM reconciliation_matches WHERE item = $1 ORDER BY recorded_at",
        "ages": "SELECT recorded_at, account, currency, amount, age_days, expected FROM residuals_aged"
        " WHERE item = $1 ORDER BY recorded_at",
        "open": "SELECT account, currency, amount, opened_at FROM ledger_residuals WHERE item = $1 ORDER BY account",
    }
    with reading(store, as_of) as db:
        told = {name: records(db, sql, [item]) for name, sql in questions.items()}
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"item": item, **told, "freshness": field(fresh)}))
        return
    if not any(told.values()):
        raise Refused(f"nothing was ever matched, found or put right of {item!r}")
    screen = console()
    _show_discrepancies(screen, told["discrepancies"])
    for name, title in (
        ("requests", "Asked for"),
        ("corrections", "Corrected"),
        ("matches", "Matched"),
        ("ages", "Reported as open"),
        ("open", "Open on clearing accounts"),
    ):
        _show_rows(screen, title, told[name])
    remark_freshness(fresh)


def _show_discrepancies(screen: "Console", rows: list[dict[str, Any]]) -> None:
    for row in rows:
        figures = ", ".join(f"{figure} {_figure(row, figure)}" for figure in ("ours", "theirs", "difference"))
        screen.print(f"{instant(row['detected_at'])}  {row['kind']}: {figures}; {row['expected']} expected")
        if row["resolved"]:
            people = f", asked by {row['requested_by']}, approved by {row['approved_by']}"
            note = f": {row['note']}" if row["note"] else ""
            behind = people + note if row["requested_by"] else ""
            screen.print(
                f"{instant(row['resolved_at'])}  put right by {row['resolution']}{behind}", markup=False
            )


def _show_rows(screen: "Console", title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = [name for name in rows[0] if name != "currency"]
    lines = [
        [
            instant(row[name])
            if name.endswith("_at")
            else money(row[name], row["currency"])
            if name in ("amount", "tolerance")
            else row[name]
            for name in names
        ]
        for row in rows
    ]
    screen.print()
    screen.print(
        table(title, [name.replace("_", " ") for name in names], lines, right=("amount", "tolerance"))
    )


@reconciliation.command()
@click.argument("item")
@click.option("--as", "requested_by", required=True, metavar="NAME", help="Who asks.")
@click.option("--approver", required=True, metavar="NAME", help="Who approves: somebody else.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever looks at it later.")
@click.option(
    "--action", type=click.Choice(_ACTIONS), help="What to do.  [default: what fits the difference]"
)
@click.option(
    "--target", default="", metavar="REFERENCE", help='For assign: what the line is for, "NET <cycle>".'
)
@click.option(
    "--limit", type=click.IntRange(0), metavar="N", help="Minor units it may move.  [default: what is open]"
)
@store_option
@any_log_option
@kafka_config_option
@json_option
def resolve(
    item: str,
    requested_by: str,
    approver: str,
    reason: str,
    action: str | None,
    target: str,
    limit: int | None,
    store: StoreAddress,
    log: Value,
    kafka_config: Path | None,
    as_json: bool,
) -> None:
    """Ask for an open discrepancy of ITEM to be put right.

    The log decides at its next tick, and says what it did or why not: see reconciliation show. The same command again
    is the same request, and is decided once. Exit code 2: nothing of the name is open, or one person alone asks.
    """
    from events.corrections import ResolutionAction, ResolutionRequested
    from infra import resolutions
    from infra.logs import place_of
    from streams.features.resolving import approved

    place = place_of(log, kafka_config)
    with reading(store, None) as db:
        found = resolutions.open_discrepancy(db, item)
    request = resolutions.named(
        ResolutionRequested(
            item,
            "",
            ResolutionAction(action.replace("-", "_")) if action else resolutions.fitting(found),
            target,
            found.moves if limit is None else limit,
            requested_by,
            approver,
            reason,
        )
    )
    if not approved(request):
        raise Refused(f"{requested_by!r} cannot approve what {requested_by!r} asks for: somebody else must")
    if request.action is ResolutionAction.ASSIGN and not target:
        raise Refused("a line is assigned to something: give its --target")
    if isinstance(place, Path):
        raise Refused(resolutions.NOT_IN_VIRTUAL_TIME)
    asked = resolutions.ask(place, found, request)
    if as_json:
        click.echo(to_json({"item": item, "action": request.action, "limit": request.limit, **asked}))
        return
    click.echo(
        f"{request.action} of {item} is asked for, as {request.request_id}: at most"
        f" {money(request.limit, found.currency)}."
    )
    remark(f"tallystick reconciliation show {item} says what became of it.")
