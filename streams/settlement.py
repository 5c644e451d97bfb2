"""Settlement: when a merchant may have its money, and paying it out.

What payments owe a merchant comes in as entries. Captures, their voids and fees become available some business days
after they came in, by the merchant's terms; refunds, failed refunds and losses take effect at the next tick. Once a
day, at the first tick at or after :data:`RUN_AT`, each merchant's due entries are made available, its batch is closed
and the whole balance is paid out when there is one. A negative balance stays, and later funds offset it.

A payout that the bank sends back is the merchant's again, and goes out with the next run as its next attempt.

Time here is the tick's: an entry belongs to the day of the tick before it, which is the same in every run. When it was
read is not.

A payout is kept until it came back, or for :data:`RETURN_DAYS` days: a bank's window for returns is shorter. One
without any word from the bank for :data:`AGE_DAYS` days is reported once.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from events.accounts import PT, bank_account, name
from events.base import Event
from events.calendar import HOUR, add_business_days, day_of, iso_day, next_business_day
from events.envelope import Recorded
from events.identity import operation_id
from events.partitions import LogOpened, ReferenceApplied, TickPassed
from events.reference import Holidays, MerchantTerms, decode_reference
from events.settlement import (
    ClearingResidualAged,
    Entry,
    EntryCause,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    MerchantEntryReceived,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
    PayoutReturnCredited,
    SettlementBatchClosed,
)
from streams.features.days import Day, before, forget, put_aside
from streams.processor import CUT_OFFS, DEADLINES, NOTICES, Work

NAME: Final = "settlement"
HEARS: Final[tuple[type[Event], ...]] = (
    LogOpened,
    TickPassed,
    MerchantEntryReceived,
    PayoutOutcomeReceived,
    FundsMadeAvailable,
    MerchantBalanceAdjusted,
    SettlementBatchClosed,
    PayoutInitiated,
    PayoutReturnCredited,
    ClearingResidualAged,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = ()

RUN_AT: Final = 6 * HOUR
"""Time of day of the settlement run, after midnight UTC."""
CHUNK_ENTRIES: Final = 500
"""How many entries one event may list."""
DEFAULT_SETTLEMENT_DAYS: Final = 2
"""For a merchant whose terms have not been published here: business days until availability."""
RETURN_DAYS: Final = 60
"""How many days a payout is kept for the bank to send back."""
AGE_DAYS: Final = 10
"""After how many days without word from the bank a payout is reported."""

DELAYED: Final = frozenset({EntryCause.CAPTURE, EntryCause.CAPTURE_VOIDED, EntryCause.PROCESSING_FEE})

ADJUST, RETURNED, SETTLE, AGE, FORGET = "adjust", "returned", "settle", "age", "forget"


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """An entry that takes effect at the next tick."""

    merchant: str
    currency: str
    item: str
    cause: EntryCause
    amount: int
    causation_id: str
    occurred_at: int


class Book(msgspec.Struct):
    """A merchant's money in one currency, minor units.

    ``pending`` are entries by the day on which they become available. ``adjusted`` are the adjustments since the last
    batch: its statement lists them. ``attempt`` is that of the last payout that came back and was not paid again;
    ``due_on`` is when an entry of the day ``entered_on`` becomes available, worked out once a day.
    """

    merchant: str
    currency: str
    available: int = 0
    pending: dict[str, list[Entry]] = {}
    adjusted: list[Entry] = []
    attempt: int = 0
    entered_on: int = -1
    due_on: int = -1


class Payout(msgspec.Struct):
    """A payout that the bank may still send back. ``silent`` until the bank has said anything of it."""

    merchant: str
    currency: str
    amount: int
    attempt: int
    silent: bool = True


class Returned(msgspec.Struct, frozen=True, gc=False):
    """A payout that came back, until the next tick."""

    payout_id: str
    amount: int
    causation_id: str
    occurred_at: int


class State(msgspec.Struct):
    """Books by merchant and currency, what the next tick decides, payouts by day. ``now`` is the last tick's time."""

    now: int = 0
    books: dict[str, Book] = {}
    adjustments: dict[str, Adjustment] = {}
    returned: dict[str, Returned] = {}
    payouts: dict[str, Payout] = {}
    days: list[Day] = []
    settlement_days: dict[str, int] = {}
    holidays: dict[str, list[int]] = {}


def initial() -> State:
    """Nobody is owed anything."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Nothing: all is decided at ticks, in the order of merchants and items."""
    return []


