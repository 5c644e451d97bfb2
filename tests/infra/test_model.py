"""`tallystick model`: trained, tested and compared from the command line, and what goes wrong in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.commandline import run
from streams.edge.labelled import write_history
from streams.features.models import decode_model
from streams.features.profiles import NAMES
from tests.infra.runs import Done, complaint
from tests.streams.training.histories import made_up

Tallystick = Callable[..., Done]

SHORT = ("--folds", "2", "--train-days", "7", "--delay-days", "3", "--test-days", "4")
HISTORY = ("--transactions", "history.parquet")
TRAIN = (*HISTORY, "--kind", "scorecard", "--delay-days", "3", "--days", "20", "--until", "2026-04-01")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tallystick:
    """``tallystick model ARGUMENTS`` in this process, in a folder with a history of 40 days."""
    monkeypatch.chdir(tmp_path)
    write_history(Path("history.parquet"), made_up())

    def called(*arguments: str) -> Done:
        return Done(run(["model", *arguments]), *capsys.readouterr())

    return called


def test_a_script_learns_every_fold_and_the_mean(call: Tallystick) -> None:
    """One JSON value with the protocol's figures; the mean is that of the folds."""
    done = call("evaluate", "--transactions", "history.parquet", *SHORT, "--json")
    assert (done.code, done.err) == (0, "")
    told = done.told
    assert (4_000, "forest") == (told["payments"], told["kind"])
    assert ["2026-03-24", "2026-03-28"] == [fold["train_from"] for fold in told["folds"]]
    assert ["2026-04-03", "2026-04-07"] == [fold["test_from"] for fold in told["folds"]]
    for name, mean in told["mean"].items():
        figures = [fold[name] for fold in told["folds"]]
        assert sum(figures) / 2 == pytest.approx(mean)
        assert 0 < min(figures) <= max(figures) <= 1
    assert {"auc_roc", "average_precision", "card_precision_100"} == told["mean"].keys()


def test_a_person_reads_a_table(call: Tallystick) -> None:
    """And is told of what the figures are."""
    done = call(
        "evaluate",
        "--transactions",
        "history.parquet",
        *SHORT,
        "--start",
        "2026-03-12",
        "--kind",
        "scorecard",
    )
    assert 0 == done.code
    assert ["2026-03-22", "2026-03-26", "mean"] == [line.split()[0] for line in done.out.splitlines()[1:4]]
    assert "Under the protocol of the Fraud Detection Handbook" in done.err


def test_a_model_is_the_same_file_every_time(call: Tallystick) -> None:
    """Named by its hash, and readable as what it says it is."""
    told = call("train", *TRAIN, "--out", "deep/first.json", "--json").told
    assert 0 == call("train", *TRAIN, "--out", "second.json").code
    text = Path("deep/first.json").read_text("utf-8")
    assert text == Path("second.json").read_text("utf-8")
    model, name = decode_model(text)
    assert (told["sha256"], told["payments"]) == (name, model.trained.payments)
    assert 0.5 < told["held_back_auc_roc"] <= 1


def test_two_models_on_what_neither_has_seen(call: Tallystick) -> None:
    """From the later one's day on: figures, drift of every feature, and how far the scores are apart."""
    call("train", *TRAIN, "--out", "trees.json", "--kind", "forest")
    call("train", *TRAIN, "--out", "card.json", "--version", "2")
    both = ("--champion", "trees.json", "--challenger", "card.json", "--transactions", "history.parquet")
    told: dict[str, Any] = call("compare", *both, "--delay-days", "3", "--json").told
    assert ("2026-04-01", 1, 2) == (
        told["from"],
        told["champion"]["version"],
        told["challenger"]["version"],
    )
    for role in ("champion", "challenger"):
        assert {*NAMES, "score"} == told[role]["drift"].keys()
        assert told[role]["auc_roc"] > 0.7
    assert 0 < told["scores_differ_by"]["mean"] < told["scores_differ_by"]["most"] <= 100
    done = call("compare", *both, "--delay-days", "3")
    assert ["champion", "challenger"] == [line.split()[0] for line in done.out.splitlines()[1:3]]
    same = call("compare", *both[:3], "trees.json", *both[4:], "--delay-days", "3", "--json").told
    assert {"mean": 0.0, "most": 0} == same["scores_differ_by"]


def test_a_challenger_may_learn_on_the_way(call: Tallystick) -> None:
    """The same scorecard beside itself: the one that learns says otherwise, and a forest cannot."""
    call("train", *TRAIN, "--out", "card.json")
    call("train", *TRAIN, "--out", "trees.json", "--kind", "forest")
    both = (*HISTORY, "--delay-days", "3", "--champion", "card.json", "--challenger")
    learning = ("--learning", "--genuine-after-days", "3", "--genuine-one-in", "5")
    told = call("compare", *both, "card.json", *learning, "--json").told
    assert (False, True) == (told["champion"]["learning"], told["challenger"]["learning"])
    assert told["champion"]["sha256"] == told["challenger"]["sha256"]
    assert told["scores_differ_by"]["most"] > 0
    assert "challenger (scorecard, learning)" in call("compare", *both, "card.json", *learning).out
    done = call("compare", *both, "trees.json", *learning)
    assert 2 == done.code
    assert "this model does not learn: kind: a forest does not learn" in complaint(done)


