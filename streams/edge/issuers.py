"""The issuers, simulated: whose cardholder looks at the statement, and what comes of that.

What an issuer does about a capture is planned when the network accepts it, as a function of (seed, capture):
:func:`plan`. What it does about evidence is a function of (seed, case, stage): :func:`answer`. Neither knows an order
of arrival or a partition, so the clearing houses, which say it, and the bank, which settles it, can each ask for
themselves and be told the same.

How often: about 0.6 % of captures are disputed, which is between the one in a thousand of a quiet merchant and the
0.9 % at which networks begin to watch one; three of five disputes are of fraud, and half of those have an early warning
before them. The figures are chosen, not measured. Reason codes are those of Visa (Core Rules, chapter 11), Mastercard
(Chargeback Guide), American Express and Discover; networks that publish none have words.

Days are shorter than in life, where a merchant has 20 to 45 to answer, so that a run comes to an end:
:data:`LONGEST_DAYS` bounds them.
"""

from typing import Final, NamedTuple

import msgspec

from events.calendar import iso_day, start_of
from events.clearing import ClearingRecordCreated, ClearingReturnReceived
from events.disputes import (
    DisputeEvidenceSubmitted,
    DisputeNoticeReceived,
    DisputeStage,
    DisputeStep,
    FraudProgram,
    FraudReportReceived,
)
from events.identity import operation_id
from streams.edge.dice import MILLION, between, chance, weighted

#: Of captures, in millionths: disputed; reported as fraud though nobody disputes them.
DISPUTED: Final = 6_000
WARNED: Final = 2_000
#: Of disputes of fraud: warned of before. Of the others: asked about first, and of these given up after the answer.
WARNED_FIRST: Final = 500_000
ASKED_FIRST: Final = 300_000
ASKED_ONLY: Final = 400_000
#: Of disputes: let go of again before the merchant has answered.
LET_GO: Final = 60_000
#: Of disputes: for a part of the amount.
IN_PART: Final = 100_000

DAYS_TO_WARNING: Final = (1, 2)
DAYS_TO_RETURN: Final = (1, 3)
DAYS_TO_INQUIRY: Final = (1, 2)
DAYS_TO_CHARGEBACK: Final = (1, 4)
DAYS_FROM_INQUIRY: Final = 3
DAYS_TO_LET_GO: Final = 2
REPLY_DAYS: Final = 3
DAYS_TO_CREDIT: Final = 1
DAYS_TO_ANSWER: Final = (2, 3)
DAYS_TO_RULE: Final = (2, 3)
#: A notice takes effect some ticks after it was said: no more than a day.
DAYS_UNDER_WAY: Final = 1

#: From the day a record is accepted until the network's last word about it.
LONGEST_DAYS: Final = (
    DAYS_TO_INQUIRY[1]
    + DAYS_FROM_INQUIRY
    + DAYS_TO_CHARGEBACK[1]
    + (REPLY_DAYS + DAYS_UNDER_WAY + DAYS_TO_ANSWER[1])
    + (REPLY_DAYS + DAYS_UNDER_WAY + DAYS_TO_RULE[1])
    + DAYS_UNDER_WAY
)

_PROGRAMS: Final = {"visa": FraudProgram.TC40, "mastercard": FraudProgram.SAFE}
#: The networks' codes for kinds of fraud, with how often each is reported.
_FRAUD_TYPES: Final[dict[FraudProgram, tuple[tuple[str, int], ...]]] = {
    FraudProgram.TC40: (
        ("6", 800_000),  # fraudulent use of the account number
        ("B", 90_000),  # account or credentials taken over
        ("1", 60_000),  # stolen
        ("0", 30_000),  # lost
        ("4", 20_000),  # counterfeit
    ),
    FraudProgram.SAFE: (
        ("06", 800_000),  # card not present
        ("05", 90_000),  # account taken over
        ("01", 60_000),  # stolen
        ("00", 30_000),  # lost
        ("04", 20_000),  # counterfeit
    ),
    FraudProgram.OTHER: (("fraud", MILLION),),
}

#: Why cardholders dispute, with how often: fraud first. (code, weight) by network.
_FRAUD: Final[dict[str, str]] = {"visa": "10.4", "mastercard": "4837", "amex": "F29", "discover": "UA02"}
_REASONS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "visa": (
        ("13.1", 350_000),  # merchandise or services not received
        ("13.3", 200_000),  # not as described, or defective
        ("13.2", 100_000),  # cancelled recurring transaction
        ("13.6", 80_000),  # credit not processed
        ("13.7", 70_000),  # cancelled merchandise or services
        ("12.6.1", 80_000),  # duplicate processing
        ("12.5", 50_000),  # incorrect amount
        ("11.3", 70_000),  # no authorization
    ),
    "mastercard": (
        ("4853", 750_000),  # cardholder dispute
        ("4834", 150_000),  # point-of-interaction error
        ("4808", 100_000),  # authorization
    ),
    "amex": (
        ("C08", 400_000),  # goods or services not received
        ("C31", 300_000),  # not as described
        ("C02", 150_000),  # credit not processed
        ("P08", 150_000),  # duplicate charge
    ),
    "discover": (
        ("RG", 450_000),  # non-receipt of goods or services
        ("RM", 300_000),  # quality
        ("DP", 150_000),  # duplicate processing
        ("AT", 100_000),  # authorization
    ),
}
_WORDS: Final = (("not_received", 500_000), ("not_as_described", 300_000), ("duplicate", 200_000))
OF_FRAUD: Final = 600_000


