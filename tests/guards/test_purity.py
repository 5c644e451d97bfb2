"""Decisions know nothing but their input: what a pure file may import and call.

Pure are the contract (``events``), the processors and the table that composes them (``streams/*.py``), and the
libraries that they share (``streams/features``). So is the training of models (``streams/training``), which has
numpy beside, without its generators. A replay has to decide the same again, on another machine, years
later. So they import from a short list of modules that only compute, and everything else is refused: clocks,
chance, sockets, threads, the environment, databases, logging. What the listed modules and the built-ins can do
beyond computing is refused by name.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

PURE: Final = ("events/**/*.py", "streams/*.py", "streams/features/**/*.py", "streams/training/**/*.py")

#: What a folder may import beside :data:`ALLOWED`.
ALSO_ALLOWED: Final = {
    "streams/training/": frozenset({"numpy"}),
    "streams/features/rules/syntax.py": frozenset({"lark"}),
}
#: Files that may use a built-in that is refused elsewhere, each with its reason.
ALSO_USED: Final = {
    # Writes all rules of a pack as one function. No text that a person wrote gets into its source; a test looks.
    "streams/features/rules/generated.py": frozenset({"exec", "compile"}),
    # Writes one function that puts values into their places. Numbers of places alone get into its source.
    "streams/features/vectors.py": frozenset({"exec", "compile"}),
}
#: A part of an allowed module that is refused, whether it is imported or reached by its name.
REFUSED_PARTS: Final = frozenset({"random"})

#: Files under PURE that are not, each with its reason.
EXEMPT: Final = {
    "events/generate.py": "a tool of developers: it writes the generated files, and no decision imports it",
}

#: What computes and does nothing else. `random` is refused because it is not here.
ALLOWED: Final = frozenset(
    """
    __future__ abc array base64 binascii bisect collections dataclasses datetime decimal enum fractions functools
    hashlib heapq hmac io itertools json math operator re string struct types typing unicodedata zlib
    msgspec fastavro schemas events streams
    """.split()
)

#: Attributes of allowed modules and of what they make, refused wherever they are called.
REFUSED_METHODS: Final = {
    "now": "a clock: time comes with a tick",
    "utcnow": "a clock: time comes with a tick",
    "today": "a clock: time comes with a tick",
    "fromtimestamp": "the time zone of the machine",
    "astimezone": "the time zone of the machine",
    "file_digest": "a file",
    "open": "a file",
    "open_code": "a file",
    "FileIO": "a file",
    "load_schema": "a file",
}

REFUSED_BUILTINS: Final = {
    "open": "a file",
    "input": "a person",
    "print": "a terminal",
    "breakpoint": "a debugger",
    "exec": "code that no guard has read",
    "eval": "code that no guard has read",
    "compile": "code that no guard has read",
    "__import__": "a module that no guard has read",
    "hash": "another number in every process, for strings and bytes",
    "id": "an address in memory",
}


def pure_files(root: Path) -> list[str]:
    """The paths of the pure files of a tree, from its root."""
    found = {path.relative_to(root).as_posix() for pattern in PURE for path in root.glob(pattern)}
    return sorted(found - EXEMPT.keys())


def violations(root: Path) -> list[str]:
    """Everything in the pure files of a tree that a pure file may not do."""
    return [
        f"{name}:{line}: {what}"
        for name in pure_files(root)
        for line, what in impurities(
            (root / name).read_text("utf-8"), allowed_in(name), ALSO_USED.get(name, frozenset())
        )
    ]


def allowed_in(name: str) -> frozenset[str]:
    """The modules that a file may import, by its path from the root."""
    return ALLOWED.union(*(more for folder, more in ALSO_ALLOWED.items() if name.startswith(folder)))


def impurities(
    source: str, allowed: frozenset[str] = ALLOWED, used: frozenset[str] = frozenset()
) -> Iterator[tuple[int, str]]:
    """The line and the description of everything impure in a source text."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if not _may_import(alias.name, allowed):
                        yield node.lineno, f"imports {alias.name}"
            case ast.ImportFrom(module=str(module), names=names, level=0):
                if not _may_import(module, allowed):
                    yield node.lineno, f"imports {module}"
                for alias in names:
                    if alias.name in REFUSED_METHODS:
                        yield node.lineno, f"imports {alias.name}: {REFUSED_METHODS[alias.name]}"
                    if alias.name in REFUSED_PARTS:
                        yield node.lineno, f"imports {module}.{alias.name}"
            case ast.Attribute(attr=name) if name in REFUSED_PARTS:
                yield node.lineno, f"uses .{name}: chance"
            case ast.Call(func=ast.Attribute(attr=name)) if name in REFUSED_METHODS:
                yield node.lineno, f"calls .{name}: {REFUSED_METHODS[name]}"
            case ast.Name(id=name, ctx=ast.Load()) if name in REFUSED_BUILTINS and name not in used:
                yield node.lineno, f"uses {name}: {REFUSED_BUILTINS[name]}"
            case _:
                pass


