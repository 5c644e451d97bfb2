"""Which range of card numbers the first digits of a card fall into.

Ranges may lie inside each other, as they do in the tables that networks sell. The longest prefix wins, then the
range that begins last, then the narrowest. A look-up bisects once for each length of prefix: a table of a hundred
thousand ranges costs no more than one of ten.
"""

from bisect import bisect_right

import msgspec

from events.reference import BinRange


class BinBlock(msgspec.Struct):
    """The ranges with prefixes of one length, by their low end; ``reach[i]`` is the highest end up to i."""

    length: int
    ranges: list[BinRange]
    lows: list[str]
    reach: list[str]


def blocks_of(ranges: tuple[BinRange, ...]) -> list[BinBlock]:
    """The ranges as blocks, longest prefixes first. Of ranges with one low end the wider stands before."""
    blocks = []
    for length in sorted({len(row.low) for row in ranges}, reverse=True):
        rows = sorted(
            (row for row in ranges if len(row.low) == length), key=lambda row: (row.low, -int(row.high))
        )
        reach: list[str] = []
        for row in rows:
            reach.append(max(row.high, reach[-1]) if reach else row.high)
        blocks.append(BinBlock(length, rows, [row.low for row in rows], reach))
    return blocks


def range_of(blocks: list[BinBlock], digits: str) -> BinRange | None:
    """The range that a card's first digits fall into, or None."""
    for block in blocks:
        if block.length > len(digits):
            continue
        prefix = digits[: block.length]
        index = bisect_right(block.lows, prefix) - 1
        while index >= 0 and block.reach[index] >= prefix:
            if block.ranges[index].high >= prefix:
                return block.ranges[index]
            index -= 1
    return None
