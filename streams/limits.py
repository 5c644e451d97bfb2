"""Limits: what is seen too often under one key, counted over all cards.

Each payment is signalled to the partitions that hold its keys, and once more if it is declined. What came between two
ticks is counted at the tick, in the order of the payments' event times and ids, so that a count does not depend on
which partition of the payments log was read first; a limit that is passed in the midst of an interval is found although
the interval has ended. A decline counts in the windows that its payment lies in, from when it is known on. Limits are
looked at with each payment, in the windows that end with it, and those on declines with each decline as well.

A key beyond a limit is announced once, and again when it still goes beyond it while less than half of the hold is
left: whoever goes on stays listed, and whoever stops comes off. Of several limits on one key the stricter one counts,
then the longer hold. Counts are kept for a day, and where a limit has a longer window, for as long as that reaches: who
puts one into force has it count from what is still kept. A listed key is kept until its hold is over.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from events.base import Event
from events.calendar import MINUTE
from events.envelope import Recorded
from events.hotlist import (
    DeclineSignalled,
    Dimension,
    Measure,
    ReleaseCause,
    RiskSignalled,
    Standing,
    VelocityLimitCleared,
    VelocityLimitReached,
    Window,
)
from events.partitions import ReferenceApplied, ReferenceRefused
from events.reference import HotlistEntry, VelocityLimit, VelocityLimits, decode_reference
from streams.features import velocity
from streams.features.hotlists import item_of
from streams.features.velocity import Mark, Marked
from streams.features.windows import event_time
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "limits"
HEARS: Final[tuple[type[Event], ...]] = (
    RiskSignalled,
    DeclineSignalled,
    VelocityLimitReached,
    VelocityLimitCleared,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (ReferenceApplied,)

COUNT: Final = "count"
CLEAR: Final = "clear"
FORGET: Final = "forget"

SIGNALS_A_WORK: Final = 100
"""How many signals one work counts: some 3 ms."""

_WINDOWS: Final = tuple(Window)
_KEPT: Final = _WINDOWS.index(Window.DAY) + 1
"""How many windows are counted whatever the limits: what came within a day is known to every limit at once."""
_BITS: Final = {dimension: 1 << place for place, dimension in enumerate(Dimension)}
_SEVERITY: Final = {standing: place for place, standing in enumerate(Standing)}


class Signal(msgspec.Struct, frozen=True, gc=False, order=True):
    """A payment that waits to be counted, in the order in which it will be. ``mine`` as velocity has it.

    One that was ``declined`` comes again behind itself, without what is known of it by then.
    """

    at: int
    payment_id: str
    declined: bool
    card: str = ""
    ip: str = ""
    device: str = ""
    email: str = ""
    merchant: str = ""
    amount: int = 0
    mine: int = 0


class ReadyLimit(msgspec.Struct, frozen=True):
    """A limit with its place in the vector of a payment looked up; ``hold`` in microseconds.

    ``declines`` is the place in what velocity says of a decline, -1 for a limit on something else.
    """

    limit: VelocityLimit
    column: int
    declines: int
    bit: int
    hold: int


class Listed(msgspec.Struct, frozen=True):
    """A key that was announced."""

    limit_id: str
    standing: Standing
    until_at: int


class State(msgspec.Struct):
    """What windows reach, what waits for the tick, the keys announced, and those that an operator let go.

    ``ends`` has the ends of holds in order, with those that have been prolonged since; ``pardons`` has until when no
    limit lists a key.
    """

    counts: velocity.State
    limits: list[ReadyLimit] = []
    waiting: list[Signal] = []
    listed: dict[str, Listed] = {}
    ends: list[tuple[int, str]] = []
    pardons: dict[str, int] = {}


def initial() -> State:
    """Nothing was counted, and nothing is too much."""
    return State(velocity.initial(plan_of(())))


def plan_of(limits: Iterable[VelocityLimit]) -> velocity.Plan:
    """What is counted for limits: a day, and longer windows as far as one of them reaches."""
    reached = max((_WINDOWS.index(limit.window) + 1 for limit in limits), default=0)
    return velocity.plan_of(",".join(_WINDOWS[: max(_KEPT, reached)]), full=False)


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What is wrong with limits; and a key that an operator takes off the hotlist, which no limit holds any more."""
    body = recorded.body
    assert isinstance(body, ReferenceApplied)
    if body.kind == "velocity":
        return [
            ReferenceRefused(body.kind, body.ref_id, body.version, f"{limit_id} limits what is not counted")
            for limit_id in uncounted(_limits(body))
        ]
    if body.kind != "hotlist":
        return []
    entry = _entry(body)
    item = item_of(entry.dimension, entry.value)
    found = state.listed.get(item)
    if entry.standing is not None or found is None:
        return []
    return [VelocityLimitCleared(item, found.limit_id, ReleaseCause.OPERATOR)]


