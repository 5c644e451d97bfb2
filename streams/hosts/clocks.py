"""The clock on the wall, as a log lives by it.

Business time goes ``speed`` times as fast as the wall from ``origin`` on; at speed 1 it is the wall's. Ticks are
numbered by the wall's seconds, so that every worker gives the same number to the same moment.
"""

import time
from dataclasses import dataclass
from typing import Final

import msgspec

from events.errors import LogDamaged

SECOND: Final = 1_000_000

#: A clock that differs by more from its own steady time, or from the broker's, is somebody's mistake.
TOLERANCE: Final = 5 * 60 * SECOND


@dataclass(frozen=True, slots=True)
class WallClock:
    """``origin`` in microseconds UTC; ``speed`` at least 1."""

    origin: int = 0
    speed: int = 1

    def business_time(self, wall: int) -> int:
        """What the business's clock shows when the wall's shows ``wall``; both microseconds UTC."""
        return self.origin + (wall - self.origin) * self.speed

    def now(self) -> int:
        """What the business's clock shows now."""
        return self.business_time(time.time_ns() // 1_000)

    def tick(self, business_time: int) -> int:
        """The number of the last tick at or before an instant."""
        return business_time // (SECOND * self.speed)

    def at(self, tick: int) -> int:
        """The instant for which a tick stands."""
        return tick * SECOND * self.speed

    @property
    def arguments(self) -> str:
        """What the first record of a log says of its clock."""
        return msgspec.json.encode({"origin": self.origin, "speed": self.speed}, order="sorted").decode()

    @classmethod
    def of(cls, arguments: str) -> "WallClock":
        """The other way. Raises LogDamaged."""
        try:
            given = msgspec.json.decode(arguments, type=dict[str, int])
            return cls(given["origin"], given["speed"])
        except (msgspec.MsgspecError, KeyError) as error:
            raise LogDamaged("the log's first record does not say which clock it lives by") from error
