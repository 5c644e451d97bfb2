"""What a back-test came to, for people; and every payment on which a rule fires, as a CSV file."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from infra.output import console, remark, table
from infra.output import money as money_shown
from streams.forensics.backtest import BackTest, Judged, Money


def print_back_test(found: BackTest, *, labelled: bool) -> None:
    """Rule by rule, what was decided against what would have been, and the sum of it."""
    screen = console()
    columns = ("rule", "action", "fired", "share", "on fraud", "on good payments", "good money", "failed")
    rows = [
        (
            f"{rule.rule}{' (shadow)' if rule.shadow else ''}",
            rule.action,
            f"{rule.fired.payments:,}",
            _share(rule.fired.payments, found.payments),
            f"{rule.prevented.payments:,}",
            f"{rule.cost.payments:,}",
            _sums(rule.cost),
            f"{rule.failed:,}" if rule.failed else "",
        )
        for rule in found.rules
    ]
    screen.print(table("", columns, rows, right=columns[2:6]))
    words = sorted({would for row in found.decided.values() for would in row})
    decided = [
        (was, *(f"{row.get(would, 0):,}" for would in words)) for was, row in sorted(found.decided.items())
    ]
    screen.print(table("", ("decided", *(f"would {word}" for word in words)), decided, right=words))
    click.echo(
        f"{found.payments:,} payments judged: {found.stopped.payments:,} would have been stopped "
        f"({_share(found.stopped.payments, found.payments)}). "
        f"Good payments declined: {found.cost.payments:,} ({_sums(found.cost) or '0'}); "
        f"fraud prevented: {found.prevented.payments:,} ({_sums(found.prevented) or '0'}), "
        f"missed: {found.missed.payments:,} ({_sums(found.missed) or '0'})."
    )
    if not labelled:
        remark(
            f"No labels were given (--labels): the log itself says of {found.labels:,} payments what they were, "
            "and any other that was authorized counts as good."
        )


def _sums(money: Money) -> str:
    return ", ".join(money_shown(amount, currency) for currency, amount in sorted(money.amounts.items()))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else ""


@contextmanager
def details(out: Path | None) -> Iterator[Callable[[Judged], None]]:
    """What is told of each payment goes into a CSV file, which appears whole or not at all."""
    if out is None:
        yield lambda _: None
        return
    unfinished = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Judged._fields)

            def told(judged: Judged) -> None:
                writer.writerow(" ".join(cell) if isinstance(cell, tuple) else cell for cell in judged)

            yield told
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
