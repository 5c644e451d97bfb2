"""Foreign files: everything becomes a request or a refused line with its number, and no line is quoted."""

import csv
import decimal
import json
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pytest

from events.calendar import MINUTE, parse_instant
from events.errors import Refused, TallystickError, Unavailable, WireError
from events.identity import slot_of
from events.reference import MerchantTerms, decode_reference
from events.requests import Channel, PaymentRequest, ReferencePublished
from streams.edge.importer import Imported, import_file
from streams.edge.inputs import hash_of, read_rows
from streams.edge.mapping import read_mapping
from streams.edge.publisher import schedule

PAN = "4111111111111111"

PLAIN = """
[columns]
merchant = "shop"
card = "customer"
amount = "total"
currency = "currency"
time = "time"
key = "number"

[merchants]
mcc = "5411"
"""
HEADER = "number,shop,customer,total,currency,time"
GOOD = "n-1,shop-1,anna,12.34,USD,2026-03-02T10:00:00Z"


class Import:
    """A folder with a source, a mapping and what came of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out.avro"

    def run(self, name: str, content: str | bytes, mapping: str = PLAIN) -> Imported:
        """Import a file of this name and content."""
        source, toml = self.folder / name, self.folder / "mapping.toml"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        toml.write_text(mapping, encoding="utf-8")
        return import_file(source, read_mapping(toml), self.out, keys=self.folder / "keys")

    def csv(self, *lines: str, mapping: str = PLAIN) -> Imported:
        """Import lines of CSV under the plain header."""
        return self.run("source.csv", "\n".join((HEADER, *lines)) + "\n", mapping)

    def payments(self) -> list[PaymentRequest]:
        """The payments that were written."""
        return [row.entry for row in read_rows(self.out) if isinstance(row.entry, PaymentRequest)]

    def refused(self) -> dict[int, str]:
        """The report, by line."""
        path = self.folder / "out.avro.refused.csv"
        if not path.exists():
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            return {int(row["line"]): row["reason"] for row in csv.DictReader(file)}


@pytest.fixture
def into(tmp_path: Path) -> Import:
    """An import in a folder of its own."""
    return Import(tmp_path)


def brief(payments: list[PaymentRequest]) -> list[tuple[str, str, int, str]]:
    """What differs between lines."""
    return [(one.idempotency_key, one.merchant, one.amount, one.currency) for one in payments]


def test_a_line_becomes_a_payment(into: Import) -> None:
    """With what the line says, and what the mapping says of all lines."""
    mapping = (
        PLAIN + '[defaults]\nchannel = "recurring"\nproducer = "billing"\nbin = "510800"\nlast4 = "4242"\n'
    )
    done = into.csv(GOOD, mapping=mapping)
    (payment,) = into.payments()
    assert ("shop-1", "n-1", 1234, "USD") == (
        payment.merchant,
        payment.idempotency_key,
        payment.amount,
        payment.currency,
    )
    assert parse_instant("2026-03-02T10:00:00Z") == payment.occurred_at
    assert (Channel.RECURRING, "billing", "510800", "4242") == (
        payment.channel,
        payment.producer,
        payment.bin,
        payment.last4,
    )
    assert not payment.simulated
    assert 0 <= slot_of(payment.card_id) < 1024
    assert Imported(1, 0, 1, 1, 1, {"USD": 1234}, None) == done


def test_payments_stand_in_the_order_of_time_then_key(into: Import) -> None:
    """Whatever the order of the lines; the result is a file that can be run."""
    into.csv(
        "n-3,shop-1,anna,3,USD,2026-03-02 12:00:00",
        "n-2,shop-1,anna,2,USD,2026-03-02 11:00:00",
        "n-1,shop-1,bert,1,USD,2026-03-02 12:00:00",
    )
    assert ["n-2", "n-1", "n-3"] == [payment.idempotency_key for payment in into.payments()]
    assert schedule(read_rows(into.out)).rows == 3 + sum(
        isinstance(row.entry, ReferencePublished) for row in read_rows(into.out)
    )


def test_every_merchant_gets_terms_before_its_first_payment(into: Import) -> None:
    """In the currencies it was seen with, by the contract of the mapping."""
    mapping = PLAIN + 'name = "Branch {merchant}"\nfee_fixed = 7\nsettlement_days = 4\n'
    into.csv(
        GOOD,
        "n-2,shop-2,anna,5,EUR,2026-03-02T10:01:00Z",
        "n-3,shop-2,anna,5,USD,2026-03-02T10:02:00Z",
        mapping=mapping,
    )
    rows = list(read_rows(into.out))
    terms = [
        content
        for row in rows
        if isinstance(row.entry, ReferencePublished)
        and isinstance(content := decode_reference(row.entry.kind, row.entry.content), MerchantTerms)
    ]
    assert [("shop-1", ("USD",)), ("shop-2", ("EUR", "USD"))] == [
        (one.merchant, one.currencies) for one in terms
    ]
    assert ("Branch shop-1", "5411", 7, 4) == (
        terms[0].name,
        terms[0].mcc,
        terms[0].fee_fixed,
        terms[0].settlement_days,
    )
    first_at = parse_instant("2026-03-02T10:00:00Z")
    assert {first_at - 15 * MINUTE} == {
        row.ingested_at for row in rows if isinstance(row.entry, ReferencePublished)
    }


def test_amounts_are_exact_in_every_currency(into: Import) -> None:
    """Minor units by ISO 4217; more decimals than the currency has are refused, not rounded."""
    into.csv(
        "n-1,shop-1,anna,0.1,USD,2026-03-02",
        "n-2,shop-1,anna,1500,JPY,2026-03-02",
        "n-3,shop-1,anna,1.234,KWD,2026-03-02",
        "n-4,shop-1,anna,1.234,USD,2026-03-02",
        "n-5,shop-1,anna,10.5,JPY,2026-03-02",
        "n-6,shop-1,anna,1e2,usd,2026-03-02",
        "n-7,shop-1,anna,-4.50,USD,2026-03-02",
        "n-8,shop-1,anna,0,USD,2026-03-02",
    )
    expected = [("n-1", 10), ("n-2", 1500), ("n-3", 1234), ("n-6", 10_000), ("n-7", -450), ("n-8", 0)]
    assert expected == [(one.idempotency_key, one.amount) for one in into.payments()]
    assert {
        5: "the amount has more decimals than USD",
        6: "the amount has more decimals than JPY",
    } == into.refused()


def test_lines_of_a_key_are_summed(into: Import) -> None:
    """Exactly, rounded once at the end, halves away from zero; the first time counts."""
    lines = [
        "n-1,shop-1,anna,0.333333,USD,2026-03-02 10:00:05",
        "n-2,shop-1,bert,5.00,USD,2026-03-02 10:00:00",
        "n-1,shop-1,anna,0.333333,USD,2026-03-02 10:00:03",
        "n-1,shop-1,anna,0.338334,USD,2026-03-02 10:00:04",
        "n-2,shop-1,bert,-5.00,USD,2026-03-02 10:00:00",
    ]
    done = into.csv(*lines, mapping="sum_lines = true\n" + PLAIN)
    assert [("n-2", 0), ("n-1", 101)] == [(one.idempotency_key, one.amount) for one in into.payments()]
    assert parse_instant("2026-03-02T10:00:03Z") == into.payments()[1].occurred_at
    assert (5, 0, 2) == (done.lines, done.refused_lines, done.payments)


def test_a_sum_of_some_lines_is_no_sum(into: Import) -> None:
    """A bad line takes the others of its key along, each reported; other keys are not touched."""
    lines = [
        "n-1,shop-1,anna,1,USD,2026-03-02",
        "n-1,shop-1,anna,one,USD,2026-03-02",
        "n-2,shop-1,anna,2,USD,2026-03-02",
        "n-3,shop-1,anna,3,USD,2026-03-02",
        "n-3,shop-2,anna,3,USD,2026-03-02",
        "n-4,shop 4,anna,3,USD,2026-03-02",
        "n-4,shop 4,anna,3,USD,2026-03-02",
    ]
    done = into.csv(*lines, mapping="sum_lines = true\n" + PLAIN)
    assert ["n-2"] == [one.idempotency_key for one in into.payments()]
    differ = "the lines of its key differ in merchant, card or currency"
    letters = "the merchant has letters other than a-z, A-Z, 0-9, dash, dot and underscore"
    assert {
        2: "another line of its key was refused",
        3: "the amount is not a number",
        5: differ,
        6: differ,
        7: letters,
        8: letters,
    } == into.refused()
    assert (7, 6) == (done.lines, done.refused_lines)


def test_a_repeated_line_is_passed_on_where_lines_are_not_summed(into: Import) -> None:
    """Whether it is a repeat or a conflict is intake's to say."""
    into.csv(GOOD, GOOD, GOOD.replace("12.34", "12.35"))
    assert [1234, 1234, 1235] == [one.amount for one in into.payments()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",shop-1,anna,1,USD,2026-03-02", "the key is empty or longer than 128 characters"),
        ("n-2,,anna,1,USD,2026-03-02", "the merchant is empty or longer than 64"),
        ("n-2,shop-1,,1,USD,2026-03-02", "the card is empty"),
        ("n-2,shop-1,anna,,USD,2026-03-02", "the amount is not a number"),
        ('n-2,shop-1,anna,"1,50",USD,2026-03-02', "the amount is not a number"),
        ("n-2,shop-1,anna,nan,USD,2026-03-02", "the amount is not a number"),
        ("n-2,shop-1,anna,1,,2026-03-02", "the currency is empty"),
        ("n-2,shop-1,anna,1,EURO,2026-03-02", "the currency is not one that can be paid with"),
        ("n-2,shop-1,anna,1,XAU,2026-03-02", "the currency is not one that can be paid with"),
        ("n-2,shop-1,anna,1,USD,yesterday", "the time is not a time"),
        ("n-2,shop-1,anna,1,USD,1969-03-02", "the time is before 1970-01-02 or after the year 9999"),
        (f"{PAN},shop-1,anna,1,USD,2026-03-02", "the key or the merchant may be a card number"),
        ("n\u00e92,shop-1,anna,1,USD,2026-03-02", "the key is not printable ASCII"),
        ("n-2,shop-1,anna,1,USD", "it has 5 fields, the header has 6"),
        ('n-2,"shop"1,anna,1,USD,2026-03-02', "it is not CSV: ',' expected after '\"'"),
    ],
)
def test_a_refused_line_is_reported_with_its_reason(into: Import, line: str, reason: str) -> None:
    """By its number in the file; the others go on."""
    done = into.csv(GOOD, line, GOOD.replace("n-1", "n-3"))
    assert ["n-1", "n-3"] == [one.idempotency_key for one in into.payments()]
    assert {3: reason} == into.refused()
    assert (3, 1, 2) == (done.lines, done.refused_lines, done.payments)
    assert into.folder / "out.avro.refused.csv" == done.refusals


