"""The auditor on whose a review is: what nobody has said, said otherwise, or said in vain is named."""

import pytest

from events.review import (
    ReviewAssigned,
    ReviewAssignmentRefused,
    ReviewDecided,
    ReviewDecision,
    ReviewedBy,
    ReviewOpened,
    ReviewRefusal,
    ReviewUnassigned,
)
from tests.simulation.auditor import audit
from tests.simulation.test_auditor import Change, body, decoded, gone, honest, the_other, twice


def passed_on(given: ReviewAssigned) -> bool:
    """Taken from somebody."""
    return bool(given.taken_from)


def taken_back(given: ReviewAssigned) -> bool:
    """Of a review that was anybody's again later."""
    bodies = [recorded.body for recorded in decoded().values()]
    return any(
        isinstance(found, ReviewUnassigned) and found.payment_id == given.payment_id for found in bodies
    )


def unseen(refused: ReviewAssignmentRefused) -> bool:
    """Of a payment that nobody looked at."""
    return refused.reason is ReviewRefusal.NOT_UNDER_REVIEW


PLANTED: dict[str, tuple[Change, str]] = {
    "given by nobody": (body(ReviewAssigned, assigned_by="nobody"), "nobody has said that"),
    "given to another": (body(ReviewAssigned, analyst=the_other), "nobody has said that"),
    "given with another note": (body(ReviewAssigned, note_sha256="ab" * 32), "with another note"),
    "given to nobody": (body(ReviewAssigned, analyst=""), "nobody has said that"),
    "taken from another": (body(ReviewAssigned, passed_on, taken_from="kim"), "goes from 'kim' to"),
    "taken from nobody": (body(ReviewUnassigned, taken_from=""), "goes from '' to ''"),
    "given twice": (twice(ReviewAssigned), "as was said before what is done already"),
    "given in vain": (gone(ReviewAssigned), "and nothing came of it"),
    "given unseen": (gone(ReviewAssigned, taken_back), "and was with ''"),
    "kept": (gone(ReviewUnassigned), "to be nobody's, and nothing came of it"),
    "given and not under review": (gone(ReviewOpened), "and is not under review"),
    "refused for another reason": (
        body(ReviewAssignmentRefused, unseen, reason=ReviewRefusal.OVERTAKEN),
        "and that is not so",
    ),
    "refused and open": (gone(ReviewDecided), "is given to nobody, already_decided, and that is not so"),
    "refused in silence": (gone(ReviewAssignmentRefused), "and nothing came of it"),
}


@pytest.mark.parametrize(("change", "finding"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_named(change: Change, finding: str) -> None:
    """Each invariant can fail, and says what failed."""
    findings = audit(change(list(honest())))
    assert [line for line in findings if finding in line], findings


def test_the_run_has_every_kind_of_assignment() -> None:
    """Or the plants above would be of little: given, passed on, given back, refused for each reason."""
    bodies = [recorded.body for recorded in decoded().values()]
    assert {True, False} == {passed_on(one) for one in bodies if isinstance(one, ReviewAssigned)}
    assert any(isinstance(one, ReviewUnassigned) for one in bodies)
    assert {
        ReviewRefusal.NOT_UNDER_REVIEW,
        ReviewRefusal.ALREADY_DECIDED,
        ReviewRefusal.AFTER_THE_DEADLINE,
        ReviewRefusal.OVERTAKEN,
    } == {one.reason for one in bodies if isinstance(one, ReviewAssignmentRefused)}
    whose = {one.payment_id: one.analyst for one in bodies if isinstance(one, ReviewAssigned)}
    decided = [
        one
        for one in bodies
        if isinstance(one, ReviewDecided)
        and one.reviewed_by is ReviewedBy.ANALYST
        and one.decision is not ReviewDecision.REFUND
    ]
    assert {True, False} == {one.analyst == whose.get(one.payment_id) for one in decided}
