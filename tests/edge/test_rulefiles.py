"""A pack's file: faults at their line and column, lists beside it, cases, and what is published of it."""

from pathlib import Path

import pytest

from events.errors import Refused, Unavailable
from events.reference import Action, RuleBook, RuleListPart
from streams.edge.rulecases import run_cases
from streams.edge.rulefiles import (
    MOST_BYTES,
    FileRefused,
    Trouble,
    entries_to_publish,
    judge_of,
    pack_of,
    read_file,
)
from streams.features.rules.lists import whole

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "rules"


def file(folder: Path, text: str, name: str = "pack.toml") -> Path:
    """A file of this text."""
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_examples_are_sound() -> None:
    """The house's and a merchant's on top of it: every case is as it should be."""
    house, own = (read_file(EXAMPLES / name) for name in ("house.toml", "harbour-coffee.toml"))
    for read, judge in ((house, judge_of(house)), (own, judge_of(own, house))):
        tested = run_cases(read, judge)
        assert tested
        assert [] == [one.wrong for one in tested if one.wrong]


PLACES = [
    # text, line, column, what, reason
    (
        '[[rule]]\nid = "a"\naction = "block"\nwhen = "card.nwe"\n',
        (5, 9, "rule a", "there is no feature card.nwe", "did you mean card.new?"),
    ),
    (
        '[[rule]]\nwhen = "true or card.nwe"\nid = "a"\naction = "block"\n',
        (3, 17, "rule a", "there is no feature card.nwe", "did you mean card.new?"),
    ),
    (
        "[[rule]]\nid = 'a'\naction = 'block'\nwhen = '''\n  card.new\n  and x'''\n",
        (7, 7, "rule a", "there is no feature x", ""),
    ),
    (
        '[[rule]]\nid = "a"\naction = "block"\nwhen = """card.new\nand x"""\n',
        (6, 5, "rule a", "there is no feature x", ""),
    ),
    # Not written as it is read: the place within the rule is all that there is.
    (
        '[[rule]]\nid = "a"\naction = "block"\nwhen = "card.country == \\"UK\\""\n',
        (
            0,
            0,
            "rule a",
            "line 1, column 17: 'UK' is none of AD, AE, AF, AG ... (249 in all)",
            'did you mean "GB"?',
        ),
    ),
    (
        '[[rule]]\nid = "ok"\naction = "block"\nwhen = "true"\n[[rule]]\nid = "a"\naction = "block"\nwhen = "x"\n',
        (9, 9, "rule a", "there is no feature x", ""),
    ),
    (
        '[[rule]]\nid = "a"\naction = "block"\nwhen = "true"\npoints = 101\n',
        (5, 9, "rule a", "points: between -100 and 100", ""),
    ),
    (
        '[thresholds]\nfew = "5 >"\n',
        (0, 0, "threshold $few", "line 1, column 4: the rule ends before it is complete", ""),
    ),
    (
        '[lists.a]\nof = "card"\nentries = ["x y"]\n',
        (0, 0, "list @a", "entry 1 does not look like an id of up to 200 letters without spaces", ""),
    ),
]


@pytest.mark.parametrize(("text", "expected"), PLACES)
def test_a_fault_has_its_place_in_the_file(
    tmp_path: Path, text: str, expected: tuple[int, int, str, str, str]
) -> None:
    """As an editor counts lines and columns."""
    with pytest.raises(FileRefused) as caught:
        pack_of(read_file(file(tmp_path, "version = 1\n" + text)))
    [trouble] = caught.value.troubles
    assert Trouble(*expected) == trouble._replace(shown="")


def test_all_faults_are_told(tmp_path: Path) -> None:
    """In the order of the file."""
    rules = "".join(f'[[rule]]\nid = "r{n}"\naction = "block"\nwhen = "x{n}"\n' for n in range(3))
    with pytest.raises(FileRefused, match=r"pack.toml:5:9: rule r0: .* \(and 2 more\)$") as caught:
        pack_of(read_file(file(tmp_path, "version = 1\n" + rules)))
    assert [5, 9, 13] == [trouble.line for trouble in caught.value.troubles]


WRONG = [
    ("version = ", "is not TOML"),
    ("", "Object missing required field `version`"),
    ("version = 1\nrules = []\n", "Object contains unknown field `rules`"),
    (
        'version = 1\n[[rule]]\nid = "a"\naction = "blok"\nwhen = "true"\n',
        "rule 1 action: Invalid enum value 'blok'",
    ),
    ('version = 1\n[[rule]]\nid = "a"\nwhen = "true"\n', "rule 1: Object missing required field `action`"),
    (f"version = 1\nnote = '{'x' * MOST_BYTES}'\n", "has more than 4,194,304 bytes"),
    ('version = 1\nmerchant = "shop"\n', "is shop's own: name the house's pack with --house"),
    (
        'version = 1\n[lists.a]\nof = "card"\nentries = ["x"]\nfile = "x"\n',
        "entries stand here or in a file, not in both",
    ),
]


