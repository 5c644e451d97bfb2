"""Lines in order, in memory and in files."""

from random import Random

import pytest

from streams.forensics.digests import digest, state_digest
from streams.forensics.lines import in_order

CHARACTERS = "ab \t\x0b\x0cé€𝄞"


def lines(count: int) -> list[str]:
    """Short ones, many of them twice, with characters that end a line elsewhere."""
    draw = Random(7)
    return ["".join(draw.choices(CHARACTERS, k=draw.randrange(4))) for _ in range(count)]


@pytest.mark.parametrize("in_memory", [1, 2, 7, 500, 501, 10_000])
def test_lines_come_in_order_however_many_fit_in_memory(in_memory: int) -> None:
    """In that of their characters, and every one of them."""
    given = lines(500)
    assert sorted(given) == list(in_order(iter(given), in_memory))


def test_of_nothing_comes_nothing() -> None:
    assert list(in_order([], 1)) == []


def test_a_state_counts_a_line_once() -> None:
    """What stands in every partition."""
    given = lines(500)
    assert digest(given) != state_digest(given) == digest(set(given))
