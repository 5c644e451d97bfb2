"""What holds for all tests: how hypothesis looks for examples."""

from hypothesis import settings

from tests.postgres import postgres

#: Fixtures that tests of several folders ask for.
__all__ = ["postgres"]

# No deadline: a slow example tells of the machine's other work, not of ours. A failure prints what brings it back.
settings.register_profile("tallystick", deadline=None, print_blob=True)
settings.load_profile("tallystick")
