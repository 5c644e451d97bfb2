"""The store on PostgreSQL: one writer, any number of readers, other people's rights and views, and its complaints."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from events.errors import Refused, TallystickError, Unavailable
from projections import catalog, ledger, postgres, risk
from projections.catalog import CATALOG
from projections.port import Column, Projection, Rows, StoreBusy, Table
from projections.postgres import PostgresStore, grant, remove
from projections.postgres_reading import PostgresReader
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.postgres import LOCKED, REQUIRE, Server, require
from tests.projections.stores import PostgresStores, day, rows
from tests.projections.test_rebuild import newer

READER, OTHER = "reader", "other"


@pytest.fixture(scope="module", autouse=True)
def _roles(postgres: Server) -> None:
    with postgres.connect() as admin:
        for role in (READER, OTHER, LOCKED):
            admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")  # type: ignore[arg-type]  # names of ours


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """A database with nothing in it."""
    name = postgres.database()
    yield name
    postgres.drop(name)


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_where_there_is_no_server_it_is_said_aloud(required: str, outcome: type[BaseException]) -> None:
    """Skipped with what to install, or failed where PostgreSQL is required."""
    with pytest.raises(outcome, match=r"NO POSTGRESQL.*apt-get install postgresql"):
        require({REQUIRE: required})


# -- one writes, many read ---------------------------------------------------------------------------------


def test_one_process_writes(postgres_stores: PostgresStores) -> None:
    """The second one is told who has the store, until the first has gone."""
    store = postgres_stores.empty()
    [(backend,)] = rows(store, "SELECT pg_backend_pid()")
    with pytest.raises(StoreBusy, match=rf"being written by another process \(backend {backend}\)"):
        PostgresStore(store.shown, store.shown)
    store.close()
    PostgresStore(store.shown, store.shown).close()


def test_readers_see_whole_batches(postgres_stores: PostgresStores, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of every transaction a reader sees what the last one left: rows, positions and balance agree."""
    story = day(2)
    store = postgres_stores.empty()
    reader = postgres_stores.reader(store)
    sql = (
        "SELECT (SELECT count(*) FROM events), (SELECT coalesce(min(events), 0)::BIGINT FROM freshness),"
        " (SELECT count(*) FROM ledger_imbalance)"
    )
    projector = Projector(story.written(), store, 2, batch_events=7)
    seen: list[int] = []
    move = store._move

    def looked_at(*arguments: Any) -> None:
        [(events, positions, imbalance)] = rows(reader, sql)
        assert (events, imbalance) == (positions, 0)
        assert events == projector.done
        seen.append(events)
        move(*arguments)

    monkeypatch.setattr(store, "_move", looked_at)
    projector.catch_up()
    assert seen == list(range(0, len(story.recorded), 7))
    assert rows(reader, sql) == [(len(story.recorded), len(story.recorded), 0)]
    reader.close()
    store.close()


def test_a_broken_connection_loses_no_batch_and_doubles_none(
    postgres_stores: PostgresStores, postgres: Server
) -> None:
    """The server ends the session in the middle of a batch: a sentence says so, and the next start goes on."""
    story = day(2, 6)
    store = postgres_stores.empty()
    projector = Projector(story.written(), store, 2, batch_events=20)
    projector.turn()
    [(backend,)] = rows(store, "SELECT pg_backend_pid()")
    append = store._append

    def cut_off(*arguments: Any) -> None:
        with postgres.connect() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
        append(*arguments)

    store._append = cut_off  # type: ignore[method-assign]  # the moment of the cut
    with pytest.raises(Unavailable, match=r"broke .*run the same command again"):
        projector.turn()
    with postgres_stores.reopened(store) as again:
        onward = Projector(story.written(), again, 2)
        assert onward.done == 20
        onward.catch_up()
        with postgres_stores.filled(day(2, 6)) as undisturbed:
            for projection in CATALOG:
                assert again.figures(projection, whole=True) == undisturbed.figures(projection, whole=True)


def test_a_swap_does_not_wait_for_ever(postgres_stores: PostgresStores, postgres: Server) -> None:
    """Whoever reads for hours does not make everybody else queue behind a swap: it is given up, the old build stays."""
    story = day()
    with postgres_stores.filled(story) as store, psycopg.connect(store.shown) as slow:
        slow.execute("SELECT count(*) FROM tallystick.ledger_entries")
        store.connection.execute("SET lock_timeout = '20ms'")
        with pytest.raises(Unavailable, match="somebody has been reading"):
            rebuild(store, story.log, 1, ledger)
        slow.rollback()
        assert rebuild(store, story.log, 1, ledger).differences == []


# -- rights, and what others build on it ------------------------------------------------------------------------


def as_role(store: PostgresStore, role: str) -> str:
    """The address of a store for somebody else."""
    return store.shown.replace("admin@", f"{role}@")


