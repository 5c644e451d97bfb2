"""What finance asks of books and merchants, on both databases: a small day by hand, and a simulated one."""

import csv
import io
import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from events.calendar import parse_day
from events.intake import RequestReceived
from events.requests import PaymentRequest
from events.settlement import EntryCause, MerchantEntryReceived
from events.wire import decode_event
from infra.freshness import behind, line
from infra.settings import Value
from projections.freshness import Freshness, taken
from projections.projector import Projector, partitions_of
from streams.hosts.embedded import EmbeddedLog
from streams.topology import LOGS
from tests.infra.asking import Tallystick, told
from tests.infra.conftest import settled_in
from tests.postgres import Server
from tests.projections.stores import DuckStores, PostgresStores, Stores, change, day, rows
from tests.projections.story import FEE, Story

BEFORE = "2026-03-02T09:30:00Z"


# --- entries and balances -----------------------------------------------------------------------------


def test_entries_lead_from_opening_to_closing(ask: Tallystick) -> None:
    """Of an account by name, with what stood there before and after."""
    answer = ask(
        "ledger", "entries", "--account", "asset:bank:bank-eur", "--from", "2026-03-02", "--json"
    ).told
    assert [entry["amount"] for entry in answer["entries"]] == [-2_925, -2_925]
    [balance] = answer["balances"]
    assert balance == {"currency": "EUR", "opening": 0, "moved": -5_850, "closing": -5_850}
    assert answer["freshness"]["events"] > 0
    later = ask(
        "ledger", "entries", "--account", "asset:bank:bank-eur", "--from", "2026-03-03", "--json"
    ).told
    assert (later["entries"], later["balances"][0]["opening"]) == ([], -5_850)
    earlier = ask("ledger", "entries", "--account", "asset:bank", "--to", "2026-03-01", "--json").told
    assert (earlier["entries"], earlier["balances"][0]["closing"]) == ([], 0)


def test_accounts_are_named_by_pattern(ask: Tallystick) -> None:
    """The whole name, its beginning up to a colon, or anything with stars; nothing else is a wildcard."""

    def accounts(pattern: str) -> set[str]:
        told = ask("ledger", "balances", "--account", pattern, "--json").told
        return {row["account"] for row in told["accounts"]}

    shops = {f"liab:merchant_pending:shop-{number}" for number in range(3)}
    assert accounts("liab:merchant_pending") == accounts("liab:merchant_pending:") == shops
    assert accounts("liab:*_pending:*") == shops
    assert accounts("*:shop-1") == {
        "liab:merchant_pending:shop-1",
        "liab:merchant_available:shop-1",
        "memo:auth_hold:shop-1",
    }
    assert (
        accounts("liab:merchant-pending:*") == accounts("liab:merchant%") == accounts("liab:merch") == set()
    )
    assert len(accounts("*")) > len(shops)


def test_entries_of_an_item(ask: Tallystick) -> None:
    """Everything that one payment did to the books."""
    name = ask("payment", "show", "shop-1/order-1", "--json").told["payment"]["payment_id"]
    answer = ask("ledger", "entries", "--account", "*", "--item", name, "--json").told
    assert {entry["item"] for entry in answer["entries"]} == {name}
    assert [balance["closing"] for balance in answer["balances"]] == [0]
    shown = ask("ledger", "entries", "--account", "memo", "--item", name).shown
    assert "EUR: opening 0.00 EUR, entries 0.00 EUR, closing 0.00 EUR" in shown


