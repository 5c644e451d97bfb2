"""What every log promises, on every implementation; and what the file says when it is not what it should be."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from events.errors import LogDamaged, Refused, TallystickError, Unavailable
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import GENESIS, Append, Log, Stored, link
from streams.hosts.memory import Crashed, CrashPoint, MemoryLog

ROOT = Path(__file__).resolve().parents[2]
ALICE, BOB = "index/0", "index/1"
REQUESTS, PAYMENTS = "payments.requests", "payments"


class Harness(Protocol):
    """How a contract test gets at an implementation."""

    log: Log

    def reopen(self) -> None:
        """Let go of the log and take it up again; only what was committed is there."""

    def crash_in_commit(
        self, owner: str, appends: Sequence[Append], positions: dict[tuple[str, int], int]
    ) -> None:
        """Commit, and die before the commit is done."""


class InMemory:
    """A memory log; it lives as long as its object, so reopening is asking the same object again."""

    def __init__(self, _: Path) -> None:
        self._dies = False
        self.log: Log = MemoryLog(lambda _: CrashPoint.BEFORE_COMMIT if self._dies else None)

    def reopen(self) -> None:
        self.log.close()

    def crash_in_commit(
        self, owner: str, appends: Sequence[Append], positions: dict[tuple[str, int], int]
    ) -> None:
        self._dies = True
        with pytest.raises(Crashed):
            self.log.commit(owner, appends, positions, b"lost")
        self._dies = False


class InFile:
    """An embedded log; a crash takes back the round in which it happens."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "contract.db"
        self.log: Log = EmbeddedLog(self._path)

    def reopen(self) -> None:
        self.log.close()
        self.log = EmbeddedLog(self._path)

    def crash_in_commit(
        self, owner: str, appends: Sequence[Append], positions: dict[tuple[str, int], int]
    ) -> None:
        log = self.log
        assert isinstance(log, EmbeddedLog)

        def dying() -> None:
            with log.round():
                log.commit(owner, appends, positions, b"lost")
                raise Crashed(owner, CrashPoint.BEFORE_COMMIT)

        with pytest.raises(Crashed):
            dying()


IMPLEMENTATIONS: tuple[Callable[[Path], Harness], ...] = (InMemory, InFile)


@pytest.fixture(params=IMPLEMENTATIONS, ids=["memory", "embedded"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """One implementation, empty."""
    made: Harness = request.param(tmp_path)
    yield made
    made.log.close()


def records(*values: str, topic: str = PAYMENTS, partition: int = 0) -> list[Append]:
    """Records to append; the stamp of each is 1,000 times its place."""
    return [
        Append(topic, partition, 1_000 * number, value.encode())
        for number, value in enumerate(values, start=1)
    ]


def values(
    log: Log, topic: str = PAYMENTS, partition: int = 0, offset: int = 0, limit: int = 100
) -> list[str]:
    """What can be read, as text."""
    return [stored.value.decode() for stored in log.read(topic, partition, offset, limit)]


# --- the contract -------------------------------------------------------------------------------------


def test_an_empty_log_has_nothing(harness: Harness) -> None:
    """Asking for what nobody wrote is no error."""
    log = harness.log
    assert [] == log.read(PAYMENTS, 0, 0, 10)
    assert 0 == log.end(PAYMENTS, 0)
    assert {} == log.positions(ALICE)
    assert log.state(ALICE) is None


def test_records_are_read_in_the_order_in_which_they_were_appended(harness: Harness) -> None:
    """Offsets count from 0 without gaps, across commits and whoever appends."""
    log = harness.log
    log.commit(ALICE, records("a", "b"), {})
    log.commit(BOB, records("c"), {})
    read = log.read(PAYMENTS, 0, 0, 10)
    assert [(0, 1_000, b"a"), (1, 2_000, b"b"), (2, 1_000, b"c")] == [stored[:3] for stored in read]
    assert 3 == log.end(PAYMENTS, 0)


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        (0, 2, "ab"),
        (2, 2, "cd"),
        (3, 100, "de"),
        (4, 1, "e"),
        (5, 10, ""),  # the end
        (99, 10, ""),  # far behind it
        (0, 0, ""),
    ],
)
def test_a_read_gives_at_most_its_limit(harness: Harness, offset: int, limit: int, expected: str) -> None:
    """Reading goes from an offset on, and never into the next partition."""
    harness.log.commit(ALICE, [*records(*"abcde"), *records("other", partition=1)], {})
    assert list(expected) == values(harness.log, offset=offset, limit=limit)


