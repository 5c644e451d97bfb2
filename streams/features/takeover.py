"""What changes about whoever pays with a card: who takes an account over brings a device, an address, a telephone.

    change(k)       for each kind of familiar's KINDS, at event time t: the payment has one of this kind, it is new for
                    the card, and the card had another one of this kind at an event time behind t - KEPT, at a
                    position before k
    changes(k)      the changes of the payment
    changes_24h(k)  the changes of the card's payments at positions up to k with event times in (t - 24 h, t]

What is new for the card is :mod:`streams.features.familiar`'s to say. So a card's first device is no change, whatever
else is known of the card. At a till the device is the merchant's own, and is none.

At most MOST_CHANGES of a card are kept, the latest; a count goes no further. A card is kept until KEPT after the newest
event time at which it had anything, and forgotten by the day.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from events.calendar import DAY
from streams.features.days import Day, before, forget, refile
from streams.features.familiar import KEPT, KINDS

MOST_CHANGES: Final = 32
WIDTH: Final = DAY

NEVER: Final = -KEPT
"""When a card had something that it never had. Event times are not negative."""


class Account(msgspec.Struct, gc=False):
    """When a card last had something of each kind, the newest of these, and when something changed: event times.

    On most cards nothing ever changes: None saves them an empty list.
    """

    had: list[int]
    newest: int = NEVER
    changes: list[int] | None = None


class Accounts(msgspec.Struct):
    """What is known of each card, and the cards by the day they were filed under."""

    cards: dict[str, Account] = {}
    days: list[Day] = []


def observe(accounts: Accounts, card: str, at: int, new: Sequence[bool | None]) -> tuple[int, int]:
    """The changes of a payment, and those of 24 hours with it.

    ``new`` says of each kind whether the card has it for the first time; None where the payment has nothing of it.
    """
    known = accounts.cards.get(card)
    if known is None:
        if all(is_new is None for is_new in new):
            return 0, 0
        known = accounts.cards[card] = Account([NEVER] * len(KINDS))
    had, changes, changed = known.had, known.changes, 0
    for kind, is_new in enumerate(new):
        if is_new is None:
            continue
        if is_new and at - had[kind] < KEPT:
            changed += 1
            if changes is None:
                changes = known.changes = []
            insort(changes, at)
        if at > had[kind]:
            had[kind] = at
            if at > known.newest:
                refile(accounts.days, known.newest, at, card)
                known.newest = at
    if not changes:
        return 0, 0
    del changes[:-MOST_CHANGES]
    return changed, bisect_right(changes, at) - bisect_right(changes, at - WIDTH)


def stale_days(accounts: Accounts, now: int) -> Iterator[int]:
    """The days of whose cards nothing is a change any more at ``now``; a day more, for payments that come late."""
    return before(accounts.days, (now - KEPT) // DAY - 1)


def forget_day(accounts: Accounts, day_on: int) -> None:
    """Drop the cards of the oldest day that have had nothing since."""
    for card in forget(accounts.days, day_on):
        known = accounts.cards.get(card)
        if known is not None and known.newest // DAY <= day_on:
            del accounts.cards[card]
