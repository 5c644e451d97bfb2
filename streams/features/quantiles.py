"""What most amounts do not exceed: the half and the 95th hundredth, kept up to date one amount at a time.

    quantile(q) after n amounts is the least bucket end that at least ceil(q * n) of them do not exceed

Buckets are exact up to 32 and a sixteenth of a power of two wide beyond, so the answer is at most 1/16 too high, and a
merchant's amounts take a thousand counters at most, however many there are. Nothing is forgotten: the answer moves when
a merchant's customers do. Each quantile walks with the amounts, a step or two at a time; nothing is sorted.
"""

from typing import Final

import msgspec

_EXACT: Final = 32
_BITS: Final = 4
_STEPS: Final = 1 << _BITS
LARGEST: Final = (1 << 63) - 1

PER_CENT: Final = (50, 95)
"""The quantiles that are kept, in hundredths."""


class Walker(msgspec.Struct):
    """A quantile: the bucket it is in, and how many amounts lie in the buckets below."""

    bucket: int = 0
    below: int = 0


class Quantiles(msgspec.Struct):
    """The counts of some amounts by bucket, and where the quantiles stand."""

    amounts: int = 0
    counts: list[int] = []
    walkers: list[Walker] = []


def bucket_of(amount: int) -> int:
    """The bucket of an amount; what is negative counts as 0."""
    if amount < _EXACT:
        return max(amount, 0)
    shift = min(amount, LARGEST).bit_length() - 1 - _BITS
    return _EXACT + (shift - 1) * _STEPS + (min(amount, LARGEST) >> shift) - _STEPS


def end_of(bucket: int) -> int:
    """The largest amount of a bucket."""
    if bucket < _EXACT:
        return bucket
    shift, step = divmod(bucket - _EXACT, _STEPS)
    return ((step + _STEPS + 1) << (shift + 1)) - 1


def take(quantiles: Quantiles, amount: int) -> None:
    """Count an amount."""
    bucket = bucket_of(amount)
    counts = quantiles.counts
    if bucket >= len(counts):
        counts.extend([0] * (bucket + 1 - len(counts)))
    counts[bucket] += 1
    quantiles.amounts += 1
    if not quantiles.walkers:
        quantiles.walkers = [Walker(bucket) for _ in PER_CENT]
        return
    for walker, part in zip(quantiles.walkers, PER_CENT, strict=True):
        if bucket < walker.bucket:
            walker.below += 1
        needed = -(-part * quantiles.amounts // 100)
        while walker.below + counts[walker.bucket] < needed:
            walker.below += counts[walker.bucket]
            walker.bucket += 1
        while walker.below >= needed:
            walker.bucket -= 1
            walker.below -= counts[walker.bucket]


def read(quantiles: Quantiles, place: int) -> int:
    """The quantile at a place of :data:`PER_CENT`; of no amounts it is 0."""
    return end_of(quantiles.walkers[place].bucket) if quantiles.walkers else 0
