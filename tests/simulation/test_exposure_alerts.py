"""Alerts before a network's programme against disputes: through the whole house, on any number of partitions."""

import pytest

from events.calendar import day_number, iso_day
from events.clearing import ClearingRecordAccepted
from events.exposure import DisputeAlertLevel, DisputeAlertRaised, MerchantDisputesTallied
from events.lifecycle import PaymentCaptured
from events.reference import Counted, DelayPoint, DisputeProgramme, DisputeProgrammes
from streams.edge.reference import Entry
from tests.simulation.stories import Story, Word

FOR_EVER = (0, day_number(9999, 1, 1))
SMALL = DisputeProgrammes(
    1,
    75,
    (
        DisputeProgramme("small", "visa", Counted.REMOTE_REPORTS_AND_DISPUTES, *FOR_EVER, 20, 150),
        DisputeProgramme("large", "visa", Counted.REMOTE_REPORTS_AND_DISPUTES, *FOR_EVER, 32, 150),
        DisputeProgramme("other", "mastercard", Counted.DISPUTES, *FOR_EVER, 1, 1),
    ),
    (DelayPoint(30, 1_000_000),),
)


def told(partitions: int) -> tuple[list[tuple[object, ...]], list[MerchantDisputesTallied], int]:
    """Twenty-four of sixty payments are reported, two a day; the auditor looks at all of it."""
    with Story(partitions=partitions) as story:
        story.publish(Entry("programmes", "standard", SMALL))
        story.wait(hours=1)
        payments = [story.pay(1_000) for _ in range(60)]
        story.wait(hours=2)
        for number, payment in enumerate(payments[:24]):
            capture = story.the(PaymentCaptured, payment_id=payment).capture_id
            story.disputes(capture, Word(1 + number // 2, amount=1_000))
        story.end()
    alerts = [
        (one.programme, iso_day(one.day_on), one.level, one.counted, one.base, one.expected)
        for one in story.all(DisputeAlertRaised)
    ]
    heard = [
        one.body
        for one in story.events
        if isinstance(one.body, MerchantDisputesTallied) and one.meta.key.startswith("velocity")
    ]
    return alerts, heard, len(story.all(ClearingRecordAccepted))


@pytest.mark.parametrize("partitions", [1, 2, 4])
def test_a_merchant_is_named_before_it_exceeds(partitions: int) -> None:
    """Expected with the tenth of twenty reports, exceeded with the twentieth; the same however it is shared out."""
    alerts, heard, cleared = told(partitions)
    assert cleared > 50
    expected = ("2026-03-09", DisputeAlertLevel.EXPECTED, 10, cleared)
    exceeded = ("2026-03-14", DisputeAlertLevel.EXCEEDED, 20, cleared)
    assert [("small", *expected), ("large", *expected), ("small", *exceeded)] == [one[:-1] for one in alerts]
    assert (cleared, 24) == (sum(one.cleared for one in heard), sum(one.reports for one in heard))
    assert {"shop"} == {one.merchant for one in heard}