def may_read(store: PostgresStore, role: str) -> bool:
    """Whether a role may read every view of the catalog, and nothing behind them."""
    names = [made.name for projection in catalog.CATALOG for made in (*projection.TABLES, *projection.VIEWS)]
    with psycopg.connect(as_role(store, role), autocommit=True) as db:
        try:
            for name in names:
                db.execute(f"SELECT * FROM tallystick.{name} LIMIT 1")  # type: ignore[arg-type]  # names of ours
        except psycopg.errors.InsufficientPrivilege:
            return False
        for forbidden in (
            "SELECT * FROM tallystick_store.store_about",
            "DELETE FROM tallystick.store_about",
            "CREATE VIEW tallystick.mine AS SELECT 1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(forbidden)
    return True


def test_a_reader_reads_whatever_comes(
    postgres_stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant outlives a rebuild, a build of another shape, and a store made anew; it allows nothing but reading."""
    story = day()
    store = postgres_stores.filled(story)
    assert not may_read(store, READER)
    with pytest.raises(Refused, match=f"`tallystick project grant {READER}`"):
        PostgresReader(as_role(store, READER), "it")
    grant(store.shown, "it", READER)
    assert may_read(store, READER)
    assert not may_read(store, OTHER)
    PostgresReader(as_role(store, READER), "it").close()
    rebuild(store, story.log, 1, ledger)
    assert may_read(store, READER)
    with monkeypatch.context() as patch:
        changed = of_another_shape()
        patch.setattr(catalog, "CATALOG", tuple(changed if one is risk else one for one in CATALOG))
        rebuild(store, story.log, 1, changed)
        assert may_read(store, READER)
    store.close()
    remove(store.shown, "it")
    with postgres_stores.reopened(store) as anew:
        assert rows(anew, "SELECT count(*) FROM events") == [(0,)]
        assert may_read(anew, READER)


def of_another_shape() -> Projection:
    """The risk projection with one column in another place; its labels, which others read, are as they were."""
    columns = (Column("score", "BIGINT", "0 to 100"), Column("merchant", "TEXT", "merchant id"))
    table = Table("risk_verdicts", "Verdicts.", columns, business=("merchant", "score"))

    def apply(batch: Any) -> list[Rows]:
        made, events = Rows.of(table), batch.of(risk.RiskAssessed)
        made.add(len(events), merchant=events.get("merchant"), score=events.get("score"))
        return [made, Rows.of(risk.LABELS)]

    return newer(TABLES=(table, risk.LABELS), VIEWS=(), apply=apply)


def test_views_of_others_are_theirs(postgres_stores: PostgresStores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild in the same shape leaves them standing; what would take them away is refused, with their names."""
    story = day()
    store = postgres_stores.filled(story)
    db = store.connection
    db.execute(
        "CREATE SCHEMA reports; CREATE VIEW reports.mine AS SELECT verdict FROM tallystick.risk_verdicts"
    )
    rebuild(store, story.log, 1, risk)
    assert rows(store, "SELECT DISTINCT verdict FROM reports.mine") == [("allow",)]
    changed = of_another_shape()
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "CATALOG", tuple(changed if one is risk else one for one in CATALOG))
        with pytest.raises(Refused, match=r"reports\.mine depends on view .*risk_verdicts"):
            rebuild(store, story.log, 1, changed)
    assert rows(store, "SELECT DISTINCT verdict FROM reports.mine") == [("allow",)]
    store.close()
    with pytest.raises(Refused, match=r"reports\.mine depends on view"):
        remove(store.shown, "it")
    with postgres_stores.reopened(store) as again:
        again.connection.execute("DROP VIEW reports.mine")
    remove(store.shown, "it")


def test_to_remove_nothing_is_no_mistake(database: str, postgres: Server) -> None:
    """And what somebody has open stays."""
    address = postgres.address(database)
    remove(address, "it")
    with PostgresStore.open(address, "it"), pytest.raises(StoreBusy):
        remove(address, "it")


def test_who_has_closed_a_store_is_not_in_the_way(database: str, postgres: Server) -> None:
    """Not for a moment, though the server learns of it later that a connection has gone."""
    address = postgres.address(database)
    for _ in range(20):
        PostgresStore.open(address, "it").close()
        remove(address, "it")


def test_columns_say_what_they_hold(postgres_stores: PostgresStores) -> None:
    """Also those of the views, for that is where dashboards look."""
    with postgres_stores.empty() as store:
        found = rows(
            store,
            "SELECT a.attname::TEXT, col_description(a.attrelid, a.attnum) FROM pg_attribute AS a"
            " WHERE a.attrelid = 'tallystick.ledger_entries'::REGCLASS AND a.attnum > 0",
        )
    assert dict(found) == {column.name: column.comment for column in ledger.ENTRIES.columns}


# -- complaints --------------------------------------------------------------------------------------------------


def opened(address: str) -> None:
    """Open for writing, and close."""
    PostgresStore(address, "the store").close()


@pytest.mark.parametrize(
    ("change", "kind", "complaint"),
    [
        (lambda text: text.replace("test_", "no_"), Refused, "there is no database 'no_.*createdb"),
        (lambda text: text.replace("admin@", "nobody@"), Refused, "there is no role 'nobody'.*createuser"),
        (lambda text: text + "/nowhere", Unavailable, "no PostgreSQL answers at the store.*start it"),
        (lambda text: text + "&bogus=1", Refused, "not an address that PostgreSQL understands"),
        (
            lambda text: text.replace("admin@", "admin:se/cret@host"),
            Refused,
            "%2F, or the password in PGPASSWORD",
        ),
        (lambda text: text.replace("admin@", f"{LOCKED}:wrong@"), Refused, "does not let us in: .*password"),
        (
            lambda text: text.replace("admin@", f"{LOCKED}@"),
            Refused,
            "asks for a password: give it in PGPASSWORD",
        ),
        (lambda _: "postgresql://?service=books", Refused, 'service "books" not found.*pg_service'),
        (
            lambda text: text.replace("admin@", f"{OTHER}@"),
            Refused,
            "let the owner of the database run `CREATE SCHEMA",
        ),
    ],
)
def test_a_database_that_cannot_be_had(
    postgres: Server, database: str, change: Callable[[str], str], kind: type[TallystickError], complaint: str
) -> None:
    """One sentence says what to do, and none repeats a password."""
    with pytest.raises(kind, match=complaint) as found:
        opened(change(postgres.address(database)))
    assert not any(secret in str(found.value) for secret in ("wrong", "cret"))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: whoever keeps to DuckDB needs none of it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Unavailable, match=r"pip install 'tallystick\[postgres\]'"):
        PostgresReader("postgresql://h/x", "it")


