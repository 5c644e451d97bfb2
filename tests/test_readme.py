"""What the README and the documents show is run.

The language of a fenced block says what happens to it:

``console``
    Run. A line that begins with ``$ `` is a command for bash and goes on in lines that begin with ``> ``. The lines
    below it are its output: a line ``...`` stands for any number of lines, ``...`` within a line for anything, and
    output that is not shown at all may be anything. The command has to exit with 0, or with N where the last line
    is ``[exit N]``.
``python``
    Run, by the Python of the environment; it has to finish.
``sh``
    Not run, because it needs a network or changes the tree, but the make targets that it names have to exist.
anything else
    Only read.

A second word says more: a name like ``ids.py`` is the file in which the blocks behind it find this one; ``kafka`` and
``kcat`` are what a block needs beside this environment, and it is run where there is one (``tests/integration``).

The blocks of a page run in their order in one empty folder, with the commands of the environment on ``PATH``: a page
is a session that begins with nothing.
"""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.postgres import Server

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]

#: Pages whose reader has a PostgreSQL server.
SERVED: Final = frozenset({"postgres.md"})


#: Second words of blocks that are run elsewhere.
NEEDED: Final = frozenset({"kafka", "kcat"})


class Block(NamedTuple):
    """A fenced block, the line where its text begins, and what stands behind its language."""

    language: str
    line: int
    text: str
    words: tuple[str, ...] = ()

    @property
    def needs(self) -> set[str]:
        """What has to be there beside the environment."""
        return NEEDED & set(self.words)


class Command(NamedTuple):
    """A command of a console block, and what is shown of it."""

    line: int
    text: str
    output: str
    code: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        line = page.count("\n", 0, found.start(3)) + 1
        yield Block(found[1], line, found[3], tuple(found[2].split()))


def commands(block: Block) -> list[Command]:
    """What a console block runs; raises ValueError for output without a command."""
    found: list[Command] = []
    for line, text in enumerate(block.text.splitlines(), block.line):
        if text.startswith("$ "):
            found.append(Command(line, text[2:], "", 0))
        elif not found:
            raise ValueError(f"line {line}: a console block begins with a command")
        elif text.startswith("> ") and not found[-1].output:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{text[2:]}")
        elif code := re.fullmatch(r"\[exit (\d+)\]", text):
            found[-1] = found[-1]._replace(code=int(code[1]))
        else:
            found[-1] = found[-1]._replace(output=f"{found[-1].output}{text}\n")
    return found


def fits(shown: str, printed: str) -> bool:
    """Whether output is what the page shows; spaces at the ends of lines do not count."""
    lines = (
        r"(?:[^\n]*\n)*?"
        if line == "..."
        else re.escape(line.rstrip()).replace(r"\.\.\.", "[^\n]*") + "[ ]*\n"
        for line in shown.splitlines()
    )
    return re.fullmatch("".join(lines), printed if printed.endswith("\n") else f"{printed}\n") is not None


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what a page shows as its reader would, but for colours and the reader's own settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    environment |= {"NO_COLOR": "1", "COLUMNS": "100"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def check(page: str, folder: Path, there: Collection[str] = ()) -> None:
    """Run the blocks of a page for which all is ``there``; AssertionError names the line that breaks its word."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for block in blocks(page):
        for name in block.words:
            if name.endswith(".py"):
                (folder / name).write_text(block.text, "utf-8")
        if block.needs.difference(there):
            continue
        match block.language:
            case "console":
                for command in commands(block):
                    done = run(["bash", "-c", command.text], folder)
                    assert command.code == done.returncode, f"line {command.line}: {done.stdout}"
                    assert not command.output or fits(command.output, done.stdout), (
                        f"line {command.line}: the page shows\n{command.output}and it printed\n{done.stdout}"
                    )
            case "python":
                done = run([sys.executable, "-c", block.text], folder)
                assert done.returncode == 0, f"line {block.line}: {done.stdout}"
            case "sh":
                named = set(re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE))
                assert named <= targets, f"line {block.line}: no make target {', '.join(named - targets)}"
            case _:
                pass


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_keeps_its_word(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every command of a page works from an empty folder and prints what the page shows."""
    if page.name in SERVED:
        request.getfixturevalue("at_postgres")
    check(page.read_text("utf-8"), tmp_path)


@pytest.fixture
def at_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that the programs of PostgreSQL and its library find by themselves."""
    for name, value in postgres.environment().items():
        monkeypatch.setenv(name, value)


def fenced(language: str, *lines: str) -> str:
    """A page with one block."""
    return "\n".join(["# A page", "", f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    "page",
    [
        fenced("console", "$ echo one; echo two", "one", "two"),
        fenced("console", "$ echo one; echo two; echo three", "...", "th...e"),
        fenced("console", "$ seq 9", "1", "...", "9"),
        fenced("console", "$ seq 9"),
        fenced("console", "$ cat <<END", "> 1.50 (EUR)", "> END", "1.50 (EUR)"),
        fenced("console", "$ echo no >&2; exit 3", "no", "[exit 3]"),
        fenced("console", "$ touch here") + fenced("console", "$ ls", "here"),
        fenced("python", "import events", "assert events.OWNER == 'tallystick'"),
        fenced("sh", "make run", "git clone it"),
        fenced("text", "$ exit 1"),
        fenced("python kafka", "raise SystemExit(1)"),
        fenced("console kcat", "$ exit 1"),
        fenced("python two.py", "two = 2") + fenced("python", "from two import two", "assert two == 2"),
        fenced("python kafka two.py", "two = 2") + fenced("console", "$ cat two.py", "two = 2"),
    ],
)
def test_a_page_that_is_right_passes(page: str, tmp_path: Path) -> None:
    """Each kind of block, run as its language says."""
    check(page, tmp_path)


def test_what_a_block_needs_may_be_there(tmp_path: Path) -> None:
    """Then it is run as well."""
    page = fenced("python kafka", "raise SystemExit(1)")
    check(page, tmp_path, {"kcat"})
    with pytest.raises(AssertionError, match=r"^line 4: "):
        check(page, tmp_path, {"kafka"})


@pytest.mark.parametrize(
    ("page", "line"),
    [
        (fenced("console", "$ true", "$ exit 1"), 5),
        (fenced("console", "$ true", "[exit 1]"), 4),
        (fenced("console", "$ echo two", "one"), 4),
        (fenced("console", "$ echo one; echo two", "one"), 4),
        (fenced("console", "$ echo one", "one", "two"), 4),
        (fenced("console", "$ seq 9", "2", "...", "9"), 4),
        (fenced("console", "$ echo 1x5", "1.5"), 4),
        (fenced("python", "raise SystemExit(1)"), 4),
        (fenced("sh", "make coffee"), 4),
    ],
)
def test_a_page_that_is_wrong_is_found(page: str, line: int, tmp_path: Path) -> None:
    """A planted lie of every kind is found, with its line."""
    with pytest.raises(AssertionError, match=rf"^line {line}: "):
        check(page, tmp_path)
