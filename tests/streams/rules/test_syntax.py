"""What is no rule is refused with the place, the caret below it, and what was probably meant."""

import pytest

from streams.features.rules.checking import check
from streams.features.rules.faults import RuleFault, nearest
from streams.features.rules.syntax import DEEPEST, LONGEST_TEXT, MOST_TOKENS, read, words_of

MISREAD = [
    # text, line, column, letters marked, reason, hint
    ("", 1, 1, 1, "the rule ends before it is complete", ""),
    ("# nothing but this", 1, 19, 1, "the rule ends before it is complete", ""),
    ("amount >", 1, 9, 1, "the rule ends before it is complete", ""),
    ("card.new and", 1, 13, 1, "the rule ends before it is complete", ""),
    ("(card.new", 1, 10, 1, "the rule ends before it is complete", ""),
    ("card.new)", 1, 9, 1, "')' has no place here", ""),
    ("amount = 5 EUR", 1, 8, 1, "'=' means nothing here", "write == to compare"),
    ("card.new && device.new", 1, 10, 1, "'&' means nothing here", "write: and"),
    ("card.new || device.new", 1, 10, 1, "'|' means nothing here", "write: or"),
    ("!card.new", 1, 1, 1, "'!' means nothing here", "write: not, or != to compare"),
    ("card.new adn device.new", 1, 10, 3, "'adn' has no place here", "did you mean and?"),
    ("card.new AND device.new", 1, 10, 3, "'AND' has no place here", "did you mean and?"),
    ("amount > 5x", 1, 11, 1, "'x' has no place here", ""),
    ("card.country in 'US'", 1, 17, 1, '"\'" means nothing here', 'texts stand in double quotes: "US"'),
    ('card.country == "US', 1, 17, 1, "'\"' means nothing here", "the text is not closed on its line"),
    (
        "amount > 50 %",
        1,
        13,
        1,
        "'%' means nothing here",
        "there are no percents: multiply by 100 and divide",
    ),
    ("card.new\n  and\n\tnot ]", 3, 6, 1, "']' has no place here", ""),
    ("in", 1, 1, 2, "'in' has no place here", ""),
    ("card.country in [,]", 1, 18, 1, "',' has no place here", ""),
    ("card.new or §", 1, 13, 1, "'§' means nothing here", ""),
    ("card.new or $", 1, 13, 1, "'$' means nothing here", "a threshold is $ and its name"),
    ("card.id in @", 1, 12, 1, "'@' means nothing here", "a list is @ and its name"),
    (f"card.new{' or card.new' * 400}", 1, 9, 3992, f"a rule has at most {LONGEST_TEXT:,} characters", ""),
    (
        f"{'1+' * MOST_TOKENS}1",
        1,
        MOST_TOKENS + 1,
        1,
        f"a rule has at most {MOST_TOKENS} words and signs",
        "",
    ),
    (f"{'(' * 40}", 1, DEEPEST + 1, 1, f"a rule is at most {DEEPEST} brackets and signs deep", ""),
    (f"{'not ' * 40}", 1, 4 * DEEPEST + 1, 3, f"a rule is at most {DEEPEST} brackets and signs deep", ""),
    (f"{'-' * 40}1 > 2", 1, DEEPEST + 1, 1, f"a rule is at most {DEEPEST} brackets and signs deep", ""),
]


@pytest.mark.parametrize(("text", "line", "column", "length", "reason", "hint"), MISREAD)
def test_what_cannot_be_read_is_shown(
    text: str, line: int, column: int, length: int, reason: str, hint: str
) -> None:
    """Line and column from 1, as an editor counts."""
    with pytest.raises(RuleFault) as caught:
        read(text)
    fault = caught.value
    if fault.reason.startswith("a rule has at most 4"):
        column, length = LONGEST_TEXT + 1, len(text) - LONGEST_TEXT
    assert (line, column, length) == (fault.line, fault.column, fault.length)
    assert (reason, hint) == (fault.reason, fault.hint)
    assert str(fault) == f"rule: line {line}, column {column}: {reason}"


def test_the_caret_stands_below_the_place() -> None:
    """Under a tab stands a tab, so that the caret is where the eye looks; the hint is below."""
    with pytest.raises(RuleFault) as caught:
        check("card.new\n\tand card.cuont_1h > 5")
    assert (
        "\n".join(
            [
                "  \tand card.cuont_1h > 5",
                "  \t    ^^^^^^^^^^^^^",
                "  did you mean card.count_1h?",
            ]
        )
        == caught.value.shown()
    )


def test_a_long_line_is_cut_around_the_place() -> None:
    """What is shown fits a terminal."""
    with pytest.raises(RuleFault) as caught:
        read(f"{'card.new or ' * 30}]")
    shown, caret = caught.value.shown().splitlines()
    assert len(shown) < 130
    assert shown.index("]") == caret.index("^")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("card.new and amount>5 EUR", "card.new\n  and amount > 5 EUR  # because"),
        ("not(card.new)", "not (\ncard.new )"),
    ],
)
def test_white_space_and_comments_mean_nothing(one: str, other: str) -> None:
    """Two rules of the same words are the same rule."""
    assert words_of(one) == words_of(other)
    assert check(one) == check(other)


def test_the_longest_rule_that_is_allowed_can_be_checked() -> None:
    """The bounds are met before the stack is: the deepest nesting and the longest chain are read."""
    deep = f"{'(' * DEEPEST}card.new{')' * DEEPEST}"
    assert check("card.new") == check(deep)
    chain = " + ".join(["card.count_1h"] * 90)
    assert check(f"{chain} > 5").steps == 90


@pytest.mark.parametrize(
    ("word", "expected"),
    [("ammount", "amount"), ("amuont", "amount"), ("mount", "amount"), ("price", ""), ("a", "")],
)
def test_the_nearest_name(word: str, expected: str) -> None:
    """A letter too many, too few, changed or swapped; nothing where nothing is near."""
    assert expected == nearest(word, ["amount", "country"])
