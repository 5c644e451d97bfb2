"""``tallystick risk monitoring``, on both databases: who is near a programme, and who exceeds one."""

from pathlib import Path

import pytest

from events.calendar import day_number, iso_day
from events.exposure import DisputeAlertLevel, DisputeAlertRaised
from events.reference import DelayPoint, DisputeProgrammes
from streams.features import exposure
from tests.infra.asking import Tallystick, told
from tests.infra.conftest import settled_in
from tests.projections.stores import Stores
from tests.projections.test_monitoring import Months


@pytest.fixture
def asked(
    houses: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tallystick:
    """A merchant with a hundred chargebacks in March, and a quiet April."""
    story = Months()
    story.cleared("2026-02-10", 50, "mastercard")
    story.disputed("2026-03-20", 100, "mastercard", "4853")
    story.cleared("2026-04-02", 3, "visa")
    with told(houses, story) as address:
        return settled_in(address, capsys, monkeypatch, tmp_path)


def test_whoever_exceeds_a_programme_is_told_first(asked: Tallystick) -> None:
    """With exit code 1, for a script; of the last month where none is named."""
    answer = asked("risk", "monitoring", "--month", "2026-03", "--json")
    assert 1 == answer.code
    found = answer._replace(code=0).told["standing"]
    assert [("ecm", "exceeded"), ("hecm", "within"), ("efm", "within")] == [
        (row["programme"], row["standing"]) for row in found
    ]
    assert (100, 50, 20_000) == (found[0]["counted"], found[0]["base"], found[0]["ratio_bps"])
    last = asked("risk", "monitoring")
    assert 0 == last.code
    assert "Month 2026-04" in last.out
    assert "vamp_excessive" in last.out


def test_alerts_stand_beneath(
    houses: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the month, as they were raised; by amount as money."""
    story = Months()
    story.cleared("2026-03-10", 5, "mastercard")
    month, day = day_number(2026, 3, 1), day_number(2026, 3, 14)
    for programme, currency, level in (
        ("ecm", "", DisputeAlertLevel.NEAR),
        ("efm", "EUR", DisputeAlertLevel.EXPECTED),
    ):
        figures = (75, 4_000, 110, 4_000, 100, 150)
        story.tell(
            "velocity",
            0,
            DisputeAlertRaised("shop-1", "mastercard", programme, currency, month, day, level, *figures),
        )
    with told(houses, story) as address:
        asked = settled_in(address, capsys, monkeypatch, tmp_path)
        alerts = asked("risk", "monitoring", "--month", "2026-03", "--json").told["alerts"]
        assert [("ecm", "near", "2026-03-14", 75, 110), ("efm", "expected", "2026-03-14", 75, 110)] == [
            (one["programme"], one["level"], one["day"], one["counted"], one["expected"]) for one in alerts
        ]
        shown = asked("risk", "monitoring", "--month", "2026-03").shown
        assert "Alerts" in shown
        assert "0.75" in shown
        assert [] == asked("risk", "monitoring", "--month", "2026-02", "--json").told["alerts"]


def test_what_is_over_is_foreseen_again(
    houses: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A thousand payments on one day, of which forty are disputed as late as the curve says: then it is close."""
    delays = (
        DelayPoint(7, 120_000),
        DelayPoint(30, 520_000),
        DelayPoint(90, 900_000),
        DelayPoint(180, 1_000_000),
    )
    story = Months(programmes=DisputeProgrammes(1, 75, (), delays))
    story.cleared("2026-02-27", 1_000, "visa")
    first = day_number(2026, 2, 27)
    for age in range(1, 90):
        share = exposure.ripe(delays, age) - exposure.ripe(delays, age - 1)
        cases = (exposure.ripe(delays, age) * 100 // 1_000_000) - (
            exposure.ripe(delays, age - 1) * 100 // 1_000_000
        )
        if share and cases:
            story.disputed(iso_day(first + age), cases, "visa", "10.4")
    with told(houses, story) as address:
        asked = settled_in(address, capsys, monkeypatch, tmp_path)
        answer = asked("risk", "monitoring", "--back-test", "--json").told
        assert {"2026-03", "2026-04"} == {trial["month"] for trial in answer["trials"]}
        assert all(row["off"] <= 6 for row in answer["summary"])
        off, evenly, as_counted = (
            sum(row[name] for row in answer["summary"]) for name in ("off", "off_evenly", "off_as_counted")
        )
        assert off <= evenly
        assert 3 * off < as_counted
        assert "as they would have been foreseen" in asked("risk", "monitoring", "--back-test").shown
        assert (
            [] == asked("risk", "monitoring", "--back-test", "--merchant", "nobody", "--json").told["trials"]
        )


def test_what_nobody_has_is_said(asked: Tallystick) -> None:
    """A month without payments, a merchant of nobody; a month that is none is refused."""
    for arguments in (["--month", "2025-01"], ["--merchant", "nobody"]):
        assert "No payment was cleared" in asked("risk", "monitoring", *arguments).shown
    refused = asked("risk", "monitoring", "--month", "2026-13")
    assert 2 == refused.code
    assert "a month is written 2026-03" in refused.err
