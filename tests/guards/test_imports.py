"""Imports go down only: the rule of the house, by path, with default deny.

Every Python file of the tree belongs to the first layer whose pattern its path matches, and may import of ours only
what lies in the layers named there. A path that no layer knows is itself a violation, so a new file is under the
rule from birth. An import inside a function or under ``TYPE_CHECKING`` counts like any other, and so does
``import_module`` with a literal name.
"""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

#: Folders at the top in which nothing is ours, beside those whose name begins with a dot.
NOT_OURS: Final = frozenset({"build", "dist", "var"})


class Layer(NamedTuple):
    """``files`` are patterns: ``*`` stays within a folder, ``**`` does not. ``uses`` names layers."""

    name: str
    files: tuple[str, ...]
    uses: frozenset[str]


def layer(name: str, files: str, uses: str = "") -> Layer:
    """A row of the table, its lists written as words."""
    return Layer(name, tuple(files.split()), frozenset(uses.split()))


_PURE: Final = "events features protocol"
_DECISIONS: Final = f"schemas {_PURE} processors topology"
_PRODUCT: Final = f"{_DECISIONS} hosts training forensics edge projections infra packages"

#: Read from the top: the first pattern that fits decides.
LAYERS: Final = (
    layer("packages", "streams/__init__.py projections/__init__.py infra/__init__.py"),
    layer("schemas", "schemas/**"),
    # They turn classes into schemas and records of old schemas into today's; nothing else knows the files.
    layer("generator", "events/generate.py", "events evolution schemas"),
    layer("evolution", "events/evolution.py", "events schemas"),
    layer("events", "events/**", "events evolution"),
    layer("features", "streams/features/**", "events features"),
    layer("protocol", "streams/processor.py", "events"),
    layer("topology", "streams/topology.py", f"{_PURE} processors"),
    # `processors` is missing from its own list: processors never import each other, they meet through events.
    layer("processors", "streams/*.py", _PURE),
    layer("hosts", "streams/hosts/**", f"{_DECISIONS} hosts"),
    layer("training", "streams/training/**", f"{_DECISIONS} training"),
    layer("forensics", "streams/forensics/**", f"{_DECISIONS} hosts training forensics"),
    layer("edge", "streams/edge/**", f"{_DECISIONS} hosts training forensics edge"),
    layer("projections", "projections/**", f"{_DECISIONS} hosts training forensics projections"),
    # The start-up check runs before anything of ours may be trusted to be ours.
    layer("startup", "infra/startup.py"),
    layer("infra", "infra/**", f"{_PRODUCT} startup"),
    # Who audits us reads our bytes with a library of somebody else.
    layer("auditor", "tests/simulation/auditor/**", "auditor"),
    layer("tests", "tests/**", f"{_PRODUCT} generator evolution startup auditor tests"),
    layer("examples", "examples/** docs/**", _PRODUCT),
)
OURS: Final = frozenset({"schemas", "events", "streams", "projections", "infra", "tests", "examples", "docs"})


def layer_of(path: str) -> Layer | None:
    """The layer that a path (from the root, with slashes) belongs to."""
    for row in LAYERS:
        if any(_regex(pattern).fullmatch(path) for pattern in row.files):
            return row
    return None


def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts))


def violations(root: Path) -> list[str]:
    """Every import of the tree that the table does not allow, and every path that it does not know."""
    ours = {path.relative_to(root).as_posix(): path for path in sources(root)}
    found: list[str] = []
    for name, path in ours.items():
        row = layer_of(name)
        if row is None:
            found.append(f"{name}: no layer knows this path; see tests/guards/test_imports.py")
            continue
        for line, target in imports(path.read_text("utf-8"), name, ours.keys()):
            there = layer_of(target)
            if there is None or there.name not in row.uses:
                found.append(f"{name}:{line}: {row.name} may not import {target}")
    return found


def sources(root: Path) -> Iterator[Path]:
    """The Python files of a tree, in order."""
    for top in sorted(root.iterdir()):
        if top.suffix == ".py":
            yield top
        elif top.is_dir() and not top.name.startswith(".") and top.name not in NOT_OURS:
            yield from sorted(top.rglob("*.py"))


def imports(source: str, importer: str, tree: Collection[str]) -> Iterator[tuple[int, str]]:
    """The line and the path of everything of ours that a file imports."""
    package = importer.split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        modules: list[list[str]] = []
        match node:
            case ast.Import(names=names):
                modules = [alias.name.split(".") for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                base = [*base, *(module.split(".") if module else ())]
                # `from streams import risk` is about streams/risk.py, `from events import OWNER` is not.
                modules = [[*base, a.name] if _file_of([*base, a.name], tree) else base for a in names]
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(str(text)), *_]
            ):
                if name in {"import_module", "__import__"}:
                    modules = [text.split(".")]
            case _:
                continue
        for words in modules:
            if words[0] in OURS:
                yield node.lineno, _file_of(words, tree) or "/".join(words) + ".py"


def _file_of(module: list[str], tree: Collection[str]) -> str | None:
    """The file of a module, as a path from the root, if there is one."""
    path = "/".join(module)
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if file in tree), None)


