"""`tallystick risk explain` and `model publish`: from a model's file to a verdict that is told and decided again."""

import json
from pathlib import Path
from random import Random

import duckdb
import pytest

from infra.commandline import run
from streams.features.models import decode_model, encode_model
from tests.infra.runs import Done, complaint
from tests.streams.models import random_model, trained_scorecard

LOG, STORE = ("--log", "sqlite:log.db"), ("--store", "duckdb:store.duckdb")
LEARNING = [
    "model",
    "publish",
    "card.json",
    "--learning",
    "--genuine-one-in",
    "1",
    "--genuine-after-days",
    "1",
]
PACK = '[[rule]]\nid = "scored"\naction = "review"\nwhen = "model.score >= 0"\npoints = 7\n'


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a day on which a champion, a challenger and a rule on the score were in force."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("pack.toml").write_text(f"version = 2\n{PACK}", encoding="utf-8")
        for seed, name in enumerate(("first", "second")):
            Path(f"{name}.json").write_text(encode_model(random_model(Random(seed))), encoding="utf-8")
        Path("card.json").write_text(encode_model(trained_scorecard()), encoding="utf-8")
        for arguments in (
            ["simulate", "--payments", "40", "--out", "day.avro"],
            ["model", "publish", "first.json", "--mode", "enforce", "--into", "day.avro", "--out", "1.avro"],
            ["model", "publish", "second.json", "--into", "1.avro", "--out", "2.avro"],
            [*LEARNING, "--into", "2.avro", "--out", "learning.avro"],
            ["rules", "publish", "pack.toml", "--into", "learning.avro", "--out", "3.avro"],
            ["demo", "--input", "3.avro", *LOG, *STORE, "--json"],
        ):
            assert 0 == run(arguments)
    return folder


def test_a_verdict_is_told_and_comes_out_again(
    day: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a script and to a person; exit code 0 where it does."""
    monkeypatch.chdir(day)
    with duckdb.connect("store.duckdb", read_only=True) as store:
        [(payment,)] = store.execute("SELECT payment_id FROM risk_verdicts LIMIT 1").fetchall()
    capsys.readouterr()
    assert 0 == run(["risk", "explain", payment, *LOG, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (True, [], "review", 7) == (told["agrees"], told["differences"], told["verdict"], told["score"])
    assert [("scored", "fired", "model.score >= 0")] == [
        (one["rule"], one["how"], one["when"]) for one in told["rules"]
    ]
    for said, name in zip(told["models"], ("first", "second", "card"), strict=True):
        assert decode_model((day / f"{name}.json").read_text(encoding="utf-8"))[1].startswith(said["model"])
        assert said["margin"] == said["base"] + sum(one["margin"] for one in said["contributions"])
    assert ["enforce", "shadow", "shadow"] == [said["mode"] for said in told["models"]]
    assert told["features"]["card.count_30d"] == len(told["origins"])
    assert 0 == run(["risk", "explain", payment, *LOG])
    assert "Decided again from the log: the same, bit for bit." in capsys.readouterr().out


def test_a_scorecard_learns_on_the_way(day: Path) -> None:
    """A day later the payments of the day are learned, in every partition the same."""
    with duckdb.connect(str(day / "store.duckdb"), read_only=True) as store:
        [(payments,)] = store.execute(
            "SELECT count(*) FROM payment_steps WHERE step = 'authorized'"
        ).fetchall()
        [(examples, batches)] = store.execute(
            "SELECT sum(examples), count(*) FROM scorecard_learning"
        ).fetchall()
        [(agreed,)] = store.execute("SELECT bool_and(agreed) FROM scorecard_learning").fetchall()
    assert (True, payments) == (agreed, examples)
    assert 0 < batches < payments


def test_drift_is_told_of_any_stretch(
    day: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the champion, or of a file; exit code 1 where the payments are of another world, as these are by far."""
    monkeypatch.chdir(day)
    capsys.readouterr()
    assert 1 == run(["model", "drift", *LOG, "--json"])
    told = json.loads(capsys.readouterr().out)
    model, name = decode_model((day / "first.json").read_text(encoding="utf-8"))
    assert (name, 0) == (told["model"], told["passed_over"])
    assert {*model.features, "score"} == {one["name"] for one in told["drift"]}
    amount = next(one for one in told["drift"] if one["name"] != "score")
    assert told["payments"] == sum(amount["found"]) > 30
    assert (amount["edges"], amount["trained"]) == ([1, 5], [10, 5, 1])
    half = told["drift"][0]["stability"]
    assert 1 == run(["model", "drift", *LOG, "--role", "learner"])
    told_to_people = capsys.readouterr()
    assert "another world" in told_to_people.out
    assert f"{told['payments']:,} payments against the 100" in told_to_people.err
    assert 0 == run(["model", "drift", *LOG, "--to", "2020-01-01T00:00:00Z"])
    assert "There is no verdict" in capsys.readouterr().out
    run(["model", "drift", *LOG, "--model", "second.json", "--json"])
    other = json.loads(capsys.readouterr().out)
    assert decode_model((day / "second.json").read_text(encoding="utf-8"))[1] == other["model"]
    assert half > 0.25
    assert 2 == run(["model", "drift", *LOG, "--from", "yesterday"])
    assert "a time looks like" in complaint(Done(2, *capsys.readouterr()))


def test_what_cannot_be_explained_or_published(
    day: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence, and exit code 2."""
    capsys.readouterr()
    monkeypatch.chdir(day)
    assert 2 == run(["risk", "explain", "pay-1", *LOG])
    assert "is no payment" in complaint(Done(2, *capsys.readouterr()))
    broken = (day / "first.json").read_text(encoding="utf-8").replace('"version":1', '"version":2')
    Path("broken.json").write_text(broken, encoding="utf-8")
    assert 2 == run(["model", "publish", "broken.json", "--into", "day.avro", "--out", "4.avro"])
    assert "the model was changed or damaged" in complaint(Done(2, *capsys.readouterr()))
    assert not Path("4.avro").exists()
    capsys.readouterr()
    assert 2 == run(["model", "publish", "first.json", "--learning", "--into", "day.avro", "--out", "4.avro"])
    assert "a forest does not learn in the stream" in complaint(Done(2, *capsys.readouterr()))