def test_line_numbers_are_those_of_the_file(into: Import) -> None:
    """Also behind a field that goes over three lines, and behind an empty line."""
    into.csv('n-1,shop-1,"an\n\nna",1,USD,2026-03-02', "", "n-2,shop-1,anna,bad,USD,2026-03-02")
    assert {6: "the amount is not a number"} == into.refused()


def test_a_later_import_without_refusals_leaves_no_old_report(into: Import) -> None:
    """What stands in the report is of the file beside it."""
    into.csv(GOOD, GOOD.replace("12.34", "x"))
    assert into.refused()
    assert into.csv(GOOD).refusals is None
    assert {} == into.refused()


# --- cards --------------------------------------------------------------------------------------------


def cards(into: Import, *names: str, mapping: str) -> list[str]:
    """Card ids that names become."""
    into.csv(
        *(f"n-{number},shop-1,{name},1,USD,2026-03-02" for number, name in enumerate(names)), mapping=mapping
    )
    return [one.card_id for one in into.payments()]


def test_names_become_the_same_ids_again(tmp_path: Path) -> None:
    """By the deployment's key within it; by the namespace everywhere."""
    ids = {}
    for keyed_by in ("vault", "namespace"):
        for place in ("here", "there"):
            folder = tmp_path / keyed_by / place
            folder.mkdir(parents=True)
            mapping = PLAIN + f'[card]\nnamespace = "loyalty"\nkeyed_by = "{keyed_by}"\n'
            first = cards(Import(folder), "anna", "bert", "anna", mapping=mapping)
            assert first == cards(Import(folder), "anna", "bert", "anna", mapping=mapping)
            assert first[0] == first[2] != first[1]
            ids[keyed_by, place] = first
    assert ids["namespace", "here"] == ids["namespace", "there"]
    assert ids["vault", "here"] != ids["vault", "there"]


