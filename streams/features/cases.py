"""A dispute's case: where it stands, what a network may say of it there, and what that means.

The money of a case is one number on each side. ``amount`` is what is disputed and was taken from the merchant, once.
``withdrawn`` is what the network holds of it just now: all of it after the chargeback, less once it was returned, more
when it was taken again. When the case is closed, what the network then holds is lost and the rest is won; nothing else
has to be remembered, however often the money went to and fro.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from events.accounts import DR, name
from events.base import Event
from events.calendar import DAY, start_of
from events.disputes import (
    DisputeEscalated,
    DisputeEvidenceAccepted,
    DisputeEvidenceExpired,
    DisputeFundsReturned,
    DisputeFundsWithdrawn,
    DisputeInquiryClosed,
    DisputeInquiryOpened,
    DisputeLost,
    DisputeMerchantDebited,
    DisputeNoticeReceived,
    DisputeOpened,
    DisputeStage,
    DisputeStep,
    DisputeWithdrawn,
    DisputeWon,
    EvidenceRejection,
    FraudConfirmed,
    Label,
    LabelSource,
    NoticeRefusal,
)
from events.reconciliation import DiscrepancyResolved
from events.requests import Answered
from events.settlement import ClearingResidualAged

LAPSE_DAYS: Final = 45
"""How many days the other side has to go on (Mastercard's limit for pre-arbitration; Visa gives 30)."""

#: What a network may say at each stage; before a case is open, under the empty name.
STEPS: Final[Mapping[str, frozenset[DisputeStep]]] = {
    "": frozenset({DisputeStep.INQUIRY_OPENED, DisputeStep.CHARGEBACK}),
    DisputeStage.INQUIRY: frozenset({DisputeStep.INQUIRY_CLOSED, DisputeStep.CHARGEBACK}),
    DisputeStage.CHARGEBACK: frozenset({DisputeStep.WITHDRAWN}),
    DisputeStage.REPRESENTMENT: frozenset(
        {
            DisputeStep.EVIDENCE_CREDITED,
            DisputeStep.EVIDENCE_ACCEPTED,
            DisputeStep.EVIDENCE_REFUSED,
            DisputeStep.PRE_ARBITRATION,
            DisputeStep.WITHDRAWN,
        }
    ),
    DisputeStage.PRE_ARBITRATION: frozenset({DisputeStep.WITHDRAWN}),
    DisputeStage.ARBITRATION: frozenset({DisputeStep.RULED, DisputeStep.WITHDRAWN}),
}
_OPENING: Final = STEPS[""]

#: What the merchant is asked at a stage, or was asked before it was the other side's turn.
_ASKED: Final[Mapping[DisputeStage, Answered]] = {
    DisputeStage.INQUIRY: Answered.INQUIRY,
    DisputeStage.CHARGEBACK: Answered.CHARGEBACK,
    DisputeStage.REPRESENTMENT: Answered.CHARGEBACK,
    DisputeStage.PRE_ARBITRATION: Answered.PRE_ARBITRATION,
    DisputeStage.ARBITRATION: Answered.PRE_ARBITRATION,
}


class Case(msgspec.Struct):
    """One dispute of one payment, minor units of ``currency``.

    ``notices`` counts what the network has said. ``turn`` is whether our merchant may answer; ``due_at`` is when the
    time of whose turn it is ends (0: never); ``missed`` that it has let an inquiry's time run out. ``contested`` is a
    charge that, by our books, was given back before; ``paid_at`` is the
    event time of the payment.
    """

    payment_id: str
    merchant: str
    card_id: str
    network: str
    currency: str
    reason_code: str
    stage: DisputeStage
    amount: int = 0
    withdrawn: int = 0
    notices: int = 0
    turn: bool = True
    due_at: int = 0
    contested: bool = False
    missed: bool = False
    paid_at: int = 0


#: Reason codes by which an issuer says that the cardholder did not make the payment. Visa Core Rules 11.7 (conditions
#: 10.1 to 10.5); Mastercard Chargeback Guide, fraud-related chargebacks (4863, 4870, 4871: older cases); American
#: Express Merchant Regulations, chargeback codes "Fraud"; Discover Dispute Rules Manual, fraud disputes. A network that
#: is none of these writes the word.
FRAUD_CODES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "visa": frozenset({"10.1", "10.2", "10.3", "10.4", "10.5"}),
        "mastercard": frozenset({"4837", "4840", "4849", "4863", "4870", "4871"}),
        "amex": frozenset({"F10", "F14", "F24", "F29", "F30", "F31", "FR2"}),
        "discover": frozenset({"UA01", "UA02", "UA05", "UA06"}),
    }
)
_OTHERS: Final = frozenset({"fraud"})


