"""The compiled codec: a wheel in which mypyc has made machine code of what turns every event into bytes and back.

The same two files, with their types believed. No event, byte or digest changes. A C compiler builds it (`make fast`)
and none runs it; an ordinary wheel has the same files as they are and stays good for every machine.

Only these: with the engine and the processors beside them, a replay was a twelfth faster again, and compiled code is
not quite the language. mypyc drops the options of a msgspec class (``frozen``, ``order``), and the ``None`` behind a
``raise``: a traceback would show the value that :mod:`events.wire` must not quote.

A hook of the build backend, asked by `make fast` alone. It compiles a copy outside of the tree: machine code beside
its source would go on being imported when the source has changed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CODEC: Final = ("events/_codec.py", "events/binary.py")

#: Run in the copy, by the Python that it is for. One library with a name of ours, not one that changes with the files.
_SETUP: Final = """
import os
import sys
from mypyc.build import mypycify
from setuptools import setup

modules = mypycify(
    ["--config-file", "mypy.toml", *sys.argv[1:]],
    opt_level=os.environ.get("MYPYC_OPT_LEVEL", "2"),
    debug_level="0",
    group_name="tallystick",
)
setup(name="tallystick", packages=[], ext_modules=modules, script_args=["--quiet", "build_ext", "--inplace"])
"""


def compiled(root: Path, folder: Path) -> list[Path]:
    """Copy the package ``events`` of a tree into a folder and compile its codec there; gives the libraries made.

    Takes minutes; with ``MYPYC_OPT_LEVEL`` (mypyc's own name for it) at 0 one, for code that is slower and keeps the
    assertions of Python's and mypyc's C. Raises CalledProcessError where it cannot be done; what the compiler said is
    on standard error.
    """
    for package in ("events", "schemas"):
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    # Not under its own name: it says what ours is called and needs, and that is no business of the compiler's.
    shutil.copyfile(root / "pyproject.toml", folder / "mypy.toml")
    # Nobody reads C that a compiler has written, and looking for what to warn of takes longer than compiling it.
    settings = {**os.environ, "CFLAGS": f"{os.environ.get('CFLAGS', '')} -w"}
    command = [sys.executable, "-c", _SETUP, *CODEC]
    subprocess.run(command, cwd=folder, env=settings, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "build")
    return sorted(folder.rglob("*.so"))


class Compile(BuildHookInterface[Any]):
    """Puts the compiled codec into the wheel, which is then one for this kind of machine and this Python alone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by the build backend before it packs."""
        folder = Path(self.root) / "build" / "fast"
        shutil.rmtree(folder, ignore_errors=True)
        for library in compiled(Path(self.root), folder):
            build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
