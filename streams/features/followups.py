"""Follow-ups to payments, waiting for the tick that decides them.

Captures, increments, voids and refunds may reach a partition in any order between two ticks, so nobody decides them as
they come: they are kept here and decided at the tick in the order (occurred_at, idempotency key). What two follow-ups
of one payment want of each other is then the same in every run.

A follow-up whose payment has no outcome yet is parked: it is out of the ticks' sight until the outcome is heard,
so a tick costs nothing for it.
"""

from collections.abc import Iterator

import msgspec

from events.envelope import Recorded
from events.lifecycle import CaptureRequested, IncrementRequested, OperationParked, VoidRequested
from events.refunds import RefundRequested
from events.requests import Operation, RefundReason


class FollowUp(msgspec.Struct, frozen=True, gc=False):
    """What a merchant wants of a payment. ``operation_id`` names the capture, increment or refund that it makes; of a
    void the capture that it undoes, empty for the whole payment."""

    operation: Operation
    payment_id: str
    merchant: str
    idempotency_key: str
    operation_id: str
    amount: int
    currency: str
    final: bool
    causation_id: str
    occurred_at: int
    reason: RefundReason | None = None


class Bag(msgspec.Struct):
    """``arrived`` by time and key: the next tick's. ``parked`` by payment: after its outcome."""

    arrived: dict[str, FollowUp] = {}
    parked: dict[str, list[FollowUp]] = {}


def receive(bag: Bag, recorded: Recorded) -> None:
    """Keep a recorded follow-up for the next tick."""
    meta = recorded.meta
    match recorded.body:
        case CaptureRequested() as body:
            wanted = (Operation.CAPTURE, body.capture_id, body.amount, body.currency, body.final)
        case RefundRequested() as body:
            wanted = (Operation.REFUND, body.refund_id, body.amount, body.currency, False)
        case VoidRequested() as body:
            wanted = (Operation.VOID, body.capture_id, 0, "", False)
        case IncrementRequested() as body:
            wanted = (Operation.INCREMENT, body.increment_id, body.amount, body.currency, False)
        case body:
            raise TypeError(f"{type(body).__name__} is not a follow-up")
    operation, operation_id, amount, currency, final = wanted
    _arrive(
        bag,
        FollowUp(
            operation,
            body.payment_id,
            body.merchant,
            body.idempotency_key,
            operation_id,
            amount,
            currency,
            final,
            meta.event_id,
            meta.occurred_at,
            body.reason if isinstance(body, RefundRequested) else None,
        ),
    )


def take(bag: Bag, key: str) -> FollowUp:
    """The follow-up that arrived under a key of ``arrived``; it waits no longer."""
    return bag.arrived.pop(key)


def park(bag: Bag, waiting: FollowUp) -> OperationParked:
    """Keep a follow-up until its payment has an outcome."""
    bag.parked.setdefault(waiting.payment_id, []).append(waiting)
    return OperationParked(waiting.payment_id, waiting.operation, waiting.idempotency_key)


def release(bag: Bag, payment_id: str) -> None:
    """The payment has an outcome: what was parked for it is the next tick's."""
    for waiting in bag.parked.pop(payment_id, ()):
        _arrive(bag, waiting)


def summary(bag: Bag) -> Iterator[str]:
    """Each follow-up that is not decided yet."""
    waiting = [*bag.arrived.values(), *(one for parked in bag.parked.values() for one in parked)]
    for one in sorted(waiting, key=_order):
        yield f"follow-up {one.payment_id} {one.operation} {one.merchant}/{one.idempotency_key} waits"


def _arrive(bag: Bag, waiting: FollowUp) -> None:
    bag.arrived[_order(waiting)] = waiting


def _order(waiting: FollowUp) -> str:
    """Sorts by time, then key; the merchant makes it unique, for keys are the merchants' own."""
    return f"{waiting.occurred_at:020d} {waiting.idempotency_key} {waiting.merchant}"
