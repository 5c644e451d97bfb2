"""A foreign history is measured exactly: what SQL finds by searching the whole past, in any batches."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from events.calendar import DAY, HOUR, MINUTE
from events.errors import Refused, TallystickError, Unavailable, ValidationError, WireError
from streams.edge.backfill import COLUMNS, Backfilled, backfill
from streams.features.velocity import columns, plan_of

WINDOWS = "1m,1h,24h,7d"
START = 1_767_225_600_000_000
WIDTHS = {"1m": MINUTE, "1h": HOUR, "24h": DAY, "7d": 7 * DAY}
Row = tuple[Any, ...]


def history(rows: int, seed: int, days: int = 20) -> list[Row]:
    """Rows in log order: 3 % late by up to two days, 5 % delivered again, labels early, late, repeated, of nobody."""
    chance = random.Random(seed)
    found: list[Row] = []
    at = START
    while len(found) < rows:
        what = chance.random()
        number = len(found)
        if found and what < 0.05:
            again = found[-chance.randrange(1, min(len(found), 3_000) + 1)]
            claims = chance.choice([again[2], again[2] + HOUR])
            found.append((*again[:2], claims, *again[3:]))
        elif found and what < 0.09:
            whose = chance.choice(
                [f"e{number - chance.randrange(1, 4_000)}", f"e{number + chance.randrange(1, 400)}", "nobody"]
            )
            found.append((whose, "label", at + chance.randrange(DAY), None, None, None, None, None, None))
        else:
            at += chance.randrange(2 * days * DAY // rows)
            late = chance.randrange(2 * DAY if chance.random() < 0.1 else HOUR) if what > 0.97 else 0
            shop = min(chance.randrange(8), chance.randrange(8))
            card = chance.randrange(rows // 40)
            found.append(
                (
                    f"e{number}",
                    "authorization",
                    at - late,
                    f"card{card}" if chance.random() < 0.99 else None,
                    f"ip{chance.randrange(rows // 60)}" if chance.random() < 0.95 else None,
                    f"device{card + chance.randrange(2)}" if chance.random() < 0.9 else None,
                    f"mail{card}" if chance.random() < 0.95 else "",
                    f"shop{shop}",
                    chance.randrange(1, 10**7),
                )
            )
    return found


TYPES = (
    "event_id VARCHAR, kind VARCHAR, event_time BIGINT, card VARCHAR, ip VARCHAR, device VARCHAR, email VARCHAR,"
    " merchant VARCHAR, amount_minor BIGINT"
)


def written(path: Path, rows: list[Row], select: str = "*", types: str = TYPES) -> Path:
    """The rows as a file, Parquet or CSV by its name."""
    scratch = path.with_suffix(".jsonl")
    names = [column.split()[0] for column in types.split(", ")]
    with scratch.open("w", encoding="utf-8") as file:
        for row in rows:
            fields = ", ".join(
                f'"{name}": {_json(value)}'
                for name, value in zip(names, row, strict=True)
                if value is not None
            )
            file.write(f"{{{fields}}}\n")
    given = ", ".join(f"{name}: '{kind}'" for name, kind in (c.split(" ", 1) for c in types.split(", ")))
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        form = "FORMAT csv, HEADER" if path.suffix == ".csv" else "FORMAT parquet"
        db.execute(
            f"COPY (SELECT {select} FROM read_json('{scratch}', columns = {{{given}}})) TO '{path}' ({form})"
        )
    return path


def _json(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def read(path: Path) -> tuple[list[str], list[Row]]:
    """Names and rows of a features file."""
    with duckdb.connect() as db:
        found = db.execute(f"SELECT * FROM '{path}'")
        return [name for name, *_ in found.description or ()], found.fetchall()


def searched(source: Path, windows: dict[str, int]) -> tuple[list[str], list[Row]]:
    """The definition in SQL: each first delivery against everything before it."""
    with duckdb.connect() as db:
        db.execute(
            f"""
            CREATE TABLE entries AS SELECT row_number() OVER () AS place, * FROM '{source}';
            CREATE TABLE paid AS SELECT * FROM entries WHERE kind = 'authorization'
                QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY place) = 1;
            CREATE TABLE known AS SELECT event_id, min(place) AS known FROM entries WHERE kind = 'label' GROUP BY ALL;
            CREATE TABLE result AS SELECT place, event_id FROM paid;
            """
        )
        groups: list[tuple[str, str, str]] = [
            (f"{key}_{measure}", key, formula)
            for key in ("card", "ip", "device", "email", "merchant")
            for measure, formula in (("count", "count(*)"), ("sum", "sum(old.amount_minor)::BIGINT"))
        ]
        groups += [(f"{key}_cards", key, "count(DISTINCT old.card)") for key in ("ip", "device", "merchant")]
        groups.append(("merchant_frauds", "merchant", "count(*) FILTER (known.known <= now.place)"))
        for group, key, formula in groups:
            for name, width in windows.items():
                db.execute(
                    f"""
                    CREATE OR REPLACE TABLE result AS SELECT result.*, coalesce(found.value, 0) AS {group}_{name}
                    FROM result LEFT JOIN (
                        SELECT now.place, {formula} AS value
                        FROM paid AS now JOIN paid AS old ON old.{key} = now.{key} AND old.place <= now.place
                            AND old.event_time <= now.event_time AND old.event_time > now.event_time - {width}
                        LEFT JOIN known ON known.event_id = old.event_id
                        WHERE now.{key} <> '' GROUP BY now.place
                    ) AS found USING (place)
                    """
                )
        found = db.execute("SELECT * EXCLUDE (place) FROM result ORDER BY place")
        return [name for name, *_ in found.description or ()], found.fetchall()


# --- exactness --------------------------------------------------------------------------------------------


def test_no_difference_to_a_search_of_the_whole_past(tmp_path: Path) -> None:
    """Names, order and every value, for rows late, repeated, labelled, and without names."""
    source = written(tmp_path / "history.parquet", history(12_000, 20_260_302))
    told = backfill(source, WINDOWS, tmp_path / "features.parquet")
    names, rows = read(tmp_path / "features.parquet")
    assert names == ["event_id", *columns(plan_of(WINDOWS, full=False, declines=False))]
    wanted_names, wanted = searched(source, WIDTHS)
    assert wanted_names == names
    assert len(wanted) == len(rows) == told.authorizations
    assert [pair for pair in zip(wanted, rows, strict=True) if pair[0] != pair[1]] == []
    assert told.approximate == 0
    assert any(row[names.index("merchant_frauds_7d")] for row in rows)


@pytest.mark.parametrize("batch", [1, 100, 1_000, 7_777])
def test_batches_change_nothing(tmp_path: Path, batch: int) -> None:
    """Not a value and not the order."""
    rows = history({1: 250, 7_777: 9_000}.get(batch, 3_000), 3)
    source = written(tmp_path / "history.parquet", rows)
    backfill(source, WINDOWS, tmp_path / "one.parquet")
    backfill(source, WINDOWS, tmp_path / "two.parquet", batch=batch)
    assert read(tmp_path / "one.parquet") == read(tmp_path / "two.parquet")


def test_a_history_in_no_order_is_exact(tmp_path: Path) -> None:
    """However late a row comes, and whatever year a broken clock says."""
    rows = history(800, 4)
    random.Random(4).shuffle(rows)
    rows[10] = (*rows[10][:2], rows[10][2] + 70 * 365 * DAY, *rows[10][3:])
    source = written(tmp_path / "history.parquet", rows)
    told = backfill(source, "1h,7d", tmp_path / "features.parquet")
    assert told.lateness > 69 * 365 * DAY
    assert searched(source, {"1h": HOUR, "7d": 7 * DAY}) == read(tmp_path / "features.parquet")


def test_hot_keys_are_told(tmp_path: Path) -> None:
    """Asked for, tiles stand in for the old events of hot keys; up to 24 hours nothing differs."""
    source = written(tmp_path / "history.parquet", history(9_000, 5))
    exact = backfill(source, "1h,24h,7d", tmp_path / "exact.parquet")
    tiled = backfill(source, "1h,24h,7d", tmp_path / "tiled.parquet", hot=100)
    assert exact.approximate == 0
    assert 0 < tiled.approximate <= tiled.authorizations
    names, wanted = read(tmp_path / "exact.parquet")
    _, found = read(tmp_path / "tiled.parquet")
    differing = {
        names[place]
        for one, other in zip(wanted, found, strict=True)
        for place in range(len(names))
        if one[place] != other[place]
    }
    assert differing
    assert all(name.endswith("_7d") for name in differing)


# --- what files are like ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "select"),
    [
        (".csv", "*"),
        (".csv", "* REPLACE (make_timestamp(event_time) AS event_time)"),
        (".parquet", "* REPLACE (make_timestamp(event_time) AS event_time)"),
        (".parquet", "* REPLACE (make_timestamp_ns(event_time * 1000) AS event_time)"),
        (".parquet", "* REPLACE (make_timestamp(event_time)::TIMESTAMPTZ AS event_time)"),
        (".parquet", "* REPLACE (amount_minor::DOUBLE AS amount_minor)"),
        (".parquet", "kind, merchant, 7 AS extra, * EXCLUDE (kind, merchant)"),
    ],
)
def test_one_history_in_many_files(tmp_path: Path, suffix: str, select: str) -> None:
    """Timestamps, microseconds, columns in any order, integers that nulls made floats: the same features."""
    rows = history(400, 6)
    backfill(written(tmp_path / "a.parquet", rows), WINDOWS, tmp_path / "wanted.parquet")
    told = backfill(written(tmp_path / f"b{suffix}", rows, select), WINDOWS, tmp_path / "found.parquet")
    assert told.rows == len(rows)
    assert read(tmp_path / "wanted.parquet") == read(tmp_path / "found.parquet")


def test_names_may_be_numbers(tmp_path: Path) -> None:
    """Ids come out in the type in which they came in; in CSV, 007 and 7 are two cards."""
    rows = [(7, "authorization", START + n, 1, 2, 3, 4, 5, 100) for n in range(1)]
    rows += [(8, "authorization", START + 5, 1, 2, 3, 4, 5, 100)]
    source = written(
        tmp_path / "numbers.parquet",
        rows,
        types=TYPES.replace("VARCHAR", "INTEGER").replace("kind INTEGER", "kind VARCHAR"),
    )
    backfill(source, "1h", tmp_path / "features.parquet")
    names, found = read(tmp_path / "features.parquet")
    assert [(row[0], row[names.index("card_count_1h")]) for row in found] == [(7, 1), (8, 2)]
    (tmp_path / "zeros.csv").write_text(
        ",".join(COLUMNS) + "\n1,authorization,5,007,1,1,1,1,100\n01,authorization,6,7,1,1,1,1,100\n"
    )
    backfill(tmp_path / "zeros.csv", "1h", tmp_path / "zeros.parquet")
    names, found = read(tmp_path / "zeros.parquet")
    assert [
        (row[0], row[names.index("card_count_1h")], row[names.index("ip_cards_1h")]) for row in found
    ] == [
        ("1", 1, 1),
        ("01", 1, 2),
    ]


def authorization(event_id: str, at: int, amount: int | None = 5) -> Row:
    """A dull one."""
    return (event_id, "authorization", START + at, "card", "ip", "device", "mail", "shop", amount)


def label(event_id: str, at: int) -> Row:
    """It says fraud."""
    return (event_id, "label", START + at, None, None, None, None, None, None)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    """Counted from their row on, once; early ones with their authorization; those of nobody are told."""
    rows = [
        label("b", 0),
        authorization("a", 1),
        label("a", 2),
        label("a", 3),
        label("nobody", 3),
        label("nobody", 3),
        authorization("b", 4),
        authorization("a", 5),
        authorization("c", 6),
    ]
    source = written(tmp_path / "history.parquet", rows)
    told = backfill(source, "1h", tmp_path / "features.parquet")
    names, found = read(tmp_path / "features.parquet")
    assert [(row[0], row[names.index("merchant_frauds_1h")]) for row in found] == [
        ("a", 0),
        ("b", 2),
        ("c", 2),
    ]
    assert told == Backfilled(
        rows=9,
        authorizations=3,
        repeats=1,
        labels=5,
        labels_repeated=2,
        labels_early=1,
        labels_unknown=1,
        lateness=0,
        remembered=4,
    )


def test_a_label_long_afterwards(tmp_path: Path) -> None:
    """Behind every window it changes nothing, and an early one waits for its authorization however long."""
    rows = [authorization("a", 0), label("late", 0), authorization("b", 90 * DAY), label("a", 90 * DAY)]
    rows += [authorization("late", 90 * DAY + 1), authorization("c", 90 * DAY + 2)]
    backfill(written(tmp_path / "history.parquet", rows), "1h", tmp_path / "features.parquet")
    names, found = read(tmp_path / "features.parquet")
    assert [row[names.index("merchant_frauds_1h")] for row in found] == [0, 0, 1, 1]


def test_an_empty_history(tmp_path: Path) -> None:
    """No rows in, the columns out."""
    told = backfill(written(tmp_path / "history.parquet", []), WINDOWS, tmp_path / "features.parquet")
    assert told == Backfilled(0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert read(tmp_path / "features.parquet") == (
        ["event_id", *columns(plan_of(WINDOWS, full=False, declines=False))],
        [],
    )


# --- what cannot be measured --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((None, "authorization", START, "c", "i", "d", "m", "s", 5), "event_id: in row 2 .* it is empty"),
        (
            ("e", "sale", START, "c", "i", "d", "m", "s", 5),
            "kind: in row 2 .* neither authorization nor label",
        ),
        (("e", None, START, "c", "i", "d", "m", "s", 5), "kind: in row 2 .*"),
        (
            ("e", "label", None, "c", "i", "d", "m", "s", 5),
            "event_time: in row 2 .* it is empty or not a time",
        ),
        (("e", "label", 10**18, "c", "i", "d", "m", "s", 5), "event_time: in row 2 .* 1 and 9999"),
        (
            ("e", "authorization", START, "c", "i", "d", "m", "s", None),
            "amount_minor: in row 2 .* it is empty",
        ),
        (
            ("e", "authorization", START, "c", "i", "d", "m", "s", 2**63 - 1),
            "amount_minor: the amounts .* 64 bits",
        ),
    ],
)
def test_a_row_that_cannot_be(tmp_path: Path, row: Row, complaint: str) -> None:
    """Is named by its number and column; nothing of it is repeated, and nothing is written."""
    source = written(tmp_path / "history.parquet", [authorization("a", 0), row])
    with pytest.raises(ValidationError, match=complaint):
        backfill(source, WINDOWS, tmp_path / "features.parquet")
    assert not (tmp_path / "features.parquet").exists()
    assert not list(tmp_path.glob(".tallystick*"))


@pytest.mark.parametrize(
    ("select", "complaint"),
    [
        ("* EXCLUDE (ip, device)", "no column ip, device; a history has event_id, kind"),
        ("* REPLACE ('now' AS event_time)", "event_time is VARCHAR, and has to be a timestamp or micro"),
        ("* REPLACE (DATE '2026-03-02' AS event_time)", "event_time is DATE"),
        ("* REPLACE (12.5::FLOAT AS amount_minor)", "amount_minor is FLOAT, and has to be whole minor units"),
        ("* REPLACE (12.50 AS amount_minor)", "amount_minor is DECIMAL"),
        ("* REPLACE (1.5::DOUBLE AS card)", "card is DOUBLE, and has to be text or whole numbers"),
        ("* REPLACE ([card] AS card)", "card is VARCHAR\\[\\]"),
        ("* REPLACE (1 AS kind)", "kind is INTEGER, and has to be text"),
    ],
)
def test_a_column_that_cannot_be(tmp_path: Path, select: str, complaint: str) -> None:
    """Is named with its type and with what it should be."""
    source = written(tmp_path / "history.parquet", [authorization("a", 0)], select)
    with pytest.raises(Refused, match=complaint):
        backfill(source, WINDOWS, tmp_path / "features.parquet")


def test_a_fraction_of_a_minor_unit_is_refused(tmp_path: Path) -> None:
    """A float column may hold whole numbers only, and only those that it holds exactly."""
    for amount in ("12.5", "1e300", "'nan'", "'inf'"):
        source = written(
            tmp_path / "history.parquet",
            [authorization("a", 0)],
            f"* REPLACE ({amount}::DOUBLE AS amount_minor)",
        )
        with pytest.raises(ValidationError, match=r"amount_minor: in row 1 .* not a whole number"):
            backfill(source, WINDOWS, tmp_path / "features.parquet")


def test_files_that_cannot_be(tmp_path: Path) -> None:
    """Missing, something else, in the way, the same one: each is said, and what was there stays."""
    source = written(tmp_path / "history.parquet", [authorization("a", 0)])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "history.avro").touch()
    cases: list[tuple[Path, Path, type[TallystickError], str]] = [
        (tmp_path / "nowhere.parquet", tmp_path / "f.parquet", Unavailable, "is not a file that can be read"),
        (tmp_path / "broken.parquet", tmp_path / "f.parquet", WireError, "broken.parquet cannot be read"),
        (tmp_path / "history.avro", tmp_path / "f.parquet", Refused, "is a .parquet or a .csv file"),
        (source, tmp_path / "f.xlsx", Refused, "written to .parquet or .csv"),
        (source, tmp_path / "nowhere" / "f.parquet", Unavailable, "cannot be written"),
        (source, source, Refused, "is the history itself"),
    ]
    before = source.read_bytes()
    for given, out, kind, complaint in cases:
        with pytest.raises(kind, match=complaint):
            backfill(given, WINDOWS, out)
    assert source.read_bytes() == before
    with pytest.raises(ValidationError, match="windows: '1w'"):
        backfill(source, "1m,1w", tmp_path / "f.parquet")


def test_progress_is_told(tmp_path: Path) -> None:
    """Rows done and rows in all, up to the end."""
    source = written(tmp_path / "history.parquet", history(250, 8))
    told: list[tuple[int, int]] = []
    backfill(
        source, "1h", tmp_path / "f.parquet", batch=100, progress=lambda done, of: told.append((done, of))
    )
    assert told == [(100, 250), (200, 250), (250, 250)]


def test_an_instant_is_utc(tmp_path: Path) -> None:
    """A timestamp without a zone is taken as UTC, wherever the machine stands."""
    moment = datetime.fromtimestamp(START / 1_000_000, UTC)
    rows = [authorization("a", 0), authorization("b", HOUR - 1), authorization("c", HOUR)]
    source = written(
        tmp_path / "history.parquet",
        rows,
        f"* REPLACE (CASE event_id WHEN 'a' THEN TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'"
        " ELSE make_timestamp(event_time) END AS event_time)",
    )
    backfill(source, "1h", tmp_path / "f.parquet")
    names, found = read(tmp_path / "f.parquet")
    assert [row[names.index("card_count_1h")] for row in found] == [1, 2, 2]
