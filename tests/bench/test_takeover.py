"""An index is had back in all the ways that the benchmark times, and what was kept of a take-over is told."""

from pathlib import Path

import pytest

from events.authorization import PaymentAuthorized, PaymentDeclined
from events.lifecycle import AuthorizationExpired, PaymentVoided
from events.wire import headers_of
from tests.bench import page, takeover
from tests.bench.takeover import TakenOver, measured, still_open


def test_every_way_to_have_an_index_back_is_taken() -> None:
    """Each raises where it was not the way that it is timed as: from its log, from a snapshot, from a standby."""
    found = measured(300)
    assert 200 < found.open <= found.payments == 300
    assert found.events > 10 * found.payments
    assert found.snapshot_mib > 0


def test_what_is_open_is_told_by_its_events() -> None:
    """What was authorized, less what was voided or has expired."""
    opened, voided, expired, declined = (
        min(headers_of((kind,)))
        for kind in (PaymentAuthorized, PaymentVoided, AuthorizationExpired, PaymentDeclined)
    )
    events = [*[opened] * 5, voided, declined, expired]
    assert still_open(header + b"what it says" for header in events) == 3


@pytest.mark.parametrize(("after_kill", "is_met"), [(7.8, True), (10.4, False)])
def test_a_take_over_that_was_kept_is_told(
    after_kill: float, is_met: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the page, and among what was aimed at."""
    monkeypatch.setattr(takeover, "KEPT", tmp_path / "measured" / "takeover.json")
    assert takeover.kept() is None
    made_with = {"date": "2026-01-01", "commit": "c" * 40, "machine": "2 x it", "python": "3"}
    takeover.keep(made_with, TakenOver(1_000_000, 936_000, after_kill, 1.8, 17, 3_500))
    kept = takeover.kept()
    assert kept is not None
    told = "\n".join(page.taken_over(kept))
    assert "936,000 of which are authorized and stay open" in told
    assert f"killed; {after_kill} s later" in told
    assert "held 3,500 MiB" in told
    (aim,) = page.warm()
    assert (f"{after_kill} s", is_met) == (aim.found, aim.is_met)
