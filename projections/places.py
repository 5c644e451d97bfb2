"""Where every cent is: each one that was asked for stands at exactly one place, and the places have names.

Three divisions, each of one amount:

- what a **request** asked for, until it is let go, given back, taken as a fee, or the merchant's (``money_places``);
- what of it was captured, by how far its network is with paying it (``capture_places``);
- what is the merchant's of all its payments, by where settlement has it (``merchant_places``). From here on money is
  pooled: a payout carries a balance, not payments.

``money_unplaced`` holds each amount against the sum of its places, and is empty. That can fail: no place is what the
others leave over, and of two places between which a posting moves money one is read off the ledger, the other off what
was decided. A posting or a decision that is lost, or comes twice, leaves a difference.

Everything that one event does is in a cut or out of it, so this holds of every moment of the past, too.
"""

from typing import Final, NamedTuple

from projections.batch import Batch
from projections.port import Rows, Table, View

NAME: Final = "places"
VERSION: Final = 1
TABLES: Final[tuple[Table, ...]] = ()


class Standing(NamedTuple):
    """A place: its name, what its money means, and the record that it is read off."""

    place: str
    meaning: str
    record: str


REQUEST: Final = (
    Standing(
        "refused", "refused at the door, or in conflict with an earlier request under its key", "decisions"
    ),
    Standing("taken", "accepted, and on its way to where its card is", "decisions"),
    Standing("open", "nobody has answered yet", "decisions"),
    Standing("blocked", "blocked by risk", "decisions"),
    Standing("declined", "declined by the issuer, or nobody could be asked", "decisions"),
    Standing("unknown", "no answer came in time: taken back, not acknowledged yet", "decisions"),
    Standing("reversed", "no answer came in time: taken back, and acknowledged", "decisions"),
    Standing("not_approved", "what an approval, or the answer to an increment, left out", "decisions"),
    Standing("on_hold", "held by the issuer, not captured", "ledger"),
    Standing("voided", "let go by the merchant, or by whoever looked at the payment", "both"),
    Standing("released", "the rest of a hold, let go when the last capture was made", "decisions"),
    Standing("expired", "on hold until the hold ran out", "decisions"),
    Standing("written_off", "captured, never paid by the network; the merchant bears it", "ledger"),
    Standing("fees", "charged to the merchant for the payment and its disputes", "ledger"),
    Standing("refund_in_transit", "to be given back to the card, not cleared yet", "ledger"),
    Standing("refunded", "given back to the card", "decisions"),
    Standing("disputed", "held until its dispute is decided", "ledger"),
    Standing("charged_back", "lost in a dispute: the cardholder's", "decisions"),
    Standing(
        "merchant", "the merchant's: `merchant_places` goes on. Below zero: more went than came", "decisions"
    ),
)
CAPTURE: Final = (
    Standing("unbilled", "not accepted by its network yet, or given back by it", "ledger"),
    Standing("in_cycle", "accepted, in a settlement cycle that is not paid", "decisions"),
    Standing("settled", "in a settlement cycle that the network has paid", "decisions"),
    Standing("never_paid", "written off: no network will pay it", "decisions"),
)
MERCHANT: Final = (
    Standing("pending", "captured, not made available yet", "ledger"),
    Standing("available", "what the next payout can carry", "decisions"),
    Standing("reserve", "kept back in the rolling reserve", "ledger"),
    Standing("held", "on hold", "ledger"),
    Standing("owed", "below zero: a debt of the merchant's", "ledger"),
    Standing("in_payout", "sent to the bank, not seen on its statement yet", "ledger"),
    Standing("paid_out", "seen on the bank's statement, and not come back", "decisions"),
    Standing("in_debit", "below zero: being drawn from the merchant's bank account for a debt", "decisions"),
    Standing("drawn", "below zero: drawn from there", "ledger"),
    Standing("forgiven", "below zero: a debt that was given up", "decisions"),
    Standing(
        "bank_difference", "paid less by the bank than was sent, and left so; below zero: more", "decisions"
    ),
)

