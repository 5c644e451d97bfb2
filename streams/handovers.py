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
from events.disputes import DisputeEvidenceRequested, DisputeMerchantDebited, DisputeWon
from events.envelope import Recorded
from events.examples import ExampleDrawn, ExamplesGathered
from events.exposure import MerchantDisputesTallied
from events.fees import DisputeFeeCharged, ProcessingFeeCharged
from events.hotlist import (
    DeclineNoted,
    DeclineSignalled,
    Dimension,
    HotlistAnnounced,
    RiskSignalled,
    VelocityLimitReached,
)
from events.identity import operation_id, partition_of_name, partition_of_slot, slot_of_payment
from events.intake import (
    EvidenceForwarded,
    Forwarded,
    IncrementForwarded,
    Received,
    RequestAccepted,
    RequestForwarded,
    SettingsForwarded,
    received,
)
from events.labels import LabelSignalled, PaymentLabelled
from events.lifecycle import (
    CaptureRequested,
    CaptureVoided,
    IncrementRequested,
    PaymentCaptured,
    PaymentRequested,
    VoidRequested,
)
from events.payouts import (
    DebitAnnounced,
    DebitOutcome,
    MerchantDebitApplied,
    MerchantDebited,
    MerchantDebitOutcomeReceived,
    MerchantDebitReversed,
    PayoutSubmitted,
)
from events.postings import postings
from events.reconciliation import PayoutAnnounced, PayoutPaid, PayoutReturned
from events.refunds import RefundApproved, RefundFailed, RefundRequested
from events.requests import (
    CaptureRequest,
    EvidenceRequest,
    IncrementRequest,
    PaymentRequest,
    RefundRequest,
    SettingsRequest,
    VoidRequest,
)
from events.settlement import (
    EntryCause,
    MerchantEntryReceived,
    MerchantSettingsRequested,
    PayoutOutcome,
    PayoutOutcomeReceived,
)
from streams.features.hotlists import item_of, keyed, keys_of


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
    assert isinstance(body, Forwarded)
    return [
        Handed("intake.inbox", body.home_partition, received(body.request, body.body_mac)),
    ]


_OfPayment = (
    PaymentRequest | CaptureRequest | VoidRequest | RefundRequest | IncrementRequest | EvidenceRequest
)


def accepted_request(root: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """An accepted request goes to the partition of its payment, or of its merchant's books."""
    body = recorded.body
    assert isinstance(body, RequestAccepted)
    assert root is not None and isinstance(root.body, Received)
    request = root.body.request
    if isinstance(request, SettingsRequest):
        wanted = MerchantSettingsRequested(
            request.merchant,
            request.idempotency_key,
            request.currency,
            request.schedule,
            request.anchor,
            request.minimum_payout,
        )
        return [Handed("settlement.inbox", partition_of_name(request.merchant, partitions), wanted)]
    fact = _fact_of(request, body.payment_id)
    return [Handed("payments.inbox", partition_of_slot(slot_of_payment(body.payment_id), partitions), fact)]


def _fact_of(request: _OfPayment, payment_id: str) -> Event:
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
                request.phone_ref,
                request.signals,
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
            return VoidRequested(payment_id, request.merchant, request.idempotency_key, request.capture_id)
        case IncrementRequest():
            return IncrementRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                operation_id("inc", request.merchant, request.idempotency_key),
                request.amount,
                request.currency,
            )
        case RefundRequest():
            return RefundRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                operation_id("ref", request.merchant, request.idempotency_key),
                request.amount,
                request.currency,
                request.note,
                request.reason,
            )
        case EvidenceRequest():
            return DisputeEvidenceRequested(
                payment_id,
                request.merchant,
                request.idempotency_key,
                request.case_id,
                request.documents,
                request.stage,
            )


