"""What becomes available to merchants when, and what is paid out: settlement's own runs, on the books of the store.

Settlement has taken over an entry, knows the merchant's terms and the bank holidays, and makes it available at the
run of its due day. The same terms, as its log read them, give the same day here, and the run that decides is the one
that settlement does (:mod:`streams.features.settlementrun`): nothing is guessed. What payments owe and settlement has
not taken over yet has no day so far, and is told apart; neither does anybody know what is still to be sold.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from events.balances import HoldReason, ReserveReleased, ReserveWithheld
from events.calendar import add_business_days, day_of, next_business_day
from events.reference import Holidays, MerchantTerms, SettlementTerms, decode_reference
from events.requests import PayoutSchedule
from events.settlement import Entry, EntryCause, PayoutInitiated
from projections.instants import day_on, microseconds
from projections.port import Database
from projections.reading import records
from streams.features.choices import Choice, in_force
from streams.features.merchantbooks import Book, Booked, Hold, Tranche, book_in
from streams.features.settlementrun import Run as SettlementRun
from streams.features.settlementrun import settle
from streams.settlement import DEFAULT_SETTLEMENT_DAYS, DELAYED, RUN_AT

#: Behind the last day on which something becomes free, every schedule has a pay day within so many days.
_LONGEST_WAIT: Final = 62


class Run(msgspec.Struct, frozen=True):
    """What a run of settlement does for a merchant in a currency, minor units.

    ``run_on`` is the day of the run and ``payout_on`` the day on which the bank can pay what it sends; both are days
    since 1970. ``amount`` is what becomes available, of which some is kept back in the reserve; ``reserve_released`` of
    an older reserve comes back. ``payout`` is what the run sends; ``balance`` is what stays, and is negative where the
    merchant owes us.
    """

    merchant: str
    currency: str
    run_on: int
    payout_on: int
    entries: int
    credits: int
    debits: int
    amount: int
    reserve_withheld: int
    reserve_released: int
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

    Every amount that ``merchant_totals`` shows as pending is in it once.
    """
    terms = _Terms(db)
    where, arguments = ("WHERE merchant = $1", [merchant]) if merchant else ("", [])
    next_run = _next_run(db)
    books = _books(db, where, arguments)
    for row in records(db, f"SELECT * FROM merchant_due {where}", arguments):
        due_on = max(terms.due_on(row), next_run)
        book = books.setdefault((row["merchant"], row["currency"]), Book(row["merchant"], row["currency"]))
        entry = Entry(row["item"], row["amount"])
        if EntryCause(row["cause"]) in DELAYED:
            book.pending.setdefault(str(due_on), []).append(entry)
        else:
            book.adjusted.append(entry)
    undated = {
        (row["merchant"], row["currency"]): row["pending"]
        for row in records(db, f"SELECT merchant, currency, pending FROM merchant_totals {where}", arguments)
    }
    runs: list[Run] = []
    for key in sorted(books):
        runs += _runs(books[key], terms, next_run)
    for run in runs:
        undated[run.merchant, run.currency] = undated.get((run.merchant, run.currency), 0) - run.amount
    return Forecast(runs, [Rest(*key, amount) for key, amount in sorted(undated.items()) if amount])


def _books(db: Database, where: str, arguments: list[str]) -> dict[tuple[str, str], Book]:
    """The merchants' books as settlement has them, without what is due."""
    books = {}
    for row in records(
        db, f"SELECT merchant, currency, available, receivable FROM merchant_totals {where}", arguments
    ):
        book = books[row["merchant"], row["currency"]] = Book(row["merchant"], row["currency"])
        book.available = row["available"] + row["receivable"]
        book.receivable = row["receivable"]
    for row in records(db, f"SELECT * FROM merchant_reserves {where} ORDER BY release_on", arguments):
        if row["kept"]:
            tranche = Tranche(row["reserve_id"], row["kept"], day_on(row["release_on"]))
            books[row["merchant"], row["currency"]].reserve.append(tranche)
    for row in records(db, f"SELECT * FROM merchant_holds {where} ORDER BY hold_id", arguments):
        if row["released_at"] is None:
            hold = Hold(HoldReason(row["reason"]), row["wanted"], row["placed"])
            books[row["merchant"], row["currency"]].holds[row["hold_id"]] = hold
    return books


