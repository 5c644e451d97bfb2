"""Payments as they were judged, kept until a label may come: what a scorecard learns from.

Of each payment that was approved, the partition of its card keeps :data:`NAME_BYTES` of a hash of its id and one byte
for each feature of the scorecard: the bin that it was in. With the twelve features of the profile that is 20 bytes a
payment, for :data:`KEPT_DAYS` days. They lie behind each other in one block a day; a label, which is rare, searches the
block of its payment's day.

Of payments that nobody labels, a share is drawn by the same hash and put aside until labels have had their time.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from events.calendar import DAY
from streams.features.labels import OUTLIER_DAYS

NAME_BYTES: Final = 8
KEPT_DAYS: Final = OUTLIER_DAYS
"""How many days after its payment an example is kept: a little longer than the payment can be disputed."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A payment as it was judged: the scorecard that saw it (by its version), its event time, its bins."""

    learner: int
    paid_at: int
    bins: bytes


class Block(msgspec.Struct):
    """The examples of payments with event times on one day (since 1970), each a name and its bins."""

    day_on: int
    packed: bytearray


class Sampled(msgspec.Struct, frozen=True, gc=False):
    """A payment that is learned as genuine when nobody has labelled it by then."""

    payment_id: str
    paid_at: int
    bins: bytes


class SampledDay(msgspec.Struct):
    """What was drawn on one day of logical time."""

    day_on: int
    drawn: list[Sampled]


class Kept(msgspec.Struct):
    """Examples by the day of their payments, all of ``width`` bins; and what was drawn, by the day it was approved."""

    width: int = 0
    blocks: list[Block] = []
    days: list[SampledDay] = []


def keep(kept: Kept, payment_id: str, judged: Judged, today: int, one_in: int) -> None:
    """Keep a payment that was approved on day ``today``; one in ``one_in`` is drawn as well."""
    name, paid_at, bins = _name_of(payment_id), judged.paid_at, judged.bins
    assert len(bins) == kept.width
    _block_of(kept, paid_at // DAY).packed += name + bins
    if is_drawn(name, one_in):
        if not kept.days or kept.days[-1].day_on != today:
            kept.days.append(SampledDay(today, []))
        kept.days[-1].drawn.append(Sampled(payment_id, paid_at, bins))


def is_drawn(name: bytes, one_in: int) -> bool:
    """Whether a payment with a name of this hash is among the one in so many that are drawn."""
    return int.from_bytes(name, "big") % one_in == 0


def find(kept: Kept, payment_id: str, paid_at: int) -> bytes | None:
    """The bins of a payment; None where it is not kept."""
    day_on, name = paid_at // DAY, _name_of(payment_id)
    record = NAME_BYTES + kept.width
    for block in kept.blocks:
        if block.day_on == day_on:
            at = block.packed.find(name)
            while at >= 0 and at % record:
                at = block.packed.find(name, at + 1)
            return bytes(block.packed[at + NAME_BYTES : at + record]) if at >= 0 else None
    return None


def drawn_until(kept: Kept, day_on: int) -> Iterator[SampledDay]:
    """The days up to this one on which something was drawn, oldest first."""
    for day in kept.days:
        if day.day_on > day_on:
            break
        yield day


def take_drawn(kept: Kept, most: int) -> list[Sampled]:
    """Take the next of the oldest day away, at most so many."""
    day = kept.days[0]
    taken = day.drawn[:most]
    del day.drawn[:most]
    if not day.drawn:
        del kept.days[0]
    return taken


def stale_days(kept: Kept, today: int) -> list[int]:
    """The days of which no label can come any more."""
    return [block.day_on for block in kept.blocks if block.day_on < today - KEPT_DAYS]


def forget_day(kept: Kept, day_on: int) -> None:
    """Drop a day."""
    kept.blocks = [block for block in kept.blocks if block.day_on != day_on]


def summary(kept: Kept) -> Iterator[str]:
    """Each payment that is kept, under the hash of its id."""
    record = NAME_BYTES + kept.width
    for block in kept.blocks:
        for at in range(0, len(block.packed), record):
            yield f"kept {block.day_on} {block.packed[at : at + record].hex()}"
    for day in kept.days:
        for one in day.drawn:
            yield f"drawn {day.day_on} {one.payment_id}"


def _name_of(payment_id: str) -> bytes:
    return sha256(payment_id.encode()).digest()[:NAME_BYTES]


def _block_of(kept: Kept, day_on: int) -> Block:
    """The block of a day. Nearly all payments are of the last one; what comes late is of one before."""
    for block in reversed(kept.blocks):
        if block.day_on == day_on:
            return block
        if block.day_on < day_on:
            break
    place = sum(block.day_on < day_on for block in kept.blocks)
    kept.blocks.insert(place, Block(day_on, bytearray()))
    return kept.blocks[place]
