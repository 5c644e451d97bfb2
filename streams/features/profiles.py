"""What a model sees of a payment: how it compares with its card's past, and what is known of its merchant.

    feature(k) at log position k is a function of the payment itself, of the card's payments at positions before k,
    and of the labels at positions before k

A label says of an earlier payment whether it was fraud. It counts from its own position on, never before: with
labels of hindsight a model looks far better than it will be (average precision .95 where it serves .75).

A card's usual amount is the mean of all its payments so far, in which an amount weighs at most 3 times that mean
once there are five: otherwise whoever has stolen the card would teach us that large amounts are usual. Above 3
times the mean a payment is an outlier. What is spent with a card in two currencies is two cards here: callers put the
currency into the card's name.

A merchant's *ordinary* frauds are those that were no outliers for their cards: an outlier says that the card was
stolen, an ordinary amount that something is wrong at the merchant. A *run* are the frauds among the payments behind
the last payment that is known to be genuine. Runs go by the time of payments, so the order in which labels arrive
does not matter; counts go by the hour in which a label arrived, in 28 days of tiles, so a merchant's state is bounded.
"""

from bisect import bisect_left, bisect_right, insort
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from events.calendar import DAY, HOUR, SECOND
from streams.features.days import Day, before, forget, refile

PROFILE_SET: Final = 2
"""Names the order and the meaning of :data:`PROFILE`. Another meaning is another set."""

UNIT: Final = 256
"""Ratios are whole numbers of 1/256."""
OUTLIER: Final = 3 * UNIT
"""From 2.75 to 3.5 times the mean it makes little difference; at 2.25 average precision falls by .002."""
ENOUGH: Final = 5
"""Payments after which a card has a usual amount."""
NEVER: Final = 400 * DAY // SECOND
"""What has never happened is this many seconds ago; so is what happened longer ago."""

SHORT, LONG, KNOWN_HOURS = 7 * DAY, 14 * DAY, 28 * 24
MOST_OUTLIERS: Final = 64
"""Outliers of a card that are kept; a count of them goes no further."""
MOST_LATEST: Final = 64
"""The latest payments of each kind of label that are kept at a merchant. Only labels that are taken back read further
than the last of them, so the figures are exact until 64 later ones were taken back."""
LONGEST_RUN: Final = 256
"""Frauds of a run that are kept: the first and the latest. Its length goes no further, its age stays exact."""
KEPT: Final = 180 * DAY
"""A card that has rested for so long begins anew, whether or not it was forgotten meanwhile."""


class Signal(NamedTuple):
    """One entry of the vector. ``words`` say it of a payment; ``{}`` stands for the value in its unit."""

    name: str
    unit: str
    words: str


PROFILE: Final = (
    Signal("amount", "minor units", "the amount is {}"),
    Signal("amount_ratio", "1/256", "the amount is {} times what the card usually pays"),
    Signal("card_outliers_7d", "payments", "unusually high amounts on the card in 7 days: {}"),
    Signal("card_outliers_14d", "payments", "unusually high amounts on the card in 14 days: {}"),
    Signal("merchant_since_genuine", "seconds", "last payment here known to be genuine: {}"),
    Signal("merchant_since_fraud", "seconds", "last payment here known to be fraud: {}"),
    Signal("merchant_frauds_28d", "labels", "frauds here that became known in 28 days: {}"),
    Signal("merchant_labels_28d", "labels", "payments here that were labelled in 28 days: {}"),
    Signal("merchant_run", "labels", "frauds of ordinary amounts here since the last genuine payment: {}"),
    Signal("merchant_run_age", "seconds", "the first of these frauds: {}"),
    Signal("merchant_since_ordinary", "seconds", "last fraud of an ordinary amount here: {}"),
    Signal("merchant_ordinary_28d", "labels", "such frauds that became known in 28 days: {}"),
)
NAMES: Final = tuple(signal.name for signal in PROFILE)
RATIO: Final = NAMES.index("amount_ratio")

