"""The adapter's journal: what it was told is there after a death, and nobody else writes it meanwhile."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from events.errors import Refused, Unavailable
from streams.edge.journal import Journal, Kept, Sent

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = Sent(1, 10, b"one"), Sent(1, 12, b"two")
LINE = Kept(13, 12, b"c" * 32, b"state")


def test_what_was_sent_stands_there_until_it_is_answered(tmp_path: Path) -> None:
    """With how far its partition has come, in one write."""
    with closing(Journal(tmp_path)) as journal:
        journal.write([SECOND, FIRST], [], [(1, LINE)])
        name = journal.name
    with closing(Journal(tmp_path)) as journal:
        assert journal.name == name
        assert journal.sent(1) == [FIRST, SECOND]
        assert journal.line(1) == LINE
        assert (journal.sent(0), journal.line(0)) == ([], None)
        journal.write([], [(1, 10)], [])
        assert journal.sent(1) == [SECOND]
        assert journal.line(1) == LINE


def test_a_partition_that_somebody_else_has_had_is_forgotten(tmp_path: Path) -> None:
    """And no other."""
    with closing(Journal(tmp_path)) as journal:
        journal.write([FIRST, Sent(2, 10, b"other")], [], [(1, LINE), (2, LINE)])
        journal.forget(1)
        assert (journal.sent(1), journal.line(1)) == ([], None)
        assert (journal.sent(2), journal.line(2)) == ([Sent(2, 10, b"other")], LINE)


def test_a_new_journal_has_another_name(tmp_path: Path) -> None:
    """So that what is lost with the old one is known to be lost."""
    with closing(Journal(tmp_path / "one")) as one, closing(Journal(tmp_path / "two")) as two:
        assert one.name != two.name


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """Another process is told so; when the first has been killed it may."""
    code = (
        "import sys; from pathlib import Path; from streams.edge.journal import Journal;"
        " held = Journal(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match="another adapter has the journal"):
            Journal(tmp_path)
        holder.kill()
        holder.wait()
    Journal(tmp_path).close()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Before anything is sent."""
    (tmp_path / "adapter.journal").write_bytes(b"something else" * 100)
    with pytest.raises(Refused, match="is not a journal"):
        Journal(tmp_path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """In one sentence."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be had"):
        Journal(tmp_path / "taken" / "state")
