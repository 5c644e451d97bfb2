"""What an event means, in one line: for the timeline of a payment and the audit trail.

A phrase names fields of the event in braces; ``{amount$}`` is an amount in the event's ``currency``. Every event
type of the contract has one, and a test holds each against the fields of its class.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

PHRASES: Final[dict[str, str]] = {
    # intake
    "RequestReceived": "request taken",
    "RequestForwarded": "request handed to partition {home_partition}, which holds its claim",
    "RequestAccepted": "{operation} accepted under key {idempotency_key}",
    "DuplicateRequestObserved": "the same request again: {outcome} before, nothing done",
    "IdempotencyConflictObserved": "another body under the same key: nothing done",
    "RequestRejected": "{operation} refused: {reason} ({field})",
    # the life of a payment
    "PaymentRequested": "{amount$} asked for on card {bin}…{last4}, {channel}, {capture_mode} capture",
    "CaptureRequested": "capture of {amount$} asked for",
    "VoidRequested": "void asked for",
    "OperationParked": "{operation} waits for an answer",
    "OperationRejected": "{operation} refused: {reason}",
    "PaymentCaptured": "{amount$} captured as {capture_id}",
    "CaptureVoided": "capture {capture_id} of {amount$} undone",
    "PaymentVoided": "voided, hold of {hold_released$} released",
    "AuthorizationExpired": "hold of {hold_released$} ran out",
    "RiskAssessed": "{verdict}, score {score}",
    "RouteSelected": "over {network}, {reason}, attempt {attempt}",
    "RouteFailedOver": "{left} was {reason}: over {chosen} now",
    "RouteExhausted": "no network left for {brand}",
    # the networks
    "AuthorizationSubmitted": "{mti} for {amount$} to {network}, STAN {stan}, RRN {rrn}",
    "ReversalSubmitted": "{mti} to {network}, {reason}, attempt {attempt}",
    "NetworkReplyReceived": "{network} answers {mti}: response code {response_code}",
    "NetworkReplyTimedOut": "no answer to the {kind} from {network} in {waited_ms} ms",
    "NetworkNotSent": "the {kind} to {network} never left",
    "NetworkReplyUnmatched": "answer to the {kind} put aside: {reason}",
    "PaymentAuthorized": "{approved_amount$} approved by {network}, code {auth_code}",
    "PaymentDeclined": "declined: {reason}, retry {advice}",
    "AuthorizationOutcomeUnknown": "outcome unknown after {waited_ms} ms: it will be reversed",
    "AuthorizationReversed": "reversal acknowledged by {network}, {reason}",
    "LateApprovalReceived": "{approved_amount$} approved too late: {action}",
    "RefundRequested": "refund of {amount$} asked for",
    "RefundApproved": "refund {refund_id} of {amount$} approved",
    "RefundRejected": "refund of {amount$} refused: {reason}",
    "RefundFailed": "refund {refund_id} of {amount$} came back: {reason}",
    # clearing and fees
    "ClearingRecordCreated": "{kind} of {amount$} presented to {network}, ARN {arn}",
    "ClearingBatchClosed": "batch {batch_id} for {network}: {presentments} presentments, {refunds} refunds",
    "ClearingRecordAnswered": "{network} answers record {record_id}",
    "ClearingRecordAccepted": "{network} owes us {amount$} in cycle {cycle}",
    "RefundCleared": "{network} takes the refund in cycle {cycle}",
    "ClearingRecordRejected": "{network} refuses the {kind}: {reason}",
    "CaptureWrittenOff": "{amount$} lost, borne by {borne_by}",
    "ClearingCycleTotalled": "{records} records, net {net$} in cycle {cycle}",
    "SchemePeriodTotalled": "{records} records, {amount$} owed to {network} for {period}",
    "InterchangeAssessed": "interchange {amount$}, {program}",
    "InterchangeReturned": "interchange {amount$} given back, {program}",
    "SchemeFeeAssessed": "scheme fee {amount$}, {fee_id}, invoice {period}",
    "ProcessingFeeCharged": "{amount$} charged to the merchant",
    # settlement
    "MerchantEntryReceived": "{amount$} for {merchant}: {cause}",
    "FundsMadeAvailable": "{amount$} available to {merchant}, batch {batch_id}",
    "MerchantBalanceAdjusted": "{amount$} to the balance of {merchant}: {cause}",
    "SettlementBatchClosed": "batch {batch_id} of {merchant} closed with {available$} available",
    "PayoutInitiated": "{amount$} sent to {merchant} as {payout_id}",
    "PayoutOutcomeReceived": "payout {payout_id} {outcome}",
    "PayoutReturnCredited": "{amount$} of {payout_id} back on the balance of {merchant}",
    "ClearingResidualAged": "{amount$} open on {account} for {age_days} days, {expected_event} expected",
    # reconciliation
    "BankLineRecorded": "bank line {line} of {statement_id}: {amount$}, {reference}",
    "NetworkSettlementAdvised": "{network} advises {net$} for cycle {cycle}",
    "PayoutAnnounced": "payout {payout_id} of {amount$} to expect",
    "NetworkSettlementReceived": "{amount$} received for cycle {cycle}",
    "SchemeInvoicePaid": "{amount$} paid to {network} for {period}",
    "PayoutPaid": "{amount$} left the bank for {merchant}, {statement_id} line {line}",
    "PayoutReturned": "{amount$} came back from the bank: {return_code}",
    "ReconciliationMatched": "{left} agrees with {right}",
    "DiscrepancyDetected": "{kind} of {item}: ours {ours$}, theirs {theirs$}",
    "DiscrepancyResolved": "{item} settled: {resolution}",
    # log partitions
    "LogOpened": "log {log} opened, partition {partition} of {partitions}",
    "MarkersTaken": "markers taken",
    "ClockStruck": "clock struck {tick}",
    "TickStepped": "tick {tick}, step {step}",
    "TickPassed": "tick {tick} passed",
    "ReferenceApplied": "{kind} {ref_id}, version {version}",
    "EventDeadLettered": "dead letter: {reason}, {detail}",
}

_FIELD: Final = re.compile(r"\{(\w+)(\$?)\}")


def phrase(kind: str, body: Mapping[str, Any], money: Callable[[int, str], str]) -> str:
    """The line for an event of this type. ``money`` writes minor units of a currency."""

    def value(found: re.Match[str]) -> str:
        field = body.get(found[1], "")
        return money(int(field), str(body.get("currency", ""))) if found[2] and field != "" else str(field)

    return _FIELD.sub(value, PHRASES.get(kind, ""))


def fields_of(kind: str) -> set[str]:
    """The fields that the phrase of a type names."""
    return {name for name, _ in _FIELD.findall(PHRASES[kind])} | (
        {"currency"} if "$}" in PHRASES[kind] else set()
    )