@pytest.mark.parametrize("block", [1_999, 7_000])
def test_old_and_new_records_read_alike(harness: Harness, block: int) -> None:
    """Whatever an implementation keeps at hand, a read anywhere gives what stands there."""
    log, total = harness.log, 14_000
    for first in range(0, total, block):
        log.commit(
            ALICE, [Append(PAYMENTS, 0, n, b"%d" % n) for n in range(first, min(total, first + block))], {}
        )
    for offset in range(0, total, 997):
        expected = [(n, n, b"%d" % n) for n in range(offset, min(total, offset + 1_100))]
        assert expected == [stored[:3] for stored in log.read(PAYMENTS, 0, offset, 1_100)]


def test_topics_and_partitions_are_apart(harness: Harness) -> None:
    """Each partition of each topic has its own offsets and its own chain."""
    log = harness.log
    places = [(REQUESTS, 0), (PAYMENTS, 0), (PAYMENTS, 1), (PAYMENTS, 4095)]
    log.commit(ALICE, [Append(topic, number, 7, b"same") for topic, number in places], {})
    for topic, number in places:
        assert [Stored(0, 7, b"same", link(GENESIS, 7, b"same"))] == log.read(topic, number, 0, 10)


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"\xff" * 3, bytes(1 << 20)], ids=["empty", "zero", "not text", "1 MiB"]
)
@pytest.mark.parametrize("at", [-1, 0, 2**62])
def test_a_record_comes_back_as_it_went_in(harness: Harness, value: bytes, at: int) -> None:
    """Any bytes and any stamp that fits."""
    harness.log.commit(ALICE, [Append(PAYMENTS, 0, at, value)], {})
    harness.reopen()
    (stored,) = harness.log.read(PAYMENTS, 0, 0, 10)
    assert (at, value, link(GENESIS, at, value)) == (stored.at, stored.value, stored.chain)


def test_positions_and_states_belong_to_their_owner(harness: Harness) -> None:
    """A commit moves the positions it names and leaves the others; None leaves the state."""
    log = harness.log
    log.commit(ALICE, [], {(REQUESTS, 0): 3, (PAYMENTS, 0): 1}, b"first")
    log.commit(BOB, [], {(REQUESTS, 0): 9})
    log.commit(ALICE, [], {(REQUESTS, 0): 5})
    assert {(REQUESTS, 0): 5, (PAYMENTS, 0): 1} == log.positions(ALICE)
    assert {(REQUESTS, 0): 9} == log.positions(BOB)
    assert (b"first", None) == (log.state(ALICE), log.state(BOB))
    log.commit(ALICE, [], {}, b"")
    assert b"" == log.state(ALICE)


def test_what_was_committed_is_there_after_reopening(harness: Harness) -> None:
    """Records, positions, state; and the chain goes on where it ended."""
    harness.log.commit(ALICE, records("a"), {(REQUESTS, 0): 1}, b"state")
    harness.reopen()
    log = harness.log
    assert ({(REQUESTS, 0): 1}, b"state") == (log.positions(ALICE), log.state(ALICE))
    log.commit(ALICE, records("b"), {})
    first, second = log.read(PAYMENTS, 0, 0, 10)
    assert link(first.chain, second.at, second.value) == second.chain


def test_a_commit_is_all_or_nothing(harness: Harness) -> None:
    """Who dies before the commit leaves no record, no position and no state."""
    harness.log.commit(ALICE, records("kept"), {(REQUESTS, 0): 1}, b"kept")
    harness.crash_in_commit(
        ALICE, [*records("lost"), *records("lost", topic=REQUESTS)], {(REQUESTS, 0): 2, (PAYMENTS, 0): 7}
    )
    for _ in range(2):
        log = harness.log
        assert (["kept"], []) == (values(log), values(log, REQUESTS))
        assert (1, 0) == (log.end(PAYMENTS, 0), log.end(REQUESTS, 0))
        assert ({(REQUESTS, 0): 1}, b"kept") == (log.positions(ALICE), log.state(ALICE))
        harness.reopen()


def test_a_lost_commit_can_be_made_again(harness: Harness) -> None:
    """Offsets and chain are those of a log in which nobody died."""
    harness.crash_in_commit(ALICE, records("lost", "lost"), {})
    harness.log.commit(ALICE, records("a"), {})
    assert [Stored(0, 1_000, b"a", link(GENESIS, 1_000, b"a"))] == harness.log.read(PAYMENTS, 0, 0, 10)


def test_all_implementations_give_the_same_chain(tmp_path: Path) -> None:
    """A chain value is a function of what was appended, wherever it is kept."""
    logs: list[Log] = [make(tmp_path).log for make in IMPLEMENTATIONS]
    read = []
    for log in logs:
        for block in (records("a", "b"), records("c", partition=1), records("d")):
            log.commit(ALICE, block, {})
        read.append([log.read(PAYMENTS, number, 0, 10) for number in (0, 1)])
        log.close()
    assert all(one == read[0] for one in read)
    assert 3 == len({stored.chain for stored in read[0][0]})