def cycle_on(network: str, currency: str, day_on: int) -> str:
    """What a network calls its settlement of a currency on a day (since 1970)."""
    return f"{network}-{currency}-{iso_day(day_on)}"


class Planned(msgspec.Struct, frozen=True, gc=False):
    """What an issuer will say on a day (since 1970)."""

    on: int
    said: FraudReportReceived | DisputeNoticeReceived | ClearingReturnReceived


class Complaint(NamedTuple):
    """What a cardholder has against a capture."""

    case_id: str
    fraud: bool
    reason_code: str
    amount: int


def case_of(network: str, capture: str) -> str:
    """The network's name for the dispute of a capture: whoever knows the capture can write it down beforehand."""
    return operation_id("dsp", network, capture)


def complaint(seed: int, network: str, capture: str, amount: int) -> Complaint | None:
    """Whether a capture will be disputed, and why."""
    if chance(seed, "disputed", capture) >= DISPUTED:
        return None
    case_id = case_of(network, capture)
    fraud = _Draw(seed, case_id).fraud()
    if fraud:
        code = _FRAUD.get(network, "fraud")
    else:
        code = weighted(chance(seed, "reason", capture), _REASONS.get(network, _WORDS))
    if chance(seed, "in part", capture) < IN_PART:
        amount = max(1, amount * (200_000 + chance(seed, "part", capture) * 6 // 10) // MILLION)
    return Complaint(case_id, fraud, code, amount)


def warned(seed: int, capture: str) -> bool:
    """Whether a capture that nobody disputes will be reported as fraud."""
    return chance(seed, "warned", capture) < WARNED


def plan(seed: int, record: ClearingRecordCreated, accepted_on: int) -> list[Planned]:
    """What becomes of a capture whose record the network accepted on a day; nothing for nearly all."""
    capture = record.source_id
    about = complaint(seed, record.network, capture, record.amount)
    if about is None:
        return [_warning(seed, record, accepted_on)] if warned(seed, capture) else []
    planned = []
    if about.fraud and chance(seed, "warned first", capture) < WARNED_FIRST:
        planned.append(_warning(seed, record, accepted_on))
    case = _Case(
        record.payment_id, record.network, about.case_id, about.reason_code, record.arn, record.currency
    )
    return planned + _dispute(seed, case, about.amount, accepted_on)


def foreseen(
    seed: int, network: str, payment_id: str, capture: str, amount: int, currency: str, accepted_on: int
) -> list[Planned]:
    """What will be said in the case of a capture, before there is a record of it: for a merchant to be ready."""
    about = complaint(seed, network, capture, amount)
    if about is None:
        return []
    case = _Case(payment_id, network, about.case_id, about.reason_code, "", currency)
    return _dispute(seed, case, about.amount, accepted_on)


def _warning(seed: int, record: ClearingRecordCreated, accepted_on: int) -> Planned:
    capture = record.source_id
    program = _PROGRAMS.get(record.network, FraudProgram.OTHER)
    report = FraudReportReceived(
        record.payment_id,
        record.network,
        operation_id("frd", record.network, capture),
        program,
        weighted(chance(seed, "fraud type", capture), _FRAUD_TYPES[program]),
        record.amount,
        record.currency,
    )
    return Planned(accepted_on + between(chance(seed, "warned after", capture), *DAYS_TO_WARNING), report)


def _dispute(seed: int, case: "_Case", amount: int, accepted_on: int) -> list[Planned]:
    """An inquiry where there is one, the chargeback unless the answer was enough, and second thoughts."""
    draw = _Draw(seed, case.case_id)
    planned = []
    day_on = accepted_on
    if draw.asked_first():
        day_on += draw.days("asked after", DAYS_TO_INQUIRY)
        planned.append(case.says(day_on, 1, DisputeStep.INQUIRY_OPENED, amount, reply=True))
        day_on += DAYS_FROM_INQUIRY
        if draw("asked only") < ASKED_ONLY:
            return [*planned, case.says(day_on, 2, DisputeStep.INQUIRY_CLOSED, 0)]
    day_on += draw.days("disputed after", DAYS_TO_CHARGEBACK)
    number = len(planned) + 1
    planned.append(case.says(day_on, number, DisputeStep.CHARGEBACK, amount, reply=True))
    if draw("let go") < LET_GO:
        let_go_on = day_on + DAYS_TO_LET_GO
        planned.append(case.says(let_go_on, number + 1, DisputeStep.WITHDRAWN, amount))
    return planned


def answer(seed: int, submitted: DisputeEvidenceSubmitted, submitted_on: int) -> list[Planned]:
    """What comes of evidence that was submitted on a day. An inquiry's is read, and nothing more is said."""
    draw = _Draw(seed, submitted.case_id)
    if submitted.stage is DisputeStage.INQUIRY or draw("let go") < LET_GO:
        return []
    case = _Case(submitted.payment_id, submitted.network, submitted.case_id, "", "", submitted.currency)
    if submitted.stage is DisputeStage.PRE_ARBITRATION:
        return [_ruling(draw, case, submitted, submitted_on)]
    return _representment(draw, case, submitted, submitted_on)


#: How issuers take evidence, and how networks rule: with their weights.
_TAKEN: Final = (("accepted", 350_000), ("in part", 150_000), ("insists", 350_000), ("refused", 150_000))
_RULED: Final = (("merchant", 450_000), ("issuer", 350_000), ("both", 200_000))


def _representment(
    draw: "_Draw", case: "_Case", submitted: DisputeEvidenceSubmitted, submitted_on: int
) -> list[Planned]:
    number = draw.notices_before_evidence() + 1
    answered_on = submitted_on + draw.days("answered after", DAYS_TO_ANSWER)
    taken = weighted(draw("taken"), _TAKEN)
    if taken == "refused":
        return [case.says(answered_on, number, DisputeStep.EVIDENCE_REFUSED, 0)]
    whole = submitted.amount
    credited = whole // 2 if taken == "in part" and whole > 1 else whole
    planned = [case.says(submitted_on + DAYS_TO_CREDIT, number, DisputeStep.EVIDENCE_CREDITED, credited)]
    if taken == "insists":
        insisted = case.says(answered_on, number + 1, DisputeStep.PRE_ARBITRATION, whole, reply=True)
        return [*planned, insisted]
    return [*planned, case.says(answered_on, number + 1, DisputeStep.EVIDENCE_ACCEPTED, 0)]


def _ruling(draw: "_Draw", case: "_Case", submitted: DisputeEvidenceSubmitted, submitted_on: int) -> Planned:
    whole = submitted.amount
    given_back = {"merchant": whole, "issuer": 0, "both": whole // 3}[weighted(draw("ruled"), _RULED)]
    number = draw.notices_before_evidence() + 3
    ruled_on = submitted_on + draw.days("ruled after", DAYS_TO_RULE)
    return case.says(ruled_on, number, DisputeStep.RULED, given_back)


class _Draw(NamedTuple):
    """Chance about one case."""

    seed: int
    case_id: str

    def __call__(self, name: str) -> int:
        return chance(self.seed, name, self.case_id)

    def days(self, name: str, bounds: tuple[int, int]) -> int:
        return between(self(name), *bounds)

    def fraud(self) -> bool:
        return self("of fraud") < OF_FRAUD

    def asked_first(self) -> bool:
        """Nobody asks about what the cardholder did not do."""
        return not self.fraud() and self("asked first") < ASKED_FIRST

    def notices_before_evidence(self) -> int:
        """How many notices there were up to the chargeback."""
        return 2 if self.asked_first() else 1


class _Case(NamedTuple):
    """What all notices about a case have in common."""

    payment_id: str
    network: str
    case_id: str
    reason_code: str
    arn: str
    currency: str

    def says(self, on: int, number: int, step: DisputeStep, amount: int, *, reply: bool = False) -> Planned:
        """A notice of a day; whatever money it moves settles in that day's cycle."""
        moves = amount and step is not DisputeStep.INQUIRY_OPENED
        notice = DisputeNoticeReceived(
            self.payment_id,
            self.network,
            self.case_id,
            number,
            step,
            self.reason_code,
            self.arn,
            amount,
            self.currency,
            cycle_on(self.network, self.currency, on) if moves else "",
            start_of(on + REPLY_DAYS) if reply else 0,
        )
        return Planned(on, notice)


#: Which way the money of a notice goes: to the issuer (1), back to us (-1), nowhere (0).
_WAY: Final = {
    DisputeStep.CHARGEBACK: 1,
    DisputeStep.PRE_ARBITRATION: 1,
    DisputeStep.EVIDENCE_CREDITED: -1,
    DisputeStep.EVIDENCE_ACCEPTED: -1,
    DisputeStep.RULED: -1,
    DisputeStep.WITHDRAWN: -1,
}


def moved(planned: Planned) -> int:
    """What the network takes for the issuer by a notice, minor units; negative: gives back."""
    said = planned.said
    return _WAY.get(said.step, 0) * said.amount if isinstance(said, DisputeNoticeReceived) else 0
