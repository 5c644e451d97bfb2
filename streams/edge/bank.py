"""The bank, simulated: networks pay through it, payouts leave through it, and its statements say so.

The :class:`Bank` reads every partition of the payments and settlement logs and keeps a time of its own: its tick
t comes when all of them have passed t, or a later one where they leave t out. What a network owes it does not take
from our books: it asks the networks themselves (:func:`streams.edge.presenting.present`), so that a statement is a
second record of the same money.

On a business day at :data:`CLOSE_OF_BUSINESS` each account with movements gets one statement,
``<account>-<date>``, with lines numbered from 1 in the order of their references:

``NET <cycle>``
    what a network pays for a cycle (negative: takes), the business day after the cycle's day. The network's own
    account of the cycle (:class:`~events.reconciliation.NetworkSettlementAdvised`) comes when that day ends.
``PAYOUT <payout>``
    a payout leaves, on its value date.
``RETURN <payout> <code> [<correction>]``
    a payout comes back, two business days later, with the merchant's bank's reason; now and then its notification of
    change says how to send it so that it arrives.
``DEBIT <debit>`` and ``UNPAID <debit> R01``
    a merchant is debited, on the value date; two business days later some are taken away again: no funds.
``INVOICE <network> <currency> <period>``
    a network takes its scheme fees of an ISO week, on the Wednesday after.
"""

from typing import Final

import msgspec

from events.accounts import bank_account, line_item
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
from events.clearing import ClearingRecordCreated, ClearingReturnReceived, RecordKind
from events.disputes import DisputeEvidenceSubmitted
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
from events.payouts import MerchantDebitApplied, PayoutSubmitted
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyResolved,
    NetworkSettlementAdvised,
)
from events.reference import Holidays, decode_reference
from streams.edge.desk import Desk, hear, requests
from streams.edge.dice import chance
from streams.edge.faults import (
    ASKED_DAYS,
    NO_FAULTS,
    NOTICED_DAYS,
    STRANGER,
    STRANGER_AMOUNT,
    WRONG_BY,
    FaultKind,
    Plan,
    Planted,
    happens,
)
from streams.edge.issuers import Planned, answer, cycle_on, moved, plan
from streams.edge.networks import Announcements
from streams.edge.presenting import present, returned
from streams.edge.ticking import come
from streams.hosts.edges import Outgoing

#: When a day's statement is drawn up, after midnight UTC.
CLOSE_OF_BUSINESS: Final = 18 * HOUR
#: Of first payouts, in millionths: the merchant's bank sends them back.
PAYOUTS_RETURNED: Final = 15_000
#: Of second ones, which go out with corrected data where there is any.
RETURNED_AGAIN: Final = 200_000
#: Why payouts come back, each as often as it stands here (Nacha Operating Rules, Appendix Four): no account, its number
#: wrong, refused by the receiver, a field not to be processed, closed. C01 and C02 say what is right.
RETURNS: Final = ("R03 C01", "R03", "R04 C01", "R04 C02", "R23", "R23", "R17", "R02")
#: Of debits of merchants: there is no money on the account.
DEBITS_UNPAID: Final = 250_000
NO_FUNDS: Final = "R01"
RETURN_DAYS: Final = 2
#: Scheme fees of a week are taken this many days after its Sunday (3: on Wednesday).
INVOICE_DAYS: Final = 3


class Cycle(msgspec.Struct):
    """A network's settlement of one currency on one day, while it grows.

    ``twice`` is what it counts of records that it settles a second time, by mistake.
    """

    network: str
    currency: str
    day_on: int
    records: int = 0
    presented: int = 0
    refunded: int = 0
    interchange: int = 0
    twice: int = 0
    twice_interchange: int = 0
    disputed: int = 0


class Invoice(msgspec.Struct):
    """A network's scheme fees of one currency and week; ``sunday_on`` is the week's last day."""

    network: str
    currency: str
    period: str
    sunday_on: int
    amount: int = 0


class Booking(msgspec.Struct, frozen=True, gc=False):
    """A line of a statement to come.

    ``causation_id`` is the event that asked for it, or empty. ``returns`` is the reference of the line that brings a
    payout or debit back, empty where it stays; ``undone_after`` is after how many days the bank takes the line back, 0
    for never.
    """

    account: str
    booked_on: int
    reference: str
    amount: int
    currency: str
    causation_id: str = ""
    returns: str = ""
    undone_after: int = 0