def test_a_password_is_taken_from_wherever_libpq_looks(
    postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the address, or PGPASSWORD."""
    with postgres.connect() as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database} TO {LOCKED}")  # type: ignore[arg-type]  # names of ours
    opened(postgres.address(database, LOCKED, "right"))
    monkeypatch.setenv("PGPASSWORD", "right")
    opened(postgres.address(database, LOCKED))


def test_schemas_that_the_owner_has_made_are_enough(postgres: Server, database: str) -> None:
    """A role without the right to create schemas keeps a store in two that were made for it."""
    with postgres.connect(database) as admin:
        for schema in ("tallystick", "tallystick_store"):
            admin.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {OTHER}")  # type: ignore[arg-type]  # names of ours
    address = postgres.address(database, OTHER)
    opened(address)
    remove(address, "it")
    opened(address)
    with pytest.raises(Refused, match="Only the role that made the store may change it"):
        opened(postgres.address(database, READER))
    with pytest.raises(Refused, match="Only the role that made the store"):
        grant(postgres.address(database, READER), "it", READER)
    with pytest.raises(Refused, match='role "ghost" does not exist; `CREATE ROLE`'):
        grant(address, "it", "ghost")


def test_what_is_not_ours_is_not_written_into(postgres: Server, database: str) -> None:
    """A schema of our name with somebody's tables in it stays as it is."""
    address = postgres.address(database)
    with postgres.connect(database) as admin:
        admin.execute("CREATE SCHEMA tallystick; CREATE TABLE tallystick.theirs (a INTEGER)")
    for refused in (
        opened,
        lambda address: PostgresReader(address, "it"),
        lambda address: remove(address, "it"),
    ):
        with pytest.raises(Refused, match="no Tallystick store"):
            refused(address)


def test_a_reader_is_told_where_there_is_none(postgres: Server, database: str) -> None:
    """And no schema is made by asking."""
    with pytest.raises(Unavailable, match="there is no store at it: run `tallystick demo`"):
        PostgresReader(postgres.address(database), "it")
    with pytest.raises(Refused, match="there is no store at it that 'other' could read"):
        grant(postgres.address(database), "it", OTHER)


def test_a_database_that_cannot_hold_every_text(postgres: Server) -> None:
    """Names of shops are not ASCII everywhere."""
    name = postgres.database("ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(Refused, match=r"encoded in SQL_ASCII.*--encoding=UTF8"):
        opened(postgres.address(name))
    postgres.drop(name)


def test_another_format_is_refused(postgres_stores: PostgresStores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both to write and to read."""
    store = postgres_stores.empty()
    store.close()
    monkeypatch.setattr(postgres, "FORMAT", "tallystick store 9")
    with pytest.raises(Refused, match="is of format 'tallystick store 1', this program writes"):
        opened(store.shown)


def test_a_moment_stays_while_the_projector_writes(postgres_stores: PostgresStores) -> None:
    """What is read inside is of one moment, and what came in meanwhile is there afterwards."""
    story = day()
    with postgres_stores.filled(story) as store:
        reader = postgres_stores.reader(store)
        count = "SELECT count(*) FROM events"
        with reader.moment():
            before = rows(reader, count)
            story.sale(99)
            Projector(story.written(), store, story.partitions).catch_up()
            assert rows(reader, count) == before
        assert rows(reader, count) == [(len(story.recorded),)] != before
        reader.close()