def due(state: State, now: int) -> list[Work]:
    """What was signalled since the last tick, holds that are over, hours that no window reaches."""
    works = [
        Work(NOTICES, COUNT, f"{number:08d}") for number in range(-(-len(state.waiting) // SIGNALS_A_WORK))
    ]
    for until_at, item in state.ends:
        if until_at > now:
            break
        works.append(Work(DEADLINES, CLEAR, f"{item} {until_at:020d}"))
    works += [Work(DEADLINES, FORGET, f"{hour:08d}") for hour in velocity.stale_hours(state.counts, now)]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Count some signals, end one hold, or forget one hour."""
    match work.kind:
        case "count":
            return _count(state, now)
        case "clear":
            item, _, until = work.key.rpartition(" ")
            state.ends.remove((int(until), item))
            found = state.listed.get(item)
            if found is None or found.until_at > now:
                return []
            return [VelocityLimitCleared(item, found.limit_id, ReleaseCause.EXPIRED)]
        case _:
            velocity.forget(state.counts, int(work.key))
            state.pardons = {item: until for item, until in state.pardons.items() if until > now}
            return []


def _count(state: State, now: int) -> list[Event]:
    """Count the next signals. What they pass is told in the order of the signals, each key once."""
    waiting = state.waiting
    waiting.sort()
    reached: dict[str, VelocityLimitReached] = {}
    for signal in waiting[:SIGNALS_A_WORK]:
        if signal.declined:
            _count_decline(state, reached, signal, now)
        else:
            _count_payment(state, reached, signal, now)
    del waiting[:SIGNALS_A_WORK]
    return list(reached.values())


def _count_payment(state: State, reached: dict[str, VelocityLimitReached], signal: Signal, now: int) -> None:
    found = velocity.observe(
        state.counts,
        signal.payment_id,
        signal.at,
        signal.card,
        signal.ip,
        signal.device,
        signal.email,
        signal.merchant,
        signal.amount,
        signal.mine,
    )
    if found is None:
        return
    values = found.values
    for ready in state.limits:
        if ready.bit & signal.mine and values[ready.column] > ready.limit.above and _is_of(ready, signal):
            _reach(state, reached, signal, ready, values[ready.column], now)


def _count_decline(state: State, reached: dict[str, VelocityLimitReached], signal: Signal, now: int) -> None:
    """What was declined was counted as asked for before; what no window reaches any more is not known."""
    if velocity.mark(state.counts, signal.payment_id, Mark.DECLINED, signal.at) is not Marked.COUNTED:
        return
    payment = state.counts.payments[signal.payment_id]
    asked = Signal(payment.at, signal.payment_id, True, *payment.keys, payment.amount, payment.mine)
    values = velocity.declines_of(state.counts, payment)
    for ready in state.limits:
        if ready.declines < 0 or not ready.bit & asked.mine:
            continue
        if values[ready.declines] > ready.limit.above and _is_of(ready, asked):
            _reach(state, reached, asked, ready, values[ready.declines], now)


def _reach(
    state: State,
    reached: dict[str, VelocityLimitReached],
    signal: Signal,
    ready: ReadyLimit,
    measured: int,
    now: int,
) -> None:
    """Note that a key is beyond a limit, unless it is held for it, or for more, for long enough."""
    limit, until_at = ready.limit, now + ready.hold
    item = item_of(limit.dimension, _value(signal, limit.dimension))
    if state.pardons.get(item, 0) > now:
        return
    before = reached.get(item) or state.listed.get(item)
    if before is not None:
        severity, held = _SEVERITY[limit.standing], _SEVERITY[before.standing]
        lasts_long = before.until_at - now >= ready.hold // 2
        if severity < held or (severity == held and lasts_long):
            return
    reached[item] = VelocityLimitReached(
        item,
        limit.limit_id,
        limit.measure,
        limit.window,
        limit.above,
        measured,
        limit.standing,
        signal.payment_id,
        signal.at,
        until_at,
    )


def _is_of(ready: ReadyLimit, signal: Signal) -> bool:
    """Whether a limit is of every key, or of this signal's."""
    return ready.limit.value in ("", _value(signal, ready.limit.dimension))


def _value(signal: Signal, dimension: Dimension) -> str:
    match dimension:
        case Dimension.CARD:
            return signal.card
        case Dimension.IP:
            return signal.ip
        case Dimension.DEVICE:
            return signal.device
        case Dimension.EMAIL:
            return signal.email
        case Dimension.MERCHANT:
            return signal.merchant


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep signals for the tick; follow which keys are held; put limits into force."""
    match recorded.body:
        case RiskSignalled() as body:
            meta = recorded.meta
            state.waiting.append(
                Signal(
                    event_time(meta.occurred_at, meta.ingested_at),
                    body.payment_id,
                    False,
                    body.card_id,
                    body.ip_ref,
                    body.device_ref,
                    body.email_ref,
                    body.merchant,
                    body.amount,
                    sum(_BITS[dimension] for dimension in body.dimensions),
                )
            )
        case DeclineSignalled() as body:
            state.waiting.append(Signal(body.paid_at, body.payment_id, True))
        case VelocityLimitReached() as body:
            state.listed[body.item] = Listed(body.limit_id, body.standing, body.until_at)
            insort(state.ends, (body.until_at, body.item))
        case VelocityLimitCleared() as body:
            del state.listed[body.item]
        case ReferenceApplied(kind="velocity") as body:
            limits = _limits(body).limits
            state.counts.plan = plan_of(limits)
            state.limits = _ready(limits, state.counts.plan)
        case ReferenceApplied(kind="hotlist") as body:
            entry = _entry(body)
            if entry.standing is None:
                state.pardons[item_of(entry.dimension, entry.value)] = entry.until_at
        case _:
            pass
    return state


def _entry(body: ReferenceApplied) -> HotlistEntry:
    entry = decode_reference(body.kind, body.content)
    assert isinstance(entry, HotlistEntry)
    return entry


def _limits(body: ReferenceApplied) -> VelocityLimits:
    limits = decode_reference(body.kind, body.content)
    assert isinstance(limits, VelocityLimits)
    return limits


def _ready(limits: Iterable[VelocityLimit], plan: velocity.Plan) -> list[ReadyLimit]:
    """The limits in order. One on something that is not counted cannot be passed and is left out."""
    columns = {name: place for place, name in enumerate(velocity.columns(plan))}
    return [
        ReadyLimit(
            limit,
            columns[column],
            _place_of_declines(limit, plan),
            _BITS[limit.dimension],
            limit.hold_minutes * MINUTE,
        )
        for limit in limits
        if (column := _column(limit)) in columns
    ]


def _place_of_declines(limit: VelocityLimit, plan: velocity.Plan) -> int:
    if limit.measure is not Measure.DECLINES:
        return -1
    dimension = velocity.DIMENSIONS.index(limit.dimension)
    return dimension * len(plan.names) + plan.names.index(limit.window)


def _column(limit: VelocityLimit) -> str:
    return f"{limit.dimension}_{limit.measure}_{limit.window}"


def uncounted(limits: VelocityLimits) -> list[str]:
    """The ids of limits on what is not counted: different cards of a card, or of an e-mail address."""
    columns = velocity.columns(plan_of(limits.limits))
    return [limit.limit_id for limit in limits.limits if _column(limit) not in columns]


def summary(state: State) -> Iterator[str]:
    """Each key with its counts, and what is held until when."""
    yield from velocity.summary(state.counts)
    for item in sorted(state.listed):
        found = state.listed[item]
        yield f"listed {item} {found.standing} for {found.limit_id} until {found.until_at}"