_CAUSES: Final[dict[type[Event], EntryCause]] = {
    PaymentCaptured: EntryCause.CAPTURE,
    CaptureVoided: EntryCause.CAPTURE_VOIDED,
    ProcessingFeeCharged: EntryCause.PROCESSING_FEE,
    RefundApproved: EntryCause.REFUND,
    RefundFailed: EntryCause.REFUND_FAILED,
    CaptureWrittenOff: EntryCause.WRITE_OFF,
    DisputeMerchantDebited: EntryCause.DISPUTE,
    DisputeWon: EntryCause.DISPUTE_WON,
    DisputeFeeCharged: EntryCause.DISPUTE_FEE,
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
    assert isinstance(body, PayoutSubmitted)
    fact = PayoutAnnounced(
        body.account, body.payout_id, body.merchant, body.currency, body.amount, body.value_on
    )
    return [Handed("reconciliation.inbox", partition_of_name(body.account, partitions), fact)]


def announced_debit(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A debit is a line to expect on the statement of the account it comes to."""
    body = recorded.body
    assert isinstance(body, MerchantDebitApplied)
    fact = DebitAnnounced(
        body.account, body.debit_id, body.merchant, body.currency, body.amount, body.value_on
    )
    return [Handed("reconciliation.inbox", partition_of_name(body.account, partitions), fact)]


def debit_outcome(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """What the bank made of a debit goes back to its merchant."""
    body = recorded.body
    assert isinstance(body, MerchantDebited | MerchantDebitReversed)
    reversed_ = isinstance(body, MerchantDebitReversed)
    fact = MerchantDebitOutcomeReceived(
        body.debit_id,
        body.merchant,
        body.currency,
        body.amount,
        DebitOutcome.RETURNED if reversed_ else DebitOutcome.PAID,
        body.return_code if isinstance(body, MerchantDebitReversed) else "",
    )
    return [Handed("settlement.inbox", partition_of_name(body.merchant, partitions), fact)]


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
        body.correction if isinstance(body, PayoutReturned) else "",
    )
    return [Handed("settlement.inbox", partition_of_name(body.merchant, partitions), fact)]


def signalled_payment(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A payment goes to every partition that counts one of its keys: one record each, whatever the number of keys."""
    body = recorded.body
    assert isinstance(body, PaymentRequested)
    homes: dict[int, dict[Dimension, str]] = {}
    for dimension, value in keys_of(body):
        homes.setdefault(partition_of_name(item_of(dimension, value), partitions), {})[dimension] = value
    return [
        Handed(
            "risk.signals",
            partition,
            RiskSignalled(
                body.payment_id,
                body.card_id,
                counted.get(Dimension.IP, ""),
                counted.get(Dimension.DEVICE, ""),
                counted.get(Dimension.EMAIL, ""),
                counted.get(Dimension.MERCHANT, ""),
                body.amount,
                body.currency,
                list(counted),
            ),
        )
        for partition, counted in homes.items()
    ]


def signalled_decline(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A declined payment goes to every partition that was told of it, behind what told of it."""
    body = recorded.body
    assert isinstance(body, DeclineNoted)
    keys = keyed(body.card_id, body.ip_ref, body.device_ref, body.email_ref, body.merchant)
    homes = dict.fromkeys(partition_of_name(item_of(*key), partitions) for key in keys)
    fact = DeclineSignalled(body.payment_id, body.paid_at)
    return [Handed("risk.signals", partition, fact) for partition in homes]


def announced_key(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A key beyond its limit is told to every partition: any of them may meet it next."""
    body = recorded.body
    assert isinstance(body, VelocityLimitReached)
    fact = HotlistAnnounced(body.item, body.limit_id, body.standing, body.until_at)
    return [Handed("risk.hotlist", partition, fact) for partition in range(partitions)]


def signalled_label(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A label goes to where payments of its merchant are counted, from there to everybody."""
    body = recorded.body
    assert isinstance(body, PaymentLabelled)
    fact = LabelSignalled(
        body.payment_id,
        body.number,
        body.label,
        body.merchant,
        body.ip_ref,
        body.device_ref,
        body.email_ref,
        body.paid_at,
        body.ordinary,
        recorded.meta.recorded_at,
        body.replaced_at,
        body.card_id,
    )
    home = partition_of_name(item_of(Dimension.MERCHANT, body.merchant), partitions)
    return [Handed("risk.signals", home, fact)]


def told_to_all(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """To every partition as it is: any of them may meet a label's merchant next, and each has the scorecard."""
    return [Handed("risk.hotlist", partition, recorded.body) for partition in range(partitions)]


def drawn_example(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """Every example goes to one place, which puts all of them into one order."""
    return [Handed("risk.signals", 0, recorded.body)]


def tallied_merchant(_: Recorded | None, recorded: Recorded, partitions: int) -> list[Handed]:
    """A partition's figures of a merchant go to where payments of the merchant are counted."""
    body = recorded.body
    assert isinstance(body, MerchantDisputesTallied)
    home = partition_of_name(item_of(Dimension.MERCHANT, body.merchant), partitions)
    return [Handed("risk.signals", home, body)]


INTAKE: Final[Mapping[type[Event], HandoverFunction]] = {
    RequestForwarded: forwarded_request,
    IncrementForwarded: forwarded_request,
    EvidenceForwarded: forwarded_request,
    SettingsForwarded: forwarded_request,
    RequestAccepted: accepted_request,
}
PAYMENTS: Final[Mapping[type[Event], HandoverFunction]] = {
    PaymentRequested: signalled_payment,
    DeclineNoted: signalled_decline,
    PaymentLabelled: signalled_label,
    ExampleDrawn: drawn_example,
    MerchantDisputesTallied: tallied_merchant,
    **dict.fromkeys(_CAUSES, merchant_entries),
    ClearingCycleTotalled: cycle_total,
    SchemePeriodTotalled: cycle_total,
}
VELOCITY: Final[Mapping[type[Event], HandoverFunction]] = {
    VelocityLimitReached: announced_key,
    LabelSignalled: told_to_all,
    ExamplesGathered: told_to_all,
}
SETTLEMENT: Final[Mapping[type[Event], HandoverFunction]] = {
    PayoutSubmitted: announced_payout,
    MerchantDebitApplied: announced_debit,
}
RECONCILIATION: Final[Mapping[type[Event], HandoverFunction]] = {
    PayoutPaid: payout_outcome,
    PayoutReturned: payout_outcome,
    MerchantDebited: debit_outcome,
    MerchantDebitReversed: debit_outcome,
}
