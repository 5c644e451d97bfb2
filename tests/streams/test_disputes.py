"""Disputes as tables: what issuers say afterwards, held against the payment it is about."""

import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import DAY, HOUR
from events.disputes import (
    EarlyFraudWarningReceived,
    FraudConfirmed,
    FraudProgram,
    FraudReportReceived,
    FraudReportRefused,
    Label,
    LabelSource,
    NoticeRefusal,
)
from events.lifecycle import PaymentRequested
from streams import disputes
from tests.streams.builders_early import CARD, NOON, PAYMENT, SHOP
from tests.streams.builders_late import Table, make

REQUESTED = make(PaymentRequested)
AUTHORIZED = make(PaymentAuthorized)
R = NoticeRefusal


def report(**fields: object) -> FraudReportReceived:
    """The issuer reports the payment as fraud, by a TC40."""
    told = {"program": FraudProgram.TC40, "fraud_type": "6", "report_id": "frd-1"}
    return make(FraudReportReceived, **told | fields)


def refused(reason: NoticeRefusal, **fields: object) -> FraudReportRefused:
    return make(FraudReportRefused, reason=reason, **{"report_id": "frd-1"} | fields)


WARNING = EarlyFraudWarningReceived(
    PAYMENT, SHOP, CARD, "visa", "frd-1", FraudProgram.TC40, "6", 1_000, "USD"
)
LABEL = FraudConfirmed(PAYMENT, SHOP, CARD, LabelSource.EARLY_WARNING, Label.FRAUD, "frd-1", 1_000, "USD")


def after(*given: Event) -> Table:
    table = Table(disputes)
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
