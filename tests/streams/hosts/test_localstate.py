"""The local state of an index: used where it fits its log, thrown away where it does not, and never in the way."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Final

import msgspec
import pytest

from events.errors import LogDamaged, Unavailable
from streams.features.shelf import Shelf, spill
from streams.hosts import localstate
from streams.hosts.index import BEHAVIOUR
from streams.hosts.localstate import LetGo, LocalState
from streams.hosts.log import Append
from streams.hosts.memory import MemoryLog
from streams.hosts.snapshots import FORMAT, IndexSnapshot, Spilled
from tests.patience import PATIENCE_SECONDS

OWNER = "index/0"


@pytest.fixture
def log() -> MemoryLog:
    """Three records in one log, none in another."""
    log = MemoryLog()
    log.commit(OWNER, [Append("payments", 0, 1_000, b"value")] * 3, {})
    return log


#: What older versions told of a snapshot, beside which they put it itself.
_TOLD_FIRST: Final = ("ends", "chains", "events", "cold")


class Worker:
    """A shelf whose cold rows lie in a local state, as a worker has it."""

    def __init__(self, folder: Path, log: MemoryLog) -> None:
        self.local = LocalState(folder, OWNER)
        self._log = log
        self.shelf: Shelf[int] = Shelf()
        self.attach()

    def attach(self) -> None:
        """Have the cold rows of what lies there; an index does it anew where something was found."""
        self.shelf.attach("numbers", self.local, int, set(self.local.keys()))

    def keep(self, end: int = 3) -> bool:
        """Keep a snapshot at an offset."""
        self.hold(end)
        return self.local.write()

    def hold(self, end: int = 3) -> None:
        """Have a snapshot that is still to be written."""
        snapshot = IndexSnapshot(FORMAT, BEHAVIOUR, 1, {}, {}, {}, {})
        chains = {"payments": self._log.read("payments", 0, end - 1, 1)[0].chain}
        spilled = Spilled(snapshot, spill([self.shelf]), self.shelf.cold)
        self.local.hold(spilled, {"payments": end, "settlement": 0}, chains, end)

    def with_cold_rows(self) -> "Worker":
        """A thousand of them."""
        for number in range(1_000):
            self.shelf.put(f"key {number:03d}", number, 20_000)
        assert self.keep()
        assert self.keep()
        assert (len(self.shelf.old), self.shelf.cold) == (0, 1_000)
        return self


def test_what_was_kept_is_found_again(tmp_path: Path, log: MemoryLog) -> None:
    """The snapshot with its ends, and the rows beside it."""
    worker = Worker(tmp_path, log).with_cold_rows()
    assert worker.shelf["key 007"] == 7
    worker.local.close()
    again = LocalState(tmp_path, OWNER)
    assert again.events() == 3
    found = again.fitting(log, 0)
    assert found is not None
    kept = found.kept
    assert (kept.ends, kept.events, kept.cold) == ({"payments": 3, "settlement": 0}, 3, 1_000)
    assert len(list(again.rows("numbers"))) == len(again.filed("numbers", 20_000)) == 1_000
    again.close()


def test_whoever_is_let_go_of_writes_no_more(tmp_path: Path, log: MemoryLog) -> None:
    """An index is let go of while a thread restores it: neither dies, and the place is its successor's."""
    for time in range(20):
        worker = Worker(tmp_path / str(time), log).with_cold_rows()
        busy = Event()

        def restore(worker: Worker = worker, busy: Event = busy) -> None:
            while worker.local.fitting(log, 0) is not None:
                worker.shelf["key 007"] += 1
                worker.keep()
                busy.set()

        with ThreadPoolExecutor(1) as pool:
            restoring = pool.submit(restore)
            assert busy.wait(PATIENCE_SECONDS)
            worker.local.close()
            with pytest.raises(LetGo, match="was let go of"):
                restoring.result(PATIENCE_SECONDS)
        successor = LocalState(tmp_path / str(time), OWNER)
        assert successor.fitting(log, 0) is not None
        successor.close()
        for use in (worker.keep, lambda worker=worker: worker.shelf["key 500"]):
            with pytest.raises(LetGo):
                use()


@pytest.fixture
def resting(
    tmp_path: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Worker, Future[bool]]]:
    """A worker whose snapshot is being written beside it, by somebody who would rest for hours."""
    monkeypatch.setattr(localstate, "_REST", 1_000_000_000)
    worker = Worker(tmp_path, log)
    for number in range(5_000):
        worker.shelf[f"key {number:04d}"] = number
    worker.hold()
    assert worker.local.write()
    worker.hold()
    with ThreadPoolExecutor(1) as pool:
        yield worker, pool.submit(worker.local.write, gently=True)
        worker.local.close()


