"""What the main job says at its end: for a person, and as one JSON object for a script."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from events.money import format_minor
from infra.attackreport import AttackReport
from infra.job import Finished, Ran
from infra.settings import SETTINGS
from projections.report import Report

_LIFE: Final = (
    ("payments", "requested, each exactly once"),
    ("authorized", "the issuer said yes"),
    ("declined", "the issuer, a rule or the lack of a route said no"),
    ("unknown", "no answer in time: reversed until acknowledged"),
    ("captured", "money taken for the merchant"),
    ("voided", "let go by the merchant"),
    ("expired", "never captured: the hold ran out"),
    ("refunded", "money given back"),
    ("disputed", "the cardholder wants the money back"),
    ("settled", "every capture made available to its merchant"),
    ("paid_out", "on a bank statement of the merchant"),
)
_MONEY: Final = (
    "requested",
    "captured",
    "refunded",
    "disputed",
    "fees",
    "pending",
    "available",
    "reserve",
    "paid_out",
)


def as_object(report: Report, finished: Finished, attacks: AttackReport | None = None) -> dict[str, Any]:
    """Everything a script may want to know; keys stay."""
    counts = msgspec.structs.asdict(report.counts)
    seconds = round(finished.seconds, 3)
    return {
        **counts,
        "seconds": seconds,
        "payments_per_second": round(report.counts.payments / finished.seconds, 1) if seconds else 0.0,
        "latency_ms": {
            "p50": _percentile(finished.latencies_ms, 50),
            "p99": _percentile(finished.latencies_ms, 99),
        },
        "state_digest": finished.state_digest,
        "ledger_digest": report.ledger_digest,
        "resumed": finished.went_on,
        "already_finished": finished.was_finished,
        "amounts": {currency: msgspec.structs.asdict(sums) for currency, sums in report.amounts.items()},
        "statuses": report.by_status,
        "declines": report.declines,
        "refusals": report.refusals,
        "attacks": None if attacks is None else _attacks(attacks),
    }


def _attacks(attacks: AttackReport) -> dict[str, int]:
    """How many were planted and found, of how many payments, and how many of these got through."""
    return {
        "planted": len(attacks.fates),
        "found": sum(fate.found for fate in attacks.fates),
        "payments": sum(fate.payments for fate in attacks.fates),
        "through": sum(fate.through for fate in attacks.fates),
    }


def _percentile(values: Counter[float], percent: int) -> float | None:
    """Nearest rank among values and how often each was measured; None where nothing was (a run that only reports)."""
    rank = -(-values.total() * percent // 100)
    for value, times in sorted(values.items()):
        rank -= times
        if rank <= 0:
            return value
    return None


def print_summary(job: Ran, report: Report, finished: Finished, attacks: AttackReport | None = None) -> None:
    """Tell a person what happened, where the money is, what does not reconcile and where to look next."""
    console = Console()
    console.print(_heading(job, report, finished))
    console.print(_happened(report))
    console.print(_money(report))
    console.print(_networks(report))
    console.print(_books(report))
    if attacks is not None:
        figures = _attacks(attacks)
        console.print(
            "{found} of {planted} planted attacks were found; of their {payments} payments {through} got through: "
            "`tallystick risk attacks`".format(**figures)
        )
    console.print(_next(job, report))


def _heading(job: Ran, report: Report, finished: Finished) -> Panel:
    what = f"{job.input.name}" if job.input else f"a simulated day, seed {job.seed}"
    lines = [Text.assemble(("Tallystick", "bold"), f"  {what}")]
    if finished.was_finished:
        lines.append(Text("This log was finished before: nothing was decided, this is its report."))
    else:
        rate = report.counts.payments / finished.seconds if finished.seconds else 0
        again = "Went on where the log ended. " if finished.went_on else ""
        lines.append(
            Text(
                f"{again}{report.counts.payments:,} payments, {report.counts.events:,} events "
                f"in {finished.seconds:.1f} s: {rate:,.0f} payments/s through the whole life"
            )
        )
    p50, p99 = _percentile(finished.latencies_ms, 50), _percentile(finished.latencies_ms, 99)
    if p50 is not None:
        lines.append(Text(f"Request to answer: half within {p50:.0f} ms, 99 % within {p99:.0f} ms"))
    simulated = "Card networks and bank" if job.input else "Producers, card networks and bank"
    lines.append(Text(f"{simulated} are simulated.", style="dim"))
    return Panel(Group(*lines), border_style="cyan", expand=False)


def _happened(report: Report) -> Table:
    table = Table(title="What happened to the payments", title_justify="left", box=None, pad_edge=False)
    table.add_column("", style="bold")
    table.add_column("", justify="right")
    table.add_column("", justify="right", style="dim")
    table.add_column("", style="dim")
    total = report.counts.payments
    for name, meaning in _LIFE:
        number = getattr(report.counts, name)
        part = f"{number / total:.1%}" if total else ""
        table.add_row(name.replace("_", " "), f"{number:,}", part, meaning)
    return table


def _money(report: Report) -> Group:
    # A table's own title is broken to the width of the table, and one currency makes a narrow one.
    title = Text("\nWhere the merchants' money is", style="table.title")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for currency in report.amounts:
        table.add_column(currency, justify="right", no_wrap=True)
    for name in _MONEY:
        found = {currency: getattr(sums, name) for currency, sums in report.amounts.items()}
        if any(found.values()):
            cells = [_amount(amount, currency) for currency, amount in found.items()]
            table.add_row(Text(name.replace("_", " "), style="bold"), *cells)
    owed = any(sums.available < 0 for sums in report.amounts.values())
    note = "Available below zero: refunds after a last payout, which the merchants owe."
    return Group(title, table, *([Text(note, style="dim")] if owed else []))


def _amount(amount: int, currency: str) -> str:
    """Minor units with thousands apart: -1,234.56."""
    whole, dot, fraction = format_minor(abs(amount), currency).partition(".")
    return f"{'-' if amount < 0 else ''}{int(whole):,}{dot}{fraction}"


def _networks(report: Report) -> Table:
    table = Table(title="\nWhat the networks said", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for name in ("payments", "authorized", "declined", "unknown", "approval"):
        table.add_column(name, justify="right")
    for network in report.networks:
        table.add_row(
            Text(network.network, style="bold"),
            f"{network.payments:,}",
            f"{network.authorized:,}",
            f"{network.declined:,}",
            f"{network.unknown:,}",
            f"{network.approval_ppm / 10_000:.1f} %",
        )
    return table


def _books(report: Report) -> Group:
    counts = report.counts
    good, bad = "green", "bold red"
    detected = counts.discrepancies_detected
    rows = (
        (
            "the ledger sums to zero in every currency",
            counts.ledger_imbalance == 0,
            f"{counts.ledger_imbalance:,}",
        ),
        (
            "every clearing account is back at zero",
            counts.open_clearing_residuals == 0,
            f"{counts.open_clearing_residuals:,} open items",
        ),
        (
            "every cent asked for is at one place",
            counts.money_unplaced == 0,
            f"{counts.money_unplaced:,} amounts out of place",
        ),
        (
            "networks and bank agree with our books",
            counts.discrepancies == 0,
            f"{counts.discrepancies:,} open of {detected:,} discrepancies found",
        ),
    )
    table = Table(
        title="\nDo the books agree", title_justify="left", box=None, pad_edge=False, show_header=False
    )
    for what, holds, figure in rows:
        table.add_row(
            Text("yes" if holds else "NO ", style=good if holds else bad), what, Text(figure, style="dim")
        )
    absorbed = Text(
        f"\n{counts.duplicates_absorbed:,} duplicate requests had no effect, {counts.requests_refused:,} requests "
        f"were refused with a reason, {counts.dead_letters:,} records were sealed away as dead letters.",
    )
    return Group(table, absorbed)


def _next(job: Ran, report: Report) -> Panel:
    merchant = report.top_merchants[0].merchant if report.top_merchants else "MERCHANT"
    log = "" if job.address == SETTINGS["log"].default else f" --log {job.address}"
    store = "" if job.store.text == SETTINGS["store"].default else f" --store {job.store}"
    command = _command()
    lines = (
        f"{command} ledger trial-balance{store}",
        f"{command} merchant statement {merchant}{store}",
        f'{command} query "TABLE merchant_totals"{store}',
        f'{command} query "SELECT * FROM payments WHERE was_unknown LIMIT 5"{store}',  # noqa: S608 - a hint, to be typed
        f"{command} replay --verify{log}",
    )
    return Panel(
        "\n".join(lines), title="Where to look next", title_align="left", expand=False, border_style="dim"
    )


def _command() -> str:
    """How this reader calls us: by name where a shell finds it, else by the path that works from here."""
    if shutil.which("tallystick"):
        return "tallystick"
    beside = Path(sys.executable).with_name("tallystick")
    return os.path.relpath(beside) if beside.exists() else "tallystick"