def is_fraud(network: str, reason_code: str) -> bool:
    """Whether a reason says that the cardholder did not make the payment."""
    return reason_code in FRAUD_CODES.get(network, _OTHERS)


# --- what a network says --------------------------------------------------------------------------------


def refusal(case: Case | None, said: DisputeNoticeReceived, open_to_dispute: int) -> NoticeRefusal | None:
    """Why a notice has no effect; None for a good one.

    ``open_to_dispute`` is what the network paid for the payment, less what is disputed already.
    """
    if case is None:
        if said.number != 1 or said.step not in _OPENING:
            return NoticeRefusal.CASE_UNKNOWN
        return _money(0, 0, said, open_to_dispute)
    if (case.payment_id, case.network) != (said.payment_id, said.network):
        return NoticeRefusal.CASE_UNKNOWN
    if case.currency != said.currency:
        return NoticeRefusal.CURRENCY_MISMATCH
    if said.number <= case.notices:
        return NoticeRefusal.NOTICE_REPEATED
    if said.number > case.notices + 1:
        return NoticeRefusal.NUMBER_OUT_OF_ORDER
    if said.step not in STEPS[case.stage]:
        return NoticeRefusal.CASE_OPEN if said.step in _OPENING else NoticeRefusal.STEP_OUT_OF_ORDER
    return _money(case.amount, case.withdrawn, said, open_to_dispute)


def _money(
    amount: int, withdrawn: int, said: DisputeNoticeReceived, open_to_dispute: int
) -> NoticeRefusal | None:
    """Whether the notice's amount fits what is disputed and what the network holds of it."""
    match said.step:
        case DisputeStep.INQUIRY_OPENED | DisputeStep.CHARGEBACK:
            least, most = 1, open_to_dispute
        case DisputeStep.EVIDENCE_CREDITED:
            least, most = 1, withdrawn
        case DisputeStep.PRE_ARBITRATION:
            least, most = 1, amount - withdrawn
        case DisputeStep.EVIDENCE_ACCEPTED | DisputeStep.RULED:
            least, most = 0, withdrawn
        case DisputeStep.WITHDRAWN:
            least, most = withdrawn, withdrawn
        case DisputeStep.INQUIRY_CLOSED | DisputeStep.EVIDENCE_REFUSED:
            least, most = 0, 0
    if said.amount < 0 or (said.amount == 0 and least):
        return NoticeRefusal.AMOUNT_NOT_POSITIVE
    if said.amount > most and said.step in _OPENING:
        return NoticeRefusal.AMOUNT_ABOVE_CLEARED
    if not least <= said.amount <= most:
        return NoticeRefusal.AMOUNT_MISMATCH
    if said.amount and not said.cycle and said.step is not DisputeStep.INQUIRY_OPENED:
        return NoticeRefusal.CYCLE_MISSING
    return None


def opened(said: DisputeNoticeReceived, merchant: str) -> list[Event]:
    """A case begins, or an inquiry becomes a dispute: the network has the money, and the merchant is debited."""
    if said.step is DisputeStep.INQUIRY_OPENED:
        return [
            DisputeInquiryOpened(
                said.payment_id,
                merchant,
                said.network,
                said.case_id,
                said.reason_code,
                said.amount,
                said.currency,
                said.reply_by_at,
            )
        ]
    return [
        DisputeOpened(
            said.payment_id,
            merchant,
            said.network,
            said.case_id,
            said.reason_code,
            said.arn,
            said.amount,
            said.currency,
            said.cycle,
            said.reply_by_at,
        ),
        _withdrawal(said, DisputeStage.CHARGEBACK),
        DisputeMerchantDebited(said.payment_id, merchant, said.case_id, said.amount, said.currency),
    ]


def continued(case: Case, said: DisputeNoticeReceived) -> list[Event]:
    """A case goes on, or comes to its end."""
    match said.step:
        case DisputeStep.INQUIRY_CLOSED:
            return [DisputeInquiryClosed(said.payment_id, case.merchant, said.network, said.case_id)]
        case DisputeStep.EVIDENCE_CREDITED:
            return _return_of(case, said)
        case DisputeStep.PRE_ARBITRATION:
            stage = DisputeStage.PRE_ARBITRATION
            return [_escalation(case, said.case_id, stage, said.reply_by_at), _withdrawal(said, stage)]
        case DisputeStep.EVIDENCE_ACCEPTED:
            given_in = accepted(case, said.case_id)
            return [*_return_of(case, said), given_in, *closed(case, said.case_id, said.amount)]
        case DisputeStep.WITHDRAWN:
            gone = DisputeWithdrawn(said.payment_id, case.merchant, said.network, said.case_id, case.stage)
            return [*_return_of(case, said), gone, *closed(case, said.case_id, said.amount)]
        case DisputeStep.RULED | DisputeStep.EVIDENCE_REFUSED:
            return [*_return_of(case, said), *closed(case, said.case_id, said.amount)]
        case DisputeStep.INQUIRY_OPENED | DisputeStep.CHARGEBACK:
            return opened(said, case.merchant)


