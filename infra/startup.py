"""The first thing that runs: are the packages that Python would import our own?

Our packages have plain names, and other distributions use them too. One that is installed after us overwrites
files of ours without a word; in an editable install it simply comes first. ``pip check`` sees neither. A start
that went on would fail somewhere deep, or decide with half of somebody else's code.

So the command line calls :func:`refuse_foreign_packages` before it imports anything else of ours, and this module
imports nothing of ours at all. It takes 4 ms: Python is asked where each package would come from, and one marker
is read. Which distributions are to blame (64-119 ms) is looked up only when there is somebody to blame.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "tallystick"
PACKAGES: Final = ("schemas", "events", "streams", "projections", "infra")

#: The exit code of the command line for what cannot be had now.
UNAVAILABLE: Final = 3

#: In ``events/__init__.py``. It is read and not imported: code that may be foreign should not run to be refused.
_MARKER: Final = re.compile(rf'^OWNER\b.*"{DISTRIBUTION}"', re.MULTILINE)


def refuse_foreign_packages() -> None:
    """Return if every package of ours is our own; otherwise say on stderr what to do and exit with code 3."""
    foreign = foreign_packages(Path(__file__).resolve().parent.parent)
    if foreign:
        sys.stderr.write(advice(foreign, _distributions()))
        raise SystemExit(UNAVAILABLE)


def foreign_packages(home: Path) -> dict[str, str]:
    """The packages that do not come from the folder ``home``, each with what was found in their place."""
    foreign: dict[str, str] = {}
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            foreign[name] = "missing"
        elif Path(spec.origin).resolve().parent != home / name:
            foreign[name] = spec.origin
    if "events" not in foreign:
        init = home / "events" / "__init__.py"
        if not _MARKER.search(init.read_text("utf-8", errors="replace")):
            foreign["events"] = f"{init} (overwritten)"
    return foreign


def advice(foreign: Mapping[str, str], distributions: Mapping[str, Sequence[str]]) -> str:
    """What to read and do about it; ``distributions`` are the installed ones, by the packages they bring."""
    width = max(map(len, foreign))
    found = "".join(f"  {name:{width}}  {place}\n" for name, place in foreign.items())
    others = {owner for name in foreign for owner in distributions.get(name, ()) if owner != DISTRIBUTION}
    steps = "reinstall Tallystick (pip install --force-reinstall --no-deps, and where you have it from)"
    if others:
        steps = f"pip uninstall {' '.join(sorted(others))}\n  then {steps}"
    return (
        f"tallystick: these packages are not Tallystick's own:\n{found}"
        "Another distribution has brought packages of the same name. Uninstalling it takes away the files of\n"
        "ours that it overwrote, so do both, and give Tallystick an environment of its own:\n"
        f"  {steps}\n"
    )


def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions  # 20 ms to import, and rarely needed

    return packages_distributions()