def test_whoever_writes_beside_one_who_decides_rests(resting: tuple[Worker, Future[bool]]) -> None:
    """Until it is waited for. What is on its way is found meanwhile, and is there afterwards."""
    worker, writing = resting
    assert (worker.shelf["key 0007"], worker.shelf["key 4999"]) == (7, 4_999)
    with pytest.raises(TimeoutError):
        writing.result(0.1)
    worker.local.hurry()
    assert writing.result(PATIENCE_SECONDS)
    assert worker.shelf["key 0008"] == 8
    with closing(sqlite3.connect(worker.local.path)) as db:
        assert db.execute("SELECT count(*) FROM cold").fetchone() == (5_000,)


def test_whoever_rests_is_let_go_of(resting: tuple[Worker, Future[bool]], log: MemoryLog) -> None:
    """And has written nothing: what was kept before is there."""
    worker, writing = resting
    worker.local.close()
    with pytest.raises(LetGo):
        writing.result(PATIENCE_SECONDS)
    successor = LocalState(worker.local.path.parent, OWNER)
    found = successor.fitting(log, 0)
    assert found is not None
    assert found.kept.cold == 0
    successor.close()


def test_nothing_was_kept(tmp_path: Path, log: MemoryLog, caplog: pytest.LogCaptureFixture) -> None:
    """The usual beginning: no word of it."""
    none = LocalState(tmp_path / "none", OWNER)
    assert (none.events(), none.fitting(log, 0)) == (0, None)
    assert caplog.text == ""


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4_096])


