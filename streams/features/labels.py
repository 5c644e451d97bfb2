"""Labels: under every key of a payment, how many others are known to be fraud; and which labels were counted.

    feature(k) at log position k with event time t, for a window w, is the number of payments with the same key whose
    last label at a position before k is fraud, and whose own event time lies in (t - w, t]

A payment is fraud while the last word of the issuer, of the merchant or of our own analysts says so (:data:`VOICES`):
none of them takes back what another has said. It is genuine when nobody calls it fraud and somebody has said so.

So a label counts from its own position on, never before, and in the windows that its *payment* lies in. One that is
said twice counts once, and one that is taken back counts no more from there on. What was decided before stays as it is.

A payment needs to be known only where its card is at home: the label that goes to the other partitions names its keys.
What is counted is exact, and kept until no window reaches it. Which label a payment had last is remembered for
:data:`REMEMBERED_DAYS` days after it was said, which is longer than a dispute takes to be decided.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

import msgspec

from events.calendar import HOUR
from events.disputes import Label, LabelSource
from events.labels import LabelApplied, LabelSignalled, PaymentLabelled
from streams.features.days import Day, before, forget, put_aside
from streams.features.rules.catalogue import WINDOWS
from streams.features.velocity import CARD, CARD_MERCHANT, DIMENSIONS, EVERY, Keys
from streams.features.windows import LATENESS, Hour, file_under, hours_before, take_hour

OWN: Final = CARD | CARD_MERCHANT
"""What only payments with the same card share: a label counts there at once."""
SHARED: Final = EVERY & ~OWN
"""What payments with other cards may share: a label counts there from a tick on, everywhere."""

KEPT: Final = max(WINDOWS.values()) + LATENESS
"""How long after its payment a label can be asked for."""
OUTLIER_DAYS: Final = 182
"""How many days an unusual amount is remembered: a little longer than its payment can be disputed."""
REMEMBERED_DAYS: Final = 400

VOICES: Final = {
    LabelSource.EARLY_WARNING: 1,
    LabelSource.DISPUTE: 1,
    LabelSource.REFUND: 2,
    LabelSource.ANALYST: 4,
}
"""Whose word a source is, as bits: a report and a dispute are the issuer's."""

COLUMNS: Final = tuple(f"{dimension}.frauds_{window}" for dimension in DIMENSIONS for window in WINDOWS)
"""The names of the values of :func:`measure`, as rules call them."""

_WINDOWS: Final = len(WINDOWS)
_WIDEST_FIRST: Final = sorted(enumerate(WINDOWS.values()), key=itemgetter(1), reverse=True)


class Counts(msgspec.Struct):
    """The event times of payments known to be fraud, sorted, by dimension and key; keys by the hours of the times."""

    frauds: list[dict[str, list[int]]]
    hours: list[Hour] = []


class Known(msgspec.Struct, frozen=True, gc=False):
    """The label that was counted last of a payment: the ``number``-th, since ``known_at`` (logical time)."""

    label: Label
    number: int
    known_at: int


class Book(msgspec.Struct):
    """What labels were counted, by payment, and which payments were unusual for their cards; both by their days.

    ``accused`` has the voices that call a payment fraud.
    """

    known: dict[str, Known] = {}
    accused: dict[str, int] = {}
    days: list[Day] = []
    outliers: dict[str, bool] = {}
    outlier_days: list[Day] = []


# --- counting -------------------------------------------------------------------------------------------


def initial() -> Counts:
    """No payment is known to be fraud."""
    return Counts([{} for _ in DIMENSIONS])