def test_card_numbers_go_through_the_vault(into: Import) -> None:
    """The same number, the same card; BIN and last four are its own; what is no number is refused."""
    mapping = PLAIN + '[card]\nholds = "numbers"\n'
    ids = cards(into, PAN, "4111 1111 1111 1111", "378282246310005", "anna", mapping=mapping)
    assert ids[0] == ids[1] != ids[2]
    assert [("41111111", "1111"), ("41111111", "1111"), ("378282", "0005")] == [
        (one.bin, one.last4) for one in into.payments()
    ]
    assert {5: "the card is not a card number"} == into.refused()


def test_no_card_number_is_left_anywhere(into: Import) -> None:
    """Not in the requests, nor in the report, nor in scratch files, whether cards are numbers or should not be."""
    for holds in ("numbers", "names"):
        mapping = PLAIN + f'[card]\nholds = "{holds}"\n'
        into.csv(
            f"n-1,shop-1,{PAN},1,USD,2026-03-02",
            f"n-2,shop-1,anna,{PAN}x,USD,2026-03-02",
            "n-3,shop-1,anna,1,USD,2026-03-02",
            f"{PAN},shop-1,anna,1,USD,2026-03-02",
            "n-5,shop-1,378282246310005,1,USD,2026-03-02",
            mapping=mapping,
        )
        assert into.refused()
        (into.folder / "source.csv").unlink()
        for file in into.folder.rglob("*"):
            if file.is_file():
                assert PAN.encode() not in file.read_bytes(), file.name


