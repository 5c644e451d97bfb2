"""Our books against the bank's and the networks'. The log ``reconciliation``, by bank account.

Amounts are minor units of ``currency``; on bank lines and settlements positive is money in.
"""

from enum import StrEnum
from typing import ClassVar

from events.base import Event

ACCOUNT = ("account",)
ITEM = ("item",)


class DiscrepancyKind(StrEnum):
    """How two records differ."""

    MISSING = "missing"
    """One side has spoken and the other has not, for longer than it may take."""
    EXTRA = "extra"
    """Something came that nothing of ours stands behind."""
    AMOUNT = "amount"
    """The amounts differ."""
    FEE = "fee"
    """The amounts agree, what the network kept of them differs."""
    DATE = "date"
    """The money came, on a later day than was agreed. Figures are days since 1970-01-01."""
    DUPLICATE = "duplicate"
    """The same came once before and was taken."""


class BankLineRecorded(Event, frozen=True):
    """One line of our bank's statement. Nothing else touches the bank account in our books."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    statement_id: str
    line: int
    amount: int
    currency: str
    booked_on: int
    reference: str


class NetworkSettlementAdvised(Event, frozen=True):
    """A network's own account of one cycle; ``disputed`` is what issuers took in disputes less what they gave back."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT
    VERSION: ClassVar[int] = 2

    account: str
    network: str
    cycle: str
    currency: str
    records: int
    presented: int
    refunded: int
    interchange: int
    net: int
    disputed: int = 0


class PayoutAnnounced(Event, frozen=True):
    """A payout that the settlement log has initiated: a line to expect on the statement."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    payout_id: str
    merchant: str
    currency: str
    amount: int
    value_on: int


class NetworkSettlementReceived(Event, frozen=True):
    """A bank line settles a cycle. ``amount`` may be negative: then we paid the network."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    statement_id: str
    line: int
    network: str
    cycle: str
    currency: str
    amount: int


class SchemeInvoicePaid(Event, frozen=True):
    """A bank line pays a network's invoice; ``amount`` is positive."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    account: str
    statement_id: str
    line: int
    network: str
    period: str
    currency: str
    amount: int


class PayoutPaid(Event, frozen=True):
    """A bank line shows that a payout has left."""

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT

    payout_id: str
    merchant: str
    account: str
    statement_id: str
    line: int
    currency: str
    amount: int


class PayoutReturned(Event, frozen=True):
    """A bank line brings a payout back; ``return_code`` is the bank's (ACH return codes: Nacha rules).

    ``correction`` is the code of a notification of change that came with it (C01 to C13); empty without one.
    """

    KEY: ClassVar[tuple[str, ...]] = ACCOUNT
    VERSION: ClassVar[int] = 2

    payout_id: str
    merchant: str
    account: str
    statement_id: str
    line: int
    currency: str
    amount: int
    return_code: str
    correction: str = ""


class ReconciliationMatched(Event, frozen=True):
    """Two records of the same thing agree, to ``tolerance`` minor units.

    ``confidence_ppm`` is 1,000,000 where they say the very same; within a tolerance it falls with the difference, to
    a half where that is used up.
    """

    KEY: ClassVar[tuple[str, ...]] = ITEM
    VERSION: ClassVar[int] = 2

    item: str
    left: str
    right: str
    rule: str
    currency: str
    amount: int
    tolerance: int = 0
    confidence_ppm: int = 1_000_000


class DiscrepancyDetected(Event, frozen=True):
    """Two records differ, or one of them is not there; the event that would settle it is named."""

    KEY: ClassVar[tuple[str, ...]] = ITEM
    VERSION: ClassVar[int] = 2

    item: str
    kind: DiscrepancyKind
    currency: str
    ours: int
    theirs: int
    expected_event: str


class DiscrepancyResolved(Event, frozen=True):
    """What differed is put right: what was missing came and agrees, or somebody's correction was approved.

    ``resolution`` is the event that did it. The rest says whose correction it was, and is empty where it was nobody's.
    """

    KEY: ClassVar[tuple[str, ...]] = ITEM
    VERSION: ClassVar[int] = 2

    item: str
    resolution: str
    currency: str
    amount: int
    request_id: str = ""
    requested_by: str = ""
    approved_by: str = ""
    note: str = ""
