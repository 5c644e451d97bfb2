"""A wheel of ours, made and installed as anybody would.

The environment is a new one, which has never seen the source tree. What we depend on is lent by the environment of the
tests through a path file, because installing it again would need a network and half a minute. Path files inside a lent
folder are not read, so the editable install of the tests does not come along.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def built(folder: Path, **variables: str) -> Path:
    """The wheel of the tree, made in a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """The ``bin`` folder of an environment in which only the wheel is installed."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], capture_output=True, check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder / "bin"


def run(command: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment in a folder, without anything that could lead it to the source tree."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TALLYSTICK_"))
    }
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
