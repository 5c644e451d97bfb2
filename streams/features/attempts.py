"""The messages of one payment to its network: which were sent, which are answered, what is being taken back.

Each kind of message is counted by itself. An answer belongs to an attempt by its kind and number and by the RRN, and is
the first to it exactly when the attempt remembers the answer's own sequence.
"""

from typing import Final

import msgspec

from events.authorization import (
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    ReversalReason,
    ReversalSubmitted,
)
from events.identity import rrn
from streams.features.approvals import APPROVALS

#: Reversed; no action was taken; the original is not on file. After each of these nothing is held.
REVERSAL_DONE: Final = frozenset({"00", "21", "25"})

Answer = NetworkReplyReceived | NetworkReplyTimedOut | NetworkNotSent


class Attempts(msgspec.Struct):
    """What was submitted for a payment, by kind: the sequence of the first answer to each attempt (0: none yet).

    ``timed_out`` is the authorization attempt nobody answered in time, ``late`` whether its approval came;
    ``unanswered`` are the increments nobody answered in time, until an approval of theirs comes.
    """

    authorizations: list[int] = []
    reversals: list[int] = []
    increments: list[int] = []
    timed_out: int = 0
    late: bool = False
    unanswered: list[int] = []


class TakingBack(msgspec.Struct):
    """A reversal until it is acknowledged: what it takes back, and the attempts to say so.

    ``amount`` in minor units of the payment's currency; ``stan`` is that of the message it takes back.
    """

    reason: ReversalReason
    amount: int
    stan: str
    attempts: list[int]
    acknowledged: bool = False


def answers_of(attempts: Attempts | None, body: Answer) -> list[int] | None:
    """The answers among which this one belongs; None when nothing was submitted that it could answer."""
    if attempts is None:
        return None
    match body.kind:
        case MessageKind.AUTHORIZATION:
            answers = attempts.authorizations
        case MessageKind.REVERSAL:
            answers = attempts.reversals
        case MessageKind.INCREMENT:
            answers = attempts.increments
    if not 1 <= body.attempt <= len(answers) or body.rrn != rrn(body.payment_id):
        return None
    return answers


def is_late_approval(attempts: Attempts, body: Answer) -> bool:
    """Whether this is the first approval of an attempt that had timed out."""
    if not isinstance(body, NetworkReplyReceived) or body.response_code not in APPROVALS:
        return False
    if body.kind is MessageKind.INCREMENT:
        return body.attempt in attempts.unanswered
    return body.kind is MessageKind.AUTHORIZATION and body.attempt == attempts.timed_out and not attempts.late


def acknowledges(body: Answer) -> bool:
    """Whether an answer to a reversal says that what it takes back is not held any more."""
    return isinstance(body, NetworkReplyReceived) and body.response_code in REVERSAL_DONE


def submitted(takings: list[TakingBack], body: ReversalSubmitted, *, first: bool) -> TakingBack:
    """Note a reversal that goes out, for the first time or again."""
    if not first:
        for taking in takings:
            wanted = (taking.reason, taking.amount, taking.stan)
            if not taking.acknowledged and wanted == (body.reason, body.amount, body.stan):
                taking.attempts.append(body.attempt)
                return taking
    taking = TakingBack(body.reason, body.amount, body.stan, [body.attempt])
    takings.append(taking)
    return taking


def taking_of(takings: list[TakingBack], attempt: int) -> TakingBack:
    """The reversal that an attempt was for."""
    return next(taking for taking in takings if attempt in taking.attempts)


def told(attempts: Attempts) -> str:
    """The talk in words. How often a reversal was repeated is the outside's business."""
    words = [
        f"{len(attempts.authorizations)} attempts",
        f"unknown at attempt {attempts.timed_out}" if attempts.timed_out else "answered",
    ]
    if attempts.increments:
        words.append(f"{len(attempts.increments)} increments")
    if attempts.late:
        words.append("late approval")
    return ", ".join(words)
