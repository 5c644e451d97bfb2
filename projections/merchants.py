"""Merchants: what was asked, taken, charged and paid out for each, to the cent.

Every fact about a merchant's money is one row of ``merchant_facts``; totals and statements are sums over them.
The columns of ``merchant_totals`` stand for accounts of the ledger: pending is what its payments owe it and
settlement has not taken over yet, available is what the next payout will carry.
"""

from typing import Any, Final, NamedTuple

from events.authorization import PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.clearing import Bearer, CaptureWrittenOff
from events.fees import ProcessingFeeCharged
from events.lifecycle import CaptureVoided, PaymentCaptured, PaymentRequested
from events.reconciliation import PayoutPaid, PayoutReturned
from events.refunds import RefundApproved, RefundFailed
from events.settlement import (
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    PayoutInitiated,
    PayoutReturnCredited,
    SettlementBatchClosed,
)
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "merchants"
VERSION: Final = 1

FACTS: Final = Table(
    "merchant_facts",
    "One fact about a merchant's money; amounts are positive minor units, except for kind 'adjusted'.",
    (
        Column("merchant", "TEXT", "merchant id"),
        Column("currency", "TEXT", "ISO 4217"),
        Column(
            "kind",
            "TEXT",
            "requested, authorized, declined, captured, capture_voided, refunded, refund_failed, fee, written_off;"
            " available (an entry made available), adjusted (one that took effect at once), paid_out, payout_credited",
        ),
        Column("amount", "BIGINT", "minor units; an entry that is the merchant's debt is negative"),
        Column("payment_id", "TEXT", "the payment; empty on facts of settlement"),
        Column("item", "TEXT", "the entry on the pending account, or the payout"),
        Column("batch_id", "TEXT", "the settlement batch of an entry"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("partition", "INTEGER", "partition of the fact's log"),
        Column("position", "BIGINT", "position in it: settlement facts of a merchant are in this order"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("merchant", "currency", "kind", "amount", "payment_id", "item", "batch_id"),
)
PAYOUTS: Final = Table(
    "payout_steps",
    "What happened to payouts: initiated, paid (seen on the bank statement), returned, credited.",
    (
        Column("payout_id", "TEXT", "payout id"),
        Column("step", "TEXT", "initiated, paid, returned, credited"),
        Column("merchant", "TEXT", "merchant id"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units"),
        Column("account", "TEXT", "our bank account; empty on credited"),
        Column("attempt", "INTEGER", "on initiated: 1, more after returns"),
        Column("value_on", "DATE", "on initiated: when the bank is to pay"),
        Column("return_code", "TEXT", "on returned: the bank's reason"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("position", "BIGINT", "position in its log"),
        Column("event_id", "TEXT", "the event"),
    ),
    business=("payout_id", "step", "merchant", "currency", "amount", "account", "attempt", "return_code"),
)
BATCHES: Final = Table(
    "settlement_batches",
    "A merchant's statement of one day and currency, as settlement closed it.",
    (
        Column("batch_id", "TEXT", "settlement batch"),
        Column("merchant", "TEXT", "merchant id"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("settled_on", "DATE", "the day"),
        Column("entries", "BIGINT", "how many entries were made available"),
        Column("credits", "BIGINT", "minor units to the merchant's good"),
        Column("debits", "BIGINT", "minor units against it"),
        Column("available", "BIGINT", "available balance after the batch, before a payout"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event"),
    ),
    business=("batch_id", "merchant", "currency", "settled_on", "entries", "credits", "debits", "available"),
)
TABLES: Final = (FACTS, PAYOUTS, BATCHES)

VIEWS: Final = (
    View(
        "merchant_sums",
        "Sums of merchant_facts by kind: the parts that merchant_totals and statements are made of.",
        "SELECT merchant, currency, "
        + ", ".join(
            f"coalesce(sum(amount) FILTER (WHERE kind = '{kind}'), 0)::BIGINT AS {kind}"
            for kind in (
                "requested",
                "authorized",
                "declined",
                "captured",
                "capture_voided",
                "refunded",
                "refund_failed",
                "fee",
                "written_off",
                "available",
                "adjusted",
                "paid_out",
                "payout_credited",
            )
        )
        + " FROM merchant_facts GROUP BY merchant, currency",
    ),
    View(
        "merchant_totals",
        "Where each merchant's money is, in minor units: captured = refunded + fees + pending + available + reserve"
        " + paid_out. Captured is net of voided captures and of those that no network paid (merchant_losses),"
        " refunded of failed refunds; paid_out is what was sent to the bank and has not come back.",
        """
        SELECT merchant, currency, requested, authorized, declined,
               captured - capture_voided - written_off AS captured,
               refunded - refund_failed AS refunded,
               fee AS fees,
               captured - capture_voided - refunded + refund_failed - fee - written_off - available - adjusted
                   AS pending,
               available + adjusted - paid_out + payout_credited AS available,
               0::BIGINT AS reserve,
               paid_out - payout_credited AS paid_out
        FROM merchant_sums
        """,
    ),
    View(
        "merchant_losses",
        "Captures that no network paid and the merchant bears, minor units.",
        "SELECT merchant, currency, written_off FROM merchant_sums WHERE written_off <> 0",
    ),
    View(
        "payouts",
        "One row a payout, with what became of it.",
        """
        SELECT payout_id, max(merchant) AS merchant, max(currency) AS currency,
               max(amount) FILTER (WHERE step = 'initiated') AS amount,
               max(attempt) AS attempt, max(account) AS account,
               CASE WHEN bool_or(step = 'credited') THEN 'credited' WHEN bool_or(step = 'returned') THEN 'returned'
                    WHEN bool_or(step = 'paid') THEN 'paid' ELSE 'in_transit' END AS status,
               max(value_on) AS value_on,
               max(return_code) AS return_code,
               min(recorded_at) FILTER (WHERE step = 'initiated') AS initiated_at,
               min(recorded_at) FILTER (WHERE step = 'paid') AS paid_at,
               max(position) FILTER (WHERE step = 'initiated') AS position
        FROM payout_steps GROUP BY payout_id
        """,
    ),
    View(
        "merchant_entries",
        "Entries that settlement took over, with the payout that carried them: the first one behind them that was"
        " paid and has not come back.",
        """
        SELECT entry.merchant, entry.currency, entry.item, entry.amount, entry.kind, entry.batch_id,
               entry.available_at, entry.position, coalesce(carrier.payout_id, '') AS payout_id
        FROM (
            SELECT merchant, currency, item, amount, kind, batch_id, available_at, position,
                   min(paid_position) OVER (PARTITION BY merchant, currency ORDER BY position DESC) AS paid_position
            FROM (
                SELECT merchant, currency, item, amount, kind, batch_id, recorded_at AS available_at, position,
                       NULL::BIGINT AS paid_position
                FROM merchant_facts WHERE kind IN ('available', 'adjusted')
                UNION ALL
                SELECT merchant, currency, payout_id, 0, 'payout', '', initiated_at, position, position
                FROM payouts WHERE status = 'paid'
            ) AS moved
        ) AS entry
        LEFT JOIN (SELECT * FROM payouts WHERE status = 'paid') AS carrier
        ON entry.merchant = carrier.merchant AND entry.currency = carrier.currency
           AND entry.paid_position = carrier.position
        WHERE entry.kind <> 'payout'
        """,
    ),
    View(
        "merchant_statement",
        "A merchant's days: what was taken over, adjusted and paid out, and the available balance at its end.",
        """
        SELECT merchant, currency, day, captures, fees, refunds, other, payouts, returned_payouts,
               sum(captures - fees - refunds + other - payouts + returned_payouts)
                   OVER (PARTITION BY merchant, currency ORDER BY day)::BIGINT AS balance
        FROM (
            SELECT merchant, currency, recorded_at::DATE AS day,
                   coalesce(sum(amount) FILTER (WHERE kind = 'available' AND item LIKE 'cap-%'), 0)::BIGINT AS captures,
                   coalesce(-sum(amount) FILTER (WHERE kind = 'available' AND item LIKE 'fee:%'), 0)::BIGINT AS fees,
                   coalesce(-sum(amount) FILTER (WHERE kind = 'adjusted' AND item LIKE 'ref-%'), 0)::BIGINT AS refunds,
                   coalesce(sum(amount) FILTER (WHERE kind IN ('available', 'adjusted') AND NOT (
                       kind = 'available' AND (item LIKE 'cap-%' OR item LIKE 'fee:%')
                       OR kind = 'adjusted' AND item LIKE 'ref-%')), 0)::BIGINT AS other,
                   coalesce(sum(amount) FILTER (WHERE kind = 'paid_out'), 0)::BIGINT AS payouts,
                   coalesce(sum(amount) FILTER (WHERE kind = 'payout_credited'), 0)::BIGINT AS returned_payouts
            FROM merchant_facts
            WHERE kind IN ('available', 'adjusted', 'paid_out', 'payout_credited')
            GROUP BY merchant, currency, recorded_at::DATE
        ) AS days
        """,
    ),
    View(
        "merchant_due",
        "Entries that settlement holds and has not made available yet; `tallystick settlement forecast` says when.",
        """
        SELECT held.merchant, held.currency, held.item, held.cause, held.amount, held.due_on, held.entered_at,
               held.partition, held.position
        FROM (
            SELECT body ->> 'merchant' AS merchant, body ->> 'currency' AS currency, body ->> 'item' AS item,
                   body ->> 'cause' AS cause, (body ->> 'amount')::BIGINT AS amount,
                   (body ->> 'due_on')::INTEGER AS due_on, recorded_at AS entered_at, partition, position
            FROM events WHERE type = 'MerchantEntryReceived'
        ) AS held
        LEFT JOIN merchant_facts AS made
        ON made.kind IN ('available', 'adjusted') AND made.merchant = held.merchant
           AND made.currency = held.currency AND made.item = held.item
        WHERE made.item IS NULL
        """,
    ),
)


class _Kind(NamedTuple):
    """How events of a type become facts: which fields hold the amount, the payment and the item."""

    type: type[Event]
    kind: str
    amount: str = "amount"
    payment: str = "payment_id"
    item: str = ""
    prefix: str = ""


#: Items are those of the pending account (events/postings.py), so that a fact and its entry have one name.
_KINDS: Final = (
    _Kind(PaymentRequested, "requested"),
    _Kind(PaymentAuthorized, "authorized", amount="approved_amount"),
    _Kind(PaymentDeclined, "declined"),
    _Kind(PaymentCaptured, "captured", item="capture_id"),
    _Kind(CaptureVoided, "capture_voided", item="capture_id", prefix="void:"),
    _Kind(ProcessingFeeCharged, "fee", item="capture_id", prefix="fee:"),
    _Kind(RefundApproved, "refunded", item="refund_id"),
    _Kind(RefundFailed, "refund_failed", item="refund_id", prefix="failed:"),
    _Kind(MerchantBalanceAdjusted, "adjusted", payment="", item="item"),
    _Kind(PayoutInitiated, "paid_out", payment="", item="payout_id"),
    _Kind(PayoutReturnCredited, "payout_credited", payment="", item="payout_id"),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a fact; one an entry where an event makes many available."""
    facts = Rows.of(FACTS)
    for kind in _KINDS:
        _add_facts(facts, batch.of(kind.type), kind)
    _add_written_off(facts, batch)
    _add_available(facts, batch)
    return [facts, _payouts(batch), _batches(batch)]


def _add_facts(facts: Rows, events: Slice[Event], kind: _Kind) -> None:
    items = events.get(kind.item) if kind.item else ""
    facts.add(
        len(events),
        merchant=events.get("merchant"),
        currency=events.get("currency"),
        kind=kind.kind,
        amount=events.get(kind.amount),
        payment_id=events.get(kind.payment) if kind.payment else "",
        item=[kind.prefix + item for item in items] if kind.prefix else items,
        batch_id="",
        recorded_at=events.recorded_at,
        partition=events.partitions,
        position=events.positions,
        event_id=events.event_ids,
    )


def _add_written_off(facts: Rows, batch: Batch) -> None:
    events = batch.of(CaptureWrittenOff)
    for body, recorded_at, partition, position, event_id in zip(
        events.bodies,
        events.recorded_at,
        events.partitions,
        events.positions,
        events.event_ids,
        strict=True,
    ):
        if body.borne_by is Bearer.MERCHANT:
            facts.add(
                1,
                merchant=body.merchant,
                currency=body.currency,
                kind="written_off",
                amount=body.amount,
                payment_id=body.payment_id,
                item=f"loss:{body.capture_id}",
                batch_id="",
                recorded_at=recorded_at,
                partition=partition,
                position=position,
                event_id=event_id,
            )


def _add_available(facts: Rows, batch: Batch) -> None:
    events = batch.of(FundsMadeAvailable)
    for body, recorded_at, partition, position, event_id in zip(
        events.bodies,
        events.recorded_at,
        events.partitions,
        events.positions,
        events.event_ids,
        strict=True,
    ):
        facts.add(
            len(body.entries),
            merchant=body.merchant,
            currency=body.currency,
            kind="available",
            amount=[entry.amount for entry in body.entries],
            payment_id="",
            item=[entry.item for entry in body.entries],
            batch_id=body.batch_id,
            recorded_at=recorded_at,
            partition=partition,
            position=position,
            event_id=event_id,
        )


def _payouts(batch: Batch) -> Rows:
    rows = Rows.of(PAYOUTS)

    def add(events: Slice[Any], step: str, **values: Any) -> None:
        given = {"account": "", "attempt": 0, "value_on": 0, "return_code": "", **values}
        rows.add(
            len(events),
            payout_id=events.get("payout_id"),
            step=step,
            merchant=events.get("merchant"),
            currency=events.get("currency"),
            amount=events.get("amount"),
            recorded_at=events.recorded_at,
            position=events.positions,
            event_id=events.event_ids,
            **given,
        )

    initiated = batch.of(PayoutInitiated)
    add(
        initiated,
        "initiated",
        account=initiated.get("account"),
        attempt=initiated.get("attempt"),
        value_on=initiated.get("value_on"),
    )
    paid = batch.of(PayoutPaid)
    add(paid, "paid", account=paid.get("account"))
    returned = batch.of(PayoutReturned)
    add(returned, "returned", account=returned.get("account"), return_code=returned.get("return_code"))
    add(batch.of(PayoutReturnCredited), "credited")
    return rows


def _batches(batch: Batch) -> Rows:
    rows = Rows.of(BATCHES)
    events = batch.of(SettlementBatchClosed)
    fields = ("batch_id", "merchant", "currency", "settled_on", "entries", "credits", "debits", "available")
    rows.add(
        len(events),
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
        **{field: events.get(field) for field in fields},
    )
    return rows
