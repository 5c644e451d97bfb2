"""Ranges of card numbers: the look-up finds what reading the whole table would find."""

from hypothesis import given, settings
from hypothesis import strategies as st

from events.reference import BinRange
from streams.features.bins import blocks_of, range_of

_DIGITS = "0123456789"


@st.composite
def ranges(draw: st.DrawFn) -> BinRange:
    """A range of one to three digits, so that many lie inside each other."""
    length = draw(st.integers(1, 3))
    low, high = sorted(draw(st.text(_DIGITS, min_size=length, max_size=length)) for _ in range(2))
    return BinRange(low, high, "brand", "US", draw(st.sampled_from(("credit", "debit", "prepaid"))))


def read(table: list[BinRange], digits: str) -> BinRange | None:
    """The definition: the longest prefix, then the range that begins last, then the narrowest."""
    fitting = [
        row for row in table if row.low <= digits[: len(row.low)] <= row.high and len(row.low) <= len(digits)
    ]
    return min(fitting, key=lambda row: (-len(row.low), -int(row.low), int(row.high)), default=None)


@given(
    st.lists(ranges(), max_size=12, unique_by=lambda row: (row.low, row.high)), st.text(_DIGITS, max_size=4)
)
@settings(max_examples=300, deadline=None)
def test_a_look_up_finds_what_the_definition_says(table: list[BinRange], digits: str) -> None:
    """Whatever order the table is in, and whatever lies inside what."""
    assert range_of(blocks_of(tuple(table)), digits) == read(table, digits)
    assert range_of(blocks_of(tuple(reversed(table))), digits) == read(table, digits)


def test_a_wide_range_is_found_behind_narrow_ones() -> None:
    """A search that looks only at the nearest low end would miss it."""
    wide = BinRange("400", "499", "visa", "US", "credit")
    narrow = (BinRange("410", "410", "visa", "US", "debit"), BinRange("420", "421", "visa", "US", "debit"))
    assert range_of(blocks_of((*narrow, wide)), "45012345") == wide
    assert range_of(blocks_of((*narrow, wide)), "42112345") == narrow[1]
    assert range_of(blocks_of((*narrow, wide)), "50012345") is None
