"""One run of settlement for one merchant and currency: from the entries that are due to what is paid out.

In this order: what is due becomes available; reserves whose days are over come back; the reserve on the new funds is
kept back. A balance below zero draws on the reserve, and what is then still missing is owed to us; a balance above it
pays first what is owed, then fills the holds. What has been owed for long is drawn from the merchant's bank account.
The batch closes on what is left, and that is paid out when the merchant's terms say so.
"""

from hashlib import sha256
from typing import Final

import msgspec

from events.accounts import bank_account
from events.balances import (
    MerchantReceivableOffset,
    MerchantReceivableRaised,
    ReceivableCause,
    ReserveRelease,
    ReserveReleased,
    ReserveWithheld,
    SettlementHoldPlaced,
)
from events.base import Event
from events.calendar import is_business_day, iso_day, next_business_day
from events.identity import operation_id
from events.money import MILLION
from events.payouts import MerchantDebitApplied
from events.reference import SettlementTerms
from events.settlement import Entry, FundsMadeAvailable, PayoutInitiated, SettlementBatchClosed
from streams.features.merchantbooks import NOBODY_OWES, Book
from streams.features.schedules import pays_between

CHUNK_ENTRIES: Final = 500
"""How many entries one event may list."""
DEBIT_ATTEMPTS: Final = 2
"""How many debits in a row may come back before nothing more is drawn from a merchant's bank account."""


class Run(msgspec.Struct):
    """A run under way: ``available`` is the balance after ``events``, and ``owed`` what the merchant owes us.

    ``run_on`` is its day and ``before_on`` that of the run before; ``today_on`` the day of the tick it fires at.
    """

    book: Book
    terms: SettlementTerms
    before_on: int
    run_on: int
    today_on: int
    holidays: frozenset[int]
    available: int = 0
    owed: int = 0
    events: list[Event] = []

    @property
    def batch_id(self) -> str:
        """The batch that closes with this run."""
        return f"{self.book.merchant}-{self.book.currency}-{iso_day(self.run_on)}"


def settle(run: Run) -> list[Event]:
    """Everything that a run decides about a merchant's book."""
    book = run.book
    run.available, run.owed = book.available, book.receivable
    entries = sorted(
        (entry for day, entries in book.pending.items() if int(day) <= run.run_on for entry in entries),
        key=_item,
    )
    _make_available(run, entries)
    _release_matured(run)
    _withhold(run, sum(entry.amount for entry in entries))
    _settle_debt(run)
    _draw_debt(run)
    _fill_holds(run)
    if entries or book.adjusted:
        run.events.append(_statement(run, sorted(entries + book.adjusted, key=_item)))
    _pay_out(run)
    return run.events


