"""How well the number of a merchant's disputes at the end of a month was foreseen: months of a store that are over."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import click

from events.calendar import add_months, iso_day
from events.reference import DelayPoint
from infra.output import console, money, table
from projections import instants
from projections.port import Database
from projections.reading import records
from streams.features.exposure import KEPT_DAYS, LEAST_SEEN, foreseen, month_of

FROM_DAYS: Final = (5, 10, 15, 20, 25)
"""From which days of a month it is foreseen."""
_DAILY: Final = """
    SELECT merchant, network, day, sum(cleared)::BIGINT AS cleared, sum(cases)::BIGINT AS cases
    FROM (
        SELECT request.merchant, step.network, step.recorded_at::DATE AS day, 1 AS cleared, 0 AS cases
        FROM payment_steps AS step JOIN payment_requests AS request ON request.payment_id = step.payment_id
        WHERE step.step = 'cleared'
        UNION ALL
        SELECT request.merchant, step.network, step.recorded_at::DATE, 0, 1
        FROM payment_steps AS step JOIN payment_requests AS request ON request.payment_id = step.payment_id
        WHERE step.step = 'fraud_warning'
        UNION ALL
        SELECT merchant, network, recorded_at::DATE, 0, 1 FROM dispute_steps WHERE step = 'opened'
    ) AS days
    GROUP BY merchant, network, day ORDER BY merchant, network, day
"""


class Trial(NamedTuple):
    """One merchant's month at a network, foreseen behind one of its days.

    ``evenly`` is what one expects who lets the month go on as it began.
    """

    merchant: str
    network: str
    month: str
    behind_day: int
    counted: int
    foreseen: int
    evenly: int
    came: int


def trials(db: Database) -> list[Trial]:
    """Every month that is over and had cases to go by, by the latest delays."""
    delays = [
        DelayPoint(row["days"], row["ppm"])
        for row in records(
            db,
            "SELECT days, ppm FROM programme_delays"
            " WHERE version = (SELECT max(version) FROM programme_delays) ORDER BY days",
        )
    ]
    [newest] = records(db, "SELECT max(recorded_at) AS at FROM events WHERE log = 'payments'")
    if not delays or newest["at"] is None:
        return []
    last = instants.day_on(newest["at"])
    days: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for row in records(db, _DAILY):
        told = (instants.day_on(row["day"]), row["cleared"], row["cases"])
        days.setdefault((row["merchant"], row["network"]), []).append(told)
    return [trial for key, told in days.items() for trial in _of_merchant(*key, told, delays, last)]


def _of_merchant(
    merchant: str, network: str, told: list[tuple[int, int, int]], delays: list[DelayPoint], last: int
) -> Iterator[Trial]:
    for first in sorted({month_of(day_on) for day_on, _, _ in told}):
        end = add_months(first, 1) - 1
        if end >= last:
            continue
        for number in FROM_DAYS:
            today = first + number - 1
            known = [one for one in told if today - KEPT_DAYS <= one[0] <= today]
            seen = sum(cases for _, _, cases in known)
            if seen < LEAST_SEEN:
                continue
            counted = sum(cases for day_on, _, cases in known if day_on >= first)
            came = sum(cases for day_on, _, cases in told if first <= day_on <= end)
            more = foreseen(delays, [(day_on, cleared) for day_on, cleared, _ in known], seen, today, end)
            evenly = counted * (end - first + 1) // number
            month = iso_day(first)[:7]
            yield Trial(merchant, network, month, number, counted, counted + more, evenly, came)


def summary(found: list[Trial]) -> list[dict[str, Any]]:
    """By the day from which it was foreseen: what came, and how far off each way was, added up over all."""
    rows = []
    for number in FROM_DAYS:
        tried = [trial for trial in found if trial.behind_day == number]
        if tried:
            rows.append(
                {
                    "behind_day": number,
                    "months": len(tried),
                    "counted": sum(trial.counted for trial in tried),
                    "came": sum(trial.came for trial in tried),
                    "foreseen": sum(trial.foreseen for trial in tried),
                    "off": sum(abs(trial.foreseen - trial.came) for trial in tried),
                    "off_evenly": sum(abs(trial.evenly - trial.came) for trial in tried),
                    "off_as_counted": sum(trial.came - trial.counted for trial in tried),
                }
            )
    return rows


def print_alerts(alerts: list[dict[str, Any]]) -> None:
    """What was said in the month, in its order."""
    if not alerts:
        return
    heads = ("behind", "merchant", "programme", "alert", "counted", "of", "expected", "of", "limit", "bps")
    rows = [
        (
            f"{one['day']:%Y-%m-%d}",
            one["merchant"],
            one["programme"],
            one["level"],
            *(
                money(one[name], one["currency"]) if one["currency"] else f"{one[name]:,}"
                for name in ("counted", "base", "expected", "expected_base", "least")
            ),
            f"{one['least_bps']:,}",
        )
        for one in alerts
    ]
    console().print(table("Alerts", heads, rows, right=heads[4:]))


def print_trials(found: list[dict[str, Any]]) -> None:
    """A line for each day from which months were foreseen."""
    if not found:
        click.echo("No month is over that had cases to go by.")
        return
    heads = (
        "behind day",
        "months",
        "counted",
        "came",
        "foreseen",
        "off by",
        "evenly: off by",
        "as counted: off by",
    )
    rows = [tuple(f"{value:,}" for value in one.values()) for one in found]
    title = "Reports and disputes of months that are over, as they would have been foreseen"
    console().print(table(title, heads, rows, right=heads))