def test_nothing_says_that_it_is_nothing(ask: Tallystick) -> None:
    """In words, and with what to do next."""
    shown = ask("ledger", "entries", "--account", "asset:cash").shown
    assert (
        shown
        == "No account that 'asset:cash' means has any entry; `tallystick ledger balances` lists them.\n"
    )
    assert "No entries." in ask("ledger", "entries", "--account", "asset:bank", "--to", "2026-01-01").shown
    assert "No account" in ask("ledger", "balances", "--account", "nothing").shown
    assert (
        "Nothing moved in this period." in ask("merchant", "statement", "shop-1", "--period", "2026-04").shown
    )
    assert ask("settlement", "forecast", "--merchant", "shop-1").shown == "Nothing is on its way to shop-1.\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("ledger entries --account asset --from 2026-13-01", "no period"),
        ("ledger entries --account asset --from 2026-03-03 --to 2026-03-02", "ends before it begins"),
        ("merchant statement shop-1 --period March", "name a month (2026-11), a day"),
        ("merchant statement shop-9 --period 2026-03", "no merchant is called 'shop-9'"),
        ("merchant statement shop-1 --format csv", "say which with --period"),
        ("export . --only nothing", "there is no table or view 'nothing' to export"),
        ("ledger places --merchant shop-1 --payment pay-1", "a payment has one merchant"),
    ],
)
def test_what_is_wrong_says_what_would_be_right(ask: Tallystick, arguments: str, complaint: str) -> None:
    """One sentence, and nothing on standard output."""
    answer = ask(*arguments.split())
    assert (answer.code, answer.out) == (2, "")
    assert complaint in answer.err


# --- statements ---------------------------------------------------------------------------------------


def test_a_statement_leads_from_opening_to_closing(ask: Tallystick) -> None:
    """In JSON, CSV and text; the lines are those of the period alone."""
    answer = ask("merchant", "statement", "shop-0", "--period", "2026-03", "--json").told
    [one] = answer["statements"]
    assert (one["opening"], one["closing"], one["period"]) == (0, 0, "2026-03-01..2026-03-31")
    assert one["opening"] + sum(line["amount"] for line in one["lines"]) == one["closing"]
    assert sorted(line["kind"] for line in one["lines"]) == ["capture"] * 3 + ["fee"] * 3 + ["payout"]
    assert one["lines"][-1]["balance"] == one["closing"]
    rows = list(
        csv.DictReader(
            io.StringIO(
                ask("merchant", "statement", "shop-0", "--period", "2026-03-02", "--format", "csv").shown
            )
        )
    )
    assert (rows[0]["kind"], rows[-1]["kind"]) == ("opening", "closing")
    assert sum(int(row["amount"]) for row in rows[1:-1]) == int(rows[-1]["balance"]) - int(rows[0]["balance"])
    shown = ask("merchant", "statement", "shop-0", "--period", "2026-03-02..2026-03-03").shown
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("2026")] == [
        ["2026-03-02", "capture", "3"],
        ["2026-03-02", "fee", "3"],
        ["2026-03-02", "payout", "1"],
    ]
    [before] = ask("merchant", "statement", "shop-0", "--period", "2026-02", "--json").told["statements"]
    assert (before["lines"], before["next_payout"]["status"]) == ([], "paid")
    assert before["next_payout"]["amount"] == 2_925


