"""What people who look at payments ask and decide: reviews and the hotlist, on each database."""

from collections import Counter
from pathlib import Path

import pytest

from events.calendar import iso_instant
from events.hotlist import HotlistApplied, VelocityLimitReached
from events.reference import HotlistEntry, ReviewInstruction, decode_reference
from events.requests import ReferencePublished
from events.review import ReviewDecided, ReviewOpened
from projections.projector import Projector
from streams.edge.inputs import read_rows
from streams.forensics.digests import events_of
from tests.infra.asking import Tallystick
from tests.infra.conftest import settled_in
from tests.projections.stores import Stores
from tests.simulation.schedules import calm


@pytest.fixture(scope="module")
def harsh_day(houses: Stores) -> str:
    """The address of a store that has taken a run in which limits are passed and people decide."""
    log = calm(1).log
    assert log is not None
    store = houses.empty()
    Projector(log, store, 1).catch_up()
    store.close()
    return houses.address(store)


@pytest.fixture
def desk(
    harsh_day: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tallystick:
    """The command line before that store."""
    return settled_in(harsh_day, capsys, monkeypatch, tmp_path)


def bodies(kind: type) -> list:  # type: ignore[type-arg]
    """What the log says."""
    log = calm(1).log
    assert log is not None
    return [one.body for one in events_of(log, 1) if isinstance(one.body, kind)]


def test_reviews_are_listed_as_they_stand(desk: Tallystick) -> None:
    """Each once, with the newest decision; the queues with what they came to."""
    told = desk("review", "list", "--all", "--json").told
    assert {body.payment_id for body in bodies(ReviewOpened)} == {
        row["payment_id"] for row in told["reviews"]
    }
    assert len(bodies(ReviewOpened)) == len(told["reviews"])
    newest = {body.payment_id: body.decision for body in bodies(ReviewDecided)}
    stands = {row["payment_id"]: row["status"] for row in told["reviews"]}
    assert newest == {payment: stands[payment] for payment in newest}
    assert {"overtaken"} == {status for payment, status in stands.items() if payment not in newest}
    assert Counter(row["queue"] for row in told["reviews"]) == {
        row["queue"]: row["reviews"] for row in told["statistics"]
    }
    assert any(row["seconds_to_decision"] > 0 for row in told["statistics"])
    assert "Nothing waits to be looked at" in desk("review", "list").shown


def test_what_a_decision_goes_by_is_shown(desk: Tallystick) -> None:
    """The verdict with its rules, the steps, the card's other payments; in words, too."""
    decided = next(body for body in bodies(ReviewDecided) if body.proposed_by)
    told = desk("review", "show", decided.payment_id, "--json").told
    assert decided.payment_id == told["payment"]["payment_id"]
    assert told["verdicts"][0]["rules"]
    assert ["opened", "proposed"] == [step["step"] for step in told["steps"]][:2]
    shown = desk("review", "show", decided.payment_id).shown
    assert decided.analyst in shown
    assert "proposed" in shown


def test_a_decision_becomes_reference_data(desk: Tallystick, tmp_path: Path) -> None:
    """With the hash of the note, and the keys to be blocked behind it."""
    out = tmp_path / "decision.avro"
    told = desk(
        "review", "decide", "pay-1", "decline", "--by", "ana", "--note", "stolen", "--block", "device:dev-1",
        "--next-version", "57", "--out", str(out), "--json",
    ).told  # fmt: skip
    assert 2 == told["entries"]
    entries = [row.entry for row in read_rows(out)]
    assert [57, 58] == [entry.version for entry in entries if isinstance(entry, ReferencePublished)]
    wanted, blocked = (
        decode_reference(entry.kind, entry.content)
        for entry in entries
        if isinstance(entry, ReferencePublished)
    )
    assert isinstance(wanted, ReviewInstruction)
    assert ("pay-1", "decline", "ana", 64) == (
        wanted.payment_id,
        wanted.decision,
        wanted.analyst,
        len(wanted.note_sha256),
    )
    assert isinstance(blocked, HotlistEntry)
    assert ("dev-1", "ana", "review of pay-1") == (blocked.value, blocked.author, blocked.reason)


def test_the_hotlist_is_what_was_in_force_then(desk: Tallystick) -> None:
    """As of the moment at which the first key was listed; in the end everything has come off."""
    assert "Nothing is on the hotlist." in desk("blocks", "list").shown
    log = calm(1).log
    assert log is not None
    first = next(one for one in events_of(log, 1) if isinstance(one.body, HotlistApplied))
    assert isinstance(first.body, HotlistApplied)
    moment = iso_instant(first.meta.recorded_at)
    told = desk("blocks", "list", "--as-of", moment, "--json").told
    assert first.body.item in {row["item"] for row in told["listed"]}
    assert first.body.item in desk("blocks", "list", "--as-of", moment).shown
    other = "card" if first.body.item.startswith("ip") else "ip"
    only = desk("blocks", "list", "--as-of", moment, "--dimension", other, "--json").told
    assert {other} >= {row["dimension"] for row in only["listed"]}
    hits = desk("query", "SELECT sum(crossings) AS n FROM velocity_limit_hits", "--json").told["rows"]
    assert len(bodies(VelocityLimitReached)) == hits[0]["n"]


@pytest.mark.parametrize(
    ("command", "standing", "until_at"),
    [
        (("add", "device", "dev-1", "--until", "2026-03-09T00:00:00Z"), "block", 1_773_014_400_000_000),
        (("add", "device", "dev-1", "--review"), "review", 0),
        (("release", "device", "dev-1"), None, 0),
        (("release", "device", "dev-1", "--not-before", "2026-03-09T00:00:00Z"), None, 1_773_014_400_000_000),
    ],
)
def test_a_block_becomes_reference_data(
    desk: Tallystick, tmp_path: Path, command: tuple[str, ...], standing: str | None, until_at: int
) -> None:
    """With who and why."""
    out = tmp_path / "block.avro"
    said = desk("blocks", *command, "--by", "mk", "--reason", "why", "--next-version", "9", "--out", str(out))
    assert "1 entries" in said.shown
    [row] = read_rows(out)
    assert isinstance(row.entry, ReferencePublished)
    content = decode_reference(row.entry.kind, row.entry.content)
    assert isinstance(content, HotlistEntry)
    assert ("dev-1", standing, until_at, "mk", "why") == (
        content.value,
        content.standing,
        content.until_at,
        content.author,
        content.reason,
    )


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (("blocks", "add", "device", "d", "--by", "mk", "--reason", "x"), "name either the input"),
        (
            ("blocks", "add", "device", "d", "--by", "", "--reason", "x", "--next-version", "9"),
            "hotlist device:d",
        ),
        (
            (
                "blocks",
                "add",
                "ip",
                "d",
                "--by",
                "m",
                "--reason",
                "x",
                "--until",
                "noon",
                "--next-version",
                "9",
            ),
            "a time looks like",
        ),
        (
            ("review", "decide", "pay-1", "decline", "--by", "a", "--block", "cup:1", "--next-version", "9"),
            "a key is one of",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    desk: Tallystick, tmp_path: Path, command: tuple[str, ...], fault: str
) -> None:
    """In one sentence, and nothing is written."""
    out = tmp_path / "no.avro"
    answer = desk(*command, "--out", str(out))
    assert 2 == answer.code
    assert fault in answer.err
    assert not out.exists()
