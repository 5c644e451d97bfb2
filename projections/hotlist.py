"""The hotlist: what went beyond a limit, and which keys were blocked or looked at from when to when."""

from collections.abc import Sequence
from typing import Final

from events.hotlist import HotlistApplied, HotlistReleased, VelocityLimitReached
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "hotlist"
VERSION: Final = 1

_KEY: Final = (
    Column("item", "TEXT", "the key: dimension and value, with a colon between them"),
    Column("dimension", "TEXT", "card, ip, device, email or merchant"),
    Column("value", "TEXT", "the card's token, the merchant, or a surrogate"),
)

CROSSINGS: Final = Table(
    "velocity_crossings",
    "One time that a key was found beyond a limit and announced.",
    (
        *_KEY,
        Column("limit_id", "TEXT", "the limit"),
        Column("measure", "TEXT", "what was counted: count (payments), cards, sum (minor units) or declines"),
        Column("within", "TEXT", "how far back: 10m, 1h, 24h, 7d or 30d"),
        Column("allowed", "BIGINT", "what the limit allows"),
        Column("measured", "BIGINT", "what was counted"),
        Column("standing", "TEXT", "what follows: review or block"),
        Column("payment_id", "TEXT", "the payment with which it went beyond"),
        Column("reached_at", "TIMESTAMP", "event time of that payment, UTC"),
        Column("until_at", "TIMESTAMP", "end of the hold, UTC"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("item", "limit_id", "allowed", "measured", "standing", "payment_id", "reached_at", "until_at"),
)
STEPS: Final = Table(
    "hotlist_steps",
    "One key that was put on the hotlist or taken off it, in one partition of the payments log.",
    (
        *_KEY,
        Column("step", "TEXT", "applied or released"),
        Column("listed_by", "TEXT", "limit or operator: who had put it there"),
        Column("standing", "TEXT", "review or block; empty on released"),
        Column("cause", "TEXT", "released: expired or operator; empty on applied"),
        Column("reason", "TEXT", "the limit, or what the operator said"),
        Column("author", "TEXT", "the operator; empty where it was none"),
        Column("until_at", "TIMESTAMP", "when it comes off by itself, UTC; 1970 for never and on released"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("partition", "INTEGER", "partition of the payments log; all do the same at the same tick"),
        Column("position", "BIGINT", "position in it"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("item", "step", "listed_by", "standing", "cause", "reason", "author", "until_at"),
    where="partition = 0",
)
TABLES: Final = (CROSSINGS, STEPS)

VIEWS: Final = (
    View(
        "hotlist",
        "The keys on the hotlist now: why, since when, until when.",
        """
        SELECT item, dimension, value, listed_by, standing, reason, author, recorded_at AS listed_at, until_at
        FROM hotlist_steps AS step
        WHERE partition = 0 AND step = 'applied' AND NOT EXISTS (
            SELECT 1 FROM hotlist_steps AS later
            WHERE later.partition = 0 AND later.item = step.item AND later.listed_by = step.listed_by
                  AND later.position > step.position
        )
        """,
    ),
    View(
        "velocity_limit_hits",
        "How often each limit was passed, by how many keys, and by how much.",
        """
        SELECT limit_id, standing, count(*) AS crossings, count(DISTINCT item) AS keys,
               max(measured) AS highest, max(allowed) AS allowed
        FROM velocity_crossings GROUP BY limit_id, standing
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a crossing, one a step."""
    return [_crossings(batch), _steps(batch)]


def _crossings(batch: Batch) -> Rows:
    rows = Rows.of(CROSSINGS)
    reached = batch.of(VelocityLimitReached)
    bodies = reached.bodies
    rows.add(
        len(reached),
        **_keys([body.item for body in bodies]),
        limit_id=[body.limit_id for body in bodies],
        measure=[body.measure for body in bodies],
        within=[body.window for body in bodies],
        allowed=[body.allowed for body in bodies],
        measured=[body.measured for body in bodies],
        standing=[body.standing for body in bodies],
        payment_id=[body.payment_id for body in bodies],
        reached_at=[body.reached_at for body in bodies],
        until_at=[body.until_at for body in bodies],
        recorded_at=reached.recorded_at,
        event_id=reached.event_ids,
    )
    return rows


def _steps(batch: Batch) -> Rows:
    rows = Rows.of(STEPS)
    applied, released = batch.of(HotlistApplied), batch.of(HotlistReleased)
    for events, step in ((applied, "applied"), (released, "released")):
        rows.add(
            len(events),
            **_keys(events.get("item")),
            step=step,
            listed_by=events.get("listed_by"),
            standing=events.get("standing") if events is applied else "",
            cause="" if events is applied else events.get("cause"),
            reason=events.get("reason"),
            author=events.get("author"),
            until_at=events.get("until_at") if events is applied else 0,
            recorded_at=events.recorded_at,
            partition=events.partitions,
            position=events.positions,
            event_id=events.event_ids,
        )
    return rows


def _keys(items: Sequence[str]) -> dict[str, list[str]]:
    parts = [item.partition(":") for item in items]
    return {
        "item": list(items),
        "dimension": [dimension for dimension, _, _ in parts],
        "value": [value for _, _, value in parts],
    }
