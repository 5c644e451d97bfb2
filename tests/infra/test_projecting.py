"""The projector beside a job: it has everything when it says so, and goes on until it is told to stop."""

import os
from contextlib import closing
from pathlib import Path

from infra.projecting import Projecting
from infra.stores import StoreAddress, in_file, reading
from projections.reading import records
from streams.hosts.embedded import EmbeddedLog
from streams.topology import LOGS


def events_in(path: Path) -> int:
    """How many events all logs hold."""
    with closing(EmbeddedLog(path, read_only=True)) as log:
        return sum(log.end(name, 0) for name in LOGS)


def taken(store: StoreAddress) -> int:
    """How many events every projection of a store has taken."""
    with reading(store) as db:
        return int(min(row["events"] for row in records(db, "SELECT events FROM freshness")))


def test_level_means_everything(simulated_log: Path, tmp_path: Path) -> None:
    """As often as it is asked; and what is taken stays when it is let go of without a word."""
    store = in_file(tmp_path / "store.duckdb")
    with Projecting(f"sqlite:{simulated_log}", store, 1) as one:
        one.level()
        one.level()
        one.check()
    assert events_in(simulated_log) == taken(store) > 0


def test_finished_means_everything_and_the_end(simulated_log: Path, tmp_path: Path) -> None:
    """The way there is told, up to its end."""
    store = in_file(tmp_path / "store.duckdb")
    told: list[tuple[int, int]] = []
    with Projecting(f"sqlite:{simulated_log}", store, 1) as one:
        one.finish(lambda done, of: told.append((done, of)))
    end = events_in(simulated_log)
    assert (end, end) == told[-1]
    assert end == taken(store)


def test_it_gives_way_to_whoever_decides(simulated_log: Path, tmp_path: Path) -> None:
    """Every thread of it: answers wait for no projection."""
    with Projecting(f"sqlite:{simulated_log}", in_file(tmp_path / "store.duckdb"), 1) as one:
        one.level()
        threads = [int(thread.name) for thread in Path(f"/proc/{one.pid}/task").iterdir()]
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert len(threads) > 1
        assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {min(ours + 10, 19)}
