"""What merchants chose for themselves: on which days they are paid, and from which balance on."""

from typing import Final

from events.settlement import MerchantSettingsChanged, MerchantSettingsRejected
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "settings"
VERSION: Final = 1

STEPS: Final = Table(
    "merchant_setting_steps",
    "One time that a merchant's settings were changed, or were not.",
    (
        Column("merchant", "TEXT", "merchant id"),
        Column("idempotency_key", "TEXT", "the request's name; with the merchant it is its identity"),
        Column("currency", "TEXT", "ISO 4217; empty for every currency without settings of its own"),
        Column("step", "TEXT", "changed or rejected"),
        Column("reason", "TEXT", "why it was rejected; empty on changed"),
        Column("schedule", "TEXT", "what was wanted: daily, weekly or monthly"),
        Column("anchor", "INTEGER", "the weekday of a weekly schedule (0: Monday), the day of a monthly one"),
        Column("minimum_payout", "BIGINT", "a smaller balance waits, minor units"),
        Column("old_schedule", "TEXT", "what it was before; empty on rejected"),
        Column("old_anchor", "INTEGER", "the day of that; 0 on rejected"),
        Column("old_minimum_payout", "BIGINT", "the least balance before, minor units; 0 on rejected"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("position", "BIGINT", "position in its log: a merchant's settings are in this order"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "merchant",
        "idempotency_key",
        "currency",
        "step",
        "reason",
        "schedule",
        "anchor",
        "minimum_payout",
        "old_schedule",
        "old_anchor",
        "old_minimum_payout",
    ),
)
TABLES: Final = (STEPS,)

VIEWS: Final = (
    View(
        "merchant_settings",
        "What each merchant chose last for each currency, and since when. It holds while the merchant's contract"
        " leaves it the choice.",
        """
        SELECT merchant, currency, schedule, anchor, minimum_payout, recorded_at AS since_at, event_id
        FROM merchant_setting_steps AS step
        WHERE step = 'changed' AND NOT EXISTS (
            SELECT 1 FROM merchant_setting_steps AS later
            WHERE later.step = 'changed' AND later.merchant = step.merchant AND later.currency = step.currency
                  AND later.position > step.position
        )
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row for each answer to a request."""
    rows = Rows.of(STEPS)
    changed, rejected = batch.of(MerchantSettingsChanged), batch.of(MerchantSettingsRejected)
    for events, step in ((changed, "changed"), (rejected, "rejected")):
        rows.add(
            len(events),
            merchant=events.get("merchant"),
            idempotency_key=events.get("idempotency_key"),
            currency=events.get("currency"),
            step=step,
            reason="" if events is changed else events.get("reason"),
            schedule=events.get("schedule"),
            anchor=events.get("anchor"),
            minimum_payout=events.get("minimum_payout"),
            old_schedule=events.get("old_schedule") if events is changed else "",
            old_anchor=events.get("old_anchor") if events is changed else 0,
            old_minimum_payout=events.get("old_minimum_payout") if events is changed else 0,
            recorded_at=events.recorded_at,
            position=events.positions,
            event_id=events.event_ids,
        )
    return [rows]
