"""The hotlist as those who decide by it keep it: keys, what being listed means, and who listed them.

A key is a dimension and a value, ``device:dev-07``. A limit and an operator may both list it; the stricter one counts,
and each comes off for itself.
"""

from typing import Final

import msgspec

from events.hotlist import Dimension, HotlistApplied, HotlistReleased, ListedBy, Standing
from events.lifecycle import PaymentRequested
from events.requests import Channel

_SEVERITY: Final = {standing: place for place, standing in enumerate(Standing)}


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Why a key is listed, and until when (microseconds UTC; 0 for without end)."""

    standing: Standing
    reason: str
    until_at: int


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A key of a payment that is listed; ``rule`` names its dimension and the limit, or the operator."""

    rule: str
    standing: Standing


#: Going through the enumeration itself takes ten times as long.
_DIMENSIONS: Final = tuple(Dimension)


class Hotlist(msgspec.Struct):
    """Listed keys, each with what listed it."""

    items: dict[str, dict[ListedBy, Entry]] = {}


def item_of(dimension: Dimension, value: str) -> str:
    """The key of a value."""
    return f"{dimension}:{value}"


def keys_of(payment: PaymentRequested) -> list[tuple[Dimension, str]]:
    """The keys that a payment has. The device of a till is the merchant's, and everybody there pays with it."""
    device = "" if payment.channel is Channel.POINT_OF_SALE else payment.device_ref
    return keyed(payment.card_id, payment.ip_ref, device, payment.email_ref, payment.merchant)


def keyed(*values: str) -> list[tuple[Dimension, str]]:
    """The keys among values that stand in the order of dimensions; an empty one is no key."""
    return [pair for pair in zip(_DIMENSIONS, values, strict=True) if pair[1]]


def put(hotlist: Hotlist, applied: HotlistApplied) -> None:
    """List a key; again is with what is said last."""
    entry = Entry(applied.standing, applied.reason, applied.until_at)
    hotlist.items.setdefault(applied.item, {})[applied.listed_by] = entry


def remove(hotlist: Hotlist, released: HotlistReleased) -> None:
    """Take a key off for one of those who listed it. One that is not on it stays off."""
    entries = hotlist.items.get(released.item)
    if entries is None:
        return
    entries.pop(released.listed_by, None)
    if not entries:
        del hotlist.items[released.item]


def hits(hotlist: Hotlist, payment: PaymentRequested) -> list[Hit]:
    """The listed keys of a payment in the order of dimensions, each with the strictest that is said of it."""
    if not hotlist.items:
        return []
    found = []
    for dimension, value in keys_of(payment):
        entries = hotlist.items.get(item_of(dimension, value))
        if entries is None:
            continue
        by = max(sorted(entries), key=lambda one: _SEVERITY[entries[one].standing])
        named = entries[by].reason if by is ListedBy.LIMIT else by
        found.append(Hit(f"hotlist:{dimension}:{named}", entries[by].standing))
    return found
