"""Velocity: how often, how much, how many cards and how much known fraud, under every key of a payment.

For the authorization at log position k with event time t, and a window w, a feature is the aggregate over distinct
event ids at positions up to k with the same key and ``t - w < event time <= t``. What is said of a payment later
(that it was fraud, that it was declined) is a mark on it: a mark counts from its own position on, in the windows
that the *payment* lies in. So features are a pure function of the log, the same one event at a time, in batches and
from any snapshot, and no feature has ever seen a label before its position.

- An event that comes late is put in its place and changes no answer given before; a repeated id changes nothing.
- What a payment lacks (no device, no e-mail) is no key: its features are 0, and nothing is counted under it.
- A mark repeated is one mark; one that comes before its payment waits for it; one for a payment that no window
  reaches any more has no effect.

Kept until no window reaches it: the payments by id (for repeats and marks), and each key until its last event. The
hours in which that becomes true are listed by :func:`stale_hours` and done by :func:`forget`, from a tick.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from events.calendar import DAY, HOUR, MINUTE, SECOND
from events.errors import ValidationError
from streams.features import distinct, series
from streams.features.distinct import Distinct
from streams.features.series import Reach, Series, reach_of
from streams.features.windows import LATENESS, Hour, file_under, hours_before, take_hour

DIMENSIONS: Final = ("card", "ip", "device", "email", "merchant", "card_merchant")
SHARED: Final = ("ip", "device", "merchant")
"""The dimensions under which cards are counted."""

CARD, IP, DEVICE, EMAIL, MERCHANT, CARD_MERCHANT = (1 << place for place in range(len(DIMENSIONS)))
EVERY: Final = (1 << len(DIMENSIONS)) - 1

DEFAULT_WINDOWS: Final = "10m,1h,24h,7d,30d"
HOT: Final = 8_192
"""Beyond this many events a key is hot: some 700 KB. Below it, every window is exact."""

MOST_WINDOWS: Final = 16
LONGEST: Final = 400 * DAY
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_LONGEST_NUMBER: Final = 9
_KEYS: Final = 5
_SHARED: Final = frozenset(DIMENSIONS.index(name) for name in SHARED)
_MERCHANT: Final = DIMENSIONS.index("merchant")
_NO_KEYS: Final = ("", "", "", "", "", "")


Keys = tuple[str, str, str, str, str, str]
"""The keys of a payment in the order of DIMENSIONS, "" for one that it has not."""


class Mark(IntEnum):
    """What may be said of a payment later; bits."""

    FRAUD = 1
    DECLINED = 2


class Marked(IntEnum):
    """What became of a mark."""

    COUNTED = 0
    REPEATED = 1
    WAITS = 2


class Plan(msgspec.Struct, frozen=True):
    """What is measured: ``names`` of the windows beside the widths of ``reach``.

    ``places`` are those dimensions, by their places in DIMENSIONS, that vectors have values of, ``declines`` whether
    they have those of declined payments. ``remembered`` is how long an id is known (microseconds).
    """

    names: tuple[str, ...]
    reach: Reach
    remembered: int
    places: tuple[int, ...]
    declines: bool


class Payment(msgspec.Struct, gc=False):
    """A payment that windows can still reach: event time, keys ("" for none), amount, whose keys are here, marks."""

    at: int
    keys: tuple[str, str, str, str, str]
    amount: int
    mine: int
    marks: int = 0


class Subject(Series, gc=False):
    """A key's events, and the cards seen under it: the name of the only one, until there is another."""

    cards: str | Distinct = ""


class State(msgspec.Struct):
    """What windows can reach. ``subjects`` and ``declines`` stand in the order of DIMENSIONS.

    Most keys are seen once: such a key has the id of its payment in place of a Subject, which saves 200 bytes.
    ``waiting`` has the marks whose payment is not known, filed by the hour in which they came.
    """

    plan: Plan
    subjects: list[dict[str, str | Subject]]
    declines: list[dict[str, Series]]
    frauds: dict[str, Series] = {}
    payments: dict[str, Payment] = {}
    hours: list[Hour] = []
    waiting: dict[str, int] = {}
    waiting_hours: list[Hour] = []
    newest: int = 0


class Features(NamedTuple):
    """A vector in the order of :func:`columns`, and the payment's keys in the order of DIMENSIONS.

    ``approximate`` has the bit of each dimension that is not exact.
    """

    values: list[int]
    approximate: int
    keys: Keys


