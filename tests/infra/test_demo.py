"""`tallystick demo`: one JSON object, the same digests however a run is cut up, and a sentence for what cannot be."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.errors import Unavailable
from events.requests import InputRow, PaymentRequest, ReferencePublished
from infra import projecting
from infra.commandline import run
from infra.job import Job, Stage
from infra.job import run as run_job
from infra.stores import in_file
from projections.duck import DuckStore
from streams.edge.inputs import read_rows, write_rows
from streams.edge.simulate import write_day
from streams.hosts.embedded import EmbeddedLog
from tests.infra.runs import ROOT, Done, Place, complaint, content, copy

PAYMENTS, SEED = 60, 5
ARGUMENTS = ("--payments", str(PAYMENTS), "--seed", str(SEED))
KEYS = {
    "payments",
    "authorized",
    "declined",
    "unknown",
    "reversed",
    "captured",
    "refunded",
    "settled",
    "paid_out",
    "events",
    "ledger_imbalance",
    "open_clearing_residuals",
    "money_unplaced",
    "discrepancies",
    "duplicates_absorbed",
    "dead_letters",
    "seconds",
    "payments_per_second",
    "latency_ms",
    "state_digest",
    "ledger_digest",
    "amounts",
}
DAY = 86_400_000_000


class Finished:
    """A place where a run has ended, and what it said."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.done = place.demo(*ARGUMENTS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    made = Finished(Place(tmp_path_factory.mktemp("finished")))
    assert made.done.code == 0, made.done.err
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def again(finished: Finished, place: Place) -> Place:
    """A copy of the finished place, to be spoiled."""
    copy(finished.place, place)
    return place


Demo = Callable[..., Done]


@pytest.fixture
def demo(capfd: pytest.CaptureFixture[str]) -> Demo:
    """``tallystick demo --json`` in this process; what its projector says is caught too."""

    def run_here(place: Place, *arguments: str) -> Done:
        capfd.readouterr()
        code = run(["demo", "--json", *arguments, *place.options])
        return Done(code, *capfd.readouterr())

    return run_here


# --- what it says -------------------------------------------------------------------------------------


def test_one_json_object_on_stdout(finished: Finished) -> None:
    """All keys, whole amounts, and a silent stderr where there is no terminal."""
    done = finished.done
    assert (done.out.count("\n"), done.err) == (1, "")
    told = done.told
    assert set(told) >= KEYS
    assert told["payments"] == PAYMENTS
    assert told["authorized"] + told["declined"] + told["unknown"] >= PAYMENTS
    assert (told["ledger_imbalance"], told["open_clearing_residuals"], told["discrepancies"]) == (0, 0, 0)
    assert (told["resumed"], told["already_finished"]) == (False, False)
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    assert told["seconds"] > 0
    assert told["payments_per_second"] > 0
    assert all(len(told[name]) == 64 for name in ("state_digest", "ledger_digest"))


def test_every_cent_is_somewhere(finished: Finished) -> None:
    """Per currency, what was captured is what was given back, kept, owed and paid."""
    amounts = finished.done.told["amounts"]
    assert len(amounts) > 1
    parts = ("refunded", "disputed", "fees", "pending", "available", "reserve", "paid_out")
    for currency, sums in amounts.items():
        assert all(isinstance(amount, int) for amount in sums.values())
        assert sums["captured"] == sum(sums[part] for part in parts), currency
        assert sums["pending"] == 0, currency


@pytest.mark.parametrize(
    "cut",
    [
        ("--batch", "1"),
        ("--batch", "7"),
        ("--batch", "500"),
        ("--batch", "5000"),
        ("--partitions", "4"),
    ],
    ids=" ".join,
)
def test_the_same_however_it_is_cut_up(
    finished: Finished, place: Place, demo: Demo, cut: tuple[str, ...]
) -> None:
    """Digests, counts and amounts are a function of input and seed."""
    done = demo(place, *ARGUMENTS, *cut)
    assert done.code == 0, done.err
    assert done.outcome == finished.done.outcome


def test_another_seed_is_another_day(finished: Finished, place: Place, demo: Demo) -> None:
    """The digests can differ."""
    told = demo(place, "--payments", str(PAYMENTS), "--seed", str(SEED + 1)).told
    before = finished.done.told
    assert told["payments"] == before["payments"]
    assert told["state_digest"] != before["state_digest"]
    assert told["ledger_digest"] != before["ledger_digest"]


