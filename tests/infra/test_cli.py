"""The command line as a stranger meets it: answers on stdout, one sentence on stderr, an exit code a script can use."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from events.authorization import AuthorizationOutcomeUnknown
from events.errors import Broken, LogDamaged, Refused, Unavailable, ValidationError
from infra.commandline import COMMANDS, exit_code_of, run
from projections.catalog import CATALOG
from projections.duck import DuckStore
from tests.projections.stores import DuckStores, day

HEAVY = ("faust", "aiokafka", "kurrentdbclient", "duckdb", "numpy", "fastavro", "lark", "rich")
ROOT = Path(__file__).resolve().parents[2]


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The store of a small day, closed."""
    with DuckStores().filled(day(2)) as made:
        path = made.shown
    yield f"duckdb:{path}"
    Path(path).unlink()


@pytest.fixture
def tallystick(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str
) -> "Tallystick":
    for variable in [name for name in os.environ if name.startswith("TALLYSTICK_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TALLYSTICK_STORE", store)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return Tallystick(capsys)


class Tallystick:
    """Runs the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Answer:
        code = run(list(arguments))
        captured = self._capsys.readouterr()
        return Answer(code, captured.out, captured.err)


# --- starting -----------------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    """`tallystick --help` answers at once: what talks to services or crunches columns stays unloaded."""
    code = (
        "import sys; from infra.commandline import run; code = run(['--help']);"
        f" print(code, sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == "0 []\n"
    for lazy in COMMANDS:
        assert f"  {lazy.name} " in done.stdout


def test_every_command_is_there_and_has_help(tallystick: Tallystick) -> None:
    """The table of commands names modules that exist, and each says what it is for."""
    for lazy in COMMANDS:
        assert find_spec(f"infra.commands.{lazy.module}") is not None, lazy.name
        answer = tallystick(lazy.name, "--help")
        assert (answer.code, answer.err) == (0, "")
        assert f"Usage: tallystick {lazy.name}" in answer.out


def test_version_says_what_runs(tallystick: Tallystick) -> None:
    """Compiled or interpreted: a stale build explains many a mystery."""
    answer = tallystick("--version")
    assert answer.code == 0
    assert answer.out.startswith("tallystick ")
    assert "(interpreted, Python 3." in answer.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tallystick: Tallystick, shell: str) -> None:
    """A shell can be taught the commands; the script asks us for words."""
    answer = tallystick("completion", shell)
    assert answer.code == 0
    assert "_TALLYSTICK_COMPLETE" in answer.out


def test_completion_knows_the_commands() -> None:
    """What the script asks for: words that begin as typed."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "_TALLYSTICK_COMPLETE": "bash_complete",
            "COMP_WORDS": "tallystick le",
            "COMP_CWORD": "1",
        },
    )
    assert done.stdout == "plain,ledger\n"


# --- going wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["query", "--nonsense"], 2, "No such option"),
        (["query", "SELECT statuss FROM payments"], 2, '"statuss" not found'),
        (["query", "DROP VIEW payments"], 2, "the projections are read-only: DROP is not possible"),
        (["query", "SELECT 1", "--format", "xml"], 2, "--format: 'xml' is none of table, csv, json, parquet"),
        (["query", "SELECT 1", "--format", "parquet"], 2, "say where with --out FILE"),
        (["query", "SELECT 1", "--out", "no/such/folder/x.csv"], 3, "no/such/folder/x.csv cannot be written"),
        (["query", "SELECT 1", "--store", "duckdb:nothing.duckdb"], 3, "there is no store at nothing.duckdb"),
        (
            ["query", "SELECT 1", "--store", "mysql://h/x"],
            2,
            "is not of the form duckdb:PATH or postgresql://",
        ),
        (["payment", "show", "pay-"], 2, "'pay-' is the beginning of more than one payment: pay-0000"),
        (["payment", "show", "nobody/nothing"], 2, "no payment is called 'nobody/nothing'"),
        (["merchant", "statement", "shop-7"], 2, "no merchant is called 'shop-7'; there are shop-0"),
        (["project", "rebuild", "everything"], 2, "there are the projections audit, ledger"),
        (["project", "rebuild", "--log", "sqlite:nothing.db"], 3, "there is no log at nothing.db"),
    ],
)
def test_errors_are_one_sentence(
    tallystick: Tallystick, arguments: list[str], code: int, complaint: str
) -> None:
    """What went wrong and what to do, on stderr; never a traceback, never half an answer."""
    answer = tallystick(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert complaint in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Broken("x"), 1),
        (LogDamaged("x"), 1),
        (Refused("x"), 2),
        (ValidationError("x", "y"), 2),
        (Unavailable("x"), 3),
    ],
)
def test_exit_codes_say_what_kind_of_error(error: Exception, code: int) -> None:
    """1 an invariant, 2 usage, 3 unavailable."""
    assert exit_code_of(error) == code  # type: ignore[arg-type]


