"""``tallystick ledger``: do the books balance, and what is still open?"""

import click

from events.errors import Broken
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading
from projections.reading import records


@click.group()
def ledger() -> None:
    """Trial balance and what has not come back to zero."""


@ledger.command("trial-balance")
@store_option
@as_of_option
@json_option
def trial_balance(store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Debits, credits and balance of every family of accounts. Exit code 1 where they do not balance."""
    with reading(store, as_of) as db:
        rows = records(db, "SELECT * FROM ledger_trial_balance ORDER BY currency, class, family")
        imbalance = records(db, "SELECT * FROM ledger_imbalance ORDER BY currency")
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"accounts": rows, "imbalance": imbalance, "freshness": field(fresh)}))
    else:
        screen = console()
        for currency in dict.fromkeys(row["currency"] for row in rows):
            lines = [
                (
                    row["family"],
                    row["accounts"],
                    *(money(row[side], currency) for side in ("debit", "credit", "balance")),
                )
                for row in rows
                if row["currency"] == currency
            ]
            total = [
                sum(row[side] for row in rows if row["currency"] == currency) for side in ("debit", "credit")
            ]
            lines.append(("total", "", *(money(side, currency) for side in (*total, total[0] - total[1]))))
            columns = ("family", "accounts", "debit", "credit", "balance")
            screen.print(table(currency, columns, lines, right=columns[1:]))
            screen.print()
        if not rows:
            screen.print("No entries yet.")
        remark_freshness(fresh)
    if imbalance:
        wrong = ", ".join(money(row["imbalance"], row["currency"]) for row in imbalance)
        raise Broken(f"the ledger does not balance: {wrong} too much on the debit side")


@ledger.command()
@store_option
@as_of_option
@json_option
def residuals(store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Items on clearing accounts that are not back at zero."""
    with reading(store, as_of) as db:
        rows = records(db, "SELECT * FROM ledger_residuals ORDER BY opened_at, account, item")
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"items": rows, "freshness": field(fresh)}))
        return
    lines = [
        (row["account"], row["item"], money(row["amount"], row["currency"]), instant(row["opened_at"]))
        for row in rows
    ]
    if lines:
        console().print(table("", ("account", "item", "amount", "open since"), lines, right=("amount",)))
    else:
        console().print("Every item on every clearing account is back at zero.")
    remark_freshness(fresh)
