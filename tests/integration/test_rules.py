"""A back-test reads a log on Kafka as it reads one in a file."""

import csv
import json
from pathlib import Path

import pytest

from infra.commandline import run
from tests.integration.houses import PAYMENTS, new_job, run_house

#: Ticks are hours apart in these runs, and which payment of one interval comes first depends on how the house is cut
#: up; what these rules ask does not.
PACK = """
version = 1
[[rule]]
id = "large"
action = "block"
when = "amount > 50.00 USD or amount > 50.00 EUR"
[[rule]]
id = "from-here"
action = "allow"
when = 'card.country in ["US", "DE"] and merchant.limit_percent < 5'
[[rule]]
id = "code"
action = "review"
when = 'payment.cvv == "no_match"'
"""


def test_the_same_payments_fire_the_same_rules(
    kafka: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three partitions on a broker, and one in a file."""
    ran = run_house(new_job(kafka, tmp_path, partitions=3))
    [day] = (tmp_path / "input").glob("*.avro")
    at = f"sqlite:{tmp_path / 'log.db'}"
    arguments = ["demo", "--input", str(day), "--log", at, "--store", f"duckdb:{tmp_path / 'other.duckdb'}"]
    assert 0 == run([*arguments, "--seed", "7"])
    pack = tmp_path / "pack.toml"
    pack.write_text(PACK)
    fired: list[list[tuple[str, ...]]] = []
    for name, log in (("kafka", ran.job.cluster.address), ("file", at)):
        capsys.readouterr()
        out = tmp_path / f"{name}.csv"
        assert 0 == run(["rules", "back-test", str(pack), "--log", log, "--out", str(out), "--json"])
        told = json.loads(capsys.readouterr().out)
        assert 0 < told["payments"] <= PAYMENTS
        assert all(rule["fired"]["payments"] for rule in told["rules"])
        with out.open() as file:
            fired.append(
                sorted((row["payment_id"], row["rules"], row["would"]) for row in csv.DictReader(file))
            )
    assert fired[1] == fired[0]
