"""What two packs differ in, and nothing else."""

import pytest

from events.reference import Action, RuleBook
from streams.features.rules.comparing import Difference, differences
from streams.features.rules.lists import list_sha256
from tests.streams.rules.builders import AFTER, book, named, rule

ENTRIES = {list_sha256(list(letters)): list(letters) for letters in ("ab", "bcd")}

DIFFERENCES = [
    (book(), book(version=2), []),
    (book(rule("card.new")), book(rule(" card.new # so\n")), []),
    (book(rule("true"), rule("false", rule_id="b")), book(rule("false", rule_id="b"), rule("true")), []),
    (book(), book(rule("card.new")), [("rule", "rule", "", "", "block when card.new", "added")]),
    (
        book(rule("card.new", shadow=True)),
        book(),
        [("rule", "rule", "", "block in shadow when card.new", "", "removed")],
    ),
    (
        book(rule("card.new")),
        book(rule("card.new or  true", Action.REVIEW, phase=AFTER, points=5, shadow=True)),
        [
            ("rule", "rule", "when", "card.new", "card.new or true", "changed"),
            ("rule", "rule", "action", "block", "review", "changed"),
            ("rule", "rule", "phase", "as soon as known", "after_authorization", "changed"),
            ("rule", "rule", "points", "0", "5", "changed"),
            ("rule", "rule", "shadow", "false", "true", "changed"),
        ],
    ),
    (
        book(a="1", b="2"),
        book(b="3", c="4"),
        [
            ("threshold", "b", "", "2", "3", "changed"),
            ("threshold", "c", "", "", "4", "added"),
            ("threshold", "a", "", "1", "", "removed"),
        ],
    ),
    (
        book(lists=(named("x", "card", *"ab"),)),
        book(lists=(named("x", "ip", *"bcd"), named("y", "card"))),
        [
            ("list", "x", "of", "card", "ip", "changed"),
            ("list", "x", "entries", "2 entries", "3 entries (+2 -1)", "changed"),
            ("list", "y", "", "", "0 entries", "added"),
        ],
    ),
    (book(), book(merchant="shop"), [("pack", "merchant", "", "the house", "shop", "changed")]),
]


@pytest.mark.parametrize(("old", "new", "expected"), DIFFERENCES)
def test_what_differs(old: RuleBook, new: RuleBook, expected: list[tuple[str, ...]]) -> None:
    """With what it was and is."""
    found = differences(old, new, ENTRIES, ENTRIES)
    assert [Difference(*row[:5]) for row in expected] == found
    assert [row[5] for row in expected] == [one.change for one in found]
