"""A sieve: which keys are surely new, told without looking where the known ones lie.

Most keys that a processor asks for are new, and nothing lies under them: to find that out in a tree on a disk takes
longer than to decide what was asked. A sieve holds a few bits for each known key (a Bloom filter). It says "perhaps"
of every key that it was given, and now and then of another, for which somebody then looks in vain.
"""

from collections.abc import Iterable
from typing import Final

#: Bits of a sieve, 8 MiB: of ten million known keys it lets one unknown in twenty through, of a million none in 10,000.
BITS: Final = 1 << 26


class Sieve:
    """Keys that may be known. What has been added stays, and no key that has been added is ever missed.

    Three bits a key, at places a, a + b and a + 2b of one hash (A. Kirsch, M. Mitzenmacher, Less Hashing, Same
    Performance: Building a Better Bloom Filter, 2006). The hash is the interpreter's own, another in each process, so
    nothing of this may be kept, or show in what is decided.
    """

    __slots__ = ("_bits", "_last")

    def __init__(self, keys: Iterable[str] = (), bits: int = BITS) -> None:
        """``bits`` is a power of two, 8 or more."""
        self._bits = bytearray(bits >> 3)
        self._last = bits - 1
        self.update(keys)

    def update(self, keys: Iterable[str]) -> None:
        """These are known from now on."""
        bits, last = self._bits, self._last
        for key in keys:
            whole = hash(key)
            place, step = whole & last, whole >> 32 & last | 1
            for _ in range(3):
                bits[place >> 3] |= 1 << (place & 7)
                place = place + step & last

    def __contains__(self, key: object) -> bool:
        """Whether a key may be known; False only of one that surely is not."""
        bits, last = self._bits, self._last
        whole = hash(key)
        place, step = whole & last, whole >> 32 & last | 1
        for _ in range(3):
            if not bits[place >> 3] >> (place & 7) & 1:
                return False
            place = place + step & last
        return True
