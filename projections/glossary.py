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
            "log": "the log: intake, payments, settlement, reconciliation",
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
            "operation": "payment, capture, void or refund; empty on a conflict",
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
            "written_off": "captures that no network paid and the merchant bears, minor units",
            "available": "captures, their voids and fees that settlement made available, minor units",
            "adjusted": "what took effect on the balance at once, minor units; negative against the merchant",
            "paid_out": "sent to the bank, minor units",
            "payout_credited": "payouts that came back, minor units",
        },
        "merchant_totals": {
            **_MERCHANT_KINDS,
            "captured": "captured, less what was undone or never paid, minor units",
            "refunded": "refunded, less what came back, minor units",
            "fees": "processing fees, minor units",
            "pending": "owed to the merchant and not yet taken over by settlement, minor units",
            "available": "what the next payout carries, minor units; negative where the merchant owes us",
            "reserve": "held back, minor units",
            "paid_out": "sent to the bank and not come back, minor units",
        },
        "merchant_losses": {"written_off": "minor units"},
        "payouts": {
            "status": "in_transit, paid (seen on the bank statement), returned, credited (to be paid again)",
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
            "other": "voids, failed refunds and write-offs, minor units to the merchant's good",
            "payouts": "sent to the bank, minor units",
            "returned_payouts": "payouts that came back, minor units",
            "balance": "available balance at the end of the day, minor units",
        },
        "merchant_due": {
            "merchant": "merchant id",
            "currency": "ISO 4217",
            "item": "the entry on the pending account; a capture, fee:capture, a refund, ...",
            "cause": "capture, capture_voided, processing_fee, refund, refund_failed or write_off",
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
            "authorized_amount": "approved, minor units",
            "captured_amount": "captured less what was undone, minor units",
            "refunded_amount": "refunded less what came back, minor units",
            "fee_amount": "processing fees, minor units",
            "written_off_amount": "captured, never paid by the network, minor units",
            "was_authorized": "whether it was ever approved, also in part",
            "was_declined": "whether it was declined",
            "was_unknown": "whether an answer failed to come in time",
            "was_reversed": "whether an authorization was reversed",
            "was_captured": "whether anything was ever captured",
            "was_refunded": "whether anything was ever refunded",
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
            "blocked": "how many were blocked",
            "highest_score": "0 harmless to 100",
        },
        "risk_rule_hits": {
            "rule": "name of the rule",
            "hits": "how many payments it matched",
            "blocked": "how many of them were blocked",
        },
        "cycles": {
            "our_net": "what the network owes us by our books, minor units",
            "network_net": "what it says it owes us, minor units",
            "received": "what the bank received for it, minor units",
            "agrees": "whether the three are one figure",
        },
        "scheme_invoices": {
            "owed": "scheme fees that we counted, minor units",
            "paid": "what left the bank for them, minor units",
            "open": "owed less paid, minor units",
        },
        "bank_statement": {
            "use": "what the line was recognised as; empty while it is on suspense",
            "item": "cycle, invoice period or payout; empty while it is on suspense",
            "balance": "the account after the line, minor units, from the first line on",
        },
        "discrepancies": {
            "kind": "missing, extra, amount or fee",
            "expected": "the event that would settle it",
            "difference": "theirs less ours, minor units",
            "detected_at": "logical time at which it was found, UTC",
            "resolved": "whether it has been settled",
            "resolution": "what settled it; empty while it is open",
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
