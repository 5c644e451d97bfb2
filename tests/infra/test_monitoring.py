"""``tallystick risk monitoring``, on both databases: who is near a programme, and who exceeds one."""

from pathlib import Path

import pytest

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


def test_what_nobody_has_is_said(asked: Tallystick) -> None:
    """A month without payments, a merchant of nobody; a month that is none is refused."""
    for arguments in (["--month", "2025-01"], ["--merchant", "nobody"]):
        assert "No payment was cleared" in asked("risk", "monitoring", *arguments).shown
    refused = asked("risk", "monitoring", "--month", "2026-13")
    assert 2 == refused.code
    assert "a month is written 2026-03" in refused.err
