"""The start-up check, against environments made of files: ours, shadowed, overwritten, incomplete."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra import startup

ROOT = Path(startup.__file__).resolve().parent.parent

CHECK = "from infra.startup import refuse_foreign_packages; refuse_foreign_packages(); print('started')"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder in which our packages stand, as in site-packages."""
    folder = tmp_path / "home"
    for name in startup.PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_bytes((ROOT / name / "__init__.py").read_bytes())
    (folder / "infra" / "startup.py").write_bytes((ROOT / "infra" / "startup.py").read_bytes())
    return folder


def start(*path: Path, code: str = CHECK) -> subprocess.CompletedProcess[str]:
    """Run the check where Python finds ``path`` and its own library, but no site-packages (``-S``)."""
    return subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )


def install(folder: Path, distribution: str, package: str, init: str = "") -> None:
    """A foreign distribution that brings ``package``, as an installer leaves it."""
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").write_text(init, "utf-8")
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", "utf-8")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n", "utf-8")


def test_our_own_packages_start(home: Path) -> None:
    """Where all packages are ours, nothing is said."""
    done = start(home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


@pytest.mark.parametrize("package", [name for name in startup.PACKAGES if name != "infra"])
def test_a_package_that_comes_first_is_refused(home: Path, tmp_path: Path, package: str) -> None:
    """A foreign package in front of ours is named with its distribution, and its code does not run."""
    foreign = tmp_path / "foreign"
    install(foreign, "Stranger", package, "raise SystemExit('foreign code has run')\n")
    done = start(foreign, home)
    assert (done.returncode, done.stdout) == (startup.UNAVAILABLE, "")
    assert str(foreign / package / "__init__.py") in done.stderr
    assert "pip uninstall Stranger\n  then reinstall Tallystick" in done.stderr
    assert "has run" not in done.stderr


def test_an_overwritten_file_is_refused(home: Path) -> None:
    """A distribution that was installed over ours stands in our place, but does not have the marker."""
    install(home, "Events", "events", "from collections import deque\n")
    done = start(home)
    assert done.returncode == startup.UNAVAILABLE
    assert f"{home / 'events' / '__init__.py'} (overwritten)" in done.stderr
    assert "pip uninstall Events\n" in done.stderr


def test_a_missing_package_is_refused(home: Path) -> None:
    """Where uninstalling another distribution took our files away, reinstalling is the advice."""
    (home / "projections" / "__init__.py").unlink()
    done = start(home)
    assert done.returncode == startup.UNAVAILABLE
    assert "projections  missing" in done.stderr
    assert "pip uninstall" not in done.stderr
    assert "reinstall Tallystick" in done.stderr


def test_it_imports_nothing_of_ours(home: Path) -> None:
    """The check comes before every import that it guards, and before slow ones that it rarely needs."""
    watched = {*startup.PACKAGES, "importlib.metadata"}
    report = f"; import sys; print(sorted({watched!r} & set(sys.modules)))"
    done = start(home, code=CHECK + report)
    assert done.stdout == "started\n['infra']\n"