def test_another_seed_for_the_same_input(finished: Finished, place: Place, demo: Demo) -> None:
    """The seed is the chance of networks and bank too."""
    day = place.folder / "day.avro"
    write_day(day, PAYMENTS, SEED)
    assert demo(place, "--input", str(day), "--seed", str(SEED)).outcome == finished.done.outcome
    other = demo(place, "--input", str(day), "--seed", "77", "--fresh")
    assert other.told["state_digest"] != finished.done.told["state_digest"]


def test_for_people(again: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What happened, where the money is, whether the books agree, where to look next."""
    assert run(["demo", *ARGUMENTS, *again.options]) == 0
    said, remarks = capsys.readouterr()
    assert remarks == ""
    for words in (
        "finished before",
        "What happened to the payments",
        "Where the merchants' money is",
        "Do the books agree",
        "tallystick replay --verify",
        "simulated",
    ):
        assert words in said


@pytest.mark.parametrize("figure", ["open_clearing_residuals", "money_unplaced", "ledger_imbalance"])
def test_books_that_do_not_agree(
    again: Place, monkeypatch: pytest.MonkeyPatch, demo: Demo, figure: str
) -> None:
    """Exit code 1, and the figures all the same."""
    from projections import report

    counts = report.counts
    monkeypatch.setattr(report, "counts", lambda db: msgspec.structs.replace(counts(db), **{figure: 1}))
    done = demo(again, *ARGUMENTS)
    assert (done.code, done.told[figure]) == (1, 1)


def test_the_job_tells_what_it_does(place: Place) -> None:
    """Whoever draws a bar hears the stages, and each comes to its end."""
    seen: dict[str, Stage] = {}
    job = Job(5, SEED, None, place.log, in_file(place.store))
    run_job(job, lambda stage: seen.__setitem__(stage.name, stage))
    assert list(seen) == ["simulating", "reading the input", "deciding", "projecting"]
    assert all(seen[name].done == seen[name].of > 0 for name in ("deciding", "projecting"))


def test_bars_on_a_terminal(place: Place) -> None:
    """They are drawn on stderr alone, where that is a terminal; the answer on stdout is the same."""
    place.folder.mkdir()
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "infra.cli", "demo", "--payments", "5", *place.options]
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(
            command, cwd=place.folder, env=settings, stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        drawn = bytearray()
        # At the end of the last process that has it, a terminal is read with an error.
        with suppress(OSError):
            while block := screen.read(4_096):
                drawn += block
        out, _ = process.communicate()
    assert process.returncode == 0
    assert b"deciding" in drawn
    assert b"projecting" in drawn
    assert b"What happened to the payments" in out
    assert b"deciding" not in out


# --- going on -----------------------------------------------------------------------------------------


def test_a_finished_log_is_left_alone(finished: Finished, again: Place, demo: Demo) -> None:
    """It says so, reports the same, and writes nothing."""
    before = content(again.log)
    done = demo(again, *ARGUMENTS)
    assert done.code == 0
    assert (done.told["already_finished"], done.told["resumed"]) == (True, True)
    assert done.told["latency_ms"] == {"p50": None, "p99": None}
    assert done.outcome == finished.done.outcome
    assert content(again.log) == before


def test_other_partitions_are_refused(again: Place, demo: Demo) -> None:
    """They are fixed for a log's life."""
    assert "opened with partitions 1, not 4" in refused(demo, again, *ARGUMENTS, "--partitions", "4")


def test_another_input_is_refused(again: Place, demo: Demo) -> None:
    """Another number of payments, another seed, another file: what differs is named."""
    assert "opened with input_sha256" in refused(demo, again, "--payments", "61", "--seed", str(SEED))
    assert "opened with input_sha256" in refused(demo, again, "--payments", str(PAYMENTS), "--seed", "6")
    day = again.folder / "input" / f"day-{PAYMENTS}-{SEED}.avro"
    assert f"opened with seed {SEED}, not 6" in refused(demo, again, "--input", str(day), "--seed", "6")
    rows = list(read_rows(day))
    write_rows(day, rows[:-1], "one less")
    assert "opened with input_sha256" in refused(demo, again, "--input", str(day), "--seed", str(SEED))


def test_other_keys_are_refused(again: Place, demo: Demo) -> None:
    """Keys that were lost are drawn anew, and are not the ones that the log knows."""
    shutil.rmtree(again.folder / "keys")
    assert "opened with keys" in refused(demo, again, *ARGUMENTS)


def refused(demo: Demo, place: Place, *arguments: str) -> str:
    """The sentence of a run that must not begin: it says what to do, and nothing is written."""
    before = content(place.log), place.store.read_bytes()
    done = demo(place, *arguments)
    assert done.code == 2
    sentence = complaint(done)
    assert "--fresh" in sentence
    assert (content(place.log), place.store.read_bytes()) == before
    return sentence


def test_fresh_begins_anew(finished: Finished, again: Place, demo: Demo) -> None:
    """What is there is removed, the simulated day included; keys stay."""
    keys = {path: path.read_bytes() for path in (again.folder / "keys").iterdir()}
    day = again.folder / "input" / f"day-{PAYMENTS}-{SEED}.avro"
    day.write_bytes(b"spoilt")
    done = demo(again, *ARGUMENTS, "--fresh")
    assert done.outcome == finished.done.outcome
    assert not done.told["resumed"]
    assert {path: path.read_bytes() for path in (again.folder / "keys").iterdir()} == keys


def test_a_store_that_is_gone_is_made_again(finished: Finished, again: Place, demo: Demo) -> None:
    """It holds nothing that the log does not say."""
    again.store.unlink()
    assert demo(again, *ARGUMENTS).outcome == finished.done.outcome


def test_a_simulated_day_that_is_gone_is_made_again(finished: Finished, again: Place, demo: Demo) -> None:
    """The same seed gives the same bytes, so the log goes on."""
    shutil.rmtree(again.folder / "input")
    assert demo(again, *ARGUMENTS).outcome == finished.done.outcome


def test_a_log_that_is_gone(finished: Finished, again: Place, demo: Demo) -> None:
    """A store that knows more than the log is not mixed with it; without both all is made again.

    The log that comes instead is a shorter one: one that is the same again would be the store's own by the time it is
    looked at, or not yet.
    """

    def lose(what: str) -> None:
        for path in again.folder.glob(what):
            path.unlink()

    lose("log.db*")
    done = demo(again, "--payments", "5", "--seed", str(SEED))
    assert done.code == 2
    assert "the store" in complaint(done)
    lose("log.db*")
    lose(again.store.name)
    assert demo(again, *ARGUMENTS).outcome == finished.done.outcome


def test_a_store_of_another_log(
    again: Place, tmp_path: Path, demo: Demo, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log is taken to its end, the store is left as it is."""
    other = Place(tmp_path / "other")
    assert demo(other, "--payments", "5", "--seed", "9").code == 0
    shutil.copy(other.store, again.store)
    done = demo(again, *ARGUMENTS)
    assert done.code == 2
    assert "the store was filled from another log" in complaint(done)
    assert run(["query", "FROM projection_positions", "--store", f"duckdb:{again.store}"]) == 0
    after = capfd.readouterr().out
    assert run(["query", "FROM projection_positions", "--store", f"duckdb:{other.store}"]) == 0
    assert after == capfd.readouterr().out


def test_a_store_that_somebody_has_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The projector of a job that was killed lets go soon; whoever does not is named after a while."""
    code = (
        "import sys; from projections.duck import DuckStore;"
        " held = DuckStore(sys.argv[1]); print('held', flush=True); input(); held.close()"
    )
    store = tmp_path / "store.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(store)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patch:
            patch.setattr(projecting, "_STORE_SECONDS", 0.0)
            with pytest.raises(Unavailable, match="in use by another process"):
                projecting._held(in_file(store), lambda: False)

        def let_go(_: float) -> None:
            assert holder.stdin is not None
            if not holder.stdin.closed:
                holder.stdin.close()
            holder.wait()

        monkeypatch.setattr("infra.projecting.time.sleep", let_go)
        projecting._held(in_file(store), lambda: False).close()


def test_whose_job_has_died_does_not_wait_for_the_store(tmp_path: Path) -> None:
    """It would take it when others have done with it, just when they ask for it."""
    log, store = tmp_path / "log.db", tmp_path / "store.duckdb"
    EmbeddedLog(log).close()
    holder = DuckStore(str(store))
    projector = subprocess.run(
        [sys.executable, "-m", "infra.projecting", f"sqlite:{log}", "1"],
        cwd=ROOT,
        env={**os.environ, "TALLYSTICK_STORE": f"duckdb:{store}"},
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    holder.close()
    assert (projector.returncode, projector.stderr) == (3, "")
    assert "nobody waits any more" in json.loads(projector.stdout)


# --- what cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "1025"])
def test_partitions_that_cannot_be(place: Place, demo: Demo, number: str) -> None:
    """Between one and the slots of cards."""
    done = demo(place, "--partitions", number)
    assert done.code == 2
    assert "between 1 and 1024 partitions" in complaint(done)


def test_a_place_that_cannot_be(again: Place, demo: Demo) -> None:
    """A file where a folder should be: under the log, under the store."""
    in_the_way = again.folder / "in-the-way"
    in_the_way.touch()
    nowhere = Place(in_the_way / "below")
    for more in ((), ("--fresh",)):
        done = demo(nowhere, *ARGUMENTS, *more)
        assert done.code == 3
        assert "in-the-way" in complaint(done)
    again.store = nowhere.store
    done = demo(again, *ARGUMENTS)
    assert done.code == 3
    assert "the store" in complaint(done)


def test_a_log_that_is_something_else(again: Place, demo: Demo) -> None:
    """Another program's database, and a text: neither is touched."""
    again.log.unlink()
    with sqlite3.connect(again.log) as db:
        db.execute("CREATE TABLE urls (url TEXT)")
    db.close()
    before = again.log.read_bytes()
    done = demo(again, *ARGUMENTS)
    assert (done.code, "another program's database" in complaint(done)) == (2, True)
    assert again.log.read_bytes() == before
    again.log.write_text("no database at all, however long one looks at it\n" * 100)
    before = again.log.read_bytes()
    done = demo(again, *ARGUMENTS)
    assert (done.code, "not a database" in complaint(done)) == (1, True)
    assert again.log.read_bytes() == before


def test_a_store_that_is_something_else(again: Place, demo: Demo) -> None:
    """It is left alone, and the log is not harmed."""
    again.store.write_text("dear diary")
    done = demo(again, *ARGUMENTS)
    assert (done.code, "is not a DuckDB file" in complaint(done)) == (2, True)
    assert again.store.read_text() == "dear diary"


def test_inputs_that_cannot_be_read(place: Place, tmp_path: Path, demo: Demo) -> None:
    """Missing, a folder, a text, cut off at any place: a sentence, and no log is begun."""
    day = tmp_path / "day.avro"
    write_day(day, 5, SEED)
    whole = day.read_bytes()

    def sentence(code: int, path: Path) -> str:
        done = demo(place, "--input", str(path))
        assert done.code == code, done
        assert not place.log.exists()
        return complaint(done)

    assert "cannot be read" in sentence(3, tmp_path / "none.avro")
    text = tmp_path / "text.avro"
    text.write_text("Obj, but not Avro")
    assert "is not an Avro container file" in sentence(2, text)
    for length in (0, 3, 10, len(whole) // 2, len(whole) - 1):
        text.write_bytes(whole[:length])
        assert "text.avro" in sentence(2, text)


def _later(row: InputRow, by: int) -> InputRow:
    return msgspec.structs.replace(row, ingested_at=row.ingested_at + by)


def _with(rows: list[InputRow], kind: type, **changes: Any) -> Iterable[InputRow]:
    place = next(place for place, row in enumerate(rows) if isinstance(row.entry, kind))
    entry = msgspec.structs.replace(rows[place].entry, **changes)
    return [*rows[:place], InputRow(rows[place].ingested_at, entry), *rows[place + 1 :]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows[::-1], "rows stand in the order of their stamps"),
        (lambda rows: [], "the input has no rows"),
        (lambda rows: [*rows, _later(rows[-1], 400 * DAY)], "more than 366 days after"),
        (lambda rows: rows[1:], "reference data of version 2 where 1 comes next"),
        (lambda rows: _with(rows, ReferencePublished, content="{"), "row 1:"),
    ],
    ids=["order", "empty", "gap", "version", "content"],
)
def test_rows_that_cannot_be_run(
    place: Place, tmp_path: Path, demo: Demo, spoil: Callable[[list[InputRow]], list[InputRow]], message: str
) -> None:
    """The row is named, and no log is begun."""
    day = tmp_path / "day.avro"
    write_day(day, 5, SEED)
    write_rows(day, spoil(list(read_rows(day))), "spoilt")
    done = demo(place, "--input", str(day))
    assert done.code == 2, done
    assert message in complaint(done)
    assert not place.log.exists()


def test_requests_that_make_no_sense(place: Place, tmp_path: Path, demo: Demo) -> None:
    """They are run, and refused with a reason that the log keeps."""
    day = tmp_path / "day.avro"
    write_day(day, 5, SEED)
    write_rows(day, _with(list(read_rows(day)), PaymentRequest, amount=-1), "spoilt")
    done = demo(place, "--input", str(day))
    assert done.code == 0, done.err
    assert done.told["requests_refused"] >= 1
    assert done.told["payments"] == 4
    assert done.told["refusals"]
