"""``tallystick review``: payments that wait for a person."""

from pathlib import Path
from typing import Any, Final

import click

from infra.commands.payment import find
from infra.freshness import beside, field, remark_freshness
from infra.instructing import publishing_options, tell, write_entries
from infra.linkage import keys_of, print_touched, touched
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, table, to_json
from infra.sharing import print_shared, shared
from infra.stores import StoreAddress, reading
from projections.port import Database
from projections.reading import records

_NOTE: Final = click.option("--note", default="", help="Why; its SHA-256 is recorded, the words are not.")


@click.group()
def review() -> None:
    """Payments that wait for a person: list, show, assign, decide."""


@review.command("list")
@click.option("--queue", help="Of this queue alone.")
@click.option("--analyst", "--mine", "analyst", metavar="NAME", help="Those of this analyst alone.")
@click.option("--unassigned", is_flag=True, help="Those alone that are anybody's.")
@click.option("--all", "ended_too", is_flag=True, help="Those that were decided or overtaken, too.")
@store_option
@as_of_option
@json_option
def list_(
    queue: str | None,
    analyst: str | None,
    unassigned: bool,
    ended_too: bool,
    store: StoreAddress,
    as_of: str | None,
    as_json: bool,
) -> None:
    """The open reviews, the most urgent first, and whose they are."""
    if unassigned and analyst is not None:
        raise click.UsageError("--unassigned is of nobody's: leave it or --analyst out")
    if analyst == "":
        raise click.UsageError("--analyst takes a name; --unassigned lists those of nobody")
    with reading(store, as_of) as db:
        found = records(
            db,
            "SELECT reviews.*, payments.amount, payments.currency FROM reviews JOIN payments USING (payment_id)"
            " WHERE $1 IN ('', queue) AND (reviews.status = 'open' OR $2)"
            " AND $3 IN ('', assigned_to) AND (assigned_to = '' OR NOT $4)"
            " ORDER BY reviews.priority, reviews.deadline_at, reviews.payment_id",
            [queue or "", ended_too, analyst or "", unassigned],
        )
        statistics = records(db, "SELECT * FROM review_statistics ORDER BY queue")
        desk = records(db, "SELECT * FROM review_desk ORDER BY analyst")
        fresh = beside(db)
    if as_json:
        told = {"reviews": found, "statistics": statistics, "desk": desk, "freshness": field(fresh)}
        click.echo(to_json(told))
        return
    if found:
        _print_reviews(found)
    else:
        asked = queue or analyst or unassigned
        click.echo("Nothing of that waits to be looked at." if asked else "Nothing waits to be looked at.")
    _print_sums("Queues", _OF_A_QUEUE, statistics)
    _print_sums("Analysts", _OF_AN_ANALYST, desk)
    remark_freshness(fresh)


_OF_A_QUEUE: Final = (
    "queue",
    "reviews",
    "still_open",
    "unassigned",
    "overtaken",
    "lapsed",
    "approved",
    "declined",
    "refunded",
)
_OF_AN_ANALYST: Final = ("analyst", "still_open", "decided", "decided_by_others", "lapsed", "overtaken")


def _print_reviews(found: list[dict[str, Any]]) -> None:
    heads = ("queue", "payment", "merchant", "score", "rules", "until", "stands", "whose")
    rows = [
        (
            row["queue"],
            row["payment_id"],
            row["merchant"],
            row["score"],
            row["rules"],
            instant(row["deadline_at"]),
            _stands(row),
            row["assigned_to"] or ("anybody's" if row["status"] == "open" else ""),
        )
        for row in found
    ]
    console().print(table("Reviews", heads, rows, right=("score",)))


def _stands(row: dict[str, Any]) -> str:
    """How a review stands, and what one of two people has proposed already."""
    proposed = f", {row['proposed']} proposed by {row['proposed_by']}" if row["proposed"] else ""
    return f"{row['status']}{proposed}"


def _print_sums(title: str, names: tuple[str, ...], sums: list[dict[str, Any]]) -> None:
    """What each of them comes to; nothing where there is none."""
    if sums:
        rows = [tuple(row[name] for name in names) for row in sums]
        console().print(table(title, names, rows, right=names[1:]))


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
        (
            instant(step["recorded_at"]),
            step["step"],
            step["decision"],
            step["finding"],
            step["analyst"],
            step["reason"] or _moved(step),
        )
        for step in told["steps"]
    ]
    screen.print(table("The review", ("logical time", "step", "decision", "found", "who", "why"), rows))
    whose = told["review"]
    if whose is not None and whose["assigned_to"]:
        screen.print(
            f"{'With' if whose['status'] == 'open' else 'Was with'} {whose['assigned_to']} "
            f"since {instant(whose['assigned_at'])}, by {whose['assigned_by']}"
        )
    for label in told["labels"]:
        screen.print(
            f"{instant(label['recorded_at'])}: {label['label']} by {label['source']} {label['reference']}"
        )
    print_shared(told["shared"])
    print_touched(told["linked"])
    remark_freshness(fresh)