def test_numbers_where_names_are_said_are_refused(into: Import) -> None:
    """A hash by a key that everybody knows would be a way back to the number."""
    done = into.csv(GOOD, GOOD.replace("anna", PAN))
    assert 1 == done.payments
    assert "may be a card number" in into.refused()[3]


# --- forms --------------------------------------------------------------------------------------------

RECORDS: list[dict[str, Any]] = [
    {
        "number": "n-1",
        "shop": "shop-1",
        "customer": "anna",
        "total": 12.34,
        "currency": "USD",
        "time": "2026-03-02",
    },
    {
        "number": "n-2",
        "shop": "shop-2",
        "customer": "bert",
        "total": 7,
        "currency": "EUR",
        "time": "2026-03-03",
    },
]
EXPECTED = [("n-1", "shop-1", 1234, "USD"), ("n-2", "shop-2", 700, "EUR")]


def test_json_lines(into: Import) -> None:
    """Objects, one a line; a line that is none is refused with its number, and empty lines count."""
    good = [json.dumps(record) for record in RECORDS]
    done = into.run("source.jsonl", "\n".join([good[0], "", "[1]", '{"half":', good[1]]))
    assert EXPECTED == brief(into.payments())
    assert {3: "it is not a JSON object", 4: "it is not a JSON object"} == into.refused()
    assert 4 == done.lines


