"""Merchants: what was asked, taken, charged and paid out for each, to the cent.

Every fact about a merchant's money is one row of ``merchant_facts``; totals and statements are sums over them.
The columns of ``merchant_totals`` stand for accounts of the ledger: pending is what its payments owe it and
settlement has not taken over yet, available is what the next payout will carry, less what it owes us, and reserve is
what is kept back, with holds.
"""

from typing import Any, Final, NamedTuple

from events.authorization import PaymentAuthorized, PaymentDeclined
from events.balances import (
    MerchantLossWrittenOff,
    MerchantReceivableOffset,
    MerchantReceivableRaised,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
    SettlementHoldReleased,
)
from events.base import Event
from events.clearing import Bearer, CaptureWrittenOff
from events.disputes import DisputeMerchantDebited, DisputeWon
from events.fees import DisputeFeeCharged, ProcessingFeeCharged
from events.lifecycle import CaptureVoided, PaymentCaptured, PaymentRequested
from events.payouts import (
    MerchantDebitApplied,
    MerchantDebitReturned,
    PayoutFailed,
    PayoutRetryScheduled,
    PayoutSubmitted,
)
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
VERSION: Final = 2

#: Movements of the available balance (the account MA), and which way they go.
BALANCE_KINDS: Final = {
    "available": 1,
    "adjusted": 1,
    "paid_out": -1,
    "payout_credited": 1,
    "payout_failed": 1,
    "reserve_withheld": -1,
    "reserve_released": 1,
    "hold_placed": -1,
    "hold_released": 1,
    "receivable_raised": 1,
    "receivable_offset": -1,
}
#: Kinds of facts that the settlement log tells.
SETTLEMENT_KINDS: Final = (*BALANCE_KINDS, "forgiven", "debited", "debit_returned")
_IN_SETTLEMENT: Final = ", ".join(f"'{kind}'" for kind in BALANCE_KINDS)

