"""A store kept up with a log that others write: the projector as a service of its own.

Its position stands in the store, in one transaction with its rows, so stopping anywhere is safe. It may be started
before the log has been opened, and waits for that.
"""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from events.errors import Unavailable
from infra.logs import looking_at
from infra.projecting import follow
from infra.stores import StoreAddress

if TYPE_CHECKING:
    from streams.hosts.cluster import Cluster

#: How long to wait for somebody to open the log before looking again.
_LOOK_SECONDS: Final = 0.5


def keep_up(
    place: "Path | Cluster", store: StoreAddress, begun: Callable[[], None], reach: Callable[[str], None]
) -> None:
    """Project what is committed until Ctrl-C or SIGTERM; ``begun`` is told from when on these are heard.

    ``reach`` is told which point of a commit has been reached.

    Raises Refused, Unavailable, LogDamaged.
    """
    import duckdb

    try:
        with _told() as told:
            begun()
            partitions = _partitions(place, told)
            if partitions is not None:
                with Path(os.devnull).open("w", encoding="utf-8") as answers:
                    follow(place, store, partitions, told, answers, reach)
    except (duckdb.Error, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise Unavailable(f"the store {store} cannot be written: {first_line}") from error


def _partitions(place: "Path | Cluster", told: IO[str]) -> int | None:
    """How many partitions each log has, once it has been opened; None where we are told to stop before that."""
    from projections.projector import LOG_TOPICS, partitions_of

    with looking_at(place) as log:
        # Not by its end: on Kafka one moves behind an opening that was undone.
        while not log.read(LOG_TOPICS[0], 0, 0, 1):
            if select.select([told], [], [], _LOOK_SECONDS)[0]:
                return None
        return partitions_of(log)


@contextmanager
def _told() -> Iterator[IO[str]]:
    """A file that can be read once Ctrl-C or SIGTERM has come; the second of a kind has its usual effect."""
    reading_end, writing_end = os.pipe()

    def stopping(number: int, _: object) -> None:
        os.write(writing_end, b"stop\n")
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stopping)
    try:
        with os.fdopen(reading_end, encoding="utf-8") as told:
            yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing_end)
