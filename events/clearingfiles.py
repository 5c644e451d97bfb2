"""Clearing files: what leaves for a network at one cut-off, merged over all partitions, and what becomes of it.

Each partition closes its own batches (:class:`~events.clearing.ClearingBatchClosed`). Those of one network and cut-off
travel together in one file, with control totals that the network checks. It takes a file whole or not at all; what it
says of single records comes after that. Every partition that has a batch in the file is told of it in the same words.
"""

from enum import StrEnum

from events.base import Event, Part


class FileRejection(StrEnum):
    """Why a network refused a clearing file. None of its records has been taken."""

    INCOMPLETE = "incomplete"
    """It ends too early: a part of it was lost on the way. It is sent again."""
    UNREADABLE = "unreadable"
    """A line is not of the format, or names another network. It is sent again."""
    TOTALS = "totals"
    """Its control totals are not what its records add up to. It is made anew and sent again."""
    DUPLICATE = "duplicate"
    """A file of this name has been accepted before: it is not taken twice, and that acceptance is repeated."""


class FileBatch(Part, frozen=True):
    """The batch of one currency in a file, merged over partitions, with its control totals (minor units).

    ``hash_total`` is the sum of the acquirer reference numbers, modulo 10^18 - 1: it means nothing, and shows
    whether a record was put in another's place.
    """

    batch_id: str
    currency: str
    presentments: int
    presented_amount: int
    refunds: int
    refunded_amount: int
    hash_total: int


class ClearingFileSent(Event, frozen=True):
    """A file has left for its network. ``attempt`` counts from 1; ``sha256`` is that of the bytes as they left."""

    network: str
    file_id: str
    attempt: int
    cut_off_at: int
    sha256: str
    records: int
    hash_total: int
    batches: list[FileBatch]


class ClearingFileRejected(Event, frozen=True):
    """The network refused a file whole; ``detail`` is what it found. The same records leave in the next attempt."""

    network: str
    file_id: str
    attempt: int
    cut_off_at: int
    sha256: str
    reason: FileRejection
    detail: str


class ClearingFileAccepted(Event, frozen=True):
    """The network took a file whole. Hash and totals are its own, of the bytes that came to it."""

    network: str
    file_id: str
    attempt: int
    cut_off_at: int
    sha256: str
    records: int
    hash_total: int
    batches: list[FileBatch]


class ClearingBatchAccepted(Event, frozen=True):
    """A batch of this partition is with its network, in the file named; the totals are the partition's own."""

    network: str
    currency: str
    batch_id: str
    cut_off_at: int
    file_id: str
    sha256: str
    presentments: int
    presented_amount: int
    refunds: int
    refunded_amount: int
