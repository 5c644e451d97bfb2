"""Clearing files on the command line: listed from the store, made again from the log, and compared."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from events.clearing import ClearingRecordCreated
from events.clearingfiles import ClearingFileAccepted
from events.envelope import Recorded
from events.partitions import LogOpened
from events.wire import decode_event, encode_event
from infra.clearingfiles import find
from infra.commandline import run
from streams.edge.clearingfile import ClearingFile, read
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.log import Append
from tests.infra.asking import Tallystick
from tests.streams.builders_early import changed


def test_every_file_of_a_day_is_listed_and_is_what_its_records_make(
    ask_simulated: Tallystick, simulated_log: Path
) -> None:
    """Each by its own hash; together they hold every record that ever left, once."""
    told = ask_simulated("clearing", "files", "list", "--limit", "10000", "--json").told
    assert told["total"] == len(told["files"]) > 10
    assert all(row["status"] == "accepted" and row["agrees"] for row in told["files"])
    held: list[str] = []
    with closing(EmbeddedLog(simulated_log, read_only=True)) as log:
        for row in told["files"]:
            found = find(log, row["file_id"])
            assert found.accepted is not None
            content = found.content(found.accepted.attempt)
            assert row["sha256"] == sha256(content).hexdigest()
            file = read(content, row["network"])
            assert isinstance(file, ClearingFile)
            held += [one.record_id for one in file.records]
        left = [
            body.record_id
            for stored in log.read("payments", 0, 0, 1_000_000)
            if isinstance(body := decode_event(stored.value).body, ClearingRecordCreated)
        ]
    assert sorted(left) == sorted(held)


def test_a_file_is_shown_as_it_left(ask_simulated: Tallystick, tmp_path: Path) -> None:
    """On the standard output, or in a file; with its hash beside it."""
    row = ask_simulated("clearing", "files", "list", "--network", "visa", "--json").told["files"][0]
    shown = ask_simulated("clearing", "files", "show", row["file_id"])
    assert shown.out.startswith(f"FH|TALLYSTICK-CLEARING-1|{row['file_id']}|visa|")
    assert row["sha256"] == sha256(shown.out.encode()).hexdigest()
    assert f"SHA-256 {row['sha256']}: the same bytes" in shown.err
    ask_simulated("clearing", "files", "show", row["file_id"], "--out", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == shown.out
    told = ask_simulated("clearing", "files", "show", row["file_id"], "--json").told
    assert (told["agrees"], told["lines"]) == (True, shown.out.splitlines())


def test_what_is_not_there_is_said(ask_simulated: Tallystick) -> None:
    """A file that nobody sent, and an attempt that was not needed."""
    assert "the log knows no clearing file visa-1" in ask_simulated("clearing", "files", "show", "visa-1").err
    row = ask_simulated("clearing", "files", "list", "--json").told["files"][0]
    said = ask_simulated("clearing", "files", "show", row["file_id"], "--attempt", "9")
    assert "has left with the attempts 1" in said.err
    assert "no such clearing files" in ask_simulated("clearing", "files", "list", "--network", "nobody").out


def altered(path: Path, simulated_log: Path) -> str:
    """A log in which one record of a file has another merchant; the file's name."""
    with closing(EmbeddedLog(simulated_log, read_only=True)) as log:
        records = [decode_event(one.value) for one in log.read("payments", 0, 0, 1_000_000)]
    taken = next(one.body for one in records if isinstance(one.body, ClearingFileAccepted))
    (batch, *_) = taken.batches
    number = next(
        number
        for number, one in enumerate(records)
        if isinstance(one.body, ClearingRecordCreated) and one.body.batch_id == batch.batch_id
    )
    one = records[number]
    records[number] = Recorded(one.meta, changed(one.body, merchant="another"))
    opened = next(one for one in records if isinstance(one.body, LogOpened))
    with closing(EmbeddedLog(path)) as log:
        log.commit(
            "test",
            [
                Append("intake", 0, 1, encode_event(opened)),
                *(Append("payments", 0, 1, encode_event(one)) for one in records),
            ],
            {},
        )
    return taken.file_id


def test_a_file_with_other_bytes_than_its_records_make_ends_with_1(
    tmp_path: Path, simulated_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One name in one record is enough."""
    name = altered(tmp_path / "log.db", simulated_log)
    code = run(["clearing", "files", "show", name, "--log", f"sqlite:{tmp_path / 'log.db'}"])
    said = capsys.readouterr()
    assert code == 1
    assert "not what the records make" in said.err
    assert "was accepted with other bytes than its records in the log make" in said.err
