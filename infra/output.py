"""What people and scripts read: tables, amounts and JSON on stdout, remarks on stderr.

Colour comes only on a terminal, and never with ``NO_COLOR`` set. Off a terminal a table is as wide as it needs to
be: a cut-off number would be worse than a long line.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from events.money import EXPONENTS, format_minor

_WIDE: Final = 10_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever reads has seen enough. Rich would exit with code 1, which here means a broken invariant."""
        raise BrokenPipeError


def console() -> Console:
    """Where results go."""
    probe = _Console(highlight=False)
    # soft_wrap would lose the borders of tables; a width that nothing reaches does not.
    return probe if probe.is_terminal else _Console(highlight=False, width=_WIDE)


def remark(sentence: str) -> None:
    """Something worth knowing that is not part of the answer."""
    click.echo(sentence, err=True)


def money(amount: int, currency: str) -> str:
    """``1,234.56 EUR``; minor units beside a currency that the table does not know."""
    if currency not in EXPONENTS:
        return f"{amount} {currency}".rstrip()
    whole, point, fraction = format_minor(amount, currency).partition(".")
    return (
        f"{int(whole):,}{point}{fraction} {currency}" if whole != "-0" else f"-0{point}{fraction} {currency}"
    )


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()
) -> Table:
    """A table; the columns named in ``right`` hold figures. Cells are plain text, whatever they contain."""
    made = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    figures = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in figures else "left", no_wrap=column in figures)
    for row in rows:
        made.add_row(*(Text(text_of(cell)) for cell in row))
    return made


def text_of(value: Any) -> str:
    """A value as people and CSV readers want it; instants are UTC."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return instant(value)
        case bytes():
            return value.hex()
        case _:
            return str(value)


def instant(value: datetime) -> str:
    """``2026-03-02T09:00:00Z``, with decimals only where there are any."""
    return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def to_json(value: Any) -> str:
    """One JSON value; instants are texts, bytes hexadecimal."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)