_CHART: Final = ", ".join(
    f"('{division}', {order}, '{one.place}', '{one.record}', '{one.meaning.replace(chr(39), 2 * chr(39))}')"
    for division, places in (("request", REQUEST), ("capture", CAPTURE), ("merchant", MERCHANT))
    for order, one in enumerate(places, 1)
)

#: What payments owe a merchant: kinds of facts, and which way they go.
OWED: Final = {
    "captured": 1,
    "capture_voided": -1,
    "written_off": -1,
    "fee": -1,
    "dispute_fee": -1,
    "refunded": -1,
    "refund_failed": 1,
    "disputed": -1,
    "dispute_won": 1,
}
_MORE: Final = ", ".join(f"'{kind}'" for kind, sign in OWED.items() if sign > 0)
_LESS: Final = ", ".join(f"'{kind}'" for kind, sign in OWED.items() if sign < 0)

#: Requests for payments that were refused. An event of its own each, for a refusal leaves its key free.
_REFUSED: Final = """
    SELECT refusal.event_id AS request, refusal.body ->> 'merchant' AS merchant,
           asked.body -> 'request' ->> 'currency' AS currency, (asked.body -> 'request' ->> 'amount')::BIGINT AS asked,
           coalesce(refusal.body ->> 'amount', asked.body -> 'request' ->> 'amount')::BIGINT AS amount
    FROM (
        SELECT event_id, causation_id, body FROM events
        WHERE log = 'intake' AND type IN ('RequestRejected', 'IdempotencyConflictObserved')
    ) AS refusal
    JOIN (SELECT event_id, body FROM events WHERE log = 'intake' AND type = 'RequestReceived') AS asked
    ON asked.event_id = refusal.causation_id AND (asked.body -> 'request' ->> 'type') = 'PaymentRequest'
"""
#: Requests that were accepted and that the payments log has not taken yet: on their way between two logs.
_TAKEN: Final = """
    SELECT accepted.body ->> 'payment_id' AS request, accepted.body ->> 'merchant' AS merchant,
           asked.body -> 'request' ->> 'currency' AS currency, (asked.body -> 'request' ->> 'amount')::BIGINT AS amount
    FROM (
        SELECT causation_id, body FROM events WHERE log = 'intake' AND type = 'RequestAccepted'
              AND (body ->> 'operation') = 'payment'
              AND (body ->> 'payment_id') NOT IN (SELECT payment_id FROM payment_requests)
    ) AS accepted
    JOIN (SELECT event_id, body FROM events WHERE log = 'intake' AND type = 'RequestReceived') AS asked
    ON asked.event_id = accepted.causation_id
"""
_INCREMENTS: Final = """
    SELECT body ->> 'payment_id' AS payment_id, body ->> 'increment_id' AS increment_id,
           body ->> 'currency' AS currency, (body ->> 'amount')::BIGINT AS amount
    FROM events WHERE log = 'payments' AND type = 'IncrementAdmitted'
"""

