"""Hotlist: which keys are blocked or looked at, in every partition of the payments log from the same tick on.

What a limit wants comes by ``risk.hotlist`` and takes effect at the tick that ends its interval; what an operator
wants is reference data and takes effect at the tick that names it. Either becomes :class:`HotlistApplied` here, which
is what verdicts go by. A key comes off at the first tick at or after the end of its hold, or when an operator takes
it off: then no limit puts it back before the time that the operator gave.
"""

from bisect import insort
from collections.abc import Iterator
from typing import Final

import msgspec

from events.base import Event
from events.envelope import Recorded
from events.hotlist import (
    HotlistAnnounced,
    HotlistApplied,
    HotlistReleased,
    ListedBy,
    ReleaseCause,
)
from events.partitions import ReferenceApplied
from events.reference import HotlistEntry, decode_reference
from streams.features import hotlists
from streams.features.hotlists import Hotlist, item_of
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "hotlist"
HEARS: Final[tuple[type[Event], ...]] = (HotlistAnnounced, HotlistApplied, HotlistReleased, ReferenceApplied)
DECIDES: Final[tuple[type[Event], ...]] = (ReferenceApplied,)

APPLY: Final = "apply"
EXPIRE: Final = "expire"


class Announced(msgspec.Struct, frozen=True, gc=False):
    """What a limit wants, and the event that said so."""

    body: HotlistAnnounced
    event_id: str
    occurred_at: int


class State(msgspec.Struct):
    """What is in force, what the next tick puts in force, and the ends of what is, in order.

    ``pardons`` has until when no limit may list a key.
    """

    hotlist: Hotlist = msgspec.field(default_factory=Hotlist)
    waiting: dict[str, Announced] = {}
    ends: list[tuple[int, str, ListedBy]] = []
    pardons: dict[str, int] = {}


def initial() -> State:
    """Nobody is listed."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What an operator wants is in force with the reference data that says it."""
    body = recorded.body
    assert isinstance(body, ReferenceApplied)
    if body.kind != "hotlist":
        return []
    entry = _entry(body)
    item = item_of(entry.dimension, entry.value)
    if entry.standing is not None:
        return [
            HotlistApplied(
                item, entry.standing, ListedBy.OPERATOR, entry.reason, entry.author, entry.until_at
            )
        ]
    return [
        HotlistReleased(item, listed_by, ReleaseCause.OPERATOR, entry.reason, entry.author)
        for listed_by in sorted(state.hotlist.items.get(item, {}))
    ]


def due(state: State, now: int) -> list[Work]:
    """What was announced since the last tick, and what is over."""
    works = [
        Work(NOTICES, APPLY, key, announced.event_id, announced.occurred_at)
        for key, announced in state.waiting.items()
    ]
    for until_at, item, listed_by in state.ends:
        if until_at > now:
            break
        works.append(Work(DEADLINES, EXPIRE, f"{listed_by} {until_at:020d} {item}"))
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Put one key on the hotlist, or let one go."""
    if work.kind == APPLY:
        body = state.waiting.pop(work.key).body
        if state.pardons.get(body.item, 0) > now or body.until_at <= now:
            return []
        return [
            HotlistApplied(body.item, body.standing, ListedBy.LIMIT, body.limit_id, "", body.until_at),
        ]
    by, until, item = work.key.split(" ", 2)
    listed_by = ListedBy(by)
    state.ends.remove((int(until), item, listed_by))
    entry = state.hotlist.items.get(item, {}).get(listed_by)
    # It may have been prolonged since, or taken off.
    if entry is None or not 0 < entry.until_at <= now:
        return []
    return [HotlistReleased(item, listed_by, ReleaseCause.EXPIRED, entry.reason, "")]


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Follow what is in force."""
    match recorded.body:
        case HotlistAnnounced() as body:
            meta = recorded.meta
            state.waiting[f"{body.item} {body.until_at:020d}"] = Announced(
                body, meta.event_id, meta.occurred_at
            )
        case HotlistApplied() as body:
            hotlists.put(state.hotlist, body)
            if body.until_at > 0:
                insort(state.ends, (body.until_at, body.item, body.listed_by))
        case HotlistReleased() as body:
            hotlists.remove(state.hotlist, body)
        case ReferenceApplied(kind="hotlist") as body:
            entry = _entry(body)
            if entry.standing is None:
                state.pardons = {
                    item: until for item, until in state.pardons.items() if until > recorded.meta.recorded_at
                }
                state.pardons[item_of(entry.dimension, entry.value)] = entry.until_at
        case _:
            pass
    return state


def _entry(body: ReferenceApplied) -> HotlistEntry:
    entry = decode_reference(body.kind, body.content)
    assert isinstance(entry, HotlistEntry)
    return entry


def summary(state: State) -> Iterator[str]:
    """Nothing: every partition has the same list, and what limits hold is told by the log ``velocity``."""
    yield from ()
