"""Bank lines that are booked against nothing: on suspense until they are known for what they are.

A line that the bank itself takes back says so (``REVERSAL <statement>/<line>``): the two leave suspense together.
"""

import msgspec

from events.accounts import SU, line_item, name
from events.base import Event
from events.corrections import SuspenseOffset, SuspenseWrittenOff
from events.payouts import MerchantDebited, MerchantDebitReversed
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
    NetworkSettlementReceived,
    PayoutPaid,
    PayoutReturned,
    SchemeInvoicePaid,
)
from events.settlement import ClearingResidualAged

Booking = (
    NetworkSettlementReceived
    | SchemeInvoicePaid
    | PayoutPaid
    | PayoutReturned
    | MerchantDebited
    | MerchantDebitReversed
)
"""What a line can be for."""
Leaving = Booking | SuspenseWrittenOff | SuspenseOffset
"""What takes a line off suspense."""


class Line(msgspec.Struct):
    """A bank line on suspense: booked against nothing yet.

    ``payout`` is the one it names, or empty. ``expected`` is the event that would settle it, once it is named as extra.
    """

    body: BankLineRecorded
    causation_id: str
    occurred_at: int
    since_on: int
    payout: str = ""
    expected: str = ""
    aged: int = 0


class Late(msgspec.Struct, frozen=True):
    """A line that was booked later than agreed, until somebody has noted it. ``days`` late."""

    currency: str
    days: int
    since_on: int


def item_of(line: BankLineRecorded | Leaving) -> str:
    """A line's item on suspense."""
    return line_item(line.statement_id, line.line)


def order_of(line: BankLineRecorded) -> str:
    """The order of lines: account, statement, number on it."""
    return f"{line.account} {line.statement_id} {line.line:08d}"


def payout_named(reference: str) -> str:
    """The payout or debit that a reference names, or empty."""
    words = reference.split(" ")
    return words[1] if words[0] in ("PAYOUT", "RETURN", "DEBIT", "UNPAID") and len(words) > 1 else ""


def not_for(line: Line, kind: DiscrepancyKind, expected_event: type[Event] | str) -> list[Event]:
    """A line that is for nothing we know of, or came before, named once. It stays on suspense."""
    if line.expected:
        return []
    body = line.body
    expected = expected_event if isinstance(expected_event, str) else expected_event.__name__
    return [DiscrepancyDetected(item_of(body), kind, body.currency, 0, body.amount, expected)]


def known_at_last(line: Line, resolution: str) -> list[Event]:
    """A line that was named as extra has found what it is for."""
    if not line.expected:
        return []
    body = line.body
    return [DiscrepancyResolved(item_of(body), resolution, body.currency, body.amount)]


def later_than(line: BankLineRecorded, agreed_on: int, expected_event: type[Event]) -> list[Event]:
    """Name a line that was booked on a later day than was agreed."""
    if line.booked_on <= agreed_on:
        return []
    return [
        DiscrepancyDetected(
            item_of(line),
            DiscrepancyKind.DATE,
            line.currency,
            agreed_on,
            line.booked_on,
            expected_event.__name__,
        )
    ]


def take_back(line: Line, earlier: Line | None) -> list[Event]:
    """The bank takes an earlier line back, whole; nothing when there is none that it can be."""
    body = line.body
    if earlier is None or earlier is line:
        return []
    taken = earlier.body
    if (taken.account, taken.currency, taken.amount) != (body.account, body.currency, -body.amount):
        return []
    offset = SuspenseOffset(
        taken.account,
        taken.statement_id,
        taken.line,
        taken.currency,
        taken.amount,
        body.statement_id,
        body.line,
    )
    resolution = SuspenseOffset.__name__
    return [offset, *known_at_last(earlier, resolution), *known_at_last(line, resolution)]


def line_aged(line: Line, expected_event: str, day_on: int) -> ClearingResidualAged:
    """Report a line that stays on suspense."""
    body = line.body
    account = name(SU, body.account)
    days = day_on - line.since_on
    return ClearingResidualAged(account, item_of(body), body.currency, -body.amount, days, expected_event)
