"""A worker that keeps the index of another warm, on a real broker: it takes over where the other one was killed."""

import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from events.calendar import HOUR
from infra.clusterjob import start_house
from infra.supervisor import Supervisor
from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from streams.topology import LOGS
from tests.integration.houses import books_of, calm, living, new_job, until_done
from tests.torture.house import has_index, keeps_warm

#: Before this tick nothing has happened that would have to be folded again.
_FIRST_TICK: Final = 2
_BEHIND: Final = 500
#: So many ticks that a second worker has joined and follows long before the last one.
_EVERY: Final = 2 * HOUR
_TAIL: Final = 8 * HOUR


class Killing:
    """Kills the owner of the one index as soon as the other worker follows it; then waits for the take-over."""

    def __init__(self, house: Supervisor, log: KafkaLog) -> None:
        self.heir = ""
        #: Events in the logs when the owner died, and what the heir says of the index.
        self.events = 0
        self.taken: Any = None
        self._house = house
        self._log = log

    def look(self, tick: int) -> None:
        """At every look at the house."""
        workers = {name: one for name, one in self._house.members.items() if name.startswith("worker")}
        if not self.heir and tick >= _FIRST_TICK:
            self._kill(workers)
        elif self.heir and self.taken is None:
            self.taken = has_index(workers[self.heir], 0)

    def _kill(self, workers: dict[str, Any]) -> None:
        owner = next((name for name, one in workers.items() if has_index(one, 0)), "")
        heirs = [name for name, one in workers.items() if name != owner and keeps_warm(one, 0, _BEHIND)]
        if owner and heirs:
            workers[owner].stopped = True
            workers[owner].process.send_signal(signal.SIGKILL)
            workers[owner].process.wait()
            (self.heir,) = heirs
            self.events = sum(len(self._log.read(name, 0, 0, 1_000_000)) for name in LOGS)


def test_what_is_taken_over_has_not_to_be_restored(kafka: str, tmp_path: Path) -> None:
    """Only the last records are folded behind the fence; money, state and log are what they are when nobody dies."""
    job = replace(new_job(kafka, tmp_path, partitions=1, workers=2), standbys=1, every=_EVERY, tail=_TAIL)
    with closing(KafkaLog(job.cluster)) as log, living(job) as (house, path, run):
        killing = Killing(house, log)
        start_house(job, house, path, run)
        ran = until_done(job, house, run, killing.look)
    assert killing.taken is not None, "nobody was killed, or nobody took over"
    assert killing.taken["restored_warm"]
    assert killing.taken["restored_events"] <= _BEHIND < killing.events
    expected = calm(tmp_path, every=_EVERY, tail=_TAIL)
    assert expected.state_digest == ran.digest
    figures, disputes = books_of(job)
    assert (expected.ledger_digest, expected.disputes) == (figures.ledger_digest, disputes)
    assert (0, 0, 0) == (
        figures.counts.ledger_imbalance,
        figures.counts.open_clearing_residuals,
        figures.counts.money_unplaced,
    )
    with closing(KafkaLog(job.cluster)) as log:
        found = verify(log)
    assert state_digest(found.summaries) == ran.digest