def _may_import(module: str, allowed: frozenset[str]) -> bool:
    words = module.split(".")
    return words[0] in allowed and REFUSED_PARTS.isdisjoint(words)


def test_pure_files_are_pure() -> None:
    """No decision of the tree can see a clock, a file, a socket or chance."""
    found = violations(ROOT)
    assert not found, "\n".join(found)


def test_the_guard_sees_the_files() -> None:
    """The patterns find what they are about, and each exemption is about a file that is there."""
    assert {"events/money.py", "streams/topology.py", "streams/features/windows.py"} <= set(pure_files(ROOT))
    assert all((ROOT / name).is_file() for name in (*EXEMPT, *ALSO_USED))


@pytest.mark.parametrize("file", ["events/money.py", "streams/risk.py", "streams/features/windows.py"])
@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("import time", "imports time"),
        ("import random", "imports random"),
        ("import secrets", "imports secrets"),
        ("from uuid import uuid4", "imports uuid"),
        ("import socket", "imports socket"),
        ("import asyncio", "imports asyncio"),
        ("import threading", "imports threading"),
        ("from os import environ", "imports os"),
        ("import os.path", "imports os.path"),
        ("import sqlite3", "imports sqlite3"),
        ("import duckdb", "imports duckdb"),
        ("from numpy.random import default_rng", "imports numpy.random"),
        ("import logging", "imports logging"),
        ("from pathlib import Path", "imports pathlib"),
        ("def f():\n    import time", "imports time"),
        ("datetime.now(UTC)", "calls .now: a clock"),
        ("datetime.datetime.utcnow()", "calls .utcnow: a clock"),
        ("date.today()", "calls .today: a clock"),
        ("datetime.fromtimestamp(at)", "calls .fromtimestamp: the time zone"),
        ("io.open('x')", "calls .open: a file"),
        ("from io import open_code", "imports open_code: a file"),
        ("open('x')", "uses open: a file"),
        ("read = open", "uses open: a file"),
        ("print(1)", "uses print: a terminal"),
        ("slot = hash(card) % 1024", "uses hash: another number in every process"),
        ("eval('1')", "uses eval: code"),
    ],
)
def test_a_planted_impurity_is_found(tmp_path: Path, file: str, line: str, refused: str) -> None:
    """Each is the one violation of its file, in every kind of pure file."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{line}\n", "utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:{len(line.splitlines())}: {refused}")


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("import numpy.random", "imports numpy.random"),
        ("from numpy import random", "imports numpy.random"),
        ("from numpy.random import default_rng", "imports numpy.random"),
        ("import numpy as np\n\nnp.random.seed(0)", "uses .random: chance"),
        ("import random", "imports random"),
        ("import duckdb", "imports duckdb"),
        ("import time", "imports time"),
    ],
)
def test_training_has_numpy_but_no_chance(tmp_path: Path, line: str, refused: str) -> None:
    """A model is a function of its history, so the one folder that has numpy must not have its generators."""
    file = "streams/training/trees.py"
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{line}\n", "utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:{len(line.splitlines())}: {refused}")


@pytest.mark.parametrize(
    ("file", "line", "refused"),
    [
        ("streams/features/rules/generated.py", "eval('1')", "uses eval"),
        ("streams/features/rules/generated.py", "import lark", "imports lark"),
        ("streams/features/rules/syntax.py", "exec('1')", "uses exec"),
        ("streams/features/rules/judging.py", "compile('1', '', 'eval')", "uses compile"),
    ],
)
def test_one_file_reads_rules_and_one_compiles_them(
    tmp_path: Path, file: str, line: str, refused: str
) -> None:
    """What is allowed to one file is allowed to that file alone."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{line}\n", "utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:1: {refused}")


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("streams/features/rules/syntax.py", "from lark import Lark\n"),
        ("streams/features/rules/generated.py", "exec(compile('1', '', 'exec'))\n"),
        ("streams/training/trees.py", "import numpy as np\nfrom numpy.typing import NDArray\n"),
        (
            "events/money.py",
            "from datetime import date\n\n\ndef day(now: int) -> int:\n    return state.now + now\n",
        ),
        ("events/generate.py", "from pathlib import Path\n\nprint(Path('x').read_text())\n"),
        ("streams/hosts/kafka.py", "import asyncio, time\n"),
    ],
)
def test_what_is_pure_or_not_meant_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    """A time that is handed in is no clock, and hosts and tools may do what they are there for."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source, "utf-8")
    assert [] == violations(tmp_path)
