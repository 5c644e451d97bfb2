"""The bank, simulated: networks pay through it, payouts leave through it, and its statements say so.

The :class:`Bank` reads every partition of the payments and settlement logs and keeps a time of its own: its tick
t comes when all of them have passed t, or a later one where they leave t out. What a network owes it does not take
from our books: it asks the networks themselves (:func:`streams.edge.networks.present`), so that a statement is a
second record of the same money.

On a business day at :data:`CLOSE_OF_BUSINESS` each account with movements gets one statement,
``<account>-<date>``, with lines numbered from 1 in the order of their references:

``NET <cycle>``
    what a network pays for a cycle (negative: takes), the business day after the cycle's day. The network's own
    account of the cycle (:class:`~events.reconciliation.NetworkSettlementAdvised`) comes when that day ends.
``PAYOUT <payout>``
    a payout leaves, on its value date.
``RETURN <payout> R01``
    a payout comes back, two business days later.
``INVOICE <network> <currency> <period>``
    a network takes its scheme fees of an ISO week, on the Wednesday after.
"""

from typing import Final

import msgspec

from events.accounts import bank_account
from events.base import Event
from events.calendar import (
    HOUR,
    NO_HOLIDAYS,
    add_business_days,
    day_of,
    iso_day,
    next_business_day,
    on_or_after,
    start_of,
    weekday,
)
from events.clearing import ClearingRecordCreated
from events.envelope import Recorded
from events.identity import partition_of_name
from events.messages import Handover, Marker
from events.partitions import (
    ClockKind,
    ClockStruck,
    LogOpened,
    MarkersTaken,
    ReferenceApplied,
    TickPassed,
)
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised
from events.reference import Holidays, decode_reference
from events.settlement import PayoutInitiated
from streams.edge.networks import Announcements, chance, present
from streams.hosts.edges import Outgoing

#: When a day's statement is drawn up, after midnight UTC.
CLOSE_OF_BUSINESS: Final = 18 * HOUR
#: Of first payouts, in millionths: the merchant's bank sends them back.
PAYOUTS_RETURNED: Final = 15_000
RETURN_CODE: Final = "R01"
RETURN_DAYS: Final = 2
#: Scheme fees of a week are taken this many days after its Sunday (3: on Wednesday).
INVOICE_DAYS: Final = 3


class Cycle(msgspec.Struct):
    """A network's settlement of one currency on one day, while it grows."""

    network: str
    currency: str
    day_on: int
    records: int = 0
    presented: int = 0
    refunded: int = 0
    interchange: int = 0


class Invoice(msgspec.Struct):
    """A network's scheme fees of one currency and week; ``sunday_on`` is the week's last day."""

    network: str
    currency: str
    period: str
    sunday_on: int
    amount: int = 0


class Booking(msgspec.Struct, frozen=True, gc=False):
    """A line of a statement to come.

    ``causation_id`` is the event that asked for it, or empty. ``returns`` names a payout that will come back.
    """

    account: str
    booked_on: int
    reference: str
    amount: int
    currency: str
    causation_id: str = ""
    returns: str = ""


class BankState(msgspec.Struct):
    """What the bank knows and has not yet said.

    ``done`` is its own last tick, ``passed`` that of each log, and ``at`` when the ticks are that it has before it.
    ``waited_for``: whether anybody waits for its markers, as in virtual time.
    """

    waited_for: bool = True
    done: int = 0
    passed: dict[str, int] = {}
    at: dict[str, int] = {}
    cycles: dict[str, Cycle] = {}
    invoices: dict[str, Invoice] = {}
    bookings: list[Booking] = []
    announcements: Announcements = msgspec.field(default_factory=Announcements)
    holidays: dict[str, list[int]] = {}


