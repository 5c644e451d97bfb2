"""Answers that come more than once, and in any order: the payments log takes each of them once."""

from random import Random

from events.envelope import Recorded
from events.partitions import ClockKind
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.networks import Adapter
from streams.edge.publisher import Publisher
from streams.forensics.digests import state_digest
from streams.hosts.actors import EdgeActor, IndexActor, PublisherActor
from streams.hosts.edges import Outgoing
from streams.hosts.house import TICKS_AHEAD, House
from streams.hosts.index import Run
from streams.hosts.memory import MemoryLog
from tests.simulation.schedules import KEYS, planned

SEED = 5


class Repeating(Adapter):
    """An adapter that publishes again what it has published before, as one that was killed and started again."""

    def __init__(self, partition: int, seed: int, chance: Random) -> None:
        super().__init__(partition, seed)
        self._chance = chance
        self._before: list[Outgoing] = []
        self.repeated = 0

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        said = super().see(topic, partition, recorded)
        if not said:
            return said
        again = self._chance.sample(self._before, min(len(self._before), self._chance.randrange(4)))
        self._before += said
        self.repeated += len(again)
        # Also ahead of what is new: an old answer must not be taken for that of a later attempt.
        return [*again, *said, *said]


def outcome(*, repeating: bool) -> str:
    """What a day comes to."""
    rows, plan = planned(SEED)
    run = Run(1, ClockKind.VIRTUAL, plan.first_at, plan.last_tick, f'{{"seed":{SEED}}}')
    log = MemoryLog()
    index = IndexActor(log, 0, run, KEYS)
    adapter = Repeating(0, SEED, Random(SEED)) if repeating else Adapter(0, SEED)
    edges = [EdgeActor(log, edge) for edge in (adapter, ClearingHouse(1, SEED), Bank(1, SEED))]
    publisher = PublisherActor(log, Publisher(rows, plan, 1), KEYS, index.index.tick, TICKS_AHEAD)
    for _ in House([index], [publisher, *edges]).run():
        pass
    if isinstance(adapter, Repeating):
        assert adapter.repeated > 20
    return state_digest(index.index.summary())


def test_repeated_answers_do_no_harm() -> None:
    """Each twice at once and some again much later: the books are those of the calm run."""
    assert outcome(repeating=True) == outcome(repeating=False)