# --- rounds of the embedded log -----------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log shall be."""
    return tmp_path / "log.db"


def test_a_round_takes_several_commits_together(path: Path) -> None:
    """Within a round everybody sees what was committed before; others see it once the round is over."""
    log = EmbeddedLog(path)
    reader = EmbeddedLog(path, read_only=True)
    with log.round():
        log.commit(ALICE, records("a"), {})
        log.commit(BOB, records("b"), {(PAYMENTS, 0): 1})
        assert (["a", "b"], 2) == (values(log), log.end(PAYMENTS, 0))
        assert ([], 0) == (values(reader), reader.end(PAYMENTS, 0))
    assert (["a", "b"], 2) == (values(reader), reader.end(PAYMENTS, 0))
    assert {(PAYMENTS, 0): 1} == reader.positions(BOB)
    log.close()
    reader.close()


def test_an_exception_takes_the_whole_round_back(path: Path) -> None:
    """Also what commits before it in the round had already done; ends and chains too."""
    log = EmbeddedLog(path)
    log.commit(ALICE, records("a"), {})

    def failing() -> None:
        with log.round():
            log.commit(ALICE, records("b"), {(REQUESTS, 0): 4}, b"lost")
            log.commit(BOB, records("c", "d"), {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert (1, {}, None) == (log.end(PAYMENTS, 0), log.positions(ALICE), log.state(ALICE))
    log.commit(BOB, records("e"), {})
    first, second = log.read(PAYMENTS, 0, 0, 10)
    assert (1, b"e", link(first.chain, 1_000, b"e")) == (second.offset, second.value, second.chain)
    log.close()


VICTIM = """
import sys
from pathlib import Path
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import Append

log = EmbeddedLog(Path(sys.argv[1]))
log.commit("index/0", [Append("payments", 0, 1, b"kept")], {("payments.requests", 0): 1}, b"kept")
with log.round():
    for number in range(3_000):
        log.commit("index/0", [Append("payments", 0, 2, bytes(5_000))], {("payments.requests", 0): number}, b"lost")
    print("in the middle of a round", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_its_last_round(path: Path) -> None:
    """``kill -9`` in the middle of a round whose pages have long reached the disk."""
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    assert "in the middle of a round\n" == victim.stdout.readline()
    victim.kill()
    assert -signal.SIGKILL == victim.wait()
    victim.stdin.close()
    victim.stdout.close()
    log = EmbeddedLog(path)
    assert (["kept"], 1) == (values(log), log.end(PAYMENTS, 0))
    assert ({(REQUESTS, 0): 1}, b"kept") == (log.positions(ALICE), log.state(ALICE))
    log.commit(ALICE, records("after"), {})
    assert ["kept", "after"] == values(log)
    log.close()


def test_places_and_owners_name_who_is_there(path: Path) -> None:
    """What a verification walks over."""
    log = EmbeddedLog(path)
    log.commit(BOB, [*records("a", partition=2), *records("b", topic=REQUESTS)], {(REQUESTS, 0): 1})
    log.commit(ALICE, [], {}, b"state")
    assert [(REQUESTS, 0), (PAYMENTS, 2)] == log.places()
    assert [ALICE, BOB] == log.owners()
    log.close()


def test_who_writes_beside_another_is_told(path: Path) -> None:
    """Two writers of one file: the one that is behind stops; what the other wrote stays."""
    first = EmbeddedLog(path)
    first.commit(ALICE, records("a"), {})
    try:
        second = EmbeddedLog(path)
    except Unavailable:
        pass
    else:
        second.commit(ALICE, records("b"), {})
        second.close()
        with pytest.raises(Unavailable, match="another"):
            first.commit(ALICE, records("c"), {})
        assert ["a", "b"] == values(first)
    first.close()


# --- files that are no logs ---------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite waits five seconds for a lock; a test need not."""
    monkeypatch.setattr("streams.hosts.embedded.sqlite3.connect", partial(sqlite3.connect, timeout=0))


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "to read"])
def test_a_file_of_something_else_is_left_alone(path: Path, read_only: bool) -> None:
    """A text, an image: an error that names the file, whose bytes stay what they were."""
    content = b"Dear diary, today I bought bread. " * 400
    path.write_bytes(content)
    with pytest.raises(TallystickError, match=r"log\.db"):
        EmbeddedLog(path, read_only=read_only)
    assert content == path.read_bytes()


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "to read"])
def test_another_programs_database_is_left_alone(path: Path, read_only: bool) -> None:
    """A SQLite file that is not ours gets no table of ours."""
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE places (url TEXT)")
    theirs.execute("INSERT INTO places VALUES ('https://example.org')")
    theirs.commit()
    theirs.close()
    content = path.read_bytes()
    with pytest.raises(Refused, match=r"log\.db is not a Tallystick log"):
        EmbeddedLog(path, read_only=read_only)
    assert content == path.read_bytes()


