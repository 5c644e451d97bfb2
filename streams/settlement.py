"""Settlement: when a merchant may have its money, and paying it out.

What payments owe a merchant comes in as entries. Captures, their voids and fees become available some business days
after they came in, by the merchant's terms; refunds, failed refunds and losses take effect at the next tick. Once a
day, at the first tick at or after :data:`RUN_AT`, each merchant's due entries are made available, its batch is closed
and, on the days of its schedule, the balance is paid out (:mod:`streams.features.settlementrun`). A negative balance
becomes a receivable at the run, or at once when it falls below the merchant's limit, and later funds offset it.

Holds and write-offs are instructions of our own people, published as reference data: they take effect at the tick that
names them, in the one partition that keeps the merchant's books.

A payout goes into the bank's file of its run at once, unless the merchant's bank account is known to be invalid. What
the bank sends back is the merchant's again, and is sent again or put on hold (:mod:`streams.features.transit`).

Time here is the tick's: an entry belongs to the day of the tick before it, which is the same in every run. When it was
read is not.

A payout or debit is kept until it came back, or for :data:`RETURN_DAYS` days: a bank's window for returns is shorter.
One without any word from the bank for :data:`AGE_DAYS` days is reported once.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.accounts import PT, name
from events.balances import MerchantReceivableRaised, ReceivableCause
from events.base import Event
from events.calendar import HOUR, add_business_days, day_of
from events.envelope import Recorded
from events.identity import partition_of_name
from events.partitions import LogOpened, ReferenceApplied, TickPassed
from events.payouts import (
    BankAccountValidated,
    BankAccountValidationFailed,
    DebitOutcome,
    MerchantDebitApplied,
    MerchantDebitOutcomeReceived,
    MerchantDebitReturned,
    PayoutFailed,
)
from events.reference import (
    Holidays,
    Instruction,
    MerchantTerms,
    PayoutAccount,
    SettlementTerms,
    decode_reference,
)
from events.settlement import (
    ClearingResidualAged,
    Entry,
    EntryCause,
    MerchantBalanceAdjusted,
    MerchantEntryReceived,
    MerchantSettingsChanged,
    MerchantSettingsRequested,
    PayoutInitiated,
    PayoutOutcome,
    PayoutOutcomeReceived,
    PayoutReturnCredited,
)
from streams.features.choices import Choice, Wish, decided, in_force
from streams.features.days import Day, before, forget, put_aside
from streams.features.instructions import follow
from streams.features.merchantbooks import BOOKED, Book, Booked, book_in
from streams.features.settlementrun import Run, settle
from streams.features.transit import Returned, Transit, come_back, send, validate
from streams.processor import CUT_OFFS, DEADLINES, FOLLOW_UPS, NOTICES, Work

NAME: Final = "settlement"
HEARS: Final[tuple[type[Event], ...]] = (
    LogOpened,
    TickPassed,
    MerchantEntryReceived,
    MerchantSettingsRequested,
    MerchantSettingsChanged,
    PayoutOutcomeReceived,
    *BOOKED,
    BankAccountValidationFailed,
    MerchantDebitOutcomeReceived,
    ClearingResidualAged,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (ReferenceApplied, PayoutInitiated)

RUN_AT: Final = 6 * HOUR
"""Time of day of the settlement run, after midnight UTC."""
DEFAULT_SETTLEMENT_DAYS: Final = 2
"""For a merchant whose terms have not been published here: business days until availability."""
RETURN_DAYS: Final = 60
"""How many days a payout is kept for the bank to send back."""
AGE_DAYS: Final = 10
"""After how many days without word from the bank a payout or debit is reported."""

DELAYED: Final = frozenset({EntryCause.CAPTURE, EntryCause.CAPTURE_VOIDED, EntryCause.PROCESSING_FEE})

INSTRUCTIONS: Final = ("hold", "writeoff", "payoutaccount")
"""The kinds of reference data that say something of one merchant's money, and are answered by events."""
APPLIED: Final = ("merchant", "settlement", "holidays")
"""The kinds that settlement looks things up in."""

ADJUST, RETURNED, CHOOSE = "adjust", "returned", "choose"
COVER, SETTLE, AGE, FORGET = "cover", "settle", "age", "forget"


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """An entry that takes effect at the next tick."""

    merchant: str
    currency: str
    item: str
    cause: EntryCause
    amount: int
    causation_id: str
    occurred_at: int


class State(msgspec.Struct):
    """Books by merchant and currency, what the next tick decides, payouts and debits by day.

    ``now`` is the last tick's time. ``accounts`` says whether a merchant's bank account for a currency is valid; one
    that nobody has spoken of was validated before there was a log.

    ``partition`` of ``partitions`` is the one whose merchants' books are kept here. ``terms`` are by merchant and
    currency, with none for every currency, and so is what merchants chose; ``wishes`` wait for the next tick.
    """

    now: int = 0
    partition: int = 0
    partitions: int = 1
    books: dict[str, Book] = {}
    adjustments: dict[str, Adjustment] = {}
    returned: dict[str, Returned] = {}
    transits: dict[str, Transit] = {}
    accounts: dict[str, bool] = {}
    days: list[Day] = []
    settlement_days: dict[str, int] = {}
    terms: dict[str, SettlementTerms] = {}
    choices: dict[str, Choice] = {}
    wishes: dict[str, Wish] = {}
    holidays: dict[str, list[int]] = {}


