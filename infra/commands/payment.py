"""``tallystick payment``: the story of one payment."""

import json
from datetime import datetime
from typing import Any, Final

import click
from rich.table import Table

from events.errors import Refused
from infra.freshness import beside, field, remark_freshness
from infra.options import as_of_option, json_option, store_option
from infra.output import console, instant, money, table, to_json
from infra.stores import StoreAddress, reading
from projections.phrases import phrase
from projections.port import Database
from projections.reading import records

_SHOWN: Final = 5
_PREFIX: Final = "pay-"


@click.group()
def payment() -> None:
    """One payment: where it stands and how it came there."""


@payment.command()
@click.argument("name", metavar="ID")
@store_option
@as_of_option
@json_option
def show(name: str, store: StoreAddress, as_of: str | None, as_json: bool) -> None:
    """The timeline of a payment, with the cause of each event.

    ID is a payment id, the beginning of one, or MERCHANT/KEY, the name under which it was asked for.
    """
    with reading(store, as_of) as db:
        found = find(db, name)
        events = timeline(db, found["payment_id"])
        fresh = beside(db)
    if as_json:
        click.echo(to_json({"payment": found, "events": events, "freshness": field(fresh)}))
        return
    screen = console()
    screen.print(_head(found, simulated=any(event["simulated"] for event in events)))
    numbers = {event["event_id"]: number for number, event in enumerate(events, 1)}
    rows = [
        (
            number,
            instant(event["at"]),
            event["type"],
            phrase(event["type"], event["body"], money),
            _cause(event, numbers),
            event["who"],
        )
        for number, event in enumerate(events, 1)
    ]
    screen.print(
        table("", ("#", "logical time", "event", "what it says", "because of", "who"), rows, right=("#",))
    )
    remark_freshness(fresh)


def find(db: Database, name: str) -> dict[str, Any]:
    """The payment that this name means; Refused where there is none or more than one."""
    if "/" in name:
        merchant, _, key = name.partition("/")
        found = records(
            db, "SELECT * FROM payments WHERE merchant = $1 AND idempotency_key = $2", [merchant, key]
        )
    else:
        text = name if name.startswith(_PREFIX) else _PREFIX + name
        found = records(
            db,
            "SELECT * FROM payments WHERE starts_with(payment_id, $1) ORDER BY payment_id LIMIT $2",
            [text, _SHOWN + 1],
        )
    if not found:
        raise Refused(f'no payment is called {name!r}; `tallystick query "TABLE payments"` lists them')
    if len(found) > 1:
        listed = ", ".join(row["payment_id"] for row in found[:_SHOWN])
        raise Refused(
            f"{name!r} is the beginning of more than one payment: {listed}{', …' * (len(found) > _SHOWN)}"
        )
    return found[0]


def timeline(db: Database, payment_id: str) -> list[dict[str, Any]]:
    """Every event of the payment's story, in all logs, each behind what caused it."""
    found = records(
        db,
        """
        WITH own AS (SELECT * FROM events WHERE key = $1),
             items AS (SELECT item FROM merchant_facts WHERE payment_id = $1 AND item <> ''),
             entries AS (SELECT * FROM merchant_entries WHERE item IN (SELECT item FROM items)),
             carriers AS (SELECT DISTINCT payout_id FROM entries WHERE payout_id <> ''),
             wanted AS (
                 SELECT event_id FROM own
                 UNION SELECT event_id FROM events
                       WHERE key IN (SELECT correlation_id FROM own WHERE correlation_id <> '')
                 UNION SELECT event_id FROM events WHERE starts_with(causation_id, $1 || '.') AND log = 'settlement'
                 UNION SELECT fact.event_id FROM merchant_facts AS fact
                       WHERE fact.kind IN ('available', 'adjusted') AND fact.item IN (SELECT item FROM items)
                 UNION SELECT event_id FROM events
                       WHERE key IN (SELECT payout_id FROM carriers
                                     UNION SELECT 'reconciliation/' || payout_id FROM carriers)
                 UNION SELECT event_id FROM payout_steps WHERE payout_id IN (SELECT payout_id FROM carriers)
             )
        SELECT log, partition, position, event_id, type, recorded_at, occurred_at, causation_id, who, source,
               simulated, body, chain
        FROM events WHERE event_id IN (SELECT event_id FROM wanted)
        ORDER BY recorded_at, strpos('intake payments settlement reconciliation', log), position
        """,
        [payment_id],
    )
    for event in found:
        event["body"] = json.loads(event["body"])
        event["chain"] = event["chain"].hex().upper()
    return _in_order(found)


def _in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events by logical time, and never before their causes.

    Each log has a time of its own: a log records what another hands it while its own tick is still an earlier one,
    and decides it when the interval comes. So an event counts (``at``) from its cause's time if that is later.
    """
    by_id = {event["event_id"]: event for event in events}

    def place(event: dict[str, Any]) -> tuple[datetime, int]:
        if "at" not in event:
            event["at"], event["depth"] = event["recorded_at"], 0
            cause = by_id.get(event["causation_id"])
            if cause is not None:
                cause_at, depth = place(cause)
                event["at"], event["depth"] = max(cause_at, event["at"]), depth + 1
        return event["at"], event["depth"]

    # The order of the query, by log and position, stays among equals.
    ordered = sorted(events, key=place)
    for event in ordered:
        del event["depth"]
    return ordered


def _head(found: dict[str, Any], *, simulated: bool) -> Table:
    currency = found["currency"]
    rows = [
        ("payment", found["payment_id"]),
        ("status", found["status"] + (f" ({found['decline_reason']})" if found["decline_reason"] else "")),
        ("merchant", f"{found['merchant']}, key {found['idempotency_key']}"),
        ("card", f"{found['bin']}…{found['last4']} over {found['network'] or 'no network'}"),
        ("asked for", f"{money(found['amount'], currency)} at {instant(found['requested_at'])}"),
        *(
            (label, money(found[column], currency))
            for label, column in (
                ("authorized", "authorized_amount"),
                ("captured", "captured_amount"),
                ("refunded", "refunded_amount"),
                ("disputed", "disputed_amount"),
                ("fees", "fee_amount"),
                ("written off", "written_off_amount"),
            )
            if found[column]
        ),
        *(
            [("dispute", f"{found['dispute_status']}, {found['dispute_stage']}")]
            if found["dispute_status"]
            else []
        ),
        *([("simulated", "producers, networks and bank are simulators")] if simulated else []),
    ]
    made = table("", ("", ""), rows)
    made.show_header = False
    return made


def _cause(event: dict[str, Any], numbers: dict[str, int]) -> str:
    cause: str = event["causation_id"] or event["source"]
    return f"#{numbers[cause]}" if cause in numbers else cause
