"""Clusters: payments known to be fraud that hang together by cards, addresses, devices and e-mail addresses.

The same definition as where payments are judged (``streams.features.clusters``), over the labels that every partition
has been told of: a key links while not too many different cards stand under it, and for so many days. Named by the
first of its payments in the order of their ids, a cluster is found by letting that name travel along the keys; along
the first payment of each key, so that a key of a thousand frauds is a thousand steps and not a million.
"""

from typing import Final

from projections.batch import Batch
from projections.port import Rows, Table, View

NAME: Final = "clusters"
VERSION: Final = 1
TABLES: Final[tuple[Table, ...]] = ()

#: What links, and up to how many different cards: the figures of ``streams.features.clusters``, which a test compares.
MOST_CARDS: Final = {"card": 1, "ip": 16, "device": 64, "email": 64}
KEPT_DAYS: Final = 180
_COLUMNS: Final = {"card": "card_id", "ip": "ip_ref", "device": "device_ref", "email": "email_ref"}


def _keys() -> str:
    return " UNION ALL ".join(
        f"SELECT payment_id, merchant, recorded_at AS known_at, card_id, '{kind}' AS kind, {column} AS key,"
        f" {MOST_CARDS[kind]} AS most_cards FROM told WHERE {column} <> ''"
        for kind, column in _COLUMNS.items()
    )


VIEWS: Final = (
    View(
        "fraud_keys",
        "What payments known to be fraud in every partition can be linked by: one row for each of their keys.",
        f"""
        WITH told AS (
            SELECT * FROM risk_labels AS label
            WHERE counts = 'shared' AND partition = 0 AND label.label = 'fraud'
                AND recorded_at::DATE
                    >= (SELECT max(recorded_at) FROM events WHERE log = 'payments')::DATE - {KEPT_DAYS}
                AND NOT EXISTS (
                    SELECT 1 FROM risk_labels AS later
                    WHERE later.payment_id = label.payment_id AND later.counts = 'shared' AND later.partition = 0
                        AND later.number > label.number
                )
        )
        {_keys()}
        """,
    ),
    View(
        "fraud_links",
        "The keys of known frauds, with how many cards each has seen fraud on, and whether it links them.",
        """
        SELECT own.payment_id, own.merchant, own.known_at, own.kind, own.key, counted.frauds, counted.cards,
               counted.cards <= own.most_cards AS links, counted.first_payment
        FROM fraud_keys AS own
        JOIN (
            SELECT kind, key, count(*) AS frauds, count(DISTINCT nullif(card_id, '')) AS cards,
                   min(payment_id) AS first_payment
            FROM fraud_keys GROUP BY kind, key
        ) AS counted ON counted.kind = own.kind AND counted.key = own.key
        """,
    ),
    View(
        "fraud_clusters",
        "The cluster of each payment known to be fraud, by the first of its payments.",
        """
        WITH RECURSIVE steps AS (
            SELECT payment_id AS here, first_payment AS there FROM fraud_links WHERE links
            UNION SELECT first_payment, payment_id FROM fraud_links WHERE links
        ), reached (root, payment_id) AS (
            SELECT DISTINCT payment_id, payment_id FROM fraud_keys
            UNION
            SELECT reached.root, steps.there FROM reached JOIN steps ON steps.here = reached.payment_id
            WHERE steps.there > reached.root
        )
        SELECT payment_id, min(root) AS cluster FROM reached GROUP BY payment_id
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """Nothing of its own: it reads what others keep."""
    return []
