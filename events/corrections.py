"""How what differs is put right: who asks for it, who approves, and the events that correct the books.

The log that holds the item decides. Amounts are minor units of ``currency``.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.reconciliation import ACCOUNT, ITEM


class ResolutionAction(StrEnum):
    """What somebody wants done about a discrepancy."""

    WRITE_OFF = "write_off"
    """Take what still stands on the item as our loss, or as our gain."""
    ADJUST = "adjust"
    """Take over the other side's figure: of a record's interchange, or of an invoice."""
    ASSIGN = "assign"
    """Book a line on suspense as if its reference were the one given as target."""
    ACCEPT = "accept"
    """Note the difference where no money stands open."""
    PRESENT_AGAIN = "present_again"
    """Let a record that the network has no trace of leave once more."""


class ResolutionRejection(StrEnum):
    """Why nothing was done. Whoever asked can ask again, better."""

    FOUR_EYES = "four_eyes"
    """Nobody approves, or the one who asks does: somebody else must approve."""
    NOT_OPEN = "not_open"
    """Nothing of this name differs, or not any more."""
    NOT_FITTING = "not_fitting"
    """What differs cannot be put right in this way."""
    ABOVE_LIMIT = "above_limit"
    """The correction would move more than was approved."""
    REPEATED = "repeated"
    """A request of this name was decided before; it is decided once."""


class WriteOffRule(StrEnum):
    """By which rule a difference was written off."""

    TOLERANCE = "tolerance"
    """It is no larger than the reference data tolerates: nobody is asked."""
    APPROVED = "approved"
    """Somebody asked for it and somebody else approved."""


class ResolutionRequested(Event, frozen=True):
    """Somebody wants a discrepancy put right, and says who approved.

    ``request_id`` makes a repetition harmless. ``limit`` is the most that the correction may move; what it moves is
    found from the books when it is decided. ``target`` is a bank reference, for lines that are assigned.
    """

    KEY: ClassVar[tuple[str, ...]] = ITEM

    item: str
    request_id: str
    action: ResolutionAction
    target: str
    limit: int
    requested_by: str
    approved_by: str
    note: str


class ResolutionRejected(Event, frozen=True):
    """A discrepancy stays as it is."""

    KEY: ClassVar[tuple[str, ...]] = ITEM

    item: str
    request_id: str
    action: ResolutionAction
    reason: ResolutionRejection
    requested_by: str
    approved_by: str


class SettlementDifferenceWrittenOff(Event, frozen=True):
    """What a network settled of a cycle is less than it owed by ``amount`` (negative: more), and stays so."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    network: str
    cycle: str
    currency: str
    amount: int
    rule: WriteOffRule
    approved_by: str


class SchemeInvoiceAdjusted(Event, frozen=True):
    """A network's invoice of a period is right and our count is not: we owe ``amount`` more (negative: less)."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    network: str
    period: str
    currency: str
    amount: int
    rule: WriteOffRule
    approved_by: str


class PayoutDifferenceWrittenOff(Event, frozen=True):
    """The bank paid ``amount`` more than a payout (negative: less), and it stays so."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    payout_id: str
    merchant: str
    currency: str
    amount: int
    rule: WriteOffRule
    approved_by: str


class SuspenseWrittenOff(Event, frozen=True):
    """A bank line is for nothing that will ever be known; ``amount`` is the line's, money in positive."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    statement_id: str
    line: int
    currency: str
    amount: int
    approved_by: str


class SuspenseOffset(Event, frozen=True):
    """A bank line takes an earlier one of the same account back; ``amount`` is the earlier one's."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    statement_id: str
    line: int
    currency: str
    amount: int
    by_statement_id: str
    by_line: int
