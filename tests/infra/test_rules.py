"""`tallystick rules`: from a draft to a back-test and into a log, from the command line."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from events.partitions import ReferenceApplied
from events.reference import RuleBook, decode_reference
from events.risk import RiskAssessed
from events.wire import decode_event
from infra.commandline import run
from streams.edge.inputs import read_rows
from streams.edge.rulefiles import read_file
from streams.features.rules.packs import book_sha256
from streams.hosts.embedded import EmbeddedLog
from tests.infra.runs import ROOT, Done, complaint

Tallystick = Callable[..., Done]

PAYMENTS = 60
PACK = """
version = 1
[thresholds]
large = "20.00 USD"
[lists.shops]
of = "merchant"
entries = ["harbour-coffee"]
[[rule]]
id = "large"
action = "block"
when = "amount > $large"
[[rule]]
id = "coffee"
action = "review"
shadow = true
when = "merchant.id in @shops"
[[rule]]
id = "crowd"
action = "review"
when = "ip.cards_1h > 10 and amount / card.declines_24h > 1 minor"
[[case]]
name = "too much"
given = { amount = "20.01 USD", "card.declines_24h" = 1 }
fires = ["large"]
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an input and its log."""
    folder = tmp_path_factory.mktemp("day")
    assert 0 == run(["simulate", "--payments", str(PAYMENTS), "--out", str(folder / "day.avro")])
    log, store = (
        f"{kind}:{folder / name}" for kind, name in (("sqlite", "log.db"), ("duckdb", "store.duckdb"))
    )
    assert 0 == run(["demo", "--input", str(folder / "day.avro"), "--log", log, "--store", store, "--json"])
    return folder


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, day: Path
) -> Tallystick:
    """``tallystick rules ARGUMENTS`` in this process, in a folder with a pack and a log."""
    monkeypatch.chdir(tmp_path)
    Path("pack.toml").write_text(PACK)
    Path("bad.toml").write_text(PACK.replace("$large", "$lrage").replace("ip.cards_1h", "ip.cadrs_1h"))
    for path in day.glob("log.db*"):
        shutil.copy(path, tmp_path)
    capsys.readouterr()

    def called(*arguments: str) -> Done:
        return Done(run(["rules", *arguments]), *capsys.readouterr())

    return called


LOG = ("--log", "sqlite:log.db")


def test_a_sound_pack(call: Tallystick) -> None:
    """What is in it; what nobody measures yet is said."""
    done = call("check", "pack.toml")
    assert 0 == done.code
    assert done.out.startswith("pack.toml: version 1, 3 rules (1 in shadow), 1 thresholds, 1 lists; sha256 ")
    assert "The stream does not know ip.cards_1h yet" in done.err
    told = call("check", "pack.toml", "--json").told
    assert (True, 3, 1, ["ip.cards_1h"]) == (
        told["sound"],
        told["rules"],
        told["shadow"],
        told["unmeasured"],
    )
    assert book_sha256(read_file(Path("pack.toml")).book) == told["sha256"]
    assert {"shops": 1} == told["lists"]


def test_a_pack_with_faults(call: Tallystick) -> None:
    """Each at its place with a caret, then one sentence; a script gets them as values."""
    done = call("check", "bad.toml")
    assert (2, "") == (done.code, done.out)
    lines = done.err.splitlines()
    assert [
        "bad.toml:11:18: rule large: there is no threshold $lrage",
        "  amount > $lrage",
        "           ^^^^^^",
        "  did you mean $large?",
        "bad.toml:20:9: rule crowd: there is no feature ip.cadrs_1h",
    ] == lines[:5]
    assert "tallystick: bad.toml:11:18: rule large: there is no threshold $lrage (and 1 more)" == lines[-1]
    done = call("check", "bad.toml", "--json")
    told = json.loads(done.out)
    assert (2, False) == (done.code, told["sound"])
    assert [(11, 18), (20, 9)] == [(fault["line"], fault["column"]) for fault in told["faults"]]


@pytest.mark.parametrize("command", ["test", "back-test", "publish"])
def test_a_pack_with_faults_is_good_for_nothing(call: Tallystick, command: str) -> None:
    """Whatever is asked of it."""
    more = {"test": (), "back-test": LOG, "publish": ("--next-version", "1", "--out", "out.avro")}
    done = call(command, "bad.toml", *more[command])
    assert (2, "") == (done.code, done.out)
    assert "bad.toml:11:18" in done.err
    assert not Path("out.avro").exists()


def test_cases(call: Tallystick) -> None:
    """0 where all are as they should be, 1 where one is not; rules that no case makes fire are named."""
    done = call("test", "pack.toml")
    assert (0, "") == (done.code, done.err)
    assert "pack.toml: 1 of 1 cases as they should be.\nNo case makes fire: coffee, crowd\n" == done.out
    Path("pack.toml").write_text(PACK.replace("20.01 USD", "20.00 USD"))
    done = call("test", "pack.toml")
    assert 1 == done.code
    assert "too much: fires nothing, not large" == done.out.splitlines()[0]
    told = call("test", "pack.toml", "--json")
    assert (1, False) == (told.code, told.told["passed"])
    assert complaint(call("publish", "pack.toml", "--next-version", "1", "--out", "out.avro")).startswith(
        "pack.toml: 1 cases fail, the first is 'too much'"
    )


def test_differences(call: Tallystick) -> None:
    """As a table and as values."""
    Path("next.toml").write_text(PACK.replace('"20.00 USD"', '"30.00 USD"'))
    assert "threshold  large  changed" in call("diff", "pack.toml", "next.toml").out
    told = call("diff", "pack.toml", "next.toml", "--json").told
    assert [
        {
            "change": "changed",
            "kind": "threshold",
            "name": "large",
            "field": "",
            "old": "20.00 USD",
            "new": "30.00 USD",
        }
    ] == told["differences"]
    assert "They say the same.\n" == call("diff", "pack.toml", "pack.toml").out
    Path("worse.toml").write_text(PACK.replace("amount > $large", "amount § $large"))
    assert "tallystick rules check says where" in complaint(call("diff", "pack.toml", "worse.toml"))


def test_a_back_test(call: Tallystick) -> None:
    """The same as a table, as values and as rows; labels say what was prevented."""
    told = call("back-test", "pack.toml", *LOG, "--json", "--out", "fired.csv").told
    with Path("fired.csv").open() as file:
        rows = list(csv.DictReader(file))
    blocked = [row for row in rows if row["would"] == "block"]
    assert PAYMENTS == told["payments"]
    assert len(blocked) == told["stopped"]["payments"] > 0
    assert all(row["currency"] == "USD" and int(row["amount"]) > 2_000 for row in blocked)
    assert (
        sum(int(row["amount"]) for row in blocked if row["authorized"] == "True")
        == (told["cost"]["amounts"]["USD"])
    )
    assert ["large", "coffee", "crowd"] == [rule["rule"] for rule in told["rules"]]
    assert {row["payment_id"] for row in rows if row["shadow"] == "coffee"} >= set(
        told["rules"][1]["examples"]
    )
    good = [row["payment_id"] for row in blocked if row["authorized"] == "True"]
    Path("labels.csv").write_text(f"payment_id,fraud\n{good[0]},1\n")
    labelled = call("back-test", "pack.toml", *LOG, "--json", "--labels", "labels.csv").told
    assert (1, len(good) - 1) == (labelled["prevented"]["payments"], labelled["cost"]["payments"])
    done = call("back-test", "pack.toml", *LOG)
    assert 0 == done.code
    assert f"{PAYMENTS} payments judged: {len(blocked)} would have been stopped" in done.out
    assert "No labels were given" in done.err


def test_a_stretch_of_a_log(call: Tallystick) -> None:
    """From a time on, before a time; together they are the whole."""
    whole = call("back-test", "pack.toml", *LOG, "--json").told
    middle = str((whole["first_at"] + whole["last_at"]) // 2)
    before = call("back-test", "pack.toml", *LOG, "--json", "--to", middle).told
    after = call("back-test", "pack.toml", *LOG, "--json", "--from", middle).told
    assert 0 < before["payments"] < whole["payments"] == before["payments"] + after["payments"]
    assert whole["events"] == before["events"]


WRONG = [
    (("check", "nothing.toml"), 3, "nothing.toml cannot be read: No such file or directory"),
    (("back-test", "pack.toml", "--log", "sqlite:nowhere.db"), 3, "there is no log at nowhere.db"),
    (("back-test", "pack.toml", *LOG, "--from", "noon"), 2, "--from is a time like 2026-03-02T09:00:00Z"),
    (("back-test", "pack.toml", *LOG, "--labels", "no.csv"), 3, "no.csv cannot be read"),
    (("back-test", "pack.toml", *LOG, "--model", "no.json"), 3, "no.json is not a file"),
    (("back-test", "pack.toml", *LOG, "--model", "pack.toml"), 2, "pack.toml cannot be used"),
    (("publish", "pack.toml", "--out", "x.avro"), 2, "name either the input to add to"),
    (("publish", "pack.toml", "--into", "no.avro", "--out", "x.avro"), 3, "no.avro"),
    (("check", "own.toml"), 2, "own.toml is shop's own: name the house's pack with --house"),
]


@pytest.mark.parametrize(("arguments", "code", "reason"), WRONG)
def test_what_goes_wrong_is_one_sentence(
    call: Tallystick, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    """With its exit code."""
    Path("own.toml").write_text('version = 1\nmerchant = "shop"\n')
    done = call(*arguments)
    assert code == done.code
    assert reason in complaint(done)


def test_a_published_pack_stands_in_every_log(call: Tallystick, day: Path, tmp_path: Path) -> None:
    """As it was checked, behind the rules that a day begins with; and it decides what a back-test says it would."""
    example = ROOT / "examples" / "rules"
    house = tmp_path / "more.toml"
    more = '[[rule]]\nid = "middling"\naction = "block"\nwhen = "amount in 1001 minor..4999 minor"\n'
    house.write_text((example / "house.toml").read_text(encoding="utf-8") + more, encoding="utf-8")
    shutil.copy(example / "stolen.txt", tmp_path)
    told = call("publish", str(house), "--into", str(day / "day.avro"), "--out", "ruled.avro", "--json").told
    assert 3 == told["entries"]
    arguments = [
        "demo",
        "--input",
        "ruled.avro",
        "--log",
        "sqlite:ruled.db",
        "--store",
        "duckdb:r.duckdb",
        "--json",
    ]
    assert 0 == run(arguments)
    assert 0 == run(["replay", "--verify", "--log", "sqlite:ruled.db"])
    log = EmbeddedLog(tmp_path / "ruled.db", read_only=True)
    bodies = [decode_event(stored.value).body for stored in log.read("payments", 0, 0, 10_000)]
    log.close()
    applied = [body for body in bodies if isinstance(body, ReferenceApplied) and body.kind == "rulebook"]
    _, book = [decode_reference(body.kind, body.content) for body in applied]
    assert isinstance(book, RuleBook)
    assert told["book"] == book_sha256(book) == applied[1].sha256
    assert ["rulebook", "rulelist", "rulelist", "rulebook"] == [
        body.kind for body in bodies if isinstance(body, ReferenceApplied) and body.kind.startswith("rule")
    ]
    verdicts = {body.payment_id: body for body in bodies if isinstance(body, RiskAssessed)}
    done = call("back-test", str(house), "--log", "sqlite:ruled.db", "--out", "fired.csv", "--json")
    assert done.code == 0
    in_stream = {name for name, body in verdicts.items() if body.rules or body.shadow_rules}
    with Path("fired.csv").open(encoding="utf-8") as file:
        assert in_stream == {row["payment_id"] for row in csv.DictReader(file)}
    assert in_stream


def test_rows_for_a_topic_that_is_there_already(call: Tallystick) -> None:
    """Versions count on from the one that comes next."""
    told = call("publish", "pack.toml", "--next-version", "7", "--out", "rows.avro", "--json").told
    rows = list(read_rows(Path("rows.avro")))
    assert (2, [7, 8]) == (told["rows"], [row.entry.version for row in rows])  # type: ignore[union-attr]
