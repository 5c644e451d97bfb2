"""The shell of ``tallystick query``, and the schema that it and ``--schema`` show, on both databases."""

import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.shell import HISTORY_LINES, completer, history_file, split
from tests.infra.asking import Tallystick
from tests.patience import PATIENCE_SECONDS
from tests.projections.stores import DuckStores, day

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "statements", "rest"),
    [
        ("SELECT 1;", ["SELECT 1"], ""),
        ("SELECT 1; SELECT 2;\n", ["SELECT 1", "SELECT 2"], "\n"),
        ("SELECT\n1\n", [], "SELECT\n1\n"),
        (";; SELECT 1 ;;", ["SELECT 1"], ""),
        ("SELECT ';', \"a;b\" ;", ["SELECT ';', \"a;b\""], ""),
        ("SELECT 'it''s; ' ; x", ["SELECT 'it''s; '"], " x"),
        ("SELECT 'open;", [], "SELECT 'open;"),
        ("SELECT 1 -- one; two\n;", ["SELECT 1 -- one; two"], ""),
        ("SELECT 1 -- one;", [], "SELECT 1 -- one;"),
        ("/* a; */ SELECT 1;", ["/* a; */ SELECT 1"], ""),
        ("/* a;", [], "/* a;"),
        ("-- nothing;\n;", [], ""),
        ("SELECT $$a;b$$, $x$;$$;$x$;", ["SELECT $$a;b$$, $x$;$$;$x$"], ""),
        ("SELECT $1;", ["SELECT $1"], ""),
        (r"SELECT E'it\'s;';", [r"SELECT E'it\'s;'"], ""),
        ("SELECT DATE'2026-03-02';", ["SELECT DATE'2026-03-02'"], ""),
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_is_quoted(
    text: str, statements: list[str], rest: str
) -> None:
    """In texts, names and remarks it is a character like any other; what is still open goes on."""
    assert (statements, rest) == split(text)


def test_statements_come_in_through_a_pipe(ask: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is answered; the last needs no semicolon, and commands of the shell work as well."""
    script = "SELECT count(*) AS n\nFROM payments;\n\n-- and another\nSELECT ';' AS text; \\d\n\\x\nSELECT 2 AS two\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(script.replace("; \\d", ";\n\\d payouts")))
    answer = ask("query")
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines() if line.strip()]
    assert lines[:4] == [["n"], ["12"], ["text"], [";"]]
    assert ["payout_id", "TEXT", "payout", "id"] in lines
    assert lines[-2:] == [["-[", "1", "]-"], ["two", "2"]]
    assert answer.err.count("1 row; ") == 3


def test_a_script_ends_at_what_is_wrong(ask: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exit code and the sentence of a single statement; nothing behind it is run."""
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one;\nDROP TABLE x;\nSELECT 2 AS two;\n"))
    answer = ask("query", "--format", "csv")
    assert (answer.code, answer.out) == (2, "one\n1\n")
    assert "read-only: DROP is not possible" in answer.err


def test_one_file_holds_one_answer(ask: Tallystick, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A second one would go over the first."""
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 AS one;\nSELECT 2 AS two;\n"))
    answer = ask("query", "--format", "csv", "--out", "x.csv")
    assert answer.code == 2
    assert "give one statement with --out" in answer.err
    assert (tmp_path / "x.csv").read_text() == "one\n1\n"


def test_json_is_one_object_with_its_freshness(ask: Tallystick) -> None:
    """Rows, and how much of which log stands behind them; the log is not there, so nothing is said of it."""
    told = ask("query", "SELECT 1 AS one WHERE FALSE", "--json").told
    assert told["rows"] == []
    fresh = told["freshness"]
    assert fresh["up_to"] == "2026-03-02T11:00:00Z"
    assert fresh["behind"] is None
    assert fresh["positions"].keys() == {
        f"{log}/{partition}"
        for log in ("intake", "payments", "velocity", "settlement", "reconciliation")
        for partition in (0, 1)
    }
    assert fresh["events"] == sum(fresh["positions"].values())
    [counted] = ask("query", "SELECT count(*) AS n FROM events", "--json").told["rows"]
    assert counted["n"] == fresh["events"]


# --- the schema ---------------------------------------------------------------------------------------


def test_the_schema_says_what_every_column_is(ask: Tallystick) -> None:
    """Names, types and words of everything, and of one where one is named; a likely name where none is."""
    told = ask("query", "--schema", "--json").told
    assert {"payments", "ledger_entries", "merchant_totals", "freshness"} <= {held["name"] for held in told}
    assert all(column["comment"] for held in told for column in held["columns"])
    [one] = ask("query", "--schema", "merchant_totals", "--json").told
    assert one == next(held for held in told if held["name"] == "merchant_totals")
    shown = ask("query", "--schema", "merchant_totals").shown
    assert ["pending", "BIGINT", "owed", "to"] in [line.split()[:4] for line in shown.splitlines()]
    assert "captured = refunded + disputed + fees + pending" in shown
    answer = ask("query", "--schema", "merchant_total")
    assert (answer.code, answer.out) == (2, "")
    assert "did you mean merchant_totals" in answer.err


# --- on a terminal ------------------------------------------------------------------------------------


class Terminal:
    """`tallystick query` as a person sees it: line editing, prompts, keys."""

    def __init__(self, address: str, home: Path) -> None:
        master, slave = pty.openpty()
        settings = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "query", "--store", address],
            cwd=home,
            env={
                **settings,
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(home),
                "TERM": "dumb",
                "COLUMNS": "200",
                "NO_COLOR": "1",
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # So that Ctrl-C reaches it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._master = master
        self._seen = ""

    def until(self, text: str) -> str:
        """Everything up to a text; fails where the shell ends before it."""
        start = len(self._seen)
        while not self._seen.endswith(text, start):
            self._more()
        return self._seen[start:]

    def rest(self) -> str:
        """Everything up to the end."""
        start = len(self._seen)
        while True:
            try:
                self._more()
            except OSError:
                return self._seen[start:]

    def _more(self) -> None:
        # The end of a terminal is an error to read; a byte at a time, so that no prompt is run over.
        ready, _, _ = select.select([self._master], [], [], PATIENCE_SECONDS)
        assert ready, f"it says no more after {self._seen!r}"
        self._seen += os.read(self._master, 1).decode("latin-1")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C at a prompt, once the shell waits for keys.

        Python shows the prompt first, and waits for keys or a signal a moment later: a signal between the two is
        noticed at the next key only (``readline_until_enter_or_signal`` of CPython). A person would press it again.
        """
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while not self._sleeps():
            assert time.monotonic() < patience_ends, f"it does not wait for keys after {self._seen!r}"
            time.sleep(0.001)
        self.type("\x03")

    def _sleeps(self) -> bool:
        # The state follows the name, which is in brackets and may hold blanks.
        said = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        return said.rpartition(")")[2].split()[0] == "S"

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def store() -> Iterator[str]:
    """The store of a small day in a file."""
    with DuckStores().filled(day()) as made:
        path = Path(made.shown)
    yield f"duckdb:{path}"
    path.unlink()


def test_a_conversation(store: str, tmp_path: Path) -> None:
    """Statements over several lines, errors, a line taken back, completion, and an end; the next one remembers."""
    with Terminal(store, tmp_path) as terminal:
        assert "up to 2026-03-02T11:00:00Z" in terminal.until("=> ")
        terminal.type("SELECT count(*) AS n\n")
        terminal.until("-> ")
        terminal.type("FROM payments;\n")
        assert "12" in terminal.until("=> ")
        terminal.type("SELECT nothing;\n")
        assert '"nothing" was not found' in terminal.until("=> ")
        terminal.type("SELECT 'never\n")
        terminal.until("-> ")
        terminal.interrupt()
        terminal.until("=> ")
        terminal.type("\\nonsense\n")
        assert "there is no command" in terminal.until("=> ")
        terminal.type("\\d merchant_to\t\n")
        assert "pending" in terminal.until("=> ")
        terminal.type("\\?\n")
        assert "Ctrl-D" in terminal.until("=> ")
        terminal.type("\\q\n")
        terminal.rest()
        assert terminal.wait() == 0
    history = history_file_of(tmp_path)
    assert "FROM payments;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
    with Terminal(store, tmp_path) as again:
        again.until("=> ")
        again.type("\x10\x10\x10")
        again.until("merchant_totals")
        again.type("\n")
        again.until("=> ")
        again.type("\x04")
        again.rest()
        assert again.wait() == 0


def history_file_of(home: Path) -> Path:
    """Where the history is, given where state is kept."""
    return home / "tallystick" / "query_history"


def test_the_store_is_free_between_two_statements(store: str, tmp_path: Path) -> None:
    """A shell that is left open keeps no projector out, and shows what came in meanwhile."""
    with Terminal(store, tmp_path) as terminal:
        terminal.until("=> ")
        with DuckStores().filled(day(sales=0)) as other:
            pass
        Path(other.shown).replace(store.removeprefix("duckdb:"))
        terminal.type("SELECT count(*) || ' payments' AS n FROM payments;\n")
        assert "\r\n0 payments" in terminal.until("=> ")
        terminal.type("\x04")
        terminal.rest()
        assert terminal.wait() == 0


def test_a_word_is_completed_from_what_there_is() -> None:
    """Tables, columns and SQL, whatever their case; asked for once."""
    asked = []

    def words() -> list[str]:
        asked.append(1)
        return ["merchant_facts", "merchant_totals", "was_unknown"]

    complete = completer(words)
    found = [complete("mErch", number) for number in range(3)]
    assert found == ["merchant_facts", "merchant_totals", None]
    assert complete("sel", 0) == "SELECT"
    assert asked == [1]


def test_history_is_kept_where_state_belongs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the convention of the desktop, or in its default place; bounded."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == history_file_of(tmp_path)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local" / "state" / "tallystick" / "query_history"
    assert HISTORY_LINES > 0
