"""`tallystick replay --verify`: passes on what was recorded, and finds every byte that was not.

The vandals here go from clumsy (a flipped bit anywhere in the file) to careful (a record altered with all chain
values behind it computed again). ``REPLAY_SEED`` repeats a run.
"""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import msgspec
import pytest

from events.authorization import NetworkReplyReceived, PaymentAuthorized
from events.base import Event
from events.envelope import Recorded
from events.intake import RequestReceived
from events.messages import DeadLetter, Handover
from events.partitions import EventDeadLettered
from events.requests import InputRow, PaymentRequest
from events.wire import decode_event, decode_message, encode_event, encode_message
from infra.commandline import run
from streams.edge.inputs import read_rows, write_rows
from streams.edge.simulate import write_day
from streams.forensics.writeahead import check_write_ahead
from streams.hosts import snapshots
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import GENESIS, link
from streams.topology import LOGS
from tests.infra.runs import Done, Place, complaint, content, ended, grown, kill_all
from tests.patience import PATIENCE_SECONDS

SEED = int(os.environ["REPLAY_SEED"])


class Original(NamedTuple):
    """A log as it was left, and everything in it."""

    log: Path
    rows: dict[str, list[tuple[Any, ...]]]
    told: dict[str, Any]

    def copied(self, folder: Path) -> Path:
        """A copy that may be spoiled."""
        for path in self.log.parent.glob(f"{self.log.name}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, folder)
        return folder / self.log.name


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A day with a dead letter, taken to its end, with snapshots on the way."""
    place = Place(tmp_path_factory.mktemp("finished"))
    input_ = place.folder / "day.avro"
    write_day(input_, 60, 7)
    write_rows(input_, list(_with_a_card_number(read_rows(input_))), "a card number in clear")
    out = place.folder / "told.json"
    with pytest.MonkeyPatch.context() as patch, out.open("w") as file:
        patch.setattr(snapshots, "SNAPSHOT_EVENTS", 3_000)
        patch.setattr("sys.stdout", file)
        assert run(["demo", "--json", "--input", str(input_), "--seed", "7", *place.options]) == 0
    told = json.loads(out.read_text())
    assert told["dead_letters"] == 1
    return Original(place.log, content(place.log), told)


def _with_a_card_number(rows: Iterator[InputRow]) -> Iterator[InputRow]:
    spoilt = 0
    for row in rows:
        if isinstance(row.entry, PaymentRequest) and not spoilt:
            spoilt += 1
            number = "4" + "0" * 14
            number += str(-sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(number)) % 10)
            yield InputRow(row.ingested_at, msgspec.structs.replace(row.entry, device_ref=number))
        yield row


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A log whose writer was killed half-way: part of it stands in its write-ahead file."""
    place = Place(tmp_path_factory.mktemp("killed"))
    process = place.start_demo("--payments", "60", "--seed", "7")
    assert grown(process, place.log, 6_000)
    kill_all(process)
    ended(process)
    assert place.log.with_name("log.db-wal").stat().st_size > 0
    return Original(place.log, content(place.log), {})


@pytest.fixture(params=[SEED], ids=[f"REPLAY_SEED={SEED}"])
def random(request: pytest.FixtureRequest) -> Random:
    """Chance of this run and this test; the test's name says how to have it again."""
    return Random(request.node.name)


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], Done]:
    """Run the command on a log, in this process; one that hangs fails."""

    def verified(log: Path) -> Done:
        with _patience():
            code = run(["replay", "--verify", "--json", "--log", f"sqlite:{log}"])
        return Done(code, *capsys.readouterr())

    return verified


