"""The wheel with the compiled codec: the codec's own tests, and a day that comes to the same digests."""

import json
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from infra.compiling import CODEC
from tests.packaging.installing import ROOT, built, installed, run

#: What a continuous build sets, where leaving these tests out would be a failure.
REQUIRED: Final = "TALLYSTICK_REQUIRE_COMPILER"
#: Whether this Python can have its C compiled here.
POSSIBLE: Final = bool(shutil.which("cc")) and Path(sysconfig.get_path("include"), "Python.h").is_file()

pytestmark = pytest.mark.skipif(
    not POSSIBLE and not os.environ.get(REQUIRED), reason="no C compiler, or no headers of Python"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make fast` builds, with its C not optimized unless somebody asks for it.

    What mypyc has made of the codec is tested all the same, with the assertions of the C in it; an optimizing compiler
    takes three minutes longer.
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
    """Machine code for the codec, beside the same two files that an ordinary wheel has."""
    assert not wheel.name.endswith("-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    libraries = {name.partition(".")[0] + ".py" for name in names if name.endswith(".so")}
    assert {*CODEC, "tallystick__mypyc.py"} == libraries
    assert set(CODEC) <= set(names)


def test_the_compiled_codec_passes_the_tests_of_the_codec(environment: Path, tmp_path: Path) -> None:
    """Every event both ways, with fastavro as the referee; wrong bytes; the golden files."""
    where = "import events._codec, events.binary; print(events._codec.__file__, events.binary.__file__)"
    done = run(environment / "python", "-c", where, folder=tmp_path)
    assert [".so", ".so"] == [Path(name).suffix for name in done.stdout.split()], done.stderr

    tests = [str(ROOT / "tests" / "events" / f"test_{name}.py") for name in ("codec", "golden", "wire")]
    # Not the tree's own settings: they would put its packages in front of the installed ones.
    options = ["--import-mode=importlib", "--noconftest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    # What is generated lies in the tree, and is compared there.
    options += ["-k", "not nothing_generated_is_stale"]
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