def _runs(book: Book, terms: "_Terms", next_run: int) -> Iterator[Run]:
    """Let the days pass until nothing of the book has a day any more."""
    holidays = terms.holidays_now(book.currency)
    plan = terms.plan_now(book.merchant, book.currency)
    adjusted, book.adjusted = book.adjusted, []
    for entry in adjusted:
        # They take effect at the next tick, which the next run tells of.
        book.available += entry.amount
    days = [*map(int, book.pending), *(tranche.release_on for tranche in book.reserve), next_run]
    # What the last funds leave in the reserve comes back, too.
    last_on = max(days) + plan.reserve_days + _LONGEST_WAIT
    for run_on in range(next_run, last_on):
        entries = book.pending.get(str(run_on), [])
        events = settle(SettlementRun(book, plan, run_on - 1, run_on, run_on, holidays))
        told, adjusted = [*entries, *adjusted], []
        kept = back = payout = 0
        for event in events:
            match event:
                case PayoutInitiated():
                    payout = event.amount
                    book.available -= event.amount
                case _ if isinstance(event, Booked):
                    kept += event.amount if isinstance(event, ReserveWithheld) else 0
                    back += event.amount if isinstance(event, ReserveReleased) else 0
                    book_in(book, event, run_on)
                case _:
                    pass
        book.pending.pop(str(run_on), None)
        if told or payout or kept or back:
            amounts = [entry.amount for entry in told]
            yield Run(
                book.merchant,
                book.currency,
                run_on,
                next_business_day(run_on, holidays),
                len(told),
                sum(amount for amount in amounts if amount > 0),
                -sum(amount for amount in amounts if amount < 0),
                sum(amounts),
                kept,
                back,
                payout,
                book.available - book.receivable,
            )


def _next_run(db: Database) -> int:
    """The day of the first run that is not over at the last tick of settlement."""
    [row] = records(db, "SELECT max(recorded_at) AS at FROM events WHERE log = 'settlement'")
    return 0 if row["at"] is None else day_of(microseconds(row["at"]) - RUN_AT) + 1


class _Terms:
    """Terms and holidays as each partition of the settlement log read them, by position."""

    def __init__(self, db: Database) -> None:
        self._days: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self._holidays: dict[tuple[int, str], list[tuple[int, frozenset[int]]]] = {}
        self._plans: dict[tuple[str, str], SettlementTerms] = {}
        for row in records(
            db,
            "SELECT partition, position, body ->> 'kind' AS kind, body ->> 'content' AS content FROM events"
            " WHERE log = 'settlement' AND type = 'ReferenceApplied'"
            " AND body ->> 'kind' IN ('merchant', 'holidays', 'settlement')"
            " ORDER BY partition, position",
        ):
            match decode_reference(row["kind"], row["content"]):
                case MerchantTerms() as terms:
                    versions = self._days.setdefault((row["partition"], terms.merchant), [])
                    versions.append((row["position"], terms.settlement_days))
                case Holidays() as holidays:
                    calendars = self._holidays.setdefault((row["partition"], holidays.currency), [])
                    calendars.append((row["position"], frozenset(holidays.days_on)))
                case SettlementTerms() as plan:
                    self._plans[plan.merchant, plan.currency] = plan
                case _:
                    pass
        self._choices = {
            (row["merchant"], row["currency"]): Choice(
                PayoutSchedule(row["schedule"]), row["anchor"], row["minimum_payout"]
            )
            for row in records(db, "SELECT * FROM merchant_settings")
        }

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

    def plan_now(self, merchant: str, currency: str) -> SettlementTerms:
        """How the merchant is settled by what was read last: its contract, and what it chose within it."""
        contract = (
            self._plans.get((merchant, currency))
            or self._plans.get((merchant, ""))
            or SettlementTerms(merchant)
        )
        choice = self._choices.get((merchant, currency)) or self._choices.get((merchant, ""))
        return in_force(contract, choice)


def _before(versions: list[tuple[int, Any]], position: int) -> Any:
    """The last version read before a position; None where there is none."""
    place = bisect_left(versions, position, key=lambda version: version[0])
    return versions[place - 1][1] if place else None