VIEWS: Final = (
    View(
        "places",
        "Every place at which money can be: of which division, in the order of a payment's life, what it means, and"
        " the record that it is read off.",
        f"SELECT * FROM (VALUES {_CHART}) AS chart(division, number, place, record, meaning)",
    ),
    View(
        "money_asked",
        "What every request for a payment asked for: its own amount, increments that were admitted, and what captures"
        " took above the hold. Repetitions ask for nothing new.",
        f"""
        SELECT asked.request, asked.merchant, asked.currency, asked.requested,
               coalesce(more.amount, 0)::BIGINT AS increments, coalesce(above.amount, 0)::BIGINT AS above_hold,
               (asked.requested + coalesce(more.amount, 0) + coalesce(above.amount, 0))::BIGINT AS asked
        FROM (
            SELECT payment_id AS request, merchant, currency, amount AS requested FROM payment_requests
            UNION ALL
            SELECT request, merchant, currency, amount FROM ({_TAKEN}) AS taken
            UNION ALL
            SELECT request, merchant, currency, asked FROM ({_REFUSED}) AS refused
        ) AS asked
        LEFT JOIN (
            SELECT payment_id, sum(amount) AS amount FROM ({_INCREMENTS}) AS increments GROUP BY payment_id
        ) AS more ON more.payment_id = asked.request
        LEFT JOIN (
            SELECT payment_id, sum(amount - hold_released) AS amount FROM payment_steps
            WHERE step = 'captured' AND amount > hold_released GROUP BY payment_id
        ) AS above ON above.payment_id = asked.request
        """,
    ),
    View(
        "money_places",
        "Where every cent of every request is, minor units: the places of a request add up to what it asked for"
        " (money_asked). Below zero at the merchant: it pays the difference from its other payments.",
        f"""
        SELECT move.request, coalesce(request.merchant, '') AS merchant, move.currency, move.place,
               sum(move.amount)::BIGINT AS amount
        FROM (
            SELECT asked.payment_id AS request, asked.currency, 'open' AS place, asked.amount
            FROM payment_requests AS asked
            WHERE NOT EXISTS (SELECT 1 FROM merchant_facts AS outcome WHERE outcome.payment_id = asked.payment_id
                              AND outcome.kind IN ('authorized', 'declined'))
              AND NOT EXISTS (SELECT 1 FROM payment_steps AS outcome WHERE outcome.payment_id = asked.payment_id
                              AND outcome.step = 'unknown')
            UNION ALL
            SELECT increment.payment_id, increment.currency, 'open', increment.amount
            FROM ({_INCREMENTS}) AS increment
            WHERE NOT EXISTS (SELECT 1 FROM payment_steps AS answer WHERE answer.payment_id = increment.payment_id
                              AND answer.item = increment.increment_id
                              AND answer.step IN ('incremented', 'increment_declined'))
            UNION ALL
            SELECT key, body ->> 'currency', 'not_approved',
                   (body ->> 'requested')::BIGINT - (body ->> 'amount')::BIGINT
            FROM events WHERE log = 'payments' AND type = 'AuthorizationIncremented'
            UNION ALL
            SELECT step.payment_id, asked.currency, 'not_approved', asked.amount - step.amount
            FROM payment_steps AS step JOIN payment_requests AS asked ON asked.payment_id = step.payment_id
            WHERE step.step = 'authorized'
            UNION ALL
            SELECT payment_id, currency,
                   CASE step WHEN 'declined' THEN CASE reason WHEN 'risk_blocked' THEN 'blocked' ELSE 'declined' END
                             WHEN 'unknown' THEN 'unknown' WHEN 'reversed' THEN 'reversed'
                             WHEN 'increment_declined' THEN 'not_approved' WHEN 'refund_cleared' THEN 'refunded'
                             ELSE 'charged_back' END, amount
            FROM payment_steps
            WHERE step IN ('declined', 'unknown', 'increment_declined', 'refund_cleared', 'dispute_lost')
               OR (step = 'reversed' AND reason = 'timeout')
            UNION ALL
            SELECT payment_id, currency, 'unknown', -amount FROM payment_steps
            WHERE step = 'reversed' AND reason = 'timeout'
            UNION ALL
            SELECT step.payment_id, asked.currency,
                   CASE step.step WHEN 'voided' THEN 'voided' WHEN 'expired' THEN 'expired' ELSE 'released' END,
                   step.hold_released - CASE step.step WHEN 'captured' THEN step.amount ELSE 0 END
            FROM payment_steps AS step JOIN payment_requests AS asked ON asked.payment_id = step.payment_id
            WHERE step.step IN ('voided', 'expired', 'released', 'reversed')
               OR (step.step = 'captured' AND step.hold_released > step.amount)
            UNION ALL
            -- An event's id begins with the key of its stream, which is the payment. A place of the ledger is a
            -- liability or a hold, which credits make larger; what takes money off the merchant debits it.
            SELECT split_part(event_id, '.', 1), currency,
                   CASE WHEN account LIKE 'memo:auth_hold:%' THEN 'on_hold'
                        WHEN account = 'liab:refund_in_transit' THEN 'refund_in_transit'
                        WHEN account = 'liab:dispute_held' THEN 'disputed'
                        WHEN account LIKE 'income:%' THEN 'fees'
                        WHEN type = 'CaptureVoided' THEN 'voided' ELSE 'written_off' END,
                   CASE WHEN account LIKE 'liab:merchant_pending:%' THEN amount ELSE -amount END
            FROM ledger_entries
            WHERE log = 'payments' AND (
                account LIKE 'memo:auth_hold:%' OR account IN ('liab:refund_in_transit', 'liab:dispute_held')
                OR account IN ('income:processing_fee', 'income:dispute_fee')
                OR (account LIKE 'liab:merchant_pending:%' AND type IN ('CaptureVoided', 'CaptureWrittenOff')))
            UNION ALL
            SELECT payment_id, currency, 'merchant', CASE WHEN kind IN ({_MORE}) THEN amount ELSE -amount END
            FROM merchant_facts WHERE kind IN ({_MORE}, {_LESS})
        ) AS move
        LEFT JOIN payment_requests AS request ON request.payment_id = move.request
        GROUP BY move.request, request.merchant, move.currency, move.place
        HAVING sum(move.amount) <> 0
        UNION ALL
        SELECT request, merchant, currency, 'taken', amount FROM ({_TAKEN}) AS taken
        UNION ALL
        SELECT request, merchant, currency, 'refused', amount FROM ({_REFUSED}) AS refused
        """,
    ),
    View(
        "capture_places",
        "How far the networks are with paying what was captured, minor units: the places of a payment add up to what"
        " was captured of it and not undone. Refunds, disputes and interchange are taken off whole cycles (cycles).",
        """
        SELECT payment_id, network, currency, place, sum(amount)::BIGINT AS amount
        FROM (
            SELECT split_part(event_id, '.', 1) AS payment_id, split_part(account, ':', 3) AS network, currency,
                   'unbilled' AS place, amount
            FROM ledger_entries WHERE account LIKE 'asset:network_unbilled:%'
            UNION ALL
            SELECT payment_id, network, currency, 'never_paid', amount FROM payment_steps WHERE step = 'written_off'
            UNION ALL
            SELECT cleared.payment_id, cleared.network, cleared.currency,
                   CASE WHEN paid.cycle IS NULL THEN 'in_cycle' ELSE 'settled' END, cleared.amount
            FROM (
                SELECT payment_id, network, currency, reason AS cycle, amount
                FROM payment_steps WHERE step = 'cleared'
                UNION ALL
                SELECT key, body ->> 'network', body ->> 'currency', body ->> 'cycle', -(body ->> 'amount')::BIGINT
                FROM events WHERE log = 'payments' AND type = 'ClearingRecordReturned'
            ) AS cleared
            LEFT JOIN (
                SELECT DISTINCT item AS cycle FROM bank_line_uses WHERE use = 'network_settlement'
            ) AS paid ON paid.cycle = cleared.cycle
        ) AS move
        GROUP BY payment_id, network, currency, place
        HAVING sum(amount) <> 0
        """,
    ),
    View(
        "merchant_places",
        "Where each merchant's money is, minor units: the places of a merchant add up to what is the merchant's of all"
        " its requests (money_places).",
        """
        SELECT merchant, currency, place, sum(amount)::BIGINT AS amount
        FROM (
            SELECT split_part(account, ':', 3) AS merchant, currency,
                   CASE split_part(account, ':', 2) WHEN 'merchant_pending' THEN 'pending'
                        WHEN 'merchant_reserve' THEN 'reserve' WHEN 'merchant_hold' THEN 'held' ELSE 'owed' END
                       AS place, -amount AS amount
            FROM ledger_entries
            WHERE account LIKE 'liab:merchant_pending:%' OR account LIKE 'liab:merchant_reserve:%'
               OR account LIKE 'liab:merchant_hold:%' OR account LIKE 'asset:merchant_receivable:%'
            UNION ALL
            SELECT merchant, currency, 'available',
                   available + adjusted - paid_out + payout_credited + payout_failed - reserve_withheld
                   + reserve_released - hold_placed + hold_released + receivable_raised - receivable_offset
            FROM merchant_sums
            UNION ALL
            SELECT merchant, currency, 'forgiven', -forgiven FROM merchant_sums
            UNION ALL
            SELECT merchant, currency, 'in_debit', debit_returned - debited FROM merchant_sums
            UNION ALL
            SELECT payout.merchant, entry.currency, 'in_payout', -entry.amount
            FROM ledger_entries AS entry
            JOIN (SELECT DISTINCT payout_id, merchant FROM payout_steps) AS payout ON payout.payout_id = entry.item
            WHERE entry.account = 'liab:payout_in_transit'
            UNION ALL
            SELECT merchant, currency, 'paid_out', CASE step WHEN 'paid' THEN amount ELSE -amount END
            FROM payout_steps WHERE step IN ('paid', 'returned')
            UNION ALL
            SELECT payout.merchant, off.currency, 'bank_difference', -off.amount
            FROM corrections AS off
            JOIN (SELECT DISTINCT payout_id, merchant FROM payout_steps) AS payout ON payout.payout_id = off.item
            WHERE off.kind = 'payout_difference'
            UNION ALL
            SELECT debit.merchant, seen.currency, 'in_debit',
                   CASE seen.use WHEN 'debit_paid' THEN seen.amount ELSE -seen.amount END
            FROM bank_line_uses AS seen
            JOIN (SELECT DISTINCT item, merchant FROM merchant_facts WHERE kind = 'debited') AS debit
            ON debit.item = seen.item
            WHERE seen.use IN ('debit_paid', 'debit_returned')
            UNION ALL
            SELECT debit.merchant, entry.currency, 'drawn', entry.amount
            FROM ledger_entries AS entry
            JOIN (SELECT DISTINCT item, merchant FROM merchant_facts WHERE kind = 'debited') AS debit
            ON debit.item = entry.item
            WHERE entry.account = 'liab:payout_in_transit'
              AND entry.type IN ('MerchantDebited', 'MerchantDebitReversed')
        ) AS move
        GROUP BY merchant, currency, place
        HAVING sum(amount) <> 0
        """,
    ),
    View(
        "money_unplaced",
        "Amounts that their places do not add up to: cents that are at no place, or at two. Empty, or there is a"
        " defect.",
        """
        SELECT division, name, currency, sum(amount)::BIGINT AS amount, sum(placed)::BIGINT AS placed
        FROM (
            SELECT 'request' AS division, request AS name, currency, asked AS amount, 0 AS placed FROM money_asked
            UNION ALL
            SELECT 'request', request, currency, 0, amount FROM money_places
            UNION ALL
            SELECT 'capture', payment_id, currency, CASE kind WHEN 'captured' THEN amount ELSE -amount END, 0
            FROM merchant_facts WHERE kind IN ('captured', 'capture_voided')
            UNION ALL
            SELECT 'capture', payment_id, currency, 0, amount FROM capture_places
            UNION ALL
            SELECT 'merchant', merchant, currency, amount, 0 FROM money_places WHERE place = 'merchant'
            UNION ALL
            SELECT 'merchant', merchant, currency, 0, amount FROM merchant_places
        ) AS held
        GROUP BY division, name, currency
        HAVING sum(amount) <> sum(placed)
        """,
    ),
)


def apply(_: Batch) -> list[Rows]:
    """No rows: everything is read off other projections' tables."""
    return []
