"""``python -m tests.simulation.auditor``."""

import argparse
import sqlite3
import sys
from pathlib import Path

from tests.simulation.auditor import Audit
from tests.simulation.auditor.reading import records, records_on_kafka


def main(arguments: list[str]) -> int:
    """Audit a file, or a house on Kafka."""
    parser = argparse.ArgumentParser("python -m tests.simulation.auditor", description=main.__doc__)
    parser.add_argument("log", help="a file, or kafka://HOST:PORT/PREFIX")
    parser.add_argument(
        "--open", action="store_true", help="its run has not ended: nothing is held against being on its way"
    )
    given = parser.parse_args(arguments)
    path, ended = given.log, not given.open
    on_kafka = path.startswith("kafka://")
    books = Audit(holes=on_kafka)
    try:
        bootstrap, _, prefix = path.removeprefix("kafka://").partition("/")
        for record in records_on_kafka(bootstrap, prefix) if on_kafka else records(Path(path)):
            books.take(record)
    except (ValueError, sqlite3.DatabaseError) as error:
        books.findings.append(f"{path}: {error}")
        ended = False
    findings = books.close(ended=ended)
    for finding in findings:
        print(finding)
    print(f"{books.events:,} events audited, {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
