"""From the rows of an input to the topics, with the time that walks behind them.

Virtual time is made here: tick t stands in every partition of ``payments.requests`` behind the requests that
belong to it. Ticks come on every quarter-hour while the input lasts, and once more before a card's second payment
within one of them (what a limit decides about the second may depend on the first, so they must not share an
interval). Where more than a day lies between two rows there are four a day. Behind the last row the hours tick on for
some days, then every sixth of them, until every obligation that the input can have made is over: holds run out, refused
records are presented again, reserves and monthly payouts come, payouts come back and are paid again, invoices are paid,
disputes are decided.

How many ticks that makes is a function of the input alone. :func:`schedule` finds it in one pass beforehand, for
the first record of every log holds it; :class:`Publisher` then does the same walk and publishes.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from events.base import Message
from events.calendar import (
    DAY,
    HOUR,
    MINUTE,
    NO_HOLIDAYS,
    add_business_days,
    day_of,
    next_business_day,
    on_or_after,
    start_of,
    weekday,
)
from events.errors import Refused, ValidationError
from events.identity import partition_of_name, slot_of_name
from events.reference import (
    Holidays,
    MerchantTerms,
    NetworkProfile,
    ReviewQueues,
    SettlementTerms,
    decode_reference,
)
from events.requests import (
    InputRow,
    PaymentRequest,
    PayoutSchedule,
    ReferencePublished,
    SettingsRequest,
    Tick,
    has_day,
)
from streams.edge import issuers
from streams.features.schedules import next_pay_day
from streams.features.settlementrun import DEBIT_ATTEMPTS

TICK: Final = 15 * MINUTE
TAIL_TICK: Final = HOUR
#: Far behind the input only days matter: between two ticks of a day lie its cut-offs, its run and its statement.
COARSE_TICK: Final = 6 * HOUR
LULL: Final = DAY
"""Between two rows that are further apart than this, microseconds, only days matter, too."""
FINE_DAYS: Final = 2
"""How many whole days behind the day of the last row have all their hours."""

# What the horizon is made of. Each is a bound, not a forecast: a day too many costs four empty ticks, a
# day too few leaves money on its way when the run ends.
DAYS_TO_FIRST_CUT_OFF: Final = 1
DAYS_TO_SECOND_PRESENTMENT: Final = 2
DAYS_OF_LAGS: Final = 1
DAYS_TO_PAYOUT_RUN: Final = 1
BUSINESS_DAYS_TO_RETURN: Final = 2
#: A payout comes back twice at most before it arrives or its money goes on hold: days from each return to the next run.
RETRY_DAYS: Final = (1, 2)
BUSINESS_DAYS_TO_NET: Final = 1
DAYS_FROM_WEEK_END_TO_INVOICE: Final = 3

#: More than this between two rows is a mistake in their stamps, and would be ticked through for long.
LONGEST_GAP_DAYS: Final = 366

MILLION: Final = 1_000_000


class Schedule(NamedTuple):
    """What is known of a run before it begins. ``ends_at`` is the time of the last tick.

    ``every``, ``tail`` and ``coarse`` are the steps (microseconds) of ticks while the input lasts, behind it up to
    ``fine_until``, and from there on.
    """

    first_at: int
    ends_at: int
    last_tick: int
    rows: int
    every: int
    tail: int
    fine_until: int
    coarse: int

    @property
    def coarse_ticks(self) -> int:
        """How many of the last ticks are coarse."""
        return (self.ends_at - self.fine_until) // self.coarse

    def tail_tick(self, left: int) -> int:
        """When the tick is behind which ``left`` more come. Counted back, so that no tick before it matters."""
        if left < self.coarse_ticks:
            return self.ends_at - left * self.coarse
        return self.fine_until - (left - self.coarse_ticks) * self.tail


class Published(NamedTuple):
    """A message for a topic partition, with the transport's stamp."""

    topic: str
    partition: int
    ingested_at: int
    message: Message


