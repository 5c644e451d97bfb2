"""The lock files and the environment that was made from them."""

import re
import tomllib
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ("run", "test", "real", "bench")
#: The beginning of a requirement: name, version, and a marker of the platforms it is for.
PIN: Final = re.compile(r"([a-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? \\")


def lock(name: str) -> str:
    """A lock file."""
    return (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")


def pins(text: str) -> set[tuple[str, str]]:
    """The names and versions that a lock file pins."""
    return {(found[1], found[2]) for line in text.splitlines() if (found := PIN.match(line))}


def names(requirements: list[str]) -> set[str]:
    """The names in a list of requirements."""
    return {re.split(r"[ <>=!~;\[]", requirement)[0] for requirement in requirements}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_pins_and_hashes(name: str) -> None:
    """Every line pins a version, gives a hash or is a comment: no address, no option, nothing unpinned."""
    lines = lock(name).splitlines()
    strange = [
        line
        for line in lines
        if not (
            PIN.match(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) or "#" in line[:5]
        )
    ]
    assert [] == strange
    assert not re.search(r"://|--(index|extra-index|find)", lock(name))


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash(name: str) -> None:
    """pip refuses what is not the file that was locked."""
    lines = [*lock(name).splitlines(), ""]
    assert [] == [line for line, after in pairwise(lines) if PIN.match(line) and "--hash" not in after]


def test_what_runs_is_what_was_tested() -> None:
    """The lock of the tests holds all of the lock of a run, in the same versions."""
    assert pins(lock("run")) <= pins(lock("test"))


def test_the_locks_are_of_this_project(project: dict[str, Any]) -> None:
    """A dependency that was added without `make lock` is missing from a lock file."""
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    core = names(project["project"]["dependencies"]) | names(groups["build"])
    assert core <= {name for name, _ in pins(lock("run"))}
    assert core.union(*map(names, extras.values())) <= {name for name, _ in pins(lock("test"))}
    assert names(groups["real"]) == {name for name, _ in pins(lock("real"))}
    assert names(groups["bench"]) <= {name for name, _ in pins(lock("bench"))}


def test_the_build_backend_is_locked(project: dict[str, Any]) -> None:
    """Nothing is fetched to build: our own package is installed without build isolation."""
    assert names(project["build-system"]["requires"]) <= {name for name, _ in pins(lock("run"))}


@pytest.mark.parametrize("package", ["schemas", "events", "streams", "projections", "infra", "tests"])
def test_no_other_distribution_brings_a_package_of_ours(package: str) -> None:
    """Nothing that we depend on would overwrite or shadow us, or the tests' helpers."""
    assert set(packages_distributions().get(package, ())) <= {"tallystick"}
