"""`tallystick simulate` and `import`: input files; and that a card number, once imported, stands nowhere in clear."""

import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import click
import duckdb
import pytest

from events.requests import PaymentRequest
from infra.commandline import COMMANDS, run, tallystick
from streams.edge import simulate
from streams.edge.inputs import hash_of, read_rows
from tests.infra.runs import ROOT, Done, Place, complaint, content, files

MAPPING = """
[columns]
merchant = "shop"
card = "card"
amount = "amount"
currency = "currency"
time = "moment"
key = "id"

[card]
holds = "{holds}"

[merchants]
mcc = "5411"
"""
HEADER = ("id", "shop", "card", "amount", "currency", "moment")
GOOD = ("order-1", "shop-1", "customer-1", "12.34", "EUR", "2026-03-02T10:00:00Z")

#: A field of the good row, what is put there instead, and what the report says of it.
BAD = (
    ("id", "", "the key is empty or longer than 128 characters"),
    ("id", "k" * 129, "the key is empty or longer than 128 characters"),
    ("id", "smörgås", "the key is not printable ASCII"),
    ("shop", "", "the merchant is empty or longer than 64"),
    ("shop", "shop 1", "the merchant has letters other than a-z, A-Z, 0-9, dash, dot and underscore"),
    ("card", "", "the card is empty"),
    ("amount", "lots", "the amount is not a number"),
    ("amount", "1.005", "the amount has more decimals than EUR"),
    ("currency", "", "the currency is empty"),
    ("currency", "XXQ", "the currency is not one that can be paid with"),
    ("moment", "yesterday", "the time is not a time"),
    ("moment", "1812-03-02T10:00:00Z", "the time is before 1970-01-02 or after the year 9999"),
)

Tallystick = Callable[..., Done]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tallystick:
    """``tallystick ARGUMENTS`` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> Done:
        return Done(run(list(arguments)), *capsys.readouterr())

    return called


def good(number: int) -> dict[str, str]:
    """A row that becomes a payment."""
    return {**dict(zip(HEADER, GOOD, strict=True)), "id": f"order-{number}"}


def mapping(holds: str = "names") -> str:
    """A mapping file in the working folder."""
    Path("map.toml").write_text(MAPPING.format(holds=holds))
    return "map.toml"


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    """Rows under their header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)


def reported(path: Path) -> dict[int, str]:
    """The report of refused lines."""
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["line"]): row["reason"] for row in csv.DictReader(file)}


