"""Where the projections are: addresses, and the commands and the main job on either database."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.errors import Refused
from infra.commandline import run
from infra.projecting import Projecting
from infra.settings import Value
from infra.stores import StoreAddress, in_file, store_address
from projections.catalog import CATALOG
from tests.infra.runs import VOLATILE
from tests.postgres import Server
from tests.projections.stores import DuckStores, PostgresStores, day

SECRET = "hun@ter2"


def address(text: str) -> StoreAddress:
    """The address that a flag gives."""
    return store_address(Value(text, "--store"))


@pytest.mark.parametrize(
    "text", ["postgresql://teller:hun%40ter2@db/books", f"postgres://teller:{SECRET}@db/books"]
)
def test_a_password_is_not_shown(text: str) -> None:
    """Neither printed nor in a traceback, nor where every user of the machine can read it."""
    store = address(text)
    projecting = Projecting("sqlite:log.db", store, 1)
    assert text == store.text
    for shown in (str(store), repr(store), repr(vars(projecting)["_command"])):
        assert "ter2" not in shown
    assert str(store).endswith("://teller:****@db/books")


def test_a_file_is_a_path() -> None:
    """Its address is what one types."""
    assert address("duckdb:a/b.duckdb") == in_file(Path("a/b.duckdb"))
    assert str(in_file(Path("a/b.duckdb"))) == "duckdb:a/b.duckdb"


@pytest.mark.parametrize("text", ["duckdb", "postgresql:x", "mysql://u:hunter2@h/x", "sqlite:x", ""])
def test_anything_else_is_refused(text: str) -> None:
    """With both forms that there are, and no password."""
    with pytest.raises(
        Refused, match=r"--store: .* duckdb:PATH or postgresql://USER@HOST:PORT/DATABASE"
    ) as refused:
        address(text)
    assert "hunter2" not in str(refused.value)


@pytest.fixture(scope="module")
def both(postgres: Server) -> Iterator[tuple[str, str]]:
    """The addresses of the same day on DuckDB and on PostgreSQL."""
    duck_stores, postgres_stores = DuckStores(), PostgresStores(postgres)
    duck, server = duck_stores.filled(day(2)), postgres_stores.filled(day(2))
    duck.close()
    server.close()
    yield duck_stores.address(duck), postgres_stores.address(server)
    postgres_stores.give_back()


@pytest.mark.parametrize(
    "command",
    [
        "ledger trial-balance --json",
        "ledger residuals --json",
        "merchant statement shop-1 --json",
        "merchant statement shop-1",
        "payment show shop-1/order-1 --json",
        "payment show shop-1/order-1",
        "project status --json",
        "query --schema",
        "query --schema --json",
    ],
)
def test_commands_say_the_same_of_both(
    both: tuple[str, str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the byte, whichever database the rows are in."""
    said = []
    for store in both:
        assert run([*command.split(), "--store", store]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert said[0]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM payments ORDER BY payment_id",
        "SELECT * FROM events ORDER BY log, partition, position",
        "SELECT currency, sum(amount) AS total, max(recorded_at) AS at FROM ledger_entries GROUP BY currency",
        "TABLE merchant_losses",
    ],
)
def test_queries_answer_the_same_from_both(
    both: tuple[str, str], sql: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instants, sums, bytes, bodies and answers without a row, in every form."""
    said = []
    for store in both:
        assert run(["query", sql, "--format", form, "--store", store]) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("merchant statement shop-9", "there are shop-"),
        ("payment show pay-nowhere", "no payment is called"),
    ],
)
def test_complaints_are_the_same_of_both(
    both: tuple[str, str], command: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be had is told alike."""
    for store in both:
        assert run([*command.split(), "--store", store]) == 2
        assert complaint in capsys.readouterr().err


def test_the_main_job_on_postgres(
    tmp_path: Path, postgres: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same figures as on DuckDB, again when it is run again, and anew with --fresh; rebuilding finds no fault."""
    database = postgres.database()
    server = postgres.address(database)
    arguments = ["demo", "--payments", "20", "--json", "--log", f"sqlite:{tmp_path / 'log.db'}", "--store"]
    told = []
    for more in ([f"duckdb:{tmp_path / 'store.duckdb'}"], [server], [server], [server, "--fresh"]):
        assert run([*arguments, *more]) == 0
        told.append(json.loads(capfd.readouterr().out))
    figures = [{name: figure for name, figure in one.items() if name not in VOLATILE} for one in told]
    assert all(one == figures[0] for one in figures)
    log = ["--log", f"sqlite:{tmp_path / 'log.db'}"]
    assert run(["project", "rebuild", *log, "--store", server]) == 0
    assert capfd.readouterr().err.count("the same as before; build 2 is live") == len(CATALOG)
    postgres.drop(database)


def test_only_a_server_has_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is read by whoever may read the file."""
    assert run(["project", "grant", "metabase", "--store", f"duckdb:{tmp_path / 'x.duckdb'}"]) == 2
    assert "whoever may read the file" in capsys.readouterr().err


def test_a_role_may_be_let_in_while_somebody_writes(
    postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The projector goes on; the role reads what it writes."""
    stores = PostgresStores(postgres)
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE metabase LOGIN")
    with stores.filled(day()) as store:
        assert run(["project", "grant", "metabase", "--store", store.shown]) == 0
        reader = store.shown.replace("admin@", "metabase@")
        capsys.readouterr()
        assert run(["query", "SELECT count(*) AS n FROM payments", "--format", "csv", "--store", reader]) == 0
    assert capsys.readouterr().out == "n\n12\n"
    stores.give_back()
