"""What must not lie in the tree: compiled modules, foreign addresses, card numbers.

- A compiled module beside its source is imported in its place, and goes on being imported when the source has
  changed; a stale result was seen. Compiled builds belong in ``build/``.
- A host name in a file binds its reader to somebody's machine. The names that are reserved for examples are free,
  and so are names without a dot; the few others have a reason.
- A number that could be somebody's card stays out of everything that is published. The numbers that networks and
  processors publish for tests are free; others are made at run time.

The files are those that git tracks or would track: a new file is under the rule before it is committed.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

COMPILED: Final = frozenset({".so", ".pyd", ".dylib"})
#: Folders at the top where compiled modules may lie, beside those whose name begins with a dot.
BUILDS: Final = frozenset({"build", "dist", "var"})

#: Reserved by RFC 2606 and RFC 6761, loopback, or with a reason.
ALLOWED_HOST: Final = re.compile(
    r"""
      (.+\.)?example(\.(com|org|net))?
    | (.+\.)?(test|invalid|localhost)
    | 127\.0\.0\.1 | 0\.0\.0\.0 | \[::1?\]
    | www\.apache\.org      # in the text of the licence
    """,
    re.VERBOSE | re.IGNORECASE,
)
#: Behind a scheme, a name with a dot or an address; elsewhere, a name with an ending that rarely means anything else.
URL: Final = re.compile(
    r"\b[a-z][a-z0-9+]*://(?:[^\s/@\"'`<>]*@)?(\[[0-9a-f:]+\]|[a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE
)
BARE: Final = re.compile(
    r"(?<![\w./-])((?:[a-z0-9-]+\.)+(?:com|org|io|dev|net))(?![\w(-]|\.\w)", re.IGNORECASE
)
#: In Python, `totals.net` is an attribute.
BARE_IN_PYTHON: Final = re.compile(BARE.pattern.replace("|net", ""), re.IGNORECASE)

#: Digits as a card shows them: in one piece, in fours, or as American Express has them; first digits that are issued.
CARD: Final = re.compile(
    r"(?<![\w.-])(?=[2-6])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5})(?![\w-]|\.\d)"
)
TEST_CARDS: Final = frozenset(
    """
    4242424242424242 4111111111111111 4012888888881881 4000056655665556 4222222222222 5555555555554444
    5105105105105100 2223003122003222 5200828282828210 378282246310005 371449635398431 6011111111111117
    6011000990139424 3056930009020004 36227206271667 3566002020360505 6200000000000005
    """.split()
)


def compiled_modules(root: Path) -> list[str]:
    """The compiled modules that Python could import in the place of a source file."""
    return sorted(
        path.relative_to(root).as_posix()
        for top in root.iterdir()
        if top.name not in BUILDS and not top.name.startswith(".")
        for path in (top.rglob("*") if top.is_dir() else (top,))
        if path.suffix in COMPILED
    )


def text_files(root: Path) -> dict[str, str]:
    """The text files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    texts = {}
    for name in sorted(set(listed.split("\0")) - {""}):
        path = root / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            texts[name] = data.decode("utf-8", errors="replace")
    return texts


def addresses(name: str, text: str) -> Iterator[str]:
    """Every host that a file names and may not."""
    bare = BARE_IN_PYTHON if name.endswith((".py", ".pyi")) else BARE
    for number, line in enumerate(text.splitlines(), 1):
        hosts = {found[1] for pattern in (URL, bare) for found in pattern.finditer(line)}
        yield from (f"{name}:{number}: {host}" for host in sorted(hosts) if not ALLOWED_HOST.fullmatch(host))


