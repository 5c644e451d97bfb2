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
    "IncrementReceived": "request taken",
    "EvidenceReceived": "request taken",
    "SettingsReceived": "request taken",
    "SettingsForwarded": "request handed to partition {home_partition}, which holds its claim",
    "MerchantSettingsRequested": "payouts wanted {schedule}, day {anchor}, from {minimum_payout$} on",
    "MerchantSettingsChanged": "paid out {schedule}, day {anchor}, from {minimum_payout$} on; before {old_schedule}",
    "MerchantSettingsRejected": "settings stay as they are: {reason}",
    "EvidenceForwarded": "request handed to partition {home_partition}, which holds its claim",
    "IncrementForwarded": "request handed to partition {home_partition}, which holds its claim",
    "RequestAccepted": "{operation} accepted under key {idempotency_key}",
    "DuplicateRequestObserved": "the same request again: {outcome} before, nothing done",
    "IdempotencyConflictObserved": "another body under the same key: nothing done",
    "RequestRejected": "{operation} refused: {reason} ({field})",
    # the life of a payment
    "PaymentRequested": "{amount$} asked for on card {bin}…{last4}, {channel}, {capture_mode} capture",
    "CaptureRequested": "capture of {amount$} asked for",
    "IncrementRequested": "{amount$} more on hold asked for",
    "IncrementAdmitted": "{network} may be asked to hold {amount$} more",
    "VoidRequested": "void asked for",
    "OperationParked": "{operation} waits for an answer",
    "OperationRejected": "{operation} refused: {reason}",
    "PaymentCaptured": "{amount$} captured as {capture_id}",
    "CaptureVoided": "capture {capture_id} of {amount$} undone",
    "AuthorizationRemainderReleased": "remainder of {hold_released$} let go",
    "PaymentVoided": "voided, hold of {hold_released$} released",
    "AuthorizationExpired": "hold of {hold_released$} ran out",
    "RiskAssessed": "{verdict}, score {score}",
    "ReferenceRefused": "{kind} {ref_id} cannot be used: {reason}",
    "RiskSignalled": "payment {payment_id} to be counted",
    "VelocityLimitReached": "{item}: {measured} in {window} where {allowed} are allowed ({limit_id}): {standing}",
    "VelocityLimitCleared": "{item} is held for {limit_id} no longer: {cause}",
    "HotlistAnnounced": "{item} is to be listed for {limit_id}: {standing}",
    "HotlistApplied": "{item} on the hotlist, {standing}: {reason}",
    "HotlistReleased": "{item} off the hotlist: {cause}",
    "ReviewOpened": "to be looked at in {queue}, else {falls_to}",
    "ReviewProposed": "{analyst} proposes to {decision}",
    "ReviewDecided": "{decision} by {reviewed_by} {analyst}",
    "ReviewRefused": "{analyst} wants to {decision}: {reason}",
    "ReviewClosed": "nobody has to look any more: {cause}",
    "RouteSelected": "over {network}, {reason}, attempt {attempt}",
    "RouteFailedOver": "{left} was {reason}: over {chosen} now",
    "RouteExhausted": "no network left for {brand}",
    # the networks
    "AuthorizationSubmitted": "{mti} for {amount$} to {network}, STAN {stan}, RRN {rrn}",
    "IncrementSubmitted": "{mti} for {amount$} more to {network}, {total} in all, STAN {stan}, RRN {rrn}",
    "ReversalSubmitted": "{mti} of {amount$} to {network}, {reason}, attempt {attempt}",
    "NetworkReplyReceived": "{network} answers {mti}: response code {response_code}",
    "NetworkReplyTimedOut": "no answer to the {kind} from {network} in {waited_ms} ms",
    "NetworkNotSent": "the {kind} to {network} never left",
    "NetworkReplyUnmatched": "answer to the {kind} put aside: {reason}",
    "PaymentAuthorized": "{approved_amount$} approved by {network}, code {auth_code}",
    "PaymentDeclined": "declined: {reason}, retry {advice}",
    "AuthorizationOutcomeUnknown": "outcome unknown after {waited_ms} ms: it will be reversed",
    "AuthorizationIncremented": "{amount$} more approved by {network}, {total} in all",
    "IncrementDeclined": "no more on hold: {reason}, retry {advice}",
    "AmountConflictDetected": "asked for {our_amount} {our_currency}, answered {their_amount} {their_currency}",
    "AuthorizationReversed": "reversal of {amount$} acknowledged by {network}, {reason}",
    "LateApprovalReceived": "{approved_amount$} approved too late: {action}",
    "RefundRequested": "refund of {amount$} asked for",
    "RefundApproved": "refund {refund_id} of {amount$} approved",
    "RefundRejected": "refund of {amount$} refused: {reason}",
    "RefundFailed": "refund {refund_id} of {amount$} came back: {reason}",
    # clearing and fees
    "ClearingRecordCreated": "{kind} of {amount$} presented to {network}, ARN {arn}",
    "ClearingBatchClosed": "batch {batch_id} for {network}: {presentments} presentments, {refunds} refunds",
    "ClearingFileSent": "file {file_id} sent to {network}, attempt {attempt}: {records} records",
    "ClearingFileRejected": "{network} refuses file {file_id} whole: {reason}",
    "ClearingFileAccepted": "{network} has file {file_id}: {records} records",
    "ClearingBatchAccepted": "batch {batch_id} is with {network} in file {file_id}",
    "ClearingRecordAnswered": "{network} answers record {record_id}",
    "ClearingRecordAccepted": "{network} owes us {amount$} in cycle {cycle}",
    "RefundCleared": "{network} takes the refund in cycle {cycle}",
    "ClearingRecordRejected": "{network} refuses the {kind}: {reason}",
    "ClearingReturnReceived": "{network} gives back record {record_id}: {reason}",
    "ClearingRecordReturned": "{amount$} owed by {network} no more, taken back in cycle {cycle}: {reason}",
    "CaptureWrittenOff": "{amount$} lost, borne by {borne_by}",
    "ClearingCycleTotalled": "{records} records, net {net$} in cycle {cycle}",
    "SchemePeriodTotalled": "{records} records, {amount$} owed to {network} for {period}",
    "InterchangeAssessed": "interchange {amount$}, {program}",
    "FeeCorrected": "interchange of {record_id} corrected from {old$} to {new$}",
    "InterchangeReturned": "interchange {amount$} given back, {program}",
    "SchemeFeeAssessed": "scheme fee {amount$}, {fee_id}, invoice {period}",
    "ProcessingFeeCharged": "{amount$} charged to the merchant",
    # fraud and disputes
    "FraudReportReceived": "{network} passes on a fraud report of {amount$}, {program} {fraud_type}",
    "EarlyFraudWarningReceived": "reported as fraud: {program} {fraud_type}, {amount$}",
    "FraudConfirmed": "{label} by {source}",
    "PaymentLabelled": "counts as {label} from here on",
    "LabelSignalled": "payment {payment_id} counts as {label}: to be told to every partition",
    "LabelApplied": "payment {payment_id} counts as {label}",
    "FraudReportRefused": "fraud report {report_id} put aside: {reason}",
    "DisputeNoticeReceived": "{network} on case {case_id}: {step}, {amount$}",
    "DisputeNoticeRefused": "notice {number} on case {case_id} put aside: {reason}",
    "DisputeInquiryOpened": "the issuer asks about {amount$}, reason {reason_code}",
    "DisputeInquiryClosed": "the issuer asks no more",
    "DisputeOpened": "{amount$} disputed as {case_id}, reason {reason_code}",
    "DisputeFundsWithdrawn": "{network} takes {amount$} in cycle {cycle}, {stage}",
    "DisputeMerchantDebited": "{amount$} taken from {merchant} until the case is closed",
    "DisputeFundsReturned": "{network} gives {amount$} back in cycle {cycle}, {stage}",
    "DisputeEvidenceRequested": "evidence for case {case_id}",
    "DisputeEvidenceRejected": "evidence for case {case_id} refused: {reason}",
    "DisputeEvidenceSubmitted": "evidence sent to the issuer, {stage}",
    "DisputeEvidenceAccepted": "the issuer gives in, {stage}",
    "DisputeEvidenceExpired": "no answer in time, {stage}",
    "DisputeEscalated": "the case goes on: {stage}",
    "DisputeWithdrawn": "the issuer lets go, {stage}",
    "DisputeWon": "{amount$} won in case {case_id}",
    "DisputeLost": "{amount$} lost in case {case_id}",
    "DisputeFeeCharged": "{amount$} charged to the merchant for case {case_id}",
    # settlement
    "MerchantEntryReceived": "{amount$} for {merchant}: {cause}",
    "FundsMadeAvailable": "{amount$} available to {merchant}, batch {batch_id}",
    "MerchantBalanceAdjusted": "{amount$} to the balance of {merchant}: {cause}",
    "SettlementBatchClosed": "batch {batch_id} of {merchant} closed with {available$} available",
    "PayoutInitiated": "{amount$} sent to {merchant} as {payout_id}",
    "PayoutOutcomeReceived": "payout {payout_id} {outcome}",
    "PayoutReturnCredited": "{amount$} of {payout_id} back on the balance of {merchant}",
    "BankAccountValidated": "bank account {account_ref} of {merchant} validated by {method}",
    "BankAccountValidationFailed": "bank account {account_ref} of {merchant} not valid, by {method}",
    "PayoutSubmitted": "{amount$} to {merchant} in file {file_id}, trace {trace_number}",
    "PayoutFailed": "{amount$} to {merchant} not sent: {reason}",
    "PayoutRetryScheduled": "{amount$} to {merchant} to be sent again, attempt {attempt} after {return_code}",
    "MerchantDebitApplied": "{amount$} that {merchant} owes to be drawn as {debit_id}",
    "MerchantDebitOutcomeReceived": "debit {debit_id} {outcome}",
    "MerchantDebitReturned": "{amount$} of {debit_id} owed again by {merchant}: {return_code}",
    "DebitAnnounced": "debit {debit_id} of {amount$} to expect",
    "MerchantDebited": "{amount$} came in from {merchant}, {statement_id} line {line}",
    "MerchantDebitReversed": "{amount$} of {debit_id} taken back by the bank: {return_code}",
    "ReserveWithheld": "{amount$} of {merchant} kept back as reserve",
    "ReserveReleased": "{amount$} of the reserve back to {merchant}: {reason}",
    "SettlementHoldPlaced": "{amount$} of {merchant} put on hold {hold_id}: {reason}",
    "SettlementHoldReleased": "{amount$} back to {merchant} from hold {hold_id}",
    "MerchantReceivableRaised": "{merchant} owes us {amount$}: {cause}",
    "MerchantReceivableOffset": "{amount$} of what {merchant} owes paid by its funds",
    "MerchantLossWrittenOff": "{amount$} that {merchant} owes given up: {reason}, approved by {approver}",
    "SettlementInstructionRefused": "{kind} {ref_id} for {merchant} refused: {reason}",
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
    "ResolutionRequested": "{requested_by} asks, {approved_by} approves: {action} of {item}",
    "ResolutionRejected": "{action} of {item} refused: {reason}",
    "SettlementDifferenceWrittenOff": "{amount$} of {cycle} written off: {rule}",
    "SchemeInvoiceAdjusted": "{network} for {period} adjusted by {amount$}: {rule}",
    "PayoutDifferenceWrittenOff": "{amount$} of {payout_id} written off: {rule}",
    "SuspenseWrittenOff": "{statement_id}/{line} written off, {amount$}",
    "SuspenseOffset": "{statement_id}/{line} taken back by {by_statement_id}/{by_line}",
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
