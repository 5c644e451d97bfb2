"""The longest prefix wins, and of nested ranges the narrowest."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.reference import BinRange
from streams.features.bins import BinBlock, blocks_of, range_of

ROWS = (
    ("4", "4", "visa"),
    ("51", "55", "mastercard"),
    ("34", "34", "amex"),
    ("37", "37", "amex"),
    ("4000", "4999", "wide"),
    ("4026", "4026", "narrow"),
    ("4026", "4300", "between"),
    ("402611", "402612", "longest"),
)
RANGES = tuple(BinRange(*row, "US", "credit") for row in ROWS)


@pytest.mark.parametrize(
    ("digits", "brand"),
    [
        ("30000000", ""),
        ("34000000", "amex"),
        ("35000000", ""),
        ("374211", "amex"),
        ("50999999", ""),
        ("51000000", "mastercard"),
        ("55999999", "mastercard"),
        ("56000000", ""),
        ("40000000", "wide"),
        ("40259999", "wide"),
        ("40260000", "narrow"),
        ("40261100", "longest"),
        ("40261299", "longest"),
        ("40261300", "narrow"),
        ("40270000", "between"),
        ("43009999", "between"),
        ("43010000", "wide"),
        ("49999999", "wide"),
        ("4", "visa"),
        ("", ""),
    ],
)
def test_the_longest_prefix_wins_and_then_the_narrowest_range(digits: str, brand: str) -> None:
    """Ends of ranges included."""
    found = range_of(blocks_of(RANGES), digits)
    assert brand == (found.brand if found is not None else "")


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 30)), max_size=12),
    st.integers(0, 99),
)
def test_a_look_up_finds_what_a_search_finds(spans: list[tuple[int, int]], asked: int) -> None:
    """Of ranges of one length: the one that begins last, then the one that ends first."""
    ranges = tuple(
        BinRange(f"{low:02d}", f"{min(99, low + width):02d}", "visa", "US", "credit") for low, width in spans
    )
    digits = f"{asked:02d}"
    fitting = [row for row in ranges if row.low <= digits <= row.high]
    best = max(fitting, key=lambda row: (row.low, -int(row.high)), default=None)
    assert best == range_of(blocks_of(ranges), digits)


def test_blocks_survive_a_snapshot() -> None:
    """They stand in the state of processors."""
    blocks = blocks_of(RANGES)
    assert blocks == msgspec.msgpack.decode(msgspec.msgpack.encode(blocks), type=list[BinBlock])
