"""Chance for those who are simulated: the same names give the same number, for ever and everywhere.

Whoever simulates an outside party draws by name and never from a generator: what it does is then a function of the
seed and of business ids, and an edge that is asked again after a crash says the same again.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

MILLION: Final = 1_000_000

_T = TypeVar("_T")


def chance(seed: int, *parts: str | int) -> int:
    """0 to 999,999, evenly: what a die would show for these names."""
    text = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % MILLION


def digits(seed: int, length: int, *parts: str | int) -> str:
    """A made-up number of ``length`` digits for these names."""
    text = "/".join(map(str, (seed, *parts)))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
    return str(number % 10**length).rjust(length, "0")


def weighted(drawn: int, rows: Sequence[tuple[_T, int]]) -> _T:
    """What a number of :func:`chance` falls on; the weights of ``rows`` are millionths and add up to a million."""
    for value, weight in rows:
        drawn -= weight
        if drawn < 0:
            return value
    raise AssertionError("the weights add up to a million")


def between(drawn: int, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both possible, for a number of :func:`chance`."""
    return low + drawn * (high - low + 1) // MILLION
