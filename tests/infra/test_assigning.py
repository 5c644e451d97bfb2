"""Whose a review is: asked of a store on each database, and said on the command line."""

from collections import Counter
from pathlib import Path

import pytest

from events.calendar import iso_instant
from events.reference import ReviewAssignment, decode_reference
from events.requests import ReferencePublished
from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewClosed,
    ReviewDecided,
    ReviewedBy,
    ReviewOpened,
    ReviewProposed,
    ReviewUnassigned,
)
from streams.edge.inputs import read_rows
from tests.infra.asking import Tallystick
from tests.infra.harsh import bodies, events


def whose() -> dict[str, str]:
    """Whose each review is or was at its end, by the log."""
    found = {body.payment_id: "" for body in bodies(ReviewOpened)}
    for one in events():
        match one.body:
            case ReviewAssigned() as given:
                found[given.payment_id] = given.analyst
            case ReviewUnassigned() as given:
                found[given.payment_id] = ""
            case _:
                pass
    return found


def test_reviews_are_listed_with_whose_they_are(desk: Tallystick) -> None:
    """All of them, one analyst's, or nobody's; who decided stands beside it and may be another."""
    reviews = desk("review", "list", "--all", "--json").told["reviews"]
    assert whose() == {row["payment_id"]: row["assigned_to"] for row in reviews}
    assert {"ana", "ben", ""} == set(whose().values())
    for row in reviews:
        assert bool(row["assigned_to"]) == bool(row["assigned_by"]) == (row["assigned_at"] is not None)
    decided = {(row["analyst"], row["assigned_to"]) for row in reviews if row["reviewed_by"] == "analyst"}
    assert {True, False} == {by == whose for by, whose in decided if whose}
    for option, name in (("--analyst", "ana"), ("--mine", "ben"), ("--unassigned", "")):
        given = (option, name) if name else (option,)
        only = desk("review", "list", "--all", *given, "--json").told["reviews"]
        assert only == [row for row in reviews if row["assigned_to"] == name]
    assert "Nothing of that waits" in desk("review", "list", "--mine", "ana").shown


def test_whose_a_review_was_then(desk: Tallystick) -> None:
    """As of the moment at which one was given to somebody it is open and his, and the queue knows how many are not."""
    ends = {
        one.body.payment_id: one.meta.recorded_at
        for one in events()
        if isinstance(one.body, ReviewDecided | ReviewClosed)
    }
    given = next(
        one
        for one in events()
        if isinstance(one.body, ReviewAssigned) and one.meta.recorded_at < ends[one.body.payment_id]
    )
    assert isinstance(given.body, ReviewAssigned)
    moment = iso_instant(given.meta.recorded_at).replace(".000000", "")
    told = desk("review", "list", "--as-of", moment, "--json").told
    [row] = [row for row in told["reviews"] if row["payment_id"] == given.body.payment_id]
    assert ("open", given.body.assigned_by) == (row["status"], row["assigned_by"])
    assert moment == row["assigned_at"]
    assert row["assigned_to"] in desk("review", "list", "--as-of", moment).shown
    nobodys = [one for one in told["reviews"] if not one["assigned_to"]]
    assert len(nobodys) == sum(queue["unassigned"] for queue in told["statistics"])
    his = [one for one in told["reviews"] if one["assigned_to"] == row["assigned_to"]]
    [sums] = [one for one in told["desk"] if one["analyst"] == row["assigned_to"]]
    assert (len(his), min(one["deadline_at"] for one in his)) == (
        sums["still_open"],
        sums["next_deadline_at"],
    )
    assert (
        his
        == desk("review", "list", "--mine", row["assigned_to"], "--as-of", moment, "--json").told["reviews"]
    )
    shown = desk("review", "show", row["payment_id"], "--as-of", moment).shown
    assert f"With {row['assigned_to']} since {moment}, by {row['assigned_by']}" in shown


def test_a_proposal_is_shown_while_another_has_to_agree(desk: Tallystick) -> None:
    """Who has proposed what, in the list; once it is decided, the first of two alone."""
    ends = {
        one.body.payment_id: one.meta.recorded_at for one in events() if isinstance(one.body, ReviewDecided)
    }
    one = next(
        one
        for one in events()
        if isinstance(one.body, ReviewProposed) and one.meta.recorded_at < ends[one.body.payment_id]
    )
    assert isinstance(one.body, ReviewProposed)
    moment = iso_instant(one.meta.recorded_at)

    def listed(*options: str) -> tuple[str, str, str]:
        told = desk("review", "list", "--all", "--json", *options).told["reviews"]
        [row] = [row for row in told if row["payment_id"] == one.body.payment_id]
        return row["status"], row["proposed_by"], row["proposed"]

    assert ("open", one.body.analyst, one.body.decision) == listed("--as-of", moment)
    said = f"open, {one.body.decision} proposed by {one.body.analyst}"
    assert said in desk("review", "list", "--as-of", moment).shown
    decided = next(body for body in bodies(ReviewDecided) if body.payment_id == one.body.payment_id)
    assert (decided.decision, decided.proposed_by, "") == listed()