def due(state: State, now: int) -> list[Work]:
    """Adjustments and returns since the last tick; once a day the run, and payouts to report or forget."""
    works = [
        Work(NOTICES, ADJUST, key, adjustment.causation_id, adjustment.occurred_at)
        for key, adjustment in state.adjustments.items()
    ]
    works += [
        Work(NOTICES, RETURNED, key, returned.causation_id, returned.occurred_at)
        for key, returned in state.returned.items()
    ]
    run_on = _run_day(now)
    if run_on <= _run_day(state.now):
        return works
    for key, book in state.books.items():
        # One that has nothing yet may come by a returned payout in this very tick.
        if book.available > 0 or book.adjusted or book.pending or state.returned or state.adjustments:
            works.append(Work(CUT_OFFS, SETTLE, key))
    for day in state.days:
        if day.day_on + AGE_DAYS <= run_on:
            works += [
                Work(DEADLINES, AGE, payout_id)
                for payout_id in day.names
                if payout_id in state.payouts and state.payouts[payout_id].silent
            ]
    works += [Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in before(state.days, run_on - RETURN_DAYS)]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Do one of the works of :func:`due`."""
    match work.kind:
        case "adjust":
            adjustment = state.adjustments.pop(work.key)
            return [
                MerchantBalanceAdjusted(
                    adjustment.merchant,
                    adjustment.currency,
                    adjustment.item,
                    adjustment.cause,
                    adjustment.amount,
                )
            ]
        case "returned":
            return _credit(state, state.returned.pop(work.key))
        case "settle":
            return _settle(state.books[work.key], now, _holidays(state, state.books[work.key].currency))
        case "age":
            return _age(state, work.key, now)
        case _:
            for payout_id in forget(state.days, int(work.key)):
                state.payouts.pop(payout_id, None)
            return []


def _credit(state: State, returned: Returned) -> list[Event]:
    """Give a returned payout back, once; what we never paid, or gave back already, is reconciliation's to ask about."""
    payout = state.payouts.get(returned.payout_id)
    if payout is None:
        return []
    return [PayoutReturnCredited(returned.payout_id, payout.merchant, payout.currency, returned.amount)]


