"""``tallystick settlement``: what merchants get when."""

import click
from msgspec import to_builtins

from events.calendar import iso_day
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, money, table, to_json
from infra.stores import StoreAddress, reading


@click.group()
def settlement() -> None:
    """What becomes available to merchants when."""


@settlement.command()
@click.option("--merchant", default="", metavar="ID", help="Of this merchant alone.")
@store_option
@as_of_option
@json_option
def forecast(merchant: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """What the coming runs make available and pay out, from the entries on the books and the merchants' terms."""
    from projections.forecast import forecast as foresee

    with reading(store, as_of) as db:
        found = foresee(db, merchant)
        fresh = beside(db)
    if as_json:
        told = to_builtins(found)
        for run in told["runs"]:
            run["run_on"], run["payout_on"] = iso_day(run["run_on"]), iso_day(run["payout_on"])
        click.echo(to_json({**told, "freshness": field(fresh)}))
        return
    screen = console()
    if found.runs:
        figures = ("entries", "becomes available", "reserve", "payout")
        rows = [
            (
                iso_day(run.run_on),
                run.merchant,
                run.entries,
                money(run.amount, run.currency),
                money(run.reserve_released - run.reserve_withheld, run.currency),
                money(run.payout, run.currency),
                iso_day(run.payout_on),
            )
            for run in sorted(found.runs, key=lambda run: (run.run_on, run.merchant, run.currency))
        ]
        screen.print(table("", ("run", "merchant", *figures, "bank pays on"), rows, right=figures))
    else:
        screen.print(f"Nothing is on its way to {merchant or 'any merchant'}.")
    for rest in found.undated:
        screen.print(
            f"{rest.merchant}: {money(rest.amount, rest.currency)} has no day yet,"
            " for settlement has not taken it over.",
            markup=False,
        )
    remark_freshness(fresh)
