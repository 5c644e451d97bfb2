"""How fresh an answer is: how much of which log partition stands behind it, and up to which logical time.

Projections of one store can differ for a moment, while one that is new is catching up: the least of them counts.
"""

from datetime import datetime

import msgspec

from projections.port import Database, Place, Position


class Freshness(msgspec.Struct, frozen=True):
    """What a store has taken when it answers.

    ``events`` are records of the logs, ``up_to`` is the latest logical time among them (None before the first) and
    ``positions`` has the next position by ``log/partition``: every record before it has been taken. ``behind`` counts
    the records that the log holds beyond those, None where the log cannot be seen from here. ``as_of`` is where a
    question about the past was cut, empty for one about now.
    """

    events: int
    up_to: datetime | None
    positions: dict[str, int]
    behind: int | None = None
    as_of: str = ""


def taken(db: Database) -> tuple[dict[Place, Position], datetime | None]:
    """What every projection of the store has taken of each log partition, and the latest logical time among it."""
    _, found = db.fetch(
        "SELECT log, partition, next, chain, as_of,"
        " count(*) OVER (PARTITION BY log, partition) < (SELECT count(*) FROM freshness) AS missing"
        " FROM freshness_by_log ORDER BY log, partition, next DESC"
    )
    positions: dict[Place, Position] = {}
    for log, partition, following, chain, _, missing in found:
        # In descending order, so that the least stays; one that has taken nothing at all has no row.
        if not missing:
            positions[(log, partition)] = Position(following, bytes(chain))
    return positions, max((as_of for *_, as_of, _ in found), default=None)


def freshness_of(db: Database) -> Freshness:
    """See :class:`Freshness`; whoever can see the log adds how far behind it this is."""
    positions, up_to = taken(db)
    return Freshness(
        events=sum(position.next for position in positions.values()),
        up_to=up_to,
        positions={f"{log}/{partition}": position.next for (log, partition), position in positions.items()},
    )
