"""Disputes as tables: what issuers say afterwards, held against the payment it is about."""

import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import DAY, HOUR
from events.clearing import ClearingRecordAccepted
from events.disputes import (
    DisputeEvidenceRejected,
    DisputeEvidenceRequested,
    DisputeEvidenceSubmitted,
    DisputeLost,
    DisputeNoticeReceived,
    DisputeNoticeRefused,
    DisputeStage,
    DisputeStep,
    EarlyFraudWarningReceived,
    EvidenceRejection,
    FraudConfirmed,
    FraudProgram,
    FraudReportReceived,
    FraudReportRefused,
    Label,
    LabelSource,
    NoticeRefusal,
)
from events.exposure import MerchantDisputesTallied
from events.lifecycle import PaymentRequested
from events.requests import Answered
from events.settlement import ClearingResidualAged
from streams import disputes
from tests.streams.builders_early import CARD, NOON, PAYMENT, SHOP
from tests.streams.builders_late import Table, make

REQUESTED = make(PaymentRequested)
AUTHORIZED = make(PaymentAuthorized)
R = NoticeRefusal
S = DisputeStep


def report(**fields: object) -> FraudReportReceived:
    """The issuer reports the payment as fraud, by a TC40."""
    told = {"program": FraudProgram.TC40, "fraud_type": "6", "report_id": "frd-1"}
    return make(FraudReportReceived, **told | fields)


def refused(reason: NoticeRefusal, **fields: object) -> FraudReportRefused:
    return make(FraudReportRefused, reason=reason, **{"report_id": "frd-1"} | fields)


WARNING = EarlyFraudWarningReceived(
    PAYMENT, SHOP, CARD, "visa", "frd-1", FraudProgram.TC40, "6", 1_000, "USD"
)
LABEL = FraudConfirmed(
    PAYMENT, SHOP, CARD, LabelSource.EARLY_WARNING, Label.FRAUD, "frd-1", 1_000, "USD", NOON
)


class Issuers(Table):
    """What is decided about payments; the figures of a merchant's day are looked at in test_exposure."""

    def tick(self, at: int) -> list[Event]:
        """See the class behind."""
        return [one for one in super().tick(at) if not isinstance(one, MerchantDisputesTallied)]


def after(*given: Event) -> Issuers:
    table = Issuers(disputes)
    table.hear_of(*given)
    return table


# fmt: off
REPORTS: list[tuple[str, list[Event], FraudReportReceived, list[Event]]] = [
    ("good",          [REQUESTED, AUTHORIZED], report(), [WARNING, LABEL]),
    ("unknown",       [],                      report(), [refused(R.PAYMENT_UNKNOWN)]),
    ("not approved",  [REQUESTED],             report(), [refused(R.PAYMENT_UNKNOWN)]),
    ("declined",      [REQUESTED, make(PaymentDeclined)], report(), [refused(R.PAYMENT_UNKNOWN)]),
    ("reversed",      [REQUESTED, AUTHORIZED, make(AuthorizationReversed)], report(), [refused(R.PAYMENT_UNKNOWN)]),
    ("other network", [REQUESTED, AUTHORIZED], report(network="jcb"), [refused(R.NETWORK_MISMATCH, network="jcb")]),
    ("currency",      [REQUESTED, AUTHORIZED], report(currency="EUR"), [refused(R.CURRENCY_MISMATCH, currency="EUR")]),
    ("no amount",     [REQUESTED, AUTHORIZED], report(amount=0), [refused(R.AMOUNT_NOT_POSITIVE, amount=0)]),
    ("again",         [REQUESTED, AUTHORIZED, WARNING], report(), [refused(R.NOTICE_REPEATED)]),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "when", "then"), [row[1:] for row in REPORTS], ids=[row[0] for row in REPORTS]
)
def test_a_fraud_report_labels_its_payment_or_has_a_reason(
    given: list[Event], when: FraudReportReceived, then: list[Event]
) -> None:
    """Decided at the tick, not as it comes; and it changes nothing when it means nothing."""
    table = after(*given)
    assert table.take(when) == []
    assert then == table.tick(NOON + HOUR)
    assert table.tick(NOON + 2 * HOUR) == []