def _withdrawal(said: DisputeNoticeReceived, stage: DisputeStage) -> DisputeFundsWithdrawn:
    return DisputeFundsWithdrawn(
        said.payment_id, said.network, said.case_id, stage, said.amount, said.currency, said.cycle
    )


def _return_of(case: Case, said: DisputeNoticeReceived) -> list[Event]:
    if said.amount == 0:
        return []
    return [
        DisputeFundsReturned(
            said.payment_id, said.network, said.case_id, case.stage, said.amount, said.currency, said.cycle
        )
    ]


# --- what a merchant says ---------------------------------------------------------------------------------


def unfit(case: Case, stage: Answered | None, ingested_at: int) -> EvidenceRejection | None:
    """Why evidence that came at ``ingested_at`` (microseconds UTC) is not what the case waits for; None where it is."""
    if stage is not None and stage is not _ASKED[case.stage]:
        return EvidenceRejection.STAGE_MISMATCH
    if case.missed or (case.turn and ingested_at >= case.due_at > 0):
        return EvidenceRejection.TOO_LATE
    return None if case.turn else EvidenceRejection.ALREADY_SUBMITTED


# --- how it goes on, and ends ---------------------------------------------------------------------------


def _escalation(case: Case, case_id: str, stage: DisputeStage, reply_by_at: int) -> DisputeEscalated:
    return DisputeEscalated(case.payment_id, case.merchant, case.network, case_id, stage, reply_by_at)


def taken_to_arbitration(case: Case, case_id: str) -> DisputeEscalated:
    """The merchant insists as well: the network will rule, and nobody is asked any more."""
    return _escalation(case, case_id, DisputeStage.ARBITRATION, 0)


def accepted(case: Case, case_id: str) -> DisputeEvidenceAccepted:
    """The issuer gives in, by its word or by its silence."""
    return DisputeEvidenceAccepted(case.payment_id, case.merchant, case.network, case_id, case.stage)


def closed(case: Case, case_id: str, returned: int = 0) -> list[Event]:
    """What the network holds after this is lost, the rest is won, and what was said of the case before is settled."""
    lost = case.withdrawn - returned
    won = case.amount - lost
    parties = (case.payment_id, case.merchant, case.network, case_id)
    events: list[Event] = []
    if won:
        events.append(DisputeWon(*parties, won, case.currency))
    if lost:
        events.append(DisputeLost(*parties, lost, case.currency))
    elif is_fraud(case.network, case.reason_code):
        events.append(label(case, case_id, Label.GENUINE))
    if case.contested:
        outcome = DisputeLost if lost else DisputeWon
        events.append(DiscrepancyResolved(case_id, outcome.__name__, case.currency, case.amount))
    return events


def label(case: Case, case_id: str, said: Label) -> FraudConfirmed:
    """What the payment turned out to be, by its dispute."""
    return FraudConfirmed(
        case.payment_id,
        case.merchant,
        case.card_id,
        LabelSource.DISPUTE,
        said,
        case_id,
        case.amount,
        case.currency,
        case.paid_at,
    )


def time_is_over(case: Case, case_id: str, now: int) -> list[Event]:
    """Nobody has answered whose turn it was. ``now`` is the tick's time, microseconds UTC."""
    if case.turn:
        expired = DisputeEvidenceExpired(case.payment_id, case.merchant, case.network, case_id, case.stage)
        return [expired] if case.stage is DisputeStage.INQUIRY else [expired, *closed(case, case_id)]
    if case.stage is DisputeStage.INQUIRY:
        return [DisputeInquiryClosed(case.payment_id, case.merchant, case.network, case_id)]
    if case.stage is DisputeStage.REPRESENTMENT and case.withdrawn < case.amount:
        # The evidence is with the issuer and the money with us: silence gives in.
        return [accepted(case, case_id), *closed(case, case_id)]
    return [
        ClearingResidualAged(
            name(DR),
            case_id,
            case.currency,
            case.withdrawn,
            (now - case.due_at) // DAY + LAPSE_DAYS,
            DisputeNoticeReceived.__name__,
        )
    ]


def end_of_turn(day_on: int) -> int:
    """When the other side's time ends, which begins on a day: an instant, microseconds UTC."""
    return start_of(day_on) + LAPSE_DAYS * DAY
