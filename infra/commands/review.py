"""``tallystick review``: payments that wait for a person."""

from pathlib import Path
from typing import Any

import click

from infra.commands.payment import find
from infra.freshness import beside, field, remark_freshness
from infra.instructing import publishing_options, tell, write_entries
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, table, to_json
from infra.stores import StoreAddress, reading
from projections.port import Database
from projections.reading import records


@click.group()
def review() -> None:
    """Payments that wait for a person: list, show, decide."""


@review.command("list")
@click.option("--queue", help="Of this queue alone.")
@click.option("--all", "ended_too", is_flag=True, help="Those that were decided or overtaken, too.")
@store_option
@as_of_option
@json_option
def list_(queue: str | None, ended_too: bool, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """The open reviews, the most urgent first."""
    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT reviews.*, payments.amount, payments.currency FROM reviews JOIN payments USING (payment_id)"
            " WHERE $1 IN ('', queue) AND (reviews.status = 'open' OR $2)"
            " ORDER BY reviews.priority, reviews.deadline_at, reviews.payment_id",
            [queue or "", ended_too],
        )
        statistics = records(db, "SELECT * FROM review_statistics ORDER BY queue")
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"reviews": found, "statistics": statistics, "freshness": field(fresh)}))
        return
    screen = console()
    if found:
        heads = ("queue", "payment", "merchant", "score", "rules", "until", "stands")
        rows = [
            (
                row["queue"],
                row["payment_id"],
                row["merchant"],
                row["score"],
                row["rules"],
                instant(row["deadline_at"]),
                row["status"],
            )
            for row in found
        ]
        screen.print(table("Reviews", heads, rows, right=("score",)))
    else:
        click.echo("Nothing waits to be looked at.")
    if statistics:
        names = ("queue", "reviews", "still_open", "overtaken", "lapsed", "approved", "declined", "refunded")
        rows = [tuple(row[name] for name in names) for row in statistics]
        screen.print(table("Queues", names, rows, right=names[1:]))
    remark_freshness(fresh)


@review.command()
@click.argument("name", metavar="ID")
@store_option
@as_of_option
@json_option
def show(name: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """All that a decision about a payment goes by: the verdict, its features, its keys, what was decided.

    ID is a payment id, the beginning of one, or MERCHANT/KEY.
    """
    with reading(store, as_of) as db:
        payment = find(db, name)
        told = _seen(db, payment["payment_id"])
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"payment": payment, **told, "freshness": field(fresh)}))
        return
    screen = console()
    heads = ("amount", "currency", "status", "merchant", "channel")
    screen.print(table(payment["payment_id"], heads, [tuple(payment.get(name, "") for name in heads)]))
    for verdict in told["verdicts"]:
        screen.print(
            f"{instant(verdict['recorded_at'])}: {verdict['verdict']}, score {verdict['score']}, "
            f"rules: {verdict['rules'] or 'none'}"
        )
    rows = [
        (instant(step["recorded_at"]), step["step"], step["decision"], step["analyst"], step["reason"])
        for step in told["steps"]
    ]
    screen.print(table("The review", ("logical time", "step", "decision", "who", "why"), rows))
    if told["card_payments"]:
        rows = [
            (row["payment_id"], row["merchant"], row["amount"], row["currency"], row["status"])
            for row in told["card_payments"]
        ]
        heads = ("payment", "merchant", "minor units", "", "status")
        screen.print(table("Other payments of the card", heads, rows, right=("minor units",)))
    remark_freshness(fresh)


def _seen(db: Database, payment_id: str) -> dict[str, Any]:
    """What the decision is made of: verdicts, steps of the review, labels, and what else the card did."""
    return {
        "verdicts": records(
            db, "SELECT * FROM risk_verdicts WHERE payment_id = $1 ORDER BY recorded_at", [payment_id]
        ),
        "steps": records(
            db, "SELECT * FROM review_steps WHERE payment_id = $1 ORDER BY sequence", [payment_id]
        ),
        "labels": records(
            db, "SELECT * FROM fraud_labels WHERE payment_id = $1 ORDER BY sequence", [payment_id]
        ),
        "card_payments": records(
            db,
            "SELECT other.payment_id, other.merchant, other.amount, other.currency, other.status"
            " FROM payments AS other JOIN payments AS this ON this.card_id = other.card_id"
            " WHERE this.payment_id = $1 AND other.payment_id <> $1"
            " ORDER BY other.requested_at DESC, other.payment_id LIMIT 20",
            [payment_id],
        ),
    }


@review.command()
@click.argument("payment_id", metavar="PAYMENT")
@click.argument("decision", type=click.Choice(("approve", "decline", "refund")))
@click.option("--by", "analyst", required=True, help="Who decides.")
@click.option("--note", default="", help="Why; its SHA-256 is recorded, the words are not.")
@click.option(
    "--block",
    "blocked",
    metavar="DIMENSION:VALUE",
    multiple=True,
    help="Put a key on the hotlist, too; may be given several times.",
)
@publishing_options
@json_option
def decide(
    payment_id: str,
    decision: str,
    analyst: str,
    note: str,
    blocked: tuple[str, ...],
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Say what comes of a payment. Where its queue asks for two people, another has to say the same."""
    from hashlib import sha256

    from events.reference import ReviewInstruction
    from events.review import ReviewDecision
    from streams.edge.reference import Entry

    digest = sha256(note.encode()).hexdigest() if note else ""
    content = ReviewInstruction(payment_id, ReviewDecision(decision), analyst, digest)
    entries = [Entry("review", payment_id, content)]
    entries += [_blocked(item, analyst, payment_id) for item in blocked]
    tell(write_entries(entries, into, at, next_version, out), as_json)


def _blocked(item: str, analyst: str, payment_id: str) -> Any:
    """The key that an analyst wants blocked along with a decision."""
    from events.errors import Refused
    from events.hotlist import Dimension, Standing
    from events.reference import HotlistEntry
    from streams.edge.reference import Entry

    dimension, _, value = item.partition(":")
    if dimension not in list(Dimension) or not value:
        raise Refused(f"--block {item}: a key is one of {', '.join(Dimension)}, a colon and a value")
    reason = f"review of {payment_id}"
    content = HotlistEntry(Dimension(dimension), value, Standing.BLOCK, 0, analyst, reason)
    return Entry("hotlist", item, content)
