"""What a network's answer to a request for money means, in one vocabulary for all networks.

Response codes are DE 39 of ISO 8583:1987. An approval need not say an amount; one that says another than we asked for,
or another currency, is in conflict with us: then only what both sides speak of can be on hold.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from events.authorization import ConflictField, DeclineReason, NetworkReplyReceived, RetryAdvice

APPROVED: Final = "00"
PARTLY_APPROVED: Final = "10"
APPROVALS: Final = frozenset({APPROVED, PARTLY_APPROVED})

Meaning = tuple[DeclineReason, RetryAdvice]

#: Response codes, by the reason for the merchant and what the merchant may do.
DECLINES: Final[dict[str, Meaning]] = {
    "04": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "05": (DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER),
    "07": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "14": (DeclineReason.INVALID_CARD, RetryAdvice.NEVER),
    "15": (DeclineReason.INVALID_CARD, RetryAdvice.NEVER),
    "33": (DeclineReason.EXPIRED_CARD, RetryAdvice.OTHER_CARD),
    "34": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "41": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "43": (DeclineReason.LOST_OR_STOLEN, RetryAdvice.NEVER),
    "51": (DeclineReason.INSUFFICIENT_FUNDS, RetryAdvice.LATER),
    "54": (DeclineReason.EXPIRED_CARD, RetryAdvice.OTHER_CARD),
    "59": (DeclineReason.SUSPECTED_FRAUD, RetryAdvice.NEVER),
    "61": (DeclineReason.LIMIT_EXCEEDED, RetryAdvice.LATER),
    "62": (DeclineReason.DO_NOT_HONOUR, RetryAdvice.OTHER_CARD),
    "65": (DeclineReason.LIMIT_EXCEEDED, RetryAdvice.LATER),
    "91": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
    "92": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
    "96": (DeclineReason.ISSUER_UNAVAILABLE, RetryAdvice.LATER),
}
OTHER_DECLINE: Final[Meaning] = (DeclineReason.OTHER, RetryAdvice.OTHER_CARD)

#: What becomes of a request without an answer of its issuer, or with one that cannot stand.
BLOCKED: Final[Meaning] = (DeclineReason.RISK_BLOCKED, RetryAdvice.NEVER)
NOWHERE: Final[Meaning] = (DeclineReason.NO_ROUTE, RetryAdvice.LATER)
UNANSWERED: Final[Meaning] = (DeclineReason.NO_ANSWER, RetryAdvice.LATER)
CONFLICTING: Final[Meaning] = (DeclineReason.CONFLICTING_ANSWER, RetryAdvice.LATER)

_STANS: Final = 999_999


class Approval(NamedTuple):
    """What is on hold after an answer, minor units of the currency asked for; 0 after a decline.

    ``conflict`` says what of the answer is not what we asked for, and ``surplus`` what the network holds above that.
    """

    amount: int
    conflict: ConflictField | None = None
    surplus: int = 0


def approval_of(amount: int, currency: str, reply: NetworkReplyReceived) -> Approval:
    """What an answer to a request for ``amount`` puts on hold."""
    if reply.response_code not in APPROVALS:
        return Approval(0)
    if reply.currency not in ("", currency):
        return Approval(0, ConflictField.CURRENCY, amount)
    theirs = reply.approved_amount
    if reply.response_code == PARTLY_APPROVED:
        if theirs <= 0:
            return Approval(0)
        if theirs <= amount:
            return Approval(theirs)
    elif theirs <= 0:
        theirs = amount  # A full approval need not repeat the amount.
    if theirs == amount:
        return Approval(amount)
    return Approval(min(theirs, amount), ConflictField.AMOUNT, max(0, theirs - amount))


def decline_of(response_code: str) -> Meaning:
    """Why there was no approval, and what the merchant may do."""
    return DECLINES.get(response_code, OTHER_DECLINE)


def stan(reference: str, attempt: int) -> str:
    """The trace number (DE 11) of an attempt: six digits of a hash, never 000000."""
    value = int.from_bytes(sha256(f"{reference}/{attempt}".encode()).digest()[:8], "big")
    return f"{value % _STANS + 1:06d}"
