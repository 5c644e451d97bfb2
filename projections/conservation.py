"""Sums over the places at which every cent is (:mod:`projections.places`), and what is at none of them or at two."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from projections.port import Database
from projections.reading import records

#: The divisions, in the order in which money goes through them.
DIVISIONS: Final = {
    "request": "What was asked for",
    "capture": "Of that captured, by what networks have paid",
    "merchant": "Of that the merchants'",
}
_BY_DIVISION: Final = """
    SELECT 'request' AS division, place, currency, request AS name, merchant, amount FROM money_places
    UNION ALL
    SELECT 'capture', held.place, held.currency, held.payment_id, request.merchant, held.amount
    FROM capture_places AS held JOIN payment_requests AS request ON request.payment_id = held.payment_id
    UNION ALL
    SELECT 'merchant', place, currency, merchant, merchant, amount FROM merchant_places
"""


class Placed(msgspec.Struct, frozen=True):
    """What is at one place in one currency, minor units; of so many requests, payments or merchants."""

    division: str
    currency: str
    place: str
    meaning: str
    names: int
    amount: int


class Unplaced(msgspec.Struct, frozen=True):
    """An amount that its places do not add up to, minor units: see ``money_unplaced``."""

    division: str
    name: str
    currency: str
    amount: int
    placed: int


class Conservation(msgspec.Struct, frozen=True):
    """Where all of it is, by currency and in the order of a payment's life, and what is not in order."""

    places: list[Placed]
    unplaced: list[Unplaced]


def conservation(db: Database, *, merchant: str = "", payment: str = "") -> Conservation:
    """All of it, of one merchant, or of one payment."""
    where: str
    arguments: Sequence[str]
    match merchant, payment:
        case "", "":
            where, arguments = "TRUE", []
        case _, "":
            where, arguments = "held.merchant = $1", [merchant]
        case _:
            where, arguments = "held.name = $1 AND held.division <> 'merchant'", [payment]
    rows = records(
        db,
        f"""
        SELECT held.division, held.currency, held.place, chart.meaning, count(DISTINCT held.name) AS names,
               sum(held.amount) AS amount
        FROM ({_BY_DIVISION}) AS held
        JOIN places AS chart ON chart.division = held.division AND chart.place = held.place
        WHERE {where}
        GROUP BY held.division, held.currency, held.place, chart.meaning, chart.number
        ORDER BY held.currency, CASE held.division WHEN 'request' THEN 1 WHEN 'capture' THEN 2 ELSE 3 END,
                 chart.number
        """,
        arguments,
    )
    # What was refused may be of any size: such sums are beyond what a column holds, and come as decimals.
    places = [Placed(**{**row, "amount": int(row["amount"])}) for row in rows]
    return Conservation(places, unplaced(db))


def unplaced(db: Database) -> list[Unplaced]:
    """What is at no place or at two. Always of everything: a cent that is missing may be anybody's."""
    found: list[dict[str, Any]] = records(
        db, "SELECT * FROM money_unplaced ORDER BY division, currency, name"
    )
    return [Unplaced(**row) for row in found]
