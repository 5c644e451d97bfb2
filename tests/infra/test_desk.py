"""What people who look at payments ask and decide: reviews and the hotlist, on each database."""

from collections import Counter
from pathlib import Path

import pytest

from events.authorization import PaymentDeclined
from events.calendar import iso_instant
from events.hotlist import HotlistApplied, VelocityLimitReached
from events.labels import PaymentLabelled
from events.lifecycle import PaymentRequested
from events.reference import HotlistEntry, ReviewInstruction, decode_reference
from events.requests import Channel, ReferencePublished
from events.review import ReviewDecided, ReviewOpened
from infra.sharing import NEWEST
from streams.edge.inputs import read_rows
from tests.infra.asking import Tallystick
from tests.infra.harsh import bodies, events


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
    steps = [step["step"] for step in told["steps"]]
    assert "opened" == steps[0]
    assert {"proposed", "decided"} <= set(steps[1:])
    shown = desk("review", "show", decided.payment_id).shown
    assert decided.analyst in shown
    assert "proposed" in shown


def test_payments_that_share_a_key_are_shown_whatever_they_are(desk: Tallystick) -> None:
    """The newest of its card, device, e-mail address and address, with how they came out; nobody has to label them."""
    asked = {body.payment_id: body for body in bodies(PaymentRequested)}
    refused = {body.payment_id for body in bodies(PaymentDeclined)}
    labelled = {body.payment_id for body in bodies(PaymentLabelled)}
    kinds, unlabelled, declined = Counter[str](), 0, 0
    for opened in bodies(ReviewOpened):
        own = asked[opened.payment_id]
        told = desk("review", "show", own.payment_id, "--json").told["shared"]
        for one in told:
            column = {"card": "card_id", "device": "device_ref", "email": "email_ref", "ip": "ip_ref"}[
                one["kind"]
            ]
            others = {
                name: body
                for name, body in asked.items()
                if getattr(body, column) == getattr(own, column) == one["key"]
                and name != own.payment_id
                and (column != "device_ref" or body.channel is not Channel.POINT_OF_SALE)
            }
            assert len(others) == one["payments"]
            assert len({body.card_id for body in others.values()}) == one["cards"]
            names = [row["payment_id"] for row in one["newest"]]
            assert len(names) == min(NEWEST, len(others)) == len(set(names))
            assert others.keys() >= set(names)
            times = [row["requested_at"] for row in one["newest"]]
            assert times == sorted(times, reverse=True)
            assert all(
                (row["status"] == "declined") == (row["payment_id"] in refused) for row in one["newest"]
            )
            assert all(bool(row["label"]) == (row["payment_id"] in labelled) for row in one["newest"])
            kinds[one["kind"]] += 1
            declined += len(refused.intersection(names))
            unlabelled += len(set(names) - labelled)
        assert (own.channel is Channel.POINT_OF_SALE) <= ("device" not in {one["kind"] for one in told})
    assert {"card", "device", "ip"} <= kinds.keys()
    assert min(declined, unlabelled) > 0
    assert "Others of card" in desk("review", "show", own.payment_id).shown


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


@pytest.mark.parametrize(
    ("option", "finding"), [((), None), (("--as-fraud",), "fraud"), (("--as-genuine",), "genuine")]
)
def test_a_decision_may_say_what_the_payment_is(
    desk: Tallystick, tmp_path: Path, option: tuple[str, ...], finding: str | None
) -> None:
    """Beside what becomes of it; and what is called fraud is not approved."""
    out = tmp_path / "decision.avro"
    given = ("--by", "ana", "--next-version", "57", "--out", str(out), "--json")
    assert 1 == desk("review", "decide", "pay-1", "decline", *option, *given).told["entries"]
    [entry] = [row.entry for row in read_rows(out)]
    assert isinstance(entry, ReferencePublished)
    wanted = decode_reference(entry.kind, entry.content)
    assert isinstance(wanted, ReviewInstruction)
    assert finding == wanted.finding
    approved = desk("review", "decide", "pay-1", "approve", *option, *given)
    assert (2 if finding == "fraud" else 0) == approved.code
    assert ("cannot be approved" in approved.err) is (finding == "fraud")


def test_what_was_found_is_shown(desk: Tallystick) -> None:
    """With the step that found it, and as a label by whoever said so."""
    found = next(body for body in bodies(ReviewDecided) if body.finding == "fraud")
    told = desk("review", "show", found.payment_id, "--json").told
    assert "fraud" in {step["finding"] for step in told["steps"]}
    assert ("analyst", "fraud", found.analyst) in {
        (label["source"], label["label"], label["reference"]) for label in told["labels"]
    }
    assert f"fraud by analyst {found.analyst}" in desk("review", "show", found.payment_id).shown
    voices = desk(
        "query",
        f"SELECT label, fraud_by FROM payment_labels WHERE payment_id = '{found.payment_id}'",
        "--json",
    )
    [row] = voices.told["rows"]
    assert "fraud" == row["label"]
    assert "analyst" in row["fraud_by"].split(",")


def test_the_hotlist_is_what_was_in_force_then(desk: Tallystick) -> None:
    """As of the moment at which the first key was listed; in the end everything has come off."""
    assert "Nothing is on the hotlist." in desk("blocks", "list").shown
    first = next(one for one in events() if isinstance(one.body, HotlistApplied))
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
        (("review", "assign", "pay-1", "ana"), "name either the input"),
        (
            ("review", "assign", "pay-1", "", "--by", "b", "--next-version", "9"),
            "`tallystick review unassign`",
        ),
        (("review", "assign", "pay-1", "a" * 81, "--next-version", "9"), "assignment pay-1"),
        (("review", "assign", "pay-1", "ana", "--by", "", "--next-version", "9"), "assignment pay-1"),
        (("review", "unassign", "pay-1", "--next-version", "9"), "--by"),
        (
            ("review", "unassign", "pay-1", "--by", "b", "--at", "noon", "--next-version", "9"),
            "a time looks like",
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
