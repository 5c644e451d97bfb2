"""The compiled core: a wheel in which mypyc has made machine code of the codec, the engine and what both call most.

The same files, with their types believed. No event, byte or digest changes. A C compiler builds it (`make fast`) and
none runs it; an ordinary wheel has the same files as they are and stays good for every machine.

Compiled code is not quite the language, so these are files in which that makes no difference, and a test looks at each.
mypyc drops the options of a msgspec class (``frozen``, ``array_like``) and the types of its fields, by which a snapshot
is read: none of them has one. It drops the ``None`` behind a ``raise``: none has that, and :mod:`events.wire`, which
must not quote what it has found, says it in another way. And what is Final is written into the machine code: whoever
changes a constant of these modules from outside changes nothing.

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

COMPILED: Final = (
    "events/_codec.py",
    "events/binary.py",
    "events/identity.py",
    "events/money.py",
    "events/wire.py",
    "streams/features/approvals.py",
    "streams/features/logistic.py",
    "streams/features/scoring.py",
    "streams/features/vectors.py",
    "streams/handovers.py",
    "streams/hosts/admission.py",
    "streams/hosts/engine.py",
    "streams/hosts/index.py",
    "streams/hosts/log.py",
    "streams/hosts/sieve.py",
    "streams/hosts/ticks.py",
)

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
    """Copy the packages of a tree into a folder and compile the core there; gives the libraries made.

    Takes minutes; with ``MYPYC_OPT_LEVEL`` (mypyc's own name for it) at 0 one, for code that is slower and keeps the
    assertions of Python's and mypyc's C. Raises CalledProcessError where it cannot be done; what the compiler said is
    on standard error.
    """
    for package in ("events", "schemas", "streams"):
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    # Not under its own name: it says what ours is called and needs, and that is no business of the compiler's.
    shutil.copyfile(root / "pyproject.toml", folder / "mypy.toml")
    # Nobody reads C that a compiler has written, and looking for what to warn of takes longer than compiling it.
    settings = {**os.environ, "CFLAGS": f"{os.environ.get('CFLAGS', '')} -w"}
    command = [sys.executable, "-c", _SETUP, *COMPILED]
    subprocess.run(command, cwd=folder, env=settings, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "build")
    return sorted(folder.rglob("*.so"))


class Compile(BuildHookInterface[Any]):
    """Puts the compiled core into the wheel, which is then one for this kind of machine and this Python alone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by the build backend before it packs."""
        folder = Path(self.root) / "build" / "fast"
        shutil.rmtree(folder, ignore_errors=True)
        for library in compiled(Path(self.root), folder):
            build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
