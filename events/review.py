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


class ReviewedBy(StrEnum):
    """Who decided."""

    ANALYST = "analyst"
    """A person, or two where the queue asks for it."""
    DEADLINE = "deadline"
    """Nobody in time: what the queue falls to."""


class ReviewRefusal(StrEnum):
    """Why what an analyst wants of a payment is not done."""

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
    """The merchant let the payment go."""
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
    """The first of two people has decided; ``note_sha256`` is the hash of the note, which is kept elsewhere."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    analyst: str
    decision: ReviewDecision
    note_sha256: str


class ReviewDecided(Event, frozen=True):
    """A review has come to its end. ``proposed_by`` is the first of two people; no names where the deadline decided."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    decision: ReviewDecision
    reviewed_by: ReviewedBy
    analyst: str
    proposed_by: str
    note_sha256: str


class ReviewRefused(Event, frozen=True):
    """What an analyst wanted is not done."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    analyst: str
    decision: ReviewDecision
    reason: ReviewRefusal


class ReviewClosed(Event, frozen=True):
    """Nothing is left to decide: the payment is over without it."""

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    merchant: str
    queue: str
    cause: ReviewClosure
