"""`tallystick risk attacks`: every kind of attack is found on a small day, and said not to be where nothing looks."""

import json
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any

import msgspec
import pytest

from events.reference import RuleBook, VelocityLimits
from events.requests import InputRow, ReferencePublished
from streams.edge.attackledger import beside
from streams.edge.inputs import write_rows
from streams.edge.reference import Entry, published, starter_limits, starter_rules
from streams.edge.simulate import simulate, write_day
from streams.hosts.embedded import EmbeddedLog
from tests.infra.runs import Place, complaint
from tests.simulation.auditor import audit
from tests.simulation.auditor.logs import TOPICS

PAYMENTS = 2_000
KINDS = {"card_testing", "stolen_card", "rogue_merchant", "account_takeover"}
#: By what each is found first on a small day.
FINDERS = {
    "card_testing": {("limit", "device-cards-1h"), ("limit", "ip-cards-10m")},
    "stolen_card": {("rule", "spree"), ("rule", "card-count-10m")},
    "rogue_merchant": {("limit", "new-merchant-cards-24h")},
    "account_takeover": {("rule", "takeover")},
    "card_trial": {("rule", "card-count-10m")},
}


def ran(folder: Path, *arguments: str) -> tuple[Place, dict[str, Any]]:
    """A run, and what its demo said; the books balance."""
    place = Place(folder)
    told = place.demo(*arguments).told
    assert (0, 0, 0) == (told["ledger_imbalance"], told["open_clearing_residuals"], told["money_unplaced"])
    return place, told