def card_numbers(name: str, text: str) -> Iterator[str]:
    """Every number in a file that could be a card; the message does not repeat it."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in CARD.finditer(line):
            digits = re.sub(r"\D", "", found[0])
            if digits not in TEST_CARDS and luhn(digits):
                yield f"{name}:{number}: {len(digits)} digits that could be a card"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def test_no_compiled_module_shadows_its_source() -> None:
    """Whoever edits a file runs what they edited."""
    assert [] == compiled_modules(ROOT)


def test_no_file_names_a_host() -> None:
    """The project is bound to no machine and no service."""
    found = [line for name, text in text_files(ROOT).items() for line in addresses(name, text)]
    assert not found, "\n".join(found)


def test_no_file_holds_a_card_number() -> None:
    """Nothing published could be somebody's card."""
    found = [line for name, text in text_files(ROOT).items() for line in card_numbers(name, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "file", ["events/_codec.cpython-311-x86_64-linux-gnu.so", "infra/cli.pyd", "events.so"]
)
def test_a_planted_module_is_found(tmp_path: Path, file: str) -> None:
    """Anywhere that Python would look, and nowhere else."""
    for name in (file, f"build/{file}", f".venv/{file}"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [file] == compiled_modules(tmp_path)


# The planted names and numbers are put together here, so that this file itself stays clean.
DOT: Final = "."


@pytest.mark.parametrize(
    ("file", "line", "host"),
    [
        ("Makefile", f"INDEX = https://pypi{DOT}somewhere{DOT}eu/simple", f"pypi{DOT}somewhere{DOT}eu"),
        ("events/base.py", f"# see http://wiki{DOT}acme{DOT}corp/x", f"wiki{DOT}acme{DOT}corp"),
        (
            "infra/settings.py",
            f"'postgresql://me:secret@db{DOT}acme{DOT}corp:5432/x'",
            f"db{DOT}acme{DOT}corp",
        ),
        ("infra/settings.py", f"BROKER = 'kafka://10{DOT}1{DOT}2{DOT}3:9092/day'", f"10{DOT}1{DOT}2{DOT}3"),
        ("docs/start.md", f"write to me@mail{DOT}acme{DOT}com.", f"mail{DOT}acme{DOT}com"),
        ("docs/start.md", f"found on acme{DOT}net today", f"acme{DOT}net"),
    ],
)
def test_a_planted_address_is_found(file: str, line: str, host: str) -> None:
    """With a scheme or without, in code and in prose."""
    assert [f"{file}:2: {host}"] == list(addresses(file, f"\n{line}\n"))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("streams/fees.py", "charged = totals.net + value.net"),
        ("docs/start.md", "https://shop.example.com and webhooks.shop.example"),
        ("docs/start.md", "kafka://HOST:PORT/PREFIX, http://localhost:8080, https://127.0.0.1:8443/"),
        ("infra/compose.yaml", "postgresql://store:5432/tallystick"),
        ("LICENSE", "http://www.apache.org/licenses/"),
    ],
)
def test_a_reserved_name_is_free(file: str, line: str) -> None:
    """Examples, loopback, names inside a deployment and attributes are nobody's address."""
    assert [] == list(addresses(file, line))


def card(digits: str) -> str:
    """The digits with their check digit."""
    return next(digits + last for last in "0123456789" if luhn(digits + last))


@pytest.mark.parametrize(
    "digits", ["400000000012345", "54545454545454", "36000000123456789", "37000012345678"]
)
@pytest.mark.parametrize("line", ["{}", "pan = '{}'", '{{"card":"{}"}}', "a,{},b"])
def test_a_planted_card_number_is_found(digits: str, line: str) -> None:
    """Of every length, in code, JSON and CSV; and the message does not spread it further."""
    number = card(digits)
    (found,) = card_numbers("docs/start.md", line.format(number))
    assert f"docs/start.md:1: {len(number)} digits that could be a card" == found


@pytest.mark.parametrize(
    ("digits", "sizes"), [("400000000012345", (4, 4, 4, 4)), ("37000012345678", (4, 6, 5))]
)
@pytest.mark.parametrize("gap", [" ", "-"])
def test_a_planted_card_number_in_groups_is_found(digits: str, sizes: tuple[int, ...], gap: str) -> None:
    """As it is printed on the card."""
    rest = iter(card(digits))
    number = gap.join("".join(next(rest) for _ in range(size)) for size in sizes)
    assert list(card_numbers("docs/start.md", f"card {number}, paid"))


@pytest.mark.parametrize(
    "text",
    ["4242424242424242", "4242 4242 4242 4242", card("400000000012345")[:-1] + "x", "1773059400000000"],
)
def test_a_number_that_is_no_card_is_free(text: str) -> None:
    """Published test cards, parts of longer words, times in microseconds."""
    assert [] == list(card_numbers("docs/start.md", text))


def test_a_new_file_is_under_the_rule(tmp_path: Path) -> None:
    """Untracked files are read, ignored and binary ones are not."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, data in {
        ".gitignore": b"var/\n",
        "new.md": b"new\n",
        "var/log.txt": b"made\n",
        "golden.bin": b"\0\1",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert {".gitignore": "var/\n", "new.md": "new\n"} == text_files(tmp_path)