def test_curves_are_written_beside_the_figures(call: Tallystick) -> None:
    """Of all folds together: every payment that was tested is in a bar, and the last gain is all frauds."""
    arguments = (*HISTORY, *SHORT, "--kind", "scorecard", "--curves", "plots/card.json")
    told = call("evaluate", *arguments, "--json").told
    found = json.loads(Path("plots/card.json").read_text("utf-8"))
    tested = sum(fold["test_payments"] for fold in told["folds"])
    frauds = sum(fold["test_frauds"] for fold in told["folds"])
    assert (tested, frauds) == (found["payments"], found["fraud_payments"])
    assert (frauds, tested - frauds) == (sum(found["frauds"]), sum(found["genuine"]))
    assert (len(found["precision"]), len(found["odds"]) + 1) == (100, len(found["frauds"]))
    assert frauds / tested <= found["precision"][-1] <= found["precision"][0] <= 1
    assert found["gains"] == sorted(found["gains"])
    assert 1 == found["gains"][-1]
    weeks = {len(values) for values in found["drift_by_week"].values()}
    assert {*NAMES, "score"} == found["drift_by_week"].keys()
    assert 1 == len(weeks)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("evaluate", "--transactions", "none.parquet"), 3, "none.parquet is not a file that can be read"),
        (("evaluate", "--transactions", "history.parquet"), 2, "needs 42 days, this history has 40"),
        (
            ("evaluate", "--transactions", "history.parquet", *SHORT, "--start", "2026-03-30"),
            2,
            "the protocol needs 46 days",
        ),
        (
            ("train", "--transactions", "history.parquet", "--out", "m.json", "--until", "2020-01-01"),
            2,
            "there is no payment in the 28 days before the labels end",
        ),
        (
            ("compare", *HISTORY, "--champion", "history.parquet", "--challenger", "history.parquet"),
            2,
            "history.parquet cannot be used: model: this is no model file",
        ),
        (
            ("compare", *HISTORY, "--champion", "none.json", "--challenger", "none.json"),
            3,
            "none.json is not a file that can be read",
        ),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(
    call: Tallystick, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """With the exit code of its kind."""
    done = call(*arguments)
    assert code == done.code
    assert sentence in complaint(done)


def test_a_model_that_was_changed_is_refused(call: Tallystick) -> None:
    """By its hash, whatever was changed."""
    call("train", *TRAIN, "--out", "card.json")
    document = json.loads(Path("card.json").read_text("utf-8"))
    document["model"]["base"] += 1
    Path("changed.json").write_text(json.dumps(document))
    done = call("compare", *HISTORY, "--champion", "card.json", "--challenger", "changed.json")
    assert 2 == done.code
    assert "changed.json cannot be used: sha256: the model was changed or damaged" in complaint(done)


def test_models_that_have_seen_it_all(call: Tallystick) -> None:
    """There is nothing left to compare them on."""
    call("train", *TRAIN[:-2], "--out", "late.json")
    done = call("compare", *HISTORY, "--champion", "late.json", "--challenger", "late.json")
    assert 2 == done.code
    assert "from 2026-04-11 on, when both models were trained, the history has not both" in complaint(done)


def test_a_model_of_lightgbm_is_taken_over(call: Tallystick) -> None:
    """From the vectors that it was trained on to a file like any other; what is wrong with one is a sentence."""
    done = call("vectors", *HISTORY, "--delay-days", "3", "--out", "vectors.parquet", "--json")
    assert (0, 4_000, list(NAMES)) == (done.code, done.told["payments"], done.told["features"])
    (columns,) = duckdb.sql("SELECT list(column_name) FROM (DESCRIBE FROM 'vectors.parquet')").fetchall()
    assert {"time", "fraud", *NAMES} == set(columns[0])

    trained = Path(__file__).parents[1] / "streams" / "training" / "lightgbm" / "forest.txt"
    rest = (*HISTORY, "--delay-days", "3", "--days", "20", "--until", "2026-04-01", "--out", "taken.json")
    done = call("import", str(trained), *rest, "--version", "4", "--json")
    assert (0, 12, 4) == (done.code, done.told["trees"], done.told["version"]), done.err
    loaded, name = decode_model(Path("taken.json").read_text("utf-8"))
    assert (done.told["sha256"], 4) == (name, loaded.version)

    Path("deep.txt").write_bytes(trained.with_name("deep.txt").read_bytes())
    done = call("import", "deep.txt", *rest)
    assert done.code != 0
    assert "max_depth=3" in done.err
    done = call("import", "nowhere.txt", *rest)
    assert done.code != 0
    assert "cannot be read" in done.err