def test_avro(into: Import) -> None:
    """Records of any schema, decimals and instants among them."""
    schema = {
        "type": "record",
        "name": "Sale",
        "fields": [
            {"name": "number", "type": "string"},
            {"name": "shop", "type": "string"},
            {"name": "customer", "type": ["null", "string"]},
            {
                "name": "total",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
            },
            {"name": "currency", "type": "string"},
            {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    records = [
        record | {"total": decimal.Decimal(str(record["total"])), "time": 1_772_400_000_000_000 + number}
        for number, record in enumerate(RECORDS)
    ]
    source = into.folder / "sales.avro"
    with source.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [*records, records[0] | {"customer": None}])
    into.run("source.avro", source.read_bytes())
    assert EXPECTED == brief(into.payments())
    assert 1_772_400_000_000_001 == into.payments()[1].occurred_at
    assert {3: "the card is empty"} == into.refused()
    with pytest.raises(WireError, match="damaged behind record"):
        into.run("source.avro", source.read_bytes()[:-20])


def test_parquet(into: Import) -> None:
    """Read where it lies; rows count from 1."""
    path = into.folder / "sales.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"""COPY (SELECT * FROM (VALUES
                ('n-1', 'shop-1', 'anna', 12.34::DOUBLE, 'USD', TIMESTAMP '2026-03-02 10:00:00'),
                ('n-2', 'shop-2', 'bert', 7.0, 'EUR', TIMESTAMP '2026-03-03 10:00:00'),
                ('n-3', 'shop-2', 'bert', NULL, 'EUR', TIMESTAMP '2026-03-03 10:00:00')
            ) AS sales (number, shop, customer, total, currency, time)) TO '{path}' (FORMAT parquet)"""
        )
    into.run("source.parquet", path.read_bytes())
    assert EXPECTED == brief(into.payments())
    assert parse_instant("2026-03-02T10:00:00Z") == into.payments()[0].occurred_at
    assert {3: "the amount is not a number"} == into.refused()
    with pytest.raises(WireError, match="cannot be read as Parquet"):
        into.run("source.parquet", path.read_bytes()[:-9])


def test_expressions(into: Import) -> None:
    """Any SQL expression over the columns, here with a time zone and an amount in cents."""
    mapping = PLAIN.replace('"shop"', "\"'branch-' || shop\"").replace(
        '"total"', '"CAST(total AS DECIMAL(12, 2)) / 100"'
    )
    into.csv("n-1,7,anna,1234,USD,2026-03-02T10:00:00+02:00", mapping=mapping)
    assert [("n-1", "branch-7", 1234, "USD")] == brief(into.payments())
    assert parse_instant("2026-03-02T08:00:00Z") == into.payments()[0].occurred_at


def test_the_same_file_and_mapping_give_the_same_bytes(into: Import) -> None:
    """So that a run of it can be found again by the hash of its input."""
    mapping = PLAIN + '[card]\nkeyed_by = "namespace"\n'
    lines = [f"n-{n},shop-{n % 3},c-{n % 5},{n},USD,2026-03-02 10:{n:02d}:00" for n in range(1, 60)]
    into.csv(*lines, mapping=mapping)
    first = hash_of(into.out)
    into.csv(*reversed(lines), mapping=mapping)
    assert first == hash_of(into.out)


# --- refusals of the whole ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("source.xlsx", "x", r"\.csv, \.jsonl, \.ndjson, \.avro and \.parquet can be imported"),
        ("source.csv", "", "has no line that can be read"),
        ("source.csv", "a,b,a\n1,2,3\n", "must name every column"),
        ("source.csv", HEADER + "\n", "has no line that can be read"),
        ("source.csv", "number,shop\nn-1,shop-1\n", "and its mapping do not fit: .*customer"),
        ("source.csv", HEADER + "\nn-1,shop-1,anna,x,USD,2026-03-02\n", "no line that could be a payment"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(into: Import, name: str, content: str, says: str) -> None:
    """In one sentence, and no file is written."""
    with pytest.raises(Refused, match=says):
        into.run(name, content)
    assert not into.out.exists()


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("[columns", "mapping.toml"),
        ("[columns]\nmerchant = 'a'\n", "missing required field"),
        (PLAIN + "\n[card]\nholds = 'secrets'\n", "holds"),
        (PLAIN + "\n[defaults]\nbin = '4111x'\n", "bin is 6 or 8 digits"),
        (PLAIN.replace('currency = "currency"\n', ""), "neither a column nor a default for the currency"),
        (PLAIN + "colour = 'blue'\n", "unknown field `colour`"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(into: Import, mapping: str, says: str) -> None:
    """With the place of the mistake."""
    with pytest.raises(Refused, match=says):
        into.csv(GOOD, mapping=mapping)


@pytest.mark.parametrize(
    "expression",
    [
        "(SELECT content FROM read_text('{secret}'))",
        "(SELECT count(*)::VARCHAR FROM read_csv('{secret}'))",
        "getenv('HOME')",
    ],
)
def test_an_expression_reads_nothing_but_its_file(into: Import, expression: str) -> None:
    """A mapping from somebody else cannot carry the machine's files away."""
    secret = into.folder / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    mapping = PLAIN.replace('"shop"', f'''"""{expression.format(secret=secret)}"""''')
    with pytest.raises(TallystickError, match="do not fit"):
        into.csv(GOOD, mapping=mapping)


def test_missing_files_are_unavailable(tmp_path: Path) -> None:
    """Source and mapping alike."""
    (tmp_path / "mapping.toml").write_text(PLAIN, encoding="utf-8")
    with pytest.raises(Unavailable, match="nowhere"):
        read_mapping(tmp_path / "nowhere.toml")
    with pytest.raises(Unavailable, match="nowhere"):
        import_file(
            tmp_path / "nowhere.csv",
            read_mapping(tmp_path / "mapping.toml"),
            tmp_path / "o",
            keys=tmp_path / "k",
        )
