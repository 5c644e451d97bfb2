"""The logistic function in whole numbers: the same bits on every machine, a row at a time or a million at once.

Log-odds, probabilities and weights are fixed point with :data:`BITS` bits behind the point. The table is made with
decimal arithmetic, whose ``exp`` is rounded correctly everywhere; the one of a C library may differ in its last bit,
and a model trained on it would too. Between two entries the line is straight: less than 0.00003 off.
"""

from decimal import Context, Decimal
from typing import Final

BITS: Final = 20
ONE: Final = 1 << BITS
"""One, and also the probability 1."""

REACH: Final = 16 * ONE
"""Beyond these log-odds (1 in 9 million) everything is taken to be as far as this."""

STEP_BITS: Final = 16
_STEP: Final = 1 << STEP_BITS
_CONTEXT: Final = Context(prec=28)


def _probability(odds: int) -> int:
    power = _CONTEXT.exp(_CONTEXT.divide(Decimal(-odds), Decimal(ONE)))
    return round(_CONTEXT.divide(Decimal(ONE), _CONTEXT.add(Decimal(1), power)))


TABLE: Final = tuple(_probability(odds) for odds in range(-REACH, REACH + _STEP + 1, _STEP))
"""Probabilities at every sixteenth of the log-odds from -REACH, with one entry more than REACH needs."""


def probability(odds: int) -> int:
    """The probability of some log-odds."""
    place = min(max(odds, -REACH), REACH) + REACH
    index = place >> STEP_BITS
    low = TABLE[index]
    return low + ((TABLE[index + 1] - low) * (place & (_STEP - 1)) >> STEP_BITS)


def log_odds(numerator: int, denominator: int) -> int:
    """The log-odds of ``numerator`` in ``denominator``; neither may be certain."""
    assert 0 < numerator < denominator
    ratio = _CONTEXT.divide(Decimal(numerator), Decimal(denominator - numerator))
    return round(_CONTEXT.multiply(_CONTEXT.ln(ratio), Decimal(ONE)))