def test_what_became_of_an_analysts_reviews(desk: Tallystick) -> None:
    """Decided by himself or by others, lapsed, overtaken: each once."""
    told = desk("review", "list", "--all", "--json").told["desk"]
    last = {body.payment_id: body for body in bodies(ReviewDecided)}
    expected = {name: Counter[str]() for name in whose().values() if name}
    for payment, name in whose().items():
        if not name:
            continue
        one = last.get(payment)
        if one is None:
            expected[name]["overtaken"] += 1
        elif one.reviewed_by is ReviewedBy.DEADLINE:
            expected[name]["lapsed"] += 1
        else:
            expected[name]["decided" if one.analyst == name else "decided_by_others"] += 1
    kinds = ("decided", "decided_by_others", "lapsed", "overtaken")
    assert expected == {
        row["analyst"]: Counter({kind: row[kind] for kind in kinds if row[kind]}) for row in told
    }
    assert all(row["still_open"] == 0 and row["next_deadline_at"] is None for row in told)


def test_every_step_of_an_assignment_is_shown(desk: Tallystick) -> None:
    """Whom it went to, by whom and from whom; what was refused with its reason."""
    passed = next(body for body in bodies(ReviewAssigned) if body.taken_from)
    steps = desk("review", "show", passed.payment_id, "--json").told["steps"]
    assert ("assigned", passed.analyst, passed.assigned_by, passed.taken_from) in {
        (step["step"], step["analyst"], step["assigned_by"], step["taken_from"]) for step in steps
    }
    assert (
        f"by {passed.assigned_by}, from {passed.taken_from}"
        in desk("review", "show", passed.payment_id).shown
    )
    back = bodies(ReviewUnassigned)[0]
    steps = desk("review", "show", back.payment_id, "--json").told["steps"]
    assert ("unassigned", "", back.unassigned_by, back.taken_from) in {
        (step["step"], step["analyst"], step["assigned_by"], step["taken_from"]) for step in steps
    }
    counted = desk(
        "query",
        "SELECT decision, reason, count(*) AS n FROM review_steps"
        " WHERE step = 'refused' AND decision IN ('assign', 'unassign') GROUP BY 1, 2",
        "--json",
    )
    assert Counter(
        ("assign" if body.analyst else "unassign", body.reason) for body in bodies(ReviewAssignmentRefused)
    ) == {(row["decision"], row["reason"]): row["n"] for row in counted.told["rows"]}


@pytest.mark.parametrize(
    ("command", "analyst", "by"),
    [
        (("assign", "pay-1", "ana"), "ana", "ana"),
        (("assign", "pay-1", "ana", "--by", "lee"), "ana", "lee"),
        (("unassign", "pay-1", "--by", "lee"), "", "lee"),
    ],
)
def test_an_assignment_becomes_reference_data(
    desk: Tallystick, tmp_path: Path, command: tuple[str, ...], analyst: str, by: str
) -> None:
    """With who says so and the hash of the note; who takes a review himself need not say it twice."""
    out = tmp_path / "assignment.avro"
    given = ("--note", "his card", "--next-version", "57", "--out", str(out), "--json")
    assert 1 == desk("review", *command, *given).told["entries"]
    [entry] = [row.entry for row in read_rows(out)]
    assert isinstance(entry, ReferencePublished)
    assert ("assignment", "pay-1", 57) == (entry.kind, entry.ref_id, entry.version)
    content = decode_reference(entry.kind, entry.content)
    assert isinstance(content, ReviewAssignment)
    assert ("pay-1", analyst, by, 64) == (
        content.payment_id,
        content.analyst,
        content.assigned_by,
        len(content.note_sha256),
    )


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--unassigned", "--mine", "ana"), "leave it or --analyst out"),
        (("--mine", ""), "--unassigned lists those of nobody"),
    ],
)
def test_a_list_is_of_somebody_or_of_nobody(desk: Tallystick, options: tuple[str, ...], fault: str) -> None:
    """What could only be empty is refused."""
    answer = desk("review", "list", *options)
    assert 2 == answer.code
    assert fault in answer.err