def plan_of(
    windows: str = DEFAULT_WINDOWS,
    *,
    lateness: int = LATENESS,
    remembered: int = 0,
    hot: int = HOT,
    full: bool = True,
    declines: bool = True,
    mine: int = EVERY,
) -> Plan:
    """The plan for windows such as ``10m,1h,7d``; ValidationError where they cannot be.

    ``lateness`` is how far behind the newest event (microseconds) one may come and still get exact features;
    ``remembered`` how far behind it an id is known, and never less than windows reach; ``hot`` the number of events
    from which a key goes into tiles, 0 for never. ``full`` adds the card at the merchant, ``declines`` which
    payments were declined: a payment's own engine knows both, limits over all cards know declines, a foreign history
    neither. Vectors leave out the dimensions whose bits are not in ``mine``, where none of their keys is ever counted.
    """
    names = tuple(name.strip() for name in windows.split(","))
    if len(names) > MOST_WINDOWS:
        raise ValidationError("windows", f"{len(names)} are more than {MOST_WINDOWS}")
    if len(set(names)) < len(names):
        raise ValidationError("windows", f"{windows!r} names one twice")
    reach = reach_of(tuple(_width(name) for name in names), lateness, hot)
    places = tuple(place for place in range(len(DIMENSIONS) if full else _KEYS) if mine >> place & 1)
    return Plan(names, reach, max(reach.kept, remembered), places, declines)