def count(counts: Counts, dimensions: int, keys: Keys, at: int, now: int) -> None:
    """Count a payment made at ``at`` as fraud, under these of its dimensions; nothing that no window reaches."""
    if at <= now - KEPT:
        return
    for place, key in enumerate(keys):
        if key and dimensions >> place & 1:
            insort(counts.frauds[place].setdefault(key, []), at)
            file_under(counts.hours, at // HOUR, f"{place}{key}")


def take_back(counts: Counts, dimensions: int, keys: Keys, at: int) -> None:
    """Count it no more."""
    for place, key in enumerate(keys):
        times = counts.frauds[place].get(key) if dimensions >> place & 1 else None
        if times is None:
            continue
        index = bisect_left(times, at)
        if index < len(times) and times[index] == at:
            del times[index]
            if not times:
                del counts.frauds[place][key]


def measure(counts: Counts, keys: Keys, at: int) -> list[int]:
    """The values of :data:`COLUMNS` for a payment at event time ``at``."""
    values = [0] * len(COLUMNS)
    for place, times in enumerate(map(dict.get, counts.frauds, keys)):
        if times is not None:
            end = bisect_right(times, at)
            # A label comes days after its payment: nearly always the narrower windows are empty.
            for window, width in _WIDEST_FIRST:
                counted = end - bisect_right(times, at - width, 0, end)
                if not counted:
                    break
                values[place * _WINDOWS + window] = counted
    return values


def stale_hours(counts: Counts, now: int) -> list[int]:
    """The hours that no window reaches any more, earliest first."""
    return hours_before(counts.hours, now - KEPT)


def forget_hour(counts: Counts, hour: int) -> None:
    """Drop what was paid up to the end of an hour."""
    end = (hour + 1) * HOUR
    for name in take_hour(counts.hours, hour):
        place, key = int(name[0]), name[1:]
        times = counts.frauds[place].get(key)
        if times is not None:
            del times[: bisect_left(times, end)]
            if not times:
                del counts.frauds[place][key]


# --- which label counts ---------------------------------------------------------------------------------


def hear(book: Book, payment_id: str, source: LabelSource, said: Label) -> None:
    """Take somebody's word; his last one counts."""
    accused = book.accused.get(payment_id, 0)
    voice = VOICES[source]
    accused = accused | voice if said is Label.FRAUD else accused & ~voice
    if accused:
        book.accused[payment_id] = accused
    else:
        book.accused.pop(payment_id, None)


def following(book: Book, payment_id: str) -> tuple[Label, int, int] | None:
    """A payment's next label by what was heard, its number, since when the opposite was known (0: never).

    None for no news.
    """
    label = Label.FRAUD if payment_id in book.accused else Label.GENUINE
    known = book.known.get(payment_id)
    if known is None:
        return label, 1, 0
    return None if known.label is label else (label, known.number + 1, known.known_at)


def note(book: Book, body: PaymentLabelled, known_at: int, day_on: int) -> None:
    """Remember a label that is counted from now on."""
    book.known[body.payment_id] = Known(body.label, body.number, known_at)
    put_aside(book.days, day_on, body.payment_id)


def note_outlier(book: Book, payment_id: str, day_on: int) -> None:
    """Remember that a payment was unusual for its card: its label speaks of the card, and not of the merchant."""
    book.outliers[payment_id] = True
    put_aside(book.outlier_days, day_on, payment_id)


def stale_days(book: Book, today: int) -> Iterator[tuple[str, int]]:
    """The days of which nothing is remembered any more, by what was put aside on them."""
    yield from (("labels", day_on) for day_on in before(book.days, today - REMEMBERED_DAYS))
    yield from (("outliers", day_on) for day_on in before(book.outlier_days, today - OUTLIER_DAYS))


def forget_day(book: Book, kind: str, day_on: int) -> None:
    """Forget a day that :func:`stale_days` has named. A payment labelled again since is kept with its last label."""
    if kind == "outliers":
        for payment_id in forget(book.outlier_days, day_on):
            book.outliers.pop(payment_id, None)
        return
    later = {name for day in book.days[1:] for name in day.names}
    for payment_id in forget(book.days, day_on):
        if payment_id not in later:
            book.known.pop(payment_id, None)
            book.accused.pop(payment_id, None)


def own_keys(body: PaymentLabelled) -> Keys:
    """What a labelled payment shares with payments of its own card."""
    return body.card_id, "", "", "", "", f"{body.card_id}\x1f{body.merchant}"


def shared_keys(body: LabelSignalled | LabelApplied) -> Keys:
    """What it may share with payments of other cards."""
    return "", body.ip_ref, body.device_ref, body.email_ref, body.merchant, ""


def summary(counts: Counts, book: Book) -> Iterator[str]:
    """What is known to be fraud under each card, and each payment's last label. The rest is the same everywhere."""
    for place, dimension in enumerate(DIMENSIONS):
        if OWN >> place & 1:
            for key, times in sorted(counts.frauds[place].items()):
                yield f"frauds {dimension} {key} {times}"
    for payment_id in sorted(book.known):
        known = book.known[payment_id]
        yield f"label {payment_id} {known.number} {known.label}"