def _moved(step: dict[str, Any]) -> str:
    """Who gave a review to whom, of a step that did."""
    words = (("by", step["assigned_by"]), ("from", step["taken_from"]))
    return ", ".join(f"{word} {name}" for word, name in words if name)


def _seen(db: Database, payment_id: str) -> dict[str, Any]:
    """What a decision goes by: verdicts, the review and its steps, labels, linked frauds, payments that share a key."""
    found = records(db, "SELECT * FROM reviews WHERE payment_id = $1", [payment_id])
    return {
        "review": found[0] if found else None,
        "verdicts": records(
            db, "SELECT * FROM risk_verdicts WHERE payment_id = $1 ORDER BY recorded_at", [payment_id]
        ),
        "steps": records(
            db, "SELECT * FROM review_steps WHERE payment_id = $1 ORDER BY sequence", [payment_id]
        ),
        "labels": records(
            db, "SELECT * FROM fraud_labels WHERE payment_id = $1 ORDER BY sequence", [payment_id]
        ),
        "linked": touched(db, keys_of(db, payment_id)),
        "shared": shared(db, payment_id),
    }


@review.command()
@click.argument("payment_id", metavar="PAYMENT")
@click.argument("analyst", metavar="ANALYST")
@click.option("--by", "assigned_by", metavar="NAME", help="Who says so.  [default: the analyst]")
@_NOTE
@publishing_options
@json_option
def assign(
    payment_id: str,
    analyst: str,
    assigned_by: str | None,
    note: str,
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Say whose a review is; whoever had it before has it no longer.

    Anybody may still decide it. `tallystick review list --mine ANALYST` has what is his.
    """
    from events.errors import Refused

    if not analyst:
        raise Refused("a review is assigned to somebody: `tallystick review unassign` gives it back")
    entry = _assignment(payment_id, analyst, analyst if assigned_by is None else assigned_by, note)
    tell(write_entries([entry], into, at, next_version, out), as_json)


@review.command()
@click.argument("payment_id", metavar="PAYMENT")
@click.option("--by", "unassigned_by", metavar="NAME", required=True, help="Who says so.")
@_NOTE
@publishing_options
@json_option
def unassign(
    payment_id: str,
    unassigned_by: str,
    note: str,
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Give a review back: it is anybody's again."""
    entry = _assignment(payment_id, "", unassigned_by, note)
    tell(write_entries([entry], into, at, next_version, out), as_json)


def _assignment(payment_id: str, analyst: str, assigned_by: str, note: str) -> Any:
    """What says whose a review is to be; nobody's where ``analyst`` is empty."""
    from events.reference import ReviewAssignment
    from streams.edge.reference import Entry

    content = ReviewAssignment(payment_id, analyst, assigned_by, _hashed(note))
    return Entry("assignment", payment_id, content)


def _hashed(note: str) -> str:
    """SHA-256 of a note, empty for none."""
    from hashlib import sha256

    return sha256(note.encode()).hexdigest() if note else ""


@review.command()
@click.argument("payment_id", metavar="PAYMENT")
@click.argument("decision", type=click.Choice(("approve", "decline", "refund")))
@click.option(
    "--as-fraud", "finding", flag_value="fraud", help="The cardholder did not make it: labelled so at once."
)
@click.option("--as-genuine", "finding", flag_value="genuine", help="The cardholder made it.")
@click.option("--by", "analyst", required=True, help="Who decides.")
@_NOTE
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
    finding: str | None,
    analyst: str,
    note: str,
    blocked: tuple[str, ...],
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Say what comes of a payment. Where its queue asks for two people, another has to say the same.

    A decision says what to do. What the payment is it says with --as-fraud or --as-genuine, and nothing without.
    """
    from events.errors import Refused
    from events.reference import ReviewInstruction
    from events.review import ReviewDecision, ReviewFinding
    from streams.edge.reference import Entry

    found = ReviewFinding(finding) if finding else None
    try:
        content = ReviewInstruction(payment_id, ReviewDecision(decision), analyst, _hashed(note), found)
    except ValueError as error:
        raise Refused(f"{decision} --as-{finding}: {error}") from error
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
