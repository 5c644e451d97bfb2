"""A sieve misses no key that it was given, and lets few others through."""

from hypothesis import given
from hypothesis import strategies as st

from streams.hosts.sieve import Sieve

KEYS = st.sets(st.text(max_size=20))


@given(KEYS, KEYS, st.sampled_from([8, 64, 1 << 26]))
def test_what_was_added_is_never_missed(first: set[str], later: set[str], bits: int) -> None:
    """However full it is: of eight bits all are soon set."""
    sieve = Sieve(first, bits)
    sieve.update(later)
    assert all(key in sieve for key in first | later)


def test_few_others_come_through() -> None:
    """Keys that differ in a digit, too. With ten bits for each, one in fifty is to be expected, one in twenty bad."""
    known = [f"pay-{number:06d}" for number in range(100_000)]
    sieve = Sieve(known, 1 << 20)
    through = sum(f"pay-{number:06d}" in sieve for number in range(100_000, 200_000))
    assert 0 < through < 5_000


def test_an_empty_one_lets_nothing_through() -> None:
    """Of those who have just begun every key is new."""
    assert not any(str(number) in Sieve() for number in range(1_000))
