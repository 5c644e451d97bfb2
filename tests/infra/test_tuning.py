"""What a process asks of the kernel for itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

GIVES_WAY: Final = """
import os
from infra.tuning import give_way
give_way()
print(os.nice(0))
try:
    print(open("/proc/self/autogroup").read())
except OSError:
    print("nice unknown")
"""

STARTS_IT: Final = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"


def given_way(*, leads: bool) -> tuple[int, int | None]:
    """How nice a process is that has given way, and its session, where the kernel has a word for that.

    The session is a new one, whoever leads it: that of whoever runs the tests may be the kernel's own, which has none.
    """
    asked = ["-c", GIVES_WAY] if leads else ["-c", STARTS_IT, "-c", GIVES_WAY]
    ran = subprocess.run(
        [sys.executable, *asked], start_new_session=True, capture_output=True, text=True, check=True
    )
    own, session = (line for line in ran.stdout.splitlines() if line)
    word = session.rpartition(" ")[2]
    return int(own), int(word) if word != "unknown" else None


def test_whoever_gives_way_leads_its_session_to_do_so() -> None:
    """And where it is one among others of a session, a shell's say, these are left alone."""
    own, session = given_way(leads=True)
    assert own - os.nice(0) == 10
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("THIS KERNEL SHARES NOTHING OUT AMONG SESSIONS: a session's niceness is not tested")
    assert session == 10
    assert given_way(leads=False)[1] != 10
