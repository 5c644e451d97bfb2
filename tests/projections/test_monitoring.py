"""How near a merchant is to the networks' programmes: at their limits, one below, and in the month that they change."""

from datetime import date

import pytest

from events.calendar import DAY, parse_day, start_of
from events.clearing import ClearingRecordAccepted
from events.disputes import DisputeOpened, EarlyFraudWarningReceived, FraudProgram
from events.partitions import ReferenceApplied
from events.reference import DisputeProgrammes, encode_reference
from streams.edge.reference import starter_programmes
from tests.projections.stores import Stores, rows
from tests.projections.story import Story

SHOP = "shop-1"


class Months(Story):
    """Payments, reports and disputes at one merchant, by the day that they came on; the programmes to start with."""

    def __init__(self, partitions: int = 1, programmes: DisputeProgrammes | None = None) -> None:
        super().__init__(partitions)
        content = encode_reference(programmes or starter_programmes())
        for partition in range(partitions):
            self.tell("payments", partition, ReferenceApplied("programmes", "standard", 1, "", content))

    def cleared(self, day: str, times: int, network: str, amount: int = 1_000) -> None:
        """So many records of one payment."""
        payment = self._asked(day)
        for number in range(times):
            record = f"{day}-{network}-{number}"
            self.tell("payments", 0, cleared(payment, network, record, amount))

    def reported(self, day: str, times: int, network: str) -> None:
        """So many fraud reports."""
        payment = self._asked(day)
        for number in range(times):
            said = (network, f"frd-{day}-{number}", FraudProgram.TC40, "6", 1_000, "EUR")
            self.tell("payments", 0, EarlyFraudWarningReceived(payment, SHOP, "card", *said))

    def disputed(self, day: str, times: int, network: str, reason: str, amount: int = 1_000) -> None:
        """So many disputes."""
        payment = self._asked(day)
        for number in range(times):
            case = (network, f"{network}-{day}-{number}", reason, "7" * 23, amount, "EUR", "cycle", 0)
            self.tell("payments", 0, DisputeOpened(payment, SHOP, *case))

    def _asked(self, day: str) -> str:
        self.now = start_of(parse_day(day)) + DAY // 2
        return self.request(len(self.recorded))


def cleared(payment: str, network: str, record: str, amount: int) -> ClearingRecordAccepted:
    """A record that a network accepted."""
    money = (amount, "EUR", amount, "EUR")
    return ClearingRecordAccepted(
        payment, SHOP, network, record, f"cap-{record}", *money, f"{network}-EUR-cycle"
    )


def standing(stores: Stores, story: Story) -> dict[tuple[date, str], list[object]]:
    """Each programme in each month: what counted, of what, the ratio, how near, and what that means."""
    with stores.filled(story) as store:
        found = rows(
            store,
            "SELECT month, programme, counted, base, ratio_bps, percent_of_limit, standing FROM monitoring_standing",
        )
    return {(month, programme): list(rest) for month, programme, *rest in found}


@pytest.mark.parametrize(
    ("records", "found"),
    [(6_666, [100, 6_666, 150, 100, "exceeded"]), (6_667, [100, 6_667, 149, 99, "near"])],
)
def test_both_limits_have_to_be_reached(stores: Stores, records: int, found: list[object]) -> None:
    """A hundred chargebacks, over the payments of the month before."""
    story = Months()
    story.cleared("2026-02-10", records, "mastercard")
    story.cleared("2026-03-02", 5, "mastercard")
    story.disputed("2026-03-20", 100, "mastercard", "4853")
    held = standing(stores, story)
    assert found == held[date(2026, 3, 1), "ecm"]
    assert "within" == held[date(2026, 3, 1), "hecm"][-1] == held[date(2026, 3, 1), "efm"][-1]
    assert [0, 0, None, 0, "within"] == held[date(2026, 2, 1), "ecm"]


def test_reports_and_disputes_count_together_at_visa(stores: Stores) -> None:
    """1,500 of them, whatever the reasons, in the month in which they came; a lower ratio from April 2026 on."""
    story = Months()
    for month in ("2026-03", "2026-04"):
        story.cleared(f"{month}-02", 200, "visa")
        story.reported(f"{month}-10", 900, "visa")
        story.disputed(f"{month}-12", 600 if month == "2026-04" else 599, "visa", "13.1")
    held = standing(stores, story)
    assert [1_499, 200, 74_950, 99, "near"] == held[date(2026, 3, 1), "vamp_excessive"]
    assert [1_500, 200, 75_000, 100, "exceeded"] == held[date(2026, 4, 1), "vamp_excessive"]
    with stores.filled(story) as store:
        limits = rows(store, "SELECT month, ratio_limit_bps FROM monitoring_standing ORDER BY month")
    assert [(date(2026, 3, 1), 220), (date(2026, 4, 1), 150)] == limits


@pytest.mark.parametrize(
    ("records", "standing_"), [(1_000, "exceeded"), (999, "near")], ids=["a thousand", "too few payments"]
)
def test_fraud_goes_by_amount(stores: Stores, records: int, standing_: str) -> None:
    """Chargebacks as fraud alone, 50,000 euros of them, over sales of the month before in the same currency."""
    story = Months()
    story.cleared("2026-02-10", records, "mastercard", 1_000_000)
    story.disputed("2026-03-20", 5, "mastercard", "4837", 1_000_000)
    story.disputed("2026-03-21", 5, "mastercard", "4853", 1_000_000)
    base = records * 1_000_000
    assert [5_000_000, base, 50, 100, standing_] == standing(stores, story)[date(2026, 3, 1), "efm"]
