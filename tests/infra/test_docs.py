"""The pages that follow from the code are current, and what they say is what the code does."""

import shutil
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from events.accounts import ACCOUNTS
from events.authorization import PaymentAuthorized
from events.catalog import EVENTS
from events.clearing import CaptureWrittenOff, ClearingRecordAccepted
from events.errors import Refused
from events.lifecycle import PaymentCaptured
from events.postings import POSTING
from events.wire import decode_event
from infra.docs import origins as origins_module
from infra.docs.__main__ import PAGES, main
from infra.docs.origins import made_by, origins
from infra.docs.posting_rules import rules_of
from infra.docs.reason_page import meanings
from infra.docs.topic_page import writers
from streams.topology import LOGS
from tests.simulation.schedules import calm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the pages as they stand."""
    for folder in sorted({page.parent for page in PAGES}):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_the_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever changed an event, a reason or the topology has run `python -m infra.docs`."""
    assert (0, "") == (main(["--check"]), capsys.readouterr().err)


@pytest.fixture(scope="module")
def _made_once() -> Iterator[None]:
    """The pages follow from the code, which stays as it is: each is made once for all that compare with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.docs.__main__.PAGES", {path: cache(make) for path, make in PAGES.items()})
        yield


@pytest.mark.usefixtures("_made_once")
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_stale_page_is_found_and_written(
    page: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed word is stale and a missing page is; writing mends both and touches nothing else."""
    path = tree / page
    good = path.read_text("utf-8")
    for plant in (lambda: path.write_text(good.replace(" the ", " a ", 1), "utf-8"), path.unlink):
        plant()
        assert 1 == main(["--check"], tree)
        assert f"stale: {page}; run python -m infra.docs\n" == capsys.readouterr().err
        assert 0 == main([], tree)
        assert f"wrote {page}\n" == capsys.readouterr().out
        assert good == path.read_text("utf-8")
    assert 0 == main(["--check"], tree)


def test_every_event_of_a_run_stands_in_a_log_that_the_page_names() -> None:
    """What the page reads off the sources is what a simulated run records."""
    log = calm(1).log
    assert log is not None
    seen = {
        (name, type(decode_event(stored.value).body))
        for name in LOGS
        for stored in log.read(name, 0, 0, log.end(name, 0))
    }
    assert len(seen) > len(EVENTS) // 2
    assert set() == {
        (name, event.__name__)
        for name, event in seen
        if name not in {origin.log for origin in origins()[event]}
    }


def test_an_event_that_nobody_records_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event without a log is a page that would lie."""
    monkeypatch.setattr(origins_module, "made_by", lambda module: frozenset())
    with pytest.raises(Refused, match=r"^no log records .*PaymentCaptured"):
        origins.__wrapped__()


def test_a_choice_between_two_events_is_seen() -> None:
    """Clearing makes one of two by a name it gave them; matching libraries are looked into as well."""
    assert {"ClearingRecordAccepted", "RefundCleared"} <= made_by("streams.clearing")
    assert "ReconciliationMatched" in made_by("streams.reconciliation")
    assert "SchemePeriodTotalled" not in made_by("streams.reconciliation")


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        (
            PaymentAuthorized,
            [("", "AR +approved_amount (item `payment_id`)", "AH -approved_amount (item `payment_id`)")],
        ),
        (
            PaymentCaptured,
            [
                (
                    "",
                    "AH +hold_released (item `payment_id`)",
                    "AR -hold_released (item `payment_id`)",
                    "NU +amount (item `capture_id`)",
                    "MP -amount (item `capture_id`)",
                )
            ],
        ),
        (
            CaptureWrittenOff,
            [
                (
                    "borne_by = merchant",
                    "MP +amount (item `loss:capture_id`)",
                    "NU -amount (item `capture_id`)",
                ),
                ("borne_by = us", "LO +amount", "NU -amount (item `capture_id`)"),
            ],
        ),
        (
            ClearingRecordAccepted,
            [
                ("one currency", "NR +amount (item `cycle`)", "NU -amount (item `capture_id`)"),
                (
                    "two currencies",
                    "FX +amount",
                    "NU -amount (item `capture_id`)",
                    "NR +settlement_amount (item `cycle`)",
                    "FX -settlement_amount",
                ),
            ],
        ),
    ],
)
def test_postings_are_told_as_they_are_made(event: type, rules: list[tuple[str, ...]]) -> None:
    """Account, side, field and item of every leg, and under which condition."""
    assert rules == [(rule.condition, *rule.legs) for rule in rules_of(event)]


def test_every_event_that_posts_has_a_rule_and_no_other() -> None:
    """The page leaves out no posting, and the codes are those of the chart."""
    told = {event: rules_of(event) for event in EVENTS}
    assert POSTING == {event for event, rules in told.items() if rules}
    codes = {code[:-1] for rules in told.values() for rule in rules for code in rule.codes}
    assert codes == ACCOUNTS.keys()


class Colour(StrEnum):
    """What a till shows."""

    GREEN = "green"
    """Go on."""
    RED = "red"
    """Stop, ``now``
    and here."""


def test_a_meaning_stands_below_its_word() -> None:
    """One paragraph, in Markdown."""
    assert {"GREEN": "Go on.", "RED": "Stop, `now` and here."} == meanings(Colour)


def test_a_word_without_a_meaning_is_refused() -> None:
    """A planted one."""
    source = 'class Colour(StrEnum):\n    GREEN = "green"\n    """Go on."""\n    RED = "red"\n'
    with pytest.raises(Refused, match=r"^Colour: write below RED what it means$"):
        meanings(Colour, source)


def test_a_topic_that_nobody_writes_is_refused() -> None:
    """A planted one, beside one that three engines write."""
    assert ["intake", "payments", "reconciliation"] == writers("settlement.inbox")
    with pytest.raises(Refused, match=r"^nobody writes the topic coffee\.orders"):
        writers("coffee.orders")
