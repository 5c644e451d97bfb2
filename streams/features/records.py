"""A clearing record, and what a network's answer to it means.

The books carry our own figures; the network's are compared with them, and a difference is named. A record that was
refused for its data may leave once more. Refused for anything else, or again, a capture is written off at the
merchant's expense; what becomes of a refund is its own processor's to say.
"""

from typing import Final

import msgspec

from events.base import Event
from events.clearing import (
    Bearer,
    CaptureWrittenOff,
    ClearingRecordAccepted,
    ClearingRecordAnswered,
    ClearingRecordRejected,
    ClearingRejection,
    RecordKind,
    RefundCleared,
)
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind

PRESENTMENTS: Final = 2
"""How often a record may leave: networks take a corrected one back once."""

_REPRESENTABLE: Final = (ClearingRejection.INVALID_DATA, ClearingRejection.NOT_RECEIVED)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A capture or a refund that a network has to hear of.

    ``presentment`` counts from 1; ``since`` is when it began to wait for a cut-off, microseconds UTC.
    """

    payment_id: str
    merchant: str
    network: str
    kind: RecordKind
    source_id: str
    amount: int
    currency: str
    presentment: int
    since: int


def meaning_of(record_id: str, record: Record, said: ClearingRecordAnswered) -> list[Event]:
    """What follows from an answer."""
    if not said.accepted:
        return _refused(record_id, record, said.rejection)
    settled = record.amount if said.settlement_currency == record.currency else said.settlement_amount
    accepted = ClearingRecordAccepted if record.kind is RecordKind.PRESENTMENT else RefundCleared
    events: list[Event] = [
        accepted(
            record.payment_id,
            record.merchant,
            record.network,
            record_id,
            record.source_id,
            record.amount,
            record.currency,
            settled,
            said.settlement_currency,
            said.cycle,
        )
    ]
    if (said.amount, said.currency, said.settlement_amount) != (record.amount, record.currency, settled):
        theirs = said.settlement_amount if said.amount == record.amount else said.amount
        events.append(
            DiscrepancyDetected(
                record_id,
                DiscrepancyKind.AMOUNT,
                record.currency,
                record.amount,
                theirs,
                ClearingRecordAnswered.__name__,
            )
        )
    return events


def may_leave_again(record: Record, reason: ClearingRejection) -> bool:
    """Whether a record that a network does not want, or gives back, may be presented once more."""
    return reason in _REPRESENTABLE and record.presentment < PRESENTMENTS


def written_off(record: Record) -> CaptureWrittenOff:
    """No network will pay for the capture: the merchant bears it."""
    return CaptureWrittenOff(
        record.payment_id,
        record.merchant,
        record.network,
        record.source_id,
        record.amount,
        record.currency,
        Bearer.MERCHANT,
    )


def _refused(record_id: str, record: Record, reason: ClearingRejection) -> list[Event]:
    representable = may_leave_again(record, reason)
    events: list[Event] = [
        ClearingRecordRejected(
            record.payment_id,
            record.network,
            record_id,
            record.kind,
            record.source_id,
            reason,
            representable,
        )
    ]
    if not representable and record.kind is RecordKind.PRESENTMENT:
        events.append(written_off(record))
    return events
