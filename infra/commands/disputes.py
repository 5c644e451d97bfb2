"""``tallystick disputes``: who wants money back, until when a merchant may answer, and how it came out."""

from typing import Any

import click

from events.errors import Refused
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, limit_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading

STATUSES = ("open", "won", "partly_won", "lost", "closed")


@click.group()
def disputes() -> None:
    """Who wants money back, until when a merchant may answer, and how it came out."""


@disputes.command("list")
@click.option("--merchant", default="", metavar="ID", help="Of this merchant alone.")
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Of this status alone.")
@limit_option
@store_option
@as_of_option
@json_option
def list_(
    merchant: str, status: str | None, limit: int, store: StoreAddress, as_of: str | None, as_json: bool
) -> None:
    """Cases, those first whose time to answer ends first; then the others, newest first."""
    from projections.reading import records

    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT * FROM disputes WHERE ($1 = '' OR merchant = $1) AND ($2 = '' OR status = $2)"
            " ORDER BY reply_by_at IS NULL, reply_by_at, opened_at DESC, case_id",
            [merchant, status or ""],
        )
        fresh = beside(db)
    shown = found[:limit]
    if as_json:
        click.echo(to_json({"disputes": shown, "total": len(found), "freshness": field(fresh)}))
        return
    screen = console()
    if not shown:
        screen.print("There are no such disputes.")
    else:
        columns = (
            "case",
            "merchant",
            "network",
            "reason",
            "stage",
            "status",
            "amount",
            "at stake",
            "reply by",
        )
        rows = [
            (
                row["case_id"],
                row["merchant"],
                row["network"],
                row["reason_code"],
                row["stage"],
                row["status"],
                money(row["amount"], row["currency"]),
                money(row["at_stake"], row["currency"]),
                _instant(row["reply_by_at"]),
            )
            for row in shown
        ]
        screen.print(table("", columns, rows, right=("amount", "at stake")))
        if len(found) > limit:
            screen.print(f"{len(found) - limit} more; --limit shows them.")
    remark_freshness(fresh)


@disputes.command()
@click.argument("case")
@store_option
@as_of_option
@json_option
def show(case: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """One case: where it stands and how it came there, step by step. CASE is the network's name for it."""
    from projections.reading import records

    with reading(store, as_of) as db:
        found = records(db, "SELECT * FROM disputes WHERE case_id = $1", [case])
        steps = records(
            db,
            "SELECT recorded_at, step, stage, reason, amount, currency, cycle, event_id FROM dispute_steps"
            " WHERE case_id = $1 ORDER BY payment_id, sequence",
            [case],
        )
        fresh = beside(db)
    if not steps:
        raise Refused(f"there is no dispute {case}: `tallystick disputes list` names them")
    one = found[0] if found else None
    if as_json:
        click.echo(to_json({"dispute": one, "steps": steps, "freshness": field(fresh)}))
        return
    screen = console()
    if one is None:
        # Nothing but notices or evidence that were put aside.
        screen.print(f"No dispute was opened as {case}.", markup=False)
    else:
        screen.print(_head(one))
    screen.print()
    lines = [
        (
            instant(step["recorded_at"]),
            step["step"].replace("_", " "),
            step["stage"],
            step["reason"],
            money(step["amount"], step["currency"]) if step["amount"] else "",
            step["cycle"],
        )
        for step in steps
    ]
    screen.print(table("", ("when", "step", "stage", "reason", "amount", "cycle"), lines, right=("amount",)))
    remark_freshness(fresh)


def _head(one: dict[str, Any]) -> Any:
    currency = one["currency"]
    figures = (
        ("amount", "amount"),
        ("at stake", "at_stake"),
        ("held by the network", "held_by_network"),
        ("won", "won"),
        ("lost", "lost"),
        ("fees", "fees"),
    )
    rows = [
        ("case", f"{one['case_id']} at {one['network']}, reason {one['reason_code']}"),
        ("payment", f"{one['payment_id']} of {one['merchant']}"),
        ("status", f"{one['status']}, {one['stage']}"),
        *((label, money(one[column], currency)) for label, column in figures if one[column]),
        *([("reply by", _instant(one["reply_by_at"]))] if one["reply_by_at"] else []),
    ]
    made = table("", ("", ""), rows)
    made.show_header = False
    return made


def _instant(value: Any) -> str:
    return instant(value) if value is not None else ""
