"""The shell of ``tallystick query``: SQL line by line, as ``psql`` has it.

A statement goes over as many lines as it needs and ends with a semicolon. A line that begins with a backslash is a
command of the shell (:data:`HELP`). What is wrong with a statement is said, and the shell goes on; a script that
comes in through a pipe ends there instead.

The store is opened for each statement: somebody who thinks between two questions keeps no projector waiting, and
every answer is as fresh as can be.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from events.errors import Refused, TallystickError
from infra.output import console, table
from projections.schema import Relation, relation, relations

if TYPE_CHECKING:
    from projections.reading import Reader

HELP: Final = (
    (r"\d", "list tables and views"),
    (r"\d NAME", "the columns of one, with types and meaning"),
    (r"\x", "one column a line, for wide rows; again for tables"),
    (r"\?", "this help"),
    (r"\q", "end (or Ctrl-D)"),
    ("...;", "a statement, on as many lines as it needs; Ctrl-C takes it back"),
)
FIRST: Final = "tallystick=> "
NEXT: Final = "tallystick-> "
#: Lines that the history keeps.
HISTORY_LINES: Final = 2_000
_DELIMITERS: Final = " \t\n,;()=<>'\"."
_KEYWORDS: Final = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "JOIN", "LEFT JOIN", "USING", "WITH",
    "count(*)", "sum(", "DISTINCT", "BETWEEN", "DESC",
)  # fmt: skip

#: A piece of SQL that is left alone as a whole, or a semicolon, or any other character.
_PIECE: Final = re.compile(
    r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*(?:\n|$)
    | /\*.*?\*/
    | (?P<tag>\$\w*\$).*?(?P=tag)
    | (?P<open>(?<!\w)[eE]'|'|"|/\*|\$\w*\$)
    | (?P<end>;)
    | [^'";$/eE-]+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)

Answer = Callable[["Reader", str, bool], None]
"""Answers one statement; the flag asks for one column a line."""


class Shell:
    """Statements and commands, line by line."""

    def __init__(self, reading: Callable[[], "AbstractContextManager[Reader]"], answer: Answer) -> None:
        self._reading = reading
        self._answer = answer
        self._expanded = False
        self._text = ""

    @property
    def prompt(self) -> str:
        """What to show before the next line."""
        return NEXT if self._text.strip() else FIRST

    def converse(self, ask: Callable[[str], str]) -> None:
        """Take lines until there are no more, or ``\\q``. Errors are said, and do not end it."""
        while True:
            try:
                line = ask(self.prompt)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                self._text = ""
                click.echo()
                continue
            try:
                if not self.take(line):
                    return
            except TallystickError as error:
                click.echo(str(error), err=True)
            except KeyboardInterrupt:
                click.echo("interrupted", err=True)

    def take(self, line: str) -> bool:
        """One line. False where it ends the shell; raises what a statement or command is refused for."""
        if line.startswith("\\") and not self._text.strip():
            return self._command(*([*line.split(maxsplit=1), ""])[:2])
        statements, self._text = split(f"{self._text}{line}\n")
        for statement in statements:
            self._run(statement)
        return True

    def finish(self) -> None:
        """No line follows: the last statement needs no semicolon."""
        text, self._text = self._text, ""
        if bare(text):
            self._run(text)

    def _run(self, statement: str) -> None:
        with self._reading() as db:
            self._answer(db, statement, self._expanded)

    def _command(self, name: str, argument: str) -> bool:
        match name:
            case r"\q":
                return False
            case r"\?" | r"\h":
                console().print(table("", ("", ""), HELP))
            case r"\x":
                self._expanded = not self._expanded
                click.echo(f"Expanded display is {'on' if self._expanded else 'off'}.")
            case r"\d" | r"\dv" | r"\dt" if not argument.strip():
                with self._reading() as db:
                    list_relations(relations(db))
            case r"\d" | r"\dv" | r"\dt":
                with self._reading() as db:
                    describe([relation(db, argument)])
            case _:
                raise Refused(rf"there is no command {name}: \? lists what there is")
        return True


def split(text: str) -> tuple[list[str], str]:
    """The statements that a semicolon ends, without it, and what is left. Empty ones are left out."""
    statements: list[str] = []
    start = 0
    for piece in _PIECE.finditer(text):
        if piece["open"]:
            break
        if piece["end"]:
            statement = text[start : piece.start()]
            start = piece.end()
            if bare(statement):
                statements.append(statement.strip())
    return statements, text[start:]


def bare(text: str) -> str:
    """SQL without remarks and blanks around it: empty where there is nothing to run."""
    return "".join(
        piece[0] for piece in _PIECE.finditer(text) if not piece[0].startswith(("--", "/*"))
    ).strip()


def list_relations(found: list[Relation]) -> None:
    """What can be asked, a line each."""
    console().print(table("", ("name", "what it holds"), [(held.name, held.comment) for held in found]))


def describe(found: list[Relation]) -> None:
    """Tables and views with their columns."""
    screen = console()
    for held in found:
        screen.print(held.name, style="bold", markup=False)
        screen.print(held.comment, markup=False)
        rows = [(column.name, column.type, column.comment) for column in held.columns]
        screen.print(table("", ("column", "type", "what it means"), rows))
        screen.print()


def history_file() -> Path:
    """Where the lines of earlier sessions are."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "tallystick", "query_history")


@contextmanager
def line_editing(words: Callable[[], list[str]]) -> Iterator[None]:
    """Lines can be edited, completed with Tab and found again; without ``readline`` they are just read."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_file()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Somebody's questions may hold names: the file is for its owner.
        path.touch(mode=0o600)
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES)
    readline.set_completer(completer(words))
    readline.set_completer_delims(_DELIMITERS)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with suppress(OSError):
            readline.write_history_file(path)


def completer(words: Callable[[], list[str]]) -> Callable[[str, int], str | None]:
    """What completes a word: tables, views, columns and the words of SQL; asked for at the first Tab."""
    known: list[str] = []

    def complete(text: str, number: int) -> str | None:
        if not known:
            known.extend([*words(), *_KEYWORDS])
        fitting = [word for word in known if word.lower().startswith(text.lower())]
        return fitting[number] if number < len(fitting) else None

    return complete


def words_of(reading: Callable[[], "AbstractContextManager[Reader]"]) -> list[str]:
    """The names of tables, views and columns; none while the store cannot be had."""
    with suppress(TallystickError), reading() as db:
        found = relations(db)
        return sorted(
            {held.name for held in found} | {column.name for held in found for column in held.columns}
        )
    return []


def on_a_terminal() -> bool:
    """Whether a person types at us."""
    return sys.stdin is not None and sys.stdin.isatty()


def interactive(reading: Callable[[], "AbstractContextManager[Reader]"], answer: Answer, banner: str) -> None:
    """The shell, for a person."""
    click.echo(banner)
    with line_editing(lambda: words_of(reading)):
        Shell(reading, answer).converse(input)
