"""What most amounts do not exceed, against sorting all of them."""

from hypothesis import given
from hypothesis import strategies as st

from streams.features.quantiles import LARGEST, PER_CENT, Quantiles, bucket_of, end_of, read, take

AMOUNTS = st.one_of(st.integers(0, 100), st.integers(0, LARGEST), st.integers(0, 10**6))


@given(st.lists(AMOUNTS, min_size=1, max_size=200))
def test_the_quantiles_are_those_of_all_amounts(amounts: list[int]) -> None:
    """After each amount: the end of the bucket of the one that stands at ceil(q * n) in order."""
    quantiles = Quantiles()
    for number, amount in enumerate(amounts, 1):
        take(quantiles, amount)
        ordered = sorted(amounts[:number])
        for place, part in enumerate(PER_CENT):
            exact = ordered[-(-part * number // 100) - 1]
            assert end_of(bucket_of(exact)) == read(quantiles, place)


@given(AMOUNTS)
def test_a_bucket_is_a_sixteenth_wide(amount: int) -> None:
    """An amount lies in its bucket, and the bucket's end is hardly above it."""
    end = end_of(bucket_of(amount))
    assert amount <= end <= amount + amount // 16
    assert bucket_of(end) == bucket_of(amount)
    assert end == LARGEST or bucket_of(end + 1) == bucket_of(amount) + 1


def test_of_nothing_and_of_what_is_too_large() -> None:
    """Zero for nothing; an amount beyond 64 bits is in the last bucket."""
    assert read(Quantiles(), 0) == 0
    assert bucket_of(-5) == 0
    assert bucket_of(LARGEST * 2) == bucket_of(LARGEST) < 1_000