PROFILE_SHA256: Final = sha256(
    "\n".join(
        [
            f"set {PROFILE_SET}: {UNIT} {OUTLIER} {ENOUGH} {NEVER} {SHORT} {LONG} {KNOWN_HOURS}",
            f"at most {MOST_OUTLIERS} {LONGEST_RUN} {KEPT}",
            *(f"{signal.name} ({signal.unit})" for signal in PROFILE),
        ]
    ).encode()
).hexdigest()
"""What a model file must name to be used on these features: their order, names, units, and every number in them."""


class CardProfile(msgspec.Struct, gc=False):
    """A card's payments: how many, the sum of their capped amounts, when the outliers of 14 days were, the newest.

    Most cards never have an outlier: None saves them an empty list.
    """

    payments: int = 0
    total: int = 0
    outliers: list[int] | None = None
    newest: int = 0


class MerchantProfile(msgspec.Struct):
    """What is known of a merchant's payments.

    The first three have the times of the latest payments that are known to be genuine, fraud, and fraud of an ordinary
    amount; ``run`` are the times of the ordinary frauds behind the last genuine one. Tiles count the labels that
    arrived in an hour.
    """

    genuine_times: list[int] = []
    fraud_times: list[int] = []
    ordinary_times: list[int] = []
    run: list[int] = []
    hours: list[int] = []
    tiles: list[tuple[int, int, int]] = []
    labels: int = 0
    frauds: int = 0
    ordinary: int = 0


class Profiles(msgspec.Struct):
    """The profiles by card and by merchant, each bounded; cards by the day they were filed under.

    A card is kept until KEPT after its newest payment, a merchant for good.
    """

    cards: dict[str, CardProfile] = {}
    merchants: dict[str, MerchantProfile] = {}
    days: list[Day] = []


