"""The wheel: what is in it, and that it works in an environment that has never seen the source tree."""

import json
import subprocess
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.installing import ROOT, built, installed, run

PACKAGES: Final = ("schemas", "events", "streams", "projections", "infra")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tree."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment in which only the wheel is installed."""
    return installed(wheel, tmp_path_factory.mktemp("environment"))


def members(wheel: Path) -> set[str]:
    """The names in the wheel, without the folder that describes it."""
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def test_the_wheel_is_our_packages_whole_and_nothing_else(wheel: Path) -> None:
    """Every file of the packages is in it but the READMEs, data files too; tests and caches are not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    assert {name for name in files if Path(name).name != "README.md"} == members(wheel)


def test_every_published_schema_is_in_the_wheel(wheel: Path) -> None:
    """A log can be read by whoever has installed us: no schema that a record may name is missing."""
    lock = json.loads(zipfile.ZipFile(wheel).read("schemas/published.json"))
    files = {f"schemas/{row['name']}.v{row['version']}.avsc" for row in lock["schemas"]}
    assert files
    assert files <= members(wheel)


def test_every_package_says_that_it_is_typed(wheel: Path) -> None:
    """Type checkers of others read our annotations."""
    assert {f"{package}/py.typed" for package in PACKAGES} <= members(wheel)


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    """What a service needs is an extra; the licence travels with the code."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    headers = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    needs = headers.get_all("Requires-Dist", [])
    extras = {need.split(">")[0] for need in needs if "extra ==" in need}
    core = {need.split(">")[0] for need in needs if "extra ==" not in need}
    assert {"cryptography", "fastavro", "numpy"} <= core
    assert {"aiokafka", "faust-streaming", "kurrentdbclient", "pytest-asyncio"} <= extras
    assert ("Apache-2.0", ">=3.11") == (headers["License-Expression"], headers["Requires-Python"])
    assert any(member.endswith(".dist-info/licenses/LICENSE") for member in archive.namelist())


def test_an_installed_wheel_imports_itself(environment: Path, tmp_path: Path) -> None:
    """The environment's packages come from the wheel, not from the tree that the tests stand in."""
    done = run(
        environment / "python", "-c", f"import {', '.join(PACKAGES)}; print(events.__file__)", folder=tmp_path
    )
    assert done.stdout.startswith(str(environment.parent)), done.stderr


def test_an_installed_wheel_runs_the_main_job(environment: Path, tmp_path: Path) -> None:
    """From an empty folder, a day of payments goes from request to reconciled bank statement."""
    done = run(environment / "tallystick", "demo", "--payments", "200", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (200, 0) == (report["payments"], report["ledger_imbalance"])
    assert {"var"} == {path.name for path in tmp_path.iterdir()}
