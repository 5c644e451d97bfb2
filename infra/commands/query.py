"""``tallystick query``: SQL over the projections."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import click
from msgspec import to_builtins

from events.errors import Refused, Unavailable
from infra import shell
from infra.freshness import beside, field, line, remark_freshness
from infra.options import as_of_option, json_option, setting_option, store_option
from infra.output import console, remark, table, text_of, to_json
from infra.settings import Value
from infra.stores import StoreAddress, reading
from projections.reading import Reader
from projections.schema import relation, relations

FORMATS: Final = ("table", "csv", "json", "parquet")
#: How many rows a table shows: nobody reads more, and laying out ten thousand takes eleven seconds.
SCREEN_ROWS: Final = 1_000


def _known(value: Value) -> str:
    if value.text not in FORMATS:
        raise Refused(f"{value.origin}: {value.text!r} is none of {', '.join(FORMATS)}")
    return value.text


@click.command()
@click.argument("sql", required=False, metavar="[SQL | VIEW]")
@store_option
@setting_option("format", _known, metavar="table|csv|json|parquet")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the answer there, not to stdout."
)
@click.option("--schema", is_flag=True, help="The columns of every table and view, or of VIEW alone.")
@as_of_option
@json_option
def query(
    sql: str | None,
    store: StoreAddress,
    as_of: str | None,
    format: str,  # noqa: A002 - the flag's name
    out: Path | None,
    schema: bool,
    as_json: bool,
) -> None:
    """Ask the projections in the SQL of their store, read-only.

    Without SQL: a shell on a terminal; otherwise statements are read from standard input, each but the last ended by
    a semicolon. Without any: list what can be asked.

    --json gives one object with rows and freshness, --format json the rows alone.

    \b
    tallystick query "SELECT status, count(*) FROM payments GROUP BY status"
    tallystick query "SELECT * FROM merchant_totals" --format csv --out totals.csv
    tallystick query --schema merchant_totals
    """
    opened = partial(reading, store, as_of)
    answer = _Answering("object" if as_json else format, out)
    if schema:
        with opened() as db:
            _show_schema(db, sql, as_json=as_json)
    elif sql is not None:
        with opened() as db:
            answer(db, sql)
    elif shell.on_a_terminal():
        with opened() as db:
            fresh = line(beside(db))
        shell.interactive(opened, answer, f"{store}: {fresh}. \\? lists commands, \\q ends.")
    elif not _read_script(opened, answer):
        with opened() as db:
            shell.list_relations(relations(db))


def _read_script(opened: Callable[[], AbstractContextManager[Reader]], answer: shell.Answer) -> bool:
    """Answer the statements on standard input, up to the first that is refused; False where there is nothing."""
    if sys.stdin is None:
        return False
    script = shell.Shell(opened, answer)
    empty = True
    for text in sys.stdin:
        empty = empty and not text.strip()
        if not script.take(text.rstrip("\n")):
            return True
    script.finish()
    return not empty


def _show_schema(db: Reader, name: str | None, *, as_json: bool) -> None:
    found = relations(db) if name is None else [relation(db, name)]
    if as_json:
        click.echo(to_json(to_builtins(found)))
    else:
        shell.describe(found)


class _Answering:
    """Answers statements in one form, on standard output or in a file."""

    def __init__(self, form: str, out: Path | None) -> None:
        self._form = form
        self._out = out
        self._taken = False

    def __call__(self, db: Reader, sql: str, expanded: bool = False) -> None:
        if self._out is not None and self._taken:
            raise Refused(
                f"a second answer would go over the first in {self._out}: give one statement with --out"
            )
        self._taken = True
        form = "expanded" if expanded and self._form == "table" else self._form
        statement = db.checked(sql)
        if form == "parquet":
            if self._out is None:
                raise Refused("a Parquet file cannot go to the screen: say where with --out FILE")
            db.write_parquet(statement, self._out)
            remark(f"written to {self._out}")
            return
        names, chunks = db.chunks(statement)
        try:
            if self._out is None:
                taken = _write(form, names, chunks, sys.stdout, db)
            else:
                with self._out.open("w", encoding="utf-8", newline="") as file:
                    taken = _write(form, names, chunks, file, db)
                remark(f"{_counted(taken)} in {self._out}")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unavailable(
                f"{self._out or 'standard output'} cannot be written: {error.strerror}"
            ) from error
        if form in ("table", "expanded"):
            _remark_on_table(taken, db)


def _write(
    form: str, names: Sequence[str], chunks: Iterator[list[tuple[Any, ...]]], file: IO[str], db: Reader
) -> int:
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
            taken = _write_rows(names, chunks, file)
            file.write("\n")
        case "object":
            file.write('{"rows": ')
            taken = _write_rows(names, chunks, file)
            file.write(f', "freshness": {to_json(field(beside(db)))}}}\n')
        case _:
            rows = next(chunks, [])
            taken = len(rows)
            rows = rows[:SCREEN_ROWS]
            if form == "expanded":
                _write_expanded(names, rows, file)
                return taken
            figures = [name for place, name in enumerate(names) if rows and _is_figure(rows[0][place])]
            screen = console()
            screen.file = file
            screen.print(table("", names, rows, right=figures))
    return taken


def _write_rows(names: Sequence[str], chunks: Iterator[list[tuple[Any, ...]]], file: IO[str]) -> int:
    """One array, a row a line: valid JSON, and a million rows need not be one text in memory."""
    taken = 0
    file.write("[")
    for rows in chunks:
        for row in rows:
            cells = {name: _jsonable(cell) for name, cell in zip(names, row, strict=True)}
            file.write(("," if taken else "") + "\n  " + json.dumps(cells, ensure_ascii=False))
            taken += 1
    file.write("\n]")
    return taken


def _write_expanded(names: Sequence[str], rows: list[tuple[Any, ...]], file: IO[str]) -> None:
    """One column a line."""
    width = max(map(len, names), default=0)
    for number, row in enumerate(rows, 1):
        file.write(f"-[ {number} ]-\n")
        file.writelines(f"{name:<{width}}  {text_of(cell)}\n" for name, cell in zip(names, row, strict=True))


def _remark_on_table(seen: int, db: Reader) -> None:
    cut = " shown, there are more: --format csv gives all" if seen > SCREEN_ROWS else ""
    remark_freshness(beside(db), f"{_counted(min(seen, SCREEN_ROWS))}{cut}; ")


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _jsonable(cell: Any) -> Any:
    return cell if isinstance(cell, str | int | float | bool | list | dict | None) else text_of(cell)


def _is_figure(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