class Bank:
    """Edge ``bank/0``: statements and advices on ``bank.statements``, by account."""

    HEARS: tuple[type[Event], ...] = (
        ClearingRecordCreated,
        PayoutInitiated,
        TickPassed,
        ReferenceApplied,
        MarkersTaken,
        ClockStruck,
        LogOpened,
    )
    name = "bank/0"

    def __init__(self, partitions: int, seed: int) -> None:
        self.partitions = partitions
        self.seed = seed
        self.state = BankState(passed={f"{topic}/{number}": 0 for topic, number in self.reads()})

    def reads(self) -> list[tuple[str, int]]:
        return [(topic, number) for topic in ("payments", "settlement") for number in range(self.partitions)]

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        match recorded.body:
            case ClearingRecordCreated() as record:
                self._settle(record, recorded.meta.recorded_at)
            case PayoutInitiated() as payout:
                self._take_payout(payout, recorded)
            case ReferenceApplied() | MarkersTaken() | ClockStruck() as body:
                self.state.announcements.hear(body, "holidays")
            case LogOpened() as opened:
                self.state.waited_for = opened.clock is ClockKind.VIRTUAL
            case TickPassed() as body:
                return self._pass(f"{topic}/{partition}", body)
            case _:
                pass
        return []

    # -- what comes in. A log that is ahead changes nothing for the days that the bank is about to close, for
    #    whatever it says is of a later day: cycles, weeks and value dates all begin where the log's time stands.

    def _settle(self, record: ClearingRecordCreated, recorded_at: int) -> None:
        said = present(self.seed, record, recorded_at)
        if not said.accepted:
            return
        day_on = day_of(recorded_at)
        cycle = self.state.cycles.setdefault(said.cycle, Cycle(record.network, record.currency, day_on))
        cycle.records += 1
        cycle.presented += said.presented
        cycle.refunded += said.refunded
        cycle.interchange += said.interchange
        if said.scheme_fee:
            sunday_on = day_on - weekday(day_on) + 6
            name = f"{record.network} {record.currency} {said.period}"
            empty = Invoice(record.network, record.currency, said.period, sunday_on)
            self.state.invoices.setdefault(name, empty).amount += said.scheme_fee

    def _take_payout(self, payout: PayoutInitiated, recorded: Recorded) -> None:
        # The returned money is paid again, and that second payout always arrives: every run comes to an end.
        returned = payout.attempt == 1 and chance(self.seed, "return", payout.payout_id) < PAYOUTS_RETURNED
        self.state.bookings.append(
            Booking(
                payout.account,
                max(payout.value_on, day_of(recorded.meta.recorded_at) + 1),
                f"PAYOUT {payout.payout_id}",
                -payout.amount,
                payout.currency,
                recorded.meta.event_id,
                payout.payout_id if returned else "",
            )
        )

    def _holidays(self, currency: str) -> frozenset[int]:
        days_on = self.state.holidays.get(currency)
        return frozenset(days_on) if days_on else NO_HOLIDAYS

    # -- what goes out, tick by tick

    def _pass(self, source: str, body: TickPassed) -> list[Outgoing]:
        state = self.state
        state.passed[source] = body.tick
        if body.tick > state.done:
            state.at[str(body.tick)] = body.at
        out: list[Outgoing] = []
        last = min(state.passed.values())
        if last > state.done:
            for tick in sorted(tick for tick in map(int, state.at) if tick <= last):
                out += self._go_on(tick, state.at.pop(str(tick)))
        return out

    def _go_on(self, tick: int, now: int) -> list[Outgoing]:
        self.state.done = tick
        self._learn_holidays(now)
        out = self._close_cycles(now)
        self._close_invoices(now)
        out += self._statements(now)
        if self.state.waited_for:
            marker = Marker(self.name, tick, now, 0)
            out += [Outgoing("bank.statements", number, marker) for number in range(self.partitions)]
        return out

    def _learn_holidays(self, now: int) -> None:
        for entry in self.state.announcements.come(now):
            holidays = decode_reference("holidays", entry.content)
            assert isinstance(holidays, Holidays)
            self.state.holidays[holidays.currency] = list(holidays.days_on)

    def _close_cycles(self, now: int) -> list[Outgoing]:
        """Advise every cycle whose day is over, and book what it comes to."""
        cycles = self.state.cycles
        out = []
        for name in sorted(name for name, cycle in cycles.items() if cycle.day_on < day_of(now)):
            cycle = cycles.pop(name)
            net = cycle.presented - cycle.refunded - cycle.interchange
            account = bank_account(cycle.currency)
            advice = NetworkSettlementAdvised(
                account,
                cycle.network,
                name,
                cycle.currency,
                cycle.records,
                cycle.presented,
                cycle.refunded,
                cycle.interchange,
                net,
            )
            out.append(self._say(account, now, advice, ""))
            if net:
                booked_on = next_business_day(cycle.day_on, self._holidays(cycle.currency))
                self.state.bookings.append(Booking(account, booked_on, f"NET {name}", net, cycle.currency))
        return out

    def _close_invoices(self, now: int) -> None:
        invoices = self.state.invoices
        for name in sorted(name for name, invoice in invoices.items() if invoice.sunday_on < day_of(now)):
            invoice = invoices.pop(name)
            booked_on = on_or_after(invoice.sunday_on + INVOICE_DAYS, self._holidays(invoice.currency))
            account = bank_account(invoice.currency)
            reference = f"INVOICE {name}"
            self.state.bookings.append(
                Booking(account, booked_on, reference, -invoice.amount, invoice.currency)
            )

    def _statements(self, now: int) -> list[Outgoing]:
        """One statement for each account and day that has closed, days and accounts in order."""
        ready = [one for one in self.state.bookings if start_of(one.booked_on) + CLOSE_OF_BUSINESS <= now]
        if not ready:
            return []
        self.state.bookings = [
            one for one in self.state.bookings if start_of(one.booked_on) + CLOSE_OF_BUSINESS > now
        ]
        ready.sort(key=lambda one: (one.booked_on, one.account, one.reference))
        out = []
        statement, line = "", 0
        for one in ready:
            name = f"{one.account}-{iso_day(one.booked_on)}"
            statement, line = (statement, line + 1) if name == statement else (name, 1)
            fact = BankLineRecorded(
                one.account, statement, line, one.amount, one.currency, one.booked_on, one.reference
            )
            out.append(self._say(one.account, now, fact, one.causation_id))
            if one.returns:
                self.state.bookings.append(self._return_of(one))
        return out

    def _return_of(self, payout: Booking) -> Booking:
        booked_on = add_business_days(payout.booked_on, RETURN_DAYS, self._holidays(payout.currency))
        reference = f"RETURN {payout.returns} {RETURN_CODE}"
        return Booking(
            payout.account, booked_on, reference, -payout.amount, payout.currency, payout.causation_id
        )

    def _say(
        self, account: str, now: int, fact: BankLineRecorded | NetworkSettlementAdvised, causation_id: str
    ) -> Outgoing:
        message = Handover(self.name, causation_id, "", now, now, True, fact)
        return Outgoing("bank.statements", partition_of_name(account, self.partitions), message)
