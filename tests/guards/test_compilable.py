"""What is compiled holds nothing of which compiled code makes something else (:mod:`infra.compiling`)."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from infra.compiling import COMPILED

ROOT: Final = Path(__file__).resolve().parents[2]


def broken(source: str) -> Iterator[str]:
    """What of a file would not be the same, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef(keywords=[_, *_]):
                yield f"{node.lineno}: the options of class {node.name} are left out"
            case ast.ClassDef(bases=bases) if any(ast.unparse(base).endswith("Struct") for base in bases):
                yield f"{node.lineno}: the fields of class {node.name} lose their types"
            case ast.Raise(cause=ast.Constant(value=None)):
                yield f"{node.lineno}: from None is left out, and a traceback tells what was found"


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_compiled_stays_what_it_is(name: str) -> None:
    """None of it depends on what the compiler leaves out."""
    assert list(broken((ROOT / name).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("class Terms(msgspec.Struct, frozen=True):\n    fee: int\n", "1: the options of class Terms"),
        ("class Terms(msgspec.Struct):\n    fee: int\n", "1: the fields of class Terms"),
        ("class Terms(Struct):\n    fee: int\n", "1: the fields of class Terms"),
        ("try:\n    f()\nexcept KeyError:\n    raise WireError('text') from None\n", "4: from None"),
    ],
)
def test_a_planted_violation_is_found(planted: str, found: str) -> None:
    """The guard can fail."""
    assert any(told.startswith(found) for told in broken(planted))