def test_an_interruption_is_130(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells have it, so that a script can tell it from a failure."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.commands.query.reading", interrupt)
    answer = tallystick("query", "SELECT 1")
    assert (answer.code, answer.err.strip()) == (130, "tallystick: interrupted")


def test_a_store_in_use_says_who_has_it_and_what_to_do(tallystick: Tallystick, tmp_path: Path) -> None:
    """While the main job runs its store is its own."""
    path = tmp_path / "busy.duckdb"
    with DuckStore.open(path):
        done = subprocess.run(
            [sys.executable, "-m", "infra.cli", "query", "SELECT 1", "--store", f"duckdb:{path}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 3
    assert "is in use by another process" in done.stderr
    assert "wait until it has ended" in done.stderr
    assert done.stderr.count("\n") == 1
    assert tallystick("query", "SELECT 1", "--store", f"duckdb:{path}").code == 0


def test_a_reader_that_leaves_early_is_no_failure(store: str) -> None:
    """`tallystick query … | head -1` ends quietly."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "infra.cli",
            "query",
            "FROM range(2000000)",
            "--format",
            "csv",
            "--store",
            store,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


# --- asking -------------------------------------------------------------------------------------------

BY_STATUS = "SELECT status, count(*) AS payments FROM payments GROUP BY ALL ORDER BY ALL"


def test_query_prints_a_table_with_its_freshness(tallystick: Tallystick) -> None:
    """The answer on stdout; how many rows, and how fresh they are, on stderr."""
    answer = tallystick("query", BY_STATUS)
    assert answer.code == 0
    assert [line.split() for line in answer.out.splitlines()] == [
        ["status", "payments"],
        ["declined", "3"],
        ["paid_out", "6"],
        ["settled", "3"],
    ]
    assert answer.err.startswith("3 rows; ")
    assert "up to 2026-03-02T11:00:00Z" in answer.err


def test_query_has_no_colour_off_a_terminal(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor with NO_COLOR on one."""
    assert "\x1b" not in tallystick("query", BY_STATUS).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in tallystick("query", BY_STATUS).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in tallystick("query", BY_STATUS).out


def test_query_answers_csv_json_and_parquet(tallystick: Tallystick, tmp_path: Path) -> None:
    """The same rows in each form, on stdout or in a file."""
    expected = [("declined", 3), ("paid_out", 6), ("settled", 3)]
    answer = tallystick("query", BY_STATUS, "--format", "csv")
    assert [
        (row["status"], int(row["payments"])) for row in csv.DictReader(io.StringIO(answer.out))
    ] == expected
    assert answer.err == ""
    answer = tallystick("query", BY_STATUS, "--format", "json")
    assert [(row["status"], row["payments"]) for row in json.loads(answer.out)] == expected
    assert tallystick("query", BY_STATUS, "--format", "json", "--out", "x.json").out == ""
    assert [
        (row["status"], row["payments"]) for row in json.loads((tmp_path / "x.json").read_text())
    ] == expected
    assert tallystick("query", f"{BY_STATUS};", "--format", "parquet", "--out", "it's.parquet").code == 0
    with duckdb.connect() as db:
        assert db.execute("FROM read_parquet('it''s.parquet')").fetchall() == expected


def test_query_writes_every_type(tallystick: Tallystick) -> None:
    """Instants as ISO 8601 in UTC, bytes in hexadecimal, nothing as an empty field."""
    sql = "SELECT TIMESTAMP '2026-03-02 09:00:00' t, DATE '2026-03-02' d, '\\xAB'::BLOB b, NULL n, true y"
    assert (
        tallystick("query", sql, "--format", "csv").out
        == "t,d,b,n,y\n2026-03-02T09:00:00Z,2026-03-02,ab,,true\n"
    )
    assert json.loads(tallystick("query", sql, "--format", "json").out) == [
        {"t": "2026-03-02T09:00:00Z", "d": "2026-03-02", "b": "ab", "n": None, "y": True}
    ]
    assert json.loads(tallystick("query", "SELECT 1 WHERE false", "--format", "json").out) == []


def test_a_long_answer_is_cut_on_the_screen_alone(
    tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table shows what a person reads, and says how to have the rest; files have it all."""
    monkeypatch.setattr("infra.commands.query.SCREEN_ROWS", 10)
    monkeypatch.setattr("projections.reading.CHUNK_ROWS", 11)
    answer = tallystick("query", "FROM range(25)")
    assert len(answer.out.splitlines()) == 11
    assert answer.err.startswith("10 rows shown, there are more: --format csv gives all; ")
    assert len(tallystick("query", "FROM range(25)", "--format", "csv").out.splitlines()) == 26
    assert len(json.loads(tallystick("query", "FROM range(25)", "--format", "json").out)) == 25
    assert tallystick("query", "FROM range(10)").err.startswith("10 rows; ")


@pytest.mark.parametrize("stdin", [None, io.StringIO(" \n")])
def test_query_without_sql_lists_what_can_be_asked(
    tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    """A stranger's first question, where nobody types and nothing comes in."""
    monkeypatch.setattr("sys.stdin", stdin)
    answer = tallystick("query")
    assert answer.code == 0
    assert "merchant_totals" in answer.out
    assert "ledger_entries" in answer.out


def test_payment_show_tells_the_story(tallystick: Tallystick, store: str) -> None:
    """By id, by its beginning or by merchant and key: status, amounts, every event and what caused it."""
    answer = tallystick("payment", "show", "shop-1/order-1", "--json")
    told = json.loads(answer.out)
    assert told["payment"]["status"] == "paid_out"
    events = told["events"]
    assert [event["type"] for event in events][:4] == [
        "RequestReceived",
        "RequestAccepted",
        "PaymentRequested",
        "RiskAssessed",
    ]
    assert {"PaymentCaptured", "FundsMadeAvailable", "PayoutInitiated", "PayoutPaid"} <= {
        event["type"] for event in events
    }
    seen: set[str] = set()
    for event in events:
        caused_here = event["causation_id"] in {other["event_id"] for other in events}
        assert not caused_here or event["causation_id"] in seen
        seen.add(event["event_id"])
    name = told["payment"]["payment_id"]
    shown = tallystick("payment", "show", name[:12])
    assert shown.code == 0
    assert "10.01 EUR approved by visa, code A12345" in shown.out
    assert "card        41111111…1111 over visa" in shown.out
    assert "producers, networks and bank are simulators" in shown.out
    assert tallystick("payment", "show", name[4:12]).out == shown.out


def test_trial_balance_balances(tallystick: Tallystick) -> None:
    """Debits and credits are equal, in minor units for scripts and in words for people."""
    told = json.loads(tallystick("ledger", "trial-balance", "--json").out)
    assert told["imbalance"] == []
    assert sum(row["balance"] for row in told["accounts"]) == 0
    shown = tallystick("ledger", "trial-balance")
    total = next(line for line in shown.out.splitlines() if line.startswith("total"))
    assert total.split()[-2:] == ["0.00", "EUR"]
    assert total.split()[1] == total.split()[3]


def test_a_ledger_that_does_not_balance_fails(tallystick: Tallystick) -> None:
    """Exit code 1, with the amount."""
    with DuckStores().filled(day()) as made:
        made.connection.execute("UPDATE ledger_entries_v1 SET amount = amount + 199 WHERE rowid = 0")
    answer = tallystick("ledger", "trial-balance", "--store", f"duckdb:{made.shown}")
    assert answer.code == 1
    assert "the ledger does not balance: 1.99 EUR" in answer.err


def test_residuals_name_what_is_open(tallystick: Tallystick) -> None:
    """Account, item and amount; and a sentence where there is none."""
    answer = tallystick("ledger", "residuals")
    assert "liab:payout_in_transit" in answer.out
    with DuckStore.open("empty.duckdb"):
        pass
    answer = tallystick("ledger", "residuals", "--store", "duckdb:empty.duckdb")
    assert answer.out == "Every item on every clearing account is back at zero.\n"


def test_merchant_statement_accounts_for_every_cent(tallystick: Tallystick) -> None:
    """Totals, days and payouts of one merchant."""
    told = json.loads(tallystick("merchant", "statement", "shop-0", "--json").out)
    [total] = told["totals"]
    parts = ("refunded", "disputed", "fees", "pending", "available", "reserve", "paid_out")
    assert total["captured"] == sum(total[part] for part in parts) == 3_015
    assert [payout["status"] for payout in told["payouts"]] == ["paid"]
    assert [day["balance"] for day in told["days"]] == [0]
    shown = tallystick("merchant", "statement", "shop-0")
    assert "29.25 EUR" in shown.out


def test_project_status_says_how_far_each_is(tallystick: Tallystick) -> None:
    """All projections of a store have taken the same events."""
    rows = json.loads(tallystick("project", "status", "--json").out)
    assert len(rows) == len(CATALOG)
    assert len({row["events"] for row in rows}) == 1


def test_config_show_says_where_from(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting with its origin, and no secret in it."""
    monkeypatch.setenv("TALLYSTICK_STORE", "postgresql://teller:hunter2@h/x")
    Path("tallystick.toml").write_text("seed = 7\n")
    told = json.loads(tallystick("config", "show", "--json").out)
    assert told["store"] == {"value": "postgresql://teller:****@h/x", "origin": "TALLYSTICK_STORE"}
    assert told["seed"]["value"] == "7"
    assert told["seed"]["origin"].endswith("tallystick.toml")
    assert told["log"] == {"value": "sqlite:var/tallystick.db", "origin": "default"}
    assert "hunter2" not in tallystick("config", "show").out


def test_help_works_where_settings_do_not(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has misspelt a setting can still ask how it is spelt."""
    monkeypatch.setenv("TALLYSTICK_STOER", "x")
    assert tallystick("query", "--help").code == 0
    assert tallystick("query", "SELECT 1").code == 2


def test_an_unknown_outcome_shows_as_such(tallystick: Tallystick) -> None:
    """The hardest state has its own word."""
    story = day(1, 0)
    payment = story.request(1, "shop-1", 123_456, "JPY")
    unknown = AuthorizationOutcomeUnknown(payment, "shop-1", "visa", 1, 123_456, "JPY", 8_000)
    story.in_payments(payment, [unknown])
    with DuckStores().filled(story) as made:
        path = made.shown
    shown = tallystick("payment", "show", payment, "--store", f"duckdb:{path}").out
    assert "status     unknown" in shown
    assert "123,456 JPY" in shown
    assert "outcome unknown after 8000 ms" in shown