class Advice(msgspec.Struct, frozen=True, gc=False):
    """An advice that a network sends later than it should."""

    due_on: int
    body: NetworkSettlementAdvised


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
    advices: list[Advice] = []
    planted: Planted = msgspec.field(default_factory=Planted)
    desk: Desk = msgspec.field(default_factory=Desk)


class Bank:
    """Edge ``bank/0``: statements and advices on ``bank.statements``, by account."""

    HEARS: tuple[type[Event], ...] = (
        ClearingRecordCreated,
        DisputeEvidenceSubmitted,
        PayoutSubmitted,
        MerchantDebitApplied,
        TickPassed,
        ReferenceApplied,
        MarkersTaken,
        ClockStruck,
        LogOpened,
    )
    name = "bank/0"

    def __init__(self, partitions: int, seed: int, faults: Plan = NO_FAULTS) -> None:
        """With planted faults, the simulated desk looks into what reconciliation names, and its requests travel
        with the bank's statements."""
        self.partitions = partitions
        self.seed = seed
        self.faults = faults
        if faults:
            self.HEARS = (*Bank.HEARS, DiscrepancyDetected, DiscrepancyResolved)
        self.state = BankState(passed={f"{topic}/{number}": 0 for topic, number in self.reads()})

    def reads(self) -> list[tuple[str, int]]:
        logs = ("payments", "settlement", "reconciliation") if self.faults else ("payments", "settlement")
        return [(topic, number) for topic in logs for number in range(self.partitions)]

    def writes(self) -> list[tuple[str, int]]:
        return [("bank.statements", number) for number in range(self.partitions)]

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        match recorded.body:
            case ClearingRecordCreated() as record:
                self._settle(record, recorded.meta.recorded_at)
            case DisputeEvidenceSubmitted() as submitted:
                self._dispute(submitted, answer(self.seed, submitted, day_of(recorded.meta.recorded_at)))
            case PayoutSubmitted() as payout:
                self._take_payout(payout, recorded)
            case MerchantDebitApplied() as debit:
                self._take_debit(debit, recorded)
            case DiscrepancyDetected() | DiscrepancyResolved():
                if topic == "reconciliation":
                    hear(self.state.desk, partition, recorded)
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
        said = present(self.seed, record, recorded_at, self.faults)
        if not said.accepted:
            return
        day_on = day_of(recorded_at)
        cycle = self._cycle_of(record, day_on)
        cycle.records += 1
        cycle.presented += said.presented
        cycle.refunded += said.refunded
        cycle.interchange += said.interchange
        if said.twice:
            cycle.twice += said.presented
            cycle.twice_interchange += said.interchange
        if said.scheme_fee:
            sunday_on = day_on - weekday(day_on) + 6
            name = f"{record.network} {record.currency} {said.period}"
            empty = Invoice(record.network, record.currency, said.period, sunday_on)
            self.state.invoices.setdefault(name, empty).amount += said.scheme_fee
        if record.kind is RecordKind.PRESENTMENT:
            self._dispute(record, plan(self.seed, record, day_on))
            self._take_back(record, returned(self.seed, record, said, day_on))

    def _take_back(self, record: ClearingRecordCreated, back: Planned | None) -> None:
        """What an issuer gives back, in the cycle of its day; the scheme fee is not."""
        if back is not None:
            assert isinstance(back.said, ClearingReturnReceived)
            cycle = self._cycle_of(record, back.on)
            cycle.records += 1
            cycle.presented -= back.said.settlement_amount
            cycle.interchange -= back.said.interchange

    def _cycle_of(self, about: ClearingRecordCreated | DisputeEvidenceSubmitted, day_on: int) -> Cycle:
        name = cycle_on(about.network, about.currency, day_on)
        return self.state.cycles.setdefault(name, Cycle(about.network, about.currency, day_on))

    def _dispute(self, about: ClearingRecordCreated | DisputeEvidenceSubmitted, plans: list[Planned]) -> None:
        """What issuers will take and give back, each in the cycle of its day."""
        for planned in plans:
            amount = moved(planned)
            if amount:
                self._cycle_of(about, planned.on).disputed += amount

    def _take_payout(self, payout: PayoutSubmitted, recorded: Recorded) -> None:
        share = PAYOUTS_RETURNED if payout.attempt == 1 else RETURNED_AGAIN
        # A third payout always arrives: every run comes to an end.
        returns = ""
        if payout.attempt <= 2 and chance(self.seed, "return", payout.payout_id) < share:
            which = chance(self.seed, "return code", payout.payout_id) % len(RETURNS)
            returns = f"RETURN {payout.payout_id} {RETURNS[which]}"
        self._book(f"PAYOUT {payout.payout_id}", -payout.amount, payout, recorded, returns)

    def _take_debit(self, debit: MerchantDebitApplied, recorded: Recorded) -> None:
        unpaid = chance(self.seed, "debit", debit.debit_id) < DEBITS_UNPAID
        returns = f"UNPAID {debit.debit_id} {NO_FUNDS}" if unpaid else ""
        self._book(f"DEBIT {debit.debit_id}", debit.amount, debit, recorded, returns)

    def _book(
        self,
        reference: str,
        amount: int,
        order: PayoutSubmitted | MerchantDebitApplied,
        recorded: Recorded,
        returns: str,
    ) -> None:
        booked_on = max(order.value_on, day_of(recorded.meta.recorded_at) + 1)
        self.state.bookings.append(
            Booking(
                order.account,
                booked_on,
                reference,
                amount,
                order.currency,
                recorded.meta.event_id,
                returns,
            )
        )

    def _holidays(self, currency: str) -> frozenset[int]:
        days_on = self.state.holidays.get(currency)
        return frozenset(days_on) if days_on else NO_HOLIDAYS

    # -- what goes out, tick by tick

    def _pass(self, source: str, body: TickPassed) -> list[Outgoing]:
        return [said for tick, now in come(self.state, source, body) for said in self._go_on(tick, now)]

    def _go_on(self, tick: int, now: int) -> list[Outgoing]:
        self._learn_holidays(now)
        out = self._close_cycles(now)
        self._close_invoices(now)
        out += self._statements(now)
        out += self._asked(now)
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
            out += self._close_cycle(name, cycles.pop(name), now)
        due = [one for one in self.state.advices if one.due_on <= day_of(now)]
        self.state.advices = [one for one in self.state.advices if one.due_on > day_of(now)]
        return out + [self._say(one.body.account, now, one.body, "") for one in due]

    def _close_cycle(self, name: str, cycle: Cycle, now: int) -> list[Outgoing]:
        account, right = bank_account(cycle.currency), _advice(name, cycle)
        advised = right
        if cycle.twice:
            advised = msgspec.structs.replace(
                right,
                presented=right.presented + cycle.twice,
                interchange=right.interchange + cycle.twice_interchange,
                net=right.net + cycle.twice - cycle.twice_interchange,
            )
            self.state.advices.append(Advice(day_of(now) + NOTICED_DAYS, right))
        if advised.net:
            booked_on = next_business_day(cycle.day_on, self._holidays(cycle.currency))
            line = Booking(account, booked_on, f"NET {name}", advised.net, cycle.currency)
            self.state.bookings += self._with_faults(line)
            if right.net != advised.net:
                later_on = on_or_after(booked_on + NOTICED_DAYS, self._holidays(cycle.currency))
                back = right.net - advised.net
                self.state.bookings.append(msgspec.structs.replace(line, booked_on=later_on, amount=back))
        if self._faulty(FaultKind.LINE_WITHOUT_ADVICE, name):
            self.state.advices.append(Advice(day_of(now) + ASKED_DAYS, advised))
            return []
        return [self._say(account, now, advised, "")]

    def _faulty(self, kind: FaultKind, name: str) -> bool:
        return bool(self.faults) and happens(self.faults, self.state.planted, kind, name)

    def _with_faults(self, line: Booking) -> list[Booking]:
        """A network's line as the bank books it: as it should, or by one planted fault."""
        if not self.faults:
            return [line]
        change, holidays = msgspec.structs.replace, self._holidays(line.currency)
        name = line.reference
        if self._faulty(FaultKind.WRONG_AMOUNT, name):
            return [change(line, amount=line.amount - WRONG_BY)]
        if self._faulty(FaultKind.LATE_LINE, name):
            return [change(line, booked_on=next_business_day(line.booked_on, holidays))]
        if self._faulty(FaultKind.ADVICE_WITHOUT_LINE, name):
            return [change(line, booked_on=on_or_after(line.booked_on + ASKED_DAYS, holidays))]
        if self._faulty(FaultKind.LINE_TWICE, name):
            return [line, change(line, undone_after=NOTICED_DAYS)]
        if self._faulty(FaultKind.WRONG_ACCOUNT, name):
            elsewhere = bank_account("USD" if line.currency != "USD" else "EUR")
            moved_on = on_or_after(line.booked_on + NOTICED_DAYS, holidays)
            return [
                change(line, account=elsewhere, undone_after=NOTICED_DAYS),
                change(line, booked_on=moved_on),
            ]
        if self._faulty(FaultKind.STRANGER_LINE, name):
            return [line, change(line, reference=STRANGER, amount=STRANGER_AMOUNT)]
        return [line]

    def _asked(self, now: int) -> list[Outgoing]:
        return [
            Outgoing(
                "bank.statements",
                case.partition,
                Handover(self.name, case.event_id, "", now, now, True, body),
            )
            for case, body in requests(self.state.desk, now)
        ]

    def _close_invoices(self, now: int) -> None:
        invoices = self.state.invoices
        for name in sorted(name for name, invoice in invoices.items() if invoice.sunday_on < day_of(now)):
            invoice = invoices.pop(name)
            booked_on = on_or_after(invoice.sunday_on + INVOICE_DAYS, self._holidays(invoice.currency))
            account = bank_account(invoice.currency)
            reference = f"INVOICE {name}"
            amount = invoice.amount
            if self._faulty(FaultKind.INVOICE_TOO_HIGH, reference):
                amount += WRONG_BY
            self.state.bookings.append(Booking(account, booked_on, reference, -amount, invoice.currency))

    def _statements(self, now: int) -> list[Outgoing]:
        """One statement for each account and day that has closed, days and accounts in order."""
        self._hold_payouts_back(now)
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
            if one.undone_after:
                self.state.bookings.append(self._reversal_of(one, line_item(statement, line)))
        return out

    def _reversal_of(self, one: Booking, item: str) -> Booking:
        booked_on = on_or_after(one.booked_on + one.undone_after, self._holidays(one.currency))
        return Booking(one.account, booked_on, f"REVERSAL {item}", -one.amount, one.currency)

    def _hold_payouts_back(self, now: int) -> None:
        """Planted: a payout that should leave today does so when the bank is asked. Decided at the close of its day,
        for the order in which payouts were asked for is the logs'."""
        if not self.faults:
            return
        late = []
        for number, one in enumerate(self.state.bookings):
            today = start_of(one.booked_on) + CLOSE_OF_BUSINESS <= now
            if today and one.reference.startswith("PAYOUT ") and one.causation_id:
                late.append((one.booked_on, one.account, one.reference, number))
        for _, _, reference, number in sorted(late):
            if self._faulty(FaultKind.MISSING_LINE, reference):
                one = self.state.bookings[number]
                booked_on = on_or_after(one.booked_on + ASKED_DAYS, self._holidays(one.currency))
                self.state.bookings[number] = msgspec.structs.replace(one, booked_on=booked_on)

    def _return_of(self, sent: Booking) -> Booking:
        booked_on = add_business_days(sent.booked_on, RETURN_DAYS, self._holidays(sent.currency))
        return Booking(sent.account, booked_on, sent.returns, -sent.amount, sent.currency, sent.causation_id)

    def _say(
        self, account: str, now: int, fact: BankLineRecorded | NetworkSettlementAdvised, causation_id: str
    ) -> Outgoing:
        message = Handover(self.name, causation_id, "", now, now, True, fact)
        return Outgoing("bank.statements", partition_of_name(account, self.partitions), message)


def _advice(name: str, cycle: Cycle) -> NetworkSettlementAdvised:
    """A network's own account of a cycle."""
    return NetworkSettlementAdvised(
        bank_account(cycle.currency),
        cycle.network,
        name,
        cycle.currency,
        cycle.records,
        cycle.presented,
        cycle.refunded,
        cycle.interchange,
        cycle.presented - cycle.refunded - cycle.interchange - cycle.disputed,
        cycle.disputed,
    )