def test_a_missing_file_is_not_made_by_reading(path: Path) -> None:
    """Who wants to read learns what to do."""
    with pytest.raises(Unavailable, match="run the job first"):
        EmbeddedLog(path, read_only=True)
    assert not path.exists()


def test_an_empty_file_becomes_a_log_and_is_none_to_read(path: Path) -> None:
    """What ``mktemp`` leaves may be written to."""
    path.touch()
    with pytest.raises(Refused, match="not a Tallystick log"):
        EmbeddedLog(path, read_only=True)
    log = EmbeddedLog(path)
    log.commit(ALICE, records("a"), {})
    assert ["a"] == values(log)
    log.close()


@pytest.mark.parametrize("kept", [1, 50, 100, 1_000, 4_096, 20_000, 60_000])
def test_a_truncated_file_is_found(path: Path, kept: int) -> None:
    """Wherever it is cut: opening it or reading it ends in an error of ours."""
    log = EmbeddedLog(path)
    log.commit(
        ALICE, [Append(PAYMENTS, 0, 1, bytes([number]) * 900) for number in range(100)], {(REQUESTS, 0): 1}
    )
    log.close()
    whole = path.read_bytes()
    assert len(whole) > kept
    path.write_bytes(whole[:kept])
    with pytest.raises(TallystickError, match=r"log\.db|payments/0"):
        _read_everything(path)


def _read_everything(path: Path) -> None:
    log = EmbeddedLog(path, read_only=True)
    try:
        for topic, partition in log.places():
            log.end(topic, partition)
            log.read(topic, partition, 0, 1_000)
        for owner in log.owners():
            log.positions(owner)
            log.state(owner)
    finally:
        log.close()


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """A folder, for instance."""
    with pytest.raises(Unavailable, match="cannot open the log"):
        EmbeddedLog(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_locked_file_is_unavailable(path: Path) -> None:
    """Whoever opens or writes it while another holds it may try again later."""
    log = EmbeddedLog(path)
    log.commit(ALICE, records("a"), {})
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        log.commit(ALICE, records("b"), {})
    with pytest.raises(Unavailable, match="another process"):
        EmbeddedLog(path)
    reader = EmbeddedLog(path, read_only=True)
    assert ["a"] == values(reader)
    holder.execute("ROLLBACK")
    log.commit(ALICE, records("c"), {})
    assert ["a", "c"] == values(reader)
    for connection in (holder, reader, log):
        connection.close()


def test_a_full_disk_is_unavailable(path: Path) -> None:
    """What does not fit is not there in part, and what fits goes on."""
    log = EmbeddedLog(path)
    log.commit(ALICE, records("a"), {})
    log._db.execute("PRAGMA max_page_count = 20")
    with pytest.raises(Unavailable, match="full"):
        log.commit(ALICE, [Append(PAYMENTS, 0, 1, bytes(200_000))], {(REQUESTS, 0): 1})
    assert (["a"], {}) == (values(log), log.positions(ALICE))
    log.commit(ALICE, records("b"), {})
    assert ["a", "b"] == values(log)
    log.close()


# --- rows that were altered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE position SET next = next + 1",
            "position of index/0 in payments.requests/0 has been altered",
        ),
        ("UPDATE position SET sha256 = zeroblob(32)", "position of index/0"),
        ("UPDATE state SET body = x'00'", "state of index/0 has been altered"),
        ("UPDATE state SET owner = 'index/9'", "state of index/9 has been altered"),
        ("UPDATE record SET value = CAST(value AS TEXT)", "payments/0 at 0"),
        ("UPDATE record SET at = 'noon'", "payments/0 at 0"),
        ("UPDATE record SET chain = 7", "payments/0 at 0"),
        ("UPDATE record SET id = 12345", "topic that does not exist"),
        ("UPDATE about SET value = 'tallystick embedded log 9'", "the format row is not"),
        ("DELETE FROM about", "the format row is not"),
        ("DROP TABLE record", "cannot be read"),
        ("DROP TABLE state", "cannot be read"),
    ],
)
def test_an_altered_row_is_found_when_it_is_read(path: Path, statement: str, message: str) -> None:
    """Every row carries its check; a row of another type is found too."""
    log = EmbeddedLog(path)
    log.commit(ALICE, records("a"), {(REQUESTS, 0): 1}, b"state")
    log.close()
    vandal = sqlite3.connect(path)
    vandal.execute(statement)
    vandal.commit()
    vandal.close()
    with pytest.raises(LogDamaged, match=message):
        _read_everything(path)