@contextmanager
def _patience() -> Iterator[None]:
    def out(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"a replay has not ended within {PATIENCE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, out)
    signal.alarm(PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def found(done: Done) -> str:
    """What a replay that must fail has found, told twice: as JSON and as a sentence."""
    assert done.code == 1, done
    assert done.told["verified"] is False
    error: str = done.told["error"]
    assert complaint(done._replace(out="")) == error + "\n"
    return error


Verify = Callable[[Path], Done]

# --- what holds ---------------------------------------------------------------------------------------


def test_a_finished_log(verify: Verify, finished: Original) -> None:
    """Everything is taken again, and comes to what the job has told."""
    told = verify(finished.log).told
    assert told["verified"] is True
    assert told["events"] == finished.told["events"]
    assert told["state_digest"] == finished.told["state_digest"]
    assert told["records"] == len(finished.rows["record"])
    assert told["handovers"] > 0


def test_an_interrupted_log(verify: Verify, killed: Original, tmp_path: Path) -> None:
    """A log without an end, as it is and with its write-ahead file; and nothing is changed by looking."""
    log = killed.copied(tmp_path)
    done = verify(log)
    assert done.code == 0
    assert done.told["records"] == len(killed.rows["record"])
    assert content(log) == killed.rows


def test_a_log_that_is_being_written(verify: Verify, tmp_path: Path) -> None:
    """A replay looks at one moment of it."""
    place = Place(tmp_path)
    process = place.start_demo("--payments", "60", "--seed", "7")
    assert grown(process, place.log, 2_000)
    seen = []
    while process.poll() is None:
        seen.append(verify(place.log))
    assert ended(process).code == 0
    assert {done.code for done in seen} == {0}, seen
    assert seen[0].told["records"] < verify(place.log).told["records"]


def test_for_people(finished: Original, capsys: pytest.CaptureFixture[str]) -> None:
    """The same in words."""
    assert run(["replay", "--verify", "--log", f"sqlite:{finished.log}"]) == 0
    said = capsys.readouterr().out
    assert f"{finished.told['events']:,} events" in said
    assert "decided again, byte for byte the same" in said


def test_no_log(verify: Verify, tmp_path: Path) -> None:
    """Nothing there, something else there, or a log that was never written to: a sentence each."""
    done = verify(tmp_path / "none.db")
    assert (done.code, "there is no log at" in complaint(done)) == (3, True)
    (tmp_path / "text.db").write_text("not a database, but long enough to have a header to read" * 20)
    assert "file is not a database" in found(verify(tmp_path / "text.db"))
    (tmp_path / "empty.db").touch()
    done = verify(tmp_path / "empty.db")
    assert (done.code, "is not a Tallystick log" in complaint(done)) == (2, True)
    EmbeddedLog(tmp_path / "fresh.db").close()
    assert "the log is empty" in found(verify(tmp_path / "fresh.db"))


# --- clumsy -------------------------------------------------------------------------------------------


@contextmanager
def vandal(log: Path) -> Iterator[sqlite3.Connection]:
    """Write access to a copy, past everything that guards it."""
    with closing(sqlite3.connect(log)) as db, db:
        yield db


def flipped(value: Any, random: Random) -> Any:
    """The value with one bit of one byte changed, of the same type."""
    if isinstance(value, int):
        return value ^ (1 << random.randrange(40))
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[random.randrange(len(data))] ^= 1 << random.randrange(7 if isinstance(value, str) else 8)
    return data.decode() if isinstance(value, str) else bytes(data)


RECORD = [
    ("record", column, topic)
    for column in ("id", "at", "value", "chain")
    for topic in ("payments.requests", "payments", "settlement.inbox", "network.replies", "bank.statements")
]
OTHERS = [
    ("position", "owner", ""),
    ("position", "topic", ""),
    ("position", "partition", ""),
    ("position", "next", ""),
    ("position", "sha256", ""),
    *(("state", column, owner) for column in ("owner", "body", "sha256") for owner in ("index/0", "bank/0")),
    ("about", "name", ""),
    ("about", "value", ""),
    ("about", "sha256", ""),
]


def rows_of(log: Path, table: str, which: str) -> list[tuple[Any, ...]]:
    """The rows of a table: of a record's topic, of a state's owner, or all."""
    rows = content(log)[table]
    if table == "record":
        first = _first_row(which)
        return [row for row in rows if first <= row[0] < first + (1 << 41)]
    return [row for row in rows if not which or row[0] == which]


def _first_row(topic: str) -> int:
    from streams.hosts.embedded import _base

    return _base(topic, 0)


@pytest.mark.parametrize(("table", "column", "which"), RECORD + OTHERS)
def test_a_flipped_bit_of_a_column(
    verify: Verify, finished: Original, tmp_path: Path, random: Random, table: str, column: str, which: str
) -> None:
    """Every column of every table is covered by something."""
    log = finished.copied(tmp_path)
    rows = rows_of(log, table, which)
    with vandal(log) as db:
        names = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        taken = {row[0] for row in content(log)[table]}
        while True:
            row = random.choice(rows)
            value = flipped(row[names.index(column)], random)
            if column not in ("id", "owner", "name") or value not in taken:
                break
        keys = names[:1] if table != "position" else names[:3]
        where = " AND ".join(f"{key} = ?" for key in keys)
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [value, *row[: len(keys)]])
    assert content(log) != finished.rows
    error = found(verify(log))
    if table == "record" and column != "id":
        assert f"{which}/0 at {row[0] - _first_row(which)}" in error
    elif table in ("position", "state"):
        assert "has been altered" in error or "is missing" in error


def raw_flips(
    verify: Verify, original: Original, path: Path, log: Path, random: Random, number: int
) -> dict[int, int]:
    """Flip so many bits of a file, one after the other; how often which exit code came."""
    data = path.read_bytes()
    codes: dict[int, int] = {}
    for _ in range(number):
        at, bit = random.randrange(len(data)), 1 << random.randrange(8)
        for leftover in log.parent.glob("*-shm"):
            leftover.unlink()
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        done = verify(log)
        codes[done.code] = codes.get(done.code, 0) + 1
        if done.code == 0:
            assert content(log) == original.rows, f"byte {at} ^ {bit} passed in silence"
        else:
            assert found(done), (at, bit)
        path.write_bytes(data)
    return codes


def test_flipped_bits_of_the_file(verify: Verify, finished: Original, tmp_path: Path, random: Random) -> None:
    """Anywhere in the pages of the file: found, or no row is another one."""
    log = finished.copied(tmp_path)
    codes = raw_flips(verify, finished, log, log, random, 70)
    assert set(codes) <= {0, 1}
    assert codes[1] > 30


def test_flipped_bits_of_the_write_ahead_file(
    verify: Verify, killed: Original, tmp_path: Path, random: Random
) -> None:
    """SQLite leaves out a damaged frame and all behind it, and what is left looks whole: found all the same."""
    log = killed.copied(tmp_path)
    ahead = log.with_name(f"{log.name}-wal")
    # What an older generation has left behind the last commit is read by nobody, nor is what was never committed: a
    # flip in it harms nobody.
    data, frame = ahead.read_bytes(), frame_bytes(ahead)
    ends = [32 + number * frame for number in range(1, check_write_ahead(log) + 1)]
    committed = max(end for end in ends if any(data[end - frame + 4 : end - frame + 8]))
    ahead.write_bytes(data[:committed])
    assert raw_flips(verify, killed, ahead, log, random, 15) == {1: 15}


def test_a_writer_that_died_between_a_header_and_its_page(
    verify: Verify, killed: Original, tmp_path: Path
) -> None:
    """In a file that is used again an older page stands there then. Nothing was committed by it, and nothing is lost;
    but where the frame ends a transaction, or others stand behind it, committed rounds may be."""
    log = killed.copied(tmp_path)
    ahead = log.with_name(f"{log.name}-wal")
    data, frame = ahead.read_bytes(), frame_bytes(ahead)
    whole = data[: 32 + check_write_ahead(log) * frame]
    number = check_write_ahead(log)
    for pages, behind, code in ((0, b"", 0), (7, b"", 1), (0, whole[-frame:], 1)):
        torn = b"\0\0\0\2" + pages.to_bytes(4, "big") + data[16:24] + bytes(8) + bytes(frame - 24)
        ahead.write_bytes(whole + torn + behind)
        done = verify(log)
        assert done.code == code
        if code:
            assert f"frame {number} does not have the check" in found(done)


def frame_bytes(ahead: Path) -> int:
    """How long a frame is: its header, and a page."""
    return 24 + int.from_bytes(ahead.read_bytes()[8:12], "big")


def test_flipped_bits_of_headers(verify: Verify, finished: Original, tmp_path: Path, random: Random) -> None:
    """Where a byte weighs most: the file's header and schema."""
    log = finished.copied(tmp_path)
    data = log.read_bytes()
    schema = data.index(b"CREATE TABLE")
    for at in [*random.sample(range(100), 12), *random.sample(range(schema, 4_096), 12)]:
        log.write_bytes(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
        for leftover in log.parent.glob("*-shm"):
            leftover.unlink()
        done = verify(log)
        assert done.code == 1 or (done.code == 0 and content(log) == finished.rows), (at, done)


def test_a_file_that_is_cut_off(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """Half of a log is none."""
    log = finished.copied(tmp_path)
    size = log.stat().st_size
    for length in (size // 2, size - 4_096, 5_000, 100):
        os.truncate(log, length)
        found(verify(log))


# --- with a plan --------------------------------------------------------------------------------------

TOPICS = (
    *LOGS,
    "intake.inbox",
    "payments.inbox",
    "settlement.inbox",
    "reconciliation.inbox",
    "risk.signals",
    "risk.hotlist",
    "payments.requests",
    "network.replies",
    "network.notices",
    "bank.statements",
    "reference",
    "dead-letters",
)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_last_record_deleted(verify: Verify, finished: Original, tmp_path: Path, topic: str) -> None:
    """The chain holds without it; what others know of it does not."""
    log = finished.copied(tmp_path)
    with vandal(log) as db:
        db.execute("DELETE FROM record WHERE id = ?", [rows_of(log, "record", topic)[-1][0]])
    error = found(verify(log))
    assert topic in error or topic in LOGS, error


@pytest.mark.parametrize("topic", TOPICS)
def test_a_record_inserted(verify: Verify, finished: Original, tmp_path: Path, topic: str) -> None:
    """The last record once more, well chained."""
    log = finished.copied(tmp_path)
    last, at, value, chain = rows_of(log, "record", topic)[-1]
    with vandal(log) as db:
        row = (last + 1, at, value, link(chain, at, value))
        db.execute("INSERT INTO record VALUES (?, ?, ?, ?)", row)
    # What nobody has read yet may stand at the end of what comes from outside.
    outside = ("payments.requests", "network.replies", "network.notices", "bank.statements", "reference")
    done = verify(log)
    assert done.code == 0 if topic in outside else found(done)


def test_two_records_swapped(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """With or without their chain values."""
    for whole in (True, False):
        log = finished.copied(tmp_path)
        (first, *one), (second, *other) = rows_of(log, "record", "payments")[40:42]
        with vandal(log) as db:
            columns = "at = ?, value = ?, chain = ?" if whole else "at = ?, value = ?"
            for row, values in ((first, other), (second, one)):
                db.execute(f"UPDATE record SET {columns} WHERE id = ?", [*values[: 3 if whole else 2], row])
        assert "payments/0 at 40: chain is" in found(verify(log))


@pytest.mark.parametrize("owner", ["index/0", "network/0", "adapter/0", "bank/0"])
def test_what_an_owner_keeps_deleted(verify: Verify, finished: Original, tmp_path: Path, owner: str) -> None:
    """A position that is missing, or a state that is missing beside one."""
    for table in ("position", "state"):
        log = finished.copied(tmp_path)
        with vandal(log) as db:
            db.execute(f"DELETE FROM {table} WHERE owner = ?", [owner])
        done = verify(log)
        # A snapshot may be missing: the log is folded from its beginning instead.
        if (table, owner) == ("state", "index/0"):
            assert done.code == 0
        elif (table, owner[:5]) == ("position", "index") or table == "state":
            assert owner in found(done)


# --- careful ------------------------------------------------------------------------------------------


def forge(log: Path, topic: str, offset: int, value: bytes) -> None:
    """Put another value into a record and compute every chain value behind it again."""
    rows = rows_of(log, "record", topic)
    chain = rows[offset - 1][3] if offset else GENESIS
    with vandal(log) as db:
        for number, (row, at, old, _) in enumerate(rows[offset:], offset):
            new = value if number == offset else old
            chain = link(chain, at, new)
            db.execute("UPDATE record SET value = ?, chain = ? WHERE id = ?", [new, chain, row])


def first_event(log: Path, topic: str, kind: type[Event]) -> tuple[int, Recorded]:
    """Where the first event of a kind stands, and what it says."""
    for offset, (_, _, value, _) in enumerate(rows_of(log, "record", topic)):
        recorded = decode_event(value)
        if isinstance(recorded.body, kind):
            return offset, recorded
    raise AssertionError(f"{topic} has no {kind.__name__}")


def with_body(recorded: Recorded, **changes: Any) -> bytes:
    """The event with other fields."""
    return encode_event(Recorded(recorded.meta, msgspec.structs.replace(recorded.body, **changes)))


def test_a_decision_forged(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """Only deciding again tells: place, field and both values."""
    log = finished.copied(tmp_path)
    offset, recorded = first_event(log, "payments", PaymentAuthorized)
    assert isinstance(recorded.body, PaymentAuthorized)
    amount = recorded.body.approved_amount
    forge(log, "payments", offset, with_body(recorded, approved_amount=amount + 1))
    done = verify(log)
    place, field = f"payments/0 at {offset}", "PaymentAuthorized.body.approved_amount"
    assert found(done) == f"{place}: {field} was recorded as {amount + 1}, is decided as {amount}"
    told = done.told
    assert (told["place"], told["field"]) == (place, field)
    assert (told["recorded"], told["decided"]) == (str(amount + 1), str(amount))


def test_an_input_forged_in_the_log(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """Something that no decision depends on, altered where it was recorded: its source says otherwise."""
    log = finished.copied(tmp_path)
    offset, recorded = first_event(log, "intake", RequestReceived)
    assert isinstance(recorded.body, RequestReceived)
    request = msgspec.structs.replace(recorded.body.request, producer="somebody else")
    forge(log, "intake", offset, with_body(recorded, request=request))
    error = found(verify(log))
    assert error.startswith(f"intake/0 at {offset}: body.request was recorded as")
    assert "payments.requests/0" in error


def test_an_input_forged_at_its_source(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """An answer of a network, altered after it was taken."""
    log = finished.copied(tmp_path)
    rows = rows_of(log, "record", "network.replies")
    offset, handover, fact = next(
        (offset, message, message.fact)
        for offset, (_, _, value, _) in enumerate(rows)
        if isinstance(message := decode_message(value), Handover)
        and isinstance(message.fact, NetworkReplyReceived)
    )
    forged = msgspec.structs.replace(handover, fact=msgspec.structs.replace(fact, response_code="05"))
    forge(log, "network.replies", offset, encode_message(forged))
    assert f"network.replies/0 at {offset}, its source" in found(verify(log))


def test_a_hand_over_forged(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """What stands in an inbox is what the sender's log hands over."""
    log = finished.copied(tmp_path)
    rows = rows_of(log, "record", "settlement.inbox")
    offset, handover = next(
        (offset, message)
        for offset, (_, _, value, _) in enumerate(rows)
        if isinstance(message := decode_message(value), Handover)
    )
    forged = msgspec.structs.replace(handover, simulated=not handover.simulated)
    forge(log, "settlement.inbox", offset, encode_message(forged))
    assert "settlement.inbox/0" in found(verify(log))


def test_a_dead_letter_forged(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """The log knows the hash of what was sealed."""
    log = finished.copied(tmp_path)
    letter = decode_message(rows_of(log, "record", "dead-letters")[0][2])
    assert isinstance(letter, DeadLetter)
    _, recorded = first_event(log, "intake", EventDeadLettered)
    assert isinstance(recorded.body, EventDeadLettered)
    assert recorded.body.sealed_sha256 == sha256(letter.sealed).hexdigest()
    forged = msgspec.structs.replace(letter, sealed=letter.sealed[:-1] + b"!")
    forge(log, "dead-letters", 0, encode_message(forged))
    assert "dead letter of payments.requests/0" in found(verify(log))


def test_bytes_that_are_no_event(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """Well chained, and nothing."""
    for topic in ("payments", "payments.inbox", "network.notices", "dead-letters", "intake"):
        log = finished.copied(tmp_path)
        forge(log, topic, 0, b"\x00\x00\x00\x00\x01nothing")
        assert f"{topic}/0" in found(verify(log))


def test_a_position_forged(verify: Verify, finished: Original, tmp_path: Path) -> None:
    """With its hash computed again it disagrees with the log."""
    log = EmbeddedLog(finished.copied(tmp_path))
    where = ("payments.inbox", 0)
    log.commit("index/0", [], {where: log.positions("index/0")[where] - 1})
    log.close()
    assert "index/0 has read payments.inbox/0 up to" in found(verify(log.path))


def test_the_job_on_a_damaged_log(finished: Original, tmp_path: Path) -> None:
    """It goes on from nothing that is not what was decided: exit code 1 and a sentence."""
    place = Place(tmp_path)
    shutil.copytree(finished.log.parent, tmp_path, dirs_exist_ok=True)
    offset, recorded = first_event(place.log, "payments", PaymentAuthorized)
    with vandal(place.log) as db:
        db.execute("DELETE FROM state WHERE owner = 'index/0'")
        value = with_body(recorded, avs_result="?")
        row = rows_of(place.log, "record", "payments")[offset][0]
        db.execute("UPDATE record SET value = ? WHERE id = ?", [value, row])
    done = place.demo("--input", str(finished.log.parent / "day.avro"), "--seed", "7")
    assert done.code == 1
    assert f"payments/0 at {offset}: PaymentAuthorized.body.avs_result" in complaint(done)
