"""`tallystick risk features`: what it says, to people and to scripts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.commandline import run
from streams.edge.backfill import COLUMNS
from tests.infra.runs import Done, complaint

ROWS = """
a,authorization,2026-03-02 09:00:00,ann,192.0.2.7,tablet,ann@shop.example,corner,1250
a,authorization,2026-03-02 09:00:00,ann,192.0.2.7,tablet,ann@shop.example,corner,1250
a,label,2026-03-02 10:00:00,,,,,,
a,label,2026-03-02 10:00:00,,,,,,
nobody,label,2026-03-02 10:00:00,,,,,,
b,label,2026-03-02 10:00:00,,,,,,
b,authorization,2026-03-02 09:30:00,bob,192.0.2.7,,,corner,800
"""

Tallystick = Callable[..., Done]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tallystick:
    """``tallystick risk features ARGUMENTS`` in this process, in a folder with a history."""
    monkeypatch.chdir(tmp_path)
    Path("history.csv").write_text(",".join(COLUMNS) + ROWS)

    def called(*arguments: str) -> Done:
        return Done(run(["risk", "features", *arguments]), *capsys.readouterr())

    return called


def test_a_script_learns_all_that_was_found(call: Tallystick) -> None:
    """One JSON value, and nothing beside it."""
    done = call("--input", "history.csv", "--windows", "1m, 1h", "--out", "features.parquet", "--json")
    assert (done.code, done.err) == (0, "")
    told = done.told
    assert told.pop("seconds") >= 0
    assert told.pop("rows_per_second") > 0
    assert told == {
        "file": "features.parquet",
        "windows": ["1m", "1h"],
        "features": 28,
        "rows": 7,
        "authorizations": 2,
        "repeats": 1,
        "labels": 4,
        "labels_repeated": 1,
        "labels_early": 1,
        "labels_unknown": 1,
        "lateness_us": 0,
        "remembered_us": 0,
        "approximate_rows": 0,
    }
    assert Path("features.parquet").stat().st_size > 0


def test_a_person_learns_it_in_sentences(call: Tallystick) -> None:
    """The result on standard output, remarks on standard error."""
    done = call("--input", "history.csv", "--windows", "1m,1h", "--out", "features.csv")
    assert done.code == 0
    assert done.out.startswith("features.csv: 28 features of 2 authorizations from 7 rows (")
    assert done.err.splitlines() == [
        "1 rows deliver an authorization again: counted once.",
        "1 of 4 labels repeat one that is known: counted once.",
        "1 of 4 labels stand before their authorization: they count from it on.",
        "1 of 4 labels are of an authorization that is nowhere in the file: they count nothing.",
    ]
    header, *rows = Path("features.csv").read_text().splitlines()
    assert header.startswith("event_id,card_count_1m,card_count_1h,card_sum_1m,card_sum_1h,ip_count_1m")
    assert [row.split(",")[0] for row in rows] == ["a", "b"]
    assert rows[1].endswith(",1,2"), "frauds at the shop: this one, and the one half an hour before"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--input", "history.csv", "--windows", "1w", "--out", "f.parquet"),
            "windows: '1w' is not a number",
        ),
        (("--input", "history.csv", "--out", "f.xlsx"), "f.xlsx: features are written to .parquet or .csv"),
        (("--input", "bad.csv", "--out", "f.csv"), "bad.csv has no column event_id, kind, event_time"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_exit_code_2(
    call: Tallystick, arguments: tuple[str, ...], sentence: str
) -> None:
    """And nothing is written."""
    Path("bad.csv").write_text("time,amount\n1,2\n")
    done = call(*arguments)
    assert done.code == 2
    assert sentence in complaint(done)
    assert sorted(path.name for path in Path().iterdir()) == ["bad.csv", "history.csv"]


def test_a_file_that_is_not_there_is_exit_code_3(call: Tallystick) -> None:
    """It may come yet."""
    done = call("--input", "nowhere.parquet", "--out", "f.parquet", "--json")
    assert done.code == 3
    assert "nowhere.parquet is not a file that can be read" in complaint(done)
    assert json.loads(done.out or "null") is None