@pytest.mark.parametrize(("text", "reason"), WRONG)
def test_what_is_no_pack_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """In one sentence with the file's name."""
    with pytest.raises(Refused) as caught:
        judge_of(read_file(file(tmp_path, text)))
    assert reason in str(caught.value)
    assert "pack.toml" in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing file may be there later; one that is not UTF-8 is wrong."""
    with pytest.raises(Unavailable, match="cannot be read"):
        read_file(tmp_path / "nothing.toml")
    with pytest.raises(Unavailable, match=r"names.txt cannot be read"):
        read_file(file(tmp_path, 'version = 1\n[lists.a]\nof = "card"\nfile = "names.txt"\n'))
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xe9")
    with pytest.raises(Refused, match="is not UTF-8"):
        read_file(tmp_path / "latin.toml")


def test_a_list_beside_the_file(tmp_path: Path) -> None:
    """An entry a line; comments, empty lines and repeats are none."""
    file(tmp_path, "# cards\nbeta\n\n  alpha  # found by ann\nbeta\n", "cards.txt")
    read = read_file(file(tmp_path, 'version = 1\n[lists.cards]\nof = "card"\nfile = "cards.txt"\n'))
    assert [["alpha", "beta"]] == list(read.entries.values())
    assert 2 == read.book.lists[0].entries


def test_only_packs_that_fit_stand_on_each_other(tmp_path: Path) -> None:
    """A merchant's on the house's, and nothing else."""
    house = read_file(file(tmp_path, "version = 1\n"))
    own = read_file(file(tmp_path, 'version = 1\nmerchant = "shop"\n', "own.toml"))
    with pytest.raises(Refused, match="stands on top of nothing"):
        judge_of(house, house)
    with pytest.raises(Refused, match="and no house's"):
        judge_of(own, own)


def test_what_is_published_can_be_put_together_again() -> None:
    """The parts of the lists come before the book that names them."""
    read = read_file(EXAMPLES / "house.toml")
    *parts, book = entries_to_publish(read)
    assert ("rulebook", "standard", read.book) == book
    assert isinstance(book.content, RuleBook)
    contents = [part.content for part in parts]
    for named in book.content.lists:
        mine = [part for part in contents if isinstance(part, RuleListPart) and part.sha256 == named.sha256]
        assert read.entries[named.sha256] == whole(mine)


PACK = """
version = 1
[[rule]]
id = "large"
action = "block"
when = "amount > 50.00 EUR"
[[rule]]
id = "seen"
action = "review"
shadow = true
when = "card.new"
[[rule]]
id = "ratio"
action = "review"
when = "amount / card.declines_24h > 1 minor"
"""

CASES = [
    # a case, how it differs
    ('given = { amount = "50.01 EUR" }\nfires = ["large"]\nfails = ["ratio"]\naction = "block"', ""),
    ('given = { amount = "50.01 EUR" }\nfails = ["ratio"]', "fires large, not nothing"),
    ('given = { amount = 5001 }\nfires = ["large"]\nfails = ["ratio"]', "fires nothing, not large"),
    (
        'given = { "card.new" = true }\nfails = ["ratio"]\naction = "block"',
        "shadow seen, not nothing; the action is none, not block",
    ),
    ('given = { "card.declines_24h" = 1 }\nfires = ["ratio"]\naction = ""', "the action is review, not none"),
    ('given = { "card.declines_24h" = 1 }\nfires = ["ratio"]\nfails = ["ratio"]', "fails nothing, not ratio"),
    ('phase = "after_authorization"', ""),
]


@pytest.mark.parametrize(("case", "wrong"), CASES)
def test_a_case_says_how_it_differs(tmp_path: Path, case: str, wrong: str) -> None:
    """What fires, what would, what fails, and what is done."""
    read = read_file(file(tmp_path, f'{PACK}\n[[case]]\nname = "one"\n{case}\n'))
    [tested] = run_cases(read, judge_of(read))
    assert wrong == tested.wrong
    assert tested.outcome.action in (None, *Action)


IMPOSSIBLE = [
    ('"card.nwe" = true', "card.nwe: there is no such feature; did you mean card.new?"),
    ('"card.new" = 1', "card.new: true or false"),
    ("amount = true", "amount: money is neither true nor false"),
    ('amount = "5"', "amount: this is money, and '5' is number"),
    ('amount = "a lot"', "amount: 'lot' has no place here"),
    ('"card.country" = "UK"', "card.country: 'UK' is none of AD, AE, AF, AG ... (249 in all)"),
    ('amount = "5 EUR", "card.sum_1h" = "5 USD"', "given: EUR and USD: a payment has one currency"),
    ('amount = "5 EUR", "payment.currency" = "USD"', "payment.currency: the money is given in EUR"),
]


@pytest.mark.parametrize(("given", "reason"), IMPOSSIBLE)
def test_a_case_that_cannot_be_is_refused(tmp_path: Path, given: str, reason: str) -> None:
    """With its name."""
    read = read_file(file(tmp_path, f'{PACK}\n[[case]]\nname = "one"\ngiven = {{ {given} }}\n'))
    with pytest.raises(Refused) as caught:
        run_cases(read, judge_of(read))
    assert str(caught.value).endswith(f"pack.toml: case 'one': {reason}")


def test_unknown_is_a_value_of_a_case(tmp_path: Path) -> None:
    """Of features that may be unknown."""
    text = 'version = 1\n[[rule]]\nid = "a"\naction = "block"\nwhen = "card.country is unknown"\n'
    case = '[[case]]\nname = "one"\ngiven = { "card.country" = "unknown" }\nfires = ["a"]\n'
    read = read_file(file(tmp_path, text + case))
    assert [""] == [one.wrong for one in run_cases(read, judge_of(read))]
