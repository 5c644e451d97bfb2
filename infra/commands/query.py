"""``tallystick query``: SQL over the projections."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import click

from events.errors import Refused, Unavailable
from infra.options import setting_option, store_option
from infra.output import console, instant, remark, table, text_of
from infra.settings import Value
from infra.stores import StoreAddress, reading
from projections.reading import freshness

FORMATS: Final = ("table", "csv", "json", "parquet")
#: How many rows a table shows: nobody reads more, and laying out ten thousand takes eleven seconds.
SCREEN_ROWS: Final = 1_000


def _known(value: Value) -> str:
    if value.text not in FORMATS:
        raise Refused(f"{value.origin}: {value.text!r} is none of {', '.join(FORMATS)}")
    return value.text


@click.command()
@click.argument("sql", required=False)
@store_option
@setting_option("format", _known, metavar="table|csv|json|parquet")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the answer there, not to stdout."
)
def query(sql: str | None, store: StoreAddress, format: str, out: Path | None) -> None:  # noqa: A002 - the flag's name
    """Ask the projections in the SQL of their store, read-only. Without SQL: list what can be asked.

    \b
    tallystick query "SELECT status, count(*) FROM payments GROUP BY status"
    tallystick query "SELECT * FROM merchant_totals" --format csv --out totals.csv
    """
    with reading(store) as db:
        if sql is None:
            console().print(table("", ("name", "what it holds"), db.tables()))
            return
        statement = db.checked(sql)
        if format == "parquet":
            if out is None:
                raise Refused("a Parquet file cannot go to the screen: say where with --out FILE")
            db.write_parquet(statement, out)
            remark(f"written to {out}")
            return
        names, chunks = db.chunks(statement)
        try:
            if out is None:
                taken = _write(format, names, chunks, sys.stdout)
            else:
                with out.open("w", encoding="utf-8", newline="") as file:
                    taken = _write(format, names, chunks, file)
                remark(f"{_counted(taken)} in {out}")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unavailable(f"{out or 'standard output'} cannot be written: {error.strerror}") from error
        if format == "table":
            _remark_on_table(taken, freshness(db))


def _write(form: str, names: Sequence[str], chunks: Iterator[list[tuple[Any, ...]]], file: IO[str]) -> int:
    """Write an answer; how many rows were seen. A table stops when it has more than a person reads."""
    taken = 0
    match form:
        case "csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            for rows in chunks:
                writer.writerows([text_of(cell) for cell in row] for row in rows)
                taken += len(rows)
        case "json":
            # A value a line inside one array: valid JSON, and a million rows need not be one text in memory.
            file.write("[")
            for rows in chunks:
                for row in rows:
                    cells = {name: _jsonable(cell) for name, cell in zip(names, row, strict=True)}
                    file.write(("," if taken else "") + "\n  " + json.dumps(cells, ensure_ascii=False))
                    taken += 1
            file.write("\n]\n")
        case _:
            rows = next(chunks, [])
            taken = len(rows)
            rows = rows[:SCREEN_ROWS]
            figures = [name for place, name in enumerate(names) if rows and _is_figure(rows[0][place])]
            screen = console()
            screen.file = file
            screen.print(table("", names, rows, right=figures))
    return taken


def _remark_on_table(seen: int, as_of: tuple[int, datetime] | None) -> None:
    cut = " shown, there are more: --format csv gives all" if seen > SCREEN_ROWS else ""
    fresh = "nothing projected yet" if as_of is None else f"{as_of[0]:,} events, up to {instant(as_of[1])}"
    remark(f"{_counted(min(seen, SCREEN_ROWS))}{cut}; {fresh}")


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _jsonable(cell: Any) -> Any:
    return cell if isinstance(cell, str | int | float | bool | list | dict | None) else text_of(cell)


def _is_figure(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