def test_a_statement_that_does_not_add_up_fails(houses: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines are held against the ledger: a cent that only one of them has is an error, not a line."""
    store = houses.filled(day())
    change(store, _lost_cent(houses))
    store.close()
    answer = Tallystick(capsys, houses.address(store))(
        "merchant", "statement", "shop-0", "--period", "2026-03", "--store", houses.address(store)
    )
    assert answer.code == 1
    assert "leads from 0 to -1, the ledger to 0" in answer.err


def _lost_cent(houses: Stores) -> str:
    schema = "" if isinstance(houses, DuckStores) else "tallystick_store."
    return f"UPDATE {schema}merchant_facts_v1 SET amount = amount + 1 WHERE kind = 'paid_out' AND merchant = 'shop-0'"


# --- where every cent is ------------------------------------------------------------------------------


def test_every_cent_of_the_simulated_day_is_at_one_place(
    ask_simulated: Tallystick, simulated_day: str, simulated_log: Path
) -> None:
    """At its end and at the end of each day of it: what was asked for is the sum over the places."""
    days = ask_simulated(
        "query",
        "SELECT DISTINCT CAST(CAST(recorded_at AS DATE) AS VARCHAR) AS day FROM events ORDER BY day",
        "--json",
    ).told["rows"]
    assert len(days) > 30
    asked = requested(simulated_log)
    been = set()
    for moment in [*(row["day"] for row in days[:20:2]), days[-1]["day"]]:
        found = ask_simulated("ledger", "places", "--as-of", moment, "--json").told
        assert found["unplaced"] == []
        been |= {(one["division"], one["place"]) for one in found["places"]}
        if moment >= "2026-03-03":
            sums: dict[str, int] = {}
            for one in found["places"]:
                if one["division"] == "request":
                    sums[one["currency"]] = sums.get(one["currency"], 0) + one["amount"]
            more = {
                row["currency"]: row["more"]
                for row in ask_simulated(
                    "query",
                    "SELECT currency, sum(increments + above_hold) AS more FROM money_asked GROUP BY currency",
                    "--as-of",
                    moment,
                    "--json",
                ).told["rows"]
            }
            assert sums == {currency: amount + int(more[currency]) for currency, amount in asked.items()}
    assert {("request", "on_hold"), ("capture", "in_cycle"), ("merchant", "in_payout")} < been
    assert len(been) >= 20


def requested(log: Path) -> dict[str, int]:
    """What the day's requests for payments ask for by currency, read off the log; each delivery that counts."""
    claimed: set[tuple[str, str, str]] = set()
    asked: dict[str, int] = {}
    with closing(EmbeddedLog(log, read_only=True)) as held:
        for partition in range(partitions_of(held)):
            for stored in held.read("intake", partition, 0, 1_000_000):
                body = decode_event(stored.value).body
                if isinstance(body, RequestReceived) and isinstance(body.request, PaymentRequest):
                    one = body.request
                    if (one.merchant, one.idempotency_key, body.body_mac) not in claimed:
                        claimed.add((one.merchant, one.idempotency_key, body.body_mac))
                        asked[one.currency] = asked.get(one.currency, 0) + one.amount
    return asked


def test_places_of_a_merchant_and_of_a_payment(ask: Tallystick) -> None:
    """Its tables add up, and each says what it is a sum of."""
    shown = ask("ledger", "places", "--merchant", "shop-0").shown
    assert "What was asked for, EUR" in shown
    assert "Of that the merchants', EUR" in shown
    [total, captured, merchants] = [
        line.split()[1:] for line in shown.splitlines() if line.startswith("total")
    ]
    assert (total, captured, merchants) == (["40.18", "EUR"], ["30.15", "EUR"], ["29.25", "EUR"])
    name = ask("payment", "show", "shop-1/order-1", "--json").told["payment"]["payment_id"]
    found = ask("ledger", "places", "--payment", name, "--json").told
    assert {(one["division"], one["place"]): one["amount"] for one in found["places"]} == {
        ("request", "fees"): FEE,
        ("request", "merchant"): 1_001 - FEE,
        ("capture", "in_cycle"): 1_001,
    }
    assert ask("ledger", "places", "--payment", "pay-none").shown == "Nothing was asked for.\n"


def test_a_posting_that_is_lost_is_an_error(houses: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and the payment's name; the books themselves balance as well as before."""
    store = houses.filled(day())
    change(store, f"DELETE FROM {store.dialect.tables}ledger_entries_v1 WHERE type = 'PaymentAuthorized'"
           " AND event_id = (SELECT min(event_id) FROM payment_steps WHERE step = 'authorized')")  # fmt: skip
    assert rows(store, "SELECT * FROM ledger_imbalance") == []
    store.close()
    answer = Tallystick(capsys, houses.address(store))("ledger", "places", "--store", houses.address(store))
    assert answer.code == 1
    assert "What was asked for, EUR" in answer.out
    assert "not every cent is at one place: of pay-" in answer.err
    assert "there is 10.00 EUR, at places are 0.00 EUR (1 in all;" in answer.err


# --- what is open, and what is to come ----------------------------------------------------------------


def test_what_is_open_is_sorted_by_age(ask: Tallystick) -> None:
    """Buckets add up to what is open; ages count in logical time."""
    answer = ask("ledger", "residuals", "--aged", "--json").told
    held = ask("ledger", "residuals", "--json").told["items"]
    assert (
        sum(sum(group["items"].values()) for group in answer["groups"]) == len(answer["items"]) == len(held)
    )
    assert sum(sum(group["amounts"].values()) for group in answer["groups"]) == sum(
        row["amount"] for row in held
    )
    assert {item["bucket"] for item in answer["items"]} == {"0-1"}
    assert "liab:payout_in_transit" in ask("ledger", "residuals", "--aged").shown
    empty = ask("ledger", "residuals", "--aged", "--as-of", "2026-03-01")
    assert empty.shown == "Every item on every clearing account is back at zero.\n"


def test_an_old_item_is_in_an_old_bucket(
    houses: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Days go by in the log, not on our clock."""
    story = Story()
    story.sale(1)
    story.now += 9 * 86_400_000_000
    story.tick(1)
    with told(houses, story) as address:
        ask = settled_in(address, capsys, monkeypatch, tmp_path)
        answer = ask("ledger", "residuals", "--aged", "--json").told
        assert {(item["age_days"], item["bucket"]) for item in answer["items"]} == {(9, "8-30")}
        then = ask("ledger", "residuals", "--aged", "--json", "--as-of", "2026-03-05").told
        assert {(item["age_days"], item["bucket"]) for item in then["items"]} == {(3, "2-3")}


def test_what_has_no_day_yet_is_told_apart(
    houses: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Default terms, a day that the sender knew, and a fee that settlement has not taken over."""
    story = Story()
    capture = story.sale(1, "shop-1", 2_000)
    known = MerchantEntryReceived(
        "shop-1", "EUR", "void:x", "pay-x", EntryCause.CAPTURE_VOIDED, -100, parse_day("2026-03-09")
    )
    story.in_settlement("shop-1", known, sender="payments/0")
    with told(houses, story) as address:
        ask = settled_in(address, capsys, monkeypatch, tmp_path)
        found = ask("settlement", "forecast", "--json").told
    assert capture.startswith("cap-")
    assert [(run["run_on"], run["payout_on"], run["amount"], run["payout"]) for run in found["runs"]] == [
        ("2026-03-04", "2026-03-05", 2_000 - FEE, 2_000 - FEE),
        ("2026-03-09", "2026-03-10", -100, 0),
    ]
    # The void is on settlement's books alone here, so it is missing on the other side.
    assert found["undated"] == [{"merchant": "shop-1", "currency": "EUR", "amount": 100}]


def test_the_forecast_comes_true(ask_simulated: Tallystick) -> None:
    """What it says of captures and fees after the first day is what the runs of the simulated day made available."""
    foreseen = ask_simulated("settlement", "forecast", "--as-of", "2026-03-03T05:45:00Z", "--json").told
    assert foreseen["runs"]
    sql = """
        SELECT fact.merchant, fact.currency, CAST(CAST(fact.recorded_at AS DATE) AS VARCHAR) AS run_on,
               CAST(sum(fact.amount) AS BIGINT) AS amount, count(*) AS entries
        FROM merchant_facts AS fact JOIN events AS taken ON taken.type = 'MerchantEntryReceived'
             AND taken.body ->> 'item' = fact.item AND taken.recorded_at <= TIMESTAMP '2026-03-03 05:45:00'
        WHERE fact.kind IN ('available', 'adjusted') AND fact.recorded_at > TIMESTAMP '2026-03-03 05:45:00'
        GROUP BY 1, 2, 3
    """
    happened = {
        (row["merchant"], row["currency"], row["run_on"]): (row["amount"], row["entries"])
        for row in ask_simulated("query", sql, "--json").told["rows"]
    }
    assert happened == {
        (run["merchant"], run["currency"], run["run_on"]): (run["amount"], run["entries"])
        for run in foreseen["runs"]
        if run["entries"]
    }
    assert "Nothing is on its way to any merchant." in ask_simulated("settlement", "forecast").shown


def test_the_forecast_of_payouts_and_reserves_comes_true(ask_simulated: Tallystick) -> None:
    """When nothing is sold or refunded any more: every payout and reserve, weekly and monthly ones too, to the cent.

    Payouts that come back are paid again, which nobody foresees.
    """
    moment = "2026-03-12T12:00:00Z"
    foreseen = ask_simulated("settlement", "forecast", "--as-of", moment, "--json").told["runs"]
    sql = f"""
        SELECT merchant, currency, CAST(CAST(recorded_at - INTERVAL '6 hours' AS DATE) AS VARCHAR) AS run_on, kind,
               CAST(sum(amount) AS BIGINT) AS amount
        FROM merchant_facts
        WHERE kind IN ('paid_out', 'reserve_withheld', 'reserve_released')
              AND recorded_at > TIMESTAMP '{moment[:-1]}'
              AND (merchant, currency) NOT IN (
                  SELECT merchant, currency FROM payouts WHERE status = 'credited' AND initiated_at > DATE '2026-03-05')
        GROUP BY 1, 2, 3, 4
    """
    happened = {
        (row["merchant"], row["currency"], row["run_on"], row["kind"]): row["amount"]
        for row in ask_simulated("query", sql, "--json").told["rows"]
    }
    kinds = {
        "paid_out": "payout",
        "reserve_withheld": "reserve_withheld",
        "reserve_released": "reserve_released",
    }
    told = {
        (run["merchant"], run["currency"], run["run_on"], kind): run[field]
        for run in foreseen
        for kind, field in kinds.items()
        if run[field]
    }
    books = {key[:2] for key in happened}
    assert {"paid_out", "reserve_released"} <= {kind for *_, kind in happened}
    assert len(books) > 5
    assert happened == {key: amount for key, amount in told.items() if key[:2] in books}


def test_the_forecast_holds_all_that_is_pending(ask_simulated: Tallystick) -> None:
    """At any moment, for every merchant: runs and rest are what the merchant is owed."""
    for moment in ("2026-03-02", "2026-03-03T12:00:00Z", "2026-03-04"):
        found = ask_simulated("settlement", "forecast", "--as-of", moment, "--json").told
        sums: dict[tuple[str, str], int] = {}
        for part in (*found["runs"], *found["undated"]):
            key = (part["merchant"], part["currency"])
            sums[key] = sums.get(key, 0) + part["amount"]
        sql = "SELECT merchant, currency, pending FROM merchant_totals WHERE pending <> 0"
        owed = ask_simulated("query", sql, "--as-of", moment, "--json").told["rows"]
        assert owed
        assert {key: amount for key, amount in sums.items() if amount} == {
            (row["merchant"], row["currency"]): row["pending"] for row in owed
        }


def test_reconciliation_says_what_is_open(ask_simulated: Tallystick) -> None:
    """Cycles before the bank has paid; nothing at the end of the day."""
    done = ask_simulated("reconciliation", "open", "--json").told
    assert (done["discrepancies"], done["bank_lines"], done["cycles"]) == ([], [], [])
    shown = ask_simulated("reconciliation", "open").shown
    assert shown == "Nothing is open: networks and bank agree with our books.\n"
    then = ask_simulated("reconciliation", "open", "--as-of", "2026-03-03T12:00:00Z")
    assert "Cycles that are not settled" in then.shown


# --- freshness and export -----------------------------------------------------------------------------


def test_a_store_knows_how_far_it_is_behind_its_log(ask_simulated: Tallystick) -> None:
    """Where the log is a file here, and the store's own."""
    answer = ask_simulated("ledger", "residuals", "--json").told
    assert answer["freshness"]["behind"] == 0
    assert "all there is in the log" in ask_simulated("ledger", "residuals").err


def test_another_log_says_nothing(
    ask: Tallystick, simulated_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain value tells it from the store's own, so no wrong figure is given."""
    monkeypatch.setenv("TALLYSTICK_LOG", f"sqlite:{simulated_log}")
    assert ask("ledger", "residuals", "--json").told["freshness"]["behind"] is None


def test_an_export_holds_every_row(ask: Tallystick, tmp_path: Path) -> None:
    """Of every table and view, with a manifest that can be checked; nothing is written over."""
    manifest = ask("export", "out", "--json").told
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    names = {file["name"] for file in manifest["files"]}
    assert {"payments", "events", "merchant_totals"} <= names
    assert manifest["events"] == sum(manifest["positions"].values())
    with duckdb.connect() as db:
        for file in manifest["files"]:
            [(held,)] = db.execute(f"SELECT count(*) FROM 'out/{file['file']}'").fetchall()
            [counted] = ask("query", f"SELECT count(*) AS n FROM {file['name']}", "--json").told["rows"]
            assert held == file["rows"] == counted["n"]
        [(paid,)] = db.execute("SELECT sum(paid_out) FROM 'out/merchant_totals.parquet'").fetchall()
    [told] = ask("query", "SELECT CAST(sum(paid_out) AS BIGINT) AS n FROM merchant_totals", "--json").told[
        "rows"
    ]
    assert paid == told["n"] > 0
    again = ask("export", "out")
    assert again.code == 2
    assert "is not empty: name a new folder" in again.err


def test_an_export_of_the_past(ask: Tallystick, tmp_path: Path) -> None:
    """As of a moment, and of what is named alone."""
    manifest = ask("export", "out", "--only", "payments", "--as-of", BEFORE, "--json").told
    assert [file["name"] for file in manifest["files"]] == ["payments"]
    assert manifest["as_of"] == BEFORE
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "payments.parquet"]
    with duckdb.connect() as db:
        assert db.execute("SELECT DISTINCT was_paid_out FROM 'out/payments.parquet'").fetchall() == [(False,)]


def test_both_databases_export_the_same_bytes(
    postgres: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An export says nothing of where the rows were."""
    made = []
    stores: tuple[Stores, ...] = (DuckStores(), PostgresStores(postgres))
    for place in stores:
        store = place.filled(day(2))
        store.close()
        ask = Tallystick(capsys, place.address(store))
        folder = tmp_path / type(place).__name__
        made.append(ask("export", str(folder), "--json", "--store", ask.address).told)
    assert made[0] == made[1]
    assert made[0]["files"]


def test_a_store_that_has_read_less_is_behind(simulated_log: Path) -> None:
    """By as many records as the log holds beyond it, also in partitions of which it has read nothing."""
    with closing(EmbeddedLog(simulated_log, read_only=True)) as log:
        there = sum(log.end(*place) for place in log.places() if place[0] in LOGS)
        with DuckStores().empty() as store:
            assert behind(taken(store)[0], Value(f"sqlite:{simulated_log}", "test")) == there
            read = Projector(log, store, partitions_of(log), batch_events=700).turn()
            positions, _ = taken(store)
    assert 0 < read == sum(position.next for position in positions.values()) < there
    found = behind(positions, Value(f"sqlite:{simulated_log}", "test"))
    assert found == there - read
    assert line(Freshness(read, datetime(2026, 3, 2, tzinfo=UTC), {}, found)).endswith(
        f"; {found:,} behind the log"
    )
    assert behind(positions, Value("sqlite:nothing.db", "test")) is None
    assert behind(positions, Value("kafka://127.0.0.1:1/x", "test")) is None