def _changed(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        db = sqlite3.connect(path)
        with db:
            db.execute(statement)
        db.close()

    return change


def _overwritten(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _overwritten,
        _changed("DELETE FROM kept"),
        _changed("UPDATE kept SET body = x'00'"),
        _changed("UPDATE kept SET body = CAST(substr(body, 1, 60) || x'ffff' || substr(body, 63) AS BLOB)"),
        _changed("DELETE FROM part"),
        _changed("UPDATE part SET body = substr(body, 2)"),
        _changed("UPDATE part SET body = 'no bytes'"),
        _changed("UPDATE cold SET rows = x'01' WHERE key = 'key 500'"),
        _changed("DELETE FROM cold WHERE key = 'key 500'"),
        _changed("DROP TABLE cold"),
    ],
)
def test_a_damaged_file_is_not_used_and_replaced(
    tmp_path: Path, log: MemoryLog, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever became of it: a word in the log, and the next one that is kept takes its place."""
    worker = Worker(tmp_path, log).with_cold_rows()
    worker.local.close()
    damage(worker.local.path)
    successor = Worker(tmp_path, log)
    assert successor.local.events() in (0, 3)
    assert successor.local.fitting(log, 0) is None
    assert caplog.text.count("is not used") == 1
    successor.with_cold_rows().local.close()
    again = LocalState(tmp_path, OWNER)
    assert again.fitting(log, 0) is not None
    again.close()


def test_one_of_another_version_is_not_used(
    tmp_path: Path, log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said to be that, and not to be damaged: nobody has to look for what is wrong with the disk."""
    worker = Worker(tmp_path, log).with_cold_rows()
    worker.local.close()
    db = sqlite3.connect(worker.local.path)
    with db:
        (told,) = db.execute("SELECT body FROM kept").fetchone()
        older = {name: value for name, value in msgspec.msgpack.decode(told).items() if name in _TOLD_FIRST}
        db.execute("UPDATE kept SET body = ?", (msgspec.msgpack.encode(older | {"snapshot": b"sealed"}),))
        db.execute("DROP TABLE part")
    db.close()
    successor = Worker(tmp_path, log)
    assert successor.local.fitting(log, 0) is None
    assert "written by another version" in caplog.text
    successor.with_cold_rows().local.close()


def test_a_snapshot_of_many_parts_is_found_again(tmp_path: Path, log: MemoryLog) -> None:
    """Whole, and in their order; a shorter one behind it leaves nothing of it."""
    local = LocalState(tmp_path, OWNER)
    for places in (200_000, 10):
        snapshot = IndexSnapshot(
            FORMAT, BEHAVIOUR, 1, {}, {f"place {place}": place for place in range(places)}, {}, {}
        )
        local.hold(Spilled(snapshot, [], 0), {"payments": 0}, {}, 0)
        assert local.write()
        found = local.fitting(log, 0)
        assert found is not None
        assert found.snapshot == snapshot
    with closing(sqlite3.connect(local.path)) as db:
        assert db.execute("SELECT count(*) FROM part").fetchone() == (1,)
    local.close()


@pytest.mark.parametrize("others", [0, 2, 4])
def test_a_state_of_another_log_is_not_used(tmp_path: Path, log: MemoryLog, others: int) -> None:
    """One that has fewer records, or other ones."""
    Worker(tmp_path, log).with_cold_rows().local.close()
    other = MemoryLog()
    other.commit(OWNER, [Append("payments", 0, 1_000, b"other")] * others, {})
    assert LocalState(tmp_path, OWNER).fitting(other, 0) is None


def test_a_disk_that_takes_nothing_leaves_everything_in_memory(
    tmp_path: Path, log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    """What is cold can be read, what would be can be too; and when there is room again it goes."""
    worker = Worker(tmp_path, log).with_cold_rows()
    db = worker.local._writer.db  # type: ignore[union-attr]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count={pages}")
    for number in range(1_000):
        worker.shelf[f"more {number:03d}"] = number
    assert worker.keep()  # Hot rows alone: they were touched just now.
    assert not worker.keep()
    assert "full" in caplog.text
    assert (len(worker.shelf.old), worker.shelf.cold) == (0, 2_000)
    assert (worker.shelf["key 007"], worker.shelf["more 007"]) == (7, 7)
    db.execute("PRAGMA max_page_count=100000")
    assert worker.keep()
    assert worker.keep()
    assert (len(worker.shelf), worker.shelf.cold, worker.shelf["more 007"]) == (2_000, 2_000, 7)
    worker.local.close()


def test_an_index_goes_on_while_its_snapshot_is_written(tmp_path: Path, log: MemoryLog) -> None:
    """What is on its way and what lies in the file can be had meanwhile; and what was kept is as it was."""
    worker = Worker(tmp_path, log).with_cold_rows()
    for number in range(1_000):
        worker.shelf[f"more {number:03d}"] = number
    assert worker.keep()
    worker.shelf["key 007"] = 70
    worker.hold()
    assert (worker.shelf.old, worker.shelf.cold) == ({"key 007": 70}, 1_999)
    other = sqlite3.connect(worker.local.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(worker.local.write)
        assert (worker.shelf["key 007"], worker.shelf["key 008"], worker.shelf["more 009"]) == (70, 8, 9)
        del worker.shelf["key 010"], worker.shelf["more 010"]
        assert not writing.done()
        other.execute("ROLLBACK")
        assert writing.result(PATIENCE_SECONDS)
    other.close()
    assert "key 010" not in worker.shelf
    assert "more 010" not in worker.shelf
    assert (worker.shelf["more 011"], len(worker.shelf)) == (11, 1_998)
    worker.local.close()
    again = LocalState(tmp_path, OWNER)
    assert again.fitting(log, 0) is not None
    assert [again.get("numbers", key) for key in ("key 007", "unknown")] == [None, None]
    assert all(again.get("numbers", key) is not None for key in ("key 010", "more 010"))
    assert len(list(again.rows("numbers"))) == 1_999
    again.close()


def test_what_was_kept_is_found_where_nothing_can_be_written(tmp_path: Path, log: MemoryLog) -> None:
    """Reading needs a little room; without it the file is read as it stands, and written when there is some."""
    worker = Worker(tmp_path, log).with_cold_rows()
    worker.local.close()
    in_the_way = worker.local.path.with_name(f"{worker.local.path.name}-shm")
    in_the_way.mkdir()
    again = Worker(tmp_path, log)
    assert again.local.fitting(log, 0) is not None
    assert len(list(again.local.rows("numbers"))) == 1_000
    again.attach()
    again.shelf.cold = 1_000
    assert again.shelf["key 007"] == 7
    assert not again.keep()
    in_the_way.rmdir()
    assert again.keep()
    assert again.keep()
    assert (again.shelf["key 008"], again.shelf["key 007"], len(again.shelf)) == (8, 7, 1_000)
    again.local.close()


def test_a_folder_that_cannot_be_had(tmp_path: Path, log: MemoryLog) -> None:
    """The worker goes on without."""
    (tmp_path / "file").write_text("in the way")
    worker = Worker(tmp_path / "file" / "folder", log)
    worker.shelf["key"] = 1
    assert not worker.keep()
    assert not worker.keep()
    assert worker.shelf["key"] == 1


def test_a_file_that_goes_bad_under_its_owner_is_an_error(tmp_path: Path, log: MemoryLog) -> None:
    """Nothing is decided by a row that was altered."""
    worker = Worker(tmp_path, log).with_cold_rows()
    _changed("UPDATE cold SET rows = x'05' WHERE key = 'key 007'")(worker.local.path)
    with pytest.raises((LogDamaged, Unavailable)):
        worker.shelf["key 007"]
    assert worker.shelf["key 008"] == 8
    worker.local.close()
