"""``tallystick merchant``: what was taken, charged and paid out for one merchant."""

from difflib import SequenceMatcher
from typing import Any, Final

import click

from events.errors import Refused
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, money, table, to_json
from infra.stores import StoreAddress, reading
from projections.port import Database
from projections.reading import records

_SHOWN: Final = 5
_TOTALS: Final = (
    ("captured", "captured, less what was voided or never paid"),
    ("refunded", "refunded"),
    ("fees", "fees"),
    ("pending", "pending: not yet taken over by settlement"),
    ("available", "available: the next payout"),
    ("reserve", "reserve"),
    ("paid_out", "paid out"),
)


@click.group()
def merchant() -> None:
    """A merchant's statement."""


@merchant.command()
@click.argument("name", metavar="ID")
@store_option
@as_of_option
@json_option
def statement(name: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Where the money of a merchant is, day by day and payout by payout."""
    with reading(store, as_of) as db:
        totals = records(db, "SELECT * FROM merchant_totals WHERE merchant = $1 ORDER BY currency", [name])
        if not totals:
            raise Refused(_unknown(db, name))
        days = records(
            db, "SELECT * FROM merchant_statement WHERE merchant = $1 ORDER BY currency, day", [name]
        )
        payouts = records(
            db,
            "SELECT payout_id, currency, amount, attempt, account, status, value_on, return_code, initiated_at, paid_at"
            " FROM payouts WHERE merchant = $1 ORDER BY initiated_at, payout_id",
            [name],
        )
        fresh = beside(db)
    if as_json:
        told = {
            "merchant": name,
            "totals": totals,
            "days": days,
            "payouts": payouts,
            "freshness": field(fresh),
        }
        click.echo(to_json(told))
        return
    screen = console()
    for total in totals:
        currency = total["currency"]
        lines = [(label, money(total[column], currency)) for column, label in _TOTALS]
        screen.print(table(f"{name}, {currency}", ("", "amount"), lines, right=("amount",)))
        screen.print()
        screen.print(_days([day for day in days if day["currency"] == currency], currency))
        screen.print()
        of_currency = [payout for payout in payouts if payout["currency"] == currency]
        if of_currency:
            screen.print(_payouts(of_currency))
            screen.print()
    remark_freshness(fresh)


def _days(days: list[dict[str, Any]], currency: str) -> Any:
    columns = ("captures", "fees", "refunds", "other", "payouts", "returned_payouts", "balance")
    lines = [(day["day"], *(money(day[column], currency) for column in columns)) for day in days]
    shown = tuple(column.replace("_", " ") for column in columns)
    return table("Settled", ("day", *shown), lines, right=shown)


def _payouts(payouts: list[dict[str, Any]]) -> Any:
    lines = [
        (
            payout["payout_id"],
            payout["status"] + (f" ({payout['return_code']})" if payout["return_code"] else ""),
            payout["value_on"],
            money(payout["amount"], payout["currency"]),
        )
        for payout in payouts
    ]
    return table("Payouts", ("payout", "status", "value day", "amount"), lines, right=("amount",))


def _unknown(db: Database, name: str) -> str:
    _, found = db.fetch("SELECT DISTINCT merchant FROM merchant_totals ORDER BY merchant")
    if not found:
        return f"no merchant is called {name!r}, and the store holds none yet"
    likeness = SequenceMatcher(b=name)

    def unlike(merchant: str) -> float:
        likeness.set_seq1(merchant)
        return -likeness.ratio()

    near = sorted((merchant for (merchant,) in found), key=unlike)[:_SHOWN]
    return f"no merchant is called {name!r}; there are {', '.join(near)}, …"