def test_two_reports_of_one_payment_are_two_warnings() -> None:
    """An issuer may report one payment twice under different names; the same name twice is one."""
    table = after(REQUESTED, AUTHORIZED)
    table.take(report(report_id="frd-2"), report(), report())
    decided = table.tick(NOON + HOUR)
    assert ["frd-1", "frd-2"] == [
        one.report_id for one in decided if isinstance(one, EarlyFraudWarningReceived)
    ]
    assert [R.NOTICE_REPEATED] == [one.reason for one in decided if isinstance(one, FraudReportRefused)]


def test_a_payment_is_forgotten_with_its_window() -> None:
    """After 180 days it cannot be disputed any more, and nothing of it is kept."""
    table = after(REQUESTED, AUTHORIZED)
    table.take(report())
    table.tick(NOON + HOUR)
    table.tick(NOON + (disputes.WINDOW_DAYS + 1) * DAY)
    assert disputes.initial() == table.state
    table.take(report(report_id="frd-2"))
    assert [refused(R.PAYMENT_UNKNOWN, report_id="frd-2")] == table.tick(
        NOON + (disputes.WINDOW_DAYS + 2) * DAY
    )


# --- cases ----------------------------------------------------------------------------------------------

CLEARED = make(ClearingRecordAccepted)
PAID = [REQUESTED, AUTHORIZED, CLEARED]
REPLY_BY = NOON + 20 * DAY
CASE = "dsp-1"


A = Answered


def notice(step: DisputeStep = S.CHARGEBACK, number: int = 1, **fields: object) -> DisputeNoticeReceived:
    """The network on a case of the whole payment."""
    told = {"reply_by_at": REPLY_BY, "amount": 1_000}
    return make(DisputeNoticeReceived, step=step, number=number, **told | fields)


def evidence(**fields: object) -> DisputeEvidenceRequested:
    return make(DisputeEvidenceRequested, **fields)


def told(*said: Event) -> list[Event]:
    """Everything that is decided when a payment is disputed and each of these takes a tick of its own."""
    table = after(*PAID)
    decided: list[Event] = []
    for number, one in enumerate(said, 1):
        table.take(one, at=NOON + (2 * number - 1) * HOUR)
        decided = table.tick(NOON + 2 * number * HOUR)
    return decided


OPEN = [notice()]
ANSWERED = [notice(), evidence()]
CREDITED = [*ANSWERED, notice(S.EVIDENCE_CREDITED, 2)]
INSISTED = [*CREDITED, notice(S.PRE_ARBITRATION, 3)]
AGAIN = evidence(stage=A.PRE_ARBITRATION)
#: The time to answer ends before somebody else's evidence is decided.
MISSED = [notice(S.INQUIRY_OPENED, reply_by_at=NOON + 3 * HOUR), evidence(merchant="other")]
WON = [*CREDITED, notice(S.EVIDENCE_ACCEPTED, 3, amount=0)]

