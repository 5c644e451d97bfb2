"""What holds for all tests: how hypothesis looks for examples, one seed for all processes of a run, long ones first."""

import os
import signal
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import settings

from tests.postgres import postgres

#: Fixtures that tests of several folders ask for.
__all__ = ["postgres"]

# No deadline: a slow example tells of the machine's other work, not of ours. A failure prints what brings it back.
settings.register_profile("tallystick", deadline=None, print_blob=True)
settings.load_profile("tallystick")

#: Tests that throw dice have their seed in their name. Processes that share a run must call them by the same names, so
#: it is drawn here, by the first of them, and handed on.
SEEDS: Final = ("KILL_SEED", "REPLAY_SEED", "SCHEDULE_SEED")

for _name in SEEDS:
    os.environ.setdefault(_name, str(Random().randrange(1, 10**6)))

# Tests start a thousand processes. Where Python is told to keep nothing that it has compiled, as many containers do,
# each of them would compile all of ours anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What a shell starts in its background ignores Ctrl-C, and so does all that this starts in turn. Some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Files and folders of files that take minutes, of work or of waiting for brokers and processes. Side by side they go
#: first: a process that begins with one of them when the others have nothing left would keep everybody waiting.
LONG: Final = tuple(
    Path(__file__).parent / name
    for name in ("packaging/test_compiled.py", "test_readme.py", "integration", "real", "infra", "simulation")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first; else as they were found."""
    items.sort(key=lambda item: not any(item.path.is_relative_to(long) for long in LONG))
