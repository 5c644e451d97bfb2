"""Clusters of known frauds: what a payment or a key touches, for people and as one JSON value."""

import json
from typing import Any, Final

from events.errors import Refused
from infra.commands.payment import find
from infra.output import console, instant, money, table
from projections.clusters import MOST_CARDS
from projections.port import Database
from projections.reading import records
from streams.features.clusters import MOST_TOLD

_REFS: Final = {"card": "card_id", "ip": "ip_ref", "device": "device_ref", "email": "email_ref"}
_LISTED: Final = 50

_MEMBERS: Final = """
    SELECT member.cluster, member.payment_id, payments.merchant, payments.card_id, payments.amount, payments.currency,
           payments.status, payments.requested_at, known.known_at
    FROM fraud_clusters AS member
    JOIN payments ON payments.payment_id = member.payment_id
    JOIN (SELECT DISTINCT payment_id, known_at FROM fraud_keys) AS known ON known.payment_id = member.payment_id
"""


def keys_of(db: Database, name: str) -> dict[str, str]:
    """The keys by kind that a name means: ``KIND:VALUE``, or a payment as ``tallystick payment show`` takes it."""
    kind, colon, value = name.partition(":")
    if colon:
        if kind not in MOST_CARDS or not value:
            raise Refused(f"{name[:60]}: a key is one of {', '.join(MOST_CARDS)}, a colon and a value")
        return {kind: value}
    payment_id = find(db, name)["payment_id"]
    [event] = records(
        db,
        "SELECT body FROM events WHERE key = $1 AND log = 'payments' AND type = 'PaymentRequested'"
        " ORDER BY position LIMIT 1",
        [payment_id],
    )
    body = json.loads(event["body"])
    return {kind: body[ref] for kind, ref in _REFS.items() if body[ref]}


def touched(db: Database, keys: dict[str, str]) -> dict[str, Any]:
    """The clusters that these keys touch, with what links them; and the figures that a verdict would now see."""
    linked, names = {}, set[str]()
    for kind, key in keys.items():
        found = records(
            db,
            "SELECT member.cluster, link.links, link.cards FROM fraud_links AS link"
            " JOIN fraud_clusters AS member ON member.payment_id = link.payment_id"
            " WHERE link.kind = $1 AND link.key = $2 ORDER BY member.payment_id LIMIT 1",
            [kind, key],
        )
        if found:
            linked[f"{kind}:{key}"] = bool(found[0]["links"])
            if found[0]["links"]:
                names.add(found[0]["cluster"])
    clusters = [_cluster(db, name) for name in sorted(names)]
    telling = {cluster["cluster"] for cluster in clusters if cluster["cards"] <= MOST_TOLD}
    return {
        "keys": [f"{kind}:{key}" for kind, key in keys.items()],
        "known": linked,
        "features": {
            "cluster.linked": _linked(clusters, linked, telling),
            "cluster.frauds": sum(len(one["frauds"]) for one in clusters if one["cluster"] in telling),
            "cluster.cards": sum(one["cards"] for one in clusters if one["cluster"] in telling),
        },
        "clusters": clusters,
    }


def _linked(clusters: list[dict[str, Any]], linked: dict[str, bool], telling: set[str]) -> int:
    """How many of these keys belong to a cluster that tells something."""
    told = {key["key"] for one in clusters if one["cluster"] in telling for key in one["keys"]}
    return sum(links and key in told for key, links in linked.items())


def _cluster(db: Database, name: str) -> dict[str, Any]:
    frauds = records(
        db, f"{_MEMBERS} WHERE member.cluster = $1 ORDER BY known.known_at, member.payment_id", [name]
    )
    keys = records(
        db,
        "SELECT link.kind || ':' || link.key AS key, link.frauds, link.cards, link.links FROM fraud_links AS link"
        " JOIN fraud_clusters AS member ON member.payment_id = link.payment_id WHERE member.cluster = $1"
        " GROUP BY link.kind, link.key, link.frauds, link.cards, link.links ORDER BY link.frauds DESC, 1",
        [name],
    )
    return {
        "cluster": name,
        "cards": sum(key["key"].startswith("card:") for key in keys),
        "merchants": len({fraud["merchant"] for fraud in frauds}),
        "frauds": frauds,
        "keys": keys,
    }


def largest(db: Database) -> list[dict[str, Any]]:
    """The clusters of more than one fraud, the largest first."""
    return records(
        db,
        """
        SELECT member.cluster, count(*) AS frauds, count(DISTINCT payments.card_id) AS cards,
               count(DISTINCT payments.merchant) AS merchants, max(known.known_at) AS last_known_at
        FROM fraud_clusters AS member
        JOIN payments ON payments.payment_id = member.payment_id
        JOIN (SELECT DISTINCT payment_id, known_at FROM fraud_keys) AS known ON known.payment_id = member.payment_id
        GROUP BY member.cluster HAVING count(*) > 1 ORDER BY frauds DESC, member.cluster
        """,
    )


def print_largest(found: list[dict[str, Any]]) -> None:
    """A line for each."""
    heads = ("cluster", "frauds", "cards", "merchants", "last known")
    rows = [
        (one["cluster"], one["frauds"], one["cards"], one["merchants"], instant(one["last_known_at"]))
        for one in found[:_LISTED]
    ]
    console().print(table("Clusters of known frauds", heads, rows, right=heads[1:4]))


def print_touched(found: dict[str, Any]) -> None:
    """What links, and the frauds."""
    screen = console()
    figures = ", ".join(f"{name} {value}" for name, value in found["features"].items())
    screen.print(f"Keys: {', '.join(found['keys'])}")
    screen.print(f"A verdict would see now: {figures}.")
    for key, links in found["known"].items():
        if not links:
            screen.print(f"{key} has seen fraud on too many cards to link them.")
    for one in found["clusters"]:
        rows = [
            (
                fraud["payment_id"],
                fraud["merchant"],
                money(fraud["amount"], fraud["currency"]),
                fraud["status"],
                instant(fraud["known_at"]),
            )
            for fraud in one["frauds"][:_LISTED]
        ]
        title = f"Cluster {one['cluster']}: {len(one['frauds'])} frauds on {one['cards']} cards"
        columns = ("payment", "merchant", "amount", "status", "known everywhere since")
        screen.print(table(title, columns, rows, right=("amount",)))
        shared = [key for key in one["keys"] if key["frauds"] > 1]
        if shared:
            heads = ("key", "frauds", "cards", "")
            lines = [
                (key["key"], key["frauds"], key["cards"], "" if key["links"] else "too many cards")
                for key in shared[:_LISTED]
            ]
            screen.print(table("What they share", heads, lines, right=heads[1:3]))