# fmt: off
REFUSALS: list[tuple[str, list[Event], DisputeNoticeReceived, NoticeRefusal]] = [
    ("no such payment",       [], notice(payment_id="pay-x"),                 R.PAYMENT_UNKNOWN),
    ("other network",         [], notice(network="jcb"),                      R.NETWORK_MISMATCH),
    ("other currency",        [], notice(currency="EUR"),                     R.CURRENCY_MISMATCH),
    ("nothing disputed",      [], notice(amount=0),                           R.AMOUNT_NOT_POSITIVE),
    ("more than it paid",     [], notice(amount=1_001),                       R.AMOUNT_ABOVE_CLEARED),
    ("no cycle",              [], notice(cycle=""),                           R.CYCLE_MISSING),
    ("begins in the middle",  [], notice(number=2),                           R.CASE_UNKNOWN),
    ("ends before it begins", [], notice(S.WITHDRAWN),                        R.CASE_UNKNOWN),
    ("again",                 OPEN, notice(),                                 R.NOTICE_REPEATED),
    ("a case twice",          OPEN, notice(number=2),                         R.CASE_OPEN),
    ("another case, all is disputed", OPEN, notice(case_id="dsp-2"),          R.AMOUNT_ABOVE_CLEARED),
    ("one is missing",        OPEN, notice(S.WITHDRAWN, 3),                   R.NUMBER_OUT_OF_ORDER),
    ("other currency, later", OPEN, notice(S.WITHDRAWN, 2, currency="EUR"),   R.CURRENCY_MISMATCH),
    ("another payment's",     OPEN, notice(S.WITHDRAWN, 2, payment_id="pay-x"), R.CASE_UNKNOWN),
    ("ruled at once",         OPEN, notice(S.RULED, 2),                       R.STEP_OUT_OF_ORDER),
    ("answered unasked",      OPEN, notice(S.EVIDENCE_CREDITED, 2),           R.STEP_OUT_OF_ORDER),
    ("gives back too little", OPEN, notice(S.WITHDRAWN, 2, amount=999),       R.AMOUNT_MISMATCH),
    ("returns more",          ANSWERED, notice(S.EVIDENCE_CREDITED, 2, amount=1_001), R.AMOUNT_MISMATCH),
    ("takes what it has",     ANSWERED, notice(S.PRE_ARBITRATION, 2),         R.AMOUNT_MISMATCH),
    ("refusal with money",    ANSWERED, notice(S.EVIDENCE_REFUSED, 2),        R.AMOUNT_MISMATCH),
    ("less than nothing",     ANSWERED, notice(S.EVIDENCE_ACCEPTED, 2, amount=-1), R.AMOUNT_NOT_POSITIVE),
    ("after the end",         WON, notice(S.PRE_ARBITRATION, 4),              R.CASE_CLOSED),
    ("opened after the end",  WON, notice(),                                  R.CASE_CLOSED),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "when", "reason"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_bad_notice_has_one_reason_and_no_effect(
    given: list[Event], when: DisputeNoticeReceived, reason: NoticeRefusal
) -> None:
    """Whatever a network says of a case that cannot be."""
    (found,) = told(*given, when)
    assert isinstance(found, DisputeNoticeRefused)
    assert (reason, when.case_id, when.number) == (found.reason, found.case_id, found.number)


def test_every_reason_has_a_row() -> None:
    """All that a network may be answered."""
    refused_reports = {
        one.reason for *_, then in REPORTS for one in then if isinstance(one, FraudReportRefused)
    }
    assert set(R) == {reason for *_, reason in REFUSALS} | refused_reports


def test_notices_of_one_tick_are_heard_by_their_numbers() -> None:
    """Whichever came first: the opening, then its end."""
    table = after(*PAID)
    table.take(notice(S.WITHDRAWN, 2), notice())
    kinds = [type(one).__name__ for one in table.tick(NOON + HOUR)]
    assert ["DisputeOpened", "DisputeWithdrawn", "DisputeWon"] == [
        kind for kind in kinds if kind in ("DisputeOpened", "DisputeWithdrawn", "DisputeWon")
    ]


E = EvidenceRejection
# fmt: off
REJECTIONS: list[tuple[str, list[Event], DisputeEvidenceRequested, EvidenceRejection]] = [
    ("no dispute",           [], evidence(),                                   E.CASE_UNKNOWN),
    ("no such payment",      OPEN, evidence(payment_id="pay-x"),               E.PAYMENT_UNKNOWN),
    ("no such case",         OPEN, evidence(case_id="dsp-x"),                  E.CASE_UNKNOWN),
    ("another merchant's",   OPEN, evidence(merchant="other"),                 E.MERCHANT_MISMATCH),
    ("nobody's, another's",  [], evidence(merchant="other"),                   E.MERCHANT_MISMATCH),
    ("not asked any more",   OPEN, evidence(stage=A.INQUIRY),                  E.STAGE_MISMATCH),
    ("not asked yet",        OPEN, evidence(stage=A.PRE_ARBITRATION),          E.STAGE_MISMATCH),
    ("to what was answered", INSISTED, evidence(),                             E.STAGE_MISMATCH),
    ("missed",               MISSED, evidence(stage=A.INQUIRY),                E.TOO_LATE),
    ("twice",                ANSWERED, evidence(idempotency_key="again"),      E.ALREADY_SUBMITTED),
    ("again, before ruling", [*INSISTED, AGAIN], AGAIN,                        E.ALREADY_SUBMITTED),
    ("when it is won",       WON, evidence(),                                  E.CASE_CLOSED),
    ("another's, when won",  WON, evidence(merchant="other"),                  E.MERCHANT_MISMATCH),
]
# fmt: on


@pytest.mark.parametrize(
    ("given", "when", "reason"), [row[1:] for row in REJECTIONS], ids=[row[0] for row in REJECTIONS]
)
def test_bad_evidence_has_one_reason_and_no_effect(
    given: list[Event], when: DisputeEvidenceRequested, reason: EvidenceRejection
) -> None:
    """And another merchant learns nothing but that the case is not its own."""
    (found,) = told(*given, when)
    assert [found] == [make(DisputeEvidenceRejected, reason=reason, **_names(when))]


def _names(wanted: DisputeEvidenceRequested) -> dict[str, str]:
    return {name: getattr(wanted, name) for name in ("payment_id", "merchant", "idempotency_key", "case_id")}


def test_every_rejection_has_a_row() -> None:
    """All that a merchant may be answered."""
    assert set(E) == {reason for *_, reason in REJECTIONS}


@pytest.mark.parametrize("stage", [None, A.CHARGEBACK])
def test_evidence_without_a_stage_answers_whatever_is_asked(stage: Answered | None) -> None:
    """As all did before stages were named."""
    (found,) = told(*OPEN, evidence(stage=stage))
    assert isinstance(found, DisputeEvidenceSubmitted)
    assert DisputeStage.CHARGEBACK is found.stage


def test_evidence_in_time_is_never_overtaken_by_its_deadline() -> None:
    """What came before the end is decided at the tick behind it, and before the deadline is."""
    table = after(*PAID)
    table.take(notice())
    table.tick(NOON + HOUR)
    table.take(evidence(), at=REPLY_BY - 1)
    (submitted,) = table.tick(REPLY_BY + HOUR)
    assert isinstance(submitted, DisputeEvidenceSubmitted)


def test_evidence_after_its_deadline_is_too_late() -> None:
    """In the tick that sees the deadline, and in every later one."""
    for asked_at, ticks in (
        (REPLY_BY, [REPLY_BY + HOUR]),
        (REPLY_BY + HOUR, [REPLY_BY, REPLY_BY + 2 * HOUR]),
    ):
        table = after(*PAID)
        table.take(notice())
        table.tick(NOON + HOUR)
        decided: list[Event] = []
        for number, tick in enumerate(ticks, 1):
            if number == len(ticks):
                table.take(evidence(), at=asked_at)
            decided += table.tick(tick)
        assert E.TOO_LATE in [one.reason for one in decided if isinstance(one, DisputeEvidenceRejected)]
        assert [1_000] == [one.amount for one in decided if isinstance(one, DisputeLost)]


def test_an_issuer_that_lets_its_time_run_out_gives_in() -> None:
    """The evidence is with it and the money with us: 45 days later the case is won."""
    table = after(*PAID)
    for number, one in enumerate(CREDITED, 1):
        table.take(one, at=NOON + number * HOUR)
        table.tick(NOON + number * HOUR)
    kinds = [type(one).__name__ for one in table.tick(NOON + 46 * DAY)]
    assert ["DisputeEvidenceAccepted", "DisputeWon", "FraudConfirmed"] == kinds


def test_a_network_that_keeps_the_money_and_says_nothing_is_reported_once() -> None:
    """What stands on its clearing account is not given up by silence."""
    table = after(*PAID)
    for number, one in enumerate(ANSWERED, 1):
        table.take(one, at=NOON + number * HOUR)
        table.tick(NOON + number * HOUR)
    (aged,) = table.tick(NOON + 46 * DAY)
    assert isinstance(aged, ClearingResidualAged)
    assert (CASE, 1_000, "DisputeNoticeReceived") == (aged.item, aged.amount, aged.expected_event)
    assert table.tick(NOON + 60 * DAY) == []


def test_a_closed_case_leaves_its_name_alone() -> None:
    """Nothing of it is kept but that it was; and that goes with its payment."""
    table = after(*PAID)
    for number, one in enumerate(WON, 1):
        table.take(one, at=NOON + number * HOUR)
        table.tick(NOON + number * HOUR)
    assert ({}, {}) == (table.state.docket.cases, table.state.docket.deadlines)
    assert {PAYMENT: {CASE: False}} == table.state.docket.closed
    table.tick(NOON + (disputes.WINDOW_DAYS + 1) * DAY)
    assert disputes.initial() == table.state
