"""The wheel with the compiled core: the tests of what is compiled, and a day that comes to the same digests."""

import json
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from infra.compiling import COMPILED
from tests.packaging.installing import ROOT, built, installed, run

#: What a continuous build sets, where leaving these tests out would be a failure.
REQUIRED: Final = "TALLYSTICK_REQUIRE_COMPILER"
#: Whether this Python can have its C compiled here.
POSSIBLE: Final = bool(shutil.which("cc")) and Path(sysconfig.get_path("include"), "Python.h").is_file()

#: The tests of what is compiled.
TESTS: Final = (
    "events/test_codec.py",
    "events/test_golden.py",
    "events/test_wire.py",
    "events/test_identity.py",
    "events/test_money.py",
    "streams/hosts/test_admission.py",
    "streams/hosts/test_engine.py",
    "streams/hosts/test_index.py",
    "streams/hosts/test_sieve.py",
    "streams/hosts/test_vectors.py",
    "streams/hosts/test_wall_time.py",
    "streams/test_scoring.py",
)

pytestmark = pytest.mark.skipif(
    not POSSIBLE and not os.environ.get(REQUIRED), reason="no C compiler, or no headers of Python"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make fast` builds, with its C not optimized unless somebody asks for it.

    What mypyc has made of it is tested all the same, with the assertions of the C in it; an optimizing compiler takes
    two minutes longer.
    """
    level = os.environ.get("MYPYC_OPT_LEVEL", "0")
    return built(
        tmp_path_factory.mktemp("fast"), HATCH_BUILD_HOOK_ENABLE_CUSTOM="true", MYPYC_OPT_LEVEL=level
    )


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed."""
    return installed(wheel, tmp_path_factory.mktemp("environment"))


def day(python: Path, folder: Path) -> Any:
    """The report of a small day."""
    done = run(python, "-m", "infra.cli", "demo", "--payments", "200", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_wheel_is_for_this_machine_and_has_its_source_too(wheel: Path) -> None:
    """Machine code, beside the same files that an ordinary wheel has."""
    assert not wheel.name.endswith("-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    libraries = {name.partition(".")[0] + ".py" for name in names if name.endswith(".so")}
    assert {*COMPILED, "tallystick__mypyc.py"} == libraries
    assert set(COMPILED) <= set(names)


def test_what_is_compiled_passes_its_own_tests(environment: Path, tmp_path: Path) -> None:
    """Every event both ways, with fastavro as the referee; wrong bytes; the golden files; admission, engine, index."""
    names = [name.removesuffix(".py").replace("/", ".") for name in COMPILED]
    where = f"import {', '.join(names)}; print({', '.join(f'{name}.__file__' for name in names)})"
    done = run(environment / "python", "-c", where, folder=tmp_path)
    assert {".so"} == {Path(name).suffix for name in done.stdout.split()}, done.stderr

    tests = [str(ROOT / "tests" / name) for name in TESTS]
    # Not the tree's own settings: they would put its packages in front of the installed ones. Tests use each other.
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    options = ["--import-mode=importlib", "--noconftest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    options += ["-o", f"pythonpath={tmp_path}", f"--rootdir={ROOT}"]
    # What is generated lies in the tree, and is compared there; and one test makes a constant another.
    options += ["-k", "not nothing_generated_is_stale and not too_many_open_attempts_hold"]
    done = run(environment / "python", "-m", "pytest", *options, *tests, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_day_comes_to_the_same_digests(environment: Path, tmp_path: Path) -> None:
    """Compiled or not, the same state and the same ledger."""
    ours, theirs = tmp_path / "compiled", tmp_path / "interpreted"
    ours.mkdir()
    theirs.mkdir()
    compiled, interpreted = day(environment / "python", ours), day(Path(sys.executable), theirs)
    for name in ("state_digest", "ledger_digest", "events"):
        assert compiled[name] == interpreted[name]