def initial() -> State:
    """Nobody is owed anything."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What instructions lead to when they come into force; all else is decided by ticks, by merchants and items."""
    match recorded.body:
        case PayoutInitiated() as body:
            valid = state.accounts.get(_key(body.merchant, body.currency), True)
            return send(body, valid, _run_day(recorded.meta.recorded_at))
        case ReferenceApplied() as body if body.kind in INSTRUCTIONS:
            return _follow(state, body)
        case _:
            return []


def _follow(state: State, body: ReferenceApplied) -> list[Event]:
    """An instruction is read by every partition, and followed where the merchant's books are."""
    instruction = decode_reference(body.kind, body.content)
    assert isinstance(instruction, Instruction | PayoutAccount)
    merchant, currency = instruction.merchant, instruction.currency
    if partition_of_name(merchant, state.partitions) != state.partition:
        return []
    book = state.books.get(_key(merchant, currency)) or Book(merchant, currency)
    if isinstance(instruction, PayoutAccount):
        return validate(instruction, book)
    return follow(book, body.kind, body.ref_id, instruction)


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
    works += [
        Work(FOLLOW_UPS, CHOOSE, key, wish.causation_id, wish.occurred_at)
        for key, wish in state.wishes.items()
    ]
    run_on = _run_day(now)
    if run_on <= _run_day(state.now):
        touched = {_key(one.merchant, one.currency): True for one in state.adjustments.values()}
        return works + [Work(DEADLINES, COVER, key) for key in touched]
    for key, book in state.books.items():
        # One that has nothing yet may come by a returned payout in this very tick.
        if not book.idle or state.returned or state.adjustments:
            works.append(Work(CUT_OFFS, SETTLE, key))
    for day in state.days:
        if day.day_on + AGE_DAYS <= run_on:
            works += [
                Work(DEADLINES, AGE, payout_id)
                for payout_id in day.names
                if payout_id in state.transits and state.transits[payout_id].silent
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
            return _come_back(state, state.returned.pop(work.key))
        case "choose":
            return _choose(state, state.wishes.pop(work.key).wanted)
        case "cover":
            return _cover(state, state.books[work.key])
        case "settle":
            return settle(_run(state, state.books[work.key], now))
        case "age":
            return _age(state, work.key, now)
        case _:
            for item in forget(state.days, int(work.key)):
                _forget(state, item)
            return []


def _come_back(state: State, returned: Returned) -> list[Event]:
    """Give back what came back, once; what we never sent, or gave back already, is reconciliation's to ask about."""
    sent = state.transits.get(returned.item)
    if sent is None:
        return []
    book = state.books[_key(sent.merchant, sent.currency)]
    valid = state.accounts.get(_key(sent.merchant, sent.currency), True)
    return come_back(
        returned,
        sent,
        book,
        _run_day(state.now),
        _terms(state, sent.merchant, sent.currency).payout_attempts,
        valid,
    )


def _forget(state: State, item: str) -> None:
    """A payout or debit that has not come back in all this time will not."""
    sent = state.transits.pop(item, None)
    if sent is not None and sent.debit:
        state.books[_key(sent.merchant, sent.currency)].debits_returned = 0


def _choose(state: State, wanted: MerchantSettingsRequested) -> list[Event]:
    """Let a merchant have what it wants, where its contract leaves it that."""
    merchant, currency = wanted.merchant, wanted.currency
    return decided(wanted, _contract(state, merchant, currency), _terms(state, merchant, currency))


def _cover(state: State, book: Book) -> list[Event]:
    """A balance below the merchant's limit is owed to us from here on, not only from the next run."""
    if book.available >= -_terms(state, book.merchant, book.currency).negative_limit:
        return []
    return [
        MerchantReceivableRaised(
            book.merchant, book.currency, ReceivableCause.LIMIT_EXCEEDED, -book.available
        )
    ]


def _run(state: State, book: Book, now: int) -> Run:
    return Run(
        book,
        _terms(state, book.merchant, book.currency),
        _run_day(state.now),
        _run_day(now),
        day_of(now),
        _holidays(state, book.currency),
    )


def _age(state: State, item: str, now: int) -> list[Event]:
    sent = state.transits.get(item)
    if sent is None or not sent.silent:
        return []
    sent_on = next(day.day_on for day in state.days if item in day.names)
    expected = MerchantDebitOutcomeReceived if sent.debit else PayoutOutcomeReceived
    return [
        ClearingResidualAged(
            name(PT),
            item,
            sent.currency,
            sent.amount if sent.debit else -sent.amount,
            _run_day(now) - sent_on,
            expected.__name__,
        )
    ]


def _run_day(now: int) -> int:
    """The day of the newest run that has come."""
    return day_of(now - RUN_AT)


def _holidays(state: State, currency: str) -> frozenset[int]:
    return frozenset(state.holidays.get(currency, ()))


def _contract(state: State, merchant: str, currency: str) -> SettlementTerms:
    """The terms for this currency, else those for every currency, else what holds for everybody."""
    return (
        state.terms.get(_key(merchant, currency))
        or state.terms.get(_key(merchant, ""))
        or SettlementTerms(merchant)
    )


def _terms(state: State, merchant: str, currency: str) -> SettlementTerms:
    """The contract with what the merchant chose within it."""
    choice = state.choices.get(_key(merchant, currency)) or state.choices.get(_key(merchant, ""))
    return in_force(_contract(state, merchant, currency), choice)


def _key(merchant: str, currency: str) -> str:
    return f"{merchant} {currency}"


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep the books."""
    match recorded.body:
        case TickPassed() as body:
            state.now = body.at
        case LogOpened() as body:
            state.now = body.opened_at
            state.partition, state.partitions = body.partition, body.partitions
        case MerchantEntryReceived() as body:
            _enter(state, recorded, body)
        case MerchantSettingsRequested() as body:
            meta = recorded.meta
            key = f"{meta.occurred_at:020d} {body.idempotency_key} {body.merchant}"
            state.wishes[key] = Wish(body, meta.event_id, meta.occurred_at)
        case MerchantSettingsChanged() as body:
            choice = Choice(body.schedule, body.anchor, body.minimum_payout)
            state.choices[_key(body.merchant, body.currency)] = choice
        case PayoutOutcomeReceived() as body:
            returned = body.outcome is PayoutOutcome.RETURNED
            _hear_of(state, recorded, body.payout_id, body.return_code, body.correction, returned=returned)
        case MerchantDebitOutcomeReceived() as body:
            returned = body.outcome is DebitOutcome.RETURNED
            _hear_of(state, recorded, body.debit_id, body.return_code, "", returned=returned)
            _book(state, body.merchant, body.currency).debit_id = ""
        case BankAccountValidationFailed() as body:
            state.accounts[_key(body.merchant, body.currency)] = False
        case ClearingResidualAged() as body:
            state.transits[body.item].silent = False
        case ReferenceApplied() as body:
            _apply(state, body)
        case body if isinstance(body, Booked):
            run_on = _run_day(recorded.meta.recorded_at)
            book_in(_book(state, body.merchant, body.currency), body, run_on)
            _follow_transit(state, body, run_on)
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


def _follow_transit(state: State, body: Booked, run_on: int) -> None:
    """Keep what is on its way to or from a bank, and whether there is a bank account."""
    match body:
        case PayoutInitiated():
            sent = Transit(body.merchant, body.currency, body.amount, body.attempt)
            state.transits[body.payout_id] = sent
            put_aside(state.days, run_on, body.payout_id)
        case MerchantDebitApplied():
            sent = Transit(body.merchant, body.currency, body.amount, body.attempt, debit=True)
            state.transits[body.debit_id] = sent
            put_aside(state.days, run_on, body.debit_id)
        case PayoutFailed() | PayoutReturnCredited():
            del state.transits[body.payout_id]
        case MerchantDebitReturned():
            del state.transits[body.debit_id]
        case BankAccountValidated():
            state.accounts[_key(body.merchant, body.currency)] = True
        case _:
            pass


def _hear_of(
    state: State, recorded: Recorded, item: str, code: str, correction: str, *, returned: bool
) -> None:
    sent = state.transits.get(item)
    if sent is not None:
        sent.silent = False
    if returned:
        meta, amount = recorded.meta, recorded.body.amount  # type: ignore[attr-defined]
        state.returned[item] = Returned(item, amount, code, correction, meta.event_id, meta.occurred_at)


def _book(state: State, merchant: str, currency: str) -> Book:
    key = _key(merchant, currency)
    book = state.books.get(key)
    if book is None:
        book = state.books[key] = Book(merchant, currency)
    return book


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in APPLIED:
        return
    match decode_reference(body.kind, body.content):
        case MerchantTerms() as terms:
            state.settlement_days[terms.merchant] = terms.settlement_days
        case SettlementTerms() as terms:
            state.terms[_key(terms.merchant, terms.currency)] = terms
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
        yield f"book {key} available {book.available} attempt {book.attempt} owes {book.receivable}"
        for tranche in book.reserve:
            yield f"book {key} {tranche.reserve_id} {tranche.amount} until {tranche.release_on}"
        for hold_id, hold in sorted(book.holds.items()):
            yield f"book {key} hold {hold_id} {hold.amount} of {hold.wanted} {hold.reason}"
        for day in sorted(book.pending):
            entries = book.pending[day]
            yield f"book {key} due {day} {len(entries)} entries {sum(entry.amount for entry in entries)}"
    for key, choice in sorted(state.choices.items()):
        yield f"choice {key} {choice.schedule} {choice.anchor} from {choice.minimum_payout}"
    for key in sorted(state.wishes):
        yield f"wish {key}"
    for item, sent in sorted(state.transits.items()):
        what = "debit" if sent.debit else "payout"
        yield f"{what} {item} {sent.merchant} {sent.currency} {sent.amount} attempt {sent.attempt}"
