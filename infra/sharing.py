"""Payments that share a card, a device, an e-mail address or an internet address with one: whatever they were.

Labels come weeks late, and clusters are made of labels. Who looks at a payment today wants to see the others of its
device at once, and how they came out.
"""

from typing import Any, Final

from infra.output import console, instant, money, table
from projections.port import Database
from projections.reading import records

NEWEST: Final = 5
"""How many payments of each key are told; how many there are is told beside them."""

#: Columns of ``payment_requests`` by kind of key, the most telling first. The device of a till is the merchant's.
_KEYS: Final = {"card": "card_id", "device": "device_ref", "email": "email_ref", "ip": "ip_ref"}

_COUNTED: Final = """
    SELECT count(*) AS payments, count(DISTINCT card_id) AS cards FROM payment_requests
    WHERE {column} = $1 AND payment_id <> $2 {customers}
"""
_NEWEST: Final = """
    WITH near AS (
        SELECT payment_id, occurred_at FROM payment_requests
        WHERE {column} = $1 AND payment_id <> $2 {customers}
        ORDER BY occurred_at DESC, payment_id LIMIT {newest}
    )
    SELECT near.payment_id, payments.merchant, payments.card_id, payments.amount, payments.currency, payments.status,
           payments.decline_reason, payments.requested_at, coalesce(verdict.verdict, '') AS verdict,
           coalesce(known.label, '') AS label
    FROM near
    JOIN payments ON payments.payment_id = near.payment_id
    LEFT JOIN risk_verdicts AS verdict
        ON verdict.payment_id = near.payment_id AND verdict.phase = 'before_authorization'
    LEFT JOIN payment_labels AS known ON known.payment_id = near.payment_id
    ORDER BY near.occurred_at DESC, near.payment_id
"""


def shared(db: Database, payment_id: str) -> list[dict[str, Any]]:
    """For each key of a payment that others have: how many payments and cards, and the newest of the payments.

    Each payment comes with where it stands, why it was declined, the first verdict and what it is known to be.
    """
    [own] = records(
        db,
        "SELECT card_id, device_ref, email_ref, ip_ref, channel FROM payment_requests WHERE payment_id = $1"
        " ORDER BY recorded_at LIMIT 1",
        [payment_id],
    )
    found = []
    for kind, column in _KEYS.items():
        value = own[column]
        if not value or (kind == "device" and own["channel"] == "point_of_sale"):
            continue
        customers = "AND channel <> 'point_of_sale'" if kind == "device" else ""
        counting = _COUNTED.format(column=column, customers=customers)
        [counted] = records(db, counting, [value, payment_id])
        if counted["payments"]:
            sql = _NEWEST.format(column=column, customers=customers, newest=NEWEST)
            newest = records(db, sql, [value, payment_id])
            found.append({"kind": kind, "key": value, **counted, "newest": newest})
    return found


def print_shared(found: list[dict[str, Any]]) -> None:
    """A table for each key, the newest payments first."""
    heads = ("payment", "at", "merchant", "amount", "verdict", "status", "why", "known as")
    for one in found:
        rows = [
            (
                row["payment_id"],
                instant(row["requested_at"]),
                row["merchant"],
                money(row["amount"], row["currency"]),
                row["verdict"],
                row["status"],
                row["decline_reason"],
                row["label"],
            )
            for row in one["newest"]
        ]
        more = "" if len(rows) == one["payments"] else f", the newest {len(rows)}"
        cards = "" if one["kind"] == "card" else f" with {one['cards']:,} cards"
        title = f"Others of {one['kind']} {one['key']}: {one['payments']:,}{cards}{more}"
        console().print(table(title, heads, rows, right=("amount",)))
