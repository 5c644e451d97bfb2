"""`tallystick risk explain` and `model publish`: from a model's file to a verdict that is told and decided again."""

import json
from pathlib import Path
from random import Random

import duckdb
import pytest

from infra.commandline import run
from streams.features.models import decode_model, encode_model
from tests.infra.runs import Done, complaint
from tests.streams.models import random_model

LOG, STORE = ("--log", "sqlite:log.db"), ("--store", "duckdb:store.duckdb")
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
        for arguments in (
            ["simulate", "--payments", "40", "--out", "day.avro"],
            ["model", "publish", "first.json", "--mode", "enforce", "--into", "day.avro", "--out", "1.avro"],
            ["model", "publish", "second.json", "--into", "1.avro", "--out", "2.avro"],
            ["rules", "publish", "pack.toml", "--into", "2.avro", "--out", "3.avro"],
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
    for said, name in zip(told["models"], ("first", "second"), strict=True):
        assert decode_model((day / f"{name}.json").read_text(encoding="utf-8"))[1].startswith(said["model"])
        assert said["margin"] == said["base"] + sum(one["margin"] for one in said["contributions"])
    assert ["enforce", "shadow"] == [said["mode"] for said in told["models"]]
    assert told["features"]["card.count_30d"] == len(told["origins"])
    assert 0 == run(["risk", "explain", payment, *LOG])
    assert "Decided again from the log: the same, bit for bit." in capsys.readouterr().out


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
