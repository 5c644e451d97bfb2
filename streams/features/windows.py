"""Exact sliding windows: what happened under one key in ``(at - width, at]``, in whole numbers.

    feature(k) at log position k with event time t and width w is the aggregate over distinct event ids at
    positions up to k, with the same key and t - w < event time <= t

So a late event is inserted where it belongs, a repeated one changes nothing, and nothing is decided again.
Rejected, with what they did to 60,000 authorizations of which 3 % came late: windows that only append (12 %
of the values wrong), no look at ids (77 % wrong), calendar windows (no limit "5 in 10 minutes" can be said).

Counts and sums are two binary searches: each window keeps running totals beside its sorted times. A late
event costs the running totals behind it, and late means close to the end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

import msgspec

from events.calendar import DAY, HOUR, MINUTE

LONGEST: Final = DAY
"""The widest window that may be asked for."""

LATENESS: Final = HOUR
"""How far behind the newest event of its history an event may come and still find all of its windows."""

KEPT: Final = LONGEST + LATENESS

TOLERANCE: Final = 4 * MINUTE
"""How far from the transport's stamp a producer's time is believed. Less than half of the shortest window
(ten minutes): no choice of times puts payments that arrive together further apart than one window is wide."""

_PRUNE_FROM: Final = 16
"""Histories shorter than this are not worth tidying; longer ones are tidied when half of them is stale."""


class Window(msgspec.Struct):
    """The values under one dimension of a history, by event time; ``totals[i]`` adds up events 0 to i."""

    times: list[int] = []
    totals: list[int] = []


class History(msgspec.Struct):
    """What is known of one subject: event times, the ids behind them, and a window for each dimension."""

    times: list[int] = []
    seen: dict[str, int] = {}
    windows: dict[str, Window] = {}


def event_time(occurred_at: int, ingested_at: int) -> int:
    """The producer's time, held within :data:`TOLERANCE` of the transport's stamp (microseconds UTC)."""
    if occurred_at > ingested_at + TOLERANCE:
        return ingested_at + TOLERANCE
    if occurred_at < ingested_at - TOLERANCE:
        return ingested_at - TOLERANCE
    return occurred_at


def add(history: History, event_id: str, at: int, values: Iterable[tuple[str, int]]) -> bool:
    """Take an event with its values by dimension; False, and nothing changes, when its id is known."""
    if event_id in history.seen:
        return False
    history.seen[event_id] = at
    times = history.times
    if not times or at >= times[-1]:
        times.append(at)
    else:
        times.insert(bisect_right(times, at), at)
    windows = history.windows
    for dimension, value in values:
        window = windows.get(dimension)
        if window is None:
            windows[dimension] = Window([at], [value])
        else:
            insert(window, at, value)
    if len(times) > _PRUNE_FROM and times[len(times) // 2] <= times[-1] - KEPT:
        _prune(history, times[-1] - KEPT)
    return True


def count(history: History, at: int, width: int) -> int:
    """How many events of the history lie in ``(at - width, at]``."""
    times = history.times
    return bisect_right(times, at) - bisect_right(times, at - width)


def count_in(history: History, dimension: str, at: int, width: int) -> int:
    """How many events of one dimension lie in ``(at - width, at]``."""
    window = history.windows.get(dimension)
    if window is None:
        return 0
    return bisect_right(window.times, at) - bisect_right(window.times, at - width)


def total_in(history: History, dimension: str, at: int, width: int) -> int:
    """The sum of one dimension over ``(at - width, at]``."""
    window = history.windows.get(dimension)
    if window is None:
        return 0
    end = bisect_right(window.times, at)
    start = bisect_right(window.times, at - width)
    if start == end:
        return 0
    return window.totals[end - 1] - (window.totals[start - 1] if start else 0)


def insert(window: Window, at: int, value: int) -> None:
    """Put a value where its time belongs, and carry it through the totals behind."""
    times, totals = window.times, window.totals
    if at >= times[-1]:
        times.append(at)
        totals.append(totals[-1] + value)
        return
    index = bisect_right(times, at)
    times.insert(index, at)
    totals.insert(index, totals[index - 1] if index else 0)
    totals[index:] = [total + value for total in totals[index:]]


def _prune(history: History, stale_at: int) -> None:
    """Forget what lies at or before ``stale_at``. Totals start again from 0, so they stay small."""
    del history.times[: bisect_right(history.times, stale_at)]
    history.seen = {event_id: at for event_id, at in history.seen.items() if at > stale_at}
    kept: dict[str, Window] = {}
    for dimension, window in history.windows.items():
        start = bisect_right(window.times, stale_at)
        if start == len(window.times):
            continue
        base = window.totals[start - 1] if start else 0
        kept[dimension] = Window(window.times[start:], [total - base for total in window.totals[start:]])
    history.windows = kept


# --- forgetting whole histories ------------------------------------------------------------------------


class Hour(msgspec.Struct):
    """The subjects whose newest event lay in this hour (since 1970) when they were filed."""

    hour: int
    subjects: list[str]


class Histories(msgspec.Struct):
    """Histories by subject, and an index by the hour of their newest event: forgetting looks at nothing else.

    A subject is filed again when its newest event falls into a later hour; the earlier entry is then void.
    """

    by_subject: dict[str, History] = {}
    hours: list[Hour] = []


def remember(
    histories: Histories, subject: str, event_id: str, at: int, values: Iterable[tuple[str, int]]
) -> History:
    """Take an event of a subject, once; its history."""
    history = histories.by_subject.get(subject)
    if history is None:
        history = histories.by_subject[subject] = History()
        before = None
    else:
        before = history.times[-1] // HOUR
    add(history, event_id, at, values)
    newest = history.times[-1] // HOUR
    if newest != before:
        file_under(histories.hours, newest, subject)
    return history


def stale_hours(histories: Histories, now: int) -> list[int]:
    """The hours whose subjects no window can reach any more."""
    return hours_before(histories.hours, now - KEPT)


def forget(histories: Histories, hour: int) -> None:
    """Drop the subjects of an hour that have not been seen since, and the hour."""
    hours = histories.hours
    for subject in take_hour(hours, hour):
        history = histories.by_subject.get(subject)
        if history is not None and history.times[-1] // HOUR == hour:
            del histories.by_subject[subject]


def hours_before(hours: list[Hour], at: int) -> list[int]:
    """The hours that have ended at ``at``, earliest first."""
    ended = []
    for entry in hours:
        if (entry.hour + 1) * HOUR > at:
            break
        ended.append(entry.hour)
    return ended


def take_hour(hours: list[Hour], hour: int) -> list[str]:
    """The subjects filed under an hour, which is gone then; nothing where there is no such hour."""
    index = bisect_left(hours, hour, key=_hour_of)
    if index == len(hours) or hours[index].hour != hour:
        return []
    return hours.pop(index).subjects


def file_under(hours: list[Hour], hour: int, subject: str) -> None:
    """Put a subject where its hour is."""
    if not hours or hours[-1].hour < hour:
        hours.append(Hour(hour, [subject]))
        return
    index = bisect_left(hours, hour, key=_hour_of)
    if hours[index].hour == hour:
        hours[index].subjects.append(subject)
    else:
        hours.insert(index, Hour(hour, [subject]))


def _hour_of(entry: Hour) -> int:
    return entry.hour
