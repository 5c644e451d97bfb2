"""Merchants who answer disputes, simulated: when, with what, and what they get wrong.

A merchant of ours is a function of (seed, case, what is asked), as its cardholders' issuers are
(:mod:`streams.edge.issuers`), and the same draws tell it what will be said to it: so its answers can be written down
with the rest of its day. Most come in time. Some come when the time is over, some a second time under another key,
some to another stage of the case than it has reached or by a merchant whose case it is not, and some never. Whoever
answers in time may be asked again: then the issuer insists.

The shares are chosen, not measured. Issuers here leave fewer days than in life.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from events.calendar import DAY, HOUR, MINUTE, day_of, start_of
from events.disputes import DisputeEvidenceSubmitted, DisputeNoticeReceived, DisputeStage, DisputeStep
from events.requests import Answered, EvidenceRequest
from streams.edge import issuers
from streams.edge.dice import between, chance, weighted

#: How a merchant takes what it is asked, with weights in millionths.
IN_TIME, LATE, TWICE, WRONG_STAGE, STRANGER, NEVER = (
    "in time",
    "late",
    "twice",
    "wrong stage",
    "stranger",
    "never",
)
_MANNERS: Final = (
    (IN_TIME, 640_000),
    (LATE, 80_000),
    (TWICE, 60_000),
    (WRONG_STAGE, 40_000),
    (STRANGER, 20_000),
    (NEVER, 160_000),
)
#: After the beginning of the day on which it is asked: hours in which it answers, when it does so in time.
HOURS_TO_ANSWER: Final = (8, 54)
HOURS_TOO_LATE: Final = (2, 12)
MOST_DOCUMENTS: Final = 3

ASKED: Final = {
    DisputeStep.INQUIRY_OPENED: Answered.INQUIRY,
    DisputeStep.CHARGEBACK: Answered.CHARGEBACK,
    DisputeStep.PRE_ARBITRATION: Answered.PRE_ARBITRATION,
}


class Charge(NamedTuple):
    """A capture as its merchant knows it. ``accepted_on`` is the day (since 1970) on which it is cleared."""

    merchant: str
    producer: str
    payment_id: str
    network: str
    capture: str
    amount: int
    currency: str
    accepted_on: int


def answers(seed: int, charge: Charge, stranger: str) -> Iterator[EvidenceRequest]:
    """Everything that is sent because of a capture; nothing for nearly all. ``stranger`` is another merchant."""
    said = issuers.foreseen(
        seed,
        charge.network,
        charge.payment_id,
        charge.capture,
        charge.amount,
        charge.currency,
        charge.accepted_on,
    )
    for planned in said:
        notice = planned.said
        if isinstance(notice, DisputeNoticeReceived) and notice.step in ASKED:
            yield from _answered(seed, charge, notice, planned.on, stranger)


def _answered(
    seed: int, charge: Charge, notice: DisputeNoticeReceived, asked_on: int, stranger: str
) -> Iterator[EvidenceRequest]:
    """What comes of one notice, and of what the issuer says to that."""
    case_id, stage = notice.case_id, ASKED[notice.step]

    def drawn(what: str) -> int:
        return chance(seed, what, case_id, stage)

    def request(at: int, number: int, merchant: str, to: Answered) -> EvidenceRequest:
        return EvidenceRequest(
            merchant,
            f"evidence-{case_id[4:]}-{stage}-{number}",
            charge.payment_id,
            case_id,
            to,
            _documents(case_id, stage, between(drawn("documents"), 1, MOST_DOCUMENTS)),
            at,
            charge.producer,
            True,
        )

    manner = weighted(drawn("manner"), _MANNERS)
    minutes = drawn("minute") % 60 * MINUTE
    if manner == NEVER:
        return
    if manner == LATE:
        late = between(drawn("hours late"), *HOURS_TOO_LATE) * HOUR
        yield request(notice.reply_by_at + late + minutes, 1, charge.merchant, stage)
        return
    at = start_of(asked_on) + between(drawn("hours"), *HOURS_TO_ANSWER) * HOUR + minutes
    if manner == STRANGER:
        yield request(at - HOUR, 2, stranger, stage)
    if manner == WRONG_STAGE:
        # The answer to the issuer's question, sent to its dispute; or one that is ahead of the issuer.
        other = Answered.INQUIRY if stage is Answered.CHARGEBACK else Answered.CHARGEBACK
        yield request(at - HOUR, 2, charge.merchant, other)
    yield request(at, 1, charge.merchant, stage)
    if manner == TWICE:
        yield request(at + 2 * HOUR, 2, charge.merchant, stage)
    # The issuer answers what has been submitted, as of its day.
    submitted = DisputeEvidenceSubmitted(
        charge.payment_id,
        charge.merchant,
        charge.network,
        case_id,
        DisputeStage(stage.value),
        notice.amount,
        charge.currency,
        [],
    )
    for planned in issuers.answer(seed, submitted, day_of(at)):
        insisted = planned.said
        if isinstance(insisted, DisputeNoticeReceived) and insisted.step in ASKED:
            yield from _answered(seed, charge, insisted, planned.on, stranger)


def _documents(case_id: str, stage: Answered, count: int) -> list[str]:
    return [sha256(f"{case_id}/{stage}/{number}".encode()).hexdigest() for number in range(count)]


def cleared_on(captured_at: int, cut_off_minute: int) -> int:
    """The day on which a capture leaves for its network, and is cleared unless it is refused."""
    return day_of(captured_at + DAY - cut_off_minute * MINUTE)
