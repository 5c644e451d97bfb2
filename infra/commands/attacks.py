"""``tallystick risk attacks``: what became of the attacks that were planted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from events.errors import Refused
from infra.options import any_log_option, as_of_option, json_option, store_option
from infra.settings import Value, path_of
from infra.stores import StoreAddress

if TYPE_CHECKING:
    from rich.table import Table

    from infra.attackreport import AttackReport, Honest

_MILLION: Final = 1_000_000


@click.command()
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The planter's ledger.  [default: the one of this run beside log or store, or in their folder input]",
)
@any_log_option
@store_option
@as_of_option
@json_option
def attacks(ledger: Path | None, log: Value, store: StoreAddress, as_of: str | None, as_json: bool) -> int:
    """Which planted attacks were found, by what, after how much; and what honest payers had to bear for it.

    What was an attack is in the ledger that was written with the input; nothing that judges payments reads it.
    Exit code 1: an attack was not found by rule, limit or operator.
    """
    from infra.attackreport import ledger_of, report_on
    from infra.freshness import beside, field, remark_freshness
    from infra.output import to_json
    from infra.stores import reading
    from streams.edge.attackledger import read_ledger

    with reading(store, as_of) as db:
        truth = read_ledger(ledger) if ledger is not None else ledger_of(db, _folders(log, store))
        if truth is None:
            raise Refused(
                "no ledger of attacks beside log or store is of this run: --ledger names one; small simulated days"
                " have none"
            )
        found = report_on(db, truth)
        fresh = beside(db)
    if as_json:
        click.echo(to_json({**as_object(found), "seed": truth.seed, "freshness": field(fresh)}))
    else:
        _print(found)
        remark_freshness(fresh)
    return 0 if all(fate.found for fate in found.fates) else 1


def _folders(log: Value, store: StoreAddress) -> list[Path]:
    """Where a run leaves its input."""
    from infra.logs import KAFKA

    files = [store.path, None if log.text.startswith(KAFKA) else path_of(log, "sqlite")]
    return list(dict.fromkeys(file.parent for file in files if file is not None))


def as_object(found: "AttackReport") -> dict[str, Any]:
    """The report for a script; shares in millionths."""
    import msgspec

    return {
        "attacks": [
            {
                "found": fate.found,
                **msgspec.structs.asdict(fate),
                "exposures": [msgspec.structs.asdict(one) for one in fate.exposures],
            }
            for fate in found.fates
        ],
        "honest": [
            {
                **msgspec.structs.asdict(one),
                "blocked_ppm": _share(one.blocked, one),
                "looked_at_ppm": _share(one.looked_at, one),
            }
            for one in found.honest
        ],
        "mistaken_rules": found.mistaken_rules,
    }


def _share(count: int, honest: "Honest") -> int:
    return count * _MILLION // honest.payments if honest.payments else 0


def _print(found: "AttackReport") -> None:
    from infra.output import console

    screen = console()
    screen.print(_fates(found))
    if any(fate.exposures for fate in found.fates):
        screen.print(_exposed(found))
    screen.print(_borne(found))
    if found.mistaken_rules:
        named = ", ".join(f"{rule} {times}" for rule, times in found.mistaken_rules.items())
        screen.print(f"Rules that stopped or held them: {named}")


def _fates(found: "AttackReport") -> "Table":
    from infra.output import money, table

    heads = (
        "attack",
        "payments",
        "asked for",
        "found by",
        "after",
        "taken by then",
        "blocked",
        "looked at",
        "let go",
        "issuers' no",
        "got through",
        "taken",
        "reported",
    )
    rows = [
        (
            fate.attack_id,
            fate.payments,
            money(fate.asked, fate.currency),
            f"{fate.found_by} {fate.name}".rstrip(),
            fate.after_payments,
            None if fate.after_captured is None else money(fate.after_captured, fate.currency),
            fate.blocked,
            fate.looked_at,
            fate.turned_away,
            fate.refused_by_issuers,
            fate.through,
            money(fate.through_amount, fate.currency),
            fate.reported,
        )
        for fate in found.fates
    ]
    return table("Planted attacks (simulated)", heads, rows, right=(*heads[1:3], *heads[4:]))


def _exposed(found: "AttackReport") -> "Table":
    from infra.output import money, table

    heads = ("attack", "limit", "minutes", "payments", "taken")
    rows = [
        (
            fate.attack_id,
            one.limit,
            f"{(one.in_force_at - one.reached_at).total_seconds() / 60:.1f}",
            one.payments,
            money(one.captured, fate.currency),
        )
        for fate in found.fates
        for one in fate.exposures
    ]
    return table("From the crossing of a limit to its block", heads, rows, right=heads[2:])


def _borne(found: "AttackReport") -> "Table":
    from infra.output import money, table

    heads = (
        "currency",
        "honest payments",
        "blocked",
        "of 1,000",
        "money",
        "looked at",
        "of 1,000",
        "money",
        "let go",
    )
    rows = [
        (
            one.currency,
            f"{one.payments:,}",
            one.blocked,
            f"{_share(one.blocked, one) / 1_000:.2f}",
            money(one.blocked_amount, one.currency),
            one.looked_at,
            f"{_share(one.looked_at, one) / 1_000:.2f}",
            money(one.looked_at_amount, one.currency),
            one.turned_away,
        )
        for one in found.honest
    ]
    return table("What the honest had to bear", heads, rows, right=heads[1:])