def _settle(book: Book, now: int, holidays: frozenset[int]) -> list[Event]:
    """Make what is due available, close the batch if anything happened, pay out what there is."""
    run_on = _run_day(now)
    entries = sorted(
        (entry for day, entries in book.pending.items() if int(day) <= run_on for entry in entries),
        key=_item,
    )
    available = book.available + sum(entry.amount for entry in entries)
    events: list[Event] = []
    if entries or book.adjusted:
        batch_id = f"{book.merchant}-{book.currency}-{iso_day(run_on)}"
        chunks = -(-len(entries) // CHUNK_ENTRIES)
        for chunk in range(chunks):
            part = entries[chunk * CHUNK_ENTRIES : (chunk + 1) * CHUNK_ENTRIES]
            total = sum(entry.amount for entry in part)
            events.append(
                FundsMadeAvailable(book.merchant, book.currency, batch_id, chunk + 1, chunks, part, total)
            )
        events.append(
            _statement(book, batch_id, run_on, sorted(entries + book.adjusted, key=_item), available)
        )
    if available > 0:
        payout_id = operation_id("po", book.merchant, f"{book.currency}/{iso_day(run_on)}")
        events.append(
            PayoutInitiated(
                payout_id,
                book.merchant,
                book.currency,
                available,
                bank_account(book.currency),
                book.attempt + 1,
                next_business_day(day_of(now), holidays),
            )
        )
    return events


def _statement(
    book: Book, batch_id: str, run_on: int, entries: list[Entry], available: int
) -> SettlementBatchClosed:
    lines = "\n".join(f"{entry.item} {entry.amount}" for entry in entries)
    return SettlementBatchClosed(
        book.merchant,
        book.currency,
        batch_id,
        run_on,
        len(entries),
        sum(entry.amount for entry in entries if entry.amount > 0),
        -sum(entry.amount for entry in entries if entry.amount < 0),
        available,
        sha256(lines.encode()).hexdigest(),
    )


def _age(state: State, payout_id: str, now: int) -> list[Event]:
    payout = state.payouts.get(payout_id)
    if payout is None or not payout.silent:
        return []
    initiated_on = next(day.day_on for day in state.days if payout_id in day.names)
    return [
        ClearingResidualAged(
            name(PT),
            payout_id,
            payout.currency,
            -payout.amount,
            _run_day(now) - initiated_on,
            PayoutOutcomeReceived.__name__,
        )
    ]


def _run_day(now: int) -> int:
    """The day of the newest run that has come."""
    return day_of(now - RUN_AT)


def _holidays(state: State, currency: str) -> frozenset[int]:
    return frozenset(state.holidays.get(currency, ()))


def _item(entry: Entry) -> str:
    return entry.item


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep the books."""
    match recorded.body:
        case TickPassed() as body:
            state.now = body.at
        case LogOpened() as body:
            state.now = body.opened_at
        case MerchantEntryReceived() as body:
            _enter(state, recorded, body)
        case PayoutOutcomeReceived() as body:
            _hear_of(state, recorded, body)
        case FundsMadeAvailable() as body:
            _book(state, body.merchant, body.currency).available += body.amount
        case MerchantBalanceAdjusted() as body:
            book = _book(state, body.merchant, body.currency)
            book.available += body.amount
            book.adjusted.append(Entry(body.item, body.amount))
        case SettlementBatchClosed() as body:
            book = _book(state, body.merchant, body.currency)
            book.adjusted = []
            book.pending = {day: book.pending[day] for day in book.pending if int(day) > body.settled_on}
        case PayoutInitiated() as body:
            book = _book(state, body.merchant, body.currency)
            book.available -= body.amount
            book.attempt = 0
            state.payouts[body.payout_id] = Payout(body.merchant, body.currency, body.amount, body.attempt)
            put_aside(state.days, _run_day(recorded.meta.recorded_at), body.payout_id)
        case PayoutReturnCredited() as body:
            payout = state.payouts.pop(body.payout_id)
            book = _book(state, body.merchant, body.currency)
            book.available += body.amount
            book.attempt = max(book.attempt, payout.attempt)
        case ClearingResidualAged() as body:
            state.payouts[body.item].silent = False
        case ReferenceApplied() as body:
            _apply(state, body)
        case _:
            pass
    return state


def _enter(state: State, recorded: Recorded, body: MerchantEntryReceived) -> None:
    if body.cause not in DELAYED:
        state.adjustments[f"{body.merchant} {body.currency} {body.item}"] = Adjustment(
            body.merchant,
            body.currency,
            body.item,
            body.cause,
            body.amount,
            recorded.meta.event_id,
            recorded.meta.occurred_at,
        )
        _book(state, body.merchant, body.currency)
        return
    book = _book(state, body.merchant, body.currency)
    entered_on = day_of(state.now)
    if book.entered_on != entered_on:
        days = state.settlement_days.get(body.merchant, DEFAULT_SETTLEMENT_DAYS)
        book.entered_on = entered_on
        book.due_on = add_business_days(entered_on, days, _holidays(state, body.currency))
    # The sender may know the day; 0 leaves it to the merchant's terms.
    due_on = body.due_on or book.due_on
    book.pending.setdefault(str(due_on), []).append(Entry(body.item, body.amount))


def _hear_of(state: State, recorded: Recorded, body: PayoutOutcomeReceived) -> None:
    payout = state.payouts.get(body.payout_id)
    if payout is not None:
        payout.silent = False
    if body.outcome is PayoutOutcome.RETURNED:
        state.returned[body.payout_id] = Returned(
            body.payout_id, body.amount, recorded.meta.event_id, recorded.meta.occurred_at
        )


def _book(state: State, merchant: str, currency: str) -> Book:
    key = f"{merchant} {currency}"
    book = state.books.get(key)
    if book is None:
        book = state.books[key] = Book(merchant, currency)
    return book


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("merchant", "holidays"):
        return
    match decode_reference(body.kind, body.content):
        case MerchantTerms() as terms:
            state.settlement_days[terms.merchant] = terms.settlement_days
        case Holidays() as holidays:
            state.holidays[holidays.currency] = list(holidays.days_on)
        case _:
            pass
    for book in state.books.values():
        # Entries from here on are counted by the new terms, those before keep their day.
        book.entered_on = -1


def summary(state: State) -> Iterator[str]:
    """Each merchant's balance, and its entries by the day they become available; payouts that may still come back."""
    for key in sorted(state.books):
        book = state.books[key]
        yield f"book {key} available {book.available} attempt {book.attempt}"
        for day in sorted(book.pending):
            entries = book.pending[day]
            yield f"book {key} due {day} {len(entries)} entries {sum(entry.amount for entry in entries)}"
    for payout_id in sorted(state.payouts):
        payout = state.payouts[payout_id]
        yield (
            f"payout {payout_id} {payout.merchant} {payout.currency} {payout.amount} attempt {payout.attempt}"
        )
