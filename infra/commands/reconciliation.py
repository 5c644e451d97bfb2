"""``tallystick reconciliation``: what networks and bank have not agreed with yet."""

import click

from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading


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
                *(money(row[figure], row["currency"]) for figure in figures),
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