FACTS: Final = Table(
    "merchant_facts",
    "One fact about a merchant's money; amounts are positive minor units, except for kind 'adjusted'.",
    (
        Column("merchant", "TEXT", "merchant id"),
        Column("currency", "TEXT", "ISO 4217"),
        Column(
            "kind",
            "TEXT",
            "requested, authorized, declined, captured, capture_voided, refunded, refund_failed, fee, disputed,"
            " dispute_won, dispute_fee, written_off;"
            " available (an entry made available), adjusted (one that took effect at once), paid_out, payout_credited,"
            " reserve_withheld, reserve_released, hold_placed, hold_released, receivable_raised, receivable_offset,"
            " forgiven (written off what it owes), payout_failed (never sent), debited (drawn from its bank account),"
            " debit_returned",
        ),
        Column("amount", "BIGINT", "minor units; an entry that is the merchant's debt is negative"),
        Column("payment_id", "TEXT", "the payment; empty on facts of settlement"),
        Column(
            "item", "TEXT", "the entry on the pending account, the payout, the part of the reserve, the hold"
        ),
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
    "What happened to payouts: initiated, submitted or failed, paid (seen on the bank statement), returned, credited,"
    " retry (to be sent again).",
    (
        Column("payout_id", "TEXT", "payout id"),
        Column("step", "TEXT", "initiated, submitted, failed, paid, returned, credited, retry"),
        Column("merchant", "TEXT", "merchant id"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units"),
        Column("account", "TEXT", "our bank account; empty on credited"),
        Column(
            "attempt", "INTEGER", "on initiated: 1, more after returns; on retry: that of the next payout"
        ),
        Column(
            "value_on",
            "DATE",
            "on initiated: when the bank is to pay; on retry: the first day of the next payout",
        ),
        Column("return_code", "TEXT", "on returned and retry: the bank's reason; on failed: ours"),
        Column(
            "correction", "TEXT", "on returned and retry: code of the bank's notification of change, or empty"
        ),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("position", "BIGINT", "position in its log"),
        Column("event_id", "TEXT", "the event"),
    ),
    business=(
        *("payout_id", "step", "merchant", "currency", "amount", "account", "attempt", "return_code"),
        "correction",
    ),
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
                "disputed",
                "dispute_won",
                "dispute_fee",
                "written_off",
                *SETTLEMENT_KINDS,
            )
        )
        + " FROM merchant_facts GROUP BY merchant, currency",
    ),
    View(
        "merchant_totals",
        "Where each merchant's money is, in minor units: captured = refunded + disputed + fees + pending + available"
        " + reserve + paid_out - forgiven. Captured is net of voided captures and of those that no network paid"
        " (merchant_losses), refunded of failed refunds, disputed of what was won; paid_out is what was sent to"
        " the bank and has not come back,"
        " less what was drawn from there."
        " Available is less what the merchant owes (receivable), reserve has what is on hold in it (held).",
        """
        SELECT merchant, currency, requested, authorized, declined,
               captured - capture_voided - written_off AS captured,
               refunded - refund_failed AS refunded,
               disputed - dispute_won AS disputed,
               fee + dispute_fee AS fees,
               captured - capture_voided - refunded + refund_failed - fee - disputed + dispute_won - dispute_fee
                   - written_off - available - adjusted AS pending,
               available + adjusted - paid_out + payout_credited + payout_failed - reserve_withheld
                   + reserve_released - hold_placed + hold_released + forgiven + debited - debit_returned AS available,
               reserve_withheld - reserve_released + hold_placed - hold_released AS reserve,
               paid_out - payout_credited - payout_failed - debited + debit_returned AS paid_out,
               hold_placed - hold_released AS held,
               receivable_raised - receivable_offset - forgiven - debited + debit_returned AS receivable,
               forgiven
        FROM merchant_sums
        """,
    ),
    View(
        "merchant_reserves",
        "The parts of merchants' rolling reserves: what was kept back at a run, and what of it is still kept.",
        """
        SELECT kept.reserve_id, kept.merchant, kept.currency, kept.withheld, kept.share_ppm, kept.withheld_at,
               kept.release_on, kept.withheld - coalesce(released.amount, 0) AS kept
        FROM (
            SELECT body ->> 'reserve_id' AS reserve_id, body ->> 'merchant' AS merchant,
                   body ->> 'currency' AS currency, (body ->> 'amount')::BIGINT AS withheld,
                   (body ->> 'share_ppm')::BIGINT AS share_ppm, recorded_at AS withheld_at,
                   DATE '1970-01-01' + (body ->> 'release_on')::INTEGER AS release_on
            FROM events WHERE type = 'ReserveWithheld'
        ) AS kept
        LEFT JOIN (
            SELECT merchant, currency, item, sum(amount)::BIGINT AS amount FROM merchant_facts
            WHERE kind = 'reserve_released' GROUP BY merchant, currency, item
        ) AS released
        ON released.merchant = kept.merchant AND released.currency = kept.currency
           AND released.item = kept.reserve_id
        """,
    ),
    View(
        "merchant_holds",
        "Holds on merchants' money: why, for how much (0: for everything), what they keep, who approved them.",
        """
        SELECT placed.hold_id, placed.merchant, placed.currency, placed.reason, placed.wanted, placed.placed_at,
               placed.approver, placed.amount AS placed, coalesce(released.amount, 0)::BIGINT AS released,
               released.released_at
        FROM (
            SELECT body ->> 'hold_id' AS hold_id, body ->> 'merchant' AS merchant, body ->> 'currency' AS currency,
                   max(body ->> 'reason') AS reason, max((body ->> 'wanted')::BIGINT) AS wanted,
                   min(recorded_at) AS placed_at, max(body ->> 'approver') AS approver,
                   sum((body ->> 'amount')::BIGINT)::BIGINT AS amount
            FROM events WHERE type = 'SettlementHoldPlaced' GROUP BY 1, 2, 3
        ) AS placed
        LEFT JOIN (
            SELECT body ->> 'hold_id' AS hold_id, body ->> 'merchant' AS merchant, body ->> 'currency' AS currency,
                   sum((body ->> 'amount')::BIGINT)::BIGINT AS amount, max(recorded_at) AS released_at
            FROM events WHERE type = 'SettlementHoldReleased' GROUP BY 1, 2, 3
        ) AS released
        ON released.hold_id = placed.hold_id AND released.merchant = placed.merchant
           AND released.currency = placed.currency
        """,
    ),
    View(
        "merchant_debts",
        "What merchants owe us: taken onto the books, paid by later funds, given up, and what is left.",
        """
        SELECT merchant, currency, receivable_raised AS raised, receivable_offset AS offset_by_funds, forgiven,
               debited - debit_returned AS debited,
               receivable_raised - receivable_offset - forgiven - debited + debit_returned AS owed
        FROM merchant_sums WHERE receivable_raised <> 0
        """,
    ),
    View(
        "merchant_losses",
        "Captures that no network paid and the merchant bears, minor units.",
        "SELECT merchant, currency, written_off FROM merchant_sums WHERE written_off <> 0",
    ),
    View(
        "merchant_debits",
        "What was drawn from merchants' bank accounts for what they owed, and whether it came back unpaid.",
        """
        SELECT drawn.debit_id, drawn.merchant, drawn.currency, drawn.amount, drawn.attempt, drawn.applied_at,
               drawn.value_on, seen.paid_at, coalesce(seen.return_code, '') AS return_code,
               CASE WHEN seen.return_code IS NOT NULL THEN 'returned' WHEN seen.paid_at IS NOT NULL THEN 'paid'
                    ELSE 'in_transit' END AS status
        FROM (
            SELECT body ->> 'debit_id' AS debit_id, body ->> 'merchant' AS merchant, body ->> 'currency' AS currency,
                   (body ->> 'amount')::BIGINT AS amount, (body ->> 'attempt')::BIGINT AS attempt,
                   DATE '1970-01-01' + (body ->> 'value_on')::INTEGER AS value_on, recorded_at AS applied_at
            FROM events WHERE type = 'MerchantDebitApplied'
        ) AS drawn
        LEFT JOIN (
            SELECT body ->> 'debit_id' AS debit_id,
                   min(recorded_at) FILTER (WHERE type = 'MerchantDebited') AS paid_at,
                   max(body ->> 'return_code') FILTER (WHERE type = 'MerchantDebitReversed') AS return_code
            FROM events WHERE type IN ('MerchantDebited', 'MerchantDebitReversed') GROUP BY 1
        ) AS seen
        ON seen.debit_id = drawn.debit_id
        """,
    ),
    View(
        "payouts",
        "One row a payout, with what became of it.",
        """
        SELECT payout_id, max(merchant) AS merchant, max(currency) AS currency,
               max(amount) FILTER (WHERE step = 'initiated') AS amount,
               max(attempt) FILTER (WHERE step = 'initiated') AS attempt, max(account) AS account,
               CASE WHEN bool_or(step = 'credited') THEN 'credited' WHEN bool_or(step = 'failed') THEN 'failed'
                    WHEN bool_or(step = 'returned') THEN 'returned'
                    WHEN bool_or(step = 'paid') THEN 'paid' ELSE 'in_transit' END AS status,
               max(value_on) FILTER (WHERE step = 'initiated') AS value_on,
               coalesce(max(return_code) FILTER (WHERE step IN ('returned', 'failed')), '') AS return_code,
               coalesce(max(correction) FILTER (WHERE step = 'returned'), '') AS correction,
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
        "A merchant's days: what was taken over, adjusted, paid out, kept back (below zero: given back) and owed to us"
        " (below zero: paid by funds), and the available balance at its end.",
        """
        SELECT merchant, currency, day, captures, fees, refunds, disputes, other, payouts, returned_payouts, reserve,
               holds, owed,
               sum(captures - fees - refunds - disputes + other - payouts + returned_payouts - reserve - holds + owed)
                   OVER (PARTITION BY merchant, currency ORDER BY day)::BIGINT AS balance
        FROM (
            SELECT merchant, currency, recorded_at::DATE AS day,
                   coalesce(sum(amount) FILTER (WHERE kind = 'available' AND item LIKE 'cap-%'), 0)::BIGINT AS captures,
                   coalesce(-sum(amount) FILTER (WHERE kind = 'available' AND item LIKE 'fee:%'), 0)::BIGINT AS fees,
                   coalesce(-sum(amount) FILTER (WHERE kind = 'adjusted' AND item LIKE 'ref-%'), 0)::BIGINT AS refunds,
                   coalesce(-sum(amount) FILTER (WHERE kind = 'adjusted' AND (
                       item LIKE 'dispute:%' OR item LIKE 'won:%' OR item LIKE 'dispute_fee:%')), 0)::BIGINT
                       AS disputes,
                   coalesce(sum(amount) FILTER (WHERE kind IN ('available', 'adjusted') AND NOT (
                       kind = 'available' AND (item LIKE 'cap-%' OR item LIKE 'fee:%')
                       OR kind = 'adjusted' AND (item LIKE 'ref-%' OR item LIKE 'dispute:%' OR item LIKE 'won:%'
                                                 OR item LIKE 'dispute_fee:%'))), 0)::BIGINT AS other,
                   coalesce(sum(amount) FILTER (WHERE kind = 'paid_out'), 0)::BIGINT AS payouts,
                   coalesce(sum(amount) FILTER (WHERE kind IN ('payout_credited', 'payout_failed')), 0)
                       ::BIGINT AS returned_payouts,
                   sum(CASE kind WHEN 'reserve_withheld' THEN amount WHEN 'reserve_released' THEN -amount
                            ELSE 0 END)::BIGINT AS reserve,
                   sum(CASE kind WHEN 'hold_placed' THEN amount WHEN 'hold_released' THEN -amount
                            ELSE 0 END)::BIGINT AS holds,
                   sum(CASE kind WHEN 'receivable_raised' THEN amount WHEN 'receivable_offset' THEN -amount
                            ELSE 0 END)::BIGINT AS owed
            FROM merchant_facts
            WHERE kind IN ("""
        + _IN_SETTLEMENT
        + """)
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
    _Kind(DisputeMerchantDebited, "disputed", item="case_id", prefix="dispute:"),
    _Kind(DisputeWon, "dispute_won", item="case_id", prefix="won:"),
    _Kind(DisputeFeeCharged, "dispute_fee", item="case_id", prefix="dispute_fee:"),
    _Kind(MerchantBalanceAdjusted, "adjusted", payment="", item="item"),
    _Kind(PayoutInitiated, "paid_out", payment="", item="payout_id"),
    _Kind(PayoutReturnCredited, "payout_credited", payment="", item="payout_id"),
    _Kind(PayoutFailed, "payout_failed", payment="", item="payout_id"),
    _Kind(MerchantDebitApplied, "debited", payment="", item="debit_id"),
    _Kind(MerchantDebitReturned, "debit_returned", payment="", item="debit_id"),
    _Kind(ReserveWithheld, "reserve_withheld", payment="", item="reserve_id"),
    _Kind(ReserveReleased, "reserve_released", payment="", item="reserve_id"),
    _Kind(SettlementHoldPlaced, "hold_placed", payment="", item="hold_id"),
    _Kind(SettlementHoldReleased, "hold_released", payment="", item="hold_id"),
    _Kind(MerchantReceivableRaised, "receivable_raised", payment=""),
    _Kind(MerchantReceivableOffset, "receivable_offset", payment=""),
    _Kind(MerchantLossWrittenOff, "forgiven", payment="", item="write_off_id"),
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
        given = {"account": "", "attempt": 0, "value_on": 0, "return_code": "", "correction": "", **values}
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
    add(
        returned,
        "returned",
        account=returned.get("account"),
        return_code=returned.get("return_code"),
        correction=returned.get("correction"),
    )
    add(batch.of(PayoutSubmitted), "submitted")
    failed = batch.of(PayoutFailed)
    add(failed, "failed", return_code=failed.get("reason"))
    retry = batch.of(PayoutRetryScheduled)
    add(
        retry,
        "retry",
        attempt=retry.get("attempt"),
        value_on=retry.get("retry_on"),
        return_code=retry.get("return_code"),
        correction=retry.get("correction"),
    )
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
