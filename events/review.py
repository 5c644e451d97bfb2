"""Payments that a person looks at before their money is taken. The log ``payments``, by payment."""

from enum import StrEnum
from typing import ClassVar

from events.base import Event
from events.lifecycle import PAYMENT


class ReviewDecision(StrEnum):
    """What comes of a review."""

    APPROVE = "approve"
    """The payment goes on: what is captured by itself is captured now."""
    DECLINE = "decline"
    """The payment is let go, and its hold with it: nothing was captured yet."""
    REFUND = "refund"
    """A payment that was approved, and captured since, is given back in full."""


class ReviewFinding(StrEnum):
    """What those who decide a review found the payment to be. Where they say nothing, nothing is known of it."""

    FRAUD = "fraud"
    """The cardholder did not make it: the payment is labelled so at once."""
    GENUINE = "genuine"
    """The cardholder made it, whatever becomes of it."""


class ReviewedBy(StrEnum):
    """Who decided."""

    ANALYST = "analyst"
    """A person, or two where the queue asks for it."""
    DEADLINE = "deadline"
    """Nobody in time: what the queue falls to."""


class ReviewRefusal(StrEnum):
    """Why what is wanted of a payment under review is not done. An assignment has the first four alone."""

    NOT_UNDER_REVIEW = "not_under_review"
    """No review of this payment was opened, or it was decided so long ago that it was forgotten."""
    ALREADY_DECIDED = "already_decided"
    """Somebody has decided it. An approved payment that was captured can still be given back by `refund`."""
    AFTER_THE_DEADLINE = "after_the_deadline"
    """Nobody decided in time, and the payment went the way its queue falls to."""
    OVERTAKEN = "overtaken"
    """The payment was over before: declined, reversed, voided, or its hold ran out."""
    SAME_ANALYST = "same_analyst"
    """The queue asks for two people, and this one has proposed it. Another has to agree."""
    NOTHING_CAPTURED = "nothing_captured"
    """There is no money to give back: while it is under review, decline it."""


class ReviewClosure(StrEnum):
    """What overtook a review."""

    DECLINED = "declined"
    """The issuer said no, or no network was left."""
    REVERSED = "reversed"
    """Nobody answered in time, and the authorization was taken back."""
    VOIDED = "voided"
    """The merchant let the payment go, or a verdict behind the authorization did."""
    EXPIRED = "expired"
    """The hold ran out."""


class ReviewOpened(Event, frozen=True):
    """A payment waits for a person: until it is decided nothing of it is captured.

    ``rules`` and ``score`` are those of the verdict. At the first tick at or after ``deadline_at`` it goes the way of
    ``falls_to``. A smaller ``priority`` comes first. With ``four_eyes`` two people have to agree.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    priority: int
    four_eyes: bool
    score: int
    rules: list[str]
    deadline_at: int
    falls_to: ReviewDecision


class ReviewProposed(Event, frozen=True):
    """The first of two people has decided; ``note_sha256`` is the hash of the note, which is kept elsewhere.

    ``finding`` came with version 2; null where the first has none.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    analyst: str
    decision: ReviewDecision
    note_sha256: str
    finding: ReviewFinding | None = None


class ReviewDecided(Event, frozen=True):
    """A review has come to its end. ``proposed_by`` is the first of two people; no names where the deadline decided.

    ``finding`` came with version 2; null where nobody has said what the payment is.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT
    VERSION: ClassVar[int] = 2

    payment_id: str
    merchant: str
    queue: str
    decision: ReviewDecision
    reviewed_by: ReviewedBy
    analyst: str
    proposed_by: str
    note_sha256: str
    finding: ReviewFinding | None = None


class ReviewRefused(Event, frozen=True):
    """What an analyst wanted is not done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    analyst: str
    decision: ReviewDecision
    reason: ReviewRefusal


class ReviewAssigned(Event, frozen=True):
    """Whose an open review is from now on; who decides it need not be the same.

    ``taken_from`` is whose it was before, empty where it was nobody's. ``assigned_by`` is the analyst where he took it
    himself. ``note_sha256`` is the hash of the note, which is kept elsewhere.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    analyst: str
    taken_from: str
    assigned_by: str
    note_sha256: str


class ReviewUnassigned(Event, frozen=True):
    """An open review is anybody's again; ``taken_from`` is whose it was. The note is as in :class:`ReviewAssigned`."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    taken_from: str
    unassigned_by: str
    note_sha256: str


class ReviewAssignmentRefused(Event, frozen=True):
    """A review that is not open is nobody's to work on; ``analyst`` is empty where it was to be anybody's again."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    analyst: str
    assigned_by: str
    reason: ReviewRefusal


class ReviewClosed(Event, frozen=True):
    """Nothing is left to decide: the payment is over without it."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    cause: ReviewClosure
