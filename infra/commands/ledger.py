"""``tallystick ledger``: do the books balance, and what is still open?"""

from typing import Final

import click
from msgspec import to_builtins

from events.errors import Broken, Refused
from events.money import EXPONENTS
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading
from projections.books import BUCKETS, aged_residuals, balances_of, entries_of
from projections.conservation import DIVISIONS, Conservation, Placed, conservation
from projections.period import parse
from projections.reading import Reader, records

#: How many entries a table shows: nobody reads more.
SCREEN_ROWS: Final = 1_000


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
@click.option(
    "--account", "pattern", required=True, metavar="PATTERN", help="A name, its beginning, or one with *."
)
@click.option("--item", default="", metavar="ITEM", help="Of this payment, capture, cycle, ... alone.")
@click.option("--from", "first", metavar="DAY", help="From this day on, in UTC.")
@click.option("--to", "last", metavar="DAY", help="Up to this day, included.")
@store_option
@as_of_option
@json_option
def entries(
    pattern: str,
    item: str,
    first: str | None,
    last: str | None,
    store: StoreAddress,
    as_of: str | None,
    as_json: bool,
) -> None:
    """The entries of accounts, with what stood there before and after.

    \b
    tallystick ledger entries --account asset:bank:bank-eur --from 2026-11-01 --to 2026-11-30
    tallystick ledger entries --account "liab:merchant_*:harbour-coffee" --item cap-0123456789abcdef
    """
    period = parse(f"{first or '0001-01-01'}..{last or '9999-12-30'}")
    with reading(store, as_of) as db:
        found = entries_of(db, pattern, period, item)
        fresh = beside(db)
    if as_json:
        click.echo(to_json({**to_builtins(found), "freshness": field(fresh)}))
        return
    screen = console()
    if not found.balances:
        screen.print(
            f"No account that {pattern!r} means has any entry; `tallystick ledger balances` lists them."
        )
    elif not found.entries:
        screen.print("No entries.")
    else:
        lines = [
            (
                instant(entry.recorded_at),
                entry.account,
                entry.item,
                entry.type,
                money(entry.amount, entry.currency),
                entry.event_id,
            )
            for entry in found.entries[:SCREEN_ROWS]
        ]
        columns = ("logical time", "account", "item", "event", "amount", "event id")
        screen.print(table("", columns, lines, right=("amount",)))
        if len(found.entries) > SCREEN_ROWS:
            screen.print(
                f"{len(found.entries):,} entries: the first {SCREEN_ROWS:,} are shown, --json gives all."
            )
    for balance in found.balances:
        opening, moved, closing = (
            money(amount, balance.currency) for amount in (balance.opening, balance.moved, balance.closing)
        )
        screen.print(f"{balance.currency}: opening {opening}, entries {moved}, closing {closing}")
    remark_freshness(fresh)


@ledger.command()
@click.option(
    "--account", "pattern", default="*", metavar="PATTERN", help="A name, its beginning, or one with *."
)
@store_option
@as_of_option
@json_option
def balances(pattern: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """What stands on each account, debit positive."""
    with reading(store, as_of) as db:
        rows = balances_of(db, pattern)
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"accounts": rows, "freshness": field(fresh)}))
        return
    sides = ("debit", "credit", "balance")
    lines = [
        (row["account"], row["entries"], *(money(row[side], row["currency"]) for side in sides))
        for row in rows
    ]
    columns = ("account", "entries", *sides)
    if lines:
        console().print(table("", columns, lines, right=columns[1:]))
    else:
        console().print(f"No account that {pattern!r} means has any entry.")
    remark_freshness(fresh)


@ledger.command()
@click.option(
    "--aged", is_flag=True, help="By how long they have been open, counted from the latest logical time."
)
@store_option
@as_of_option
@json_option
def residuals(aged: bool, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Items on clearing accounts that are not back at zero."""
    with reading(store, as_of) as db:
        if aged:
            _show_aged(db, as_json=as_json)
            return
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


@ledger.command()
@click.option("--merchant", default="", metavar="MERCHANT", help="Of this merchant alone.")
@click.option("--payment", default="", metavar="ID", help="Of this payment alone.")
@store_option
@as_of_option
@json_option
def places(merchant: str, payment: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """Where every cent is that was asked for. Exit code 1 where one is at no place, or at two.

    \b
    tallystick ledger places --as-of 2026-11-03
    tallystick ledger places --merchant harbour-coffee
    """
    if merchant and payment:
        raise Refused("a payment has one merchant: give --merchant or --payment")
    with reading(store, as_of) as db:
        found = conservation(db, merchant=merchant, payment=payment)
        fresh = beside(db)
    if as_json:
        click.echo(to_json({**to_builtins(found), "freshness": field(fresh)}))
    else:
        _show_places(found)
        remark_freshness(fresh)
    if found.unplaced:
        first = found.unplaced[0]
        there_is, at_places = (money(amount, first.currency) for amount in (first.amount, first.placed))
        raise Broken(
            f"not every cent is at one place: of {first.name} there is {there_is}, at places are {at_places}"
            f' ({len(found.unplaced):,} in all; `tallystick query "FROM money_unplaced"` has them all)'
        )


def _show_places(found: Conservation) -> None:
    screen = console()
    columns = ("place", "of", "amount", "meaning")
    currencies = dict.fromkeys(one.currency for one in found.places)
    for currency in (name for name in currencies if name in EXPONENTS):
        held = [one for one in found.places if one.currency == currency]
        for division, title in DIVISIONS.items():
            parts = [one for one in held if one.division == division]
            if parts:
                total = sum(one.amount for one in parts)
                lines = [*map(_line, parts), ("total", "", money(total, currency), "")]
                screen.print(table(f"{title}, {currency}", columns, lines, right=("of", "amount")))
                screen.print()
    # A request is refused for a currency that does not exist, too: nobody can say what it would have been worth.
    nameless = [one for one in found.places if one.currency not in EXPONENTS]
    if nameless:
        requests = sum(one.names for one in nameless)
        screen.print(f"{requests:,} more were refused for currencies that do not exist.")
    if not found.places:
        screen.print("Nothing was asked for.")


def _line(one: Placed) -> tuple[str, str, str, str]:
    return one.place, f"{one.names:,}", money(one.amount, one.currency), one.meaning


def _show_aged(db: Reader, *, as_json: bool) -> None:
    found = aged_residuals(db)
    fresh = beside(db)
    if as_json:
        click.echo(to_json({**to_builtins(found), "freshness": field(fresh)}))
        return
    screen = console()
    columns = ("items", *BUCKETS, "total")
    lines = [
        (
            group.family,
            sum(group.items.values()),
            *(money(group.amounts[bucket], group.currency) for bucket in BUCKETS),
            money(sum(group.amounts.values()), group.currency),
        )
        for group in found.groups
    ]
    if lines:
        screen.print(table("Open for so many days", ("account", *columns), lines, right=columns))
    else:
        screen.print("Every item on every clearing account is back at zero.")
    for item in found.items:
        if item.expected:
            amount = money(item.amount, item.currency)
            screen.print(
                f"{item.item}: {amount}, {item.age_days} days; {item.expected} expected", markup=False
            )
    remark_freshness(fresh)