def test_imports_go_down_only() -> None:
    """No file of the tree imports what its layer may not."""
    found = violations(ROOT)
    assert not found, "\n".join(found)


TREE: Final = """
    schemas/__init__.py events/__init__.py events/errors.py events/evolution.py events/generate.py
    streams/__init__.py streams/processor.py streams/topology.py streams/risk.py streams/routing.py
    streams/features/windows.py streams/hosts/engine.py streams/training/trees.py streams/forensics/replay.py
    streams/edge/iso8583/fields.py projections/ledger.py infra/__init__.py infra/cli.py infra/startup.py
    tests/builders.py tests/simulation/auditor/books.py examples/first.py
""".split()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with an empty file in every layer."""
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "refused"),
    [
        ("schemas/__init__.py", "import events", "schemas may not import events/__init__.py"),
        ("events/errors.py", "import schemas", "events may not import schemas/__init__.py"),
        ("events/errors.py", "from streams.features import windows", "streams/features/windows.py"),
        ("streams/__init__.py", "from streams import risk", "packages may not import streams/risk.py"),
        ("streams/features/windows.py", "from streams.risk import decide", "streams/risk.py"),
        ("streams/processor.py", "import streams.features.windows", "streams/features/windows.py"),
        ("streams/risk.py", "from streams import routing", "processors may not import streams/routing.py"),
        ("streams/risk.py", "from . import routing", "processors may not import streams/routing.py"),
        ("streams/risk.py", "from .routing import decide", "processors may not import streams/routing.py"),
        ("streams/risk.py", "from streams.topology import LOGS", "streams/topology.py"),
        ("streams/risk.py", "import streams", "processors may not import streams/__init__.py"),
        ("streams/risk.py", "def f():\n    import streams.routing as r", "streams/routing.py"),
        ("streams/risk.py", "if TYPE_CHECKING:\n    from streams.hosts.engine import E", "hosts/engine.py"),
        ("streams/risk.py", "importlib.import_module('streams.routing')", "streams/routing.py"),
        (
            "streams/risk.py",
            "from streams.tomorrow import x",
            "processors may not import streams/tomorrow.py",
        ),
        ("streams/topology.py", "from streams.hosts import engine", "streams/hosts/engine.py"),
        ("streams/hosts/engine.py", "from ..forensics.replay import x", "streams/forensics/replay.py"),
        ("streams/training/trees.py", "import streams.hosts.engine", "training may not import"),
        (
            "streams/forensics/replay.py",
            "from streams.edge.iso8583 import fields",
            "forensics may not import",
        ),
        ("streams/edge/iso8583/fields.py", "import projections.ledger", "edge may not import"),
        ("projections/ledger.py", "import streams.edge.iso8583.fields", "projections may not import"),
        ("projections/ledger.py", "from infra import cli", "projections may not import infra/cli.py"),
        ("infra/startup.py", "import events.errors", "startup may not import events/errors.py"),
        ("infra/cli.py", "from tests import builders", "infra may not import tests/builders.py"),
        ("tests/simulation/auditor/books.py", "import events", "auditor may not import events/__init__.py"),
        ("examples/first.py", "import tests.builders", "examples may not import tests/builders.py"),
    ],
)
def test_a_planted_import_is_found(tree: Path, file: str, line: str, refused: str) -> None:
    """Every way up or across, in every spelling, is the one violation of the tree."""
    (tree / file).write_text(f"{line}\n", "utf-8")
    (found,) = violations(tree)
    assert found.startswith(f"{file}:{len(line.splitlines())}: ")
    assert refused in found


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("events/errors.py", "from events import OWNER"),
        ("events/generate.py", "import schemas"),
        (
            "streams/risk.py",
            "from events.errors import Broken; from streams.features.windows import event_time",
        ),
        ("streams/risk.py", "from streams.processor import Work"),
        ("streams/topology.py", "from streams import risk, routing"),
        ("streams/forensics/replay.py", "from streams.hosts.engine import Engine"),
        ("streams/edge/iso8583/fields.py", "from streams.forensics import replay"),
        ("infra/cli.py", "from infra import startup; import projections.ledger"),
        ("tests/builders.py", "import infra.cli, events.generate"),
        ("tests/simulation/auditor/books.py", "import fastavro, eventsource"),
    ],
)
def test_an_import_that_goes_down_is_allowed(tree: Path, file: str, line: str) -> None:
    """The guard does not get in the way of what the house is for."""
    (tree / file).write_text(f"{line}\n", "utf-8")
    assert [] == violations(tree)


@pytest.mark.parametrize(
    "file", ["conftest.py", "tools/check.py", "streams/hosting/engine.py", "projections.py"]
)
def test_a_new_place_is_refused(tree: Path, file: str) -> None:
    """What no row knows is refused until somebody says what it may import."""
    (tree / file).parent.mkdir(exist_ok=True)
    (tree / file).touch()
    assert [f"{file}: no layer knows this path; see tests/guards/test_imports.py"] == violations(tree)


def test_what_is_not_ours_is_left_alone(tree: Path) -> None:
    """Environments, builds and what a run made are not the tree."""
    for folder in (".venv", "build", "var"):
        (tree / folder).mkdir()
        (tree / folder / "anything.py").write_text("import infra\n", "utf-8")
    assert [] == violations(tree)