class PublisherState(msgspec.Struct):
    """Where the publisher stands; commits together with what it published.

    ``row_at`` is the stamp of the last row; ``cards`` are the cards since the last tick, each with the request it was
    first used for.
    """

    rows: int = 0
    row_at: int = 0
    tick: int = 0
    at: int = 0
    next_at: int = 0
    reference_version: int = 0
    cards: dict[str, str] = {}


class Walk:
    """The order of rows and ticks, without topics: what :func:`schedule` counts and the publisher publishes."""

    def __init__(self, state: PublisherState, every: int) -> None:
        self.state = state
        self.every = every

    def tick_before(self, row: InputRow) -> int | None:
        """The time of the tick that must stand before this row, if one must."""
        state = self.state
        if state.next_at == 0:
            state.next_at = self._next(row.ingested_at)
        if state.next_at <= row.ingested_at:
            coarse = -(-state.next_at // COARSE_TICK) * COARSE_TICK
            lull = state.row_at and row.ingested_at - state.row_at > LULL
            return coarse if lull and coarse <= row.ingested_at else state.next_at
        entry = row.entry
        if isinstance(entry, PaymentRequest):
            # A repeat of the same request is no second payment, wherever it is taken.
            seen = state.cards.get(entry.card_id)
            if seen is not None and seen != f"{entry.merchant}/{entry.idempotency_key}":
                return max(row.ingested_at, state.at)
        return None

    def take_tick(self, at: int) -> None:
        """Count a tick that has been placed. Business time moves on with each, so that it names one tick alone."""
        state = self.state
        state.tick += 1
        state.at = max(at, state.at + 1)
        state.cards.clear()
        if at >= state.next_at:
            state.next_at = self._next(at)

    def take_row(self, row: InputRow) -> None:
        """Count a row that has been placed."""
        state = self.state
        state.rows += 1
        state.row_at = row.ingested_at
        entry = row.entry
        if isinstance(entry, PaymentRequest):
            state.cards.setdefault(entry.card_id, f"{entry.merchant}/{entry.idempotency_key}")
        elif isinstance(entry, ReferencePublished):
            if entry.version != state.reference_version + 1:
                raise Refused(
                    f"row {state.rows}: reference data of version {entry.version} where "
                    f"{state.reference_version + 1} comes next"
                )
            state.reference_version = entry.version

    def _next(self, at: int) -> int:
        return (at // self.every + 1) * self.every


# --- before the run -----------------------------------------------------------------------------------


class Terms(msgspec.Struct):
    """The longest obligations that the reference data of an input allows.

    ``payouts`` has, for each schedule and anchor, after how many days the last of a run's money is free to be paid.
    """

    hold_days: int = 0
    settlement_days: int = 0
    review_minutes: int = 0
    holidays: frozenset[int] = NO_HOLIDAYS
    debit_days: int = 0
    payouts: dict[tuple[PayoutSchedule, int], int] = msgspec.field(
        default_factory=lambda: {(PayoutSchedule.DAILY, 0): 0}
    )

    def hear(self, entry: ReferencePublished) -> None:
        """Take a piece of reference data into account. What is not well-formed is refused at its row."""
        match decode_reference(entry.kind, entry.content):
            case NetworkProfile() as profile:
                self.hold_days = max(self.hold_days, profile.hold_days)
            case MerchantTerms() as terms:
                self.settlement_days = max(self.settlement_days, terms.settlement_days)
            case ReviewQueues() as queues:
                longest = max((queue.minutes for queue in queues.queues), default=0)
                self.review_minutes = max(self.review_minutes, longest)
            case Holidays() as holidays:
                self.holidays = self.holidays | frozenset(holidays.days_on)
            case SettlementTerms() as settlement:
                schedule = (settlement.schedule, settlement.anchor)
                kept_days = settlement.reserve_days if settlement.reserve_ppm else 0
                self.payouts[schedule] = max(self.payouts.get(schedule, 0), kept_days)
                self.debit_days = max(self.debit_days, settlement.debit_after_days)
            case _:
                pass

    def wish(self, entry: SettingsRequest) -> None:
        """Take what a merchant may be paid by into account, with the longest reserve that anybody has."""
        if has_day(entry.schedule, entry.anchor):
            kept_days = max(self.payouts.values())
            self.payouts[entry.schedule, entry.anchor] = kept_days


def schedule(
    rows: Iterable[InputRow], every: int = TICK, tail: int = TAIL_TICK, extra_days: int = 0
) -> Schedule:
    """Walk through an input and say when it begins and with which tick it ends: so many days later than an honest
    outside needs."""
    walk = Walk(PublisherState(), every)
    terms = Terms()
    first_at: int | None = None
    last_at = 0
    for row in rows:
        if first_at is None:
            first_at = last_at = row.ingested_at
        if row.ingested_at - last_at > LONGEST_GAP_DAYS * DAY:
            raise Refused(
                f"row {walk.state.rows + 1} comes more than {LONGEST_GAP_DAYS} days after the row before it"
            )
        while (at := walk.tick_before(row)) is not None:
            walk.take_tick(at)
        walk.take_row(row)
        last_at = row.ingested_at
        if isinstance(row.entry, SettingsRequest):
            terms.wish(row.entry)
        if isinstance(row.entry, ReferencePublished):
            try:
                terms.hear(row.entry)
            except ValidationError as error:
                raise Refused(f"row {walk.state.rows}: {error}") from error
    if first_at is None:
        raise Refused("the input has no rows")
    ends_at = horizon(last_at, terms) + extra_days * DAY
    fine_until = min(ends_at, start_of(day_of(last_at) + 1 + FINE_DAYS))
    fine_ticks = fine_until // tail - last_at // tail
    plan = Schedule(
        first_at,
        ends_at,
        walk.state.tick + fine_ticks,
        walk.state.rows,
        every,
        tail,
        fine_until,
        max(tail, COARSE_TICK),
    )
    return plan._replace(last_tick=plan.last_tick + plan.coarse_ticks)


def horizon(last_at: int, terms: Terms) -> int:
    """The instant by which everything that a row at ``last_at`` can lead to is over. On the hour."""
    # What waits for a person is captured when he has decided, or nobody in time.
    last_on, holidays = day_of(last_at + terms.review_minutes * MINUTE), terms.holidays
    cycle_on = last_on + DAYS_TO_FIRST_CUT_OFF + DAYS_TO_SECOND_PRESENTMENT + DAYS_OF_LAGS
    # What an issuer gives back may leave once more, and is cleared, billed and settled then.
    again_on = (
        cycle_on + issuers.DAYS_TO_RETURN[1] + issuers.DAYS_UNDER_WAY + DAYS_TO_FIRST_CUT_OFF + DAYS_OF_LAGS
    )
    disputed_on = cycle_on + issuers.LONGEST_DAYS
    net_on = add_business_days(disputed_on, BUSINESS_DAYS_TO_NET, holidays)
    week_end_on = again_on - weekday(again_on) + 6
    invoice_on = on_or_after(week_end_on + DAYS_FROM_WEEK_END_TO_INVOICE, holidays)
    # A capture of the last row waits for its settlement days; what is won in a dispute is the merchant's only then.
    available_on = max(disputed_on, add_business_days(last_on + 1, terms.settlement_days, holidays))
    last_run_on = max(
        next_pay_day(schedule, anchor, available_on + kept_days + DAYS_TO_PAYOUT_RUN, holidays)
        for (schedule, anchor), kept_days in terms.payouts.items()
    )
    paid_on = next_business_day(last_run_on, holidays)
    for waiting_days in RETRY_DAYS:
        returned_on = add_business_days(paid_on, BUSINESS_DAYS_TO_RETURN, holidays) + DAYS_OF_LAGS
        paid_on = next_business_day(returned_on + waiting_days, holidays)
    expired_on = last_on + terms.hold_days
    # Statements are drawn up at the close of their day; one day more lets them be read and answered.
    return start_of(
        max(net_on, invoice_on, paid_on, _debited_on(available_on, terms), expired_on) + 1 + DAYS_OF_LAGS
    )


def _debited_on(owed_on: int, terms: Terms) -> int:
    """When the last debit of what is owed since a day has been paid, or has come back."""
    if terms.debit_days == 0:
        return owed_on
    for _ in range(DEBIT_ATTEMPTS):
        run_on = next_business_day(owed_on + terms.debit_days + DAYS_TO_PAYOUT_RUN, terms.holidays)
        drawn_on = next_business_day(run_on, terms.holidays)
        owed_on = add_business_days(drawn_on, BUSINESS_DAYS_TO_RETURN, terms.holidays) + DAYS_OF_LAGS
    return owed_on


# --- the run ------------------------------------------------------------------------------------------


class Publisher:
    """Gives out the messages of a run block by block.

    The host publishes a block and saves :attr:`state` in one commit; after a crash it makes a publisher with the
    rows from the beginning and the state it saved, and the next block is the one that was not committed.
    """

    def __init__(
        self,
        rows: Iterable[InputRow],
        plan: Schedule,
        partitions: int,
        state: PublisherState | None = None,
        *,
        foreign_ppm: int = 0,
    ) -> None:
        """``foreign_ppm``: how many of a million keys go to a partition that is not theirs (for tests)."""
        self.state = PublisherState() if state is None else state
        self.plan = plan
        self.partitions = partitions
        self.foreign_ppm = foreign_ppm
        self.allowed = 0
        self._walk = Walk(self.state, plan.every)
        self._rows = islice(iter(rows), self.state.rows, None)
        self._row: InputRow | None = next(self._rows, None)

    @property
    def finished(self) -> bool:
        """Whether the last tick has been given out."""
        return self.state.tick >= self.plan.last_tick

    def allow_tick(self, up_to: int) -> None:
        """Give out no tick behind ``up_to``: the host keeps the publisher close to its slowest reader."""
        self.allowed = up_to

    def skip_to(self, rows: int, tick: int) -> None:
        """Pass over what was given out before: so many rows, and the ticks up to this one."""
        while (self.state.rows < rows or self.state.tick < tick) and not self.finished:
            at = self._tick_due()
            if at is not None:
                self._walk.take_tick(at)
            else:
                self._publish_row()
        if (self.state.rows, self.state.tick) < (rows, tick) or self.state.rows > rows:
            raise Refused(f"row {rows} and tick {tick} do not stand beside each other in this input")

    def next_block(self, limit: int) -> list[Published]:
        """The next messages, about ``limit`` of them; none when a tick must wait or everything is out.

        A tick stands in every partition or in none, so a block may be longer by the partitions.
        """
        block: list[Published] = []
        while len(block) < limit and not self.finished:
            at = self._tick_due()
            if at is not None:
                if self.state.tick >= self.allowed:
                    break
                block += self._tick(at)
            else:
                block.append(self._publish_row())
        return block

    def _tick_due(self) -> int | None:
        if self._row is not None:
            return self._walk.tick_before(self._row)
        return self.plan.tail_tick(self.plan.last_tick - self.state.tick - 1)

    def _tick(self, at: int) -> Iterator[Published]:
        self._walk.take_tick(at)
        state = self.state
        tick = Tick(state.tick, state.at, state.reference_version)
        for partition in range(self.partitions):
            yield Published("payments.requests", partition, state.at, tick)

    def _publish_row(self) -> Published:
        row = self._row
        assert row is not None, "without rows there are only ticks left"
        self._walk.take_row(row)
        self._row = next(self._rows, None)
        return placed(row, self.partitions, self.foreign_ppm)


def placed(row: InputRow, partitions: int, foreign_ppm: int = 0) -> Published:
    """Where a row belongs."""
    entry = row.entry
    if isinstance(entry, ReferencePublished):
        return Published("reference", 0, row.ingested_at, entry)
    key = f"{entry.merchant}/{entry.idempotency_key}"
    partition = partition_of_name(key, partitions)
    # By key, not by row: whoever uses another partitioner uses it for all requests of a key.
    if foreign_ppm and slot_of_name(f"foreign/{key}") * MILLION < foreign_ppm * 1024:
        partition = (partition + 1) % partitions
    return Published("payments.requests", partition, row.ingested_at, entry)