def asked(place: Place, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The report of a run as a script reads it."""
    done = place.run("risk", "attacks", "--json", *place.options, *arguments)
    assert code == done.code, done.err
    return done.told


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, Any]]:
    """A small day, run."""
    return ran(tmp_path_factory.mktemp("day"), "--payments", str(PAYMENTS), "--seed", "1")


def found_as_they_should_be(told: dict[str, Any]) -> None:
    """Every attack is found by what it should be, early enough to have mattered, and its victims complain."""
    assert {one["kind"] for one in told["attacks"]} >= KINDS
    for one in told["attacks"]:
        assert one["found"]
        assert (one["found_by"], one["name"]) in FINDERS[one["kind"]], one
        assert 0 <= one["after_payments"] < one["payments"] / 2
        assert 0 <= one["after_captured"] <= one["asked"]
        assert one["blocked"] + one["looked_at"] > 0
        assert (
            one["through"] + one["blocked"] + one["refused_by_issuers"] + one["turned_away"]
            <= one["payments"]
        )
        if one["kind"] in KINDS:
            assert 0 < one["reported"] <= one["payments"]
    honest = sum(one["payments"] for one in told["honest"])
    assert PAYMENTS == honest + sum(one["payments"] for one in told["attacks"])
    mistaken = sum(one["blocked"] + one["looked_at"] for one in told["honest"])
    assert mistaken * 100 < honest, "one honest payment in a hundred"


@pytest.mark.parametrize("seed", [2, 3])
def test_each_kind_of_attack_is_found(seed: int, tmp_path: Path) -> None:
    """On days of several seeds."""
    place, _ = ran(tmp_path, "--payments", str(PAYMENTS), "--seed", str(seed))
    found_as_they_should_be(asked(place))


def test_partitions_change_nothing(day: tuple[Place, dict[str, Any]], tmp_path: Path) -> None:
    """Neither the digests nor a figure of the report."""
    place, told = day
    other, again = ran(tmp_path, "--payments", str(PAYMENTS), "--seed", "1", "--partitions", "3")
    for name in ("state_digest", "ledger_digest", "attacks"):
        assert told[name] == again[name]
    reports = [asked(one) for one in (place, other)]
    found_as_they_should_be(reports[0])
    for report in reports:
        del report["freshness"]
    assert reports[0] == reports[1]


def test_the_auditor_finds_nothing(day: tuple[Place, dict[str, Any]]) -> None:
    """Whoever judges attackers keeps to the rules of the house."""
    log = EmbeddedLog(day[0].log, read_only=True)
    with closing(log):
        records = [
            (name, 0, stored.offset, stored.value)
            for name in TOPICS
            for stored in log.read(name, 0, 0, log.end(name, 0))
        ]
    assert [] == list(audit(records))
    assert len(records) > 20 * PAYMENTS


def test_demo_names_them(day: tuple[Place, dict[str, Any]]) -> None:
    """In its one object, and in a line for a person; the table says what of each."""
    place, told = day
    count = len(asked(place)["attacks"])
    assert (count, count) == (told["attacks"]["planted"], told["attacks"]["found"])
    assert 0 < told["attacks"]["through"] < told["attacks"]["payments"]
    shown = place.run("demo", "--payments", str(PAYMENTS), "--seed", "1", *place.options)
    assert f"{count} of {count} planted attacks were found" in shown.out
    table = place.run("risk", "attacks", *place.options)
    assert 0 == table.code
    for words in ("card-testing-1", "limit device-cards-1h", "rule takeover", "What the honest had to bear"):
        assert words in table.out


def test_what_lies_between_a_limit_and_its_block(day: tuple[Place, dict[str, Any]]) -> None:
    """Measured in the run: no more than three intervals, and nothing of it is nothing."""
    place, _ = day
    testing = next(one for one in asked(place)["attacks"] if one["kind"] == "card_testing")
    spans = place.run(
        "query",
        "SELECT date_diff('second', min(reached_at), (SELECT min(recorded_at) FROM hotlist_steps"
        " WHERE item LIKE 'device:%')) AS seconds FROM velocity_crossings WHERE item LIKE 'device:%'",
        "--json",
        *place.options[2:],
    ).told["rows"]
    assert 0 < spans[0]["seconds"] <= 45 * 60
    device = next(one for one in testing["exposures"] if one["limit"] == "device-cards-1h")
    assert 5 <= device["payments"] < testing["payments"] - testing["blocked"]


def test_the_desk_lets_go_what_holders_call_about(day: tuple[Place, dict[str, Any]]) -> None:
    """Two people where the queue asks for them; what is not under review is refused, by name."""
    place, _ = day
    steps = place.run(
        "query",
        "SELECT step, queue, reason, count(*) AS n FROM review_steps WHERE analyst <> '' GROUP BY 1, 2, 3",
        "--json",
        *place.options[2:],
    ).told["rows"]
    counted = {(row["step"], row["queue"], row["reason"]): row["n"] for row in steps}
    assert counted["proposed", "", ""] > 0
    assert counted["decided", "urgent", ""] > 0
    assert counted["decided", "standard", ""] > 0
    assert counted["refused", "", "not_under_review"] > 0
    declined = counted["decided", "urgent", ""] + counted["decided", "standard", ""]
    assert declined == sum(one["turned_away"] for one in asked(place)["attacks"])


def _defenceless(rows: list[InputRow]) -> list[InputRow]:
    """A day whose house has limits that nobody reaches and no rules of its own."""
    limits = starter_limits()
    unreachable = tuple(msgspec.structs.replace(limit, above=10**6) for limit in limits.limits)
    book = starter_rules()[0].content
    assert isinstance(book, RuleBook)
    others = {
        "velocity": VelocityLimits(limits.version, unreachable),
        "rulebook": msgspec.structs.replace(book, rules=()),
    }
    changed = []
    for row in rows:
        entry = row.entry
        if isinstance(entry, ReferencePublished) and entry.kind in others:
            content = Entry(entry.kind, entry.ref_id, others[entry.kind])
            entry = next(published([content], entry.version))
        changed.append(InputRow(row.ingested_at, entry))
    return changed


def test_without_rules_and_limits_nothing_is_found(tmp_path: Path) -> None:
    """Then cardholders alone say what it was, when it is over: the report is not always content."""
    plain, bare = tmp_path / "day.avro", tmp_path / "bare.avro"
    write_day(plain, PAYMENTS, 2)
    write_rows(bare, _defenceless(list(simulate(PAYMENTS, 2))), "bare")
    copyfile(beside(plain), beside(bare))
    place, told = ran(tmp_path / "place", "--input", str(bare), "--seed", "2")
    assert 0 == told["attacks"]["found"] < told["attacks"]["planted"]
    report = asked(place, "--ledger", str(beside(bare)), code=1)
    for one in report["attacks"]:
        expected = "cardholders" if one["kind"] in KINDS else "nobody"
        assert (False, expected, None) == (one["found"], one["found_by"], one["after_payments"])
        assert 0 == one["blocked"] == one["looked_at"]
    assert {} == report["mistaken_rules"]


def test_a_ledger_of_another_run_is_refused(day: tuple[Place, dict[str, Any]], tmp_path: Path) -> None:
    """Its attacks are not in this store; and where there is none, that is said."""
    place, _ = day
    write_day(tmp_path / "other.avro", PAYMENTS, 9)
    done = place.run("risk", "attacks", "--ledger", str(beside(tmp_path / "other.avro")), *place.options)
    assert 2 == done.code
    assert "this ledger is of another input" in complaint(done)
    small, told = ran(tmp_path / "small", "--payments", "20")
    assert None is told["attacks"]
    done = small.run("risk", "attacks", *small.options)
    assert 2 == done.code
    assert "no ledger of attacks" in complaint(done)
    assert json.loads(json.dumps(told))["payments"] == 20