def _make_available(run: Run, entries: list[Entry]) -> None:
    chunks = -(-len(entries) // CHUNK_ENTRIES)
    for chunk in range(chunks):
        part = entries[chunk * CHUNK_ENTRIES : (chunk + 1) * CHUNK_ENTRIES]
        total = sum(entry.amount for entry in part)
        run.available += total
        run.events.append(
            FundsMadeAvailable(
                run.book.merchant, run.book.currency, run.batch_id, chunk + 1, chunks, part, total
            )
        )


def _release_matured(run: Run) -> None:
    for tranche in run.book.reserve:
        if tranche.release_on <= run.run_on:
            _release(run, tranche.reserve_id, ReserveRelease.MATURED, tranche.amount)


def _withhold(run: Run, base: int) -> None:
    """Keep back a share of the new funds, of what there is of them after older debts."""
    amount = min(max(base, 0) * run.terms.reserve_ppm // MILLION, max(run.available, 0))
    if amount == 0:
        return
    run.available -= amount
    run.events.append(
        ReserveWithheld(
            run.book.merchant,
            run.book.currency,
            f"reserve:{run.batch_id}",
            run.batch_id,
            base,
            run.terms.reserve_ppm,
            amount,
            run.run_on + run.terms.reserve_days,
        )
    )


def _settle_debt(run: Run) -> None:
    """A balance below zero goes to the receivable, one above it pays the receivable first."""
    book = run.book
    for tranche in book.reserve:
        # What has matured is back already; the newest part was kept from a balance that was not short.
        if run.available < 0 and tranche.release_on > run.run_on:
            drawn = min(tranche.amount, -run.available)
            _release(run, tranche.reserve_id, ReserveRelease.SHORT_BALANCE, drawn)
    if run.available < 0:
        run.events.append(
            MerchantReceivableRaised(
                book.merchant, book.currency, ReceivableCause.SHORT_BALANCE, -run.available
            )
        )
        run.owed -= run.available
        run.available = 0
    elif paid := min(run.available, run.owed):
        run.available -= paid
        run.owed -= paid
        run.events.append(MerchantReceivableOffset(book.merchant, book.currency, paid))


def _draw_debt(run: Run) -> None:
    """Draw what has been owed for long from the merchant's bank account: one debit at a time, twice in vain at most."""
    book, days = run.book, run.terms.debit_after_days
    if days == 0 or run.owed == 0 or book.debit_id or book.debits_returned >= DEBIT_ATTEMPTS:
        return
    if book.owed_since_on == NOBODY_OWES or run.run_on < book.owed_since_on + days:
        return
    if not is_business_day(run.run_on, run.holidays):
        return
    run.events.append(
        MerchantDebitApplied(
            operation_id("deb", book.merchant, f"{book.currency}/{iso_day(run.run_on)}"),
            book.merchant,
            book.currency,
            run.owed,
            bank_account(book.currency),
            book.debits_returned + 1,
            next_business_day(run.today_on, run.holidays),
        )
    )


def _release(run: Run, reserve_id: str, reason: ReserveRelease, amount: int) -> None:
    run.available += amount
    run.events.append(ReserveReleased(run.book.merchant, run.book.currency, reserve_id, reason, amount))


def _fill_holds(run: Run) -> None:
    """Holds that have not got what they are for take it, in the order of their ids."""
    for hold_id, hold in sorted(run.book.holds.items()):
        missing = hold.wanted - hold.amount if hold.wanted else run.available
        amount = min(missing, run.available)
        if amount > 0:
            run.available -= amount
            run.events.append(
                SettlementHoldPlaced(
                    run.book.merchant, run.book.currency, hold_id, hold.reason, hold.wanted, amount, ""
                )
            )


def _pay_out(run: Run) -> None:
    book, terms = run.book, run.terms
    if run.available < (1 if book.attempt else max(1, terms.minimum_payout)):
        return
    if book.blocked or run.run_on < book.retry_on:
        return
    # What came back does not wait for the schedule's next day.
    again = book.attempt > 0 and is_business_day(run.run_on, run.holidays)
    if not again and not pays_between(terms.schedule, terms.anchor, run.before_on, run.run_on, run.holidays):
        return
    run.events.append(
        PayoutInitiated(
            operation_id("po", book.merchant, f"{book.currency}/{iso_day(run.run_on)}"),
            book.merchant,
            book.currency,
            run.available,
            bank_account(book.currency),
            book.attempt + 1,
            next_business_day(run.today_on, run.holidays),
        )
    )


def _statement(run: Run, entries: list[Entry]) -> SettlementBatchClosed:
    lines = "\n".join(f"{entry.item} {entry.amount}" for entry in entries)
    return SettlementBatchClosed(
        run.book.merchant,
        run.book.currency,
        run.batch_id,
        run.run_on,
        len(entries),
        sum(entry.amount for entry in entries if entry.amount > 0),
        -sum(entry.amount for entry in entries if entry.amount < 0),
        run.available,
        sha256(lines.encode()).hexdigest(),
    )


def _item(entry: Entry) -> str:
    return entry.item
