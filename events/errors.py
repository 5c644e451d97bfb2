"""Every exception of Tallystick, one tree.

::

    TallystickError
    ├── Poison            the input is bad: seal it, give the reason, go on
    │   ├── WireError         the bytes are not what their schema says
    │   └── ValidationError   they are, and the content makes no sense
    ├── Retry             the world is busy: the same call may go through later
    │   └── Unavailable       a service or a file cannot be had now
    ├── Refused           what was asked for cannot be done as asked: wrong arguments, wrong log
    └── Broken            something that must always hold does not: stop, restore, tell somebody
        ├── LogDamaged        recorded bytes are not what was recorded
        └── ReplayDiffers     deciding again gave something else
"""


class TallystickError(Exception):
    """The root. ``str()`` of each is a sentence a person can act on, and never holds a card number."""


class Poison(TallystickError):
    """The input is bad."""


class WireError(Poison):
    """The bytes are not what their schema says."""


class ValidationError(Poison):
    """The content of an input makes no sense. ``field`` names the offender."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Retry(TallystickError):
    """The world is busy: the same call may go through later."""


class Unavailable(Retry):
    """A service or a file cannot be had now."""


class Refused(TallystickError):
    """What was asked for cannot be done as asked."""


class Broken(TallystickError):
    """Something that must always hold does not."""


class LogDamaged(Broken):
    """Recorded bytes are not what was recorded."""


class ReplayDiffers(Broken):
    """Deciding again gave something else than what was recorded: ``field`` of the record at ``place``."""

    def __init__(self, place: str, field: str, recorded: str, decided: str) -> None:
        super().__init__(f"{place}: {field} was recorded as {recorded}, is decided as {decided}")
        self.place = place
        self.field = field
        self.recorded = recorded
        self.decided = decided