def observe(profiles: Profiles, card: str, merchant: str, at: int, amount: int) -> list[int]:
    """The vector of a payment at event time ``at`` (microseconds UTC), which is then part of its card's past."""
    known = profiles.cards.get(card)
    if known is None or at - known.newest >= KEPT:
        known = profiles.cards[card] = CardProfile()
    if at > known.newest:
        if at // DAY != known.newest // DAY:
            refile(profiles.days, None, at, card)
        known.newest = at
    total, payments = known.total, known.payments
    ratio = amount * UNIT * payments // total if payments >= ENOUGH and total > 0 else 0
    outliers = known.outliers
    if outliers:
        if outliers[0] <= at - LONG:
            del outliers[: bisect_right(outliers, at - LONG)]
        vector = [amount, ratio, len(outliers) - bisect_right(outliers, at - SHORT), len(outliers)]
    else:
        vector = [amount, ratio, 0, 0]
    if ratio > OUTLIER:
        if outliers is None:
            outliers = known.outliers = []
        insort(outliers, at)
        if len(outliers) > MOST_OUTLIERS:
            del outliers[0]
        amount = total * OUTLIER // (UNIT * payments)
    known.payments = payments + 1
    known.total = total + amount
    place = profiles.merchants.get(merchant)
    if place is None:
        vector += _NOTHING_KNOWN
    else:
        if place.hours and place.hours[0] <= at // HOUR - KNOWN_HOURS:
            _expire(place, at // HOUR)
        run = place.run
        vector += (
            _seconds(at, place.genuine_times),
            _seconds(at, place.fraud_times),
            place.frauds,
            place.labels,
            len(run),
            _seconds(at, run[:1]),
            _seconds(at, place.ordinary_times),
            place.ordinary,
        )
    return vector


_NOTHING_KNOWN: Final = (NEVER, NEVER, 0, 0, 0, NEVER, NEVER, 0)


def is_ordinary(vector: list[int]) -> bool:
    """Whether the payment of a vector was no outlier for its card; so a label needs nothing but the vector."""
    return vector[RATIO] <= OUTLIER


def learn(
    profiles: Profiles,
    merchant: str,
    paid_at: int,
    now: int,
    *,
    fraud: bool,
    ordinary: bool,
    replaced_at: int = 0,
) -> None:
    """Take the label of a payment made at ``paid_at``; ``now`` is the time of the label's own position.

    ``replaced_at`` is when the opposite was learned of it, which is taken back; 0 where nothing was.
    """
    place = profiles.merchants.get(merchant)
    if place is None:
        place = profiles.merchants[merchant] = MerchantProfile()
    if replaced_at:
        _take_back(place, paid_at, replaced_at // HOUR, fraud=not fraud, ordinary=ordinary)
    counted = ordinary and fraud
    _count(place, now // HOUR, fraud, counted)
    if not fraud:
        latest = not place.genuine_times or paid_at > place.genuine_times[-1]
        _keep(place.genuine_times, paid_at)
        if latest and place.run:
            del place.run[: bisect_right(place.run, paid_at)]
        return
    _keep(place.fraud_times, paid_at)
    if not counted:
        return
    _keep(place.ordinary_times, paid_at)
    if not place.genuine_times or paid_at > place.genuine_times[-1]:
        insort(place.run, paid_at)
        if len(place.run) > LONGEST_RUN:
            del place.run[1]


def stale_days(profiles: Profiles, now: int) -> list[int]:
    """The days of which no card can be asked for at ``now``, oldest first; a day more, for payments that come late."""
    return list(before(profiles.days, (now - KEPT) // DAY - 1))


def forget_day(profiles: Profiles, day_on: int) -> None:
    """Drop the cards of the oldest day that have not paid since."""
    for card in forget(profiles.days, day_on):
        known = profiles.cards.get(card)
        if known is not None and known.newest // DAY <= day_on:
            del profiles.cards[card]


def _seconds(at: int, times: list[int]) -> int:
    """How long ago the last of these times was."""
    if not times:
        return NEVER
    ago = (at - times[-1]) // SECOND
    return 0 if ago < 0 else ago if ago < NEVER else NEVER


def _keep(times: list[int], at: int) -> None:
    if not times or at >= times[-1]:
        times.append(at)
    else:
        insort(times, at)
    if len(times) > MOST_LATEST:
        del times[0]


def _drop(times: list[int], at: int) -> None:
    index = bisect_left(times, at)
    if index < len(times) and times[index] == at:
        del times[index]


def _take_back(place: MerchantProfile, paid_at: int, hour: int, *, fraud: bool, ordinary: bool) -> None:
    """Undo a label that was learned in an hour, as far as anything still counts it."""
    index = bisect_left(place.hours, hour)
    counted = fraud and ordinary
    if index < len(place.hours) and place.hours[index] == hour:
        labels, frauds, usual = place.tiles[index]
        place.tiles[index] = (labels - 1, frauds - fraud, usual - counted)
        place.labels -= 1
        place.frauds -= fraud
        place.ordinary -= counted
    if not fraud:
        _drop(place.genuine_times, paid_at)
        # Frauds that this payment stood in front of are a run again.
        since = place.genuine_times[-1] if place.genuine_times else None
        place.run = [at for at in place.ordinary_times if since is None or at > since]
        return
    _drop(place.fraud_times, paid_at)
    if counted:
        _drop(place.ordinary_times, paid_at)
        _drop(place.run, paid_at)


def _count(place: MerchantProfile, hour: int, fraud: bool, ordinary: bool) -> None:
    hours, tiles = place.hours, place.tiles
    index = len(hours) - 1
    if not hours or hours[-1] < hour:
        hours.append(hour)
        tiles.append((1, int(fraud), int(ordinary)))
    else:
        if hours[-1] > hour:  # What was known in one partition before is heard of from another one later.
            index = bisect_left(hours, hour)
            if hours[index] != hour:
                hours.insert(index, hour)
                tiles.insert(index, (0, 0, 0))
        labels, frauds, usual = tiles[index]
        tiles[index] = (labels + 1, frauds + fraud, usual + ordinary)
    place.labels += 1
    place.frauds += fraud
    place.ordinary += ordinary
    _expire(place, hours[-1])


def _expire(place: MerchantProfile, hour: int) -> None:
    """Forget the tiles that lie 28 days behind an hour."""
    hours = place.hours
    while hours and hours[0] <= hour - KNOWN_HOURS:
        del hours[0]
        labels, frauds, usual = place.tiles.pop(0)
        place.labels -= labels
        place.frauds -= frauds
        place.ordinary -= usual
