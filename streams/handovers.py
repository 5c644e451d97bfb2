"""What one log hands to another: pure functions from an event to facts for an inbox.

A fact is the body of an event that the receiving log will record as its own. Between two logs stands a
clearing account, and here is where the two halves meet: whatever a posting does to a merchant's pending
account (MP) is handed to settlement leg by leg, so "did it all arrive" is a balance.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from events.base import Event
from events.clearing import (
    Bearer,
    CaptureWrittenOff,
    ClearingCycleTotalled,
    SchemePeriodTotalled,
)
from events.envelope import Recorded
from events.fees import ProcessingFeeCharged
from events.identity import operation_id, partition_of_name, partition_of_slot, slot_of_payment
from events.intake import RequestAccepted, RequestForwarded, RequestReceived
from events.lifecycle import (
    CaptureRequested,
    CaptureVoided,
    PaymentCaptured,
    PaymentRequested,
    VoidRequested,
)
from events.postings import postings
from events.reconciliation import PayoutAnnounced, PayoutPaid, PayoutReturned
from events.refunds import RefundApproved, RefundFailed, RefundRequested
from events.requests import CaptureRequest, PaymentRequest, RefundRequest, VoidRequest
from events.settlement import (
    EntryCause,
    MerchantEntryReceived,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
)


class Handed(NamedTuple):
    """A fact on its way to a topic partition."""

    topic: str
    partition: int
    fact: Event


#: From the recorded input of a cascade (None where a tick began it), one event of it, and the partition count.
HandoverFunction = Callable[[Recorded | None, Recorded, int], list[Handed]]


def forwarded_request(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A request that came to a foreign partition goes to the partition that holds its claim."""
    body = recorded.body
    assert isinstance(body, RequestForwarded)
    return [
        Handed("intake.inbox", body.home_partition, RequestReceived(body.request, body.body_mac)),
    ]


def accepted_request(root: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """An accepted request goes to the partition of its payment."""
    body = recorded.body
    assert isinstance(body, RequestAccepted)
    assert root is not None and isinstance(root.body, RequestReceived)
    fact = _fact_of(root.body.request, body.payment_id)
    return [Handed("payments.inbox", partition_of_slot(slot_of_payment(body.payment_id), partitions), fact)]


def _fact_of(
    request: PaymentRequest | CaptureRequest | VoidRequest | RefundRequest, payment_id: str
) -> Event:
    match request:
        case PaymentRequest():
            return PaymentRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                request.card_id,
                request.bin,
                request.last4,
                request.amount,
                request.currency,
                request.channel,
                request.capture_mode,
                request.device_ref,
                request.ip_ref,
                request.email_ref,
            )
        case CaptureRequest():
            return CaptureRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                operation_id("cap", request.merchant, request.idempotency_key),
                request.amount,
                request.currency,
                request.final,
            )
        case VoidRequest():
            return VoidRequested(payment_id, request.merchant, request.idempotency_key)
        case RefundRequest():
            return RefundRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                operation_id("ref", request.merchant, request.idempotency_key),
                request.amount,
                request.currency,
                request.note,
            )


_CAUSES: Final[dict[type[Event], EntryCause]] = {
    PaymentCaptured: EntryCause.CAPTURE,
    CaptureVoided: EntryCause.CAPTURE_VOIDED,
    ProcessingFeeCharged: EntryCause.PROCESSING_FEE,
    RefundApproved: EntryCause.REFUND,
    RefundFailed: EntryCause.REFUND_FAILED,
    CaptureWrittenOff: EntryCause.WRITE_OFF,
}

_PENDING: Final = "liab:merchant_pending:"


def merchant_entries(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """Each leg on a merchant's pending account becomes an entry of that merchant (credit = owed to it)."""
    body = recorded.body
    if isinstance(body, CaptureWrittenOff) and body.borne_by is not Bearer.MERCHANT:
        return []
    cause = _CAUSES[type(body)]
    handed = []
    for leg in postings(body):
        if leg.account.startswith(_PENDING):
            merchant = leg.account[len(_PENDING) :]
            entry = MerchantEntryReceived(
                merchant, leg.currency, leg.item, recorded.meta.key, cause, -leg.amount, 0
            )
            handed.append(Handed("settlement.inbox", partition_of_name(merchant, partitions), entry))
    return handed


def cycle_total(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A partition's sub-total of a cycle or of an invoice period goes to the account it settles on."""
    body = recorded.body
    assert isinstance(body, ClearingCycleTotalled | SchemePeriodTotalled)
    return [Handed("reconciliation.inbox", partition_of_name(body.account, partitions), body)]


def announced_payout(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A payout is a line to expect on the statement of the account it leaves."""
    body = recorded.body
    assert isinstance(body, PayoutInitiated)
    fact = PayoutAnnounced(
        body.account, body.payout_id, body.merchant, body.currency, body.amount, body.value_on
    )
    return [Handed("reconciliation.inbox", partition_of_name(body.account, partitions), fact)]


def payout_outcome(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """What the bank made of a payout goes back to its merchant."""
    body = recorded.body
    assert isinstance(body, PayoutPaid | PayoutReturned)
    returned = isinstance(body, PayoutReturned)
    fact = PayoutOutcomeReceived(
        body.payout_id,
        body.merchant,
        body.currency,
        body.amount,
        PayoutOutcome.RETURNED if returned else PayoutOutcome.PAID,
        body.return_code if isinstance(body, PayoutReturned) else "",
    )
    return [Handed("settlement.inbox", partition_of_name(body.merchant, partitions), fact)]


INTAKE: Final[Mapping[type[Event], HandoverFunction]] = {
    RequestForwarded: forwarded_request,
    RequestAccepted: accepted_request,
}
PAYMENTS: Final[Mapping[type[Event], HandoverFunction]] = {
    **dict.fromkeys(_CAUSES, merchant_entries),
    ClearingCycleTotalled: cycle_total,
    SchemePeriodTotalled: cycle_total,
}
SETTLEMENT: Final[Mapping[type[Event], HandoverFunction]] = {PayoutInitiated: announced_payout}
RECONCILIATION: Final[Mapping[type[Event], HandoverFunction]] = {
    PayoutPaid: payout_outcome,
    PayoutReturned: payout_outcome,
}
