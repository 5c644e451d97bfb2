"""``docs/questions.md`` on both databases: every answer is what the page shows, and the same on each.

That the page works from nothing is tested with all pages; here its questions are put to both stores of one log.
"""

import shlex
from pathlib import Path

import pytest

from tests.infra.asking import Tallystick
from tests.test_readme import Command, blocks, commands, fits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "questions.md"
ASKED: list[Command] = [
    command
    for block in blocks(PAGE.read_text("utf-8"))
    for command in commands(block)
    if not command.text.startswith("tallystick demo")
]

#: What DuckDB has answered, by the line of the question; the databases come one after the other.
_ANSWERS: dict[int, str] = {}


def test_there_are_ten_questions() -> None:
    """Each with at least one command; none that the tests below could not run."""
    titles = [
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("## ") and line[3].isdigit()
    ]
    assert [title.split()[1] for title in titles] == [f"{number}." for number in range(1, 11)]
    assert len(ASKED) > len(titles)
    assert all(command.text.startswith("tallystick ") for command in ASKED)


@pytest.mark.parametrize("command", ASKED, ids=lambda command: f"line-{command.line}")
def test_a_question_is_answered(ask_simulated: Tallystick, command: Command) -> None:
    """As the page shows it, with its freshness behind; and to the byte alike on both databases."""
    answer = ask_simulated(*shlex.split(command.text)[1:])
    assert answer.code == command.code, answer.err
    assert fits(command.output, f"{answer.out}{answer.err}"), f"{answer.out}{answer.err}"
    assert _ANSWERS.setdefault(command.line, answer.out) == answer.out
