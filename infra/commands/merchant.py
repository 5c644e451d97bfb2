"""``tallystick merchant``: what was taken, charged and paid out for one merchant."""

import csv
import sys
from difflib import SequenceMatcher
from typing import Any, Final

import click
from msgspec import to_builtins

from events.calendar import iso_day
from events.errors import Refused
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading
from projections.period import Period, parse
from projections.port import Database
from projections.reading import records
from projections.statement import Line, Statement, statements

_SHOWN: Final = 5
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOTALS: Final = (
    ("captured", "captured, less what was voided or never paid"),
    ("refunded", "refunded"),
    ("disputed", "disputed, less what was won back"),
    ("fees", "fees"),
    ("pending", "pending: not yet taken over by settlement"),
    ("available", "available: the next payout, less what is owed to us"),
    ("reserve", "kept back: reserve and holds"),
    ("paid_out", "paid out"),
    ("held", "on hold, of what is kept back"),
    ("receivable", "owed to us"),
    ("forgiven", "given up of what was owed to us"),
)
#: Lines that most merchants have nothing on.
_SELDOM: Final = frozenset({"disputed", "held", "receivable", "forgiven"})
_DAYS: Final = (
    *("captures", "fees", "refunds", "disputes", "other", "payouts", "returned_payouts"),
    *("reserve", "holds", "owed", "balance"),
)


@click.group()
def merchant() -> None:
    """A merchant's statement."""


@merchant.command()
@click.argument("name", metavar="ID")
@click.option(
    "--period",
    metavar="PERIOD",
    help="A month (2026-11), a day or FROM..TO: opening, lines, closing, next payout.",
)
@store_option
@as_of_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv"]),
    default="table",
    help="With --period: csv has every line.",
)
@json_option
def statement(
    name: str, period: str | None, store: StoreAddress, as_of: str | None, form: str, as_json: bool
) -> None:
    """Where the money of a merchant is, day by day and payout by payout; with --period the statement of a period.

    \b
    tallystick merchant statement harbour-coffee --period 2026-11
    tallystick merchant statement harbour-coffee --period 2026-11-03..2026-11-09 --format csv
    """
    if period is not None:
        _of_period(name, parse(period), store, as_of, "json" if as_json else form)
        return
    if form == "csv":
        raise Refused("--format csv lists the lines of a period: say which with --period 2026-11 or FROM..TO")
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
        settings = records(
            db, "SELECT * FROM merchant_settings WHERE merchant = $1 ORDER BY currency", [name]
        )
        fresh = beside(db)
    if as_json:
        told = {
            "merchant": name,
            "settings": settings,
            "totals": totals,
            "days": days,
            "payouts": payouts,
            "freshness": field(fresh),
        }
        click.echo(to_json(told))
        return
    screen = console()
    for setting in settings:
        screen.print(_setting(setting))
    for total in totals:
        currency = total["currency"]
        lines = [
            (label, money(total[column], currency))
            for column, label in _TOTALS
            if total[column] or column not in _SELDOM
        ]
        screen.print(table(f"{name}, {currency}", ("", "amount"), lines, right=("amount",)))
        screen.print()
        screen.print(_days([day for day in days if day["currency"] == currency], currency))
        screen.print()
        of_currency = [payout for payout in payouts if payout["currency"] == currency]
        if of_currency:
            screen.print(_payouts(of_currency))
            screen.print()
    remark_freshness(fresh)


def _of_period(name: str, period: Period, store: StoreAddress, as_of: str | None, form: str) -> None:
    with reading(store, as_of) as db:
        made = statements(db, name, period)
        if not made:
            raise Refused(_unknown(db, name))
        fresh = beside(db)
    match form:
        case "json":
            click.echo(to_json({"statements": to_builtins(made), "freshness": field(fresh)}))
        case "csv":
            _write_csv(made)
        case _:
            for one in made:
                _show(one)
            remark_freshness(fresh)


def _write_csv(made: list[Statement]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("merchant", "currency", "at", "kind", "item", "amount", "balance", "event_id"))
    for one in made:
        who = (one.merchant, one.currency)
        writer.writerow((*who, "", "opening", "", "", one.opening, ""))
        writer.writerows(
            (*who, instant(line.at), line.kind, line.item, line.amount, line.balance, line.event_id)
            for line in one.lines
        )
        writer.writerow((*who, "", "closing", "", "", one.closing, ""))


def _show(one: Statement) -> None:
    """Lines of one day and kind together: their number, their sum, and the balance behind them."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in one.lines:
        groups.setdefault((line.at.date().isoformat(), line.kind), []).append(line)
    rows: list[tuple[Any, ...]] = [("", "opening", "", "", money(one.opening, one.currency))]
    balance = one.opening
    for (day, kind), lines in groups.items():
        amount = sum(line.amount for line in lines)
        balance += amount
        rows.append((day, kind, len(lines), money(amount, one.currency), money(balance, one.currency)))
    rows.append(("", "closing", "", "", money(one.closing, one.currency)))
    columns = ("day", "what", "lines", "amount", "balance")
    screen = console()
    screen.print(table(f"{one.merchant}, {one.currency}, {one.period}", columns, rows, right=columns[2:]))
    if not one.lines:
        screen.print("Nothing moved in this period.")
    screen.print(_next_payout(one), markup=False)
    screen.print()


def _next_payout(one: Statement) -> str:
    after = one.next_payout
    if after is None:
        return "Next payout: none to expect from what is on the books."
    amount, day = money(after.amount, one.currency), iso_day(after.run_on)
    return f"Next payout: {amount} on {day}, {after.status}{after.payout_id and f' ({after.payout_id})'}."


def _setting(setting: dict[str, Any]) -> str:
    """What the merchant chose, in words."""
    schedule, anchor, currency = setting["schedule"], setting["anchor"], setting["currency"]
    when = {"weekly": f" on {WEEKDAYS[anchor % 7]}", "monthly": f" on day {anchor}"}.get(schedule, "")
    least = setting["minimum_payout"]
    minimum = f" from {money(least, currency) if currency else f'{least:,} minor units'} on" if least else ""
    where = currency or "currencies without settings of their own"
    return f"Chosen for {where}: paid out {schedule}{when}{minimum}, since {instant(setting['since_at'])}."


def _days(days: list[dict[str, Any]], currency: str) -> Any:
    # Columns without a figure only take room from those that have some.
    columns = [column for column in _DAYS if column == "balance" or any(day[column] for day in days)]
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
