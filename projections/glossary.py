"""What the columns of views mean, for whoever asks in SQL.

A table says it of its columns where it is defined. A view gets most of its columns from tables; what it makes itself
is explained here, and everything else keeps the words of where it comes from. A test knows the columns that nobody
has explained.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from projections.catalog import CATALOG

_MERCHANT_KINDS: Final = {
    "requested": "asked for, minor units",
    "authorized": "approved, minor units",
    "declined": "declined, minor units",
}

#: View, column, what it means.
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "freshness": {
            "projection": "the projection: a group of tables that are filled together",
            "events": "how many records of the logs it has taken",
            "as_of": "latest logical time among them, UTC",
        },
        "freshness_by_log": {
            "projection": "the projection: a group of tables that are filled together",
            "log": "the log: intake, payments, velocity, settlement, reconciliation",
            "partition": "partition of the log",
            "next": "position of the next record to read: those before it have been taken",
            "chain": "chain value of the last record taken",
            "as_of": "latest logical time in the batch that brought it there, UTC",
        },
        "event_edges": {"cause": "event_id of the cause", "effect": "event_id of what it led to"},
        "event_counts": {
            "events": "how many",
            "first_at": "logical time of the first, UTC",
            "last_at": "logical time of the last, UTC",
        },
        "duplicate_requests": {
            "merchant": "merchant id",
            "idempotency_key": "the merchant's own name for the request",
            "payment_id": "the payment of the first request",
            "outcome": "what had become of the first request",
        },
        "refused_requests": {
            "merchant": "merchant id",
            "idempotency_key": "the merchant's own name for the request",
            "operation": "payment, capture, increment, void or refund; empty on a conflict",
            "reason": "why; docs/reasons.md explains each",
            "field": "the field at fault; empty where it is not one",
            "amount": "what was asked for, minor units; 0 where it is not known",
            "currency": "ISO 4217; empty where it is not known",
        },
        "dead_letters": {
            "reason": "why it could not be taken; docs/reasons.md explains each",
            "detail": "what exactly was wrong",
            "size": "bytes of the record",
        },
        "ledger_accounts": {
            "code": "short name of the account",
            "class": "memo, asset, liability, income, expense or trading",
            "family": "class and name of the account, without parameters",
            "pattern": "full name with its parameters in braces",
            "clearing": "whether the account is kept by item and each item must come back to zero",
            "item": "on clearing accounts: what an item is",
        },
        "ledger_balances": {
            "debit": "sum of debits, minor units",
            "credit": "sum of credits, minor units, positive",
            "balance": "debits less credits, minor units",
            "entries": "how many entries",
        },
        "ledger_trial_balance": {"accounts": "how many accounts of the family have entries"},
        "ledger_imbalance": {"imbalance": "debits less credits, minor units"},
        "ledger_residuals": {
            "amount": "what is still open, minor units; debit positive, credit negative",
            "opened_at": "logical time of the item's first entry, UTC",
            "last_moved_at": "logical time of its last entry, UTC",
        },
        "merchant_sums": {
            **_MERCHANT_KINDS,
            "captured": "captured, minor units",
            "capture_voided": "captures undone before they left, minor units",
            "refunded": "refunds approved, minor units",
            "refund_failed": "refunds that came back, minor units",
            "fee": "processing fees, minor units",
            "disputed": "taken for disputes, minor units",
            "dispute_won": "what was taken for disputes and won, minor units",
            "dispute_fee": "fees for disputes, minor units",
            "written_off": "captures that no network paid and the merchant bears, minor units",
            "available": "captures, their voids and fees that settlement made available, minor units",
            "adjusted": "what took effect on the balance at once, minor units; negative against the merchant",
            "paid_out": "sent to the bank, minor units",
            "payout_credited": "payouts that came back, minor units",
            "payout_failed": "payouts that were never sent, minor units",
            "debited": "drawn from the merchant's bank account, minor units",
            "debit_returned": "of that come back unpaid, minor units",
            "reserve_withheld": "kept back in the rolling reserve, minor units",
            "reserve_released": "given back of it, minor units",
            "hold_placed": "put on hold, minor units",
            "hold_released": "released from hold, minor units",
            "receivable_raised": "balances below zero that the merchant owed us, minor units",
            "receivable_offset": "paid of that by later funds, minor units",
            "forgiven": "written off of what the merchant owed us, minor units",
        },
        "merchant_totals": {
            **_MERCHANT_KINDS,
            "captured": "captured, less what was undone or never paid, minor units",
            "refunded": "refunded, less what came back, minor units",
            "disputed": "held for disputes or lost in them, minor units",
            "fees": "processing fees and fees for disputes, minor units",
            "pending": "owed to the merchant and not yet taken over by settlement, minor units",
            "available": "what the next payout carries, minor units; negative where the merchant owes us",
            "reserve": "held back, minor units",
            "paid_out": "sent to the bank and not come back, minor units",
            "held": "on hold, minor units; part of reserve",
            "receivable": "owed to us, minor units; taken off available",
            "forgiven": "written off of what the merchant owed us, minor units",
        },
        "merchant_reserves": {
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "reserve_id": "the part of the reserve that one run kept back",
            "withheld": "kept back then, minor units",
            "share_ppm": "of what the run made available, in millionths",
            "withheld_at": "when, by the logical time of the log, UTC",
            "release_on": "the run of this day gives it back",
            "kept": "still kept, minor units",
        },
        "merchant_holds": {
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "hold_id": "the hold",
            "reason": "why; docs/reasons.md explains each",
            "wanted": "how much it is for, minor units; 0: everything",
            "placed_at": "when it was placed, by the logical time of the log, UTC",
            "approver": "who approved it; empty where settlement itself decided",
            "placed": "taken from the available balance, minor units",
            "released": "given back, minor units",
            "released_at": "when it was released; empty while it is in force",
        },
        "merchant_debts": {
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "raised": "balances below zero that became debts, minor units",
            "offset_by_funds": "paid by later funds, minor units",
            "forgiven": "written off, minor units",
            "debited": "drawn from the merchant's bank account and not come back, minor units",
            "owed": "still owed, minor units",
        },
        "merchant_debits": {
            "debit_id": "the debit",
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "amount": "minor units",
            "attempt": "1, more after returns",
            "applied_at": "when settlement decided it, by the logical time of the log, UTC",
            "value_on": "when the bank is to draw it",
            "paid_at": "when it was seen on the bank statement; empty until then",
            "return_code": "the bank's reason; empty unless it came back",
            "status": "in_transit, paid (seen on the bank statement), returned",
        },
        "merchant_losses": {"written_off": "minor units"},
        "payouts": {
            "status": "in_transit, paid (seen on the bank statement), returned, credited (to be paid again), failed"
            " (never sent)",
            "correction": "code of the bank's notification of change, or empty",
            "value_on": "when the bank is to pay",
            "return_code": "the bank's reason; empty unless it came back",
            "account": "our bank account",
            "attempt": "1, more after returns",
            "initiated_at": "logical time at which it was sent to the bank, UTC",
            "paid_at": "logical time at which the bank statement showed it, UTC; NULL before",
            "position": "position of its beginning in the settlement log",
        },
        "merchant_entries": {
            "kind": "available (on its day) or adjusted (at once)",
            "item": "the entry on the pending account; a capture, fee:capture, a refund, ...",
            "batch_id": "the settlement batch; empty on adjusted",
            "available_at": "logical time at which it came to the available balance, UTC",
            "payout_id": "the payout that carried it; empty while none has been paid",
        },
        "merchant_statement": {
            "day": "day of the logical time, UTC",
            "captures": "captures made available, minor units",
            "fees": "processing fees taken off, minor units",
            "refunds": "refunds taken off, minor units",
            "disputes": "taken for disputes and their fees, less what was won, minor units",
            "other": "voids, failed refunds and write-offs, minor units to the merchant's good",
            "payouts": "sent to the bank, minor units",
            "returned_payouts": "payouts that came back, minor units",
            "reserve": "kept back in the reserve less what came back, minor units",
            "holds": "put on hold less what was released, minor units",
            "owed": "became a debt less what funds paid of debts, minor units",
            "balance": "available balance at the end of the day, minor units",
        },
        "merchant_due": {
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "item": "the entry on the pending account; a capture, fee:capture, a refund, ...",
            "cause": "capture, capture_voided, processing_fee, refund, refund_failed, write_off, dispute, dispute_won"
            " or dispute_fee",
            "amount": "minor units; negative against the merchant",
            "due_on": "the day it becomes available as days since 1970, where the sender knows it; 0 leaves it to the"
            " merchant's terms",
            "entered_at": "logical time at which settlement took it, UTC",
            "partition": "partition of the settlement log",
            "position": "position in it",
        },
        "payment_settlement": {
            "payment_id": "the payment",
            "captures": "how many captures it has",
            "available": "how many of them settlement has made available",
            "paid_out": "how many of them a payout has carried that was paid",
        },
        "payments": {
            "amount": "asked for, minor units",
            "network": "the network it went over last; empty where none was asked",
            "status": "requested, assessed, submitted, authorized, partially_authorized, declined, unknown, reversed,"
            " expired, voided, captured, cleared, settled, paid_out or written_off",
            "decline_reason": "why it was declined; docs/reasons.md explains each",
            "authorized_amount": "approved, increments included, minor units",
            "incremented_amount": "approved by increments, minor units",
            "captured_amount": "captured less what was undone, minor units",
            "refunded_amount": "refunded less what came back, minor units",
            "fee_amount": "processing fees, minor units",
            "written_off_amount": "captured, never paid by the network, minor units",
            "disputed_amount": "held for disputes or lost in them, minor units",
            "dispute_status": "of its newest dispute: open, won, partly_won, lost or closed; empty without one",
            "dispute_stage": "how far its newest dispute came; empty without one",
            "was_authorized": "whether it was ever approved, also in part",
            "was_declined": "whether it was declined",
            "was_unknown": "whether an answer failed to come in time",
            "was_reversed": "whether an authorization was reversed",
            "was_captured": "whether anything was ever captured",
            "was_refunded": "whether anything was ever refunded",
            "was_disputed": "whether its cardholder ever disputed it",
            "was_conflicted": "whether a network approved another amount or currency than it was asked for",
            "was_voided": "whether it was voided",
            "was_expired": "whether its hold ran out",
            "was_cleared": "whether a network ever took a capture of it into a cycle",
            "was_settled": "whether settlement has made every capture available",
            "was_paid_out": "whether payouts that were paid have carried every capture",
            "requested_at": "when it was asked for, by the producer's claim, UTC",
            "last_step_at": "logical time of the last decision about it, UTC",
        },
        "network_performance": {
            "payments": "how many went over it last",
            "authorized": "how many of them were approved",
            "declined": "how many of them were declined",
            "unknown": "how many of them once lacked an answer",
            "approval_ppm": "approved of all, parts per million",
        },
        "decline_reasons": {
            "network": "the network that was asked last; empty where none was",
            "reason": "why; docs/reasons.md explains each",
            "payments": "how many payments",
            "amount": "what they had asked for, minor units",
        },
        "risk_summary": {
            "payments": "how many were judged",
            "allowed": "how many were allowed",
            "reviewed": "how many were allowed and put up for review",
            "stepped_up": "how many were allowed and should have been authenticated first",
            "blocked": "how many were blocked",
            "highest_score": "0 harmless to 100",
        },
        "dispute_monitoring": {
            "month": "first day of the month of logical time, UTC",
            "transactions": "payments that the network cleared in the month",
            "remote_transactions": "those of them where no card was present",
            "transactions_before": "payments that it cleared in the month before",
            "ecommerce_before": "those of them in e-commerce",
            "ecommerce_sales_before": "what these came to, minor units",
            "fraud_reports": "how many payments issuers reported as fraud in the month",
            "remote_fraud_reports": "those of them where no card was present",
            "disputes": "disputes that were opened in the month, inquiries left out",
            "remote_disputes": "those of them where no card was present",
            "ecommerce_fraud_amount": "disputed in e-commerce as fraud (4837, 4863), minor units",
        },
        "monitoring_standing": {
            "month": "first day of the month of logical time, UTC",
            "programme": "vamp_excessive (Visa), ecm, hecm or efm (Mastercard)",
            "currency": "ISO 4217 where the programme goes by amount; empty where by count",
            "counted": "what counts against the merchant: reports and disputes, or minor units",
            "counted_limit": "from where on the programme applies",
            "base": "what it is held against: payments, or minor units",
            "ratio_bps": "counted against base, basis points rounded down; NULL where there is no base",
            "ratio_limit_bps": "from where on the programme applies, for both have to be reached",
            "percent_of_limit": "how near it is: the smaller of the two against their limits, per cent rounded down",
            "standing": "exceeded, near (the stated share of both limits, see alert_percent) or within",
        },
        "dispute_delays": {
            "said": "fraud_warning or dispute",
            "days": "how many days after the payment was cleared for the first time",
            "cases": "how many came then",
        },
        "known_frauds": {
            "known_at": "logical time since when verdicts on payments with its card know of it, UTC",
            "known_everywhere_at": "logical time since when all others do, UTC; NULL where it is still on its way",
        },
        "identity_answers": {
            "payments": "how many payments it answered so",
            "first_at": "logical time of the first payment with such an answer, UTC",
            "last_at": "logical time of the last one so far, UTC",
        },
        "payment_labels": {
            "label": "fraud where one of them says so, else genuine",
            "fraud_amount": "the most that one of them says is fraud, minor units",
            "fraud_by": "who calls it fraud: issuer, merchant, analyst, separated by commas; NULL where nobody does",
            "last_said_at": "logical time of the newest of these words, UTC",
        },
        "fraud_keys": {
            "known_at": "logical time since when every partition knows of it, UTC",
            "kind": "card, ip, device or email",
            "key": "the key: the vault's name for the card, or a surrogate",
            "most_cards": "up to how many different cards a key of this kind links",
        },
        "fraud_links": {
            "frauds": "how many known frauds the key has",
            "cards": "how many different cards they have",
            "links": "whether it links them: not where it has seen fraud on too many cards",
            "first_payment": "the first of those frauds in the order of their ids",
        },
        "fraud_clusters": {
            "cluster": "name of the cluster: the first of its payments in the order of their ids"
        },
        "scorecard_learning": {
            "number": "the batch, from 1",
            "partitions": "how many partitions of the payments log have learned it",
            "agreed": "whether the scorecard is the same in all of them behind it",
            "first_learned_at": "logical time of the first of them, UTC",
            "last_learned_at": "logical time of the last of them, UTC",
        },
        "risk_rule_hits": {
            "rule": "name of the rule",
            "hits": "how many payments it matched",
            "blocked": "how many of them were blocked",
        },
        "disputes": {
            "reason_code": "the network's reason code",
            "status": "open, won, partly_won, lost, or closed (an inquiry that no dispute followed)",
            "stage": "how far it came: inquiry, chargeback, representment, pre_arbitration or arbitration",
            "amount": "what is disputed, or asked about; minor units",
            "at_stake": "taken from the merchant and not decided yet, minor units",
            "held_by_network": "what the network holds and has not kept for good, minor units",
            "won": "what the merchant has again, minor units",
            "lost": "what the cardholder keeps, minor units",
            "fees": "charged to the merchant for the dispute, minor units",
            "evidence": "how often the merchant has sent evidence",
            "reply_by_at": "until when the merchant may answer, UTC; NULL where it is not its turn",
            "opened_at": "logical time of the first step, UTC",
            "closed_at": "logical time at which it was decided, UTC; NULL while it is open",
            "last_step_at": "logical time of the last step, UTC",
        },
        "dispute_outcomes": {
            "reason_code": "the network's reason code",
            "cases": "how many disputes",
            "open": "how many are not decided yet",
            "won": "how many the merchant won",
            "partly_won": "how many it won in part",
            "lost": "how many it lost",
            "amount": "what was disputed, minor units",
            "lost_amount": "what was lost of it, minor units",
        },
        "fraud_summary": {
            "payments": "how many are labelled fraud by the newest label",
            "amount": "what they came to, minor units",
        },
        "reviews": {
            "opened_at": "logical time at which it was opened, UTC",
            "falls_to": "approve or decline: what comes of it where nobody decides in time",
            "status": "open, approve, decline, refund or overtaken (the payment was over before)",
            "ended_at": "logical time at which it was decided or overtaken, UTC; NULL while it is open",
            "proposed_by": "the first of two people, while it is open: who has proposed; empty for nobody",
            "proposed": "while it is open, what one of two people has proposed; else empty",
            "assigned_to": "whose it is, or was when it ended; empty where it is anybody's. Who decided is `analyst`",
            "assigned_at": "logical time since when it is his, UTC; NULL where it is anybody's",
            "assigned_by": "who gave it to him, himself where he took it; empty where it is anybody's",
        },
        "review_statistics": {
            "reviews": "how many were opened",
            "still_open": "how many are open",
            "unassigned": "how many of them are anybody's",
            "overtaken": "how many were over before anybody decided",
            "decided_by_analysts": "how many people decided",
            "lapsed": "how many the deadline decided",
            "approved": "how many were approved, and not given back since",
            "declined": "how many were let go",
            "refunded": "how many were approved and given back",
            "seconds_to_decision": "how long people took from opening to decision, seconds of logical time in the mean",
        },
        "review_desk": {
            "analyst": "whose the reviews are, or were when they ended",
            "still_open": "how many are open and his",
            "next_deadline_at": "the first of their deadlines, UTC; NULL where none is open",
            "decided": "how many of his he decided himself, as the second of two where it took two",
            "decided_by_others": "how many of his somebody else decided",
            "lapsed": "how many of his the deadline decided",
            "overtaken": "how many of his were over before anybody decided",
        },
        "review_precision": {
            "rule": "name of the rule",
            "reviews": "how many reviews it had a part in",
            "fraud": "how many of their payments are labelled fraud by the newest label",
            "genuine": "how many are labelled genuine",
            "fraud_stopped": "how many of the fraud were declined or given back",
        },
        "merchant_settings": {"since_at": "logical time since when it holds, UTC"},
        "hotlist": {"listed_at": "logical time since when, UTC"},
        "velocity_limit_hits": {
            "crossings": "how often a key was found beyond it and announced",
            "keys": "how many different keys",
            "highest": "the most that was counted",
            "allowed": "what it allows; the highest of its versions",
        },
        "clearing_files": {
            "attempts": "how often it has left",
            "refused": "how many of the attempts the network refused",
            "status": "sent, rejected (and not sent again yet) or accepted",
            "sha256": "of the bytes that the network took; empty before",
            "records": "records in it",
            "hash_total": "sum of the reference numbers, modulo 10^18 - 1",
            "sent_at": "logical time at which its first attempt was recorded, UTC",
            "accepted_at": "logical time at which its acceptance was recorded, UTC; NULL before",
            "agrees": "whether it was accepted with as many records as the batches of partitions that are in it",
        },
        "clearing_batches": {
            "partitions": "how many partitions have closed such a batch",
            "presentments": "records that present a capture",
            "presented_amount": "what they come to, minor units",
            "refunds": "records that refund",
            "refunded_amount": "what they come to, minor units",
            "file_id": "the file it is in; empty before a network has it",
            "status": "closed, or accepted: the network has all of it",
        },
        "cycles": {
            "our_net": "what the network owes us by our books, minor units",
            "network_net": "what it says it owes us, minor units",
            "received": "what the bank received for it, minor units",
            "written_off": "the difference that was written off, minor units: our loss positive",
            "agrees": "whether the three are one figure, or what differs was written off or noted by two people",
        },
        "scheme_invoices": {
            "owed": "scheme fees that we counted, with adjustments, minor units",
            "paid": "what left the bank for them, minor units",
            "open": "owed less paid, minor units",
        },
        "bank_statement": {
            "use": "what the line was recognised as; empty while it is on suspense",
            "item": "cycle, invoice period or payout; empty while it is on suspense",
            "balance": "the account after the line, minor units, from the first line on",
        },
        "discrepancies": {
            "kind": "how the two differ: docs/reasons.md explains each",
            "expected": "the event that would settle it",
            "difference": "theirs less ours, minor units; of dates days",
            "detected_at": "logical time at which it was found, UTC",
            "resolved": "whether it has been settled",
            "resolved_at": "logical time at which it was settled, UTC",
            "resolution": "the event that settled it; empty while it is open",
        },
        "places": {
            "division": "request, capture or merchant: the amount that it is a place of",
            "number": "its order among the places of its division",
            "place": "name of the place",
            "record": "what it is read off: the ledger, what was decided, or both",
            "meaning": "what money there is",
        },
        "money_asked": {
            "request": "the payment; of a request that was refused the event that says so",
            "requested": "the request's own amount, minor units",
            "increments": "increments that the network was to be asked for, minor units",
            "above_hold": "what captures took above the hold, minor units",
            "asked": "all of it, minor units",
        },
        "money_places": {
            "request": "the payment; of a request that was refused the event that says so",
            "place": "where the money is; `places` explains each",
            "amount": "minor units; below zero only at the merchant",
        },
        "capture_places": {
            "place": "how far its network is with paying it; `places` explains each",
            "amount": "minor units",
        },
        "merchant_places": {
            "merchant": "merchant id",
            "place": "where the money is; `places` explains each",
            "amount": "minor units; below zero what is the merchant's to pay",
        },
        "money_unplaced": {
            "division": "request, capture or merchant",
            "name": "the request, the payment or the merchant",
            "currency": "ISO 4217",
            "amount": "what there is to place, minor units",
            "placed": "what its places add up to, minor units",
        },
    }
)


def comment(relation: str, column: str) -> str:
    """What a column of a table or view means; empty where nobody has said it."""
    said = COLUMNS.get(relation, {}).get(column) or _of_tables().get(relation, {}).get(column)
    if said:
        return said
    return next(filter(None, (comment(source, column) for source in sources().get(relation, ()))), "")


@cache
def sources() -> Mapping[str, tuple[str, ...]]:
    """The tables and views that each view of the catalog reads, in their order there."""
    found: dict[str, tuple[str, ...]] = {}
    for projection in CATALOG:
        for view in projection.VIEWS:
            words = set(re.findall(r"\w+", view.sql))
            earlier = [*_of_tables(), *found]
            found[view.name] = tuple(name for name in earlier if name in words)
    return found


def fingerprint() -> str:
    """A hash of all that is said here: views whose words have changed are commented anew."""
    said = {view: dict(columns) for view, columns in COLUMNS.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@cache
def _of_tables() -> Mapping[str, Mapping[str, str]]:
    return dict(_tables())


def _tables() -> Iterator[tuple[str, Mapping[str, str]]]:
    for projection in CATALOG:
        for table in projection.TABLES:
            yield table.name, {column.name: column.comment for column in table.columns}
