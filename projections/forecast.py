"""What becomes available to merchants when, from the entries on the books.

Settlement has taken over an entry, knows the merchant's terms and the bank holidays, and makes it available at the
run of its due day. The same terms, as its log read them before the entry, give the same day here: nothing is guessed.
What payments owe and settlement has not taken over yet has no day so far, and is told apart.
"""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from events.calendar import add_business_days, day_of, next_business_day
from events.reference import Holidays, MerchantTerms, decode_reference
from events.settlement import EntryCause
from projections.port import Database
from projections.reading import records
from streams.settlement import DEFAULT_SETTLEMENT_DAYS, DELAYED, RUN_AT

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Run(msgspec.Struct, frozen=True):
    """What a run of settlement makes available to a merchant in a currency, minor units.

    ``run_on`` is the day of the run and ``payout_on`` the day on which the bank can pay what it sends; both are days
    since 1970. ``payout`` is what it then sends: all that is available, where that is more than nothing; ``balance``
    is what stays, and is negative where the merchant owes us.
    """

    merchant: str
    currency: str
    run_on: int
    payout_on: int
    entries: int
    credits: int
    debits: int
    amount: int
    payout: int
    balance: int


class Rest(msgspec.Struct, frozen=True):
    """What is owed to a merchant and has no day yet, minor units: settlement has not taken it over."""

    merchant: str
    currency: str
    amount: int


class Forecast(msgspec.Struct, frozen=True):
    """Runs by merchant, currency and day, and what is left."""

    runs: list[Run]
    undated: list[Rest]


def forecast(db: Database, merchant: str = "") -> Forecast:
    """What is to come after the last event of the store, of all merchants or of one.

    Every amount that ``merchant_totals`` shows as pending is in it once; what is available already goes out with the
    next run.
    """
    terms = _Terms(db)
    where, arguments = ("WHERE merchant = $1", [merchant]) if merchant else ("", [])
    next_run = _next_run(db)
    sums: dict[tuple[str, str, int], list[int]] = {}
    for row in records(db, f"SELECT * FROM merchant_due {where}", arguments):
        due_on = max(terms.due_on(row), next_run)
        sums.setdefault((row["merchant"], row["currency"], due_on), []).append(row["amount"])
    totals = records(
        db, f"SELECT merchant, currency, pending, available FROM merchant_totals {where}", arguments
    )
    balances = {(row["merchant"], row["currency"]): row["available"] for row in totals}
    undated = {(row["merchant"], row["currency"]): row["pending"] for row in totals}
    for key, balance in balances.items():
        # What is available goes out with the next run, whether or not anything is added to it.
        if balance > 0:
            sums.setdefault((*key, next_run), [])
    runs = []
    for (name, currency, run_on), amounts in sorted(sums.items()):
        total = sum(amounts)
        key = (name, currency)
        undated[key] = undated.get(key, 0) - total
        available = balances.get(key, 0) + total
        balances[key] = min(available, 0)
        runs.append(
            Run(
                name,
                currency,
                run_on,
                next_business_day(run_on, terms.holidays_now(currency)),
                len(amounts),
                sum(amount for amount in amounts if amount > 0),
                -sum(amount for amount in amounts if amount < 0),
                total,
                max(available, 0),
                balances[key],
            )
        )
    return Forecast(runs, [Rest(*key, amount) for key, amount in sorted(undated.items()) if amount])


def _next_run(db: Database) -> int:
    """The day of the first run that is not over at the last tick of settlement."""
    [row] = records(db, "SELECT max(recorded_at) AS at FROM events WHERE log = 'settlement'")
    return 0 if row["at"] is None else day_of(microseconds(row["at"]) - RUN_AT) + 1


def microseconds(at: datetime) -> int:
    """An instant as the contract has it."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class _Terms:
    """Terms and holidays as each partition of the settlement log read them, by position."""

    def __init__(self, db: Database) -> None:
        self._days: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self._holidays: dict[tuple[int, str], list[tuple[int, frozenset[int]]]] = {}
        for row in records(
            db,
            "SELECT partition, position, body ->> 'kind' AS kind, body ->> 'content' AS content FROM events"
            " WHERE log = 'settlement' AND type = 'ReferenceApplied' AND body ->> 'kind' IN ('merchant', 'holidays')"
            " ORDER BY partition, position",
        ):
            match decode_reference(row["kind"], row["content"]):
                case MerchantTerms() as terms:
                    versions = self._days.setdefault((row["partition"], terms.merchant), [])
                    versions.append((row["position"], terms.settlement_days))
                case Holidays() as holidays:
                    calendars = self._holidays.setdefault((row["partition"], holidays.currency), [])
                    calendars.append((row["position"], frozenset(holidays.days_on)))
                case _:
                    pass

    def due_on(self, row: Mapping[str, Any]) -> int:
        """The day on which an entry becomes available; 0 for one that takes effect at the next tick."""
        if EntryCause(row["cause"]) not in DELAYED:
            return 0
        if row["due_on"]:
            return int(row["due_on"])
        partition, position = row["partition"], row["position"]
        days = _before(self._days.get((partition, row["merchant"]), []), position)
        holidays = _before(self._holidays.get((partition, row["currency"]), []), position)
        return add_business_days(
            day_of(microseconds(row["entered_at"])),
            DEFAULT_SETTLEMENT_DAYS if days is None else days,
            holidays or frozenset(),
        )

    def holidays_now(self, currency: str) -> frozenset[int]:
        """The calendar that was read last."""
        found = [calendars[-1][1] for (_, name), calendars in self._holidays.items() if name == currency]
        return found[0] if found else frozenset()


def _before(versions: list[tuple[int, Any]], position: int) -> Any:
    """The last version read before a position; None where there is none."""
    place = bisect_left(versions, position, key=lambda version: version[0])
    return versions[place - 1][1] if place else None