def _width(name: str) -> int:
    number, unit = name[:-1], name[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit():
        raise ValidationError("windows", f"{name[:20]!r} is not a number and one of s, m, h, d")
    width = int(number[:_LONGEST_NUMBER]) * _UNITS[unit]
    if not 0 < width <= LONGEST or len(number) > _LONGEST_NUMBER:
        raise ValidationError("windows", f"{name[:20]!r} is not between 1s and {LONGEST // DAY}d")
    return width


def columns(plan: Plan) -> list[str]:
    """The names of a vector's values: ``card_count_10m``, ``ip_cards_1h``, ``merchant_frauds_7d``."""
    dimensions = [DIMENSIONS[place] for place in plan.places]
    measures = ("count", "sum", "declines") if plan.declines else ("count", "sum")
    groups = [f"{dimension}_{measure}" for dimension in dimensions for measure in measures]
    groups += [f"{dimension}_cards" for dimension in SHARED if dimension in dimensions]
    groups += ["merchant_frauds"] if "merchant" in dimensions else []
    return [f"{group}_{name}" for group in groups for name in plan.names]


def initial(plan: Plan) -> State:
    """Nothing has happened."""
    return State(plan, [{} for _ in DIMENSIONS], [{} for _ in DIMENSIONS])


def observe(
    state: State,
    event_id: str,
    at: int,
    card: str,
    ip: str,
    device: str,
    email: str,
    merchant: str,
    amount: int,
    mine: int = EVERY,
) -> Features | None:
    """Take an authorization and measure it; None, and nothing changes, when its id is known.

    ``at`` is its event time (microseconds UTC), ``amount`` in minor units; an empty text is a key it does not
    have. ``mine`` are the bits of the dimensions that are counted here: where keys are shared out over
    partitions, the others' features are 0.
    """
    if event_id in state.payments:
        return None
    plan = state.plan
    reach = plan.reach
    payment = Payment(at, (card, ip, device, email, merchant), amount, mine)
    state.payments[event_id] = payment
    _file(state.hours, at // HOUR, event_id)
    approximate = 0
    if at > state.newest:
        state.newest = at
    elif at < state.newest - reach.lateness:
        approximate = mine
    if state.waiting:
        _apply_waiting(state, event_id, payment)

    declines = plan.declines
    keys = _keys(payment)
    windows = len(reach.widths)
    nothing = (0,) * windows
    values: list[int] = []
    cards: list[int] = []
    for place in plan.places:
        key, shared = keys[place], place in _SHARED
        if not key or not mine >> place & 1:
            values += nothing * (3 if declines else 2)
            if shared:
                cards += nothing
            continue
        subjects = state.subjects[place]
        subject = subjects.get(key)
        if subject is None:
            subjects[key] = event_id
            values += (1,) * windows
            values += (amount,) * windows
            if shared:
                cards += (1,) * windows if card else nothing
        else:
            if isinstance(subject, str):
                subject = subjects[key] = _subject_of(state.payments[subject])
            if shared:
                _count_cards(subject, card, at, reach, cards)
            series.take_and_measure(subject, at, amount, reach, values)
            if subject.tiles is not None and series.is_tiled(subject, at, reach):
                approximate |= 1 << place
        if declines and _count_marked(state.declines[place], key, at, reach, values):
            approximate |= 1 << place
    values += cards
    if _MERCHANT in plan.places and _count_marked(state.frauds, merchant, at, reach, values):
        approximate |= MERCHANT
    return Features(values, approximate, keys)


def mark(state: State, event_id: str, said: Mark, at: int) -> Marked:
    """Take what is said of a payment at ``at``, be it here already or not; no vector given before changes.

    The time of a mark only tells how long it waits for its payment; it counts by the payment's time.
    """
    payment = state.payments.get(event_id)
    if payment is None:
        waiting = state.waiting.get(event_id, 0)
        if waiting & said:
            return Marked.REPEATED
        state.waiting[event_id] = waiting | said
        if not waiting:
            _file(state.waiting_hours, max(at, state.newest) // HOUR, event_id)
        return Marked.WAITS
    if payment.marks & said:
        return Marked.REPEATED
    _apply(state, payment, said)
    return Marked.COUNTED


def declines_of(state: State, payment: Payment) -> list[int]:
    """How many payments were declined under each key of a payment, in the windows that end with it.

    By dimension in the order of DIMENSIONS, then by window; 0 under keys that are not counted here.
    """
    reach = state.plan.reach
    values: list[int] = []
    for place, key in enumerate(_keys(payment)):
        if key and payment.mine >> place & 1:
            _count_marked(state.declines[place], key, payment.at, reach, values)
        else:
            values += (0,) * len(reach.widths)
    return values


def keys_of(state: State, event_id: str) -> Keys:
    """The keys of a payment in the order of DIMENSIONS; all of them empty where it is not known any more."""
    payment = state.payments.get(event_id)
    return _NO_KEYS if payment is None else _keys(payment)


def stale_hours(state: State, now: int) -> list[int]:
    """The hours of which nothing can be asked at ``now`` any more, earliest first."""
    end = now - state.plan.remembered
    return sorted({*hours_before(state.hours, end), *hours_before(state.waiting_hours, end)})


def forget(state: State, hour: int) -> None:
    """Drop the payments of an hour, the keys that have not been seen since, and the marks that waited in vain."""
    end = (hour + 1) * HOUR
    for event_id in take_hour(state.hours, hour):
        payment = state.payments.pop(event_id)
        for place, key in enumerate(_keys(payment)):
            subject = state.subjects[place].get(key)
            if subject == event_id or (isinstance(subject, Subject) and subject.times[-1] < end):
                del state.subjects[place][key]
            if payment.marks & Mark.DECLINED:
                _drop(state.declines[place], key, end)
        if payment.marks & Mark.FRAUD:
            _drop(state.frauds, payment.keys[_MERCHANT], end)
    for event_id in take_hour(state.waiting_hours, hour):
        state.waiting.pop(event_id, None)


def summary(state: State) -> Iterator[str]:
    """Each key with its events and their sum, and the marks that wait."""
    for dimension, subjects in zip(DIMENSIONS, state.subjects, strict=True):
        for key in sorted(subjects):
            values: list[int] = []
            found = subjects[key]
            subject = _subject_of(state.payments[found]) if isinstance(found, str) else found
            series.measure(subject, subject.times[-1], state.plan.reach, values)
            yield f"{dimension} {key} {values}"
    for event_id in sorted(state.waiting):
        yield f"mark {state.waiting[event_id]} waits for {event_id}"


# --- keys, cards, marks -------------------------------------------------------------------------------


def _keys(payment: Payment) -> Keys:
    """The keys in the order of DIMENSIONS. The unit separator stands in no name, so no two pairs look alike."""
    card, ip, device, email, merchant = payment.keys
    return card, ip, device, email, merchant, f"{card}\x1f{merchant}" if card and merchant else ""


def _subject_of(payment: Payment) -> Subject:
    """A key of which this payment is the only one."""
    return Subject([payment.at], [payment.amount], cards=payment.keys[0] or Distinct())


def _count_cards(subject: Subject, card: str, at: int, reach: Reach, values: list[int]) -> None:
    """See a card under a key, before its event is taken, and append how many there are in each window."""
    known = subject.cards
    if isinstance(known, str):
        if known == card:
            values += (1,) * len(reach.widths)
            return
        # Until now every event of the key was of this one card.
        known = subject.cards = distinct.only(known, subject.times, reach)
    if card:
        distinct.see(known, card, at, reach)
    distinct.measure(known, at, reach, values)


def _count_marked(marked: dict[str, Series], key: str, at: int, reach: Reach, values: list[int]) -> bool:
    """Append how many marked payments there are in each window; whether that is approximate."""
    found = marked.get(key)
    if found is None:
        values += (0,) * len(reach.widths)
        return False
    series.count(found, at, reach, values)
    return series.is_tiled(found, at, reach)


def _apply_waiting(state: State, event_id: str, payment: Payment) -> None:
    waiting = state.waiting.pop(event_id, 0)
    for said in Mark:
        if waiting & said:
            _apply(state, payment, said)


def _apply(state: State, payment: Payment, said: Mark) -> None:
    payment.marks |= said
    reach = state.plan.reach
    for place, key in enumerate(_keys(payment)):
        if not key or not payment.mine >> place & 1:
            continue
        if said == Mark.DECLINED:
            _add(state.declines[place], key, payment.at, reach)
        elif place == _MERCHANT:
            _add(state.frauds, key, payment.at, reach)


def _add(marked: dict[str, Series], key: str, at: int, reach: Reach) -> None:
    found = marked.get(key)
    if found is None:
        marked[key] = Series([at], [1])
    else:
        series.take(found, at, 1, reach)


def _drop(marked: dict[str, Series], key: str, end: int) -> None:
    found = marked.get(key)
    if found is not None and found.times[-1] < end:
        del marked[key]


def _file(hours: list[Hour], hour: int, name: str) -> None:
    if hours and hours[-1].hour == hour:
        hours[-1].subjects.append(name)
    else:
        file_under(hours, hour, name)