# --- simulate -----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(call: Tallystick) -> None:
    """In every process and wherever it is written; another seed gives others."""
    for name, seed in (("one", "3"), ("two", "3"), ("other", "4")):
        done = call("simulate", "--payments", "60", "--seed", seed, "--out", f"{name}.avro", "--json")
        assert done.code == 0
        told = done.told
        assert (told["payments"], told["seed"], told["file"]) == (60, int(seed), f"{name}.avro")
        assert told["sha256"] == hash_of(Path(f"{name}.avro"))
        assert told["rows"] == sum(1 for _ in read_rows(Path(f"{name}.avro")))
    one, two, other = (Path(f"{name}.avro").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    elsewhere = Place(Path("elsewhere"))
    assert elsewhere.run("simulate", "--payments", "60", "--seed", "3", "--out", "three.avro").code == 0
    assert (elsewhere.folder / "three.avro").read_bytes() == one


def test_a_day_is_realistic(call: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several merchants and currencies, all labelled simulated, and exactly the payments asked for.

    What intake refuses comes on top; in this day there is nothing of it.
    """
    monkeypatch.setattr(simulate, "BAD_REQUESTS", 0.0)
    assert call("simulate", "--payments", "200", "--seed", "3", "--out", "day.avro").code == 0
    payments = [row.entry for row in read_rows(Path("day.avro")) if isinstance(row.entry, PaymentRequest)]
    assert len({(payment.merchant, payment.idempotency_key) for payment in payments}) == 200
    assert len(payments) > 200, "some are delivered twice"
    assert len({payment.merchant for payment in payments}) > 5
    assert len({payment.currency for payment in payments}) > 2
    assert all(payment.simulated for payment in payments)


def test_days_that_cannot_be(call: Tallystick) -> None:
    """No payments, nowhere to write, something in the way."""
    done = call("simulate", "--payments", "0", "--out", "day.avro")
    assert (done.code, "0 payments" in complaint(done)) == (2, True)
    Path("file").touch()
    done = call("simulate", "--payments", "5", "--out", "file/day.avro")
    assert (done.code, "file/day.avro cannot be written" in complaint(done)) == (3, True)
    Path("folder").mkdir()
    assert call("simulate", "--payments", "5", "--out", "folder").code == 2
    assert not list(Path().rglob("*.part"))


# --- import -------------------------------------------------------------------------------------------


def as_csv(path: Path, rows: list[dict[str, str]]) -> int:
    """The rows as CSV, and the line of the first."""
    write_csv(path, rows)
    return 2


def as_json_lines(path: Path, rows: list[dict[str, str]]) -> int:
    """The rows as JSON Lines, and the line of the first."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return 1


@pytest.mark.parametrize(("name", "write"), [("sales.csv", as_csv), ("sales.jsonl", as_json_lines)])
def test_every_line_is_imported_or_reported(
    call: Tallystick, name: str, write: Callable[[Path, list[dict[str, str]]], int]
) -> None:
    """Good and bad lines in turn: each is found again, in the file or in the report with its reason."""
    rows = []
    for number, (field, value, _) in enumerate(BAD):
        rows += [good(number), {**good(1_000 + number), field: value}]
    first = write(Path(name), rows)
    done = call("import", name, "--map", mapping(), "--out", "in.avro", "--json")
    assert done.code == 0, done.err
    told = done.told
    assert (told["lines"], told["payments"], told["refused_lines"]) == (2 * len(BAD), len(BAD), len(BAD))
    assert told["totals"] == {"EUR": 1_234 * len(BAD)}
    assert reported(Path(told["refusals"])) == {
        first + 2 * number + 1: reason for number, (_, _, reason) in enumerate(BAD)
    }
    imported = [row.entry for row in read_rows(Path("in.avro")) if isinstance(row.entry, PaymentRequest)]
    assert {entry.idempotency_key for entry in imported} == {f"order-{number}" for number in range(len(BAD))}
    assert not any(entry.simulated for entry in imported)


def test_lines_that_cannot_be_read(call: Tallystick) -> None:
    """Not CSV, not JSON, not UTF-8: refused line by line, and those behind them are read."""
    write_csv(Path("sales.csv"), [good(1)])
    with Path("sales.csv").open("ab") as file:
        file.write(b"too,few\n\xff\xfe,a,b,1,EUR,2026-03-02\n")
    with Path("sales.csv").open("a", newline="") as text:
        csv.DictWriter(text, HEADER).writerow(good(2))
    done = call("import", "sales.csv", "--map", mapping(), "--out", "in.avro", "--json")
    assert reported(Path(done.told["refusals"])) == {
        3: "it has 2 fields, the header has 6",
        4: "it is not UTF-8",
    }
    assert (done.told["payments"], done.told["lines"]) == (2, 4)
    Path("sales.jsonl").write_text(f'{json.dumps(good(1))}\n{{"id": \n[1]\n\n{json.dumps(good(2))}\n')
    done = call("import", "sales.jsonl", "--map", mapping(), "--out", "in.avro", "--json")
    assert reported(Path(done.told["refusals"])) == dict.fromkeys((2, 3), "it is not a JSON object")
    assert done.told["payments"] == 2


def test_a_good_file_leaves_no_report(call: Tallystick) -> None:
    """Nor that of the import before it; and it says what comes next."""
    write_csv(Path("sales.csv"), [good(1), {**good(2), "amount": ""}])
    assert call("import", "sales.csv", "--map", mapping(), "--out", "in.avro").code == 0
    report = Path("in.avro.refused.csv")
    assert list(reported(report)) == [3]
    write_csv(Path("sales.csv"), [good(1), good(2)])
    done = call("import", "sales.csv", "--map", mapping(), "--out", "in.avro")
    assert done.out.splitlines() == [
        "in.avro: 2 payments at 1 merchants from 2 lines.",
        "Next: tallystick demo --fresh --input in.avro",
    ]
    assert not report.exists()


def test_imports_that_cannot_be(call: Tallystick) -> None:
    """A file or a mapping that is missing or makes no sense: a sentence, and nothing is written."""
    write_csv(Path("sales.csv"), [good(1)])
    Path("sales.xml").touch()
    Path("empty.csv").touch()
    Path("broken.toml").write_text("columns = ")
    Path("unknown.toml").write_text(MAPPING.format(holds="names").replace('"shop"', '"sohp"'))
    Path("misspelt.toml").write_text(MAPPING.format(holds="names").replace("merchant =", "merchnat ="))
    write_csv(Path("bad.csv"), [{**good(1), "amount": "x"}])
    for file, map_, code, words in (
        ("none.csv", mapping(), 3, "none.csv is not a file"),
        ("sales.csv", "none.toml", 3, "none.toml cannot be read"),
        ("sales.xml", mapping(), 2, "can be imported"),
        ("empty.csv", mapping(), 2, "empty.csv"),
        ("sales.csv", "broken.toml", 2, "broken.toml"),
        ("sales.csv", "unknown.toml", 2, "do not fit"),
        ("sales.csv", "misspelt.toml", 2, "misspelt.toml"),
        ("bad.csv", mapping(), 2, "no line that could be a payment"),
    ):
        done = call("import", file, "--map", map_, "--out", "in.avro")
        assert (done.code, words in done.err) == (code, True), done
        assert complaint(done)
        assert not Path("in.avro").exists()


# --- help ---------------------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and sub-command."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_help_of_every_command(call: Tallystick) -> None:
    """Renders, and says what the command and each of its options are for."""
    assert isinstance(tallystick, click.Group)
    found = list(commands(tallystick))
    assert {path[0] for path in found} == {lazy.name for lazy in COMMANDS}
    for path in found:
        done = call(*path, "--help")
        assert done.code == 0, path
        assert done.out.startswith(f"Usage: tallystick {' '.join(path)}")
        command: click.Command = tallystick
        for name in path:
            assert isinstance(command, click.Group)
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            command = inner
        assert command.help, path
        assert all(option.help for option in command.params if isinstance(option, click.Option)), path


def test_help_imports_nothing_heavy() -> None:
    """From the entry point on, start-up check included."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "infra.cli", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert imported.isdisjoint({"faust", "aiokafka", "kurrentdbclient", "duckdb", "numpy", "fastavro"})


# --- card numbers -------------------------------------------------------------------------------------


def card_number(random: Random, length: int) -> str:
    """Digits that pass the Luhn check, as a card's would."""
    digits = "4" + "".join(str(random.randrange(10)) for _ in range(length - 2))
    doubled = sum(
        sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(digits))
    )
    return digits + str(-doubled % 10)


def clear_in(secrets: set[str], data: bytes) -> set[str]:
    """Which of the numbers stand in these bytes, plainly or written in groups."""
    text = data.translate(None, b" -")
    return {secret for secret in secrets if secret.encode() in data or secret.encode() in text}


def test_a_card_number_stands_nowhere_in_clear(call: Tallystick, tmp_path: Path) -> None:
    """Not in the input file, the vault, the log, the store, a report, a scratch file or anything said."""
    random = Random(20_260_302)
    numbers = [card_number(random, length) for length in (13, 15, 16, 16, 16, 19) for _ in range(4)]
    secrets = set(numbers)
    rows = [{**good(place), "card": number} for place, number in enumerate(numbers)]
    rows += [{**good(100 + place), "card": number} for place, number in enumerate(numbers[:4])]
    grouped = " ".join(numbers[8][start : start + 4] for start in range(0, 16, 4))
    rows += [{**good(200), "card": grouped}, {**good(201), "card": grouped.replace(" ", "-")}]
    # Where no card number belongs, and one that is none.
    rows += [
        {**good(300), "id": numbers[0]},
        {**good(301), "shop": numbers[8]},
        {**good(302), "moment": numbers[9]},
    ]
    rows += [{**good(303), "amount": numbers[10]}, {**good(304), "card": str(int(numbers[11]) ^ 1)}]
    source = tmp_path / "given" / "sales.csv"
    source.parent.mkdir()
    write_csv(source, rows)
    assert clear_in(secrets, source.read_bytes()) == secrets, "the search finds what is there"
    place = Place(tmp_path / "run")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    out = place.folder / "in.avro"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        said = [
            call("import", str(source), "--map", mapping("numbers"), "--out", str(out), *place.log_option),
            call("import", str(source), "--map", mapping("names"), "--out", "names.avro", *place.log_option),
        ]
    assert said[0].code == 0, said[0].err
    # As names they are refused, for whoever maps them so has not meant to; all but the one that is none.
    assert len(reported(Path("names.avro.refused.csv"))) == len(rows) - 1
    assert len(reported(out.with_name("in.avro.refused.csv"))) == 5
    said += [
        call("demo", "--json", "--input", str(out), *place.options),
        call("demo", "--input", str(out), *place.options),
        call("replay", "--verify", *place.log_option),
        call("payment", "show", "shop-1/order-0", *place.options[2:]),
        call("payment", "show", "shop-1/order-0", "--json", *place.options[2:]),
        call("merchant", "statement", "shop-1", *place.options[2:]),
        call("query", "FROM payments", "--format", "csv", *place.options[2:]),
    ]
    assert [done.code for done in said[2:]] == [0] * 7, said
    assert said[2].told["payments"] == len(numbers) + 4 + 2

    for done in said:
        assert clear_in(secrets, (done.out + done.err).encode()) == set()
    written = [*files(place.folder), *files(scratch)]
    assert {path.name for path in written} >= {"log.db", "store.duckdb", "vault.db", "in.avro"}
    for path in written:
        assert clear_in(secrets, path.read_bytes()) == set(), path
    assert list(files(scratch)) == []
    # Pages may cut a text in two, and a store compresses: so row by row too.
    for table, of_table in content(place.log).items():
        for row in of_table:
            assert clear_in(secrets, b"|".join(_bytes(cell) for cell in row)) == set(), table
    with closing(sqlite3.connect(place.folder / "vault.db")) as vault:
        cards = vault.execute("SELECT * FROM cards").fetchall()
    assert len(cards) == len(secrets)
    assert not any(clear_in(secrets, _bytes(cell)) for card in cards for cell in card)
    with duckdb.connect(str(place.store), read_only=True) as store:
        names = [name for (name,) in store.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert "events_v1" in names
        for name in names:
            for row in store.execute(f'SELECT * FROM "{name}"').fetchall():
                assert clear_in(secrets, b"|".join(_bytes(cell) for cell in row)) == set(), name


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()
