"""A house: all actors of a run in one process, in virtual time, on one log.

Each round gives every actor one turn in one transaction of the log. A round in which nobody had anything to do
is the end, or a deadlock; the last tick tells which.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from events.errors import Broken
from streams.hosts.actors import Actor, IndexActor

#: How many ticks the publisher may be ahead of the slowest payments partition: enough for every log to have work
#: while another waits for an answer, few enough that what is set aside stays small.
TICKS_AHEAD: Final = 8

#: Records that one input gives to one turn.
BATCH: Final = 2_000


class House:
    """Actors that share a log. ``round`` is the log's transaction around a round, where it has one."""

    def __init__(
        self,
        indexes: Sequence[IndexActor],
        others: Sequence[Actor],
        round_: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.indexes = indexes
        self._actors: list[Actor] = [*others, *indexes]
        self._round = round_

    def run(self, batch: int = BATCH) -> Iterator[int]:
        """Work until everything is done; yields the slowest payments tick after each round.

        Raises Broken when nobody can go on before the last tick has passed.
        """
        while True:
            with self._round():
                busy = [actor.turn(batch) for actor in self._actors]
            yield self.slowest_tick()
            if not any(busy):
                break
        waiting = [actor for actor in self.indexes if not actor.index.done]
        if waiting:
            where = ", ".join(
                f"{actor.name} {name} at tick {engine.tick}"
                for actor in waiting
                for name, engine in actor.index.engines.items()
            )
            raise Broken(f"nobody can go on, and the last tick has not passed: {where}")

    def slowest_tick(self) -> int:
        """The last tick that every payments partition has passed."""
        return min(actor.index.tick() for actor in self.indexes)
