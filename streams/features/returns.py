"""Records that a network gives back after it had accepted them.

What was accepted is kept for :data:`MEMORY_DAYS` days with what we assessed of it, so that a return takes back what
was booked and not what the tables say today. The capture is unbilled again then: it leaves once more, as one that was
refused, or is written off. What comes back that was never accepted, or a second time, or too late, is named as a
difference and moves nothing; so is a return of another amount than we had booked, which moves ours.
"""

from typing import Final

import msgspec

from events.base import Event
from events.clearing import (
    ClearingRecordAccepted,
    ClearingRecordReturned,
    ClearingReturnReceived,
    RecordKind,
)
from events.fees import FeeCorrected, InterchangeAssessed
from events.reconciliation import DiscrepancyDetected, DiscrepancyKind
from streams.features.records import Record, may_leave_again, written_off
from streams.features.shelf import Shelf

MEMORY_DAYS: Final = 10
"""How many whole days of logical time after its acceptance a record can come back."""


class Settled(msgspec.Struct):
    """A capture's record that was accepted; ``interchange`` is what we assessed, minor units of ``currency``."""

    record: Record
    amount: int
    currency: str
    interchange: int = 0


class Return(msgspec.Struct, frozen=True, gc=False):
    """What a network gives back, until the tick that hears it."""

    body: ClearingReturnReceived
    causation_id: str
    occurred_at: int


class Returns(msgspec.Struct):
    """``settled`` by record, filed by the day of its acceptance; ``waiting`` returns by record and sequence."""

    settled: Shelf[Settled] = msgspec.field(default_factory=Shelf)
    waiting: dict[str, Return] = {}


def accept(returns: Returns, record: Record, body: ClearingRecordAccepted, day_on: int) -> None:
    """A record that may come back from here on."""
    settled = Settled(record, body.settlement_amount, body.settlement_currency)
    returns.settled.put(body.record_id, settled, day_on)


def assess(returns: Returns, body: InterchangeAssessed | FeeCorrected) -> None:
    """What its issuer keeps of a record, or keeps more of it."""
    settled = returns.settled.get(body.record_id)
    if settled is not None:
        settled.interchange += body.amount


def receive(
    returns: Returns, body: ClearingReturnReceived, sequence: int, causation_id: str, occurred_at: int
) -> None:
    """Keep a return for the tick."""
    returns.waiting[f"{body.record_id}/{sequence:012d}"] = Return(body, causation_id, occurred_at)


def meaning_of(returns: Returns, key: str) -> list[Event]:
    """What follows from a return that waited; it waits no longer."""
    said = returns.waiting.pop(key).body
    settled = returns.settled.get(said.record_id)
    expected = ClearingRecordAccepted.__name__
    if settled is None:
        kind = DiscrepancyKind.EXTRA
        return [DiscrepancyDetected(said.record_id, kind, said.currency, 0, said.amount, expected)]
    record = settled.record
    assert record.kind is RecordKind.PRESENTMENT
    representable = may_leave_again(record, said.reason)
    events: list[Event] = [
        ClearingRecordReturned(
            record.payment_id,
            record.merchant,
            record.network,
            said.record_id,
            record.source_id,
            record.amount,
            record.currency,
            settled.amount,
            settled.currency,
            said.cycle,
            settled.interchange,
            said.interchange,
            said.reason,
            representable,
        )
    ]
    if (said.amount, said.settlement_amount) != (record.amount, settled.amount):
        kind = DiscrepancyKind.AMOUNT
        events.append(
            DiscrepancyDetected(
                said.record_id,
                kind,
                settled.currency,
                settled.amount,
                said.settlement_amount,
                ClearingReturnReceived.__name__,
            )
        )
    if not representable:
        events.append(written_off(record))
    return events


def is_old(returns: Returns, day_on: int) -> bool:
    """Whether there are records that can come back no more."""
    return bool(returns.settled.days_before(day_on - MEMORY_DAYS))


def forget_before(returns: Returns, day_on: int) -> None:
    """Forget them. A record that came back is forgotten already."""
    for old_on in returns.settled.days_before(day_on - MEMORY_DAYS):
        returns.settled.forget(old_on)
