"""What holds for all tests: how hypothesis looks for examples, and one seed for all processes of a run."""

import os
from random import Random
from typing import Final

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
